//! File names of records.

use std::path::{Path, PathBuf};

use crate::machine::Host;

/// The CPU of a host as a folder name: its model and the numbers that identify the design.
pub fn cpu_slug(host: &Host) -> String {
    let ids = host.cpu_ids.iter().filter(|(key, _)| *key != "vendor_id").map(|(key, value)| format!("{key} {value}"));
    slug(&std::iter::once(host.cpu_model.clone()).chain(ids).collect::<Vec<_>>().join(" "))
}

/// The default path of a record: `results/ARCH/CPU/TIME.json`.
pub fn default_path(host: &Host, started: jiff::Timestamp) -> PathBuf {
    let time = started.strftime("%Y-%m-%dT%H%M%SZ").to_string();
    Path::new("results").join(&host.architecture).join(cpu_slug(host)).join(format!("{time}.json"))
}

/// Converts text to a folder name of at most 80 lower case letters, digits and single hyphens.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(80);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpus_become_names_of_folders() {
        assert_eq!(slug("Intel(R) Xeon(R) CPU @ 2.20GHz"), "intel-r-xeon-r-cpu-2-20ghz");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug(""), "");
    }
}
