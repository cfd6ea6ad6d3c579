//! What a test's opening comment declares.
//!
//! The kernel writes ` * Result: Never` there. wakerace's own scenarios add a line per architecture, the Match event
//! and, for controls, the architectures on which they must fire:
//!
//! ```text
//! (*
//!  * Result: Sometimes
//!  * x86_64: Never
//!  * aarch64: Sometimes
//!  * powerpc64le: Sometimes
//!  * riscv64gc: Sometimes
//!  * Match: 1:r0=2
//!  * Control: x86_64
//!  *
//!  * Prose that says what the test asks.
//!  *)
//! ```
//!
//! A line that starts with none of these words is prose, so every kernel header reads as it is.

use std::fmt;
use std::str::FromStr;

use super::ast::Prop;
use super::diagnostic::{Diagnostic, Source, Span};
use crate::arch::Arch;

/// Whether an outcome may be seen, in herd7's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub enum Verdict {
    /// In no execution.
    Never,
    /// In some executions.
    Sometimes,
    /// In every execution.
    Always,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Never => "Never",
            Verdict::Sometimes => "Sometimes",
            Verdict::Always => "Always",
        })
    }
}

impl FromStr for Verdict {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "Never" => Ok(Verdict::Never),
            "Sometimes" => Ok(Verdict::Sometimes),
            "Always" => Ok(Verdict::Always),
            _ => Err(()),
        }
    }
}

/// The declarations of the opening comment.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// `Result:`, the kernel model's verdict.
    pub result: Option<Verdict>,
    /// The verdict per architecture.
    pub architectures: Vec<(Arch, Verdict)>,
    /// `Match:`, the event that the race is a fraction of.
    pub match_event: Option<Prop>,
    /// `Control:`, the architectures on which this test must fire if the harness can see anything.
    pub control: Vec<Arch>,
    /// The rest: what the test asks, a line each.
    pub prose: Vec<String>,
}

impl Header {
    /// The declared verdict for an architecture. Where the header gives none: every execution of an architecture the kernel
    /// runs on is one the kernel's model allows, so its Never and Always hold there too; its Sometimes says nothing,
    /// because stronger hardware may forbid what the model allows.
    pub fn expected(&self, arch: Arch) -> Option<Verdict> {
        let declared = self.architectures.iter().find(|(a, _)| *a == arch).map(|(_, verdict)| *verdict);
        declared.or(self.result.filter(|result| *result != Verdict::Sometimes))
    }

    /// The first paragraph of the prose, on one line.
    pub fn summary(&self) -> String {
        let start = self.prose.iter().position(|line| !line.is_empty()).unwrap_or(self.prose.len());
        let lines = self.prose[start..].iter().take_while(|line| !line.is_empty());
        lines.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Reads the comments at `spans`; `prop` parses a condition that stands alone at a place in the source.
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
            let offset = at + line.find(text).unwrap_or(0);
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
        // The kernel writes remarks behind the word ("Result: DEADLOCK"), so only the first word counts.
        let word = value_text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        word.parse::<Verdict>().map_err(|()| {
            source.error(span, format!("`{key}:` takes Never, Sometimes or Always"), "this is none of them")
        })
    };
    let arch = key.parse::<Arch>().ok();
    match (key, arch) {
        ("Result", _) => header.result = verdict().ok(),
        ("Match", _) => header.match_event = Some(prop(span)?),
        ("Control", _) => {
            for word in value_text.split_whitespace() {
                header.control.push(word.parse().map_err(|error: String| source.error(span, error, ""))?);
            }
        }
        (_, Some(arch)) => {
            let verdict = verdict()?;
            if header.architectures.iter().any(|(known, _)| *known == arch) {
                return Err(source.error(span, format!("`{key}:` stands twice in this header"), "the second"));
            }
            header.architectures.push((arch, verdict));
        }
        _ => header.prose.push(text.to_owned()),
    }
    Ok(())
}
