//! The effects of a thread's operations on memory and registers, one after the other. The code of every back
//! end must have the same effects.

use std::collections::HashMap;

use wakerace::arch::lock::Lock;
use wakerace::program::{Address, Binary, Compare, Const, Op, Operand, Program, RmwOp, RmwResult, Thread, Type, Unary};

use super::{Disturbance, Memory, sign_extend, zero_extend};

/// The registers of a thread at the end of an instance. Registers that no executed path wrote are missing.
pub type Registers = HashMap<usize, u64>;

/// The value that a register holds after a load of this type.
fn extended(value: u64, ty: Type) -> u64 {
    if ty.signed() { sign_extend(value, ty.bytes()) } else { zero_extend(value, ty.bytes()) }
}

fn compares(compare: Compare, left: u64, right: u64, bits: u8, signed: bool) -> bool {
    let bytes = usize::from(bits / 8);
    let key = |value: u64| {
        if signed { i128::from(sign_extend(value, bytes) as i64) } else { i128::from(zero_extend(value, bytes)) }
    };
    let (left, right) = (key(left), key(right));
    match compare {
        Compare::Eq => left == right,
        Compare::Ne => left != right,
        Compare::Lt => left < right,
        Compare::Le => left <= right,
        Compare::Gt => left > right,
        Compare::Ge => left >= right,
    }
}

/// The value that a read-modify-write stores.
fn updated(op: RmwOp, old: u64, value: u64) -> u64 {
    match op {
        RmwOp::Xchg => value,
        RmwOp::Add => old.wrapping_add(value),
        RmwOp::Sub => old.wrapping_sub(value),
        RmwOp::And => old & value,
        RmwOp::Or => old | value,
        RmwOp::Xor => old ^ value,
        RmwOp::AndNot => old & !value,
    }
}

/// Whether a lock with this value is taken.
fn held(lock: Lock, word: u64) -> bool {
    if lock == Lock::Ticket { word >> 16 != word & 0xffff } else { word != 0 }
}

/// The value of a lock that a thread has taken, given its value before.
fn taken(lock: Lock, word: u64) -> u64 {
    if lock == Lock::Ticket { word.wrapping_add(1 << 16) } else { 1 }
}

