//! Tests of the litmus front end: which texts it accepts, which it refuses and with which message, and that
//! it never panics.

use proptest::prelude::*;
use wakerace::arch::{Arch, Atomics};
use wakerace::catalogue::Scenario;
use wakerace::codegen::Pace;
use wakerace::isa::{code_for, emit};
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::{Source, parse};
use wakerace::model::{self, Bounds, Model};
use wakerace::program::{Program, lower, lower_to_judge};

fn program(text: &str) -> Result<Program, String> {
    let test = parse(&Source::new("test.litmus", text)).map_err(|error| error.to_string())?;
    lower(&test).map_err(|error| error.to_string())
}

/// A test with one thread that has this body and the variables `x` and `y`.
fn with_body(body: &str) -> String {
    format!("C t\n{{}}\nP0(int *x, int *y) {{\n{body}\n}}\nexists (x=1)")
}

#[track_caller]
fn accepted(text: &str) -> Program {
    match program(text) {
        Ok(program) => program,
        Err(error) => panic!("{error}"),
    }
}

/// Checks that a text is refused at `at` (`line:column`) with a message that contains all `words`.
#[track_caller]
fn refused(text: &str, at: &str, words: &[&str]) {
    let error = program(text).expect_err("should be refused");
    assert!(error.contains(&format!("test.litmus:{at}")), "not at {at}:\n{error}");
    for word in words {
        assert!(error.contains(word), "does not say '{word}':\n{error}");
    }
}

/// herd7 drops the extension of a file's name from the name of a test, in its logs too.
#[test]
fn a_test_that_is_named_like_its_file_has_the_name_without_the_extension() {
    let named = |name: &str| {
        let c = accepted(&with_body("").replacen("C t", &format!("C {name}"), 1)).name;
        let text = format!("AArch64 {name}\n{{ 0:X1=x; }}\n P0 ;\n LDR W0,[X1] ;\nexists (0:X0=0)\n");
        let assembly = Scenario::new(&Source::new("t.litmus", text), "").unwrap().name;
        assert_eq!(c, assembly);
        c
    };
    assert_eq!(named("CoWW+sil.litmus"), "CoWW+sil");
    assert_eq!(named("dir/x.litmus.litmus"), "dir/x.litmus");
    assert_eq!(named("a.b.foo"), "a.b.foo");
    assert_eq!(named(".litmus"), ".litmus");
}

#[test]
fn every_way_the_kernels_own_tests_are_written() {
    // This covers untyped and typed initial values, an address without `&`, a variable that only the initial
    // values name, all three kinds of comments in every place, and a quoted remark and `Key=value` lines
    // after the name.
    accepted(
        "C MP+all\n\"a remark\"\nCom=Rf Fr\n(* outer (* inner *) *)\n{\ny=z;\nz=0; int w = 3; /* c */ spinlock_t l; atomic_t a = ATOMIC_INIT(2); // x\n}\n\
         static void P0(int *x, int **y) // Producer\n{\n\t/* a (* b */ WRITE_ONCE(*x, 1);\n\trcu_assign_pointer(*y, x);\n}\n\n(* between *)\n\
         P1(int *x, int **y, spinlock_t *l)\n{\n\tint *r0;\n\tint r1 = 0, r2;\n\n\trcu_read_lock();\n\tr0 = rcu_dereference(*y);\n\tr1 = READ_ONCE(*r0);\n\
         \trcu_read_unlock();\n\tr2 = spin_is_locked(l);\n}\nlocations [1:r2; x; z] (* why *)\nfilter (1:r2=0)\nexists (1:r0=x /\\ 1:r1=0 /\\ ~(w=4 \\/ x=7))",
    );
    accepted("C one\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); WRITE_ONCE(*x, 2); }\nexists (x=1)");
    accepted(
        "C forall\n{ [x]=1; 0:r0=5; }\nP0(int *x) { int r0; r0 = READ_ONCE(*x) + r0; }\nforall (0:r0=6 /\\ [x]=1 \\/ false)",
    );
    accepted(&with_body("int a = READ_ONCE(*x); *y = a; if (*y == 1) WRITE_ONCE(*x, 1); else { smp_mb(); }"));
}

