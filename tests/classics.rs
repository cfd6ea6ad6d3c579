//! The classic litmus tests with their published verdicts, on every model.
//!
//! Sources: J. Alglave, L. Maranget, M. Tautschnig, "Herding Cats", TOPLAS 2014 (POWER, and the shapes' names); the Arm ARM,
//! K11, and C. Pulte et al., POPL 2018 (Armv8); the RISC-V manual's appendix A (RVWMO); S. Owens et al., TPHOLs 2009
//! (x86-TSO, n6); the kernel's tools/memory-model/litmus-tests and Documentation (LKMM).

use wakerace::arch::Atomics;
use wakerace::catalogue::Scenario;
use wakerace::isa;
use wakerace::litmus::{Source, Verdict};
use wakerace::model::{self, Bounds, Model};

fn judged(text: &str, model: Model, atomics: Atomics) -> Verdict {
    let scenario = Scenario::new(&Source::new("test", text), "").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let code = isa::code_for(&scenario.program, model, atomics).unwrap();
    model::check(&code, model, Bounds::default()).unwrap().verdict
}

/// Checks a test in C on every model. `row` has a letter per model in [`Model::ALL`]'s order (LKMM, SC, x86-TSO, ARMv8,
/// POWER, RVWMO): A for allowed, - for forbidden, ? where nothing is published.
fn check(name: &str, threads: &[&str], condition: &str, row: &str) {
    let shared = "int *x, int *y, int *z, int **p, spinlock_t *l, spinlock_t *k, atomic_t *a";
    let mut text = format!("C {name}\n{{ p = x; }}\n");
    for (number, body) in threads.iter().enumerate() {
        let registers = "int r0; int r1; int r2; int *q;";
        // Only what a thread names is a parameter of it.
        let uses = |name: &str| body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        let own: Vec<&str> = shared.split(", ").filter(|p| uses(p.rsplit([' ', '*']).next().unwrap())).collect();
        text.push_str(&format!("P{number}({}) {{ {registers} {body} }}\n", own.join(", ")));
    }
    text.push_str(&format!("exists ({condition})\n"));
    for (model, letter) in Model::ALL.into_iter().zip(row.chars()) {
        for atomics in [Atomics::Lse, Atomics::Llsc] {
            let wanted = match letter {
                'A' => Verdict::Sometimes,
                '-' => Verdict::Never,
                _ => continue,
            };
            assert_eq!(judged(&text, model, atomics), wanted, "{name} on {model} with {atomics}\n{text}");
        }
    }
    assert_eq!(row.len(), 6, "{name}");
}

const SET_X: &str = "WRITE_ONCE(*x, 1);";
const SET_Y: &str = "WRITE_ONCE(*y, 1);";

/// Two accesses with something between.
fn link(first: &str, between: &str, second: &str) -> String {
    format!("{first} {between} {second}")
}

fn read(register: &str, from: &str) -> String {
    format!("{register} = READ_ONCE(*{from});")
}

#[test]
fn coherence_holds_everywhere() {
    check("CoRR", &[SET_X, "r0 = READ_ONCE(*x); r1 = READ_ONCE(*x);"], "1:r0=1 /\\ 1:r1=0", "------");
    check("CoWW", &["WRITE_ONCE(*x, 1); WRITE_ONCE(*x, 2);"], "x=1", "------");
    check("CoWR", &["WRITE_ONCE(*x, 1); r0 = READ_ONCE(*x);", "WRITE_ONCE(*x, 2);"], "0:r0=2 /\\ x=1", "------");
    check("CoRW1", &["r0 = READ_ONCE(*x); WRITE_ONCE(*x, 1);"], "0:r0=1", "------");
    check("CoRW2", &["r0 = READ_ONCE(*x); WRITE_ONCE(*x, 1);", "WRITE_ONCE(*x, 2);"], "0:r0=2 /\\ x=2", "------");
}

