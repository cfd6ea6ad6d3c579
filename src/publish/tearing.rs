//! The map of torn accesses: as text and as CSV.

use super::csv::render;
use super::fit::table_with_notes;
use super::numbers::{count, rate, rate_with_interval};
use super::window::LEVELS;
use crate::error::Result;
use crate::machine::format_cpu_list;
use crate::stats::{Count, effect_between, interval, interval_with, share};
use crate::tearing::{Reach, Torn};

/// The mark of an offset at which no load was torn, and of one at which no load met a store.
const NEVER: char = '.';
const NOTHING: char = ' ';

const HEADINGS: [&str; 8] =
    ["size", "access", "offsets", "loads", "new values", "torn", "torn per new value [95 %]", "guaranteed"];

/// The map, fitted into the width of a terminal if there is one: for each size a line with a mark for each offset, and a table by the boundaries that the accesses cross.
pub fn tearing(map: &[Torn], line: usize, width: Option<usize>) -> String {
    let mut sizes: Vec<usize> = map.iter().map(|torn| torn.access.size).collect();
    sizes.dedup();
    let of = |size: usize| map.iter().filter(move |torn| torn.access.size == size);
    let mut text = format!("{:>12}", "offset ");
    for offset in (0..line).step_by(8) {
        text.push_str(&format!("{offset:<8}"));
    }
    for size in &sizes {
        let marks: String = of(*size).map(mark).collect();
        text = format!("{}\n{:>12}{marks}", text.trim_end(), format!("{size} bytes "));
    }
    let mut rows = Vec::new();
    for size in sizes {
        let mut reaches: Vec<Reach> = of(size).map(|torn| torn.access.reach(line)).collect();
        reaches.sort_unstable();
        reaches.dedup();
        for reach in reaches {
            let group: Vec<&Torn> = of(size).filter(|torn| torn.access.reach(line) == reach).collect();
            rows.push(row(size, reach, &group));
        }
    }
    let table = table_with_notes(&HEADINGS, rows, &[], width, &["offsets", "loads"]);
    format!(
        "{text}\n{:>12}{NEVER} never, {} below 1e-7, {} 10 % or more; a factor of ten a step\n\n{table}",
        "", LEVELS[0], LEVELS[7],
    )
}

/// The accesses that the architecture guarantees to be single ones, and that were torn.
pub fn forbidden(map: &[Torn]) -> Vec<&Torn> {
    map.iter().filter(|torn| torn.torn > 0 && torn.access.is_guaranteed()).collect()
}

/// The mark of an offset: from fewer than one torn value in 10^7 new ones up to one in ten or more, a factor of ten each.
fn mark(torn: &Torn) -> char {
    match torn.share() {
        None => NOTHING,
        Some(0.0) => NEVER,
        Some(rate) => LEVELS[(rate.log10() + 8.0).floor().clamp(0.0, 7.0) as usize],
    }
}

/// The row of the accesses of one size that cross the same boundary. Their rates may differ from offset to offset, so the
/// interval takes the offsets for its parts.
fn row(size: usize, reach: Reach, group: &[&Torn]) -> Vec<String> {
    let sum = |of: fn(&Torn) -> u64| group.iter().map(|torn| of(torn)).sum::<u64>();
    let (new, torn) = (sum(|torn| torn.changes), sum(|torn| torn.torn));
    let parts: Vec<Count> = group.iter().map(|torn| Count { seen: torn.torn, of: torn.changes }).collect();
    let guaranteed = group.iter().filter(|torn| torn.access.is_guaranteed()).count();
    vec![
        size.to_string(),
        reach.to_string(),
        format_cpu_list(&group.iter().map(|torn| torn.access.offset).collect::<Vec<_>>()),
        count(sum(|torn| torn.loads)),
        count(new),
        count(torn),
        rate_with_interval(share(torn, new), interval_with(torn, new, effect_between(&parts))),
        match guaranteed {
            0 => "no".to_owned(),
            all if all == group.len() => "yes".to_owned(),
            some => format!("{some} of {}", group.len()),
        },
    ]
}

