//! Generates litmus tests from cycles of relaxations, as diy7, diyone7 and diycross7 do, with their names.
//!
//! A cycle is a list of edges (`PodWW Rfe DpAddrdR Fre`). Each edge leads from one access to the next, and the last back to
//! the first. An execution in which all edges hold is not sequentially consistent, and the condition of the test asks for
//! it. `edge` has the edges and their names, `cycle` whether they fit and the test's name, `plan` the accesses and their
//! values, `language` one file for each language that tests are written in, and `family` the search for cycles.
//!
//! ```
//! use wakerace::arch::Arch;
//! use wakerace::generate::{self, Options};
//!
//! let language = generate::language(Arch::Aarch64);
//! let test = generate::cycle(language, "Rfe DpAddrdR Fre DMB.SYdWW")?;
//! assert_eq!(test.name, "MP+dmb.sy+addr");
//!
//! let options = Options { relax: "PodRR".to_owned(), safe: "DMB.SYdWW,Rfe,Fre".to_owned(), ..Options::default() };
//! let names: Vec<String> = generate::family(language, &options)?.map(|test| test.name).collect();
//! assert_eq!(names, ["MP+dmb.sy+po", "IRIW"]);
//! # Ok::<(), wakerace::error::Error>(())
//! ```

mod cycle;
mod edge;
mod family;
mod language;
mod plan;

use std::collections::{HashMap, HashSet};

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::isa;

use cycle::Cycle;
use edge::{Edge, Mark, Vocabulary, Word};
use family::{Cycles, Relaxation};
pub use language::Language;

/// The cycle of the test with this name, if it is a usual one that has only program order in its threads, such as `IRIW`.
pub fn plain_cycle(name: &str) -> Option<String> {
    cycle::plain(name)
}

/// A generated test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Its name, as diy7 builds it: `MP+dmb.sy+addr`.
    pub name: String,
    /// Its cycle, as diy7 writes it.
    pub cycle: String,
    /// Its text, which herd7, litmus7, `check` and `run` read.
    pub text: String,
}

/// Which tests a family has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Relaxations of which each cycle has at least one. Without them every cycle of `safe` is in the family.
    pub relax: String,
    /// The other relaxations. If both lists are empty, the usual ones of the language.
    pub safe: String,
    /// Annotations that every access has in turn, such as `P,A,L` or `w0,h0,h2`.
    pub vary: String,
    /// The most edges of a cycle.
    pub size: usize,
    /// The most threads of a test.
    pub threads: usize,
    /// Takes only some of the tests, chosen by chance.
    pub sample: Option<Sample>,
}

/// A choice of tests by chance. The same seed chooses the same tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The number of tests.
    pub count: usize,
    /// Where the generator of random numbers starts.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { relax: String::new(), safe: String::new(), vary: String::new(), size: 6, threads: 4, sample: None }
    }
}

/// The language of the tests in an architecture's assembly.
pub fn language(arch: Arch) -> &'static Language {
    let word = isa::litmus_word(arch);
    Language::named(word).unwrap_or_else(|| unreachable!("no tests are generated in {word}"))
}

/// The names of a language's edges and annotations, without those with `*`.
pub fn vocabulary(language: &Language) -> (Vec<String>, Vec<&'static str>) {
    (Vocabulary::list(language), language.marks.iter().map(|mark| mark.name).collect())
}

/// The test of one cycle: edges between blanks or commas. An annotation by itself stands for the access where it stands.
///
/// # Errors
/// [`Error::Usage`] if a word is not an edge of the language, or if the edges do not fit each other.
pub fn cycle(language: &'static Language, text: &str) -> Result<Test> {
    let mut batch = Batch::new(language);
    let _ = batch.cycle(text)?;
    batch.tests().pop().ok_or_else(|| Error::Internal(format!("no test was written for '{text}'")))
}

/// Tests whose cycles are given. Each cycle comes once, or once with each name that is given for it.
#[derive(Debug)]
pub struct Batch {
    language: &'static Language,
    cycles: Vec<(Option<String>, Cycle)>,
}

