//! RCU and SRCU: what `check` says about grace periods and read-side sections, and that nothing else takes such a test.
//! tests/verdicts/rcu.txt has the verdicts of herd7 on generated tests.

mod common;

use std::fs;

use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue::Scenario;
use wakerace::codegen::Pace;
use wakerace::isa;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::{Source, Verdict, primitive};
use wakerace::model::{self, Bounds, Flags, Model, ModelError, Outcome, explain};

use Verdict::{Never, Sometimes};
use common::{outcome, scenario};

#[track_caller]
fn judged(text: &str) -> Outcome {
    outcome(text, Model::Lkmm)
}

/// Message passing the other way round: P0 reads x and then y in a section, P1 writes x and then y around a grace period.
fn around(section: (&str, &str), grace: &str) -> String {
    let (lock, unlock) = section;
    format!(
        "C t\n{{}}\n\
         P0(int *x, int *y, struct srcu_struct *s, struct srcu_struct *t) {{ int i; int r0; int r1; {lock} r0 = READ_ONCE(*x); \
         r1 = READ_ONCE(*y); {unlock} }}\n\
         P1(int *x, int *y, struct srcu_struct *s, struct srcu_struct *t) {{ WRITE_ONCE(*x, 1); {grace} WRITE_ONCE(*y, 1); }}\n\
         exists (0:r0=0 /\\ 0:r1=1)\n"
    )
}

const RCU: (&str, &str) = ("rcu_read_lock();", "rcu_read_unlock();");
const SRCU: (&str, &str) = ("i = srcu_read_lock(s);", "srcu_read_unlock(s, i);");

#[test]
fn a_grace_period_waits_for_the_sections_of_its_domain() {
    let down = ("i = srcu_down_read(s);", "srcu_up_read(s, i);");
    let cases = [
        (RCU, "synchronize_rcu();", Never),
        (RCU, "synchronize_rcu_expedited();", Never),
        (RCU, "smp_mb();", Sometimes),
        (RCU, "synchronize_srcu(s);", Sometimes),
        (SRCU, "synchronize_srcu(s);", Never),
        (SRCU, "synchronize_srcu_expedited(s);", Never),
        (SRCU, "synchronize_srcu(t);", Sometimes),
        (SRCU, "synchronize_rcu();", Sometimes),
        (down, "synchronize_srcu(s);", Never),
        (("", ""), "synchronize_rcu();", Sometimes),
    ];
    for (section, grace, verdict) in cases {
        let outcome = judged(&around(section, grace));
        assert_eq!((outcome.verdict, outcome.flags), (verdict, Flags::NONE), "{section:?} {grace}");
    }
}

#[test]
fn a_section_that_the_test_does_not_close_is_flagged_and_orders_nothing() {
    let cases = [
        (("rcu_read_lock();", ""), "synchronize_rcu();", Sometimes, Flags::UNMATCHED_RCU_LOCK),
        (("", "rcu_read_unlock();"), "synchronize_rcu();", Sometimes, Flags::UNMATCHED_RCU_UNLOCK),
        (
            ("rcu_read_lock(); rcu_read_lock();", "rcu_read_unlock();"),
            "synchronize_rcu();",
            Never,
            Flags::UNMATCHED_RCU_LOCK,
        ),
        (("i = srcu_read_lock(s);", ""), "synchronize_srcu(s);", Sometimes, Flags::UNMATCHED_SRCU_LOCK),
        (("", "srcu_read_unlock(s, i);"), "synchronize_srcu(s);", Sometimes, Flags::UNMATCHED_SRCU_UNLOCK),
        (
            ("i = srcu_read_lock(s);", "srcu_read_unlock(s, i + 1);"),
            "synchronize_srcu(s);",
            Never,
            Flags::SRCU_BAD_VALUE_MATCH,
        ),
        (
            ("i = srcu_read_lock(s);", "srcu_read_unlock(t, i);"),
            "synchronize_srcu(s);",
            Sometimes,
            Flags::UNMATCHED_SRCU_LOCK | Flags::UNMATCHED_SRCU_UNLOCK,
        ),
        (
            ("i = srcu_read_lock(s);", "srcu_read_unlock(s, i); srcu_read_unlock(s, i);"),
            "synchronize_srcu(s);",
            Never,
            Flags::MULTIPLE_SRCU_MATCHES,
        ),
        (RCU, "rcu_read_lock(); synchronize_srcu(s); rcu_read_unlock();", Sometimes, Flags::INVALID_SLEEP),
    ];
    for (section, grace, verdict, flags) in cases {
        let outcome = judged(&around(section, grace));
        assert_eq!((outcome.verdict, outcome.flags), (verdict, flags), "{section:?} {grace}");
    }
    // A thread that waits for its own section never finishes.
    let outcome = judged(&around(RCU, "rcu_read_lock(); synchronize_rcu(); rcu_read_unlock();"));
    assert!(!outcome.finishes && outcome.states.is_empty(), "{outcome:?}");
}

