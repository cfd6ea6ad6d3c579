//! Names, rotations, values and text of generated tests. The expected names are those of diyone7 7.58 (`-norm`).

use super::*;

fn aarch64() -> &'static Language {
    language(Arch::Aarch64)
}

fn name(arch: Arch, text: &str) -> String {
    cycle(language(arch), text).unwrap_or_else(|error| panic!("{text}: {error}")).name
}

#[test]
fn names_are_those_of_diy7() {
    let cases = [
        ("Rfe PodRR Fre PodWW", "MP"),
        ("Rfe DpAddrdR Fre DMB.SYdWW", "MP+dmb.sy+addr"),
        ("PodWWPL RfeLA PodRRAP Fre", "MP+popl+poap"),
        ("PodWWPL RfeLP DpDatadW Rfe DpCtrldR Fre", "ISA2+popl+data+ctrl"),
        ("PodWR Fre PodWW Coe", "R"),
        ("Coe PodWW Coe PodWW", "2+2W"),
        ("PodWW Rfe PodRW Coe", "S"),
        ("PodRW Rfe PodRW Rfe", "LB"),
        ("PodWR Fre DMB.SYdWR Fre", "SB+dmb.sy+po"),
        ("DMB.SYdWR Fre DMB.SYdWR Fre DMB.SYdWR Fre", "3.SB+dmb.sys"),
        ("Rfe DMB.LDdRR Fre Rfe DMB.LDdRR Fre", "IRIW+dmb.lds"),
        ("Rfe DMB.SYdRW Rfe PodRR Fre", "WRC+dmb.sy+po"),
        ("PodWW Coe PodWW Rfe PodRR Fre", "Z6.3"),
        ("PodWW Coe PodWR Fre Rfe PodRR Fre", "W+RR+WW+WR"),
        ("Rfe PodRR Fre PodWR Fre", "RWC"),
        ("Rfe PodRR Fre PodWW Coe", "WRR+2W"),
        ("Rfi DpAddrdR Fre Rfi DpAddrdR Fre", "SB+rfi-addrs"),
        ("PodWW Rfi DpAddrdR Fre Rfe DpAddrdR Fre", "RWC+addr+po-rfi-addr"),
        ("PodWW Rfe PosRR DpAddrdR Fre", "MP+po+pos-addr"),
        ("PodWW Rfe DpAddrdR PodRR Fre", "MP+po+addrR-po"),
        ("PodWW PodWW Rfe PodRR Fre", "MP+poW-po+po"),
        ("Coi PodWW Rfe PosRR DpAddrdR Fre", "MP+coi-po+pos-addr"),
        ("PodWWPL RfeLA Amo.SwpAL PodWR Fre", "MP+popl+amo.swpal-polp"),
        ("PodWW Rfe LxSx PodWR Fre", "MP+po+rmw-po"),
        ("PodWR Amo.Swp PodWR Fre PodWR Fre", "SB+po+po-amo.swp-po"),
        ("DpDataCseldW Rfe DpCtrldW Rfe", "LB+datacsel+ctrl"),
        ("PodRWAP Rfe PodRWPL RfeLA", "LB+popl+poap"),
        ("Rfe PosRR Fre", "CoRR"),
        ("PosWW Coe", "CoWW"),
        ("Rfe PosRW Coe", "CoRW2"),
        ("PosWR Fre", "CoWR0"),
        ("PosRW Rfe", "CoRW1"),
        ("PodWWh0w0 Rfew0h2 PodRRh2w0 Frew0h0", "MP+poh0w0+poh2w0"),
        ("PodWWh0L.w0 RfeL.w0h2 PodRRh2w0 Frew0h0", "MP+poh0l.w0+poh2w0"),
        ("PodWWw0w0 Rfew0w0 PodRRw0w0 Frew0w0", "MP+pow0w0s"),
        ("Rfe PodRR Fre Rfe PodRW Coe", "IRRWIW"),
    ];
    for (text, expected) in cases {
        assert_eq!(name(Arch::Aarch64, text), expected, "{text}");
    }
    assert_eq!(name(Arch::X86_64, "PodWW Rfe Exch PodWR Fre"), "MP+po+rmw-po");
    assert_eq!(name(Arch::Powerpc64le, "LwSyncdWW Rfe DpCtrlIsyncdR Fre"), "MP+lwsync+ctrlisync");
    assert_eq!(name(Arch::Riscv64gc, "Fence.rw.wdWW Rfe DpCtrlFenceIdR Fre"), "MP+fence.rw.w+ctrlfencei");
}

