//! Computes the traces of one thread: every path through its branches, with accesses, barriers and
//! dependencies.
//!
//! A trace is one path through the thread's branches. The values that it reads are not known yet, so values
//! are expressions over its reads, and the conditions of the path are kept as assumptions. The source of each
//! read is chosen when the traces of all threads are combined ([`super::search`]). The expressions then give
//! all other values.
//!
//! A loop is followed as herd7 follows it: a thread jumps backward to a label at most [`BACKWARD`] times, not counting
//! conditional jumps that constants decide. Paths that jump more often are cut.
//!
//! Not followed: arithmetic on addresses, beyond adding a value that is 0 and, if the bytes of a variable are locations
//! ([`Bytes`]), a distance inside of the variable.

use std::cell::OnceCell;
use std::cmp::Ordering;

use super::budget::Budget;
use super::code::{BranchOn, Bytes, Change, Code, CodeThread, StatusOf, Step, Update, UpdateResult};
use super::event::{Event, Kind, Tags};
use super::operands::Unordered;
use super::reach::{Locations, access_type, reach};
use super::relation::{MAX_EVENTS, Set};
use super::{ModelError, Result};
use crate::program::{Address, Binary, Compare, Const, LabelId, LocationId, Operand, RegisterId, RmwOp, Type, Unary};

/// A value: a known constant, or the number of an expression of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A constant.
    Known(Const),
    /// The index of an expression in [`Trace::nodes`].
    Node(usize),
}

/// An expression. Its operands come before it in [`Trace::nodes`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node {
    /// The value that an event of the trace reads.
    Read(usize),
    /// A value converted to a type.
    Wrap(Value, Type),
    /// A unary operation in a type.
    Unary(Unary, Value, Type),
    /// A binary operation in a type.
    Binary(Binary, Value, Value, Type),
    /// The new value of a read-modify-write, from the old value and its operand, in a type.
    Modified(RmwOp, Value, Value, Type),
    /// The first value if it compares in this way with the second in a type, else the second.
    Extreme(Compare, Value, Value, Type),
}

/// A condition that a path assumes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Assumption {
    /// Two values compare in this way, or they do not.
    Compares {
        /// The comparison.
        compare: Compare,
        /// The left operand.
        left: Value,
        /// The right operand.
        right: Value,
        /// The type of the comparison.
        ty: Type,
        /// Whether the comparison is assumed to hold.
        holds: bool,
    },
    /// A value is the address of this location, for an access of this many bytes.
    Address(Value, LocationId, usize),
}

/// One path of a thread. Events are numbered from 0 within the trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The events, in program order but for [`Trace::unordered`]. The values in them are 0; [`Trace::values`] has the real ones.
    pub events: Vec<Event>,
    /// The value that each event reads or writes.
    pub values: Vec<Value>,
    /// The number of bytes that each event accesses; 0 for a barrier.
    pub widths: Vec<usize>,
    /// As in [`Code::bytes`].
    pub bytes: Option<Bytes>,
    /// For each event, the events that its address depends on.
    pub addr: Vec<Set>,
    /// For each event, the events that its value depends on.
    pub data: Vec<Set>,
    /// For each event, the events that a branch in front of it depends on.
    pub ctrl: Vec<Set>,
    /// Read-modify-writes: pairs of a read and a write that no other write may come between.
    pub rmw: Vec<(usize, usize)>,
    /// Pairs of a read and a write whose value the read only selected. They are in `ctrl` too.
    pub picks: Vec<(usize, usize)>,
    /// Pairs of events that program order does not relate, the one with the lower number first: operands of one expression.
    pub unordered: Vec<(usize, usize)>,
    /// The values of the registers at the end.
    pub registers: Vec<Value>,
    /// The expressions.
    pub nodes: Vec<Node>,
    /// The conditions that this path assumes.
    pub assumptions: Vec<Assumption>,
}

impl Trace {
    /// The memory that the path takes, in bytes.
    fn bytes_held(&self) -> usize {
        // An allocation has a head, and a size that is a multiple of 16.
        fn of<T>(list: &Vec<T>) -> usize {
            list.capacity() * size_of::<T>() + 16
        }
        let sets = of(&self.addr) + of(&self.data) + of(&self.ctrl);
        let values = of(&self.values) + of(&self.registers) + of(&self.nodes) + of(&self.assumptions);
        let pairs = of(&self.rmw) + of(&self.picks) + of(&self.unordered);
        size_of::<Trace>() + of(&self.events) + of(&self.widths) + pairs + sets + values
    }

    /// A value, if it is known.
    pub fn value(&self, value: Value, known: &[Option<Const>]) -> Option<Const> {
        match value {
            Value::Known(value) => Some(value),
            Value::Node(node) => known[node],
        }
    }

    /// Whether the path computes or compares values.
    pub fn computes(&self) -> bool {
        !self.assumptions.is_empty() || !self.nodes.iter().all(|node| matches!(node, Node::Read(_) | Node::Wrap(..)))
    }

