//! Enumerates the candidate executions of a test and drops those that a model forbids as early as possible.
//!
//! A thread has a set of paths (traces): which accesses, barriers and dependencies there are, whatever the
//! values. For each choice of one path per thread, a candidate grows location by location: first an order of
//! the writes, then a source for each read. Values follow from the sources. A candidate ends when a value
//! contradicts an assumption of a path. A candidate that the model already forbids is not grown further. That
//! is sound, because the relations of every model only grow with the candidate.
//!
//! The model is asked where there is a choice ahead and more than a few candidates can follow, and at the end of
//! a candidate whose state is still wanted. This matters for a counter that all threads increment: there are as many candidates as orders of
//! the increments, and all of them end in the same state.
//!
//! A value may depend on itself: the source of a read depends on what is read. Such a value comes out of thin
//! air. Every constant of the test is tried for it.
//!
//! Not examined: values out of thin air that are not constants of the test.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::axioms::{self, Detail, Judge, Judgement, Warnings};
use super::budget::Budget;
use super::code::{Change, Code, Step};
use super::event::{Event, Kind, Tags};
use super::execution::{Cell, Execution, Part, Witness};
use super::flags::Flags;
use super::relation::{Relation, Set};
use super::trace::{Trace, Traces, Value, traces, wrap};
use super::values::Values;
use super::{Bounds, Model, ModelError, Result};
use crate::program::{Column, Const, LocationId, Operand, Prop};

/// All paths of all threads of a test, ready to be combined.
pub struct Search<'a> {
    code: &'a Code,
    bounds: Bounds,
    /// For each thread, its paths.
    traces: Vec<Traces>,
    /// The memory that the paths and the final states may take.
    budget: Budget,
    /// The values that are tried for a value that depends on itself.
    constants: OnceCell<Vec<Const>>,
    /// For each thread, an earlier thread with the same code, if exchanging the two changes no state.
    twins: Vec<Option<usize>>,
}

/// A complete candidate execution.
pub struct Candidate<'c> {
    /// The events; the values in them are all 0. [`Candidate::events`] gives the real values.
    pub execution: &'c Execution,
    /// The source of each read, and the orders of the writes.
    pub witness: &'c Witness,
    /// The values of the columns at the end.
    pub state: &'c [Const],
    /// Whether a value in it depends on itself.
    pub thin_air: bool,
    /// What the model warns about in it.
    pub flags: Flags,
    values: &'c dyn Fn(usize) -> Option<Const>,
}

impl Candidate<'_> {
    /// The events with their real values.
    pub fn events(&self) -> Vec<Event> {
        let own = |(number, event): (usize, &Event)| {
            let value = (self.values)(number).unwrap_or(Const::Int(0));
            let kind = match event.kind {
                Kind::Read(location, _) => Kind::Read(location, value),
                Kind::Write(location, _) => Kind::Write(location, value),
                Kind::Fence | Kind::GracePeriod(_) => event.kind,
            };
            Event { kind, ..*event }
        };
        self.execution.events.iter().enumerate().map(own).collect()
    }
}

