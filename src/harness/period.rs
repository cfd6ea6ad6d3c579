//! The period of a paced run, which follows the machine.
//!
//! Too short, and the threads fall behind the clock and lose each other; too long, and time is wasted. What is known of a batch is the share of
//! ticks that a thread was late for. On a shared machine what a line transfer costs doubles and halves within seconds, so the period is looked at
//! again and again.

/// How many batches go by before the period is looked at again.
const ADAPT_EVERY: u32 = 10;
/// A batch in which more than this share of instances begins late has lost the clock. Measured: where threads keep up
/// it is a few hundredths, where they do not it is most of them.
const TOO_LATE: f64 = 0.06;
/// The period grows by [`LONGER`] if more batches than this are lost, out of [`ADAPT_EVERY`]. One or two are lost to
/// whoever else wants the CPU, and a longer period does not bring them back.
const LOST: u32 = 2;
const LONGER: f64 = 1.25;
/// The period shrinks by [`SHORTER`] if no more than this share began late in all the batches looked at, not counting
/// [`AT_FIRST`] instances a batch, which are late when the barrier lets a thread go late. What counts is how close the
/// threads are, not how many instances they do: at the shortest period that can be kept, they are not.
const IN_TIME: f64 = 0.02;
pub(super) const AT_FIRST: u64 = 2;
const SHORTER: f64 = 0.98;
/// A moment's disturbance lets the period grow many times over. Once it is over, the way back down to [`NEAR`] times what
/// was kept before is taken in large steps.
const BACK: f64 = 0.7;
const NEAR: f64 = 1.5;
/// At the beginning of a run the period is shortened in large steps, a few batches each, until half of these are lost: the calibration
/// before it was too short to be trusted.
const SEARCH_EVERY: u32 = 4;
const SEARCH: f64 = 0.8;
/// After so many looks in a row that found hardly an instance late, the steps are as large again.
const EASY: u32 = 5;
/// Between in time and lost lies much: with groups of instances, periods several times too long are a little late as well as the
/// right one. So after so many looks that changed nothing a much shorter one is tried, and twice as seldom each time it fails.
const PATIENCE: u32 = 10;
const LONGEST_PATIENCE: u32 = 80;
/// How much shorter the period is then, in turns. There can be two regimes, a fast one and one in which lines are fetched, lost and fetched
/// again, and what lies between can be kept in neither.
const PROBES: [f64; 3] = [0.7, 0.4, 0.22];
/// What was kept before is forgotten slowly, by this factor each time the period grows: the machine may have become slower
/// for good.
const FORGET: f64 = 1.03;
/// The shortest period, in seconds: about what reading the clock twice costs.
pub(super) const SHORTEST_PERIOD: f64 = 30e-9;
/// The longest period that adapting arrives at, in seconds: several times what a contended lock between two sockets
/// takes. Who needs more has lost its CPU, and a longer period does not bring it back.
pub(super) const LONGEST_PERIOD: f64 = 5e-6;

/// Decides on the period. Periods are in ticks.
#[derive(Debug, Clone)]
pub(super) struct PeriodControl {
    /// The shortest period that was kept.
    kept: f64,
    /// Whether the period is still on its way down from the beginning, and whether the last step was one too many.
    searching: bool,
    failed: bool,
    /// The period before a shorter one was tried that may be too short.
    probed: Option<f64>,
    /// How often the period was looked at and left, how often it is before another is tried, and how often one was.
    waited: u32,
    patience: u32,
    probes: usize,
    /// How often in a row hardly an instance was late.
    easy: u32,
    /// Batches since the last look, how many of them lost the clock, and the sum of their late shares.
    batches: u32,
    lost: u32,
    late_shares: f64,
}

impl PeriodControl {
    /// Begins with a period.
    pub(super) fn new(period: f64) -> PeriodControl {
        PeriodControl {
            kept: period,
            searching: true,
            failed: false,
            probed: None,
            waited: 0,
            patience: PATIENCE,
            probes: 0,
            easy: 0,
            batches: 0,
            lost: 0,
            late_shares: 0.0,
        }
    }