/// P0 hands the index of its section to P1, which closes it. P2 waits for a grace period between its writes.
fn handed_over(up: &str) -> String {
    format!(
        "C t\n{{}}\n\
         P0(int *x, int *idx, int *f, struct srcu_struct *s) {{ int i; int r0; i = srcu_down_read(s); r0 = READ_ONCE(*x); \
         WRITE_ONCE(*idx, i); smp_store_release(f, 1); }}\n\
         P1(int *y, int *idx, int *f, struct srcu_struct *s) {{ int g; int j; int r1; g = smp_load_acquire(f); j = READ_ONCE(*idx); \
         r1 = READ_ONCE(*y); {up} }}\n\
         P2(int *x, int *y, struct srcu_struct *s) {{ WRITE_ONCE(*x, 1); synchronize_srcu(s); WRITE_ONCE(*y, 1); }}\n\
         filter (1:g=1)\nexists (0:r0=0 /\\ 1:r1=1)\n"
    )
}

#[test]
fn a_section_may_end_in_another_thread_that_gets_its_index() {
    let outcome = judged(&handed_over("srcu_up_read(s, j);"));
    assert_eq!((outcome.verdict, outcome.flags), (Never, Flags::NONE));
    let outcome = judged(&handed_over("srcu_up_read(s, 0);"));
    assert_eq!(outcome.verdict, Sometimes);
    assert_eq!(outcome.flags, Flags::UNMATCHED_SRCU_LOCK | Flags::UNMATCHED_SRCU_UNLOCK);
    assert_eq!(judged(&handed_over("srcu_up_read(s, j + 1);")).flags, Flags::SRCU_BAD_VALUE_MATCH);
}

#[test]
fn plain_accesses_around_a_grace_period_have_no_race() {
    let test = |grace: &str| {
        format!(
            "C t\n{{}}\n\
             P0(int *x, int *gone) {{ int r0; int r1; rcu_read_lock(); r0 = READ_ONCE(*gone); if (r0 == 0) r1 = *x; rcu_read_unlock(); }}\n\
             P1(int *x, int *gone) {{ WRITE_ONCE(*gone, 1); {grace} *x = 1; }}\n\
             exists (0:r1=1)\n"
        )
    };
    let outcome = judged(&test("synchronize_rcu();"));
    assert_eq!((outcome.verdict, outcome.data_race), (Never, false));
    assert!(judged(&test("smp_mb();")).data_race);
    // A grace period is a full barrier of its own thread.
    let behind = |barrier: &str| {
        format!(
            "C t\n{{}}\n\
             P0(int *x, int *y) {{ *x = 1; smp_store_release(y, 1); }}\n\
             P1(int *x, int *y) {{ int r0; int r1; r0 = READ_ONCE(*y); {barrier} r1 = *x; }}\n\
             filter (1:r0=1)\nexists (1:r1=0)\n"
        )
    };
    for (barrier, race) in [("synchronize_rcu();", false), ("rcu_read_lock(); rcu_read_unlock();", true)] {
        assert_eq!(judged(&behind(barrier)).data_race, race, "{barrier}");
    }
}

