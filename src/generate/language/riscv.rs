//! Tests in the assembly of RISC-V.

use super::super::plan::Access;
use super::assembly::{self, Assembly, From, Place, Reg, Stored, Thread, Zero, letter};
use super::{Change, Dep, Fence, Language, MarkKind, Rmw, Targets};

pub(super) static LANGUAGE: Language = Language {
    word: "RISCV",
    marks: &[
        MarkKind { name: "P", on: Targets::Both },
        MarkKind { name: "Aq", on: Targets::Both },
        MarkKind { name: "Rl", on: Targets::Both },
        MarkKind { name: "AR", on: Targets::Both },
    ],
    always_marked: false,
    fences: &[
        Fence { name: "Fence.i", code: "fence.i" },
        Fence { name: "Fence.tso", code: "fence.tso" },
        Fence { name: "Fence.r.r", code: "fence r,r" },
        Fence { name: "Fence.r.w", code: "fence r,w" },
        Fence { name: "Fence.r.rw", code: "fence r,rw" },
        Fence { name: "Fence.w.r", code: "fence w,r" },
        Fence { name: "Fence.w.w", code: "fence w,w" },
        Fence { name: "Fence.w.rw", code: "fence w,rw" },
        Fence { name: "Fence.rw.r", code: "fence rw,r" },
        Fence { name: "Fence.rw.w", code: "fence rw,w" },
        Fence { name: "Fence.rw.rw", code: "fence rw,rw" },
    ],
    strong: 10,
    deps: &[Dep::ADDR, Dep::DATA, Dep::CTRL, Dep::control("CtrlFenceI", Some("fence.i"))],
    rmws: &[
        Rmw { name: "Exch", short: "rmw", change: Change::Swap, returns: true, code: "amoswap" },
        Rmw { name: "Rmw", short: "rmw", change: Change::Swap, returns: true, code: "amoswap" },
        Rmw { name: "Amo.Add", short: "amo.add", change: Change::Add, returns: true, code: "amoadd" },
        Rmw { name: "Amo.Or", short: "amo.or", change: Change::Set, returns: true, code: "amoor" },
        Rmw { name: "Amo.Xor", short: "amo.xor", change: Change::Xor, returns: true, code: "amoxor" },
        Rmw { name: "LxSx", short: "lxsx", change: Change::Exclusive, returns: true, code: "" },
    ],
    sizes: true,
    usual: "Rfe,Fre,Coe,Pod**,Fence.rw.rwd**,Fence.tsod**,Fence.r.rwdR*,Fence.w.wdWW,DpAddrd*,DpDatadW,DpCtrldW,DpCtrldR",
    write: |language, plan| assembly::write(&RiscV, language, plan),
};

struct RiscV;

/// The registers x5 to x31.
fn x(register: Reg) -> String {
    format!("x{}", register + 5)
}

/// The ends of a mnemonic: that of an access, and that of a read-modify-write with these annotations.
fn ending(acquires: bool, releases: bool) -> &'static str {
    match (acquires, releases) {
        (false, false) => "",
        (true, false) => ".aq",
        (false, true) => ".rl",
        (true, true) => ".aqrl",
    }
}

fn ending_of(access: &Access) -> &'static str {
    ending(matches!(access.mark.order, 1 | 3), matches!(access.mark.order, 2 | 3))
}

impl RiscV {
    /// The largest constant of ori.
    const IMMEDIATE: u64 = 0x7ff;

    fn value(thread: &mut Thread, value: u64, bytes: usize) -> Reg {
        if value > RiscV::IMMEDIATE {
            return thread.constant(value, bytes);
        }
        let register = thread.fresh();
        thread.line(format!("ori {},x0,{value}", x(register)));
        register
    }

    /// The register with the address without the offset.
    fn base(thread: &mut Thread, place: Place) -> Reg {
        let base = thread.address(place.location);
        let Some(Zero(zero)) = place.zero else { return base };
        let sum = thread.fresh();
        thread.line(format!("add {},{},{}", x(sum), x(base), x(zero)));
        sum
    }
}

impl Assembly for RiscV {
    fn full_name(&self, register: Reg) -> String {
        x(register)
    }

    fn registers(&self) -> usize {
        27
    }

    fn load(&self, thread: &mut Thread, access: &Access, place: Place) -> Reg {
        let base = RiscV::base(thread, place);
        let register = thread.fresh();
        let (letter, ending) = (letter(access.size()), ending_of(access));
        thread.line(format!("l{letter}{ending} {},{}({})", x(register), place.offset, x(base)));
        register
    }

    fn store(&self, thread: &mut Thread, access: &Access, place: Place, stored: Stored) {
        let bytes = access.size().bytes;
        let register = match stored.zero {
            None => RiscV::value(thread, stored.value, bytes),
            Some(Zero(zero)) if stored.value > RiscV::IMMEDIATE => {
                let (sum, constant) = (thread.fresh(), thread.constant(stored.value, bytes));
                thread.line(format!("add {},{},{}", x(sum), x(zero), x(constant)));
                sum
            }
            Some(Zero(zero)) => {
                let sum = thread.fresh();
                thread.line(format!("ori {},{},{}", x(sum), x(zero), stored.value));
                sum
            }
        };
        let base = RiscV::base(thread, place);
        let (letter, ending) = (letter(access.size()), ending_of(access));
        thread.line(format!("s{letter}{ending} {},{}({})", x(register), place.offset, x(base)));
    }

    fn update(&self, thread: &mut Thread, rmw: &Rmw, [read, write]: [&Access; 2], place: Place) -> Option<Reg> {
        let operand = RiscV::value(thread, write.value, write.size().bytes);
        let mut base = RiscV::base(thread, place);
        if place.offset != 0 {
            let sum = thread.fresh();
            thread.line(format!("addi {},{},{}", x(sum), x(base), place.offset));
            base = sum;
        }
        let (old, letter) = (thread.fresh(), letter(read.size()));
        if rmw.change == Change::Exclusive {
            let status = thread.fresh();
            thread.line(format!("lr.{letter}{} {},0({})", ending_of(read), x(old), x(base)));
            thread.line(format!("sc.{letter}{} {},{},0({})", ending_of(write), x(status), x(operand), x(base)));
            thread.expect(status, 0, 4);
        } else {
            let has = |orders: [usize; 2]| [read, write].iter().any(|access| orders.contains(&access.mark.order));
            let ending = ending(has([1, 3]), has([2, 3]));
            thread.line(format!("{}.{letter}{ending} {},{},({})", rmw.code, x(old), x(operand), x(base)));
        }
        Some(old)
    }

    fn branch(&self, thread: &mut Thread, from: From, label: &str) {
        thread.line(format!("bne {},x0,{label}", x(from.register)));
    }

    fn zero(&self, thread: &mut Thread, from: From) -> Zero {
        let (zero, register) = (thread.fresh(), x(from.register));
        thread.line(format!("xor {},{register},{register}", x(zero)));
        Zero(zero)
    }
}
