//! Lowers the statements of one thread to operations.

use std::collections::BTreeMap;

use crate::litmus::ast::{self, Base, Binary, CType, Compare, Expr, ExprKind, Name, Stmt, Unary};
use crate::litmus::primitive::{self, Access, Action, Arg, Order, Primitive, Rcu, RmwResult};
use crate::litmus::{Diagnostic, Source, Span};

use super::registers::{is_address_sized, of_constant, registers};
use super::variables::{Variables, is_opaque, list, spell, truncate, value_type};
use super::{
    Address, Composite, Const, JudgedOnly, LabelId, LocationId, Op, Operand, Purpose, Register, RegisterId, Thread,
    Type,
};

/// A value with its C type. An integer constant is an `int`, or a `long` if it does not fit 32 bits.
#[derive(Debug, Clone, Copy)]
struct Typed {
    operand: Operand,
    ty: CType,
    /// For a pointer: whether it may be NULL.
    nullable: bool,
    /// For an integer: whether it is 0 whatever was read, as `r0 & 0` is.
    zero: bool,
}

impl Typed {
    fn constant(&self) -> Option<i64> {
        match self.operand {
            Operand::Const(Const::Int(value)) => Some(value),
            _ => None,
        }
    }
}

/// What is known about a register at a point of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    /// Whether every path to this point has written it.
    assigned: bool,
    /// For a pointer: whether it may be NULL.
    nullable: bool,
    /// Whether it is 0 whatever was read.
    zero: bool,
    /// Its value, if that does not depend on what was read.
    pub constant: Option<i64>,
}

impl Fact {
    /// Nothing is known.
    pub const NONE: Fact = Fact { assigned: false, nullable: true, zero: false, constant: None };

    /// What is known where two paths meet.
    fn and(self, other: Fact) -> Fact {
        Fact {
            assigned: self.assigned && other.assigned,
            nullable: self.nullable || other.nullable,
            zero: self.zero && other.zero,
            constant: self.constant.filter(|_| self.constant == other.constant),
        }
    }
}

/// The rules by which a thread is lowered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub purpose: Purpose,
    /// Whether the set of variables that may hold NULL no longer changes, so that dereferences can be checked.
    pub settled: bool,
}

/// The state of lowering one thread.
pub(super) struct ThreadLowering<'a> {
    pub source: &'a Source,
    variables: &'a Variables<'a>,
    /// For each shared pointer, whether it may hold NULL. Only grows.
    nullable: &'a mut Vec<bool>,
    rules: Rules,
    pub number: usize,
    pub names: BTreeMap<String, RegisterId>,
    pub ctypes: Vec<CType>,
    pub facts: Vec<Fact>,
    /// The rounds of its loops that were lowered.
    pub rounds: usize,
    params: BTreeMap<String, LocationId>,
    /// The writes of the other threads: the name of the variable, or `None` if it may be any variable.
    foreign_writes: Vec<Option<String>>,
    pub thread: Thread,
}

impl<'a> ThreadLowering<'a> {
    pub fn new(
        source: &'a Source,
        variables: &'a Variables<'a>,
        nullable: &'a mut Vec<bool>,
        rules: Rules,
        number: usize,
    ) -> Self {
        ThreadLowering {
            source,
            variables,
            nullable,
            rules,
            number,
            names: BTreeMap::new(),
            ctypes: Vec::new(),
            facts: Vec::new(),
            rounds: 0,
            params: BTreeMap::new(),
            foreign_writes: Vec::new(),
            thread: Thread {
                registers: Vec::new(),
                ops: Vec::new(),
                assembly: None,
                labels: 0,
                zeroed: Vec::new(),
                composites: Vec::new(),
                expressions: Vec::new(),
                judged_only: None,
                cut: None,
            },
        }
    }

