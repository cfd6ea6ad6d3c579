//! An execution: the events of all threads for one choice of paths, and the relations between them.

use super::code::Code;
use super::event::{Event, Kind, Tags};
use super::relation::{MAX_EVENTS, Relation, Set};
use super::trace::Trace;
use super::{ModelError, Result};
use crate::program::{Const, LocationId};

/// The events, program order and dependencies, which all candidates made of the same traces share. Events are
/// numbered: first the initial writes, by cell, then the events of each thread in program order.
///
/// A cell is what the events read and write: a location, or the bytes of a variable that every access of this execution
/// covers as a whole or not at all. An access to several cells has one event for each of them. The locations in the
/// events are the numbers of the cells.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The events.
    pub events: Vec<Event>,
    /// The cells.
    pub cells: Vec<Cell>,
    /// What each event stands for; for an initial write, the whole of its cell.
    pub parts: Vec<Part>,
    /// Pairs of different events of the same access. Empty if every access has one event.
    pub access: Relation,
    /// Program order. Initial writes are not in it, nor are two operands of one expression of C. Where it relates two
    /// events, the first has the lower number.
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
    /// Pairs of a read and a write whose value the read only selected. They are in `ctrl` too.
    pub picks: Relation,
    /// Reads.
    pub r: Set,
    /// Writes.
    pub w: Set,
    /// Initial writes.
    pub iw: Set,
}

/// A location, or some bytes of a variable ([`Code::bytes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The location, or the first byte.
    pub location: LocationId,
    /// The number of bytes; 0 if locations are not bytes.
    pub bytes: usize,
}

/// What an event stands for: an event of a trace, or its part for one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The position of the event within the trace of its thread.
    pub place: usize,
    /// The number of parts that it has.
    pub count: usize,
    /// The number of this part. The parts of an event follow each other.
    pub index: usize,
    /// The lowest bit of the value that this part holds.
    pub shift: u32,
    /// The number of bits that this part holds; 0 if the value is not divided into bytes.
    pub bits: u32,
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

    /// Takes the order of the writes to one location away.
    pub fn forget_order(&mut self, order: &[usize]) {
        order.iter().for_each(|write| self.co.remove_all(*write, Set(u128::MAX)));
    }

    /// Makes a read get its value from a write. The write must already be in the coherence order.
    pub fn source(&mut self, write: usize, read: usize) {
        self.rf.insert(write, read);
        self.fr.insert_all(read, self.co.row(write));
    }

    /// Takes the source of a read away.
    pub fn forget_source(&mut self, write: usize, read: usize) {
        let mut only = Set::EMPTY;
        only.insert(read);
        self.rf.remove_all(write, only);
        self.fr.remove_all(read, Set(u128::MAX));
    }
}

impl Execution {
    /// Combines one trace of each thread.
    ///
    /// # Errors
    /// If the execution has more than [`MAX_EVENTS`] events, or two operations on a lock have no order.
    pub fn new(code: &Code, traces: &[&Trace]) -> Result<Execution> {
        let cells = cells(code, traces);
        let (events, parts) = split(code, &cells, traces);
        let count = events.len();
        if count > MAX_EVENTS {
            return Err(ModelError::TooLong { what: "events", count: count as u64, most: MAX_EVENTS as u64 });
        }
        let empty = Relation::empty(count);
        let [mut po, mut addr, mut data, mut ctrl, mut rmw, mut picks, mut access] =
            std::array::from_fn(|_| empty.clone());
        let mut base = cells.len();
        // The events of each thread.
        let mut threads = Vec::with_capacity(traces.len());
        for trace in traces {
            // For each event of the trace, the events that it became.
            let mut own = Vec::with_capacity(trace.events.len());
            let mut next = base;
            for _ in &trace.events {
                own.push(span(next, next + parts[next].count));
                next += parts[next].count;
            }
            for (at, targets) in own.iter().enumerate() {
                for event in targets.iter() {
                    po.insert_all(event, span(base, next) - span(base, event) - *targets);
                    access.insert_all(event, *targets - span(event, event + 1));
                }
                for (relation, from) in [(&mut addr, &trace.addr), (&mut data, &trace.data), (&mut ctrl, &trace.ctrl)] {
                    for source in from[at].iter().filter(|source| *source != at) {
                        own[source].iter().for_each(|source| relation.insert_all(source, *targets));
                    }
                }
            }
            for &(one, other) in &trace.unordered {
                refuse_unordered_locks(&trace.events[one], &trace.events[other])?;
                own[one].iter().for_each(|event| po.remove_all(event, own[other]));
            }
            for &(read, write) in &trace.rmw {
                // A store-conditional may write a part of what its load-reserve read.
                for write in own[write].iter() {
                    let cell = events[write].location();
                    own[read]
                        .iter()
                        .filter(|read| events[*read].location() == cell)
                        .for_each(|read| rmw.insert(read, write));
                }
            }
            for &(read, write) in &trace.picks {
                own[read].iter().for_each(|read| picks.insert_all(read, own[write]));
            }
            threads.push(span(base, next));
            base = next;
        }
        let [mut loc, mut int, mut ext] = std::array::from_fn(|_| empty.clone());
        let [mut r, mut w, mut iw] = [Set::EMPTY; 3];
        // The events of each cell.
        let mut same = vec![Set::EMPTY; cells.len()];
        for (number, event) in events.iter().enumerate() {
            match event.kind {
                Kind::Read(..) => r.insert(number),
                Kind::Write(..) => w.insert(number),
                Kind::Fence | Kind::GracePeriod(_) => {}
            }
            if event.thread.is_none() {
                iw.insert(number);
            }
            if let Some(cell) = event.location() {
                same[cell].insert(number);
            }
        }
        for (number, event) in events.iter().enumerate() {
            if let Some(cell) = event.location() {
                loc.insert_all(number, same[cell]);
            }
            let own = event.thread.map_or(Set::EMPTY, |thread| threads[thread]);
            int.insert_all(number, own);
            let mut others = span(0, count) - own;
            others.remove(number);
            ext.insert_all(number, others);
        }
        let po_loc = &po & &loc;
        Ok(Execution {
            events,
            cells,
            parts,
            access,
            po,
            po_loc,
            loc,
            int,
            ext,
            addr,
            data,
            ctrl,
            rmw,
            picks,
            r,
            w,
            iw,
        })
    }

