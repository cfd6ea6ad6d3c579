//! `wakerace check`: prints the verdict of each memory model on each test.

mod json;
mod judge;
mod published;
mod summary;

use std::path::{Path, PathBuf};

use crate::arch::Atomics;
use crate::arch::lock::Lock;
use crate::catalogue;
use crate::error::{EXIT_BAD_INPUT, EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::model::{Bounds, Flags, Model, Outcome};
use crate::{publish, shown, terminal};
use clap::Args;

use judge::{Kind, ModelReport, Report};
use published::{Compared, Published};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Litmus files (in C or in assembly), folders, scenario names or groups [default: all scenarios]
    scenarios: Vec<String>,
    /// Models to check: lkmm, sc, x86-tso, armv8, power, rvwmo, the name of an architecture, or all [default: those
    /// that apply to one of the tests]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    model: Vec<ModelArg>,
    /// Atomics of the arm64 code: lse or llsc
    #[arg(long, value_name = "KIND", default_value = "lse")]
    atomics: Atomics,
    /// Spinlock of the kernel: native or pv (x86-64), qspinlock or ticket (riscv64) [default: qspinlock; if the
    /// other lock gives another verdict, that is printed behind it]
    #[arg(long, value_name = "KIND")]
    lock: Option<Lock>,
    /// Print one execution that the condition asks about, and what allows or forbids it
    #[arg(long)]
    explain: bool,
    /// Draw that execution as SVG; with several tests or models, their names are added to the file name
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the final states that each test may end in, in the format of herd7's logs
    #[arg(long)]
    states: bool,
    /// Compare with the verdicts in FILE: a CSV file with the columns `test` and `verdict` (and `model`, if it is
    /// not the model of the test's language), or a log of herd7, which also has the states
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long, conflicts_with_all = ["explain", "svg"])]
    json: bool,
    /// Check at most COUNT candidate executions; refuse a test that has more as too large. More than the default also
    /// allows COUNT ways for one thread to run, and more memory in proportion (the default: about 300 MB)
    #[arg(long, value_name = "COUNT", default_value_t = Bounds::default().candidates, value_parser = super::units::parse_count)]
    limit: u64,
}

/// A model, or all of them.
#[derive(Debug, Clone, Copy)]
enum ModelArg {
    All,
    One(Model),
}

impl std::str::FromStr for ModelArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<ModelArg, String> {
        if text == "all" { Ok(ModelArg::All) } else { text.parse().map(ModelArg::One) }
    }
}

/// Prints the verdicts and returns the exit status: [`EXIT_BAD_INPUT`] if a test's header or the file of
/// `--against` disagrees with a model or says nothing about the tests, if a file cannot be read, or if a test that was named, or every test
/// of a folder, has no verdict.
pub fn check(args: &CheckArgs) -> Result<u8> {
    let mut models = models(&args.model);
    let published =
        args.against.as_deref().map(Published::read).transpose().map_err(|error| error.of_option("--against"))?;
    let tests = match args.scenarios.as_slice() {
        [] => catalogue::sources(),
        names => catalogue::find_sources(names)?,
    };
    let mut reports = judge::all(args, tests, &models, published.as_ref())?;
    if args.json {
        terminal::data(&json::text(&reports, &models)?)?;
    } else {
        if args.model.is_empty() {
            leave_out_idle(&mut models, &mut reports);
        }
        print(args, &reports, &models)?;
        let folders = args.scenarios.is_empty() || reports.iter().any(|report| report.in_folder);
        if folders || published.is_some() {
            terminal::out(&format!("\n{}", summary::text(&reports, &models, published.is_some(), terminal::width())))?;
        }
    }
    reports.iter().filter(|report| !report.in_folder).for_each(note);
    let complaints = complain(&reports);
    let differences = complain_of_differences(&reports);
    let failed = all_failed(reports.iter().flat_map(|report| report.findings.iter().flatten()));
    let idle = published.as_ref().is_some_and(|published| complain_of_nothing_compared(published, &reports));
    Ok(if complaints || differences || failed || idle { EXIT_BAD_INPUT } else { EXIT_OK })
}