    pub fn lower<'i>(
        mut self,
        thread: &'i ast::Thread,
        inits: impl Iterator<Item = &'i ast::Init> + Clone,
        others: &[&ast::Thread],
    ) -> Result<Thread, Diagnostic> {
        for (_, name) in &thread.params {
            let location = self.variables.find(&name.text).expect("collected from the parameters");
            self.params.insert(name.text.clone(), location);
        }
        for other in others {
            writes(&other.body, other, &mut self.foreign_writes);
        }
        // Declare all registers first, so that the named ones have the lowest numbers.
        for found in registers(thread, inits.clone(), self.variables) {
            // For herd7 a second declaration names the same register.
            if !(self.judges() && self.names.contains_key(&found.name)) {
                self.declare(found.ty, &Name { text: found.name, span: found.span })?;
            }
        }
        for init in inits {
            let register = match self.names.get(&init.name.text) {
                Some(&register) => register,
                None if self.judges() => self.unwritten(&init.name.text),
                None => return Err(self.undeclared(&init.name.text, init.name.span)),
            };
            let value = match &init.value {
                None => continue,
                Some(ast::Value::Int(value, span)) => Expr { kind: ExprKind::Int(*value), span: *span },
                Some(ast::Value::Address(name)) => {
                    // The thread need not have the variable as a parameter.
                    let Some(location) = self.variables.find(&name.text) else {
                        return Err(self.error(name.span, format!("there is no shared variable `{}`", name.text)));
                    };
                    let typed = self.address_of(location);
                    self.assign(register, typed, name.span)?;
                    continue;
                }
            };
            self.assign_expr(register, &value)?;
        }
        self.block(&thread.body)?;
        // An observed register is saved at the end even if some path never writes it.
        for register in 0..self.names.len() {
            self.read(register);
        }
        self.thread.zeroed.sort_unstable();
        self.thread.zeroed.dedup();
        Ok(self.thread)
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.source.error(span, message, "")
    }

    // ---- registers ----

    fn declare(&mut self, ty: CType, name: &Name) -> Result<(), Diagnostic> {
        let taken = self.names.contains_key(&name.text) || self.params.contains_key(&name.text);
        if taken {
            return Err(self.source.error(
                name.span,
                format!("`{}` is declared twice in P{}", name.text, self.number),
                "second declaration",
            ));
        }
        let value = match value_type(ty) {
            Some(value @ (Type::Int { .. } | Type::Pointer))
                if !matches!(ty.base, Base::Atomic { .. }) || ty.pointers > 0 =>
            {
                value
            }
            _ => {
                return Err(self.error(name.span, format!("a register cannot be {}", spell(ty))));
            }
        };
        let register = self.new_register(name.text.clone(), value, ty);
        self.names.insert(name.text.clone(), register);
        Ok(())
    }

    pub(super) fn new_register(&mut self, name: String, ty: Type, ctype: CType) -> RegisterId {
        self.thread.registers.push(Register { name, ty, observed: false });
        self.ctypes.push(ctype);
        self.facts.push(Fact::NONE);
        self.thread.registers.len() - 1
    }

    /// Whether the test is only judged, so that it need not be safe.
    pub(super) fn judges(&self) -> bool {
        self.rules.purpose == Purpose::Judge
    }

    /// A register that the thread never writes. As in herd7 it is 0.
    fn unwritten(&mut self, name: &str) -> RegisterId {
        let register = self.new_register(name.to_owned(), Type::INT, CType::INT);
        self.names.insert(name.to_owned(), register);
        register
    }

    /// The shared variable that a name stands for in this thread: a parameter, or an element of one that is an array.
    fn shared(&self, name: &str) -> Option<LocationId> {
        match name.split_once('[') {
            None => self.params.get(name).copied(),
            Some((array, _)) => self.params.get(array).and_then(|_| self.variables.find(name)),
        }
    }

    /// A new temporary register, of a type wide enough for arithmetic.
    fn temporary(&mut self, ctype: CType) -> RegisterId {
        let ty = value_type(ctype).unwrap_or(Type::INT);
        let number = self.thread.registers.len() - self.names.len();
        self.new_register(format!("t{number}"), ty, ctype)
    }

    /// Records that a register is read at this point.
    fn read(&mut self, register: RegisterId) {
        if !self.facts[register].assigned {
            self.thread.zeroed.push(register);
        }
    }

    fn written(&mut self, register: RegisterId, nullable: bool) {
        self.facts[register] = Fact { assigned: true, nullable, ..Fact::NONE };
    }

    fn undeclared(&self, name: &str, span: Span) -> Diagnostic {
        let known = list(self.names.keys().chain(self.params.keys()).map(String::as_str));
        let error = self.source.error(
            span,
            format!("`{name}` is not declared in P{}", self.number),
            format!("P{} declares {known}", self.number),
        );
        if self.variables.find(name).is_some() {
            error.help(format!("to reach the shared variable, add `*{name}` to the parameters of P{}", self.number))
        } else {
            error
        }
    }

    // ---- statements ----

    pub(super) fn block(&mut self, body: &[Stmt]) -> Result<(), Diagnostic> {
        body.iter().try_for_each(|stmt| self.statement(stmt))
    }

    fn statement(&mut self, stmt: &Stmt) -> Result<(), Diagnostic> {
        match stmt {
            Stmt::Declare { value: None, .. } => Ok(()),
            Stmt::Declare { name, value: Some(value), .. } => {
                let register = self.names[&name.text];
                self.expression(|own| own.assign_expr(register, value))
            }
            Stmt::Assign { target, value } => self.expression(|own| own.assignment(target, value)),
            Stmt::Effect(expr) => self.expression(|own| own.effect(expr)),
            Stmt::If { condition, then, otherwise } => self.if_statement(condition, then, otherwise),
            Stmt::Loop { condition, tested_first, body, span } => {
                self.loop_statement(condition.as_ref(), *tested_first, body, *span)
            }
        }
    }

    /// Lowers an expression, and notes its operations if they access memory more than once.
    fn expression(&mut self, lower: impl FnOnce(&mut Self) -> Result<(), Diagnostic>) -> Result<(), Diagnostic> {
        let first = self.thread.ops.len();
        lower(self)?;
        let own = first..self.thread.ops.len();
        if self.thread.ops[own.clone()].iter().filter_map(Op::address).nth(1).is_some() {
            self.thread.expressions.push(own);
        }
        Ok(())
    }

    /// Lowers the condition of an `if` or a loop: a jump to `target` if it is 0.
    pub(super) fn condition(&mut self, condition: &Expr, target: LabelId) -> Result<(), Diagnostic> {
        self.expression(|own| own.branch_unless(condition, target))
    }

    fn assignment(&mut self, target: &Expr, value: &Expr) -> Result<(), Diagnostic> {
        match &target.kind {
            ExprKind::Name(name) => match self.names.get(name) {
                Some(&register) => self.assign_expr(register, value),
                None if self.params.contains_key(name) => Err(self
                    .error(target.span, format!("`{name}` is a shared variable's address and cannot change"))
                    .help(format!("to store to the variable, write `*{name} = ...`"))),
                None => Err(self.undeclared(name, target.span)),
            },
            ExprKind::Deref(pointer) => {
                let (address, ty) = self.place(pointer)?;
                let value = self.value_for_store(value, ty)?;
                self.store(address, value, ty, Access::Plain, target.span)
            }
            _ => Err(self.source.error(target.span, "this cannot be assigned to", "expected a register or `*pointer`")),
        }
    }

    fn assign_expr(&mut self, register: RegisterId, value: &Expr) -> Result<(), Diagnostic> {
        let constant = self.constant_of(value);
        let typed = self.expr(value, Some(register))?;
        self.assign(register, typed, value.span)?;
        self.facts[register].constant = constant;
        Ok(())
    }

    /// `register = value`, with C's conversion.
    fn assign(&mut self, register: RegisterId, value: Typed, span: Span) -> Result<(), Diagnostic> {
        let ctype = self.ctypes[register];
        self.check_assignable(ctype, &value, span)?;
        let ty = self.thread.registers[register].ty;
        if value.operand != Operand::Register(register) {
            let src = self.converted(value, ty);
            self.thread.ops.push(Op::Move { dst: register, src });
        }
        if ty.bits() < 32 {
            self.thread.ops.push(Op::Extend { dst: register, src: Operand::Register(register), from: ty });
        }
        self.written(register, value.nullable);
        self.facts[register].zero = value.zero;
        Ok(())
    }

    /// Checks that `value` can be assigned to a variable of type `target`. Pointer types must match more
    /// strictly than in C, to keep dereferences safe.
    fn check_assignable(&self, target: CType, value: &Typed, span: Span) -> Result<(), Diagnostic> {
        if target.pointers == 0 && value.ty.pointers == 0 || self.judges() {
            return Ok(());
        }
        let null = value.constant() == Some(0);
        if target.pointers > 0 && (null || target == value.ty) {
            return Ok(());
        }
        let to_void = target.base == Base::Void && target.pointers == 1 && value.ty.pointers > 0;
        if to_void {
            return Ok(());
        }
        let label = format!("this is {}, expected {}", spell(value.ty), spell(target));
        Err(self.source.error(span, "the types do not fit", label).help(
            "a pointer can only be stored in a variable of the same pointer type, so that every dereference is safe",
        ))
    }

    fn effect(&mut self, expr: &Expr) -> Result<(), Diagnostic> {
        let ExprKind::Call(name, args) = &expr.kind else {
            // `(void)e`: evaluate it, so that its reads happen.
            return self.expr(expr, None).map(|_| ());
        };
        let primitive = self.primitive(name, args)?;
        self.call(name, args, primitive, None).map(|_| ())
    }

    fn if_statement(&mut self, condition: &Expr, then: &[Stmt], otherwise: &[Stmt]) -> Result<(), Diagnostic> {
        let else_label = self.new_label();
        self.condition(condition, else_label)?;
        let before = self.facts.clone();
        self.learn(condition, true);
        self.block(then)?;
        let after_then = std::mem::replace(&mut self.facts, before);
        // Nothing is known in the second branch about temporaries of the first.
        self.facts.resize(self.ctypes.len(), Fact::NONE);
        self.learn(condition, false);
        if otherwise.is_empty() {
            self.thread.ops.push(Op::Label(else_label));
        } else {
            let end = self.new_label();
            self.thread.ops.push(Op::Jump { target: end });
            self.thread.ops.push(Op::Label(else_label));
            self.block(otherwise)?;
            self.thread.ops.push(Op::Label(end));
        }
        self.meet(&after_then);
        Ok(())
    }

    /// Keeps what is also known on another path to this point.
    pub(super) fn meet(&mut self, other: &[Fact]) {
        for (register, fact) in self.facts.iter_mut().enumerate() {
            *fact = fact.and(other.get(register).copied().unwrap_or(Fact::NONE));
        }
    }

    pub(super) fn new_label(&mut self) -> LabelId {
        self.thread.labels += 1;
        self.thread.labels - 1
    }

    /// Records what the truth of a condition says about NULL pointers.
    fn learn(&mut self, condition: &Expr, truth: bool) {
        let is_zero = |e: &Expr| matches!(e.kind, ExprKind::Int(0));
        match &condition.kind {
            ExprKind::Name(name) if truth => {
                if let Some(&register) = self.names.get(name) {
                    self.facts[register].nullable = false;
                }
            }
            ExprKind::Unary(Unary::Not, inner) => self.learn(inner, !truth),
            ExprKind::Logical { and, left, right } if *and == truth => {
                self.learn(left, truth);
                self.learn(right, truth);
            }
            ExprKind::Binary(Binary::Compare(compare @ (Compare::Eq | Compare::Ne)), left, right) => {
                let differs = (*compare == Compare::Ne) == truth;
                if is_zero(right) && differs {
                    self.learn(left, true);
                } else if is_zero(left) && differs {
                    self.learn(right, true);
                }
            }
            _ => {}
        }
    }

    /// Jumps to `target` if the condition is 0. A comparison in the source becomes one compare.
    fn branch_unless(&mut self, condition: &Expr, target: LabelId) -> Result<(), Diagnostic> {
        match &condition.kind {
            ExprKind::Unary(Unary::Not, inner) => {
                let value = self.expr(inner, None)?;
                self.branch(Compare::Ne, value, self.int(0), target, condition.span)
            }
            ExprKind::Binary(Binary::Compare(compare), left, right) => {
                let left = self.expr(left, None)?;
                let right = self.expr(right, None)?;
                self.branch(negated(*compare), left, right, target, condition.span)
            }
            ExprKind::Logical { and: true, left, right } => {
                self.branch_unless(left, target)?;
                let before = self.facts.clone();
                self.learn(left, true);
                self.branch_unless(right, target)?;
                // What is known between the two sides need not hold at `target`.
                self.facts[..before.len()].copy_from_slice(&before);
                Ok(())
            }
            _ => {
                let value = self.expr(condition, None)?;
                self.branch(Compare::Eq, value, self.int(0), target, condition.span)
            }
        }
    }

    fn branch(
        &mut self,
        compare: Compare,
        left: Typed,
        right: Typed,
        target: LabelId,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let (left, right, bits, signed) = self.comparable(left, right, span)?;
        self.thread.ops.push(Op::Branch { compare, left, right, bits, signed, target });
        Ok(())
    }

    // ---- expressions ----

    fn int(&self, value: i64) -> Typed {
        Typed { operand: Operand::Const(Const::Int(value)), ty: of_constant(value), nullable: true, zero: value == 0 }
    }

    fn address_of(&self, location: LocationId) -> Typed {
        let ty = self.variables.ctype(location);
        Typed {
            operand: Operand::Const(Const::Address(location)),
            ty: CType { pointers: ty.pointers + 1, ..ty },
            nullable: false,
            zero: false,
        }
    }

    /// The value of a register.
    fn held(&self, register: RegisterId) -> Typed {
        let Fact { nullable, zero, .. } = self.facts[register];
        Typed { operand: Operand::Register(register), ty: self.ctypes[register], nullable, zero }
    }

    /// Evaluates an expression. `into` is a hint: the register that the value will be assigned to.
    fn expr(&mut self, expr: &Expr, into: Option<RegisterId>) -> Result<Typed, Diagnostic> {
        match &expr.kind {
            ExprKind::Int(value) => Ok(self.int(*value)),
            ExprKind::Name(name) => {
                if let Some(&register) = self.names.get(name) {
                    self.read(register);
                    return Ok(self.held(register));
                }
                match self.shared(name) {
                    Some(location) => Ok(self.address_of(location)),
                    // A shared variable that is no parameter: a value would be that of a register for herd7.
                    None if self.judges() && self.variables.find(name).is_none() => {
                        let register = self.unwritten(name);
                        Ok(self.held(register))
                    }
                    None => Err(self.undeclared(name, expr.span)),
                }
            }
            ExprKind::Deref(pointer) => {
                let (address, ty) = self.place(pointer)?;
                self.load(address, ty, Access::Plain, into, expr.span)
            }
            ExprKind::AddressOf(inner) => match &inner.kind {
                ExprKind::Deref(pointer) => self.expr(pointer, into),
                _ => Err(self.source.error(expr.span, "only shared variables have addresses", "expected `x` or `&*x`")),
            },
            ExprKind::Cast(ty, inner) => self.cast(*ty, inner, expr.span),
            ExprKind::Unary(op, inner) => self.unary(*op, inner, into, expr.span),
            ExprKind::Binary(op, left, right) => self.binary(*op, left, right, into, expr.span),
            ExprKind::Logical { and, left, right } => self.logical(*and, left, right, expr.span),
            ExprKind::Call(name, args) => {
                let primitive = self.primitive(name, args)?;
                if !primitive.has_value() {
                    return Err(self.error(name.span, format!("`{}` has no value", name.text)));
                }
                self.call(name, args, primitive, into).map(|value| value.expect("it has a value"))
            }
        }
    }

    fn cast(&mut self, ty: CType, inner: &Expr, span: Span) -> Result<Typed, Diagnostic> {
        let value = self.expr(inner, None)?;
        // An address stays one in an integer of its width, so that it can be dereferenced behind a second cast.
        if value.ty.pointers > 0 && is_address_sized(ty) {
            return Ok(value);
        }
        if ty.pointers > 0 || value.ty.pointers > 0 {
            self.check_assignable(ty, &value, span)?;
            return Ok(Typed { ty, ..value });
        }
        let Some(to @ Type::Int { .. }) = value_type(ty) else {
            return Err(self.error(span, format!("a value cannot be cast to {}", spell(ty))));
        };
        if let Some(constant) = value.constant() {
            let constant = truncate(constant, to);
            let operand = Operand::Const(Const::Int(constant));
            return Ok(Typed { operand, ty, nullable: true, zero: constant == 0 });
        }
        let dst = self.temporary(ty);
        let src = self.converted(value, to);
        self.thread.ops.push(if to.bits() < 32 { Op::Extend { dst, src, from: to } } else { Op::Move { dst, src } });
        self.written(dst, true);
        Ok(Typed { operand: Operand::Register(dst), ty, nullable: true, zero: value.zero })
    }

    fn unary(&mut self, op: Unary, inner: &Expr, into: Option<RegisterId>, span: Span) -> Result<Typed, Diagnostic> {
        let value = self.expr(inner, None)?;
        if let Some(constant) = value.constant() {
            // A constant with a unary operator is still a constant.
            return Ok(self.int(match op {
                Unary::Negate => constant.wrapping_neg(),
                Unary::Invert => !constant,
                Unary::Not => i64::from(constant == 0),
            }));
        }
        if op == Unary::Not {
            let (left, right, bits, signed) = self.comparable(value, self.int(0), span)?;
            let dst = self.destination(into, CType::INT);
            self.thread.ops.push(Op::Binary { dst, op: Binary::Compare(Compare::Eq), left, right, bits, signed });
            return Ok(self.result(dst, CType::INT));
        }
        let ty = self.arithmetic(&value, span)?;
        let (bits, _) = integer(ty);
        let src = self.converted(value, Type::Int { bits, signed: true });
        let dst = self.destination(into, ty);
        self.thread.ops.push(Op::Unary { dst, op, src, bits });
        Ok(self.result(dst, ty))
    }

    fn binary(
        &mut self,
        op: Binary,
        left: &Expr,
        right: &Expr,
        into: Option<RegisterId>,
        span: Span,
    ) -> Result<Typed, Diagnostic> {
        let left = self.expr(left, None)?;
        let right = self.expr(right, None)?;
        if let Binary::Compare(_) = op {
            let (left, right, bits, signed) = self.comparable(left, right, span)?;
            let dst = self.destination(into, CType::INT);
            self.thread.ops.push(Op::Binary { dst, op, left, right, bits, signed });
            return Ok(self.result(dst, CType::INT));
        }
        if left.ty.pointers > 0 || right.ty.pointers > 0 {
            return self.pointer_arithmetic(op, left, right, into, span);
        }
        let zero = is_zero(op, &left, &right);
        let (left_ty, right_ty) = (self.arithmetic(&left, span)?, self.arithmetic(&right, span)?);
        let shift = matches!(op, Binary::ShiftLeft | Binary::ShiftRight);
        let ty = if shift { left_ty } else { common(left_ty, right_ty) };
        let (bits, signed) = integer(ty);
        if shift && !right.constant().is_some_and(|count| (0..i64::from(bits)).contains(&count)) {
            let label = format!("expected a constant from 0 to {}", bits - 1);
            return Err(self.source.error(span, "the shift count must be a constant that fits", label));
        }
        let to = Type::Int { bits, signed };
        let (left, right) = (self.converted(left, to), self.converted(right, to));
        let dst = self.destination(into, ty);
        self.thread.ops.push(Op::Binary { dst, op, left, right, bits, signed });
        Ok(Typed { zero, ..self.result(dst, ty) })
    }

    /// Arithmetic on an address. What runs is `p + 0` with a value that is 0 whatever was read, as in a false address
    /// dependency, and `p ^ p`.
    fn pointer_arithmetic(
        &mut self,
        op: Binary,
        left: Typed,
        right: Typed,
        into: Option<RegisterId>,
        span: Span,
    ) -> Result<Typed, Diagnostic> {
        let moves = match (op, left.ty.pointers > 0, right.ty.pointers > 0) {
            (Binary::Add | Binary::Or, true, false) | (Binary::Sub, true, false) => Some((left, right)),
            (Binary::Add | Binary::Or, false, true) => Some((right, left)),
            _ => None,
        };
        let safe = moves.map_or(is_zero(op, &left, &right), |(_, offset)| offset.zero);
        if !safe && !self.judges() {
            return Err(self.source.error(span, "pointer arithmetic is not supported", "").help(
                "compare pointers with `==` and `!=`, dereference them, or add what is always 0: `x + (r0 & 0)`",
            ));
        }
        let long = Type::Int { bits: 64, signed: true };
        let [left_operand, right_operand] =
            [left, right].map(|value| if value.ty.pointers > 0 { value.operand } else { self.converted(value, long) });
        let ty = moves.map_or(CType::LONG, |(pointer, _)| pointer.ty);
        let dst = self.destination(into, ty);
        self.thread.ops.push(Op::Binary { dst, op, left: left_operand, right: right_operand, bits: 64, signed: true });
        let nullable = moves.is_none_or(|(pointer, _)| pointer.nullable);
        self.written(dst, nullable);
        let zero = moves.is_none() && is_zero(op, &left, &right);
        Ok(Typed { operand: Operand::Register(dst), ty, nullable, zero })
    }

    /// `a && b`, `a || b` as a value. The right side is evaluated only if needed.
    fn logical(&mut self, and: bool, left: &Expr, right: &Expr, span: Span) -> Result<Typed, Diagnostic> {
        let dst = self.temporary(CType::INT);
        let end = self.new_label();
        let short = Operand::Const(Const::Int(i64::from(!and)));
        self.thread.ops.push(Op::Move { dst, src: short });
        self.written(dst, true);
        let left_value = self.expr(left, None)?;
        let compare = if and { Compare::Eq } else { Compare::Ne };
        self.branch(compare, left_value, self.int(0), end, span)?;
        let before = self.facts.clone();
        self.learn(left, and);
        let right_value = self.expr(right, None)?;
        let (l, r, bits, signed) = self.comparable(right_value, self.int(0), span)?;
        self.thread.ops.push(Op::Binary { dst, op: Binary::Compare(Compare::Ne), left: l, right: r, bits, signed });
        self.thread.ops.push(Op::Label(end));
        self.facts[..before.len()].copy_from_slice(&before);
        Ok(Typed { operand: Operand::Register(dst), ty: CType::INT, nullable: true, zero: false })
    }

    /// The register for a result: the hinted one if it has exactly this type, else a temporary.
    fn destination(&mut self, into: Option<RegisterId>, ty: CType) -> RegisterId {
        match into {
            Some(register) if self.ctypes[register] == ty => register,
            _ => self.temporary(ty),
        }
    }

    fn result(&mut self, dst: RegisterId, ty: CType) -> Typed {
        self.written(dst, true);
        Typed { operand: Operand::Register(dst), ty, nullable: true, zero: false }
    }

    /// The type of an integer in arithmetic: at least `int`.
    fn arithmetic(&self, value: &Typed, span: Span) -> Result<CType, Diagnostic> {
        if value.ty.pointers > 0 {
            if self.judges() {
                return Ok(CType::LONG);
            }
            return Err(self
                .source
                .error(span, "pointer arithmetic is not supported", "")
                .help("compare them with `==` and `!=`, or dereference them"));
        }
        let (bits, signed) = integer(value.ty);
        let base = if bits < 32 { Base::Int { bits: 32, signed: true } } else { Base::Int { bits, signed } };
        Ok(CType { base, pointers: 0 })
    }

    /// Converts two values to the same width for a comparison.
    fn comparable(
        &mut self,
        left: Typed,
        right: Typed,
        span: Span,
    ) -> Result<(Operand, Operand, u8, bool), Diagnostic> {
        if left.ty.pointers > 0 || right.ty.pointers > 0 {
            let fits = left.ty.pointers > 0 && right.ty.pointers > 0
                || left.constant() == Some(0)
                || right.constant() == Some(0);
            if !fits && !self.judges() {
                return Err(self.error(span, "a pointer cannot be compared with an integer"));
            }
            return Ok((left.operand, right.operand, 64, false));
        }
        let ty = common(self.arithmetic(&left, span)?, self.arithmetic(&right, span)?);
        let (bits, signed) = integer(ty);
        let to = Type::Int { bits, signed };
        Ok((self.converted(left, to), self.converted(right, to), bits, signed))
    }

    /// Extends a value to the width of `to` if needed. Narrowing needs no operation: the upper bits are
    /// ignored.
    fn converted(&mut self, value: Typed, to: Type) -> Operand {
        if let Some(constant) = value.constant() {
            return Operand::Const(Const::Int(truncate(constant, to)));
        }
        let Some(from @ Type::Int { bits: 32, .. }) = value_type(value.ty) else { return value.operand };
        if to.bits() != 64 {
            return value.operand;
        }
        let ctype = CType { base: Base::Int { bits: 64, signed: from.signed() }, pointers: 0 };
        let dst = self.temporary(ctype);
        self.thread.ops.push(Op::Extend { dst, src: value.operand, from });
        self.written(dst, true);
        Operand::Register(dst)
    }

    // ---- memory ----

    /// The memory that a pointer expression points to, and the type of its content.
    fn place(&mut self, pointer: &Expr) -> Result<(Address, CType), Diagnostic> {
        if let ExprKind::Name(name) = &pointer.kind
            && self.judges()
            && !self.names.contains_key(name)
            && let Some(location) = self.shared(name).or_else(|| self.variables.find(name))
        {
            return Ok((Address::Location(location), self.variables.ctype(location)));
        }
        let value = self.expr(pointer, None)?;
        let pointee = match value.ty.pointers {
            0 if self.judges() => Some(CType::LONG),
            0 => {
                let label = format!("this is {}", spell(value.ty));
                return Err(self.source.error(pointer.span, "only a pointer can be dereferenced", label));
            }
            pointers => Some(CType { pointers: pointers - 1, ..value.ty }),
        };
        let pointee = pointee.filter(|ty| value_type(*ty).is_some()).or(self.judges().then_some(CType::LONG));
        let Some(ty) = pointee else {
            return Err(self.error(pointer.span, "a `void *` cannot be dereferenced"));
        };
        match value.operand {
            Operand::Const(Const::Address(location)) => Ok((Address::Location(location), ty)),
            Operand::Register(register) if !value.nullable || !self.rules.settled || self.judges() => {
                Ok((Address::Register(register), ty))
            }
            Operand::Register(_) => Err(self
                .source
                .error(pointer.span, "this pointer may be NULL here", "dereferenced")
                .help("initialise the variable it comes from with the address of another (`p=&x`), or test it first: `if (r0) ...`")),
            Operand::Const(Const::Int(_)) => Err(self.error(pointer.span, "this pointer is NULL")),
        }
    }

    /// The memory that an argument of a primitive names.
    fn place_argument(&mut self, name: &Name, arg: &Expr, form: Arg) -> Result<(Address, CType), Diagnostic> {
        match (form, &arg.kind) {
            (Arg::Place, ExprKind::Deref(pointer)) => self.place(pointer),
            (Arg::Place, _) => {
                Err(self.source.error(arg.span, format!("`{}` takes the variable itself", name.text), "expected `*x`"))
            }
            (_, ExprKind::Deref(_)) if !self.judges() && !self.is_pointer_value(arg) => Err(self.source.error(
                arg.span,
                format!("`{}` takes the variable's address", name.text),
                "expected `x`, not `*x`",
            )),
            _ => self.place(arg),
        }
    }

    /// Whether `*e` is itself a pointer, that is, whether the variable is a pointer to a pointer.
    fn is_pointer_value(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Deref(inner) => match &inner.kind {
                ExprKind::Name(name) => {
                    let ty = self.params.get(name).map(|&l| self.variables.ctype(l).pointers + 1);
                    let register = self.names.get(name).map(|&r| self.ctypes[r].pointers);
                    ty.or(register).is_some_and(|pointers| pointers > 1)
                }
                _ => true,
            },
            _ => false,
        }
    }

    fn scalar(&self, ty: CType, span: Span) -> Result<Type, Diagnostic> {
        match value_type(ty) {
            // For herd7 a lock that no primitive of locks uses is a variable.
            Some(Type::Spinlock) if self.judges() => Ok(Type::INT),
            Some(scalar) if !is_opaque(ty) || self.judges() && ty.base == Base::Srcu => Ok(scalar),
            _ => {
                let message = format!("{} cannot be read or written like a variable", spell(ty));
                Err(self.source.error(span, message, "").help(if ty.base == Base::Srcu {
                    "use srcu_read_lock(), srcu_read_unlock() and synchronize_srcu()"
                } else {
                    "use spin_lock(), spin_unlock(), spin_trylock() and spin_is_locked()"
                }))
            }
        }
    }

    fn load(
        &mut self,
        address: Address,
        ctype: CType,
        access: Access,
        into: Option<RegisterId>,
        span: Span,
    ) -> Result<Typed, Diagnostic> {
        let ty = self.scalar(ctype, span)?;
        let value_ctype = register_type(ctype);
        let dst = self.destination(into, value_ctype);
        self.thread.ops.push(Op::Load { dst, address, ty, access });
        let nullable = self.memory_nullable(address);
        self.written(dst, nullable);
        Ok(Typed { operand: Operand::Register(dst), ty: value_ctype, nullable, zero: false })
    }

    /// Whether a pointer that is read from memory may be NULL.
    fn memory_nullable(&self, address: Address) -> bool {
        match address {
            Address::Location(location) => self.nullable[location],
            // Lowering does not track which pointer variable this is. NULL is possible if any variable may
            // hold it.
            Address::Register(_) => self.nullable.iter().any(|nullable| *nullable),
        }
    }

    fn value_for_store(&mut self, value: &Expr, ctype: CType) -> Result<Typed, Diagnostic> {
        let typed = self.expr(value, None)?;
        self.check_assignable(ctype, &typed, value.span)?;
        Ok(typed)
    }

    /// Records that memory may now hold a NULL pointer.
    fn note_store(&mut self, address: Address, ctype: CType, value: &Typed) {
        if ctype.pointers == 0 || !value.nullable {
            return;
        }
        match address {
            Address::Location(location) => self.nullable[location] = true,
            Address::Register(_) => self.nullable.iter_mut().for_each(|nullable| *nullable = true),
        }
    }

    fn store(
        &mut self,
        address: Address,
        value: Typed,
        ctype: CType,
        access: Access,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let ty = self.scalar(ctype, span)?;
        self.note_store(address, ctype, &value);
        if access == Access::NonTemporal && ty.bits() < 32 {
            return Err(self.error(span, "a non-temporal store must be 32 or 64 bits wide"));
        }
        let value = self.converted(value, ty);
        self.thread.ops.push(Op::Store { address, value, ty, access });
        Ok(())
    }

    // ---- calls ----

    fn primitive(&self, name: &Name, args: &[Expr]) -> Result<Primitive, Diagnostic> {
        if let Some(reason) = primitive::refusal(&name.text) {
            let message = format!("`{}` cannot be judged or run: {reason}", name.text);
            return Err(self.source.error(name.span, message, "remove this call"));
        }
        let Some(found) = primitive::find(&name.text) else {
            let near = primitive::names()
                .chain(primitive::JUDGED_ONLY)
                .map(|known| (strsim::damerau_levenshtein(known, &name.text), known))
                .min()
                .filter(|(distance, known)| *distance <= known.len() / 3);
            let error = self.error(name.span, format!("unknown primitive `{}`", name.text));
            return Err(match near {
                Some((_, known)) => error.help(format!("did you mean `{known}`?")),
                None => {
                    error.help("the known primitives are those of the kernel's tools/memory-model/linux-kernel.def")
                }
            });
        };
        if args.len() != found.args.len() {
            let form: Vec<&str> = found
                .args
                .iter()
                .map(|arg| match arg {
                    Arg::Place => "*x",
                    Arg::Pointer => "x",
                    Arg::Value => "value",
                })
                .collect();
            let message = format!(
                "`{}` takes {} argument{}, found {}",
                name.text,
                found.args.len(),
                if found.args.len() == 1 { "" } else { "s" },
                args.len()
            );
            return Err(self.source.error(name.span, message, format!("expected {}({})", name.text, form.join(", "))));
        }
        Ok(found)
    }

    /// Lowers a call. Returns its value if it has one.
    fn call(
        &mut self,
        name: &Name,
        args: &[Expr],
        primitive: Primitive,
        into: Option<RegisterId>,
    ) -> Result<Option<Typed>, Diagnostic> {
        if let Action::Fence(fence) = primitive.action {
            self.thread.ops.push(Op::Fence(fence));
            return Ok(None);
        }
        if let Action::Rcu(rcu) = primitive.action {
            return self.rcu(name, args, (primitive, rcu), into);
        }
        let at = primitive.args.iter().position(|arg| *arg != Arg::Value).expect("all but barriers take a place");
        let (address, ctype) = self.place_argument(name, &args[at], primitive.args[at])?;
        let span = args[at].span;
        self.check_target(name, primitive, ctype, span)?;
        let values: Vec<&Expr> = (0..args.len()).filter(|index| *index != at).map(|index| &args[index]).collect();
        match primitive.action {
            Action::Load(access) => self.load(address, ctype, access, into, span).map(Some),
            Action::Store(access) => {
                let value = self.value_for_store(values[0], ctype)?;
                self.store(address, value, ctype, access, name.span).map(|()| None)
            }
            Action::StoreMb => {
                let ty = self.scalar(ctype, span)?;
                let value = self.value_for_store(values[0], ctype)?;
                self.note_store(address, ctype, &value);
                let value = self.converted(value, ty);
                self.thread.ops.push(Op::StoreMb { address, value, ty });
                Ok(None)
            }
            Action::Rmw { .. } => self.rmw(address, ctype, &values, primitive, into, span),
            Action::Cmpxchg(order) => {
                let ty = self.word(ctype, span)?;
                let expected = self.value_for_store(values[0], ctype)?;
                let new = self.value_for_store(values[1], ctype)?;
                self.note_store(address, ctype, &new);
                let (expected, new) = (self.converted(expected, ty), self.converted(new, ty));
                let value_ctype = register_type(ctype);
                let dst = self.destination(into, value_ctype);
                self.thread.ops.push(Op::Cmpxchg { dst, address, expected, new, ty, order });
                let nullable = self.memory_nullable(address);
                self.written(dst, nullable);
                Ok(Some(Typed { operand: Operand::Register(dst), ty: value_ctype, nullable, zero: false }))
            }
            Action::AddUnless { fetch, fixed } => {
                self.add_unless(address, ctype, &values, (fetch, fixed), into, span).map(Some)
            }
            Action::SpinLock => {
                self.thread.ops.push(Op::SpinLock { address });
                Ok(None)
            }
            Action::SpinUnlock => {
                self.thread.ops.push(Op::SpinUnlock { address });
                Ok(None)
            }
            Action::SpinTrylock | Action::SpinIsLocked => {
                let dst = self.destination(into, CType::INT);
                self.thread.ops.push(if primitive.action == Action::SpinTrylock {
                    Op::SpinTrylock { dst, address }
                } else {
                    Op::SpinIsLocked { dst, address }
                });
                Ok(Some(self.result(dst, CType::INT)))
            }
            Action::Fence(_) | Action::Rcu(_) => Ok(None),
        }
    }

    /// Lowers a grace period, or a call of SRCU.
    fn rcu(
        &mut self,
        name: &Name,
        args: &[Expr],
        (primitive, rcu): (Primitive, Rcu),
        into: Option<RegisterId>,
    ) -> Result<Option<Typed>, Diagnostic> {
        self.thread.judged_only.get_or_insert_with(|| JudgedOnly { name: name.clone(), primitive: rcu });
        let Some(domain) = args.first() else {
            self.thread.ops.push(Op::RcuFence(rcu));
            return Ok(None);
        };
        let (address, ctype) = self.place_argument(name, domain, primitive.args[0])?;
        self.check_target(name, primitive, ctype, domain.span)?;
        match (rcu, args.get(1)) {
            (Rcu::SrcuLock, _) => {
                let dst = self.destination(into, CType::INT);
                self.thread.ops.push(Op::SrcuLock { dst, address });
                return Ok(Some(self.result(dst, CType::INT)));
            }
            (Rcu::SrcuUnlock, Some(index)) => {
                let value = self.value_for_store(index, CType::INT)?;
                let value = self.converted(value, Type::INT);
                self.thread.ops.push(Op::SrcuUnlock { address, value });
            }
            _ => self.thread.ops.push(Op::SynchronizeSrcu { address }),
        }
        Ok(None)
    }

    fn rmw(
        &mut self,
        address: Address,
        ctype: CType,
        values: &[&Expr],
        primitive: Primitive,
        into: Option<RegisterId>,
        span: Span,
    ) -> Result<Option<Typed>, Diagnostic> {
        let Action::Rmw { op, result, order, amount } = primitive.action else { return Ok(None) };
        let ty = self.word(ctype, span)?;
        let value = match (amount, values) {
            (Some(amount), _) => self.int(amount),
            (None, [value, ..]) => self.value_for_store(value, ctype)?,
            (None, []) => return Err(self.error(span, "a value is missing")),
        };
        self.note_store(address, ctype, &value);
        let operand = self.converted(value, ty);
        let value_ctype = match result {
            RmwResult::NewIsZero | RmwResult::NewIsNegative => CType::INT,
            _ => register_type(ctype),
        };
        let dst = (result != RmwResult::None).then(|| self.destination(into, value_ctype));
        self.thread.ops.push(Op::Rmw { dst, address, value: operand, ty, op, result, order });
        let nullable = self.memory_nullable(address);
        Ok(dst.map(|dst| {
            self.written(dst, nullable);
            Typed { operand: Operand::Register(dst), ty: value_ctype, nullable, zero: false }
        }))
    }

    /// Lowers atomic_add_unless to the kernel's loop, unrolled:
    /// `c = atomic_read(v); do { if (c == u) break; } while (!atomic_try_cmpxchg(v, &c, c + a));`
    ///
    /// A cmpxchg fails only if another thread has written since the value was read. So it is enough to try
    /// once, and once more per write of another thread.
    fn add_unless(
        &mut self,
        address: Address,
        ctype: CType,
        values: &[&Expr],
        (fetch, fixed): (bool, Option<(i64, i64)>),
        into: Option<RegisterId>,
        span: Span,
    ) -> Result<Typed, Diagnostic> {
        let ty = self.word(ctype, span)?;
        let (amount, unwanted) = match (fixed, values) {
            (Some((amount, unwanted)), _) => (self.int(amount), self.int(unwanted)),
            (None, [amount, unwanted, ..]) => {
                (self.value_for_store(amount, ctype)?, self.value_for_store(unwanted, ctype)?)
            }
            (None, _) => return Err(self.error(span, "a value is missing")),
        };
        let (amount, unwanted) = (self.converted(amount, ty), self.converted(unwanted, ty));
        let tries = 1 + self.writes_of_others(address);
        if tries > MOST_TRIES {
            let message = format!("other threads write this variable up to {} times", tries - 1);
            let label = format!("expected at most {}: a failed cmpxchg is retried that often", MOST_TRIES - 1);
            return Err(self.source.error(span, message, label));
        }
        let value_ctype = register_type(ctype);
        let (bits, signed) = (ty.bits(), ty.signed());
        let result_ctype = if fetch { value_ctype } else { CType::INT };
        let [old, new, found] = std::array::from_fn(|_| self.temporary(value_ctype));
        let (left, added, end) = (self.new_label(), self.new_label(), self.new_label());
        let dst = self.destination(into, result_ctype);
        let first = self.thread.ops.len();
        self.thread.ops.push(Op::Load { dst: old, address, ty, access: Access::Once });
        let (old_value, found_value) = (Operand::Register(old), Operand::Register(found));
        for _ in 0..tries {
            self.thread.ops.extend([
                Op::Branch { compare: Compare::Eq, left: old_value, right: unwanted, bits, signed, target: left },
                Op::Binary { dst: new, op: Binary::Add, left: old_value, right: amount, bits, signed },
                Op::Cmpxchg {
                    dst: found,
                    address,
                    expected: old_value,
                    new: Operand::Register(new),
                    ty,
                    order: Order::Full,
                },
                Op::Branch { compare: Compare::Eq, left: found_value, right: old_value, bits, signed, target: added },
                Op::Move { dst: old, src: found_value },
            ]);
        }
        let result = |flag| if fetch { old_value } else { Operand::Const(Const::Int(flag)) };
        self.thread.ops.extend([
            Op::Label(left),
            Op::Move { dst, src: result(0) },
            Op::Jump { target: end },
            Op::Label(added),
            Op::Move { dst, src: result(1) },
            Op::Label(end),
        ]);
        for register in [old, new, found, dst] {
            self.written(register, true);
        }
        let end = self.thread.ops.len();
        self.thread.composites.push(Composite { first, end, dst, fetch, address, ty, amount, unwanted });
        Ok(Typed { operand: Operand::Register(dst), ty: result_ctype, nullable: true, zero: false })
    }

    /// An upper bound of the number of times that other threads write a variable.
    fn writes_of_others(&self, address: Address) -> usize {
        let Address::Location(location) = address else { return self.foreign_writes.len() };
        let name = &self.variables.all[location].name;
        self.foreign_writes.iter().filter(|written| written.as_ref().is_none_or(|written| written == name)).count()
    }

    /// The type of a variable for a read-modify-write.
    fn word(&self, ctype: CType, span: Span) -> Result<Type, Diagnostic> {
        let ty = self.scalar(ctype, span)?;
        if ty.bits() < 32 {
            return Err(self.source.error(
                span,
                "an atomic operation needs a variable of 32 or 64 bits",
                format!("this is {}", spell(ctype)),
            ));
        }
        Ok(ty)
    }

    /// Checks that a lock primitive gets a lock, one of SRCU an SRCU domain, an atomic_ primitive an atomic_t, and every other
    /// primitive none of these.
    fn check_target(&self, name: &Name, primitive: Primitive, ctype: CType, span: Span) -> Result<(), Diagnostic> {
        let found = is_opaque(ctype).then_some(ctype.base);
        let wanted = match primitive.action {
            Action::SpinLock | Action::SpinUnlock | Action::SpinTrylock | Action::SpinIsLocked => Some(Base::Spinlock),
            Action::Rcu(_) => Some(Base::Srcu),
            _ => None,
        };
        let wrong = |wanted: &str| {
            let label = format!("this is a {} *, expected {wanted}", spell(ctype));
            Err(self.source.error(span, format!("`{}` does not work on this variable", name.text), label))
        };
        // herd7 has no types: any variable may be a lock or an SRCU domain, a domain may be any variable but a lock, and a lock may
        // be a variable. The kernel's model refuses one that is both.
        let (of_lock, is_lock) = (wanted == Some(Base::Spinlock), found == Some(Base::Spinlock));
        if self.judges() && (of_lock == is_lock || of_lock && found.is_none() || is_lock && wanted.is_none()) {
            return Ok(());
        }
        if wanted != found {
            return wrong(match wanted {
                Some(Base::Srcu) => "a struct srcu_struct *",
                Some(_) => "a spinlock_t *",
                None => "a variable",
            });
        }
        match (primitive.atomic_bits, ctype) {
            // The kernel's tests declare atomics as `atomic_t`. herd7 also accepts `int`.
            (Some(bits), CType { base: Base::Atomic { bits: found } | Base::Int { bits: found, .. }, pointers: 0 })
                if found == bits =>
            {
                Ok(())
            }
            (Some(bits), _) => wrong(if bits == 32 { "an atomic_t *" } else { "an atomic64_t *" }),
            (None, _) => Ok(()),
        }
    }
}