    /// The events whose values a value is computed from.
    pub fn reads_of(&self, value: Value) -> Set {
        let mut reads = Set::EMPTY;
        let mut seen = vec![false; self.nodes.len()];
        let mut next = vec![value];
        while let Some(value) = next.pop() {
            let Value::Node(node) = value else { continue };
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            match self.nodes[node] {
                Node::Read(event) => reads.insert(event),
                Node::Wrap(value, _) | Node::Unary(_, value, _) => next.push(value),
                Node::Binary(_, left, right, _)
                | Node::Modified(_, left, right, _)
                | Node::Extreme(_, left, right, _) => next.extend([left, right]),
            }
        }
        reads
    }

    /// Whether an event writes the value that another reads, converted at most.
    pub fn copies(&self, read: usize, write: usize) -> bool {
        self.copied(self.values[write]) == Some(read)
    }

    /// The event whose value a value is, converted at most.
    pub fn copied(&self, mut value: Value) -> Option<usize> {
        while let Value::Node(node) = value {
            match self.nodes[node] {
                Node::Wrap(inner, _) => value = inner,
                Node::Read(event) => return Some(event),
                _ => return None,
            }
        }
        None
    }

    /// What a value is if the event that it is [`Trace::copied`] from reads this.
    pub fn converted(&self, value: Value, read: Const) -> Const {
        match value {
            Value::Known(known) => known,
            Value::Node(node) => match self.nodes[node] {
                Node::Wrap(inner, ty) => wrap(self.converted(inner, read), ty),
                _ => read,
            },
        }
    }

    /// The value of an expression; `None` if an operand is not known, or if it is what an event reads.
    ///
    /// # Errors
    /// If the expression computes with an address.
    pub fn computed(&self, node: usize, known: &[Option<Const>]) -> Result<Option<Const>> {
        let get = |value: Value| self.value(value, known);
        Ok(match self.nodes[node] {
            Node::Read(_) => None,
            Node::Wrap(value, ty) => get(value).map(|value| wrap(value, ty)),
            Node::Unary(op, value, ty) => match get(value) {
                Some(value) => Some(unary(op, value, ty)?),
                None => None,
            },
            Node::Binary(op, left, right, ty) => match (get(left), get(right)) {
                (Some(left), Some(right)) => Some(wrap(binary(op, left, right, ty, self.bytes.as_ref())?, ty)),
                _ => None,
            },
            Node::Modified(op, old, operand, ty) => match (get(old), get(operand)) {
                (Some(old), Some(operand)) => Some(wrap(modified(op, wrap(old, ty), operand)?, ty)),
                _ => None,
            },
            Node::Extreme(keeps, old, operand, ty) => match (get(old), get(operand)) {
                (Some(old), Some(operand)) => {
                    let kept = compare_values(keeps, old, operand, ty)?;
                    Some(wrap(if kept { old } else { operand }, ty))
                }
                _ => None,
            },
        })
    }

    /// Whether no known value contradicts an assumption of the path.
    ///
    /// # Errors
    /// If a comparison computes with an address.
    pub fn holds(&self, known: &[Option<Const>]) -> Result<bool> {
        for assumption in &self.assumptions {
            match *assumption {
                Assumption::Compares { compare, left, right, ty, holds } => {
                    if let (Some(left), Some(right)) = (self.value(left, known), self.value(right, known))
                        && compare_values(compare, left, right, ty)? != holds
                    {
                        return Ok(false);
                    }
                }
                // As in herd7, an execution in which a thread uses an integer as an address does not finish.
                Assumption::Address(value, location, width) => match self.value(value, known) {
                    Some(Const::Int(_)) => return Ok(false),
                    Some(Const::Address(found)) if found != location => {
                        // There is no path for an access that cannot be made.
                        check_place(self.bytes.as_ref(), found, width)?;
                        return Ok(false);
                    }
                    _ => {}
                },
            }
        }
        Ok(true)
    }
}

/// The number of branches that a path may have behind each other. Each needs some kilobytes of the stack.
const MAX_DEPTH: usize = 2000;

/// How often a path may jump backward to one label, as herd7 does without its option `-unroll`. Conditional jumps that
/// constants decide are not counted.
pub const BACKWARD: usize = 2;

/// How often a path may jump backward because constants say so. Such a loop may have no end.
const MOST_ROUNDS: u64 = 10_000;

/// How many cut paths of a thread are kept.
const MOST_CUT: usize = 100;

/// The paths of a thread.
#[derive(Debug, Default)]
pub struct Traces {
    /// Those that reach the end of the thread.
    pub whole: Vec<Trace>,
    /// The beginnings of those that were cut because a loop was followed often enough.
    pub cut: Vec<Trace>,
    /// Whether more paths were cut than are kept.
    pub more_cut: bool,
}

