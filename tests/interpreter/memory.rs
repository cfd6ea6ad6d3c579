//! The memory that a call may access: its instances, records and arguments, the stop byte, and the stack.

use std::collections::HashMap;

use wakerace::codegen::Part;

use super::Fallible;

/// The start address of the instances. The regions are far apart, so that no wrong offset leads from one to another.
pub const ARENA: u64 = 0x1000_0000_0000;
pub const RECORDS: u64 = 0x2000_0000_0000;
pub const ARGS: u64 = 0x3000_0000_0000;
pub const STOP: u64 = 0x4000_0000_0000;
/// The end address of the stack.
pub const STACK: u64 = 0x5000_0000_0000;

/// The size of [`wakerace::codegen::ThreadArgs`] in bytes.
const ARGS_BYTES: u64 = 120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TouchKind {
    Load,
    Store,
    /// An atomic update by a single instruction.
    Update,
    LoadReserved,
    StoreConditional,
    /// A prefetch, for a store or only for a load.
    Prefetch {
        owns: bool,
    },
}

/// An access to the arena or the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    pub part: Part,
    pub kind: TouchKind,
    pub address: u64,
    pub bytes: usize,
}

/// Bytes at sparse addresses. Bytes that were never written are 0.
pub struct Memory {
    pages: HashMap<u64, Box<[u8; 4096]>>,
    arena_bytes: u64,
    record_bytes: u64,
    /// The code may not access the stack below this address. From `stack_end` on the stack belongs to the caller.
    pub stack_floor: u64,
    pub stack_end: u64,
    /// The part of the code that the running instruction belongs to.
    pub part: Part,
    pub touched: Vec<Touch>,
    /// A lock that another thread releases, and the number of further loads of it before that happens.
    pub released_after: Option<(u64, u64)>,
    /// Whether the lock that another thread releases is a ticket lock.
    pub ticket_lock: bool,
}

impl Memory {
    pub fn new(arena_bytes: u64, record_bytes: u64) -> Memory {
        Memory {
            pages: HashMap::new(),
            arena_bytes,
            record_bytes,
            stack_floor: 0,
            stack_end: 0,
            part: Part::Prologue,
            touched: Vec::new(),
            released_after: None,
            ticket_lock: false,
        }
    }

    /// What a thread that holds a lock does to release it.
    pub fn release(&mut self, lock: u64, ticket: bool) {
        if ticket {
            let served = self.peek(lock, 2);
            self.poke(lock, 2, served + 1);
        } else {
            self.poke(lock, 1, 0);
        }
    }

    /// The same memory with an arena of this size.
    pub fn with_arena(self, bytes: u64) -> Memory {
        Memory { arena_bytes: bytes, ..self }
    }

    /// Reads without any check.
    pub fn peek(&self, address: u64, bytes: usize) -> u64 {
        let mut word = [0; 8];
        for (at, byte) in word[..bytes].iter_mut().enumerate() {
            let address = address + at as u64;
            *byte = self.pages.get(&(address >> 12)).map_or(0, |page| page[(address & 4095) as usize]);
        }
        u64::from_le_bytes(word)
    }

    /// Writes without any check.
    pub fn poke(&mut self, address: u64, bytes: usize, value: u64) {
        for (at, byte) in value.to_le_bytes()[..bytes].iter().enumerate() {
            let address = address + at as u64;
            let page = self.pages.entry(address >> 12).or_insert_with(|| Box::new([0; 4096]));
            page[(address & 4095) as usize] = *byte;
        }
    }

    /// All bytes of the arena that are not 0, by address.
    pub fn arena(&self) -> Vec<(u64, u8)> {
        let mut out: Vec<(u64, u8)> = Vec::new();
        for (page, bytes) in &self.pages {
            for (at, byte) in bytes.iter().enumerate() {
                let address = (page << 12) + at as u64;
                if *byte != 0 && (ARENA..ARENA + self.arena_bytes).contains(&address) {
                    out.push((address, *byte));
                }
            }
        }
        out.sort_unstable();
        out
    }

    /// Checks that an access of this kind is allowed, records it, and returns the value in memory.
    pub fn touch(&mut self, kind: TouchKind, address: u64, bytes: usize) -> Fallible<u64> {
        let within = |start: u64, len: u64| address >= start && address + bytes as u64 <= start + len;
        let reads = matches!(kind, TouchKind::Load | TouchKind::LoadReserved);
        if !address.is_multiple_of(bytes as u64) {
            return Err(format!("{bytes} bytes at {address:#x} are not aligned"));
        }
        if within(ARENA, self.arena_bytes) {
            if !matches!(self.part, Part::Op(_) | Part::Cold) {
                return Err(format!("touches an instance at {address:#x} outside of the test's operations"));
            }
            self.touched.push(Touch { part: self.part, kind, address, bytes });
            if reads
                && let Some((place, left)) = &mut self.released_after
                && *place == address
            {
                if *left == 0 {
                    self.released_after = None;
                    self.release(address, self.ticket_lock);
                } else {
                    *left -= 1;
                }
            }
            return Ok(self.peek(address, bytes));
        }
        let allowed = if within(RECORDS, self.record_bytes) {
            kind == TouchKind::Store && self.part == Part::Save
        } else if within(ARGS, ARGS_BYTES) {
            // Only the number of instances left, the number of late ones, the groups left in a span and its gap may be written.
            bytes == 8 && (reads || matches!(address - ARGS, 16 | 48 | 80 | 104) && kind == TouchKind::Store)
        } else if within(STOP, 1) {
            reads
        } else {
            address >= self.stack_floor && address + bytes as u64 <= self.stack_end
        };
        if !allowed {
            return Err(format!("{kind:?} of {bytes} bytes at {address:#x}, which does not belong to this call"));
        }
        Ok(self.peek(address, bytes))
    }

    pub fn load(&mut self, address: u64, bytes: usize) -> Fallible<u64> {
        self.touch(TouchKind::Load, address, bytes)
    }

    pub fn store(&mut self, address: u64, bytes: usize, value: u64) -> Fallible<()> {
        self.touch(TouchKind::Store, address, bytes)?;
        self.poke(address, bytes, value);
        Ok(())
    }

    /// Records a prefetch, which may have any address.
    pub fn prefetch(&mut self, address: u64, owns: bool) {
        self.touched.push(Touch { part: self.part, kind: TouchKind::Prefetch { owns }, address, bytes: 1 });
    }
}
