//! Validates records. Fields that follow from other fields are computed again by the functions that made
//! them. Every other field has a range of possible values.
//!
//! Every struct is destructured without `..`, so a new field does not compile until its check is decided.

mod campaign;
mod distances;
mod host;
mod paths;
mod protocol;
mod scenario;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use self::paths::Problems;
use super::{CampaignRecord, Gaps, Part, ProtocolRecord, Record, RunRecord, Unmeasured, identity};
use crate::hash::sha256;
use crate::litmus::naming;
use crate::machine::Conditions;

/// The problems of a record of `wakerace run`, each with the path of its field. Empty if the record is valid.
pub fn problems(record: &Record) -> Vec<String> {
    let mut problems = Problems::default();
    head(record, &mut problems);
    scenario::results(record, &mut problems);
    problems.found()
}

/// The problems of a record of `wakerace protocol`, each with the path of its field. Empty if the record is
/// valid.
pub fn protocol_problems(record: &ProtocolRecord) -> Vec<String> {
    let mut problems = Problems::default();
    head(record, &mut problems);
    protocol::results(record, &mut problems);
    problems.found()
}

/// The problems of a record of `wakerace campaign`, each with the path of its field. Empty if the record is valid.
pub fn campaign_problems(record: &CampaignRecord) -> Vec<String> {
    let mut problems = Problems::default();
    head(record, &mut problems);
    campaign::results(record, &mut problems);
    problems.found()
}

/// The longest duration in a record, in seconds: a century for a single run. The sum of many runs may be
/// longer.
fn longest_s(single: bool) -> f64 {
    if single { 3.2e9 } else { f64::MAX }
}

/// Checks the fields that all kinds of records have.
fn head<R>(record: &RunRecord<R>, problems: &mut Problems) {
    let RunRecord {
        schema: _,  // the reader accepts only known ones,
        version: _, // and both must agree
        id,
        tool: _,
        command: _,
        started,
        elapsed_s,
        interrupted: _,
        host,
        conditions,
        campaign: _, // checked with the results of a campaign
        results: _,  // checked separately for each kind
        unmeasured,
        parts,
        extra: _,
    } = record;
    problems.each("unmeasured", unmeasured, |problems, Unmeasured { scenario, threads, cpus, reason: _ }| {
        if scenario.is_empty() {
            problems.say("scenario", "is empty");
        }
        problems.range("threads", *threads, 1..=host::MOST_CPUS);
        host::cpus("cpus", cpus, problems);
    });
    id_form(id, problems);
    time(started, problems);
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(parts.is_empty()));
    problems.within("host", |problems| host::host(host, problems));
    if let Some(Conditions { before, after }) = conditions {
        problems.within("conditions.before", |problems| host::moment(before, problems));
        problems.within("conditions.after", |problems| host::moment(after, problems));
    }
    problems.each("parts", parts, |problems, part| {
        let Part { id, tool: _, command: _, started, elapsed_s, host } = part;
        id_form(id, problems);
        time(started, problems);
        problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(true));
        problems.within("host", |problems| host::host(host, problems));
    });
    let held = record.held();
    problems.distinct("parts", "run", &held);
    if !parts.is_empty() {
        let sum: f64 = parts.iter().map(|part| part.elapsed_s).sum();
        problems.near("elapsed_s", *elapsed_s, sum, "its parts give");
        let wanted = identity::of_sum(&held);
        if !id.is_empty() && *id != wanted {
            problems.say("id", format!("is {id}; its parts give {wanted}"));
        }
    }
}

fn id_form(id: &str, problems: &mut Problems) {
    if !id.is_empty() && !identity::is_id(id) {
        problems.say("id", format!("is '{id}'; expected 32 hexadecimal digits"));
    }
}

fn time(started: &str, problems: &mut Problems) {
    if started.parse::<jiff::Timestamp>().is_err() {
        problems.say("started", format!("is '{started}'; expected a time as in 2026-11-25T17:44:25Z"));
    }
}

/// Checks a histogram and its quantiles. It may have at most `most` values.
fn gaps(gaps: &Gaps, unit: &str, most: u64, problems: &mut Problems) {
    match histogram(gaps) {
        Err(error) => problems.say("hdr_v2", format!("cannot be decoded: {error}")),
        Ok(histogram) => {
            let mut wanted = histogram.map_or_else(Gaps::default, |histogram| Gaps::of(unit, &histogram));
            // A histogram can have more than one encoding. The one in the record was decoded, so it is
            // accepted.
            wanted.hdr_v2.clone_from(&gaps.hdr_v2);
            if !(gaps.unit.is_empty() && gaps.count == 0) {
                unit.clone_into(&mut wanted.unit);
            }
            problems.differences(gaps, &wanted, "its histogram gives");
        }
    }
    if gaps.count > most {
        problems.say("count", format!("is {}; there are only {most} to count", gaps.count));
    }
}

/// Decodes the histogram in a record. `None` if it is empty.
///
/// # Errors
/// If it cannot be decoded or counts too much; the message gives the reason.
pub fn histogram(gaps: &Gaps) -> Result<Option<Histogram<u64>>, String> {
    if gaps.hdr_v2.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(&gaps.hdr_v2).map_err(|error| error.to_string())?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    let histogram: Histogram<u64> = read.map_err(|error| format!("{error:?}"))?;
    // The totals in the library saturate or overflow. No measurement comes near this count.
    if histogram.len() > MOST_COUNTS {
        return Err(format!("it counts more than {MOST_COUNTS}"));
    }
    Ok(Some(histogram))
}

/// The largest total count of a histogram. Reaching it would take centuries of races.
pub const MOST_COUNTS: u64 = 1 << 60;
/// The hash that identifies a test with this source. Behind it: the hash of the whole text, which earlier versions used for
/// every test, also for one whose header names it or its outcomes.
fn hashes_of_source(source: &str) -> [String; 2] {
    [naming::hash(source), sha256(source.as_bytes())]
}