/// Receives the complete candidates.
pub trait Visitor {
    /// Whether a candidate that ends in this state is still of interest. Called before the model is asked.
    fn wants(&self, state: &[Const], thin_air: bool) -> bool;
    /// Whether a candidate that ends in this state is of interest for warnings that it may have.
    fn wants_flags(&self, _state: &[Const], _flags: Flags) -> bool {
        false
    }
    /// Takes an allowed candidate; breaks when it needs no more.
    fn take(&mut self, candidate: Candidate<'_>) -> ControlFlow<()>;
}

impl<'a> Search<'a> {
    /// Computes the paths of each thread.
    ///
    /// # Errors
    /// If a thread has too many paths, or the test does something that cannot be followed.
    pub fn new(code: &'a Code, bounds: Bounds) -> Result<Search<'a>> {
        let budget = Budget::new(bounds.bytes, bounds.operations);
        let reached = OnceCell::new();
        let traces = (0..code.threads.len()).map(|thread| traces(code, thread, &reached, (bounds.traces, &budget)));
        let traces = traces.collect::<Result<Vec<_>>>()?;
        Ok(Search { code, bounds, traces, budget, constants: OnceCell::new(), twins: twins(code) })
    }

    /// The memory that the search may hold.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Sets the largest number of search steps of the next run.
    pub fn limit(&mut self, candidates: u64) {
        self.bounds.candidates = candidates;
    }

    /// Whether a loop was followed only so often, so that executions that `model` allows may be missing: it allows one that
    /// begins like a path that was cut. Also if that is too much to find out.
    pub fn cuts_loops(&self, model: Model) -> bool {
        /// Breaks at the first execution.
        struct Any;
        impl Visitor for Any {
            fn wants(&self, _: &[Const], _: bool) -> bool {
                true
            }
            fn take(&mut self, _: Candidate<'_>) -> ControlFlow<()> {
                ControlFlow::Break(())
            }
        }
        if self.traces.iter().any(|traces| traces.more_cut) {
            return true;
        }
        self.budget.restart();
        let cut = (0..self.traces.len()).filter(|thread| !self.traces[*thread].cut.is_empty());
        // Each choice with a cut path is looked at once: for its first thread with one.
        cut.into_iter().any(|first| {
            let lists = self.traces.iter().enumerate().map(|(thread, Traces { whole, cut, .. })| {
                let none: &[Trace] = &[];
                match thread.cmp(&first) {
                    Ordering::Less => [whole.as_slice(), none],
                    Ordering::Equal => [none, cut.as_slice()],
                    Ordering::Greater => [whole.as_slice(), cut.as_slice()],
                }
            });
            let twins = vec![None; self.traces.len()];
            let found = self.combine((&lists.collect::<Vec<_>>(), &twins), Some(model), true, &mut Any);
            found.map_or(true, |(flow, _)| flow.is_break())
        })
    }

    /// Grows all candidates that `model` allows, or all candidates if it is `None`. Returns the number of
    /// steps. With `coherent`, only candidates are made that are sequentially consistent per location and in
    /// which no write comes between the halves of a read-modify-write. Candidates that differ only by
    /// exchanging two threads with the same code are made once.
    ///
    /// # Errors
    /// If there are more steps than the bounds allow, or an execution has too many events, or the test does
    /// something that cannot be followed.
    pub fn run(&self, model: Option<Model>, coherent: bool, visitor: &mut dyn Visitor) -> Result<u64> {
        self.budget.restart();
        let lists: Vec<[&[Trace]; 2]> = self.traces.iter().map(|traces| [traces.whole.as_slice(), &[]]).collect();
        self.combine((&lists, &self.twins), model, coherent, visitor).map(|(_, steps)| steps)
    }

    /// What each column shows at the end. None if at most [`MANY`] candidates can follow, or if what is dropped for its final state may
    /// be an error: it computes with an address, or values are divided into bytes.
    fn ends(&self, execution: &Execution, traces: &[&Trace], candidates: u64) -> Vec<End> {
        let has_addresses = || {
            let constants = self.constants.get_or_init(|| constants(self.code));
            constants.iter().any(|value| matches!(value, Const::Address(_)))
        };
        if candidates <= MANY
            || self.code.bytes.is_some()
            || traces.iter().any(|trace| trace.computes()) && has_addresses()
        {
            return Vec::new();
        }
        let read = |thread: usize, place: usize| {
            let is_it = |(event, part): (&Event, &Part)| event.thread == Some(thread) && part.place == place;
            execution.events.iter().zip(&execution.parts).position(is_it)
        };
        let end = |column: &Column| match *column {
            Column::Location(location) => End::Of(location),
            Column::Register { thread, register } => {
                let value = traces[thread].registers[register];
                let copied = traces[thread].copied(value).and_then(|place| read(thread, place));
                End::Register { thread, value, read: copied }
            }
        };
        self.code.columns.iter().map(end).collect()
    }

    /// As [`Search::run`], with these paths of each thread, in two lists. Also returns whether the visitor needs no more.
    fn combine(
        &self,
        (lists, twins): (&[[&[Trace]; 2]], &[Option<usize>]),
        model: Option<Model>,
        coherent: bool,
        visitor: &mut dyn Visitor,
    ) -> Result<(ControlFlow<()>, u64)> {
        let mut steps = 0;
        let mut pick = vec![0; lists.len()];
        let counts: Vec<usize> = lists.iter().map(|[first, second]| first.len() + second.len()).collect();
        if counts.contains(&0) {
            return Ok((ControlFlow::Continue(()), 0));
        }
        loop {
            self.budget.spend(lists.len() as u64)?;
            let in_order = |(thread, twin): (usize, &Option<usize>)| twin.is_none_or(|twin| pick[twin] <= pick[thread]);
            if twins.iter().enumerate().all(in_order) {
                let picked = pick.iter().zip(lists);
                let traces: Vec<&Trace> = picked
                    .map(|(at, [first, second])| first.get(*at).unwrap_or_else(|| &second[*at - first.len()]))
                    .collect();
                let execution = Execution::new(self.code, &traces)?;
                self.budget.spend(pairs(&execution))?;
                if let Some(model) = model {
                    axioms::refuse(model, self.code, &execution)?;
                }
                let twins = (twins.iter().enumerate())
                    .filter_map(|(thread, twin)| twin.filter(|twin| pick[*twin] == pick[thread]).map(|t| (t, thread)));
                let domains = domains(&execution);
                let values = Values::new(&traces)?;
                let dependencies = dependencies(&execution, &traces);
                let undivided =
                    model.map_or_else(|| execution.rmw.clone(), |model| axioms::undivided(model, &execution));
                let mut locations = order_of_locations(&execution, domains, |_| 0);
                let mut candidates = most_candidates(&execution, &locations);
                if candidates[0] > MANY {
                    let distances = distances(self.code, &execution, &traces);
                    locations = order_of_locations(&execution, domains, |location| distances[location]);
                    candidates = most_candidates(&execution, &locations);
                }
                let mut growth = Growth {
                    code: self.code,
                    initial: initial(self.code, &execution)?,
                    start: values.clone(),
                    values,
                    circular: !dependencies.to(execution.w).is_empty(),
                    dependencies,
                    settled: (execution.iw - domains).len(),
                    ends: self.ends(&execution, &traces, candidates[0]),
                    candidates,
                    locations,
                    halves: halves(&undivided, execution.events.len()),
                    fits: Vec::new(),
                    source: vec![None; execution.events.len()],
                    waiting: Set::EMPTY,
                    orders: vec![Vec::new(); execution.cells.len()],
                    chosen: Vec::new(),
                    state: Vec::with_capacity(self.code.columns.len()),
                    options: Vec::new(),
                    twins: twins.collect(),
                    search: self,
                    traces: &traces,
                    execution: &execution,
                    witness: Witness::empty(execution.events.len()),
                    coherent,
                    undivided,
                    judge: model.map(|model| axioms::judge(model, &execution)),
                    locks: Set::EMPTY,
                    warnings: model.map(|model| axioms::warnings(model, &execution)).unwrap_or_default(),
                    visitor,
                    steps: &mut steps,
                };
                growth.leave_out_unchanged();
                growth.find_final_locks(model);
                let flow = growth.all()?;
                drop(growth);
                if flow.is_break() {
                    return Ok((flow, steps));
                }
            }
            let Some(digit) = (0..pick.len()).find(|at| pick[*at] + 1 < counts[*at]) else {
                return Ok((ControlFlow::Continue(()), steps));
            };
            pick[digit] += 1;
            pick[..digit].fill(0);
        }
    }
}

/// The number of pairs of events. An operation on a relation, and so a judgement, takes about so many operations.
fn pairs(execution: &Execution) -> u64 {
    let events = execution.events.len() as u64;
    events * events
}

/// The constants of a test: those in its initial values, its instructions, its condition and its filter.
fn constants(code: &Code) -> Vec<Const> {
    fn of_prop(prop: &Prop, out: &mut BTreeSet<Const>) {
        match prop {
            Prop::Const(_) | Prop::Same(..) => {}
            Prop::Equal { value, .. } => {
                out.insert(*value);
            }
            Prop::Not(inner) => of_prop(inner, out),
            Prop::And(left, right) | Prop::Or(left, right) => {
                of_prop(left, out);
                of_prop(right, out);
            }
        }
    }
    let mut all: BTreeSet<Const> = code.init.iter().copied().collect();
    for thread in &code.threads {
        all.extend(&thread.registers);
        for step in &thread.steps {
            let operands = match step {
                Step::Write { value, .. } | Step::StoreConditional { value, .. } => [Some(*value), None],
                Step::Update(update) => match update.change {
                    Change::Op(_, operand) | Change::Extreme(_, operand) => [Some(operand), None],
                    Change::IfEqual { expected, new } => [Some(expected), Some(new)],
                    Change::Unless { unwanted, amount } => [Some(unwanted), Some(amount)],
                },
                Step::Move { src, .. } | Step::Unary { src, .. } => [Some(*src), None],
                Step::Binary { left, right, .. } | Step::Branch { left, right, .. } => [Some(*left), Some(*right)],
                Step::Select { then, otherwise, .. } => [Some(*then), Some(*otherwise)],
                Step::Read { .. } | Step::IsLocked { .. } | Step::GracePeriod { .. } => [None, None],
                Step::Fence(_) | Step::Jump(_) | Step::Label(_) => [None, None],
            };
            all.extend(operands.into_iter().flatten().filter_map(|operand| match operand {
                Operand::Const(value) => Some(value),
                Operand::Register(_) => None,
            }));
        }
    }
    of_prop(&code.condition, &mut all);
    if let Some(filter) = &code.filter {
        of_prop(filter, &mut all);
    }
    all.into_iter().collect()
}

/// For each thread, the nearest earlier thread with the same code. Threads whose registers the condition
/// names have none.
fn twins(code: &Code) -> Vec<Option<usize>> {
    let watched =
        |thread: usize| code.columns.iter().any(|c| matches!(c, Column::Register { thread: t, .. } if *t == thread));
    let same = |a: usize, b: usize| {
        let (a, b) = (&code.threads[a], &code.threads[b]);
        (&a.registers, &a.steps, a.scoped, &a.expressions) == (&b.registers, &b.steps, b.scoped, &b.expressions)
    };
    let earlier = |thread: usize| (0..thread).rev().find(|other| !watched(*other) && same(*other, thread));
    (0..code.threads.len()).map(|thread| if watched(thread) { None } else { earlier(thread) }).collect()
}

/// The SRCU domains whose sections the execution has.
fn domains(execution: &Execution) -> Set {
    execution.cells_of(execution.tagged(Tags::SRCU_LOCK | Tags::SRCU_UNLOCK))
}

/// Locations with read-modify-writes come first: locks allow few orders, and those orders settle the most. SRCU domains come
/// last: no column shows their values, so most candidates can be dropped before.
fn order_of_locations(execution: &Execution, domains: Set, distance: impl Fn(LocationId) -> usize) -> Vec<LocationId> {
    let halves = execution.rmw.range();
    let mut locations: Vec<LocationId> = execution.iw.iter().collect();
    locations.sort_unstable_by_key(|location| {
        let own = execution.loc.row(*location);
        let updates = (own & halves).len();
        (domains.has(*location), std::cmp::Reverse(updates), own.len(), distance(*location), *location)
    });
    locations
}

/// For each location, over how many other locations its values reach the final state; `usize::MAX` if they do not.
fn distances(code: &Code, execution: &Execution, traces: &[&Trace]) -> Vec<usize> {
    let mut distances = vec![usize::MAX; execution.cells.len()];
    // The locations whose distance is known, and which were not looked at.
    let mut next = Vec::new();
    let mut reads = Set::EMPTY;
    for column in &code.columns {
        match *column {
            Column::Register { thread, register } => {
                reads = reads | reads_of(execution, traces, thread, traces[thread].registers[register]);
            }
            Column::Location(location) => next.extend(
                (execution.cells.iter())
                    .position(|cell| (cell.location..cell.location + cell.bytes.max(1)).contains(&location)),
            ),
        }
    }
    let mut distance = 0;
    while !next.is_empty() || !reads.is_empty() {
        next.extend(execution.cells_of(reads).iter());
        next.retain(|location| distances[*location] == usize::MAX);
        next.iter().for_each(|location| distances[*location] = distance);
        let writes = next.drain(..).fold(Set::EMPTY, |all, location| all | execution.loc.row(location)) & execution.w;
        reads = writes.iter().fold(Set::EMPTY, |all, write| match execution.events[write].thread {
            Some(thread) => {
                let value = traces[thread].values[execution.parts[write].place];
                all | reads_of(execution, traces, thread, value)
            }
            None => all,
        });
        distance += 1;
    }
    distances
}

/// The events of a thread whose values a value is computed from.
fn reads_of(execution: &Execution, traces: &[&Trace], thread: usize, value: Value) -> Set {
    let places = traces[thread].reads_of(value);
    let mut reads = Set::EMPTY;
    for (number, (event, part)) in execution.events.iter().zip(&execution.parts).enumerate() {
        if event.thread == Some(thread) && places.has(part.place) {
            reads.insert(number);
        }
    }
    reads
}

/// For each location, and behind the last, an upper bound of the number of candidates that it and those behind it make: the
/// orders of the writes to each, and the sources of each read.
fn most_candidates(execution: &Execution, locations: &[LocationId]) -> Vec<u64> {
    let mut most = vec![1_u64; locations.len() + 1];
    for (at, location) in locations.iter().enumerate().rev() {
        let own = execution.loc.row(*location);
        let (writes, reads) = ((own & execution.w).len() as u64, (own & execution.r).len() as u32);
        let orders = (1..writes).fold(1, u64::saturating_mul);
        most[at] = most[at + 1].saturating_mul(orders).saturating_mul(writes.saturating_pow(reads));
    }
    most
}

/// The initial value of each cell.
fn initial(code: &Code, execution: &Execution) -> Result<Vec<Const>> {
    execution.cells.iter().map(|cell| initial_bytes(code, cell.location, cell.bytes.max(1))).collect()
}

/// The initial value of some bytes. If locations are not bytes, that of one location.
fn initial_bytes(code: &Code, first: LocationId, count: usize) -> Result<Const> {
    let init = &code.init[first..first + count];
    if code.bytes.is_none() {
        return Ok(init[0]);
    }
    // An address is the initial value of its first byte; the others have none of their own.
    match (init[0], count) {
        (Const::Address(_), 8) => Ok(init[0]),
        (Const::Address(_), _) => Err(torn_address()),
        _ => compose(init.iter().zip((0..).step_by(8)).map(|(byte, shift)| (*byte, shift, 8))),
    }
}

/// Puts a value together from parts, each with its lowest bit and its number of bits.
fn compose(parts: impl Iterator<Item = (Const, u32, u32)>) -> Result<Const> {
    let mut all = 0;
    for (part, shift, bits) in parts {
        let Const::Int(value) = part else { return Err(torn_address()) };
        all |= low_bits(value, bits) << shift;
    }
    Ok(Const::Int(all.cast_signed()))
}

/// The part of a value that an event stands for.
fn part_of(value: Const, part: &Part) -> Result<Const> {
    match value {
        value if part.bits == 0 => Ok(value),
        Const::Int(value) => Ok(Const::Int(low_bits(value >> part.shift, part.bits).cast_signed())),
        Const::Address(_) if part.count == 1 => Ok(value),
        Const::Address(_) => Err(torn_address()),
    }
}

fn low_bits(value: i64, bits: u32) -> u64 {
    value.cast_unsigned() & (u64::MAX >> (64 - bits))
}

fn torn_address() -> ModelError {
    ModelError::Unsupported("the test reads or writes only some bytes of an address".to_owned())
}

/// The dependencies that carry values, without false ones: `(r0 ^ r0) + 1` depends on nothing.
fn dependencies(execution: &Execution, traces: &[&Trace]) -> Relation {
    let Execution { events, parts, w, addr, data, ctrl, .. } = execution;
    let computed = |write: &usize| {
        let value = events[*write].thread.map(|thread| traces[thread].values[parts[*write].place]);
        matches!(value, Some(Value::Node(_)))
    };
    let mut real = Set::EMPTY;
    w.iter().filter(computed).for_each(|write| real.insert(write));
    ((data >> real) | addr) | ctrl
}

/// For each write of a read-modify-write, the read.
fn halves(rmw: &Relation, events: usize) -> Vec<Option<usize>> {
    let mut halves = vec![None; events];
    for (read, write) in rmw.pairs() {
        halves[write] = Some(read);
    }
    halves
}

/// The value that an event reads or writes, if it is known; the second part of `known` has the initial values.
fn value_in(execution: &Execution, (known, initial): (&Values<'_>, &[Const]), event: usize) -> Result<Option<Const>> {
    let Some(thread) = execution.events[event].thread else { return Ok(Some(initial[event])) };
    let part = &execution.parts[event];
    known.of_event(thread, part.place).map(|value| part_of(value, part)).transpose()
}

/// So few candidates are made without asking whether what they have in common is allowed. Found by counting instructions for
/// 2,470 tests of the kernel's model on x86-64: from 32 to 512 all take about the same, 0 takes a sixth more and 4096 a tenth more.
const FEW: u64 = 64;

/// A step takes about so many operations, besides the values that it computes and the judgements.
const STEP: u64 = 16;

/// If more candidates may follow, the order of the locations is chosen with care, and candidates are dropped for their final states.
/// Fewer are enumerated in less time than that takes.
const MANY: u64 = 10_000;

struct Growth<'g, 'v> {
    search: &'g Search<'g>,
    code: &'g Code,
    execution: &'g Execution,
    traces: &'g [&'g Trace],
    /// Pairs of threads that are exchangeable in this choice of paths, the earlier thread first.
    twins: Vec<(usize, usize)>,
    /// The initial values of the cells.
    initial: Vec<Const>,
    /// The values that are known before any source is chosen.
    start: Values<'g>,
    /// The dependencies that carry values.
    dependencies: Relation,
    /// Whether a value may depend on itself at all: a dependency leads to a write.
    circular: bool,
    locations: Vec<LocationId>,
    /// For each place in `locations`, how many candidates its orders and sources, and those of the locations behind it, make at most.
    candidates: Vec<u64>,
    /// The number of locations at the start of `locations` that are no SRCU domains.
    settled: usize,
    /// What each column shows at the end, in values of events. Empty if candidates must not be dropped for their final states.
    ends: Vec<End>,
    /// The read-modify-writes that no write of another thread may divide, and the read of each write of one.
    undivided: Relation,
    halves: Vec<Option<usize>>,
    /// Whether a read may get its value from a write at all, by write and read. `None` if not computed yet.
    fits: Vec<Option<bool>>,
    coherent: bool,
    /// The cells that are locks, in the kernel's model.
    locks: Set,
    judge: Option<Judge<'g>>,
    warnings: Warnings,
    visitor: &'g mut (dyn Visitor + 'v),
    steps: &'g mut u64,

