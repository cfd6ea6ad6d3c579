//! Tests in the C of the Linux kernel. The annotations are named as in tools/memory-model: `PodWWOnceRelease`.

use super::super::edge::Dir;
use super::super::plan::{Access, Link, Plan};
use super::{Body, Change, Dep, Fence, Language, MarkKind, Rmw, Targets, Through};

pub(super) static LANGUAGE: Language = Language {
    word: "C",
    marks: &[
        MarkKind { name: "Once", on: Targets::Both },
        MarkKind { name: "Acquire", on: Targets::Reads },
        MarkKind { name: "Release", on: Targets::Writes },
        MarkKind { name: "Plain", on: Targets::Both },
    ],
    always_marked: true,
    fences: &[
        Fence { name: "FenceMb", code: "smp_mb();" },
        Fence { name: "FenceRmb", code: "smp_rmb();" },
        Fence { name: "FenceWmb", code: "smp_wmb();" },
        Fence { name: "FenceBarrier", code: "barrier();" },
        Fence { name: "FenceSync-rcu", code: "synchronize_rcu();" },
    ],
    strong: 0,
    deps: &[Dep::ADDR, Dep::DATA, Dep::CTRL],
    rmws: &[
        Rmw { name: "Exch", short: "exch", change: Change::Swap, returns: true, code: "xchg" },
        Rmw { name: "ExchMb", short: "exchmb", change: Change::Swap, returns: true, code: "xchg" },
        Rmw { name: "Cmpxchg", short: "cmpxchg", change: Change::Compare, returns: true, code: "cmpxchg" },
        Rmw { name: "CmpxchgMb", short: "cmpxchgmb", change: Change::Compare, returns: true, code: "cmpxchg" },
    ],
    sizes: false,
    usual: "Rfe,Fre,Coe,Pod**,FenceMbd**,FenceWmbdWW,FenceRmbdRR,DpAddrd*,DpDatadW,DpCtrldW,PodRWOnceRelease,PodWWOnceRelease,PodRRAcquireOnce,PodRWAcquireOnce",
    write,
};

/// One thread while it is written.
struct Thread<'p> {
    plan: &'p Plan,
    number: usize,
    registers: usize,
    lines: Vec<String>,
    /// The open `if` blocks.
    depth: usize,
    condition: Vec<String>,
}

impl Thread<'_> {
    fn line(&mut self, text: &str) {
        self.lines.push(format!("{}{text}", "\t".repeat(self.depth + 1)));
    }

    fn name(&self, access: &Access) -> &str {
        &self.plan.locations[access.location].name
    }

    /// Writes a statement that gives a register its value.
    fn assign(&mut self, call: &str, value: u64) -> usize {
        let register = self.registers;
        self.registers += 1;
        self.line(&format!("r{register} = {call};"));
        self.condition.push(format!("{}:r{register}={value}", self.number));
        register
    }

    fn accesses(&mut self, language: &Language, accesses: &[Access]) {
        let mut last: Option<(usize, u64)> = None;
        let mut at = 0;
        while let Some(access) = accesses.get(at) {
            let (mut pointer, mut value) = (self.name(access).to_owned(), access.value.to_string());
            match (access.link, last) {
                (Link::Fence(fence), _) => self.line(language.fences[fence].code),
                (Link::Dep(dep), Some((register, seen))) => match language.deps[dep].through {
                    Through::Address => pointer = format!("({pointer} + (r{register} & 0))"),
                    Through::Data => value = format!("(r{register} & 0) + {value}"),
                    Through::Control { .. } => {
                        self.line(&format!("if (r{register} == {seen}) {{"));
                        self.depth += 1;
                    }
                },
                _ => {}
            }
            let write = accesses.get(at + 1).filter(|next| matches!(next.link, Link::Rmw(_)));
            match (access.dir, write.map(|write| (write, write.link))) {
                (_, Some((write, Link::Rmw(rmw)))) => {
                    let call = update(&language.rmws[rmw], [access, write], &pointer);
                    self.assign(&call, access.value);
                    last = None;
                    at += 1;
                }
                (Dir::R, _) => {
                    let register = self.assign(&load(language, access, &pointer), access.value);
                    last = Some((register, access.value));
                }
                (Dir::W, _) => {
                    let text = store(language, access, &pointer, &value);
                    self.line(&text);
                }
            }
            at += 1;
        }
    }

    /// The function of the thread.
    fn text(mut self, parameters: &str) -> String {
        while self.depth > 0 {
            self.depth -= 1;
            self.line("}");
        }
        let registers: String = (0..self.registers).map(|register| format!("\tint r{register};\n")).collect();
        let blank = if registers.is_empty() { "" } else { "\n" };
        format!("P{}({parameters})\n{{\n{registers}{blank}{}\n}}\n\n", self.number, self.lines.join("\n"))
    }
}

fn order(language: &Language, access: &Access) -> &'static str {
    language.marks[access.mark.order].name
}

/// A pointer without the brackets around it.
fn bare(pointer: &str) -> &str {
    pointer.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(pointer)
}

fn load(language: &Language, access: &Access, pointer: &str) -> String {
    match order(language, access) {
        "Acquire" => format!("smp_load_acquire({})", bare(pointer)),
        "Plain" => format!("*{pointer}"),
        _ => format!("READ_ONCE(*{pointer})"),
    }
}

fn store(language: &Language, access: &Access, pointer: &str, value: &str) -> String {
    match order(language, access) {
        "Release" => format!("smp_store_release({}, {value});", bare(pointer)),
        "Plain" => format!("*{pointer} = {value};"),
        _ => format!("WRITE_ONCE(*{pointer}, {value});"),
    }
}

/// A call of xchg or cmpxchg. Without a full barrier its name tells its annotations.
fn update(rmw: &Rmw, [read, write]: [&Access; 2], pointer: &str) -> String {
    let ending = match (rmw.name.ends_with("Mb"), read.mark.order, write.mark.order) {
        (true, ..) => "",
        (_, 1, _) => "_acquire",
        (_, _, 2) => "_release",
        _ => "_relaxed",
    };
    let old = if rmw.change == Change::Compare { format!("{}, ", read.value) } else { String::new() };
    format!("{}{ending}({}, {old}{})", rmw.code, bare(pointer), write.value)
}

fn write(language: &Language, plan: &Plan) -> Result<Body, String> {
    let mut text = "{}\n\n".to_owned();
    let lasts = plan.locations.iter().filter_map(|location| Some(format!("[{}]={}", location.name, location.last?)));
    let mut condition: Vec<String> = lasts.collect();
    for (number, accesses) in plan.threads.iter().enumerate() {
        if accesses.windows(2).any(|pair| matches!(pair[1].link, Link::Rmw(_)) && is_both(pair)) {
            return Err("a read-modify-write is an acquire or a release, and with `Mb` both".to_owned());
        }
        let mut used: Vec<usize> = accesses.iter().map(|access| access.location).collect();
        used.sort_unstable();
        used.dedup();
        let parameters: Vec<String> =
            used.iter().map(|location| format!("int *{}", plan.locations[*location].name)).collect();
        let mut thread = Thread { plan, number, registers: 0, lines: Vec::new(), depth: 0, condition: Vec::new() };
        thread.accesses(language, accesses);
        condition.append(&mut thread.condition);
        text.push_str(&thread.text(&parameters.join(", ")));
    }
    Ok(Body { text, condition })
}

/// Whether a read-modify-write has annotations at both accesses, or is plain.
fn is_both(pair: &[Access]) -> bool {
    let orders = [pair[0].mark.order, pair[1].mark.order];
    orders == [1, 2] || orders.contains(&3)
}