    /// Notes a batch, of whose ticks a thread was late for this share.
    pub(super) fn batch(&mut self, late: f64) {
        self.batches += 1;
        self.lost += u32::from(late > TOO_LATE);
        self.late_shares += late;
    }

    /// The next period after one; `None` if it is too early to say.
    pub(super) fn look(&mut self, period: f64) -> Option<f64> {
        if self.batches < if self.searching { SEARCH_EVERY } else { ADAPT_EVERY } {
            return None;
        }
        let next = if self.searching { self.search(period) } else { self.follow(period) };
        if next >= period {
            self.easy = 0;
        }
        (self.batches, self.lost, self.late_shares) = (0, 0, 0.0);
        Some(next)
    }

    /// On the way down from the beginning.
    fn search(&mut self, period: f64) -> f64 {
        if self.lost < self.batches / 2 {
            self.kept = self.kept.min(period);
            self.failed = false;
            return SEARCH * period;
        }
        // A thread that was only just started, or somebody else's doing: looked at twice.
        self.searching = !self.failed;
        self.failed = true;
        if self.searching { period } else { period * LONGER / SEARCH }
    }

    fn follow(&mut self, period: f64) -> f64 {
        let lost = self.lost > LOST;
        match self.probed.take() {
            // The shorter period was one too short.
            Some(before) if lost => {
                self.patience = (2 * self.patience).min(LONGEST_PATIENCE);
                before
            }
            Some(_) => {
                self.patience = PATIENCE;
                period
            }
            None if lost => {
                self.kept *= FORGET;
                LONGER * period
            }
            None if self.late_shares > IN_TIME * f64::from(self.batches) => {
                self.waited += 1;
                if self.waited < self.patience {
                    return period;
                }
                self.waited = 0;
                self.probed = Some(period);
                self.probes += 1;
                PROBES[self.probes % PROBES.len()] * period
            }
            None if period > NEAR * self.kept => BACK * period,
            None => {
                self.kept = self.kept.min(period);
                self.easy += 1;
                if self.easy > EASY { SEARCH * period } else { SHORTER * period }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs batches on a machine that says how late it is at a period; the period in the end.
    fn run(start: f64, batches: u32, machine: impl Fn(f64) -> f64) -> f64 {
        let mut control = PeriodControl::new(start);
        let mut period = start;
        for _ in 0..batches {
            control.batch(machine(period));
            period = control.look(period).unwrap_or(period);
        }
        period
    }

    #[test]
    fn the_shortest_period_that_can_be_kept_is_found_from_either_side() {
        let machine = |period: f64| if period < 100.0 { 0.9 } else { 0.01 };
        for start in [30.0, 120.0, 2000.0] {
            let found = run(start, 2000, machine);
            assert!((90.0..160.0).contains(&found), "from {start}: {found}");
        }
    }

    #[test]
    fn a_slow_regime_is_left_for_a_fast_one_behind_it() {
        // Between 60 and 200 nothing can be kept, below and above it can; both are a little late.
        let machine = |period: f64| match period {
            period if period < 50.0 => 0.9,
            period if period < 70.0 => 0.03,
            period if period < 200.0 => 0.8,
            _ => 0.03,
        };
        let mut control = PeriodControl::new(260.0);
        let (mut period, mut fast) = (260.0, 0);
        for _ in 0..20_000 {
            control.batch(machine(period));
            period = control.look(period).unwrap_or(period);
            fast += u32::from(period < 70.0);
        }
        assert!(fast > 5_000, "{fast}");
    }

    #[test]
    fn a_disturbance_is_forgotten() {
        let mut control = PeriodControl::new(100.0);
        let mut period = 100.0;
        for batch in 0..3000 {
            let quiet = if period < 95.0 { 0.9 } else { 0.01 };
            control.batch(if (500..700).contains(&batch) { 0.9 } else { quiet });
            period = control.look(period).unwrap_or(period);
        }
        assert!(period < 160.0, "{period}");
    }
}
