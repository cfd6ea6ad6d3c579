//! Writes a scenario so that klitmus7 makes a useful kernel module of it.
//!
//! klitmus7 reads every scenario as it is. But it saves each observed register as an `int` (herdtools7,
//! litmus/ of its sources; the generated `out_1_r1 = (int)r1`). The low half of an address differs from one
//! instance to the next, so a test that observes a pointer would fill the kernel's memory with a histogram of
//! 100,000 states. Here a variable that holds a pointer becomes a `long`, which has the pointer's width and
//! alignment, and the address that is stored becomes a number: 1 for the first such address, 2 for the next.
//! NULL stays 0. No access and no barrier changes.
//!
//! A call that is no kernel primitive (`__builtin_...`) cannot be compiled in kernel space and is an error.

use std::collections::BTreeMap;

use crate::catalogue::Scenario;
use crate::litmus::ast::{Base, CType, Expr, ExprKind, Observable, Prop, Stmt, Test, Thread, Value};
use crate::litmus::{Diagnostic, Span};

/// Writes a scenario as a litmus test for klitmus7.
///
/// # Errors
/// If the test cannot be run in kernel space, or if it uses a pointer in another way than to store it and to
/// compare it with NULL. The error points at the place.
pub fn klitmus(scenario: &Scenario) -> Result<String, Diagnostic> {
    let test = &scenario.test;
    if scenario.program.language.is_some() {
        let message = "a test in assembly cannot be compiled in kernel space";
        return Err(test.source.error(Span::at(0), message, "").help("klitmus7 takes tests in C"));
    }
    let mut uses = Uses::default();
    for thread in &test.threads {
        Walk { test, thread, uses: &mut uses }.statements(&thread.body)?;
    }
    let mut edits = Vec::new();
    for thread in &test.threads {
        edit_thread(test, thread, &uses, &mut edits)?;
    }
    if !edits.is_empty() {
        no_addresses(test)?;
        names(test, &uses, &mut edits);
    }
    Ok(apply(test.source.text(), edits))
}

/// How the threads use the variables whose addresses are parameters.
#[derive(Default)]
struct Uses {
    /// The number that stands for each address that is stored, by the name of the variable.
    values: BTreeMap<String, usize>,
    /// The places where a variable's address is stored or compared, by the name of the variable.
    places: Vec<(String, Span)>,
    /// The variables that are accessed.
    objects: Vec<(String, Span)>,
}

impl Uses {
    fn is_only_a_value(&self, name: &str) -> bool {
        self.values.contains_key(name) && !self.objects.iter().any(|(object, _)| object == name)
    }
}

/// How an expression is used where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It is the address of an access or of a lock.
    Object,
    /// It is stored, compared or computed with.
    Value,
}

/// Collects the uses of one thread.
struct Walk<'a> {
    test: &'a Test,
    thread: &'a Thread,
    uses: &'a mut Uses,
}

