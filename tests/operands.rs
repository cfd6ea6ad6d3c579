//! The order of the operands of an expression of C in the kernel's model. The verdicts and the numbers of states are those of
//! herd7 7.58 with the memory model of Linux 7.2, but for `&&`, `||` and `for`, which it does not read.

mod common;

use wakerace::arch::Atomics;
use wakerace::isa;
use wakerace::litmus::Verdict::{self, Never, Sometimes};
use wakerace::model::explain::explain;
use wakerace::model::{self, Bounds, Model, svg};

/// A writer of x, then y.
const MP: &str = "WRITE_ONCE(*x, 1); smp_wmb(); WRITE_ONCE(*y, 1);";
/// A writer of y.
const ONE: &str = "WRITE_ONCE(*y, 1);";
/// A reader of x, then y.
const READS: &str = "int r0; int r1; r0 = READ_ONCE(*x); smp_mb(); r1 = READ_ONCE(*y);";
/// The same, with an acquire.
const ACQUIRES: &str = "int r0; int r1; r0 = smp_load_acquire(x); r1 = READ_ONCE(*y);";

/// The name, P0, the other threads, the condition, the verdict and the number of states.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str, Verdict, usize);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("corr", "int r0 = READ_ONCE(*x) - READ_ONCE(*x);", &["WRITE_ONCE(*x, 1);"], r"0:r0=1", Sometimes, 3),
    ("add", "int r0; r0 = smp_load_acquire(y) + 10 * READ_ONCE(*x);", &[MP], r"0:r0=1", Sometimes, 4),
    ("less", "int r0; r0 = READ_ONCE(*x) < smp_load_acquire(y);", &[MP], r"0:r0=1", Sometimes, 2),
    ("if", "int r0 = 0; if (smp_load_acquire(y) > READ_ONCE(*x)) r0 = 1;", &[MP], r"0:r0=1", Sometimes, 2),
    ("while", "int r0 = 0; while (smp_load_acquire(y) > READ_ONCE(*x)) r0 = r0 + 1;", &[MP], r"0:r0=1", Sometimes, 2),
    ("statement", "WRITE_ONCE(*z, smp_load_acquire(y) + 10 * READ_ONCE(*x));", &[MP], r"z=1", Sometimes, 4),
    ("plain", "int r0 = smp_load_acquire(y) + 10 * *x;", &["*x = 1; smp_store_release(y, 1);"], r"0:r0=1", Sometimes, 4),
    ("full", "int r0; r0 = xchg(z, 1) + READ_ONCE(*y);", &["int r0; WRITE_ONCE(*y, 1); smp_mb(); r0 = READ_ONCE(*z);"], r"0:r0=0 /\ 1:r0=0", Sometimes, 4),
    ("same", "int r0; r0 = xchg(x, 1) + 10 * xchg(x, 2);", &[ONE], r"0:r0=2", Sometimes, 4),
    ("three", "int r0; r0 = (READ_ONCE(*x) + 10 * READ_ONCE(*x)) - 100 * READ_ONCE(*x);", &["WRITE_ONCE(*x, 1);"], r"0:r0=-89", Sometimes, 8),
    ("place", "**p = smp_load_acquire(y);", &["WRITE_ONCE(*p, z); smp_wmb(); WRITE_ONCE(*y, 1);"], r"x=1", Sometimes, 3),
    ("cmpxchg", "int r0; r0 = cmpxchg(z, smp_load_acquire(y) - 1, 10 * READ_ONCE(*x) + 1);", &[MP], r"z=1", Sometimes, 3),
    ("write-of-an-operand", "WRITE_ONCE(*x, xchg(x, 2) + 4);", &[ONE], r"x=2", Sometimes, 2),
    ("read-of-an-update", "int r0; r0 = atomic_fetch_add(READ_ONCE(*y), x);", &[ONE, READS], r"2:r0=1 /\ 2:r1=0", Sometimes, 6),
    ("statements", "int r0; int r1; r0 = smp_load_acquire(y); r1 = READ_ONCE(*x);", &[MP], r"0:r0=1 /\ 0:r1=0", Never, 3),
    ("value", "WRITE_ONCE(*y, READ_ONCE(*x) + 1);", &["int r0; r0 = READ_ONCE(*y); smp_mb(); WRITE_ONCE(*x, 1);"], r"y=2 /\ 1:r0=2", Never, 3),
    ("rounds", "int r0 = 0; int r1; for (r1 = 0; r1 < 2; r1++) { r0 = 2 * r0 + READ_ONCE(*x); }", &["WRITE_ONCE(*x, 1);"], r"0:r0=2", Never, 3),
    ("inner-write", "int r0; r0 = xchg(x, xchg(y, 2));", &[ONE, READS], r"2:r0=1 /\ 2:r1=0", Never, 7),
    ("inner-write-arithmetic", "int r0; r0 = atomic_add_return(xchg(y, 2), x);", &[ONE, READS], r"2:r0=1 /\ 2:r1=0", Sometimes, 9),
    ("inner-write-compare", "int r0; r0 = cmpxchg(x, xchg(y, 2), 3);", &[ONE, READS], r"2:r0=3 /\ 2:r1=0", Never, 8),
    ("fetched", "smp_store_release(x, atomic_fetch_add(READ_ONCE(*y), z) + 1);", &[ONE, ACQUIRES], r"z=1 /\ 2:r0=1 /\ 2:r1=0", Never, 7),
    ("exchanged", "smp_store_release(x, xchg(z, READ_ONCE(*y)) + 1);", &[ONE, ACQUIRES], r"z=1 /\ 2:r0=1 /\ 2:r1=0", Sometimes, 8),
    ("unwanted", "WRITE_ONCE(*z, atomic_add_unless(x, 1, READ_ONCE(*z)) + 4);", &[ONE], r"x=1", Never, 1),
    ("amount", "WRITE_ONCE(*z, atomic_add_unless(x, READ_ONCE(*z), 5) + 4);", &[ONE], r"x=5", Sometimes, 2),
    ("store-mb", "int r0; smp_store_mb(*x, READ_ONCE(*z) + 1); r0 = READ_ONCE(*y);", &["int r0; WRITE_ONCE(*y, 1); smp_mb(); r0 = READ_ONCE(*x);"], r"0:r0=0 /\ 1:r0=0", Never, 3),
    ("and", "int r0; r0 = smp_load_acquire(y) && (READ_ONCE(*x) == 0);", &[MP], r"0:r0=1", Never, 1),
    ("and-in-if", "int r0 = 0; if (smp_load_acquire(y) && READ_ONCE(*x) == 0) r0 = 1;", &[MP], r"0:r0=1", Never, 1),
    ("or", "int r0; r0 = (smp_load_acquire(y) == 0) || READ_ONCE(*x);", &[MP], r"0:r0=0", Never, 1),
    ("beside-and", "int r0; r0 = 10 * (smp_load_acquire(y) && READ_ONCE(*y)) + READ_ONCE(*x);", &[MP], r"0:r0=10", Sometimes, 4),
];

