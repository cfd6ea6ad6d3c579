//! The tests of `wakerace conform`: two threads, in the C dialect, so that the architecture's own instructions are judged by the
//! architecture's own model. Most are forbidden everywhere; those without barriers show that reordering can be seen.

use crate::catalogue::Found;
use crate::litmus::Source;

/// Name, body of P0, body of P1, and condition.
type Row = (&'static str, &'static str, &'static str, &'static str);

const SB: &str = "exists (0:r0=0 /\\ 1:r0=0)";
const MP: &str = "exists (1:r0=1 /\\ 1:r1=0)";
const LB: &str = "exists (0:r0=1 /\\ 1:r0=1)";
const R: &str = "exists (y=2 /\\ 1:r0=0)";
const S: &str = "exists (x=2 /\\ 1:r0=1)";
const TWO: &str = "exists (x=2 /\\ y=2)";

const SUITE: [Row; 31] = [
    ("SB", "WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y);", "WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x);", SB),
    (
        "SB+mbs",
        "WRITE_ONCE(*x, 1); smp_mb(); r0 = READ_ONCE(*y);",
        "WRITE_ONCE(*y, 1); smp_mb(); r0 = READ_ONCE(*x);",
        SB,
    ),
    (
        "SB+release-acquire",
        "smp_store_release(x, 1); r0 = smp_load_acquire(y);",
        "smp_store_release(y, 1); r0 = smp_load_acquire(x);",
        SB,
    ),
    (
        "SB+mb+release-acquire",
        "WRITE_ONCE(*x, 1); smp_mb(); r0 = READ_ONCE(*y);",
        "smp_store_release(y, 1); r0 = smp_load_acquire(x);",
        SB,
    ),
    ("SB+xchgs", "r1 = xchg(x, 1); r0 = READ_ONCE(*y);", "r1 = xchg(y, 1); r0 = READ_ONCE(*x);", SB),
    (
        "SB+xchg-releases",
        "r1 = xchg_release(x, 1); r0 = READ_ONCE(*y);",
        "r1 = xchg_release(y, 1); r0 = READ_ONCE(*x);",
        SB,
    ),
    (
        "SB+rfis",
        "WRITE_ONCE(*x, 1); r1 = READ_ONCE(*x); r0 = READ_ONCE(*y);",
        "WRITE_ONCE(*y, 1); r1 = READ_ONCE(*y); r0 = READ_ONCE(*x);",
        SB,
    ),
    ("MP", "WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1);", "r0 = READ_ONCE(*y); r1 = READ_ONCE(*x);", MP),
    (
        "MP+wmb+rmb",
        "WRITE_ONCE(*x, 1); smp_wmb(); WRITE_ONCE(*y, 1);",
        "r0 = READ_ONCE(*y); smp_rmb(); r1 = READ_ONCE(*x);",
        MP,
    ),
    (
        "MP+mbs",
        "WRITE_ONCE(*x, 1); smp_mb(); WRITE_ONCE(*y, 1);",
        "r0 = READ_ONCE(*y); smp_mb(); r1 = READ_ONCE(*x);",
        MP,
    ),
    (
        "MP+release+acquire",
        "WRITE_ONCE(*x, 1); smp_store_release(y, 1);",
        "r0 = smp_load_acquire(y); r1 = READ_ONCE(*x);",
        MP,
    ),
    ("MP+xchg+acquire", "WRITE_ONCE(*x, 1); r0 = xchg(y, 1);", "r0 = smp_load_acquire(y); r1 = READ_ONCE(*x);", MP),
    (
        "MP+xchg-release+xchg-acquire",
        "WRITE_ONCE(*x, 1); r0 = xchg_release(y, 1);",
        "r0 = xchg_acquire(y, 2); r1 = READ_ONCE(*x);",
        MP,
    ),
    ("LB", "r0 = READ_ONCE(*x); WRITE_ONCE(*y, 1);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);", LB),
    (
        "LB+mbs",
        "r0 = READ_ONCE(*x); smp_mb(); WRITE_ONCE(*y, 1);",
        "r0 = READ_ONCE(*y); smp_mb(); WRITE_ONCE(*x, 1);",
        LB,
    ),
    ("LB+acquires", "r0 = smp_load_acquire(x); WRITE_ONCE(*y, 1);", "r0 = smp_load_acquire(y); WRITE_ONCE(*x, 1);", LB),
    ("LB+releases", "r0 = READ_ONCE(*x); smp_store_release(y, 1);", "r0 = READ_ONCE(*y); smp_store_release(x, 1);", LB),
    ("LB+datas", "r0 = READ_ONCE(*x); WRITE_ONCE(*y, r0);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0);", LB),
    ("R", "WRITE_ONCE(*x, 1); WRITE_ONCE(*y, 1);", "WRITE_ONCE(*y, 2); r0 = READ_ONCE(*x);", R),
    ("R+mbs", "WRITE_ONCE(*x, 1); smp_mb(); WRITE_ONCE(*y, 1);", "WRITE_ONCE(*y, 2); smp_mb(); r0 = READ_ONCE(*x);", R),
    (
        "R+release+release-acquire",
        "WRITE_ONCE(*x, 1); smp_store_release(y, 1);",
        "smp_store_release(y, 2); r0 = smp_load_acquire(x);",
        R,
    ),
    ("S", "WRITE_ONCE(*x, 2); WRITE_ONCE(*y, 1);", "r0 = READ_ONCE(*y); WRITE_ONCE(*x, 1);", S),
    (
        "S+release+acquire",
        "WRITE_ONCE(*x, 2); smp_store_release(y, 1);",
        "r0 = smp_load_acquire(y); WRITE_ONCE(*x, 1);",
        S,
    ),
    ("2+2W", "WRITE_ONCE(*x, 2); WRITE_ONCE(*y, 1);", "WRITE_ONCE(*y, 2); WRITE_ONCE(*x, 1);", TWO),
    (
        "2+2W+wmbs",
        "WRITE_ONCE(*x, 2); smp_wmb(); WRITE_ONCE(*y, 1);",
        "WRITE_ONCE(*y, 2); smp_wmb(); WRITE_ONCE(*x, 1);",
        TWO,
    ),
    (
        "2+2W+releases",
        "WRITE_ONCE(*x, 2); smp_store_release(y, 1);",
        "WRITE_ONCE(*y, 2); smp_store_release(x, 1);",
        TWO,
    ),
    ("CoRR", "WRITE_ONCE(*x, 1);", "r0 = READ_ONCE(*x); r1 = READ_ONCE(*x);", MP),
    ("CoWR", "WRITE_ONCE(*x, 1); r0 = READ_ONCE(*x);", "WRITE_ONCE(*x, 2);", "exists (x=1 /\\ 0:r0=2)"),
    ("CoRW", "r0 = READ_ONCE(*x); WRITE_ONCE(*x, 1);", "WRITE_ONCE(*x, 2);", "exists (x=2 /\\ 0:r0=2)"),
    ("xchg+xchg", "r0 = xchg(x, 1);", "r0 = xchg(x, 2);", SB),
    ("cmpxchg+cmpxchg", "r0 = cmpxchg(x, 0, 1);", "r0 = cmpxchg(x, 0, 2);", SB),
];

