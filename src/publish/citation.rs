//! How to cite a set of records: CITATION.cff for repositories, .zenodo.json for deposits at Zenodo.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::cpus::by_cpu;
use super::numbers::first_few;
use super::page::{Entry, answer_of_all};
use crate::error::{Error, Result};
use crate::machine::Host;
use crate::shown;

/// What only the author of a set of records knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Citation {
    /// The authors, each as `Family, Given`, or the name of a group.
    pub authors: Vec<String>,
    /// The title; without one it is made of the CPUs.
    pub title: Option<String>,
    /// The licence as an SPDX identifier, such as `CC-BY-4.0`.
    pub license: Option<String>,
    /// The DOI that the set has.
    pub doi: Option<String>,
}

/// The version of the Citation File Format.
const CFF: &str = "1.2.0";
const KEYWORDS: [&str; 4] = ["memory model", "litmus test", "Linux kernel", "weak memory"];

/// Writes CITATION.cff for a set of records. Every text is a JSON string, which YAML reads as it is.
///
/// # Errors
/// If there is no author, which the format requires.
pub fn cff(entries: &[Entry], citation: &Citation) -> Result<String> {
    require_author(citation)?;
    let mut text = format!(
        "cff-version: {CFF}\nmessage: \"If you use these records, please cite them as below.\"\ntype: dataset\n"
    );
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name}: {}\n", quoted(value)));
    line("title", &title(entries, citation));
    line("abstract", &summary(entries));
    line("date-released", &last_day(entries));
    if let Some(license) = &citation.license {
        line("license", license);
    }
    if let Some(doi) = &citation.doi {
        line("doi", doi);
    }
    text.push_str("authors:\n");
    for author in &citation.authors {
        match author.split_once(',') {
            Some((family, given)) => text.push_str(&format!(
                "  - family-names: {}\n    given-names: {}\n",
                quoted(family.trim()),
                quoted(given.trim())
            )),
            None => text.push_str(&format!("  - name: {}\n", quoted(author.trim()))),
        }
    }
    text.push_str("keywords:\n");
    for keyword in keywords(entries) {
        text.push_str(&format!("  - {}\n", quoted(&keyword)));
    }
    Ok(text)
}

/// Writes .zenodo.json for a set of records.
///
/// # Errors
/// If there is no author, which Zenodo requires.
pub fn zenodo(entries: &[Entry], citation: &Citation) -> Result<String> {
    require_author(citation)?;
    let creators: Vec<Value> = citation.authors.iter().map(|author| json!({ "name": author.trim() })).collect();
    let mut out = json!({
        "upload_type": "dataset",
        "title": title(entries, citation),
        "description": summary(entries),
        "publication_date": last_day(entries),
        "creators": creators,
        "keywords": keywords(entries),
    });
    let more = [("license", &citation.license), ("doi", &citation.doi)];
    for (name, value) in more.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        out[name] = json!(value);
    }
    let text = serde_json::to_string_pretty(&out).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(shown::json(text + "\n"))
}

fn require_author(citation: &Citation) -> Result<()> {
    if citation.authors.iter().all(|author| author.trim().is_empty()) {
        return Err(Error::Usage(
            "a citation needs an author; add --author 'Family, Given' or --author GROUP".to_owned(),
        ));
    }
    Ok(())
}

fn hosts(entries: &[Entry]) -> impl Iterator<Item = &Host> {
    entries.iter().map(|entry| entry.record.host())
}

fn title(entries: &[Entry], citation: &Citation) -> String {
    const NAMED: usize = 3;
    citation.title.clone().unwrap_or_else(|| {
        let names: Vec<String> = by_cpu(hosts(entries), |host| host).into_iter().map(|(name, _)| name).collect();
        format!("Memory-ordering races of the Linux kernel's wakeup path, measured on {}", first_few(&names, NAMED))
    })
}

/// What the set holds, and its answer.
fn summary(entries: &[Entry]) -> String {
    let (first, last) = (days(entries).next().unwrap_or_default(), last_day(entries));
    let when = if first == last { format!("on {first}") } else { format!("from {first} to {last}") };
    let kinds = by_cpu(hosts(entries), |host| host).len();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let answer = answer_of_all(entries).join(" ").replace('\u{a0}', " ");
    format!(
        "{} record{} of wakerace on {kinds} kind{} of CPU, measured {when}. {answer}",
        entries.len(),
        plural(entries.len()),
        plural(kinds)
    )
}

/// The days on which the runs began, ascending.
fn days(entries: &[Entry]) -> impl Iterator<Item = String> {
    let day = |entry: &Entry| entry.record.started().get(..10).unwrap_or_default().to_owned();
    entries.iter().map(day).collect::<BTreeSet<String>>().into_iter()
}

fn last_day(entries: &[Entry]) -> String {
    days(entries).last().unwrap_or_default()
}

fn keywords(entries: &[Entry]) -> Vec<String> {
    let architectures: BTreeSet<String> = hosts(entries).map(|host| host.architecture.clone()).collect();
    KEYWORDS.into_iter().map(str::to_owned).chain(architectures).collect()
}

/// A text as a JSON string on one line.
fn quoted(text: &str) -> String {
    Value::from(shown::line(text).into_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let folder = "/results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1/";
        let read = |name: &str| {
            let path = format!("{}{folder}{name}", env!("CARGO_MANIFEST_DIR"));
            Entry { name: name.to_owned(), record: crate::record::read_file(path.as_ref()).unwrap() }
        };
        vec![read("2026-11-25T174425Z.json"), read("2026-11-23T183221Z.protocol.json")]
    }

    #[test]
    fn a_set_names_its_authors_its_days_and_its_answer() {
        let citation = Citation {
            authors: vec!["Doe, Jane \"J\"".to_owned(), "The Testers".to_owned()],
            license: Some("CC-BY-4.0".to_owned()),
            ..Citation::default()
        };
        let text = cff(&entries(), &citation).unwrap();
        for line in [
            "cff-version: 1.2.0\n",
            "type: dataset\n",
            "title: \"Memory-ordering races of the Linux kernel's wakeup path, measured on AMD EPYC\"\n",
            "date-released: \"2026-11-25\"\n",
            "license: \"CC-BY-4.0\"\n",
            "  - family-names: \"Doe\"\n    given-names: \"Jane \\\"J\\\"\"\n",
            "  - name: \"The Testers\"\n",
            "  - \"x86_64\"\n",
            "abstract: \"2 records of wakerace on 1 kind of CPU, measured from 2026-11-23 to 2026-11-25. On AMD EPYC the race was not",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("doi:"), "{text}");
        let json: Value = serde_json::from_str(&zenodo(&entries(), &citation).unwrap()).unwrap();
        assert_eq!((&json["upload_type"], &json["license"]), (&json!("dataset"), &json!("CC-BY-4.0")));
        assert_eq!(json["creators"][1]["name"], "The Testers");
        assert_eq!(json["publication_date"], "2026-11-25");
    }

    #[test]
    fn a_citation_without_an_author_is_refused() {
        for of in [cff, zenodo] {
            let error = of(&entries(), &Citation::default()).unwrap_err().to_string();
            assert!(error.contains("--author"), "{error}");
        }
    }
}