#[test]
fn c_tests_are_named_as_the_kernels() {
    let name = |text: &str| cycle(Language::C, text).unwrap_or_else(|error| panic!("{text}: {error}")).name;
    assert_eq!(name("PodWW Rfe PodRR Fre"), "MP+poonceonces");
    assert_eq!(name("PodWWOnceRelease RfeReleaseAcquire PodRRAcquireOnce Fre"), "MP+pooncerelease+poacquireonce");
    assert_eq!(name("FenceWmbdWW Rfe FenceRmbdRR Fre"), "MP+fencewmbonceonce+fencermbonceonce");
    assert_eq!(name("FencedWR Fre FencedWR Fre"), "SB+fencembonceonces");
    assert_eq!(name("Rfe FenceMbdRR Fre Rfe FenceMbdRR Fre"), "IRIW+fencembonceonces+OnceOnce");
    assert_eq!(name("Rfe PodRW Release Rfe FenceRmbdRR Fre"), "WRC+pooncerelease+fencermbonceonce+Once");
}

#[test]
fn a_test_says_what_its_cycle_says() {
    let test = cycle(aarch64(), "Fre PodWW Coe DMB.SYdWR").unwrap();
    let expected = "\
AArch64 R+po+dmb.sy
\"PodWW Coe DMB.SYdWR Fre\"
Generator=wakerace
Com=Co Fr
Orig=PodWW Coe DMB.SYdWR Fre
{
0:X1=x; 0:X3=y;
1:X1=y; 1:X2=x;
}
 P0          | P1          ;
 MOV W0,#1   | MOV W0,#2   ;
 STR W0,[X1] | STR W0,[X1] ;
 MOV W2,#1   | DMB SY      ;
 STR W2,[X3] | LDR W3,[X2] ;
exists ([y]=2 /\\ 1:X3=0)
";
    assert_eq!(test.text, expected);
}

#[test]
fn annotations_choose_the_instructions() {
    let has = |language: &'static Language, text: &str, parts: &[&str]| {
        let test = cycle(language, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for part in parts {
            assert!(test.text.contains(part), "{part}: {}", test.text);
        }
    };
    has(aarch64(), "PodWWPL RfeLA PodRRAQ Fre", &["STLR W2,[X3]", "LDAR W1,[X0]", "LDAPR W3,[X2]"]);
    has(
        aarch64(),
        "PodWWL.h2P RfePA DpAddrdRAQ Fre",
        &["ADD X2,X1,#2", "STLRH W0,[X2]", "ADD X4,X3,W2,SXTW", "LDAPR W5,[X4]"],
    );
    has(aarch64(), "PodWR Amo.SwpAL PodWR Fre PodWR Fre", &["SWPAL W2,W4,[X3]"]);
    has(aarch64(), "PodWW Rfe LxSxAP PodWR Fre", &["LDAXR W2,[X1]", "STXR W3,W0,[X1]", "1:X3=0"]);
    has(aarch64(), "PodWW Rfe Amo.CasPL PodWR Fre", &["MOV W0,#1", "MOV W1,#2", "CASL W0,W1,[X2]", "1:X0=1"]);
    has(aarch64(), "PodWW Rfe Amo.StAdd PodWR Fre", &["STADD W0,[X1]", "[y]=3"]);
    has(language(Arch::X86_64), "PodWWPA RfeAP PodRR Fre", &["xchgl %eax,(y)"]);
    has(
        language(Arch::X86_64),
        "PodWWh2w0 Rfew0b1 PodRRb1q0 Freq0h2",
        &["movw $257,2(%rax)", "movb 1(%rax),%bl", "movq (x),%rcx"],
    );
    has(language(Arch::Riscv64gc), "PodWWPRl RfeRlAq PodRRAqP Fre", &["sw.rl x7,0(x8)", "lw.aq x6,0(x5)"]);
    has(language(Arch::Riscv64gc), "PodWW Rfe ExchAqRl PodWR Fre", &["amoswap.w.aqrl x7,x5,(x6)"]);
    has(
        language(Arch::Riscv64gc),
        "PodWW Rfe LxSxAqRl PodWR Fre",
        &["lr.w.aq x7,0(x6)", "sc.w.rl x8,x5,0(x6)", "1:x8=0"],
    );
    has(language(Arch::Powerpc64le), "PodWW Rfe LxSx PodWR Fre", &["Loop10:", "lwarx r3,r0,r2", "bne Loop10"]);
    has(
        Language::C,
        "PodWWPlainRelease RfeReleaseAcquire DpAddrdRAcquirePlain Fre",
        &["*x = 1;", "smp_store_release(y, 1);", "smp_load_acquire(y)", "r1 = *(x + (r0 & 0));"],
    );
    has(Language::C, "PodWW Rfe ExchMb PodWR Fre", &["r0 = xchg(y, 2);"]);
    has(Language::C, "PodWW Rfe CmpxchgAcquireOnce PodWR Fre", &["r0 = cmpxchg_acquire(y, 1, 2);"]);
    let error = cycle(Language::C, "PodWW Rfe ExchAcquireRelease PodWR Fre").unwrap_err().to_string();
    assert!(error.contains("with `Mb` both"), "{error}");
}

