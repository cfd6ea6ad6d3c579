//! Lines that came from other caches, as the hardware counted them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ScenarioResult;
use crate::stats::share;

/// How often a line came from the cache of another CPU, as the threads' hardware counters counted it in user mode during the whole
/// measurement: while instances ran, were classified and reset, and while the threads waited for each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineFillsRecord {
    /// The vendor's name of the event. What it counts differs from one design to another (docs/record.md), so counts of different events
    /// are not compared.
    pub event: String,
    /// The count, over all threads.
    pub count: u64,
    /// The count divided by the number of instances that ran: iterations, and instances that were filtered or discarded. Absent
    /// without instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_instance: Option<f64>,
}

impl ScenarioResult {
    /// Computes the lines per instance.
    pub(super) fn compute_line_fills(&mut self) {
        let instances = self.iterations.saturating_add(self.filtered).saturating_add(self.discarded);
        if let Some(fills) = &mut self.line_fills {
            fills.per_instance = share(fills.count, instances);
        }
    }
}