#[test]
fn every_primitive_of_the_dialect() {
    let calls = [
        "r = READ_ONCE(*x);",
        "WRITE_ONCE(*x, r);",
        "r = smp_load_acquire(x);",
        "smp_store_release(x, 1);",
        "smp_store_mb(*x, 1);",
        "smp_mb(); smp_rmb(); smp_wmb(); barrier(); mb(); rmb(); wmb();",
        "smp_mb__before_atomic(); smp_mb__after_atomic(); smp_mb__after_spinlock(); smp_mb__after_unlock_lock();",
        "smp_acquire__after_ctrl_dep();",
        "rcu_read_lock(); rcu_read_unlock();",
        "r = xchg(x, 1); r = xchg_relaxed(x, 1); r = xchg_acquire(x, 1); xchg_release(x, 1);",
        "r = cmpxchg(x, 0, 1); r = cmpxchg_relaxed(x, 0, 1); r = cmpxchg_acquire(x, 0, 1); r = cmpxchg_release(x, 0, r);",
        "r = atomic_read(a); atomic_set(a, 1); r = atomic_read_acquire(a); atomic_set_release(a, 2);",
        "atomic_add(3, a); atomic_sub(r, a); atomic_inc(a); atomic_dec(a); atomic_and(1, a); atomic_or(1, a); atomic_xor(1, a); atomic_andnot(1, a);",
        "r = atomic_add_return(1, a); r = atomic_sub_return_relaxed(1, a); r = atomic_inc_return_acquire(a); r = atomic_dec_return_release(a);",
        "r = atomic_fetch_add(1, a); r = atomic_fetch_sub_relaxed(1, a); r = atomic_fetch_inc(a); r = atomic_fetch_and(1, a); r = atomic_fetch_andnot(r, a);",
        "r = atomic_dec_and_test(a); r = atomic_inc_and_test(a); r = atomic_sub_and_test(2, a); r = atomic_add_negative(1, a);",
        "r = atomic_xchg(a, 1); r = atomic_cmpxchg(a, 0, 1);",
        "r = atomic_add_unless(a, 1, r); r = atomic_fetch_add_unless(a, r, 0); r = atomic_inc_not_zero(a);",
        "spin_lock(l); spin_unlock(l); r = spin_trylock(l); r = spin_is_locked(l);",
        "__builtin_nontemporal_store(1, x);",
        "*x = 1; r = *x; r = -r + ~r * 2 - (3 & r | 4 ^ r) << 1 >> 2; r = !r; r = r < 1; r = r && *x || r;",
    ];
    for call in calls {
        accepted(&format!("C t\n{{}}\nP0(int *x, atomic_t *a, spinlock_t *l) {{ int r = 0; {call} }}\nexists (0:r=1)"));
    }
}

