//! Kept settings: what the searches of `wakerace run` found on this host, so that a later run measures at the same settings and need
//! not search again. Nothing is lost if the file is deleted.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Settings, known_schema, name, read_json, write_json};
use crate::error::{Error, Result};
use crate::input::Limit;
use crate::machine::Host;
use crate::shown;
use crate::stats::{apart, same_distance};

/// Schema name and version of the files of kept settings.
pub const SCHEMA: &str = "wakerace-kept/1";
/// The version of this wakerace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The most settings that a file keeps, such as those of a hundred tests on five pairs of CPUs at two distances. The oldest go first.
const MOST: usize = 1000;
/// Maximum size of the file. One of the settings takes about 700 bytes.
const LARGEST: Limit = Limit { bytes: 4 * 1024 * 1024, why: "a file of kept settings is a JSON file of at most 1 MB" };
/// Kept settings stand for a search that would take up to this many times as long as theirs, and are replaced by those of a search that
/// took at least the inverse.
const ALIKE: f64 = 2.0;

/// The settings that a search has chosen for a test on some CPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Name of the test.
    pub scenario: String,
    /// SHA-256 of the test's source. An edited test is searched anew.
    pub source_sha256: String,
    /// The CPUs of the threads, in order.
    pub cpus: Vec<usize>,
    /// The settings.
    pub settings: Settings,
    /// The distance between the CPUs that they were chosen at, in nanoseconds. Absent if none was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_ns: Option<f64>,
    /// The period at which the search left them, in nanoseconds. Absent if they run free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<f64>,
    /// The period with the most races in a run, in nanoseconds. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_period_ns: Option<f64>,
    /// The factor of the width of the sweep of skews.
    pub reach: u32,
    /// Whether the test raced, so that tests that do not are searched with what it profited from.
    pub races: bool,
    /// The time that the search had at this distance, in seconds.
    pub searched_s: f64,
    /// The version of wakerace that searched. Another version may know better settings.
    pub wakerace: String,
    /// When it searched (RFC 3339).
    pub when: String,
}

impl Kept {
    /// Whether these settings spare a run a search that would take `search_s` seconds: whether their own was at least about as long.
    pub fn spares(&self, search_s: f64) -> bool {
        ALIKE * self.searched_s >= search_s
    }

    /// Whether these are settings of the same test on the same CPUs, by the same version.
    fn is_of(&self, other: &Kept) -> bool {
        self.source_sha256 == other.source_sha256 && self.cpus == other.cpus && self.wakerace == other.wakerace
    }
}

/// The kept settings of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptSettings {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The host, as [`name`] returns it.
    pub host: String,
    /// The settings, in order of time.
    pub kept: Vec<Kept>,
}

/// Where a host's settings are kept: `$XDG_CACHE_HOME/wakerace/NAME.json`, or below `~/.cache`. `None` without a home directory.
pub fn path(host: &Host) -> Option<PathBuf> {
    super::in_home("XDG_CACHE_HOME", ".cache", host)
}

impl KeptSettings {
    /// None for a host.
    pub fn new(host: &Host) -> KeptSettings {
        KeptSettings { schema: SCHEMA.to_owned(), host: name(host), kept: Vec::new() }
    }

    /// Reads a file of kept settings.
    ///
    /// # Errors
    /// If the file cannot be read, or if it is not one of this host's kept settings.
    pub fn read(path: &Path, host: &Host) -> Result<KeptSettings> {
        let shown = shown::path(path);
        let kept: KeptSettings = read_json(path, LARGEST, "a file of kept settings")?;
        known_schema(path, &kept.schema, SCHEMA)?;
        if kept.host != name(host) {
            let (theirs, ours) = (&kept.host, name(host));
            return Err(Error::Usage(format!("{shown}: these settings are for {theirs}, and this host is {ours}")));
        }
        Ok(kept)
    }

