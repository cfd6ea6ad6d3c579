//! Judges the tests of `check`, on all CPUs at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::CheckArgs;
use crate::arch::lock::{Choices, Lock};
use crate::catalogue::{Found, Scenario};
use crate::error::{Error, Result};
use crate::litmus::Source;
use crate::model::code::Code;
use crate::model::{self, Bounds, Model, ModelError, Outcome, explain, herd_log, svg};
use crate::{isa, verdict};

/// A test and what was found out about it.
pub(super) struct Report {
    /// The test's name; the file's name if the test could not be read.
    pub name: String,
    /// The path of the file.
    pub file: String,
    /// The model of the test's language: LKMM for C, the architecture's for assembly.
    pub language: Model,
    /// Whether the test was found in a folder. It may then be refused without an error.
    pub in_folder: bool,
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
        /// The whole error.
        error: Error,
    },
    /// The test is too large.
    TooLarge(Error),
    /// The published models do not cover the test; `run` takes its header's expectation.
    NotModelled(&'static str),
}

/// A verdict.
pub(super) struct Judged {
    pub outcome: Outcome,
    /// The outcomes with the other locks of the model's architecture, if the test takes locks and `--lock` names none.
    pub of_other_locks: Vec<(Lock, Outcome)>,
    /// The states as herd7 prints them.
    pub states: Vec<String>,
    /// The test in herd7's log format.
    pub log: String,
    /// The explanation as text and as a picture, if asked for.
    pub explanation: Option<(String, Option<String>)>,
    /// Whether the header agrees; `None` if it declares nothing.
    pub header: Option<std::result::Result<(), String>>,
}

/// A test in one of the languages.
enum Subject {
    /// A test in C; every model applies.
    C(Box<Scenario>),
    /// A test in assembly; only its architecture's model and sequential consistency apply.
    Assembly(Box<Code>),
}

impl Subject {
    fn read(source: &Source, group: &str) -> Result<Subject> {
        if isa::model_of_assembly(source.text()).is_some() {
            let (code, _) = isa::parse_assembly(source)?;
            return Ok(Subject::Assembly(Box::new(code)));
        }
        Ok(Subject::C(Box::new(Scenario::new(source, group)?)))
    }

    fn name(&self) -> &str {
        match self {
            Subject::C(scenario) => &scenario.name,
            Subject::Assembly(code) => &code.name,
        }
    }

    /// The test as a model sees it.
    fn code(&self, model: Model, choices: Choices) -> model::Result<Code> {
        match self {
            Subject::C(scenario) => isa::code_for(&scenario.program, model, choices),
            Subject::Assembly(code) => Ok((**code).clone()),
        }
    }
}

/// The recursion of the search and of the parser is as deep as a test has events; the stacks of other threads are
/// small.
const STACK_BYTES: usize = 64 << 20;

/// Judges every test by every model that applies to it. The reports are in the order of the tests.
pub(super) fn all(args: &CheckArgs, tests: Vec<Found>, models: &[Model]) -> Result<Vec<Report>> {
    let count = tests.len();
    let workers = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let next = AtomicUsize::new(0);
    let tests: Vec<Mutex<Option<Found>>> = tests.into_iter().map(|test| Mutex::new(Some(test))).collect();
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(test) = tests.get(at) else { return done };
            let test = test.lock().ok().and_then(|mut test| test.take());
            done.extend(test.map(|test| (at, one(args, test, models))));
        }
    };
    let mut reports: Vec<(usize, Report)> = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let threads = (0..workers).map(spawn).collect::<std::io::Result<Vec<_>>>();
        let threads = threads.map_err(Error::io("starting a thread"))?;
        let mut all = Vec::with_capacity(count);
        for thread in threads {
            all.extend(thread.join().map_err(|_| Error::Internal("a test could not be judged".to_owned()))?);
        }
        Ok::<_, Error>(all)
    })?;
    reports.sort_by_key(|(at, _)| *at);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

fn one(args: &CheckArgs, test: Found, models: &[Model]) -> Report {
    let Found { name: file, in_folder, text } = test;
    let started = Instant::now();
    let language = text.as_ref().ok().and_then(|(source, _)| isa::model_of_assembly(source.text()));
    let own = language.unwrap_or(Model::Lkmm);
    let applies = |model: Model| language.is_none_or(|own| [own, Model::Sc].contains(&model));
    let read = text.and_then(|(source, group)| Subject::read(&source, &group));
    let reading = started.elapsed().as_secs_f64();
    match read {
        Ok(subject) => {
            let finding = |model: &Model| applies(*model).then(|| judge(args, &subject, *model, reading));
            let findings = models.iter().map(finding).collect();
            Report { name: subject.name().to_owned(), file, language: own, in_folder, findings }
        }
        Err(error) => {
            let mut error = Some(error);
            let finding = |model: &Model| {
                // The error is told once.
                let error = applies(*model).then(|| error.take())?;
                let reason = error.as_ref().map_or_else(String::new, reason);
                let error = error.unwrap_or_else(|| Error::Usage(String::new()));
                Some(ModelReport { kind: Kind::Refused { reason, error }, seconds: reading })
            };
            let findings = models.iter().map(finding).collect();
            Report { name: file.clone(), file, language: own, in_folder, findings }
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

fn judge(args: &CheckArgs, subject: &Subject, model: Model, reading: f64) -> ModelReport {
    let started = Instant::now();
    let kind = judged(args, subject, model).unwrap_or_else(|error| refusal(subject, model, error));
    ModelReport { kind, seconds: reading + started.elapsed().as_secs_f64() }
}

fn judged(args: &CheckArgs, subject: &Subject, model: Model) -> model::Result<Kind> {
    let known = Bounds::default();
    let traces =
        if args.limit > known.candidates { usize::try_from(args.limit).unwrap_or(usize::MAX) } else { known.traces };
    let bounds = Bounds { traces, candidates: args.limit };
    let started = Instant::now();
    let lock = lock_of(args.lock, model);
    let code = subject.code(model, Choices { atomics: args.atomics, lock })?;
    let outcome = model::check(&code, model, bounds)?;
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
    let explanation = match args.explain || args.svg.is_some() {
        true => {
            let explanation = explain::explain(&code, model, bounds)?;
            let picture = explanation.as_ref().map(|explanation| svg::svg(&code, model, explanation));
            Some((explain::text(&code, model, explanation.as_ref()), picture))
        }
        false => None,
    };
    let states = herd_log::states(&code, &outcome).into_iter().collect();
    let log = herd_log::log(&code, &outcome, started.elapsed().as_secs_f64());
    Ok(Kind::Judged(Box::new(Judged { outcome, of_other_locks, states, log, explanation, header })))
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
        ModelError::Unsupported(what) => Kind::Refused { reason: what.clone(), error: say("") },
    }
}
