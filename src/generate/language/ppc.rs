//! Tests in the assembly of POWER.

use super::super::plan::Access;
use super::assembly::{self, Assembly, From, Place, Reg, Stored, Thread, Zero, letter};
use super::{Change, Dep, Fence, Language, MarkKind, Rmw, Targets};

pub(super) static LANGUAGE: Language = Language {
    word: "PPC",
    marks: &[MarkKind { name: "P", on: Targets::Both }],
    always_marked: false,
    fences: &[
        Fence { name: "Sync", code: "sync" },
        Fence { name: "LwSync", code: "lwsync" },
        Fence { name: "ISync", code: "isync" },
        Fence { name: "Eieio", code: "eieio" },
    ],
    strong: 0,
    deps: &[Dep::ADDR, Dep::DATA, Dep::CTRL, Dep::control("CtrlIsync", Some("isync"))],
    rmws: &[Rmw { name: "LxSx", short: "rmw", change: Change::Exclusive, returns: true, code: "" }],
    sizes: true,
    usual: "Rfe,Fre,Coe,Pod**,Syncd**,LwSyncdRR,LwSyncdRW,LwSyncdWW,DpAddrd*,DpDatadW,DpCtrldW,DpCtrlIsyncdR",
    write: |language, plan| assembly::write(&Ppc, language, plan),
};

struct Ppc;

/// r0 means 0 in some operands, so it is not used.
fn r(register: Reg) -> String {
    format!("r{}", register + 1)
}

impl Ppc {
    /// The largest constant of li and addi.
    const IMMEDIATE: u64 = 0x7fff;

    fn value(thread: &mut Thread, value: u64, bytes: usize) -> Reg {
        if value > Ppc::IMMEDIATE {
            return thread.constant(value, bytes);
        }
        let register = thread.fresh();
        thread.line(format!("li {},{value}", r(register)));
        register
    }

    /// The end of a mnemonic and the memory operand behind the register.
    fn memory(thread: &mut Thread, place: Place) -> (&'static str, String) {
        let base = thread.address(place.location);
        match (place.zero, place.offset) {
            (None, offset) => ("", format!("{offset}({})", r(base))),
            (Some(Zero(zero)), 0) => ("x", format!("{},{}", r(zero), r(base))),
            (Some(Zero(zero)), offset) => {
                let sum = thread.fresh();
                thread.line(format!("add {},{},{}", r(sum), r(base), r(zero)));
                ("", format!("{offset}({})", r(sum)))
            }
        }
    }
}

impl Assembly for Ppc {
    fn full_name(&self, register: Reg) -> String {
        r(register)
    }

    fn registers(&self) -> usize {
        31
    }

    fn load(&self, thread: &mut Thread, access: &Access, place: Place) -> Reg {
        let (form, memory) = Ppc::memory(thread, place);
        let register = thread.fresh();
        let zeroing = if access.size().bytes == 8 { "" } else { "z" };
        thread.line(format!("l{}{zeroing}{form} {},{memory}", letter(access.size()), r(register)));
        register
    }

    fn store(&self, thread: &mut Thread, access: &Access, place: Place, stored: Stored) {
        let bytes = access.size().bytes;
        let register = match stored.zero {
            None => Ppc::value(thread, stored.value, bytes),
            Some(Zero(zero)) if stored.value > Ppc::IMMEDIATE => {
                let (sum, constant) = (thread.fresh(), thread.constant(stored.value, bytes));
                thread.line(format!("add {},{},{}", r(sum), r(zero), r(constant)));
                sum
            }
            Some(Zero(zero)) => {
                let sum = thread.fresh();
                thread.line(format!("addi {},{},{}", r(sum), r(zero), stored.value));
                sum
            }
        };
        let (form, memory) = Ppc::memory(thread, place);
        thread.line(format!("st{}{form} {},{memory}", letter(access.size()), r(register)));
    }

    fn update(&self, thread: &mut Thread, _: &Rmw, [read, write]: [&Access; 2], place: Place) -> Option<Reg> {
        let operand = Ppc::value(thread, write.value, write.size().bytes);
        let mut base = thread.address(place.location);
        if let Some(Zero(zero)) = place.zero {
            let sum = thread.fresh();
            thread.line(format!("add {},{},{}", r(sum), r(base), r(zero)));
            base = sum;
        }
        if place.offset != 0 {
            let sum = thread.fresh();
            thread.line(format!("addi {},{},{}", r(sum), r(base), place.offset));
            base = sum;
        }
        let (old, letter, loop_) = (thread.fresh(), letter(read.size()), thread.label("Loop"));
        thread.line(format!("{loop_}:"));
        thread.line(format!("l{letter}arx {},r0,{}", r(old), r(base)));
        thread.line(format!("st{letter}cx. {},r0,{}", r(operand), r(base)));
        thread.line(format!("bne {loop_}"));
        Some(old)
    }

    fn branch(&self, thread: &mut Thread, from: From, label: &str) {
        let register = r(from.register);
        thread.line(format!("cmpw {register},{register}"));
        thread.line(format!("beq {label}"));
    }

    fn zero(&self, thread: &mut Thread, from: From) -> Zero {
        let (zero, register) = (thread.fresh(), r(from.register));
        thread.line(format!("xor {},{register},{register}", r(zero)));
        Zero(zero)
    }
}
