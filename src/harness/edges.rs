//! Pacing by the edges of a coarse clock: spans of groups, delays in steps of a chain, and what a step costs.
//!
//! The counter of a coarse clock stands still for longer than a race window is wide. So the emitted code waits for an edge,
//! which all CPUs see at the same moment, and measures shorter times by a chain of dependent instructions
//! ([`crate::codegen::Pace::Edges`]). Groups come in *spans*: the first group of a span starts at an edge plus the thread's
//! delay, and each other group a gap after the one before.
//!
//! What a step of the chain costs depends on the core and on its frequency. So it is measured on the CPU of each thread, all
//! at the same time, before a run and again and again during it ([`ChainWatch`]).

use std::time::Duration;

use super::convert::whole;
use super::plan::Job;
use crate::codegen::{Executable, ThreadArgs};
use crate::error::{Error, Result};
use crate::machine::{Clock, Edges, pin_to, set_nice, start};
use crate::units::{Nanos, Ticks};

/// A span whose mean period is within this share of the wanted one is near enough.
const NEAR: f64 = 0.03;

/// Length of a pass that measures a chain, and its least length in edges: the end of a pass is known to half a step, so to
/// 0.05 %.
const PASS: Duration = Duration::from_millis(1);
const PASS_EDGES: u64 = 1000;
/// Length of a look during a run, and the time between two looks: 0.1 % of the run.
const LOOK: Duration = Duration::from_micros(250);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Passes of a calibration; up to [`ROUNDS`] times as many if the two fastest do not agree. A thread that loses its CPU makes
/// a pass longer and never shorter, so the fastest counts.
const PASSES: usize = 4;
const ROUNDS: usize = 12;
/// Relative difference up to which the two fastest passes agree at once, and up to which they agree at all. On a fine
/// step more is allowed, as long as a delay of a whole step is exact to [`EXACT`].
const AGREE: f64 = 2e-3;
const DIFFER: f64 = 1e-2;
const EXACT: Nanos = Nanos(2.0);
/// A look that differs by more than this from what is known makes the chain be measured again, if the next look does too.
const DRIFTED: f64 = 1e-2;
/// The coarsest delay that is worth a pace, and the longest step of a clock: a batch takes 150 us.
const COARSEST_STEP: Nanos = Nanos(10.0);
const LONGEST_EDGE: Nanos = Nanos(20_000.0);

/// What a step of the chain costs on a CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chain {
    /// Time of one step, in units of the clock ([`Edges`]).
    pub units: f64,
    /// Relative difference between the two fastest passes.
    pub passes_differ: f64,
}

impl Chain {
    /// The number of steps that take a time, rounded. A time that is too long saturates.
    pub fn steps(self, units: f64) -> u64 {
        whole((units / self.units).round())
    }
}

/// The gap between two groups of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Nearly a period, so that groups are spread evenly. A group must take hardly any time of the core.
    Even,
    /// A part of a period. The chain of the next group often begins only when most of the group before has left the core, and then
    /// gap and group together take the period. Measured on store buffering and message passing, with groups of 8 to 64: with the
    /// even gap nearly all spans start late wherever the period is short, and there are two to eight times fewer races.
    Short,
}

impl Gap {
    /// A span with several groups is at most this much longer than a period or a step of the clock. In a longer span than 500 ns
    /// the threads of two cores, whose chains are known to some thousandths, would drift apart by more than a nanosecond.
    ///
    /// Where races count, threads that wait for an edge more often stay closer together, and a period need not be met exactly.
    /// Measured on store buffering with a step of 52 ns: 7 to 12 % more races than with 500 ns.
    const fn longest_span(self) -> Nanos {
        match self {
            Gap::Even => Nanos(500.0),
            Gap::Short => Nanos(160.0),
        }
    }

    /// The gap as a share of the mean period of a span. The rest, summed over the span, is the time in which a thread that was
    /// held up is ready for the next edge.
    pub const fn share(self) -> f64 {
        match self {
            Gap::Even => 0.97,
            Gap::Short => 0.3,
        }
    }
}

/// How a run is paced by edges.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgePlan {
    /// The clock.
    pub edges: Edges,
    /// The chain on the CPU of each thread.
    pub chains: Vec<Chain>,
    /// The gaps between the groups of a span.
    pub gap: Gap,
}

/// The groups from one awaited edge to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Number of steps of the clock; 0 if no group waits.
    pub edges: u64,
    /// Number of groups.
    pub groups: u64,
}

