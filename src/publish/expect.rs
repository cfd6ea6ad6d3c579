//! Prints published rates beside those of a record, and the published errata.

use std::collections::BTreeSet;

use super::fit::{Cells, whole, wrapped, wrapped_lines};
use super::numbers::{rate, rate_with_interval};
use super::zeros::place;
use crate::expect::{Beside, Erratum, FAR_BELOW, Published, Standing, beside, cores};
use crate::machine::Host;
use crate::record::Record;
use crate::shown;

/// The published rates beside those of a record, what they mean, and the errata.
pub fn expectations(published: &Published, record: &Record, width: Option<usize>) -> String {
    let fit = |text: &str| wrapped_lines(text, width);
    let host = &record.host;
    let known: Vec<_> = published.of(&host.architecture).collect();
    if known.is_empty() {
        return fit(&nothing_fits(&host.architecture)) + &errata(published, host, width);
    }
    let all = beside(published, record);
    if all.is_empty() {
        let names = published.scenarios(&host.architecture).join(" ");
        let none = format!("This record has none of the tests with published rates; run `wakerace run {names}`.\n");
        return fit(&none) + &errata(published, host, width);
    }
    let sources: Vec<String> = known.iter().map(|rates| format!("published: {}\n", rates.source)).collect();
    let (sources, meaning) = (fit(&sources.concat()), fit(&meaning(host, &all)));
    format!("{sources}\n{}\n{meaning}{}", table(&all, width), errata(published, host, width))
}

/// What is said where nothing is published for an architecture.
pub fn nothing_fits(architecture: &str) -> String {
    format!(
        "No published rate fits {architecture}: docs/rates.md has rates of arm64 cores only. The controls of your own run say \
         whether reordering can be seen here: run `wakerace run`.\n"
    )
}

const HEADINGS: [&str; 5] = ["scenario", "CPUs", "here [95 %]", "published", ""];

fn table(all: &[Beside<'_>], width: Option<usize>) -> String {
    let rows = all.iter().map(|beside| {
        let published: Vec<String> = beside
            .published
            .iter()
            .map(|(host, known)| format!("{} {} ({})", rate(known.value()), host.host, host.core))
            .collect();
        let words = match beside.standing() {
            Standing::Usual => "as usual",
            Standing::FarBelow => "FAR BELOW",
            Standing::TooFew => "too few iterations",
            Standing::Forbidden => "forbidden",
        };
        vec![
            beside.result.scenario.clone(),
            place(beside.result).trim_start_matches("CPUs ").to_owned(),
            rate_with_interval(beside.result.rate, beside.result.interval),
            published.join(", "),
            words.to_owned(),
        ]
    });
    let cells = Cells { headings: HEADINGS.map(str::to_owned).to_vec(), lines: rows.collect(), right: Vec::new() };
    whole(cells, width) + "\n"
}

/// What the table means.
fn meaning(host: &Host, all: &[Beside<'_>]) -> String {
    let of = |wanted: Standing| -> BTreeSet<&str> {
        let wanted = all.iter().filter(|beside| beside.standing() == wanted);
        wanted.map(|beside| beside.result.scenario.as_str()).collect()
    };
    let names = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    let (below, usual) = (of(Standing::FarBelow), of(Standing::Usual));
    // A test that is as usual on one placement shows that the harness can see it.
    let held: BTreeSet<&str> = below.difference(&usual).copied().collect();
    if !held.is_empty() && !host.emulated {
        text.push_str(&format!(
            "Your harness sees less than published: something holds it back. {}: more than {FAR_BELOW:.0} times rarer here than on \
             any published core. Look for other load, a hypervisor that moves CPUs, or a clock that is not fit to pace by \
             (`wakerace topology`).\n",
            names(&held)
        ));
    }
    let few = of(Standing::TooFew);
    if !few.is_empty() {
        text.push_str(&format!("{}: not seen, in too few iterations to say more. Run longer: -d 60s.\n", names(&few)));
    }
    if held.is_empty() && few.is_empty() && !host.emulated {
        text.push_str("No rate here is far below the published ones.\n");
    }
    if host.emulated {
        text.push_str("This record is from an emulator, which says nothing about rates.\n");
    } else if all.iter().any(|beside| !beside.same_cores) {
        text.push_str(&format!(
            "No rate is published for {}; the rates of other cores of this architecture stand beside yours.\n",
            shown::line(&cores(host).join(" and "))
        ));
    }
    text.push_str("Harnesses differ by a factor of ten without any fault (docs/rates.md).\n");
    text
}

/// Published errata about the order of memory accesses: whether this host has the core, and whether the catalogue has a test.
fn errata(published: &Published, host: &Host, width: Option<usize>) -> String {
    let line = |erratum: &Erratum| {
        let Erratum { number, core, words, shape, here, remark, source } = erratum;
        let has = if cores(host).contains(&core.as_str()) { format!(" This host has {core}.") } else { String::new() };
        let test = here.as_ref().map_or_else(
            || format!("no scenario has this shape ({shape})"),
            |name| format!("the scenario {name} has this shape: `wakerace run {name}`"),
        );
        let text = format!("{number}, {core}: {words}.{has} In the catalogue: {test}; {remark}. {source}");
        format!("  {}\n", wrapped(&text, width.map_or(usize::MAX, |width| width.saturating_sub(2)), "    "))
    };
    let lines: String = published.errata.iter().map(line).collect();
    format!("\nPublished errata about the order of memory accesses:\n{lines}")
}
