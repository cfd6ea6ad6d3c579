//! `wakerace show`

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use crate::arch::Arch;
use crate::catalogue;
use crate::codegen::{self, Atomics, Pace, Target};
use crate::error::{EXIT_OK, Error, Result};
use crate::layout::{Layout, LayoutKind};
use crate::terminal;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A file, or the name of a scenario
    scenario: String,
    /// The architecture whose code to show [default: this host's]
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// The atomics of arm64 code: lse or llsc [default: this host's on arm64, else lse]
    #[arg(long, value_name = "KIND")]
    atomics: Option<Atomics>,
    /// The pace whose code to show
    #[arg(long, value_enum, default_value = "paced")]
    pace: ShownPace,
    /// Where the variables lie: padded, packed, kernel, kernel-ARCH
    #[arg(long, default_value = "padded")]
    layout: LayoutKind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShownPace {
    Free,
    Paced,
}

/// The false-sharing distance that addresses in a listing are for, in bytes; a run takes the host's.
const LINE: usize = 128;

/// Prints source, lowered form and disassembly.
pub fn show(args: &ShowArgs) -> Result<u8> {
    let scenarios = catalogue::resolve(std::slice::from_ref(&args.scenario))?;
    let arch = args
        .arch
        .or(Arch::host())
        .ok_or_else(|| Error::Host("this host's architecture is not known; name one with --arch".to_owned()))?;
    let pace = match args.pace {
        ShownPace::Free => Pace::Free,
        ShownPace::Paced => Pace::Paced,
    };
    let mut text = String::new();
    for scenario in &scenarios {
        let program = &scenario.program;
        let layout = Layout::new(args.layout, program, LINE)?;
        let target = Target { arch, atomics: args.atomics.unwrap_or_else(Atomics::of_host) };
        let code = codegen::emit(target, program, &layout, pace)?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "== {} (sha256 {})\n\n{}",
            scenario.name,
            scenario.sha256,
            scenario.test.source.text().trim_end()
        );
        let _ = writeln!(text, "\n== lowered\n\n{program}");
        let _ = writeln!(text, "== layout {}, {} bytes an instance", layout.kind, layout.stride);
        for (location, offset) in program.locations.iter().zip(&layout.offsets) {
            let _ = writeln!(text, "  {offset:5} (line {})  {}", offset / layout.line, location.name);
        }
        for (number, (thread, code)) in program.threads.iter().zip(&code).enumerate() {
            let _ = writeln!(text, "\n== P{number}, {arch}: * marks the test's own operations");
            text.push_str(&codegen::listing(program, thread, code)?);
        }
    }
    terminal::out(&text)?;
    Ok(EXIT_OK)
}
