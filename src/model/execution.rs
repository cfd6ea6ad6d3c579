//! An execution: the events of all threads for one choice of paths, and the relations between them.

use super::event::{Event, Kind, Tags};
use super::relation::{MAX_EVENTS, Relation, Set};
use super::trace::Trace;
use super::{ModelError, Result};
use crate::program::Const;

/// The events, program order and dependencies, which all candidates made of the same traces share. Events are
/// numbered: first the initial writes, by location, then the events of each thread in program order.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The events.
    pub events: Vec<Event>,
    /// Program order. Initial writes are not in it.
    pub po: Relation,
    /// Program order between accesses to the same location.
    pub po_loc: Relation,
    /// Pairs of accesses to the same location; also grace periods of the same SRCU domain.
    pub loc: Relation,
    /// Pairs of events of the same thread.
    pub int: Relation,
    /// Pairs of events of different threads. An initial write belongs to no thread.
    pub ext: Relation,
    /// Address dependencies.
    pub addr: Relation,
    /// Data dependencies.
    pub data: Relation,
    /// Control dependencies.
    pub ctrl: Relation,
    /// Read-modify-writes: pairs of a read and a write that no other write may come between.
    pub rmw: Relation,
    /// Reads.
    pub r: Set,
    /// Writes.
    pub w: Set,
    /// Initial writes.
    pub iw: Set,
}

/// The choices of a candidate: where each read gets its value, and the order of the writes to each location.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Reads-from.
    pub rf: Relation,
    /// Coherence order, transitively closed.
    pub co: Relation,
    /// From-read: from each read to every write that is coherence-after the write it read.
    pub fr: Relation,
}

impl Witness {
    /// A witness without any choice, over `events` events.
    pub fn empty(events: usize) -> Witness {
        let none = Relation::empty(events);
        Witness { rf: none.clone(), co: none.clone(), fr: none }
    }

    /// Sets the order of the writes to one location. The initial write comes first.
    pub fn order(&mut self, order: &[usize]) {
        let mut later = Set::EMPTY;
        for &write in order.iter().rev() {
            self.co.insert_all(write, later);
            later.insert(write);
        }
    }

    /// Makes a read get its value from a write. The write must already be in the coherence order.
    pub fn source(&mut self, write: usize, read: usize) {
        self.rf.insert(write, read);
        self.fr.insert_all(read, self.co.row(write));
    }
}

impl Execution {
    /// Combines one trace of each thread.
    ///
    /// # Errors
    /// If the execution has more than [`MAX_EVENTS`] events.
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
                Kind::Fence | Kind::GracePeriod(_) => {}
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
        Ok(Execution { events, po, po_loc, loc, int, ext, addr, data, ctrl, rmw, r, w, iw })
    }

    /// The events that have at least one of the tags.
    pub fn tagged(&self, tags: Tags) -> Set {
        self.select(|event| event.tags.any(tags))
    }

    /// All tags that any event has.
    pub fn all_tags(&self) -> Tags {
        self.events.iter().fold(Tags::NONE, |all, event| all | event.tags)
    }

    /// The events for which the predicate holds.
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

    /// `fencerel(s)`: pairs in program order with a barrier of `fences` between them.
    pub fn fencerel(&self, fences: Set) -> Relation {
        (&self.po >> fences) >> &self.po
    }

    /// `[s]`: the identity on a set.
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
}

fn span(from: usize, to: usize) -> Set {
    let below = |end: usize| if end >= 128 { u128::MAX } else { (1 << end) - 1 };
    Set(below(to) & !below(from))
}
