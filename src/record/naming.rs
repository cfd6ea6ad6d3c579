//! Tests and outcomes in plain words, as the files of the tests give them ([`crate::litmus::naming`]).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FinalValue;
use crate::catalogue::Scenario;
use crate::program::Const;

/// An outcome with a name in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedOutcomeRecord {
    /// Registers (`1:r0`) and variables (`x`) with their values. The others may have any value.
    pub values: BTreeMap<String, FinalValue>,
    /// The words.
    pub words: String,
}

impl NamedOutcomeRecord {
    /// Whether an outcome has this name.
    pub fn fits(&self, outcome: &BTreeMap<String, FinalValue>) -> bool {
        self.values.iter().all(|(name, value)| outcome.get(name) == Some(value))
    }
}

/// The title of a test and the outcomes that have names; the title is empty if there is none.
pub fn naming_of(scenario: &Scenario) -> (String, Vec<NamedOutcomeRecord>) {
    let program = &scenario.program;
    let value = |&(column, value): &(usize, Const)| {
        let value = match value {
            Const::Int(value) => FinalValue::Int(value),
            Const::Address(_) => FinalValue::Address(program.constant(value)),
        };
        (program.column_name(column), value)
    };
    let named = scenario.outcomes.iter().map(|outcome| NamedOutcomeRecord {
        values: outcome.values.iter().map(value).collect(),
        words: outcome.words.clone(),
    });
    (scenario.test.header.naming.title.clone().unwrap_or_default(), named.collect())
}
