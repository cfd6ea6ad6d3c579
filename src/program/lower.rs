//! Syntax tree to program: shared variables, the condition, and the passes over the threads.

use crate::litmus::ast::{self, Base, CType, Name};
use crate::litmus::{Diagnostic, Source, Span};

use super::threads::ThreadLowering;
use super::{Column, Const, Location, LocationId, Program, Prop, Thread, Type};

/// Lowers a parsed test.
///
/// # Errors
/// A [`Diagnostic`] for anything that parses but means nothing: an unknown primitive, an undeclared register, a
/// condition on a missing thread, a NULL pointer that might be dereferenced, types that do not fit.
pub fn lower(test: &ast::Test) -> Result<Program, Diagnostic> {
    let variables = Variables::collect(test)?;
    let threads = lower_threads(test, &variables)?;
    let locations = variables.locations()?;
    let mut columns = Columns { source: &test.source, variables: &variables, threads, columns: Vec::new() };
    let condition = columns.prop(&test.condition.prop)?;
    let filter = test.filter.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    let match_event = test.header.match_event.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    for observable in &test.locations {
        columns.column(observable)?;
    }
    let Columns { mut threads, columns, .. } = columns;
    for column in &columns {
        if let Column::Register { thread, register } = *column {
            threads[thread].registers[register].observed = true;
        }
    }
    Ok(Program {
        name: test.name.clone(),
        locations,
        threads,
        columns,
        quantifier: test.condition.quantifier,
        condition,
        filter,
        match_event,
    })
}

/// Lowers the threads until what is known about NULL stands still.
///
/// A pointer variable that starts as an address stays one unless some thread stores a pointer that may be NULL; what a
/// thread stores depends on what it loads. Each pass can only add to the set of variables that may hold NULL, so there
/// are at most as many passes as variables. Dereferences are judged only in the last one.
fn lower_threads(test: &ast::Test, variables: &Variables) -> Result<Vec<Thread>, Diagnostic> {
    let mut nullable: Vec<bool> =
        variables.all.iter().map(|variable| !matches!(variable.init, Some(ast::Value::Address(_)))).collect();
    let mut settled = false;
    loop {
        let before = nullable.clone();
        let mut threads = Vec::new();
        for (number, thread) in test.threads.iter().enumerate() {
            let lowering = ThreadLowering::new(&test.source, variables, &mut nullable, settled, number);
            let inits = test.init.iter().filter(|init| init.thread.is_some_and(|(thread, _)| thread == number));
            threads.push(lowering.lower(thread, inits)?);
        }
        if settled {
            return Ok(threads);
        }
        settled = before == nullable;
    }
}

/// A shared variable as the file describes it.
#[derive(Debug)]
pub(super) struct Variable {
    pub name: String,
    /// The type of what is stored in it, once something says so.
    pub ty: Option<CType>,
    pub init: Option<ast::Value>,
    span: Span,
}

/// The shared variables of a test.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    source: &'a Source,
    pub all: Vec<Variable>,
}

