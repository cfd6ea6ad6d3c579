//! Enumerates the candidate executions of a test and drops those that a model forbids as early as possible.
//!
//! A thread has a set of paths (traces): which accesses, barriers and dependencies there are, whatever the
//! values. For each choice of one path per thread, a candidate grows location by location: first an order of
//! the writes, then a source for each read. Values follow from the sources. A candidate ends when a value
//! contradicts an assumption of a path. A candidate that the model already forbids is not grown further. That
//! is sound, because the relations of every model only grow with the candidate.
//!
//! The model is asked where there is a choice ahead, and at the end of a candidate whose state is still
//! wanted. This matters for a counter that all threads increment: there are as many candidates as orders of
//! the increments, and all of them end in the same state.
//!
//! A value may depend on itself: the source of a read depends on what is read. Such a value comes out of thin
//! air. Every constant of the test is tried for it.
//!
//! Not examined: values out of thin air that are not constants of the test.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::axioms::{self, Judge, Judgement, Warnings};
use super::budget::Budget;
use super::code::{Change, Code, Step};
use super::event::{Event, Kind, Tags};
use super::execution::{Cell, Execution, Part, Witness};
use super::flags::Flags;
use super::reach;
use super::relation::{Relation, Set};
use super::trace::{Known, Trace, Value, traces, wrap};
use super::{Bounds, Model, ModelError, Result};
use crate::program::{Column, Const, LocationId, Operand, Prop};

/// All paths of all threads of a test, ready to be combined.
pub struct Search<'a> {
    code: &'a Code,
    bounds: Bounds,
    /// For each thread, its paths.
    traces: Vec<Vec<Trace>>,
    /// The memory that the paths and the final states may take.
    budget: Budget,
    /// Whether a loop was cut.
    cut: bool,
    /// The values that are tried for a value that depends on itself.
    constants: Vec<Const>,
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
    pub state: Vec<Const>,
    /// Whether a value in it depends on itself.
    pub thin_air: bool,
    /// What the model warns about in it.
    pub flags: Flags,
    values: Vec<Const>,
}

