//! Assigns hardware registers to values.
//!
//! Jumps only go forward. So a value is live from the first operation that writes it to the last one that reads
//! it, in program text order, and a linear scan gives exact results.

use std::collections::HashMap;

use crate::program::{Const, RegisterId, RegisterUse, Thread};

/// A value that needs a hardware register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A register of the test.
    Register(RegisterId),
    /// A constant that is loaded into a register before the wait, so that no load of it stands between the accesses.
    Constant(Const),
}

/// The hardware register of each value.
#[derive(Debug, Default)]
pub struct Allocation {
    assigned: HashMap<Key, u8>,
}

impl Allocation {
    /// Gives a test register a hardware register.
    pub fn assign(&mut self, register: RegisterId, hardware: u8) {
        self.assigned.insert(Key::Register(register), hardware);
    }

    /// The hardware register of a test register; `None` if it is never read or written.
    pub fn register(&self, register: RegisterId) -> Option<u8> {
        self.assigned.get(&Key::Register(register)).copied()
    }

    /// The hardware register of a constant, if it has one.
    pub fn constant(&self, constant: Const) -> Option<u8> {
        self.assigned.get(&Key::Constant(constant)).copied()
    }

    /// The constants that have a register, in a stable order.
    pub fn constants(&self) -> Vec<(Const, u8)> {
        let mut constants: Vec<(Const, u8)> = self
            .assigned
            .iter()
            .filter_map(|(key, register)| match key {
                Key::Constant(constant) => Some((*constant, *register)),
                Key::Register(_) => None,
            })
            .collect();
        constants.sort_unstable();
        constants
    }

    /// What the hardware registers hold at the start of an instance; `None` for a register of a test in C that starts as 0.
    pub fn initial(&self, thread: &Thread) -> Vec<(u8, Option<Const>)> {
        let constants = self.constants().into_iter().map(|(constant, hardware)| (hardware, Some(constant)));
        let given = thread.assembly.iter().flat_map(|assembly| &assembly.initial);
        let given = given.map(|&(register, value)| (register, Some(value)));
        let own = given.chain(thread.zeroed.iter().map(|&register| (register, None)));
        constants.chain(own.filter_map(|(register, value)| Some((self.register(register)?, value)))).collect()
    }

    /// Whether a value has this hardware register.
    pub fn uses(&self, hardware: u8) -> bool {
        self.assigned.values().any(|used| *used == hardware)
    }
}

/// A constant, and the index of an operation that needs it in a register.
pub type Wanted = (Const, usize);

/// Assigns hardware registers from `pool`, or from `pool` and `borrowed` if that does not suffice. The constants of `optional`
/// are loaded where they are used if they find no register.
///
/// # Errors
/// The reason, if the thread has more values at once.
pub fn allocate_all(
    thread: &Thread,
    (wanted, optional): (&[Wanted], &[Wanted]),
    pool: &[u8],
    borrowed: &[u8],
) -> Result<Allocation, String> {
    let all = [wanted, optional].concat();
    let more = [pool, borrowed].concat();
    allocate(thread, &all, pool).or_else(|_| allocate(thread, &all, &more)).or_else(|_| allocate(thread, wanted, &more))
}

/// The reason why a thread with more values at once than registers is refused.
fn too_many(registers: usize) -> String {
    format!(
        "needs more than the {registers} registers that hold values during an instance. A value is loaded before the first \
         access or stays until the last one; to put one aside would add an instruction between the accesses"
    )
}

/// Assigns hardware registers from `pool`. `wanted` lists constants with the index of an operation that needs
/// them in a register.
///
/// Two values that are used by the same operation never share a register. So an emitter may write a result
/// before it has read all operands, unless the operand and the result are the same register of the test.
///
/// # Errors
/// The reason, if more values are live at once than the pool has registers.
fn allocate(thread: &Thread, wanted: &[Wanted], pool: &[u8]) -> Result<Allocation, String> {
    let end = thread.ops.len() + 1;
    let mut alive: HashMap<Key, (usize, usize)> = HashMap::new();
    let mut touch = |key, index: usize| {
        let now = index + 1; // 0 is before the first operation
        let (_, last) = alive.entry(key).or_insert((now, now));
        *last = now.max(*last);
    };
    for (index, op) in thread.ops.iter().enumerate() {
        op.visit(|_: RegisterUse, register| touch(Key::Register(register), index));
    }
    for &(constant, index) in wanted {
        touch(Key::Constant(constant), index);
    }
    for (id, register) in thread.registers.iter().enumerate() {
        if register.observed {
            alive.entry(Key::Register(id)).or_insert((0, end)).1 = end;
        }
    }
    for (key, (from, _)) in &mut alive {
        let from_start = match key {
            Key::Constant(_) => true,
            Key::Register(id) => thread.zeroed.contains(id),
        };
        if from_start {
            *from = 0;
        }
    }

    let mut order: Vec<(Key, (usize, usize))> = alive.into_iter().collect();
    order.sort_unstable_by_key(|(key, (from, to))| (*from, *to, matches!(key, Key::Constant(_)), key_number(key)));
    let mut free: Vec<u8> = pool.iter().rev().copied().collect();
    let mut busy: Vec<(usize, u8)> = Vec::new();
    let mut allocation = Allocation::default();
    for (key, (from, to)) in order {
        busy.retain(|&(until, hardware)| {
            let keep = until >= from;
            if !keep {
                free.push(hardware);
            }
            keep
        });
        let Some(hardware) = free.pop() else {
            return Err(too_many(pool.len()));
        };
        busy.push((to, hardware));
        allocation.assigned.insert(key, hardware);
    }
    Ok(allocation)
}

/// A different number for each key of a kind (register or constant). Their order makes the code of a test always
/// the same. The second number tells an integer from an address.
fn key_number(key: &Key) -> (i128, bool) {
    match key {
        Key::Register(id) => (*id as i128, false),
        Key::Constant(Const::Int(value)) => (i128::from(*value), false),
        Key::Constant(Const::Address(location)) => (*location as i128, true),
    }
}
