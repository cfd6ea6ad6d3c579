//! Executes the disassembly of emitted code, one instruction after the other, on any host: one thread, no weak
//! memory.
//!
//! The interpreter checks what a caller relies on. On the real CPU of a foreign architecture only a crash would
//! show a violation. Callee-saved registers and the stack pointer must have their old values again, only memory
//! of the call may be accessed, and every access must be aligned. An unknown instruction is an error, so every
//! emitted instruction is checked.
//!
//! The instructions come from [`wakerace::codegen::disassemble`]. Its text is written by capstone; that of x86-64 is written by iced-x86
//! in capstone's spelling. Each architecture has its own file.

#![allow(dead_code)] // no test file needs all of it

mod aarch64;
mod memory;
mod powerpc64le;
pub mod reference;
mod riscv64;
mod x86_64;

use std::collections::{HashMap, VecDeque};

use wakerace::arch::Arch;
use wakerace::codegen::{Instruction, ThreadCode, disassemble};

pub use memory::{ARENA, ARGS, Memory, RECORDS, STACK, STOP, Touch, TouchKind};

/// What follows an instruction.
pub enum Step {
    Next,
    Jump(u64),
    Return,
}

/// A register.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    General(usize),
    Vector(usize),
}

/// A result whose error is a message for a person.
pub type Fallible<T> = Result<T, String>;

/// The address that the function returns to.
const RETURN: u64 = 0x7700_0000_0000;

/// A write by another thread just before an atomic update takes effect. It makes a store-conditional fail, and a
/// compare-and-exchange sees it.
#[derive(Debug, Clone, Copy)]
pub struct Disturbance {
    pub address: u64,
    pub bytes: usize,
    pub value: u64,
}

/// One hardware thread.
pub struct Core {
    /// General registers, indexed by their hardware numbers.
    pub x: [u64; 32],
    /// The low 64 bits of the vector registers, indexed by their hardware numbers.
    pub v: [u64; 32],
    pub memory: Memory,
    /// Flags of x86-64 and arm64. `carry` follows the architecture's own rule for subtraction.
    pub zero: bool,
    pub negative: bool,
    pub carry: bool,
    pub overflow: bool,
    /// cr0 of POWER: less and greater. `zero` is equal.
    pub less: bool,
    pub greater: bool,
    /// The link register of POWER.
    pub link: u64,
    /// The last clock reading, and the ticks that each reading adds.
    pub clock: u64,
    pub tick: u64,
    /// The number of clock readings.
    pub clock_reads: u64,
    /// The address and size of the reservation that a load-reserved made.
    pub reserved: Option<(u64, usize)>,
    /// A non-temporal store was made and no instruction has waited for it yet.
    pub nontemporal_pending: bool,
    /// Writes by another thread, one for each attempt at an atomic update.
    pub disturbances: VecDeque<Disturbance>,
    /// A lock that another thread releases, and the number of yields after which it does.
    pub released_by_yield: Option<(u64, u64)>,
    pub yields: u64,
}

/// The effects of a call.
pub struct Outcome {
    /// The return value of the function.
    pub returned: u64,
    pub core: Core,
    /// The instructions of the code, and the indices of the executed ones in order.
    pub instructions: Vec<Instruction>,
    pub executed: Vec<usize>,
}

/// The largest number of instructions that a call may execute.
const STEPS: usize = 3_000_000;

/// A value that no test uses and that differs for every register.
fn garbage(register: usize) -> u64 {
    0xdead_beef_0bad_f00d ^ (register as u64 * 0x0101_0301_0701_0501)
}

impl Core {
    /// A core with this memory and meaningless register values.
    pub fn new(memory: Memory) -> Core {
        Core {
            x: std::array::from_fn(garbage),
            v: std::array::from_fn(|number| garbage(number + 80)),
            memory,
            zero: false,
            negative: true,
            carry: true,
            overflow: false,
            less: true,
            greater: false,
            link: 0,
            clock: 1000,
            tick: 1,
            clock_reads: 0,
            reserved: None,
            nontemporal_pending: false,
            disturbances: VecDeque::new(),
            released_by_yield: None,
            yields: 0,
        }
    }