#[test]
fn what_is_not_a_test_is_refused_where_it_goes_wrong() {
    refused("", "1:1", &["the file is empty"]);
    refused("   \n\n", "1:1", &["the file is empty"]);
    refused("AArch64 MP\n{}\n", "1:1", &["not a C litmus test", "expected `C NAME`"]);
    refused("C t\n(* never ends", "2:1", &["this comment never ends", "*)"]);
    refused("C t\n{}\nP0(int *x) { /* WRITE_ONCE(*x, 1); }", "3:14", &["this comment never ends", "*/"]);
    refused("C t\nP0(int *x) { }", "2:1", &["initial values"]);
    refused("C t\n{ x=1; x=2; }\nP0(int *x) { }\nexists (x=1)", "2:8", &["initialised twice"]);
    refused("C t\n{}\nexists (x=1)", "3:1", &["expected a thread"]);
    refused("C t\n{}\nP1(int *x) { }\nexists (x=1)", "3:1", &["expected the thread P0"]);
    refused("C t\n{}\nP0(int x) { }\nexists (x=1)", "3:8", &["not a pointer"]);
    refused("C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1) }\nexists (x=1)", "3:32", &["expected `;`"]);
    refused(
        "C t\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); ",
        "3:33",
        &["expected a statement or `}`, found the end of the file"],
    );
    refused("C t\n{}\nP0(int *x) { }\n", "4:1", &["`exists`, `~exists` or `forall`"]);
    refused("C t\n{}\nP0(int *x) { }\nexist (x=1)", "4:1", &["expected `exists`, `~exists` or `forall`"]);
    refused("C t\n{}\nP0(int *x) { }\nexists (x=1) x", "4:14", &["the end of the file"]);
    let threads = |count: usize| -> String {
        let all: String = (0..count).map(|n| format!("P{n}(int *x) {{ WRITE_ONCE(*x, {n}); }}\n")).collect();
        format!("C t\n{{}}\n{all}exists (x=1)")
    };
    accepted(&threads(16));
    refused(&threads(17), "19:1", &["a test that runs has at most 16 threads"]);
    refused(&threads(129), "131:1", &["a test has at most 128 threads"]);
    refused("C t\n{}\nP0(int *x) { é }\nexists (x=1)", "3:14", &["is not allowed in a litmus test"]);
}

#[test]
fn what_means_nothing_is_refused_in_words() {
    refused(&with_body("READ_ONEC(*x);"), "4:1", &["unknown primitive `READ_ONEC`", "did you mean `READ_ONCE`"]);
    refused(&with_body("call_rcu();"), "4:1", &["`call_rcu` cannot be judged or run", "no RCU callbacks"]);
    refused(&with_body("synchronize_rcu(1);"), "4:1", &["takes 0 arguments, found 1"]);
    refused(&with_body("synchronize_srcu(x);"), "4:18", &["does not work on this variable", "struct srcu_struct *"]);
    refused(&with_body("srcu_read_unlock(x);"), "4:1", &["takes 2 arguments, found 1"]);
    refused(&with_body("WRITE_ONCE(*x, r0);"), "4:16", &["`r0` is not declared in P0"]);
    refused(&with_body("WRITE_ONCE(*z, 1);"), "4:13", &["`z` is not declared"]);
    refused(&with_body("int r0; int r0;"), "4:13", &["declared twice"]);
    refused(&with_body("WRITE_ONCE(x, 1);"), "4:12", &["takes the variable itself", "expected `*x`"]);
    refused(&with_body("smp_store_release(*x, 1);"), "4:19", &["takes the variable's address"]);
    refused(&with_body("WRITE_ONCE(*x);"), "4:1", &["takes 2 arguments, found 1"]);
    refused(&with_body("spin_lock(x);"), "4:11", &["does not work on this variable", "spinlock_t"]);
    refused(&with_body("int r0 = smp_mb();"), "4:10", &["has no value"]);
    refused(&with_body("while (1) smp_mb();"), "4:1", &["the loops of P0 have more than 256 rounds"]);
    refused(&with_body("while (1) break;"), "4:11", &["`break` is not part of the litmus dialect"]);
    refused(&with_body("int r0; r0 = *x ? 1 : 2;"), "4:17", &["the operator `?`"]);
    refused(&with_body("int r0; r0 = *x / 2;"), "4:17", &["the operator `/`"]);
    refused(&with_body("int r0; r0;"), "4:11", &["expected `=` and a value"]);
    refused(&with_body("int r0; r0 = 1 << r0;"), "4:14", &["shift count"]);
    refused(&with_body("int *r0; r0 = x + 1;"), "4:15", &["pointer arithmetic is not supported"]);
    refused(&with_body("WRITE_ONCE(*x, y);"), "4:16", &["types do not fit", "this is int *, expected int"]);
    let condition =
        |text: &str| format!("C t\n{{}}\nP0(int *x, spinlock_t *l) {{ int r0; r0 = READ_ONCE(*x); }}\nexists ({text})");
    refused(&condition("1:r0=1"), "4:9", &["no thread P1", "last thread is P0"]);
    refused(&condition("0:r1=1"), "4:11", &["P0 has no register `r1`", "its registers are `r0`"]);
    refused(&condition("z=1"), "4:9", &["no shared variable `z`"]);
    refused(&condition("l=1"), "4:9", &["the lock `l` has no value"]);
    refused(&condition("0:r0=x"), "4:14", &["an integer cannot equal an address"]);
    refused(&condition("0:r0"), "4:13", &["expected `=`"]);
    refused(
        "C t\n(* riscv64gc ticket: Never\n riscv64gc ticket: Never *)\n{}\nP0(int *x) { }\nexists (x=1)",
        "3:20",
        &["`riscv64gc ticket:` occurs twice"],
    );
    refused(
        "C t\n(* x86_64 ticket: Never *)\n{}\nP0(int *x) { }\nexists (x=1)",
        "2:19",
        &["the kernel of x86_64 has no such lock"],
    );
    refused("C t\n(* Match: x=1\n Match: x=2 *)\n{}\nP0(int *x) { }\nexists (x=1)", "3:9", &["`Match:` occurs twice"]);
    refused(
        "C t\n(* Match: 1:r0 *)\n{}\nP0(int *x) { }\nexists (x=1)",
        "2:15",
        &["expected `=` and a value", "`Match:` takes a condition"],
    );
    refused("C t\n(* x86_64: Maybe *)\n{}\nP0(int *x) { }\nexists (x=1)", "2:12", &["Never, Sometimes or Always"]);
}

