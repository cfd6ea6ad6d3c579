//! Names and colours of records on the page: a letter for each run, a colour for each host.

use serde::Serialize;

use super::Entry;
use crate::machine::{Clock, Frequency, Host};
use crate::publish::chart::{COLOURS, Look};
use crate::publish::cpus::{cpu, design, letter};
use crate::publish::unmeasured;
use crate::record::{AnyRecord, Part, ProtocolRecord, Record, Tool};

/// A record on the page, with its letter and colour.
pub(super) struct Run<'a> {
    /// The run's letter: A, B, ..., Z, AA, ...
    pub(super) letter: String,
    /// The host's colour, and the dash pattern and the shape that tell this run from the host's other runs.
    pub(super) look: Look,
    entry: &'a Entry,
}

/// What the page prints about a run.
#[derive(Serialize)]
pub(super) struct View {
    letter: String,
    classes: String,
    symbol: Symbol,
    name: String,
    /// The CPU, for the chip of the run.
    cpu: String,
    /// The address of the page of this run alone.
    page: Option<String>,
    /// The rest of the chip: architecture, CPUs, hypervisor, date.
    about: String,
    emulated: bool,
    started: String,
    elapsed: String,
    command: String,
    tool: String,
    interrupted: bool,
    facts: Vec<(String, String)>,
    parts: Vec<(String, String)>,
}

/// The shape and the colour of a run, or of a kind of CPU.
#[derive(Serialize, Clone, PartialEq)]
pub(super) struct Symbol {
    class: String,
    path: String,
}

impl Symbol {
    pub(super) fn of(look: Look) -> Symbol {
        Symbol { class: format!("s{}", look.colour_number()), path: look.outline((7.0, 7.0), 4.5) }
    }
}

/// Gives each record a letter, a colour, a dash pattern and a shape.
pub(super) fn runs(entries: &[Entry]) -> Vec<Run<'_>> {
    let mut hosts: Vec<Host> = Vec::new();
    // How many runs of each colour came so far. Hosts that share a colour so have no pattern in common.
    let mut patterns = [0; COLOURS];
    let mut out: Vec<Run<'_>> = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let host = identity(entry.record.host());
        let colour = hosts.iter().position(|known| *known == host).unwrap_or_else(|| {
            hosts.push(host);
            hosts.len() - 1
        });
        let dash = patterns[colour % COLOURS];
        patterns[colour % COLOURS] += 1;
        // The first runs have a shape each, whatever their hosts. Later ones have one that their colour has not had yet.
        let is_free = |shape: &usize| {
            let has = |run: &Run<'_>| run.look.colour_number() == colour % COLOURS && run.look.shape == shape % COLOURS;
            !out.iter().any(has)
        };
        let shape = (number..number + COLOURS).find(is_free).unwrap_or(number) % COLOURS;
        out.push(Run { letter: letter(number), look: Look { colour, dash, shape }, entry });
    }
    out
}

/// A host without the clock measurements, which differ from run to run. Two runs of one host compare equal.
fn identity(host: &Host) -> Host {
    Host {
        clock_measured: Clock { frequency_hz: 0.0, resolution_ticks: 0, read_ticks: 0 },
        clock_check: None,
        ..host.clone()
    }
}

