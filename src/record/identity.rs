//! Which run a record is of, so that no sum counts a run twice.

use super::{Part, RunRecord, Tool};
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::machine::Host;

/// Bytes of an id: 128 bits, so that two runs never draw the same.
const BYTES: usize = 16;

/// A new id: random, because two runs may begin at the same moment on one box.
///
/// # Errors
/// If the system gives no random numbers.
pub(super) fn new() -> Result<String> {
    let mut bytes = [0; BYTES];
    let failed = |error| Error::Host(format!("the system gives no random numbers for the record's id: {error}"));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 2 * BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of a sum: it follows from the runs that it holds, in whatever order they were added.
pub(super) fn of_sum(held: &[String]) -> String {
    let mut held = held.to_vec();
    held.sort();
    digest(&format!("sum\n{}", held.join("\n")))
}

impl<R> RunRecord<R> {
    /// Which run it is of: its id, or for records of versions without one what tells the run from every other.
    pub fn identity(&self) -> String {
        if self.id.is_empty() { derived(&self.tool, &self.command, &self.started, &self.host) } else { self.id.clone() }
    }

    /// The runs whose counts are in it: those of its parts, or itself.
    pub fn held(&self) -> Vec<String> {
        if self.parts.is_empty() { vec![self.identity()] } else { self.parts.iter().map(Part::identity).collect() }
    }
}

impl Part {
    /// As [`RunRecord::identity`]: a record and the part that it became have the same.
    pub fn identity(&self) -> String {
        if self.id.is_empty() { derived(&self.tool, &self.command, &self.started, &self.host) } else { self.id.clone() }
    }
}

/// What stands for the id where there is none. Only what a part keeps of its record goes into it, so that a sum of old records gives the
/// same as these; and nothing that grows while a run writes its record again. `started` counts nanoseconds.
fn derived(tool: &Tool, command: &[String], started: &str, host: &Host) -> String {
    let Tool { name, version, commit } = tool;
    let Host { architecture, cpu_model, kernel, cpus_online, cpus_allowed, .. } = host;
    let about = [name, version, commit, started, architecture, cpu_model, kernel, cpus_online, cpus_allowed];
    // A debug form quotes, so that no two lists of texts look alike.
    digest(&format!("derived\n{about:?}\n{command:?}"))
}

fn digest(text: &str) -> String {
    let mut digits = sha256(text.as_bytes());
    digits.truncate(2 * BYTES);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_and_have_128_bits() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| new().unwrap()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| is_id(id)));
        // Every digit takes every value: 1000 draws leave one out with a probability of 32 * 16 * (15/16)^1000, 5e-26.
        for at in 0..2 * BYTES {
            let digits: std::collections::BTreeSet<u8> = ids.iter().map(|id| id.as_bytes()[at]).collect();
            assert_eq!(digits.len(), 16, "digit {at}");
        }
    }

    #[test]
    fn a_sums_id_follows_from_what_it_holds() {
        let ids = |texts: &[&str]| of_sum(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(ids(&["a", "b"]), ids(&["b", "a"]));
        assert!(is_id(&ids(&["a"])) && ids(&["a"]) != ids(&["a", "b"]) && ids(&["a"]) != "a");
        assert!(!is_id("") && !is_id(&"A".repeat(32)) && !is_id(&"0".repeat(31)) && is_id(&"0".repeat(32)));
    }
}