/// Computes every path of a thread of `code`. `reached` gets what [`reach`] gives, if an access needs it.
///
/// # Errors
/// If there are more paths than the limit, or they take too much memory, or one is too long, or it computes with an address.
pub fn traces(
    code: &Code,
    thread: usize,
    reached: &OnceCell<Vec<Vec<Locations>>>,
    (limit, budget): (usize, &Budget),
) -> Result<Traces> {
    let thread_code = &code.threads[thread];
    let registers = thread_code.registers.len();
    let joins = if thread_code.scoped { thread_code.joins() } else { Vec::new() };
    let bytes = code.bytes.as_ref();
    let positions = thread_code.positions();
    // Most threads have a few steps, each with at most one event.
    let room = thread_code.steps.len().min(16);
    let mut runner = Runner {
        whole: code,
        code: thread_code,
        thread,
        reached,
        joins,
        positions,
        unordered: Unordered::of(thread_code),
        bytes,
        limit,
        budget,
        depth: 0,
        done: Traces::default(),
    };
    runner.run(State {
        at: 0,
        values: thread_code.registers.iter().map(|value| Value::Known(*value)).collect(),
        depends: vec![Depends::default(); registers],
        controls: Vec::new(),
        reservation: None,
        backward: Vec::new(),
        rounds: 0,
        trace: Trace {
            events: Vec::with_capacity(room),
            values: Vec::with_capacity(room),
            widths: Vec::with_capacity(room),
            bytes: code.bytes.clone(),
            addr: Vec::with_capacity(room),
            data: Vec::with_capacity(room),
            ctrl: Vec::with_capacity(room),
            rmw: Vec::new(),
            picks: Vec::new(),
            unordered: Vec::new(),
            registers: Vec::new(),
            nodes: Vec::with_capacity(room),
            assumptions: Vec::new(),
        },
    })?;
    Ok(runner.done)
}

struct Runner<'a> {
    whole: &'a Code,
    code: &'a CodeThread,
    thread: usize,
    /// The locations that each step may access, by thread.
    reached: &'a OnceCell<Vec<Vec<Locations>>>,
    joins: Vec<usize>,
    /// As [`CodeThread::positions`].
    positions: Vec<usize>,
    /// The accesses of one expression that have no order.
    unordered: Unordered,
    bytes: Option<&'a Bytes>,
    limit: usize,
    budget: &'a Budget,
    /// The number of states that wait for the end of another path.
    depth: usize,
    done: Traces,
}

/// The events that a value depends on.
#[derive(Debug, Clone, Copy, Default)]
struct Depends {
    /// The reads that the value is computed from.
    on: Set,
    /// The reads that only selected the value. After a compare-and-swap that succeeds, the register may hold the
    /// value that it held before. What depends on it is ordered as if a branch controlled it ("pick"
    /// dependencies of the Arm ARM, B2.3).
    picks: Set,
    /// The reads that a branch in front of the assignment depends on. A later branch on the value depends on them too; nothing
    /// else does. Without scopes they control what follows anyway.
    branches: Set,
    /// Whether the value is a constant only on this path, which made a choice: whether a store-conditional succeeds, or
    /// which value a conditional select takes.
    chosen: bool,
}

impl Depends {
    const NONE: Depends = Depends { on: Set::EMPTY, picks: Set::EMPTY, branches: Set::EMPTY, chosen: false };

    fn only(event: usize) -> Depends {
        Depends { on: only(event), ..Depends::NONE }
    }

    fn and(self, other: Depends) -> Depends {
        Depends {
            on: self.on | other.on,
            picks: self.picks | other.picks,
            branches: self.branches | other.branches,
            chosen: self.chosen || other.chosen,
        }
    }

    /// Of a value that this path chose.
    fn chosen(self) -> Depends {
        Depends { chosen: true, ..self }
    }
}

/// What a load-reserve leaves.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    /// The read.
    read: usize,
    /// What it read.
    place: Place,
    /// The dependencies of its address.
    addr: Depends,
}

/// What an update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It writes its new value.
    Writes,
    /// It does not write.
    Fails,
    /// It compared in vain, and writes what it has read. An Armv8 compare-and-swap may (Arm ARM, CAS; herdtools7's pull request 1095).
    WritesBack,
}

/// What an access reads or writes: a location, and the number of bytes from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    location: LocationId,
    width: usize,
}

impl Place {
    /// Whether another place is the beginning of this one, or this one.
    fn begins_with(self, other: Place) -> bool {
        self.location == other.location && other.width <= self.width
    }
}

#[derive(Clone)]
struct State {
    at: usize,
    values: Vec<Value>,
    /// The dependencies of each register's value.
    depends: Vec<Depends>,
    /// The events that control the following steps: a set for each step where such control ends.
    controls: Vec<(Set, usize)>,
    /// The labels that the path jumped backward to, in order, as far as that is counted.
    backward: Vec<LabelId>,
    /// How often the path jumped backward because constants say so.
    rounds: u64,
    /// That of the load-reserve whose store-conditional has not come yet.
    reservation: Option<Reservation>,
    trace: Trace,
}

impl State {
    /// The memory that the state takes, in bytes.
    fn bytes_held(&self) -> usize {
        let registers = self.values.len() * (size_of::<Value>() + size_of::<Depends>());
        let controls = self.controls.capacity() * size_of::<(Set, usize)>();
        size_of::<State>() + registers + controls + self.trace.bytes_held()
    }