/// Maximum number of cmpxchg attempts of one atomic_add_unless.
const MOST_TRIES: usize = 16;

/// The writes of a thread: the name of the parameter, or `None` if the write goes through another pointer.
fn writes(body: &[Stmt], thread: &ast::Thread, out: &mut Vec<Option<String>>) {
    fn of_place(pointer: &Expr, thread: &ast::Thread) -> Option<String> {
        let ExprKind::Name(name) = &pointer.kind else { return None };
        thread.params.iter().find(|(_, parameter)| parameter.text == *name).map(|_| name.clone())
    }
    fn of_expr(expr: &Expr, thread: &ast::Thread, out: &mut Vec<Option<String>>) {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Name(_) => {}
            ExprKind::Deref(inner)
            | ExprKind::AddressOf(inner)
            | ExprKind::Unary(_, inner)
            | ExprKind::Cast(_, inner) => of_expr(inner, thread, out),
            ExprKind::Binary(_, left, right) | ExprKind::Logical { left, right, .. } => {
                of_expr(left, thread, out);
                of_expr(right, thread, out);
            }
            ExprKind::Call(name, args) => {
                args.iter().for_each(|arg| of_expr(arg, thread, out));
                let found = primitive::find(&name.text);
                let reads = |action| matches!(action, Action::Load(_) | Action::Fence(_) | Action::Rcu(_));
                let Some(found) = found.filter(|found| !reads(found.action)) else { return };
                let place = found.args.iter().position(|arg| *arg != Arg::Value).and_then(|at| args.get(at));
                out.push(place.and_then(|place| match &place.kind {
                    ExprKind::Deref(pointer) if found.args.contains(&Arg::Place) => of_place(pointer, thread),
                    _ => of_place(place, thread),
                }));
            }
        }
    }
    for stmt in body {
        match stmt {
            Stmt::Declare { value, .. } => value.iter().for_each(|value| of_expr(value, thread, out)),
            Stmt::Assign { target, value } => {
                of_expr(target, thread, out);
                of_expr(value, thread, out);
                if let ExprKind::Deref(pointer) = &target.kind {
                    out.push(of_place(pointer, thread));
                }
            }
            Stmt::Effect(expr) => of_expr(expr, thread, out),
            Stmt::If { condition, then, otherwise } => {
                of_expr(condition, thread, out);
                writes(then, thread, out);
                writes(otherwise, thread, out);
            }
            Stmt::Loop { condition, body, .. } => {
                let mut round = Vec::new();
                condition.iter().for_each(|condition| of_expr(condition, thread, &mut round));
                writes(body, thread, &mut round);
                // How many rounds there are is not known here: more than the attempts of an atomic_add_unless.
                round.sort_unstable();
                round.dedup();
                (0..=MOST_TRIES).for_each(|_| out.extend(round.iter().cloned()));
            }
        }
    }
}

