//! `wakerace generate`: writes litmus tests for cycles of relaxations.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use crate::arch::Arch;
use crate::error::{EXIT_OK, Error, Result};
use crate::generate::{self, Added, Batch, Language, Options, Sample, Test};
use crate::{files, shown, terminal};

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wakerace generate --arch aarch64 --cycle 'Rfe DpAddrdR Fre DMB.SYdWW'
  wakerace generate --arch aarch64 -o mp \\
      --cross 'PodWW,DMB.STdWW Rfe PodRR,DpAddrdR Fre'
  wakerace generate --arch ppc --relax 'PodR*' --size 6 --threads 3 -o ppc \\
      --safe 'Rfe,Fre,SyncdWW,LwSyncdWW'
  wakerace generate --arch c --size 4 --list
  wakerace check mp --model armv8

The words are those of diy7, diyone7 and diycross7: see docs/generate.md, and --vocabulary for all of them.")]
pub struct GenerateArgs {
    /// The language of the tests: an architecture, or c for the C of the Linux kernel
    #[arg(long, value_name = "ARCH")]
    arch: LanguageArg,
    #[command(flatten)]
    what: What,
    /// Every cycle that has one of these relaxations
    #[arg(long, value_name = "LIST", conflicts_with_all = ["cycle", "cross", "cycles"])]
    relax: Vec<String>,
    /// The other relaxations of these cycles; without --relax, every cycle of these [default without both: the usual
    /// relaxations of the language]
    #[arg(long, value_name = "LIST", conflicts_with_all = ["cycle", "cross", "cycles"])]
    safe: Vec<String>,
    /// Give every access of a family each of these annotations in turn, such as P,A,Q,L or w0,h0,h2
    #[arg(long, value_name = "LIST", conflicts_with_all = ["cycle", "cross", "cycles"])]
    vary: Vec<String>,
    /// Maximum number of edges of a cycle
    #[arg(long, value_name = "COUNT", default_value_t = Options::default().size)]
    size: usize,
    /// Maximum number of threads of a test
    #[arg(long, value_name = "COUNT", default_value_t = Options::default().threads)]
    threads: usize,
    /// Take only COUNT of the family's tests, chosen at random
    #[arg(long, visible_alias = "count", value_name = "COUNT")]
    sample: Option<usize>,
    /// Seed of --sample: the same seed chooses the same tests
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Write each test to FOLDER/NAME.litmus, and the list of the files to FOLDER/@all
    #[arg(short = 'o', long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the names and the cycles of the tests and write none
    #[arg(long, conflicts_with = "output")]
    list: bool,
}

/// The tests, other than a family.
#[derive(Debug, Args)]
#[group(multiple = true)]
struct What {
    /// The test of this cycle, such as 'Rfe PodRR Fre PodWW'
    #[arg(long, value_name = "EDGES")]
    cycle: Vec<String>,
    /// The tests of a product: commas separate the alternatives for an edge of the cycle
    #[arg(long, value_name = "EDGES")]
    cross: Vec<String>,
    /// The tests of the cycles in FILE (`-` is standard input), one a line, each behind a name and a colon if it has a name
    #[arg(long, value_name = "FILE")]
    cycles: Option<PathBuf>,
    /// Print the relaxations and annotations of the language
    #[arg(long)]
    vocabulary: bool,
}

