//! Lowers a syntax tree to a program: the shared variables, the condition, and repeated passes over the
//! threads.

use crate::litmus::ast::{self, Base};
use crate::litmus::{Diagnostic, Source};

use super::threads::ThreadLowering;
use super::variables::{Variables, is_opaque, list, truncate, value_type};
use super::{Column, Const, Program, Prop, Thread, Type};

/// Lowers a parsed test.
///
/// # Errors
/// A [`Diagnostic`] for a test that parses but has no valid meaning: an unknown primitive, an undeclared
/// register, a condition on a missing thread, a dereference of a pointer that may be NULL, types that do not
/// fit.
pub fn lower(test: &ast::Test) -> Result<Program, Diagnostic> {
    let variables = Variables::collect(test)?;
    let threads = lower_threads(test, &variables)?;
    let locations = variables.locations()?;
    let mut columns = Columns { source: &test.source, variables: &variables, threads, columns: Vec::new() };
    let condition = columns.prop(&test.condition.prop)?;
    let mut displayed: Vec<usize> = (0..columns.columns.len()).collect();
    let filter = test.filter.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    let match_event = test.header.match_event.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    for observable in &test.locations {
        displayed.push(columns.column(observable)?);
    }
    displayed.sort_unstable();
    displayed.dedup();
    let Columns { mut threads, columns, .. } = columns;
    for column in &columns {
        if let Column::Register { thread, register } = *column {
            threads[thread].registers[register].observed = true;
        }
    }
    Ok(Program {
        name: test.name.clone(),
        language: None,
        locations,
        threads,
        columns,
        displayed,
        quantifier: test.condition.quantifier,
        condition,
        filter,
        match_event,
    })
}

/// Lowers the threads until the set of variables that may hold NULL no longer changes.
///
/// A pointer variable that starts as an address never holds NULL, unless some thread stores a pointer that
/// may be NULL. What a thread stores depends on what it loads. Each pass can only add variables to the set,
/// so there are at most two more passes than variables. Only the last pass checks dereferences.
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
            let others = test.threads.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other);
            threads.push(lowering.lower(thread, inits, &others.collect::<Vec<_>>())?);
        }
        if settled {
            return Ok(threads);
        }
        settled = before == nullable;
    }
}

/// Collects the columns: the registers and variables that the condition, the filter, Match and `locations`
/// name.
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
                        format!("its registers are {}", list(found.registers.iter().map(|r| r.name.as_str()))),
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
                let ty = self.variables.ctype(location);
                if is_opaque(ty) {
                    let kind = if ty.base == Base::Srcu { "SRCU domain" } else { "lock" };
                    let message = format!("the {kind} `{}` has no value that a condition can test", name.text);
                    return Err(self.source.error(name.span, message, ""));
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
                        format!("a pointer cannot equal {value}"),
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
                    return Err(self.source.error(
                        name.span,
                        "an integer cannot equal an address",
                        "expected a number",
                    ));
                }
                Ok(Const::Address(location))
            }
        }
    }
}
