//! Whether a record can be true: what follows from other fields is computed again by the functions that made it, everything else has a range.
//!
//! Every struct is taken apart without a rest, so that a new field does not compile until somebody decides what may stand in it.

mod host;
mod paths;
mod protocol;
mod scenario;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use self::paths::Problems;
use super::{Gaps, Part, ProtocolRecord, Record, RunRecord, identity};

/// What is wrong with a record, each with the path of the field; nothing, if it is whole.
pub fn problems(record: &Record) -> Vec<String> {
    let mut problems = Problems::default();
    head(record, &mut problems);
    scenario::results(record, &mut problems);
    problems.found()
}

/// The same for a record of the protocol.
pub fn protocol_problems(record: &ProtocolRecord) -> Vec<String> {
    let mut problems = Problems::default();
    head(record, &mut problems);
    protocol::results(record, &mut problems);
    problems.found()
}

/// The longest time that a record may speak of, in seconds: a century. A fleet's sum may take longer.
fn longest_s(single: bool) -> f64 {
    if single { 3.2e9 } else { f64::MAX }
}

/// What records of both kinds have in common.
fn head<R>(record: &RunRecord<R>, problems: &mut Problems) {
    let RunRecord {
        schema: _, // what is read has one that is known
        id,
        tool: _,
        command: _,
        started,
        elapsed_s,
        interrupted: _,
        host,
        results: _, // by their kind
        parts,
        extra: _,
    } = record;
    id_form(id, problems);
    time(started, problems);
    problems.range("elapsed_s", *elapsed_s, 0.0..=longest_s(parts.is_empty()));
    problems.within("host", |problems| host::host(host, problems));
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

/// A histogram and its summary; at most `most` values may be in it.
fn gaps(gaps: &Gaps, unit: &str, most: u64, problems: &mut Problems) {
    match histogram(gaps) {
        Err(error) => problems.say("hdr_v2", format!("does not read: {error}")),
        Ok(histogram) => {
            let mut wanted = histogram.map_or_else(Gaps::default, |histogram| Gaps::of(unit, &histogram));
            // The same histogram has more than one encoding, and the one that stands there reads.
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

/// The histogram in a record; `None` if it is empty.
///
/// # Errors
/// What is wrong with it.
pub fn histogram(gaps: &Gaps) -> Result<Option<Histogram<u64>>, String> {
    if gaps.hdr_v2.is_empty() {
        return Ok(None);
    }
    let bytes = STANDARD.decode(&gaps.hdr_v2).map_err(|error| error.to_string())?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    let histogram: Histogram<u64> = read.map_err(|error| format!("{error:?}"))?;
    // The library's totals saturate or overflow; what gets near is no measurement.
    if histogram.len() > MOST_COUNTS {
        return Err(format!("it counts more than {MOST_COUNTS}"));
    }
    Ok(Some(histogram))
}

/// The most that a histogram may count: centuries of races.
pub const MOST_COUNTS: u64 = 1 << 60;
