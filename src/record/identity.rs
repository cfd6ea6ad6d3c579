//! Ids of runs, so that no sum counts a run twice.

use super::{Part, RunRecord, Tool};
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::machine::Host;

/// The length of an id in bytes. 128 random bits are enough that two runs never have the same id.
const BYTES: usize = 16;

/// Draws a new id. It is random, because two runs may start at the same moment on one machine.
///
/// # Errors
/// If the system provides no random numbers.
pub(super) fn new() -> Result<String> {
    let mut bytes = [0; BYTES];
    fill_random(&mut bytes)
        .map_err(|error| Error::Host(format!("the system provides no random numbers for the record's id: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Fills at most 256 bytes with random bits. It asks the kernel and opens no file: in a static binary, crates that find
/// getrandom(2) by its name at run time do not find it, and a minimal system has no /dev/urandom.
fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    // SAFETY: getrandom(2) writes at most as many bytes as the slice has, from its first byte on.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // The kernel fills up to 256 bytes in whole, or fails.
    if usize::try_from(filled) == Ok(bytes.len()) { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The id of a record that is made of texts: a hash of them, so that no sum counts a text twice.
pub(super) fn of_texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    digest(&format!("texts\n{}", texts.collect::<Vec<_>>().join("\n")))
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 2 * BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id of a sum: a hash of the ids of the runs that it contains. The order of addition does not matter.
pub(super) fn of_sum(held: &[String]) -> String {
    let mut held = held.to_vec();
    held.sort_unstable();
    digest(&format!("sum\n{}", held.join("\n")))
}

impl<R> RunRecord<R> {
    /// The id of the run. For records of versions without ids: a hash that is different for every run.
    pub fn identity(&self) -> String {
        if self.id.is_empty() { derived(&self.tool, &self.command, &self.started, &self.host) } else { self.id.clone() }
    }

    /// The ids of the runs whose counts are in the record: those of its parts, or its own.
    pub fn held(&self) -> Vec<String> {
        if self.parts.is_empty() { vec![self.identity()] } else { self.parts.iter().map(Part::identity).collect() }
    }
}

impl Part {
    /// Whether the part was a record without an id. A sum keeps a hash instead.
    pub(super) fn is_from_before_ids(&self) -> bool {
        self.id.is_empty() || self.id == derived(&self.tool, &self.command, &self.started, &self.host)
    }

    /// As [`RunRecord::identity`]. A record and the part of a sum that it became have the same identity.
    pub fn identity(&self) -> String {
        if self.id.is_empty() { derived(&self.tool, &self.command, &self.started, &self.host) } else { self.id.clone() }
    }
}

/// The identity of a record without an id: a hash. It uses only fields that a [`Part`] keeps of its record,
/// so that the parts of a sum have the same identities as the records. It uses no field that changes while a
/// run rewrites its record. `started` has nanosecond resolution.
fn derived(tool: &Tool, command: &[String], started: &str, host: &Host) -> String {
    let Tool { name, version, commit } = tool;
    let Host { architecture, cpu_model, kernel, cpus_online, cpus_allowed, .. } = host;
    let about = [name, version, commit, started, architecture, cpu_model, kernel, cpus_online, cpus_allowed];
    // The debug format quotes the texts, so that two different lists have different formats.
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
        // Every digit takes every value. The probability that 1000 draws miss one is 32 * 16 * (15/16)^1000 =
        // 5e-26.
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
