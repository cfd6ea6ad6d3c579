//! The tests that were to run and have no result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A test that was to run and has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unmeasured {
    /// The test's name.
    pub scenario: String,
    /// Number of its threads.
    pub threads: usize,
    /// The CPUs of its threads; for `no-placement` the CPUs that might be used.
    pub cpus: Vec<usize>,
    /// Why there is no result.
    pub reason: NoResult,
}

/// Why a test has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoResult {
    /// Its time was over before a batch was completed.
    NoBatch,
    /// The CPUs that might be used have no placement for it.
    NoPlacement,
    /// The run was interrupted before a batch of it was completed.
    Interrupted,
}
