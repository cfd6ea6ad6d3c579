//! The C dialect: what herd7 reads, `check` reads, with herd7's verdict (7.58, with the memory model of Linux 7.2). What
//! cannot run natively is refused by `run`, by name and position.

mod common;

use std::fs;

use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue::{self, Scenario};
use wakerace::codegen::Pace;
use wakerace::isa;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::{Source, Verdict, parse};
use wakerace::model::{self, Bounds, Model, Outcome, herd_log};
use wakerace::program::{lower, lower_to_judge};

use Verdict::{Always, Never, Sometimes};
use common::{outcome, scenario};

/// What a test is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    /// It runs natively too.
    Run,
    /// It is only judged. `run` refuses it with this message.
    Judge(&'static str),
}

use For::{Judge, Run};

/// Checks herd7's verdict and number of states, and whether the test runs.
#[track_caller]
fn reads(text: &str, verdict: Verdict, states: usize, purpose: For) -> Outcome {
    let found = outcome(text, Model::Lkmm);
    assert_eq!((found.verdict, found.states.len()), (verdict, states), "{:?}\n{text}", found.states);
    let test = parse(&Source::new("t.litmus", text)).unwrap();
    match (purpose, lower(&test)) {
        (Run, Ok(program)) => {
            let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
            for arch in Arch::ALL {
                isa::emit(arch, &program, &layout, Pace::Paced)
                    .unwrap_or_else(|error| panic!("{arch}: {error}\n{text}"));
            }
        }
        (Judge(words), Err(error)) => {
            assert!(error.message().contains(words), "does not say '{words}': {error}");
            // No code is generated for what the models read more loosely.
            let program = lower_to_judge(&test).unwrap();
            let layout = Layout::new(LayoutKind::Padded, &program, 64).unwrap();
            let refused = isa::emit(Arch::X86_64, &program, &layout, Pace::Free).expect_err("is not emitted");
            assert!(refused.to_string().contains(words), "{refused}");
            let refused = Scenario::to_run(&Source::new("t.litmus", text), "").expect_err("does not run").to_string();
            assert!(refused.contains(words) && refused.contains("`wakerace check` judges this test"), "{refused}");
        }
        (Run, Err(error)) => panic!("does not run: {error}"),
        (Judge(words), Ok(_)) => panic!("runs, but should not: {words}\n{text}"),
    }
    found
}

/// A test with one thread.
fn one(init: &str, params: &str, body: &str, condition: &str) -> String {
    format!("C t\n{{ {init} }}\nP0({params})\n{{\n{body}\n}}\n{condition}\n")
}