impl Walk<'_> {
    fn statements(&mut self, body: &[Stmt]) -> Result<(), Diagnostic> {
        for statement in body {
            match statement {
                Stmt::Declare { value: Some(value), .. } => self.expression(value, Role::Value)?,
                Stmt::Declare { value: None, .. } => {}
                Stmt::Assign { target, value } => {
                    self.expression(target, Role::Object)?;
                    self.expression(value, Role::Value)?;
                }
                Stmt::Effect(effect) => self.expression(effect, Role::Value)?,
                Stmt::If { condition, then, otherwise } => {
                    self.expression(condition, Role::Value)?;
                    self.statements(then)?;
                    self.statements(otherwise)?;
                }
                Stmt::Loop { condition, body, .. } => {
                    condition.iter().try_for_each(|condition| self.expression(condition, Role::Value))?;
                    self.statements(body)?;
                }
            }
        }
        Ok(())
    }

    fn expression(&mut self, expression: &Expr, role: Role) -> Result<(), Diagnostic> {
        match &expression.kind {
            ExprKind::Int(_) => Ok(()),
            ExprKind::Name(name) => {
                self.name(name, expression.span, role);
                Ok(())
            }
            ExprKind::Deref(inner) => {
                if let ExprKind::Name(name) = &inner.kind
                    && parameter(self.thread, name).is_none()
                {
                    return Err(self.test.source.error(
                        expression.span,
                        "a pointer that was read is followed; the export for klitmus7 turns pointers into numbers",
                        "followed here",
                    ));
                }
                self.expression(inner, Role::Object)
            }
            ExprKind::AddressOf(inner) => self.expression(inner, Role::Object),
            ExprKind::Unary(_, inner) => self.expression(inner, Role::Value),
            ExprKind::Cast(_, inner) => self.expression(inner, role),
            ExprKind::Binary(_, left, right) | ExprKind::Logical { left, right, .. } => {
                self.expression(left, Role::Value)?;
                self.expression(right, Role::Value)
            }
            ExprKind::Call(name, arguments) => {
                if name.text.starts_with("__builtin_") {
                    let message = format!("{}() is a compiler's function and no kernel primitive", name.text);
                    return Err(self.test.source.error(name.span, message, "cannot be called in kernel space"));
                }
                for (at, argument) in arguments.iter().enumerate() {
                    self.expression(argument, if at == 0 { Role::Object } else { Role::Value })?;
                }
                Ok(())
            }
        }
    }

    fn name(&mut self, name: &str, span: Span, role: Role) {
        let Some(ty) = parameter(self.thread, name) else { return };
        let object = (name.to_owned(), span);
        if role == Role::Object || ty.pointers != 1 {
            self.uses.objects.push(object);
        } else {
            let next = self.uses.values.len() + 1;
            self.uses.values.entry(name.to_owned()).or_insert(next);
            self.uses.places.push(object);
        }
    }
}

/// The type of a thread's parameter.
fn parameter(thread: &Thread, wanted: &str) -> Option<CType> {
    thread.params.iter().find(|(_, name)| name.text == wanted).map(|(ty, _)| *ty)
}

/// A change of the source: the text at the span is replaced.
type Edit = (Span, String);

fn edit_thread(test: &Test, thread: &Thread, uses: &Uses, edits: &mut Vec<Edit>) -> Result<(), Diagnostic> {
    let source = &test.source;
    for (ty, name) in &thread.params {
        if uses.is_only_a_value(&name.text) {
            edits.push((with_a_comma(source.text(), type_before(test, name.span)?.to(name.span)), String::new()));
        } else if uses.values.contains_key(&name.text) {
            let message = format!("`{}` is accessed, and its address is stored as well", name.text);
            return Err(source.error(name.span, message, "the export for klitmus7 cannot turn it into a number"));
        } else if ty.pointers == 2 && matches!(ty.base, Base::Int { .. }) {
            edits.push((type_before(test, name.span)?, "long *".to_owned()));
        } else if ty.pointers > 1 {
            return Err(source.error(name.span, "the export for klitmus7 cannot turn this type into a number", ""));
        }
    }
    let own = |span: &Span| thread.span.start <= span.start && span.start < end_of(test, thread);
    for (name, span) in uses.places.iter().filter(|(_, span)| own(span)) {
        edits.push((*span, uses.values[name].to_string()));
    }
    registers(test, &thread.body, edits)
}

/// Turns the addresses in the outcomes that the header names into their numbers.
fn names(test: &Test, uses: &Uses, edits: &mut Vec<Edit>) {
    for (_, value) in test.header.naming.outcomes.iter().flat_map(|outcome| &outcome.values) {
        let Value::Address(variable) = value else { continue };
        if let Some(number) = uses.values.get(&variable.text) {
            let before = test.source.text()[..variable.span.start].trim_end();
            let start = before.strip_suffix('&').map_or(variable.span.start, str::len);
            edits.push((Span { start, end: variable.span.end }, number.to_string()));
        }
    }
}