#[test]
fn no_pointer_that_may_be_null_is_dereferenced() {
    let reader = |init: &str, body: &str| {
        format!(
            "C t\n{{ {init} }}\nP0(int *x, int **p) {{ {} }}\nP1(int **p) {{ int *r0; int r1; {body} }}\nexists (1:r1=1)",
            "WRITE_ONCE(*p, x);"
        )
    };
    let load = "r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0);";
    accepted(&reader("p=&z; z=0;", load));
    refused(&reader("", load), "4:68", &["this pointer may be NULL here"]);
    for guard in ["if (r0)", "if (r0 != NULL)", "if (NULL != r0)", "if (!(r0 == 0))", "if (r0 && 1)"] {
        accepted(&reader("", &format!("r0 = READ_ONCE(*p); {guard} r1 = READ_ONCE(*r0);")));
    }
    for guard in ["if (!r0)", "if (r0 == 0)", "if (r1)", "if (r0 || 1)"] {
        let error = program(&reader("", &format!("r0 = READ_ONCE(*p); {guard} r1 = READ_ONCE(*r0);"))).unwrap_err();
        assert!(error.contains("may be NULL"), "{guard}: {error}");
    }
    // The guard does not protect a pointer that is loaded again after it.
    let again = "r0 = READ_ONCE(*p); if (r0) { r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0); }";
    assert!(program(&reader("", again)).unwrap_err().contains("may be NULL"));
    // Another thread may store NULL, directly or through a second pointer. Then a non-NULL initial value is
    // not enough.
    let nulls = "C t\n{ p=&z; q=&p; z=0; }\nP0(int **p) { WRITE_ONCE(*p, 0); }\n";
    let direct = format!("{nulls}P1(int **p) {{ int *r0; int r1; {load} }}\nexists (1:r1=1)");
    assert!(program(&direct).unwrap_err().contains("may be NULL"));
    let indirect = "C t\n{ p=&z; q=&p; z=0; }\nP0(int ***q) { int **r; r = READ_ONCE(*q); WRITE_ONCE(*r, 0); }\n";
    let indirect = format!("{indirect}P1(int **p) {{ int *r0; int r1; {load} }}\nexists (1:r1=1)");
    assert!(program(&indirect).unwrap_err().contains("may be NULL"));
}

