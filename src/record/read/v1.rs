//! Reads version 1 of the format.
//!
//! Version 1 has other names for some fields; these are aliases in the types. Programs that wrote version 1
//! changed what some fields mean without a new number. What tells the meanings apart:
//!
//! * Programs before ids (`id` is absent, or a part of a sum has a hash for its id) counted `in_batches_s` from 2 us before the first tick, and counted
//!   rescued tasks of the protocol as healed.
//! * Programs before filters (`filtered` is absent) counted the instances that a filter excludes as iterations.
//! * Programs that did not measure the end spread wrote 0 for it, or nothing.
//! * Some programs wrote a prefetch setting for free runs, which have none.
//! * No program wrote whether a test is a control, and its question. Both follow from the source.
//! * No program wrote warnings. They follow from the other fields.

use serde::Deserialize;

use super::parse;
use crate::arch::Arch;
use crate::catalogue::{self, Scenario};
use crate::error::Result;
use crate::harness::Prefetch;
use crate::litmus::Source;
use crate::record::{
    FormerMeaning, PROTOCOL_SCHEMA, Part, ProtocolRecord, Record, RunRecord, SCHEMA, ScenarioResult, VERSION,
};

/// Which results of a record have a count of filtered instances.
#[derive(Deserialize)]
struct Filtered {
    results: Vec<FilteredResult>,
}

#[derive(Deserialize)]
struct FilteredResult {
    filtered: Option<u64>,
}

pub(super) fn run(name: &str, text: &str) -> Result<Record> {
    let mut record: Record = parse(name, text)?;
    let Filtered { results: counted } = parse(name, text)?;
    let arch: Option<Arch> = record.host.architecture.parse().ok();
    let before_ids = record.id.is_empty() || record.parts.iter().any(Part::is_from_before_ids);
    for (result, counted) in record.results.iter_mut().zip(counted) {
        let test = Test::of(result);
        result.question = test.question();
        result.is_control =
            arch.is_some_and(|arch| catalogue::is_control(&result.scenario, &result.source_sha256, arch));
        if before_ids {
            result.former_meanings.push(FormerMeaning::InBatchesFromHeadStart);
        }
        if counted.filtered.is_none() && test.may_have_a_filter() {
            result.former_meanings.push(FormerMeaning::FilteredAreIterations);
        }
        result.warnings = result.current_warnings();
        result.pace.end_spread_ns.take_if(|ns| *ns == 0.0);
        if result.pace.mode == "free" {
            result.pace.prefetch = Prefetch::Off;
        }
    }
    Ok(current(record, SCHEMA))
}

pub(super) fn protocol(name: &str, text: &str) -> Result<ProtocolRecord> {
    let mut record: ProtocolRecord = parse(name, text)?;
    if record.id.is_empty() {
        for result in &mut record.results {
            result.former_meanings.push(FormerMeaning::RescuedAreHealed);
        }
    }
    Ok(current(record, PROTOCOL_SCHEMA))
}

/// The record as one of the current version.
fn current<R>(record: RunRecord<R>, schema: &str) -> RunRecord<R> {
    RunRecord { schema: schema.to_owned(), version: VERSION, ..record }
}

/// The test of a result: parsed from the source in the record or, if it has none, from the catalogue. `None` if
/// this program does not know it.
struct Test(Option<Scenario>);

impl Test {
    fn of(result: &ScenarioResult) -> Test {
        let parsed = Scenario::new(&Source::new("record", result.source.as_str()), &result.group).ok();
        Test(
            parsed.or_else(|| {
                catalogue::named(&result.scenario).ok().filter(|known| known.sha256 == result.source_sha256)
            }),
        )
    }

    fn question(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |scenario| scenario.test.header.summary())
    }

    /// Whether the test has a filter. An unknown test may have one.
    fn may_have_a_filter(&self) -> bool {
        self.0.as_ref().is_none_or(|scenario| scenario.program.filter.is_some())
    }
}