    fn operand(&self, operand: Operand) -> (Value, Depends) {
        match operand {
            Operand::Register(register) => (self.values[register], self.depends[register]),
            Operand::Const(value) => (Value::Known(value), Depends::NONE),
        }
    }

    fn set(&mut self, register: RegisterId, value: Value, depends: Depends) {
        let branches = self.controls.iter().fold(depends.branches, |all, (set, _)| all | *set);
        self.values[register] = value;
        self.depends[register] = Depends { branches, ..depends };
    }

    fn node(&mut self, node: Node) -> Value {
        self.trace.nodes.push(node);
        Value::Node(self.trace.nodes.len() - 1)
    }

    fn wrap(&mut self, value: Value, ty: Type) -> Value {
        match value {
            Value::Known(value) => Value::Known(wrap(value, ty)),
            Value::Node(_) if ty.bits() >= 64 => value,
            Value::Node(node) => match self.trace.nodes[node] {
                Node::Wrap(_, held) | Node::Unary(_, _, held) | Node::Binary(_, _, _, held) if held == ty => value,
                Node::Modified(_, _, _, held) | Node::Extreme(_, _, _, held) if held == ty => value,
                _ => self.node(Node::Wrap(value, ty)),
            },
        }
    }

    fn binary(&mut self, op: Binary, left: Value, right: Value, ty: Type) -> Result<Value> {
        let zero = Value::Known(Const::Int(0));
        Ok(match (op, left, right) {
            (_, Value::Known(left), Value::Known(right)) => {
                Value::Known(wrap(binary(op, left, right, ty, self.trace.bytes.as_ref())?, ty))
            }
            // A false dependency: the value is 0 whatever was read.
            (Binary::Xor | Binary::Sub, left, right) if left == right => zero,
            (Binary::And | Binary::Mul, left, right) if left == zero || right == zero => zero,
            (Binary::Compare(compare), left, right) if left == right => {
                Value::Known(Const::Int(compare.holds(Ordering::Equal).into()))
            }
            (Binary::Add | Binary::Or, left, right) if right == zero => self.wrap(left, ty),
            (Binary::Add | Binary::Or, left, right) if left == zero => self.wrap(right, ty),
            _ => self.node(Node::Binary(op, left, right, ty)),
        })
    }

    /// Whether two values compare in this way; `None` if that depends on what is read.
    fn compares(&mut self, compare: Compare, left: Value, right: Value, ty: Type) -> Result<Option<bool>> {
        Ok(match self.binary(Binary::Compare(compare), left, right, ty)? {
            Value::Known(value) => Some(value != Const::Int(0)),
            Value::Node(_) => {
                // Nothing uses the expression.
                self.trace.nodes.pop();
                None
            }
        })
    }

    /// Assumes that two values compare in this way, or that they do not. Returns whether that is possible.
    fn assume(&mut self, compare: Compare, left: Value, right: Value, ty: Type, holds: bool) -> Result<bool> {
        Ok(match self.compares(compare, left, right, ty)? {
            Some(known) => known == holds,
            None => {
                self.trace.assumptions.push(Assumption::Compares { compare, left, right, ty, holds });
                true
            }
        })
    }

    /// Adds an event and returns its number.
    fn event(
        &mut self,
        thread: usize,
        (kind, width): (Kind, usize),
        tags: Tags,
        addr: Depends,
        data: Depends,
    ) -> usize {
        let ctrl = self.controls.iter().fold(addr.picks | data.picks, |all, (set, _)| all | *set);
        let event = self.trace.events.len();
        self.trace.events.push(Event { thread: Some(thread), kind, tags, step: self.at });
        self.trace.values.push(Value::Known(Const::Int(0)));
        self.trace.widths.push(width);
        self.trace.addr.push(addr.on);
        self.trace.data.push(data.on);
        self.trace.ctrl.push(ctrl);
        self.trace.picks.extend(data.picks.iter().map(|read| (read, event)));
        // A "pick" dependency on an address orders the access before all writes behind it, as a branch does.
        self.control(addr.picks, usize::MAX);
        event
    }

    fn fence(&mut self, thread: usize, tags: Tags) {
        self.event(thread, (Kind::Fence, 0), tags, Depends::NONE, Depends::NONE);
    }

    /// Adds a read; returns its number and the value that it reads.
    fn read(&mut self, thread: usize, place: Place, tags: Tags, addr: Depends) -> (usize, Value) {
        let kind = Kind::Read(place.location, Const::Int(0));
        let event = self.event(thread, (kind, place.width), tags, addr, Depends::NONE);
        let value = self.node(Node::Read(event));
        self.trace.values[event] = value;
        (event, value)
    }

    /// Adds a write and returns its number.
    fn write(&mut self, thread: usize, place: Place, value: Value, tags: Tags, addr: Depends, data: Depends) -> usize {
        let kind = Kind::Write(place.location, Const::Int(0));
        let event = self.event(thread, (kind, place.width), tags, addr, data);
        self.trace.values[event] = value;
        event
    }

