//! Judges the tests of `check`, on all CPUs at once.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Instant;

use super::CheckArgs;
use super::published::{Compared, Published};
use crate::arch::lock::{Choices, Lock};
use crate::catalogue::{Found, Scenario};
use crate::error::{Error, Result};
use crate::litmus::{Diagnostic, Source, Verdict};
use crate::model::code::Code;
use crate::model::{self, Bounds, Model, ModelError, Outcome, explain, herd_log, svg};
use crate::parallel::in_parallel;
use crate::{isa, verdict};

/// A test and what was found out about it.
pub(super) struct Report {
    /// The test's name; the file's name if the test could not be read.
    pub name: String,
    /// The path of the file.
    pub file: String,
    /// Whether the test was found in a folder. It may then be refused without an error.
    pub in_folder: bool,
    /// Whether the file could not be read. That is an error in a folder, too.
    pub unread: bool,
    /// Why the test can only be judged, if it cannot run.
    pub cannot_run: Option<Diagnostic>,
    /// What each model says, in the order of the models; `None` if a model does not apply to the test.
    pub findings: Vec<Option<ModelReport>>,
}

/// What one model says about one test.
pub(super) struct ModelReport {
    pub kind: Kind,
    /// The time that parsing and judging took, in seconds.
    pub seconds: f64,
}

/// What came of judging a test.
pub(super) enum Kind {
    /// A verdict.
    Judged(Box<Judged>),
    /// The test uses something that the model, or this program, does not cover.
    Refused {
        /// The kind of reason, the same text for all tests that are refused for it.
        reason: String,
        /// The whole error. A test that cannot be read has it only in the finding of the first model, so that it is
        /// told once.
        error: Option<Error>,
    },
    /// The test is too large.
    TooLarge(Error),
    /// The published models do not cover the test; `run` takes its header's expectation.
    NotModelled(&'static str),
}

/// A verdict.
pub(super) struct Judged {
    /// The outcome without its states, so that many tests take little memory.
    pub outcome: Outcome,
    /// What comes of the other locks of the model's architecture, if the test takes locks and `--lock` names none: the verdict,
    /// and the number of states.
    pub of_other_locks: Vec<(Lock, Verdict, usize)>,
    /// The number of states that herd7 prints.
    pub states: usize,
    /// The states as herd7 prints them, if JSON with states is asked for.
    pub final_states: Option<BTreeSet<String>>,
    /// The test in herd7's log format, if asked for.
    pub log: Option<String>,
    /// The explanation as text, if asked for.
    pub explanation: Option<String>,
    /// The explanation as a picture, if asked for and if there is an execution to draw.
    pub picture: Option<String>,
    /// Whether the header agrees; `None` if it declares nothing.
    pub header: Option<std::result::Result<(), String>>,
    /// How the verdict compares with the published one; `None` if there is none.
    pub published: Option<Compared>,
}

/// A test in one of the languages.
enum Subject {
    /// A test in C; every model applies.
    C(Box<Scenario>),
    /// A test in assembly and its architecture's model; only this model and sequential consistency apply.
    Assembly(Box<Code>, Model),
}

impl Subject {
    fn read(source: &Source, group: &str) -> Result<Subject> {
        if isa::model_of_assembly(source.text()).is_some() {
            let (code, model) = isa::parse_assembly(source)?;
            return Ok(Subject::Assembly(Box::new(code), model));
        }
        Ok(Subject::C(Box::new(Scenario::new(source, group)?)))
    }

    fn name(&self) -> &str {
        match self {
            Subject::C(scenario) => &scenario.name,
            Subject::Assembly(code, _) => &code.name,
        }
    }

    /// Why a test in C cannot run, if it is one that is only judged.
    fn cannot_run(&self) -> Option<Diagnostic> {
        match self {
            Subject::C(scenario) => scenario.program.cannot_run.clone(),
            Subject::Assembly(..) => None,
        }
    }

    /// The model of the test's language: LKMM for C, the architecture's for assembly.
    fn language(&self) -> Model {
        match self {
            Subject::C(_) => Model::Lkmm,
            Subject::Assembly(_, model) => *model,
        }
    }

    /// The test as a model sees it.
    fn code(&self, model: Model, choices: Choices) -> model::Result<Cow<'_, Code>> {
        match self {
            Subject::C(scenario) => isa::code_for(scenario.judged(), model, choices).map(Cow::Owned),
            Subject::Assembly(code, _) => Ok(Cow::Borrowed(code)),
        }
    }
}

/// Judges every test by every model that applies to it. The reports are in the order of the tests.
pub(super) fn all(
    args: &CheckArgs,
    tests: Vec<Found>,
    models: &[Model],
    published: Option<&Published>,
) -> Result<Vec<Report>> {
    in_parallel(tests, |test| Ok(one(args, test, models, published)))
}