#[test]
fn an_integer_may_hold_an_address() {
    // Message passing of an address through an intptr_t, as the tests of the RCU developers have it.
    let passed = |store: &str| {
        format!(
            "C t\n{{\n\ta=b;\n}}\n\nP0(intptr_t *a, intptr_t *c)\n{{\n\tintptr_t r3=c;\n\n\tWRITE_ONCE(*c, 7);\n\t{store}\n}}\n\n\
             P1(intptr_t *a)\n{{\n\tintptr_t r1 = (intptr_t)rcu_dereference(*(intptr_t **)a);\n\
             \tintptr_t r2 = READ_ONCE(*(intptr_t *)r1);\n}}\n\nexists\n(1:r1=c /\\ 1:r2=0)\n"
        )
    };
    reads(&passed("smp_store_release(a, r3);"), Never, 2, Run);
    reads(&passed("WRITE_ONCE(*a, r3);"), Sometimes, 3, Run);
    // The other types, without casts.
    for ty in ["int", "long", "int64_t", "uintptr_t"] {
        let text = format!(
            "C t\n{{ int x; int y=2; {ty} p=x; }}\nP0(int *y, {ty} *p) {{ WRITE_ONCE(*y, 1); smp_store_release(p, y); }}\n\
             P1({ty} *p) {{ r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0); }}\nexists (1:r0=y /\\ 1:r1=2)"
        );
        reads(&text, Never, 2, Run);
    }
    // A pointer in one place and a number in another.
    let both = one(
        "int *z=y; y=4;",
        "int *x, int **z",
        "int r0 = x; r0 = READ_ONCE(*z); r1 = READ_ONCE(*r0); r0 = 3; WRITE_ONCE(*x, r0);",
        "exists (x=3 /\\ 0:r1=4)",
    );
    reads(&both, Always, 1, Judge("the types do not fit"));
    let number = one("int *z=y;", "int **z", "WRITE_ONCE(*z, 5); r0 = READ_ONCE(*z);", "exists (0:r0=5 /\\ z=5)");
    reads(&number, Always, 1, Judge("the types do not fit"));
    let compared = one(
        "z=y; y=1;",
        "int *z",
        "r0 = READ_ONCE(*z); r1 = (r0 == 1); r2 = (r0 != 5); r3 = (r0 == 0);",
        "exists (0:r1=0 /\\ 0:r2=1 /\\ 0:r3=0)",
    );
    reads(&compared, Always, 1, Judge("a pointer cannot be compared with an integer"));
    // A variable that starts as its own address, and a chain.
    reads(
        &one("x=x;", "int *x", "r0 = READ_ONCE(*x); WRITE_ONCE(*r0, 1);", "exists (x=1)"),
        Always,
        1,
        Judge("the types do not fit"),
    );
    reads(
        &one(
            "x=y; y=z; z=5;",
            "int *x",
            "r0 = READ_ONCE(*x); r1 = READ_ONCE(*r0); r2 = READ_ONCE(*r1);",
            "exists (0:r2=5)",
        ),
        Always,
        1,
        Run,
    );
}

#[test]
fn an_execution_that_follows_null_does_not_finish() {
    let text = |body: &str| {
        format!(
            "C t\n{{ y=1; int *p=0; }}\nP0(int **p, int *y) {{ WRITE_ONCE(*p, y); }}\n\
             P1(int **p) {{ int *r0; int r1 = 7; r0 = READ_ONCE(*p); {body} }}\nexists (1:r1=1)"
        )
    };
    reads(&text("r1 = READ_ONCE(*r0);"), Always, 1, Judge("this pointer may be NULL here"));
    reads(&text("if (r0) r1 = READ_ONCE(*r0);"), Sometimes, 2, Run);
}

#[test]
fn what_is_never_written_is_zero() {
    reads(
        &one("", "int *x", "WRITE_ONCE(*x, r7 + 1);", "exists (x=1)"),
        Always,
        1,
        Judge("`r7` is not declared in P0"),
    );
    reads(&one("", "int *x", "WRITE_ONCE(*x, 1);", "exists (0:r5=0)"), Always, 1, Judge("P0 has no register `r5`"));
    reads(
        &one("", "int *x", "WRITE_ONCE(*x, 1);", "exists (z=0)"),
        Always,
        1,
        Judge("there is no shared variable `z`"),
    );
    reads(
        &one("", "int *x", "r0 = READ_ONCE(*x);", "exists (0:r0=z)"),
        Never,
        1,
        Judge("there is no shared variable `z`"),
    );
    reads(&one("int 0:r0=5;", "int *x", "WRITE_ONCE(*x, r0);", "exists (x=5)"), Always, 1, Run);
    // A shared variable that is no parameter has no value, but it can be accessed.
    reads(
        &one("y=3;", "int *x", "r0 = READ_ONCE(*y);", "exists (0:r0=3)"),
        Always,
        1,
        Judge("`y` is not declared in P0"),
    );
    let error =
        Scenario::new(&Source::new("t", one("y=3;", "int *x", "WRITE_ONCE(*x, y);", "exists (x=0)")), "").unwrap_err();
    assert!(error.to_string().contains("`y` is not declared in P0"), "{error}");
}

