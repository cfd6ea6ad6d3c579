//! Tests in assembly: the columns of instructions, registers, and the condition.

use super::super::edge::{Dir, Size};
use super::super::plan::{Access, Link, Plan};
use super::{Dep, Language, Rmw, Through};

/// A test without its head.
#[derive(Debug)]
pub(in super::super) struct Body {
    /// The initial values and the threads.
    pub text: String,
    /// What the condition asks for.
    pub condition: Vec<String>,
}

/// The letter that RISC-V and POWER have for a size in a mnemonic.
pub(super) fn letter(size: Size) -> char {
    match size.bytes {
        1 => 'b',
        2 => 'h',
        4 => 'w',
        _ => 'd',
    }
}

/// A register of a thread, numbered from 0.
pub(super) type Reg = usize;

/// A register that is 0 but depends on a read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zero(pub Reg);

/// Where an access is: the register with the address of its location, and the dependency of its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub location: usize,
    /// The bytes from the beginning of the location on.
    pub offset: usize,
    pub zero: Option<Zero>,
}

/// What is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub value: u64,
    /// The dependency of the value.
    pub zero: Option<Zero>,
}

/// The instructions of one architecture.
pub(super) trait Assembly {
    /// The name of a register in the initial values and in the condition.
    fn full_name(&self, register: Reg) -> String;
    /// The number of registers that a thread may use.
    fn registers(&self) -> usize;
    fn load(&self, thread: &mut Thread, access: &Access, place: Place) -> Reg;
    fn store(&self, thread: &mut Thread, access: &Access, place: Place, stored: Stored);
    /// Both accesses of a read-modify-write. Returns the register with the value that was read.
    fn update(&self, thread: &mut Thread, rmw: &Rmw, accesses: [&Access; 2], place: Place) -> Option<Reg>;
    /// A branch that depends on a register, to a label behind it.
    fn branch(&self, thread: &mut Thread, from: From, label: &str);
    /// A register that depends on another and is 0.
    fn zero(&self, thread: &mut Thread, from: From) -> Zero;
}

/// Where a dependency begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct From {
    pub register: Reg,
    /// The size of the value in it in bytes.
    pub bytes: usize,
    /// Whether the value passes a conditional select.
    pub selects: bool,
}

/// One thread while it is written.
pub(super) struct Thread<'p> {
    pub plan: &'p Plan,
    number: usize,
    assembly: &'p dyn Assembly,
    used: usize,
    addresses: Vec<(usize, Reg)>,
    init: Vec<String>,
    types: Vec<String>,
    pub lines: Vec<String>,
    condition: Vec<String>,
    labels: usize,
}

