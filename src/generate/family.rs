//! Families: every cycle of some relaxations, each once.

use std::collections::HashSet;

use super::cycle::Cycle;
use super::edge::{Com, Dir, Edge, Kind, Loc, Mark, Side};
use super::language::Language;

/// One or more edges that stand together: a choice of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relaxation {
    pub edges: Vec<Edge>,
    /// Whether a cycle needs one like this.
    pub wanted: bool,
}

/// The cycles of some relaxations, in the order of the relaxations. Only the canonical rotation of a cycle is found.
pub(super) struct Cycles {
    language: &'static Language,
    relaxations: Vec<Relaxation>,
    /// The most edges of a cycle.
    size: usize,
    /// The most threads.
    threads: usize,
    edges: Vec<Edge>,
    stack: Vec<Frame>,
    /// The cycles so far, if one may be found in two ways.
    seen: Option<HashSet<Cycle>>,
}

/// A place of the search: how many edges stand before it, and the next relaxation to try.
struct Frame {
    before: usize,
    next: usize,
}

impl Cycles {
    pub fn new(language: &'static Language, relaxations: Vec<Relaxation>, [size, threads]: [usize; 2]) -> Cycles {
        let ambiguous = relaxations.iter().any(|relaxation| relaxation.edges.len() > 1);
        Cycles {
            language,
            relaxations,
            size,
            threads,
            edges: Vec::new(),
            stack: vec![Frame { before: 0, next: 0 }],
            seen: ambiguous.then(HashSet::new),
        }
    }

    /// Whether a relaxation may follow the edges so far.
    fn fits(&self, relaxation: &Relaxation) -> bool {
        let all = self.edges.iter().chain(&relaxation.edges);
        self.edges.len() + relaxation.edges.len() <= self.size
            && all.filter(|edge| edge.is_external()).count() <= self.threads
            && self.edges.last().is_none_or(|last| may_follow(last, &relaxation.edges[0]))
    }

    /// The cycle that the edges make, if they make one and it was not found before.
    fn closed(&mut self) -> Option<Cycle> {
        let (first, last) = (self.edges.first()?, self.edges.last()?);
        let choices = || self.stack.iter().map(|frame| &self.relaxations[frame.next - 1]);
        let wanted = !self.relaxations.iter().any(|relaxation| relaxation.wanted)
            || choices().any(|relaxation| relaxation.wanted);
        if !wanted || !last.is_external() || !may_follow(last, first) {
            return None;
        }
        let cycle = Cycle::canonical(self.language, &self.edges)?;
        match &mut self.seen {
            Some(seen) => seen.insert(cycle.clone()).then_some(cycle),
            None => Some(cycle),
        }
    }
}

impl Iterator for Cycles {
    type Item = Cycle;

    fn next(&mut self) -> Option<Cycle> {
        loop {
            let frame = self.stack.last_mut()?;
            self.edges.truncate(frame.before);
            let choice = frame.next;
            if choice == self.relaxations.len() {
                self.stack.pop();
                continue;
            }
            frame.next += 1;
            if !self.fits(&self.relaxations[choice]) {
                continue;
            }
            self.edges.extend_from_slice(&self.relaxations[choice].edges);
            let cycle = self.closed();
            if self.edges.len() < self.size {
                self.stack.push(Frame { before: self.edges.len(), next: 0 });
            }
            if cycle.is_some() {
                return cycle;
            }
        }
    }
}

/// Whether an edge may follow another in a family. As in diy7, two edges of a thread follow each other only if no single
/// edge says the same, and two communications only if they do not come to one.
fn may_follow(first: &Edge, second: &Edge) -> bool {
    let marks = match (first.marks[1], second.marks[0]) {
        (Some(left), Some(right)) => left == right || left.size.is_some() != right.size.is_some(),
        _ => true,
    };
    first.dst == second.src && marks && adds_something(first, second)
}

fn adds_something(first: &Edge, second: &Edge) -> bool {
    let is_rmw = |edge: &Edge| matches!(edge.kind, Kind::Rmw(_));
    if is_rmw(first) || is_rmw(second) {
        return true;
    }
    match (first.kind, second.kind) {
        (Kind::Com(first, a), Kind::Com(second, b)) => match (first, second) {
            (Com::Co | Com::Fr, Com::Co) | (Com::Rf, Com::Fr) => a != b,
            _ => a == Side::Ext || b == Side::Ext,
        },
        (Kind::Com(_, Side::Ext), _) | (_, Kind::Com(_, Side::Ext)) => true,
        _ => pair_adds(first, second) || pair_adds(second, first),
    }
}

/// The pairs inside a thread that are kept, in one of their two orders.
fn pair_adds(a: &Edge, b: &Edge) -> bool {
    let other_location = matches!(b.kind, Kind::Dep(..) | Kind::Po(Loc::Diff));
    match same_location(a) {
        Some((Dir::W, Dir::R)) => other_location || b.kind == Kind::Po(Loc::Same),
        Some((Dir::R, Dir::R)) => false,
        Some(_) => other_location,
        None => matches!((a.kind, b.kind), (Kind::Dep(_, Loc::Diff), Kind::Po(Loc::Diff))),
    }
}

/// The accesses of an edge inside a thread that stays at its location: Rfi, Fri, Coi and Pos.
fn same_location(edge: &Edge) -> Option<(Dir, Dir)> {
    matches!(edge.kind, Kind::Com(_, Side::Int) | Kind::Po(Loc::Same)).then_some((edge.src, edge.dst))
}

/// The cycles that differ from a cycle only in the annotations: each access has each of the annotations that it may have.
pub(super) fn varied(language: &'static Language, cycle: Cycle, marks: &[Mark]) -> impl Iterator<Item = Cycle> + use<> {
    let choices: Vec<Vec<Option<Mark>>> = (cycle.edges().iter())
        .map(|edge| {
            let own = edge.marks[0].unwrap_or_default();
            let takes = |mark: &&Mark| own == Mark::default() && language.takes(**mark, edge.src);
            let fitting: Vec<Option<Mark>> = marks.iter().filter(takes).copied().map(Some).collect();
            if fitting.is_empty() { vec![Some(own)] } else { fitting }
        })
        .collect();
    let count: usize = choices.iter().map(Vec::len).product();
    (0..count).filter_map(move |number| {
        let mut left = number;
        let mut edges = cycle.edges().to_vec();
        let length = edges.len();
        for (at, marks) in choices.iter().enumerate() {
            let mark = marks[left % marks.len()];
            left /= marks.len();
            edges[at].marks[0] = mark;
            edges[(at + length - 1) % length].marks[1] = mark;
        }
        Cycle::canonical(language, &edges)
    })
}