#[test]
fn an_implication_binds_tighter_than_and_and_or() {
    let text =
        |condition: &str| one("x=0; y=0;", "int *x, int *y", "WRITE_ONCE(*x, 0);", &format!("forall ({condition})"));
    reads(&text("x=1 /\\ y=0 => y=0"), Never, 1, Run);
    reads(&text("x=0 \\/ y=0 => y=1"), Always, 1, Run);
    reads(&text("x=1 => y=0 /\\ y=1"), Never, 1, Run);
    reads(&text("x=1 => y=1 => y=2"), Always, 1, Run);
    reads(&text("(x=1 /\\ y=0) => y=1"), Always, 1, Run);
    reads(&text("~x=1 /\\ y=1"), Never, 1, Run);
    // The same clauses stand below tests in assembly.
    let assembly = "X86 t\n{ x=0; y=0; }\n P0 ;\n MOV [x],$0 ;\nforall ([x]=1 /\\ [y]=0 => [y]=0)";
    let (code, model) = isa::parse_assembly(&Source::new("t", assembly)).unwrap();
    assert_eq!(model::check(&code, model, Bounds::default()).unwrap().verdict, Never);
}

#[test]
fn final_clauses_are_read_as_herd7_reads_them() {
    let text = |clauses: &str| {
        format!(
            "C t\n{{}}\nP0(int *x, spinlock_t *l) {{ int r0 = READ_ONCE(*x); int r1 = READ_ONCE(*x); }}\nP1(int *x) {{ WRITE_ONCE(*x, 1); }}\n{clauses}"
        )
    };
    reads(&text("exists (0:r0=0:r1)"), Sometimes, 3, Run);
    reads(&text("exists (0:r0<>0:r1);"), Sometimes, 3, Run);
    reads(&text("~ exists (0:r0=0:r1)"), Sometimes, 3, Run);
    reads(&text("final (0:r0=0:r1);\nwith tso: ~exists; power: forall;"), Sometimes, 3, Run);
    reads(&text("exists (0:r0=0:r1)\n<< a remark >>"), Sometimes, 3, Run);
    reads(
        &text("exists (0:r0=0:r1)").replace("P1(int", "P1(_Atomic int").replace("{}", "{ _Atomic int x; }"),
        Sometimes,
        3,
        Run,
    );
    reads(&text("exists (0:r1=[x] /\\ P0:r0 == 0x0) (* done *)"), Sometimes, 3, Run);
    reads(&text("locations [x int; 0:r0 int*; *x;]\nfilter (0:r0=1)\nforall (0:r1=1)"), Always, 1, Run);
    reads(&text("locations [x; l; 0:r0]\nexists (0:r1=1)"), Sometimes, 3, Judge("the lock `l` has no value"));
    reads(&text(""), Always, 1, Judge("needs `exists`, `~exists` or `forall`"));
    // herd7's log has `0:r0=0:r1` as the condition, and mcompare7 compares the conditions.
    let scenario = scenario(&text("exists (0:r0=0:r1)"));
    let code = isa::code_for(&scenario.program, Model::Lkmm, Atomics::Lse).unwrap();
    let log = herd_log::log(&code, &outcome(&text("exists (0:r0=0:r1)"), Model::Lkmm), 0.0);
    assert!(log.contains("Condition exists (0:r0=0:r1)"), "{log}");
    assert!(scenario.program.condition_text().contains("0:r0=0:r1"));
}