#[test]
fn message_passing() {
    let (r0, r1) = (read("r0", "y"), read("r1", "x"));
    let cases = [
        ("MP", "", "", "A--AAA"),
        ("MP+wmb+po", "smp_wmb();", "", "A--AAA"),
        ("MP+po+rmb", "", "smp_rmb();", "A--AAA"),
        ("MP+wmb+rmb", "smp_wmb();", "smp_rmb();", "------"),
        ("MP+mb+mb", "smp_mb();", "smp_mb();", "------"),
        ("MP+mb+rmb", "smp_mb();", "smp_rmb();", "------"),
        // A read barrier does nothing for the writer; on POWER both are lwsync.
        ("MP+rmb+rmb", "smp_rmb();", "smp_rmb();", "A--A-A"),
        ("MP+wmb+wmb", "smp_wmb();", "smp_wmb();", "A--A-A"),
    ];
    for (name, writer, reader, row) in cases {
        let threads = [link(SET_X, writer, SET_Y), link(&r0, reader, &r1)];
        check(name, &[&threads[0], &threads[1]], "1:r0=1 /\\ 1:r1=0", row);
    }
    let release = "WRITE_ONCE(*x, 1); smp_store_release(y, 1);";
    let acquire = "r0 = smp_load_acquire(y); r1 = READ_ONCE(*x);";
    let stale = "1:r0=1 /\\ 1:r1=0";
    check("MP+rel+acq", &[release, acquire], stale, "------");
    check("MP+rel+po", &[release, &link(&r0, "", &r1)], stale, "A--AAA");
    check("MP+po+acq", &[&link(SET_X, "", SET_Y), acquire], stale, "A--AAA");
    let ctrl = "r0 = READ_ONCE(*y); if (r0 == 1) { r1 = READ_ONCE(*x); } else { r1 = 7; }";
    check("MP+wmb+ctrl", &[&link(SET_X, "smp_wmb();", SET_Y), ctrl], stale, "A--AAA");
    let fenced =
        "r0 = READ_ONCE(*y); if (r0 == 1) { smp_acquire__after_ctrl_dep(); r1 = READ_ONCE(*x); } else { r1 = 7; }";
    check("MP+wmb+ctrl-acq", &[&link(SET_X, "smp_wmb();", SET_Y), fenced], stale, "------");
    // p points to x at first, to z afterwards: what it points to was written before.
    let publish = |between: &str| format!("WRITE_ONCE(*z, 1); {between} WRITE_ONCE(*p, z);");
    let follow = "q = READ_ONCE(*p); r1 = READ_ONCE(*q);";
    check("MP+po+addr", &[&publish(""), follow], "1:q=z /\\ 1:r1=0", "A--AAA");
    check("MP+wmb+addr", &[&publish("smp_wmb();"), follow], "1:q=z /\\ 1:r1=0", "------");
    let assign = "WRITE_ONCE(*z, 1); rcu_assign_pointer(*p, z);";
    let dereference = "q = rcu_dereference(*p); r1 = READ_ONCE(*q);";
    check("MP+onceassign+derefonce", &[assign, dereference], "1:q=z /\\ 1:r1=0", "------");
}

#[test]
fn store_buffering() {
    let (r0, r1) = (read("r0", "y"), read("r0", "x"));
    let cases = [
        ("SB", "", "", "A-AAAA"),
        ("SB+mb+po", "smp_mb();", "", "A-AAAA"),
        ("SB+mb+mb", "smp_mb();", "smp_mb();", "------"),
        ("SB+wmb+wmb", "smp_wmb();", "smp_wmb();", "A-AAAA"),
        ("SB+rmb+rmb", "smp_rmb();", "smp_rmb();", "A-AAAA"),
    ];
    for (name, first, second, row) in cases {
        let threads = [link(SET_X, first, &r0), link(SET_Y, second, &r1)];
        check(name, &[&threads[0], &threads[1]], "0:r0=0 /\\ 1:r0=0", row);
    }
    let none = "0:r0=0 /\\ 1:r0=0";
    check(
        "SB+rel-acq+rel-acq",
        &["smp_store_release(x, 1); r0 = smp_load_acquire(y);", "smp_store_release(y, 1); r0 = smp_load_acquire(x);"],
        none,
        // Armv8's are RCsc.
        "A-A-AA",
    );
    check(
        "SB+store_mb",
        &["smp_store_mb(*x, 1); r0 = READ_ONCE(*y);", "smp_store_mb(*y, 1); r0 = READ_ONCE(*x);"],
        none,
        "------",
    );
    // An AMO is one operation on RISC-V, so the acquire fence behind amoswap orders its write as well.
    for (suffix, xchg, cmpxchg) in [
        ("", "------", "------"),
        ("_relaxed", "A--AAA", "A--AAA"),
        ("_acquire", "A--AA-", "A--AAA"),
        ("_release", "A--AAA", "A--AAA"),
    ] {
        let threads = [
            format!("r1 = xchg{suffix}(x, 1); r0 = READ_ONCE(*y);"),
            format!("r1 = xchg{suffix}(y, 1); r0 = READ_ONCE(*x);"),
        ];
        check(&format!("SB+xchg{suffix}"), &[&threads[0], &threads[1]], none, xchg);
        let threads = [
            format!("r1 = cmpxchg{suffix}(x, 0, 1); r0 = READ_ONCE(*y);"),
            format!("r1 = cmpxchg{suffix}(y, 0, 1); r0 = READ_ONCE(*x);"),
        ];
        check(&format!("SB+cmpxchg{suffix}"), &[&threads[0], &threads[1]], none, cmpxchg);
    }
    let after = |own: &str, other: &str| {
        format!("WRITE_ONCE(*{own}, 1); atomic_inc(a); smp_mb__after_atomic(); r0 = READ_ONCE(*{other});")
    };
    check("SB+after_atomic", &[&after("x", "y"), &after("y", "x")], none, "------");
    let before = |own: &str, other: &str| {
        format!("WRITE_ONCE(*{own}, 1); smp_mb__before_atomic(); atomic_inc(a); r0 = READ_ONCE(*{other});")
    };
    check("SB+before_atomic", &[&before("x", "y"), &before("y", "x")], none, "------");
    // A full barrier in a counter only one side has.
    check(
        "SB+rfi",
        &[
            "WRITE_ONCE(*x, 1); r1 = READ_ONCE(*x); r0 = READ_ONCE(*y);",
            "WRITE_ONCE(*y, 1); r1 = READ_ONCE(*y); r0 = READ_ONCE(*x);",
        ],
        "0:r1=1 /\\ 1:r1=1 /\\ 0:r0=0 /\\ 1:r0=0",
        "A-AAAA",
    );
}

