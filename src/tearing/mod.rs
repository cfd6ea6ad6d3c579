//! Tearing: which loads and stores are single accesses, measured at every offset of a cache line.
//!
//! One thread stores all zeros and all ones in turn, with one instruction each. Another thread on another CPU loads the
//! same bytes with one instruction. A value that is neither all zeros nor all ones is a torn access: the load or the store
//! was seen in part. Aligned accesses are the zero that every architecture promises. Accesses that cross from one line
//! into the next are the control, because they show that a tear would be seen.

mod access;
mod measure;

pub use access::{Access, Reach, SIZES, accesses};
pub use measure::{Torn, measure};