impl<'a> Run<'a> {
    pub(super) fn host(&self) -> &'a Host {
        self.entry.record.host()
    }

    /// The record, if `wakerace run` wrote it.
    pub(super) fn record(&self) -> Option<&'a Record> {
        match &self.entry.record {
            AnyRecord::Run(record) => Some(record),
            AnyRecord::Protocol(_) | AnyRecord::Campaign(_) => None,
        }
    }

    /// The record, if `wakerace protocol` wrote it.
    pub(super) fn protocol(&self) -> Option<&'a ProtocolRecord> {
        match &self.entry.record {
            AnyRecord::Run(_) | AnyRecord::Campaign(_) => None,
            AnyRecord::Protocol(record) => Some(record),
        }
    }

    /// The record.
    pub(super) fn any(&self) -> &'a AnyRecord {
        &self.entry.record
    }

    /// The unit of the record's histograms; empty without results.
    pub(super) fn unit(&self) -> &'a str {
        let gaps = match &self.entry.record {
            AnyRecord::Run(record) => record.results.first().map(|result| &result.gaps),
            AnyRecord::Protocol(record) => record.results.first().map(|result| &result.heal_ns),
            AnyRecord::Campaign(_) => None,
        };
        gaps.map_or("", |gaps| &gaps.unit)
    }

    /// The name of the record.
    pub(super) fn entry_name(&self) -> &'a str {
        &self.entry.name
    }

    /// What a chip says besides the CPU.
    pub(super) fn about(&self) -> String {
        about(self.host(), self.entry.record.started())
    }

    /// The machine in a few words.
    pub(super) fn about_machine(&self) -> String {
        machine(self.host())
    }

    /// The day on which the run began.
    pub(super) fn day(&self) -> &'a str {
        day(self.entry.record.started())
    }

    /// The tests without a result, as a pair of name and value.
    fn without_result(&self) -> Option<(String, String)> {
        let lines = unmeasured(&self.record()?.unmeasured);
        (!lines.is_empty()).then(|| ("without a result".to_owned(), lines.join("; ")))
    }

    /// What the page prints. `alike` says that another run has the same chip but for the time of day.
    pub(super) fn view(&self, alike: bool, page: Option<String>) -> View {
        let (tool, command, elapsed, interrupted, parts): (&Tool, _, _, _, &[Part]) = match &self.entry.record {
            AnyRecord::Run(r) => (&r.tool, &r.command, r.elapsed_s, r.interrupted, &r.parts),
            AnyRecord::Protocol(r) => (&r.tool, &r.command, r.elapsed_s, r.interrupted, &r.parts),
            AnyRecord::Campaign(r) => (&r.tool, &r.command, r.elapsed_s, r.interrupted, &r.parts),
        };
        let host = self.host();
        View {
            letter: self.letter.clone(),
            classes: self.look.classes(),
            symbol: Symbol::of(self.look),
            cpu: cpu(host),
            page,
            about: if alike {
                format!("{}, {}", machine(host), minute(self.entry.record.started()))
            } else {
                self.about()
            },
            name: self.entry.name.clone(),
            emulated: host.emulated,
            started: minute(self.entry.record.started()),
            elapsed: format!("{elapsed:.0} s"),
            command: shell(command),
            tool: tool.measured_by().map_or_else(
                || format!("{} {} ({})", tool.name, tool.version, tool.commit),
                |by| format!("{by} and imported"),
            ),
            interrupted,
            facts: facts(host).into_iter().chain(self.without_result()).collect(),
            parts: parts.iter().map(|part| (minute(&part.started), name(&part.host))).collect(),
        }
    }
}

/// The host in words, such as `x86_64 AMD EPYC, 2 CPUs, virtualised (KVM)`.
pub(super) fn name(host: &Host) -> String {
    let cpus = host.online();
    let under = host.virtualised.as_ref().map_or(String::new(), |name| format!(", virtualised ({name})"));
    let plural = if cpus == 1 { "" } else { "s" };
    let (names, label) = (host.named(), host.labelled());
    format!("{} {}{names}, {cpus} CPU{plural}{under}{label}", host.architecture, host.cpu_model)
}

/// What a chip says besides the CPU: `x86_64 family 25, model 17, 2 CPUs, KVM, m7a.large, labelled "rack 3", 2026-11-26`.
fn about(host: &Host, started: &str) -> String {
    format!("{}, {}", machine(host), day(started))
}

/// The machine in a few words: `x86_64 family 25, model 17, 2 CPUs, KVM, m7a.large, labelled "rack 3"`.
fn machine(host: &Host) -> String {
    let cpus = host.online();
    let plural = if cpus == 1 { "" } else { "s" };
    let under = host.virtualised.as_ref().map_or(String::new(), |name| format!(", {name}"));
    let (names, label) = (host.named(), host.labelled());
    format!("{} {}, {cpus} CPU{plural}{under}{names}{label}", host.architecture, design(host)).replace(" ,", ",")
}

/// The day of a time.
fn day(started: &str) -> &str {
    started.get(..10).unwrap_or(started)
}

