//! `wakerace conform`: runs this program, built for another architecture, under an emulator, and reports which outcomes the
//! emulator shows although that architecture forbids them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::campaign::EMULATOR;
use super::interrupt::interrupt_flag;
use super::output::{Output, OutputArgs, status};
use super::units::parse_duration;
use crate::error::{EXIT_FORBIDDEN, EXIT_INTERRUPTED, EXIT_OK, Error, Result};
use crate::record::{self, AnyRecord, CampaignRecord, Standing};
use crate::{publish, shown};

/// How long an emulator may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);
/// The lines of a failed program's standard error that are shown.
const LINES: usize = 12;
/// Exit status of a process whose program could not be run, by POSIX.
const NOT_FOUND: i32 = 127;

/// Arguments of `conform`.
#[derive(Debug, Args)]
#[command(after_help = "Example: wakerace conform --binary wakerace-aarch64 -- qemu-aarch64 -cpu max")]
pub struct ConformArgs {
    /// This program, built for the architecture that is emulated: a static binary of a release, or of `cargo build --target`
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// Litmus files or folders to run [default: 31 tests of two threads]
    #[arg(long, value_name = "PATH")]
    tests: Vec<String>,
    /// Time in total
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s")]
    duration: String,
    #[command(flatten)]
    output: OutputArgs,
    /// The emulator and its options: qemu-aarch64, FEXInterpreter, box64, ...
    #[arg(last = true, required = true, value_name = "EMULATOR")]
    emulator: Vec<String>,
}

/// Runs the tests under the emulator, prints what it showed, and returns the exit status.
pub fn conform(args: &ConformArgs) -> Result<u8> {
    parse_duration(&args.duration).map_err(|why| Error::Usage(format!("--duration: {why}")))?;
    let binary = &args.binary;
    if !binary.is_file() {
        return Err(Error::Usage(format!(
            "--binary {}: there is no such file; it must be wakerace, built for the architecture that is emulated, such as \
             target/aarch64-unknown-linux-gnu/release/wakerace",
            shown::path(binary)
        )));
    }
    let started = jiff::Timestamp::now();
    let interrupt = interrupt_flag()?;
    let name = name(&args.emulator)?;
    let folder = tempfile::tempdir().map_err(Error::io("creating a folder for the record"))?;
    let path = folder.path().join("record.json");
    if !args.output.quiet {
        crate::terminal::err(&format!("{name}: {} for {}\n", shown::path(binary), args.duration));
    }
    run(args, &name, folder.path(), &interrupt)?;
    let record = match record::read_valid(&path)? {
        AnyRecord::Campaign(record) => *record,
        other => {
            return Err(Error::Internal(format!(
                "a record of {} where one of a campaign was asked for",
                other.command()
            )));
        }
    };
    let kept = record::default_path(&record.host, started).with_extension("conform.json");
    let mut output = Output::new(&args.output, kept)?;
    output.write_files(&record)?;
    let finished = output.finish(&record, &publish::campaign_evidence(&record), Vec::new());
    status(finished, is_wrong(&record), record.interrupted)
}

fn is_wrong(record: &CampaignRecord) -> bool {
    record.results.iter().any(|test| test.standing == Standing::ForbiddenSeen)
}

/// The emulator and its version: the first line that it prints for `--version`, or the name of its file if it prints none.
fn name(emulator: &[String]) -> Result<String> {
    let Some((program, _)) = emulator.split_first() else {
        return Err(Error::Usage("name an emulator behind --, such as -- qemu-aarch64".to_owned()));
    };
    let own = Path::new(program).file_name().map_or(program.clone(), |name| name.to_string_lossy().into_owned());
    let mut child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io(format!("starting {}", shown::line(program))))?;
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(Error::io(format!("waiting for {own}")))? {
            // Where wakerace itself is emulated, a program that does not exist is started, and ends as a shell's would.
            Some(status) if status.code() == Some(NOT_FOUND) => {
                return Err(Error::Usage(format!("starting {}: it cannot be run", shown::line(program))));
            }
            Some(_) => break,
            None if begun.elapsed() > VERSION_WITHIN => {
                // It may have taken --version for a program and wait for something. Its name is enough.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(own);
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    let output = child.wait_with_output().map_err(Error::io(format!("reading the version of {own}")))?;
    Ok(version(&own, &String::from_utf8_lossy(&output.stdout)))
}

/// The name and the version in one line: `qemu-aarch64 version 11.1.2 (Debian 1:11.1.2+ds-1)`.
fn version(own: &str, printed: &str) -> String {
    let first = printed.lines().map(str::trim).find(|line| !line.is_empty());
    let line = first.filter(|line| line.chars().any(|c| c.is_ascii_digit())).map(|line| shown::line(line).into_owned());
    match line {
        Some(line) if line.to_lowercase().starts_with(&own.to_lowercase()) => line,
        Some(line) => format!("{own} ({line})"),
        None => own.to_owned(),
    }
}

/// Runs the program under the emulator, which writes `record.json` into the folder.
fn run(args: &ConformArgs, name: &str, folder: &Path, interrupt: &AtomicBool) -> Result<()> {
    let (program, options) = args.emulator.split_first().expect("clap asks for the emulator");
    let mut command = Command::new(program);
    command.args(options).arg(&args.binary).arg("campaign");
    if args.tests.is_empty() {
        command.arg("--conformance");
    }
    command
        .args(&args.tests)
        .args(["--aim", "forbidden", "--quiet", "--no-save", "-d", &args.duration])
        .arg("--journal")
        .arg(folder.join("journal"))
        .arg("--export-json")
        .arg(folder.join("record.json"))
        .env(EMULATOR, name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().map_err(Error::io(format!("starting {}", shown::line(program))))?;
    let ok = [EXIT_OK, EXIT_FORBIDDEN, EXIT_INTERRUPTED].map(i32::from);
    let has_record = folder.join("record.json").exists();
    if has_record && output.status.code().is_some_and(|code| ok.contains(&code)) {
        return Ok(());
    }
    if interrupt.load(Ordering::Relaxed) {
        return Err(Error::Host("interrupted before there was a record".to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
    Err(Error::Host(format!(
        "{} cannot run {} ({}); it must be wakerace of this version, built for the architecture that is emulated. It printed:\n  {}",
        shown::line(name),
        shown::path(&args.binary),
        output.status,
        shown::text(&last)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_named_with_its_version() {
        let qemu = "qemu-aarch64 version 11.1.2 (Debian 1:11.1.2+ds-1)\nCopyright\n";
        assert_eq!(version("qemu-aarch64", qemu), "qemu-aarch64 version 11.1.2 (Debian 1:11.1.2+ds-1)");
        assert_eq!(version("FEXInterpreter", "FEX-Emu (2409)\n"), "FEXInterpreter (FEX-Emu (2409))");
        assert_eq!(version("box64", "usage\n"), "box64");
        assert_eq!(version("box64", ""), "box64");
        let error = name(&["/nonexistent/emulator".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("starting /nonexistent/emulator"), "{error}");
    }
}