#[test]
fn load_buffering() {
    let thread = |read: &str, write: &str, between: &str, value: &str| {
        format!("r0 = READ_ONCE(*{read}); {between} WRITE_ONCE(*{write}, {value});")
    };
    let both = "0:r0=1 /\\ 1:r0=1";
    let po = |read: &str, write: &str| thread(read, write, "", "1");
    let data = |read: &str, write: &str| thread(read, write, "", "1 + (r0 ^ r0)");
    let mb = |read: &str, write: &str| thread(read, write, "smp_mb();", "1");
    let ctrl =
        |read: &str, write: &str| format!("r0 = READ_ONCE(*{read}); if (r0 == 1) {{ WRITE_ONCE(*{write}, 1); }}");
    let acquire = |read: &str, write: &str| format!("r0 = smp_load_acquire({read}); WRITE_ONCE(*{write}, 1);");
    let release = |read: &str, write: &str| format!("r0 = READ_ONCE(*{read}); smp_store_release({write}, 1);");
    check("LB", &[&po("x", "y"), &po("y", "x")], both, "A--AAA");
    check("LB+data+po", &[&data("x", "y"), &po("y", "x")], both, "A--AAA");
    check("LB+data+data", &[&data("x", "y"), &data("y", "x")], both, "------");
    check("LB+ctrl+ctrl", &[&ctrl("x", "y"), &ctrl("y", "x")], both, "------");
    check("LB+ctrl+mb", &[&ctrl("x", "y"), &mb("y", "x")], both, "------");
    check("LB+mb+po", &[&mb("x", "y"), &po("y", "x")], both, "A--AAA");
    check("LB+acq+rel", &[&acquire("x", "y"), &release("y", "x")], both, "------");
    check("LB+rel+rel", &[&release("x", "y"), &release("y", "x")], both, "------");
    // What a thread stores comes out of nowhere in no model.
    check(
        "LB+thin-air",
        &["r0 = READ_ONCE(*x); WRITE_ONCE(*y, r0);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0);"],
        "0:r0=42",
        "------",
    );
    check(
        "LB+growing",
        &["r0 = READ_ONCE(*x); WRITE_ONCE(*y, r0 + 1);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0 + 1);"],
        "0:r0=3",
        "------",
    );
}

#[test]
fn s_r_and_2_plus_2w() {
    let s = |between: &str| format!("WRITE_ONCE(*x, 2); {between} WRITE_ONCE(*y, 1);");
    let last = "1:r0=1 /\\ x=2";
    check("S", &[&s(""), "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);"], last, "A--AAA");
    check("S+wmb+po", &[&s("smp_wmb();"), "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);"], last, "A--AAA");
    check("S+wmb+data", &[&s("smp_wmb();"), "r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0);"], last, "------");
    check("S+wmb+ctrl", &[&s("smp_wmb();"), "r0 = READ_ONCE(*y); if (r0 == 1) { WRITE_ONCE(*x, 1); }"], last, "------");
    check("S+wmb+acq", &[&s("smp_wmb();"), "r0 = smp_load_acquire(y); WRITE_ONCE(*x, 1);"], last, "------");

    let r = |between: &str| format!("WRITE_ONCE(*x, 1); {between} WRITE_ONCE(*y, 1);");
    let reader = |between: &str| format!("WRITE_ONCE(*y, 2); {between} r0 = READ_ONCE(*x);");
    let late = "y=2 /\\ 1:r0=0";
    check("R", &[&r(""), &reader("")], late, "A-AAAA");
    check("R+mb+mb", &[&r("smp_mb();"), &reader("smp_mb();")], late, "------");
    // POWER's famous R+lwsync+sync: lwsync is not enough.
    check("R+wmb+mb", &[&r("smp_wmb();"), &reader("smp_mb();")], late, "A---A-");
    check("R+po+mb", &[&r(""), &reader("smp_mb();")], late, "A--AAA");
    check("R+mb+po", &[&r("smp_mb();"), &reader("")], late, "A-AAAA");

    let w = |first: &str, second: &str, between: &str| {
        format!("WRITE_ONCE(*{first}, 1); {between} WRITE_ONCE(*{second}, 2);")
    };
    let both = "x=1 /\\ y=1";
    check("2+2W", &[&w("x", "y", ""), &w("y", "x", "")], both, "A--AAA");
    // The kernel's model leaves this to the hardware that nobody has.
    check("2+2W+wmbs", &[&w("x", "y", "smp_wmb();"), &w("y", "x", "smp_wmb();")], both, "A-----");
    check("2+2W+mbs", &[&w("x", "y", "smp_mb();"), &w("y", "x", "smp_mb();")], both, "------");
    check("2+2W+wmb+po", &[&w("x", "y", "smp_wmb();"), &w("y", "x", "")], both, "A--AAA");
}