impl Span {
    /// The span whose mean period is near the wanted one, which is in units. A period of at most one unit means that no group
    /// waits.
    pub fn of((edges, gap): (Edges, Gap), clock: Clock, period: u64) -> Span {
        if period <= 1 {
            return Span { edges: 0, groups: 1 };
        }
        let (period, step) = (period as f64, edges.step_units() as f64);
        let longest = whole(clock.nanos_of(step).0.recip() * gap.longest_span().0);
        let least = whole(period / step).max(1);
        let mut best = (f64::INFINITY, Span { edges: least, groups: 1 });
        for edges in least..=least.saturating_add(longest.max(1)) {
            let length = edges as f64 * step;
            let groups = (length / period).round().max(1.0);
            let error = (length / groups / period - 1.0).abs();
            if error < best.0 {
                best = (error, Span { edges, groups: whole(groups) });
            }
            if error <= NEAR {
                break;
            }
        }
        best.1
    }

    /// Its length in units.
    pub fn units(self, edges: Edges) -> u64 {
        self.edges.saturating_mul(edges.step_units())
    }

    /// The mean time from one group to the next, in units.
    pub fn period(self, edges: Edges) -> f64 {
        self.units(edges) as f64 / self.groups as f64
    }

    /// The number of spans that hold a number of groups.
    pub fn spans(self, groups: u64) -> u64 {
        groups.div_ceil(self.groups)
    }
}

/// The times of a batch in the form that emitted code takes: see the fields of [`ThreadArgs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    pub start: u64,
    pub period: u64,
    pub span_groups: u64,
    pub delay: u64,
    pub gap: u64,
}

impl Timing {
    /// Without edges: `start` and `period` in ticks.
    pub fn by_ticks(start: u64, period: u64) -> Timing {
        Timing { start, period, span_groups: 1, delay: 0, gap: 0 }
    }

    /// With edges: a thread starts at the last edge at or before `start`, which is in units, plus the rest as a delay.
    pub fn by_edges((edges, gap): (Edges, Gap), span: Span, start: u64, chain: Chain) -> Timing {
        let (edge, rest) = edges.split(start);
        Timing {
            start: edge,
            period: span.edges * edges.step,
            span_groups: span.groups,
            delay: if span.edges == 0 { 0 } else { chain.steps(rest as f64) },
            gap: chain.steps(gap.share() * span.period(edges)),
        }
    }
}

/// Measures the chain on the CPU of the calling thread.
struct Meter<'a> {
    executable: &'a Executable,
    edges: Edges,
    clock: Clock,
}

impl Meter<'_> {
    /// The time of a chain, in units: from the edge at which it starts to the middle of the step in which it ends.
    fn pass(&self, steps: u64) -> f64 {
        let stop = 0_u8;
        let mut args = ThreadArgs::of_chain(steps, &raw const stop);
        let before = self.edges.now();
        let mut begun = before;
        while begun == before {
            begun = self.edges.now();
        }
        // SAFETY: the batch has no instances, so the code accesses only `args`, which it may.
        unsafe { self.executable.run(&mut args) };
        self.edges.now().saturating_sub(begun) as f64 + self.edges.step_units() as f64 / 2.0
    }

    /// The number of steps that take about this long.
    fn steps(&self, length: Duration) -> u64 {
        let wanted = self.clock.ticks(Nanos::from(length)).unsigned().max(PASS_EDGES * self.edges.step_units()) as f64;
        let mut steps = 1000;
        loop {
            let took = self.pass(steps);
            if took >= wanted / 16.0 || steps > 1 << 32 {
                return whole(steps as f64 * wanted / took).max(1);
            }
            steps *= 4;
        }
    }

    fn chain(&self) -> Chain {
        let steps = self.steps(PASS);
        fastest(|| self.pass(steps) / steps as f64)
    }
}

/// The chain by as many passes as it takes until the two fastest agree.
fn fastest(mut pass: impl FnMut() -> f64) -> Chain {
    let mut best = [f64::INFINITY; 2];
    let mut chain = Chain { units: 0.0, passes_differ: 0.0 };
    for _ in 0..ROUNDS {
        for _ in 0..PASSES {
            let units = pass();
            best = if units < best[0] { [units, best[0]] } else { [best[0], best[1].min(units)] };
        }
        chain = Chain { units: best[0], passes_differ: best[1] / best[0] - 1.0 };
        if chain.passes_differ <= AGREE {
            break;
        }
    }
    chain
}

