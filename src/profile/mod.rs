//! Settings that outlive a run. Profiles are those that `wakerace tune` found for this host, per test and placement class.
//! [`kept`] are those that the searches of `wakerace run` found.

pub mod kept;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::harness::{Prefetch, StressKind};
use crate::input::{Limit, parse_json, read_text};
use crate::machine::{Class, Host};
use crate::stats::apart;
use crate::{files, record, shown};

/// Schema name and version of profile files.
pub const SCHEMA: &str = "wakerace-profile/1";

/// Maximum size of a profile file. One test on one class takes about 400 bytes.
const LARGEST: Limit = Limit { bytes: 1024 * 1024, why: "a wakerace profile is a JSON file of a few kB" };

/// The settings with which a test is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `free` or `paced`.
    pub pace: String,
    /// `padded`, `packed`, `dense` or `kernel-ARCH`.
    pub layout: String,
    /// Instances per tick; if absent, calibration chooses the number.
    #[serde(default)]
    pub group: Option<usize>,
    /// Whether the lines of a group are prefetched before its tick.
    #[serde(alias = "warm")]
    pub prefetch: Prefetch,
    /// Instances per batch; if absent, as many as fit the caches.
    pub batch: Option<usize>,
    /// Load on the memory system from the CPUs that the test does not use, if any.
    #[serde(default)]
    pub stress: Option<StressKind>,
}

impl Settings {
    /// The settings used without a profile.
    pub fn default_paced() -> Settings {
        Settings {
            pace: "paced".to_owned(),
            layout: "padded".to_owned(),
            group: None,
            prefetch: Prefetch::default(),
            batch: None,
            stress: None,
        }
    }
}

/// Tuning result of one test on one placement class and one combination of kinds of core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Name of the test.
    pub scenario: String,
    /// Name of the control that it was tuned on: a test of the same shape that races on this host.
    pub mutant: String,
    /// Class of the placement.
    pub class: Class,
    /// The kind of core of each thread; empty if the host has one kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// The best settings.
    pub settings: Settings,
    /// The distance between the CPUs that they are for, in nanoseconds. Absent if none was measured, and in profiles from before the
    /// field: then they are for any distance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_ns: Option<f64>,
    /// The period at which the search left them, in nanoseconds. Absent if they run free, if they are the default ones, and as
    /// `distance_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<f64>,
    /// The factor of the width of the sweep of skews. Absent as `distance_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<u32>,
    /// The control's races per second with these settings: the median of several runs.
    pub races_per_s: f64,
    /// The control's races per second with the default settings, measured alternately with the best settings.
    pub default_races_per_s: f64,
    /// When it was tuned (RFC 3339).
    pub when: String,
}

/// Tuning profile of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuningProfile {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The host that the profile is for, as [`name`] returns it.
    pub host: String,
    /// Tuning results.
    pub tuned: Vec<Tuned>,
}

/// A host's name in profiles: architecture, CPU model and number of CPUs. It does not contain the host name or
/// the kernel version, because a cloud instance gets new ones each time.
pub fn name(host: &Host) -> String {
    format!("{}-{}-{}-cpus", host.architecture, record::cpu_slug(host), host.online())
}

/// Where a host's profile is kept: `$XDG_CONFIG_HOME/wakerace/NAME.json`, or below `~/.config`. `None` without
/// a home directory.
pub fn default_path(host: &Host) -> Option<PathBuf> {
    in_home("XDG_CONFIG_HOME", ".config", host)
}

/// The path of a host's file below the folder that a variable names, or else below one in the home directory.
fn in_home(variable: &str, folder: &str, host: &Host) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(folder)))?;
    Some(base.join("wakerace").join(format!("{}.json", name(host))))
}

/// Reads a JSON file; `what` says what it should be.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path, largest: Limit, what: &str) -> Result<T> {
    parse_json(&shown::path(path), &read_text(path, largest)?, what)
}

/// Checks the schema of a file.
fn known_schema(path: &Path, schema: &str, known: &str) -> Result<()> {
    let unknown =
        || Error::Usage(format!("{}: unknown schema '{schema}'; this wakerace reads {known}", shown::path(path)));
    (schema == known).then_some(()).ok_or_else(unknown)
}

/// Writes a JSON file in place of the one that was read.
fn write_json(value: &impl Serialize, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::Internal(error.to_string()))?;
    files::update(path, &(text + "\n"))
}

impl TuningProfile {
    /// An empty profile for a host.
    pub fn new(host: &Host) -> TuningProfile {
        TuningProfile { schema: SCHEMA.to_owned(), host: name(host), tuned: Vec::new() }
    }

    /// Reads a profile from a file.
    ///
    /// # Errors
    /// If the file cannot be read, if it is not a profile, or if it is for another host.
    pub fn read(path: &Path, host: &Host) -> Result<TuningProfile> {
        let shown = shown::path(path);
        let profile: TuningProfile = read_json(path, LARGEST, "a wakerace profile")?;
        known_schema(path, &profile.schema, SCHEMA)?;
        if profile.host != name(host) {
            return Err(Error::Usage(format!(
                "{shown}: this profile is for {}, and this host is {}; `wakerace tune` makes a profile for this host",
                profile.host,
                name(host)
            )));
        }
        Ok(profile)
    }

    /// Writes the profile to a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(self, path)
    }

    /// Adds a result. It replaces earlier results for the same test, class and kinds of core at the same distance. One for any distance
    /// replaces all, and any replaces one for any distance.
    pub fn put(&mut self, tuned: Tuned) {
        let place = |tuned: &Tuned| (tuned.scenario.clone(), tuned.class, tuned.kinds.clone());
        let elsewhere = |known: &Tuned| known.distance_ns.zip(tuned.distance_ns).is_some_and(|(a, b)| apart(a, b));
        self.tuned.retain(|known| place(known) != place(&tuned) || elsewhere(known));
        self.tuned.push(tuned);
    }

    /// The results for a test on a class and these kinds of core, each for another distance, the latest first.
    pub fn find(&self, scenario: &str, class: Class, kinds: &[String]) -> impl Iterator<Item = &Tuned> {
        let alike = move |known: &&Tuned| known.scenario == scenario && known.class == class && known.kinds == kinds;
        self.tuned.iter().rev().filter(alike)
    }
}