#[test]
fn three_threads() {
    let relay = |between: &str, value: &str| format!("r0 = READ_ONCE(*x); {between} WRITE_ONCE(*y, {value});");
    let reader = |between: &str| format!("r1 = READ_ONCE(*y); {between} r2 = READ_ONCE(*x);");
    let stale = "1:r0=1 /\\ 2:r1=1 /\\ 2:r2=0";
    check("WRC", &[SET_X, &relay("", "1"), &reader("")], stale, "A--AAA");
    check("WRC+mbs", &[SET_X, &relay("smp_mb();", "1"), &reader("smp_mb();")], stale, "------");
    // Cumulativity: a dependency does not make others' writes visible, except where all threads see them at once.
    check("WRC+data+rmb", &[SET_X, &relay("", "r0"), &reader("smp_rmb();")], stale, "A---A-");
    check("WRC+po+rmb", &[SET_X, &relay("", "1"), &reader("smp_rmb();")], stale, "A--AAA");
    let release = "r0 = READ_ONCE(*x); smp_store_release(y, 1);";
    check("WRC+rel+rmb", &[SET_X, release, &reader("smp_rmb();")], stale, "------");
    let acquire = "r0 = smp_load_acquire(x); WRITE_ONCE(*y, 1);";
    check("WRC+acq+acq", &[SET_X, acquire, "r1 = smp_load_acquire(y); r2 = READ_ONCE(*x);"], stale, "A-----");

    let first = |between: &str| format!("WRITE_ONCE(*x, 1); {between} WRITE_ONCE(*y, 1);");
    let last = |between: &str| format!("r1 = READ_ONCE(*z); {between} r2 = READ_ONCE(*x);");
    let isa2 = "1:r0=1 /\\ 2:r1=1 /\\ 2:r2=0";
    check("ISA2", &[&first(""), "r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1);", &last("")], isa2, "A--AAA");
    let rel = "WRITE_ONCE(*x, 1); smp_store_release(y, 1);";
    let relacq = "r0 = smp_load_acquire(y); smp_store_release(z, 1);";
    let acq = "r1 = smp_load_acquire(z); r2 = READ_ONCE(*x);";
    check("ISA2+rel+acq-rel+acq", &[rel, relacq, acq], isa2, "------");
    check("ISA2+wmb+data+acq", &[&first("smp_wmb();"), "r0 = READ_ONCE(*y); WRITE_ONCE(*z, r0);", acq], isa2, "?-----");

    let rwc = |between: &str| format!("r0 = READ_ONCE(*x); {between} r1 = READ_ONCE(*y);");
    let end = |between: &str| format!("WRITE_ONCE(*y, 1); {between} r2 = READ_ONCE(*x);");
    let seen = "1:r0=1 /\\ 1:r1=0 /\\ 2:r2=0";
    check("RWC", &[SET_X, &rwc(""), &end("")], seen, "A-AAAA");
    check("RWC+mbs", &[SET_X, &rwc("smp_mb();"), &end("smp_mb();")], seen, "------");
    check("RWC+rmb+mb", &[SET_X, &rwc("smp_rmb();"), &end("smp_mb();")], seen, "A---A-");

    let wrwc = |between: &str| format!("r0 = READ_ONCE(*y); {between} r1 = READ_ONCE(*z);");
    let zed = |between: &str| format!("WRITE_ONCE(*z, 1); {between} r2 = READ_ONCE(*x);");
    check("W+RWC", &[&first(""), &wrwc(""), &zed("")], seen, "A-AAAA");
    check("W+RWC+mbs", &[&first("smp_mb();"), &wrwc("smp_mb();"), &zed("smp_mb();")], seen, "------");

    // Z6.0: a release-acquire chain, and an outsider with a full barrier.
    let outsider = "WRITE_ONCE(*z, 2); smp_mb(); r1 = READ_ONCE(*x);";
    check("Z6.0+rel+acq-rel+mb", &[rel, relacq, outsider], "1:r0=1 /\\ z=2 /\\ 2:r1=0", "A---A-");
    let full = ["WRITE_ONCE(*x, 1); smp_mb(); WRITE_ONCE(*y, 1);", "r0 = READ_ONCE(*y); smp_mb(); WRITE_ONCE(*z, 1);"];
    check("Z6.0+mbs", &[full[0], full[1], outsider], "1:r0=1 /\\ z=2 /\\ 2:r1=0", "------");
    let z63 = |between: &str| format!("WRITE_ONCE(*y, 2); {between} WRITE_ONCE(*z, 1);");
    let after = "y=2 /\\ 2:r1=1 /\\ 2:r2=0";
    check("Z6.3", &[&first(""), &z63(""), &last("")], after, "A--AAA");
    check("Z6.3+mbs", &[&first("smp_mb();"), &z63("smp_mb();"), &last("smp_mb();")], after, "------");
}

