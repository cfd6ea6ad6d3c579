//! The built-in scenarios, and the lookup of the scenarios that a user names.
//!
//! The files of scenarios/ are embedded in the binary, so a copy of the binary is complete.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use include_dir::{Dir, include_dir};

use crate::apart;
use crate::arch::Arch;
use crate::arch::lock::{Choices, Lock};
use crate::codegen::Target;
use crate::error::{Error, Result};
use crate::generate;
use crate::input::{Limit, find_files, read_latin1_or_utf8};
use crate::isa::{self, ModelView};
use crate::layout::{Layout, LayoutKind};
use crate::litmus::{self, MAX_SOURCE_BYTES, Source, Span, Verdict, ast};
use crate::model::code::Code;
use crate::model::{self, Model, machine};
use crate::parallel::in_parallel;
use crate::program::{self, Access, Const, Forms, JudgedOnly, Op, Program, Quantifier};
use crate::shown;

static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// The folders of scenarios/, in the order in which they are listed.
pub const GROUPS: [&str; 6] = ["race", "fixes", "mutants", "guards", "fields", "controls"];

/// The scenarios of `run` without arguments: the race, two fixes and one mutant. `run` adds the controls
/// itself.
pub const DEFAULT: [&str; 4] = ["S01-as-is", "S02-wmb", "S03-store-release", "S05-swapped"];

/// The controls of a run on an architecture, and their variants with a barrier, which must not fire.
pub fn controls(arch: Arch) -> &'static [&'static str] {
    arch.facts().controls.always
}

/// A scenario: its parsed and lowered source.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name on the first line of the file.
    pub name: String,
    /// The folder of a built-in scenario (`fixes`), or the path of the file's folder.
    pub group: String,
    /// The syntax tree, with the header.
    pub test: ast::Test,
    /// The lowered form.
    pub program: Program,
    /// What the models judge in place of `program`, if a loop of it is left after some rounds although its condition holds.
    pub followed: Option<Box<Program>>,
    /// What the models judge, if the test is in assembly. A test in C is translated for each model.
    pub view: Option<ModelView>,
    /// The outcomes that the header names.
    pub outcomes: Vec<NamedOutcome>,
    /// The hash that identifies the test ([`litmus::naming::hash`]), in hexadecimal.
    pub sha256: Digest,
}

/// An outcome with a name in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedOutcome {
    /// Columns of the program with their values. The other columns may have any value.
    pub values: Vec<(usize, Const)>,
    /// The words.
    pub words: String,
}

/// The hash of a test in hexadecimal, as text. It is computed when it is first read, because `check` never asks for it.
#[derive(Debug, Clone)]
pub struct Digest {
    text: Arc<str>,
    hex: OnceLock<String>,
}

impl Deref for Digest {
    type Target = str;

    fn deref(&self) -> &str {
        self.hex.get_or_init(|| litmus::naming::hash(&self.text))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<String> for Digest {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        **self == **other
    }
}

impl Scenario {
    /// Parses and lowers a source, in C or in assembly. A test in C may be one that can only be judged.
    ///
    /// # Errors
    /// If the source is not a valid test, or if it is in assembly and cannot run. The error says what is wrong, and
    /// where.
    pub fn new(source: &Source, group: &str) -> Result<Scenario> {
        let (test, program, followed, view) = if isa::model_of_assembly(source.text()).is_some() {
            let isa::AssemblyTest { header, program, view } = isa::read_assembly(source)?;
            (litmus::without_syntax(source, program.name.clone(), header), program, None, Some(view))
        } else {
            let test = litmus::parse(source)?;
            let Forms { program, judged } = program::forms(&test)?;
            (test, program, judged.map(Box::new), None)
        };
        let outcomes = named_outcomes(source, &test, &program)?;
        let sha256 = Digest { text: source.shared_text(), hex: OnceLock::new() };
        Ok(Scenario {
            name: test.name.clone(),
            group: group.to_owned(),
            test,
            program,
            followed,
            view,
            outcomes,
            sha256,
        })
    }

    /// The test as a model sees it.
    ///
    /// # Errors
    /// As [`isa::code_for`]. Also if the test is in the assembly of another architecture than the model's.
    pub fn code_for(&self, model: Model, choices: impl Into<Choices>) -> model::Result<Code> {
        match &self.view {
            None => isa::code_for(self.judged(), model, choices),
            Some(view) => view.code(model),
        }
    }

    /// What the models judge of a test in C.
    pub fn judged(&self) -> &Program {
        self.followed.as_deref().unwrap_or(&self.program)
    }

    /// The accesses of the test as sequential consistency sees them ([`machine::accesses`]).
    pub fn accesses(&self) -> Code {
        self.view.as_ref().map_or_else(|| machine::accesses(self.judged()), ModelView::accesses)
    }

