//! Runs emitted code by its disassembly, one instruction after the other, on any host: one thread, no weak memory.
//!
//! It checks what a caller relies on and a foreign architecture's own CPU would only show by crashing: callee-saved registers and the stack
//! pointer come back as they were, nothing is touched beyond the memory of the call, every access is aligned. An instruction that
//! is not known is an error, so that nothing emitted goes unread.
//!
//! The instructions come from [`wakerace::codegen::disassemble`], whose text is capstone's; each architecture has a file.

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

/// What an instruction leads to.
pub enum Step {
    Next,
    Jump(u64),
    Return,
}

/// What goes wrong, in words.
pub type Fallible<T> = Result<T, String>;

/// The address that the function returns to.
const RETURN: u64 = 0x7700_0000_0000;

/// A write by somebody else, just before an atomic update takes effect: a store-conditional fails by it, a compare-and-exchange sees it.
#[derive(Debug, Clone, Copy)]
pub struct Disturbance {
    pub address: u64,
    pub bytes: usize,
    pub value: u64,
}

/// One hardware thread.
pub struct Core {
    /// General registers by their hardware numbers.
    pub x: [u64; 32],
    pub memory: Memory,
    /// Flags of x86-64 and arm64; carry as the architecture has it.
    pub zero: bool,
    pub negative: bool,
    pub carry: bool,
    pub overflow: bool,
    /// cr0 of POWER: less, greater, equal.
    pub less: bool,
    pub greater: bool,
    /// lr of POWER.
    pub link: u64,
    /// What the clock reads next, and how far it goes on with each look.
    pub clock: u64,
    pub tick: u64,
    /// How often it was read.
    pub clock_reads: u64,
    /// The reservation of a load-reserved.
    pub reserved: Option<(u64, usize)>,
    /// A non-temporal store was made and nothing has waited for it.
    pub nontemporal_pending: bool,
    /// Writes by others, one for each attempt at an atomic update.
    pub disturbances: VecDeque<Disturbance>,
    /// The lock that somebody releases after so many yields.
    pub released_by_yield: Option<(u64, u64)>,
    pub yields: u64,
}

/// What a call did.
pub struct Outcome {
    /// What the function returned.
    pub returned: u64,
    pub core: Core,
    /// The code, and which of its instructions were executed, in that order.
    pub instructions: Vec<Instruction>,
    pub executed: Vec<usize>,
}

/// The most instructions a call takes.
const STEPS: usize = 3_000_000;

/// A word that no test uses, different for every register.
fn garbage(register: usize) -> u64 {
    0xdead_beef_0bad_f00d ^ (register as u64 * 0x0101_0301_0701_0501)
}

impl Core {
    /// A thread with this memory, whose registers hold nothing of use.
    pub fn new(memory: Memory) -> Core {
        Core {
            x: std::array::from_fn(garbage),
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

    /// The clock.
    fn read_clock(&mut self) -> u64 {
        self.clock += self.tick;
        self.clock_reads += 1;
        self.clock
    }

    /// Somebody else writes before an update, if the test says so.
    fn disturb(&mut self) -> Fallible<bool> {
        let Some(other) = self.disturbances.pop_front() else { return Ok(false) };
        self.memory.poke(other.address, other.bytes, other.value);
        Ok(true)
    }

    /// An atomic update in one instruction: the old value.
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

    /// Whether the store was done.
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

    /// sched_yield, if `number` is `expected`.
    fn system_call(&mut self, number: u64, expected: u64) -> Fallible<()> {
        if number != expected {
            return Err(format!("system call {number}, not sched_yield ({expected})"));
        }
        self.yields += 1;
        if let Some((lock, after)) = self.released_by_yield
            && self.yields >= after
        {
            self.memory.poke(lock, 4, 0);
        }
        Ok(())
    }

    fn scramble(&mut self, registers: impl IntoIterator<Item = usize>) {
        for register in registers {
            self.x[register] = garbage(register + 40);
        }
    }
}

/// What the calling convention of an architecture says.
struct Convention {
    stack_pointer: usize,
    /// Bytes below the stack pointer that a function may use.
    red_zone: u64,
    /// Where the argument comes.
    argument: usize,
    /// Where the result goes.
    result: usize,
    /// Registers that must come back as they were, beside the stack pointer.
    kept: &'static [usize],
    /// Registers that nobody may write at all: the platform's.
    untouched: &'static [usize],
    /// The stack pointer's alignment at entry, and how far it is from a multiple of 16 there.
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
            entry_offset: 8,
            step: x86_64::step,
        },
        // AAPCS64, 6.1; there is no red zone.
        Arch::Aarch64 => Convention {
            stack_pointer: 31,
            red_zone: 0,
            argument: 0,
            result: 0,
            kept: &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30],
            untouched: &[18],
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
            entry_offset: 0,
            step: powerpc64le::step,
        },
        // RISC-V ELF psABI, "Register Convention"; there is no red zone.
        Arch::Riscv64gc => Convention {
            stack_pointer: 2,
            red_zone: 0,
            argument: 10,
            result: 10,
            kept: &[1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
            untouched: &[3, 4],
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
    let before = core.x;
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
                // ret takes the return address off x86-64's stack.
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

/// The low bytes of a value.
pub fn zero_extend(value: u64, bytes: usize) -> u64 {
    if bytes == 8 { value } else { value & ((1 << (8 * bytes)) - 1) }
}

/// `0x1f`, `-3`, `#0x10`, and the like.
fn number(text: &str) -> Fallible<u64> {
    let text = text.trim().trim_start_matches('#');
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    }
    .map_err(|_| format!("no number: {text}"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// Mnemonic and operands; commas within brackets do not separate.
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
