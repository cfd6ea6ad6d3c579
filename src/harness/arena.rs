//! Memory for the instances of a batch. It uses huge pages where the system allows them.

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::error::{Error, Result};

/// Memory that runs use one after the other, so that it is mapped once. It belongs to one placement: its pages are on the
/// NUMA nodes of the threads that touched them first.
#[derive(Debug, Default)]
pub struct Memory {
    arenas: Vec<Arena>,
}

impl Memory {
    /// The pointers of arenas of at least these sizes in bytes, filled with zeros. An arena that is large enough is used again.
    ///
    /// # Errors
    /// If the system does not have enough memory.
    pub(super) fn zeroed(&mut self, sizes: &[usize]) -> Result<Vec<*mut u8>> {
        for (at, &size) in sizes.iter().enumerate() {
            match self.arenas.get_mut(at) {
                Some(arena) if arena.capacity() >= size => arena.clear(size),
                Some(arena) => *arena = Arena::new(size)?,
                None => self.arenas.push(Arena::new(size)?),
            }
        }
        Ok(self.arenas[..sizes.len()].iter_mut().map(Arena::pointer).collect())
    }
}

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

    /// The number of bytes from the first one on.
    fn capacity(&self) -> usize {
        self.map.len() - self.start
    }

    /// Fills the first `len` bytes with zeros. Nothing else may use the arena meanwhile, which the exclusive reference says.
    fn clear(&mut self, len: usize) {
        let start = self.start;
        self.map[start..start + len].fill(0);
    }

    /// Pointer to the first byte.
    pub fn pointer(&mut self) -> *mut u8 {
        // SAFETY: `start` is less than HUGE_PAGE, and the mapping is at least HUGE_PAGE bytes longer than
        // requested.
        unsafe { self.map.as_mut_ptr().add(self.start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_is_zero_again() {
        let mut memory = Memory::default();
        let first = memory.zeroed(&[5000, 64]).unwrap();
        // SAFETY: the arenas hold at least these bytes, and nothing else uses them.
        unsafe { first[0].add(4999).write(7) };
        let again = memory.zeroed(&[5000, 64]).unwrap();
        assert_eq!(again, first);
        // SAFETY: as above.
        assert_eq!(unsafe { again[0].add(4999).read() }, 0);
        // A larger size gets a new arena, and its pointer is aligned as before.
        let larger = memory.zeroed(&[9 * HUGE_PAGE, 64, 64]).unwrap();
        assert!(larger.len() == 3 && larger[1] == first[1] && larger[0].align_offset(HUGE_PAGE) == 0);
    }
}
