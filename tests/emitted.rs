//! The models judge what runs: the events they see are those of the emitted instructions, read back by a disassembler.

mod common;

use common::targets::TARGETS;
use wakerace::arch::Arch;
use wakerace::catalogue::{self, Scenario};
use wakerace::codegen::{Pace, Part, Target, disassemble};
use wakerace::isa;
use wakerace::isa::emit;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::Source;
use wakerace::model::Model;
use wakerace::model::code::Step;
use wakerace::model::event::Tags;
use wakerace::program::Program;

/// What an instruction does, as the models have it; `None` for those that only compute, move or jump.
fn events(arch: Arch, text: &str) -> Option<Vec<(char, Tags)>> {
    let text = text.strip_prefix("rex ").unwrap_or(text);
    let mut words = text.split_whitespace();
    let word = words.next()?;
    let both = |read: Tags, write: Tags| Some(vec![('R', read), ('W', write)]);
    let one = |kind, tags| Some(vec![(kind, tags)]);
    let memory = text.contains('[');
    match arch {
        Arch::X86_64 => match word {
            "lock" if text.contains("rsp") => one('F', Tags::MFENCE),
            "lock" | "xchg" => both(Tags::AMO, Tags::AMO),
            "mfence" => one('F', Tags::MFENCE),
            "mov" | "movzx" | "movsx" if memory => {
                let target = text.split(',').next().unwrap_or("");
                one(if target.contains('[') { 'W' } else { 'R' }, Tags::NONE)
            }
            _ => None,
        },
        Arch::Aarch64 => {
            let ordered = |letters: &str| {
                let acquires = if letters.contains('a') { Tags::ACQUIRE } else { Tags::NONE };
                let releases = if letters.contains('l') { Tags::RELEASE } else { Tags::NONE };
                // Without a result it is a store.
                let noreturn = if text.contains("wzr") || word.starts_with("st") { Tags::NORETURN } else { Tags::NONE };
                both(Tags::AMO | acquires | noreturn, Tags::AMO | releases)
            };
            match word {
                "dmb" | "dsb" => one(
                    'F',
                    match words.next()? {
                        "ishld" | "ld" => Tags::DMB_LD,
                        "ishst" | "st" if word == "dsb" => Tags::DSB_ST,
                        "ishst" | "st" => Tags::DMB_ST,
                        _ => Tags::DMB_FULL,
                    },
                ),
                "ldr" | "ldrb" | "ldrh" => one('R', Tags::NONE),
                "ldar" => one('R', Tags::ACQUIRE),
                "ldxr" => one('R', Tags::EXCLUSIVE),
                "ldaxr" => one('R', Tags::EXCLUSIVE | Tags::ACQUIRE),
                "str" | "strb" | "strh" => one('W', Tags::NONE),
                "stlr" | "stlrb" => one('W', Tags::RELEASE),
                "stxr" => one('W', Tags::EXCLUSIVE),
                "stlxr" => one('W', Tags::EXCLUSIVE | Tags::RELEASE),
                _ => {
                    let stems = ["cas", "swp", "ldadd", "ldclr", "ldset", "ldeor", "stadd", "stclr", "stset", "steor"];
                    stems.into_iter().find_map(|stem| word.strip_prefix(stem)).and_then(ordered)
                }
            }
        }
        Arch::Powerpc64le => match word {
            "sync" | "hwsync" => one('F', Tags::SYNC),
            "lwsync" => one('F', Tags::LWSYNC),
            "isync" => one('F', Tags::ISYNC),
            "lwarx" | "ldarx" => one('R', Tags::EXCLUSIVE),
            "stwcx." | "stdcx." => one('W', Tags::EXCLUSIVE),
            "lwz" | "ld" | "lwa" => one('R', Tags::NONE),
            "stw" | "std" | "sth" => one('W', Tags::NONE),
            _ => None,
        },
        Arch::Riscv64gc => {
            let parts: Vec<&str> = word.split('.').collect();
            let marks = match parts.last() {
                Some(&"rl") => Tags::RELEASE,
                Some(&"aqrl") => Tags::ACQUIRE | Tags::RELEASE,
                _ => Tags::NONE,
            };
            match parts[0] {
                "fence" => {
                    let sides: String = text["fence".len()..].split_whitespace().collect();
                    let (before, after) = sides.split_once(',').unwrap_or(("iorw", "iorw"));
                    let side = |side: &str, r: Tags, w: Tags| {
                        let reads = if side.contains(['r', 'i']) { r } else { Tags::NONE };
                        reads | if side.contains(['w', 'o']) { w } else { Tags::NONE }
                    };
                    let before = side(before, Tags::FENCE_PR, Tags::FENCE_PW);
                    one('F', before | side(after, Tags::FENCE_SR, Tags::FENCE_SW))
                }
                "lr" => one('R', marks | Tags::EXCLUSIVE),
                "sc" => one('W', marks | Tags::EXCLUSIVE),
                "lw" | "ld" | "lb" | "lbu" => one('R', Tags::NONE),
                "sw" | "sd" | "sb" | "sh" => one('W', Tags::NONE),
                name if name.starts_with("amo") => both(marks | Tags::AMO, marks | Tags::AMO),
                _ => None,
            }
        }
    }
}

