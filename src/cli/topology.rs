//! `wakerace topology`: prints the host's CPUs, caches and clock, and where threads would be placed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::units::{Pairs, parse_pairs};
use crate::arch::Arch;
use crate::error::{EXIT_OK, Error, Result};
use crate::files::Sink;
use crate::input::Limit;
use crate::machine::{self, Calibration, Capture, Class, Clock, Frequency, Host, Topology, Tree};
use crate::publish::{DISTURBED_MARK, Latencies, counted};
use crate::{input, publish, shown, terminal};

/// A capture of a machine with 1,024 CPUs takes about 2 MB.
const CAPTURE_LIMIT: Limit = Limit { bytes: 64 << 20, why: "a capture describes the CPUs of one machine" };

/// Arguments of `topology`.
#[derive(Debug, Args)]
pub struct TopologyArgs {
    /// Measure the cache-line transfer latency between CPUs: `all` pairs, or COUNT pairs per class
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "1", value_parser = parse_pairs)]
    latency: Option<Pairs>,
    /// With --latency: `all`, or COUNT pairs per class; the same as --latency=COUNT
    #[arg(long, value_name = "COUNT", requires = "latency", value_parser = parse_pairs)]
    pairs: Option<Pairs>,
    /// With --latency: write the matrix as CSV to a file, in the form of core-to-core-latency
    #[arg(long, value_name = "FILE", requires = "latency")]
    export_csv: Option<PathBuf>,
    /// With --latency: draw the matrix as a heat map into an SVG file
    #[arg(long, value_name = "FILE", requires = "latency")]
    export_svg: Option<PathBuf>,
    /// Show another machine: a capture, or a folder with a copy of its /sys and /proc
    #[arg(long, value_name = "PATH", conflicts_with = "latency")]
    topology: Option<PathBuf>,
    /// Write what this machine says about its CPUs to a file, to attach to a report; it holds no name and no serial
    /// number
    #[arg(long, value_name = "FILE", conflicts_with_all = ["latency", "topology"])]
    capture: Option<PathBuf>,
}

/// Prints the host's description and the placements of threads, and returns the exit status.
pub fn topology(args: &TopologyArgs) -> Result<u8> {
    if let Some(path) = &args.topology {
        return other_machine(path);
    }
    if let Some(path) = &args.capture {
        let capture = Capture::new(&Tree::host(), &machine::allowed_cpus()?);
        let json = serde_json::to_string_pretty(&capture).map_err(|error| Error::Internal(error.to_string()))?;
        Sink::open(path)?.write(&(json + "\n"))?;
        return Ok(EXIT_OK);
    }
    // The files are opened before anything is measured.
    let open = |path: &Option<PathBuf>| path.as_deref().map(Sink::open).transpose();
    let exports = [open(&args.export_csv)?, open(&args.export_svg)?];
    machine::require_counter()?;
    let topology = Topology::read()?;
    let allowed = machine::allowed_cpus()?;
    let host = machine::describe(&topology, &allowed, Calibration::new());
    let usable = machine::restrict(&topology, &allowed, None).unwrap_or_default();
    let isolated = machine::isolated(&Tree::host());
    terminal::out(&(publish::wrapped_lines(&host_lines(&host), terminal::width()) + "\n"))?;
    terminal::out(&cpus_and_placements(&topology, &allowed, &isolated))?;
    terminal::out(&publish::wrapped_lines(&counters(&usable, host.clock_measured)?, terminal::width()))?;
    if let Some(wanted) = args.pairs.or(args.latency) {
        let latencies = measure_latencies(&topology, &usable, wanted, host.clock_measured)?;
        for (sink, text) in exports.into_iter().zip([Latencies::csv, Latencies::svg]) {
            if let Some(sink) = sink {
                sink.write(&text(&latencies))?;
            }
        }
    }
    Ok(EXIT_OK)
}