#[test]
fn types_keep_every_access_within_its_variable() {
    let wide = "C t\n{ int x; long *p = &x; }\nP0(long **p) { }\nexists (x=1)";
    assert!(program(wide).unwrap_err().contains("types do not fit"));
    assert!(program(&with_body("long *r; r = x;")).unwrap_err().contains("types do not fit"));
    assert!(program(&with_body("long *r; r = (long *)x;")).unwrap_err().contains("types do not fit"));
    // A register that is declared as a pointer may hold an integer. Then it cannot be dereferenced.
    for integer in ["int r; int *q; r = READ_ONCE(*x); q = r;", "int *q; q = 64;"] {
        accepted(&with_body(integer));
        let error = program(&with_body(&format!("{integer} WRITE_ONCE(*q, 1);"))).unwrap_err();
        assert!(error.contains("only a pointer can be dereferenced"), "{error}");
    }
    let both = "int r; int *q; r = READ_ONCE(*x); q = r; q = y;";
    assert!(program(&with_body(both)).unwrap_err().contains("types do not fit"));
}

#[test]
fn deep_nesting_ends_in_an_error_and_not_in_a_full_stack() {
    let deep =
        |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(20_000), close.repeat(20_000));
    let texts = [
        with_body(&format!("int r; r = {};", deep("(", "1", ")"))),
        with_body(&format!("int r; r = {};", deep("- ", "1", ""))),
        with_body(&format!("int r; r = 1{};", " + 1".repeat(20_000))),
        with_body(&format!("int r; {}", deep("if (1) ", "r = 1;", ""))),
        with_body(&deep("{", "", "}")),
        format!("C t\n{{}}\nP0(int *x) {{ }}\nexists {}", deep("(", "x=1", ")")),
        format!("C t\n{{}}\nP0(int *x) {{ }}\nexists {}", deep("~", "x=1", "")),
        format!("C t\n{}{{}}\n", "(*".repeat(20_000)),
    ];
    for text in texts {
        let error = program(&text).unwrap_err();
        assert!(error.contains("deep") || error.contains("never ends"), "{error}");
    }
    // A chain of terms is not nested, so its length is not limited by depth.
    accepted(&format!("C t\n{{}}\nP0(int *x) {{ }}\nexists x=1{}", " /\\ x=1".repeat(20_000)));
    let error = program(&with_body(&format!("int r; r = 1{};", " + 1".repeat(65)))).unwrap_err();
    assert!(error.contains("more than 64 operators in a row"), "{error}");
}

#[test]
fn a_chain_of_conditions_is_no_nesting() {
    // The longest chain, of 20,000 terms, is 140 kB long; a file may have 256 KiB.
    for count in [64, 65, 66, 1000, 20_000] {
        for link in [" /\\ ", " && ", " \\/ ", " || "] {
            let atoms: Vec<String> = (0..count).map(|number| format!("x={}", number % 7)).collect();
            let test = format!("C t\n{{}}\nP0(int *x) {{ WRITE_ONCE(*x, 1); }}\nexists ({})", atoms.join(link));
            let shown = program(&test).unwrap_or_else(|error| panic!("{count}{link}: {error}")).to_string();
            // No term is lost, and the order is kept.
            let condition = shown.lines().last().unwrap().replace(['(', ')'], "");
            let spelled = if link.contains(['/', '|']) && !link.contains("/\\") { " \\/ " } else { " /\\ " };
            assert!(condition == format!("exists {}", atoms.join(spelled)), "{count}{link}");
        }
    }
    // A long chain is also accepted inside of 60 parentheses.
    let deep = format!("{}x=1{}{}", "(".repeat(60), " /\\ x=1".repeat(100), ")".repeat(60));
    program(&format!("C t\n{{}}\nP0(int *x) {{ }}\nexists {deep}")).unwrap();
}

