//! Parser of the logs of litmus7 and klitmus7: text in, one [`Test`] per `Test NAME KIND` out.
//!
//! The format is that of herdtools7 7.58. litmus7 writes it in litmus/skelUtil.ml, klitmus7's modules write
//! it to /proc/litmus (`do_it()` in the C files that klitmus7 makes). `publish::litmus_log` writes it too.
//!
//! ```text
//! Test S01-as-is Allowed
//! Histogram (2 states)
//! 45      *>1:r0=2; 1:r1=0;
//! 123     :>1:r0=0; 1:r1=0;
//! Ok
//!
//! Witnesses
//! Positive: 45, Negative: 123
//! Condition exists (1:r0=2 /\ 1:r1=0) is validated
//! Hash=e20762f54bf1a30ec684ff8b9abb344f
//! Observation S01-as-is Sometimes 45 123
//! Time S01-as-is 1.23
//! ```
//!
//! A star marks the states that the test asks for. For `forall` these are the counterexamples. litmus7 prints
//! the program before its test and /proc/cpuinfo behind the last one. klitmus7's script prints `uname -r=...`. A log of
//! wakerace says the architecture, the CPU and the kernel in front of its first test.

use std::collections::BTreeMap;

use crate::arch::Arch;
use crate::record::FinalValue;
use crate::record::condition::asks_for;

/// A log.
#[derive(Debug, Default)]
pub struct Log {
    /// The program that wrote it, if it says so: `litmus7`, `klitmus7` or `wakerace`.
    pub tool: Option<&'static str>,
    /// The program's version, if it says so.
    pub version: Option<String>,
    /// The command line of the program, if it says so.
    pub command: Option<String>,
    /// The architecture of the tests, as herdtools names it (`AArch64`), if the log holds them.
    pub language: Option<String>,
    /// The architecture of the machine, if it says so.
    pub architecture: Option<Arch>,
    /// The release of the kernel, if it says so.
    pub kernel: Option<String>,
    /// The name of the CPU, if it says so.
    pub cpu: Option<String>,
    /// The number of CPUs; 0 if it does not say so.
    pub cpus: usize,
    /// The tests.
    pub tests: Vec<Test>,
}

/// The counts of one test.
#[derive(Debug)]
pub struct Test {
    /// The name.
    pub name: String,
    /// The condition with its quantifier.
    pub condition: String,
    /// The states: registers and variables with their values, the count, and whether it is starred.
    pub states: Vec<(BTreeMap<String, FinalValue>, u64, bool)>,
    /// The time of the test, in seconds.
    pub seconds: f64,
}

/// What is wrong with a log, and the number of the line, from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line.
    pub line: usize,
    /// What is wrong, and what is expected.
    pub what: String,
}

type Parsed<T> = std::result::Result<T, Wrong>;

/// Parses a log.
///
/// # Errors
/// If it holds no test, or if a test is cut off or its numbers do not add up.
pub fn parse(text: &str) -> Parsed<Log> {
    let mut lines = Lines { lines: text.lines().collect(), at: 0 };
    let mut log = Log::default();
    while let Some(line) = lines.next() {
        match line.strip_prefix("Test ").and_then(|rest| rest.rsplit_once(' ')) {
            Some((name, kind @ ("Allowed" | "Forbidden" | "Required"))) => {
                let test = test(&mut lines, name, kind)?;
                log.tests.push(test);
            }
            _ => about(&mut log, line),
        }
    }
    if log.tests.is_empty() {
        return Err(Wrong {
            line: 1,
            what: "holds no line `Test NAME Allowed`; expected a log of litmus7 or klitmus7".into(),
        });
    }
    Ok(log)
}

struct Lines<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at)?;
        self.at += 1;
        Some(line.trim_end())
    }

    /// The next line that is not empty.
    fn filled(&mut self, wanted: &str) -> Parsed<&'a str> {
        loop {
            match self.next() {
                Some("") => {}
                Some(line) => return Ok(line),
                None => return Err(self.wrong(format!("the log ends; expected {wanted}"))),
            }
        }
    }

    fn wrong(&self, what: String) -> Wrong {
        Wrong { line: self.at.max(1), what }
    }
}

/// A line between tests: it may say who wrote the log, and where.
fn about(log: &mut Log, line: &str) {
    let quoted = |text: &str| text.trim().trim_matches('"').to_owned();
    if let Some(command) = line.strip_prefix("Compilation command: ") {
        log.command = Some(quoted(command));
        log.tool = command.contains("klitmus7").then_some("klitmus7").or(log.tool);
    } else if let Some(command) = line.strip_prefix("Command line: ") {
        log.command = Some(quoted(command));
        log.tool = command.contains("litmus7").then_some("litmus7").or(log.tool);
    } else if let Some(release) = line.strip_prefix("uname -r=") {
        log.kernel = Some(format!("Linux {}", release.trim()));
        log.tool = log.tool.or(Some("klitmus7"));
    } else if let Some((_, version)) = line.strip_prefix("Revision ").and_then(|rest| rest.split_once("version ")) {
        log.version = Some(version.trim().to_owned());
    } else if let (Some(rest), true) = (line.strip_prefix("wakerace "), log.tests.is_empty()) {
        log.tool = Some("wakerace");
        log.version = Some(rest.to_owned());
    } else if let Some((key, value)) = line.split_once(':') {
        match key.trim() {
            "processor" => log.cpus += 1,
            "architecture" => log.architecture = log.architecture.or(Arch::named(value.trim()).ok()),
            "model name" | "cpu" => log.cpu = log.cpu.take().or(Some(value.trim().to_owned())),
            _ => {}
        }
    } else if let Some((language @ ("X86_64" | "AArch64" | "PPC" | "RISCV"), _)) = line.split_once(' ') {
        log.language = Some(language.to_owned());
    }
}

