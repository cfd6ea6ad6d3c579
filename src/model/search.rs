//! All candidate executions of a test, as far as a model lets them grow.
//!
//! The ways a thread can run are grouped by their shape: which accesses, barriers and dependencies there are, whatever the
//! values. For each choice of shapes a candidate grows location by location: an order of the writes, then a source for
//! each read, which settles its value. What a model forbids already is not grown further; that is sound because the
//! relations of every model only grow with the candidate.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::axioms::{self, Judge, Judgement};
use super::code::{Code, Step};
use super::event::{Event, Kind, Tags};
use super::execution::{Execution, Witness};
use super::trace::{Trace, traces};
use super::{Bounds, Model, ModelError, Result};
use crate::program::{Column, Const, LocationId};

/// Everything the threads of a test can do.
pub struct Search<'a> {
    code: &'a Code,
    bounds: Bounds,
    /// For each thread its traces, those of one shape together.
    shapes: Vec<Vec<Vec<Trace>>>,
}

/// A finished candidate.
pub struct Candidate<'c> {
    /// Its events; the values in them are those of another candidate of the same shape.
    pub execution: &'c Execution,
    /// Where reads got their values, and the orders of writes.
    pub witness: &'c Witness,
    /// The values of the columns at its end.
    pub state: Vec<Const>,
    traces: Vec<&'c Trace>,
}

impl Candidate<'_> {
    /// Its events with their own values.
    pub fn events(&self) -> Vec<Event> {
        let initial = self.execution.events.iter().filter(|event| event.thread.is_none()).copied();
        initial.chain(self.traces.iter().flat_map(|trace| trace.events.iter().copied())).collect()
    }
}

