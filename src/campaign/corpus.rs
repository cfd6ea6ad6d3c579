//! The tests of a campaign: read, lowered, judged by the model of this architecture, and placed. What cannot run is refused
//! by name, line and reason, and stops nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use super::mutate;
use super::settings::SETTINGS;
use crate::catalogue::{Found, Scenario};
use crate::codegen::Target;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::litmus::Verdict;
use crate::machine::Placement;
use crate::parallel::in_parallel_until;
use crate::record::{MutantRecord, RefusedTest};
use crate::shown;
use crate::verdict::{self, Expectation};

/// A test of a campaign.
#[derive(Debug)]
pub struct Test {
    /// The test.
    pub scenario: Scenario,
    /// What the models say about it.
    pub expectation: Expectation,
    /// What was changed in which test, if it is a mutant.
    pub mutant: Option<MutantRecord>,
    /// The settings whose layouts fit its variables: places in [`SETTINGS`].
    pub settings: Vec<usize>,
    /// Where it runs.
    pub places: Vec<Placement>,
}

impl Test {
    /// Whether the architecture allows the outcome that the test asks about.
    pub fn is_allowed(&self) -> bool {
        matches!(self.expectation.race, Some(Verdict::Sometimes | Verdict::Always))
    }
}

/// The tests of a campaign, and the files that are none.
#[derive(Debug, Default)]
pub struct Corpus {
    /// The tests, by family, name and source.
    pub tests: Vec<Test>,
    /// The files that are not run.
    pub refused: Vec<RefusedTest>,
}

/// A part of a corpus: every test belongs to exactly one of `of` parts, by its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The number of the part, from 1.
    pub number: u64,
    /// The number of parts.
    pub of: u64,
}

impl Shard {
    /// Whether the test whose source has this hash belongs to the part.
    pub fn holds(self, sha256: &str) -> bool {
        let digits = sha256.get(..15).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.unwrap_or(0) % self.of == self.number - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Shard, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            let shard = Shard { number: number.parse().ok()?, of: of.parse().ok()? };
            (1..=shard.of).contains(&shard.number).then_some(shard)
        });
        parsed.ok_or_else(|| format!("'{text}' is no shard; expected NUMBER/OF, such as 3/40"))
    }
}

/// Which tests of a corpus to take, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// Target that code is emitted for.
    pub target: Target,
    /// Distance in bytes at which variables share no line.
    pub line: usize,
    /// The part of the corpus to take.
    pub shard: Option<Shard>,
    /// Whether mutants of forbidden tests belong to the corpus.
    pub mutants: bool,
}

impl Corpus {
    /// Reads, lowers and judges tests on all CPUs that this process may use. `place` gives the placements of a test with so
    /// many threads. Ends early, without the rest, if `interrupt` is set.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn read(
        found: Vec<Found>,
        selection: &Selection,
        place: impl Fn(usize) -> std::result::Result<Vec<Placement>, String>,
        interrupt: &AtomicBool,
    ) -> Result<Corpus> {
        let mut corpus = Corpus::default();
        for judged in in_parallel_until(interrupt, found, |found| Ok(judged(found, selection)))? {
            corpus.tests.extend(judged.tests);
            corpus.refused.extend(judged.refused);
        }
        let mut placed: BTreeMap<usize, std::result::Result<Vec<Placement>, String>> = BTreeMap::new();
        let mut tests = Vec::new();
        for mut test in std::mem::take(&mut corpus.tests) {
            let threads = test.scenario.program.threads.len();
            match placed.entry(threads).or_insert_with(|| place(threads)) {
                Ok(places) => {
                    test.places.clone_from(places);
                    tests.push(test);
                }
                Err(reason) if test.mutant.is_none() => corpus.refused.push(RefusedTest {
                    file: test.scenario.test.source.name().to_owned(),
                    line: None,
                    reason: reason.clone(),
                }),
                Err(_) => {}
            }
        }
        // Two mutants, or a mutant and a test of the corpus, can have the same text.
        tests.sort_by_cached_key(|test| (test.mutant.is_some(), order(test)));
        let mut known = std::collections::HashSet::new();
        tests.retain(|test| known.insert(test.scenario.sha256.to_string()));
        tests.sort_by_cached_key(order);
        corpus.tests = tests;
        corpus.refused.sort_unstable();
        Ok(corpus)
    }
}

