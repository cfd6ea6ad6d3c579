//! Every way one thread can run, given the values it may find at each location.
//!
//! A trace has concrete values throughout: where a thread reads, one trace is made for each value that the location may
//! have. Which write a value came from is settled later, when the traces of all threads are put together.

use super::code::{BranchOn, Change, Code, CodeThread, Gives, Step, Update};
use super::event::{Event, Kind, Tags};
use super::relation::{MAX_EVENTS, Set};
use super::{ModelError, Result};
use crate::program::{Address, Binary, Compare, Const, LocationId, Operand, RegisterId, RmwOp, Type, Unary};

/// One way a thread can run. Events are numbered from 0 within the trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What it did, in program order.
    pub events: Vec<Event>,
    /// For each event, the events its address depends on.
    pub addr: Vec<Set>,
    /// For each event, the events its value depends on.
    pub data: Vec<Set>,
    /// For each event, the events a branch in front of it depends on.
    pub ctrl: Vec<Set>,
    /// Reads and writes that nothing comes between.
    pub rmw: Vec<(usize, usize)>,
    /// The registers at the end.
    pub registers: Vec<Const>,
}

/// Every way a thread of `code` can run if each location holds one of its `values`.
///
/// # Errors
/// If there are more than `limit`, or one has too many events, or it computes with an address.
pub fn traces(code: &Code, thread: usize, values: &[Vec<Const>], limit: usize) -> Result<Vec<Trace>> {
    let thread_code = &code.threads[thread];
    let registers = thread_code.registers.len();
    let joins = if thread_code.scoped { thread_code.joins() } else { Vec::new() };
    let mut runner = Runner { code: thread_code, thread, values, joins, limit, done: Vec::new() };
    runner.run(State {
        at: 0,
        values: thread_code.registers.clone(),
        depends: vec![Set::EMPTY; registers],
        controls: Vec::new(),
        reservation: None,
        trace: Trace {
            events: Vec::new(),
            addr: Vec::new(),
            data: Vec::new(),
            ctrl: Vec::new(),
            rmw: Vec::new(),
            registers: Vec::new(),
        },
    })?;
    Ok(runner.done)
}

struct Runner<'a> {
    code: &'a CodeThread,
    thread: usize,
    values: &'a [Vec<Const>],
    joins: Vec<usize>,
    limit: usize,
    done: Vec<Trace>,
}

#[derive(Clone)]
struct State {
    at: usize,
    values: Vec<Const>,
    /// What each register's value depends on.
    depends: Vec<Set>,
    /// What controls the steps up to a place.
    controls: Vec<(Set, usize)>,
    /// The load-reserved whose store-conditional has not come yet.
    reservation: Option<(usize, LocationId)>,
    trace: Trace,
}

impl State {
    fn operand(&self, operand: Operand) -> (Const, Set) {
        match operand {
            Operand::Register(register) => (self.values[register], self.depends[register]),
            Operand::Const(value) => (value, Set::EMPTY),
        }
    }

    fn place(&self, address: Address) -> Result<(LocationId, Set)> {
        match address {
            Address::Location(location) => Ok((location, Set::EMPTY)),
            Address::Register(register) => match self.values[register] {
                Const::Address(location) => Ok((location, self.depends[register])),
                Const::Int(value) => Err(ModelError::Unsupported(format!("it accesses memory at the address {value}"))),
            },
        }
    }

    fn set(&mut self, register: RegisterId, value: Const, depends: Set) {
        self.values[register] = value;
        self.depends[register] = depends;
    }

    /// Adds an event; its number.
    fn event(&mut self, thread: usize, kind: Kind, tags: Tags, addr: Set, data: Set) -> usize {
        let ctrl = self.controls.iter().fold(Set::EMPTY, |all, (set, _)| all | *set);
        let event = self.trace.events.len();
        self.trace.events.push(Event { thread: Some(thread), kind, tags, step: self.at });
        self.trace.addr.push(addr);
        self.trace.data.push(data);
        self.trace.ctrl.push(ctrl);
        event
    }

    fn control(&mut self, on: Set, until: usize) {
        if !on.is_empty() {
            self.controls.push((on, until));
        }
    }
}