/// Whether a test is new in a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// The batch had no such test.
    New,
    /// The batch has the test already, so nothing was added.
    Again,
}

impl Batch {
    /// Without tests.
    pub const fn new(language: &'static Language) -> Batch {
        Batch { language, cycles: Vec::new() }
    }

    /// Adds the test of one cycle, as [`cycle`] reads it.
    ///
    /// # Errors
    /// Those of [`cycle`].
    pub fn cycle(&mut self, text: &str) -> Result<Added> {
        let cycle = self.read(text)?;
        Ok(self.add(None, cycle))
    }

    /// Adds the test of one cycle with a name of its own.
    ///
    /// # Errors
    /// Those of [`cycle`], and [`Error::Usage`] if the name cannot be that of a test and its file, or if the test of another
    /// cycle has it.
    pub fn named(&mut self, name: &str, text: &str) -> Result<Added> {
        let failed = |reason: &str| Err(Error::Usage(format!("the name '{}' {reason}", crate::shown::line(name))));
        let fits = |c: char| c.is_ascii_graphic() && !r#"/\"'(){};:|"#.contains(c);
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) {
            return failed(
                "is no name of a test: expected a letter or digit, and then no blank, quote, bracket or slash",
            );
        }
        let cycle = self.read(text)?;
        if self.cycles.iter().any(|(known, other)| known.as_deref() == Some(name) && *other != cycle) {
            return failed("is that of another cycle already");
        }
        Ok(self.add(Some(name.to_owned()), cycle))
    }

    fn read(&self, text: &str) -> Result<Cycle> {
        let failed = |reason: String| Error::Usage(format!("the cycle '{}': {reason}", crate::shown::line(text)));
        let vocabulary = Vocabulary::new(self.language);
        let words = split(text).map(|word| vocabulary.word(word)).collect::<std::result::Result<Vec<_>, _>>();
        let edges = words.and_then(|words| one(&words)).map_err(failed)?;
        let cycle = Cycle::new(self.language, &edges).map_err(failed)?;
        test(self.language, &cycle, String::new()).map_err(failed)?;
        Ok(cycle)
    }

    /// Adds the tests of a product, as diycross7 makes them: blanks separate the places of a cycle, commas what may stand
    /// there. What does not fit is left out.
    ///
    /// # Errors
    /// [`Error::Usage`] if a word is not an edge of the language, or if nothing fits.
    pub fn cross(&mut self, text: &str) -> Result<()> {
        let failed = |reason: String| Error::Usage(format!("the product '{}': {reason}", crate::shown::line(text)));
        let products = product(&Vocabulary::new(self.language), text).map_err(failed)?;
        let mut reason = Some("it has no edges".to_owned());
        for words in products {
            let cycle = one(&words).and_then(|edges| Cycle::new(self.language, &edges));
            let written = cycle.and_then(|cycle| test(self.language, &cycle, String::new()).map(|_| cycle));
            match written {
                Ok(cycle) => {
                    // A product has the same cycle in several orders.
                    let _ = self.add(None, cycle);
                    reason = None;
                }
                Err(error) => reason = reason.map(|_| error),
            }
        }
        reason.map_or(Ok(()), |reason| Err(failed(reason)))
    }

    /// The tests, with names that differ.
    pub fn tests(self) -> Vec<Test> {
        let given = self.cycles.iter().filter_map(|(name, _)| name.clone()).collect();
        let cycles = self.cycles.into_iter();
        Written { language: self.language, cycles, names: HashMap::new(), given }.collect()
    }

    fn add(&mut self, name: Option<String>, cycle: Cycle) -> Added {
        let is_same = |(known, other): &(Option<String>, Cycle)| *other == cycle && (name.is_none() || *known == name);
        if self.cycles.iter().any(is_same) {
            return Added::Again;
        }
        self.cycles.push((name, cycle));
        Added::New
    }
}

