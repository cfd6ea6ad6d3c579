//! Small tests that once had a wrong verdict, each with the right one, and variants of the same kind of
//! fault.
//!
//! The verdicts for tests/litmus/cases are those of herd7 7.58, with the Linux-kernel model of 6.14 and later
//! or with an architecture's own model. A test that herd7 refuses must be refused here too.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use wakerace::arch::Atomics;
use wakerace::catalogue::{self, Scenario};
use wakerace::isa;
use wakerace::litmus::{Source, Verdict};
use wakerace::model::{self, Bounds, Model, Outcome, explain};
use wakerace::verdict;

use Model::{Armv8, Lkmm, Power, Rvwmo, Sc, X86Tso};
use Verdict::{Always, Never, Sometimes};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/litmus/cases").join(format!("{name}.litmus"))
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// Judges a C test on a model.
#[track_caller]
fn in_c(text: &str, model: Model) -> Outcome {
    let scenario = Scenario::new(&Source::new("t.litmus", text), "").unwrap_or_else(|error| panic!("{error}"));
    let code = isa::code_for(&scenario.program, model, Atomics::Lse).unwrap();
    model::check(&code, model, Bounds::default()).unwrap()
}

/// Judges an assembly test on its architecture's model.
#[track_caller]
fn in_assembly(text: &str) -> Outcome {
    let (code, model) = isa::parse_assembly(&Source::new("t.litmus", text)).unwrap_or_else(|error| panic!("{error}"));
    model::check(&code, model, Bounds::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[track_caller]
fn judged(text: &str) -> Verdict {
    in_assembly(text).verdict
}

/// Checks that the parser refuses an assembly test. `at` is `line:column`; the error contains all of `words`.
#[track_caller]
fn refused(text: &str, at: &str, words: &[&str]) {
    let error = isa::parse_assembly(&Source::new("t.litmus", text)).expect_err("should be refused").to_string();
    assert!(error.contains(&format!("t.litmus:{at}")), "not at {at}:\n{error}");
    for word in words {
        assert!(error.contains(word), "does not say '{word}':\n{error}");
    }
}

/// Runs the program in a temporary folder. Returns its exit status and its whole output.
fn wakerace(args: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

#[test]
fn the_cases_in_c_have_their_values() {
    // Name, model, verdict, number of states, data race.
    let cases = [
        ("05-undeclared", Lkmm, Sometimes, 4, false),
        ("06-ptr-reg-int", Lkmm, Sometimes, 4, false),
        ("08-add-unless", Lkmm, Never, 3, false),
        ("09-5threads", Lkmm, Never, 21, false),
        ("17-exprcond", Lkmm, Always, 3, false),
        ("20-filter", Lkmm, Always, 1, false),
        ("21-datarace-header", Lkmm, Sometimes, 3, true),
        ("50-void-cast", Lkmm, Never, 2, false),
        ("L1-failed-rmw-before-atomic", Lkmm, Never, 3, false),
        ("T2-plain-control-cycle", Lkmm, Sometimes, 2, true),
        ("V1-doubling", Lkmm, Never, 4, false),
        ("V2-counters", Lkmm, Always, 1, false),
    ];
    for (name, model, verdict, states, race) in cases {
        let outcome = in_c(&text(name), model);
        let found = (outcome.verdict, outcome.states.len(), outcome.data_race);
        assert_eq!(found, (verdict, states, race), "{name} on {model}: {:?}", outcome.states);
    }
}

#[test]
fn the_cases_in_assembly_have_their_values() {
    let cases = [
        ("A1-dsb-st-sb", Never),
        ("A2-ldadda-wzr", Sometimes),
        ("A5-cas-rs-addr", Sometimes),
        ("A6-w-zero-extends", Always),
        ("A7-mixed-size", Never),
        ("61-mixed-size", Sometimes),
        ("P1-register-with-a-space", Always),
        ("66-riscv-rmb", Never),
    ];
    for (name, verdict) in cases {
        assert_eq!(judged(&text(name)), verdict, "{name}");
    }
    refused(&text("P2-missing-label"), "7:6", &["P0 has no label `LC9`", "its labels: none"]);
}

#[test]
fn check_takes_the_cases_and_says_what_they_are() {
    let says = |name: &str, words: &str| {
        let (code, output) = wakerace(&["check", "--model", "lkmm", path(name).to_str().unwrap()]);
        assert_eq!(code, Some(0), "{name}: {output}");
        assert!(output.contains(words), "{name}: {output}");
    };
    says("21-datarace-header", "Sometimes 3, data race");
    says("T2-plain-control-cycle", "Sometimes 2, data race, out of thin air only");
    says("09-5threads", "Never 21");
    let (code, output) = wakerace(&["check", path("P2-missing-label").to_str().unwrap()]);
    assert_eq!(code, Some(2), "{output}");
}

// ---- AArch64 ----

/// Message passing on AArch64: P0 sets the flag with a release store. `reader` is P1's code, which reads the
/// flag and then the data into X0.
fn message(reader: &str, exists: &str) -> String {
    let mut lines = vec![("MOV W0,#1", "MOV W4,#1"), ("STR W0,[X1]", "MOV W5,#2"), ("STLR W0,[X3]", "")];
    lines.extend(reader.split(';').map(|instruction| ("", instruction.trim())));
    let body: String = lines.iter().map(|(a, b)| format!(" {a} | {b} ;\n")).collect();
    format!("AArch64 t\n{{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }}\n P0 | P1 ;\n{body}exists ({exists})\n")
}

#[test]
fn dsb_st_orders_writes_before_everything_and_dmb_st_before_writes() {
    let sb = |barrier: &str| text("A1-dsb-st-sb").replace("DSB ST     ", barrier);
    for (barrier, verdict) in
        [("DSB ISHST", Never), ("DSB OSHST", Never), ("DSB SY", Never), ("DMB ST", Sometimes), ("DSB LD", Sometimes)]
    {
        assert_eq!(judged(&sb(barrier)), verdict, "{barrier}");
    }
    // dsb st does not order the reads before it.
    let stale = "1:X4=1 /\\ 1:X0=0";
    for (barrier, verdict) in [("DSB ST", Sometimes), ("DSB LD", Never), ("DMB LD", Never), ("DSB SY", Never)] {
        assert_eq!(judged(&message(&format!("LDR W4,[X3]; {barrier}; LDR W0,[X1]"), stale)), verdict, "{barrier}");
    }
    // wmb() is dsb st; smp_wmb() is dmb ishst.
    for (barrier, verdict) in [("wmb", Never), ("smp_wmb", Sometimes)] {
        let thread = |n, a, b| {
            format!("P{n}(int *x, int *y) {{ int r0; WRITE_ONCE(*{a}, 1); {barrier}(); r0 = READ_ONCE(*{b}); }}\n")
        };
        let sb = format!("C t\n{{}}\n{}{}exists (0:r0=0 /\\ 1:r0=0)", thread(0, "x", "y"), thread(1, "y", "x"));
        assert_eq!(in_c(&sb, Armv8).verdict, verdict, "{barrier}");
    }
}

#[test]
fn an_atomic_that_gives_to_the_zero_register_does_not_read() {
    // The flag is 1 before the update, so the update has read that value, whether the result goes to a
    // register or not.
    let updates = [("LDADD", "W4", 2), ("LDSET", "W5", 3), ("LDEOR", "W5", 3), ("SWP", "W5", 2)];
    for (name, operand, after) in updates {
        let exists = format!("[y]={after} /\\ 1:X0=0");
        let judge = |reader: String| judged(&message(&reader, &exists));
        for letters in ["A", "AL"] {
            assert_eq!(judge(format!("{name}{letters} {operand},WZR,[X3]; LDR W0,[X1]")), Sometimes, "{name}{letters}");
            assert_eq!(judge(format!("{name}{letters} {operand},W9,[X3]; LDR W0,[X1]")), Never, "{name}{letters}");
        }
        for barrier in ["DMB LD", "DSB LD"] {
            assert_eq!(judge(format!("{name} {operand},WZR,[X3]; {barrier}; LDR W0,[X1]")), Sometimes, "{name}");
            assert_eq!(judge(format!("{name} {operand},W9,[X3]; {barrier}; LDR W0,[X1]")), Never, "{name}");
        }
        // A full barrier orders both.
        assert_eq!(judge(format!("{name} {operand},WZR,[X3]; DMB SY; LDR W0,[X1]")), Never, "{name}");
    }
    for (name, after) in [("STADD", 2), ("STSET", 1), ("STEOR", 0), ("STCLR", 0), ("STADDL", 2)] {
        let exists = format!("[y]={after} /\\ 1:X0=0 /\\ 1:X4=1");
        assert_eq!(judged(&message(&format!("{name} W4,[X3]; DMB LD; LDR W0,[X1]"), &exists)), Sometimes, "{name}");
    }
    // A compare-and-swap with the zero register expects 0 and discards the value read.
    let cas = |first: &str, name: &str, barrier: &str| {
        format!(
            "AArch64 t\n{{ y=1; 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; 1:X6=0; }}\n P0 | P1 ;\n MOV W0,#1 | MOV W5,#2 ;\n \
             STR W0,[X1] | {name} {first},W5,[X3] ;\n STLR WZR,[X3] | {barrier} ;\n | LDR W0,[X1] ;\n\
             exists ([y]=2 /\\ 1:X0=0)\n"
        )
    };
    for (name, barrier) in [("CASA", "NOP"), ("CASAL", "NOP"), ("CAS", "DMB LD")] {
        assert_eq!(judged(&cas("WZR", name, barrier)), Sometimes, "{name}");
        assert_eq!(judged(&cas("W6", name, barrier)), Never, "{name}");
    }
}

#[test]
fn the_register_of_a_cas_depends_on_memory_only_if_it_failed() {
    assert_eq!(judged(&text("A5-cas-rs-addr")), Sometimes);
    // The compare-and-swap fails: W4 differs from the value in memory.
    let fails = text("A5-cas-rs-addr").replace("MOV W4,#1", "MOV W4,#7").replace("[y]=2", "[y]=1");
    assert_eq!(judged(&fails), Never);
    // A "pick" dependency orders writes, as a control dependency does: load buffering.
    let writes = |store: &str| {
        format!(
            "AArch64 t\n{{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }}\n P0 | P1 ;\n LDR W0,[X1] | MOV W4,#1 ;\n MOV W2,#1 | MOV W5,#2 ;\n \
             STLR W2,[X3] | CAS W4,W5,[X3] ;\n | EOR W6,W4,W4 ;\n | ADD W7,W6,#1 ;\n | {store} ;\nexists (0:X0=1 /\\ [y]=2)\n"
        )
    };
    assert_eq!(judged(&writes("STR W7,[X1]")), Never, "data");
    assert_eq!(judged(&writes("STR W5,[X1,W6,SXTW]").replace("0:X0=1", "0:X0=2")), Never, "address");
    assert_eq!(judged(&writes("STR W5,[X1]").replace("0:X0=1", "0:X0=2")), Sometimes, "nothing");
    // With an isb it orders reads too, as a control dependency does.
    let isb = "CAS W4,W5,[X3]; CBZ W4,L; L: ISB; LDR W0,[X1]";
    assert_eq!(judged(&message(isb, "[y]=2 /\\ 1:X0=0")), Never);
    assert_eq!(judged(&message(&isb.replace("ISB", "NOP"), "[y]=2 /\\ 1:X0=0")), Sometimes);
    // With LSE, cmpxchg_relaxed() is this instruction. With exclusives its result is the loaded value.
    let c = "C t\n{ int *p = &x; int z; }\nP0(int *z, int **p) { WRITE_ONCE(*z, 1); smp_store_release(p, z); }\n\
             P1(int **p, int *z) { int *r0; int r1; r0 = cmpxchg_relaxed(p, z, z); if (r0) r1 = READ_ONCE(*r0); }\n\
             exists (1:r0=z /\\ 1:r1=0)";
    let scenario = Scenario::new(&Source::new("t", c), "").unwrap();
    for (atomics, verdict) in [(Atomics::Lse, Sometimes), (Atomics::Llsc, Never)] {
        let outcome = verdict::judge(&scenario, Armv8, atomics, Bounds::default()).unwrap().unwrap();
        assert_eq!(outcome.verdict, verdict, "{atomics}");
    }
}

#[test]
fn the_zero_register_is_0_whatever_goes_to_it() {
    let body = "MOV WZR,#7; ADD XZR,X1,#1; MOV W5,WZR; CBZ XZR,L; MOV W5,#9; L: NOP";
    let lines: String = body.split(';').map(|line| format!(" {line} ;\n")).collect();
    assert_eq!(judged(&format!("AArch64 t\n{{ 0:X1=1; 0:X5=3; }}\n P0 ;\n{lines}forall (0:X5=0)\n")), Always);
}

#[test]
fn registers_are_as_wide_as_the_architecture_has_them() {
    let one = |dialect: &str, init: &str, body: &str, forall: &str| {
        let lines: String = body.split(';').map(|line| format!(" {} ;\n", line.trim())).collect();
        judged(&format!("{dialect} t\n{{ {init} }}\n P0 ;\n{lines}forall ({forall})\n"))
    };
    // A 32-bit result clears the upper half.
    let all = 0xffff_ffff_u32;
    assert_eq!(one("AArch64", "int64_t 0:X2;", "MOV W2,#-1", &format!("0:X2={all}")), Always);
    assert_eq!(one("AArch64", "int64_t 0:X2;", "MOV X2,#-1", "0:X2=-1"), Always);
    assert_eq!(one("AArch64", "int x=-1; 0:X1=x; int64_t 0:X2;", "LDR W2,[X1]", &format!("0:X2={all}")), Always);
    let swap = "MOV W3,#5; SWP W3,W2,[X1]";
    assert_eq!(one("AArch64", "int x=-1; 0:X1=x; int64_t 0:X2;", swap, &format!("0:X2={all} /\\ x=5")), Always);
    let cas = "MOV X3,#-1; MOV W4,#2; CAS W3,W4,[X1]";
    assert_eq!(one("AArch64", "int x=-1; 0:X1=x; int64_t 0:X3;", cas, &format!("0:X3={all} /\\ x=2")), Always);
    assert_eq!(one("X86_64", "uint64_t 0:rax;", "movl $-1,%eax", &format!("0:rax={all}")), Always);
    assert_eq!(one("X86_64", "uint64_t 0:rax;", "movq $-1,%rax", "0:rax=-1"), Always);
    assert_eq!(one("PPC", "int x=-1; 0:r1=x; int64_t 0:r2;", "lwz r2,0(r1)", &format!("0:r2={all}")), Always);
    // RISC-V sign-extends.
    assert_eq!(one("RISCV", "int x=-1; 0:x5=x; int64_t 0:x6;", "lw x6,0(x5)", "0:x6=-1"), Always);
    let amo = "ori x7,x0,1; amoadd.w x6,x7,(x5)";
    assert_eq!(one("RISCV", "int x=-1; 0:x5=x; int64_t 0:x6;", amo, "0:x6=-1 /\\ x=0"), Always);
    // A register or location without a declaration is an int; its value with and without sign is the same.
    assert_eq!(one("AArch64", "", "MOV W2,#-1", "0:X2=-1"), Always);
    assert_eq!(one("AArch64", "x; 0:X1=x;", "MOV W2,#-1; STR W2,[X1]", "x=-1"), Always);
    assert_eq!(one("AArch64", "int64_t 0:X2;", "MOV W2,#-1", "0:X2=-1"), Never);
    // An initial value of 64 bits.
    assert_eq!(one("AArch64", "uint64_t 0:X2=0xffffffffffffffff;", "ADD X2,X2,#1", "0:X2=0"), Always);
}

#[test]
fn a_branch_sees_what_was_compared() {
    let one = |dialect: &str, body: &str, forall: &str| {
        let lines: String = body.split(';').map(|line| format!(" {} ;\n", line.trim())).collect();
        judged(&format!("{dialect} t\n{{ }}\n P0 ;\n{lines}forall ({forall})\n"))
    };
    let arm = "MOV W0,#1; CMP W0,#1; MOV W0,#5; B.NE L; MOV W1,#2; L: NOP";
    assert_eq!(one("AArch64", arm, "0:X0=5 /\\ 0:X1=2"), Always);
    let ppc = "li r1,1; cmpwi r1,1; li r1,5; bne L; li r2,2; L: nop";
    assert_eq!(one("PPC", ppc, "0:r1=5 /\\ 0:r2=2"), Always);
    let x86 = "movl $1,%eax; cmp $1,%eax; movl $5,%eax; jne L; movl $2,%ebx; L: nop";
    assert_eq!(one("X86_64", x86, "0:rax=5 /\\ 0:rbx=2"), Always);
    // Arithmetic compares its result with 0.
    let x86 = "movl $1,%eax; cmp $1,%eax; xorl %eax,%eax; jne L; movl $2,%ebx; L: nop";
    assert_eq!(one("X86_64", x86, "0:rbx=2"), Always);
    let x86 = "movl $1,%eax; cmp $1,%eax; addl $1,%eax; je L; movl $2,%ebx; L: nop";
    assert_eq!(one("X86_64", x86, "0:rbx=2"), Always);
}

#[test]
fn every_form_of_access_is_held_to_the_size_of_its_location() {
    let wide = "uint64_t x; int64_t z;";
    let cases = [
        (
            "AArch64",
            "0:X1=x; 0:X2=1;",
            vec![
                "LDR W0,[X1]",
                "LDAR W0,[X1]",
                "LDAPR W0,[X1]",
                "LDXR W0,[X1]",
                "LDAXR W0,[X1]",
                "STR W0,[X1]",
                "STLR W0,[X1]",
                "STR WZR,[X1]",
                "STXR W0,W2,[X1]",
                "STLXR W0,W2,[X1]",
                "SWP W0,W2,[X1]",
                "LDADD W0,W2,[X1]",
                "LDADD W0,WZR,[X1]",
                "LDCLRA W0,W2,[X1]",
                "LDSET W0,W2,[X1]",
                "LDEORAL W0,W2,[X1]",
                "STADD W0,[X1]",
                "CAS W0,W2,[X1]",
                "CASAL W0,W2,[X1]",
                "LDR W0,[X1,X5]",
                "LDR W0,[X1,W5,SXTW]",
            ],
        ),
        (
            "PPC",
            "0:r1=x; 0:r2=1;",
            vec!["lwz r3,0(r1)", "stw r2,0(r1)", "lwzx r3,r0,r1", "stwx r2,r0,r1", "lwarx r3,r0,r1", "stwcx. r2,r0,r1"],
        ),
        (
            "RISCV",
            "0:x1=x; 0:x2=1;",
            vec![
                "lw x3,0(x1)",
                "sw x2,0(x1)",
                "lr.w x3,(x1)",
                "sc.w x3,x2,(x1)",
                "amoadd.w x3,x2,(x1)",
                "amoswap.w.aqrl x3,x2,(x1)",
                "lw.aq x3,0(x1)",
                "sw.rl x2,0(x1)",
                "amoor.w x0,x2,(x1)",
            ],
        ),
        (
            "X86_64",
            "0:rax=x; 0:rbx=1;",
            vec![
                "movl $1,(x)",
                "movl %ebx,(x)",
                "movl (x),%ebx",
                "movl %ebx,(%rax)",
                "movl (%rax),%ebx",
                "xchgl %ebx,(x)",
                "xchgl %ebx,(%rax)",
            ],
        ),
    ];
    for (dialect, init, instructions) in cases {
        for instruction in instructions {
            let declared = format!("{dialect} t\n{{ {wide} {init} }}\n P0 ;\n {instruction} ;\nexists (z=0)\n");
            if dialect == "PPC" {
                refused(
                    &declared,
                    "4:2",
                    &["mixed-size access: 32 bits of `x`, which has 64", "not modelled for POWER"],
                );
            } else {
                in_assembly(&declared);
            }
            // Without a declaration the first access gives the size.
            let first = match dialect {
                "AArch64" => "LDR X9,[X1]",
                "PPC" => "ld r9,0(r1)",
                "RISCV" => "ld x9,0(x1)",
                _ => "movq (x),%rcx",
            };
            let undeclared = format!("{dialect} t\n{{ {init} }}\n P0 ;\n {first} ;\n {instruction} ;\nexists (z=0)\n");
            // A pointer has 64 bits. So has a location whose initial value needs more than 32.
            let pointer =
                |value: &str| format!("{dialect} t\n{{ x={value}; {init} }}\n P0 ;\n {instruction} ;\nexists (z=0)\n");
            if dialect == "PPC" {
                refused(&undeclared, "5:2", &["mixed-size access"]);
                refused(&pointer("z"), "4:2", &["32 bits of `x`, which has 64"]);
                refused(&pointer("0x100000000"), "4:2", &["32 bits of `x`, which has 64"]);
            } else {
                in_assembly(&undeclared);
                in_assembly(&pointer("0x100000000"));
                let (code, model) = isa::parse_assembly(&Source::new("t.litmus", pointer("z"))).unwrap();
                // A store-conditional without a reservation does nothing.
                let fails = ["STXR", "STLXR", "sc."].iter().any(|name| instruction.starts_with(name));
                match model::check(&code, model, Bounds::default()) {
                    Ok(_) => assert!(fails, "{instruction}"),
                    Err(error) => assert!(error.to_string().contains("some bytes of an address"), "{error}"),
                }
            }
            let narrow = format!("{dialect} t\n{{ int x; {init} }}\n P0 ;\n {instruction} ;\nexists (z=0)\n");
            in_assembly(&narrow);
        }
    }
    // An access wider than its location, in either thread, also through a loaded address.
    refused("AArch64 t\n{ int x; 0:X1=x; }\n P0 ;\n LDADD X0,XZR,[X1] ;\nexists (x=0)\n", "4:2", &["64 bits of `x`"]);
    refused(
        "AArch64 t\n{ int x; p=x; 1:X1=p; }\n P0 | P1 ;\n NOP | LDR X2,[X1] ;\n | LDR X3,[X2] ;\nexists (x=0)\n",
        "5:4",
        &["mixed-size access: 64 bits of `x`, which has 32"],
    );
    // Only the locations that an access reaches count: here the same register first holds the address of a
    // pointer and then the address of an int.
    in_assembly("AArch64 t\n{ int x; p=x; 0:X1=p; }\n P0 ;\n LDR X1,[X1] ;\n LDR W3,[X1] ;\nexists (x=0)\n");
    for ty in ["int128_t", "float", "struct s"] {
        refused(&format!("AArch64 t\n{{ {ty} x; }}\n P0 ;\n NOP ;\nexists (x=0)\n"), "2:3", &["expected a type"]);
    }
}

#[test]
fn initial_values_of_registers_may_have_blanks_and_types() {
    for init in ["0:X1=2", "0: X1=2", "0 :X1 = 2", "uint64_t 0:X1=2", "int64_t 0 : X1=2", "int  0:  X1 =2"] {
        let test = format!("AArch64 t\n{{ {init}; }}\n P0 ;\n ADD X2,X1,#1 ;\nforall (0:X2=3)\n");
        assert_eq!(judged(&test), Always, "{init}");
    }
    for init in ["X1=2; X1=3", "0:X1=2; 0: X1=2", "[x]=1; x=2"] {
        let test = format!("AArch64 t\n{{ {init}; }}\n P0 ;\n NOP ;\nexists (x=0)\n");
        refused(&test, "2:", &["initialised twice"]);
    }
    refused("AArch64 t\n{ 1: X1=2; }\n P0 ;\n NOP ;\nexists (x=0)\n", "2:3", &["there is no such thread"]);
}

#[test]
fn labels_stand_once_and_where_they_are_jumped_to() {
    let jumps = [
        ("AArch64", "CBZ W1,OUT"),
        ("AArch64", "CBNZ X1,OUT"),
        ("AArch64", "B OUT"),
        ("AArch64", "CMP W1,#0 ;\n B.EQ OUT"),
        ("PPC", "cmpwi r1,0 ;\n bne OUT"),
        ("PPC", "b OUT"),
        ("RISCV", "beq x1,x2,OUT"),
        ("RISCV", "bnez x1,OUT"),
        ("RISCV", "j OUT"),
        ("X86_64", "test %eax,%eax ;\n jne OUT"),
        ("X86_64", "jmp OUT"),
    ];
    for (dialect, jump) in jumps {
        let test = |more: &str| format!("{dialect} t\n{{ }}\n P0 ;\n  {jump} ;\n{more}exists (x=0)\n");
        let (before, _) = test("").split_once("OUT").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let column = before.len() - before.rfind('\n').unwrap();
        let at = format!("{}:{column}", before.matches('\n').count() + 1);
        refused(&test(""), &at, &["P0 has no label `OUT`", "its labels: none"]);
        refused(&test(" IN: ;\n"), &at, &["P0 has no label `OUT`", "its labels: `IN`"]);
        assert_eq!(judged(&test(" OUT: ;\n")), Always, "{jump}");
        let second = before.matches('\n').count() + 3;
        refused(&test(" OUT: ;\n OUT: ;\n"), &format!("{second}:2"), &["the label `OUT` is defined twice in P0"]);
    }
    // A label of another thread does not count.
    refused("PPC t\n{ }\n P0 | P1 ;\n b L | nop ;\n nop | L: ;\nexists (x=0)\n", "4:4", &["P0 has no label `L`"]);
}

// ---- RISC-V ----

/// Two threads with the same code; the second has x and y exchanged.
fn riscv(thread: &str, exists: &str) -> String {
    let lines: String = thread.split(';').map(|line| format!(" {0} | {0} ;\n", line.trim())).collect();
    format!(
        "RISCV t\n{{ 0:x5=x; 0:x9=y; 1:x5=y; 1:x9=x; }}\n P0 | P1 ;\n ori x7,x0,1 | ori x7,x0,1 ;\n{lines}exists ({exists})\n"
    )
}

#[test]
fn an_amo_is_one_operation_of_which_both_halves_are_ordered() {
    let none = "0:x8=0 /\\ 1:x8=0";
    // Store buffering: what orders the read of an AMO also orders its write.
    for (between, verdict) in [
        ("fence r,r", Never),
        ("fence r,rw", Never),
        ("fence rw,r", Never),
        ("fence w,r", Never),
        ("fence.tso", Never),
        ("fence w,w", Sometimes),
        ("nop", Sometimes),
    ] {
        let amo = |name: &str| riscv(&format!("{name} x6,x7,(x5); {between}; lw x8,0(x9)"), none);
        for name in ["amoadd.w", "amoswap.w", "amoor.w", "amoxor.w"] {
            assert_eq!(judged(&amo(name)), verdict, "{name} {between}");
        }
        // A plain store is not a read.
        let writes = between.contains("w,r");
        let wanted = if writes { Never } else { Sometimes };
        assert_eq!(judged(&riscv(&format!("sw x7,0(x5); {between}; lw x8,0(x9)"), none)), wanted, "sw {between}");
    }
    // lr and sc are two operations.
    let pair =
        riscv("lr.w x6,(x5); sc.w x10,x7,(x5); fence r,r; lw x8,0(x9)", "0:x8=0 /\\ 1:x8=0 /\\ 0:x10=0 /\\ 1:x10=0");
    assert_eq!(judged(&pair), Sometimes);
    // Dependencies on the value read by an AMO, to a read and to a write.
    let address = "amoadd.w x6,x7,(x5); xor x10,x6,x6; add x11,x9,x10; lw x8,0(x11)";
    assert_eq!(judged(&riscv(address, none)), Never);
    assert_eq!(judged(&riscv(&address.replace("x6,x6", "x7,x7"), none)), Sometimes);
    // Load buffering: what orders the write of an AMO also orders its read.
    let seen = "0:x6=1 /\\ 1:x6=1";
    assert_eq!(judged(&riscv("amoor.w x6,x0,(x5); fence w,w; sw x7,0(x9)", seen)), Never);
    assert_eq!(judged(&riscv("lw x6,0(x5); fence w,w; sw x7,0(x9)", seen)), Sometimes);
    // An AMO behind a fence: its read is ordered together with its write.
    assert_eq!(judged(&riscv("sw x7,0(x5); fence w,w; amoor.w x8,x0,(x9)", none)), Never);
    assert_eq!(judged(&riscv("sw x7,0(x5); fence w,w; lw x8,0(x9)", none)), Sometimes);
    // A release mark orders the whole operation.
    assert_eq!(judged(&riscv("sw x7,0(x5); amoor.w.rl x8,x0,(x9)", none)), Never);
    // The write of an AMO behind a branch waits, and therefore its read waits too.
    let branch = "lw x6,0(x5); bne x6,x0,L; L: amoor.w x10,x7,(x9)";
    assert_eq!(judged(&riscv(branch, seen)), Never);
}

#[test]
fn kernel_atomics_beside_smp_rmb_on_riscv() {
    let sb = |update: &str| {
        let thread = |n, a, b| {
            format!(
                "P{n}(atomic_t *x, atomic_t *y) {{ int r0; int r1; {} smp_rmb(); r0 = atomic_read({b}); }}\n",
                update.replace('V', a)
            )
        };
        format!("C t\n{{}}\n{}{}exists (0:r0=0 /\\ 1:r0=0)", thread(0, "x", "y"), thread(1, "y", "x"))
    };
    for order in ["_relaxed", "_acquire"] {
        for call in ["atomic_fetch_add", "atomic_add_return", "atomic_fetch_or", "atomic_sub_return"] {
            let update = format!("r1 = {call}{order}(1, V);");
            assert_eq!(in_c(&sb(&update), Rvwmo).verdict, Never, "{update}");
            // The kernel's model does not guarantee this order.
            assert_eq!(in_c(&sb(&update), Lkmm).verdict, Sometimes, "{update}");
        }
    }
    assert_eq!(in_c(&sb("atomic_inc(V);"), Rvwmo).verdict, Never);
    assert_eq!(in_c(&sb("atomic_set(V, 1);"), Rvwmo).verdict, Sometimes);
}

// ---- the kernel's model ----

#[test]
fn barriers_around_an_atomic_order_one_that_fails() {
    let sb = |second: &str| {
        format!(
            "C t\n{{}}\nP0(int *x, int *y) {{ int r0; WRITE_ONCE(*x, 1); smp_mb(); r0 = READ_ONCE(*y); }}\n\
             P1(int *x, int *y) {{ int r1; int r2; {second} }}\nexists (0:r0=0 /\\ 1:r1=0)"
        )
    };
    let store = "WRITE_ONCE(*y, 1);";
    for (second, verdict) in [
        (format!("{store} smp_mb__before_atomic(); r1 = cmpxchg_relaxed(x, 5, 6);"), Never),
        (format!("{store} smp_mb__before_atomic(); r1 = cmpxchg(x, 5, 6);"), Never),
        (format!("{store} smp_mb__before_atomic(); r1 = READ_ONCE(*x);"), Sometimes),
        (format!("{store} smp_mb__after_atomic(); r1 = cmpxchg_relaxed(x, 5, 6);"), Sometimes),
        // A cmpxchg that fails is not a full barrier; one that succeeds is.
        (format!("{store} r1 = cmpxchg(x, 5, 6);"), Sometimes),
        (format!("{store} r1 = cmpxchg(x, 0, 6);"), Never),
        (format!("{store} r2 = cmpxchg_relaxed(y, 5, 6); smp_mb__after_atomic(); r1 = READ_ONCE(*x);"), Never),
        (format!("{store} smp_mb__after_atomic(); r1 = READ_ONCE(*x);"), Sometimes),
        (format!("{store} r2 = cmpxchg(y, 5, 6); r1 = READ_ONCE(*x);"), Sometimes),
    ] {
        assert_eq!(in_c(&sb(&second), Lkmm).verdict, verdict, "{second}");
    }
    // A cmpxchg that fails does not acquire either.
    let mp = |reader: &str| {
        format!(
            "C t\n{{}}\nP0(int *x, int *y) {{ WRITE_ONCE(*x, 1); smp_store_release(y, 1); }}\n\
             P1(int *x, int *y) {{ int r0; int r1; {reader} }}\nexists (1:r0=1 /\\ 1:r1=0)"
        )
    };
    for (expected, verdict) in [(5, Sometimes), (1, Never)] {
        let reader = format!("r0 = cmpxchg_acquire(y, {expected}, 6); r1 = READ_ONCE(*x);");
        assert_eq!(in_c(&mp(&reader), Lkmm).verdict, verdict, "{reader}");
    }
}

#[test]
fn values_out_of_thin_air_are_allowed_where_nothing_forbids_them_and_said_to_be() {
    let lb = |read: &str, write: &str, value: i64| {
        let thread = |n, a: &str, b: &str| {
            let (read, write) = (read.replace('@', a), write.replace('@', b));
            format!("P{n}(int *x, int *y) {{ int r0; {read} {write} }}\n")
        };
        format!("C t\n{{}}\n{}{}exists (0:r0={value} /\\ 1:r0={value})", thread(0, "x", "y"), thread(1, "y", "x"))
    };
    // Data dependencies between plain accesses: any value is possible. The value in the condition is tried.
    for value in [1, 42, -7] {
        let outcome = in_c(&lb("r0 = *@;", "*@ = r0;", value), Lkmm);
        assert_eq!((outcome.verdict, outcome.thin_air, outcome.data_race), (Sometimes, true, true), "{value}");
        assert_eq!(outcome.states.len(), 2, "{:?}", outcome.states);
    }
    // A value that changes on its way round the cycle is not possible.
    let changed = lb("r0 = *@;", "*@ = r0 + 1;", 42);
    assert_eq!(in_c(&changed, Lkmm).verdict, Never);
    assert_eq!(in_c(&changed.replace("1:r0=42", "1:r0=43"), Lkmm).verdict, Never);
    // Dependencies between marked accesses are respected.
    for (read, write) in
        [("r0 = READ_ONCE(*@);", "WRITE_ONCE(*@, r0);"), ("r0 = READ_ONCE(*@);", "if (r0) WRITE_ONCE(*@, 42);")]
    {
        let outcome = in_c(&lb(read, write, 42), Lkmm);
        assert_eq!((outcome.verdict, outcome.thin_air), (Never, false), "{write}");
    }
    for model in [Sc, X86Tso, Armv8, Power, Rvwmo] {
        assert_eq!(in_c(&lb("r0 = *@;", "*@ = r0;", 42), model).verdict, Never, "{model}");
        assert_eq!(in_c(&text("T2-plain-control-cycle"), model).verdict, Never, "{model}");
    }
    // Without a dependency the same outcome is an ordinary one. One ordinary execution is enough.
    let outcome = in_c(&lb("r0 = *@;", "*@ = 1;", 1), Lkmm);
    assert_eq!((outcome.verdict, outcome.thin_air), (Sometimes, false));
    let third = lb("r0 = *@;", "*@ = r0;", 1).replace("exists", "P2(int *x) { WRITE_ONCE(*x, 1); }\nexists");
    let outcome = in_c(&third, Lkmm);
    assert_eq!((outcome.verdict, outcome.thin_air), (Sometimes, false));
    // A constant that occurs only in an instruction.
    let hidden = lb("r0 = *@;", "if (r0 == 77) *@ = r0;", 77).replace("0:r0=77 /\\ 1:r0=77", "~(0:r0=0)");
    assert_eq!(in_c(&hidden, Lkmm).verdict, Sometimes);
    // The same with pointers.
    let pointers = "C t\n{ int z; int *p; int *q; }\nP0(int **p, int **q) { int *r0; r0 = *p; *q = r0; }\n\
                    P1(int **p, int **q) { int *r0; r0 = *q; *p = r0; }\nexists (0:r0=z /\\ 1:r0=z)";
    assert_eq!(in_c(pointers, Lkmm).verdict, Sometimes);
    // The explanation shows such an execution.
    let scenario = Scenario::new(&Source::new("t", text("T2-plain-control-cycle")), "").unwrap();
    let code = isa::code_for(&scenario.program, Lkmm, Atomics::Lse).unwrap();
    let found = explain::explain(&code, Lkmm, Bounds::default()).unwrap();
    let shown = explain::text(&code, Lkmm, found.as_ref());
    assert!(shown.contains("allowed") && shown.contains("R[plain] x=1") && shown.contains("W[plain] y=1"), "{shown}");
}

#[test]
fn a_data_race_is_looked_for_in_every_execution_of_a_known_state() {
    // x is 1 at the end whatever P1 reads. If P1 reads the 2 of P2, nothing orders its plain read of x.
    let test = |(write, read): (&str, &str), other: &str| {
        format!(
            "C t\n{{}}\nP0(int *x, int *y) {{ {write} smp_store_release(y, 1); }}\n\
             P1(int *x, int *y) {{ int r0; int r1; r0 = smp_load_acquire(y); if (r0) r1 = {read}; }}\n\
             P2(int *y) {{ {other} }}\nexists (x=1)"
        )
    };
    let marked = ("WRITE_ONCE(*x, 1);", "READ_ONCE(*x)");
    let plain = ("*x = 1;", "*x");
    for (accesses, other, race) in [
        (plain, "WRITE_ONCE(*y, 2);", true),
        ((plain.0, marked.1), "WRITE_ONCE(*y, 2);", true),
        ((marked.0, plain.1), "WRITE_ONCE(*y, 2);", true),
        (marked, "WRITE_ONCE(*y, 2);", false),
        (plain, "smp_mb();", false),
    ] {
        let outcome = in_c(&test(accesses, other), Lkmm);
        let found = (outcome.verdict, outcome.states.len(), outcome.data_race);
        assert_eq!(found, (Always, 1, race), "{accesses:?} {other}");
    }
}

// ---- how long it takes ----

/// Threads that each update a counter.
fn counters(bodies: &[String], exists: &str) -> String {
    let threads: String = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| format!("P{n}(atomic_t *x, atomic_t *y) {{ int r0; int r1; {body} }}\n"))
        .collect();
    format!("C t\n{{}}\n{threads}exists ({exists})")
}

/// Each thread copies a variable to the next, and the condition asks for the last. There are twice as many candidates with each
/// thread. The plain read races with nothing, because nothing writes what it reads.
#[test]
fn candidates_whose_states_are_known_are_not_enumerated() {
    let threads: String = (0..24)
        .map(|n| {
            let plain = if n == 0 { "r1 = *z;" } else { "" };
            format!(
                "P{n}(int *x{n}, int *x{}, int *z) {{ int r0; int r1; {plain} r0 = READ_ONCE(*x{n}); WRITE_ONCE(*x{}, r0); }}\n",
                n + 1,
                n + 1
            )
        })
        .collect();
    let init: String = (0..25).map(|n| format!("x{n}={n}; ")).collect();
    let outcome = in_c(&format!("C t\n{{ {init} }}\n{threads}exists (x24=0)"), Lkmm);
    assert_eq!((outcome.verdict, outcome.states.len(), outcome.data_race), (Sometimes, 24, false));
    assert!(outcome.looked_at <= 10_000, "{} steps", outcome.looked_at);
    // Many writes, but few values that the registers can have.
    let writes = "WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); WRITE_ONCE(*x, 0); WRITE_ONCE(*y, 0);";
    let reads: String = (0..4).map(|n| format!("r{n} = READ_ONCE(*{}); ", ["x", "y"][n % 2])).collect();
    let text = format!(
        "C t\n{{}}\nP0(int *x, int *y) {{ {writes} }}\nP1(int *x, int *y) {{ {writes} }}\n\
         P2(int *x, int *y) {{ int r0; int r1; int r2; int r3; {reads} }}\n\
         exists (2:r0=1 /\\ 2:r1=1 /\\ 2:r2=1 /\\ 2:r3=1)"
    );
    let outcome = in_c(&text, Lkmm);
    assert_eq!((outcome.verdict, outcome.states.len()), (Sometimes, 16));
    assert!(outcome.looked_at <= 1_000, "{} steps", outcome.looked_at);
    // P1 reads 1 only if P0 read the 1 of P2. Before, P0 reads the 1 of P1.
    let text = "C t\n{}\nP0(int *x, int *y) { int r0; r0 = READ_ONCE(*x); smp_mb(); WRITE_ONCE(*y, 1); }\n\
                P1(int *x, int *y) { int r0; r0 = READ_ONCE(*y); smp_mb(); WRITE_ONCE(*x, 1); }\nP2(int *x) { WRITE_ONCE(*x, 1); }\n\
                P3(int *y) { WRITE_ONCE(*y, 0); WRITE_ONCE(*y, 0); WRITE_ONCE(*y, 0); WRITE_ONCE(*y, 0); WRITE_ONCE(*y, 0); }\n\
                exists (0:r0=1 /\\ 1:r0=1)";
    let outcome = in_c(text, Lkmm);
    assert_eq!((outcome.verdict, outcome.states.len()), (Sometimes, 4));
}

#[test]
fn values_that_feed_on_each_other_are_not_enumerated() {
    let steps = |text: &str, most: u64, verdict: Verdict| {
        for model in Model::ALL {
            let outcome = in_c(text, model);
            assert!(outcome.looked_at <= most, "{model}: {} steps\n{text}", outcome.looked_at);
            assert_eq!(outcome.verdict, verdict, "{model}\n{text}");
        }
    };
    steps(&text("V1-doubling"), 200, Never);
    steps(&text("V2-counters"), 20_000, Always);
    // Both threads double the counter: the values grow without limit, the number of executions does not.
    let doubling =
        "r0 = atomic_inc_return(x); atomic_add(r0, x); r1 = atomic_inc_return(x); atomic_add(r1, x);".to_owned();
    steps(&counters(&[doubling.clone(), doubling.clone()], "x=22"), 2_000, Sometimes);
    // Values that move between two counters.
    let across = |a, b| {
        format!("r0 = atomic_inc_return({a}); atomic_add(r0, {b}); r1 = atomic_inc_return({b}); atomic_add(r1, {a});")
    };
    steps(&counters(&[across("x", "y"), across("y", "x")], "x=1"), 20_000, Never);
    // Threads with the same code are exchangeable.
    let three = "atomic_inc(x); atomic_inc(x); atomic_inc(x);".to_owned();
    let outcome = in_c(&counters(&vec![three; 4], "x=12"), Lkmm);
    assert!(outcome.looked_at <= 300_000 && outcome.verdict == Always, "{} steps", outcome.looked_at);
    // They are not if the condition names their registers.
    let own = "r0 = atomic_inc_return(x);".to_owned();
    let outcome = in_c(&counters(&[own.clone(), own.clone(), own], "0:r0=3 /\\ 1:r0=1 /\\ 2:r0=2"), Lkmm);
    assert_eq!((outcome.verdict, outcome.states.len()), (Sometimes, 6));
}

// ---- C ----

/// A test that shall run.
fn lowered(text: &str) -> Result<Scenario, String> {
    Scenario::to_run(&Source::new("t.litmus", text), "").map_err(|error| error.to_string())
}

fn one(body: &str, exists: &str) -> String {
    format!(
        "C t\n{{ int z; int *p = &z; long w = 0x100000000; }}\nP0(int *x, int **p, long *w, atomic_t *a) {{ {body} }}\nexists ({exists})"
    )
}

#[test]
fn a_register_that_is_not_declared_takes_the_type_of_what_it_gets() {
    let verdict = |body: &str, exists: &str| in_c(&one(body, exists), Lkmm).verdict;
    assert_eq!(verdict("r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0);", "0:r0=z /\\ 0:r1=0"), Always);
    assert_eq!(verdict("r1 = READ_ONCE(*w); r2 = r1; r3 = r2 >> 32;", "0:r2=0x100000000 /\\ 0:r3=1"), Always);
    assert_eq!(verdict("r0 = x; WRITE_ONCE(*r0, 3);", "x=3 /\\ 0:r0=x"), Always);
    assert_eq!(
        verdict("r0 = atomic_inc_return(a); if (r0) r1 = 7; else r2 = 8;", "0:r0=1 /\\ 0:r1=7 /\\ 0:r2=0"),
        Always
    );
    assert_eq!(verdict("r0 = *x + 1; r1 = !r0; r2 = r0 == 1;", "0:r0=1 /\\ 0:r1=0 /\\ 0:r2=1"), Always);
    let init = "C t\n{ 0:r0=z; 0:r1=4; z=5; }\nP0(int *x) { r2 = READ_ONCE(*r0) + r1; }\nexists (0:r2=9)";
    assert_eq!(in_c(init, Lkmm).verdict, Always);
    // In a test that runs, a register that is never assigned is an error. So is a shared variable that is not a parameter
    // of the thread.
    let error = lowered(&one("WRITE_ONCE(*x, r5);", "x=0")).unwrap_err();
    assert!(error.contains("`r5` is not declared in P0"), "{error}");
    let error = lowered(&one("z = 1;", "x=0")).unwrap_err();
    assert!(error.contains("`z` is not declared in P0") && error.contains("add `*z` to the parameters"), "{error}");
    let error = lowered(&one("r0 = READ_ONCE(*x);", "0:r1=0")).unwrap_err();
    assert!(error.contains("P0 has no register `r1`") && error.contains("`r0`"), "{error}");
}

#[test]
fn a_register_holds_what_it_gets_whatever_it_is_declared_as() {
    let verdict = |body: &str, exists: &str| in_c(&one(body, exists), Lkmm).verdict;
    // An integer in a register declared as a pointer, and a pointer in a register declared as an integer.
    assert_eq!(verdict("int *r0; r0 = READ_ONCE(*x);", "0:r0=0"), Always);
    assert_eq!(verdict("int *r0 = 5; int *r1; r1 = r0;", "0:r1=5"), Always);
    assert_eq!(verdict("int *r0; r0 = READ_ONCE(*w);", "0:r0=0x100000000"), Always);
    assert_eq!(verdict("int r0; r0 = READ_ONCE(*p); WRITE_ONCE(*r0, 2);", "0:r0=z /\\ z=2"), Always);
    // NULL is both an integer and a pointer.
    assert_eq!(verdict("int *r0; r0 = READ_ONCE(*p); r0 = 0;", "0:r0=0"), Always);
    assert_eq!(verdict("int r0; r0 = 0; r0 = READ_ONCE(*p);", "0:r0=z"), Always);
    // In a test that runs, an integer cannot be dereferenced, and one register cannot hold both.
    for (body, words) in [
        ("int *r0; int r1; r0 = READ_ONCE(*x); r1 = READ_ONCE(*r0);", "only a pointer can be dereferenced"),
        ("int *r0; r0 = 64; WRITE_ONCE(*r0, 1);", "only a pointer can be dereferenced"),
        ("int *r0; r0 = READ_ONCE(*x); r0 = READ_ONCE(*p);", "types do not fit"),
        ("int r0; r0 = READ_ONCE(*p); r0 = 3;", "types do not fit"),
        ("long *r0; r0 = READ_ONCE(*p);", "types do not fit"),
    ] {
        let error = lowered(&one(body, "x=0")).unwrap_err();
        assert!(error.contains(words), "{body}: {error}");
    }
}

#[test]
fn atomic_add_unless_adds_unless() {
    let verdict = |init: i64, body: &str, exists: &str| {
        let text = format!("C t\n{{ atomic_t c = {init}; }}\nP0(atomic_t *c) {{ int r0; {body} }}\nexists ({exists})");
        for model in Model::ALL {
            assert_eq!(in_c(&text, model).verdict, Always, "{model}\n{text}");
        }
    };
    verdict(3, "r0 = atomic_add_unless(c, 2, 5);", "0:r0=1 /\\ c=5");
    verdict(5, "r0 = atomic_add_unless(c, 2, 5);", "0:r0=0 /\\ c=5");
    verdict(3, "r0 = atomic_fetch_add_unless(c, 2, 5);", "0:r0=3 /\\ c=5");
    verdict(5, "r0 = atomic_fetch_add_unless(c, 2, 5);", "0:r0=5 /\\ c=5");
    verdict(0, "r0 = atomic_inc_not_zero(c);", "0:r0=0 /\\ c=0");
    verdict(7, "r0 = atomic_inc_not_zero(c);", "0:r0=1 /\\ c=8");
    verdict(7, "atomic_add_unless(c, -7, 0);", "c=0");
    verdict(1, "r0 = 3; r0 = atomic_add_unless(c, r0, r0);", "0:r0=1 /\\ c=4");
    verdict(0, "if (atomic_add_unless(c, 1, 5)) r0 = 2;", "0:r0=2");
    // A failed cmpxchg is retried: no update is lost, however many threads write.
    let thread = |n: usize| format!("P{n}(atomic_t *c) {{ int r0; r0 = atomic_add_unless(c, 1, 9); }}\n");
    let text = format!(
        "C t\n{{}}\n{}{}P2(atomic_t *c) {{ atomic_inc(c); }}\nexists (c=3 /\\ 0:r0=1 /\\ 1:r0=1)",
        thread(0),
        thread(1)
    );
    for model in [Lkmm, Sc, X86Tso, Armv8] {
        assert_eq!(in_c(&text, model).verdict, Always, "{model}");
    }
    // Two threads take the last unit: exactly one of them gets it.
    let thread = |n: usize| format!("P{n}(atomic_t *c) {{ int r0; r0 = atomic_add_unless(c, -1, 0); }}\n");
    let text = format!(
        "C t\n{{ atomic_t c = 1; }}\n{}{}forall (c=0 /\\ (0:r0=1 /\\ 1:r0=0 \\/ 0:r0=0 /\\ 1:r0=1))",
        thread(0),
        thread(1)
    );
    for model in Model::ALL {
        let outcome = in_c(&text, model);
        assert_eq!((outcome.verdict, outcome.states.len()), (Always, 2), "{model}");
    }
    // It is fully ordered if it adds: in linux-kernel.def of the kernel since 6.14, and on hardware.
    let text = self::text("08-add-unless");
    for (model, verdict) in
        [(Lkmm, Never), (Sc, Never), (X86Tso, Never), (Armv8, Never), (Power, Never), (Rvwmo, Never)]
    {
        assert_eq!(in_c(&text, model).verdict, verdict, "{model}");
    }
    let failed = text.replace("{}", "{ atomic_t c = 5; }").replace("0:r1=1", "0:r1=0");
    for model in [Lkmm, X86Tso, Armv8, Power, Rvwmo] {
        assert_eq!(in_c(&failed, model).verdict, Sometimes, "{model}");
    }
    // A test with more writers than attempts is refused.
    let busy = "WRITE_ONCE(*c, 1);".repeat(16);
    let error = lowered(&format!(
        "C t\n{{}}\nP0(int *c) {{ {busy} }}\nP1(int *c) {{ int r0; r0 = atomic_inc_not_zero(c); }}\nexists (c=1)"
    ));
    assert!(error.unwrap_err().contains("other threads write this variable up to 16 times"));
}

#[test]
fn atomic_add_unless_runs() {
    let text = "C t-add-unless-runs\n{ atomic_t c = 2; }\n\
                P0(atomic_t *c) { int r0; int r1; r0 = atomic_add_unless(c, -1, 0); r1 = atomic_add_unless(c, -1, 0); }\n\
                P1(atomic_t *c) { int r0; int r1; r0 = atomic_add_unless(c, -1, 0); r1 = atomic_add_unless(c, -1, 0); }\n\
                forall (c=0 /\\ (0:r0=1 /\\ 0:r1=1 /\\ 1:r0=0 /\\ 1:r1=0 \\/ 0:r0=1 /\\ 0:r1=0 /\\ 1:r0=1 /\\ 1:r1=0 \\/ \
                0:r0=0 /\\ 0:r1=0 /\\ 1:r0=1 /\\ 1:r1=1))\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.litmus");
    fs::write(&file, text).unwrap();
    let (code, output) =
        wakerace(&["run", "-n", "200000", "--oversubscribe", "--no-controls", "--no-save", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{output}");
}

#[test]
fn five_threads_are_judged_and_run_where_there_are_cpus() {
    let scenario = catalogue::load_file(&path("09-5threads")).unwrap();
    assert_eq!(scenario.program.threads.len(), 5);
    let many: String = (0..17).map(|n| format!("P{n}(int *x) {{ WRITE_ONCE(*x, {n}); }}\n")).collect();
    let error = lowered(&format!("C t\n{{}}\n{many}exists (x=1)")).unwrap_err();
    assert!(error.contains("at most 16 threads"), "{error}");
    let columns = "P0 | P1 | P2 | P3 | P4 ;\n nop | nop | nop | nop | nop ;\n";
    assert_eq!(judged(&format!("PPC t\n{{ }}\n {columns}exists (x=0)\n")), Always);
}

#[test]
fn conditions_imply() {
    let verdict = |condition: &str| in_c(&one("int r0; r0 = 1; int r1; r1 = 2;", condition), Lkmm).verdict;
    for (condition, wanted) in [
        ("0:r0=1 => 0:r1=2", Always),
        ("0:r0=1 => 0:r1=3", Never),
        ("0:r0=0 => 0:r1=3", Always),
        // `=>` binds tighter than `\/` and `/\`, as in herd7, and associates to the right.
        ("0:r0=1 \\/ 0:r1=2 => 0:r1=3", Always),
        ("(0:r0=1 \\/ 0:r1=2) => 0:r1=3", Never),
        ("0:r0=2 /\\ 0:r1=2 => 0:r1=2", Never),
        ("0:r0=0 => 0:r0=0 \\/ false", Always),
        ("0:r0=0 => 0:r0=1 => 0:r1=3", Always),
        ("(0:r0=0 => 0:r0=1) => 0:r1=3", Never),
        ("0:r0=1 => 0:r1=3 => false", Always),
        ("~(0:r0=1 => 0:r1=3) /\\ 0:r0=1", Always),
        ("not (0:r0=0) => true", Always),
    ] {
        assert_eq!(verdict(condition), wanted, "{condition}");
    }
    // In a filter, and in assembly.
    let filtered = "C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { int r0; r0 = READ_ONCE(*x); }\nfilter (1:r0=0 => false)\nforall (1:r0=1)";
    assert_eq!(in_c(filtered, Lkmm).verdict, Always);
    assert_eq!(judged("PPC t\n{ }\n P0 ;\n li r1,1 ;\nforall (0:r1=1 => x=0)\n"), Always);
    // Any number of terms.
    let long = |operator: &str, term: &str| vec![term; 5000].join(operator);
    assert_eq!(verdict(&long(" /\\ ", "0:r0=1")), Always);
    assert_eq!(verdict(&format!("{} /\\ 0:r0=2", long(" /\\ ", "0:r0=1"))), Never);
    assert_eq!(verdict(&format!("0:r0=1 \\/ {}", long(" \\/ ", "0:r0=2"))), Always);
    let error = lowered(&one("int r0;", &format!("{}true", "true => ".repeat(70)))).unwrap_err();
    assert!(error.contains("nested more than 64 deep"), "{error}");
}

#[test]
fn what_is_cast_to_void_is_done_and_forgotten() {
    for body in
        ["(void)atomic_inc_return(a);", "(void) atomic_inc(a);", "(void)(atomic_add_return(1, a));", "(atomic_inc(a));"]
    {
        assert_eq!(in_c(&one(body, "a=1"), Lkmm).verdict, Always, "{body}");
    }
    assert_eq!(
        in_c(&one("int r0; (void)r0; (void)READ_ONCE(*x); (void)*x; (void)smp_mb();", "x=0"), Lkmm).verdict,
        Always
    );
    // Without the cast it is an error.
    let error = lowered(&one("int r0; r0;", "x=0")).unwrap_err();
    assert!(error.contains("expected `=` and a value"), "{error}");
}

#[test]
fn a_header_that_predicts_a_data_race_is_held_to_that() {
    let with = |result: &str| text("21-datarace-header").replace("Result: Never DATARACE", result);
    let agrees = |text: &str| {
        let scenario = lowered(text).unwrap();
        let outcome = verdict::judge(&scenario, Lkmm, Atomics::Lse, Bounds::default()).unwrap().unwrap();
        verdict::agrees(&scenario, Lkmm, wakerace::arch::lock::Lock::Qspinlock, &outcome)
            .map_err(|error| error.to_string())
    };
    for result in
        ["Result: Never DATARACE", "Result: Sometimes DATARACE", "Result: Always  DATARACE", "Result: DATARACE"]
    {
        assert_eq!(agrees(&with(result)), Ok(()), "{result}");
    }
    // judgelitmus.sh: a data race that is not predicted is an error, even beside the right verdict.
    for result in ["Result: Never", "Result: Sometimes"] {
        let error = agrees(&with(result)).unwrap_err();
        assert!(error.contains("no DATARACE") && error.contains("LKMM sees a data race"), "{error}");
    }
    // Only the first line with a result counts.
    assert_eq!(agrees(&with("Result: Sometimes DATARACE\n * Result: Never")), Ok(()));
    // A word that is no verdict, such as Maybe, agrees with every verdict.
    assert_eq!(agrees(&with("Result: Maybe DATARACE")), Ok(()));
    let marked = with("Result: Never DATARACE").replace("*z = 0", "WRITE_ONCE(*z, 0)");
    let error = agrees(&marked).unwrap_err();
    assert!(error.contains("says DATARACE") && error.contains("LKMM sees no data race"), "{error}");
    // A predicted data race says nothing about hardware.
    let scenario = lowered(&with("Result: Never DATARACE")).unwrap();
    assert_eq!(
        scenario.test.header.expected(wakerace::arch::Arch::X86_64, wakerace::arch::lock::Lock::Qspinlock),
        None
    );
}

#[test]
fn a_header_that_predicts_a_deadlock_is_held_to_that() {
    let test = |result: &str, body: &str| {
        format!(
            "C t\n(*\n * Result: {result}\n *)\n{{}}\nP0(spinlock_t *l, int *x) {{ int r0; {body} r0 = READ_ONCE(*x); }}\nexists (0:r0=1)\n"
        )
    };
    let twice = "spin_lock(l); spin_lock(l);";
    let agrees = |text: &str| {
        let scenario = lowered(text).unwrap();
        let outcome = verdict::judge(&scenario, Lkmm, Atomics::Lse, Bounds::default()).unwrap().unwrap();
        (
            outcome.finishes,
            verdict::agrees(&scenario, Lkmm, wakerace::arch::lock::Lock::Qspinlock, &outcome)
                .map_err(|error| error.to_string()),
        )
    };
    assert_eq!(agrees(&test("DEADLOCK", twice)), (false, Ok(())));
    let (finishes, error) = agrees(&test("Never", twice));
    assert!(!finishes && error.unwrap_err().contains("LKMM has no execution that finishes"));
    let (finishes, error) = agrees(&test("DEADLOCK", ""));
    assert!(finishes && error.unwrap_err().contains("its header says DEADLOCK"));
    // The table says so.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.litmus");
    fs::write(&file, test("DEADLOCK", twice)).unwrap();
    let (code, output) = wakerace(&["check", "--model", "lkmm,armv8", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("Never 0, no execution finishes  Never 0, no execution finishes"), "{output}");
    // Executions that the filter drops have finished.
    let filtered = test("Never", "").replace("exists", "filter (0:r0=1)\nexists");
    assert_eq!(agrees(&filtered), (true, Ok(())));
}

#[test]
fn a_stale_match_is_no_matter_of_weak_memory() {
    // The race needs no reordering on any model, only a late read of the waker.
    let text = include_str!("../scenarios/race/S20-stale-match.litmus");
    for (model, states) in [(Lkmm, 10), (Sc, 9), (X86Tso, 9), (Armv8, 10), (Power, 10), (Rvwmo, 10)] {
        let outcome = in_c(text, model);
        assert_eq!((outcome.verdict, outcome.states.len()), (Sometimes, states), "{model}: {:?}", outcome.states);
    }
    // If the earlier wait never sets the state, there is nothing to match.
    let without = text.replacen("WRITE_ONCE(*__state, 1);", "", 1);
    for model in Model::ALL {
        assert_eq!(in_c(&without, model).verdict, Never, "{model}");
    }
}

/// herd7 loses the executions in which such a cmpxchg succeeds, this one of sequential consistency among them.
#[test]
fn a_cmpxchg_may_compare_with_what_is_computed_from_another_read() {
    let text = "C t\n{ x=1; }\nP0(int *x, int *z) { WRITE_ONCE(*z, READ_ONCE(*x)); }\nP1(int *x, int *z) { int r0; int r1; \
        r0 = READ_ONCE(*z) - 1; r1 = cmpxchg_relaxed(z, r0 + 1, 5); }\nlocations [1:r0; 1:r1; z;]\nexists (1:r1=1)\n";
    for model in [Lkmm, Sc] {
        let outcome = in_c(text, model);
        assert_eq!((outcome.verdict, outcome.states.len()), (Sometimes, 3), "{model}");
    }
    let weak = "C t\n{ x=1; }\nP0(int *x, int *z) { int r0 = READ_ONCE(*z); WRITE_ONCE(*x, r0 - 1); }\n\
        P1(int *x, int *y, int *z) { int r0; int r1; r1 = READ_ONCE(*x); r0 = cmpxchg_relaxed(y, r1, 7); \
        WRITE_ONCE(*z, r0 + 1); }\nexists (0:r0=1 /\\ y=7)\n";
    assert_eq!(in_c(weak, Lkmm).verdict, Sometimes);
    // herd7 says so too if a barrier takes the place of the dependency.
    let barrier = weak.replace("WRITE_ONCE(*x, r0 - 1)", "smp_mb(); WRITE_ONCE(*x, 0)");
    assert_eq!(in_c(&barrier, Lkmm).verdict, Sometimes);
}