    // The candidate that is growing. What a function adds, it takes away before it returns.
    witness: Witness,
    values: Values<'g>,
    /// The source of each read, as far as chosen.
    source: Vec<Option<usize>>,
    /// The accesses with a source whose values are not known yet; each by its first event.
    waiting: Set,
    /// The order of the writes to each location, as far as chosen.
    orders: Vec<Vec<usize>>,
    /// The reads with a source, in the order of the choices, each with the place of its source in the order of its location.
    chosen: Vec<(usize, usize)>,
    /// Room for a final state.
    state: Vec<Const>,
    /// Room for the values that each column may have at the end.
    options: Vec<Vec<Const>>,
}

/// What a column shows at the end.
enum End {
    /// The last value of a location.
    Of(LocationId),
    /// A value of a thread, and the read that it is a copy of, if it is one.
    Register { thread: usize, value: Value, read: Option<usize> },
}

impl Growth<'_, '_> {
    fn all(&mut self) -> Result<ControlFlow<()>> {
        self.location(0, false)
    }

    /// Leaves out the SRCU sections whose unlock gets the index that its lock read, unchanged.
    fn leave_out_unchanged(&mut self) {
        let (execution, traces, parts) = (self.execution, self.traces, &self.execution.parts);
        self.warnings.sections.retain(|(lock, unlock)| {
            let trace = execution.events[*unlock].thread.map(|thread| traces[thread]);
            !trace.is_some_and(|trace| trace.copies(parts[*lock].place, parts[*unlock].place))
        });
    }