#[test]
fn loops_are_followed_as_herd7_follows_them() {
    let waiting = "C t\n{ }\nP0(int *x, int *y) { WRITE_ONCE(*y, 1); smp_store_release(x, 1); }\n\
                   P1(int *x, int *y) { int r0; r0 = smp_load_acquire(x); while (r0 == 0) { r0 = smp_load_acquire(x); }\n\
                   int r1 = READ_ONCE(*y); }\nexists (1:r1=0)";
    let found = reads(waiting, Never, 1, Run);
    assert!(found.cuts_loops);
    // What is behind a loop does not depend on its condition.
    let behind = "C t\n{ }\nP0(int *x, int *y) { int r0 = READ_ONCE(*x); while (r0 == 0) { r0 = READ_ONCE(*x); } WRITE_ONCE(*y, 1); }\n\
                  P1(int *x, int *y) { int r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0); }\nexists (1:r0=1)";
    let found = reads(behind, Always, 1, Run);
    assert!(found.cuts_loops);
    // Two rounds, as many as herd7 follows, and the third is cut: x is 1 or 2 at most twice.
    let counted = one(
        "",
        "int *x",
        "int r0 = READ_ONCE(*x); while (r0 < 3) { atomic_inc(x); r0 = READ_ONCE(*x); }",
        "exists (x=3)",
    );
    assert_eq!(outcome(&counted, Model::Lkmm).states.len(), 0);
    let counted = counted.replace("< 3", "< 2").replace("x=3", "x=2");
    reads(&counted, Always, 1, Run);
    // Rounds that constants count are all followed, and they run.
    for (body, value, ops) in [
        ("int r0 = 0; while (r0 < 3) { WRITE_ONCE(*x, r0); r0 = r0 + 1; }", 2, 3),
        ("for (int i = 0; i < 4; i++) WRITE_ONCE(*x, i);", 3, 4),
        ("int i = 3; do { WRITE_ONCE(*x, i); i -= 1; } while (i > 0);", 1, 3),
        ("int i; int j; for (i = 0, j = 9; i != j; i += 2, --j) { WRITE_ONCE(*x, j); }", 7, 3),
        ("int i; for (i = 0; i < 2; ++i) { int k = i; while (k) { WRITE_ONCE(*x, k); k--; } }", 1, 1),
    ] {
        // The last value is the one of the last round.
        let text = one("", "int *x", body, &format!("exists (x={value})"));
        assert_eq!(outcome(&text, Model::Lkmm).verdict, Always, "{body}");
        let program = lower(&parse(&Source::new("t", text.as_str())).unwrap()).unwrap();
        let stores = program.threads[0].ops.iter().filter(|op| op.address().is_some()).count();
        assert_eq!(stores, ops, "{body}");
    }
    reads(&one("", "int *x", "for (int i = 0; i < 3; i++) WRITE_ONCE(*x, i);", "exists (x=2)"), Always, 1, Run);
    // A counter that depends on what is read counts nothing.
    for body in [
        "int i = 0; if (*x) i = 1; while (i < 1) i++;",
        "int i = READ_ONCE(*x); while (i) i--;",
        "int i = 0; while (i < *x) i++;",
    ] {
        let program = lower(&parse(&Source::new("t", one("", "int *x", body, "exists (x=1)"))).unwrap()).unwrap();
        assert!(program.cuts_loops(), "{body}");
    }
    // An endless loop ends in an error, nested or not.
    for body in ["for (;;) ;", "while (1) while (1) { smp_mb(); }", "do { do ; while (1); } while (1);"] {
        let error =
            Scenario::new(&Source::new("t", one("", "int *x", body, "exists (x=1)")), "").unwrap_err().to_string();
        assert!(error.contains("more than 256 rounds") && error.contains("t:5:"), "{error}");
    }
}