/// Where the next thread begins, or the condition.
fn end_of(test: &Test, thread: &Thread) -> usize {
    let later = test.threads.iter().map(|other| other.span.start).filter(|start| *start > thread.span.start).min();
    later.unwrap_or(test.condition.span.start)
}

/// Registers that hold pointers become `long`.
fn registers(test: &Test, body: &[Stmt], edits: &mut Vec<Edit>) -> Result<(), Diagnostic> {
    for statement in body {
        match statement {
            Stmt::Declare { ty, name, .. } if ty.pointers > 0 => {
                edits.push((type_before(test, name.span)?, "long ".to_owned()));
            }
            Stmt::If { then, otherwise, .. } => {
                registers(test, then, edits)?;
                registers(test, otherwise, edits)?;
            }
            Stmt::Loop { body, .. } => registers(test, body, edits)?,
            _ => {}
        }
    }
    Ok(())
}

/// The span of the type in front of a name: words and stars.
fn type_before(test: &Test, name: Span) -> Result<Span, Diagnostic> {
    let text = &test.source.text()[..name.start];
    let is_type = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '*' || c == ' ';
    let start = text.rfind(|c| !is_type(c)).map_or(0, |at| at + 1);
    let start = start + (text[start..].len() - text[start..].trim_start().len());
    if start == name.start || text[..start].trim_end().ends_with(',') && !in_parameters(text) {
        let message = "several registers are declared in one statement";
        return Err(test.source.error(name, message, "give it a statement of its own"));
    }
    Ok(Span { start, end: name.start })
}

/// Whether a text ends inside a parameter list: after its last brace or semicolon a parenthesis is open.
fn in_parameters(text: &str) -> bool {
    let last = text.rfind(['{', '}', ';']).map_or(0, |at| at + 1);
    text[last..].matches('(').count() > text[last..].matches(')').count()
}

/// A parameter with the comma in front of it, or if it is the first, with the comma behind it.
fn with_a_comma(text: &str, span: Span) -> Span {
    let before = text[..span.start].trim_end();
    if before.ends_with(',') {
        return Span { start: before.len() - 1, end: span.end };
    }
    let after = &text[span.end..];
    let rest = after.trim_start().strip_prefix(',').map_or(after, str::trim_start);
    Span { start: span.start, end: text.len() - rest.len() }
}

/// Initial values and conditions with addresses would need numbers as well. No test of the catalogue has them.
fn no_addresses(test: &Test) -> Result<(), Diagnostic> {
    let refuse = |span: Span| {
        let message = "the export for klitmus7 turns pointers into numbers, but not in initial values and conditions";
        Err(test.source.error(span, message, "an address"))
    };
    for init in &test.init {
        if let Some(Value::Address(name)) = &init.value {
            return refuse(name.span);
        }
        if init.ty.is_some_and(|ty| ty.pointers > 0) {
            return refuse(init.name.span);
        }
    }
    let props = [Some(&test.condition.prop), test.filter.as_ref()];
    match props.into_iter().flatten().find_map(address_in) {
        Some(observable) => refuse(observable.name.span),
        None => Ok(()),
    }
}

/// An observable that a proposition compares with an address.
fn address_in(prop: &Prop) -> Option<&Observable> {
    match prop {
        Prop::Const(_) | Prop::Same { .. } => None,
        Prop::Atom { left, value, .. } => matches!(value, Value::Address(_)).then_some(left),
        Prop::Array { left, values, .. } => {
            values.iter().any(|value| matches!(value, Value::Address(_))).then_some(left)
        }
        Prop::Not(inner) => address_in(inner),
        Prop::And(left, right) | Prop::Or(left, right) => address_in(left).or_else(|| address_in(right)),
    }
}

fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for (span, new) in edits {
        result.push_str(&text[at..span.start]);
        result.push_str(&new);
        at = span.end;
    }
    result + &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{Arch, Atomics};
    use crate::catalogue;
    use crate::litmus::Source;
    use crate::model::{Bounds, Model};
    use crate::verdict;

    fn written(text: &str) -> Result<String, String> {
        let scenario = Scenario::new(&Source::new("t.litmus", text), "").unwrap();
        klitmus(&scenario).map_err(|error| error.to_string())
    }

    #[test]
    fn pointers_become_numbers_of_the_same_width() {
        let text = klitmus(&catalogue::named("S01-as-is").unwrap()).unwrap();
        assert!(text.contains("P0(long *blocked_on, int *__state, spinlock_t *blocked_lock)\n"), "{text}");
        assert!(text.contains("WRITE_ONCE(*blocked_on, 1);"), "{text}");
        assert!(text.contains("\tint r0;\n\tlong r1;\n"), "{text}");
        // Two addresses are two numbers, wherever their parameters stand.
        let two =
            "C t\n{}\nP0(int *a, int **x, int *b) { *x = b; *x = a; }\nP1(int **x) { int *r0 = *x; }\nexists (1:r0=0)";
        let wanted = "C t\n{}\nP0(long *x) { *x = 1; *x = 2; }\nP1(long *x) { long r0 = *x; }\nexists (1:r0=0)";
        assert_eq!(written(two).unwrap(), wanted);
    }

    #[test]
    fn a_test_without_pointers_stays_as_it_is() {
        for name in ["SB", "S23b-sleeping-owner-recheck", "S21-is_blocked-pi_lock"] {
            let scenario = catalogue::named(name).unwrap();
            assert_eq!(klitmus(&scenario).unwrap(), scenario.test.source.text(), "{name}");
        }
    }

    #[test]
    fn what_is_written_gets_the_verdicts_and_states_of_its_scenario() {
        let mut refused = Vec::new();
        for scenario in catalogue::all().unwrap() {
            let Ok(text) = klitmus(&scenario) else {
                refused.push(scenario.name);
                continue;
            };
            let again = Scenario::new(&Source::new(&*scenario.name, text), "").unwrap();
            for model in [Model::Lkmm, Model::X86Tso, Model::Armv8] {
                let judge = |one| verdict::judge(one, model, Atomics::Lse, Bounds::default()).unwrap().unwrap();
                let (ours, theirs) = (judge(&scenario), judge(&again));
                assert_eq!(
                    (ours.verdict, ours.states.len(), ours.data_race),
                    (theirs.verdict, theirs.states.len(), theirs.data_race),
                    "{} on {model}",
                    scenario.name
                );
            }
            let lock = crate::arch::lock::Lock::Qspinlock;
            assert_eq!(again.expected(Arch::Aarch64, lock), scenario.expected(Arch::Aarch64, lock));
        }
        // Only x86-64's non-temporal store is not for the kernel.
        assert!(refused.len() == 5 && refused.iter().all(|name| name.contains("+nt")), "{refused:?}");
    }

    #[test]
    fn what_the_kernel_does_not_have_is_refused_at_its_place() {
        let error = klitmus(&catalogue::named("S01-core+nt").unwrap()).unwrap_err().to_string();
        assert!(error.contains("__builtin_nontemporal_store() is a compiler's function"), "{error}");
        assert!(error.contains("S01-core+nt.litmus:"), "{error}");
        let cases = [
            ("P0(int **x) { int *r0; int r1; r0 = *x; if (r0) r1 = *r0; }\nexists (0:r1=0)", "is followed"),
            ("P0(int **x, int *y) { *x = y; *y = 1; }\nexists (x=0)", "`y` is accessed, and its address is stored"),
            ("P0(int **x, int *y) { int *r0, *r1; r0 = *x; r1 = *x; }\nexists (0:r0=0)", "several registers"),
            ("P0(int **x, int *y) { *x = y; }\nexists (x=y)", "not in initial values and conditions"),
        ];
        for (text, message) in cases {
            let error = written(&format!("C t\n{{}}\n{text}")).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