impl<'a> Search<'a> {
    /// Finds what each thread can do: which values a location can have is not known at first, so the threads are run
    /// with the values known so far until they write nothing new.
    ///
    /// # Errors
    /// If there is too much, or the test does something that cannot be followed.
    pub fn new(code: &'a Code, bounds: Bounds) -> Result<Search<'a>> {
        let mut values: Vec<BTreeSet<Const>> = code.init.iter().map(|init| BTreeSet::from([*init])).collect();
        // A value comes from an initial one through as many writes as an execution has, at most; one that needs more
        // would have to come out of itself.
        let writes =
            |step: &&Step| matches!(step, Step::Write { .. } | Step::Update(_) | Step::StoreConditional { .. });
        let rounds: usize = code.threads.iter().map(|thread| thread.steps.iter().filter(writes).count()).sum();
        let mut all = Vec::new();
        for _ in 0..=rounds {
            let lists: Vec<Vec<Const>> = values.iter().map(|set| set.iter().copied().collect()).collect();
            let each = (0..code.threads.len()).map(|thread| traces(code, thread, &lists, bounds.traces));
            all = each.collect::<Result<Vec<_>>>()?;
            let before: usize = values.iter().map(BTreeSet::len).sum();
            for event in all.iter().flatten().flat_map(|trace| &trace.events) {
                if let Kind::Write(location, value) = event.kind {
                    values[location].insert(value);
                }
            }
            if values.iter().map(BTreeSet::len).sum::<usize>() == before {
                break;
            }
        }
        let shapes = all.into_iter().map(by_shape).collect();
        Ok(Search { code, bounds, shapes })
    }

    /// Whether any access is plain.
    pub fn has_plain(&self) -> bool {
        let mut events = self.shapes.iter().flatten().flatten().flat_map(|trace| &trace.events);
        events.any(|event| event.tags.any(Tags::PLAIN))
    }

    /// Grows all candidates that `model` allows, all there are without one; how many steps of growth that took. `done`
    /// sees the finished ones until it breaks off. With `coherent`, only candidates are made that are sequentially
    /// consistent per location and leave read-modify-writes whole.
    ///
    /// # Errors
    /// If there are more steps than the bounds allow, or an execution has too many events.
    pub fn run(
        &self,
        model: Option<Model>,
        coherent: bool,
        done: &mut dyn FnMut(Candidate<'_>) -> ControlFlow<()>,
    ) -> Result<u64> {
        let mut steps = 0;
        let mut pick = vec![0; self.shapes.len()];
        if self.shapes.iter().any(Vec::is_empty) {
            return Ok(0);
        }
        loop {
            let groups: Vec<&[Trace]> = pick.iter().zip(&self.shapes).map(|(at, list)| list[*at].as_slice()).collect();
            let templates: Vec<&Trace> = groups.iter().map(|group| &group[0]).collect();
            let execution = Execution::new(&self.code.init, &templates)?;
            let judge = model.map(|model| axioms::judge(model, &execution));
            let locations = order_of_locations(&execution);
            let mut growth = Growth {
                code: self.code,
                execution: &execution,
                places: places(&execution),
                locations,
                coherent,
                judge,
                done,
                steps: &mut steps,
                limit: self.bounds.candidates,
            };
            let left = groups.iter().map(|group| group.iter().collect()).collect();
            let mut orders = vec![Vec::new(); self.code.init.len()];
            let flow = growth.location(0, &Witness::empty(execution.events.len()), left, &mut orders)?;
            drop(growth);
            if flow.is_break() {
                return Ok(steps);
            }
            let Some(digit) = (0..pick.len()).find(|at| pick[*at] + 1 < self.shapes[*at].len()) else {
                return Ok(steps);
            };
            pick[digit] += 1;
            pick[..digit].fill(0);
        }
    }
}

/// Traces of one shape together, in the order in which shapes come up.
fn by_shape(traces: Vec<Trace>) -> Vec<Vec<Trace>> {
    let valueless = |event: &Event| {
        let kind = match event.kind {
            Kind::Read(location, _) => Kind::Read(location, Const::Int(0)),
            Kind::Write(location, _) => Kind::Write(location, Const::Int(0)),
            Kind::Fence => Kind::Fence,
        };
        (kind, event.tags)
    };
    let same = |a: &Trace, b: &Trace| {
        a.events.len() == b.events.len()
            && a.events.iter().zip(&b.events).all(|(a, b)| valueless(a) == valueless(b))
            && (&a.addr, &a.data, &a.ctrl, &a.rmw) == (&b.addr, &b.data, &b.ctrl, &b.rmw)
    };
    let mut shapes: Vec<Vec<Trace>> = Vec::new();
    for trace in traces {
        match shapes.iter_mut().find(|shape| same(&shape[0], &trace)) {
            Some(shape) => shape.push(trace),
            None => shapes.push(vec![trace]),
        }
    }
    shapes
}

/// Locations with read-modify-writes first: locks leave few orders, and those settle the most.
fn order_of_locations(execution: &Execution) -> Vec<LocationId> {
    let halves = execution.rmw.range();
    let mut locations: Vec<LocationId> = execution.iw.iter().collect();
    locations.sort_by_key(|location| {
        let own = execution.loc.row(*location);
        let updates = (own & halves).iter().count();
        (std::cmp::Reverse(updates), own.iter().count())
    });
    locations
}

/// Where each event stands within its thread's trace.
fn places(execution: &Execution) -> Vec<usize> {
    let events = &execution.events;
    let first = |thread| events.iter().position(|event| event.thread == thread).unwrap_or(0);
    events.iter().enumerate().map(|(number, event)| number - first(event.thread)).collect()
}

struct Growth<'g, 'c> {
    code: &'g Code,
    execution: &'g Execution,
    places: Vec<usize>,
    locations: Vec<LocationId>,
    coherent: bool,
    judge: Option<Judge<'g>>,
    done: &'g mut (dyn FnMut(Candidate<'_>) -> ControlFlow<()> + 'c),
    steps: &'g mut u64,
    limit: u64,
}

/// The traces that each thread may still be running.
type Left<'t> = Vec<Vec<&'t Trace>>;

impl Growth<'_, '_> {
    fn may_grow(&self, witness: &Witness) -> bool {
        self.judge.as_ref().is_none_or(|judge| matches!(judge(witness), Judgement::Allowed { .. }))
    }

    fn step(&mut self) -> Result<()> {
        *self.steps += 1;
        if *self.steps > self.limit {
            return Err(ModelError::TooLarge { what: "partial executions", count: *self.steps });
        }
        Ok(())
    }

    /// The value that an event has in a trace.
    fn value(&self, event: usize, trace: &Trace) -> Const {
        match trace.events[self.places[event]].kind {
            Kind::Read(_, value) | Kind::Write(_, value) => value,
            Kind::Fence => Const::Int(0),
        }
    }