impl Thread<'_> {
    /// A register that was not used before.
    pub fn fresh(&mut self) -> Reg {
        self.used += 1;
        self.used - 1
    }

    pub fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// The register that holds the address of a location from the beginning on.
    pub fn address(&mut self, location: usize) -> Reg {
        if let Some((_, register)) = self.addresses.iter().find(|(known, _)| *known == location) {
            return *register;
        }
        let register = self.fresh();
        self.addresses.push((location, register));
        let name = self.plan.locations[location].name.clone();
        self.init.push(format!("{}:{}={name};", self.number, self.assembly.full_name(register)));
        register
    }

    /// A register that holds a value from the beginning on.
    pub fn constant(&mut self, value: u64, bytes: usize) -> Reg {
        let register = self.fresh();
        let ty = Plan::type_of(bytes);
        self.init.push(format!("{ty} {}:{}={value};", self.number, self.assembly.full_name(register)));
        register
    }

    /// A label for a jump inside of an instruction sequence.
    pub fn label(&mut self, prefix: &str) -> String {
        self.labels += 1;
        format!("{prefix}{}{}", self.number, self.labels - 1)
    }

    /// Asks for a value of a register at the end.
    pub fn expect(&mut self, register: Reg, value: u64, bytes: usize) {
        let name = format!("{}:{}", self.number, self.assembly.full_name(register));
        if self.plan.mixed {
            self.types.push(format!("{} {name};", Plan::type_of(bytes)));
        }
        self.condition.push(format!("{name}={value}"));
    }

    fn accesses(&mut self, language: &Language, accesses: &[Access]) {
        // The register of the last read, and its size.
        let mut last: Option<(Reg, usize)> = None;
        let mut at = 0;
        while let Some(access) = accesses.get(at) {
            let dep = match access.link {
                Link::Dep(dep) => Some(&language.deps[dep]),
                _ => None,
            };
            if let Link::Fence(fence) = access.link {
                self.line(language.fences[fence].code);
            }
            let (zero, data) = match dep.zip(last) {
                Some((dep, last)) => self.dependency(dep, last),
                None => (None, None),
            };
            let place = Place { location: access.location, offset: access.size().offset, zero };
            let write = accesses.get(at + 1).filter(|next| matches!(next.link, Link::Rmw(_)));
            let assembly = self.assembly;
            match (access.dir, write.map(|write| (write, write.link))) {
                (_, Some((write, Link::Rmw(rmw)))) => {
                    let rmw = &language.rmws[rmw];
                    let old = assembly.update(self, rmw, [access, write], place);
                    if let Some(register) = old {
                        self.expect(register, access.value, access.size().bytes);
                    }
                    last = None;
                    at += 1;
                }
                (Dir::R, _) => {
                    let register = assembly.load(self, access, place);
                    self.expect(register, access.value, access.size().bytes);
                    last = Some((register, access.size().bytes));
                }
                (Dir::W, _) => assembly.store(self, access, place, Stored { value: access.value, zero: data }),
            }
            at += 1;
        }
    }

    /// Writes what makes the next access depend on a register: the dependencies of its address and of its data.
    fn dependency(&mut self, dep: &Dep, (register, bytes): (Reg, usize)) -> (Option<Zero>, Option<Zero>) {
        let from = From { register, bytes, selects: dep.selects };
        let assembly = self.assembly;
        match dep.through {
            Through::Address => (Some(assembly.zero(self, from)), None),
            Through::Data => (None, Some(assembly.zero(self, from))),
            Through::Control { then } => {
                let label = self.label("LC");
                assembly.branch(self, from, &label);
                self.line(format!("{label}:"));
                if let Some(barrier) = then {
                    self.line(barrier);
                }
                (None, None)
            }
        }
    }
}

/// Writes a test.
pub(super) fn write(assembly: &dyn Assembly, language: &Language, plan: &Plan) -> Result<Body, String> {
    let mut init = Vec::new();
    let mut columns = Vec::new();
    let mut condition: Vec<String> = Vec::new();
    let locations = plan.locations.iter();
    if plan.mixed {
        let types = locations.clone().map(|location| format!("{} {};", Plan::type_of(location.bytes), location.name));
        init.push(types.collect::<Vec<_>>().join(" "));
    }
    for (number, accesses) in plan.threads.iter().enumerate() {
        let mut thread = Thread {
            plan,
            number,
            assembly,
            used: 0,
            addresses: Vec::new(),
            init: Vec::new(),
            types: Vec::new(),
            lines: Vec::new(),
            condition: Vec::new(),
            labels: 0,
        };
        thread.accesses(language, accesses);
        if thread.used > assembly.registers() {
            return Err(format!("P{number} needs {} registers, and has {}", thread.used, assembly.registers()));
        }
        init.extend([thread.types.join(" "), thread.init.join(" ")].into_iter().filter(|line| !line.is_empty()));
        condition.extend(thread.condition);
        columns.push([vec![format!("P{number}")], thread.lines].concat());
    }
    let lasts = locations.filter_map(|location| location.last.map(|last| format!("[{}]={last}", location.name)));
    condition = lasts.chain(condition).collect();
    let init: String = init.iter().map(|line| format!("{line}\n")).collect();
    Ok(Body { text: format!("{{\n{init}}}\n{}", table(&columns)), condition })
}

/// The threads beside each other.
fn table(columns: &[Vec<String>]) -> String {
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: &Vec<String>| column.iter().map(String::len).max().unwrap_or(0);
    let row = |row: usize| {
        let cells = columns.iter().map(|column| {
            let cell = column.get(row).map_or("", String::as_str);
            format!(" {cell:width$} ", width = width(column))
        });
        cells.collect::<Vec<_>>().join("|") + ";\n"
    };
    (0..rows).map(row).collect()
}
