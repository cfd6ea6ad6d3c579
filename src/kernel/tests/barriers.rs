//! Tests of the barriers: the table for every architecture, and this host's machine code.

use super::super::barrier::{self, Row, TABLE};
use super::super::spinlock::ATTEMPTS;

/// The table of docs/kernel.md, section 5, written a second time. The last row is the drain that the forced
/// race needs.
const WANTED: [(&str, [&str; 4]); 7] = [
    ("smp_mb", ["lock add dword ptr [rsp - 4], 0", "dmb ish", "sync", "fence rw, rw"]),
    ("smp_rmb", ["", "dmb ishld", "lwsync", "fence r, r"]),
    ("smp_wmb", ["", "dmb ishst", "lwsync", "fence w, w"]),
    ("smp_mb__after_spinlock", ["", "dmb ish", "sync", "fence iorw, iorw"]),
    ("smp_acquire__after_ctrl_dep", ["", "dmb ishld", "lwsync", "fence r, r"]),
    ("acquire_after_load", ["", "", "lwsync", "fence r, rw"]),
    ("drain_nontemporal", ["sfence", "", "", ""]),
];
const ARCHITECTURES: [&str; 4] = ["x86_64", "aarch64", "powerpc64", "riscv64"];

#[test]
fn every_barrier_is_the_kernels_on_every_architecture() {
    let wanted: Vec<(&str, &str, &str)> = (WANTED.iter())
        .flat_map(|(name, texts)| ARCHITECTURES.iter().zip(texts).map(|(arch, text)| (*name, *arch, *text)))
        .collect();
    let found: Vec<(&str, &str, &str)> = TABLE.iter().map(|row| (row.primitive, row.arch, row.text)).collect();
    assert_eq!(found, wanted);
    assert_eq!(barrier::LDAR, "ldar {0:w}, [{1}]");
}

#[test]
fn what_touches_the_stack_does_not_claim_to_leave_it_alone() {
    for Row { primitive, arch, text, nostack } in TABLE {
        let touches = ["rsp", "esp", "[sp", "(sp)", "(r1)"].iter().any(|pointer| text.contains(pointer));
        assert_eq!(*nostack, !touches, "{primitive} on {arch}: {text}");
    }
}

#[test]
fn a_lock_is_taken_with_a_reservation_and_the_acquire_barrier_behind_it() {
    let lines = |wanted: &str| {
        let (_, text) = ATTEMPTS.iter().find(|(arch, _)| *arch == wanted).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let power = [
        "2: lwarx {seen}, 0, {place}, 1",
        "cmpwi {seen}, 0",
        "bne- 3f",
        "stwcx. {holder}, 0, {place}",
        "bne- 2b",
        "lwsync",
        "3:",
    ];
    assert_eq!(lines("powerpc64"), power);
    let riscv = [
        "2: lr.w {seen}, ({place})",
        "bnez {seen}, 3f",
        "sc.w {failed}, {holder}, ({place})",
        "bnez {failed}, 2b",
        "fence r, rw",
        "3:",
    ];
    assert_eq!(lines("riscv64"), riscv);
}

/// Disassembles each barrier function of this host and compares it with the table's text.
#[test]
fn the_compiled_barriers_are_those_of_the_table() {
    use capstone::prelude::*;
    let Some(host) = crate::arch::Arch::host() else { return };
    let engine = match host {
        crate::arch::Arch::X86_64 => Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build(),
        crate::arch::Arch::Aarch64 => Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
        crate::arch::Arch::Powerpc64le => {
            Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(capstone::Endian::Little).build()
        }
        crate::arch::Arch::Riscv64gc => Capstone::new()
            .riscv()
            .mode(arch::riscv::ArchMode::RiscV64)
            .extra_mode([arch::riscv::ArchExtraMode::RiscVC].into_iter())
            .build(),
    }
    .unwrap();
    let functions: [(&str, fn()); 7] = [
        ("smp_mb", barrier::smp_mb),
        ("smp_rmb", barrier::smp_rmb),
        ("smp_wmb", barrier::smp_wmb),
        ("smp_mb__after_spinlock", barrier::smp_mb__after_spinlock),
        ("smp_acquire__after_ctrl_dep", barrier::smp_acquire__after_ctrl_dep),
        ("acquire_after_load", barrier::acquire_after_load),
        ("drain_nontemporal", barrier::drain_nontemporal),
    ];
    for (name, function) in functions {
        // The barrier is the code before the call that reports to the watcher.
        let mut before = Vec::new();
        let mut at = function as usize;
        for _ in 0..20 {
            // SAFETY: reads the function's code, instruction by instruction up to the call that each function
            // has. No instruction is longer than 15 bytes. After the last function of a program follows its
            // unwinding information, so the read stays inside.
            let bytes = unsafe { std::slice::from_raw_parts(at as *const u8, 15) };
            let decoded = engine.disasm_count(bytes, at as u64, 1).unwrap();
            let instruction = decoded.first().expect("an instruction");
            let text = match format!("{} {}", instruction.mnemonic().unwrap(), instruction.op_str().unwrap()).trim() {
                // The short RISC-V mnemonic of the full fence.
                "fence" => "fence iorw, iorw".to_owned(),
                other => other.to_owned(),
            };
            at += instruction.bytes().len();
            if ["call", "bl ", "jal", "auipc"].iter().any(|calls| text.starts_with(calls)) {
                break;
            }
            before.push(text);
        }
        let row = TABLE.iter().find(|row| row.primitive == name && row.arch == std::env::consts::ARCH).unwrap();
        let orders = |text: &&String| {
            ["lock ", "mfence", "sfence", "lfence", "dmb", "sync", "lwsync", "isync", "fence"]
                .iter()
                .any(|word| text.starts_with(word))
        };
        let found: Vec<&str> = before.iter().filter(orders).map(|text| text.as_str()).collect();
        let wanted: Vec<&str> = Some(row.text).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(found, wanted, "{name}: {before:?}");
    }
}