/// What runs of a loop whose rounds depend on what is read: two rounds, and instances with more are not counted.
#[test]
fn a_loop_that_waits_runs_and_what_goes_round_more_often_is_excluded() {
    let counting = |below: usize| {
        let body = format!("int r0 = READ_ONCE(*x); while (r0 < {below}) {{ atomic_inc(x); r0 = READ_ONCE(*x); }}");
        one("", "int *x", &body, &format!("exists (x={below} /\\ 0:r0={below})"))
    };
    let lowered = |text: &str| lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
    let program = lowered(&counting(2));
    let named: Vec<String> = (0..program.columns.len()).map(|column| program.column_name(column)).collect();
    assert_eq!((named, program.displayed.clone()), (["x", "0:r0", "0:while"].map(String::from).to_vec(), vec![0, 1]));
    let row = |cut: i64| [2, 2, cut].map(wakerace::program::Const::Int);
    assert!(program.is_race(&row(0)) && !program.passes(&row(1)));
    // What runs has no jump back, and its register is 0 before the first access.
    let thread = &program.threads[0];
    assert!(thread.zeroed.contains(&thread.cut.unwrap()));
    // The rest of a filter stays.
    let filtered = lowered(&counting(2).replace("exists", "filter (x=7) exists"));
    assert!(!filtered.passes(&row(0)) && filtered.passes(&[7, 2, 0].map(wakerace::program::Const::Int)));
    let folder = tempfile::tempdir().unwrap();
    let ran = |name: &str, text: String, limit: &[&str]| -> serde_json::Value {
        let (file, json) = (format!("{name}.litmus"), format!("{name}.json"));
        fs::write(folder.path().join(&file), text.replacen("C t", &format!("C {name}"), 1)).unwrap();
        let wakerace = |args: &[&str]| {
            let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        wakerace(
            &[&["run", &file, "--no-save", "--no-controls", "-q", "--pace", "free", "--export-json", &json], limit]
                .concat(),
        );
        wakerace(&["validate", &json]);
        let record: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join(&json)).unwrap()).unwrap();
        record["results"][0].clone()
    };
    // Two rounds are enough to count to 2, and not enough to count to 3.
    let enough = ran("enough", counting(2), &["--iterations", "2000"]);
    assert!(enough["iterations"].as_u64().unwrap() > 0, "{enough}");
    assert_eq!((&enough["filtered"], &enough["races"]), (&0.into(), &enough["iterations"]));
    assert_eq!(enough["outcomes"][0]["values"]["0:while"], 0);
    let more = ran("more", counting(3), &["-d", "60ms"]);
    assert_eq!(more["iterations"], 0);
    assert!(more["filtered"].as_u64().unwrap() > 0, "{more}");
}