#[test]
fn independent_readers() {
    let reader = |first: &str, second: &str, between: &str| {
        format!("r0 = READ_ONCE(*{first}); {between} r1 = READ_ONCE(*{second});")
    };
    let opposite = "1:r0=1 /\\ 1:r1=0 /\\ 3:r0=1 /\\ 3:r1=0";
    for (name, between, row) in
        [("IRIW", "", "A--AAA"), ("IRIW+mbs", "smp_mb();", "------"), ("IRIW+rmbs", "smp_rmb();", "A---A-")]
    {
        check(name, &[SET_X, &reader("x", "y", between), SET_Y, &reader("y", "x", between)], opposite, row);
    }
    let acquire = |first: &str, second: &str| format!("r0 = smp_load_acquire({first}); r1 = READ_ONCE(*{second});");
    check("IRIW+acqs", &[SET_X, &acquire("x", "y"), SET_Y, &acquire("y", "x")], opposite, "A---A-");
}

#[test]
fn locks() {
    let both = "spin_lock(l); WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); spin_unlock(l);";
    let look = "spin_lock(l); r0 = READ_ONCE(*y); r1 = READ_ONCE(*x); spin_unlock(l);";
    check("MP+locks", &[both, look], "1:r0=1 /\\ 1:r1=0", "------");
    // MP+polocks and MP+porevlocks of the kernel
    check(
        "MP+polocks",
        &[
            "WRITE_ONCE(*x, 1); spin_lock(l); WRITE_ONCE(*y, 1); spin_unlock(l);",
            "spin_lock(l); r0 = READ_ONCE(*y); spin_unlock(l); r1 = READ_ONCE(*x);",
        ],
        "1:r0=1 /\\ 1:r1=0",
        "------",
    );
    check(
        "MP+porevlocks",
        &[
            "spin_lock(l); WRITE_ONCE(*x, 1); spin_unlock(l); WRITE_ONCE(*y, 1);",
            "r0 = READ_ONCE(*y); spin_lock(l); r1 = READ_ONCE(*x); spin_unlock(l);",
        ],
        "1:r0=1 /\\ 1:r1=0",
        "------",
    );
    let critical = [
        "spin_lock(l); WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); spin_unlock(l);",
        "spin_lock(l); r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1); spin_unlock(l);",
    ];
    let isa2 = [critical[0], critical[1], "r1 = READ_ONCE(*z); smp_mb(); r2 = READ_ONCE(*x);"];
    check("ISA2+lock+lock+mb", &isa2, "1:r0=1 /\\ 2:r1=1 /\\ 2:r2=0", "------");
    // Z6.0+pooncelock+pooncelock+pombonce, and with smp_mb__after_spinlock
    let first = "spin_lock(l); WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1); spin_unlock(l);";
    let outsider = "WRITE_ONCE(*z, 2); smp_mb(); r1 = READ_ONCE(*x);";
    let end = "1:r0=1 /\\ z=2 /\\ 2:r1=0";
    check(
        "Z6.0+lock+lock+mb",
        &[first, "spin_lock(l); r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1); spin_unlock(l);", outsider],
        end,
        "A---A-",
    );
    check(
        "Z6.0+lock+Lock+mb",
        &[
            first,
            "spin_lock(l); smp_mb__after_spinlock(); r0 = READ_ONCE(*y); WRITE_ONCE(*z, 1); spin_unlock(l);",
            outsider,
        ],
        end,
        "------",
    );
    // An unlock and a lock order like TSO in the kernel's model, whatever the machine.
    check(
        "MP+unlocklock+rmb",
        &[
            "spin_lock(k); WRITE_ONCE(*x, 1); spin_unlock(k); spin_lock(l); WRITE_ONCE(*y, 1); spin_unlock(l);",
            "r0 = READ_ONCE(*y); smp_rmb(); r1 = READ_ONCE(*x);",
        ],
        "1:r0=1 /\\ 1:r1=0",
        "------",
    );
    check(
        "LB+unlocklock+acq",
        &[
            "spin_lock(k); r0 = READ_ONCE(*x); spin_unlock(k); spin_lock(l); WRITE_ONCE(*y, 1); spin_unlock(l);",
            "r0 = smp_load_acquire(y); WRITE_ONCE(*x, 1);",
        ],
        "0:r0=1 /\\ 1:r0=1",
        "------",
    );
    check(
        "SB+unlocklock",
        &[
            "WRITE_ONCE(*x, 1); spin_lock(l); spin_unlock(l); r0 = READ_ONCE(*y);",
            "WRITE_ONCE(*y, 1); spin_lock(k); spin_unlock(k); r0 = READ_ONCE(*x);",
        ],
        "0:r0=0 /\\ 1:r0=0",
        "A--AAA",
    );
    check(
        "MP+silsil",
        &["spin_lock(l); WRITE_ONCE(*x, 1); spin_unlock(l);", "r1 = READ_ONCE(*x); smp_rmb(); r2 = spin_is_locked(l);"],
        "1:r1=1 /\\ 1:r2=1",
        "AAAAAA",
    );
    // Nobody is in while somebody else is.
    let inside = |own: &str| {
        format!("spin_lock(l); r0 = READ_ONCE(*x); WRITE_ONCE(*x, {own}); r1 = READ_ONCE(*x); spin_unlock(l);")
    };
    check("mutual-exclusion", &[&inside("1"), &inside("2")], "0:r0=2 /\\ 1:r0=1", "------");
    check("trylock", &["r0 = spin_trylock(l);", "r0 = spin_trylock(l);"], "0:r0=1 /\\ 1:r0=1", "------");
    check("trylock-one", &["r0 = spin_trylock(l);", "r0 = spin_trylock(l);"], "0:r0=0 /\\ 1:r0=0", "------");
}