#[test]
fn a_grace_period_orders_plain_accesses_across_threads() {
    // rcu-fence is a strong fence: what P0 writes before its section ends is seen by all that comes behind the grace period.
    let fence = |grace: &str| {
        format!(
            "C t\n{{}}\n\
             P0(int *x, int *z) {{ int r0; rcu_read_lock(); r0 = READ_ONCE(*z); *x = 1; rcu_read_unlock(); }}\n\
             P1(int *y, int *z) {{ WRITE_ONCE(*z, 1); {grace} WRITE_ONCE(*y, 1); }}\n\
             P2(int *y, int *v) {{ int r0; r0 = READ_ONCE(*y); WRITE_ONCE(*v, r0); }}\n\
             P3(int *x, int *v) {{ int r0; int r1; r0 = smp_load_acquire(v); r1 = *x; }}\n\
             filter (0:r0=0 /\\ 3:r0=1)\nexists (3:r1=0)\n"
        )
    };
    // rb is a part of executes-before: the read of P0 comes before the write of P2.
    let before = |grace: &str| {
        format!(
            "C t\n{{}}\n\
             P0(int *x, int *z) {{ int r0; int r1; r0 = *x; smp_mb(); r1 = READ_ONCE(*z); }}\n\
             P1(int *z, int *w) {{ int r0; rcu_read_lock(); WRITE_ONCE(*z, 1); r0 = READ_ONCE(*w); rcu_read_unlock(); }}\n\
             P2(int *x, int *w, int *v) {{ WRITE_ONCE(*w, 1); {grace} WRITE_ONCE(*v, 1); smp_wmb(); *x = 1; }}\n\
             filter (0:r1=0 /\\ 1:r0=0)\nexists (0:r0=1)\n"
        )
    };
    for test in [fence("synchronize_rcu();"), before("synchronize_rcu();")] {
        let outcome = judged(&test);
        assert_eq!((outcome.verdict, outcome.data_race), (Never, false), "{test}");
    }
    for test in [fence("smp_mb();"), before("smp_mb();")] {
        assert!(judged(&test).data_race, "{test}");
    }
}

#[test]
fn other_flags_of_the_kernels_model() {
    let flags = |body: &str| {
        judged(&format!("C t\n{{}}\nP0(int *x, atomic_t *a, spinlock_t *l) {{ int r0; {body} }}\nexists (x=1)\n")).flags
    };
    for (body, mixed) in [
        ("*x = 1; r0 = READ_ONCE(*x);", true),
        ("WRITE_ONCE(*x, 1); *x = 2;", true),
        ("r0 = *x; WRITE_ONCE(*x, 1);", false),
        ("*x = 1; barrier(); r0 = READ_ONCE(*x);", false),
        ("*x = 1; rcu_read_lock(); rcu_read_unlock(); r0 = READ_ONCE(*x);", false),
        ("*x = 1; r0 = smp_load_acquire(x);", true),
        ("r0 = smp_load_acquire(x); *x = 1;", false),
        ("*x = 1; smp_store_release(x, 2);", false),
        ("smp_store_release(x, 2); *x = 1;", true),
        ("*x = 1; smp_mb(); r0 = READ_ONCE(*x);", false),
    ] {
        assert_eq!(flags(body), Flags::MIXED_ACCESSES.when(mixed), "{body}");
    }
    assert_eq!(flags("spin_lock(l); spin_unlock(l);"), Flags::NONE);
    assert_eq!(flags("spin_unlock(l);"), Flags::UNMATCHED_UNLOCK);
    assert_eq!(flags("spin_lock(l); spin_unlock(l); spin_unlock(l);"), Flags::UNMATCHED_UNLOCK);
}