    /// Parses and lowers a source that shall run.
    ///
    /// # Errors
    /// As [`Scenario::new`], and if the test can only be judged: it uses a primitive that only the kernel has, or it breaks a
    /// rule of [`program::lower`].
    pub fn to_run(source: &Source, group: &str) -> Result<Scenario> {
        let mut scenario = Scenario::new(source, group)?;
        if let Some(JudgedOnly { name, primitive }) = scenario.program.judged_only() {
            let words = format!("`{}()` is judged by `check`; `run` has no {}", name.text, primitive.missing());
            return Err(source.error(name.span, words, "only the kernel has this").into());
        }
        match scenario.program.cannot_run.take() {
            None => Ok(scenario),
            Some(reason) => Err(reason.note("`wakerace check` judges this test").into()),
        }
    }

    /// The declared verdict on the race with this kind of lock. A header's verdict is about the condition, as herd7's is. The race
    /// of a `forall` is that its condition does not hold, so Never and Always are exchanged for it.
    pub fn expected(&self, arch: Arch, lock: Lock) -> Option<Verdict> {
        let declared = self.test.header.expected(arch, lock)?;
        Some(match (self.program.quantifier, declared) {
            (Quantifier::Forall, Verdict::Never) => Verdict::Always,
            (Quantifier::Forall, Verdict::Always) => Verdict::Never,
            (_, verdict) => verdict,
        })
    }

    /// The reason why an architecture cannot run this test, if there is one: only x86-64 has the non-temporal
    /// store, and a test in assembly is for its own architecture.
    pub fn refused_by(&self, arch: Arch) -> Option<String> {
        if let Some(language) = self.program.language.filter(|language| *language != arch) {
            return Some(format!(
                "it is in the assembly of {language}; `wakerace check` judges it here, and `wakerace run` of a host or an \
                 emulator of {language} runs it"
            ));
        }
        let nontemporal = |op: &Op| matches!(op, Op::Store { access: Access::NonTemporal, .. });
        let has_one = self.program.threads.iter().any(|thread| thread.ops.iter().any(nontemporal));
        (has_one && !arch.facts().has_nontemporal_store)
            .then(|| "it has a non-temporal store, which only x86-64 supports (it is a control there)".to_owned())
    }

    /// Checks that code can be emitted for this test, whose variables are `line` bytes apart.
    ///
    /// # Errors
    /// A diagnostic at the thread that has none, such as one with more values at once than registers.
    pub fn has_code(&self, target: Target, line: usize) -> Result<()> {
        let layout = Layout::new(LayoutKind::Padded, &self.program, line)?;
        let Some((number, reason)) = isa::refused(target, &self.program, &layout) else { return Ok(()) };
        let span = self.test.threads.get(number).map_or(Span::at(0), |thread| thread.span);
        let error = self.test.source.error(span, format!("cannot run: P{number} {reason}"), "this thread");
        Err(error.help("`wakerace check` judges the test all the same").into())
    }

    /// Whether this test is a control that must fire on an architecture.
    pub fn is_control(&self, arch: Arch) -> bool {
        self.test.header.control.contains(&arch)
    }
}

/// The outcomes that a header names, checked: the test observes what they name.
fn named_outcomes(source: &Source, test: &ast::Test, program: &Program) -> Result<Vec<NamedOutcome>> {
    let names: Vec<String> = (0..program.columns.len()).map(|column| program.column_name(column)).collect();
    let mut out: Vec<NamedOutcome> = Vec::new();
    for outcome in &test.header.naming.outcomes {
        let mut values = Vec::new();
        for (left, value) in &outcome.values {
            let thread = left.thread.map_or(String::new(), |(thread, _)| format!("{thread}:"));
            let name = format!("{thread}{}", left.name.text);
            let span = left.thread.map_or(left.name.span, |(_, thread)| thread.to(left.name.span));
            let Some(column) = names.iter().position(|known| *known == name) else {
                let message = format!("{name} is no part of an outcome of this test");
                let help = if names.is_empty() {
                    "the condition of this test names no register and no variable".to_owned()
                } else {
                    format!("its outcomes have {}", names.join(", "))
                };
                return Err(source.error(span, message, "not observed").help(help).into());
            };
            if values.iter().any(|(known, _)| *known == column) {
                return Err(source.error(span, format!("this outcome names {name} twice"), "second occurrence").into());
            }
            let value = match value {
                ast::Value::Int(value, _) => Const::Int(*value),
                ast::Value::Address(variable) => {
                    let location = program.locations.iter().position(|location| location.name == variable.text);
                    let missing = || {
                        let message = format!("this test has no variable {}", variable.text);
                        source.error(variable.span, message, "no such variable")
                    };
                    Const::Address(location.ok_or_else(missing)?)
                }
            };
            values.push((column, value));
        }
        values.sort_unstable();
        if out.iter().any(|known| known.values == values) {
            return Err(source.error(outcome.span, "this outcome has two names", "second occurrence").into());
        }
        out.push(NamedOutcome { values, words: outcome.words.clone() });
    }
    Ok(out)
}

/// The built-in files: group, name without extension, text.
fn builtin() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut all = Vec::new();
    for group in GROUPS {
        let files = FILES.get_dir(group).into_iter().flat_map(Dir::files);
        let mut names: Vec<_> =
            files.filter_map(|file| Some((group, file.path().file_stem()?.to_str()?, file.contents_utf8()?))).collect();
        names.sort_unstable();
        all.extend(names);
    }
    all
}

