//! Where the time of a run goes: what the threads do inside and between batches, and how many line transfers an instance
//! needs.

use std::time::Duration;

use super::convert::whole;
use crate::codegen::SHORTEST_LINE;
use crate::layout::Layout;
use crate::machine::Clock;
use crate::program::Program;

/// The time of one thread in each phase of its batches, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PhaseTicks {
    /// From the start of a batch, or from the thread's arrival if it came late, to the end of its emitted code.
    pub run: u64,
    /// Classifying a share of the instances, and waiting for the other threads if they read the instances' memory.
    pub classification: u64,
    /// Writing initial values.
    pub reset: u64,
    /// Looks at the distance.
    pub looks: u64,
}

/// The time of a run by phase: the mean over its threads. The sum is `elapsed` of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// In the emitted code, from the start of a batch to the thread's own end.
    pub run: Duration,
    /// The part of `run` that two reads of the clock take for each group of a paced run: the least that waiting for a tick costs.
    pub clock: Duration,
    /// Classifying outcomes.
    pub classification: Duration,
    /// Writing initial values.
    pub reset: Duration,
    /// Looking at the distance between the CPUs.
    pub looks: Duration,
    /// The rest: waiting for the other threads, the decision about the next batch, and its head start.
    pub rendezvous: Duration,
}

impl Phases {
    /// The phases of a run of `elapsed` with these threads, which waited for `groups` ticks together.
    pub(super) fn new(threads: &[PhaseTicks], elapsed: Duration, groups: u64, clock: Clock) -> Phases {
        let count = threads.len().max(1) as f64;
        let time = |ticks: f64| Duration::from_nanos(whole(clock.nanos_of(ticks / count).0));
        let sum = |of: fn(&PhaseTicks) -> u64| time(threads.iter().map(of).sum::<u64>() as f64);
        let run = sum(|thread| thread.run);
        let (classification, reset, looks) =
            (sum(|thread| thread.classification), sum(|thread| thread.reset), sum(|thread| thread.looks));
        let clock = time(2.0 * clock.read_ticks as f64 * groups as f64).min(run);
        let rendezvous = elapsed.saturating_sub(run + classification + reset + looks);
        Phases { run, clock, classification, reset, looks, rendezvous }
    }
}

/// The number of cache-line transfers that an instance needs at least, in a test that runs again and again: each line that several
/// threads access goes to each of them once. The initial values are written by one of them, so every such line is written.
///
/// In a dense layout several instances share this cost.
pub fn line_transfers(program: &Program, layout: &Layout) -> f64 {
    let lines = layout.lines();
    let mut users = vec![0_usize; lines.iter().max().map_or(0, |last| last + 1)];
    for number in 0..program.threads.len() {
        let reached = program.reached_by(number);
        let mut own: Vec<usize> =
            lines.iter().zip(reached).filter_map(|(line, reached)| reached.then_some(*line)).collect();
        own.sort_unstable();
        own.dedup();
        own.into_iter().for_each(|line| users[line] += 1);
    }
    let transfers = users.iter().filter(|count| **count > 1);
    transfers.sum::<usize>() as f64 / (SHORTEST_LINE / layout.stride).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutKind;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    fn transfers(text: &str, kind: LayoutKind) -> f64 {
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        line_transfers(&program, &Layout::for_batch(kind, &program, 128, Some(4096)).unwrap())
    }

    #[test]
    fn a_line_goes_to_each_thread_that_uses_it_unless_there_is_only_one() {
        let sb = "C t\n{}\nP0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y); }\n\
                  P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x); }\nexists (0:r0=0 /\\ 1:r0=0)";
        assert_eq!(transfers(sb, LayoutKind::Padded), 4.0);
        assert_eq!(transfers(sb, LayoutKind::Packed), 2.0);
        // Sixteen instances of four bytes share a line.
        assert_eq!(transfers(sb, LayoutKind::Dense), 0.25);
        let own = "C t\n{}\nP0(int *x, int *y, int *z) { WRITE_ONCE(*x, 1); WRITE_ONCE(*z, 1); }\n\
                   P1(int *y, int *z) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*z); }\nP2(int *z) { WRITE_ONCE(*z, 2); }\n\
                   exists (1:r0=1)";
        assert_eq!(transfers(own, LayoutKind::Padded), 3.0);
        let pointer = "C t\n{ y=1; p=&x; }\nP0(int *x) { WRITE_ONCE(*x, 1); }\n\
                       P1(int **p) { int *r0; int r1; r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0); }\nexists (1:r1=1)";
        // P1 may read any of the three variables, and only x is P0's too.
        assert_eq!(transfers(pointer, LayoutKind::Padded), 2.0);
    }

    #[test]
    fn phases_are_means_over_the_threads_and_add_up_to_the_whole() {
        let clock = Clock { frequency_hz: 1e9, resolution_ticks: 1, read_ticks: 20 };
        let threads = [
            PhaseTicks { run: 600, classification: 100, reset: 50, looks: 10 },
            PhaseTicks { run: 400, classification: 140, reset: 70, looks: 30 },
        ];
        let ns = Duration::from_nanos;
        let phases = Phases::new(&threads, ns(1000), 10, clock);
        let expected = Phases {
            run: ns(500),
            // Ten groups of both threads together: five of each, with two reads each.
            clock: ns(200),
            classification: ns(120),
            reset: ns(60),
            looks: ns(20),
            rendezvous: ns(300),
        };
        assert_eq!(phases, expected);
        // A thread whose clock is read more than it ran, and an elapsed time that the phases exceed.
        let phases = Phases::new(&threads, ns(600), 1000, clock);
        assert_eq!((phases.clock, phases.rendezvous), (ns(500), ns(0)));
    }
}