    fn control(&mut self, on: Set, until: usize) {
        if on.is_empty() {
            return;
        }
        match self.controls.iter_mut().find(|(_, end)| *end == until) {
            Some((set, _)) => *set = *set | on,
            None => self.controls.push((on, until)),
        }
    }
}

impl Runner<'_> {
    /// Executes the step at `state.at`, which accesses memory, at each location that its address may be, and everything
    /// behind it.
    fn accesses(&mut self, state: State, address: Address) -> Result<()> {
        let register = match address {
            Address::Location(location) => return self.access(state, location, Depends::NONE),
            Address::Register(register) => register,
        };
        let depends = state.depends[register];
        match state.values[register] {
            Value::Known(Const::Address(location)) => self.access(state, location, depends),
            Value::Known(Const::Int(value)) => Err(no_location(&value.to_string())),
            value @ Value::Node(_) => {
                let (whole, bytes) = (self.whole, self.bytes);
                let reached = &self.reached.get_or_init(|| reach(whole))[self.thread][state.at];
                if reached.is_empty() {
                    return Err(no_location("that it reads"));
                }
                let width = self.width(state.at);
                let possible = |location: &LocationId| check_place(bytes, *location, width).is_ok();
                for location in reached.iter().filter(possible) {
                    let mut next = state.clone();
                    next.trace.assumptions.push(Assumption::Address(value, location, width));
                    self.first(&state, |runner| runner.access(next, location, depends))?;
                }
                Ok(())
            }
        }
    }

    /// Follows a path to its end while a state waits.
    fn first(&mut self, waiting: &State, follow: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let bytes = waiting.bytes_held();
        self.budget.take(bytes, "bytes for the ways to run")?;
        // The state was copied.
        self.budget.spend(bytes as u64 / 16)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let (what, most) = ("branches on one path", MAX_DEPTH as u64);
            return Err(ModelError::TooLong { what, count: self.depth as u64, most });
        }
        follow(self)?;
        self.depth -= 1;
        self.budget.give(bytes);
        Ok(())
    }

    /// Jumps to a label. `decided` says that constants decide a conditional jump. Returns false if the path jumps backward too
    /// often and is cut.
    fn jump(&mut self, state: &mut State, target: LabelId, decided: bool) -> Result<bool> {
        let position = self.positions.get(target).copied().unwrap_or(self.code.steps.len());
        if position <= state.at && decided {
            state.rounds += 1;
            if state.rounds > MOST_ROUNDS {
                let what = "rounds of a loop that constants decide";
                return Err(ModelError::TooLong { what, count: state.rounds, most: MOST_ROUNDS });
            }
        } else if position <= state.at {
            let jumps = state.backward.iter().filter(|known| **known == target).count();
            if jumps == BACKWARD {
                self.cut(state)?;
                return Ok(false);
            }
            state.backward.push(target);
        }
        state.at = position;
        Ok(true)
    }

    /// Keeps the beginning of a path that is cut, to see whether an execution begins so.
    fn cut(&mut self, state: &State) -> Result<()> {
        if self.done.cut.len() == MOST_CUT {
            self.done.more_cut = true;
            return Ok(());
        }
        let trace = Trace { registers: state.values.clone(), ..state.trace.clone() };
        self.budget.take(trace.bytes_held(), "bytes for the ways to run")?;
        self.done.cut.push(trace);
        Ok(())
    }

    fn run(&mut self, mut state: State) -> Result<()> {
        while state.at < self.code.steps.len() {
            self.budget.spend(1)?;
            if self.code.scoped {
                state.controls.retain(|(_, until)| state.at < *until);
            }
            let count = state.trace.events.len() + most_events(&self.code.steps[state.at]);
            if count > MAX_EVENTS {
                let count = count as u64;
                return Err(ModelError::TooLong { what: "events in one thread", count, most: MAX_EVENTS as u64 });
            }
            let code = self.code;
            match &code.steps[state.at] {
                Step::Read { address, .. }
                | Step::IsLocked { address, .. }
                | Step::GracePeriod { domain: address }
                | Step::Write { address, .. }
                | Step::Update(Update { address, .. })
                | Step::StoreConditional { address, .. } => {
                    return self.accesses(state, *address);
                }
                Step::Fence(tags) => state.fence(self.thread, *tags),
                Step::Move { dst, src, ty } => {
                    let (value, depends) = state.operand(*src);
                    let value = state.wrap(value, *ty);
                    state.set(*dst, value, depends);
                }
                Step::Unary { dst, op, src, ty } => {
                    let (value, depends) = state.operand(*src);
                    let value = match value {
                        Value::Known(value) => Value::Known(unary(*op, value, *ty)?),
                        Value::Node(_) => state.node(Node::Unary(*op, value, *ty)),
                    };
                    state.set(*dst, value, depends);
                }
                Step::Binary { dst, op, left, right, ty } => {
                    let ((left, on_left), (right, on_right)) = (state.operand(*left), state.operand(*right));
                    let value = state.binary(*op, left, right, *ty)?;
                    state.set(*dst, value, on_left.and(on_right));
                }
                Step::Select { dst, compare, left, right, ty, then, otherwise } => {
                    let ((left, on_left), (right, on_right)) = (state.operand(*left), state.operand(*right));
                    let picks = on_left.and(on_right);
                    let decided = state.compares(*compare, left, right, *ty)?.is_some() && !picks.chosen;
                    for (holds, chosen) in [(true, *then), (false, *otherwise)] {
                        let mut next = state.clone();
                        if next.assume(*compare, left, right, *ty, holds)? {
                            let (value, depends) = next.operand(chosen);
                            let chosen = depends.chosen || !decided;
                            let picks = depends.picks | picks.on | picks.picks;
                            next.set(*dst, value, Depends { picks, chosen, ..depends });
                            next.at += 1;
                            self.first(&state, |runner| runner.run(next))?;
                        }
                    }
                    return Ok(());
                }
                Step::Branch { compare, left, right, ty, target } => {
                    let ((left, on_left), (right, on_right)) = (state.operand(*left), state.operand(*right));
                    let until = if self.code.scoped { self.joins[state.at] } else { usize::MAX };
                    let on = on_left.and(on_right);
                    state.control(on.on | on.picks | on.branches, until);
                    match state.compares(*compare, left, right, *ty)? {
                        Some(true) => {
                            if !self.jump(&mut state, *target, !on.chosen)? {
                                return Ok(());
                            }
                            continue;
                        }
                        Some(false) => {}
                        None => {
                            let mut jumps = state.clone();
                            jumps.assume(*compare, left, right, *ty, true)?;
                            if self.jump(&mut jumps, *target, false)? {
                                self.first(&state, |runner| runner.run(jumps))?;
                            }
                            state.assume(*compare, left, right, *ty, false)?;
                        }
                    }
                }
                Step::Jump(target) => {
                    if !self.jump(&mut state, *target, false)? {
                        return Ok(());
                    }
                    continue;
                }
                Step::Label(_) => {}
            }
            state.at += 1;
        }
        state.trace.registers = state.values;
        state.trace.unordered = self.unordered.among(&state.trace.events);
        self.budget.take(state.trace.bytes_held(), "bytes for the ways to run")?;
        // Most threads have one path.
        self.done.whole.reserve_exact(usize::from(self.done.whole.is_empty()));
        self.done.whole.push(state.trace);
        let count = self.done.whole.len();
        if count > self.limit {
            return Err(ModelError::TooLarge { what: "ways for one thread to run", count: count as u64 });
        }
        Ok(())
    }

    /// The number of bytes that the step at `at` accesses.
    fn width(&self, at: usize) -> usize {
        access_type(&self.code.steps[at]).map_or(0, Type::bytes)
    }

    /// Executes the step at `state.at`, which accesses `location`, and everything behind it.
    fn access(&mut self, mut state: State, location: LocationId, addr: Depends) -> Result<()> {
        let thread = self.thread;
        let place = Place { location, width: self.width(state.at) };
        check_place(self.bytes, location, place.width)?;
        let code = self.code;
        match &code.steps[state.at] {
            Step::Read { dst, ty, tags, .. } => {
                let (event, value) = state.read(thread, place, *tags, addr);
                if tags.any(Tags::EXCLUSIVE) {
                    state.reservation = Some(Reservation { read: event, place, addr });
                }
                if let Some(dst) = dst {
                    let value = state.wrap(value, *ty);
                    state.set(*dst, value, Depends::only(event));
                }
            }
            Step::IsLocked { dst, .. } => {
                for held in [true, false] {
                    let mut next = state.clone();
                    let (event, value) = next.read(thread, place, if held { Tags::RL } else { Tags::RU }, addr);
                    let free = Value::Known(Const::Int(0));
                    if next.assume(Compare::Ne, value, free, Type::Spinlock, held)? {
                        next.set(*dst, Value::Known(Const::Int(held.into())), Depends::only(event).chosen());
                        next.at += 1;
                        self.first(&state, |runner| runner.run(next))?;
                    }
                }
                return Ok(());
            }
            Step::GracePeriod { .. } => {
                state.event(thread, (Kind::GracePeriod(location), 0), Tags::SYNC_SRCU, addr, Depends::NONE);
            }
            Step::Write { value, ty, tags, .. } => {
                let (value, data) = state.operand(*value);
                let value = state.wrap(value, *ty);
                state.write(thread, place, value, *tags, addr, data);
            }
            Step::StoreConditional { status, carries, value, ty, tags, .. } => {
                let (value, data) = state.operand(*value);
                let value = state.wrap(value, *ty);
                let reservation = state.reservation.take();
                let registers = match carries {
                    StatusOf::Registers => {
                        data.and(addr).and(reservation.map_or(Depends::NONE, |reservation| reservation.addr))
                    }
                    StatusOf::Nothing | StatusOf::Store => Depends::NONE,
                };
                let mut fails = state.clone();
                fails.set(*status, Value::Known(Const::Int(1)), registers.chosen());
                fails.at += 1;
                self.first(&state, |runner| runner.run(fails))?;
                // On RISC-V the manual lets a store to a part of what was read succeed ("Zalrsc"). As in herd7, one to
                // another address fails. On Armv8 and POWER a store of another size has no defined effect.
                let parts = self.bytes.is_some() && *carries == StatusOf::Store;
                let is_reserved = |held: &Reservation| held.place == place || parts && held.place.begins_with(place);
                let Some(Reservation { read, .. }) = reservation.filter(is_reserved) else {
                    return Ok(());
                };
                let write = state.write(thread, place, value, *tags, addr, data);
                state.trace.rmw.push((read, write));
                let depends = if *carries == StatusOf::Store { Depends::only(write) } else { registers };
                state.set(*status, Value::Known(Const::Int(0)), depends.chosen());
            }
            Step::Update(update) => {
                let conditional = !matches!(update.change, Change::Op(..) | Change::Extreme(..));
                // Behind an acquiring read nothing tells whether the value came from memory or from what was written back.
                let writes_back = update.picks && !update.failed.any(Tags::ACQUIRE);
                let outcomes: &[Outcome] = match (conditional && !update.until_done, writes_back) {
                    (false, _) => &[Outcome::Writes],
                    (true, false) => &[Outcome::Writes, Outcome::Fails],
                    (true, true) => &[Outcome::Writes, Outcome::Fails, Outcome::WritesBack],
                };
                if let [outcome] = outcomes {
                    return self.update(state, update, place, addr, *outcome);
                }
                for &outcome in outcomes {
                    let next = state.clone();
                    self.first(&state, |runner| runner.update(next, update, place, addr, outcome))?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        }
        state.at += 1;
        self.run(state)
    }

    /// Executes an update with this outcome.
    fn update(
        &mut self,
        mut next: State,
        update: &Update,
        place: Place,
        addr: Depends,
        outcome: Outcome,
    ) -> Result<()> {
        let (thread, ty, writes) = (self.thread, update.ty, outcome == Outcome::Writes);
        let tags = if writes { update.read } else { update.failed };
        let (read, found) = next.read(thread, place, tags, addr);
        let old = next.wrap(found, ty);
        // The new value, its dependencies, and the dependencies of the result besides the read.
        let (new, depends, kept) = match update.change {
            Change::Op(RmwOp::Xchg, operand) => {
                let (value, depends) = next.operand(operand);
                (next.wrap(value, ty), depends, Depends::NONE)
            }
            Change::Op(op, operand) => {
                let (value, depends) = next.operand(operand);
                let new = next.node(Node::Modified(op, old, value, ty));
                (new, depends.and(Depends::only(read)), depends)
            }
            Change::Extreme(keeps, operand) => {
                let (value, depends) = next.operand(operand);
                let new = next.node(Node::Extreme(keeps, old, value, ty));
                (new, depends.and(Depends::only(read)), depends)
            }
            Change::IfEqual { expected, new } => {
                let ((expected, kept), (new, depends)) = (next.operand(expected), next.operand(new));
                let expected = next.wrap(expected, ty);
                if !next.assume(Compare::Eq, old, expected, ty, writes)? {
                    return Ok(());
                }
                // What was compared selects whether the value is written, which goes on through memory.
                let selects = if update.picks { kept.on | kept.picks | only(read) } else { Set::EMPTY };
                // What is written back is what was read, and depends on nothing else.
                let (new, depends) = if writes { (next.wrap(new, ty), depends) } else { (old, Depends::NONE) };
                (new, Depends { picks: depends.picks | selects, ..depends }, kept)
            }
            Change::Unless { unwanted, amount } => {
                let ((unwanted, _), (amount, depends)) = (next.operand(unwanted), next.operand(amount));
                let unwanted = next.wrap(unwanted, ty);
                if !next.assume(Compare::Ne, old, unwanted, ty, writes)? {
                    return Ok(());
                }
                let new = next.node(Node::Modified(RmwOp::Add, old, amount, ty));
                (new, depends.and(Depends::only(read)), depends)
            }
        };
        if matches!(update.branch, BranchOn::Read | BranchOn::Both) {
            next.control(only(read), usize::MAX);
        }
        if outcome != Outcome::Fails {
            let write = next.write(thread, place, new, update.write, addr, depends);
            next.trace.rmw.push((read, write));
            if update.branch == BranchOn::Both {
                next.control(only(write), usize::MAX);
            }
        }
        if let (true, Some(fence)) = (writes, update.after) {
            next.fence(thread, fence);
        }
        if let Some(dst) = update.dst {
            let after = if writes { new } else { old };
            let zero = Value::Known(Const::Int(0));
            let value = match update.gives {
                UpdateResult::Old => old,
                UpdateResult::New => after,
                UpdateResult::NewIsZero => next.binary(Binary::Compare(Compare::Eq), after, zero, ty)?,
                UpdateResult::NewIsNegative => next.binary(Binary::Compare(Compare::Lt), after, zero, ty)?,
                UpdateResult::Done => Value::Known(Const::Int(writes.into())),
            };
            let depends = match (update.gives, writes && update.picks) {
                (_, true) => {
                    // The register may get what was read or keep what was compared, which are equal. If either depends on
                    // something, there are executions of both kinds.
                    if !(kept.on | kept.picks).is_empty() {
                        let mut gets = next.clone();
                        gets.set(dst, value, Depends::only(read));
                        gets.at += 1;
                        self.first(&next, |runner| runner.run(gets))?;
                    }
                    Depends { picks: kept.picks | only(read), ..kept }
                }
                (UpdateResult::Done, false) => Depends::only(read).chosen(),
                (UpdateResult::Old, false) => Depends::only(read),
                (_, false) => Depends::only(read).and(kept),
            };
            next.set(dst, value, depends);
        }
        next.at += 1;
        self.run(next)
    }
}

/// How many events a step adds at most.
fn most_events(step: &Step) -> usize {
    match step {
        Step::Move { .. } | Step::Unary { .. } | Step::Binary { .. } | Step::Select { .. } => 0,
        Step::Branch { .. } | Step::Jump(_) | Step::Label(_) => 0,
        Step::Read { .. } | Step::Write { .. } | Step::StoreConditional { .. } => 1,
        Step::IsLocked { .. } | Step::Fence(_) | Step::GracePeriod { .. } => 1,
        // Its halves, and the barrier behind.
        Step::Update(_) => 3,
    }
}

/// Checks that an access stays inside of a variable and is aligned.
///
/// # Errors
/// If it does not or is not.
pub(super) fn check_place(bytes: Option<&Bytes>, location: LocationId, width: usize) -> Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    let variable = bytes.variable(location);
    let from = location - variable.start;
    if location + width > variable.end {
        let message = format!(
            "an access to {width} bytes reaches {} bytes behind a variable of {} bytes (a variable without a declared \
             type is an int)",
            location + width - variable.end,
            variable.len()
        );
        return Err(ModelError::Unsupported(message));
    }
    if !from.is_multiple_of(width) {
        let message = format!("an access to {width} bytes at byte {from} of a variable is not aligned");
        return Err(ModelError::Unsupported(message));
    }
    Ok(())
}