/// The models that were asked for, each once.
fn models(wanted: &[ModelArg]) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    for model in wanted {
        match model {
            ModelArg::All => models.extend(Model::ALL),
            ModelArg::One(model) => models.push(*model),
        }
    }
    if models.is_empty() {
        models.extend(Model::ALL);
    }
    let mut seen = Vec::new();
    models.retain(|model| {
        let new = !seen.contains(model);
        seen.push(*model);
        new
    });
    models
}

/// Leaves out the models that apply to none of the tests, such as those of other architectures for a folder of tests in assembly. If
/// none applies to any, all of them stay.
fn leave_out_idle(models: &mut Vec<Model>, reports: &mut [Report]) {
    let applies = |at: usize| reports.iter().any(|report| report.findings[at].is_some());
    let kept: Vec<bool> = (0..models.len()).map(applies).collect();
    if !kept.contains(&true) {
        return;
    }
    let mut of_models = kept.iter();
    models.retain(|_| of_models.next() == Some(&true));
    for report in reports {
        let mut of_findings = kept.iter();
        report.findings.retain(|_| of_findings.next() == Some(&true));
    }
}

/// Prints the table of verdicts, and what was asked for about each test.
fn print(args: &CheckArgs, reports: &[Report], models: &[Model]) -> Result<()> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut more = String::new();
    // The pictures that are drawn already. Tests of one name would have one picture.
    let mut drawn: Vec<Sink> = Vec::new();
    let several = reports.len() * models.len() > 1;
    for report in reports.iter().filter(|report| !is_error(report)) {
        let cells = report.findings.iter().map(|finding| finding.as_ref().map_or_else(String::new, cell));
        rows.push(std::iter::once(report.name.clone()).chain(cells).collect());
        for (model, finding) in models.iter().zip(&report.findings) {
            if let Some(finding) = finding {
                more.push_str(&details(args, report, (*model, finding), several, &mut drawn)?);
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let headings: Vec<&str> = std::iter::once("test").chain(models.iter().map(|model| model.name())).collect();
    terminal::out(&(publish::table_with_notes(&headings, rows, &[], terminal::width(), &[]) + &more))
}

/// Whether the test was named by itself and no model has a verdict, so that there are only errors to print.
fn is_error(report: &Report) -> bool {
    !report.in_folder && all_failed(report.findings.iter().flatten())
}

/// Whether there are findings and each is that the test is refused or too large.
fn all_failed<'r>(findings: impl Iterator<Item = &'r ModelReport>) -> bool {
    let failed = |finding: &ModelReport| matches!(finding.kind, Kind::Refused { .. } | Kind::TooLarge(_));
    let mut findings = findings.peekable();
    findings.peek().is_some() && findings.all(failed)
}

/// Says why a test that was named can only be judged: what `run` refuses may be a slip of the pen, such as a register
/// in the condition that no thread has.
fn note(report: &Report) {
    if let Some(reason) = &report.cannot_run {
        let (line, column) = reason.line_column();
        terminal::err(&format!(
            "note: {}:{line}:{column}: `run` refuses this test: {}; `check` judges it\n",
            report.file,
            reason.message()
        ));
    }
}

/// Prints the errors of tests that were named and of files that could not be read, and the disagreements with headers. Returns whether there were any.
fn complain(reports: &[Report]) -> bool {
    let mut any = false;
    for report in reports {
        for finding in report.findings.iter().flatten() {
            match &finding.kind {
                Kind::Refused { error: Some(error), .. } | Kind::TooLarge(error)
                    if !report.in_folder || report.unread =>
                {
                    any = true;
                    super::complain(error);
                }
                Kind::Judged(judged) => {
                    if let Some(Err(message)) = &judged.header {
                        any = true;
                        super::complain(&Error::Usage(message.clone()));
                    }
                }
                _ => {}
            }
        }
    }
    any
}

/// Prints the differences from the published verdicts. Returns whether there were any.
fn complain_of_differences(reports: &[Report]) -> bool {
    let mut any = false;
    for finding in reports.iter().flat_map(|report| report.findings.iter().flatten()) {
        if let Kind::Judged(judged) = &finding.kind
            && let Some(Compared::Differs(message)) = &judged.published
        {
            any = true;
            super::complain(&Error::Usage(message.clone()));
        }
    }
    any
}

/// Says if the file of `--against` has a verdict for none of the tests on the models that were asked for. Returns whether that
/// is so: a comparison of nothing must not look like an agreement.
fn complain_of_nothing_compared(published: &Published, reports: &[Report]) -> bool {
    let compared = |finding: &ModelReport| matches!(&finding.kind, Kind::Judged(judged) if judged.published.is_some());
    if reports.iter().flat_map(|report| report.findings.iter().flatten()).any(compared) {
        return false;
    }
    super::complain(&Error::Usage(format!(
        "--against {}: nothing was compared: it has no verdict for these tests on these models (a log of herd7 and a CSV file \
         without the column `model` speak of the model of the test's language, lkmm for C)",
        published.file
    )));
    true
}

/// The table cell: the verdict and the number of final states, such as `Sometimes 4`, then any data race or
/// out-of-thin-air note.
fn cell(finding: &ModelReport) -> String {
    match &finding.kind {
        Kind::Judged(judged) => {
            let others = judged.of_other_locks.iter().filter(|(_, other, _)| *other != judged.outcome.verdict);
            let others: String =
                others.map(|(lock, other, states)| format!(", {other} {states} with {lock}")).collect();
            let Outcome { verdict, data_race, flags, thin_air, finishes, cuts_loops, .. } = judged.outcome;
            let race = if data_race { ", data race" } else { "" };
            // Mixed accesses are no fault of a test; --states and --json tell them.
            let flags: String = flags.without(Flags::MIXED_ACCESSES).names().map(|name| format!(", {name}")).collect();
            let thin_air = if thin_air { ", out of thin air only" } else { "" };
            let deadlock = if finishes { "" } else { ", no execution finishes" };
            let loops = if cuts_loops { ", loops cut" } else { "" };
            format!("{verdict} {}{race}{flags}{thin_air}{deadlock}{loops}{others}", judged.states)
        }
        Kind::Refused { .. } => "refused".to_owned(),
        Kind::TooLarge(_) => "too large".to_owned(),
        Kind::NotModelled(_) => "not modelled".to_owned(),
    }
}

fn details(
    args: &CheckArgs,
    report: &Report,
    (model, finding): (Model, &ModelReport),
    several: bool,
    drawn: &mut Vec<Sink>,
) -> Result<String> {
    let Kind::Judged(judged) = &finding.kind else { return Ok(String::new()) };
    let mut out = String::new();
    if let Some(log) = &judged.log {
        out.push_str(&format!("\nModel {model}\n{log}"));
    }
    if let Some(text) = &judged.explanation {
        out.push_str(&format!("\n{text}"));
    }
    if let (Some(path), Some(picture)) = (&args.svg, &judged.picture) {
        let path = if several { path.with_file_name(picture_name(path, report, model)) } else { path.clone() };
        let sink = Sink::open(&path)?;
        sink.write(picture)?;
        drawn.push(sink);
        out.push_str(&format!("\n{} on {model}: drawn in {}\n", report.name, shown::path(&path)));
    }
    Ok(out)
}

/// `page.svg` becomes `page-S01-as-is-armv8.svg`.
fn picture_name(path: &Path, report: &Report, model: Model) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let name: String = report.name.chars().map(|c| if c == '/' { '-' } else { c }).collect();
    format!("{stem}-{name}-{}.svg", model.name().to_lowercase())
}
