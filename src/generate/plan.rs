//! What a cycle's threads do: accesses with locations, values, and what stands between them.

use super::edge::{Com, Dir, Edge, Kind, Mark, Side, Size};
use super::language::{Change, Language};

/// How an access follows the one before it in its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// In program order, or as the first of its thread.
    Po,
    Fence(usize),
    Dep(usize),
    /// It is the write of the read-modify-write whose read is the access before.
    Rmw(usize),
}

/// One access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    pub dir: Dir,
    /// A place in [`Plan::locations`].
    pub location: usize,
    pub mark: Mark,
    /// For a read, the value that the condition asks for. For a write, the value in the instruction, which is the operand
    /// of a read-modify-write.
    pub value: u64,
    pub link: Link,
}

impl Access {
    pub fn size(&self) -> Size {
        self.mark.size.unwrap_or(Size::WORD)
    }
}

/// A variable of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub name: String,
    pub bytes: usize,
    /// The final value that the condition asks for.
    pub last: Option<u64>,
}

/// A test before it is written in a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub threads: Vec<Vec<Access>>,
    pub locations: Vec<Location>,
    /// Whether accesses have sizes.
    pub mixed: bool,
}

impl Plan {
    /// The type of a location or of a value of so many bytes.
    pub const fn type_of(bytes: usize) -> &'static str {
        if bytes == 8 { "uint64_t" } else { "uint32_t" }
    }
}

/// The names of the first locations; behind them come `l9`, `l10` and so on.
const NAMES: [&str; 9] = ["x", "y", "z", "a", "b", "c", "d", "e", "f"];

/// Plans the test of a cycle whose last edge leads from one thread to the next. The edges' annotations are resolved.
pub(super) fn plan(language: &Language, edges: &[Edge]) -> Plan {
    let mark = |at: usize| edges[at].marks[0].unwrap_or_default();
    let mixed = edges.iter().flat_map(|edge| edge.marks).flatten().any(|mark| mark.size.is_some());
    let places = places(edges);
    let count = places.iter().max().map_or(0, |most| most + 1);
    let mut cells = vec![Cells::default(); count];
    let mut values = vec![0; edges.len()];
    for event in walk(edges) {
        let before = (event + edges.len() - 1) % edges.len();
        let size = mark(event).size.unwrap_or(Size::WORD);
        let cells = &mut cells[places[event]];
        values[event] = match (edges[event].src, edges[before].kind) {
            (Dir::R, _) => cells.read(size, mixed),
            (Dir::W, Kind::Rmw(rmw)) => cells.update(size, mixed, language.rmws[rmw].change),
            (Dir::W, _) => cells.write(size, mixed),
        };
    }
    let widest = |place: usize| {
        let sizes = (0..edges.len()).filter(|event| places[*event] == place).map(|event| {
            let size = mark(event).size.unwrap_or(Size::WORD);
            if size.offset + size.bytes > 4 { 8 } else { 4 }
        });
        sizes.max().unwrap_or(4)
    };
    let locations = cells.iter().enumerate().map(|(place, cells)| {
        let bytes = widest(place);
        let last = (cells.writes > 1).then(|| cells.read(Size { bytes, offset: 0 }, mixed));
        let name = NAMES.get(place).map_or_else(|| format!("l{place}"), |name| (*name).to_owned());
        Location { name, bytes, last }
    });
    let locations = locations.collect();
    let mut threads = vec![Vec::new()];
    for (event, edge) in edges.iter().enumerate() {
        let link = match event.checked_sub(1).map(|before| edges[before].kind) {
            Some(Kind::Fence(fence, _)) => Link::Fence(fence),
            Some(Kind::Dep(dep, _)) => Link::Dep(dep),
            Some(Kind::Rmw(rmw)) => Link::Rmw(rmw),
            Some(Kind::Po(_) | Kind::Com(..)) | None => Link::Po,
        };
        let access = Access { dir: edge.src, location: places[event], mark: mark(event), value: values[event], link };
        threads.last_mut().expect("there is a thread").push(access);
        if edge.is_external() && event + 1 < edges.len() {
            threads.push(Vec::new());
        }
    }
    Plan { threads, locations, mixed }
}

/// The location of each access, numbered in the order in which the threads name them.
fn places(edges: &[Edge]) -> Vec<usize> {
    let count = edges.len();
    let Some(start) = first_of_a_location(edges) else { return vec![0; count] };
    let mut groups = vec![0; count];
    let mut group = 0;
    for step in 0..count {
        let event = (start + step) % count;
        groups[event] = group;
        group += usize::from(edges[event].changes_location());
    }
    let mut order: Vec<usize> = Vec::new();
    for group in &groups {
        if !order.contains(group) {
            order.push(*group);
        }
    }
    groups.iter().map(|group| order.iter().position(|known| known == group).unwrap_or(0)).collect()
}

/// An access whose location is not that of the access before it; `None` if there is one location.
fn first_of_a_location(edges: &[Edge]) -> Option<usize> {
    edges.iter().position(Edge::changes_location).map(|at| (at + 1) % edges.len())
}

/// The accesses in an order in which those of each location follow its coherence order. With one location the order begins
/// behind an edge of program order, which the coherence order contradicts.
fn walk(edges: &[Edge]) -> impl Iterator<Item = usize> {
    let count = edges.len();
    let in_a_thread = |edge: &Edge| !matches!(edge.kind, Kind::Com(..) | Kind::Rmw(_));
    let start = first_of_a_location(edges)
        .or_else(|| edges.iter().rposition(in_a_thread).map(|at| (at + 1) % count))
        .unwrap_or(0);
    (0..count).map(move |step| (start + step) % count)
}

/// The bytes of a location while its accesses are walked through.
#[derive(Debug, Clone, Default)]
struct Cells {
    bytes: [u8; 8],
    /// The writes so far, each of which has a value of its own.
    writes: u8,
}

impl Cells {
    fn read(&self, size: Size, mixed: bool) -> u64 {
        if !mixed {
            return u64::from(self.bytes[0]);
        }
        let of = |byte: usize| u64::from(self.bytes[size.offset + byte]) << (8 * byte);
        (0..size.bytes).map(of).sum()
    }

    /// A new value, in every byte of a mixed-size access.
    fn fresh(&mut self, size: Size, mixed: bool) -> u64 {
        self.writes += 1;
        let repeat = if mixed { size.bytes } else { 1 };
        (0..repeat).map(|byte| u64::from(self.writes) << (8 * byte)).sum()
    }

    fn store(&mut self, size: Size, mixed: bool, value: u64) {
        if mixed {
            let bytes = value.to_le_bytes();
            self.bytes[size.offset..size.offset + size.bytes].copy_from_slice(&bytes[..size.bytes]);
        } else {
            self.bytes[0] = value.to_le_bytes()[0];
        }
    }

    /// Writes a new value and returns it.
    fn write(&mut self, size: Size, mixed: bool) -> u64 {
        let value = self.fresh(size, mixed);
        self.store(size, mixed, value);
        value
    }

    /// Writes what a read-modify-write makes of a new operand, and returns the operand.
    fn update(&mut self, size: Size, mixed: bool, change: Change) -> u64 {
        let operand = self.fresh(size, mixed);
        self.store(size, mixed, change.apply(self.read(size, mixed), operand));
        operand
    }
}

/// Whether an edge says that two accesses have bytes in common.
pub(super) const fn needs_overlap(kind: Kind) -> bool {
    matches!(kind, Kind::Com(Com::Rf | Com::Fr | Com::Co, Side::Int | Side::Ext) | Kind::Rmw(_))
}