#[test]
fn check_prints_the_flags_as_herd7_does() {
    let folder = tempfile::tempdir().unwrap();
    let text = around(
        ("i = srcu_read_lock(s);", "srcu_read_unlock(s, i + 1); *x = 1; WRITE_ONCE(*x, 2);"),
        "rcu_read_lock();",
    );
    fs::write(folder.path().join("t.litmus"), text).unwrap();
    let check = |args: &[&str]| {
        let output = common::wakerace_in(folder.path())
            .args(["check", "t.litmus", "--model", "lkmm"])
            .args(args)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let said = check(&[]);
    assert!(said.contains(", data race, srcu-bad-value-match, unmatched-rcu-lock"), "{said}");
    assert!(!said.contains("mixed"), "{said}");
    let log = check(&["--states"]);
    let flags: Vec<&str> = log.lines().filter(|line| line.starts_with("Flag ")).collect();
    assert_eq!(
        flags,
        ["Flag data-race", "Flag mixed-accesses", "Flag srcu-bad-value-match", "Flag unmatched-rcu-lock"],
        "{log}"
    );
    let json: serde_json::Value = serde_json::from_str(&check(&["--json"])).unwrap();
    let found = &json["tests"][0]["flags"];
    assert_eq!(*found, serde_json::json!(["mixed-accesses", "srcu-bad-value-match", "unmatched-rcu-lock"]));
    // Against a log that lacks a flag, it is a difference.
    fs::write(folder.path().join("herd.log"), log.replace("Flag srcu-bad-value-match\n", "")).unwrap();
    let said = check(&["--against", "herd.log"]);
    assert!(
        said.contains(
            "the flags srcu-bad-value-match, unmatched-rcu-lock, but the flags unmatched-rcu-lock in herd.log"
        ),
        "{said}"
    );
    fs::write(folder.path().join("herd.log"), log.replace("Flag mixed-accesses\n", "")).unwrap();
    let said = check(&["--against", "herd.log"]);
    assert!(!said.contains("in herd.log"), "{said}");
}

#[test]
fn an_execution_that_a_grace_period_forbids_is_explained() {
    let program = scenario(&around(RCU, "synchronize_rcu();")).program;
    let code = isa::code_for(&program, Model::Lkmm, Atomics::Lse).unwrap();
    let found = explain::explain(&code, Model::Lkmm, Bounds::default()).unwrap();
    let text = explain::text(&code, Model::Lkmm, found.as_ref());
    assert!(text.contains("Forbidden by \"rcu\"") && text.contains("--rcu-fence-->"), "{text}");
    assert!(text.contains("F[rcu-lock]") && text.contains("F[sync-rcu]") && text.contains("F[rcu-unlock]"), "{text}");
}

#[test]
fn only_the_kernels_model_judges_grace_periods() {
    for grace in ["synchronize_rcu();", "synchronize_srcu(s);"] {
        let scenario = scenario(&around(("", ""), grace));
        for model in Model::ALL.into_iter().filter(|model| *model != Model::Lkmm) {
            let refused = isa::code_for(&scenario.program, model, Atomics::Lse).map(|_| ());
            let words = "only the kernel's model has grace periods and SRCU";
            assert_eq!(refused, Err(ModelError::NotModelled(words)), "{model} {grace}");
        }
    }
}

#[test]
fn run_refuses_each_primitive_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in primitive::JUDGED_ONLY {
        let (call, missing) = match name {
            "srcu_read_unlock" | "srcu_up_read" => (format!("{name}(s, 0)"), "SRCU"),
            "synchronize_rcu" | "synchronize_rcu_expedited" => (format!("{name}()"), "grace periods"),
            "smp_mb__after_srcu_read_unlock" => (format!("{name}()"), "SRCU"),
            _ => (format!("{name}(s)"), "SRCU"),
        };
        let text = format!(
            "C t\n{{}}\nP0(struct srcu_struct *s, int *x) {{\n  WRITE_ONCE(*x, 1);\n  {call};\n}}\nexists (x=1)\n"
        );
        fs::write(folder.path().join("t.litmus"), &text).unwrap();
        for command in ["run", "show", "tune"] {
            let output = common::wakerace_in(folder.path()).args([command, "t.litmus"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{command} {name}: {said}");
            let words = format!("`{name}()` is judged by `check`; `run` has no {missing}");
            assert!(said.contains(&words) && said.contains("t.litmus:5:3"), "{command} {name}: {said}");
        }
        let program = scenario(&text).program;
        let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
        for arch in Arch::ALL {
            let refused = isa::emit(arch, &program, &layout, Pace::Paced).map(|_| ()).unwrap_err().to_string();
            assert!(
                refused.contains("P0") && refused.contains("(), which only `check` judges"),
                "{arch} {name}: {refused}"
            );
        }
    }
}

/// The macros of linux-kernel.def (Linux 7.2).
fn macros_of_the_kernels_model() -> Vec<String> {
    let once = "READ_ONCE WRITE_ONCE smp_store_release smp_load_acquire rcu_assign_pointer rcu_dereference smp_store_mb smp_mb smp_rmb \
                smp_wmb smp_mb__before_atomic smp_mb__after_atomic smp_mb__after_spinlock smp_mb__after_unlock_lock \
                smp_mb__after_srcu_read_unlock barrier spin_lock spin_unlock spin_trylock spin_is_locked rcu_read_lock \
                rcu_read_unlock synchronize_rcu synchronize_rcu_expedited srcu_read_lock srcu_read_unlock srcu_down_read \
                srcu_up_read synchronize_srcu synchronize_srcu_expedited atomic_read atomic_set atomic_read_acquire \
                atomic_set_release atomic_add atomic_sub atomic_and atomic_or atomic_xor atomic_inc atomic_dec atomic_andnot \
                atomic_sub_and_test atomic_dec_and_test atomic_inc_and_test atomic_add_unless";
    let ordered = "xchg cmpxchg atomic_xchg atomic_cmpxchg atomic_add_return atomic_sub_return atomic_inc_return atomic_dec_return \
                   atomic_fetch_add atomic_fetch_sub atomic_fetch_inc atomic_fetch_dec atomic_fetch_and atomic_fetch_or \
                   atomic_fetch_xor atomic_fetch_andnot atomic_add_negative";
    let orders = ["", "_relaxed", "_acquire", "_release"];
    let with_orders = ordered.split_whitespace().flat_map(|name| orders.map(|order| format!("{name}{order}")));
    once.split_whitespace().map(str::to_owned).chain(with_orders).collect()
}

#[test]
fn every_primitive_of_the_kernels_model_is_read() {
    let all = macros_of_the_kernels_model();
    assert_eq!(all.len(), 114);
    for name in all {
        assert!(primitive::find(&name).is_some(), "{name}");
    }
}

/// `run` refuses what has no meaning in C; herd7, which has no types, and so `check` read it.
#[test]
fn only_check_reads_srcu_domains_as_variables() {
    let test = |init: &str, body: &str, exists: &str| {
        let text = format!(
            "C t\n{{ {init} }}\nP0(struct srcu_struct *s, spinlock_t *l, int *x) {{ int i; {body} }}\nexists ({exists})\n"
        );
        Scenario::new(&Source::new("t.litmus", text), "").map_err(|error| error.to_string())
    };
    let judged = |init: &str, body: &str, exists: &str, reason: &str| {
        let scenario = test(init, body, exists).unwrap();
        let cannot_run = scenario.program.cannot_run.as_ref().expect("run refuses it").to_string();
        assert!(cannot_run.contains(reason), "{cannot_run}");
        scenario
    };
    judged("", "WRITE_ONCE(*s, 1);", "s=1", "struct srcu_struct *, expected a variable");
    judged("", "WRITE_ONCE(*l, 1);", "x=1", "spinlock_t *, expected a variable");
    judged("", "i = *s;", "0:i=0", "struct srcu_struct cannot be read or written");
    judged("", "i = srcu_read_lock(x);", "0:i=0", "int *, expected a struct srcu_struct *");
    judged("s=1;", "", "s=1", "the SRCU domain `s` must start as 0");
    judged("", "", "s=1", "the SRCU domain `s` has no value");
    let refused = |body: &str, words: &[&str]| {
        let error = test("", body, "x=1").unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused("spin_lock(s);", &["`spin_lock` does not work", "struct srcu_struct *, expected a spinlock_t *"]);
    refused(
        "i = srcu_read_lock(l);",
        &["`srcu_read_lock` does not work", "spinlock_t *, expected a struct srcu_struct *"],
    );
    assert!(test("struct srcu_struct s;", "", "x=1").is_ok());
}

/// The verdicts, numbers of states and races are those of herd7 with the model of Linux 7.2.
#[test]
fn a_domain_that_is_read_and_written_is_a_variable() {
    const LOCK: &str = "r1 = srcu_read_lock(s);";
    const UNLOCK: &str = "srcu_read_unlock(s, r1);";
    const LATER: &str = "WRITE_ONCE(*s, 1); r1 = srcu_read_lock(s);";
    let cases = [
        (LOCK, UNLOCK, "synchronize_srcu(s);", "", (Never, 3, false)),
        (LOCK, UNLOCK, "WRITE_ONCE(*s, 1); synchronize_srcu(s);", "", (Never, 3, false)),
        (LOCK, UNLOCK, "WRITE_ONCE(*s, 1);", "", (Sometimes, 4, false)),
        (LOCK, UNLOCK, "r1 = *s;", "", (Sometimes, 4, true)),
        ("r1 = READ_ONCE(*s);", "WRITE_ONCE(*s, r1);", "synchronize_srcu(s);", "", (Sometimes, 4, false)),
        (LATER, UNLOCK, "smp_mb();", " /\\ 0:r1=0", (Never, 4, false)),
        (LOCK, UNLOCK, "r1 = srcu_read_lock(s); srcu_read_unlock(s, r1);", " /\\ s=0", (Sometimes, 4, false)),
    ];
    for (lock, unlock, other, exists, expected) in cases {
        let outcome = judged(&format!(
            "C t\n{{}}\n\
             P0(int *x, int *y, struct srcu_struct *s) {{ int r0; int r1; {lock} r0 = READ_ONCE(*x); {unlock} \
             WRITE_ONCE(*y, 1); }}\n\
             P1(int *x, int *y, struct srcu_struct *s) {{ int r0; int r1; r0 = READ_ONCE(*y); {other} WRITE_ONCE(*x, 1); }}\n\
             exists (0:r0=1 /\\ 1:r0=1{exists})\n"
        ));
        let found = (outcome.verdict, outcome.states.len(), outcome.data_race);
        assert_eq!(found, expected, "{lock} {unlock} {other} {exists}");
    }
}

/// lock.cat gives the events of a lock no values: what else reads or writes the lock has nothing to read.
#[test]
fn a_lock_that_is_also_a_variable_is_refused() {
    let judged = |text: &str| {
        let code = isa::code_for(common::scenario(text).judged(), Model::Lkmm, Atomics::Lse).unwrap();
        let outcome = model::check(&code, Model::Lkmm, Bounds::default()).map_err(|error| error.to_string())?;
        Ok::<_, String>((outcome.verdict, outcome.states.len(), outcome.flags))
    };
    let test = |init: &str, ty: &str, first: &str, second: &str, condition: &str| {
        judged(&format!(
            "C t\n{{ {init} }}\nP0(int *x, {ty} *l) {{ int r0; {first} }}\nP1(int *x, {ty} *l) {{ int r0; {second} }}\nexists ({condition})\n"
        ))
    };
    let locks = "spin_lock(l); WRITE_ONCE(*x, 1); spin_unlock(l);";
    for ty in ["int", "spinlock_t"] {
        for other in ["r0 = xchg(l, 5);", "r0 = READ_ONCE(*l);", "WRITE_ONCE(*l, 1);", "r0 = *l;"] {
            let error = test("", ty, locks, other, "1:r0=1").unwrap_err();
            assert!(error.contains("`l` is a lock, and it is also read or written as a variable"), "{error}");
        }
        // Without an operation of locks it is a variable. herd7 7.58 says the same.
        let first = "r0 = xchg_acquire(l, 1); WRITE_ONCE(*x, 1); smp_store_release(l, 0);";
        let second = "r0 = xchg_acquire(l, 1); WRITE_ONCE(*x, 2); smp_store_release(l, 0);";
        assert_eq!(test("", ty, first, second, "0:r0=1 /\\ 1:r0=0").unwrap(), (Verdict::Sometimes, 3, Flags::NONE));
    }
    let error = test("int l=1;", "int", locks, "", "x=1").unwrap_err();
    assert!(error.contains("the lock `l` must start unlocked"), "{error}");
    // The final value of a lock is 0 for herd7, whether or not it is held.
    for (condition, verdict) in [("l=0", Verdict::Always), ("l=1", Verdict::Never)] {
        assert_eq!(test("", "int", "spin_lock(l);", "", condition).unwrap(), (verdict, 1, Flags::LOCK_FINAL));
    }
    // An SRCU domain has values.
    let reader = "r0 = srcu_read_lock(l); srcu_read_unlock(l, r0);";
    let mixed = test("", "int", reader, "r0 = READ_ONCE(*l);", "1:r0=0").unwrap();
    assert_eq!(mixed, (Verdict::Always, 1, Flags::MIXED_LOCK_ACCESSES));
    let last = test("", "int", reader, "synchronize_srcu(l);", "l=0").unwrap();
    assert_eq!(last, (Verdict::Always, 1, Flags::LOCK_FINAL));
}