impl Candidate<'_> {
    /// The events with their real values.
    pub fn events(&self) -> Vec<Event> {
        let own = |(event, value): (&Event, &Const)| {
            let kind = match event.kind {
                Kind::Read(location, _) => Kind::Read(location, *value),
                Kind::Write(location, _) => Kind::Write(location, *value),
                Kind::Fence | Kind::GracePeriod(_) => event.kind,
            };
            Event { kind, ..*event }
        };
        self.execution.events.iter().zip(&self.values).map(own).collect()
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
        let reached = reach::reach(code);
        let budget = Budget::new(bounds.bytes);
        let each = reached.iter().enumerate();
        let each = each.map(|(thread, reached)| traces(code, thread, reached, (bounds.traces, &budget)));
        let each = each.collect::<Result<Vec<_>>>()?;
        let cut = each.iter().any(|(_, cut)| *cut);
        let traces = each.into_iter().map(|(traces, _)| traces).collect();
        Ok(Search { code, bounds, traces, budget, cut, constants: constants(code), twins: twins(code) })
    }

    /// The memory that the search may hold.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Sets the largest number of search steps of the next run.
    pub fn limit(&mut self, candidates: u64) {
        self.bounds.candidates = candidates;
    }

    /// Whether a loop was followed only so often, so that some executions are missing.
    pub fn cuts_loops(&self) -> bool {
        self.cut
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
        let mut steps = 0;
        let mut pick = vec![0; self.traces.len()];
        if self.traces.iter().any(Vec::is_empty) {
            return Ok(0);
        }
        loop {
            let in_order = |(thread, twin): (usize, &Option<usize>)| twin.is_none_or(|twin| pick[twin] <= pick[thread]);
            if self.twins.iter().enumerate().all(in_order) {
                let traces: Vec<&Trace> = pick.iter().zip(&self.traces).map(|(at, list)| &list[*at]).collect();
                let execution = Execution::new(self.code, &traces)?;
                if execution.mixes_sizes() && model == Some(Model::Power) {
                    let message = "accesses of mixed sizes are not modelled for POWER".to_owned();
                    return Err(ModelError::Unsupported(message));
                }
                let twins = (self.twins.iter().enumerate())
                    .filter_map(|(thread, twin)| twin.filter(|twin| pick[*twin] == pick[thread]).map(|t| (t, thread)));
                let domains = domains(&execution);
                let mut growth = Growth {
                    code: self.code,
                    initial: initial(self.code, &execution)?,
                    start: start(&traces)?,
                    dependencies: dependencies(&execution, &traces),
                    settled: (execution.iw - domains).iter().count(),
                    locations: order_of_locations(&execution, domains),
                    halves: halves(&execution),
                    fits: vec![None; execution.events.len() * execution.events.len()],
                    source: vec![None; execution.events.len()],
                    orders: vec![Vec::new(); execution.cells.len()],
                    twins: twins.collect(),
                    constants: &self.constants,
                    traces: &traces,
                    execution: &execution,
                    coherent,
                    judge: model.map(|model| axioms::judge(model, &execution)),
                    warnings: model.map(|model| axioms::warnings(model, &execution)).unwrap_or_default(),
                    visitor,
                    steps: &mut steps,
                    limit: self.bounds.candidates,
                };
                growth.leave_out_unchanged();
                let flow = growth.all()?;
                drop(growth);
                if flow.is_break() {
                    return Ok(steps);
                }
            }
            let Some(digit) = (0..pick.len()).find(|at| pick[*at] + 1 < self.traces[*at].len()) else {
                return Ok(steps);
            };
            pick[digit] += 1;
            pick[..digit].fill(0);
        }
    }
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
                    Change::Op(_, operand) => [Some(operand), None],
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
        (&a.registers, &a.steps, a.scoped) == (&b.registers, &b.steps, b.scoped)
    };
    let earlier = |thread: usize| (0..thread).rev().find(|other| !watched(*other) && same(*other, thread));
    (0..code.threads.len()).map(|thread| if watched(thread) { None } else { earlier(thread) }).collect()
}

/// The SRCU domains whose sections the execution has.
fn domains(execution: &Execution) -> Set {
    let sections = execution.tagged(Tags::SRCU_LOCK | Tags::SRCU_UNLOCK);
    execution.iw & execution.loc.from(sections).range()
}

/// Locations with read-modify-writes come first: locks allow few orders, and those orders settle the most. SRCU domains come
/// last: no column shows their values, so most candidates can be dropped before.
fn order_of_locations(execution: &Execution, domains: Set) -> Vec<LocationId> {
    let halves = execution.rmw.range();
    let mut locations: Vec<LocationId> = execution.iw.iter().collect();
    locations.sort_by_key(|location| {
        let own = execution.loc.row(*location);
        let updates = (own & halves).iter().count();
        (domains.has(*location), std::cmp::Reverse(updates), own.iter().count())
    });
    locations
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

/// The values that follow from the traces alone.
fn start(traces: &[&Trace]) -> Result<AllKnown> {
    let of = |trace: &&Trace| {
        let mut known = vec![None; trace.nodes.len()];
        trace.compute(&mut known).map(|()| known)
    };
    traces.iter().map(of).collect()
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
fn halves(execution: &Execution) -> Vec<Option<usize>> {
    let mut halves = vec![None; execution.events.len()];
    for (read, write) in execution.rmw.pairs() {
        halves[write] = Some(read);
    }
    halves
}

/// The known values of every thread.
type AllKnown = Vec<Known>;

struct Growth<'g, 'v> {
    code: &'g Code,
    execution: &'g Execution,
    traces: &'g [&'g Trace],
    constants: &'g [Const],
    /// Pairs of threads that are exchangeable in this choice of paths, the earlier thread first.
    twins: Vec<(usize, usize)>,
    /// The initial values of the cells.
    initial: Vec<Const>,
    /// The values that are known before any source is chosen.
    start: AllKnown,
    /// The dependencies that carry values.
    dependencies: Relation,
    locations: Vec<LocationId>,
    /// The number of locations at the start of `locations` that are no SRCU domains.
    settled: usize,
    halves: Vec<Option<usize>>,
    /// Whether a read may get its value from a write at all, by write and read. `None` if not computed yet.
    fits: Vec<Option<bool>>,
    /// The source of each read, as far as chosen.
    source: Vec<Option<usize>>,
    /// The order of the writes to each location, as far as chosen.
    orders: Vec<Vec<usize>>,
    coherent: bool,
    judge: Option<Judge<'g>>,
    warnings: Warnings,
    visitor: &'g mut (dyn Visitor + 'v),
    steps: &'g mut u64,
    limit: u64,
}

