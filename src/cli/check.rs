//! `wakerace check`: prints the verdict of each memory model on each test.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use crate::arch::Atomics;
use crate::catalogue::{self, Scenario};
use crate::error::{EXIT_BAD_INPUT, EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::isa;
use crate::litmus::Source;
use crate::model::code::Code;
use crate::model::{self, Bounds, Model, ModelError, Outcome, explain, svg};
use crate::{shown, terminal, verdict};

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Litmus files (in C or in assembly), folders, scenario names or groups [default: all scenarios]
    scenarios: Vec<String>,
    /// Models to check: lkmm, sc, x86-tso, armv8, power, rvwmo, the name of an architecture, or all [default:
    /// all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    model: Vec<ModelArg>,
    /// Atomics of the arm64 code: lse or llsc
    #[arg(long, default_value = "lse")]
    atomics: Atomics,
    /// Print one execution that the condition asks about, and what allows or forbids it
    #[arg(long)]
    explain: bool,
    /// Draw that execution as SVG; with several tests or models, their names are added to the file name
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the final states that each test may end in
    #[arg(long)]
    states: bool,
    /// Check at most COUNT candidate executions; refuse a test that has more as too large
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

/// A test to check.
enum Subject {
    /// A test in C; every model applies.
    C(Box<Scenario>),
    /// A test in assembly; only its architecture's model and sequential consistency apply.
    Assembly(Box<Code>, Model),
}

impl Subject {
    fn name(&self) -> &str {
        match self {
            Subject::C(scenario) => &scenario.name,
            Subject::Assembly(code, _) => &code.name,
        }
    }

    /// The test as a model sees it; `None` if the model does not apply to the test.
    fn code(&self, model: Model, atomics: Atomics) -> Option<model::Result<Code>> {
        match self {
            Subject::C(scenario) => Some(isa::code_for(&scenario.program, model, atomics)),
            Subject::Assembly(code, own) => [*own, Model::Sc].contains(&model).then(|| Ok((**code).clone())),
        }
    }
}

/// Prints the verdicts and returns the exit status: [`EXIT_BAD_INPUT`] if a test's header disagrees with a
/// model.
pub fn check(args: &CheckArgs) -> Result<u8> {
    let bounds = Bounds { candidates: args.limit, ..Bounds::default() };
    let subjects = subjects(&args.scenarios)?;
    let mut models: Vec<Model> = Vec::new();
    for model in &args.model {
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
        !seen.contains(model) && {
            seen.push(*model);
            true
        }
    });
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once("test".to_owned()).chain(models.iter().map(|model| model.name().to_owned())));
    let mut more = String::new();
    let mut disagreements = Vec::new();
    for subject in &subjects {
        let mut row = vec![subject.name().to_owned()];
        for &model in &models {
            row.push(match subject.code(model, args.atomics) {
                None => String::new(),
                Some(Err(ModelError::NotModelled(_))) => "not modelled".to_owned(),
                Some(Err(error)) => return Err(too_much(subject, model, &error)),
                Some(Ok(code)) => {
                    let outcome =
                        model::check(&code, model, bounds).map_err(|error| too_much(subject, model, &error))?;
                    if let Subject::C(scenario) = subject
                        && let Err(error) = verdict::agrees(scenario, model, &outcome)
                    {
                        disagreements.push(error.to_string());
                    }
                    more.push_str(&details(args, &code, model, &outcome, bounds, subjects.len() * models.len() > 1)?);
                    cell(&outcome)
                }
            });
        }
        table.add_row(row.iter().map(|cell| shown::line(cell).into_owned()));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    terminal::out(&format!("{}\n{more}", lines.join("\n")))?;
    for disagreement in &disagreements {
        terminal::err(&format!("error: {disagreement}\n"));
    }
    Ok(if disagreements.is_empty() { EXIT_OK } else { EXIT_BAD_INPUT })
}

fn subjects(names: &[String]) -> Result<Vec<Subject>> {
    let sources = if names.is_empty() { catalogue::sources() } else { catalogue::resolve_sources(names)? };
    sources.into_iter().map(|(source, group)| subject(&source, &group)).collect()
}

fn subject(source: &Source, group: &str) -> Result<Subject> {
    if isa::model_of_assembly(source.text()).is_some() {
        let (code, model) = isa::parse_assembly(source)?;
        return Ok(Subject::Assembly(Box::new(code), model));
    }
    Ok(Subject::C(Box::new(Scenario::new(source, group)?)))
}

fn too_much(subject: &Subject, model: Model, error: &ModelError) -> Error {
    let hint = if matches!(error, ModelError::TooLarge { .. }) { "; --limit raises the bound" } else { "" };
    Error::Usage(format!("{}, {model}: {error}{hint}", subject.name()))
}

/// The table cell: the verdict and the number of final states, such as `Sometimes 4`, then any data race or
/// out-of-thin-air note.
fn cell(outcome: &Outcome) -> String {
    let race = if outcome.data_race { ", data race" } else { "" };
    let thin_air = if outcome.thin_air { ", out of thin air only" } else { "" };
    format!("{} {}{race}{thin_air}", outcome.verdict, outcome.states.len())
}

fn details(
    args: &CheckArgs,
    code: &Code,
    model: Model,
    outcome: &Outcome,
    bounds: Bounds,
    several: bool,
) -> Result<String> {
    let mut out = String::new();
    if args.states {
        out.push_str(&format!("\n{} on {model}: {} states\n", code.name, outcome.states.len()));
        for state in &outcome.states {
            let mark = if code.condition.holds(state) { "*" } else { " " };
            out.push_str(&format!("  {mark} {}\n", explain::end(code, state)));
        }
    }
    if args.explain || args.svg.is_some() {
        let explanation =
            explain::explain(code, model, bounds).map_err(|error| Error::Usage(format!("{}: {error}", code.name)))?;
        if args.explain {
            out.push('\n');
            out.push_str(&explain::text(code, model, explanation.as_ref()));
        }
        if let (Some(path), Some(explanation)) = (&args.svg, &explanation) {
            let path = if several { path.with_file_name(picture_name(path, code, model)) } else { path.clone() };
            Sink::open(&path)?.write(&svg::svg(code, model, explanation))?;
            out.push_str(&format!("\n{} on {model}: drawn in {}\n", code.name, shown::path(&path)));
        }
    }
    Ok(out)
}

/// `page.svg` becomes `page-S01-as-is-armv8.svg`.
fn picture_name(path: &std::path::Path, code: &Code, model: Model) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let name: String = code.name.chars().map(|c| if c == '/' { '-' } else { c }).collect();
    format!("{stem}-{name}-{}.svg", model.name().to_lowercase())
}
