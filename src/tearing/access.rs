//! The accesses of the map: a size and an offset in a cache line.

use std::fmt;

use crate::arch::native;
use crate::arch::portable::is_inside;

/// The sizes in bytes for which one instruction exists on some architecture.
pub const SIZES: [usize; 3] = [4, 8, 16];

/// A load or store by one instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    /// The size in bytes: 4, 8 or 16.
    pub size: usize,
    /// The offset of the first byte from the start of a cache line, in bytes.
    pub offset: usize,
}

/// The largest aligned block whose boundary an access crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// The access is aligned: its offset is a multiple of its size.
    Aligned,
    /// It is not aligned, but inside 8 aligned bytes.
    Inside8,
    /// It crosses a boundary of this many bytes, a power of two below the size of a line, and none of more.
    Crosses(usize),
    /// It crosses from one line into the next.
    CrossesLine,
}

impl Access {
    /// The largest boundary that the access crosses, for lines of `line` bytes, a power of two.
    pub fn reach(self, line: usize) -> Reach {
        let Access { size, offset } = self;
        let boundaries = std::iter::successors(Some(line), |block| Some(block / 2)).take_while(|block| *block >= 8);
        match boundaries.into_iter().find(|block| !is_inside(size, offset, *block)) {
            _ if offset.is_multiple_of(size) => Reach::Aligned,
            Some(block) if block == line => Reach::CrossesLine,
            Some(block) => Reach::Crosses(block),
            None => Reach::Inside8,
        }
    }

    /// Whether this host's architecture guarantees that the access is never seen in part.
    pub fn is_guaranteed(self) -> bool {
        native::is_single_access(self.size, self.offset)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Aligned => f.write_str("aligned"),
            Reach::Inside8 => f.write_str("inside 8 bytes"),
            Reach::Crosses(block) => write!(f, "crosses {block} bytes"),
            Reach::CrossesLine => f.write_str("crosses the line"),
        }
    }
}

/// The accesses of these sizes at every offset of a line. Sizes for which the host has no instruction are left out.
pub fn accesses(sizes: &[usize], line: usize) -> Vec<Access> {
    let known = sizes.iter().filter(|size| **size <= native::WIDEST_ACCESS);
    known.flat_map(|&size| (0..line).map(move |offset| Access { size, offset })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_crosses_the_largest_boundary_inside_it() {
        let reach = |size, offset| Access { size, offset }.reach(64);
        for (size, offset, wanted) in [
            (4, 0, Reach::Aligned),
            (4, 60, Reach::Aligned),
            (4, 1, Reach::Inside8),
            (4, 4, Reach::Aligned),
            (4, 5, Reach::Crosses(8)),
            (4, 13, Reach::Crosses(16)),
            (4, 30, Reach::Crosses(32)),
            (4, 61, Reach::CrossesLine),
            (8, 24, Reach::Aligned),
            (8, 28, Reach::Crosses(32)),
            (8, 4, Reach::Crosses(8)),
            (8, 57, Reach::CrossesLine),
            (8, 56, Reach::Aligned),
            (16, 8, Reach::Crosses(16)),
            (16, 24, Reach::Crosses(32)),
            (16, 49, Reach::CrossesLine),
            (16, 48, Reach::Aligned),
        ] {
            assert_eq!(reach(size, offset), wanted, "{size} at {offset}");
        }
        assert_eq!(Access { size: 8, offset: 60 }.reach(128), Reach::Crosses(64));
    }

    /// Every architecture guarantees aligned accesses of a register and nothing across lines.
    #[test]
    fn aligned_accesses_are_guaranteed_and_those_across_lines_are_not() {
        let all = accesses(&SIZES, 64);
        assert!(all.len() >= 2 * 64);
        for access in all {
            match access.reach(64) {
                Reach::Aligned if access.size <= 8 => assert!(access.is_guaranteed(), "{access:?}"),
                Reach::CrossesLine => assert!(!access.is_guaranteed(), "{access:?}"),
                _ => {}
            }
        }
    }
}
