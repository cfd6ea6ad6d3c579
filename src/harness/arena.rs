//! Memory for the instances of a batch, on huge pages where the system allows it.

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::error::{Error, Result};

/// A huge page of x86-64, aarch64 (4 KiB granule), powerpc64le (radix) and riscv64.
const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory, aligned to a huge page. Threads reach it through raw pointers.
#[derive(Debug)]
pub struct Arena {
    map: MmapMut,
    start: usize,
}

impl Arena {
    /// Reserves `len` bytes. The first thread that touches a page decides on which NUMA node it lies.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn new(len: usize) -> Result<Arena> {
        // What overflows is refused by the system as any other size that is too large.
        let mapped = len.max(1).saturating_add(2 * HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        let map = MmapOptions::new().len(mapped).map_anon().map_err(Error::io(format!(
            "reserving {len} bytes of memory for the instances of a batch (a smaller --batch takes less)"
        )))?;
        // Refused where transparent huge pages are off; small pages work as well, with more TLB misses.
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE_PAGE);
        Ok(Arena { map, start })
    }

    /// The first byte.
    pub fn pointer(&mut self) -> *mut u8 {
        // SAFETY: `start` is below HUGE_PAGE, and the mapping is that much longer than what was asked for.
        unsafe { self.map.as_mut_ptr().add(self.start) }
    }
}