/// A language of tests, named as an architecture is.
#[derive(Debug, Clone, Copy)]
struct LanguageArg(&'static Language);

impl FromStr for LanguageArg {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<LanguageArg, String> {
        let name = match text.to_ascii_lowercase().as_str() {
            "c" | "lkmm" => return Ok(LanguageArg(Language::C)),
            "ppc" => "power".to_owned(),
            other => other.to_owned(),
        };
        let arch = Arch::named(&name).map_err(|_| "expected x86_64, aarch64, ppc, riscv64gc, or c".to_owned())?;
        Ok(LanguageArg(generate::language(arch)))
    }
}

/// Writes tests and returns the exit status.
///
/// # Errors
/// If a word is not known, if edges do not fit, or if a file cannot be written. Nothing is written before all tests of
/// `--cycle`, `--cross` and `--cycles` are known to be right.
pub fn generate(args: &GenerateArgs) -> Result<u8> {
    let LanguageArg(language) = args.arch;
    if args.what.vocabulary {
        return vocabulary(language);
    }
    let given = given(args, language)?;
    let tests: Box<dyn Iterator<Item = Test>> = match given {
        Some(tests) => Box::new(tests.into_iter()),
        None => Box::new(generate::family(language, &options(args)?)?),
    };
    if args.list {
        return list(tests);
    }
    match &args.output {
        Some(folder) => write(folder, tests),
        None => print(tests),
    }
}

fn vocabulary(language: &Language) -> Result<u8> {
    let (edges, marks) = generate::vocabulary(language);
    terminal::out(&format!("relaxations: {}\nannotations: {}\n", edges.join(" "), marks.join(" ")))?;
    Ok(EXIT_OK)
}

/// The tests of `--cycle`, `--cross` and `--cycles`; `None` without them.
fn given(args: &GenerateArgs, language: &'static Language) -> Result<Option<Vec<Test>>> {
    let What { cycle, cross, cycles, .. } = &args.what;
    if cycle.is_empty() && cross.is_empty() && cycles.is_none() {
        return Ok(None);
    }
    let mut batch = Batch::new(language);
    for text in cycle {
        if batch.cycle(text)? == Added::Again {
            terminal::err(&format!("--cycle '{}' comes again and is left out\n", shown::line(text)));
        }
    }
    for text in cross {
        batch.cross(text)?;
    }
    if let Some(path) = cycles {
        let text = read(path)?;
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let named = |error| Error::Usage(format!("{}:{number}: {error}", shown::path(path)));
            let added = match line.rsplit_once(':') {
                Some((name, edges)) => batch.named(name.trim(), edges).map_err(named)?,
                None => batch.cycle(line).map_err(named)?,
            };
            if added == Added::Again {
                terminal::err(&format!("{}:{number}: this cycle comes again and is left out\n", shown::path(path)));
            }
        }
    }
    Ok(Some(batch.tests()))
}

fn read(path: &Path) -> Result<String> {
    let failed = || Error::io(format!("reading {}", shown::path(path)));
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(failed())?;
        return Ok(text);
    }
    fs::read_to_string(path).map_err(failed())
}

fn options(args: &GenerateArgs) -> Result<Options> {
    let GenerateArgs { size, threads, sample, seed, .. } = *args;
    let mut least = [("--size", Some(size), 2), ("--threads", Some(threads), 1), ("--sample", sample, 1)].into_iter();
    if let Some((option, _, least)) = least.find(|(_, given, least)| given.is_some_and(|given| given < *least)) {
        return Err(Error::Usage(format!("{option}: expected a whole number from {least} on")));
    }
    let joined = |lists: &[String]| lists.join(",");
    Ok(Options {
        relax: joined(&args.relax),
        safe: joined(&args.safe),
        vary: joined(&args.vary),
        size,
        threads,
        sample: sample.map(|count| Sample { count, seed }),
    })
}

/// Prints names and cycles, in the form that `--cycles` and diyone7 read.
fn list(tests: impl Iterator<Item = Test>) -> Result<u8> {
    for test in tests {
        terminal::out(&format!("{}: {}\n", test.name, test.cycle))?;
    }
    Ok(EXIT_OK)
}

/// Prints the only test.
fn print(mut tests: impl Iterator<Item = Test>) -> Result<u8> {
    let Some(first) = tests.next() else { return Err(no_tests()) };
    if let Some(second) = tests.next() {
        return Err(Error::Usage(format!(
            "there are several tests ({}, {}, ...); name a folder for them with -o FOLDER, or list them with --list",
            first.name, second.name
        )));
    }
    terminal::data(&first.text)?;
    Ok(EXIT_OK)
}

fn no_tests() -> Error {
    Error::Usage("no cycle of these relaxations fits --size and --threads".to_owned())
}

/// Writes the tests into a folder, which is made if it does not exist.
fn write(folder: &Path, tests: impl Iterator<Item = Test>) -> Result<u8> {
    let mut all = String::new();
    let mut count = 0_u64;
    for test in tests {
        let file = format!("{}.litmus", test.name);
        files::write_own(&folder.join(&file), &test.text)?;
        all.push_str(&format!("{file}\n"));
        count += 1;
    }
    if count == 0 {
        return Err(no_tests());
    }
    files::write_own(&folder.join("@all"), &all)?;
    let (folder, tests) = (shown::path(folder), if count == 1 { "test" } else { "tests" });
    terminal::out(&format!("{count} {tests} in {folder}; next: wakerace check {folder}\n"))?;
    Ok(EXIT_OK)
}