#[test]
fn an_array_has_a_variable_for_each_element() {
    let text =
        |body: &str, condition: &str| one("int x[2]={1,2}; int *p=&x[1];", "int *x, int *y, int **p", body, condition);
    let refused = Judge("an array does not run");
    reads(
        &text("int r0 = READ_ONCE(*x); WRITE_ONCE(*y, r0);", "exists (x[0]=1 /\\ x[1]=2 /\\ y=1)"),
        Always,
        1,
        refused,
    );
    reads(
        &text(
            "WRITE_ONCE(x[1], 7); r0 = READ_ONCE(*p); r1 = *r0; smp_store_release(&x[0], r1);",
            "exists (x[0]=7 /\\ 0:r0=x[1])",
        ),
        Always,
        1,
        refused,
    );
    for (condition, verdict) in [
        ("exists x={1,2}", Always),
        ("exists (x={1,2} /\\ x[0]=1)", Always),
        ("exists x={2,1}", Never),
        ("exists x<>{1,2}", Never),
        ("filter (x={1,2}) exists (x[1]=2)", Always),
    ] {
        reads(&text("smp_mb();", condition), verdict, 1, refused);
    }
    // As in herd7, a list equals only an array of as many elements, and one element is no array.
    for (condition, verdict) in [("x={1}", Never), ("x<>{1}", Always), ("y={1,2}", Never), ("y={1}", Never)] {
        reads(&text("WRITE_ONCE(*y, 1);", &format!("exists ({condition})")), verdict, 1, refused);
    }
    let whole = text("smp_mb();", "exists (x=1)");
    let error = Scenario::new(&Source::new("t.litmus", whole), "").expect_err("is refused").to_string();
    assert!(error.contains("`x` is an array, which a condition cannot compare"), "{error}");
    reads(&one("int z[1]={5};", "int *z", "int r0 = READ_ONCE(*z);", "exists (z={5})"), Never, 1, refused);
    reads(&one("int z[1]={5};", "int *z", "int r0 = READ_ONCE(*z);", "exists (z=5)"), Always, 1, refused);
    // `*(x + 1)` is `x[1]`.
    let moved = "r0 = READ_ONCE(*(x + 1)); r1 = READ_ONCE(*(0 + x)); WRITE_ONCE(*(x + 1), 7);";
    reads(&text(moved, "exists (0:r0=2 /\\ 0:r1=1 /\\ x={1,7})"), Always, 1, refused);
    // A register may have the name of the array.
    let hidden = "C t\n{ int x[2]={1,2}; int y=5; int *p=y; }\nP0(int **p) { int *x = READ_ONCE(*p); int r0 = READ_ONCE(*(x + 0)); }\n\
                  exists (0:r0=5)\n";
    assert_eq!(outcome(hidden, Model::Lkmm).verdict, Always);
    for (init, at, words) in [
        ("int x[2]={1};", "2:9", "as many values as it has elements"),
        ("x[2];", "2:3", "an array needs a type"),
        ("int x[0];", "2:9", "the number of elements"),
        ("int x[99];", "2:9", "the number of elements"),
        ("int x[2]; int x[3];", "2:17", "`x[0]` is initialised twice"),
    ] {
        let text = one(init, "int *x", "WRITE_ONCE(*x, 1);", "exists (x[0]=1)");
        let error = Scenario::new(&Source::new("t.litmus", text), "").expect_err("is refused").to_string();
        assert!(error.contains(words) && error.contains(&format!("t.litmus:{at}")), "not '{words}' at {at}: {error}");
    }
    // Displayed as by herd7: an array as a whole, the elements that are named by themselves, and one element as a variable.
    let log = |init: &str, condition: &str| {
        let scenario = scenario(&one(init, "int *x, int *y", "int r0 = READ_ONCE(*x);", condition));
        let code = isa::code_for(scenario.judged(), Model::Lkmm, Atomics::Lse).unwrap();
        herd_log::log(&code, &model::check(&code, Model::Lkmm, Bounds::default()).unwrap(), 0.0)
    };
    for (clauses, state) in [
        ("exists (x[1]=2)", "x[1]=2;"),
        ("exists (x={1,2} /\\ ~(x[1]<>2))", "x={1,2}; x[1]=2;"),
        ("locations [x; z;] exists (0:r0=1)", "0:r0=1; x={1,2}; z=5;"),
        ("locations [p; q;] exists (z=5 \\/ z={5})", "[p]=x; [q]=z; z=5;"),
        ("exists (z={5})", "z=5;"),
        ("exists (y={0} \\/ 0:r0={1})", "0:r0=1; [y]=0;"),
    ] {
        let log = log("int x[2]={1,2}; int z[1]={5}; int y; int *p=x; int *q=z;", clauses);
        assert!(log.contains(&format!("\nStates 1\n{state}\n")), "{clauses}: {log}");
    }
}

