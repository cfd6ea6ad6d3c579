//! Lowers a syntax tree to a program: the shared variables, the condition, and repeated passes over the
//! threads.

use std::collections::BTreeSet;

use crate::litmus::ast::{self, Base};
use crate::litmus::{Diagnostic, Source};

use super::threads::{Rules, ThreadLowering};
use super::variables::{Variable, Variables, is_opaque, list, truncate};
use super::{Column, Const, Location, LocationId, MAX_RUN_THREADS, Program, Prop, Purpose, Register, Thread, Type};

/// Lowers a parsed test for code generation.
///
/// # Errors
/// A [`Diagnostic`] for a test that parses but has no valid meaning: an unknown primitive, an undeclared
/// register, a condition on a missing thread, a dereference of a pointer that may be NULL, types that do not
/// fit.
pub fn lower(test: &ast::Test) -> Result<Program, Diagnostic> {
    if let Some(thread) = test.threads.get(MAX_RUN_THREADS) {
        let message = format!("a test that runs has at most {MAX_RUN_THREADS} threads");
        return Err(test.source.error(thread.span, message, "one too many"));
    }
    if !test.condition.written {
        let message = "a test that runs needs `exists`, `~exists` or `forall`, and a condition";
        return Err(test.source.error(test.condition.span, message, "the file ends here"));
    }
    lower_for(test, Purpose::Run)
}

/// Lowers a parsed test for the models. What [`lower`] refuses to keep machine code safe has a meaning here, the one that
/// herd7 gives it: a register that is never written is 0, an integer may hold an address, and what is dereferenced need not
/// be a pointer.
///
/// # Errors
/// As [`lower`], for a test that has no meaning for herd7 either.
pub fn lower_to_judge(test: &ast::Test) -> Result<Program, Diagnostic> {
    let Forms { program, judged } = forms(test)?;
    Ok(judged.unwrap_or(program))
}

/// The lowered forms of a test.
#[derive(Debug)]
pub struct Forms {
    /// What runs; what is judged if the test cannot run ([`Program::cannot_run`]).
    pub program: Program,
    /// What is judged, if that is another form.
    pub judged: Option<Program>,
}

/// Lowers a parsed test to run, and for the models as [`lower_to_judge`] does.
///
/// # Errors
/// As [`lower_to_judge`].
pub fn forms(test: &ast::Test) -> Result<Forms, Diagnostic> {
    let judged = |reason| Ok(Program { cannot_run: Some(reason), ..lower_for(test, Purpose::Judge)? });
    Ok(match lower(test) {
        Ok(program) if program.cuts_loops() => {
            let message = "a loop whose rounds depend on what is read runs in another form than the models judge it";
            let reason = test.source.error(test.threads[0].span, message, "");
            Forms { program, judged: Some(judged(reason)?) }
        }
        Ok(program) => Forms { program, judged: None },
        Err(reason) => Forms { program: judged(reason)?, judged: None },
    })
}

fn lower_for(test: &ast::Test, purpose: Purpose) -> Result<Program, Diagnostic> {
    let variables = Variables::collect(test, purpose)?;
    let threads = lower_threads(test, &variables, purpose)?;
    let locations = variables.locations()?;
    let has_arrays = locations.iter().any(|location| location.name.ends_with(']'));
    let mut columns = Columns {
        source: &test.source,
        variables: &variables,
        purpose,
        threads,
        locations,
        has_arrays,
        columns: Vec::new(),
    };
    let condition = columns.prop(&test.condition.prop)?;
    let mut shown = Shown::default();
    if columns.has_arrays {
        for place in test.condition.prop.places() {
            columns.show(place, &mut shown)?;
        }
    } else {
        shown.alone.extend(0..columns.columns.len());
    }
    let filter = test.filter.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    let match_event = test.header.match_event.as_ref().map(|prop| columns.prop(prop)).transpose()?;
    for observable in &test.locations {
        // Older tests list their locks, whose values no model defines.
        if purpose == Purpose::Run || !columns.is_opaque(observable) {
            columns.show(observable, &mut shown)?;
        }
    }
    let Shown { alone, arrays } = shown;
    let mut displayed: Vec<usize> =
        alone.iter().copied().chain(arrays.iter().flat_map(|(_, all)| all.clone())).collect();
    displayed.sort_unstable();
    displayed.dedup();
    let filter = columns.without_cuts(filter);
    let Columns { mut threads, locations, columns, .. } = columns;
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
        alone: alone.into_iter().collect(),
        arrays,
        quantifier: test.condition.quantifier,
        condition,
        filter,
        match_event,
        cannot_run: None,
    })
}

