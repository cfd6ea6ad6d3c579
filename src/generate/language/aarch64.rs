//! Tests in the assembly of AArch64.

use super::super::edge::Size;
use super::super::plan::Access;
use super::assembly::{self, Assembly, From, Place, Reg, Stored, Thread, Zero};
use super::{Change, Dep, Fence, Language, MarkKind, Rmw, Targets, Through};

pub(super) static LANGUAGE: Language = Language {
    word: "AArch64",
    marks: &[
        MarkKind { name: "P", on: Targets::Both },
        MarkKind { name: "A", on: Targets::Reads },
        MarkKind { name: "Q", on: Targets::Reads },
        MarkKind { name: "L", on: Targets::Writes },
    ],
    always_marked: false,
    fences: &[
        Fence { name: "ISB", code: "ISB" },
        Fence { name: "DMB.LD", code: "DMB LD" },
        Fence { name: "DMB.ST", code: "DMB ST" },
        Fence { name: "DMB.SY", code: "DMB SY" },
        Fence { name: "DSB.LD", code: "DSB LD" },
        Fence { name: "DSB.ST", code: "DSB ST" },
        Fence { name: "DSB.SY", code: "DSB SY" },
    ],
    strong: 3,
    deps: &[
        Dep { name: "AddrCsel", targets: Targets::Both, through: Through::Address, selects: true },
        Dep::ADDR,
        Dep { name: "DataCsel", targets: Targets::Writes, through: Through::Data, selects: true },
        Dep::DATA,
        Dep { name: "CtrlCsel", targets: Targets::Both, through: Through::Control { then: None }, selects: true },
        Dep::CTRL,
        Dep {
            name: "CtrlIsbCsel",
            targets: Targets::Both,
            through: Through::Control { then: Some("ISB") },
            selects: true,
        },
        Dep::control("CtrlIsb", Some("ISB")),
    ],
    rmws: &[
        Rmw { name: "LxSx", short: "rmw", change: Change::Exclusive, returns: true, code: "" },
        Rmw { name: "Amo.Cas", short: "amo.cas", change: Change::Compare, returns: true, code: "CAS" },
        Rmw { name: "Amo.Swp", short: "amo.swp", change: Change::Swap, returns: true, code: "SWP" },
        Rmw { name: "Amo.LdAdd", short: "amo.ldadd", change: Change::Add, returns: true, code: "LDADD" },
        Rmw { name: "Amo.LdEor", short: "amo.ldeor", change: Change::Xor, returns: true, code: "LDEOR" },
        Rmw { name: "Amo.LdSet", short: "amo.ldset", change: Change::Set, returns: true, code: "LDSET" },
        Rmw { name: "Amo.LdClr", short: "amo.ldclr", change: Change::Clear, returns: true, code: "LDCLR" },
        Rmw { name: "Amo.StAdd", short: "amo.stadd", change: Change::Add, returns: false, code: "STADD" },
        Rmw { name: "Amo.StEor", short: "amo.steor", change: Change::Xor, returns: false, code: "STEOR" },
        Rmw { name: "Amo.StSet", short: "amo.stset", change: Change::Set, returns: false, code: "STSET" },
        Rmw { name: "Amo.StClr", short: "amo.stclr", change: Change::Clear, returns: false, code: "STCLR" },
    ],
    sizes: true,
    usual: "Rfe,Fre,Coe,Pod**,DMB.SYd**,DMB.LDdR*,DMB.STdWW,DpAddrd*,DpDatadW,DpCtrldW,DpCtrlIsbdR,PodRWPL,PodRRAP,PodWRLA,PodWWPL,PodRWAP",
    write: |language, plan| assembly::write(&AArch64, language, plan),
};

struct AArch64;

/// A register as wide as the access: `W3`, or `X3` for 8 bytes.
fn sized(register: Reg, bytes: usize) -> String {
    format!("{}{register}", if bytes == 8 { 'X' } else { 'W' })
}

/// What an access of bytes or half-words appends to its mnemonic.
fn suffix(size: Size) -> &'static str {
    match size.bytes {
        1 => "B",
        2 => "H",
        _ => "",
    }
}

impl AArch64 {
    /// The largest constant that one MOV takes.
    const IMMEDIATE: u64 = 0xffff;

    /// A register that holds a value.
    fn value(thread: &mut Thread, value: u64, bytes: usize) -> Reg {
        if value > AArch64::IMMEDIATE {
            return thread.constant(value, bytes);
        }
        let register = thread.fresh();
        thread.line(format!("MOV {},#{value}", sized(register, bytes)));
        register
    }

    /// The memory operand of LDR or STR.
    fn indexed(thread: &mut Thread, place: Place) -> String {
        match (place.zero, place.offset) {
            (None, 0) => format!("[X{}]", thread.address(place.location)),
            (None, offset) => format!("[X{},#{offset}]", thread.address(place.location)),
            (Some(Zero(index)), 0) => format!("[X{},W{index},SXTW]", thread.address(place.location)),
            (Some(_), _) => AArch64::direct(thread, place),
        }
    }

