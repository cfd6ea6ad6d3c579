//! Published rates and errata, and how a record's rates stand beside them.
//!
//! `published.json` holds both, each with its source. A rate of another harness says little by itself: how threads are
//! started and where the cache lines lie changes it tenfold. A rate that is a hundred times lower than every comparable
//! one says that something holds the own harness back.

use serde::Deserialize;

use crate::machine::Host;
use crate::record::{Record, ScenarioResult};
use crate::stats::{Interval, interval};

/// A rate this many times lower than the published one is a sign that something holds the harness back. Between harnesses
/// a factor of ten is usual (docs/rates.md).
pub const FAR_BELOW: f64 = 100.0;

const PUBLISHED: &str = include_str!("published.json");

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Rates, a table for each source.
    pub rates: Vec<Rates>,
    /// Errata about the order of memory accesses.
    pub errata: Vec<Erratum>,
}

/// The rates of one source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Where they are published.
    pub source: String,
    /// The architecture, by the name that records use.
    pub architecture: String,
    /// The hosts, in the order of the counts.
    pub hosts: Vec<PublishedHost>,
    /// The tests.
    pub tests: Vec<PublishedTest>,
}

/// A host of a source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedHost {
    /// Its name.
    pub host: String,
    /// The name of its cores, as in records.
    pub core: String,
}

/// The counts of one test on each host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedTest {
    /// Its name there.
    pub there: String,
    /// The scenario of the same shape.
    pub here: String,
    /// How often the outcome was seen.
    pub seen: Vec<u64>,
    /// How often the test was run.
    pub of: Vec<u64>,
}

/// An erratum.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erratum {
    /// Its number.
    pub number: String,
    /// The core that has it.
    pub core: String,
    /// What may happen.
    pub words: String,
    /// The shape of a test for it.
    pub shape: String,
    /// The scenario of that shape, if the catalogue has one.
    pub here: Option<String>,
    /// What else a reader must know.
    pub remark: String,
    /// Where it is published.
    pub source: String,
}

impl Published {
    /// What this program knows.
    pub fn known() -> Published {
        serde_json::from_str(PUBLISHED).expect("the tests parse it")
    }

    /// The tables for an architecture.
    pub fn of<'a>(&'a self, architecture: &'a str) -> impl Iterator<Item = &'a Rates> {
        self.rates.iter().filter(move |rates| rates.architecture == architecture)
    }

    /// The scenarios that have a published rate on an architecture.
    pub fn scenarios<'a>(&'a self, architecture: &'a str) -> Vec<&'a str> {
        self.of(architecture).flat_map(|rates| &rates.tests).map(|test| test.here.as_str()).collect()
    }
}

/// A published rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// How often the outcome was seen.
    pub seen: u64,
    /// How often the test was run.
    pub of: u64,
}

impl Rate {
    /// The fraction.
    pub fn value(self) -> f64 {
        self.seen as f64 / self.of.max(1) as f64
    }
}

/// A result beside the published rates of its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside<'a> {
    /// The result.
    pub result: &'a ScenarioResult,
    /// The published rates with their hosts. Only the host with the same cores, if there is one.
    pub published: Vec<(PublishedHost, Rate)>,
    /// Whether the published rates are of the same cores.
    pub same_cores: bool,
}

/// How a rate stands beside the published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is within what harnesses differ by, or higher.
    Usual,
    /// Its whole interval is lower than the lowest published rate by more than [`FAR_BELOW`].
    FarBelow,
    /// The outcome was not seen, but there were too few iterations to say that it is far below.
    TooFew,
    /// The outcome is forbidden: it was seen neither here nor there.
    Forbidden,
}