/// Measures latencies and prints them: all pairs as a matrix, row by row as they are measured, and a choice of pairs as a
/// list.
fn measure_latencies(topology: &Topology, usable: &[usize], wanted: Pairs, clock: Clock) -> Result<Latencies> {
    terminal::out("\ncache-line transfer latency between two CPUs (half a round trip, median), ns:\n")?;
    let mut pairs = machine::pairs(topology, usable, wanted.most(), None);
    let mut latencies = Latencies::default();
    let matrix = usable.len() > 1 && pairs.len() == usable.len() * (usable.len() - 1) / 2;
    if matrix {
        // A row is complete when the pairs of its CPU with all lower ones are.
        pairs.sort_unstable_by_key(|pair| (pair.cpus.iter().copied().max(), pair.cpus.iter().copied().min()));
        terminal::out(&(Latencies::heading(usable) + "\n"))?;
        terminal::out(&(latencies.row(usable[0], usable) + "\n"))?;
    }
    for (number, pair) in pairs.iter().enumerate() {
        let (a, b) = (pair.cpus[0], pair.cpus[1]);
        let transfer = machine::line_transfer(a, b, clock, 25)?;
        latencies.put((a, b), pair.class, transfer.ns.0);
        if transfer.is_disturbed() {
            latencies.mark_disturbed((a, b));
        }
        let last = pairs.get(number + 1).is_none_or(|next| next.cpus.iter().max() != pair.cpus.iter().max());
        if !matrix {
            terminal::out(&format!(
                "  CPUs {pair}: {:.1} ns{}\n",
                transfer.ns.0,
                if transfer.is_disturbed() { DISTURBED_MARK } else { "" }
            ))?;
        } else if last {
            terminal::out(&(latencies.row(a.max(b), usable) + "\n"))?;
        }
    }
    terminal::out(&latencies.summary())?;
    Ok(latencies)
}

/// Another machine: a capture of it, or a folder with a copy of its /sys and /proc.
pub struct Elsewhere {
    /// The path, for display.
    pub name: String,
    /// Its CPUs.
    pub topology: Topology,
    /// The CPUs that a process may use there. A folder does not say which, so it is all of them.
    pub allowed: Vec<usize>,
    /// Its architecture, if the files say it.
    pub arch: Option<Arch>,
    tree: Tree,
}

impl Elsewhere {
    /// Reads the machine from the value of `--topology`.
    ///
    /// # Errors
    /// If there is no such file or folder, or if it describes no CPU.
    pub fn read(path: &Path) -> Result<Elsewhere> {
        let name = shown::path(path);
        let (tree, allowed) = if path.is_dir() {
            (Tree::at(path), Vec::new())
        } else {
            let wrong = |reason: String| Error::Usage(format!("--topology {name}: {reason}"));
            let text = input::read_text(path, CAPTURE_LIMIT).map_err(|error| error.of_option("--topology"))?;
            let capture = Capture::parse(&text).map_err(wrong)?;
            let allowed = machine::parse_cpu_list(&capture.allowed).map_err(wrong)?;
            (Tree::captured(capture), allowed)
        };
        let topology = Topology::read_from(&tree, &allowed);
        if topology.cpus.is_empty() {
            return Err(Error::Usage(format!("--topology {name}: no sys/devices/system/cpu/online below it")));
        }
        let allowed = if allowed.is_empty() { topology.cpus.iter().map(|cpu| cpu.id).collect() } else { allowed };
        Ok(Elsewhere { name, topology, allowed, arch: machine::arch_of(&tree), tree })
    }
}

/// Prints the CPUs of another machine and where threads would be placed there.
fn other_machine(path: &Path) -> Result<u8> {
    let Elsewhere { name, topology, allowed, tree, .. } = Elsewhere::read(path)?;
    let opening = format!("{name}: {} CPUs online\n\n", topology.cpus.len());
    terminal::out(&publish::wrapped_lines(&opening, terminal::width()))?;
    terminal::out(&cpus_and_placements(&topology, &allowed, &machine::isolated(&tree)))?;
    for unread in &topology.unread {
        terminal::out(&publish::wrapped_lines(&format!("note: {unread}\n"), terminal::width()))?;
    }
    Ok(EXIT_OK)
}

