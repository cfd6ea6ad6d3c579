//! One way all threads can have run, and the ways their reads and writes can fit together.

use super::event::{Event, Kind, Tags};
use super::relation::{MAX_EVENTS, Relation, Set};
use super::trace::Trace;
use super::{ModelError, Result};
use crate::program::{Column, Const, LocationId};

/// What all candidates made of the same traces share: events and program order. Events are the initial writes, by
/// location, then the threads' events in order.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The events.
    pub events: Vec<Event>,
    /// Program order; initial writes are not in it.
    pub po: Relation,
    /// Program order between accesses to one location.
    pub po_loc: Relation,
    /// Pairs of accesses to one location.
    pub loc: Relation,
    /// Pairs of one thread.
    pub int: Relation,
    /// Pairs of different threads; an initial write belongs to none.
    pub ext: Relation,
    /// Address dependencies.
    pub addr: Relation,
    /// Data dependencies.
    pub data: Relation,
    /// Control dependencies.
    pub ctrl: Relation,
    /// Reads and writes that nothing comes between.
    pub rmw: Relation,
    /// Reads.
    pub r: Set,
    /// Writes.
    pub w: Set,
    /// Initial writes.
    pub iw: Set,
    registers: Vec<Vec<Const>>,
}

/// Where reads got their values and in which order writes to one location are.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Reads-from.
    pub rf: Relation,
    /// Coherence, transitively closed.
    pub co: Relation,
    /// From-read: to every write that comes after the one a read got its value from.
    pub fr: Relation,
}

/// The choices for one location.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Pairs of reads-from.
    rf: Vec<(usize, usize)>,
    /// The writes in coherence order, the initial one first.
    order: Vec<usize>,
}

impl Execution {
    /// Puts one trace of each thread together.
    ///
    /// # Errors
    /// If it has too many events.
    pub fn new(init: &[Const], traces: &[&Trace]) -> Result<Execution> {
        let mut events: Vec<Event> = (init.iter().enumerate())
            .map(|(location, value)| Event {
                thread: None,
                kind: Kind::Write(location, *value),
                tags: Tags::NONE,
                step: 0,
            })
            .collect();
        events.extend(traces.iter().flat_map(|trace| trace.events.iter().copied()));
        let count = events.len();
        if count > MAX_EVENTS {
            return Err(ModelError::TooLarge { what: "events", count: count as u64 });
        }
        let empty = Relation::empty(count);
        let [mut po, mut addr, mut data, mut ctrl, mut rmw] = std::array::from_fn(|_| empty.clone());
        let mut base = init.len();
        for trace in traces {
            let end = base + trace.events.len();
            for at in 0..trace.events.len() {
                po.insert_all(base + at, span(base + at + 1, end));
                for (relation, from) in [(&mut addr, &trace.addr), (&mut data, &trace.data), (&mut ctrl, &trace.ctrl)] {
                    for source in from[at].iter().filter(|source| *source != at) {
                        relation.insert(base + source, base + at);
                    }
                }
            }
            for &(read, write) in &trace.rmw {
                rmw.insert(base + read, base + write);
            }
            base = end;
        }
        let [mut loc, mut int, mut ext] = std::array::from_fn(|_| empty.clone());
        let [mut r, mut w, mut iw] = [Set::EMPTY; 3];
        for (a, event) in events.iter().enumerate() {
            match event.kind {
                Kind::Read(..) => r.insert(a),
                Kind::Write(..) => w.insert(a),
                Kind::Fence => {}
            }
            if event.thread.is_none() {
                iw.insert(a);
            }
            for (b, other) in events.iter().enumerate() {
                if event.location().is_some() && event.location() == other.location() {
                    loc.insert(a, b);
                }
                if event.thread.is_some() && event.thread == other.thread {
                    int.insert(a, b);
                } else if a != b {
                    ext.insert(a, b);
                }
            }
        }
        let po_loc = &po & &loc;
        let registers = traces.iter().map(|trace| trace.registers.clone()).collect();
        Ok(Execution { events, po, po_loc, loc, int, ext, addr, data, ctrl, rmw, r, w, iw, registers })
    }

    /// The events that have any of the marks.
    pub fn tagged(&self, tags: Tags) -> Set {
        self.select(|event| event.tags.any(tags))
    }

    /// The events that satisfy a test.
    pub fn select(&self, test: impl Fn(&Event) -> bool) -> Set {
        let mut set = Set::EMPTY;
        for (number, _) in self.events.iter().enumerate().filter(|(_, event)| test(event)) {
            set.insert(number);
        }
        set
    }

    /// Reads and writes.
    pub fn m(&self) -> Set {
        self.r | self.w
    }

    /// `fencerel(s)`: pairs in program order with a barrier of `fences` between.
    pub fn fencerel(&self, fences: Set) -> Relation {
        (&self.po >> fences) >> &self.po
    }

    /// `[s]`
    pub fn id(&self, set: Set) -> Relation {
        let mut out = Relation::empty(self.events.len());
        for event in set.iter() {
            out.insert(event, event);
        }
        out
    }

    /// No pairs.
    pub fn none(&self) -> Relation {
        Relation::empty(self.events.len())
    }

