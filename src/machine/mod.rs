//! The host: its CPUs and the caches they share, pinning, the clock, and the host description for the record.
//!
//! This module knows nothing of scenarios.

mod capture;
mod clock;
mod conditions;
mod counters;
mod cpu_names;
mod cpuinfo;
mod cpulist;
mod describe;
mod duet;
mod hardware_counter;
mod hypervisor;
mod latency;
mod names;
mod pairs;
mod pin;
mod placement;
mod priority;
mod start;
mod topology;
mod tree;

pub use capture::Capture;
pub use clock::{Calibration, Clock, ClockCheck, Edges, now as ticks, ordered_now as ordered_ticks, require_counter};
pub use conditions::{Conditions, Frequency, Moment};
pub use counters::{CounterOffset, Counters, counters, offset_problems};
pub use cpulist::{format_cpu_list, in_order, parse_cpu_list};
pub use describe::{Cache, Host, arch_of, describe};
pub use duet::duet;
pub use hardware_counter::HardwareCounter;
#[cfg(test)]
pub(crate) use hardware_counter::tests::{TASK_CLOCK, without_counters};
pub use latency::{Transfer, line_transfer};
pub use names::{Names, label_problem};
pub use pairs::{pairs, rounds};
pub use pin::{allowed_cpus, current_cpu, pin_to};
pub use placement::{
    Class, KindPattern, Placement, class_and_kinds, exactly, kind_patterns, oversubscribed, place, place_on, restrict,
};
pub use priority::{PREFERRED_NICE, set_nice};
#[cfg(test)]
pub(crate) use start::tests::with_at_most;
pub use start::{start, start_alone};
pub use topology::{Cpu, Kind, Topology, isolated};
pub use tree::Tree;
