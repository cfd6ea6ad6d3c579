//! What `wakerace tune` found for this host, kept between runs: settings per test and placement class.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::harness::{StressKind, Warm};
use crate::input::{Limit, read_text};
use crate::machine::{Class, Host};
use crate::{files, record, shown};

/// The schema of profiles.
pub const SCHEMA: &str = "wakerace-profile/1";

/// A test on a class is some 400 bytes.
const LARGEST: Limit = Limit { bytes: 1024 * 1024, why: "a profile of wakerace is a JSON file of some kB" };

/// The settings that a run takes for a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `free` or `paced`.
    pub pace: String,
    /// `padded`, `packed`, `dense` or `kernel-ARCH`.
    pub layout: String,
    /// Instances at each tick; found by trying if absent.
    #[serde(default)]
    pub group: Option<usize>,
    /// Whether their lines are fetched before it.
    pub warm: Warm,
    /// Instances per batch; as many as fit the caches if absent.
    pub batch: Option<usize>,
    /// What presses on the memory system from the CPUs that the test does not use.
    #[serde(default)]
    pub stress: Option<StressKind>,
}

impl Settings {
    /// What runs without a profile.
    pub fn default_paced() -> Settings {
        Settings {
            pace: "paced".to_owned(),
            layout: "padded".to_owned(),
            group: None,
            warm: Warm::default(),
            batch: None,
            stress: None,
        }
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.pace, self.layout)?;
        if let Some(group) = self.group {
            write!(f, ", group {group}")?;
        }
        if self.pace == "paced" {
            f.write_str(match self.warm {
                Warm::On => ", warm",
                Warm::Off => ", cold",
                Warm::Turns => ", warm and cold in turns",
            })?;
        }
        if let Some(batch) = self.batch {
            write!(f, ", batch {batch}")?;
        }
        self.stress.map_or(Ok(()), |stress| write!(f, ", {stress} stress"))
    }
}

/// What was found for one test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The test.
    pub scenario: String,
    /// The control it was tuned on: a test of the same shape that races here.
    pub mutant: String,
    /// The class of the placement.
    pub class: Class,
    /// What was best.
    pub settings: Settings,
    /// The mutant's races per second with these, the median of some runs.
    pub races_per_s: f64,
    /// The same with the default settings, in turns with those.
    pub default_races_per_s: f64,
    /// When, RFC 3339.
    pub when: String,
}

/// A host's profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// [`SCHEMA`]
    pub schema: String,
    /// The host it is for, as [`name`] has it.
    pub host: String,
    /// What was found.
    pub tuned: Vec<Tuned>,
}

/// A host's name in profiles: its CPU and how many there are. Clouds give a box another kernel or host name each time.
pub fn name(host: &Host) -> String {
    let cpus = crate::machine::parse_cpu_list(&host.cpus_online).map_or(0, |cpus| cpus.len());
    format!("{}-{}-{cpus}-cpus", host.architecture, record::cpu_slug(host))
}

/// Where a host's profile is kept: `$XDG_CONFIG_HOME/wakerace/NAME.json`, or below `~/.config`. `None` where there is no home.
pub fn default_path(host: &Host) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(base.join("wakerace").join(format!("{}.json", name(host))))
}

impl Profile {
    /// An empty one.
    pub fn new(host: &Host) -> Profile {
        Profile { schema: SCHEMA.to_owned(), host: name(host), tuned: Vec::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it cannot be read, is no profile, or is another host's.
    pub fn read(path: &Path, host: &Host) -> Result<Profile> {
        let shown = shown::path(path);
        let text = read_text(path, LARGEST)?;
        let profile: Profile = serde_json::from_str(&text).map_err(|error| {
            Error::Usage(format!("{shown}:{}:{}: no profile of wakerace: {error}", error.line(), error.column()))
        })?;
        if profile.schema != SCHEMA {
            return Err(Error::Usage(format!(
                "{shown}: unknown schema '{}'; this wakerace reads {SCHEMA}",
                profile.schema
            )));
        }
        if profile.host != name(host) {
            return Err(Error::Usage(format!("{shown}: it is for {}, and this host is {}", profile.host, name(host))));
        }
        Ok(profile)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        files::write_own(path, &(text + "\n"))
    }

    /// Puts what was found in place of what was known of the same test and class.
    pub fn put(&mut self, tuned: Tuned) {
        self.tuned.retain(|known| (&known.scenario, known.class) != (&tuned.scenario, tuned.class));
        self.tuned.push(tuned);
    }

    /// What is known of a test on a class.
    pub fn find(&self, scenario: &str, class: Class) -> Option<&Tuned> {
        self.tuned.iter().find(|known| known.scenario == scenario && known.class == class)
    }
}
