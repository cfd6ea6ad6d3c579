//! What several benches share.

use wakerace::machine::{self, Class, Placement, Topology};

/// The two CPUs that are farthest apart. If there are none, says so.
pub fn two_cpus() -> Option<Placement> {
    let topology = Topology::read().expect("a Linux system");
    let allowed = machine::allowed_cpus().expect("a Linux system");
    let placements = machine::place(&topology, &allowed, 2, &Class::SPREAD);
    let placement = placements.ok().and_then(|placements| placements.into_iter().next_back());
    if placement.is_none() {
        println!("this bench needs two CPUs that this process may use; nothing was measured");
    }
    placement
}