#[test]
fn read_modify_writes_are_whole() {
    check("2xinc", &["atomic_inc(a);", "atomic_inc(a);"], "a=1", "------");
    check(
        "3xadd",
        &["r0 = atomic_add_return(1, a);", "r0 = atomic_add_return(1, a);", "r0 = atomic_add_return(1, a);"],
        "0:r0=1 /\\ 1:r0=1",
        "------",
    );
    check(
        "2xcmpxchg",
        &["r0 = cmpxchg_relaxed(x, 0, 1);", "r0 = cmpxchg_relaxed(x, 0, 2);"],
        "0:r0=0 /\\ 1:r0=0",
        "------",
    );
    check("xchg-and-store", &["r0 = xchg_relaxed(x, 1);", "WRITE_ONCE(*x, 2);"], "0:r0=0 /\\ x=1", "------");
    check(
        "dec-and-test",
        &[
            "atomic_add(2, a); smp_store_release(x, 1);",
            "r1 = smp_load_acquire(x); r0 = atomic_dec_and_test(a);",
            "r1 = smp_load_acquire(x); r0 = atomic_dec_and_test(a);",
        ],
        "1:r1=1 /\\ 2:r1=1 /\\ 1:r0=1 /\\ 2:r0=1",
        "------",
    );
}

/// A test in assembly.
fn assembled(text: &str, wanted: Verdict) {
    let (code, model) = isa::parse_assembly(&Source::new("test", text)).unwrap_or_else(|error| panic!("{error}"));
    let outcome = model::check(&code, model, Bounds::default()).unwrap();
    assert_eq!(outcome.verdict, wanted, "{text}\n{:?}", outcome.states);
}