/// The kinds of core, the table of CPUs, and the placements of two to four threads, fitted into the width of the terminal.
fn cpus_and_placements(topology: &Topology, allowed: &[usize], isolated: &[usize]) -> String {
    let width = terminal::width();
    // Writing to a string cannot fail.
    let mut text = String::new();
    if topology.kinds.len() > 1 {
        text.push_str("kinds of core, the biggest first:\n");
        for kind in &topology.kinds {
            let _ = writeln!(text, "  {}: CPUs {}", shown::line(&kind.name), publish::cpu_list(&kind.cpus));
        }
        text.push('\n');
    }
    let mut text = publish::wrapped_lines(&text, width) + &publish::cpu_table(topology, allowed, isolated, width);
    let usable = machine::restrict(topology, allowed, None).unwrap_or_default();
    let mut places = "\nplacements, widest boundary first:\n".to_owned();
    // Few tests have more than four threads.
    for threads in 2..=4 {
        let _ = match machine::place(topology, &usable, threads, &Class::SPREAD) {
            Ok(placements) => {
                let each: Vec<String> = placements.iter().map(ToString::to_string).collect();
                writeln!(places, "  {threads} threads: CPUs {}", each.join("; "))
            }
            Err(_) => writeln!(places, "  {threads} threads: too few CPUs; possible only with --oversubscribe"),
        };
    }
    text.push_str(&publish::wrapped_lines(&places, width));
    text
}

/// The offsets of the CPUs' counters from the first CPU's counter: one line for all CPUs without a measurable
/// offset, and one line for each CPU with an offset or with a problem.
fn counters(cpus: &[usize], clock: Clock) -> Result<String> {
    let Some((&first, others)) = cpus.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Ok(String::new());
    };
    let mut alike: Vec<usize> = Vec::new();
    let (mut within, mut lines) = (0.0_f64, String::new());
    for &cpu in others {
        let offset = machine::counters(first, cpu, clock)?.record(cpu, clock);
        // Writing to a string cannot fail.
        let _ = match (&offset.problem, offset.offset_ns, offset.error_ns) {
            (None, Some(ns), Some(error)) if offset.corrected => writeln!(
                lines,
                "  CPU {cpu}: {} by {:.0} ± {error:.0} ns; start times are corrected by this",
                if ns > 0.0 { "ahead" } else { "behind" },
                ns.abs()
            ),
            (None, Some(ns), Some(error)) => {
                alike.push(cpu);
                within = within.max(ns.abs() + error);
                Ok(())
            }
            (problem, ..) => {
                writeln!(lines, "  CPU {cpu}: offset unknown: {}", problem.as_deref().unwrap_or("no measurement"))
            }
        };
    }
    let mut text = format!("\ncounters ({}), compared with CPU {first}:\n", Clock::NAME);
    if !alike.is_empty() {
        let cpus = machine::format_cpu_list(&alike);
        let number = if alike.len() == 1 { "CPU" } else { "CPUs" };
        let _ = writeln!(text, "  {number} {cpus}: no measurable offset; less than {within:.0} ns");
    }
    Ok(text + &lines)
}

/// Returns the topology, the CPUs that the process may use, and the CPUs that `--cpus` selects among them
/// (all without `--cpus`).
///
/// # Errors
/// If the value of `--cpus` is wrong, or if the host does not describe its CPUs.
pub fn cpus_to_use(named: Option<&str>) -> Result<(Topology, Vec<usize>, Vec<usize>)> {
    let topology = Topology::read()?;
    let allowed = machine::allowed_cpus()?;
    let cpus = selected(&topology, &allowed, named)?;
    Ok((topology, allowed, cpus))
}

/// The CPUs that `--cpus` selects among those that may be used (all without `--cpus`).
///
/// # Errors
/// If the value of `--cpus` is wrong.
pub fn selected(topology: &Topology, allowed: &[usize], named: Option<&str>) -> Result<Vec<usize>> {
    let wrong = |reason: String| Error::Usage(format!("--cpus: {reason}"));
    let named = named.map(machine::parse_cpu_list).transpose().map_err(wrong)?;
    machine::restrict(topology, allowed, named.as_deref()).map_err(wrong)
}