/// Measures the chain on the CPU of each thread, all at the same time. Takes about 5 ms, and at most 60 ms. `job` must hold
/// code with [`crate::codegen::Pace::Edges`], and the clock in units ([`Edges::units`]).
///
/// # Errors
/// If a thread cannot be started or pinned, or if the system refuses executable memory.
pub fn chains(job: Job<'_>, edges: Edges, nice: i32) -> Result<Vec<Chain>> {
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, (&cpu, code)) in job.cpus.iter().zip(job.code).enumerate() {
            let executable = Executable::new(code)?;
            threads.push(start(scope, &format!("C{number}"), move || {
                pin_to(cpu)?;
                set_nice(nice);
                Ok(Meter { executable: &executable, edges, clock: job.clock }.chain())
            })?);
        }
        let panicked = || Err(Error::Internal("a thread that measures a delay panicked".to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked())).collect()
    })
}

/// Why these chains cannot pace instances on these CPUs; `None` if they can.
pub fn unfit(chains: &[Chain], cpus: &[usize], edges: Edges, clock: Clock) -> Option<String> {
    let Nanos(step) = clock.nanos(Ticks::from(edges.step_units()));
    if step > LONGEST_EDGE.0 {
        return Some(format!(
            "the clock has steps of {:.0} us; expected at most {:.0} us",
            step / 1e3,
            LONGEST_EDGE.0 / 1e3
        ));
    }
    let differ = DIFFER.max(EXACT.0 / step);
    chains.iter().zip(cpus).find_map(|(chain, cpu)| {
        let Nanos(ns) = clock.nanos_of(chain.units);
        if !(0.0..=differ).contains(&chain.passes_differ) {
            Some(format!(
                "the delay that divides a step of the clock is not constant on CPU {cpu}: its two fastest measurements differ by {:.1} \
                 %, at most {:.0} % is allowed",
                100.0 * chain.passes_differ,
                100.0 * differ
            ))
        } else if !(ns > 0.0 && ns <= COARSEST_STEP.0) {
            Some(format!(
                "the delay that divides a step of the clock has a resolution of {ns:.1} ns on CPU {cpu}; at most {:.0} ns is allowed",
                COARSEST_STEP.0
            ))
        } else {
            None
        }
    })
}

/// A thread's chain during a run: looks at it from time to time, and measures it again if it has drifted.
pub(super) struct ChainWatch {
    pub chain: Chain,
    edges: Edges,
    clock: Clock,
    /// Number of steps of a look, 0 before the first.
    steps: u64,
    /// When the last look was, in units.
    looked: u64,
    /// Whether the last look differed from what is known.
    differed: bool,
    /// How often the chain was measured again.
    pub drifts: u64,
}

impl ChainWatch {
    pub fn new(chain: Chain, edges: Edges, clock: Clock) -> ChainWatch {
        ChainWatch { chain, edges, clock, steps: 0, looked: edges.now(), differed: false, drifts: 0 }
    }

    /// Looks at the chain if the last look is long ago. `start` is the start of the last batch, in units. It is the same for all
    /// threads, so all look at the same time.
    pub fn look(&mut self, start: u64, executable: &Executable) {
        if start.saturating_sub(self.looked) < self.clock.ticks(Nanos::from(BETWEEN_LOOKS)).unsigned() {
            return;
        }
        self.looked = start;
        let meter = Meter { executable, edges: self.edges, clock: self.clock };
        if self.steps == 0 {
            self.steps = meter.steps(LOOK);
        }
        let seen = meter.pass(self.steps) / self.steps as f64;
        if self.drifted(seen) {
            self.chain = meter.chain();
        }
    }