#[test]
fn armv8_in_assembly() {
    use Verdict::{Never, Sometimes};
    let mp = |reader: &[&str]| {
        let writer = ["MOV W0,#1", "STR W0,[X1]", "DMB ISH", "STR W0,[X3]"];
        table("AArch64", "0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; 1:X7=z;", &[&writer, reader], "1:X0=1 /\\ 1:X2=0")
    };
    assembled(&mp(&["LDR W0,[X1]", "CBNZ W0,L", "L:", "LDR W2,[X3]"]), Sometimes);
    assembled(&mp(&["LDR W0,[X1]", "CBNZ W0,L", "L:", "ISB", "LDR W2,[X3]"]), Never);
    assembled(&mp(&["LDR W0,[X1]", "ISB", "LDR W2,[X3]"]), Sometimes);
    assembled(&mp(&["LDR W0,[X1]", "EOR W4,W0,W0", "LDR W2,[X3,W4,SXTW]"]), Never);
    assembled(&mp(&["LDAPR W0,[X1]", "LDR W2,[X3]"]), Never);
    assembled(&mp(&["LDR W0,[X1]", "DMB ISHST", "LDR W2,[X3]"]), Sometimes);
    // MP+dmb+ctrl-rfi-addr (PPOCA) is allowed, with an address dependency first (PPOAA) it is not.
    let tail = ["MOV W5,#1", "STR W5,[X7]", "LDR W6,[X7]", "EOR W8,W6,W6", "LDR W2,[X3,W8,SXTW]"];
    assembled(&mp(&[&["LDR W0,[X1]", "CBNZ W0,L", "L:"][..], &tail].concat()), Sometimes);
    let tail =
        ["EOR W4,W0,W0", "MOV W5,#1", "STR W5,[X7,W4,SXTW]", "LDR W6,[X7]", "EOR W8,W6,W6", "LDR W2,[X3,W8,SXTW]"];
    assembled(&mp(&[&["LDR W0,[X1]"][..], &tail].concat()), Never);

    let sb = |load: &str, store: &str| {
        let thread = ["MOV W0,#1".to_owned(), format!("{store} W0,[X1]"), format!("{load} W2,[X3]")];
        let thread: Vec<&str> = thread.iter().map(String::as_str).collect();
        table("AArch64", "0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x;", &[&thread, &thread], "0:X2=0 /\\ 1:X2=0")
    };
    assembled(&sb("LDAR", "STLR"), Never);
    // The weaker acquire may pass a release.
    assembled(&sb("LDAPR", "STLR"), Sometimes);
    assembled(&sb("LDR", "STLR"), Sometimes);
    let swap = |name: &str| {
        let thread = ["MOV W0,#1".to_owned(), format!("{name} W0,W4,[X1]"), "LDR W2,[X3]".to_owned()];
        let thread: Vec<&str> = thread.iter().map(String::as_str).collect();
        table("AArch64", "0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x;", &[&thread, &thread], "0:X2=0 /\\ 1:X2=0")
    };
    assembled(&swap("SWPAL"), Never);
    assembled(&swap("SWPL"), Sometimes);
    // An acquire orders what follows behind its own read, so a swap that acquires holds its load back but not its store.
    assembled(&swap("SWPA"), Sometimes);
    // Two that both store-exclusively succeed do not both read the old value.
    let ex = ["MOV W0,#1", "LDXR W2,[X1]", "STXR W3,W0,[X1]"];
    assembled(&table("AArch64", "0:X1=x; 1:X1=x;", &[&ex, &ex], "0:X2=0 /\\ 1:X2=0 /\\ 0:X3=0 /\\ 1:X3=0"), Never);
    assembled(&table("AArch64", "0:X1=x; 1:X1=x;", &[&ex, &ex], "0:X2=0 /\\ 1:X2=0 /\\ 0:X3=0 /\\ 1:X3=1"), Sometimes);
}

#[test]
fn power_in_assembly() {
    use Verdict::{Never, Sometimes};
    let mp = |fence: &str, reader: &[&str]| {
        let writer = ["li r1,1", "stw r1,0(r2)", fence, "stw r1,0(r4)"];
        table("PPC", "0:r2=x; 0:r4=y; 1:r2=y; 1:r4=x; 1:r9=z;", &[&writer, reader], "1:r1=1 /\\ 1:r3=0")
    };
    assembled(&mp("lwsync", &["lwz r1,0(r2)", "lwsync", "lwz r3,0(r4)"]), Never);
    assembled(&mp("eieio", &["lwz r1,0(r2)", "sync", "lwz r3,0(r4)"]), Never);
    assembled(&mp("lwsync", &["lwz r1,0(r2)", "cmpwi r1,0", "beq L", "L:", "lwz r3,0(r4)"]), Sometimes);
    assembled(&mp("lwsync", &["lwz r1,0(r2)", "cmpwi r1,0", "beq L", "L:", "isync", "lwz r3,0(r4)"]), Never);
    assembled(&mp("lwsync", &["lwz r1,0(r2)", "isync", "lwz r3,0(r4)"]), Sometimes);
    assembled(&mp("lwsync", &["lwz r1,0(r2)", "xor r5,r1,r1", "lwzx r3,r5,r4"]), Never);
    let ppoca = [
        "lwz r1,0(r2)",
        "cmpwi r1,0",
        "beq L",
        "L:",
        "li r5,1",
        "stw r5,0(r9)",
        "lwz r6,0(r9)",
        "xor r7,r6,r6",
        "lwzx r3,r7,r4",
    ];
    assembled(&mp("sync", &ppoca), Sometimes);
    let ppoaa =
        ["lwz r1,0(r2)", "xor r5,r1,r1", "li r8,1", "stwx r8,r5,r9", "lwz r6,0(r9)", "xor r7,r6,r6", "lwzx r3,r7,r4"];
    assembled(&mp("sync", &ppoaa), Never);
    let ex = ["li r1,1", "lwarx r3,r0,r2", "stwcx. r1,r0,r2", "bne F", "li r4,1", "F:"];
    assembled(&table("PPC", "0:r2=x; 1:r2=x;", &[&ex, &ex], "0:r3=0 /\\ 1:r3=0 /\\ 0:r4=1 /\\ 1:r4=1"), Never);
}