/// What the map says, in a sentence or two.
pub fn tearing_summary(map: &[Torn], line: usize) -> String {
    let crossing = map.iter().filter(|torn| torn.access.reach(line) == Reach::CrossesLine);
    let (fired, tried) = crossing.fold((0, 0), |(seen, of), torn| (seen + torn.torn, of + torn.changes));
    let inside: Vec<&Torn> =
        map.iter().filter(|torn| torn.torn > 0 && torn.access.reach(line) != Reach::CrossesLine).collect();
    let wrong = forbidden(map);
    let mut text = if !wrong.is_empty() {
        let places: Vec<String> =
            wrong.iter().map(|torn| format!("{} bytes at {}", torn.access.size, torn.access.offset)).collect();
        format!("GUARANTEED AND TORN: {}.", places.join(", "))
    } else if tried == 0 {
        "No load across lines met a store, so a map without tears says nothing here.".to_owned()
    } else if fired == 0 {
        let bound = interval(0, tried).map_or(1.0, |interval| interval.high);
        format!(
            "No access across lines was torn (less than {} of those that met a store), so a map without tears says little here.",
            rate(bound)
        )
    } else {
        "No access that the architecture guarantees was torn; accesses across lines were.".to_owned()
    };
    if let Some(most) = inside.iter().max_by(|a, b| a.share().partial_cmp(&b.share()).expect("rates are numbers")) {
        text.push_str(&format!(
            " Inside one line, {} of {} offsets tear; most often {} bytes at {}, in {} of the new values.",
            inside.len(),
            map.iter().filter(|torn| torn.access.reach(line) != Reach::CrossesLine).count(),
            most.access.size,
            most.access.offset,
            rate_with_interval(most.share(), most.interval())
        ));
    }
    let none = map.iter().filter(|torn| torn.changes == 0).count();
    if none > 0 {
        text.push_str(&format!(" At {none} of {} offsets no load met a store: nothing was measured there.", map.len()));
    }
    text
}

