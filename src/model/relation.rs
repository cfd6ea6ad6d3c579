//! Sets of events and relations between them, as bit sets, with the operators that the models are written in.
//!
//! A model reads like its published form. `a | b`, `a & b` and `a - b` are union, intersection and
//! difference. `a >> b` is the sequence `a; b`. A set before or after `>>` restricts the relation, as `[s];
//! r` and `r; [s]` do in the cat language.

use std::ops::{BitAnd, BitOr, Not, Shr, Sub};

/// Maximum number of events in one execution: the number of bits of a row.
pub const MAX_EVENTS: usize = 128;

/// A set of events, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Set(pub u128);

impl Set {
    /// The empty set.
    pub const EMPTY: Set = Set(0);

    /// Whether the set contains an event.
    pub const fn has(self, event: usize) -> bool {
        self.0 >> event & 1 == 1
    }

    /// Adds an event.
    pub fn insert(&mut self, event: usize) {
        self.0 |= 1 << event;
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The events, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(next)
        })
    }
}

impl BitOr for Set {
    type Output = Set;
    fn bitor(self, other: Set) -> Set {
        Set(self.0 | other.0)
    }
}

impl BitAnd for Set {
    type Output = Set;
    fn bitand(self, other: Set) -> Set {
        Set(self.0 & other.0)
    }
}

impl Sub for Set {
    type Output = Set;
    fn sub(self, other: Set) -> Set {
        Set(self.0 & !other.0)
    }
}

impl Not for Set {
    type Output = Set;
    fn not(self) -> Set {
        Set(!self.0)
    }
}

/// A relation between events. Row `a` is the set of events that `a` is related to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    rows: Vec<u128>,
}

impl Relation {
    /// The empty relation over `events` events.
    pub fn empty(events: usize) -> Relation {
        Relation { rows: vec![0; events] }
    }

    /// The number of events that the relation is over.
    pub fn events(&self) -> usize {
        self.rows.len()
    }

    /// Adds the pair (`from`, `to`).
    pub fn insert(&mut self, from: usize, to: usize) {
        self.rows[from] |= 1 << to;
    }

    /// Adds a pair from `from` to each event of `to`.
    pub fn insert_all(&mut self, from: usize, to: Set) {
        self.rows[from] |= to.0;
    }

    /// Whether `from` is related to `to`.
    pub fn has(&self, from: usize, to: usize) -> bool {
        self.rows[from] >> to & 1 == 1
    }

    /// The events that `from` is related to.
    pub fn row(&self, from: usize) -> Set {
        Set(self.rows[from])
    }

    /// Whether the relation has no pair.
    pub fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| *row == 0)
    }

    /// The pairs, in ascending order.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.iter().enumerate().flat_map(|(from, row)| Set(*row).iter().map(move |to| (from, to)))
    }

    /// The inverse, `r^-1`.
    pub fn inverse(&self) -> Relation {
        let mut out = Relation::empty(self.events());
        for (from, to) in self.pairs() {
            out.insert(to, from);
        }
        out
    }

    /// The transitive closure, `r+`.
    pub fn plus(&self) -> Relation {
        let mut rows = self.rows.clone();
        for via in 0..rows.len() {
            let through = rows[via];
            for row in &mut rows {
                if *row >> via & 1 == 1 {
                    *row |= through;
                }
            }
        }
        Relation { rows }
    }

    /// The reflexive closure, `r?`.
    pub fn maybe(&self) -> Relation {
        let mut out = self.clone();
        for (event, row) in out.rows.iter_mut().enumerate() {
            *row |= 1 << event;
        }
        out
    }

    /// The reflexive transitive closure, `r*`.
    pub fn star(&self) -> Relation {
        self.plus().maybe()
    }

    /// Whether no event is related to itself.
    pub fn is_irreflexive(&self) -> bool {
        self.rows.iter().enumerate().all(|(event, row)| row >> event & 1 == 0)
    }

    /// Whether the relation has no cycle.
    pub fn is_acyclic(&self) -> bool {
        // Repeatedly remove the events that lead to no remaining event.
        let mut left = self.rows.iter().enumerate().fold(0, |set, (event, row)| set | u128::from(*row != 0) << event);
        loop {
            let stays = Set(left).iter().filter(|event| self.rows[*event] & left != 0);
            let next = stays.fold(0, |set, event| set | 1 << event);
            if next == left {
                return left == 0;
            }
            left = next;
        }
    }

    /// A shortest cycle: its events in order, the first not repeated. Empty if there is none.
    pub fn cycle(&self) -> Vec<usize> {
        (0..self.events()).filter_map(|start| self.path(start, start)).min_by_key(Vec::len).unwrap_or_default()
    }

    /// A shortest path of at least one step: its events in order, without `to`.
    pub fn path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let mut parent = vec![None; self.events()];
        let mut frontier = std::collections::VecDeque::from([from]);
        let mut seen = Set::EMPTY;
        while let Some(at) = frontier.pop_front() {
            if self.has(at, to) {
                let mut path = vec![at];
                let mut at = at;
                while at != from {
                    at = parent[at]?;
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            for next in (self.row(at) - seen).iter() {
                seen.insert(next);
                if next != from {
                    parent[next] = Some(at);
                    frontier.push_back(next);
                }
            }
        }
        None
    }

    /// The events in an order that respects the relation; `None` if it has a cycle.
    pub fn linearised(&self) -> Option<Vec<usize>> {
        let before = self.inverse();
        let mut done = Set::EMPTY;
        let mut order = Vec::with_capacity(self.events());
        while order.len() < self.events() {
            let next = (0..self.events()).find(|event| !done.has(*event) && (before.row(*event) - done).is_empty())?;
            done.insert(next);
            order.push(next);
        }
        Some(order)
    }

    fn zip(&self, other: &Relation, f: impl Fn(u128, u128) -> u128) -> Relation {
        Relation { rows: self.rows.iter().zip(&other.rows).map(|(a, b)| f(*a, *b)).collect() }
    }

    fn sequence(&self, other: &Relation) -> Relation {
        let through = |row: u128| Set(row).iter().fold(0, |out, via| out | other.rows[via]);
        Relation { rows: self.rows.iter().map(|row| through(*row)).collect() }
    }

    /// Restricts the domain: `[from]; r`.
    pub fn from(&self, from: Set) -> Relation {
        let keep = |(event, row): (usize, &u128)| if from.has(event) { *row } else { 0 };
        Relation { rows: self.rows.iter().enumerate().map(keep).collect() }
    }

    /// Restricts the range: `r; [to]`.
    pub fn to(&self, to: Set) -> Relation {
        Relation { rows: self.rows.iter().map(|row| row & to.0).collect() }
    }

    /// The events that have a successor.
    pub fn domain(&self) -> Set {
        Set(self.rows.iter().enumerate().fold(0, |set, (event, row)| set | u128::from(*row != 0) << event))
    }

    /// The events that have a predecessor.
    pub fn range(&self) -> Set {
        Set(self.rows.iter().fold(0, |set, row| set | row))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $body:expr) => {
        impl $trait<&Relation> for &Relation {
            type Output = Relation;
            fn $method(self, other: &Relation) -> Relation {
                let ($a, $b) = (self, other);
                $body
            }
        }
        impl $trait<Relation> for &Relation {
            type Output = Relation;
            fn $method(self, other: Relation) -> Relation {
                let ($a, $b) = (self, &other);
                $body
            }
        }
        impl $trait<&Relation> for Relation {
            type Output = Relation;
            fn $method(self, other: &Relation) -> Relation {
                let ($a, $b) = (&self, other);
                $body
            }
        }
        impl $trait<Relation> for Relation {
            type Output = Relation;
            fn $method(self, other: Relation) -> Relation {
                let ($a, $b) = (&self, &other);
                $body
            }
        }
    };
}