#[test]
fn rvwmo_in_assembly() {
    use Verdict::{Never, Sometimes};
    let mp = |writer: &[&str], reader: &[&str]| {
        table("RISCV", "0:x2=x; 0:x4=y; 1:x2=y; 1:x4=x;", &[writer, reader], "1:x1=1 /\\ 1:x3=0")
    };
    let fenced = ["ori x1,x0,1", "sw x1,0(x2)", "fence w,w", "sw x1,0(x4)"];
    assembled(&mp(&fenced, &["lw x1,0(x2)", "lw x3,0(x4)"]), Sometimes);
    assembled(&mp(&fenced, &["lw x1,0(x2)", "fence r,r", "lw x3,0(x4)"]), Never);
    assembled(&mp(&fenced, &["lw x1,0(x2)", "xor x5,x1,x1", "add x6,x4,x5", "lw x3,0(x6)"]), Never);
    assembled(&mp(&fenced, &["lw x1,0(x2)", "beq x1,x0,L", "L:", "lw x3,0(x4)"]), Sometimes);
    assembled(&mp(&fenced, &["lr.w.aq x1,0(x2)", "lw x3,0(x4)"]), Never);
    let released = ["ori x1,x0,1", "sw x1,0(x2)", "amoswap.w.rl x0,x1,(x4)"];
    assembled(&mp(&released, &["lw x1,0(x2)", "fence r,rw", "lw x3,0(x4)"]), Never);
    let sb = |middle: &str| {
        let thread = ["ori x1,x0,1", "sw x1,0(x2)", middle, "lw x3,0(x4)"];
        table("RISCV", "0:x2=x; 0:x4=y; 1:x2=y; 1:x4=x;", &[&thread, &thread], "0:x3=0 /\\ 1:x3=0")
    };
    assembled(&sb("fence rw,rw"), Never);
    assembled(&sb("fence.tso"), Sometimes);
    let swap = |name: &str| {
        let thread = ["ori x1,x0,1".to_owned(), format!("{name} x5,x1,(x2)"), "lw x3,0(x4)".to_owned()];
        let thread: Vec<&str> = thread.iter().map(String::as_str).collect();
        table("RISCV", "0:x2=x; 0:x4=y; 1:x2=y; 1:x4=x;", &[&thread, &thread], "0:x3=0 /\\ 1:x3=0")
    };
    assembled(&swap("amoswap.w.aq"), Never);
    assembled(&swap("amoswap.w.rl"), Sometimes);
}

#[test]
fn x86_in_assembly() {
    use Verdict::{Never, Sometimes};
    // n6 of the x86-TSO paper, and the same with the buffer drained.
    let n6 = |drain: &[&str]| {
        let first = [&["movl $1,(x)"][..], drain, &["movl (x),%eax", "movl (y),%ebx"]].concat();
        table("X86_64", "int x=0; int y=0;", &[&first, &["movl $2,(y)", "movl $2,(x)"]], "x=1 /\\ 0:rax=1 /\\ 0:rbx=0")
    };
    assembled(&n6(&[]), Sometimes);
    assembled(&n6(&["mfence"]), Never);
    let ex = ["movl $1,%eax", "xchgl %eax,(x)"];
    assembled(&table("X86_64", "", &[&ex, &ex], "0:rax=0 /\\ 1:rax=0"), Never);
}

/// A test in assembly from its threads' instructions.
fn table(dialect: &str, init: &str, threads: &[&[&str]], condition: &str) -> String {
    let cells: Vec<Vec<&str>> =
        threads.iter().map(|thread| thread.iter().filter(|line| !line.is_empty()).copied().collect()).collect();
    let heading: Vec<String> = (0..cells.len()).map(|thread| format!("P{thread}")).collect();
    let mut text = format!("{dialect} test\n{{ {init} }}\n{} ;\n", heading.join(" | "));
    for row in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        let line: Vec<&str> = cells.iter().map(|column| column.get(row).copied().unwrap_or("")).collect();
        text.push_str(&format!("{} ;\n", line.join(" | ")));
    }
    text + &format!("exists ({condition})\n")
}