impl<'a> Variables<'a> {
    fn collect(test: &'a ast::Test) -> Result<Variables<'a>, Diagnostic> {
        let mut variables = Variables { source: &test.source, all: Vec::new() };
        for init in &test.init {
            if let Some((thread, span)) = init.thread {
                missing_thread(test, thread, span)?;
                continue;
            }
            if let Some(known) = variables.find(&init.name.text) {
                // `y=z; z=0;`: z is known from y, and gets its value here.
                if variables.all[known].init.is_some() || init.value.is_none() {
                    return Err(test.source.error(
                        init.name.span,
                        format!("`{}` is initialised twice", init.name.text),
                        "the second",
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
                        format!("the parameter `{}` stands twice", name.text),
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

    /// The number of a variable by name.
    pub fn find(&self, name: &str) -> Option<LocationId> {
        self.all.iter().position(|variable| variable.name == name)
    }

    /// The type of what is stored in a variable.
    pub fn ctype(&self, id: LocationId) -> CType {
        let variable = &self.all[id];
        match (variable.ty, &variable.init) {
            (Some(ty), _) => ty,
            // `y=z` without a declaration anywhere: a pointer to what z is.
            (None, Some(ast::Value::Address(name))) => {
                let pointee = self.find(&name.text).and_then(|id| self.all[id].ty).unwrap_or(CType::INT);
                CType { pointers: pointee.pointers + 1, ..pointee }
            }
            (None, _) => CType::INT,
        }
    }

    /// Notes what a declaration says of a variable's type; two that disagree are an error.
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
                Some(ast::Value::Int(value, span)) if *value != 0 && ty.base == Base::Spinlock => {
                    let message = format!("the lock `{}` must start unlocked", variable.name);
                    return Err(self.source.error(*span, message, format!("expected nothing or 0, not {value}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn locations(&self) -> Result<Vec<Location>, Diagnostic> {
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

/// A value as it reads back from memory of a type.
pub(super) fn truncate(value: i64, ty: Type) -> i64 {
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

/// The type of a value; `None` for void.
pub(super) fn value_type(ty: CType) -> Option<Type> {
    match ty {
        CType { pointers: 1.., .. } => Some(Type::Pointer),
        CType { base: Base::Int { bits, signed }, .. } => Some(Type::Int { bits, signed }),
        CType { base: Base::Atomic { bits }, .. } => Some(Type::Int { bits, signed: true }),
        CType { base: Base::Spinlock, .. } => Some(Type::Spinlock),
        CType { base: Base::Void, .. } => None,
    }
}

/// A type in C's words.
pub(super) fn spell(ty: CType) -> String {
    let base = match ty.base {
        Base::Int { bits: 32, signed: true } => "int".to_owned(),
        Base::Int { bits: 64, signed: true } => "long".to_owned(),
        Base::Int { bits, signed } => format!("{}{bits}", if signed { "s" } else { "u" }),
        Base::Atomic { bits: 32 } => "atomic_t".to_owned(),
        Base::Atomic { .. } => "atomic64_t".to_owned(),
        Base::Spinlock => "spinlock_t".to_owned(),
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

/// Collects what the condition, the filter, Match and `locations` look at.
struct Columns<'a> {
    source: &'a Source,
    variables: &'a Variables<'a>,
    threads: Vec<Thread>,
    columns: Vec<Column>,
}

impl Columns<'_> {
    fn column(&mut self, observable: &ast::Observable) -> Result<usize, Diagnostic> {
        let name = &observable.name;
        let column = match observable.thread {
            Some((thread, span)) => {
                let Some(found) = self.threads.get(thread) else {
                    let label = format!("the last thread is P{}", self.threads.len() - 1);
                    return Err(self.source.error(span, format!("there is no thread P{thread}"), label));
                };
                let register = found.registers.iter().position(|register| register.name == name.text);
                let Some(register) = register else {
                    return Err(self.source.error(
                        name.span,
                        format!("P{thread} has no register `{}`", name.text),
                        format!("it declares {}", list(found.registers.iter().map(|r| r.name.as_str()))),
                    ));
                };
                Column::Register { thread, register }
            }
            None => {
                let Some(location) = self.variables.find(&name.text) else {
                    return Err(self
                        .source
                        .error(name.span, format!("there is no shared variable `{}`", name.text), "")
                        .help("a register is written with its thread, as in `1:r0`"));
                };
                if value_type(self.variables.ctype(location)) == Some(Type::Spinlock) {
                    return Err(self.source.error(
                        name.span,
                        format!("the lock `{}` has no value to look at", name.text),
                        "",
                    ));
                }
                Column::Location(location)
            }
        };
        Ok(self.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        }))
    }

    fn prop(&mut self, prop: &ast::Prop) -> Result<Prop, Diagnostic> {
        Ok(match prop {
            ast::Prop::Const(value) => Prop::Const(*value),
            ast::Prop::Not(inner) => Prop::Not(Box::new(self.prop(inner)?)),
            ast::Prop::And(left, right) => Prop::And(Box::new(self.prop(left)?), Box::new(self.prop(right)?)),
            ast::Prop::Or(left, right) => Prop::Or(Box::new(self.prop(left)?), Box::new(self.prop(right)?)),
            ast::Prop::Atom { left, equal, value } => {
                let column = self.column(left)?;
                let value = self.value(column, value)?;
                let atom = Prop::Equal { column, value };
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
        })
    }

    fn value(&self, column: usize, value: &ast::Value) -> Result<Const, Diagnostic> {
        let ty = match self.columns[column] {
            Column::Register { thread, register } => self.threads[thread].registers[register].ty,
            Column::Location(location) => value_type(self.variables.ctype(location)).unwrap_or(Type::INT),
        };
        match value {
            ast::Value::Int(value, span) => {
                if ty == Type::Pointer && *value != 0 {
                    return Err(self.source.error(
                        *span,
                        format!("a pointer is never {value}"),
                        "expected 0 or the name of a variable",
                    ));
                }
                // As in C, 0xffffffff and -1 are the same int.
                Ok(Const::Int(truncate(*value, ty)))
            }
            ast::Value::Address(name) => {
                let Some(location) = self.variables.find(&name.text) else {
                    return Err(self.source.error(
                        name.span,
                        format!("there is no shared variable `{}`", name.text),
                        "",
                    ));
                };
                if ty != Type::Pointer {
                    return Err(self.source.error(name.span, "an integer is never an address", "expected a number"));
                }
                Ok(Const::Address(location))
            }
        }
    }
}

/// `a, b and c`, or `none`.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
