//! Tests of the barriers: the table for every architecture, and this host's machine code.

use super::super::barrier;
use crate::arch::Arch;

/// The table of docs/kernel.md, section 5, written a second time, with its columns in the order of [`Arch::ALL`]. The last
/// row is the drain that the forced race needs.
const WANTED: [(&str, [&str; 4]); 6] = [
    ("smp_mb", ["lock add dword ptr [rsp - 4], 0", "dmb ish", "sync", "fence rw, rw"]),
    ("smp_rmb", ["", "dmb ishld", "lwsync", "fence r, r"]),
    ("smp_wmb", ["", "dmb ishst", "lwsync", "fence w, w"]),
    ("smp_mb__after_spinlock", ["", "dmb ish", "sync", "fence iorw, iorw"]),
    ("smp_acquire__after_ctrl_dep", ["", "dmb ishld", "lwsync", "fence r, r"]),
    ("drain_nontemporal", ["sfence", "", "", ""]),
];

#[test]
fn every_barrier_is_the_kernels_on_every_architecture() {
    for (column, arch) in Arch::ALL.into_iter().enumerate() {
        let found: Vec<(&str, &str)> = arch.facts().barriers.iter().map(|row| (row.name, row.text)).collect();
        assert_eq!(found, WANTED.map(|(name, texts)| (name, texts[column])), "{arch}");
    }
}

/// The lines of an assembly text.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn an_acquire_load_is_the_kernels() {
    let wanted = [None, Some("ldar {0:w}, [{1}]"), Some("lwz {0}, 0({1})/lwsync"), Some("lw {0}, 0({1})/fence r, rw")];
    for (arch, wanted) in Arch::ALL.into_iter().zip(wanted) {
        let found = arch.facts().load_acquire.map(|text| lines(text).join("/"));
        assert_eq!(found.as_deref(), wanted, "{arch}");
    }
}

#[test]
fn what_touches_the_stack_does_not_claim_to_leave_it_alone() {
    for row in Arch::ALL.into_iter().flat_map(|arch| arch.facts().barriers) {
        let touches = ["rsp", "esp", "[sp", "(sp)", "(r1)"].iter().any(|pointer| row.text.contains(pointer));
        assert_eq!(row.nostack, !touches, "{row:?}");
    }
}

#[test]
fn a_lock_is_taken_with_a_reservation_and_the_acquire_barrier_behind_it() {
    let attempt = |arch: Arch| arch.facts().lock_attempt.map(lines);
    let power = [
        "2: lwarx {seen}, 0, {place}, 1",
        "cmpwi {seen}, 0",
        "bne- 3f",
        "stwcx. {holder}, 0, {place}",
        "bne- 2b",
        "lwsync",
        "3:",
    ];
    assert_eq!(attempt(Arch::Powerpc64le).unwrap(), power);
    let riscv = [
        "2: lr.w {seen}, ({place})",
        "bnez {seen}, 3f",
        "sc.w {failed}, {holder}, ({place})",
        "bnez {failed}, 2b",
        "fence r, rw",
        "3:",
    ];
    assert_eq!(attempt(Arch::Riscv64gc).unwrap(), riscv);
    // Rust's compare_exchange is the kernel's instruction there.
    assert_eq!(attempt(Arch::X86_64).or(attempt(Arch::Aarch64)), None);
}

/// Disassembles each barrier function of this host and compares it with the table's text.
#[test]
fn the_compiled_barriers_are_those_of_the_table() {
    let Some(host) = Arch::host() else { return };
    let functions: [(&str, fn()); 6] = [
        ("smp_mb", barrier::smp_mb),
        ("smp_rmb", barrier::smp_rmb),
        ("smp_wmb", barrier::smp_wmb),
        ("smp_mb__after_spinlock", barrier::smp_mb__after_spinlock),
        ("smp_acquire__after_ctrl_dep", barrier::smp_acquire__after_ctrl_dep),
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
            let decoded = host.facts().disassembler.decode(bytes, at as u64, 1).unwrap();
            let instruction = decoded.first().expect("an instruction");
            let text = match format!("{} {}", instruction.mnemonic, instruction.operands).trim() {
                // The short RISC-V mnemonic of the full fence.
                "fence" => "fence iorw, iorw".to_owned(),
                other => other.to_owned(),
            };
            at += instruction.length;
            if ["call", "bl ", "jal", "auipc"].iter().any(|calls| text.starts_with(calls)) {
                break;
            }
            before.push(text);
        }
        let row = host.facts().barriers.iter().find(|row| row.name == name).unwrap();
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