#[test]
fn mixed_sizes_fill_every_byte() {
    let test = cycle(aarch64(), "PodWWh0w0 Rfew0h2 PodRRh2w0 Frew0h0").unwrap();
    for part in ["uint32_t x; uint32_t y;", "MOV W0,#257", "uint32_t 0:X2=16843009;", "LDRH W1,[X0,#2]"] {
        assert!(test.text.contains(part), "{part}: {}", test.text);
    }
    assert!(test.text.contains("exists (1:X1=257 /\\ 1:X3=0)"), "{}", test.text);
    let error = cycle(aarch64(), "PodWWw0h0 Rfeh0h2 PodRRh2w0 Frew0w0").unwrap_err().to_string();
    assert!(error.contains("have no byte in common"), "{error}");
}

#[test]
fn control_dependencies_of_the_kernel_hold_the_rest_of_the_thread() {
    let test = cycle(Language::C, "DpCtrldW Rfe DpDatadW Rfe").unwrap();
    assert!(test.text.contains("\tif (r0 == 1) {\n\t\tWRITE_ONCE(*x, 1);\n\t}\n"), "{}", test.text);
    assert!(test.text.contains("WRITE_ONCE(*y, (r0 & 0) + 1);"), "{}", test.text);
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = [
        ("PodWR Rfe PodRW Fre", "PodWR ends in a read, and Rfe begins with a write"),
        ("PodWWPL RfePA PodRRAP Fre", "PodWWPL and RfePA give the access between them different annotations"),
        ("Rfe PodRR Fre", "one edge alone cannot lead to another location"),
        ("Rfe Fre", "no edge stands inside a thread"),
        ("PodWW PodWR Fri", "no edge leads from one thread to another"),
        ("PodWW PodWR Fre", "one edge alone cannot lead to another thread"),
        ("PodWW Rfe PodRX Fre", "did you mean PodR"),
        ("PodWWLL Rfe PodRRAL Fre", "'PodRRAL' is not a relaxation of AArch64"),
        ("Pod** Rfe PodRR Fre", "an edge with * stands for several"),
        ("PodWW L A RfeLA PodRR Fre", "an access has two annotations"),
    ];
    for (text, expected) in refused {
        let error = cycle(aarch64(), text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_family_has_each_cycle_once_and_each_name_once() {
    for language in Language::ALL {
        let options = Options { size: 4, threads: 3, ..Options::default() };
        let tests: Vec<Test> = family(language, &options).unwrap().collect();
        let count = |of: fn(&Test) -> &String| tests.iter().map(of).collect::<std::collections::HashSet<_>>().len();
        assert!(tests.len() > 20, "{}: {}", language.word(), tests.len());
        assert_eq!(count(|test| &test.name), tests.len(), "{}", language.word());
        assert_eq!(count(|test| &test.cycle), tests.len(), "{}", language.word());
        // Each is the cycle that its own text gives.
        for test in &tests {
            assert_eq!(cycle(language, &test.cycle).unwrap().cycle, test.cycle);
        }
    }
}

#[test]
fn every_rotation_gives_the_same_test() {
    let options = Options { size: 5, threads: 3, sample: Some(Sample { count: 60, seed: 3 }), ..Options::default() };
    for language in Language::ALL {
        for test in family(language, &options).unwrap() {
            let edges: Vec<&str> = test.cycle.split(' ').collect();
            for turn in 1..edges.len() {
                let turned = [&edges[turn..], &edges[..turn]].concat().join(" ");
                assert_eq!(cycle(language, &turned).unwrap().cycle, test.cycle, "{turned}");
            }
        }
    }
}

#[test]
fn relax_is_in_every_cycle_and_lists_may_group() {
    let options = Options {
        relax: "[Rfe,DMB.SYdRW]".to_owned(),
        safe: "Rfe Fre PodRR DMB.SYdRW PodWW".to_owned(),
        ..Options::default()
    };
    let tests: Vec<Test> = family(aarch64(), &options).unwrap().collect();
    assert!(tests.iter().any(|test| test.name == "WRC+dmb.sy+po"), "{tests:?}");
    assert!(tests.iter().any(|test| test.name == "ISA2+po+dmb.sy+po"), "{tests:?}");
    assert!(tests.iter().all(|test| format!("{0} {0}", test.cycle).contains("Rfe DMB.SYdRW")), "{tests:?}");
    // One may be found with the group and with its parts.
    let cycles: std::collections::HashSet<&String> = tests.iter().map(|test| &test.cycle).collect();
    assert_eq!(cycles.len(), tests.len(), "{tests:?}");
}

#[test]
fn vary_gives_every_access_every_annotation() {
    let safe = "PodRW,Rfe".to_owned();
    let options = Options { safe, vary: "P,A,L".to_owned(), size: 4, threads: 2, ..Options::default() };
    let names: Vec<String> = family(aarch64(), &options).unwrap().map(|test| test.name).collect();
    let mut expected = vec!["LB"];
    expected.extend(["LB+po+poap", "LB+po+popl", "LB+po+poal", "LB+popl+poap", "LB+popl+poal", "LB+popls"]);
    expected.extend(["LB+poap+poal", "LB+poaps", "LB+poals"]);
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    assert_eq!(sorted(names), sorted(expected.into_iter().map(str::to_owned).collect()));
}

#[test]
fn products_leave_out_what_does_not_fit() {
    let mut batch = Batch::new(aarch64());
    batch.cross("PodWW,DMB.STdWW,DMB.SYdWR Rfe PodRR,DpAddrdR Fre").unwrap();
    assert_eq!(batch.cycle("Rfe PodRR Fre PodWW").unwrap(), Added::Again);
    let names: Vec<String> = batch.tests().into_iter().map(|test| test.name).collect();
    assert_eq!(names, ["MP", "MP+po+addr", "MP+dmb.st+po", "MP+dmb.st+addr"]);
    let error = Batch::new(aarch64()).cross("PodWR Rfe PodRR Fre").unwrap_err().to_string();
    assert!(error.contains("the product") && error.contains("PodWR ends in a read"), "{error}");
}

#[test]
fn samples_are_repeatable_and_of_the_family() {
    let options = |sample| Options { size: 4, threads: 2, sample, ..Options::default() };
    let names =
        |sample| -> Vec<String> { family(aarch64(), &options(sample)).unwrap().map(|test| test.name).collect() };
    let all = names(None);
    let some = names(Some(Sample { count: 20, seed: 7 }));
    assert_eq!(some.len(), 20);
    assert_eq!(some, names(Some(Sample { count: 20, seed: 7 })));
    assert_ne!(some, names(Some(Sample { count: 20, seed: 8 })));
    assert!(some.iter().all(|name| all.contains(name)));
}

#[test]
fn a_usual_name_has_its_cycle() {
    assert_eq!(super::plain_cycle("iriw").unwrap(), "Rfe PodRR Fre Rfe PodRR Fre");
    assert_eq!(super::plain_cycle("CoRR"), None);
    let language = super::language(crate::arch::Arch::X86_64);
    for name in [
        "SB", "MP", "LB", "R", "S", "2+2W", "WRC", "RWC", "ISA2", "W+RWC", "IRIW", "IRRWIW", "3.SB", "Z6.0", "Z6.5",
        "4.LB",
    ] {
        let cycle = super::plain_cycle(name).unwrap();
        assert_eq!(super::cycle(language, &cycle).unwrap().name, name, "{cycle}");
    }
}