fn test(lines: &mut Lines<'_>, name: &str, kind: &str) -> Parsed<Test> {
    let states = histogram(lines)?;
    let result = lines.filled("`Ok` or `No`")?;
    if !matches!(result, "Ok" | "No") {
        return Err(lines.wrong(format!("is '{result}'; expected a state such as `45 *>1:r0=2;`, or `Ok` or `No`")));
    }
    let mut counts = None;
    let mut condition = None;
    loop {
        let line = lines.filled(&format!("`Time {name} SECONDS`"))?;
        if let Some(rest) = line.strip_prefix("Positive: ") {
            let both = rest.split_once(", Negative: ").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            let expected = || lines.wrong(format!("is '{line}'; expected `Positive: COUNT, Negative: COUNT`"));
            counts = Some(both.ok_or_else(expected)?);
            adds_up(lines, kind, &states, counts.unwrap_or((0, 0)))?;
        } else if let Some(rest) = line.strip_prefix("Condition ") {
            let end = rest.rfind(" is ").unwrap_or(rest.len());
            marked(lines, &states, &rest[..end])?;
            condition = Some(rest[..end].to_owned());
        } else if let Some(rest) = line.strip_prefix("Time ") {
            let seconds: Option<f64> = rest.rsplit(' ').next().and_then(|text| text.parse().ok());
            let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            let seconds = seconds.ok_or_else(|| lines.wrong(format!("is '{line}'; expected `Time {name} SECONDS`")))?;
            let missing = |what: &str| lines.wrong(format!("the test {name} has no line `{what}`"));
            counts.ok_or_else(|| missing("Positive: COUNT, Negative: COUNT"))?;
            let condition = condition.ok_or_else(|| missing("Condition ... is validated"))?;
            return Ok(Test { name: name.to_owned(), condition, states, seconds });
        } else if line.starts_with("Test ") {
            return Err(lines.wrong(format!("the test {name} has no line `Time {name} SECONDS`")));
        }
    }
}

type States = Vec<(BTreeMap<String, FinalValue>, u64, bool)>;

fn histogram(lines: &mut Lines<'_>) -> Parsed<States> {
    let line = lines.filled("`Histogram (COUNT states)`")?;
    let number = line.strip_prefix("Histogram (").and_then(|rest| rest.strip_suffix(" states)"));
    let number: Option<usize> = number.and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| lines.wrong(format!("is '{line}'; expected `Histogram (COUNT states)`")))?;
    let mut states: States = Vec::new();
    for _ in 0..number {
        let line = lines.filled(&format!("{number} states"))?;
        let state = state(line).map_err(|what| lines.wrong(what))?;
        if states.iter().any(|(values, ..)| *values == state.0) {
            return Err(lines.wrong("is a state that the histogram has already".into()));
        }
        states.push(state);
    }
    Ok(states)
}

/// A line such as `45      *>1:r0=2; [x]=0;`.
fn state(line: &str) -> std::result::Result<(BTreeMap<String, FinalValue>, u64, bool), String> {
    let expected = || format!("is '{line}'; expected a state such as `45 *>1:r0=2; [x]=0;`");
    let (head, values) = line.split_once('>').ok_or_else(expected)?;
    let starred = head.ends_with('*');
    let count = head.strip_suffix(['*', ':']).ok_or_else(expected)?.trim();
    let count: u64 = count.parse().map_err(|_| expected())?;
    let mut state = BTreeMap::new();
    for pair in values.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (place, value) = pair.split_once('=').ok_or_else(expected)?;
        let place = place.trim().trim_start_matches('[').trim_end_matches(']');
        if place.is_empty() || state.insert(place.to_owned(), final_value(value.trim()).ok_or_else(expected)?).is_some()
        {
            return Err(expected());
        }
    }
    if count == 0 || state.is_empty() {
        return Err(expected());
    }
    Ok((state, count, starred))
}

/// An integer, in decimal or hexadecimal, or the name of a variable whose address it is.
fn final_value(text: &str) -> Option<FinalValue> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if let Some(digits) = text.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(FinalValue::Int);
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return text.parse().ok().map(FinalValue::Int);
    }
    (!text.is_empty() && text.chars().all(is_name)).then(|| FinalValue::Address(format!("&{text}")))
}

/// Checks the stars of the histogram against the condition.
fn marked(lines: &Lines<'_>, states: &States, condition: &str) -> Parsed<()> {
    for (values, _, starred) in states {
        if asks_for(condition, values) == Some(!starred) {
            let state: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value};")).collect();
            let (found, wanted) = if *starred { ("has a", "none") } else { ("has no", "one") };
            return Err(lines.wrong(format!(
                "the state `{}` of the histogram {found} star; the condition '{condition}' gives it {wanted}",
                state.join(" ")
            )));
        }
    }
    Ok(())
}

/// Checks the witnesses against the histogram.
fn adds_up(lines: &Lines<'_>, kind: &str, states: &States, (positive, negative): (u64, u64)) -> Parsed<()> {
    let sum = |starred: bool| {
        states.iter().filter(|state| state.2 == starred).try_fold(0u64, |sum, state| sum.checked_add(state.1))
    };
    let (Some(races), Some(others)) = (sum(true), sum(false)) else {
        return Err(lines.wrong("the counts exceed 2^64".into()));
    };
    let wanted = if kind == "Allowed" { (races, others) } else { (others, races) };
    if (positive, negative) != wanted || races.checked_add(others).is_none() {
        let (yes, no) = wanted;
        return Err(
            lines.wrong(format!("counts {positive} and {negative} witnesses; the histogram gives {yes} and {no}"))
        );
    }
    Ok(())
}