    /// The ways in which the accesses to each location fit together. With `coherent`, only those that are sequentially
    /// consistent per location and leave read-modify-writes whole, which every model here demands.
    ///
    /// # Errors
    /// If one location has more than `limit`.
    pub fn fits(&self, coherent: bool, limit: u64) -> Result<Vec<Vec<Fit>>> {
        (0..self.iw.iter().count()).map(|location| Fitting::new(self, location, coherent, limit).all()).collect()
    }

    /// The relations that a choice of fits, one per location, stands for.
    pub fn witness<'f>(&self, fits: impl Iterator<Item = &'f Fit>) -> Witness {
        let mut rf = self.none();
        let mut co = self.none();
        for fit in fits {
            for &(write, read) in &fit.rf {
                rf.insert(write, read);
            }
            let mut later = Set::EMPTY;
            for &write in fit.order.iter().rev() {
                co.insert_all(write, later);
                later.insert(write);
            }
        }
        let fr = rf.inverse() >> &co;
        Witness { rf, co, fr }
    }

    /// The final value of every column.
    pub fn state<'f>(&self, columns: &[Column], fit: impl Fn(LocationId) -> &'f Fit) -> Vec<Const> {
        let value = |column: &Column| match *column {
            Column::Register { thread, register } => self.registers[thread][register],
            Column::Location(location) => match self.events[*fit(location).order.last().unwrap_or(&location)].kind {
                Kind::Read(_, value) | Kind::Write(_, value) => value,
                Kind::Fence => Const::Int(0),
            },
        };
        columns.iter().map(value).collect()
    }
}

fn span(from: usize, to: usize) -> Set {
    let below = |end: usize| if end >= 128 { u128::MAX } else { (1 << end) - 1 };
    Set(below(to) & !below(from))
}

/// Finds the fits of one location: every order of the writes, and for each every source of the reads.
struct Fitting<'a> {
    execution: &'a Execution,
    location: LocationId,
    coherent: bool,
    limit: u64,
    writes: Vec<usize>,
    reads: Vec<usize>,
    order: Vec<usize>,
    found: Vec<Fit>,
}

impl<'a> Fitting<'a> {
    fn new(execution: &'a Execution, location: LocationId, coherent: bool, limit: u64) -> Fitting<'a> {
        let here = |set: Set| -> Vec<usize> {
            set.iter().filter(|event| execution.events[*event].location() == Some(location)).collect()
        };
        Fitting {
            execution,
            location,
            coherent,
            limit,
            writes: here(execution.w - execution.iw),
            reads: here(execution.r),
            order: vec![location],
            found: Vec::new(),
        }
    }

    fn all(mut self) -> Result<Vec<Fit>> {
        self.orders()?;
        Ok(self.found)
    }

    fn orders(&mut self) -> Result<()> {
        if self.order.len() == self.writes.len() + 1 {
            return self.sources(&mut Vec::new());
        }
        for at in 0..self.writes.len() {
            let write = self.writes[at];
            let placed = |other: usize| self.order.contains(&other);
            let early = self.coherent
                && self.writes.iter().any(|other| self.execution.po.has(*other, write) && !placed(*other));
            if placed(write) || early {
                continue;
            }
            self.order.push(write);
            self.orders()?;
            self.order.pop();
        }
        Ok(())
    }

    fn sources(&mut self, rf: &mut Vec<(usize, usize)>) -> Result<()> {
        let Some(&read) = self.reads.get(rf.len()) else {
            self.found.push(Fit { rf: rf.clone(), order: self.order.clone() });
            if self.found.len() as u64 > self.limit {
                return Err(ModelError::TooLarge {
                    what: "ways to order one location",
                    count: self.found.len() as u64,
                });
            }
            return Ok(());
        };
        let Kind::Read(_, wanted) = self.execution.events[read].kind else { return Ok(()) };
        for at in 0..self.order.len() {
            let write = self.order[at];
            let Kind::Write(_, value) = self.execution.events[write].kind else { continue };
            if value == wanted && (!self.coherent || self.is_coherent(read, at, rf)) {
                rf.push((write, read));
                self.sources(rf)?;
                rf.pop();
            }
        }
        Ok(())
    }

    /// Whether `read` may get the value of the write at `at` in the order: the four shapes of coherence, and nothing
    /// from outside between the two halves of a read-modify-write.
    fn is_coherent(&self, read: usize, at: usize, rf: &[(usize, usize)]) -> bool {
        let Execution { po, rmw, ext, .. } = self.execution;
        let place = |write: usize| self.order.iter().position(|other| *other == write).unwrap_or(self.location);
        let writes = self
            .order
            .iter()
            .enumerate()
            .skip(1)
            .all(|(place, write)| !(po.has(*write, read) && place > at || po.has(read, *write) && place <= at));
        let reads = rf.iter().all(|(source, other)| !(po.has(*other, read) && place(*source) > at));
        let whole = rmw.row(read).iter().all(|own| {
            let end = place(own);
            self.order.iter().enumerate().all(|(place, write)| !(place > at && place < end && ext.has(*write, own)))
        });
        writes && reads && whole
    }
}