/// A candidate that is still growing.
#[derive(Clone)]
struct Partial {
    witness: Witness,
    known: AllKnown,
    /// Whether it has grown since the model was last asked.
    grown: bool,
}

impl Growth<'_, '_> {
    fn all(&mut self) -> Result<ControlFlow<()>> {
        let known = self.start.clone();
        self.location(0, Partial { witness: Witness::empty(self.execution.events.len()), known, grown: false })
    }

    /// Leaves out the SRCU sections whose unlock gets the index that its lock read, unchanged.
    fn leave_out_unchanged(&mut self) {
        let (execution, traces, parts) = (self.execution, self.traces, &self.execution.parts);
        self.warnings.sections.retain(|(lock, unlock)| {
            let trace = execution.events[*unlock].thread.map(|thread| traces[thread]);
            !trace.is_some_and(|trace| trace.copies(parts[*lock].place, parts[*unlock].place))
        });
    }

    /// Asks the model whether the candidate is still allowed, if it has grown since the last time.
    fn may_grow(&self, partial: &mut Partial) -> bool {
        let grown = std::mem::replace(&mut partial.grown, false);
        !grown || self.judge.as_ref().is_none_or(|judge| matches!(judge(&partial.witness), Judgement::Allowed { .. }))
    }

    fn step(&mut self) -> Result<()> {
        *self.steps += 1;
        if *self.steps > self.limit {
            return Err(ModelError::TooLarge { what: "partial executions", count: *self.steps });
        }
        Ok(())
    }

    /// The value that an event reads or writes, if it is known.
    fn value(&self, event: usize, known: &AllKnown) -> Result<Option<Const>> {
        let Some(thread) = self.execution.events[event].thread else { return Ok(Some(self.initial[event])) };
        let (trace, part) = (self.traces[thread], &self.execution.parts[event]);
        trace.value(trace.values[part.place], &known[thread]).map(|value| part_of(value, part)).transpose()
    }

    /// Sets the value of an access that reads. `read` is one of its events. Returns whether it was unknown before.
    fn learn(&self, read: usize, value: Const, known: &mut AllKnown) -> bool {
        let Some(thread) = self.execution.events[read].thread else { return false };
        let place = self.execution.parts[read].place;
        let Value::Node(node) = self.traces[thread].values[place] else { return false };
        known[thread][node].replace(value).is_none()
    }

    /// The value that an access reads, whose first event is `read`, if the sources of all its events are chosen and
    /// their values are known.
    fn sourced(&self, read: usize, known: &AllKnown) -> Result<Option<Const>> {
        let parts = &self.execution.parts;
        if parts[read].count == 1 {
            return self.source[read].map_or(Ok(None), |source| self.value(source, known));
        }
        let mut values = Vec::with_capacity(parts[read].count);
        for part in &parts[read..read + parts[read].count] {
            let Some(source) = self.source[read + part.index] else { return Ok(None) };
            let Some(value) = self.value(source, known)? else { return Ok(None) };
            values.push((value, part.shift, part.bits));
        }
        compose(values.into_iter()).map(Some)
    }

