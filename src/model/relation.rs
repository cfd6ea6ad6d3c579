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
    #[inline]
    pub const fn has(self, event: usize) -> bool {
        self.0 >> event & 1 == 1
    }

    /// Adds an event.
    #[inline]
    pub fn insert(&mut self, event: usize) {
        self.0 |= 1 << event;
    }

    /// Removes an event.
    #[inline]
    pub fn remove(&mut self, event: usize) {
        self.0 &= !(1 << event);
    }

    /// The number of events.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The events, in ascending order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let (mut low, mut high) = (self.0 as u64, (self.0 >> 64) as u64);
        std::iter::from_fn(move || {
            if low != 0 {
                let next = low.trailing_zeros() as usize;
                low &= low - 1;
                return Some(next);
            }
            let next = (high != 0).then(|| high.trailing_zeros() as usize + 64)?;
            high &= high - 1;
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

/// The number of events of a small relation.
const SMALL: usize = 32;

/// A relation between events. Row `a` is the set of events that `a` is related to.
///
/// The relations of an execution with at most `SMALL` events need no allocation. The rows behind the last event are empty,
/// so that the operators may work on all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    events: usize,
    /// The rows of a small relation.
    small: [u32; SMALL],
    /// The rows of a larger one.
    large: Vec<u128>,
}

impl Relation {
    /// The empty relation over `events` events.
    #[inline]
    pub fn empty(events: usize) -> Relation {
        let large = if events > SMALL { vec![0; events] } else { Vec::new() };
        Relation { events, small: [0; SMALL], large }
    }

    #[inline]
    const fn is_small(&self) -> bool {
        self.events <= SMALL
    }

    /// The number of events that the relation is over.
    pub fn events(&self) -> usize {
        self.events
    }

    /// Adds the pair (`from`, `to`).
    #[inline]
    pub fn insert(&mut self, from: usize, to: usize) {
        self.insert_all(from, Set(1 << to));
    }

    /// Adds a pair from `from` to each event of `to`.
    #[inline]
    pub fn insert_all(&mut self, from: usize, to: Set) {
        if self.is_small() {
            self.small[from] |= to.0 as u32;
        } else {
            self.large[from] |= to.0;
        }
    }

    /// Removes all pairs from `from` to an event of `to`.
    #[inline]
    pub fn remove_all(&mut self, from: usize, to: Set) {
        if self.is_small() {
            self.small[from] &= !(to.0 as u32);
        } else {
            self.large[from] &= !to.0;
        }
    }

    /// Whether `from` is related to `to`.
    #[inline]
    pub fn has(&self, from: usize, to: usize) -> bool {
        self.row(from).has(to)
    }

    /// The events that `from` is related to.
    #[inline]
    pub fn row(&self, from: usize) -> Set {
        if self.is_small() { Set(self.small[from].into()) } else { Set(self.large[from]) }
    }

    /// Whether the relation has no pair.
    pub fn is_empty(&self) -> bool {
        if self.is_small() {
            return self.small.iter().fold(0, |all, row| all | row) == 0;
        }
        self.large.iter().all(|row| *row == 0)
    }

    /// The pairs, in ascending order.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.events).flat_map(|from| self.row(from).iter().map(move |to| (from, to)))
    }

    /// The inverse, `r^-1`.
    pub fn inverse(&self) -> Relation {
        let mut out = Relation::empty(self.events);
        if self.is_small() {
            for (from, row) in self.small[..self.events].iter().enumerate() {
                let mut rest = *row;
                while rest != 0 {
                    out.small[rest.trailing_zeros() as usize] |= 1 << from;
                    rest &= rest - 1;
                }
            }
            return out;
        }
        for (from, to) in self.pairs() {
            out.insert(to, from);
        }
        out
    }

    /// The transitive closure, `r+`.
    pub fn plus(&self) -> Relation {
        let mut out = self.clone();
        if self.is_small() {
            for via in 0..self.events {
                let through = out.small[via];
                if through != 0 {
                    // Rows in chunks are handled as vectors; those behind the last event are empty.
                    for row in out.small.as_chunks_mut::<8>().0[..self.events.div_ceil(8)].as_flattened_mut() {
                        // All bits if the row has `via`.
                        *row |= through & (*row >> via & 1).wrapping_neg();
                    }
                }
            }
            return out;
        }
        for via in 0..self.events {
            let through = out.large[via];
            for row in &mut out.large {
                if *row >> via & 1 == 1 {
                    *row |= through;
                }
            }
        }
        out
    }

    /// The reflexive closure, `r?`.
    pub fn maybe(&self) -> Relation {
        let mut out = self.clone();
        out.add_identity();
        out
    }

    /// The reflexive transitive closure, `r*`.
    pub fn star(&self) -> Relation {
        let mut out = self.plus();
        out.add_identity();
        out
    }

    fn add_identity(&mut self) {
        let events = self.events;
        if self.is_small() {
            self.small[..events].iter_mut().enumerate().for_each(|(event, row)| *row |= 1 << event);
        } else {
            self.large.iter_mut().enumerate().for_each(|(event, row)| *row |= 1 << event);
        }
    }

    /// Whether no event is related to itself.
    pub fn is_irreflexive(&self) -> bool {
        (0..self.events).all(|event| !self.has(event, event))
    }

    /// Whether the relation has no cycle.
    pub fn is_acyclic(&self) -> bool {
        // Repeatedly remove the events that lead to no remaining event. Most pairs lead to a later event, so the last come first.
        if self.is_small() {
            let mut left = self.domain().0 as u32;
            loop {
                let before = left;
                let mut rest = left;
                while rest != 0 {
                    let event = rest.ilog2();
                    rest &= !(1 << event);
                    if self.small[event as usize] & left == 0 {
                        left &= !(1 << event);
                    }
                }
                if left == 0 || left == before {
                    return left == 0;
                }
            }
        }
        let mut left = self.domain().0;
        loop {
            let stays = Set(left).iter().filter(|event| self.large[*event] & left != 0);
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

    #[inline]
    fn zip(&self, other: &Relation, small: impl Fn(u32, u32) -> u32, large: impl Fn(u128, u128) -> u128) -> Relation {
        let mut out = Relation { events: self.events, small: self.small, large: Vec::new() };
        if self.is_small() {
            out.small.iter_mut().zip(&other.small).for_each(|(a, b)| *a = small(*a, *b));
        } else {
            out.large = self.large.iter().zip(&other.large).map(|(a, b)| large(*a, *b)).collect();
        }
        out
    }

    fn sequence(&self, other: &Relation) -> Relation {
        let mut out = Relation::empty(self.events);
        out.add_sequence(self, other);
        out
    }

    /// `r; next?`
    pub fn then(&self, next: &Relation) -> Relation {
        let mut out = self.clone();
        out.add_sequence(self, next);
        out
    }

    /// `before?; r`
    pub fn then_before(&self, before: &Relation) -> Relation {
        let mut out = self.clone();
        out.add_sequence(before, self);
        out
    }

    /// Restricts the domain: `[from]; r`.
    pub fn from(&self, from: Set) -> Relation {
        let mut out = self.clone();
        if self.is_small() {
            // A row keeps all of its bits or none.
            out.small
                .iter_mut()
                .enumerate()
                .for_each(|(event, row)| *row &= (from.0 as u32 >> event & 1).wrapping_neg());
            return out;
        }
        let all = u128::MAX >> (MAX_EVENTS - self.events.max(1));
        for event in Set(all & !from.0).iter() {
            out.remove_all(event, Set(u128::MAX));
        }
        out
    }

    /// Restricts the range: `r; [to]`.
    pub fn to(&self, to: Set) -> Relation {
        let mut out = self.clone();
        if self.is_small() {
            out.small.iter_mut().for_each(|row| *row &= to.0 as u32);
        } else {
            out.large.iter_mut().for_each(|row| *row &= to.0);
        }
        out
    }

    /// The events that have a successor.
    pub fn domain(&self) -> Set {
        if self.is_small() {
            let rows = self.small.iter().enumerate();
            return Set(rows.fold(0_u32, |set, (event, row)| set | u32::from(*row != 0) << event).into());
        }
        (0..self.events).fold(Set::EMPTY, |set, event| Set(set.0 | u128::from(!self.row(event).is_empty()) << event))
    }

    /// The events that have a predecessor.
    pub fn range(&self) -> Set {
        if self.is_small() {
            return Set(self.small.iter().fold(0, |set, row| set | row).into());
        }
        Set(self.large.iter().fold(0, |set, row| set | row))
    }

    /// Adds the pairs of another relation.
    #[inline]
    pub fn add(&mut self, other: &Relation) {
        self.small.iter_mut().zip(&other.small).for_each(|(a, b)| *a |= b);
        self.large.iter_mut().zip(&other.large).for_each(|(a, b)| *a |= b);
    }

    /// Adds the pairs of the sequence `a; b`.
    pub fn add_sequence(&mut self, a: &Relation, b: &Relation) {
        if self.is_small() {
            for (row, out) in a.small[..a.events].iter().zip(&mut self.small) {
                let mut rest = *row;
                while rest != 0 {
                    *out |= b.small[rest.trailing_zeros() as usize];
                    rest &= rest - 1;
                }
            }
        } else {
            for (row, out) in a.large.iter().zip(&mut self.large) {
                *out = Set(*row).iter().fold(*out, |all, via| all | b.large[via]);
            }
        }
    }

    /// Adds the pairs that two relations have in common.
    #[inline]
    pub fn add_common(&mut self, a: &Relation, b: &Relation) {
        for (out, (a, b)) in self.small.iter_mut().zip(a.small.iter().zip(&b.small)) {
            *out |= a & b;
        }
        for (out, (a, b)) in self.large.iter_mut().zip(a.large.iter().zip(&b.large)) {
            *out |= a & b;
        }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, |$a:ident, $b:ident| $body:expr) => {
        impl $trait<&Relation> for &Relation {
            type Output = Relation;
            #[inline]
            fn $method(self, other: &Relation) -> Relation {
                let ($a, $b) = (self, other);
                $body
            }
        }
        impl $trait<Relation> for &Relation {
            type Output = Relation;
            #[inline]
            fn $method(self, other: Relation) -> Relation {
                let ($a, $b) = (self, &other);
                $body
            }
        }
        impl $trait<&Relation> for Relation {
            type Output = Relation;
            #[inline]
            fn $method(self, other: &Relation) -> Relation {
                let ($a, $b) = (&self, other);
                $body
            }
        }
        impl $trait<Relation> for Relation {
            type Output = Relation;
            #[inline]
            fn $method(self, other: Relation) -> Relation {
                let ($a, $b) = (&self, &other);
                $body
            }
        }
    };
}

operator!(BitOr, bitor, |a, b| a.zip(b, |a, b| a | b, |a, b| a | b));
operator!(BitAnd, bitand, |a, b| a.zip(b, |a, b| a & b, |a, b| a & b));
operator!(Sub, sub, |a, b| a.zip(b, |a, b| a & !b, |a, b| a & !b));
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

    /// The same pairs between the events of a larger relation.
    fn spread(pairs: &[(usize, usize)]) -> Relation {
        let mut out = Relation::empty(MAX_EVENTS);
        pairs.iter().for_each(|(from, to)| out.insert(25 * from, 25 * to));
        out
    }

    proptest! {
        #[test]
        fn small_and_large_relations_agree(
            a in prop::collection::vec((0usize..6, 0usize..6), 0..12),
            b in prop::collection::vec((0usize..6, 0usize..6), 0..12),
            set in prop::collection::vec(0usize..6, 0..4),
        ) {
            let (small, large) = ([relation(&a), relation(&b)], [spread(&a), spread(&b)]);
            let [mut near, mut far] = [Set::EMPTY; 2];
            for event in set {
                near.insert(event);
                far.insert(25 * event);
            }
            let results = |[a, b]: &[Relation; 2], set: Set| {
                let mut sum = a.clone();
                sum.add(b);
                let mut more = a.clone();
                more.add_common(&sum, b);
                let mut less = a.clone();
                less.remove_all(set.iter().next().unwrap_or(0), b.range());
                [a | b, a & b, a - b, a >> b, a.plus(), a.inverse(), set >> a, a >> set, sum, more, less]
            };
            for (small, large) in results(&small, near).iter().zip(results(&large, far)) {
                prop_assert_eq!(spread(&small.pairs().collect::<Vec<_>>()), large.clone());
                prop_assert_eq!(small.is_acyclic(), large.is_acyclic());
                prop_assert_eq!(small.is_irreflexive(), large.is_irreflexive());
                prop_assert_eq!(small.is_empty(), large.is_empty());
                prop_assert_eq!(small.domain().iter().map(|event| 25 * event).collect::<Vec<_>>(), large.domain().iter().collect::<Vec<_>>());
                prop_assert_eq!(small.cycle().len(), large.cycle().len());
            }
        }

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
