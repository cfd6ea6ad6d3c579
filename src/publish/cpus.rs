//! Names of CPUs, and groups of hosts with CPUs of one kind.

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
    let mut out: Vec<(String, Vec<T>)> = Vec::new();
    for one in all {
        match out.iter_mut().find(|(_, known)| same_cpu(host(&known[0]), host(&one))) {
            Some((_, known)) => known.push(one),
            None => out.push((cpu(host(&one)), vec![one])),
        }
    }
    let names: Vec<String> = out.iter().map(|(name, _)| name.clone()).collect();
    for (name, known) in &mut out {
        if names.iter().filter(|other| *other == name).count() > 1 {
            *name += &format!(" ({})", design(host(&known[0])));
        }
    }
    out
}

/// The number of kinds of CPU among hosts.
pub fn kinds_of_cpu<'a>(hosts: impl IntoIterator<Item = &'a Host>) -> usize {
    by_cpu(hosts, |host| host).len()
}

/// What tells two designs of the same name apart, such as `family 25, model 17`.
pub(super) fn design(host: &Host) -> String {
    let known = host.cpu_ids.iter().filter(|(key, _)| key.as_str() != "vendor_id" && key.as_str() != "stepping");
    known.map(|(key, value)| format!("{} {value}", key.trim_start_matches("cpu "))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 27, 701, 702].map(letter), ["A", "Z", "AA", "AB", "ZZ", "AAA"]);
    }
}