    /// Finds the locks whose final values are asked for. In the kernel's model they have none; herd7 prints 0.
    fn find_final_locks(&mut self, model: Option<Model>) {
        if model != Some(Model::Lkmm) {
            return;
        }
        let execution = self.execution;
        self.locks = execution.locks();
        let domains = execution.cells_of(execution.tagged(Tags::OF_SRCU));
        let asked =
            |column: &Column| matches!(column, Column::Location(location) if (self.locks | domains).has(*location));
        let warned = Flags::LOCK_FINAL.when(self.code.columns.iter().any(asked));
        self.warnings.certain = self.warnings.certain | warned;
    }

    /// Asks the model whether the candidate is still allowed, if it has grown since the last time. Does not ask if at most [`FEW`]
    /// candidates can follow.
    fn may_grow(&self, grown: &mut bool, candidates: u64) -> Result<bool> {
        Ok(candidates <= FEW || !std::mem::replace(grown, false) || !self.is_forbidden()?)
    }

    fn is_forbidden(&self) -> Result<bool> {
        Ok(matches!(self.judged()?, Some(Judgement::Forbidden(_))))
    }

    /// What the model says about the candidate; `None` without a model.
    fn judged(&self) -> Result<Option<Judgement>> {
        let Some(judge) = &self.judge else { return Ok(None) };
        self.search.budget.spend(pairs(self.execution))?;
        Ok(Some(judge(&self.witness, Detail::Verdict)))
    }