    /// Writes a file of kept settings.
    ///
    /// # Errors
    /// If it cannot be written. It then has its old content.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(self, path)
    }

    /// Keeps settings in place of earlier ones of the same test on the same CPUs at the same distance, unless those are the result of a much
    /// longer search. Whether it did.
    pub fn put(&mut self, new: Kept) -> bool {
        let elsewhere = |kept: &Kept| kept.distance_ns.zip(new.distance_ns).is_some_and(|(a, b)| apart(a, b));
        let replaces = |kept: &Kept| kept.is_of(&new) && !elsewhere(kept);
        if self.kept.iter().any(|kept| replaces(kept) && !new.spares(kept.searched_s)) {
            return false;
        }
        // The same settings have the same best period.
        let same = self.kept.iter().find(|kept| replaces(kept) && kept.settings == new.settings);
        let best_period_ns = new.best_period_ns.or(same.and_then(|same| same.best_period_ns));
        self.kept.retain(|kept| !replaces(kept));
        self.kept.push(Kept { best_period_ns, ..new });
        let surplus = self.kept.len().saturating_sub(MOST);
        self.kept.drain(..surplus);
        true
    }

    /// Notes the best period of the same settings, if none was known. Whether it did.
    pub fn settle(&mut self, of: &Kept) -> bool {
        let is_same = |kept: &&mut Kept| {
            kept.is_of(of) && kept.settings == of.settings && same_distance(kept.distance_ns, of.distance_ns)
        };
        let Some(known) = self.kept.iter_mut().filter(|kept| kept.best_period_ns.is_none()).find(is_same) else {
            return false;
        };
        known.best_period_ns = of.best_period_ns;
        known.best_period_ns.is_some()
    }

    /// What this version of wakerace kept, the latest first.
    pub fn own(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter().rev().filter(|kept| kept.wakerace == VERSION)
    }

    /// The same of a test on some CPUs, each at another distance.
    pub fn find(&self, source_sha256: &str, cpus: &[usize]) -> impl Iterator<Item = &Kept> {
        self.own().filter(move |kept| kept.source_sha256 == source_sha256 && kept.cpus == cpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(distance_ns: Option<f64>, searched_s: f64) -> Kept {
        Kept {
            scenario: "SB".to_owned(),
            source_sha256: "0".repeat(64),
            cpus: vec![0, 1],
            settings: Settings::default_paced(),
            distance_ns,
            period_ns: Some(100.0),
            best_period_ns: None,
            reach: 1,
            races: true,
            searched_s,
            wakerace: VERSION.to_owned(),
            when: "2026-11-28T01:02:03Z".to_owned(),
        }
    }

    fn empty() -> KeptSettings {
        KeptSettings { schema: SCHEMA.to_owned(), host: "a host".to_owned(), kept: Vec::new() }
    }

    #[test]
    fn settings_are_kept_for_each_distance_the_longer_search_first() {
        let mut all = empty();
        assert!(all.put(kept(Some(30.0), 1.0)) && all.put(kept(Some(180.0), 1.0)));
        let found = |all: &KeptSettings| {
            let test = "0".repeat(64);
            all.find(&test, &[0, 1]).map(|kept| (kept.distance_ns.unwrap(), kept.searched_s)).collect::<Vec<_>>()
        };
        assert_eq!(found(&all), [(180.0, 1.0), (30.0, 1.0)]);
        // A search of half the time may replace one, a shorter one may not.
        assert!(all.put(kept(Some(35.0), 0.5)) && !all.put(kept(Some(30.0), 0.2)));
        assert_eq!(found(&all), [(35.0, 0.5), (180.0, 1.0)]);
        assert_eq!(all.find(&"0".repeat(64), &[1, 0]).count(), 0);
        assert_eq!(all.find(&"1".repeat(64), &[0, 1]).count(), 0);
        // Without a distance, they are for any.
        assert!(all.put(kept(None, 5.0)) && all.kept.len() == 1);
        assert!(!all.put(kept(Some(30.0), 1.0)));
    }

    #[test]
    fn a_run_notes_its_period_once() {
        let mut all = empty();
        let (near, far) = (kept(Some(30.0), 1.0), kept(Some(180.0), 1.0));
        assert!(all.put(near.clone()) && all.put(far.clone()));
        let best = |kept: Kept, ns| Kept { best_period_ns: Some(ns), ..kept };
        let free = Settings { group: None, pace: "free".to_owned(), ..Settings::default_paced() };
        // Settings that are not kept, because another search has replaced them.
        for other in [
            Kept { settings: free, ..near.clone() },
            Kept { cpus: vec![1, 0], ..near.clone() },
            Kept { wakerace: "0.0.0".to_owned(), ..near.clone() },
            kept(Some(80.0), 1.0),
            kept(None, 1.0),
        ] {
            assert!(!all.settle(&best(other.clone(), 75.0)), "{other:?}");
        }
        assert!(all.settle(&best(kept(Some(33.0), 0.0), 75.0)));
        assert!(!all.settle(&best(near.clone(), 90.0)) && !all.settle(&far));
        assert_eq!(all.kept, [best(near.clone(), 75.0), far.clone()]);
        // Another search that chooses the same loses nothing.
        assert!(all.put(near.clone()));
        assert_eq!(all.kept, [far.clone(), best(near.clone(), 75.0)]);
        let other = Kept { settings: Settings { group: Some(4), ..near.settings.clone() }, ..near };
        assert!(all.put(other.clone()));
        assert_eq!(all.kept, [far, other]);
    }

    #[test]
    fn a_longer_run_searches_again() {
        let kept = kept(None, 1.0);
        assert!(kept.spares(0.1) && kept.spares(2.0) && !kept.spares(2.1));
    }

    #[test]
    fn the_oldest_go_first() {
        let mut all = empty();
        for number in 0..MOST + 2 {
            let cpus = (0..8).map(|cpu| cpu + 100 * number).collect();
            all.put(Kept { scenario: "S".repeat(400), cpus, ..kept(Some(123.456_789_012_345), 1.0) });
        }
        assert_eq!((all.kept.len(), all.kept[0].cpus[0]), (MOST, 200));
        let text = serde_json::to_string_pretty(&all).unwrap();
        assert!(2 * text.len() < LARGEST.bytes, "{}", text.len());
    }

    #[test]
    fn what_cannot_be_used_is_an_error_and_what_another_version_kept_stays() {
        let host = crate::record::shipped("2026-11-26T093808Z").host;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/kept.json");
        let other = Kept { wakerace: "0.0.0".to_owned(), source_sha256: "1".repeat(64), ..kept(None, 1.0) };
        let mut all = KeptSettings { kept: vec![kept(None, 1.0), other], ..KeptSettings::new(&host) };
        all.write(&path).unwrap();
        let read = |path: &Path| KeptSettings::read(path, &host);
        assert_eq!(read(&path).unwrap(), all);
        assert_eq!(all.own().count(), 1);
        // The settings of each version are its own.
        all.put(Kept { source_sha256: "1".repeat(64), ..kept(None, 0.1) });
        assert_eq!((all.kept.len(), all.own().count()), (3, 2));
        for (wrong, words) in [
            (
                KeptSettings { schema: "wakerace-kept/9".to_owned(), ..all.clone() },
                "unknown schema 'wakerace-kept/9'; this wakerace reads wakerace-kept/1",
            ),
            (
                KeptSettings { host: "another".to_owned(), ..all.clone() },
                "these settings are for another, and this host is ",
            ),
        ] {
            wrong.write(&path).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        std::fs::write(&path, "{\n \"schema\": 3}").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("kept.json:2:12: not a file of kept settings: "), "{error}");
    }
}
