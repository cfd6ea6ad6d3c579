//! `wakerace tearing`: maps which unaligned loads and stores are seen in part.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;

use super::interrupt::interrupt_flag;
use super::output::say;
use super::progress::Bar;
use super::topology::{cpus_to_use, host_lines};
use super::units::parse_duration;
use crate::arch::Arch;
use crate::error::{EXIT_FORBIDDEN, EXIT_INTERRUPTED, EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::machine::{self, Calibration, Class, Host, Placement, Topology};
use crate::tearing::{SIZES, accesses, measure};
use crate::{publish, terminal};

/// The line size if the host does not say it, in bytes.
const USUAL_LINE: usize = 64;

/// Arguments of `tearing`.
#[derive(Debug, Args)]
pub struct TearingArgs {
    /// The CPU that loads and the CPU that stores, such as 0,4 [default: two that are as near as possible]
    #[arg(short = 'c', long, value_name = "LIST")]
    cpus: Option<String>,
    /// Time in total; seconds without a unit
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Sizes in bytes: 4, 8, 16 [default: all that one instruction can access]
    #[arg(long, value_name = "BYTES", value_delimiter = ',', value_parser = parse_size)]
    size: Vec<usize>,
    /// Write the map as CSV to a file
    #[arg(long, value_name = "FILE")]
    export_csv: Option<PathBuf>,
    /// Print only the map
    #[arg(short = 'q', long)]
    quiet: bool,
}

fn parse_size(text: &str) -> std::result::Result<usize, String> {
    let size = text.parse().ok().filter(|size| SIZES.contains(size));
    size.ok_or_else(|| format!("'{text}' is not a size; known are 4, 8 and 16"))
}

/// Measures the map, prints it and returns the exit status: 1 if an access was torn that the architecture guarantees.
pub fn tearing(args: &TearingArgs) -> Result<u8> {
    if Arch::host().is_none() {
        return Err(Error::Host("wakerace does not support this architecture".to_owned()));
    }
    machine::require_counter()?;
    let interrupt = interrupt_flag()?;
    let (topology, allowed, cpus) = cpus_to_use(args.cpus.as_deref())?;
    let placement = placement(&topology, &cpus)?;
    let host = machine::describe(&topology, &allowed, Calibration::new());
    let line = line(&host);
    let sizes = if args.size.is_empty() { SIZES.to_vec() } else { args.size.clone() };
    let all = accesses(&sizes, line);
    if all.is_empty() {
        return Err(Error::Usage("--size: no instruction of this architecture accesses 16 bytes at once".to_owned()));
    }
    let csv = args.export_csv.as_deref().map(Sink::open).transpose()?;
    if !args.quiet {
        say(&host_lines(&host));
    }
    let mut bar = Bar::new(&format!("tearing on CPUs {placement}"), args.quiet);
    let watch = |share, torn| bar.update(share, || format!("{} torn loads", publish::count(torn)));
    let map = measure((placement.cpus[0], placement.cpus[1]), &all, args.duration, &interrupt, watch)?;
    bar.finish();
    if let Some(csv) = csv {
        csv.write(&publish::tearing_csv(&map, line)?)?;
    }
    let width = terminal::width();
    terminal::out(&format!(
        "loads on CPU {} of what CPU {} stores ({}), lines of {line} bytes\n\n{}\n{}\n",
        placement.cpus[0],
        placement.cpus[1],
        placement.class,
        publish::tearing(&map, line, width),
        publish::wrapped_lines(&publish::tearing_summary(&map, line), width),
    ))?;
    if interrupt.load(Ordering::Relaxed) {
        terminal::out("Interrupted: the map is of what was measured up to the interruption.\n")?;
    }
    if host.emulated {
        terminal::out("Run under an emulator: this says something about the emulator and nothing about a CPU.\n")?;
    }
    Ok(match (publish::tearing_forbidden(&map).is_empty(), interrupt.load(Ordering::Relaxed)) {
        (false, _) => EXIT_FORBIDDEN,
        (true, true) => EXIT_INTERRUPTED,
        (true, false) => EXIT_OK,
    })
}

/// The two named CPUs in their order, or two that are as near to each other as possible, but not the same core.
fn placement(topology: &Topology, cpus: &[usize]) -> Result<Placement> {
    if let [_, _] = cpus {
        return Ok(machine::exactly(topology, cpus));
    }
    if cpus.len() < 2 {
        return Err(Error::Usage(format!(
            "the map needs 2 threads, but only {} CPU{} may be used ({}); allow more CPUs with -c",
            cpus.len(),
            if cpus.len() == 1 { "" } else { "s" },
            machine::format_cpu_list(cpus)
        )));
    }
    let all = machine::place(topology, cpus, 2, &Class::SPREAD).map_err(Error::Usage)?;
    // The widest boundary comes first.
    let nearest = all.iter().rev().find(|placement| placement.class != Class::Smt).or(all.last());
    nearest.cloned().ok_or_else(|| Error::Usage("--cpus: name two CPUs".to_owned()))
}

/// The line size of the first data cache, in bytes.
fn line(host: &Host) -> usize {
    let line = host.caches.iter().map(|cache| cache.line_bytes).find(|line| line.is_power_of_two() && *line >= 16);
    line.filter(|line| *line <= 256).unwrap_or(USUAL_LINE)
}
