//! Mutants of tests: one barrier left out, or one ordered access made a plain one, as MC Mutants does (R. Levine, T. Guo,
//! M. Cho, A. Baker, R. Levien, D. Neto, A. Quinn, T. Sorensen, ASPLOS 2023). A mutant whose outcome becomes allowed
//! by the change must be seen by a campaign that claims to test the order that was left out.

use crate::catalogue::Scenario;
use crate::litmus::{Source, naming};

/// A barrier or an ordered access, and what takes its place.
struct Rule {
    from: &'static str,
    to: &'static str,
}

/// Rules for tests in C. The text behind the name up to the closing parenthesis stays.
const CALLS: [Rule; 12] = [
    Rule { from: "smp_mb", to: "" },
    Rule { from: "smp_mb", to: "smp_wmb" },
    Rule { from: "smp_mb", to: "smp_rmb" },
    Rule { from: "smp_wmb", to: "" },
    Rule { from: "smp_rmb", to: "" },
    Rule { from: "smp_mb__before_atomic", to: "" },
    Rule { from: "smp_mb__after_atomic", to: "" },
    Rule { from: "smp_mb__after_spinlock", to: "" },
    Rule { from: "smp_mb__after_unlock_lock", to: "" },
    Rule { from: "smp_store_release", to: "WRITE_ONCE" },
    Rule { from: "smp_load_acquire", to: "READ_ONCE" },
    Rule { from: "smp_store_mb", to: "WRITE_ONCE" },
];

/// Rules for tests in assembly: the first words of an instruction. An empty replacement leaves the instruction out.
const INSTRUCTIONS: [Rule; 40] = [
    Rule { from: "mfence", to: "" },
    Rule { from: "dmb sy", to: "" },
    Rule { from: "dmb sy", to: "dmb ld" },
    Rule { from: "dmb sy", to: "dmb st" },
    Rule { from: "dmb ish", to: "" },
    Rule { from: "dmb ish", to: "dmb ishld" },
    Rule { from: "dmb ish", to: "dmb ishst" },
    Rule { from: "dmb ld", to: "" },
    Rule { from: "dmb st", to: "" },
    Rule { from: "dmb ishld", to: "" },
    Rule { from: "dmb ishst", to: "" },
    Rule { from: "dsb sy", to: "" },
    Rule { from: "dsb ish", to: "" },
    Rule { from: "isb", to: "" },
    Rule { from: "stlr", to: "str" },
    Rule { from: "stlrb", to: "strb" },
    Rule { from: "stlrh", to: "strh" },
    Rule { from: "ldar", to: "ldr" },
    Rule { from: "ldarb", to: "ldrb" },
    Rule { from: "ldarh", to: "ldrh" },
    Rule { from: "ldapr", to: "ldr" },
    Rule { from: "ldar", to: "ldapr" },
    Rule { from: "stlxr", to: "stxr" },
    Rule { from: "ldaxr", to: "ldxr" },
    Rule { from: "sync", to: "" },
    Rule { from: "sync", to: "lwsync" },
    Rule { from: "lwsync", to: "" },
    Rule { from: "lwsync", to: "eieio" },
    Rule { from: "eieio", to: "" },
    Rule { from: "isync", to: "" },
    Rule { from: "fence rw,rw", to: "" },
    Rule { from: "fence rw,rw", to: "fence r,rw" },
    Rule { from: "fence rw,rw", to: "fence rw,w" },
    Rule { from: "fence r,r", to: "" },
    Rule { from: "fence w,w", to: "" },
    Rule { from: "fence r,rw", to: "" },
    Rule { from: "fence rw,w", to: "" },
    Rule { from: "fence w,r", to: "" },
    Rule { from: "fence.tso", to: "" },
    Rule { from: "fence.i", to: "" },
];