impl Runner<'_> {
    fn run(&mut self, mut state: State) -> Result<()> {
        while state.at < self.code.steps.len() {
            if self.code.scoped {
                state.controls.retain(|(_, until)| state.at < *until);
            }
            if state.trace.events.len() > MAX_EVENTS {
                return Err(ModelError::TooLarge {
                    what: "events in one thread",
                    count: state.trace.events.len() as u64,
                });
            }
            let code = self.code;
            match &code.steps[state.at] {
                Step::Read { dst, address, ty, tags } => {
                    let (location, addr) = state.place(*address)?;
                    for &value in &self.values[location] {
                        let mut next = state.clone();
                        let event = next.event(self.thread, Kind::Read(location, value), *tags, addr, Set::EMPTY);
                        if tags.any(Tags::EXCLUSIVE) {
                            next.reservation = Some((event, location));
                        }
                        if let Some(dst) = dst {
                            next.set(*dst, wrap(value, *ty), only(event));
                        }
                        next.at += 1;
                        self.run(next)?;
                    }
                    return Ok(());
                }
                Step::IsLocked { dst, address } => {
                    let (location, addr) = state.place(*address)?;
                    for &value in &self.values[location] {
                        let mut next = state.clone();
                        let held = value != Const::Int(0);
                        let tags = if held { Tags::RL } else { Tags::RU };
                        let event = next.event(self.thread, Kind::Read(location, value), tags, addr, Set::EMPTY);
                        next.set(*dst, Const::Int(held.into()), only(event));
                        next.at += 1;
                        self.run(next)?;
                    }
                    return Ok(());
                }
                Step::Write { address, value, ty, tags } => {
                    let (location, addr) = state.place(*address)?;
                    let (value, data) = state.operand(*value);
                    state.event(self.thread, Kind::Write(location, wrap(value, *ty)), *tags, addr, data);
                }
                Step::Update(update) => return self.update(&state, update),
                Step::StoreConditional { status, carries, address, value, ty, tags } => {
                    let (location, addr) = state.place(*address)?;
                    let (value, data) = state.operand(*value);
                    let reservation = state.reservation.take();
                    let mut fails = state.clone();
                    fails.set(*status, Const::Int(1), Set::EMPTY);
                    fails.at += 1;
                    self.run(fails)?;
                    let Some((read, _)) = reservation.filter(|(_, reserved)| *reserved == location) else {
                        return Ok(());
                    };
                    let write = state.event(self.thread, Kind::Write(location, wrap(value, *ty)), *tags, addr, data);
                    state.trace.rmw.push((read, write));
                    state.set(*status, Const::Int(0), if *carries { only(write) } else { Set::EMPTY });
                }
                Step::Fence(tags) => {
                    state.event(self.thread, Kind::Fence, *tags, Set::EMPTY, Set::EMPTY);
                }
                Step::Move { dst, src, ty } => {
                    let (value, depends) = state.operand(*src);
                    state.set(*dst, wrap(value, *ty), depends);
                }
                Step::Unary { dst, op, src, ty } => {
                    let (value, depends) = state.operand(*src);
                    let value = match (op, value) {
                        (Unary::Negate, Const::Int(value)) => Const::Int(value.wrapping_neg()),
                        (Unary::Invert, Const::Int(value)) => Const::Int(!value),
                        (Unary::Not, value) => Const::Int((value == Const::Int(0)).into()),
                        (_, Const::Address(_)) => return Err(computed_address()),
                    };
                    state.set(*dst, wrap(value, *ty), depends);
                }
                Step::Binary { dst, op, left, right, ty } => {
                    let ((left, on_left), (right, on_right)) = (state.operand(*left), state.operand(*right));
                    let value = binary(*op, left, right, *ty)?;
                    state.set(*dst, wrap(value, *ty), on_left | on_right);
                }
                Step::Branch { compare, left, right, ty, target } => {
                    let ((left, on_left), (right, on_right)) = (state.operand(*left), state.operand(*right));
                    let taken = compare_values(*compare, left, right, *ty)?;
                    let until = if self.code.scoped { self.joins[state.at] } else { usize::MAX };
                    state.control(on_left | on_right, until);
                    if taken {
                        state.at = self.code.position(*target);
                        continue;
                    }
                }
                Step::Jump(target) => {
                    state.at = self.code.position(*target);
                    continue;
                }
                Step::Label(_) => {}
            }
            state.at += 1;
        }
        state.trace.registers = state.values;
        self.done.push(state.trace);
        if self.done.len() > self.limit {
            return Err(ModelError::TooLarge { what: "ways for one thread to run", count: self.done.len() as u64 });
        }
        Ok(())
    }

    fn update(&mut self, state: &State, update: &Update) -> Result<()> {
        let (location, addr) = state.place(update.address)?;
        for &old in &self.values[location] {
            let (new, depends) = match update.change {
                Change::Op(op, operand) => {
                    let (value, depends) = state.operand(operand);
                    (Some(modified(op, wrap(old, update.ty), value)?), depends)
                }
                Change::IfEqual { expected, new } => {
                    let equal = state.operand(expected).0 == wrap(old, update.ty);
                    (equal.then(|| state.operand(new).0), state.operand(new).1)
                }
            };
            if new.is_none() && update.until_done {
                continue;
            }
            let mut next = state.clone();
            let new = new.map(|new| wrap(new, update.ty));
            if let (Some(_), Some(fence)) = (new, update.before) {
                next.event(self.thread, Kind::Fence, fence, Set::EMPTY, Set::EMPTY);
            }
            let tags = if new.is_some() { update.read } else { update.failed };
            let read = next.event(self.thread, Kind::Read(location, old), tags, addr, Set::EMPTY);
            if matches!(update.branch, BranchOn::Read | BranchOn::Both) {
                next.control(only(read), usize::MAX);
            }
            let arithmetic = matches!(update.change, Change::Op(op, _) if op != RmwOp::Xchg);
            let from_old = if arithmetic { only(read) } else { Set::EMPTY };
            if let Some(new) = new {
                let kind = Kind::Write(location, new);
                let write = next.event(self.thread, kind, update.write, addr, depends | from_old);
                next.trace.rmw.push((read, write));
                if matches!(update.branch, BranchOn::Write | BranchOn::Both) {
                    next.control(only(write), usize::MAX);
                }
                if let Some(fence) = update.after {
                    next.event(self.thread, Kind::Fence, fence, Set::EMPTY, Set::EMPTY);
                }
            }
            if let Some(dst) = update.dst {
                let after = new.unwrap_or(old);
                let value = match update.gives {
                    Gives::Old => wrap(old, update.ty),
                    Gives::New => after,
                    Gives::NewIsZero => Const::Int((after == Const::Int(0)).into()),
                    Gives::NewIsNegative => Const::Int(matches!(after, Const::Int(value) if value < 0).into()),
                    Gives::Done => Const::Int(new.is_some().into()),
                };
                let depends = if update.gives == Gives::Old { Set::EMPTY } else { depends };
                next.set(dst, value, only(read) | depends);
            }
            next.at += 1;
            self.run(next)?;
        }
        Ok(())
    }
}