#[test]
fn a_false_address_dependency_orders_and_runs() {
    let mp = |address: &str| {
        format!(
            "C t\n{{ }}\nP0(int *x, int *y) {{ WRITE_ONCE(*x, 1); smp_wmb(); WRITE_ONCE(*y, 1); }}\n\
             P1(int *x, int *y) {{\n\tr0 = READ_ONCE(*y);\n\tr1 = (r0 ^ r0);\n\tr1000 = (x+r1);\n\tr2 = READ_ONCE(*{address});\n}}\n\
             exists (1:r0=1 /\\ 1:r2=0)"
        )
    };
    for address in ["r1000", "(x + (r0 & 0))", "(x + (r0 - r0))", "(x + (0 * r0))", "(x - r1)", "((r1 << 3) + x)"] {
        reads(&mp(address), Never, 3, Run);
    }
    reads(&mp("x"), Sometimes, 4, Run);
    // What may be another value is not added when the test runs.
    let refused = |before: &str, offset: &str| {
        let text = mp(&format!("(x + {offset})")).replace("r1 = (r0 ^ r0);", before);
        let error = lower(&parse(&Source::new("t", text)).unwrap()).expect_err(offset).to_string();
        assert!(error.contains("pointer arithmetic is not supported"), "{error}");
    };
    for offset in
        ["r0", "4", "(r0 + r0)", "(r0 & 1)", "(r0 | r0)", "(r0 ^ r1)", "(r0 == r0)", "~(r0 & 0)", "!r0", "-r0"]
    {
        refused("r1 = 0;", offset);
    }
    for before in [
        "r1 = r0 & 0; if (r0) r1 = r0;",
        "if (r0) r1 = 0; else r1 = r0;",
        "r1 = r0 ^ r0; r1 = READ_ONCE(*x);",
        "r1 = READ_ONCE(*y);",
    ] {
        refused(before, "r1");
    }
    let error = Scenario::new(&Source::new("t", mp("(x + r0)")), "").map(|scenario| {
        let code = isa::code_for(&scenario.program, Model::Lkmm, Atomics::Lse).unwrap();
        model::check(&code, Model::Lkmm, Bounds::default()).unwrap_err().to_string()
    });
    assert_eq!(error.unwrap(), "cannot be judged: the test computes with an address, or moves it out of its variable");
}

#[test]
fn declarations_and_statements_of_published_tests() {
    // Types that differ between threads, and a lock that is declared as an int.
    let lock = "C t\n{ }\nP0(int *x, int *l) { spin_lock(l); WRITE_ONCE(*x, 1); spin_unlock(l); }\n\
                void *P1(int *x, spinlock_t *l) { spin_lock(l); int r0 = READ_ONCE(*x); spin_unlock(l); }\nexists (1:r0=1)";
    reads(lock, Sometimes, 2, Judge("`l` has two types"));
    let atomic = "C t\n{ atomic_t y; }\nP0(int *x, atomic_t *y) { r0 = atomic_inc_return(y); }\nP1(int *x, int *y) { WRITE_ONCE(*y, 5); }\nexists (y=6)";
    reads(atomic, Sometimes, 2, Run);
    // The same register declared in both arms.
    let arms = one(
        "x=1;",
        "int *x",
        "int r0 = READ_ONCE(*x);\nif (r0) { int r1 = 1; } else if (r0 == 2) { int r1 = 2; } else { }",
        "exists (0:r1=1)",
    );
    reads(&arms, Always, 1, Judge("`r1` is declared twice in P0"));
    // Remarks and text in front of the initial values, a name with a remark, and what older kernels had.
    let old = "C old and a remark\nsome text (with parentheses)\nCom=Rf Fr\n\"a remark\"\n{ int *p = &x; }\nP0(int **p, int *y) { WRITE_ONCE(*y, 1); smp_wmb(); WRITE_ONCE(*p, y); }\n\
               P1(int **p) { int *r0 = lockless_dereference(*p); smp_read_barrier_depends(); (void)READ_ONCE(*p); *p; int r1 = READ_ONCE(*r0); }\n\
               exists (1:r0=y /\\ 1:r1=0)";
    reads(old, Never, 2, Run);
    assert_eq!(scenario(old).name, "old");
    // What stands for the initial values if they are missing is a thread, and no remark.
    let error = Scenario::new(&Source::new("t", "C t\nP0(int *x) { }\nexists (x=1)"), "").unwrap_err().to_string();
    assert!(error.contains("initial values") && error.contains("t:2:1"), "{error}");
}

