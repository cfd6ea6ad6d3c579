//! Decomposes one step of a compound relation into steps of simpler relations, for explanations.

use std::collections::{HashSet, VecDeque};

use crate::model::relation::Relation;

/// A compound relation as a small automaton. A walk starts in state 0, follows named relations from state to
/// state, and finishes in one of `ends`. A hop with an empty name changes the state and stays at the event.
#[derive(Debug, Clone)]
pub struct Route {
    /// The hops: begin state, name, relation, end state.
    pub hops: Vec<(u8, &'static str, Relation, u8)>,
    /// The states in which a walk may finish.
    pub ends: &'static [u8],
}

impl Route {
    /// The shortest walk from one event to another: each event with the name of the relation that leads on
    /// from it.
    pub fn walk(&self, from: usize, to: usize) -> Option<Vec<(usize, &'static str)>> {
        let mut reached = vec![(from, 0u8, None::<usize>, "")];
        let mut seen = HashSet::from([(from, 0u8)]);
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            let (event, state, _, _) = reached[at];
            for (begin, name, relation, end) in &self.hops {
                if *begin != state {
                    continue;
                }
                for next in relation.row(event).iter() {
                    // A walk may return to its first event, so the end is checked before the visited set.
                    if next == to && self.ends.contains(end) && (!name.is_empty() || at != 0) {
                        let mut walk = vec![(event, *name)];
                        let mut back = at;
                        while let (_, _, Some(before), name) = reached[back] {
                            walk.push((reached[before].0, name));
                            back = before;
                        }
                        walk.reverse();
                        walk.retain(|(_, name)| !name.is_empty());
                        return Some(walk);
                    }
                    if seen.insert((next, *end)) {
                        reached.push((next, *end, Some(at), name));
                        queue.push_back(reached.len() - 1);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_names_its_steps_and_leaves_changes_of_state_out() {
        let edge = |from, to| {
            let mut relation = Relation::empty(4);
            relation.insert(from, to);
            relation
        };
        let stay = (0..4).fold(Relation::empty(4), |all, event| all | edge(event, event));
        let hops = vec![
            (0, "fre", edge(0, 1), 1),
            (0, "", stay.clone(), 1),
            (1, "sync", edge(1, 2), 2),
            (2, "rfe", edge(2, 0), 3),
        ];
        let route = Route { hops, ends: &[2, 3] };
        assert_eq!(route.walk(0, 2), Some(vec![(0, "fre"), (1, "sync")]));
        assert_eq!(route.walk(1, 2), Some(vec![(1, "sync")]));
        assert_eq!(route.walk(0, 0), Some(vec![(0, "fre"), (1, "sync"), (2, "rfe")]));
        assert_eq!(route.walk(3, 0), None);
    }
}