/// The products of the words that stand at each place of a cycle.
fn product(vocabulary: &Vocabulary<'_>, text: &str) -> std::result::Result<Vec<Vec<Word>>, String> {
    let mut products: Vec<Vec<Word>> = vec![Vec::new()];
    for place in text.split_whitespace() {
        let mut choices: Vec<Word> = Vec::new();
        for word in place.split(',').filter(|word| !word.is_empty()) {
            match vocabulary.word(word)? {
                Word::Edges(edges) => choices.extend(edges.into_iter().map(|edge| Word::Edges(vec![edge]))),
                mark @ Word::Mark(_) => choices.push(mark),
            }
        }
        let extended = |words: &Vec<Word>, word: &Word| [words.as_slice(), std::slice::from_ref(word)].concat();
        let pairs = products.iter().flat_map(|words| choices.iter().map(move |word| (words, word)));
        products = pairs.map(|(words, word)| extended(words, word)).collect();
    }
    Ok(products)
}

/// The tests of a family, as diy7 makes them. Each cycle comes once, and each test has another name. Tests that the language
/// cannot express, for example because a thread has too few registers, are left out.
///
/// # Errors
/// [`Error::Usage`] if a word is not an edge or an annotation of the language.
pub fn family(language: &'static Language, options: &Options) -> Result<impl Iterator<Item = Test> + use<>> {
    let vocabulary = Vocabulary::new(language);
    let mut all = relaxations(&vocabulary, &options.relax, Wanted::Yes)?;
    all.extend(relaxations(&vocabulary, &options.safe, Wanted::No)?);
    if all.is_empty() {
        all = relaxations(&vocabulary, language.usual, Wanted::No)?;
    }
    let mut unique: Vec<Relaxation> = Vec::new();
    for relaxation in all {
        if !unique.iter().any(|known| known.edges == relaxation.edges) {
            unique.push(relaxation);
        }
    }
    let marks = marks(&vocabulary, &options.vary)?;
    let cycles = Cycles::new(language, unique, [options.size, options.threads]);
    let cycles: Box<dyn Iterator<Item = Cycle>> = if marks.is_empty() {
        Box::new(cycles)
    } else {
        Box::new(cycles.flat_map(move |cycle| family::varied(language, cycle, &marks)))
    };
    let cycles: Box<dyn Iterator<Item = Cycle>> = match options.sample {
        Some(sample) => Box::new(sampled(cycles, sample).into_iter()),
        None => cycles,
    };
    let cycles = cycles.map(|cycle| (None, cycle));
    Ok(Written { language, cycles, names: HashMap::new(), given: HashSet::new() })
}

/// Some of the cycles, each with the same chance, in their order.
fn sampled(cycles: impl Iterator<Item = Cycle>, Sample { count, seed }: Sample) -> Vec<Cycle> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kept: Vec<(usize, Cycle)> = Vec::new();
    for (number, cycle) in cycles.enumerate() {
        if number < count {
            kept.push((number, cycle));
            continue;
        }
        let place = random.usize(..=number);
        if place < count {
            kept[place] = (number, cycle);
        }
    }
    kept.sort_unstable_by_key(|(number, _)| *number);
    kept.into_iter().map(|(_, cycle)| cycle).collect()
}

/// Cycles as tests with names that differ.
struct Written<I> {
    language: &'static Language,
    /// Each cycle with its name, if one is given.
    cycles: I,
    /// How many tests have been named after each name of diy7.
    names: HashMap<String, usize>,
    /// The names that are given.
    given: HashSet<String>,
}

impl<I: Iterator<Item = (Option<String>, Cycle)>> Iterator for Written<I> {
    type Item = Test;

    fn next(&mut self) -> Option<Test> {
        loop {
            let (given, cycle) = self.cycles.next()?;
            if let Some(name) = given {
                if let Ok(test) = test(self.language, &cycle, name) {
                    return Some(test);
                }
                continue;
            }
            let name = cycle.name(self.language);
            let mut uses = self.names.get(&name).copied().unwrap_or(0);
            let numbered = loop {
                uses += 1;
                let numbered = if uses == 1 { name.clone() } else { format!("{name}-{uses}") };
                if !self.given.contains(&numbered) {
                    break numbered;
                }
            };
            if let Ok(test) = test(self.language, &cycle, numbered) {
                self.names.insert(name, uses);
                return Some(test);
            }
        }
    }
}