impl Beside<'_> {
    /// How the rate stands.
    pub fn standing(&self) -> Standing {
        let lowest = self.published.iter().map(|(_, rate)| rate.value()).fold(f64::INFINITY, f64::min);
        if lowest == 0.0 {
            return Standing::Forbidden;
        }
        let known = self.result.interval.or_else(|| interval(self.result.races, self.result.iterations));
        let high = known.map_or(1.0, |Interval { high, .. }| high);
        match (high < lowest / FAR_BELOW, self.result.races) {
            (true, _) => Standing::FarBelow,
            (false, 0) => Standing::TooFew,
            (false, _) => Standing::Usual,
        }
    }
}

/// Every result of a record that has a published rate, with that rate.
pub fn beside<'a>(published: &Published, record: &'a Record) -> Vec<Beside<'a>> {
    let mut out = Vec::new();
    for rates in published.of(&record.host.architecture) {
        for test in &rates.tests {
            for result in record.results.iter().filter(|result| result.scenario == test.here && result.iterations > 0) {
                let all = rates.hosts.iter().zip(test.seen.iter().zip(&test.of));
                let all: Vec<(PublishedHost, Rate)> =
                    all.map(|(host, (&seen, &of))| (host.clone(), Rate { seen, of })).collect();
                let same: Vec<_> = all.iter().filter(|(host, _)| ran_on(record, result, &host.core)).cloned().collect();
                let same_cores = !same.is_empty();
                out.push(Beside { result, published: if same_cores { same } else { all }, same_cores });
            }
        }
    }
    out
}

/// Whether every thread of a result ran on this kind of core.
fn ran_on(record: &Record, result: &ScenarioResult, core: &str) -> bool {
    let kinds = &result.placement.kinds;
    if kinds.is_empty() { cores(&record.host) == [core] } else { kinds.iter().all(|kind| kind == core) }
}

/// The names of a host's cores.
pub fn cores(host: &Host) -> Vec<&str> {
    if host.core_types.is_empty() {
        return vec![host.cpu_model.as_str()];
    }
    host.core_types.keys().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::catalogue;

    #[test]
    fn what_is_published_names_scenarios_hosts_and_sources() {
        let published = Published::known();
        for rates in &published.rates {
            assert!(rates.architecture.parse::<Arch>().is_ok() && rates.source.starts_with("https://"), "{rates:?}");
            for test in &rates.tests {
                catalogue::named(&test.here).unwrap();
                assert_eq!((test.seen.len(), test.of.len()), (rates.hosts.len(), rates.hosts.len()), "{test:?}");
                assert!(test.seen.iter().zip(&test.of).all(|(seen, of)| seen <= of && *of > 0), "{test:?}");
            }
        }
        for erratum in &published.errata {
            assert!(erratum.source.starts_with("https://") && erratum.source.contains(&erratum.number), "{erratum:?}");
            assert!(erratum.here.as_ref().is_none_or(|name| catalogue::named(name).is_ok()), "{erratum:?}");
        }
        assert!(!published.scenarios("aarch64").is_empty() && published.scenarios("x86_64").is_empty());
    }

    /// docs/rates.md has the same numbers for people.
    #[test]
    fn the_document_has_the_published_counts() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rates.md")).unwrap();
        let count = |count: u64| match count {
            1_000_000.. => format!("{:.2} M", count as f64 / 1e6),
            1000.. => format!("{:.2} k", count as f64 / 1e3),
            count => count.to_string(),
        };
        for test in Published::known().rates.iter().flat_map(|rates| &rates.tests) {
            let row = text.lines().find(|line| line.starts_with(&format!("| {}", test.there))).unwrap_or_default();
            assert!(row.contains(&format!("`{}`", test.here)), "{}: {row}", test.there);
            for (&seen, cell) in test.seen.iter().zip(row.split('|').skip(3)) {
                assert_eq!(cell.trim().split(" of ").next(), Some(count(seen).as_str()), "{}: {cell}", test.there);
            }
        }
        for erratum in Published::known().errata {
            let words = [&erratum.number, &erratum.core, &erratum.source];
            assert!(words.iter().all(|word| text.contains(word.as_str())), "{erratum:?}");
        }
    }
}