fn test((name, first, others, condition, ..): &Row) -> String {
    let bodies = [first].into_iter().chain(*others).enumerate();
    let threads: String =
        bodies.map(|(number, body)| format!("P{number}(int *x, int *y, int *z, int **p) {{ {body} }}\n")).collect();
    format!("C {name}\n{{ int *p=&x; }}\n{threads}locations [x;y;z;]\nexists ({condition})\n")
}

fn row(name: &str) -> String {
    test(ROWS.iter().find(|row| row.0 == name).expect("a row"))
}

#[test]
fn only_what_depends_on_each_other_has_an_order_within_an_expression() {
    let wrong: Vec<String> = ROWS
        .iter()
        .filter_map(|row| {
            let outcome = common::outcome(&test(row), Model::Lkmm);
            let found = (outcome.verdict, outcome.states.len());
            (found != (row.4, row.5)).then(|| format!("{}: {found:?}, not {:?}", row.0, (row.4, row.5)))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The emitted code evaluates operands from left to right, and sequential consistency is about that code.
#[test]
fn the_other_models_judge_the_code_that_is_emitted() {
    for name in ["add", "if", "statement", "cmpxchg"] {
        for model in [Model::Sc, Model::X86Tso, Model::Armv8, Model::Power, Model::Rvwmo] {
            assert_eq!(common::outcome(&row(name), model).verdict, Never, "{name}, {model}");
        }
    }
}

#[test]
fn two_operations_on_one_lock_in_an_expression_are_refused() {
    let judged = |value: &str| {
        let text =
            format!("C t\n{{}}\nP0(spinlock_t *l, spinlock_t *m) {{ int r0; r0 = {value}; }}\nexists (0:r0=1)\n");
        let code = isa::code_for(common::scenario(&text).judged(), Model::Lkmm, Atomics::Lse).unwrap();
        model::check(&code, Model::Lkmm, Bounds::default()).map(|outcome| outcome.verdict).map_err(|e| e.to_string())
    };
    for value in ["spin_trylock(l) + 2 * spin_trylock(l)", "spin_is_locked(l) - spin_trylock(l)"] {
        let error = judged(value).unwrap_err();
        assert!(error.contains("several operations on a lock"), "{error}");
    }
    assert_eq!(judged("spin_trylock(l) + 2 * spin_trylock(m)"), Ok(Never));
    assert_eq!(judged("spin_trylock(l) && spin_trylock(m)"), Ok(Verdict::Always));
}

/// Program order is drawn between statements, and not between the operands of one.
#[test]
fn a_picture_has_no_line_between_operands() {
    let lines = |name: &str| {
        let code = isa::code_for(common::scenario(&row(name)).judged(), Model::Lkmm, Atomics::Lse).unwrap();
        let found = explain(&code, Model::Lkmm, Bounds::default()).unwrap().expect("an execution");
        svg::svg(&code, Model::Lkmm, &found).matches("<path class=\"po\"").count()
    };
    // P1 has two lines.
    assert_eq!((lines("add"), lines("statements")), (2, 3));
}