/// Describes the host in a few lines. They are also printed before a run.
pub fn host_lines(host: &Host) -> String {
    let mut text = String::new();
    let virtualised =
        host.virtualised.as_ref().map_or("no hypervisor".to_owned(), |name| format!("virtualised: {name}"));
    let emulated = if host.emulated { ", EMULATED: results say nothing about weak outcomes" } else { "" };
    let caches: Vec<String> = host
        .caches
        .iter()
        .map(|cache| {
            let kind = match cache.kind.as_str() {
                "Data" => "d",
                "Instruction" => "i",
                _ => "",
            };
            format!("L{}{kind} {} (shared by {})", cache.level, cache.size, cache.shared_by)
        })
        .collect();
    let clock = host.clock_measured;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {}", host.architecture, host.identified());
    let label = host.label.as_ref().map(|label| format!("label: {label}"));
    let names: Vec<String> =
        Some(host.names.in_words()).filter(|names| !names.is_empty()).into_iter().chain(label).collect();
    if !names.is_empty() {
        let _ = writeln!(text, "{}", names.join("; "));
    }
    if host.core_types.len() > 1 {
        let types: Vec<String> = host.core_types.iter().map(|(name, cpus)| format!("{name} (CPUs {cpus})")).collect();
        let _ = writeln!(text, "{} types of cores: {}", types.len(), types.join(", "));
    }
    let _ = writeln!(
        text,
        "CPUs {} online, {} allowed; {} per core, {}, {}\n{virtualised}{emulated}",
        host.cpus_online,
        host.cpus_allowed,
        host.threads_per_core,
        counted(host.sockets as u64, "socket"),
        counted(host.numa_nodes as u64, "NUMA node")
    );
    let _ = writeln!(
        text,
        "{}{}; variables are {} bytes apart",
        if caches.is_empty() { "caches unknown".to_owned() } else { caches.join(", ") },
        host.caches.first().map_or(String::new(), |cache| format!("; lines of {} bytes", cache.line_bytes)),
        host.false_sharing_bytes
    );
    for frequency in &host.frequencies {
        let Frequency { cpus, driver, governor, min_khz, max_khz } = frequency;
        let _ = writeln!(text, "CPUs {cpus}: {} to {} MHz ({driver}, {governor})", min_khz / 1000, max_khz / 1000);
    }
    if let Some(bypass) = host.mitigations.get("spec_store_bypass") {
        let here =
            host.mitigations.get("spec_store_bypass_here").map_or(String::new(), |here| format!("; here: {here}"));
        let _ = writeln!(text, "speculative store bypass: {bypass}{here}");
    }
    let looks =
        host.clock_check.as_ref().map_or(String::new(), |check| format!(" ± {:.3} %", 100.0 * check.passes_differ));
    let _ = writeln!(
        text,
        "clock {} at {:.1} MHz{looks}, read in {:.0} ns, steps of {:.1} ns; {}",
        host.clock,
        clock.frequency_hz / 1e6,
        clock.nanos(clock.read_ticks.into()).0,
        clock.nanos(clock.resolution_ticks.into()).0,
        host.kernel.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    );
    if let Some(check) = &host.clock_check {
        let _ = writeln!(
            text,
            "{}the kernel's clocksource is {} (available: {})",
            match check.invariant {
                Some(true) => "constant rate by CPUID; ",
                Some(false) => "no constant rate by CPUID; ",
                None => "",
            },
            check.clocksource.as_deref().unwrap_or("unknown"),
            if check.clocksources.is_empty() { "unknown".to_owned() } else { check.clocksources.join(", ") },
        );
        for note in &check.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(reason) = &check.unfit {
            let _ = writeln!(text, "note: the {} is not fit to pace by: {reason}", host.clock);
        }
    }
    for unread in &host.unread {
        let _ = writeln!(text, "note: {unread}");
    }
    text
}

/// The words for a test without a placement, with what else `run` and `campaign` can do where there are too few CPUs.
pub(super) fn or_oversubscribed(error: String, cpus: &[usize], threads: usize) -> String {
    if cpus.len() < threads { error + ", or add --oversubscribe" } else { error }
}