/// The sources of the mutants of a test, each with a sentence about the change. Whether a mutant is a valid test, and whether
/// its outcome is allowed, is for the caller to find out.
pub fn mutants(scenario: &Scenario) -> Vec<(Source, String)> {
    let source = &scenario.test.source;
    let text = source.text();
    let changes = if scenario.program.language.is_some() { in_assembly(text) } else { in_c(text) };
    let named = changes.into_iter().enumerate().filter_map(|(number, (changed, change))| {
        // The verdicts and names that the header declares are those of the test and not of its mutants.
        let changed = without_comments(&changed);
        let changed = renamed(&changed, &scenario.name, &format!("{}+M{}", scenario.name, number + 1))?;
        Some((Source::new(format!("{} (mutant)", source.name()), changed), change))
    });
    named.collect()
}

/// The text with another name of the test, which stands behind the language on the first line.
fn renamed(text: &str, name: &str, new: &str) -> Option<String> {
    let end = text.find('\n')?;
    let at = text[..end].rfind(name)?;
    Some(format!("{}{new}{}", &text[..at], &text[at + name.len()..]))
}

/// Each place of a text at which a word stands for itself.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

/// The line of a place, from 1.
fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The byte ranges of a C test that are comments, or that name the test and its outcomes.
fn comments(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut out: Vec<_> = naming::spans(text).into_iter().map(|span| span.start..span.end).collect();
    for (open, close) in [("(*", "*)"), ("/*", "*/"), ("//", "\n")] {
        let mut from = 0;
        while let Some(begin) = text[from..].find(open).map(|at| from + at) {
            // `READ_ONCE(*x)` begins no comment.
            if open == "(*" && !text[..begin].trim_end_matches([' ', '\t']).ends_with('\n') {
                from = begin + open.len();
                continue;
            }
            let end = text[begin..].find(close).map_or(text.len(), |at| begin + at + close.len());
            out.push(begin..end);
            from = end;
        }
    }
    out
}

/// The text with spaces in place of its comments, so that every line keeps its number.
fn without_comments(text: &str) -> String {
    let comments = comments(text);
    let is_comment = |at: usize| comments.iter().any(|comment| comment.contains(&at));
    let plain = |(at, c): (usize, char)| if c != '\n' && is_comment(at) { ' ' } else { c };
    text.char_indices().map(plain).collect()
}

fn in_c(text: &str) -> Vec<(String, String)> {
    let comments = comments(text);
    let mut out = Vec::new();
    for Rule { from, to } in &CALLS {
        for at in words(text, from).filter(|at| !comments.iter().any(|comment| comment.contains(at))) {
            let Some((call, arguments)) = call(text, at) else { continue };
            let replacement = match (*to, *from) {
                ("", _) => String::new(),
                // These take a pointer where the plain accesses take the variable.
                (to, "smp_store_release" | "smp_load_acquire") => format!("{to}(*{})", arguments.trim()),
                (to, _) => format!("{to}({arguments})"),
            };
            let end = if replacement.is_empty() && text[call.end..].starts_with(';') { call.end + 1 } else { call.end };
            let words =
                if to.is_empty() { format!("{from}() left out") } else { format!("{to}() in place of {from}()") };
            let changed = format!("{}{replacement}{}", &text[..call.start], &text[end..]);
            out.push((changed, format!("line {}: {words}", line(text, at))));
        }
    }
    out
}

/// The range of a call that begins at a place, and its arguments.
fn call(text: &str, at: usize) -> Option<(std::ops::Range<usize>, &str)> {
    let open = at + text[at..].find('(')?;
    let mut depth = 0usize;
    for (offset, c) in text[open..].char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((at..open + offset + 1, &text[open + 1..open + offset]));
        }
    }
    None
}

/// The part of a test in assembly that holds the instructions: behind the initial state, up to the condition.
fn table(text: &str) -> Option<std::ops::Range<usize>> {
    let begin = text.find('}')? + 1;
    let ends = ["exists", "~exists", "forall", "locations", "filter"];
    let found = ends.iter().filter_map(|word| words(&text[begin..], word).next());
    Some(begin..begin + found.min().unwrap_or(text.len() - begin))
}