/// Lowers the threads until the set of variables that may hold NULL no longer changes.
///
/// A pointer variable that starts as an address never holds NULL, unless some thread stores a pointer that
/// may be NULL. What a thread stores depends on what it loads. Each pass can only add variables to the set,
/// so there are at most two more passes than variables. Only the last pass checks dereferences.
fn lower_threads(test: &ast::Test, variables: &Variables, purpose: Purpose) -> Result<Vec<Thread>, Diagnostic> {
    let starts_null = |(id, variable): (usize, &Variable)| {
        variables.ctype(id).pointers > 0 && !matches!(variable.init, Some(ast::Value::Address(_)))
    };
    let mut nullable: Vec<bool> = variables.all.iter().enumerate().map(starts_null).collect();
    // Without pointers there is nothing that may hold NULL.
    let mut settled = purpose == Purpose::Judge || (0..variables.all.len()).all(|id| variables.ctype(id).pointers == 0);
    loop {
        let before = nullable.clone();
        let mut threads = Vec::with_capacity(test.threads.len());
        for (number, thread) in test.threads.iter().enumerate() {
            let rules = Rules { purpose, settled };
            let lowering = ThreadLowering::new(&test.source, variables, &mut nullable, rules, number);
            let inits = test.init.iter().filter(|init| init.thread.is_some_and(|(thread, _)| thread == number));
            let others = test.threads.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, other)| other);
            threads.push(lowering.lower(thread, inits, &others.collect::<Vec<_>>())?);
        }
        if settled && (purpose == Purpose::Judge || before == nullable) {
            return Ok(threads);
        }
        settled = before == nullable;
    }
}

/// What of each state is displayed.
#[derive(Default)]
struct Shown {
    /// The columns that are displayed by themselves.
    alone: BTreeSet<usize>,
    /// The arrays that are displayed as a whole: the name, and the columns of the elements.
    arrays: Vec<(String, Vec<usize>)>,
}

/// Collects the columns: the registers and variables that the condition, the filter, Match and `locations`
/// name.
struct Columns<'a> {
    source: &'a Source,
    variables: &'a Variables<'a>,
    purpose: Purpose,
    threads: Vec<Thread>,
    locations: Vec<Location>,
    has_arrays: bool,
    columns: Vec<Column>,
}

