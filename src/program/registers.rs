//! Determines the types of a thread's registers from their declarations and from what is assigned to them.
//!
//! herd7 has no types: a register need not be declared, and a register declared as a pointer may hold an
//! integer. Here each register has one type, so that every dereference is known to be safe. The type is the
//! declared one, with one exception: if all assigned values are integers and a pointer is declared, or the
//! other way round, the assigned values decide.

use std::collections::BTreeMap;

use crate::litmus::Span;
use crate::litmus::ast::{self, Base, Binary, CType, Expr, ExprKind, Name, Stmt, Unary};
use crate::litmus::primitive::{self, Action, Arg, RmwResult};

use super::variables::Variables;

/// A register of a thread, before lowering.
pub(super) struct Found {
    pub name: String,
    pub span: Span,
    pub ty: CType,
}

/// A value assigned to a register: an expression or the initial value.
enum Source<'e> {
    Expr(&'e Expr),
    Value(&'e ast::Value),
}

struct Collect<'e> {
    declared: Vec<(CType, &'e Name)>,
    assigned: Vec<(&'e str, Span, Source<'e>)>,
}

impl<'e> Collect<'e> {
    fn body(&mut self, body: &'e [Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Declare { ty, name, value } => {
                    self.declared.push((*ty, name));
                    if let Some(value) = value {
                        self.assigned.push((&name.text, name.span, Source::Expr(value)));
                    }
                }
                Stmt::Assign { target: Expr { kind: ExprKind::Name(name), span }, value } => {
                    self.assigned.push((name, *span, Source::Expr(value)));
                }
                Stmt::If { then, otherwise, .. } => {
                    self.body(then);
                    self.body(otherwise);
                }
                Stmt::Loop { body, .. } => self.body(body),
                Stmt::Assign { .. } | Stmt::Effect(_) => {}
            }
        }
    }
}

/// The registers of a thread: first the declared ones, then the others, each in the order of the text. A name
/// that is declared twice is in the list twice.
pub(super) fn registers<'e>(
    thread: &'e ast::Thread,
    inits: impl Iterator<Item = &'e ast::Init>,
    variables: &Variables<'_>,
) -> Vec<Found> {
    let mut collect = Collect { declared: Vec::new(), assigned: Vec::new() };
    for init in inits {
        if let Some(value) = &init.value {
            collect.assigned.push((&init.name.text, init.name.span, Source::Value(value)));
        }
    }
    collect.body(&thread.body);
    let Collect { declared, assigned } = collect;
    let mut types = Types { thread, variables, registers: BTreeMap::new() };
    for (ty, name) in &declared {
        types.registers.insert(&name.text, Some(*ty));
    }
    let is_parameter = |name: &str| thread.params.iter().any(|(_, parameter)| parameter.text == name);
    let mut undeclared: Vec<(&str, Span)> = Vec::new();
    for (name, span, _) in &assigned {
        // An undeclared name that is a shared variable is not a register: more likely the parameter is
        // missing.
        if !types.registers.contains_key(name) && !is_parameter(name) && variables.find(name).is_none() {
            types.registers.insert(name, None);
            undeclared.push((name, *span));
        }
    }
    // The type of a register may depend on the types of other registers. Each pass settles at least one more.
    for _ in 0..=types.registers.len() {
        let mut settled = true;
        for (name, ..) in &assigned {
            let Some(&known) = types.registers.get(name) else { continue };
            let sources = assigned.iter().filter(|(other, ..)| other == name);
            let held: Vec<CType> = sources.filter_map(|(_, _, source)| types.of_source(source)).collect();
            let Some(&first) = held.first() else { continue };
            let is_pointer = |ty: &CType| ty.pointers > 0;
            let alike = held.iter().all(|ty| is_pointer(ty) == is_pointer(&first));
            let declared = declared.iter().find(|(_, declared)| declared.text == **name).map(|(ty, _)| *ty);
            let ty = match declared {
                Some(ty) if !alike || is_pointer(&ty) == is_pointer(&first) => Some(ty),
                _ if alike => Some(widest(&held)),
                _ => known.or(Some(first)),
            };
            types.registers.insert(name, ty);
            settled &= ty == known;
        }
        if settled {
            break;
        }
    }
    let ty = |name: &str, otherwise: CType| types.registers.get(name).copied().flatten().unwrap_or(otherwise);
    let declared = declared.iter().map(|(declared, name)| Found {
        name: name.text.clone(),
        span: name.span,
        ty: ty(&name.text, *declared),
    });
    let undeclared =
        undeclared.iter().map(|(name, span)| Found { name: (*name).to_owned(), span: *span, ty: ty(name, CType::INT) });
    declared.chain(undeclared).collect()
}

/// Of pointers the first; of integers the widest.
fn widest(types: &[CType]) -> CType {
    let bits = |ty: &CType| match ty.base {
        Base::Int { bits, .. } => bits,
        _ => 32,
    };
    let first = types[0];
    if let Some(pointer) = types.iter().find(|ty| ty.pointers > 0) {
        return *pointer;
    }
    types.iter().copied().reduce(|a, b| if bits(&b) > bits(&a) { b } else { a }).unwrap_or(first)
}

struct Types<'e, 'v> {
    thread: &'e ast::Thread,
    variables: &'v Variables<'v>,
    /// The types of the registers; `None` if not known yet.
    registers: BTreeMap<&'e str, Option<CType>>,
}