#[test]
fn many_threads_are_judged_and_run() {
    let text = |count: usize| {
        let threads: String = (0..count).map(|n| format!("P{n}(int *x) {{ WRITE_ONCE(*x, {n}); }}\n")).collect();
        format!("C t\n{{}}\n{threads}exists (x=3)")
    };
    reads(&text(6), Sometimes, 6, Run);
    let many = text(17);
    let error = Scenario::to_run(&Source::new("t", many.as_str()), "").unwrap_err().to_string();
    assert!(error.contains("at most 16 threads") && error.contains("t:19:1"), "{error}");
    assert!(scenario(&many).program.cannot_run.is_some());
}

#[test]
fn comments_may_be_in_latin_1_and_a_byte_order_mark_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.litmus");
    let text = one("", "int *x", "WRITE_ONCE(*x, 1);", "exists (x=1)");
    let latin_1 = |text: &str| text.bytes().map(|byte| if byte == 1 { 0xe9 } else { byte }).collect::<Vec<u8>>();
    fs::write(&path, latin_1(&text.replacen('{', "(* Andr\u{1} *)\n{", 1).replace('\n', "\r\n"))).unwrap();
    let loaded = catalogue::load_file(&path).unwrap();
    assert_eq!(loaded.test.header.prose, ["Andr\u{e9}"]);
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    assert_eq!(catalogue::load_file(&path).unwrap().name, "t");
    assert_eq!(scenario(&format!("\u{feff}{text}")).name, "t");
    // Outside of comments it is still refused.
    fs::write(&path, latin_1(&text.replace("WRITE", "\u{1}"))).unwrap();
    let error = catalogue::load_file(&path).unwrap_err().to_string();
    assert!(error.contains("'é' is not allowed"), "{error}");
    fs::write(&path, b"C t\n\xff\x00").unwrap();
    assert!(catalogue::load_file(&path).unwrap_err().to_string().contains("is not UTF-8"));
}

#[test]
fn a_deadlock_is_a_test_without_a_state() {
    // As judgelitmus.sh of the kernel: `Never 0 0`, whether the lock or the filter is the reason.
    let text = "C t\n(*\n * Result: DEADLOCK\n *)\n{ }\nP0(int *x, spinlock_t *l) { spin_lock(l); WRITE_ONCE(*x, 1); spin_unlock(l); }\n\
                P1(int *x, spinlock_t *l) { spin_lock(l); int r0 = READ_ONCE(*x); int r1 = READ_ONCE(*x); spin_unlock(l); }\n\
                filter (1:r0=0 /\\ 1:r1=1)\nexists (1:r1=1)";
    let outcome = outcome(text, Model::Lkmm);
    let agrees = |text: &str| {
        wakerace::verdict::agrees(&scenario(text), Model::Lkmm, wakerace::arch::lock::Lock::Qspinlock, &outcome)
    };
    agrees(text).unwrap();
    // `Never` is right as well.
    agrees(&text.replace("DEADLOCK", "Never")).unwrap();
    assert!(agrees(&text.replace("DEADLOCK", "Always")).is_err());
}

#[test]
fn check_says_why_a_test_that_it_judges_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = one("", "int *x", "WRITE_ONCE(*x, 1);", "exists (0:r5=0)");
    fs::write(folder.path().join("t.litmus"), &text).unwrap();
    let run = |args: &[&str]| {
        let output = common::wakerace_in(folder.path()).args(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&["check", "--model", "lkmm", "t.litmus"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("Always 1"), "{out}");
    assert!(err.contains("note: t.litmus:7:11: `run` refuses this test: P0 has no register `r5`"), "{err}");
    assert!(err.ends_with("; `check` judges it\n"), "{err}");
    let (code, out, err) = run(&["check", "--model", "lkmm", "."]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for command in ["run", "show", "tune"] {
        let (code, out, err) = run(&[command, "t.litmus"]);
        assert_eq!(code, Some(2), "{command}: {out}{err}");
        assert!(err.contains("t.litmus:7:11") && err.contains("`wakerace check` judges this test"), "{command}: {err}");
    }
}