operator!(BitOr, bitor, |a, b| a.zip(b, |a, b| a | b));
operator!(BitAnd, bitand, |a, b| a.zip(b, |a, b| a & b));
operator!(Sub, sub, |a, b| a.zip(b, |a, b| a & !b));
operator!(Shr, shr, |a, b| a.sequence(b));

/// `[from]; r`, with the set in front as in the cat language.
impl Shr<&Relation> for Set {
    type Output = Relation;
    fn shr(self, relation: &Relation) -> Relation {
        relation.from(self)
    }
}

impl Shr<Relation> for Set {
    type Output = Relation;
    fn shr(self, relation: Relation) -> Relation {
        relation.from(self)
    }
}

/// `r; [to]`
impl Shr<Set> for &Relation {
    type Output = Relation;
    fn shr(self, to: Set) -> Relation {
        self.to(to)
    }
}

impl Shr<Set> for Relation {
    type Output = Relation;
    fn shr(self, to: Set) -> Relation {
        self.to(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn relation(pairs: &[(usize, usize)]) -> Relation {
        let mut out = Relation::empty(6);
        for &(from, to) in pairs {
            out.insert(from, to);
        }
        out
    }

    #[test]
    fn sequence_closure_and_cycles() {
        let r = relation(&[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(&r >> &r, relation(&[(0, 2), (1, 3)]));
        assert_eq!(r.plus(), relation(&[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]));
        assert_eq!(Set(0b10) >> &r, relation(&[(1, 2)]));
        assert_eq!(&r >> Set(0b10), relation(&[(0, 1)]));
        assert!(r.is_acyclic() && r.cycle().is_empty());
        let back = &r | relation(&[(3, 1), (5, 5)]);
        assert_eq!(back.cycle(), [5]);
        assert_eq!((&back - relation(&[(5, 5)])).cycle(), [1, 2, 3]);
        assert_eq!(r.linearised(), Some(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(back.linearised(), None);
    }

    proptest! {
        #[test]
        fn acyclic_cycle_closure_and_order_agree(pairs in prop::collection::vec((0usize..6, 0usize..6), 0..12)) {
            let r = relation(&pairs);
            let acyclic = r.plus().is_irreflexive();
            prop_assert_eq!(r.is_acyclic(), acyclic);
            prop_assert_eq!(r.cycle().is_empty(), acyclic);
            prop_assert_eq!(r.linearised().is_some(), acyclic);
            let cycle = r.cycle();
            for (at, event) in cycle.iter().enumerate() {
                prop_assert!(r.has(*event, cycle[(at + 1) % cycle.len()]));
            }
        }
    }
}