/// A source text, and the folder that it comes from.
pub type Text = (Source, String);

fn text((group, name, text): (&str, &str, &str)) -> Text {
    (Source::new(format!("scenarios/{group}/{name}.litmus"), text), group.to_owned())
}

fn load(entry: (&str, &str, &str)) -> Result<Scenario> {
    let (source, group) = text(entry);
    Scenario::new(&source, &group)
}

/// The sources of all built-in scenarios, in the order of the groups.
pub fn sources() -> Vec<Found> {
    builtin().into_iter().map(text).map(found).collect()
}

/// All built-in scenarios, in the order of the groups.
///
/// # Errors
/// If a built-in scenario is not valid. Tests make sure that all are.
pub fn all() -> Result<Vec<Scenario>> {
    builtin().into_iter().map(load).collect()
}

/// The built-in scenario with this name.
///
/// # Errors
/// If there is none with this name.
pub fn named(name: &str) -> Result<Scenario> {
    let found = builtin().into_iter().find(|(_, known, _)| *known == name);
    found.map_or_else(|| Err(unknown(name)), load)
}

/// Whether a test is a control of the catalogue on an architecture: it has the name and the source of one.
pub fn is_control(name: &str, sha256: &str, arch: Arch) -> bool {
    named(name).is_ok_and(|scenario| *scenario.sha256 == *sha256 && scenario.is_control(arch))
}

/// The scenarios that the user names on the command line, each once, in that order. A name is a file, a
/// folder (searched recursively for `*.litmus`), a built-in scenario (`S01-as-is`), its prefix before a
/// hyphen (`S12c`), or a group (`fixes`). Files and folders on disk take precedence.
///
/// # Errors
/// If a name is not found or is ambiguous, or a file cannot be read or is not a litmus test that can run.
pub fn resolve(names: &[String]) -> Result<Vec<Scenario>> {
    resolve_sources(names)?.iter().map(|(source, group)| Scenario::to_run(source, group)).collect()
}

/// A file or built-in scenario that the user named, or that is in a folder that the user named.
#[derive(Debug)]
pub struct Found {
    /// The file's path, or the path that the built-in scenario has in the tree.
    pub name: String,
    /// Whether the user named the folder and not the file.
    pub in_folder: bool,
    /// The text, not parsed yet: it may be in assembly. An error if the file cannot be read as text.
    pub text: Result<Text>,
}

/// The sources that [`resolve`] finds, each text once.
///
/// # Errors
/// If a name is not found or is ambiguous.
pub fn find_sources(names: &[String]) -> Result<Vec<Found>> {
    let mut known = HashSet::new();
    let mut sources = Vec::new();
    for name in names {
        let found = resolve_one(name)?;
        sources.extend(found.into_iter().filter(|found| match &found.text {
            Ok((source, _)) => known.insert(source.shared_text()),
            Err(_) => true,
        }));
    }
    Ok(sources)
}

/// The sources that [`resolve`] finds, not parsed yet: they may be in assembly.
///
/// # Errors
/// If a name is not found or is ambiguous, or a file cannot be read as text.
pub fn resolve_sources(names: &[String]) -> Result<Vec<Text>> {
    find_sources(names)?.into_iter().map(|found| found.text).collect()
}

fn resolve_one(name: &str) -> Result<Vec<Found>> {
    let path = Path::new(name);
    if path.is_dir() {
        let mut files = find_files(path, "litmus")?;
        files.sort_unstable();
        if files.is_empty() {
            return Err(Error::Usage(format!("the folder '{name}' contains no *.litmus file")));
        }
        // A test of a folder may be unreadable, but it must not be the file of an output.
        files.iter().try_for_each(|file| apart::read(file))?;
        let found = |file: PathBuf| Found { name: shown::path(&file), in_folder: true, text: read_file(&file) };
        return in_parallel(files, |file| Ok(found(file)));
    }
    if path.exists() {
        return Ok(vec![Found { name: name.to_owned(), in_folder: false, text: read_file(path) }]);
    }
    Ok(builtin_named(name)?.into_iter().map(found).collect())
}