/// One line an access: size, offset, the boundary it crosses, whether it is guaranteed to be single, and the counts.
///
/// # Errors
/// If the CSV cannot be written.
pub fn tearing_csv(map: &[Torn], line: usize) -> Result<String> {
    let head = ["size", "offset", "access", "guaranteed", "loads", "new_values", "torn", "rate", "low", "high"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for torn in map {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let interval = torn.interval();
        lines.push(vec![
            torn.access.size.to_string(),
            torn.access.offset.to_string(),
            torn.access.reach(line).to_string(),
            torn.access.is_guaranteed().to_string(),
            torn.loads.to_string(),
            torn.changes.to_string(),
            torn.torn.to_string(),
            number(torn.share()),
            number(interval.map(|interval| interval.low)),
            number(interval.map(|interval| interval.high)),
        ]);
    }
    render(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tearing::{Access, SIZES, accesses};

    /// A thousand new values of each access of 8 bytes in two thousand loads; `torn` says how many were torn.
    fn map(torn: impl Fn(usize) -> u64) -> Vec<Torn> {
        let seen = |access: Access| {
            let torn = torn(access.offset);
            Torn { access, loads: 2000, changes: 1000, torn, rounds: vec![Count { seen: torn / 2, of: 500 }; 2] }
        };
        accesses(&[8], 64).into_iter().map(seen).collect()
    }

    #[test]
    fn the_marks_are_a_factor_of_ten_apart() {
        let of = |torn, changes| {
            mark(&Torn { access: Access { size: 4, offset: 1 }, loads: 1 << 40, changes, torn, rounds: Vec::new() })
        };
        let billion = 1_000_000_000;
        let marks = [0, 1, 9, 10, 99, 1000, 99_999_999, 100_000_000, billion].map(|torn| of(torn, billion));
        assert_eq!(marks.iter().collect::<String>(), ".▁▁▁▁▃▇██");
        assert_eq!(of(0, 0), ' ');
    }

    #[test]
    fn the_map_has_a_mark_an_offset_and_a_row_a_boundary() {
        let text = tearing(&map(|offset| if offset > 56 { 100 } else { u64::from(offset == 28) }), 64, None);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].trim_start().starts_with("offset 0       8 "), "{text}");
        let marks: Vec<char> = lines[1].strip_prefix("    8 bytes ").unwrap().chars().collect();
        assert_eq!((marks.len(), marks[28], marks[56], marks[57]), (64, '▆', '.', '█'), "{text}");
        let row = |name: &str| {
            let line = lines.iter().find(|line| line.contains(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(row("aligned").starts_with("8 aligned 0,8,16,24,32,40,48,56 16,000 8,000 0 < "), "{text}");
        assert!(row("aligned").ends_with(" yes") && row("crosses the line").ends_with(" no"), "{text}");
        assert!(row("crosses 32").starts_with("8 crosses 32 bytes 25-31 14,000 7,000 1 1.4e-4 ["), "{text}");
        let narrow = tearing(&map(|_| 0), 64, Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(narrow.contains("torn per new value [95 %]") && narrow.contains("8,000"), "{narrow}");
        assert!(row("crosses the line").starts_with("8 crosses the line 57-63 14,000 7,000 700 10.0 % ["), "{text}");
    }

    #[test]
    fn the_summary_says_what_a_map_is_worth() {
        let said = |torn: &dyn Fn(usize) -> u64| tearing_summary(&map(torn), 64);
        assert!(said(&|_| 0).starts_with("No access across lines was torn (less than "));
        let crossing = said(&|offset| if offset > 56 { 100 } else { 0 });
        assert_eq!(crossing, "No access that the architecture guarantees was torn; accesses across lines were.");
        let inside = said(&|offset| if offset > 56 { 100 } else { u64::from(offset == 28) });
        assert!(
            inside.contains(" Inside one line, 1 of 57 offsets tear; most often 8 bytes at 28, in 0.10 %"),
            "{inside}"
        );
        // Intel guarantees this one.
        let guaranteed = Access { size: 8, offset: 28 }.is_guaranteed();
        assert_eq!(inside.starts_with("GUARANTEED AND TORN: 8 bytes at 28."), guaranteed, "{inside}");
        // Loads that met no store bound nothing.
        let mut unmet = map(|_| 0);
        unmet
            .iter_mut()
            .filter(|torn| torn.access.offset > 56)
            .for_each(|torn| (torn.changes, torn.rounds) = (0, Vec::new()));
        assert_eq!(
            tearing_summary(&unmet, 64),
            "No load across lines met a store, so a map without tears says nothing here. At 7 of 64 offsets no load met a store: \
             nothing was measured there."
        );
        let wrong = map(|offset| u64::from(offset == 8));
        assert_eq!(forbidden(&wrong).len(), 1);
        assert!(tearing_summary(&wrong, 64).starts_with("GUARANTEED AND TORN: 8 bytes at 8."));
    }

    #[test]
    fn the_csv_has_every_access_and_empty_fields_where_nothing_was_measured() {
        let mut all = map(|_| 0);
        assert!(SIZES.contains(&all[0].access.size));
        (all[5].changes, all[5].rounds) = (0, Vec::new());
        (all[60].torn, all[60].rounds) = (10, vec![Count { seen: 5, of: 500 }; 2]);
        let text = tearing_csv(&all, 64).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 65);
        assert_eq!(lines[1].split(',').take(8).collect::<Vec<_>>().join(","), "8,0,aligned,true,2000,1000,0,0");
        let guaranteed = all[5].access.is_guaranteed();
        assert_eq!(lines[6], format!("8,5,crosses 8 bytes,{guaranteed},2000,0,0,,,"));
        assert!(lines[61].starts_with("8,60,crosses the line,false,2000,1000,10,0.01,0.004"), "{}", lines[61]);
    }
}