impl Types<'_, '_> {
    fn of_source(&self, source: &Source<'_>) -> Option<CType> {
        match source {
            Source::Expr(expr) => self.of(expr),
            Source::Value(ast::Value::Int(0, _)) => None,
            Source::Value(ast::Value::Int(value, _)) => Some(of_constant(*value)),
            Source::Value(ast::Value::Address(name)) => self.address(&name.text),
        }
    }

    fn address(&self, variable: &str) -> Option<CType> {
        let ty = self.variables.ctype(self.variables.find(variable)?);
        Some(CType { pointers: ty.pointers + 1, ..ty })
    }

    /// The type of an expression; `None` if it is not known, and for 0, which may be NULL.
    fn of(&self, expr: &Expr) -> Option<CType> {
        match &expr.kind {
            ExprKind::Int(0) => None,
            ExprKind::Int(value) => Some(of_constant(*value)),
            ExprKind::Name(name) => match self.registers.get(name.as_str()) {
                Some(known) => *known,
                None if self.thread.params.iter().any(|(_, parameter)| parameter.text == *name) => self.address(name),
                None => None,
            },
            ExprKind::Deref(pointer) => pointee(self.of(pointer)?),
            ExprKind::AddressOf(inner) => match &inner.kind {
                ExprKind::Deref(pointer) => self.of(pointer),
                _ => None,
            },
            // An address stays one in an integer of its width.
            ExprKind::Cast(ty, inner) => {
                let held = self.of(inner).filter(|held| held.pointers > 0 && is_address_sized(*ty));
                held.or(Some(*ty))
            }
            ExprKind::Unary(Unary::Not, _) | ExprKind::Logical { .. } | ExprKind::Binary(Binary::Compare(_), ..) => {
                Some(CType::INT)
            }
            ExprKind::Unary(_, inner) => self.of(inner).or(Some(CType::INT)),
            ExprKind::Binary(op, left, right) => {
                let held: Vec<CType> = [self.of(left), self.of(right)].into_iter().flatten().collect();
                let pointers = held.iter().filter(|ty| ty.pointers > 0).count();
                let moves = matches!(op, Binary::Add | Binary::Sub | Binary::Or) && pointers == 1;
                Some(match held.is_empty() {
                    true => CType::INT,
                    // `p ^ p` is an integer; only `p + 0` is a pointer.
                    false if pointers > 0 && !moves => CType::LONG,
                    false => widest(&held),
                })
            }
            ExprKind::Call(name, args) => {
                let primitive = primitive::find(&name.text)?;
                let at = primitive.args.iter().position(|arg| *arg != Arg::Value)?;
                let place = args.get(at)?;
                let place = match primitive.args[at] {
                    Arg::Place => self.of(place),
                    _ => self.of(place).and_then(pointee),
                };
                match primitive.action {
                    Action::Rmw { result: RmwResult::NewIsZero | RmwResult::NewIsNegative, .. }
                    | Action::AddUnless { fetch: false, .. }
                    | Action::SpinTrylock
                    | Action::SpinIsLocked
                    | Action::Rcu(_) => Some(CType::INT),
                    _ => place,
                }
            }
        }
    }
}

/// The type of an integer constant.
pub(super) fn of_constant(value: i64) -> CType {
    let bits = if i32::try_from(value).is_ok() { 32 } else { 64 };
    CType { base: Base::Int { bits, signed: true }, pointers: 0 }
}

/// Whether a type is an integer that can hold an address.
pub(super) fn is_address_sized(ty: CType) -> bool {
    matches!(ty, CType { base: Base::Int { bits: 64, .. }, pointers: 0 })
}

/// The type that a pointer points to, as a register holds it.
fn pointee(ty: CType) -> Option<CType> {
    let ty = CType { pointers: ty.pointers.checked_sub(1)?, ..ty };
    match ty {
        CType { base: Base::Atomic { bits }, pointers: 0 } => {
            Some(CType { base: Base::Int { bits, signed: true }, pointers: 0 })
        }
        CType { base: Base::Spinlock | Base::Srcu | Base::Void, pointers: 0 } => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::{self, Source as Text};
    use crate::program::Purpose;

    #[test]
    fn a_type_may_come_from_what_is_assigned_later() {
        let lines = "r3 = r2; r2 = r1; r1 = r0; r0 = READ_ONCE(*p); r5 = r4; r4 = READ_ONCE(*l);";
        let text = format!("C T\n{{ p = &x; }}\nP0(int **p, int *x, long *l)\n{{\n{lines}\n}}\nexists (0:r3=x)\n");
        let test = litmus::parse(&Text::new("t", text)).unwrap();
        let variables = Variables::collect(&test, Purpose::Judge).unwrap();
        let found = registers(&test.threads[0], std::iter::empty(), &variables);
        for (name, ty) in [("r0", 1), ("r1", 1), ("r2", 1), ("r3", 1), ("r4", 0), ("r5", 0)] {
            let found = found.iter().find(|register| register.name == name).unwrap();
            assert_eq!(found.ty.pointers, ty, "{name}");
        }
        let wide = found.iter().find(|register| register.name == "r5").unwrap().ty;
        assert_eq!(wide, CType::LONG);
    }
}