/// Runs one instance of a thread. `base` is the address of the instance and `offsets` are those of the layout.
/// As in the interpreter, a disturbance happens just before each atomic update.
pub fn run(
    thread: &Thread,
    memory: &mut Memory,
    lock: Lock,
    (base, offsets): (u64, &[usize]),
    disturbances: &mut Vec<Disturbance>,
) -> Registers {
    let mut registers: Registers = thread.zeroed.iter().map(|&register| (register, 0)).collect();
    let constant = |value: Const| match value {
        Const::Int(value) => value as u64,
        Const::Address(location) => base + offsets[location] as u64,
    };
    let mut at = 0;
    while let Some(op) = thread.ops.get(at) {
        at += 1;
        let get = |registers: &Registers, operand: Operand| match operand {
            Operand::Register(register) => *registers.get(&register).expect("read before it is written"),
            Operand::Const(value) => constant(value),
        };
        let place = |registers: &Registers, address: Address| match address {
            Address::Location(location) => base + offsets[location] as u64,
            Address::Register(register) => registers[&register],
        };
        let mut disturb = |memory: &mut Memory| {
            if !disturbances.is_empty() {
                let other = disturbances.remove(0);
                memory.poke(other.address, other.bytes, other.value);
            }
        };
        let goes_to =
            |label: usize| thread.ops.iter().position(|op| *op == Op::Label(label)).expect("a label that is there");
        match *op {
            Op::Load { dst, address, ty, .. } => {
                let value = memory.peek(place(&registers, address), ty.bytes());
                registers.insert(dst, extended(value, ty));
            }
            Op::Store { address, value, ty, .. } | Op::StoreMb { address, value, ty } => {
                let value = get(&registers, value);
                memory.poke(place(&registers, address), ty.bytes(), value);
            }
            Op::Fence(_) | Op::Label(_) => {}
            Op::RcuFence(_) | Op::SrcuLock { .. } | Op::SrcuUnlock { .. } | Op::SynchronizeSrcu { .. } => {
                panic!("no code is generated for {op:?}")
            }
            Op::Rmw { dst, address, value, ty, op, result, .. } => {
                let (place, value) = (place(&registers, address), get(&registers, value));
                disturb(memory);
                let old = extended(memory.peek(place, ty.bytes()), ty);
                let new = extended(updated(op, old, value), ty);
                memory.poke(place, ty.bytes(), new);
                if let Some(dst) = dst {
                    let value = match result {
                        RmwResult::None => panic!("a result of nothing"),
                        RmwResult::Old => old,
                        RmwResult::New => new,
                        RmwResult::NewIsZero => (new == 0).into(),
                        RmwResult::NewIsNegative => sign_extend(new, ty.bytes()) >> 63,
                    };
                    registers.insert(dst, value);
                }
            }
            Op::Cmpxchg { dst, address, expected, new, ty, .. } => {
                let (place, expected) = (place(&registers, address), get(&registers, expected));
                disturb(memory);
                let old = memory.peek(place, ty.bytes());
                if old == zero_extend(expected, ty.bytes()) {
                    memory.poke(place, ty.bytes(), get(&registers, new));
                }
                registers.insert(dst, extended(old, ty));
            }
            Op::SpinLock { address } => {
                let place = place(&registers, address);
                disturb(memory);
                let word = memory.peek(place, 4);
                memory.poke(place, 4, taken(lock, word));
            }
            Op::SpinUnlock { address } => {
                let place = place(&registers, address);
                if lock == Lock::Paravirt {
                    disturb(memory);
                }
                memory.release(place, lock == Lock::Ticket);
            }
            Op::SpinTrylock { dst, address } => {
                let place = place(&registers, address);
                let free = !held(lock, memory.peek(place, 4));
                if free {
                    disturb(memory);
                    let word = memory.peek(place, 4);
                    memory.poke(place, 4, taken(lock, word));
                }
                registers.insert(dst, free.into());
            }
            Op::SpinIsLocked { dst, address } => {
                let word = memory.peek(place(&registers, address), 4);
                registers.insert(dst, held(lock, word).into());
            }
            Op::Move { dst, src } => {
                let value = get(&registers, src);
                registers.insert(dst, value);
            }
            Op::Extend { dst, src, from } => {
                let value = extended(get(&registers, src), from);
                registers.insert(dst, value);
            }
            Op::Unary { dst, op, src, .. } => {
                let value = get(&registers, src);
                registers.insert(dst, if op == Unary::Negate { value.wrapping_neg() } else { !value });
            }
            Op::Binary { dst, op, left, right, bits, signed } => {
                let (left, right) = (get(&registers, left), get(&registers, right));
                let bytes = usize::from(bits / 8);
                let value = match op {
                    Binary::Add => left.wrapping_add(right),
                    Binary::Sub => left.wrapping_sub(right),
                    Binary::Mul => left.wrapping_mul(right),
                    Binary::And => left & right,
                    Binary::Or => left | right,
                    Binary::Xor => left ^ right,
                    Binary::ShiftLeft => left << right,
                    Binary::ShiftRight if signed => (sign_extend(left, bytes) as i64 >> right) as u64,
                    Binary::ShiftRight => zero_extend(left, bytes) >> right,
                    Binary::Compare(compare) => compares(compare, left, right, bits, signed).into(),
                };
                registers.insert(dst, value);
            }
            Op::Branch { compare, left, right, bits, signed, target } => {
                if compares(compare, get(&registers, left), get(&registers, right), bits, signed) {
                    at = goes_to(target);
                }
            }
            Op::Jump { target } => at = goes_to(target),
        }
    }
    registers
}

/// Writes the initial values of an instance.
pub fn initialise(program: &Program, memory: &mut Memory, base: u64, offsets: &[usize]) {
    for (location, offset) in program.locations.iter().zip(offsets) {
        let value = match location.init {
            Const::Int(value) => value as u64,
            Const::Address(target) => base + offsets[target] as u64,
        };
        memory.poke(base + *offset as u64, location.ty.bytes(), value);
    }
}