    fn location(
        &mut self,
        at: usize,
        witness: &Witness,
        left: Left<'_>,
        orders: &mut Vec<Vec<usize>>,
    ) -> Result<ControlFlow<()>> {
        let Some(&location) = self.locations.get(at) else { return Ok(self.finish(witness, &left, orders)) };
        let own = self.execution.loc.row(location);
        let writes: Vec<usize> = (own & self.execution.w).iter().filter(|write| *write != location).collect();
        self.orders(at, location, &writes, &mut vec![location], witness, &left, orders)
    }

    #[allow(clippy::too_many_arguments)] // the state of a search; a struct would only name it twice
    fn orders(
        &mut self,
        at: usize,
        location: LocationId,
        writes: &[usize],
        order: &mut Vec<usize>,
        witness: &Witness,
        left: &Left<'_>,
        orders: &mut Vec<Vec<usize>>,
    ) -> Result<ControlFlow<()>> {
        if order.len() == writes.len() + 1 {
            let mut witness = witness.clone();
            witness.order(order);
            self.step()?;
            if writes.len() > 1 && !self.may_grow(&witness) {
                return Ok(ControlFlow::Continue(()));
            }
            orders[location].clone_from(order);
            let reads: Vec<usize> = (self.execution.loc.row(location) & self.execution.r).iter().collect();
            return self.sources(at, location, &reads, &mut Vec::new(), &witness, left.clone(), orders);
        }
        for &write in writes {
            let early = |other: &usize| self.execution.po.has(*other, write) && !order.contains(other);
            if order.contains(&write) || self.coherent && writes.iter().any(early) {
                continue;
            }
            order.push(write);
            let flow = self.orders(at, location, writes, order, witness, left, orders)?;
            order.pop();
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    #[allow(clippy::too_many_arguments)] // as above
    fn sources(
        &mut self,
        at: usize,
        location: LocationId,
        reads: &[usize],
        rf: &mut Vec<(usize, usize)>,
        witness: &Witness,
        left: Left<'_>,
        orders: &mut Vec<Vec<usize>>,
    ) -> Result<ControlFlow<()>> {
        let Some(&read) = reads.get(rf.len()) else { return self.location(at + 1, witness, left, orders) };
        let reader = self.execution.events[read].thread.unwrap_or(0);
        for place in 0..orders[location].len() {
            if self.coherent && !self.is_coherent(&orders[location], read, place, rf) {
                continue;
            }
            let write = orders[location][place];
            let writer = self.execution.events[write].thread;
            let given: BTreeSet<Const> = match writer {
                None => BTreeSet::from([self.code.init[write]]),
                Some(thread) => left[thread].iter().map(|trace| self.value(write, trace)).collect(),
            };
            let mut grown: Option<Witness> = None;
            for value in given {
                let mut left = left.clone();
                if let Some(thread) = writer {
                    left[thread].retain(|trace| self.value(write, trace) == value);
                }
                left[reader].retain(|trace| self.value(read, trace) == value);
                if left[reader].is_empty() {
                    continue;
                }
                if grown.is_none() {
                    let mut witness = witness.clone();
                    witness.source(write, read);
                    self.step()?;
                    if !self.may_grow(&witness) {
                        break;
                    }
                    grown = Some(witness);
                }
                let Some(witness) = &grown else { break };
                rf.push((place, read));
                let flow = self.sources(at, location, reads, rf, witness, left, orders)?;
                rf.pop();
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether `read` may get the value of the write at `place` in the order: the four shapes of coherence, and nothing
    /// from outside between the two halves of a read-modify-write.
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

    fn finish(&mut self, witness: &Witness, left: &Left<'_>, orders: &[Vec<usize>]) -> ControlFlow<()> {
        // Every read has its value, so one trace is left for each thread.
        let traces: Vec<&Trace> = left.iter().filter_map(|list| list.first().copied()).collect();
        let value = |column: &Column| match *column {
            Column::Register { thread, register } => traces[thread].registers[register],
            Column::Location(location) => {
                let last = orders[location].last().copied().unwrap_or(location);
                match self.execution.events[last].thread {
                    None => self.code.init[last],
                    Some(thread) => self.value(last, traces[thread]),
                }
            }
        };
        let state = self.code.columns.iter().map(value).collect();
        (self.done)(Candidate { execution: self.execution, witness, state, traces })
    }
}
