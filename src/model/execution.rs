//! One way all threads can have run, and the ways their reads and writes can fit together.

use super::event::{Event, Kind, Tags};
use super::relation::{MAX_EVENTS, Relation, Set};
use super::trace::Trace;
use super::{ModelError, Result};
use crate::program::Const;

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

impl Witness {
    /// Nothing chosen yet, over `events` events.
    pub fn empty(events: usize) -> Witness {
        let none = Relation::empty(events);
        Witness { rf: none.clone(), co: none.clone(), fr: none }
    }

    /// Puts the writes of one location in order, the initial one first.
    pub fn order(&mut self, order: &[usize]) {
        let mut later = Set::EMPTY;
        for &write in order.iter().rev() {
            self.co.insert_all(write, later);
            later.insert(write);
        }
    }

    /// Lets a read get its value from a write whose place in the order is known.
    pub fn source(&mut self, write: usize, read: usize) {
        self.rf.insert(write, read);
        self.fr.insert_all(read, self.co.row(write));
    }
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
        Ok(Execution { events, po, po_loc, loc, int, ext, addr, data, ctrl, rmw, r, w, iw })
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
}

fn span(from: usize, to: usize) -> Set {
    let below = |end: usize| if end >= 128 { u128::MAX } else { (1 << end) - 1 };
    Set(below(to) & !below(from))
}