    /// The memory operand of an access that takes only a register.
    fn direct(thread: &mut Thread, place: Place) -> String {
        let mut base = thread.address(place.location);
        if let Some(Zero(index)) = place.zero {
            let sum = thread.fresh();
            thread.line(format!("ADD X{sum},X{base},W{index},SXTW"));
            base = sum;
        }
        if place.offset != 0 {
            let sum = thread.fresh();
            thread.line(format!("ADD X{sum},X{base},#{}", place.offset));
            base = sum;
        }
        format!("[X{base}]")
    }
}

impl Assembly for AArch64 {
    fn full_name(&self, register: Reg) -> String {
        format!("X{register}")
    }

    fn registers(&self) -> usize {
        30
    }

    fn load(&self, thread: &mut Thread, access: &Access, place: Place) -> Reg {
        let name = ["LDR", "LDAR", "LDAPR"][access.mark.order.min(2)];
        let memory = if name == "LDR" { AArch64::indexed(thread, place) } else { AArch64::direct(thread, place) };
        let register = thread.fresh();
        let size = access.size();
        thread.line(format!("{name}{} {},{memory}", suffix(size), sized(register, size.bytes)));
        register
    }

    fn store(&self, thread: &mut Thread, access: &Access, place: Place, stored: Stored) {
        let size = access.size();
        let register = match stored.zero {
            None => AArch64::value(thread, stored.value, size.bytes),
            Some(Zero(zero)) => {
                let sum = thread.fresh();
                let [sum_name, zero] = [sum, zero].map(|register| sized(register, size.bytes));
                // ADD takes a constant of 12 bits.
                let addend = if stored.value > 0xfff {
                    sized(AArch64::value(thread, stored.value, size.bytes), size.bytes)
                } else {
                    format!("#{}", stored.value)
                };
                thread.line(format!("ADD {sum_name},{zero},{addend}"));
                sum
            }
        };
        let releases = access.mark.order != 0;
        let memory = if releases { AArch64::direct(thread, place) } else { AArch64::indexed(thread, place) };
        let name = if releases { "STLR" } else { "STR" };
        thread.line(format!("{name}{} {},{memory}", suffix(size), sized(register, size.bytes)));
    }

    fn update(&self, thread: &mut Thread, rmw: &Rmw, [read, write]: [&Access; 2], place: Place) -> Option<Reg> {
        let size = read.size();
        let name = |register| sized(register, size.bytes);
        let (acquires, releases) = (read.mark.order == 1, write.mark.order != 0);
        let letters = format!("{}{}{}", if acquires { "A" } else { "" }, if releases { "L" } else { "" }, suffix(size));
        let old = (rmw.change == Change::Compare).then(|| AArch64::value(thread, read.value, size.bytes));
        let operand = AArch64::value(thread, write.value, size.bytes);
        let memory = AArch64::direct(thread, place);
        if rmw.change == Change::Exclusive {
            let (old, status) = (thread.fresh(), thread.fresh());
            let load = if acquires { "LDAXR" } else { "LDXR" };
            let store = if releases { "STLXR" } else { "STXR" };
            thread.line(format!("{load}{} {},{memory}", suffix(size), name(old)));
            thread.line(format!("{store}{} W{status},{},{memory}", suffix(size), name(operand)));
            thread.expect(status, 0, 4);
            return Some(old);
        }
        if !rmw.returns {
            thread.line(format!("{}{letters} {},{memory}", rmw.code, name(operand)));
            return None;
        }
        // CAS returns the value read in the register that holds the expected one.
        let (first, second, old) = match old {
            Some(old) => (old, operand, old),
            None => {
                let old = thread.fresh();
                (operand, old, old)
            }
        };
        thread.line(format!("{}{letters} {},{},{memory}", rmw.code, name(first), name(second)));
        Some(old)
    }

    fn branch(&self, thread: &mut Thread, from: From, label: &str) {
        let register = sized(from.register, from.bytes);
        let tested = if from.selects {
            let (one, zero, selected) = (thread.fresh(), thread.fresh(), thread.fresh());
            thread.line(format!("CMP {register},#0"));
            thread.line(format!("CSEL W{selected},W{one},W{zero},EQ"));
            format!("W{selected}")
        } else {
            register
        };
        thread.line(format!("CBNZ {tested},{label}"));
    }

    fn zero(&self, thread: &mut Thread, from: From) -> Zero {
        let register = sized(from.register, from.bytes);
        let zero = thread.fresh();
        if from.selects {
            let (one, other) = (thread.fresh(), thread.fresh());
            thread.line(format!("MOV W{one},#1"));
            thread.line(format!("CMP {register},#0"));
            thread.line(format!("CSEL W{zero},W{one},W{other},EQ"));
            thread.line(format!("AND W{zero},W{zero},#2"));
        } else {
            thread.line(format!("EOR {},{register},{register}", sized(zero, from.bytes)));
        }
        Zero(zero)
    }
}
