//! The barriers themselves: what the table says on every architecture, and what this host's machine code is.

use super::super::barrier::{self, Row, TABLE};
use super::super::spinlock::ATTEMPTS;

/// KERNEL.md, 5, written out again; last, what the forced race needs.
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
