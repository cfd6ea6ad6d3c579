//! Names of CPUs, and groups of hosts with CPUs of one kind.

use std::collections::BTreeSet;

use crate::machine::Host;

/// The letter of a run or of a line: A, B, ..., Z, AA, ...
pub(super) fn letter(number: usize) -> String {
    let last = char::from(b'A' + (number % 26) as u8);
    if number < 26 { last.to_string() } else { letter(number / 26 - 1) + &last.to_string() }
}

/// The CPU's name without the marks and the frequency that some vendors put into it.
pub(super) fn cpu(host: &Host) -> String {
    let plain = host.cpu_model.replace("(R)", "").replace("(TM)", "").replace("(tm)", "");
    let plain = plain.split(" @ ").next().unwrap_or_default().replace(" CPU", "").replace(" Processor", "");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether two hosts have CPUs of the same name and design.
pub(super) fn same_cpu(a: &Host, b: &Host) -> bool {
    (&a.architecture, &a.cpu_model, &a.cpu_ids) == (&b.architecture, &b.cpu_model, &b.cpu_ids)
}

/// Groups what was measured by the kind of CPU, each with its name, in the order in which the kinds come first. Two designs
/// of one name are told apart.
pub(super) fn by_cpu<'a, T>(all: impl IntoIterator<Item = T>, host: impl Fn(&T) -> &'a Host) -> Vec<(String, Vec<T>)> {
    let mut out: Vec<(&'a Host, Vec<T>)> = Vec::new();
    for one in all {
        match out.iter_mut().find(|(known, _)| same_cpu(known, host(&one))) {
            Some((_, known)) => known.push(one),
            None => out.push((host(&one), vec![one])),
        }
    }
    let hosts: Vec<&Host> = out.iter().map(|(host, _)| *host).collect();
    let names = hosts.iter().map(|host| cpu(host)).collect();
    let names = told_apart(names, &columns(&hosts));
    names.into_iter().zip(out).map(|(name, (_, all))| (name, all)).collect()
}

/// What tells hosts apart, the most telling first: a column for each property, with a text for each host.
pub(super) fn columns(hosts: &[&Host]) -> Vec<Vec<String>> {
    let of = |property: &dyn Fn(&Host) -> Option<String>| -> Vec<String> {
        hosts.iter().map(|host| property(host).unwrap_or_default()).collect()
    };
    let keys: BTreeSet<&str> = hosts.iter().flat_map(|host| host.cpu_ids.keys()).map(String::as_str).collect();
    // The vendor says the least: the name of the CPU has it.
    let keys = keys.iter().filter(|key| **key != VENDOR).chain(keys.get(VENDOR));
    let mut out = vec![of(&|host| Some(host.architecture.clone()))];
    out.extend(keys.map(|key| of(&|host| host.cpu_ids.get(*key).map(|value| id_in_words(key, value)))));
    out.push(of(&|host| host.names.instance_type.clone()));
    out.push(of(&|host| host.label.clone()));
    out
}

const VENDOR: &str = "vendor_id";

/// Makes alike names differ: `AMD EPYC` twice becomes `AMD EPYC (model 1)` and `AMD EPYC (model 17)`. To each name it adds what
/// is needed and no more: the text from the first column in which those of one name differ, and so on until all differ. Texts
/// that are the same everywhere leave the names alike.
pub(super) fn told_apart(names: Vec<String>, columns: &[Vec<String>]) -> Vec<String> {
    let mut added: Vec<Vec<&str>> = vec![Vec::new(); names.len()];
    for column in columns {
        let before = added.clone();
        for one in 0..names.len() {
            let alike = |other: &usize| names[*other] == names[one] && before[*other] == before[one];
            let differs = (0..names.len()).filter(alike).any(|other| column[other] != column[one]);
            if differs && !column[one].is_empty() {
                added[one].push(&column[one]);
            }
        }
    }
    let whole = |(name, added): (String, Vec<&str>)| {
        if added.is_empty() { name } else { format!("{name} ({})", added.join(", ")) }
    };
    names.into_iter().zip(added).map(whole).collect()
}

/// The number of kinds of CPU among hosts.
pub fn kinds_of_cpu<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> usize {
    by_cpu(hosts, |host| host).len()
}

/// The design of a CPU, such as `family 25, model 17`.
pub(super) fn design(host: &Host) -> String {
    let known = host.cpu_ids.iter().filter(|(key, _)| key.as_str() != VENDOR && key.as_str() != "stepping");
    known.map(|(key, value)| id_in_words(key, value)).collect::<Vec<_>>().join(", ")
}

/// A number of the CPU's identification: `family 25`.
fn id_in_words(key: &str, value: &str) -> String {
    format!("{} {value}", key.trim_start_matches("cpu "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;

    #[test]
    fn kinds_of_cpu_that_differ_have_names_that_differ_by_as_little_as_needed() {
        let first = shipped("2026-11-25T174425Z").host;
        let with = |key: &str, value: &str| {
            let mut host = first.clone();
            host.cpu_ids.insert(key.to_owned(), value.to_owned());
            host
        };
        let (model, stepping) = (with("model", "1"), with("stepping", "9"));
        let names = |hosts: &[&Host]| -> Vec<String> {
            by_cpu(hosts.iter().copied(), |host| host).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[&first, &first]), ["AMD EPYC"]);
        assert_eq!(names(&[&first, &model]), ["AMD EPYC (model 17)", "AMD EPYC (model 1)"]);
        assert_eq!(names(&[&first, &stepping]), ["AMD EPYC (stepping 1)", "AMD EPYC (stepping 9)"]);
        assert_eq!(
            names(&[&first, &model, &stepping]),
            ["AMD EPYC (model 17, stepping 1)", "AMD EPYC (model 1)", "AMD EPYC (model 17, stepping 9)"]
        );
        let other = Host { architecture: "aarch64".to_owned(), ..first.clone() };
        assert_eq!(names(&[&first, &other]), ["AMD EPYC (x86_64)", "AMD EPYC (aarch64)"]);
        // Two hosts of one kind differ by the type of the instance, or by their labels.
        let named = |instance: &str, label: &str| {
            let mut host = first.clone();
            host.names.instance_type = Some(instance.to_owned());
            host.label = Some(label.to_owned());
            host
        };
        let hosts = [named("m7a.large", "x"), named("c7a.large", "x"), named("c7a.large", "y")];
        let all: Vec<&Host> = hosts.iter().collect();
        let of = told_apart(vec!["E".to_owned(); 3], &columns(&all));
        assert_eq!(of, ["E (m7a.large)", "E (c7a.large, x)", "E (c7a.large, y)"]);
    }

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 27, 701, 702].map(letter), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    }
}