/// The sources of the tests.
pub fn conformance() -> Vec<Found> {
    let found = |(name, p0, p1, condition): Row| {
        let thread = |number: usize, body: &str| {
            format!("P{number}(int *x, int *y)\n{{\n\tint r0;\n\tint r1;\n\n{}}}\n\n", lines(body))
        };
        let text = format!("C {name}\n\n{{}}\n\n{}{}{condition}\n", thread(0, p0), thread(1, p1));
        let path = format!("conformance/{name}.litmus");
        Found { name: path.clone(), in_folder: true, text: Ok((Source::new(path, text), "conformance".to_owned())) }
    };
    SUITE.into_iter().map(found).collect()
}

/// The statements of a body, a line each.
fn lines(body: &str) -> String {
    body.split_inclusive(';').map(|statement| format!("\t{}\n", statement.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::{Arch, Atomics};
    use crate::catalogue::Scenario;
    use crate::litmus::Verdict;
    use crate::verdict::expectation;

    #[test]
    fn every_test_is_judged_on_every_architecture_and_most_are_forbidden() {
        for arch in Arch::ALL {
            let mut forbidden = Vec::new();
            for found in conformance() {
                let (source, group) = found.text.unwrap();
                let scenario = Scenario::to_run(&source, &group).unwrap_or_else(|error| panic!("{error}"));
                let verdict = expectation(&scenario, arch, Atomics::Lse).unwrap().race;
                assert!(verdict.is_some(), "{} on {arch}", scenario.name);
                if verdict == Some(Verdict::Never) {
                    forbidden.push(scenario.name);
                }
            }
            assert!(forbidden.len() >= 19, "{arch}: {forbidden:?}");
            let has = |name: &str| forbidden.iter().any(|known| known == name);
            assert!(
                has("SB+mbs") && has("MP+release+acquire") && has("CoRR") && has("cmpxchg+cmpxchg"),
                "{forbidden:?}"
            );
            assert!(!has("SB"), "{arch}");
        }
    }

    #[test]
    fn store_release_and_load_acquire_are_ordered_on_arm_and_not_on_x86() {
        let found = conformance().into_iter().find(|found| found.name.contains("SB+release-acquire")).unwrap();
        let (source, group) = found.text.unwrap();
        let scenario = Scenario::to_run(&source, &group).unwrap();
        let on = |arch| expectation(&scenario, arch, Atomics::Lse).unwrap().race;
        assert_eq!((on(Arch::Aarch64), on(Arch::X86_64)), (Some(Verdict::Never), Some(Verdict::Sometimes)));
    }
}