impl Columns<'_> {
    /// The type of a lock or an SRCU domain.
    fn opaque(&self, location: LocationId) -> Option<Base> {
        let declared = location < self.variables.all.len();
        declared.then(|| self.variables.ctype(location)).filter(|ty| is_opaque(*ty)).map(|ty| ty.base)
    }

    fn is_opaque(&self, observable: &ast::Observable) -> bool {
        let found = observable.thread.is_none().then(|| self.variables.find(&observable.name.text)).flatten();
        found.is_some_and(|location| self.opaque(location).is_some())
    }

    /// The shared variable with this name. For herd7, one that only the condition names exists too, and is 0.
    fn location(&mut self, name: &ast::Name) -> Result<LocationId, Diagnostic> {
        let added = |location: &Location| location.name == name.text;
        if let Some(known) = self.variables.find(&name.text).or_else(|| self.locations.iter().position(added)) {
            return Ok(known);
        }
        if self.purpose == Purpose::Run {
            return Err(self
                .source
                .error(name.span, format!("there is no shared variable `{}`", name.text), "")
                .help("a register is written with its thread, as in `1:r0`"));
        }
        self.locations.push(Location { name: name.text.clone(), ty: Type::INT, init: Const::Int(0) });
        Ok(self.locations.len() - 1)
    }

    fn column(&mut self, observable: &ast::Observable) -> Result<usize, Diagnostic> {
        let name = &observable.name;
        let column = match observable.thread {
            Some((thread, span)) => {
                let last = self.threads.len() - 1;
                let Some(found) = self.threads.get_mut(thread) else {
                    let label = format!("the last thread is P{last}");
                    return Err(self.source.error(span, format!("there is no thread P{thread}"), label));
                };
                let registers = &mut found.registers;
                let register = match registers.iter().position(|register| register.name == name.text) {
                    Some(register) => register,
                    None if self.purpose == Purpose::Judge => {
                        registers.push(Register { name: name.text.clone(), ty: Type::INT, observed: true });
                        registers.len() - 1
                    }
                    None => {
                        let known = registers.iter().map(|register| register.name.as_str());
                        return Err(self.source.error(
                            name.span,
                            format!("P{thread} has no register `{}`", name.text),
                            format!("its registers are {}", list(known)),
                        ));
                    }
                };
                Column::Register { thread, register }
            }
            None => {
                if self.elements(observable) > 1 {
                    let message = format!("`{}` is an array, which a condition cannot compare", name.text);
                    let label = format!("name its elements, such as `{}[0]`", name.text);
                    return Err(self.source.error(name.span, message, label));
                }
                let location = self.location(name)?;
                // herd7 reads an SRCU domain as a variable.
                let opaque = self.opaque(location).filter(|base| *base != Base::Srcu || self.purpose == Purpose::Run);
                if let Some(base) = opaque {
                    let kind = if base == Base::Srcu { "SRCU domain" } else { "lock" };
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

    /// The filter, which also excludes what left a loop although its condition held.
    fn without_cuts(&mut self, mut filter: Option<Prop>) -> Option<Prop> {
        for (thread, register) in self.threads.iter().enumerate().filter_map(|(at, thread)| Some((at, thread.cut?))) {
            let column = self.columns.len();
            self.columns.push(Column::Register { thread, register });
            let whole = Prop::Equal { column, value: Const::Int(0) };
            filter = Some(match filter {
                Some(filter) => Prop::And(Box::new(filter), Box::new(whole)),
                None => whole,
            });
        }
        filter
    }

    /// The number of elements of an array; 0 for what is none.
    fn elements(&self, observable: &ast::Observable) -> usize {
        // Most tests have no arrays.
        if !self.has_arrays || observable.thread.is_some() {
            return 0;
        }
        let array = format!("{}[", observable.name.text);
        self.locations.iter().filter(|location| location.name.starts_with(&array)).count()
    }

    /// Takes note of a place that is displayed: an array as a whole, or a column by itself.
    fn show(&mut self, place: &ast::Observable, shown: &mut Shown) -> Result<(), Diagnostic> {
        let name = &place.name.text;
        match self.elements(place) {
            0 => drop(shown.alone.insert(self.column(place)?)),
            elements if !shown.arrays.iter().any(|(known, _)| known == name) => {
                let columns = (0..elements).map(|at| self.column(&place.element(at))).collect::<Result<_, _>>()?;
                shown.arrays.push((name.clone(), columns));
            }
            _ => {}
        }
        Ok(())
    }

    fn prop(&mut self, prop: &ast::Prop) -> Result<Prop, Diagnostic> {
        Ok(match prop {
            ast::Prop::Const(value) => Prop::Const(*value),
            ast::Prop::Not(inner) => Prop::Not(Box::new(self.prop(inner)?)),
            ast::Prop::And(left, right) => Prop::And(Box::new(self.prop(left)?), Box::new(self.prop(right)?)),
            ast::Prop::Or(left, right) => Prop::Or(Box::new(self.prop(left)?), Box::new(self.prop(right)?)),
            ast::Prop::Array { left, equal, values } => {
                let elements = self.elements(left);
                if self.purpose == Purpose::Run {
                    let message = format!("`{}` is not an array, so it never equals a list of values", left.name.text);
                    return Err(self.source.error(left.name.span, message, "compared with an array"));
                }
                if elements == 0 {
                    // It is displayed, although it decides nothing.
                    self.column(left)?;
                }
                self.prop(&ast::Prop::of_elements(left, elements, *equal, values))?
            }
            ast::Prop::Same { left, equal, right } => {
                let atom = Prop::Same(self.column(left)?, self.column(right)?);
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
            ast::Prop::Atom { left, equal, value } => {
                let column = self.column(left)?;
                let value = self.value(column, value)?;
                let atom = Prop::Equal { column, value };
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
        })
    }

    fn value(&mut self, column: usize, value: &ast::Value) -> Result<Const, Diagnostic> {
        let ty = match self.columns[column] {
            Column::Register { thread, register } => self.threads[thread].registers[register].ty,
            Column::Location(location) => self.locations[location].ty,
        };
        match value {
            ast::Value::Int(value, span) => {
                if ty == Type::Pointer && *value != 0 && self.purpose == Purpose::Run {
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
                let location = self.location(name)?;
                if ty != Type::Pointer && self.purpose == Purpose::Run {
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