    fn step(&mut self) -> Result<()> {
        self.search.budget.spend(STEP)?;
        *self.steps += 1;
        if *self.steps > self.search.bounds.candidates {
            return Err(ModelError::TooLarge { what: "partial executions", count: *self.steps });
        }
        Ok(())
    }

    /// The value that an event reads or writes, if it is known.
    fn value_in(&self, event: usize, values: &Values<'_>) -> Result<Option<Const>> {
        value_in(self.execution, (values, &self.initial), event)
    }

    fn value(&self, event: usize) -> Result<Option<Const>> {
        self.value_in(event, &self.values)
    }

    /// The value that an access reads, whose first event is `read`, if the sources of all its events are chosen and
    /// their values are known.
    fn sourced(&self, read: usize) -> Result<Option<Const>> {
        let parts = &self.execution.parts;
        if parts[read].count == 1 {
            return self.source[read].map_or(Ok(None), |source| self.value(source));
        }
        let mut values = Vec::with_capacity(parts[read].count);
        for part in &parts[read..read + parts[read].count] {
            let Some(source) = self.source[read + part.index] else { return Ok(None) };
            let Some(value) = self.value(source)? else { return Ok(None) };
            values.push((value, part.shift, part.bits));
        }
        compose(values.into_iter()).map(Some)
    }

    /// Derives all values that follow from the sources chosen so far. Returns false if one contradicts an
    /// assumption of a path.
    fn settle(&mut self) -> Result<bool> {
        loop {
            let mut news = Set::EMPTY;
            for read in self.waiting.iter() {
                let Some(value) = self.sourced(read)? else { continue };
                let Some(thread) = self.execution.events[read].thread else { continue };
                self.waiting.remove(read);
                if self.values.learn(thread, self.execution.parts[read].place, value) {
                    news.insert(thread);
                }
            }
            if news.is_empty() {
                return Ok(true);
            }
            for thread in news.iter() {
                self.search.budget.spend(self.values.cost(thread))?;
                if !self.values.compute(thread)? {
                    return Ok(false);
                }
            }
        }
    }