fn only(event: usize) -> Set {
    let mut set = Set::EMPTY;
    set.insert(event);
    set
}

fn computed_address() -> ModelError {
    ModelError::Unsupported("it computes with an address".to_owned())
}

/// A value as a type holds it.
pub fn wrap(value: Const, ty: Type) -> Const {
    let Const::Int(int) = value else { return value };
    let bits = u32::from(ty.bits());
    if bits >= 64 {
        return value;
    }
    let shift = 64 - bits;
    Const::Int(if ty.signed() { int << shift >> shift } else { ((int as u64) << shift >> shift) as i64 })
}

fn modified(op: RmwOp, old: Const, operand: Const) -> Result<Const> {
    if op == RmwOp::Xchg {
        return Ok(operand);
    }
    let (Const::Int(old), Const::Int(operand)) = (old, operand) else { return Err(computed_address()) };
    Ok(Const::Int(match op {
        RmwOp::Xchg => operand,
        RmwOp::Add => old.wrapping_add(operand),
        RmwOp::Sub => old.wrapping_sub(operand),
        RmwOp::And => old & operand,
        RmwOp::Or => old | operand,
        RmwOp::Xor => old ^ operand,
        RmwOp::AndNot => old & !operand,
    }))
}

fn binary(op: Binary, left: Const, right: Const, ty: Type) -> Result<Const> {
    let (a, b) = match (op, left, right) {
        (Binary::Compare(compare), _, _) => return Ok(Const::Int(compare_values(compare, left, right, ty)?.into())),
        // What a false address dependency is made of.
        (Binary::Xor | Binary::Sub, left, right) if left == right => return Ok(Const::Int(0)),
        (Binary::Add | Binary::Or, Const::Address(_), Const::Int(0)) => return Ok(left),
        (Binary::Add | Binary::Or, Const::Int(0), Const::Address(_)) => return Ok(right),
        (_, Const::Int(a), Const::Int(b)) => (a, b),
        _ => return Err(computed_address()),
    };
    let unsigned = wrap(left, Type::Int { bits: ty.bits(), signed: false });
    Ok(Const::Int(match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::ShiftLeft => a.wrapping_shl(b as u32),
        Binary::ShiftRight if ty.signed() => a.wrapping_shr(b as u32),
        Binary::ShiftRight => match unsigned {
            Const::Int(a) => ((a as u64).wrapping_shr(b as u32)) as i64,
            Const::Address(_) => return Err(computed_address()),
        },
        Binary::Compare(_) => unreachable!("compared above"),
    }))
}

fn compare_values(compare: Compare, left: Const, right: Const, ty: Type) -> Result<bool> {
    let (left, right) = (wrap(left, ty), wrap(right, ty));
    match compare {
        Compare::Eq => return Ok(left == right),
        Compare::Ne => return Ok(left != right),
        _ => {}
    }
    let (Const::Int(a), Const::Int(b)) = (left, right) else { return Err(computed_address()) };
    let order = if ty.signed() { a.cmp(&b) } else { (a as u64).cmp(&(b as u64)) };
    Ok(match compare {
        Compare::Lt => order.is_lt(),
        Compare::Le => order.is_le(),
        Compare::Gt => order.is_gt(),
        Compare::Ge => order.is_ge(),
        Compare::Eq | Compare::Ne => unreachable!("compared above"),
    })
}