fn order(test: &Test) -> (String, String, String) {
    let Scenario { name, sha256, .. } = &test.scenario;
    (family(name), name.clone(), sha256.to_string())
}

/// What became of one file.
#[derive(Default)]
struct Judged {
    tests: Vec<Test>,
    refused: Option<RefusedTest>,
}

fn judged(found: Found, selection: &Selection) -> Judged {
    let file = found.name.clone();
    let in_shard = |sha256: &str| selection.shard.is_none_or(|shard| shard.holds(sha256));
    // A file that cannot be read as text is in the shard of its name.
    if found.text.is_err() && !in_shard(&crate::hash::sha256(file.as_bytes())) {
        return Judged::default();
    }
    let read = found.text.and_then(|(source, group)| {
        let hash = crate::litmus::naming::hash(source.text());
        if !in_shard(&hash) {
            return Ok(None);
        }
        let scenario = Scenario::to_run(&source, &group)?;
        if let Some(reason) = scenario.refused_by(selection.target.arch) {
            return Err(Error::Host(reason));
        }
        test(scenario, selection).map(Some)
    });
    match read {
        Ok(None) => Judged::default(),
        Ok(Some(test)) => {
            let mut tests = if selection.mutants { mutants(&test, selection) } else { Vec::new() };
            tests.push(test);
            Judged { tests, refused: None }
        }
        Err(error) => Judged { tests: Vec::new(), refused: Some(refusal(file, &error)) },
    }
}

/// Judges a test and checks that code can be emitted for it.
fn test(scenario: Scenario, selection: &Selection) -> Result<Test> {
    let Selection { target, line, .. } = *selection;
    // The reorderings that a race needs judge the zeros of `wakerace run`. A slice copies the expectation.
    let expectation = Expectation { needs: None, ..verdict::expectation(&scenario, target.arch, target.choices())? };
    scenario.has_code(target, line)?;
    let fits = |kind| Layout::new(kind, &scenario.program, line).is_ok();
    let settings = (0..SETTINGS.len()).filter(|&at| fits(SETTINGS[at].arm.layout)).collect();
    Ok(Test { scenario, expectation, mutant: None, settings, places: Vec::new() })
}

/// The mutants of a test whose outcome is forbidden and becomes allowed by the change.
fn mutants(of: &Test, selection: &Selection) -> Vec<Test> {
    if of.expectation.race != Some(Verdict::Never) {
        return Vec::new();
    }
    let changed = mutate::mutants(&of.scenario).into_iter().filter_map(|(source, change)| {
        let scenario = Scenario::to_run(&source, &of.scenario.group).ok()?;
        let mutant = MutantRecord { of: of.scenario.name.clone(), change };
        Some(Test { mutant: Some(mutant), ..test(scenario, selection).ok()? })
    });
    changed.filter(Test::is_allowed).collect()
}

fn refusal(file: String, error: &Error) -> RefusedTest {
    let (line, reason) = match error {
        Error::Litmus(diagnostic) => (Some(diagnostic.line_column().0), diagnostic.message().to_owned()),
        other => (None, other.to_string()),
    };
    RefusedTest { file, line, reason: shown::line(&reason).into_owned() }
}