    /// Whether a read may get its value from a write, whatever the other reads return.
    fn fits(&mut self, write: usize, read: usize) -> Result<bool> {
        if self.execution.parts[read].count > 1 {
            return Ok(true);
        }
        let count = self.execution.events.len();
        self.fits.resize(count * count, None);
        if let Some(known) = self.fits[write * count + read] {
            return Ok(known);
        }
        let mut fits = true;
        if let (Some(value), Some(thread)) = (self.value_in(write, &self.start)?, self.execution.events[read].thread) {
            let mark = self.start.mark();
            self.start.learn(thread, self.execution.parts[read].place, value);
            fits = self.start.compute(thread)?;
            self.start.forget(mark);
        }
        self.fits[write * count + read] = Some(fits);
        Ok(fits)
    }

    fn location(&mut self, at: usize, grown: bool) -> Result<ControlFlow<()>> {
        let Some(&location) = self.locations.get(at) else { return self.finish(grown) };
        if at == self.settled && self.is_unwanted()? || self.candidates[at] > FEW && self.leads_nowhere(at)? {
            return Ok(ControlFlow::Continue(()));
        }
        let mut writes = self.execution.loc.row(location) & self.execution.w;
        writes.remove(location);
        self.orders[location].clear();
        self.orders[location].push(location);
        self.order(at, location, writes, grown)
    }

    /// Whether every state in which a candidate that grows from this one may end is known already, and not wanted. `at` is the place
    /// of the first location without an order. False if that is too much to find out.
    fn leads_nowhere(&mut self, at: usize) -> Result<bool> {
        if self.ends.is_empty() {
            return Ok(false);
        }
        let mut options = std::mem::take(&mut self.options);
        options.resize(self.ends.len(), Vec::new());
        let mut states = 1;
        let mut known = true;
        for (column, options) in options.iter_mut().enumerate() {
            options.clear();
            known = self.put_options(column, at, options)?;
            states *= options.len() as u64;
            if !known || states > FEW {
                known = false;
                break;
            }
        }
        if known {
            self.search.budget.spend(states * options.len() as u64)?;
        }
        let nowhere = known && self.is_each_unwanted(&options, states);
        self.options = options;
        Ok(nowhere)
    }

    /// Puts the values that a column may have at the end into `options`. Returns false if one is not known.
    fn put_options(&self, column: usize, at: usize, options: &mut Vec<Const>) -> Result<bool> {
        let Execution { loc, po, w, .. } = self.execution;
        let ty = self.code.types.get(column);
        let mut put = |value: Const| {
            let value = ty.map_or(value, |ty| wrap(value, *ty));
            if !options.contains(&value) {
                options.push(value);
            }
        };
        match self.ends[column] {
            End::Register { thread, value, read } => {
                if let Some(value) = self.values.of(thread, value) {
                    put(value);
                    return Ok(true);
                }
                let Some(read) = read else { return Ok(false) };
                for write in (loc.row(read) & *w).iter() {
                    let Some(from) = self.value(write)? else { return Ok(false) };
                    put(self.traces[thread].converted(value, from));
                }
            }
            End::Of(location) if self.locks.has(location) => put(Const::Int(0)),
            End::Of(location) if self.locations[..at].contains(&location) => {
                let Some(value) = self.value(*self.orders[location].last().unwrap_or(&location))? else {
                    return Ok(false);
                };
                put(value);
            }
            End::Of(location) => {
                let writes = loc.row(location) & *w;
                // The initial write is the last one only if there is no other, and no write is in front of one that its thread did before.
                let is_last = |write: &usize| {
                    (*write != location || writes.len() == 1)
                        && !(self.coherent && writes.iter().any(|other| po.has(*write, other)))
                };
                for write in writes.iter().filter(is_last) {
                    let Some(value) = self.value(write)? else { return Ok(false) };
                    put(value);
                }
            }
        }
        Ok(true)
    }

    /// Whether no state is wanted that has one of these options in each column; there are so many `states`.
    fn is_each_unwanted(&mut self, options: &[Vec<Const>], states: u64) -> bool {
        let mut state = std::mem::take(&mut self.state);
        let unwanted = (0..states as usize).all(|mut number| {
            state.clear();
            for options in options {
                state.push(options[number % options.len()]);
                number /= options.len();
            }
            !self.wants(&state, false)
        });
        self.state = state;
        unwanted
    }

    /// Whether the candidate's final state is known and not wanted.
    fn is_unwanted(&mut self) -> Result<bool> {
        let mut state = std::mem::take(&mut self.state);
        let unwanted = self.put_state(&mut state)? && !self.wants(&state, false);
        self.state = state;
        Ok(unwanted)
    }