    /// Takes what a look has seen, and says whether the chain must be measured again: if two looks in a row differ from what is
    /// known. A single look may have been disturbed.
    fn drifted(&mut self, seen: f64) -> bool {
        let differs = (seen / self.chain.units - 1.0).abs() > DRIFTED;
        let drifted = differs && self.differed;
        self.differed = differs && !drifted;
        self.drifts += u64::from(drifted);
        drifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 MHz: a step is 40 ns, and a unit 40/128 ns.
    const ALTRA: Clock = Clock { frequency_hz: 25e6, resolution_ticks: 1, read_ticks: 1 };
    /// The units of a simulated clock at 2.5 GHz are its ticks.
    const TSC: Clock = Clock { frequency_hz: 2.5e9, resolution_ticks: 1, read_ticks: 25 };

    /// The edges of a clock, its units, and the period of `ns` nanoseconds.
    fn on(clock: Clock, simulated: Option<f64>, ns: f64) -> (Edges, Clock, u64) {
        let edges = Edges::of(&clock, simulated.map(Nanos)).unwrap();
        let units = edges.units(clock);
        (edges, units, units.ticks(Nanos(ns)).unsigned())
    }

    fn span(clock: Clock, simulated: Option<f64>, ns: f64) -> (u64, u64) {
        let (edges, units, period) = on(clock, simulated, ns);
        let Span { edges, groups } = Span::of((edges, Gap::Even), units, period);
        (edges, groups)
    }

    #[test]
    fn several_groups_fit_between_two_edges_where_a_step_is_long() {
        for (ns, expected) in [(50.0, (1, 16)), (30.0, (1, 27)), (819.2, (1, 1)), (300.0, (1, 3)), (2000.0, (2, 1))] {
            assert_eq!(span(TSC, Some(1000.0), ns), expected, "{ns}");
        }
        // On a fine clock that has edges, a span is as long as it takes to come near the period.
        for (ns, expected) in
            [(40.0, (1, 1)), (80.0, (2, 1)), (60.0, (3, 2)), (53.0, (4, 3)), (100.0, (5, 2)), (5000.0, (125, 1))]
        {
            assert_eq!(span(ALTRA, None, ns), expected, "{ns}");
        }
    }

    #[test]
    fn short_gaps_wait_for_an_edge_more_often() {
        let (edges, units, _) = on(ALTRA, None, 40.0);
        for (ns, expected) in [(53.0, (4, 3)), (95.0, (5, 2)), (45.0, (1, 1)), (310.0, (8, 1)), (2000.0, (50, 1))] {
            let Span { edges, groups } = Span::of((edges, Gap::Short), units, units.ticks(Nanos(ns)).unsigned());
            assert_eq!((edges, groups), expected, "{ns}");
        }
        // With an even gap the period is met more exactly.
        assert_eq!(span(ALTRA, None, 45.0), (8, 7));
    }

    #[test]
    fn the_mean_period_of_a_span_is_near_the_wanted_one() {
        for clock in [(ALTRA, None), (TSC, Some(40.0)), (TSC, Some(250.0)), (TSC, Some(1000.0))] {
            for ns in 30..600 {
                let (edges, units, period) = on(clock.0, clock.1, f64::from(ns));
                let span = Span::of((edges, Gap::Even), units, period);
                let found = span.period(edges) / period as f64;
                // A period that is no simple fraction of a long step is missed by a part of it.
                let allowed = if clock.1 == Some(1000.0) || clock.1 == Some(250.0) { 0.25 } else { 0.06 };
                assert!((found - 1.0).abs() < allowed, "{ns} ns: {span:?} has {found} of it");
                let length = units.nanos(Ticks::from(span.units(edges))).0;
                let step = units.nanos(Ticks::from(edges.step_units())).0;
                assert!(length <= f64::from(ns).max(step) + Gap::Even.longest_span().0.max(step), "{ns} ns: {span:?}");
                assert_eq!(span.spans(10 * span.groups), 10);
                assert_eq!(span.spans(10 * span.groups + 1), 11);
            }
        }
    }

    #[test]
    fn a_period_of_one_unit_waits_for_nothing_and_none_overflows() {
        let (edges, units, _) = on(ALTRA, None, 40.0);
        for period in [0, 1] {
            let span = Span::of((edges, Gap::Even), units, period);
            assert_eq!((span, span.units(edges)), (Span { edges: 0, groups: 1 }, 0));
            let timing = Timing::by_edges((edges, Gap::Even), span, 1300, Chain { units: 2.0, passes_differ: 0.0 });
            assert_eq!(timing, Timing { start: 10, period: 0, span_groups: 1, delay: 0, gap: 0 });
        }
        let long = Span::of((edges, Gap::Even), units, u64::MAX / 256);
        assert!(long.groups == 1 && long.units(edges) > u64::MAX / 300, "{long:?}");
        let chain = Chain { units: 1e-3, passes_differ: 0.0 };
        assert_eq!([chain.steps(f64::MAX), chain.steps(-5.0), chain.steps(0.0)], [u64::MAX, 0, 0]);
    }

    #[test]
    fn a_start_is_an_edge_plus_steps_of_the_chain() {
        let (edges, units, period) = on(ALTRA, None, 60.0);
        let span = Span::of((edges, Gap::Even), units, period);
        let chain = Chain { units: 3.2, passes_differ: 0.0 };
        let at = |start| Timing::by_edges((edges, Gap::Even), span, start, chain);
        // 1280 units are the edge of tick 10. 3 edges with 2 groups: a gap is 97 % of 192 units.
        assert_eq!(at(1280), Timing { start: 10, period: 3, span_groups: 2, delay: 0, gap: 58 });
        // 2 ns are 6.4 units, and 2 steps.
        let skew = units.ticks(Nanos(2.0)).unsigned();
        assert_eq!((skew, at(1280 + skew).delay), (6, 2));
        assert_eq!((at(1280 + 64).start, at(1280 + 64).delay), (10, 20));
        // A delay of a step or more waits for a later edge.
        assert_eq!((at(1280 + 128 + 16).start, at(1280 + 128 + 16).delay), (11, 5));
        // A counter that is behind shows an earlier edge.
        assert_eq!((at(1280 - 16).start, at(1280 - 16).delay), (9, 35));
        // Each thread converts by its own chain.
        let slower = Timing::by_edges((edges, Gap::Even), span, 1280 + 64, Chain { units: 6.4, passes_differ: 0.0 });
        assert_eq!((slower.delay, slower.gap), (10, 29));
        // A short gap leaves the skews as they are.
        let short = Timing::by_edges((edges, Gap::Short), span, 1280 + 64, chain);
        assert_eq!(short, Timing { gap: 18, ..at(1280 + 64) });
        assert_eq!(Timing::by_ticks(7, 9), Timing { start: 7, period: 9, span_groups: 1, delay: 0, gap: 0 });
    }

    #[test]
    fn the_fastest_passes_count_and_passes_go_on_until_two_agree() {
        let mut passes = [9.0, 3.0, 3.001, 12.0].into_iter();
        let chain = fastest(|| passes.next().expect("four passes are enough"));
        assert!(chain.units == 3.0 && (chain.passes_differ - 1.0 / 3000.0).abs() < 1e-9, "{chain:?}");
        // One pass in five is not disturbed.
        let mut number = 0;
        let chain = fastest(|| {
            number += 1;
            if number % 5 == 0 { 3.0 } else { 3.0 + f64::from(number) }
        });
        assert_eq!((chain, number), (Chain { units: 3.0, passes_differ: 0.0 }, 12));
        // A CPU whose speed changes all the time.
        let mut number = 0;
        let chain = fastest(|| {
            number += 1;
            3.0 * 0.9_f64.powi(number)
        });
        assert!(chain.passes_differ > 0.1 && number == 48, "{chain:?} {number}");
    }

    #[test]
    fn what_cannot_divide_a_step_is_named_with_its_cpu() {
        let (edges, units, _) = on(ALTRA, None, 40.0);
        let good = Chain { units: 3.2, passes_differ: 1e-3 };
        let said = |chain| unfit(&[good, chain], &[4, 7], edges, units);
        assert_eq!(said(good), None);
        assert_eq!(said(Chain { passes_differ: 0.04, ..good }), None, "1.6 ns of 40 ns");
        // A long step is divided as exactly as a short one.
        let (coarse, units_of_coarse, _) = on(TSC, Some(1000.0), 40.0);
        let chain = Chain { units: 3.2, passes_differ: 0.02 };
        let reason = unfit(&[chain], &[0], coarse, units_of_coarse).unwrap();
        assert!(reason.contains("differ by 2.0 %, at most 1 % is allowed"), "{reason}");
        for (chain, words) in [
            (
                Chain { passes_differ: 0.06, ..good },
                "not constant on CPU 7: its two fastest measurements differ by 6.0 %, at most 5 % is allowed",
            ),
            (Chain { passes_differ: f64::NAN, ..good }, "not constant on CPU 7"),
            (Chain { units: 33.0, ..good }, "a resolution of 10.3 ns on CPU 7; at most 10 ns"),
            (Chain { units: 0.0, ..good }, "a resolution of 0.0 ns on CPU 7"),
        ] {
            let reason = said(chain).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
        let (edges, units, _) = on(Clock { frequency_hz: 10e3, ..ALTRA }, None, 40.0);
        assert!(unfit(&[good], &[0], edges, units).unwrap().contains("steps of 100 us; expected at most 20 us"));
    }

    #[test]
    fn a_chain_is_measured_again_after_two_looks_that_differ() {
        let (edges, units, _) = on(TSC, Some(40.0), 40.0);
        let mut watch = ChainWatch::new(Chain { units: 3.0, passes_differ: 0.0 }, edges, units);
        let looks = [3.0, 3.02, 3.2, 3.0, 3.2, 3.2, 3.2, 3.0, 2.9, 2.9];
        let drifted = looks.map(|seen| watch.drifted(seen));
        assert_eq!(drifted, [false, false, false, false, false, true, false, false, false, true]);
        assert_eq!(watch.drifts, 2);
    }
}