/// Parses a text, lowers it, and emits code for both paces and two layouts, as far as it is accepted.
fn all_the_way(text: &str) {
    if let Ok(program) = program(text) {
        for kind in [LayoutKind::Padded, LayoutKind::Packed] {
            let layout = Layout::new(kind, &program, 64).unwrap();
            for pace in [Pace::Free, Pace::Paced] {
                let _ = emit(Arch::X86_64, &program, &layout, pace);
            }
        }
        let _ = program.to_string();
    }
    // What the models read more loosely is followed without a panic, too.
    let Ok(test) = parse(&Source::new("test.litmus", text)) else { return };
    if let Ok(program) = lower_to_judge(&test) {
        let _ = program.to_string();
        let code = code_for(&program, Model::Lkmm, Atomics::Lse);
        let _ = code.and_then(|code| {
            model::check(&code, Model::Lkmm, Bounds { traces: 40, candidates: 200, ..Bounds::default() })
        });
    }
}

/// Pieces of litmus files.
const PIECES: [&str; 70] = [
    "while (r0 == 0)",
    "for (r1 = 0; r1 < 2; r1++)",
    "do",
    "+=",
    "++",
    "(int *)",
    "r0 = READ_ONCE(*x);",
    "WRITE_ONCE(*r0, x);",
    "int x[2]={1,2};",
    "x[1]",
    "C t\n",
    "{}",
    "{",
    "}",
    "P0",
    "P1",
    "P9",
    "(",
    ")",
    "int *x",
    "int **p",
    "spinlock_t *l",
    "atomic_t *a",
    ";",
    ",",
    "int",
    "r0",
    "r1",
    "x",
    "p",
    "l",
    "a",
    "=",
    "==",
    "*",
    "&",
    "+",
    "-",
    "~",
    "!",
    "/\\",
    "\\/",
    "exists",
    "forall",
    "filter",
    "locations",
    "[",
    "]",
    ":",
    "0",
    "1",
    "99999999999999999999",
    "-1",
    "READ_ONCE",
    "WRITE_ONCE",
    "smp_mb();",
    "spin_lock",
    "cmpxchg",
    "atomic_fetch_and",
    "if",
    "else",
    "(*",
    "*)",
    "/*",
    "*/",
    "//",
    "\n",
    " ",
    "é",
    "\0",
];

const WHOLE: &str = "C t\n(* Result: Never\n x86_64: Never\n Match: 1:r0=1 *)\n{ p=&x; }\nP0(int *x, int **p, spinlock_t *l, atomic_t *a)\n{\n\tint r0 = 1;\n\tint *q;\n\
    \tspin_lock(l);\n\tif (r0 == 1 && !*x) { WRITE_ONCE(*p, x); } else r0 = atomic_fetch_and(3, a);\n\tq = READ_ONCE(*p);\n\tif (q) *q = cmpxchg(x, 0, r0 + 2);\n\
    \tspin_unlock(l);\n}\nP1(int *x)\n{\n\tint r0;\n\tr0 = smp_load_acquire(x);\n}\nlocations [x;]\nfilter (x=1)\nexists (1:r0=1 /\\ ~(0:q=x))";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_text_parses_or_is_refused(text in "\\PC{0,200}") {
        all_the_way(&text);
        all_the_way(&format!("C t\n{{}}\n{text}"));
        all_the_way(&with_body(&text));
    }

    #[test]
    fn any_soup_of_pieces_parses_or_is_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..80)) {
        let text = pieces.join(" ");
        all_the_way(&format!("C t\n{text}"));
        all_the_way(&with_body(&text));
    }

    #[test]
    fn any_damage_to_a_good_test_parses_or_is_refused(
        at in 0..WHOLE.len(), length in 0_usize..30, piece in prop::sample::select(&PIECES[..])
    ) {
        let end = (at + length).min(WHOLE.len());
        all_the_way(&format!("{}{piece}{}", &WHOLE[..at], &WHOLE[end..]));
        all_the_way(&WHOLE[..at]);
    }
}

#[test]
fn the_test_that_is_damaged_is_good() {
    accepted(WHOLE);
}