    /// Tries every possible order of the writes to a location. `writes` are those that have no place yet.
    fn order(&mut self, at: usize, location: LocationId, writes: Set, mut grown: bool) -> Result<ControlFlow<()>> {
        self.step()?;
        let placed = self.orders[location].len();
        if writes.is_empty() {
            self.witness.order(&self.orders[location]);
            let reads = self.execution.loc.row(location) & self.execution.r;
            let flow = self.sources((at, location), reads, self.chosen.len(), grown || placed > 2)?;
            self.witness.forget_order(&self.orders[location]);
            return Ok(flow);
        }
        if placed == 1 && writes.len() > 1 && !self.may_grow(&mut grown, self.candidates[at])? {
            return Ok(ControlFlow::Continue(()));
        }
        for write in writes.iter() {
            if !self.may_follow(at, location, write, writes)? {
                continue;
            }
            let mut left = writes;
            left.remove(write);
            self.orders[location].push(write);
            let flow = self.order(at, location, left, grown)?;
            self.orders[location].pop();
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a write may be the next in the order of its location. `writes` are those that have no place yet.
    fn may_follow(&mut self, at: usize, location: LocationId, write: usize, writes: Set) -> Result<bool> {
        let Execution { po, events, .. } = self.execution;
        // Of two threads with the same code, the earlier one writes first at the first location that they
        // write.
        let thread = events[write].thread;
        let is_first = |thread| !self.orders[location].iter().any(|other| events[*other].thread == Some(thread));
        let behind = self.twins.iter().any(|(twin, own)| {
            let first_here = self.locations[..at]
                .iter()
                .all(|location| !self.orders[*location].iter().any(|write| events[*write].thread == Some(*own)));
            Some(*own) == thread && first_here && is_first(*twin)
        });
        if behind {
            return Ok(false);
        }
        if !self.coherent {
            return Ok(true);
        }
        if writes.iter().any(|other| po.has(other, write)) {
            return Ok(false);
        }
        // A read-modify-write reads the value of the write before it.
        match (self.halves[write], self.orders[location].last()) {
            (Some(read), Some(&last)) if events[last].thread != thread || po.has(last, read) => self.fits(last, read),
            _ => Ok(true),
        }
    }

    /// Tries every source for every read of a location. `reads` are those without a source; `first` is the place in
    /// `chosen` of the location's first read.
    fn sources(
        &mut self,
        (at, location): (usize, LocationId),
        reads: Set,
        first: usize,
        mut grown: bool,
    ) -> Result<ControlFlow<()>> {
        let Some(read) = reads.iter().next() else { return self.location(at + 1, grown) };
        let mut places = Set::EMPTY;
        let coherent = self.coherent_places(location, read, first);
        // If there is no choice, whether the values fit is seen below.
        let only = coherent.len() == 1;
        for place in coherent {
            if only || self.may_be_from(self.orders[location][place], read)? {
                places.insert(place);
            }
        }
        let mut left = reads;
        left.remove(read);
        let of_others = (self.orders[location].len() as u64).saturating_pow(left.len() as u32);
        let candidates = (places.len() as u64).saturating_mul(of_others).saturating_mul(self.candidates[at + 1]);
        if places.is_empty() || places.len() > 1 && !self.may_grow(&mut grown, candidates)? {
            return Ok(ControlFlow::Continue(()));
        }
        for place in places.iter() {
            let write = self.orders[location][place];
            let before = (self.values.mark(), self.waiting);
            self.choose(write, read);
            if !self.settle_or_drop()? {
                self.take_back(read, before);
                continue;
            }
            self.step()?;
            self.witness.source(write, read);
            self.chosen.push((place, read));
            let flow = self.sources((at, location), left, first, true)?;
            self.chosen.pop();
            self.witness.forget_source(write, read);
            self.take_back(read, before);
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Gives a read a source. Its value is not known yet.
    fn choose(&mut self, write: usize, read: usize) {
        self.source[read] = Some(write);
        self.waiting.insert(read - self.execution.parts[read].index);
    }

    /// Whether the values fit if a read has its value from this write.
    fn may_be_from(&mut self, write: usize, read: usize) -> Result<bool> {
        let before = (self.values.mark(), self.waiting);
        self.choose(write, read);
        let fits = self.settle_or_drop()?;
        self.take_back(read, before);
        Ok(fits)
    }

    /// Takes the source of a read away, and the values that followed from it.
    fn take_back(&mut self, read: usize, (mark, waiting): (usize, Set)) {
        self.source[read] = None;
        self.values.forget(mark);
        self.waiting = waiting;
    }

    /// The places in the order of the writes from which a read may get its value. Checks the four shapes of
    /// coherence, and that no write of another thread comes between the halves of a read-modify-write.
    fn coherent_places(&self, location: LocationId, read: usize, first: usize) -> Range<usize> {
        let Execution { po, ext, .. } = self.execution;
        let order = &self.orders[location];
        let (mut low, mut high) = (0, order.len());
        if !self.coherent {
            return low..high;
        }
        for (at, write) in order.iter().enumerate().skip(1) {
            if po.has(*write, read) {
                low = low.max(at);
            }
            if po.has(read, *write) {
                high = high.min(at);
            }
        }
        for (source, other) in &self.chosen[first..] {
            if po.has(*other, read) {
                low = low.max(*source);
            }
        }
        for own in self.undivided.row(read).iter() {
            let end = order.iter().position(|write| *write == own).unwrap_or(0);
            let between = order[..end].iter().rposition(|write| ext.has(*write, own));
            low = low.max(between.unwrap_or(0));
        }
        low..high
    }

    /// Finishes a candidate in which every read has a source. A value that is still unknown depends on
    /// itself.
    fn finish(&mut self, mut grown: bool) -> Result<ControlFlow<()>> {
        if self.waiting.is_empty() {
            let thin_air = self.circular && !(&self.witness.rf | &self.dependencies).is_acyclic();
            return self.complete(thin_air);
        }
        if !self.may_grow(&mut grown, u64::MAX)? {
            return Ok(ControlFlow::Continue(()));
        }
        self.invent()
    }

    /// Tries every constant for a value that depends on itself, and keeps the consistent ones.
    fn invent(&mut self) -> Result<ControlFlow<()>> {
        let Some(read) = self.waiting.iter().next() else {
            for read in self.execution.r.iter() {
                let Some(write) = self.source[read] else { continue };
                if self.value(write)? != self.value(read)? {
                    return Ok(ControlFlow::Continue(()));
                }
            }
            return self.complete(true);
        };
        let Some(thread) = self.execution.events[read].thread else { return Ok(ControlFlow::Continue(())) };
        let search = self.search;
        for &value in search.constants.get_or_init(|| constants(search.code)) {
            self.step()?;
            let (mark, waiting) = (self.values.mark(), self.waiting);
            self.waiting.remove(read);
            self.values.learn(thread, self.execution.parts[read].place, value);
            if self.follows(thread)? {
                let flow = self.invent()?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            self.values.forget(mark);
            self.waiting = waiting;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether the values that follow from a value of a thread that was tried fit. Without a model every constant is tried for
    /// every value, also an address for a number; what then computes with it is no execution.
    fn follows(&mut self, thread: usize) -> Result<bool> {
        let fits = self.values.compute(thread).and_then(|fits| if fits { self.settle() } else { Ok(false) });
        match fits {
            Err(ModelError::Unsupported(_)) if self.judge.is_none() => Ok(false),
            other => other,
        }
    }

    /// As [`Growth::settle`]. What cannot be followed contradicts nothing, but is no execution if the model forbids what led to it.
    fn settle_or_drop(&mut self) -> Result<bool> {
        match self.settle() {
            Err(ModelError::Unsupported(_)) if self.is_forbidden()? => Ok(false),
            other => other,
        }
    }

    /// Passes a candidate with all its values to the visitor, if it is wanted and allowed.
    fn complete(&mut self, thin_air: bool) -> Result<ControlFlow<()>> {
        let mut state = std::mem::take(&mut self.state);
        // Every read has a value here, so every column has one.
        let flow = match self.put_state(&mut state) {
            Ok(known) if known && self.wants(&state, thin_air) => self.pass(&state, thin_air),
            Err(error) if !self.is_forbidden()? => Err(error),
            _ => Ok(ControlFlow::Continue(())),
        };
        self.state = state;
        flow
    }

    /// Passes a candidate that ends in a state to the visitor, if it is allowed.
    fn pass(&mut self, state: &[Const], thin_air: bool) -> Result<ControlFlow<()>> {
        let flags = match self.judged()? {
            Some(Judgement::Forbidden(_)) => return Ok(ControlFlow::Continue(())),
            Some(Judgement::Allowed { flags, sections, .. }) => {
                flags | self.warnings.certain | self.of_values(&sections) | self.of_values(&self.warnings.sections)
            }
            None => Flags::NONE,
        };
        if self.code.bytes.is_some() {
            // A value that is divided into bytes may be an address, which cannot be.
            (0..self.execution.events.len()).try_for_each(|event| self.value(event).map(|_| ()))?;
        }
        let (execution, witness) = (self.execution, &self.witness);
        let seen = (&self.values, self.initial.as_slice());
        let values = &|event| value_in(execution, seen, event).ok().flatten();
        Ok(self.visitor.take(Candidate { execution, witness, state, thin_air, flags, values }))
    }

    /// Puts the values of the columns at the end, converted to the types of the columns, into `state`. Returns false if
    /// one is not known.
    fn put_state(&self, state: &mut Vec<Const>) -> Result<bool> {
        state.clear();
        for (number, column) in self.code.columns.iter().enumerate() {
            let ty = self.code.types.get(number);
            let value = match *column {
                Column::Register { thread, register } => {
                    self.values.of(thread, self.traces[thread].registers[register])
                }
                Column::Location(location) if self.locks.has(location) => Some(Const::Int(0)),
                Column::Location(location) => match (&self.code.bytes, ty) {
                    (Some(_), Some(ty)) => self.last_bytes(location, ty.bytes())?,
                    _ => self.value(*self.orders[location].last().unwrap_or(&location))?,
                },
            };
            let Some(value) = value else { return Ok(false) };
            state.push(ty.map_or(value, |ty| wrap(value, *ty)));
        }
        Ok(true)
    }

    /// The value of some bytes at the end.
    fn last_bytes(&self, first: LocationId, count: usize) -> Result<Option<Const>> {
        let end = first + count;
        let mut parts = Vec::new();
        let mut at = first;
        while at < end {
            let inside = |cell: &Cell| (cell.location..cell.location + cell.bytes).contains(&at);
            let shift = 8 * (at - first) as u32;
            let Some(number) = self.execution.cells.iter().position(inside) else {
                if at == first && matches!(self.code.init[first], Const::Address(_)) {
                    return initial_bytes(self.code, first, count).map(Some);
                }
                parts.push((self.code.init[at], shift, 8));
                at += 1;
                continue;
            };
            let cell = self.execution.cells[number];
            let Some(value) = self.value(*self.orders[number].last().unwrap_or(&number))? else {
                return Ok(None);
            };
            if at == first && cell.bytes == count {
                return Ok(Some(value));
            }
            // An element of an array may be a part of a cell.
            let skipped = at - cell.location;
            let taken = (cell.bytes - skipped).min(end - at);
            let value = match value {
                Const::Int(value) => Const::Int(value >> (8 * skipped)),
                Const::Address(_) => return Err(torn_address()),
            };
            parts.push((value, shift, 8 * taken as u32));
            at += taken;
        }
        compose(parts.into_iter()).map(Some)
    }

    /// As [`Growth::value`], for tests in which no location is divided into bytes.
    fn known(&self, event: usize) -> Option<Const> {
        self.value(event).ok().flatten()
    }

    fn wants(&self, state: &[Const], thin_air: bool) -> bool {
        let Warnings { certain, possible, sections } = &self.warnings;
        self.visitor.wants(state, thin_air)
            || self.visitor.wants_flags(state, *certain | *possible | self.of_values(sections))
    }

    /// The flag about SRCU sections whose two values differ, or are not known yet.
    fn of_values(&self, sections: &[(usize, usize)]) -> Flags {
        let differ = |(lock, unlock): &(usize, usize)| {
            let (lock, unlock) = (self.known(*lock), self.known(*unlock));
            lock.is_none() || unlock.is_none() || lock != unlock
        };
        Flags::SRCU_BAD_VALUE_MATCH.when(sections.iter().any(differ))
    }
}