    /// Derives all values that follow from the sources chosen so far. Returns false if one contradicts an
    /// assumption of a path.
    fn settle(&self, known: &mut AllKnown) -> Result<bool> {
        loop {
            let mut news = Set::EMPTY;
            for (read, source) in self.source.iter().enumerate() {
                if source.is_some()
                    && self.execution.parts[read].index == 0
                    && self.value(read, known)?.is_none()
                    && let Some(value) = self.sourced(read, known)?
                    && self.learn(read, value, known)
                    && let Some(thread) = self.execution.events[read].thread
                {
                    news.insert(thread);
                }
            }
            if news.is_empty() {
                break;
            }
            for thread in news.iter() {
                self.traces[thread].compute(&mut known[thread])?;
                if !self.traces[thread].holds(&known[thread])? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether a read may get its value from a write, whatever the other reads return.
    fn fits(&mut self, write: usize, read: usize) -> Result<bool> {
        if self.execution.parts[read].count > 1 {
            return Ok(true);
        }
        let at = write * self.execution.events.len() + read;
        if let Some(known) = self.fits[at] {
            return Ok(known);
        }
        let mut known = self.start.clone();
        let mut fits = true;
        if let (Some(value), Some(thread)) = (self.value(write, &known)?, self.execution.events[read].thread) {
            self.learn(read, value, &mut known);
            self.traces[thread].compute(&mut known[thread])?;
            fits = self.traces[thread].holds(&known[thread])?;
        }
        self.fits[at] = Some(fits);
        Ok(fits)
    }

    fn location(&mut self, at: usize, mut partial: Partial) -> Result<ControlFlow<()>> {
        let Some(&location) = self.locations.get(at) else { return self.finish(partial) };
        if at == self.settled
            && self.state(&partial.known)?.is_some_and(|state| !self.wants(&state, false, &partial.known))
        {
            return Ok(ControlFlow::Continue(()));
        }
        let own = self.execution.loc.row(location);
        let writes: Vec<usize> = (own & self.execution.w).iter().filter(|write| *write != location).collect();
        self.order(at, location, &writes, &mut vec![location], &mut partial)
    }

    /// Tries every possible order of the writes to a location.
    fn order(
        &mut self,
        at: usize,
        location: LocationId,
        writes: &[usize],
        order: &mut Vec<usize>,
        partial: &mut Partial,
    ) -> Result<ControlFlow<()>> {
        self.step()?;
        if order.len() == writes.len() + 1 {
            let mut partial = partial.clone();
            partial.witness.order(order);
            partial.grown |= writes.len() > 1;
            self.orders[location].clone_from(order);
            let reads: Vec<usize> = (self.execution.loc.row(location) & self.execution.r).iter().collect();
            return self.sources(at, location, &reads, &mut Vec::new(), partial);
        }
        if order.len() == 1 && writes.len() > 1 && !self.may_grow(partial) {
            return Ok(ControlFlow::Continue(()));
        }
        for &write in writes {
            if order.contains(&write) || !self.may_follow(at, order, write, writes)? {
                continue;
            }
            order.push(write);
            let flow = self.order(at, location, writes, order, partial)?;
            order.pop();
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a write may be the next in the order of its location.
    fn may_follow(&mut self, at: usize, order: &[usize], write: usize, writes: &[usize]) -> Result<bool> {
        let Execution { po, events, .. } = self.execution;
        // Of two threads with the same code, the earlier one writes first at the first location that they
        // write.
        let thread = events[write].thread;
        let is_first = |thread| !order.iter().any(|other| events[*other].thread == Some(thread));
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
        if writes.iter().any(|other| po.has(*other, write) && !order.contains(other)) {
            return Ok(false);
        }
        // A read-modify-write reads the value of the write before it.
        match (self.halves[write], order.last()) {
            (Some(read), Some(&last)) if events[last].thread != thread || po.has(last, read) => self.fits(last, read),
            _ => Ok(true),
        }
    }

    /// Tries every source for every read of a location.
    fn sources(
        &mut self,
        at: usize,
        location: LocationId,
        reads: &[usize],
        rf: &mut Vec<(usize, usize)>,
        mut partial: Partial,
    ) -> Result<ControlFlow<()>> {
        let Some(&read) = reads.get(rf.len()) else { return self.location(at + 1, partial) };
        let mut choices = Vec::new();
        for (place, &write) in self.orders[location].iter().enumerate() {
            if self.coherent && !self.is_coherent(&self.orders[location], read, place, rf) {
                continue;
            }
            self.source[read] = Some(write);
            let mut known = partial.known.clone();
            if self.settle(&mut known)? {
                choices.push((place, write, known));
            }
        }
        self.source[read] = None;
        let Some((place, write, known)) = choices.pop() else { return Ok(ControlFlow::Continue(())) };
        if !choices.is_empty() && !self.may_grow(&mut partial) {
            return Ok(ControlFlow::Continue(()));
        }
        for (place, write, known) in choices {
            let next = Partial { witness: partial.witness.clone(), known, grown: true };
            let flow = self.source(at, location, reads, rf, (place, write), next)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.source(at, location, reads, rf, (place, write), Partial { known, grown: true, ..partial })
    }

    /// Gives the next read of a location one source.
    fn source(
        &mut self,
        at: usize,
        location: LocationId,
        reads: &[usize],
        rf: &mut Vec<(usize, usize)>,
        (place, write): (usize, usize),
        mut partial: Partial,
    ) -> Result<ControlFlow<()>> {
        self.step()?;
        let read = reads[rf.len()];
        partial.witness.source(write, read);
        self.source[read] = Some(write);
        rf.push((place, read));
        let flow = self.sources(at, location, reads, rf, partial)?;
        rf.pop();
        self.source[read] = None;
        Ok(flow)
    }

    /// Whether `read` may get the value of the write at `place` in the order. Checks the four shapes of
    /// coherence, and that no write of another thread comes between the halves of a read-modify-write.
    fn is_coherent(&self, order: &[usize], read: usize, place: usize, rf: &[(usize, usize)]) -> bool {
        let Execution { po, rmw, ext, .. } = self.execution;
        let writes = order
            .iter()
            .enumerate()
            .skip(1)
            .all(|(at, write)| !(po.has(*write, read) && at > place || po.has(read, *write) && at <= place));
        let reads = rf.iter().all(|(source, other)| !(po.has(*other, read) && *source > place));
        let whole = rmw.row(read).iter().all(|own| {
            let end = order.iter().position(|write| *write == own).unwrap_or(0);
            order.iter().enumerate().all(|(at, write)| !(at > place && at < end && ext.has(*write, own)))
        });
        writes && reads && whole
    }

    /// Finishes a candidate in which every read has a source. A value that is still unknown depends on
    /// itself.
    fn finish(&mut self, mut partial: Partial) -> Result<ControlFlow<()>> {
        let open = self.open(&partial.known)?;
        if open.is_none() {
            let thin_air = !(&partial.witness.rf | &self.dependencies).is_acyclic();
            return self.complete(&mut partial, thin_air);
        }
        if !self.may_grow(&mut partial) {
            return Ok(ControlFlow::Continue(()));
        }
        self.invent(partial)
    }

    /// A read whose value is not known.
    fn open(&self, known: &AllKnown) -> Result<Option<usize>> {
        for read in self.execution.r.iter() {
            if self.value(read, known)?.is_none() {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    /// Tries every constant for a value that depends on itself, and keeps the consistent ones.
    fn invent(&mut self, mut partial: Partial) -> Result<ControlFlow<()>> {
        let Some(read) = self.open(&partial.known)? else {
            for read in self.execution.r.iter() {
                let Some(write) = self.source[read] else { continue };
                if self.value(write, &partial.known)? != self.value(read, &partial.known)? {
                    return Ok(ControlFlow::Continue(()));
                }
            }
            return self.complete(&mut partial, true);
        };
        for &value in self.constants {
            self.step()?;
            let mut next = partial.clone();
            self.learn(read, value, &mut next.known);
            if let Some(thread) = self.execution.events[read].thread {
                self.traces[thread].compute(&mut next.known[thread])?;
                if !self.traces[thread].holds(&next.known[thread])? {
                    continue;
                }
            }
            if self.settle(&mut next.known)? {
                let flow = self.invent(next)?;
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Passes a candidate with all its values to the visitor, if it is wanted and allowed.
    fn complete(&mut self, partial: &mut Partial, thin_air: bool) -> Result<ControlFlow<()>> {
        let known = &partial.known;
        // Every read has a value here, so every column has one.
        let Some(state) = self.state(known)? else { return Ok(ControlFlow::Continue(())) };
        if !self.wants(&state, thin_air, known) {
            return Ok(ControlFlow::Continue(()));
        }
        let flags = match self.judge.as_ref().map(|judge| judge(&partial.witness)) {
            Some(Judgement::Forbidden(_)) => return Ok(ControlFlow::Continue(())),
            Some(Judgement::Allowed { flags, sections, .. }) => {
                flags
                    | self.warnings.certain
                    | self.of_values(&sections, known)
                    | self.of_values(&self.warnings.sections, known)
            }
            None => Flags::NONE,
        };
        let events = 0..self.execution.events.len();
        let values =
            events.map(|event| Ok(self.value(event, known)?.unwrap_or(Const::Int(0)))).collect::<Result<_>>()?;
        let (execution, witness) = (self.execution, &partial.witness);
        Ok(self.visitor.take(Candidate { execution, witness, state, thin_air, flags, values }))
    }

    /// The values of the columns at the end, converted to the types of the columns.
    fn state(&self, known: &AllKnown) -> Result<Option<Vec<Const>>> {
        let mut state = Vec::with_capacity(self.code.columns.len());
        for (number, column) in self.code.columns.iter().enumerate() {
            let ty = self.code.types.get(number);
            let value = match *column {
                Column::Register { thread, register } => {
                    let trace = self.traces[thread];
                    trace.value(trace.registers[register], &known[thread])
                }
                Column::Location(location) => match (&self.code.bytes, ty) {
                    (Some(_), Some(ty)) => self.last_bytes(location, ty.bytes(), known)?,
                    _ => self.value(*self.orders[location].last().unwrap_or(&location), known)?,
                },
            };
            let Some(value) = value else { return Ok(None) };
            state.push(ty.map_or(value, |ty| wrap(value, *ty)));
        }
        Ok(Some(state))
    }

    /// The value of some bytes at the end.
    fn last_bytes(&self, first: LocationId, count: usize, known: &AllKnown) -> Result<Option<Const>> {
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
            let Some(value) = self.value(*self.orders[number].last().unwrap_or(&number), known)? else {
                return Ok(None);
            };
            if at == first && cell.bytes == count {
                return Ok(Some(value));
            }
            parts.push((value, shift, 8 * cell.bytes as u32));
            at += cell.bytes;
        }
        compose(parts.into_iter()).map(Some)
    }

    /// As [`Growth::value`], for tests in which no location is divided into bytes.
    fn known(&self, event: usize, known: &AllKnown) -> Option<Const> {
        self.value(event, known).ok().flatten()
    }

    fn wants(&self, state: &[Const], thin_air: bool, known: &AllKnown) -> bool {
        let Warnings { certain, possible, sections } = &self.warnings;
        self.visitor.wants(state, thin_air)
            || self.visitor.wants_flags(state, *certain | *possible | self.of_values(sections, known))
    }

    /// The flag about SRCU sections whose two values differ, or are not known yet.
    fn of_values(&self, sections: &[(usize, usize)], known: &AllKnown) -> Flags {
        let differ = |(lock, unlock): &(usize, usize)| {
            let (lock, unlock) = (self.known(*lock, known), self.known(*unlock, known));
            lock.is_none() || unlock.is_none() || lock != unlock
        };
        Flags::SRCU_BAD_VALUE_MATCH.when(sections.iter().any(differ))
    }
}
