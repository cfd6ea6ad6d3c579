//! Tests in the assembly of x86-64.

use super::super::edge::Size;
use super::super::plan::Access;
use super::assembly::{self, Assembly, From, Place, Reg, Stored, Thread, Zero};
use super::{Change, Fence, Language, MarkKind, Rmw, Targets};

pub(super) static LANGUAGE: Language = Language {
    word: "X86_64",
    marks: &[MarkKind { name: "P", on: Targets::Both }, MarkKind { name: "A", on: Targets::Writes }],
    always_marked: false,
    fences: &[
        Fence { name: "MFence", code: "mfence" },
        Fence { name: "SFence", code: "sfence" },
        Fence { name: "LFence", code: "lfence" },
    ],
    strong: 0,
    deps: &[],
    rmws: &[
        Rmw { name: "Exch", short: "rmw", change: Change::Swap, returns: true, code: "xchg" },
        Rmw { name: "Rmw", short: "rmw", change: Change::Swap, returns: true, code: "xchg" },
    ],
    sizes: true,
    usual: "Rfe,Fre,Coe,Rfi,Pod**,MFenced**,Exch",
    write: |language, plan| assembly::write(&X86, language, plan),
};

struct X86;

/// The names of a register for 1, 2, 4 and 8 bytes.
fn names(register: Reg) -> [String; 4] {
    const LEGACY: [&str; 6] = ["ax", "bx", "cx", "dx", "si", "di"];
    match LEGACY.get(register) {
        Some(name) => {
            let low = name.strip_suffix('x').unwrap_or(name);
            [format!("{low}l"), (*name).to_owned(), format!("e{name}"), format!("r{name}")]
        }
        None => {
            let number = register + 2;
            [format!("r{number}b"), format!("r{number}w"), format!("r{number}d"), format!("r{number}")]
        }
    }
}

fn sized(register: Reg, size: Size) -> String {
    let [byte, half, word, quad] = names(register);
    let name = match size.bytes {
        1 => byte,
        2 => half,
        4 => word,
        _ => quad,
    };
    format!("%{name}")
}

/// The letter of a mnemonic for a size.
fn letter(size: Size) -> char {
    match size.bytes {
        1 => 'b',
        2 => 'w',
        4 => 'l',
        _ => 'q',
    }
}

impl X86 {
    /// The memory operand. A displacement needs a register with the address.
    fn memory(thread: &mut Thread, place: Place) -> String {
        match place.offset {
            0 => format!("({})", thread.plan.locations[place.location].name),
            offset => format!("{offset}({})", sized(thread.address(place.location), Size { bytes: 8, offset: 0 })),
        }
    }

    /// A register that holds a value.
    fn value(thread: &mut Thread, value: u64, size: Size) -> Reg {
        if size.bytes == 8 {
            return thread.constant(value, 8);
        }
        let register = thread.fresh();
        thread.line(format!("mov{} ${value},{}", letter(size), sized(register, size)));
        register
    }

    fn exchange(thread: &mut Thread, value: u64, size: Size, place: Place) -> Reg {
        let register = X86::value(thread, value, size);
        let memory = X86::memory(thread, place);
        thread.line(format!("xchg{} {},{memory}", letter(size), sized(register, size)));
        register
    }
}

impl Assembly for X86 {
    fn full_name(&self, register: Reg) -> String {
        let [.., quad] = names(register);
        quad
    }

    fn registers(&self) -> usize {
        14
    }

    fn load(&self, thread: &mut Thread, access: &Access, place: Place) -> Reg {
        let memory = X86::memory(thread, place);
        let register = thread.fresh();
        let size = access.size();
        thread.line(format!("mov{} {memory},{}", letter(size), sized(register, size)));
        register
    }

    fn store(&self, thread: &mut Thread, access: &Access, place: Place, stored: Stored) {
        let size = access.size();
        if access.mark.order != 0 {
            X86::exchange(thread, stored.value, size, place);
            return;
        }
        let memory = X86::memory(thread, place);
        let source = if size.bytes == 8 {
            sized(X86::value(thread, stored.value, size), size)
        } else {
            format!("${}", stored.value)
        };
        thread.line(format!("mov{} {source},{memory}", letter(size)));
    }

    fn update(&self, thread: &mut Thread, _: &Rmw, [_, write]: [&Access; 2], place: Place) -> Option<Reg> {
        Some(X86::exchange(thread, write.value, write.size(), place))
    }

    // x86 has no dependencies in its vocabulary: they order nothing that program order does not.
    fn branch(&self, _: &mut Thread, _: From, _: &str) {}

    fn zero(&self, _: &mut Thread, from: From) -> Zero {
        Zero(from.register)
    }
}