    /// Copies between a general register and a vector register, whichever `target` is.
    fn copy(&mut self, target: Place, source: Place) -> Fallible<()> {
        match (target, source) {
            (Place::Vector(vector), Place::General(register)) => self.v[vector] = self.x[register],
            (Place::General(register), Place::Vector(vector)) => self.x[register] = self.v[vector],
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Reads the clock, which advances it.
    fn read_clock(&mut self) -> u64 {
        self.clock += self.tick;
        self.clock_reads += 1;
        self.clock
    }

    /// Performs the next write by another thread, if the test has one.
    fn disturb(&mut self) -> Fallible<bool> {
        let Some(other) = self.disturbances.pop_front() else { return Ok(false) };
        self.memory.poke(other.address, other.bytes, other.value);
        Ok(true)
    }

    /// Performs an atomic update by a single instruction and returns the old value.
    fn update(&mut self, address: u64, bytes: usize, new: impl FnOnce(u64) -> Option<u64>) -> Fallible<u64> {
        self.disturb()?;
        let old = self.memory.touch(TouchKind::Update, address, bytes)?;
        if let Some(new) = new(old) {
            self.memory.poke(address, bytes, new);
        }
        Ok(old)
    }

    fn load_reserved(&mut self, address: u64, bytes: usize) -> Fallible<u64> {
        self.reserved = Some((address, bytes));
        self.memory.touch(TouchKind::LoadReserved, address, bytes)
    }

    /// Performs a store-conditional; returns whether it stored.
    fn store_conditional(&mut self, address: u64, bytes: usize, value: u64) -> Fallible<bool> {
        if self.reserved.take() != Some((address, bytes)) {
            return Err(format!("a store-conditional to {address:#x} without its load"));
        }
        self.memory.touch(TouchKind::StoreConditional, address, bytes)?;
        if self.disturb()? {
            return Ok(false);
        }
        self.memory.poke(address, bytes, value);
        Ok(true)
    }

    /// Performs sched_yield. Fails if `number` is not `expected`.
    fn system_call(&mut self, number: u64, expected: u64) -> Fallible<()> {
        if number != expected {
            return Err(format!("system call {number}, not sched_yield ({expected})"));
        }
        self.yields += 1;
        if let Some((lock, after)) = self.released_by_yield
            && self.yields >= after
        {
            self.memory.release(lock, self.memory.ticket_lock);
            self.released_by_yield = None;
        }
        Ok(())
    }

    fn scramble(&mut self, registers: impl IntoIterator<Item = usize>) {
        for register in registers {
            self.x[register] = garbage(register + 40);
        }
    }
}

/// The calling convention of an architecture.
struct Convention {
    stack_pointer: usize,
    /// The number of bytes below the stack pointer that a function may use.
    red_zone: u64,
    /// The register of the argument.
    argument: usize,
    /// The register of the result.
    result: usize,
    /// Registers that the function must preserve, besides the stack pointer.
    kept: &'static [usize],
    /// Registers that the function must never write, because the platform uses them.
    untouched: &'static [usize],
    /// Vector registers that the function need not preserve.
    volatile: fn(usize) -> bool,
    /// How far the stack pointer is below a multiple of 16 at entry, in bytes.
    entry_offset: u64,
    step: fn(&mut Core, &str, u64, u64) -> Fallible<Step>,
}

fn convention(arch: Arch) -> Convention {
    match arch {
        // System V ABI for x86-64, 3.2.
        Arch::X86_64 => Convention {
            stack_pointer: 4,
            red_zone: 128,
            argument: 7,
            result: 0,
            kept: &[3, 5, 12, 13, 14, 15],
            untouched: &[],
            volatile: |_| true,
            entry_offset: 8,
            step: x86_64::step,
        },
        // AAPCS64, 6.1. There is no red zone.
        Arch::Aarch64 => Convention {
            stack_pointer: 31,
            red_zone: 0,
            argument: 0,
            result: 0,
            kept: &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
            untouched: &[18],
            volatile: |number| !(8..16).contains(&number),
            entry_offset: 0,
            step: aarch64::step,
        },
        // ELFv2 ABI, 2.2.2 and 2.2.3.4.
        Arch::Powerpc64le => Convention {
            stack_pointer: 1,
            red_zone: 288,
            argument: 3,
            result: 3,
            kept: &[14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31],
            untouched: &[2, 13],
            volatile: |number| number < 14,
            entry_offset: 0,
            step: powerpc64le::step,
        },
        // RISC-V ELF psABI, "Register Convention". There is no red zone.
        Arch::Riscv64gc => Convention {
            stack_pointer: 2,
            red_zone: 0,
            argument: 10,
            result: 10,
            kept: &[1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
            untouched: &[3, 4],
            volatile: |number| matches!(number, 0..8 | 10..18 | 28..),
            entry_offset: 0,
            step: riscv64::step,
        },
    }
}

/// Calls the function with the arguments at [`ARGS`].
pub fn call(code: &ThreadCode, mut core: Core) -> Fallible<Outcome> {
    let rules = convention(code.arch);
    let instructions = disassemble(code).map_err(|error| error.to_string())?;
    let by_offset: HashMap<u64, usize> =
        instructions.iter().enumerate().map(|(index, one)| (one.offset as u64, index)).collect();
    let entry = STACK - 4096 - rules.entry_offset;
    core.x[rules.stack_pointer] = entry;
    core.x[rules.argument] = ARGS;
    match code.arch {
        Arch::X86_64 => core.memory.poke(entry, 8, RETURN),
        Arch::Aarch64 => core.x[30] = RETURN,
        Arch::Powerpc64le => core.link = RETURN,
        Arch::Riscv64gc => {
            core.x[1] = RETURN;
            core.x[0] = 0;
        }
    }
    core.memory.stack_end = entry;
    let (before, vectors) = (core.x, core.v);
    let mut executed = Vec::new();
    let mut pc = 0;
    for _ in 0..STEPS {
        let index = *by_offset.get(&pc).ok_or_else(|| format!("jumps to {pc:#x}, where no instruction begins"))?;
        let instruction = &instructions[index];
        let next = pc + instruction.bytes.len() as u64;
        core.memory.stack_floor = core.x[rules.stack_pointer].wrapping_sub(rules.red_zone);
        core.memory.part = instruction.part;
        executed.push(index);
        let step = (rules.step)(&mut core, &instruction.text, pc, next)
            .map_err(|error| format!("{pc:#x} {} ({:?}): {error}", instruction.text, instruction.part))?;
        if core.x[rules.stack_pointer] > entry + if code.arch == Arch::X86_64 { 8 } else { 0 } {
            return Err(format!("{pc:#x} {}: the stack pointer is in the caller's frame", instruction.text));
        }
        for &register in rules.untouched {
            if core.x[register] != before[register] {
                return Err(format!("{pc:#x} {}: writes the platform's register {register}", instruction.text));
            }
        }
        match step {
            Step::Next => pc = next,
            Step::Jump(target) => pc = target,
            Step::Return => {
                for &register in rules.kept {
                    if core.x[register] != before[register] {
                        return Err(format!("register {register} does not come back"));
                    }
                }
                let kept = |number: &usize| !(rules.volatile)(*number);
                if let Some(number) = (0..32).filter(kept).find(|&number| core.v[number] != vectors[number]) {
                    return Err(format!("vector register {number} does not come back"));
                }
                // ret removes the return address from the stack of x86-64.
                let popped = if code.arch == Arch::X86_64 { 8 } else { 0 };
                if core.x[rules.stack_pointer] != entry + popped {
                    return Err(format!(
                        "the stack pointer is {:#x} off",
                        core.x[rules.stack_pointer].wrapping_sub(entry)
                    ));
                }
                if core.nontemporal_pending {
                    return Err("returns with a non-temporal store pending".to_owned());
                }
                return Ok(Outcome { returned: core.x[rules.result], core, instructions, executed });
            }
        }
    }
    Err(format!("has not ended after {STEPS} instructions"))
}

/// Sign-extends the low bytes of a value.
pub fn sign_extend(value: u64, bytes: usize) -> u64 {
    let shift = 64 - 8 * bytes;
    ((value << shift) as i64 >> shift) as u64
}

/// Zero-extends the low bytes of a value.
pub fn zero_extend(value: u64, bytes: usize) -> u64 {
    if bytes == 8 { value } else { value & ((1 << (8 * bytes)) - 1) }
}

/// Parses a number such as `0x1f`, `-3` or `#0x10`.
fn number(text: &str) -> Fallible<u64> {
    let text = text.trim().trim_start_matches('#');
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    }
    .map_err(|_| format!("not a number: {text}"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Splits an instruction into mnemonic and operands. Commas within brackets do not separate operands.
fn split(text: &str) -> (&str, Vec<&str>) {
    let (mnemonic, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut operands = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in rest.char_indices() {
        match letter {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                operands.push(rest[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !rest[start..].trim().is_empty() {
        operands.push(rest[start..].trim());
    }
    (mnemonic, operands)
}

fn unknown() -> String {
    "an instruction that the interpreter does not know".to_owned()
}
