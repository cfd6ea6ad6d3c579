//! Proves that every access of a test in assembly stays inside one of its locations, before the test runs.
//!
//! A test in C names a location in each access, or a pointer whose type says what it points to. An instruction takes
//! any number as an address. So the values that each register and each location may hold are computed first: sets of
//! integers and of addresses with an offset. What a location may hold does not depend on the order of the accesses:
//! every value that some thread may store counts from the start. So the sets hold on every CPU, also on one that
//! breaks its memory model. An access of another size than the location's may read a mixture of values, and gives any
//! value.

use std::collections::BTreeSet;

use super::code::{Change, Code, CodeThread, Step, Update, UpdateResult};
use super::flow::{self, Entries};
use super::places::Compared;
use super::reach::access_type;
use super::trace;
use crate::program::{Address, Binary, Column, Const, LocationId, Operand, RegisterId, Type, Unary};

/// More values than this count as any value.
const MOST: usize = 64;

/// What a register or a location may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Values {
    /// One of these.
    Some(BTreeSet<Item>),
    /// Any integer.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Int(i64),
    /// The address of the byte at an offset in a location.
    Address(LocationId, i64),
}

impl Item {
    /// An integer converted to a type. An address stays what it is.
    fn wrapped(self, ty: Type) -> Item {
        match self {
            Item::Int(value) => match trace::wrap(Const::Int(value), ty) {
                Const::Int(value) => Item::Int(value),
                Const::Address(_) => self,
            },
            Item::Address(..) => self,
        }
    }
}

impl Values {
    fn one(value: Const) -> Values {
        Values::Some(BTreeSet::from([match value {
            Const::Int(value) => Item::Int(value),
            Const::Address(location) => Item::Address(location, 0),
        }]))
    }

    fn none() -> Values {
        Values::Some(BTreeSet::new())
    }

    fn join(&mut self, other: &Values) {
        match (&mut *self, other) {
            (Values::Some(own), Values::Some(other)) => {
                own.extend(other);
                if own.len() > MOST {
                    *self = Values::Any;
                }
            }
            _ => *self = Values::Any,
        }
    }

    fn map(&self, of: impl Fn(Item) -> Option<Item>) -> Values {
        match self {
            Values::Some(items) => {
                items.iter().map(|item| of(*item)).collect::<Option<_>>().map_or(Values::Any, Values::Some)
            }
            Values::Any => Values::Any,
        }
    }

    fn addresses(&self) -> impl Iterator<Item = LocationId> {
        let items = match self {
            Values::Some(items) => items.iter().copied().collect(),
            Values::Any => Vec::new(),
        };
        items.into_iter().filter_map(|item| match item {
            Item::Address(location, _) => Some(location),
            Item::Int(_) => None,
        })
    }
}

/// What was found out about a test.
#[derive(Debug)]
pub struct Extents {
    /// The size of each location in bytes.
    pub sizes: Vec<usize>,
    /// For each thread, the locations that it may access, each once, and whether it may write them.
    pub touched: Vec<Vec<(LocationId, bool)>>,
    /// Whether each location may hold an address.
    pub locations_hold_addresses: Vec<bool>,
    /// For each thread, whether each register may hold an address at some time.
    pub registers_hold_addresses: Vec<Vec<bool>>,
    /// For each thread, the integers that it may store, as far as they are few.
    pub stored: Vec<BTreeSet<i64>>,
    /// What each register of each thread may hold.
    held: Vec<Vec<Values>>,
    /// What each location may hold.
    memory: Vec<Values>,
}

impl Extents {
    /// Whether two places that a condition compares by their bits are equal just if their values are, for all values that
    /// they may hold.
    pub fn values_are_enough(&self, compared: &Compared) -> bool {
        let held = |column: Column| match column {
            Column::Register { thread, register } => &self.held[thread][register],
            Column::Location(location) => &self.memory[location],
        };
        let [Values::Some(lefts), Values::Some(rights)] = compared.columns.map(held) else { return false };
        let equal = |left: Item, right: Item, types: [Type; 2]| left.wrapped(types[0]) == right.wrapped(types[1]);
        lefts.iter().flat_map(|left| rights.iter().map(move |right| (*left, *right))).all(|(left, right)| {
            let by_bits = compared.alternatives.iter().any(|types| equal(left, right, *types));
            by_bits == equal(left, right, compared.types)
        })
    }
}

