//! A verdict: whether an outcome may be seen.

use std::fmt;
use std::str::FromStr;

/// Whether an outcome may be seen, in herd7's terms.
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