fn found(text: Text) -> Found {
    Found { name: text.0.name().to_owned(), in_folder: false, text: Ok(text) }
}

/// The built-in scenarios that a name stands for.
fn builtin_named(name: &str) -> Result<Vec<Text>> {
    let known = builtin();
    let in_group: Vec<_> = known.iter().copied().filter(|(group, _, _)| *group == name).collect();
    if !in_group.is_empty() {
        return Ok(in_group.into_iter().map(text).collect());
    }
    let exact = known.iter().copied().find(|(group, scenario, _)| {
        *scenario == name
            || name.trim_end_matches(".litmus").trim_start_matches("scenarios/") == format!("{group}/{scenario}")
    });
    if let Some(found) = exact {
        return Ok(vec![text(found)]);
    }
    let prefix = format!("{name}-");
    let begin: Vec<_> = known.iter().copied().filter(|(_, scenario, _)| scenario.starts_with(&prefix)).collect();
    match begin.as_slice() {
        [one] => Ok(vec![text(*one)]),
        [] => Err(unknown(name)),
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name, _)| *name).collect();
            Err(Error::Usage(format!("'{name}' is ambiguous; it may mean {}", names.join(", "))))
        }
    }
}

fn unknown(name: &str) -> Error {
    let near = builtin().into_iter().map(|(_, known, _)| (strsim::damerau_levenshtein(known, name), known)).min();
    let hint = match near {
        Some((distance, known)) if distance <= name.len() / 2 => format!("; did you mean '{known}'?"),
        _ => "; `wakerace list` shows the scenarios".to_owned(),
    };
    // The usual tests that are not scenarios can be made.
    let arch = Arch::host().unwrap_or(Arch::ALL[0]);
    let hint = match generate::plain_cycle(name) {
        Some(cycle) => {
            let name = name.to_ascii_uppercase();
            format!(
                "; `wakerace generate --arch {arch} --cycle '{cycle}' -o tests` makes {name}, and `wakerace run tests` runs it"
            )
        }
        None => hint,
    };
    Error::Usage(format!("there is no file, folder or scenario '{name}'{hint}"))
}

/// Reads a file as a scenario.
///
/// # Errors
/// If the file cannot be read, is too large, is not text, or is not a litmus test.
pub fn load_file(path: &Path) -> Result<Scenario> {
    let (source, group) = read_file(path)?;
    Scenario::new(&source, &group)
}

fn read_file(path: &Path) -> Result<Text> {
    let text = read_latin1_or_utf8(path, Limit { bytes: MAX_SOURCE_BYTES, why: "a litmus test is a page of text" })?;
    let folder = path.parent().map_or(String::new(), shown::path);
    Ok((Source::new(shown::path(path), text), folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_lowers_is_named_like_its_file_and_says_what_to_expect() {
        let scenarios = all().unwrap();
        assert!(scenarios.len() >= 35, "{}", scenarios.len());
        for ((group, file, _), scenario) in builtin().into_iter().zip(&scenarios) {
            assert_eq!(scenario.name, file);
            let header = &scenario.test.header;
            assert!(
                header.expected(Arch::X86_64, Lock::Qspinlock).is_some(),
                "{group}/{file} expects nothing on x86_64"
            );
            assert!(!header.summary().is_empty(), "{group}/{file} asks nothing");
            if group != "controls" {
                assert!(header.result.is_some() && header.match_event.is_some(), "{group}/{file}");
                assert!(
                    Arch::ALL.into_iter().all(|arch| header.expected(arch, Lock::Qspinlock).is_some()),
                    "{group}/{file}"
                );
            }
        }
    }

    #[test]
    fn the_default_run_and_its_controls_exist() {
        for name in DEFAULT.into_iter().chain(Arch::ALL.into_iter().flat_map(controls).copied()) {
            named(name).unwrap();
        }
        let fires = |arch| controls(arch).iter().any(|name| named(name).unwrap().is_control(arch));
        assert!(Arch::ALL.into_iter().all(fires));
    }

    #[test]
    fn names_resolve_or_say_why_not() {
        let one = |name: &str| resolve(&[name.to_owned()]);
        assert_eq!(one("S12c").unwrap()[0].name, "S12c-still-blocked");
        assert_eq!(one("race/S01-core").unwrap()[0].name, "S01-core");
        assert_eq!(one("fixes").unwrap().len(), FILES.get_dir("fixes").unwrap().files().count());
        assert!(one("S01").unwrap_err().to_string().contains("ambiguous"));
        assert!(one("S01-asis").unwrap_err().to_string().contains("did you mean 'S01-as-is'"));
        assert_eq!(resolve(&["SB".into(), "SB".into()]).unwrap().len(), 1);
    }
}
