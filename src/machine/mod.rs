//! The host: which CPUs there are and how they share caches, pinning, the clock, and a description for the record.
//!
//! Knows nothing of scenarios.

mod clock;
mod cpu_names;
mod cpuinfo;
mod cpulist;
mod describe;
mod latency;
mod pairs;
mod pin;
mod placement;
mod priority;
mod topology;

pub use clock::{Clock, now as ticks};
pub use cpulist::{format_cpu_list, in_order, parse_cpu_list};
pub use describe::{Cache, Host, describe};
pub use latency::line_transfer;
pub use pairs::{pairs, rounds};
pub use pin::{allowed_cpus, pin_to};
pub use placement::{Class, Placement, exactly, oversubscribed, place, restrict};
pub use priority::{PREFERRED_NICE, set_nice};
pub use topology::{Cpu, Topology};