fn in_assembly(text: &str) -> Vec<(String, String)> {
    let Some(table) = table(text) else { return Vec::new() };
    let mut out = Vec::new();
    let mut cells = Vec::new();
    let mut from = table.start;
    for (offset, c) in text[table.clone()].char_indices() {
        if matches!(c, '|' | ';') {
            cells.push(from..table.start + offset);
            from = table.start + offset + 1;
        }
    }
    for cell in cells {
        let inner = &text[cell.clone()];
        let start = cell.start + inner.len() - inner.trim_start().len();
        let instruction = inner.trim();
        let lower = instruction.to_ascii_lowercase();
        let barrier = lower.replace(", ", ",");
        for Rule { from, to } in &INSTRUCTIONS {
            // A barrier is compared with its operands; an access keeps its own.
            let operands = match lower.strip_prefix(from) {
                _ if barrier == *from => "",
                Some(rest) if !to.is_empty() && rest.starts_with([' ', '\t']) => {
                    &instruction[instruction.len() - rest.len()..]
                }
                _ => continue,
            };
            let is_upper = instruction.starts_with(|c: char| c.is_ascii_uppercase());
            let new = if is_upper { to.to_ascii_uppercase() } else { (*to).to_owned() };
            let new = if to.is_empty() { String::new() } else { format!("{new}{operands}") };
            let words = if to.is_empty() { format!("{from} left out") } else { format!("{to} in place of {from}") };
            let changed = format!("{}{new}{}", &text[..start], &text[start + instruction.len()..]);
            out.push((changed, format!("line {}: {words}", line(text, start))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<String> {
        let scenario = Scenario::new(&Source::new("t.litmus", text), "").unwrap();
        let found = mutants(&scenario);
        for (source, change) in &found {
            Scenario::new(source, "").unwrap_or_else(|error| panic!("{change}: {error}\n{}", source.text()));
        }
        found.into_iter().map(|(_, change)| change).collect()
    }

    #[test]
    fn a_mutant_declares_no_verdict() {
        let scenario = crate::catalogue::named("SB+mbs").unwrap();
        assert!(scenario.test.source.text().contains("x86_64: Never"));
        let mutants = mutants(&scenario);
        assert_eq!(mutants.len(), 6);
        for (source, _) in mutants {
            assert!(!source.text().contains("Never"), "{}", source.text());
            assert_eq!(source.text().lines().count(), scenario.test.source.text().lines().count());
        }
    }

    #[test]
    fn each_barrier_of_a_test_in_c_gives_its_mutants() {
        let text = "C SB+mbs\n(* without smp_mb() it races *)\n{}\n\
                    P0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); smp_mb(); r0 = READ_ONCE(*y); }\n\
                    P1(int *x, int *y) { int r0; smp_store_release(y, 1); r0 = smp_load_acquire(x); }\n\
                    exists (0:r0=0 /\\ 1:r0=0)\n";
        assert_eq!(
            changes(text),
            [
                "line 4: smp_mb() left out",
                "line 4: smp_wmb() in place of smp_mb()",
                "line 4: smp_rmb() in place of smp_mb()",
                "line 5: WRITE_ONCE() in place of smp_store_release()",
                "line 5: READ_ONCE() in place of smp_load_acquire()",
            ]
        );
    }

    #[test]
    fn each_barrier_of_a_test_in_assembly_gives_its_mutants() {
        let x86 = "X86_64 SB+mfences\n{}\n P0          | P1          ;\n movl $1,(x) | movl $1,(y) ;\n mfence      | mfence      ;\n \
                   movl (y),%eax | movl (x),%eax ;\nexists (0:rax=0 /\\ 1:rax=0)\n";
        assert_eq!(changes(x86), ["line 5: mfence left out"; 2]);
        let arm = "AArch64 MP\n{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }\n P0 | P1 ;\n MOV W0,#1 | LDAR W0,[X3] ;\n STR W0,[X1] | LDR W2,[X1] ;\n \
                   DMB SY | ;\n STR W0,[X3] | ;\nexists (1:X0=1 /\\ 1:X2=0)\n";
        assert_eq!(
            changes(arm),
            [
                "line 4: ldr in place of ldar",
                "line 4: ldapr in place of ldar",
                "line 6: dmb sy left out",
                "line 6: dmb ld in place of dmb sy",
                "line 6: dmb st in place of dmb sy",
            ]
        );
    }
}