fn one(args: &CheckArgs, test: Found, models: &[Model], published: Option<&Published>) -> Report {
    let Found { name: file, in_folder, text } = test;
    let started = Instant::now();
    let unread = text.is_err();
    let language = text.as_ref().ok().and_then(|(source, _)| isa::model_of_assembly(source.text()));
    let applies = |model: Model| language.is_none_or(|own| [own, Model::Sc].contains(&model));
    let read = text.and_then(|(source, group)| Subject::read(&source, &group));
    let reading = started.elapsed().as_secs_f64();
    match read {
        Ok(subject) => {
            let finding = |model: &Model| applies(*model).then(|| judge(args, &subject, *model, published, reading));
            let findings = models.iter().map(finding).collect();
            let name = subject.name().to_owned();
            Report { name, file, in_folder, unread, cannot_run: subject.cannot_run(), findings }
        }
        Err(error) => {
            let reason = reason(&error);
            let mut error = Some(error);
            let mut refused = || Kind::Refused { reason: reason.clone(), error: error.take() };
            let finding = |model: &Model| applies(*model).then(|| ModelReport { kind: refused(), seconds: reading });
            let findings = models.iter().map(finding).collect();
            Report { name: file.clone(), file, in_folder, unread, cannot_run: None, findings }
        }
    }
}

/// The kind of reason for which a test is refused.
fn reason(error: &Error) -> String {
    match error {
        Error::Litmus(diagnostic) => diagnostic.reason(),
        other => other.to_string(),
    }
}

fn judge(
    args: &CheckArgs,
    subject: &Subject,
    model: Model,
    published: Option<&Published>,
    reading: f64,
) -> ModelReport {
    let started = Instant::now();
    let kind = judged(args, subject, model, published).unwrap_or_else(|error| refusal(subject, model, error));
    ModelReport { kind, seconds: reading + started.elapsed().as_secs_f64() }
}

fn judged(args: &CheckArgs, subject: &Subject, model: Model, published: Option<&Published>) -> model::Result<Kind> {
    let bounds = Bounds::of_limit(args.limit);
    let started = Instant::now();
    let lock = lock_of(args.lock, model);
    let code = subject.code(model, Choices { atomics: args.atomics, lock })?;
    let mut outcome = model::check(&code, model, bounds)?;
    let of_other_locks = other_locks(args, subject, model, bounds)?;
    let header = match subject {
        Subject::C(scenario) if verdict::declares(scenario, model) => {
            let others = of_other_locks.iter().map(|(lock, other)| (*lock, other));
            let all: Result<()> = std::iter::once((lock, &outcome))
                .chain(others)
                .try_for_each(|(lock, outcome)| verdict::agrees(scenario, model, lock, outcome));
            Some(all.map_err(|error| error.to_string()))
        }
        _ => None,
    };
    let (mut explanation, mut picture) = (None, None);
    if args.explain || args.svg.is_some() {
        let found = explain::explain(&code, model, bounds)?;
        explanation = args.explain.then(|| explain::text(&code, model, found.as_ref()));
        picture = found.filter(|_| args.svg.is_some()).map(|found| svg::svg(&code, model, &found));
    }
    let states = herd_log::count(&code, &outcome);
    let final_states = (args.states && args.json).then(|| herd_log::states(&code, &outcome));
    let log = (args.states && !args.json).then(|| herd_log::log(&code, &outcome, started.elapsed().as_secs_f64()));
    let own = subject.language() == model;
    let published = published.and_then(|all| all.compare(subject.name(), (model, own), &code, &outcome));
    outcome.states.clear();
    let of_other_locks =
        of_other_locks.into_iter().map(|(lock, other)| (lock, other.verdict, other.states.len())).collect();
    let judged = Judged { outcome, of_other_locks, states, final_states, log, explanation, picture, header, published };
    Ok(Kind::Judged(Box::new(judged)))
}

/// The lock that a model's architecture has: the one asked for, if a kernel of that architecture has it.
fn lock_of(asked: Option<Lock>, model: Model) -> Lock {
    asked.filter(|lock| model.arch().is_some_and(|arch| Lock::of(arch).contains(lock))).unwrap_or_default()
}

/// The outcomes with the other locks of a model's architecture, if the test takes locks and no lock was asked for.
fn other_locks(
    args: &CheckArgs,
    subject: &Subject,
    model: Model,
    bounds: Bounds,
) -> model::Result<Vec<(Lock, Outcome)>> {
    let (Subject::C(scenario), Some(arch), None) = (subject, model.arch(), args.lock) else { return Ok(Vec::new()) };
    let locks = Lock::of(arch).iter().filter(|lock| **lock != Lock::default() && scenario.program.takes_lock());
    let outcome = |lock: Lock| {
        let code = subject.code(model, Choices { atomics: args.atomics, lock })?;
        Ok((lock, model::check(&code, model, bounds)?))
    };
    locks.map(|&lock| outcome(lock)).collect()
}

fn refusal(subject: &Subject, model: Model, error: ModelError) -> Kind {
    let say = |hint: &str| Error::Usage(format!("{}, {model}: {error}{hint}", subject.name()));
    match &error {
        ModelError::NotModelled(what) => Kind::NotModelled(what),
        ModelError::TooLarge { .. } => Kind::TooLarge(say("; --limit raises the bound")),
        ModelError::TooLong { .. } => Kind::TooLarge(say("")),
        ModelError::Unsupported(what) => Kind::Refused { reason: what.clone(), error: Some(say("")) },
    }
}
