//! The registers of the loop over instances that a thread with many values borrows.
//!
//! A thread can have more values than the loop leaves registers free. Then the values also get registers of the loop. What these
//! hold is put aside into vector registers before the first access of an instance, and taken back behind the last one, so that
//! nothing is added between the accesses. A vector register needs no memory: a store in front of the test would still be in the
//! store buffer when the test begins.

use super::registers::Allocation;

/// The registers of the loop that hold values of a thread during an instance. The place of a register in the list is the
/// number of the vector register that keeps what the loop has in it.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    registers: Vec<u8>,
}

impl Aside {
    /// The registers among `borrowed` that values were assigned to.
    pub fn new(allocation: &Allocation, borrowed: &[u8]) -> Aside {
        Aside { registers: borrowed.iter().copied().filter(|&register| allocation.uses(register)).collect() }
    }

    /// Each register with the number of its vector register.
    pub fn pairs(&self) -> impl Iterator<Item = (u8, u8)> {
        (0..).zip(self.registers.iter().copied()).map(|(vector, register)| (register, vector))
    }

    /// The vector register that keeps what the loop has in a register, if the register is borrowed.
    pub fn vector(&self, register: u8) -> Option<u8> {
        self.pairs().find(|(borrowed, _)| *borrowed == register).map(|(_, vector)| vector)
    }

    /// The number of a vector register that keeps nothing.
    pub fn spare(&self, number: u8) -> u8 {
        u8::try_from(self.registers.len()).unwrap_or(u8::MAX) + number
    }
}
