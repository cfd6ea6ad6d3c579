//! Parser of the declarations in a test's opening comment.
//!
//! The kernel's tests have ` * Result: Never` there. The scenarios of wakerace add one line per architecture,
//! the Match event and, for controls, the architectures on which they must fire:
//!
//! ```text
//! (*
//!  * Result: Sometimes
//!  * x86_64: Never
//!  * aarch64: Sometimes
//!  * powerpc64le: Sometimes
//!  * riscv64gc: Sometimes
//!  * riscv64gc ticket: Never
//!  * Match: 1:r0=2
//!  * Control: x86_64
//!  *
//!  * Prose that says what the test asks.
//!  *)
//! ```
//!
//! A line with an architecture and a kind of lock (see [`crate::arch::lock`]) is about kernels with that lock. The other kernels
//! have the verdict of the line without one.
//!
//! A line that starts with none of these words is prose, so every header of the kernel's tests is valid.

use super::ast::{Header, Prop};
use super::diagnostic::{Diagnostic, Source, Span};
use super::verdict::Verdict;
use crate::arch::Arch;
use crate::arch::lock::Lock;

/// Parses the comments at `spans`. `prop` parses a condition at a given place in the source.
pub(super) fn read(
    source: &Source,
    spans: &[Span],
    prop: impl Fn(Span) -> Result<Prop, Diagnostic>,
) -> Result<Header, Diagnostic> {
    let mut header = Header::default();
    for &Span { start, end } in spans {
        let mut at = start;
        for line in source.text()[start..end].split_inclusive('\n') {
            let text = line.trim().trim_start_matches('*').trim();
            // `text` is a part of `line`.
            let offset = at + (text.as_ptr().addr() - line.as_ptr().addr());
            at += line.len();
            read_line(source, &mut header, text, offset, &prop)?;
        }
    }
    while header.prose.last().is_some_and(String::is_empty) {
        header.prose.pop();
    }
    Ok(header)
}

fn read_line(
    source: &Source,
    header: &mut Header,
    text: &str,
    offset: usize,
    prop: &impl Fn(Span) -> Result<Prop, Diagnostic>,
) -> Result<(), Diagnostic> {
    let Some((key, value)) = text.split_once(':') else {
        header.prose.push(text.to_owned());
        return Ok(());
    };
    let value_text = value.trim();
    let start = offset + key.len() + 1 + (value.len() - value.trim_start().len());
    let span = Span { start, end: start + value_text.len().max(1) };
    let verdict = || {
        // The kernel's tests have other words too ("Result: DEADLOCK") and remarks behind the word. Only the
        // first word counts.
        let word = value_text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        word.parse::<Verdict>().map_err(|()| {
            source.error(span, format!("`{key}:` takes Never, Sometimes or Always"), "not one of these words")
        })
    };
    // `x86_64`, or `riscv64gc ticket`.
    let kernels = match key.split_once(' ') {
        None => key.parse::<Arch>().ok().map(|arch| (arch, None)),
        Some((arch, lock)) => arch.parse::<Arch>().ok().zip(lock.trim().parse::<Lock>().ok().map(Some)),
    };
    match (key, kernels) {
        // As judgelitmus.sh of the kernel's tools/memory-model: only the first line with a result counts.
        ("Result", _) if !header.has_result => {
            header.has_result = true;
            header.result = verdict().ok();
            header.deadlock = value_text.split_whitespace().next() == Some("DEADLOCK");
            header.data_race = value_text.split_whitespace().any(|word| word == "DATARACE");
        }
        ("Match", _) if header.match_event.is_some() => {
            return Err(source.error(span, "`Match:` occurs twice in this header", "second occurrence"));
        }
        ("Match", _) => header.match_event = Some(prop(span)?),
        ("Control", _) => {
            for word in value_text.split_whitespace() {
                header.control.push(word.parse().map_err(|error: String| source.error(span, error, ""))?);
            }
        }
        (_, Some((arch, lock))) => {
            let verdict = verdict()?;
            if lock.is_some_and(|lock| !Lock::of(arch).contains(&lock)) {
                return Err(source.error(span, format!("`{key}:`: the kernel of {arch} has no such lock"), ""));
            }
            if header.declared(arch, lock).is_some() {
                return Err(source.error(span, format!("`{key}:` occurs twice in this header"), "second occurrence"));
            }
            header.architectures.push((arch, lock, verdict));
        }
        _ => header.prose.push(text.to_owned()),
    }
    Ok(())
}
