//! Collects the shared variables of a test from the initial values and the parameters of all threads.

use crate::litmus::ast::{self, Base, CType, Name};
use crate::litmus::{Diagnostic, Source, Span};

use super::{Const, Location, LocationId, Purpose, Type};

/// A shared variable as the file declares it.
#[derive(Debug)]
pub struct Variable {
    pub name: String,
    /// The type of its content, if a declaration gives one.
    pub ty: Option<CType>,
    pub init: Option<ast::Value>,
    span: Span,
}

/// The shared variables of a test.
#[derive(Debug)]
pub struct Variables<'a> {
    source: &'a Source,
    purpose: Purpose,
    pub all: Vec<Variable>,
}

impl<'a> Variables<'a> {
    pub fn collect(test: &'a ast::Test, purpose: Purpose) -> Result<Variables<'a>, Diagnostic> {
        let mut variables = Variables { source: &test.source, purpose, all: Vec::new() };
        for init in &test.init {
            if let Some((thread, span)) = init.thread {
                missing_thread(test, thread, span)?;
                continue;
            }
            variables.initialise(init)?;
            if let Some(ast::Value::Address(name)) = &init.value {
                let first = format!("{}[0]", name.text);
                let is_array = test.init.iter().any(|other| other.name.text == first);
                if !is_array && variables.find(&name.text).is_none() {
                    variables.add(name, None);
                }
            }
        }
        for thread in &test.threads {
            for (at, (ty, name)) in thread.params.iter().enumerate() {
                if thread.params[..at].iter().any(|(_, earlier)| earlier.text == name.text) {
                    return Err(test.source.error(
                        name.span,
                        format!("the parameter `{}` is declared twice", name.text),
                        "",
                    ));
                }
                if ty.pointers == 0 {
                    return Err(test
                        .source
                        .error(name.span, format!("`{}` is not a pointer", name.text), "")
                        .help("threads share variables through pointer parameters, such as `int *x`"));
                }
                let id = variables.find(&name.text).unwrap_or_else(|| variables.add(name, None));
                variables.refine(id, Some(CType { pointers: ty.pointers - 1, ..*ty }), name.span)?;
            }
        }
        variables.infer_pointees();
        if purpose == Purpose::Run {
            variables.check_initial_addresses()?;
        }
        variables.check_initial_locks()?;
        Ok(variables)
    }

    fn initialise(&mut self, init: &ast::Init) -> Result<(), Diagnostic> {
        if self.purpose == Purpose::Run && init.name.text.contains('[') {
            let message = "an array does not run: a layout places each variable by itself";
            return Err(self.source.error(init.name.span, message, "declared here"));
        }
        let known = self.all.iter().position(|known| known.name == init.name.text);
        let id = match known {
            // In `y=z; z=0;`, z is known from y and gets its value here.
            Some(known) if self.all[known].init.is_none() && init.value.is_some() => {
                self.all[known].init.clone_from(&init.value);
                known
            }
            Some(_) => {
                let message = format!("`{}` is initialised twice", init.name.text);
                return Err(self.source.error(init.name.span, message, "second value"));
            }
            None => self.add(&init.name, init.value.clone()),
        };
        self.refine(id, init.ty, init.name.span)
    }

    fn add(&mut self, name: &Name, init: Option<ast::Value>) -> LocationId {
        self.all.push(Variable { name: name.text.clone(), ty: None, init, span: name.span });
        self.all.len() - 1
    }

    /// The number of the variable with this name. The name of an array is that of its first element.
    pub fn find(&self, name: &str) -> Option<LocationId> {
        let named = |wanted: &str| self.all.iter().position(|variable| variable.name == wanted);
        named(name).or_else(|| named(&format!("{name}[0]")))
    }

    /// The type of a variable's content.
    pub fn ctype(&self, id: LocationId) -> CType {
        self.ctype_within(id, MOST_POINTERS)
    }

    /// A variable that starts as an address is a pointer, even if it is declared as an `int` or an `intptr_t`, as in
    /// tests that are written for herd7. `depth` bounds a chain of such variables, which may be a cycle.
    fn ctype_within(&self, id: LocationId, depth: u8) -> CType {
        let variable = &self.all[id];
        let is_int = |ty: CType| matches!(ty, CType { base: Base::Int { bits: 32.., .. }, pointers: 0 });
        match (variable.ty, &variable.init) {
            (ty, Some(ast::Value::Address(name))) if ty.is_none_or(is_int) => {
                let target = self.find(&name.text).filter(|_| depth > 0);
                let pointee = target.map_or(CType::INT, |target| self.ctype_within(target, depth - 1));
                CType { pointers: pointee.pointers + 1, ..pointee }
            }
            (Some(ty), _) => ty,
            (None, _) => CType::INT,
        }
    }

    /// Records the type that a declaration gives a variable. Two different types are an error, unless the test is only
    /// judged. `int` and `atomic_t` are alike.
    fn refine(&mut self, id: LocationId, ty: Option<CType>, span: Span) -> Result<(), Diagnostic> {
        let Some(mut ty) = ty else { return Ok(()) };
        if let Some(known) = self.all[id].ty.filter(|known| *known != ty) {
            match joined(known, ty) {
                Some(both) => ty = both,
                None if self.purpose == Purpose::Judge => ty = wider(known, ty),
                None => {
                    let message = format!("`{}` has two types", self.all[id].name);
                    let label = format!("here {}, before {}", spell(ty), spell(known));
                    return Err(self.source.error(span, message, label));
                }
            }
        }
        if ty.pointers == 0 && ty.base == Base::Void {
            return Err(self.source.error(span, format!("`{}` would be void", self.all[id].name), ""));
        }
        self.all[id].ty = Some(ty);
        Ok(())
    }

    /// Gives a variable that only initial values name (`b` in `a=b`) the type that goes with the variable that holds its
    /// address: that to which `a` points, or that of `a` if `a` is an integer.
    fn infer_pointees(&mut self) {
        for id in 0..self.all.len() {
            if self.all[id].ty.is_some() || matches!(self.all[id].init, Some(ast::Value::Address(_))) {
                continue;
            }
            let holds = |other: &&Variable| matches!(&other.init, Some(ast::Value::Address(name)) if self.find(&name.text) == Some(id));
            let holder = self.all.iter().filter(holds).find_map(|other| other.ty);
            self.all[id].ty = match holder {
                Some(ty) if ty.pointers > 0 => Some(CType { pointers: ty.pointers - 1, ..ty }),
                Some(ty @ CType { base: Base::Int { .. }, .. }) => Some(ty),
                _ => None,
            };
        }
    }

    fn check_initial_addresses(&self) -> Result<(), Diagnostic> {
        for (id, variable) in self.all.iter().enumerate() {
            let ty = self.ctype(id);
            match &variable.init {
                Some(ast::Value::Address(name)) => {
                    let target = self.find(&name.text).expect("added when the initial value was read");
                    let pointee = self.ctype(target);
                    let wanted = CType { pointers: pointee.pointers + 1, ..pointee };
                    if ty != wanted {
                        let label = format!("`{}` is {}, this is {}", variable.name, spell(ty), spell(wanted));
                        return Err(self.source.error(name.span, "the types do not fit", label));
                    }
                }
                Some(ast::Value::Int(value, span)) if *value != 0 && ty.pointers > 0 => {
                    let message = format!("the pointer `{}` cannot start as {value}", variable.name);
                    return Err(self.source.error(*span, message, "expected 0 or the name of a variable"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_initial_locks(&self) -> Result<(), Diagnostic> {
        for (id, variable) in self.all.iter().enumerate() {
            let ty = self.ctype(id);
            if let Some(ast::Value::Int(value, span)) = &variable.init
                && *value != 0
                && is_opaque(ty)
                && (ty.base != Base::Srcu || self.purpose == Purpose::Run)
            {
                let message = match ty.base {
                    Base::Srcu => format!("the SRCU domain `{}` must start as 0", variable.name),
                    _ => format!("the lock `{}` must start unlocked", variable.name),
                };
                return Err(self.source.error(*span, message, format!("expected nothing or 0, not {value}")));
            }
        }
        Ok(())
    }

    pub fn locations(&self) -> Result<Vec<Location>, Diagnostic> {
        let all = self.all.iter().enumerate().map(|(id, variable)| {
            let ty = value_type(self.ctype(id))
                .ok_or_else(|| self.source.error(variable.span, format!("`{}` has no size", variable.name), ""))?;
            let init = match &variable.init {
                None => Const::Int(0),
                Some(ast::Value::Int(value, _)) => Const::Int(truncate(*value, ty)),
                Some(ast::Value::Address(name)) => Const::Address(self.find(&name.text).expect("checked before")),
            };
            Ok(Location { name: variable.name.clone(), ty, init })
        });
        all.collect()
    }
}

/// Maximum length of a chain of variables that each start as the address of the next.
const MOST_POINTERS: u8 = 4;

/// The type of a variable that one thread uses as an `int` and another as an `atomic_t` of the same width.
fn joined(one: CType, other: CType) -> Option<CType> {
    match (one.base, other.base) {
        (Base::Atomic { bits }, Base::Int { bits: same, .. })
        | (Base::Int { bits: same, .. }, Base::Atomic { bits })
            if bits == same && one.pointers == other.pointers =>
        {
            Some(CType { base: Base::Atomic { bits }, ..one })
        }
        _ => None,
    }
}

/// Of two types the one whose values include more of the other's: a lock, a pointer, the wider integer.
fn wider(one: CType, other: CType) -> CType {
    let rank = |ty: CType| match (value_type(ty), ty.pointers) {
        _ if is_opaque(ty) => (2, 0),
        (_, pointers @ 1..) => (1, pointers),
        (Some(Type::Int { bits, .. }), _) => (0, bits),
        _ => (0, 0),
    };
    if rank(other) > rank(one) { other } else { one }
}

/// The value that memory of a type returns after this value was stored.
pub fn truncate(value: i64, ty: Type) -> i64 {
    match (ty.bits(), ty.signed()) {
        (8, true) => i64::from(value as i8),
        (8, false) => i64::from(value as u8),
        (16, true) => i64::from(value as i16),
        (16, false) => i64::from(value as u16),
        (32, true) => i64::from(value as i32),
        (32, false) => i64::from(value as u32),
        _ => value,
    }
}

/// Whether only primitives of its own read and write a variable of this type: a lock or an SRCU domain.
pub fn is_opaque(ty: CType) -> bool {
    ty.pointers == 0 && matches!(ty.base, Base::Spinlock | Base::Srcu)
}

/// The type of a value of a C type; `None` for void.
pub fn value_type(ty: CType) -> Option<Type> {
    match ty {
        CType { pointers: 1.., .. } => Some(Type::Pointer),
        CType { base: Base::Int { bits, signed }, .. } => Some(Type::Int { bits, signed }),
        CType { base: Base::Atomic { bits }, .. } => Some(Type::Int { bits, signed: true }),
        CType { base: Base::Spinlock, .. } => Some(Type::Spinlock),
        // The kernel's model knows one word of it: the index that a reader gets and gives back.
        CType { base: Base::Srcu, .. } => Some(Type::INT),
        CType { base: Base::Void, .. } => None,
    }
}

/// A type in C syntax.
pub fn spell(ty: CType) -> String {
    let base = match ty.base {
        Base::Int { bits: 32, signed: true } => "int".to_owned(),
        Base::Int { bits: 64, signed: true } => "long".to_owned(),
        Base::Int { bits, signed } => format!("{}{bits}", if signed { "s" } else { "u" }),
        Base::Atomic { bits: 32 } => "atomic_t".to_owned(),
        Base::Atomic { .. } => "atomic64_t".to_owned(),
        Base::Spinlock => "spinlock_t".to_owned(),
        Base::Srcu => "struct srcu_struct".to_owned(),
        Base::Void => "void".to_owned(),
    };
    match ty.pointers {
        0 => base,
        pointers => format!("{base} {}", "*".repeat(pointers.into())),
    }
}

fn missing_thread(test: &ast::Test, thread: usize, span: Span) -> Result<(), Diagnostic> {
    if thread < test.threads.len() {
        return Ok(());
    }
    Err(test.source.error(
        span,
        format!("there is no thread P{thread}"),
        format!("the last thread is P{}", test.threads.len() - 1),
    ))
}

/// A list of names as text: `a, b and c`, or `none`.
pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
