//! Checks options of `wakerace run` against the host's clock.

use std::time::Duration;

use super::args::{PaceArg, RunArgs};
use crate::cli::units::Skews;
use crate::error::{Error, Result};
use crate::machine::Clock;
use crate::units::Ticks;

/// Refuses options that need pacing if the clock is not fit to pace by. `unfit` is the reason.
pub(super) fn refuse_unfit(args: &RunArgs, unfit: Option<&str>) -> Result<()> {
    let asked = [
        ("--pace paced", args.measure.pace == PaceArg::Paced),
        ("--period", args.measure.period.is_some()),
        ("--skew", args.measure.skew.is_some()),
        ("--window", args.measure.window.is_some()),
    ];
    match (unfit, asked.iter().find(|(_, given)| *given)) {
        (Some(reason), Some((option, _))) => Err(Error::Host(format!(
            "{option}: the {} is not fit to pace by: {reason}; leave {option} out, then instances run free",
            Clock::NAME
        ))),
        _ => Ok(()),
    }
}

/// Refuses a period or a skew longer than 1 s. The parser cannot check this for values in ticks, because it
/// depends on the clock.
pub(super) fn within_a_second(args: &RunArgs, clock: &Clock, skews: Option<&Skews>) -> Result<()> {
    // 1 s, rounded to whole ticks, may be one tick more than the frequency.
    let long = |ticks: Ticks| ticks.0.unsigned_abs() as f64 > clock.frequency_hz + 1.0;
    let refuse = |flag: &str, ticks: Ticks| {
        let seconds = ticks.0 as f64 / clock.frequency_hz;
        Err(Error::Usage(format!("{flag}: {seconds:.1} s on this host's clock; expected at most 1 s")))
    };
    if let Some(period) = args.measure.period.map(|period| period.ticks(clock)).filter(|&period| long(period)) {
        return refuse("--period", period);
    }
    if let Some(skew) = skews.into_iter().flat_map(|skews| skews.ticks(clock)).find(|&skew| long(skew)) {
        return refuse(if args.measure.skew.is_some() { "--skew" } else { "--window" }, skew);
    }
    Ok(())
}

/// The longest time between two batches on an idle machine.
///
/// Between batches the threads wait for each other, classify outcomes and reset variables. A shorter period
/// holds only inside a batch.
const BETWEEN_BATCHES: Duration = Duration::from_micros(100);

/// Refuses batches that are smaller than a group, and batches of one group with a short period. In such a
/// batch the period would never be kept, because the time between batches is longer.
pub(super) fn period_is_kept(args: &RunArgs, clock: &Clock, period: Option<Ticks>) -> Result<()> {
    let Some(batch) = args.measure.batch else { return Ok(()) };
    let group = u64::from(args.measure.group.unwrap_or(1));
    if batch < group {
        return Err(Error::Usage(format!(
            "--batch {batch} is less than --group {group}: a batch holds whole groups; expected at least {group}"
        )));
    }
    if batch < 2 * group && period.is_none_or(|period| clock.nanos(period) < BETWEEN_BATCHES.into()) {
        return Err(Error::Usage(format!(
            "--batch {batch}: with one group of instances per batch, a period shorter than {} us cannot be kept; expected --batch {} or \
             more, a --period of at least that time, or --pace free",
            BETWEEN_BATCHES.as_micros(),
            2 * group
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    #[test]
    fn what_needs_the_clock_is_refused_where_the_clock_is_unfit() {
        let asked = |words: &[&str]| {
            let line = Line::parse_from(std::iter::once(&"run").chain(words));
            let fit = refuse_unfit(&line.args, None);
            assert!(fit.is_ok(), "{words:?}");
            refuse_unfit(&line.args, Some("its rate changes")).map_err(|error| error.to_string())
        };
        for words in [&["--pace", "paced"][..], &["--period", "100ns"], &["--skew", "0"], &["--window"]] {
            let error = asked(words).unwrap_err();
            assert!(error.starts_with(words[0]) && error.contains("its rate changes"), "{error}");
        }
        assert_eq!((asked(&[]), asked(&["--pace", "free"])), (Ok(()), Ok(())));
    }
}