/// Whether the result of an operation is 0 whatever was read.
fn is_zero(op: Binary, left: &Typed, right: &Typed) -> bool {
    let same = matches!(left.operand, Operand::Register(_)) && left.operand == right.operand;
    match op {
        Binary::And | Binary::Mul => left.zero || right.zero,
        Binary::Xor | Binary::Sub => same || left.zero && right.zero,
        Binary::Add | Binary::Or => left.zero && right.zero,
        Binary::ShiftLeft | Binary::ShiftRight => left.zero,
        Binary::Compare(_) => false,
    }
}

/// The type of a register that receives a variable's value. Reading an atomic_t gives an int.
fn register_type(ctype: CType) -> CType {
    match ctype {
        CType { base: Base::Atomic { bits }, pointers: 0 } => {
            CType { base: Base::Int { bits, signed: true }, pointers: 0 }
        }
        CType { base: Base::Spinlock, pointers: 0 } => CType::INT,
        other => other,
    }
}

/// Width and signedness of an integer type.
fn integer(ty: CType) -> (u8, bool) {
    match ty.base {
        Base::Int { bits, signed } => (bits, signed),
        Base::Atomic { bits } => (bits, true),
        Base::Spinlock | Base::Srcu | Base::Void => (32, true),
    }
}

/// C's usual arithmetic conversions, for types that are at least `int`.
fn common(left: CType, right: CType) -> CType {
    let ((left_bits, left_signed), (right_bits, right_signed)) = (integer(left), integer(right));
    let bits = left_bits.max(right_bits);
    let unsigned = (left_bits == bits && !left_signed) || (right_bits == bits && !right_signed);
    CType { base: Base::Int { bits, signed: !unsigned }, pointers: 0 }
}

fn negated(compare: Compare) -> Compare {
    match compare {
        Compare::Eq => Compare::Ne,
        Compare::Ne => Compare::Eq,
        Compare::Lt => Compare::Ge,
        Compare::Ge => Compare::Lt,
        Compare::Gt => Compare::Le,
        Compare::Le => Compare::Gt,
    }
}