/// A time to the minute. A text that is not a time is returned as it is.
fn minute(time: &str) -> String {
    time.parse::<jiff::Timestamp>()
        .map_or_else(|_| time.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A command line with the quotes that a shell needs.
fn shell(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    let word = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The facts about a host, as pairs of name and value.
fn facts(host: &Host) -> Vec<(String, String)> {
    let ids: Vec<String> = host.cpu_ids.iter().map(|(key, value)| format!("{key} {value}")).collect();
    let kinds: Vec<String> = host.core_types.iter().map(|(name, cpus)| format!("{name}: {cpus}")).collect();
    let caches: Vec<String> = (host.caches.iter())
        .map(|cache| {
            let shared = if cache.shared_by > 1 { format!(" for {} CPUs", cache.shared_by) } else { String::new() };
            format!("L{} {} {}, {}-byte lines{shared}", cache.level, cache.kind, cache.size, cache.line_bytes)
        })
        .collect();
    let frequency = |known: &Frequency| {
        format!(
            "CPUs {}: {} to {} MHz ({}, {})",
            known.cpus,
            known.min_khz / 1000,
            known.max_khz / 1000,
            known.driver,
            known.governor
        )
    };
    let frequencies: Vec<String> = host.frequencies.iter().map(frequency).collect();
    let clock = &host.clock_measured;
    let or = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    let fact = |name: &str, value: String| (name.to_owned(), value);
    // Only those that the machine says.
    let more = [
        ("product", host.names.product.clone()),
        ("cloud", host.names.cloud.clone()),
        ("instance type", host.names.instance_type.clone()),
        ("system on chip", host.names.soc.clone()),
        ("label", host.label.clone()),
        ("frequencies", Some(frequencies.join("; ")).filter(|text| !text.is_empty())),
        ("speculative store bypass", host.mitigations.get("spec_store_bypass").cloned()),
        ("speculative store bypass, this process", host.mitigations.get("spec_store_bypass_here").cloned()),
    ];
    let more = more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let facts = vec![
        fact("architecture", host.architecture.clone()),
        fact("CPU", host.cpu_model.clone()),
        fact("identification", ids.join(", ")),
        fact("kinds of core", kinds.join("; ")),
        fact("microcode", or(&host.microcode)),
        fact("caches of the first CPU", caches.join("; ")),
        fact("spacing of variables", format!("{} bytes", host.false_sharing_bytes)),
        fact("CPUs online", host.cpus_online.clone()),
        fact("CPUs allowed", host.cpus_allowed.clone()),
        fact("threads per core", host.threads_per_core.to_string()),
        fact("sockets", host.sockets.to_string()),
        fact("NUMA nodes", host.numa_nodes.to_string()),
        fact("kernel", host.kernel.clone()),
        fact("frequency governor", or(&host.governor)),
        fact("transparent huge pages", or(&host.transparent_hugepages)),
        fact("hypervisor", host.virtualised.clone().unwrap_or_else(|| "none seen".to_owned())),
        fact("emulated", if host.emulated { "yes" } else { "no" }.to_owned()),
        fact(
            "clock",
            format!(
                "{} at {:.1} MHz, steps of {} ticks, {} ticks to read",
                host.clock,
                clock.frequency_hz / 1e6,
                clock.resolution_ticks,
                clock.read_ticks
            ),
        ),
    ];
    facts.into_iter().chain(more).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::record::shipped;

    #[test]
    fn a_cpu_is_named_without_marks_and_frequency() {
        let record = shipped("2026-11-25T174425Z");
        let host =
            Host { cpu_model: "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz".to_owned(), ..record.host.clone() };
        assert_eq!(cpu(&host), "Intel Xeon Platinum 8488C");
        assert_eq!(about(&host, &record.started), "x86_64 family 25, model 17, 2 CPUs, KVM, 2026-11-25");
    }

    #[test]
    fn no_two_runs_share_a_swatch() {
        let record = shipped("2026-11-25T174425Z");
        // Twelve hosts with two runs each: some hosts share a colour.
        let entry = |number: usize| {
            let mut record = record.clone();
            record.host.cpu_model = format!("CPU {}", number % 12);
            Entry { name: String::new(), record: AnyRecord::Run(Box::new(record)) }
        };
        let entries: Vec<Entry> = (0..24).map(entry).collect();
        let classes: BTreeSet<String> = runs(&entries).iter().map(|run| run.look.classes()).collect();
        assert_eq!(classes.len(), 24, "{classes:?}");
        // The first chart has marks without dashes: colour and shape tell its runs apart, and the shape alone those of a small page.
        let marks: Vec<(usize, usize)> =
            runs(&entries).iter().map(|run| (run.look.colour_number(), run.look.shape)).collect();
        assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), 24, "{marks:?}");
        let one_host: Vec<Entry> = (0..8).map(|_| entry(0)).collect();
        let shapes: BTreeSet<String> = runs(&one_host).iter().map(|run| run.look.outline((0.0, 0.0), 1.0)).collect();
        assert_eq!(shapes.len(), 8);
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let command = ["wakerace", "run", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&command), "wakerace run 'a b' 'it'\\''s' ''");
    }
}