/// The events of a thread's steps, in their order, as if everything that may fail were done.
fn steps(steps: &[Step]) -> Vec<(char, Tags)> {
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Read { tags, .. } => out.push(('R', *tags)),
            Step::Write { tags, .. } => out.push(('W', *tags)),
            Step::Fence(tags) => out.push(('F', *tags)),
            Step::Update(update) => {
                out.extend([('R', update.read), ('W', update.write)]);
                out.extend(update.after.map(|tags| ('F', tags)));
            }
            _ => {}
        }
    }
    out
}

/// Compares a program's emitted instructions with what the models see. `looks` says how many plain reads stand before
/// atomic ones that the models leave out; POWER has none.
fn compare_but(program: &Program, looks: usize) {
    let layout = Layout::new(LayoutKind::Padded, program, 128).unwrap();
    for (column, target @ Target { arch, .. }) in TARGETS {
        let code = emit(target, program, &layout, Pace::Free).unwrap();
        let model = isa::code_for(program, Model::of(arch), target.choices()).unwrap();
        for (emitted, seen) in code.iter().zip(&model.threads) {
            let own = disassemble(emitted).unwrap().into_iter().filter(|i| matches!(i.part, Part::Op(_)));
            let mut ran: Vec<(char, Tags)> = own.filter_map(|i| events(arch, &i.text)).flatten().collect();
            for _ in 0..if arch == Arch::Powerpc64le { 0 } else { looks } {
                let atomic = |tags: Tags| tags.any(Tags::AMO | Tags::EXCLUSIVE);
                let looks = |pair: &[(char, Tags)]| pair[0] == ('R', Tags::NONE) && atomic(pair[1].1);
                ran.remove(ran.windows(2).position(looks).expect("a look before an atomic read"));
            }
            assert_eq!(ran, steps(&seen.steps), "{} on {column}", program.name);
        }
    }
}

fn compare(program: &Program) {
    compare_but(program, 0);
}

#[test]
fn every_scenario_is_judged_as_it_runs() {
    for scenario in catalogue::all().unwrap() {
        if Arch::ALL.into_iter().all(|arch| scenario.refused_by(arch).is_none()) {
            compare(&scenario.program);
        }
    }
}

#[test]
fn every_primitive_is_judged_as_it_runs() {
    let orders = ["", "_relaxed", "_acquire", "_release"];
    let mut calls = vec![
        "r = READ_ONCE(*x);".to_owned(),
        "WRITE_ONCE(*x, 1); smp_mb(); smp_rmb(); smp_wmb(); smp_store_mb(*x, 1); smp_store_release(x, 1);".to_owned(),
        "r = smp_load_acquire(x); smp_acquire__after_ctrl_dep(); mb();".to_owned(),
        "spin_lock(l); smp_mb__after_spinlock(); spin_unlock(l); smp_mb__after_unlock_lock();".to_owned(),
        "atomic_inc(a); smp_mb__after_atomic(); smp_mb__before_atomic(); atomic_add(2, a); r = atomic_dec_and_test(a);"
            .to_owned(),
    ];
    for order in orders {
        calls.push(format!("r = xchg{order}(x, 1); r = cmpxchg{order}(x, 0, 1);"));
        calls.push(format!("r = atomic_fetch_add{order}(1, a); r = atomic_add_return{order}(1, a);"));
    }
    for call in calls {
        let text = format!("C t\n{{}}\nP0(int *x, spinlock_t *l, atomic_t *a) {{ int r; {call} }}\nexists (x=1)");
        compare(&Scenario::new(&Source::new(call, text), "").unwrap().program);
    }
    let text =
        "C t\n{}\nP0(int *x, spinlock_t *l) { int r; r = spin_trylock(l); r = spin_is_locked(l); }\nexists (x=1)";
    compare_but(&Scenario::new(&Source::new("trylock", text), "").unwrap().program, 1);
}
