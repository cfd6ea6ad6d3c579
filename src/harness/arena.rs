//! Memory for the instances of a batch. It uses huge pages where the system allows them.

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::error::{Error, Result};

/// Size of a huge page in bytes, on x86-64, aarch64 (4 KiB granule), powerpc64le (radix) and riscv64.
const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory, aligned to a huge page. Threads access it through raw pointers.
#[derive(Debug)]
pub struct Arena {
    map: MmapMut,
    start: usize,
}

impl Arena {
    /// Reserves `len` bytes. A page is placed on the NUMA node of the thread that touches it first.
    ///
    /// # Errors
    /// If the system does not have enough memory.
    pub fn new(len: usize) -> Result<Arena> {
        // If the sum saturates, the system refuses the size like any other size that is too large.
        let mapped = len.max(1).saturating_add(2 * HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        let map = MmapOptions::new().len(mapped).map_anon().map_err(Error::io(format!(
            "reserving {len} bytes of memory for the instances of a batch (a smaller --batch needs less)"
        )))?;
        // This fails where transparent huge pages are off. Small pages work too, with more TLB misses.
        let _ = map.advise(Advice::HugePage);
        let start = map.as_ptr().align_offset(HUGE_PAGE);
        Ok(Arena { map, start })
    }

    /// Pointer to the first byte.
    pub fn pointer(&mut self) -> *mut u8 {
        // SAFETY: `start` is less than HUGE_PAGE, and the mapping is at least HUGE_PAGE bytes longer than
        // requested.
        unsafe { self.map.as_mut_ptr().add(self.start) }
    }
}