/// An access that may leave the locations of the test.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside {
    /// The thread.
    pub thread: usize,
    /// The step.
    pub step: usize,
    /// What may happen: completes "this access ...".
    pub reason: String,
}

/// Computes where the accesses of a test go. `declared` gives the sizes of the locations that are declared with one;
/// the others are as large as their largest access, or 4 bytes.
///
/// # Errors
/// The first access that may leave its location.
pub fn extents(code: &Code, declared: &[Option<usize>]) -> Result<Extents, Outside> {
    let mut sizes = declared.to_vec();
    // The sizes of the undeclared locations grow with the accesses that are found, until nothing changes.
    loop {
        let known = sizes.iter().map(|size| size.unwrap_or(4)).collect();
        let mut analysis = Analysis::new(code, known);
        while analysis.round() {}
        let mut grown = sizes.clone();
        for (location, bytes) in analysis.widths() {
            if declared[location].is_none() {
                let size = &mut grown[location];
                *size = Some(size.unwrap_or(0).max(bytes));
            }
        }
        if grown == sizes {
            return analysis.finish();
        }
        sizes = grown;
    }
}

struct Analysis<'c> {
    code: &'c Code,
    sizes: Vec<usize>,
    memory: Vec<Values>,
    /// What the registers may hold where a jump to a label arrives, for each thread.
    entries: Vec<Entries<Values>>,
    /// What each access may have as its address, for each thread and step.
    places: Vec<Vec<Values>>,
    /// Every value that each register of each thread holds at some time.
    held: Vec<Vec<Values>>,
    /// What each thread may store.
    stored: Vec<Values>,
}

