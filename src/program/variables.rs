//! Collects the shared variables of a test from the initial values and the parameters of all threads.

use crate::litmus::ast::{self, Base, CType, Name};
use crate::litmus::{Diagnostic, Source, Span};

use super::{Const, Location, LocationId, Type};

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
    pub all: Vec<Variable>,
}

impl<'a> Variables<'a> {
    pub fn collect(test: &'a ast::Test) -> Result<Variables<'a>, Diagnostic> {
        let mut variables = Variables { source: &test.source, all: Vec::new() };
        for init in &test.init {
            if let Some((thread, span)) = init.thread {
                missing_thread(test, thread, span)?;
                continue;
            }
            if let Some(known) = variables.find(&init.name.text) {
                // In `y=z; z=0;`, z is known from y and gets its value here.
                if variables.all[known].init.is_some() || init.value.is_none() {
                    return Err(test.source.error(
                        init.name.span,
                        format!("`{}` is initialised twice", init.name.text),
                        "second value",
                    ));
                }
                variables.all[known].init.clone_from(&init.value);
                variables.refine(known, init.ty, init.name.span)?;
            } else {
                let id = variables.add(&init.name, init.value.clone());
                variables.refine(id, init.ty, init.name.span)?;
            }
            if let Some(ast::Value::Address(name)) = &init.value
                && variables.find(&name.text).is_none()
            {
                variables.add(name, None);
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
        variables.check_initial_addresses()?;
        Ok(variables)
    }

    fn add(&mut self, name: &Name, init: Option<ast::Value>) -> LocationId {
        self.all.push(Variable { name: name.text.clone(), ty: None, init, span: name.span });
        self.all.len() - 1
    }

    /// The number of the variable with this name.
    pub fn find(&self, name: &str) -> Option<LocationId> {
        self.all.iter().position(|variable| variable.name == name)
    }

    /// The type of a variable's content.
    pub fn ctype(&self, id: LocationId) -> CType {
        let variable = &self.all[id];
        match (variable.ty, &variable.init) {
            (Some(ty), _) => ty,
            // `y=z` without a declaration of y: y is a pointer to the type of z.
            (None, Some(ast::Value::Address(name))) => {
                let pointee = self.find(&name.text).and_then(|id| self.all[id].ty).unwrap_or(CType::INT);
                CType { pointers: pointee.pointers + 1, ..pointee }
            }
            (None, _) => CType::INT,
        }
    }

    /// Records the type that a declaration gives a variable. Two different types are an error.
    fn refine(&mut self, id: LocationId, ty: Option<CType>, span: Span) -> Result<(), Diagnostic> {
        let Some(ty) = ty else { return Ok(()) };
        if let Some(known) = self.all[id].ty.filter(|known| *known != ty) {
            let message = format!("`{}` has two types", self.all[id].name);
            return Err(self.source.error(span, message, format!("here {}, before {}", spell(ty), spell(known))));
        }
        if ty.pointers == 0 && ty.base == Base::Void {
            return Err(self.source.error(span, format!("`{}` would be void", self.all[id].name), ""));
        }
        self.all[id].ty = Some(ty);
        Ok(())
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
                Some(ast::Value::Int(value, span)) if *value != 0 && is_opaque(ty) => {
                    let message = match ty.base {
                        Base::Srcu => format!("the SRCU domain `{}` must start as 0", variable.name),
                        _ => format!("the lock `{}` must start unlocked", variable.name),
                    };
                    return Err(self.source.error(*span, message, format!("expected nothing or 0, not {value}")));
                }
                _ => {}
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