/// The family of a test: the cycle that its name names, without the edges behind it. `MP+dmb.sy+addr` is of the family `MP`,
/// `2+2W+syncs` of `2+2W`, and generated names such as `X012` of `X`.
pub fn family(name: &str) -> String {
    let cycle = match name.split_once("2+2W") {
        Some((before, _)) if !before.contains('+') => format!("{before}2+2W"),
        _ => name.split('+').next().unwrap_or(name).to_owned(),
    };
    let letters = cycle.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = cycle.len() - letters.len();
    let numbered = digits >= 3 && !letters.is_empty();
    if numbered { letters.trim_end_matches(['-', '_']).to_owned() } else { cycle }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::Source;

    #[test]
    fn a_family_is_the_cycle_of_a_name() {
        for (name, wanted) in [
            ("MP+dmb.sy+addr", "MP"),
            ("SB", "SB"),
            ("2+2W+syncs", "2+2W"),
            ("2+2W", "2+2W"),
            ("3.2W+lwsync", "3.2W"),
            ("ISA2+po+po+po", "ISA2"),
            ("X012", "X"),
            ("Z6.3+po", "Z6.3"),
            ("test-0001", "test"),
            ("000", "000"),
        ] {
            assert_eq!(family(name), wanted, "{name}");
        }
    }

    #[test]
    fn every_test_is_in_one_shard() {
        for of in [1, 2, 3, 40] {
            for text in ["a", "b", "c", "d", "e"] {
                let sha256 = crate::hash::sha256(text.as_bytes());
                let holding = (1..=of).filter(|&number| Shard { number, of }.holds(&sha256)).count();
                assert_eq!(holding, 1, "{text} of {of}");
            }
        }
        assert_eq!("3/40".parse(), Ok(Shard { number: 3, of: 40 }));
        for wrong in ["0/4", "5/4", "3", "a/b", "1/0", ""] {
            assert!(wrong.parse::<Shard>().unwrap_err().contains("3/40"), "{wrong}");
        }
    }

    fn found(name: &str, text: &str) -> Found {
        Found { name: name.to_owned(), in_folder: true, text: Ok((Source::new(name, text), "folder".to_owned())) }
    }

    fn read(found: Vec<Found>, shard: Option<Shard>) -> Corpus {
        let selection = Selection { target: Target::of_host().unwrap(), line: 128, shard, mutants: false };
        let place = |threads: usize| match threads {
            1 | 2 => {
                Ok(vec![Placement { cpus: vec![0; threads], class: crate::machine::Class::Shared, kinds: Vec::new() }])
            }
            _ => Err("there are two CPUs".to_owned()),
        };
        Corpus::read(found, &selection, place, &AtomicBool::new(false)).unwrap()
    }

    const SB: &str = "C SB\n{}\nP0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y); }\n\
                      P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x); }\nexists (0:r0=0 /\\ 1:r0=0)\n";

    #[test]
    fn what_cannot_run_is_refused_with_its_line_and_stops_nothing() {
        let three = "C three\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nP1(int *x) { WRITE_ONCE(*x, 2); }\n\
                     P2(int *x) { WRITE_ONCE(*x, 3); }\nexists (x=1)\n";
        let unreadable =
            Found { name: "u.litmus".to_owned(), in_folder: true, text: Err(Error::Usage("not text".to_owned())) };
        let corpus = read(
            vec![
                found("a.litmus", SB),
                found("b.litmus", "C b\n{}\nP0(int *x) { nonsense(; }\n"),
                found("3.litmus", three),
                unreadable,
            ],
            None,
        );
        let names: Vec<&str> = corpus.tests.iter().map(|test| test.scenario.name.as_str()).collect();
        assert_eq!(names, ["SB"]);
        assert!(corpus.tests[0].is_allowed() && corpus.tests[0].settings.len() == SETTINGS.len());
        let refused: Vec<(&str, Option<usize>)> =
            corpus.refused.iter().map(|refused| (refused.file.as_str(), refused.line)).collect();
        assert_eq!(refused, [("3.litmus", None), ("b.litmus", Some(3)), ("u.litmus", None)]);
        assert_eq!(corpus.refused[0].reason, "there are two CPUs");
    }

    #[test]
    fn shards_divide_the_tests_and_the_refused_files() {
        let files = || {
            let mut all: Vec<Found> =
                (0..12).map(|at| found(&format!("{at}.litmus"), &SB.replace("C SB", &format!("C SB+{at}")))).collect();
            all.push(found("wrong.litmus", "C wrong\n"));
            all
        };
        let whole = read(files(), None);
        let parts: Vec<Corpus> = (1..=3).map(|number| read(files(), Some(Shard { number, of: 3 }))).collect();
        let names = |corpora: &[Corpus]| {
            let tests = corpora.iter().flat_map(|corpus| &corpus.tests);
            let mut names: Vec<String> = tests.map(|test| test.scenario.name.clone()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(whole.tests.len(), 12);
        assert_eq!(names(&parts), names(&[whole]));
        assert!(parts.iter().all(|part| part.tests.len() < 12));
        assert_eq!(parts.iter().map(|part| part.refused.len()).sum::<usize>(), 1);
    }
}
