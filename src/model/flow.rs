//! Follows what the registers of a thread may hold through its jumps.

use std::collections::HashMap;

use super::code::{CodeThread, Step};
use crate::program::LabelId;

/// What the registers may hold where a jump to a label arrives.
pub(super) type Entries<T> = HashMap<LabelId, Vec<T>>;

/// Goes through the steps of a thread once. `step` gets the number of each step that is reached, the step, and what the
/// registers may hold in front of it, and changes that. `join` adds to what a register may hold. `entries` keeps what jumps
/// bring to each label; a backward jump brings it to the next round.
pub(super) fn follow<T: Clone>(
    thread: &CodeThread,
    mut registers: Vec<T>,
    entries: &mut Entries<T>,
    join: impl Fn(&mut T, &T),
    mut step: impl FnMut(usize, &Step, &mut [T]),
) {
    let join = |into: &mut [T], other: &[T]| into.iter_mut().zip(other).for_each(|(own, other)| join(own, other));
    let mut alive = true;
    for (at, next) in thread.steps.iter().enumerate() {
        if let Step::Label(label) = next
            && let Some(arriving) = entries.get(label)
        {
            if alive {
                join(&mut registers, arriving);
            } else {
                registers.clone_from(arriving);
            }
            alive = true;
        }
        if !alive {
            continue;
        }
        step(at, next, &mut registers);
        if let Step::Branch { target, .. } | Step::Jump(target) = next {
            match entries.get_mut(target) {
                Some(entry) => join(entry, &registers),
                None => {
                    entries.insert(*target, registers.clone());
                }
            }
            alive = !matches!(next, Step::Jump(_));
        }
    }
}