/// Writes a test.
fn test(language: &Language, cycle: &Cycle, name: String) -> std::result::Result<Test, String> {
    let body = (language.write)(language, &plan::plan(language, cycle.edges()))?;
    if body.condition.is_empty() {
        return Err("nothing is left to ask for at the end".to_owned());
    }
    let edges = cycle.text(language);
    let head = format!(
        "{} {name}\n\"{edges}\"\nGenerator=wakerace\nCom={}\nOrig={edges}\n",
        language.word,
        cycle.communications()
    );
    let text = format!("{head}{}exists ({})\n", body.text, body.condition.join(" /\\ "));
    Ok(Test { name, cycle: edges, text })
}

/// The words of a list.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']')).filter(|word| !word.is_empty())
}

/// The edges of a cycle that is given word by word.
fn one(words: &[Word]) -> std::result::Result<Vec<Edge>, String> {
    let mut edges: Vec<Edge> = Vec::new();
    // An annotation in front of the first edge belongs to it and to the last.
    let mut pending: Option<Mark> = None;
    for word in words {
        match word {
            Word::Edges(choices) => {
                let [edge] = choices.as_slice() else {
                    return Err("an edge with * stands for several; only a family has such".to_owned());
                };
                let mut edge = *edge;
                if let Some(mark) = pending.take() {
                    edge.marks[0] = together(edge.marks[0], mark)?;
                }
                edges.push(edge);
            }
            Word::Mark(mark) => match edges.last_mut() {
                Some(edge) => {
                    edge.marks[1] = together(edge.marks[1], *mark)?;
                }
                None => pending = Some(*mark),
            },
        }
    }
    Ok(edges)
}

fn together(own: Option<Mark>, mark: Mark) -> std::result::Result<Option<Mark>, String> {
    match own {
        Some(own) if own != mark => Err("an access has two annotations".to_owned()),
        _ => Ok(Some(mark)),
    }
}

/// Whether a cycle of the family needs one of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

/// A list of relaxations. Brackets hold edges that stand together.
fn relaxations(vocabulary: &Vocabulary<'_>, text: &str, wanted: Wanted) -> Result<Vec<Relaxation>> {
    let failed = |reason: String| Error::Usage(format!("the relaxations '{}': {reason}", crate::shown::line(text)));
    let wanted = wanted == Wanted::Yes;
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (alone, group, after) = match rest.split_once('[') {
            None => (rest, None, ""),
            Some((alone, behind)) => {
                let (group, after) = behind.split_once(']').ok_or_else(|| failed("a `[` has no `]`".to_owned()))?;
                (alone, Some(group), after)
            }
        };
        for word in split(alone) {
            match vocabulary.word(word).map_err(failed)? {
                Word::Edges(edges) => {
                    out.extend(edges.into_iter().map(|edge| Relaxation { edges: vec![edge], wanted }));
                }
                Word::Mark(_) => {
                    return Err(failed(format!("{word} is an annotation; write it at an edge, or use --vary")));
                }
            }
        }
        if let Some(group) = group {
            let words = split(group).map(|word| vocabulary.word(word)).collect::<std::result::Result<Vec<_>, _>>();
            let edges = words.and_then(|words| one(&words)).map_err(failed)?;
            if !edges.is_empty() {
                out.push(Relaxation { edges, wanted });
            }
        }
        rest = after;
    }
    Ok(out)
}

/// A list of annotations.
fn marks(vocabulary: &Vocabulary<'_>, text: &str) -> Result<Vec<Mark>> {
    let mut out = Vec::new();
    for word in split(text) {
        match vocabulary.word(word) {
            Ok(Word::Mark(mark)) => out.push(mark),
            _ => {
                let word = crate::shown::line(word);
                return Err(Error::Usage(format!("'{word}' is not an annotation; `--vocabulary` lists them")));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