impl<'c> Analysis<'c> {
    fn new(code: &'c Code, sizes: Vec<usize>) -> Analysis<'c> {
        let threads = code.threads.iter();
        Analysis {
            code,
            sizes,
            memory: code.init.iter().map(|init| Values::one(*init)).collect(),
            entries: vec![Entries::new(); code.threads.len()],
            places: threads.clone().map(|thread| vec![Values::none(); thread.steps.len()]).collect(),
            held: threads
                .clone()
                .map(|thread| thread.registers.iter().map(|value| Values::one(*value)).collect())
                .collect(),
            stored: threads.map(|_| Values::none()).collect(),
        }
    }

    /// Goes through every thread once. Returns whether anything changed.
    fn round(&mut self) -> bool {
        let before = (self.memory.clone(), self.entries.clone());
        for number in 0..self.code.threads.len() {
            let thread = &self.code.threads[number];
            self.thread(number, thread);
        }
        (&self.memory, &self.entries) != (&before.0, &before.1)
    }

    fn thread(&mut self, number: usize, thread: &CodeThread) {
        let registers = thread.registers.iter().map(|value| Values::one(*value)).collect();
        let mut entries = std::mem::take(&mut self.entries[number]);
        flow::follow(thread, registers, &mut entries, Values::join, |at, step, registers| {
            if let Some((dst, value)) = self.step(number, at, step, registers) {
                self.held[number][dst].join(&value);
                registers[dst] = value;
            }
        });
        self.entries[number] = entries;
    }

    /// The register that a step writes, and what it may hold then. Notes what the step does to memory.
    fn step(&mut self, number: usize, at: usize, step: &Step, registers: &[Values]) -> Option<(RegisterId, Values)> {
        let of = |operand: Operand| match operand {
            Operand::Register(register) => registers[register].clone(),
            Operand::Const(value) => Values::one(value),
        };
        match *step {
            Step::Read { dst, address, ty, .. } => {
                let value = self.read(number, at, address, ty, registers);
                dst.map(|dst| (dst, value))
            }
            Step::IsLocked { dst, address } => {
                self.read(number, at, address, Type::Spinlock, registers);
                Some((dst, Values::Any))
            }
            Step::Write { address, value, ty, .. } => {
                self.write(number, at, address, ty, &wrapped(&of(value), ty), registers);
                None
            }
            Step::StoreConditional { status, address, value, ty, .. } => {
                self.write(number, at, address, ty, &wrapped(&of(value), ty), registers);
                Some((status, Values::Some([Item::Int(0), Item::Int(1)].into())))
            }
            Step::Update(ref update) => self.update(number, at, update, registers),
            Step::Move { dst, src, ty } => Some((dst, wrapped(&of(src), ty))),
            Step::Unary { dst, op, src, ty } => Some((dst, unary(op, &of(src), ty))),
            Step::Binary { dst, op, left, right, ty } => {
                // A register combined with itself: a false dependency.
                let same = left == right && matches!(op, Binary::Xor | Binary::Sub);
                Some((dst, if same { Values::one(Const::Int(0)) } else { binary(op, &of(left), &of(right), ty) }))
            }
            Step::Select { dst, then, otherwise, .. } => {
                let mut value = of(then);
                value.join(&of(otherwise));
                Some((dst, value))
            }
            Step::Fence(_) | Step::GracePeriod { .. } | Step::Branch { .. } | Step::Jump(_) | Step::Label(_) => None,
        }
    }

    fn update(
        &mut self,
        number: usize,
        at: usize,
        update: &Update,
        registers: &[Values],
    ) -> Option<(RegisterId, Values)> {
        let of = |operand: Operand| match operand {
            Operand::Register(register) => wrapped(&registers[register], update.ty),
            Operand::Const(value) => wrapped(&Values::one(value), update.ty),
        };
        let old = self.read(number, at, update.address, update.ty, registers);
        let new = match update.change {
            Change::Op(op, operand) => {
                use crate::program::RmwOp::{Add, And, AndNot, Or, Sub, Xchg, Xor};
                let operand = of(operand);
                match op {
                    Xchg => operand,
                    Add => binary(Binary::Add, &old, &operand, update.ty),
                    Sub => binary(Binary::Sub, &old, &operand, update.ty),
                    And => binary(Binary::And, &old, &operand, update.ty),
                    Or => binary(Binary::Or, &old, &operand, update.ty),
                    Xor => binary(Binary::Xor, &old, &operand, update.ty),
                    AndNot => Values::Any,
                }
            }
            Change::IfEqual { new, .. } => of(new),
            Change::Extreme(..) | Change::Unless { .. } => Values::Any,
        };
        self.write(number, at, update.address, update.ty, &new, registers);
        let value = match update.gives {
            UpdateResult::Old => old,
            _ => Values::Any,
        };
        update.dst.map(|dst| (dst, value))
    }

    fn place(&mut self, number: usize, at: usize, address: Address, registers: &[Values]) -> Values {
        let place = match address {
            Address::Location(location) => Values::one(Const::Address(location)),
            Address::Register(register) => registers[register].clone(),
        };
        self.places[number][at].join(&place);
        place
    }

    /// Whether an access of this size at this place reads or writes exactly a location.
    fn is_whole(&self, item: Item, ty: Type) -> bool {
        matches!(item, Item::Address(location, 0) if self.sizes[location] == ty.bytes())
    }

    fn read(&mut self, number: usize, at: usize, address: Address, ty: Type, registers: &[Values]) -> Values {
        let Values::Some(items) = self.place(number, at, address, registers) else { return Values::Any };
        let mut value = Values::none();
        for item in items {
            match item {
                Item::Address(location, _) if self.is_whole(item, ty) => value.join(&self.memory[location]),
                _ => value = Values::Any,
            }
        }
        wrapped(&value, ty)
    }

    fn write(&mut self, number: usize, at: usize, address: Address, ty: Type, value: &Values, registers: &[Values]) {
        self.stored[number].join(value);
        let Values::Some(items) = self.place(number, at, address, registers) else { return };
        for item in items {
            let Item::Address(location, _) = item else { continue };
            if self.is_whole(item, ty) {
                self.memory[location].join(value);
            } else {
                self.memory[location] = Values::Any;
            }
        }
    }

    /// The accesses that were found: location and size in bytes.
    fn widths(&self) -> Vec<(LocationId, usize)> {
        let mut all = Vec::new();
        for (thread, places) in self.code.threads.iter().zip(&self.places) {
            for (step, place) in thread.steps.iter().zip(places) {
                let Some(ty) = access_type(step) else { continue };
                all.extend(place.addresses().map(|location| (location, ty.bytes())));
            }
        }
        // A location that holds an address is as large as an address.
        for (location, values) in self.memory.iter().enumerate() {
            if values.addresses().next().is_some() {
                all.push((location, 8));
            }
        }
        all
    }

    fn finish(self) -> Result<Extents, Outside> {
        let mut touched = Vec::new();
        for (number, (thread, places)) in self.code.threads.iter().zip(&self.places).enumerate() {
            let mut own: Vec<(LocationId, bool)> = Vec::new();
            for (at, (step, place)) in thread.steps.iter().zip(places).enumerate() {
                let Some(ty) = access_type(step) else { continue };
                self.stays_inside(place, ty).map_err(|reason| Outside { thread: number, step: at, reason })?;
                let writes = !matches!(step, Step::Read { .. } | Step::IsLocked { .. });
                for location in place.addresses() {
                    match own.iter_mut().find(|(known, _)| *known == location) {
                        Some((_, known)) => *known |= writes,
                        None => own.push((location, writes)),
                    }
                }
            }
            touched.push(own);
        }
        let holds = |values: &Values| values.addresses().next().is_some();
        let integers = |values: &Values| match values {
            Values::Some(items) => {
                let integer = |item: &Item| match item {
                    Item::Int(value) => Some(*value),
                    Item::Address(..) => None,
                };
                items.iter().filter_map(integer).collect()
            }
            Values::Any => BTreeSet::new(),
        };
        Ok(Extents {
            touched,
            locations_hold_addresses: self.memory.iter().map(holds).collect(),
            registers_hold_addresses: self.held.iter().map(|thread| thread.iter().map(holds).collect()).collect(),
            stored: self.stored.iter().map(integers).collect(),
            sizes: self.sizes,
            held: self.held,
            memory: self.memory,
        })
    }

    /// Checks that an access at one of these places stays inside a location, at a multiple of its size.
    fn stays_inside(&self, place: &Values, ty: Type) -> Result<(), String> {
        let Values::Some(items) = place else {
            return Err("has an address that cannot be computed in advance".to_owned());
        };
        for item in items {
            match *item {
                Item::Int(value) => return Err(format!("may have the address {value}, which is no location")),
                Item::Address(location, offset) => {
                    let name = &self.code.names[location];
                    let inside = usize::try_from(offset).ok();
                    let inside = inside.filter(|offset| offset + ty.bytes() <= self.sizes[location]);
                    if inside.is_none_or(|offset| !offset.is_multiple_of(ty.bytes())) {
                        let (bytes, size) = (ty.bytes(), self.sizes[location]);
                        return Err(format!(
                            "may access {bytes} bytes at offset {offset} of `{name}`, which has {size}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values converted to a type. An address does not fit less than 64 bits.
fn wrapped(values: &Values, ty: Type) -> Values {
    values.map(|item| match item {
        Item::Int(_) => Some(item.wrapped(ty)),
        Item::Address(..) => (ty.bytes() == 8).then_some(item),
    })
}

fn unary(op: Unary, values: &Values, ty: Type) -> Values {
    let value = values.map(|item| match (item, op) {
        (Item::Int(value), Unary::Negate) => Some(Item::Int(value.wrapping_neg())),
        (Item::Int(value), Unary::Invert) => Some(Item::Int(!value)),
        (Item::Int(value), Unary::Not) => Some(Item::Int((value == 0).into())),
        (Item::Address(..), _) => None,
    });
    wrapped(&value, ty)
}

fn binary(op: Binary, left: &Values, right: &Values, ty: Type) -> Values {
    let zero = Values::one(Const::Int(0));
    if matches!(op, Binary::And | Binary::Mul) && (*left == zero || *right == zero) {
        return zero;
    }
    let (Values::Some(lefts), Values::Some(rights)) = (left, right) else { return Values::Any };
    let mut out = BTreeSet::new();
    for (left, right) in lefts.iter().flat_map(|left| rights.iter().map(move |right| (*left, *right))) {
        match combined(op, left, right, ty) {
            Some(item) => out.insert(item),
            None => return Values::Any,
        };
    }
    if out.len() > MOST { Values::Any } else { wrapped(&Values::Some(out), ty) }
}

fn combined(op: Binary, left: Item, right: Item, ty: Type) -> Option<Item> {
    match (op, left, right) {
        (Binary::Add, Item::Address(location, offset), Item::Int(value))
        | (Binary::Add, Item::Int(value), Item::Address(location, offset)) => {
            Some(Item::Address(location, offset.checked_add(value)?))
        }
        (Binary::Sub, Item::Address(location, offset), Item::Int(value)) => {
            Some(Item::Address(location, offset.checked_sub(value)?))
        }
        (Binary::Or, Item::Address(location, offset), Item::Int(0))
        | (Binary::Or, Item::Int(0), Item::Address(location, offset)) => Some(Item::Address(location, offset)),
        (Binary::Compare(_), ..) => None,
        (_, Item::Int(left), Item::Int(right)) => {
            match trace::binary(op, Const::Int(left), Const::Int(right), ty, None) {
                Ok(Const::Int(value)) => Some(Item::Int(value)),
                _ => None,
            }
        }
        _ => None,
    }
}