    /// Whether an access covers several cells, so that accesses of different sizes overlap.
    pub fn mixes_sizes(&self) -> bool {
        self.parts.iter().any(|part| part.count > 1)
    }

    /// `r; (access | id)`: what comes before one event of an access comes before all of them.
    pub fn to_whole(&self, relation: &Relation) -> Relation {
        if self.access.is_empty() { relation.clone() } else { relation | (relation >> &self.access) }
    }

    /// The names of the cells, for messages: `x`, or `x[2..4]` for some bytes of a variable.
    pub fn cell_names(&self, code: &Code) -> Vec<String> {
        let Some(bytes) = &code.bytes else { return code.names.clone() };
        let name = |cell: &Cell| {
            let variable = bytes.variable(cell.location);
            let (name, from) = (&code.names[variable.start], cell.location - variable.start);
            match cell.bytes {
                all if all == variable.len() => name.clone(),
                1 => format!("{name}[{from}]"),
                some => format!("{name}[{from}..{}]", from + some),
            }
        };
        self.cells.iter().map(name).collect()
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

    /// The cells of some events, by number.
    pub fn cells_of(&self, events: Set) -> Set {
        self.iw & self.loc.from(events).range()
    }

    /// The cells that are locks, by number.
    pub fn locks(&self) -> Set {
        self.cells_of(self.tagged(Tags::OF_LOCKS))
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

/// Refuses two operations on one lock that program order does not relate. What lock.cat says about a lock that its own thread
/// holds takes them as ordered.
fn refuse_unordered_locks(one: &Event, other: &Event) -> Result<()> {
    if one.location() == other.location() && one.tags.any(Tags::OF_LOCKS) && other.tags.any(Tags::OF_LOCKS) {
        let message = "one expression has several operations on a lock, and C leaves their order open".to_owned();
        return Err(ModelError::Unsupported(message));
    }
    Ok(())
}

/// The cells that the accesses of some traces divide the memory into.
fn cells(code: &Code, traces: &[&Trace]) -> Vec<Cell> {
    if code.bytes.is_none() {
        return (0..code.init.len()).map(|location| Cell { location, bytes: 0 }).collect();
    }
    let accesses = || {
        let of = |trace: &&Trace| -> Vec<(LocationId, usize)> {
            let each = trace.events.iter().zip(&trace.widths);
            each.filter_map(|(event, width)| Some((event.location()?, *width))).collect()
        };
        traces.iter().flat_map(of)
    };
    let mut borders: Vec<LocationId> = accesses().flat_map(|(first, width)| [first, first + width]).collect();
    borders.sort_unstable();
    borders.dedup();
    let covered = |from: LocationId| accesses().any(|(first, width)| (first..first + width).contains(&from));
    let pairs = borders.windows(2).filter(|pair| covered(pair[0]));
    pairs.map(|pair| Cell { location: pair[0], bytes: pair[1] - pair[0] }).collect()
}

/// The events of some traces, one for each cell that they access, with the initial writes in front.
fn split(code: &Code, cells: &[Cell], traces: &[&Trace]) -> (Vec<Event>, Vec<Part>) {
    let count = cells.len() + traces.iter().map(|trace| trace.events.len()).sum::<usize>();
    let (mut events, mut parts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (number, cell) in cells.iter().enumerate() {
        let kind = Kind::Write(number, code.init[cell.location]);
        events.push(Event { thread: None, kind, tags: Tags::NONE, step: 0 });
        parts.push(Part { place: 0, count: 1, index: 0, shift: 0, bits: 8 * cell.bytes as u32 });
    }
    for trace in traces {
        for (place, (event, width)) in trace.events.iter().zip(&trace.widths).enumerate() {
            let (Some(first), Some(_)) = (event.location(), &code.bytes) else {
                events.push(*event);
                parts.push(Part { place, count: 1, index: 0, shift: 0, bits: 0 });
                continue;
            };
            let own = || cells.iter().enumerate().filter(|(_, cell)| (first..first + width).contains(&cell.location));
            for (index, (number, cell)) in own().enumerate() {
                let kind = match event.kind {
                    Kind::Write(_, value) => Kind::Write(number, value),
                    _ => Kind::Read(number, Const::Int(0)),
                };
                events.push(Event { kind, ..*event });
                let shift = 8 * (cell.location - first) as u32;
                parts.push(Part { place, count: own().count(), index, shift, bits: 8 * cell.bytes as u32 });
            }
        }
    }
    (events, parts)
}

fn span(from: usize, to: usize) -> Set {
    let below = |end: usize| if end >= 128 { u128::MAX } else { (1 << end) - 1 };
    Set(below(to) & !below(from))
}