fn only(event: usize) -> Set {
    let mut set = Set::EMPTY;
    set.insert(event);
    set
}

fn no_location(address: &str) -> ModelError {
    ModelError::Unsupported(format!(
        "the test accesses memory at the address {address}, which is not the address of a location"
    ))
}

fn computed_address() -> ModelError {
    ModelError::Unsupported("the test computes with an address, or moves it out of its variable".to_owned())
}

fn unary(op: Unary, value: Const, ty: Type) -> Result<Const> {
    let value = match (op, value) {
        (Unary::Negate, Const::Int(value)) => Const::Int(value.wrapping_neg()),
        (Unary::Invert, Const::Int(value)) => Const::Int(!value),
        (Unary::Not, value) => Const::Int((wrap(value, ty) == Const::Int(0)).into()),
        (_, Const::Address(_)) => return Err(computed_address()),
    };
    Ok(wrap(value, ty))
}

/// Converts a value to a type: truncates it and extends it by sign or by zeros.
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

/// Computes an operation. `bytes` says how far inside of a variable an address may move.
pub fn binary(op: Binary, left: Const, right: Const, ty: Type, bytes: Option<&Bytes>) -> Result<Const> {
    let moved = |location, distance: i64| {
        if distance == 0 {
            return Ok(Const::Address(location));
        }
        let target = bytes.and_then(|bytes| bytes.moved(location, distance));
        target.map(Const::Address).ok_or_else(computed_address)
    };
    let (a, b) = match (op, left, right) {
        (Binary::Compare(compare), _, _) => return Ok(Const::Int(compare_values(compare, left, right, ty)?.into())),
        // False dependencies.
        (Binary::Xor | Binary::Sub, left, right) if left == right => return Ok(Const::Int(0)),
        (Binary::And | Binary::Mul, _, Const::Int(0)) | (Binary::And | Binary::Mul, Const::Int(0), _) => {
            return Ok(Const::Int(0));
        }
        (Binary::Sub, Const::Address(_), Const::Int(0)) => return Ok(left),
        (Binary::Add | Binary::Or, Const::Address(_), Const::Int(0)) => return Ok(left),
        (Binary::Add | Binary::Or, Const::Int(0), Const::Address(_)) => return Ok(right),
        (Binary::Add, Const::Address(location), Const::Int(distance))
        | (Binary::Add, Const::Int(distance), Const::Address(location)) => return moved(location, distance),
        (Binary::Sub, Const::Address(location), Const::Int(distance)) => {
            return moved(location, distance.wrapping_neg());
        }
        (_, Const::Int(a), Const::Int(b)) => (a, b),
        _ => return Err(computed_address()),
    };
    let unsigned = wrap(left, ty.with_sign(false));
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
    Ok(compare.holds(order))
}
