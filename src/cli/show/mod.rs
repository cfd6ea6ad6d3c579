//! `wakerace show`: prints a scenario's source, its lowered form and its machine code, or those of a record's results, or the table of
//! primitives.

mod record;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use clap::{Args, ValueEnum};

use crate::arch::Arch;
use crate::arch::lock::{Lock, LockChoice};
use crate::catalogue;
use crate::codegen::{self, Atomics, Pace, Target};
use crate::error::{EXIT_OK, Error, Result};
use crate::isa::{self, primitives::TSV_HEADER};
use crate::layout::{Layout, LayoutKind};
use crate::{shown, terminal};

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A litmus file, or the name of a scenario; or a record of `run`, for the settings and the code of its results
    #[arg(required_unless_present = "primitives")]
    scenario: Option<String>,
    /// With a record: only the results of these tests
    tests: Vec<String>,
    /// Instead of a scenario, print what each kernel primitive becomes on every architecture, or on that of --arch,
    /// as tab-separated values
    #[arg(long, conflicts_with_all = ["scenario", "atomics", "lock", "pace", "layout"])]
    primitives: bool,
    /// Architecture of the code [default: that of a test in assembly, else this host's]
    #[arg(long, value_name = "ARCH", value_parser = Arch::named)]
    arch: Option<Arch>,
    /// Atomics of the arm64 code: lse or llsc [default: this host's on arm64, else lse]
    #[arg(long, value_name = "KIND")]
    atomics: Option<Atomics>,
    /// Spinlock of the kernel: on x86-64 native or pv, on riscv64 qspinlock or ticket, or auto [default: auto, which is
    /// this host's for code of this host, else qspinlock]
    #[arg(long, value_name = "KIND")]
    lock: Option<LockChoice>,
    /// Pace of the code [default: paced]
    #[arg(long, value_enum)]
    pace: Option<ShownPace>,
    /// Layout of the variables: padded, packed, dense, kernel, kernel-ARCH [default: padded]
    #[arg(long)]
    layout: Option<LayoutKind>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShownPace {
    Free,
    Paced,
}

/// The false-sharing distance that a listing assumes, in bytes. A run uses the host's distance.
const LINE: usize = 128;

/// Whether an argument names a record: by its ending, or because the file begins with a brace, as no litmus test does.
fn is_record(argument: &str) -> bool {
    let begins_with_brace = |file: File| {
        let mut start = Vec::new();
        file.take(100).read_to_end(&mut start).is_ok() && start.trim_ascii_start().starts_with(b"{")
    };
    argument.ends_with(".json") || File::open(argument).is_ok_and(begins_with_brace)
}

/// Prints the source, the lowered form and the disassembly, and returns the exit status.
pub fn show(args: &ShowArgs) -> Result<u8> {
    let Some(scenario) = &args.scenario else { return primitives(args.arch) };
    if is_record(scenario) {
        let given = [
            ("--arch", args.arch.is_some()),
            ("--atomics", args.atomics.is_some()),
            ("--lock", args.lock.is_some()),
            ("--pace", args.pace.is_some()),
            ("--layout", args.layout.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Error::Usage(format!("{option}: a record has the code that ran; leave the option out")));
        }
        terminal::out(&record::show(Path::new(scenario), &args.tests)?)?;
        return Ok(EXIT_OK);
    }
    if let [more, ..] = &args.tests[..] {
        let more = shown::line(more);
        return Err(Error::Usage(format!(
            "'{more}': a second argument names a test of a record; show one scenario at a time"
        )));
    }
    let scenarios = catalogue::resolve(std::slice::from_ref(scenario))?;
    let pace = match args.pace {
        Some(ShownPace::Free) => Pace::Free,
        None | Some(ShownPace::Paced) => Pace::Paced,
    };
    let mut text = String::new();
    for scenario in &scenarios {
        let program = &scenario.program;
        let arch = args.arch.or(program.language).or(Arch::host()).ok_or_else(|| {
            Error::Host("wakerace does not support this host's architecture; name another with --arch".to_owned())
        })?;
        let lock = args.lock.unwrap_or_default().on(arch).map_err(Error::Usage)?;
        let target = Target { arch, atomics: args.atomics.unwrap_or_else(Atomics::of_host), lock };
        let layout = Layout::new(args.layout.unwrap_or(LayoutKind::Padded), program, LINE)?;
        let code = isa::emit(target, program, &layout, pace)?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "== {}{} (sha256 {})\n\n{}",
            scenario.name,
            scenario.test.header.naming.title.as_ref().map_or(String::new(), |title| format!(", {title}")),
            scenario.sha256,
            scenario.test.source.text().trim_end()
        );
        let _ = writeln!(text, "\n== lowered\n\n{program}");
        let _ = writeln!(text, "== layout {}, {} bytes an instance", layout.kind, layout.stride);
        for (location, offset) in program.locations.iter().zip(&layout.offsets) {
            let _ = writeln!(text, "  {offset:5} (line {})  {}", offset / layout.line, location.name);
        }
        if program.takes_lock() && Lock::of(arch).len() > 1 {
            let _ = writeln!(text, "\n== lock {lock}");
        }
        for (number, (thread, code)) in program.threads.iter().zip(&code).enumerate() {
            let _ = writeln!(text, "\n== P{number}, {arch}: * marks the test's own operations");
            text.push_str(&codegen::listing(program, thread, code)?);
        }
    }
    terminal::out(&text)?;
    Ok(EXIT_OK)
}

/// Prints the table of primitives of one architecture, or of all.
fn primitives(arch: Option<Arch>) -> Result<u8> {
    let mut text = format!("{TSV_HEADER}\n");
    for arch in arch.map_or_else(|| Arch::ALL.to_vec(), |arch| vec![arch]) {
        for row in isa::primitives(arch) {
            let _ = writeln!(text, "{}", row.tsv(arch));
        }
    }
    terminal::out(&text)?;
    Ok(EXIT_OK)
}
