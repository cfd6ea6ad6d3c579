//! The settings of results in words: those that a search chose, and those that were given.

use super::distances::distance;
use super::numbers::count;
use crate::harness::Prefetch;
use crate::record::{GivenSetting, ScenarioResult};

/// The settings that searches chose for some results, in one line; `None` if nothing was searched.
pub(super) fn line(results: &[ScenarioResult]) -> Option<String> {
    // Those of a profile, and those that an earlier run found, are known unless the CPUs moved.
    let (searched, known): (Vec<_>, Vec<_>) = results
        .iter()
        .filter(|result| result.pace.searched)
        .partition(|result| result.pace.profile.is_none() || result.search.is_some());
    let seconds: f64 = searched.iter().filter_map(|result| result.search.as_ref()).map(|search| search.elapsed_s).sum();
    let here = groups(&searched, words);
    let before = groups(&known, |result| {
        result.pace.profile.iter().fold(words(result), |words, found| format!("{words}, {found}"))
    });
    let here = here.map(|groups| {
        format!(
            "Settings were searched for {seconds:.1} s in all before the counts above began (`search` in the record): {groups}."
        )
    });
    let before = before.map(|groups| format!("Settings of earlier searches: {groups}."));
    let lines: Vec<String> = here.into_iter().chain(before).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

/// Each settings with the tests that had them: `dense, 16 instances per tick: SB, MP; free, batches of 2048: LB`. `None` without a result.
fn groups(results: &[&ScenarioResult], words: impl Fn(&ScenarioResult) -> String) -> Option<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for result in results {
        let settings = words(result);
        match groups.iter_mut().find(|(known, _)| *known == settings) {
            None => groups.push((settings, vec![&result.scenario])),
            Some((_, tests)) if tests.contains(&result.scenario.as_str()) => {}
            Some((_, tests)) => tests.push(&result.scenario),
        }
    }
    let groups: Vec<String> =
        groups.into_iter().map(|(settings, tests)| format!("{settings}: {}", tests.join(", "))).collect();
    (!groups.is_empty()).then(|| groups.join("; "))
}

/// The settings of a result: `dense, 16 instances per tick`.
fn words(result: &ScenarioResult) -> String {
    let pace = &result.pace;
    let others = if result.has_followed() { ", and others where the CPUs moved (`distances.settings`)" } else { "" };
    let free = if pace.mode == "free" { format!(", batches of {}", result.batch) } else { String::new() };
    // The prefetch setting of a result whose parts differ in it is that of none of them.
    let first = result.distances.iter().flat_map(|distances| &distances.settings).next();
    let prefetch = first.map_or(pace.prefetch, |first| first.prefetch);
    let own = settings_words(&pace.mode, &result.layout.kind, pace.group, prefetch);
    format!("{own}{free}{others}")
}

/// The layout, and how instances start: `dense, 16 instances per tick, prefetched`.
pub fn settings_words(mode: &str, layout: &str, group: usize, prefetch: Prefetch) -> String {
    let start = match (mode, group) {
        ("free", _) => "free".to_owned(),
        (_, 1) => "1 instance per tick".to_owned(),
        (_, group) => format!("{group} instances per tick"),
    };
    let prefetch = match (mode, prefetch) {
        ("free", _) => String::new(),
        (_, prefetch) => format!(", {}", in_words(prefetch)),
    };
    format!("{layout}, {start}{prefetch}")
}

/// The part of a result that ran with one choice of settings.
pub struct SettingsPart<'a> {
    /// Its settings and counts: `chosen at 31 ns: dense, 16 instances per tick, batches of 8192; 440 iterations, 11 races`.
    pub words: String,
    /// The SHA-256 of its code.
    pub code: &'a str,
}

/// The settings of a result that all of its parts have: `period 81 ns on average, most batches at the best skews, lines of 128 bytes`.
pub fn other_settings(result: &ScenarioResult) -> String {
    let pace = &result.pace;
    let period = match (pace.given_period_ns, pace.period_ns) {
        (Some(given), _) => Some(format!("given period {given:.0} ns")),
        (None, Some(mean)) => Some(format!("period {mean:.0} ns on average")),
        (None, None) => None,
    };
    let skews = match (&result.given_skews(), pace.mode.as_str(), pace.focused) {
        (Some(_), ..) => Some(format!("{} given skews", result.skews.len())),
        (None, "free", _) => None,
        (None, _, true) => Some("most batches at the best skews".to_owned()),
        (None, ..) => Some("all skews evenly".to_owned()),
    };
    let lines = Some(format!("lines of {} bytes", result.layout.line_bytes));
    let lock = result.lock.as_ref().map(|lock| format!("lock {lock}"));
    let atomics = result.atomics.as_ref().map(|atomics| format!("{atomics} atomics"));
    let stress = result.stress.as_ref().map(|stress| format!("{stress} stress"));
    let all = [period, skews, lines, lock, atomics, stress, pace.profile.clone()];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The parts of a result, each with its settings: one part, unless they followed the distance between the CPUs.
pub fn settings_parts(result: &ScenarioResult) -> Vec<SettingsPart<'_>> {
    let counts = |iterations, races| format!("{} iterations, {} races", count(iterations), count(races));
    let of_distances = result.distances.iter().flat_map(|distances| &distances.settings);
    let parts: Vec<SettingsPart<'_>> = of_distances
        .map(|part| {
            let (layout, code) = part
                .code
                .as_ref()
                .map_or((&result.layout, &result.code_sha256), |code| (&code.layout, &code.code_sha256));
            let mode = part.pace.as_ref().unwrap_or(&result.pace.mode);
            let at = part.distance_ns.map_or("for any distance".to_owned(), |ns| format!("chosen at {}", distance(ns)));
            let batch = part.batch.map_or(String::new(), |batch| format!(", batches of {batch}"));
            let own = settings_words(mode, &layout.kind, part.group, part.prefetch);
            SettingsPart { words: format!("{at}: {own}{batch}; {}", counts(part.iterations, part.races)), code }
        })
        .collect();
    if !parts.is_empty() {
        return parts;
    }
    let own = settings_words(&result.pace.mode, &result.layout.kind, result.pace.group, result.pace.prefetch);
    let words = format!("{own}, batches of {}; {}", result.batch, counts(result.iterations, result.races));
    vec![SettingsPart { words, code: &result.code_sha256 }]
}

/// The settings that change the machine code of a test, if those of two results differ: `dense 8 against padded 1`, that is, the
/// layout and the instances per tick. Others follow where they differ.
pub(super) fn differing(ours: &ScenarioResult, theirs: &ScenarioResult) -> Option<String> {
    let both = [ours, theirs];
    let group = |result: &ScenarioResult| match result.pace.mode.as_str() {
        "free" => "free".to_owned(),
        _ => result.pace.group.to_string(),
    };
    let prefetch = |result: &ScenarioResult| in_words(result.pace.prefetch).to_owned();
    let lines = |result: &ScenarioResult| format!("lines of {} bytes", result.layout.line_bytes);
    let mut words = both.map(|result| format!("{} {}", result.layout.kind, group(result)));
    let more = [both.map(prefetch), both.map(lines)];
    for [a, b] in more.into_iter().filter(|[a, b]| a != b) {
        words[0] += &format!(", {a}");
        words[1] += &format!(", {b}");
    }
    let [a, b] = words;
    (a != b).then(|| format!("{a} against {b}"))
}

/// The settings that were given and change how the same machine code runs, if those of two results differ: `skews of 0 ns against skews of 100 ns`.
/// Those that a search chose differ from run to run, and belong to what the runs are compared for.
pub(super) fn given(ours: &ScenarioResult, theirs: &ScenarioResult) -> Option<String> {
    let both = [ours, theirs];
    let skews = |result: &ScenarioResult| {
        result.given_skews().map_or("skews of a sweep".to_owned(), |skews| format!("skews of {skews}"))
    };
    let evenly = |result: &ScenarioResult| {
        let even = result.pace.mode == "paced" && !result.pace.given_skews && !result.pace.focused;
        if even { "all skews evenly" } else { "the best skews" }.to_owned()
    };
    let period = |result: &ScenarioResult| {
        result.pace.given_period_ns.map_or("a period that adapts".to_owned(), |ns| format!("a period of {ns:.0} ns"))
    };
    let stress = |result: &ScenarioResult| {
        result.stress.as_ref().map_or("no stress".to_owned(), |stress| format!("{stress} stress"))
    };
    let mut all = vec![both.map(skews), both.map(period), both.map(stress)];
    if both.iter().all(|result| !result.pace.given_skews) {
        all.push(both.map(evenly));
    }
    let unless_chosen = |setting, name: &str, words: &dyn Fn(&ScenarioResult) -> String| {
        [[ours, theirs], [theirs, ours]].map(|[result, other]| {
            if result.chosen_beside(other, setting) { format!("a {name} from a search") } else { words(result) }
        })
    };
    // A calibration chooses the group where nothing else does.
    let group = |result: &ScenarioResult| {
        let given = result.given_group().map(|group| format!("{group} instances per tick"));
        given.unwrap_or("a group from a calibration".to_owned())
    };
    all.push(unless_chosen(GivenSetting::Group, "group", &group));
    all.push(unless_chosen(GivenSetting::Prefetch, "prefetch setting", &|result| {
        in_words(result.pace.prefetch).to_owned()
    }));
    all.push(unless_chosen(GivenSetting::Batch, "batch", &|result| format!("batches of {}", result.batch)));
    let differing: Vec<String> =
        all.into_iter().filter(|[a, b]| a != b).map(|[a, b]| format!("{a} against {b}")).collect();
    (!differing.is_empty()).then(|| differing.join(", "))
}

/// A prefetch setting in words.
fn in_words(prefetch: Prefetch) -> &'static str {
    match prefetch {
        Prefetch::On => "prefetched",
        Prefetch::Off => "not prefetched",
        Prefetch::Turns => "prefetched every other batch",
        Prefetch::Ahead => "prefetched ahead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;
    use crate::record::{self, SearchRecord};
    use crate::search::Measure;

    #[test]
    fn settings_that_were_given_tell_results_of_the_same_code_apart() {
        let ours = shipped("2026-11-25T174425Z").results[0].clone();
        assert_eq!((given(&ours, &ours), ours.pace.searched, ours.pace.given_skews), (None, false, false));
        type Change = fn(&mut ScenarioResult);
        let cases: [(Change, &str); 6] = [
            (|r| r.pace.given_period_ns = Some(200.0), "a period that adapts against a period of 200 ns"),
            (|r| r.stress = Some("memory".to_owned()), "no stress against memory stress"),
            (|r| r.pace.focused = false, "the best skews against all skews evenly"),
            (|r| r.pace.prefetch = Prefetch::On, "prefetched every other batch against prefetched"),
            (|r| r.batch = 16, "against batches of 16"),
            (
                |r| {
                    r.pace.given_skews = true;
                    r.skews.truncate(1);
                    r.skews[0].skew_ns = 100.0;
                },
                "skews of a sweep against skews of 100 ns",
            ),
        ];
        for (change, words) in cases {
            let mut theirs = ours.clone();
            change(&mut theirs);
            let said = given(&ours, &theirs).unwrap();
            assert!(said.contains(words) && !said.contains(", "), "{said}");
        }
        // A search chooses anew in each run.
        let searched = |batch| {
            let mut result = ours.clone();
            (result.pace.searched, result.batch) = (true, batch);
            result
        };
        assert_eq!(given(&searched(16), &searched(64)), None);
        // What was given beside a search is not chosen.
        let with_given = |batch, setting| {
            let mut result = searched(batch);
            result.pace.given = vec![setting];
            result
        };
        let batches = [16, 64].map(|batch| with_given(batch, GivenSetting::Batch));
        assert_eq!(given(&batches[0], &batches[1]).unwrap(), "batches of 16 against batches of 64");
        assert_eq!(given(&batches[0], &searched(16)).unwrap(), "batches of 16 against a batch from a search");
        // A group that was given beside a search changes no code.
        let groups = [8, 32].map(|group| {
            let mut result = with_given(16, GivenSetting::Group);
            result.pace.group = group;
            result
        });
        assert_eq!(given(&groups[0], &groups[1]).unwrap(), "8 instances per tick against 32 instances per tick");
        // What a run without a search had is what the other was given.
        let unsearched = |batch| {
            let mut result = ours.clone();
            result.batch = batch;
            result
        };
        assert_eq!(given(&batches[0], &unsearched(16)), None);
        assert_eq!(given(&batches[0], &unsearched(64)).unwrap(), "batches of 16 against batches of 64");
        assert_eq!(given(&searched(16), &unsearched(64)), None);
        let prefetched = with_given(16, GivenSetting::Prefetch);
        assert_eq!(given(&prefetched, &prefetched), None);
        assert_eq!(
            given(&searched(16), &prefetched).unwrap(),
            "a prefetch setting from a search against prefetched every other batch"
        );
    }

    #[test]
    fn tests_with_the_same_settings_share_a_clause() {
        let record = shipped("2026-11-25T174425Z");
        assert_eq!(line(&record.results), None);
        let of = |name: &str, layout: &str, mode: &str, group, prefetch| {
            let mut result = record.results[0].clone();
            result.scenario = name.to_owned();
            result.layout.kind = layout.to_owned();
            (result.pace.mode, result.pace.group, result.pace.prefetch) = (mode.to_owned(), group, prefetch);
            result.pace.searched = true;
            result.batch = 2048;
            result.search = Some(SearchRecord {
                elapsed_s: 0.25,
                measure: Measure::Races,
                distance_ns: None,
                chosen: 0,
                arms: Vec::new(),
            });
            result
        };
        let results = [
            of("SB", "dense", "paced", 16, Prefetch::Turns),
            of("MP", "padded", "paced", 1, Prefetch::On),
            of("MP+nt", "dense", "paced", 16, Prefetch::Turns),
            of("SB", "dense", "paced", 16, Prefetch::Turns),
            of("LB", "padded", "free", 1, Prefetch::Off),
        ];
        assert_eq!(
            line(&results).unwrap(),
            "Settings were searched for 1.2 s in all before the counts above began (`search` in the record): dense, 16 instances \
             per tick, prefetched every other batch: SB, MP+nt; padded, 1 instance per tick, prefetched: MP; padded, free, batches of 2048: LB."
        );
        // Those of a profile or of an earlier run are told apart, unless the CPUs moved.
        let of_before = |name: &str, profile: &str| {
            let mut result = of(name, "dense", "paced", 16, Prefetch::Turns);
            result.pace.profile = Some(profile.to_owned());
            result
        };
        let moved = of_before("SB", "tuned on SB");
        assert!(line(std::slice::from_ref(&moved)).unwrap().starts_with("Settings were searched for 0.2 s in all"));
        let known = |name, profile| record::ScenarioResult { search: None, ..of_before(name, profile) };
        let both = [
            known("SB", "found by an earlier run"),
            known("MP", "found by an earlier run"),
            known("LB", "tuned on SB"),
        ];
        let of_before = "Settings of earlier searches: dense, 16 instances per tick, prefetched every other batch, found by an earlier run: \
                         SB, MP; dense, 16 instances per tick, prefetched every other batch, tuned on SB: LB.";
        assert_eq!(line(&both).unwrap(), of_before);
        let [first, ..] = both.clone();
        let all = line(&[moved, first]).unwrap();
        assert!(
            all.contains(
                "): dense, 16 instances per tick, prefetched every other batch: SB. Settings of earlier searches: "
            ),
            "{all}"
        );
    }

    #[test]
    fn settings_are_named_where_they_differ() {
        let record = shipped("2026-11-25T174425Z");
        let of = |layout: &str, mode: &str, group, prefetch| {
            let mut result = record.results[0].clone();
            result.layout.kind = layout.to_owned();
            (result.pace.mode, result.pace.group, result.pace.prefetch) = (mode.to_owned(), group, prefetch);
            result
        };
        let dense = of("dense", "paced", 8, Prefetch::Turns);
        assert_eq!(differing(&dense, &dense), None);
        let words = |other: &ScenarioResult| differing(&dense, other).unwrap();
        assert_eq!(words(&of("padded", "paced", 1, Prefetch::Turns)), "dense 8 against padded 1");
        assert_eq!(words(&of("dense", "free", 8, Prefetch::Turns)), "dense 8 against dense free");
        assert_eq!(
            words(&of("dense", "paced", 8, Prefetch::On)),
            "dense 8, prefetched every other batch against dense 8, prefetched"
        );
        let mut wide = dense.clone();
        wide.layout.line_bytes = 2 * dense.layout.line_bytes;
        assert!(words(&wide).contains("against dense 8, lines of "), "{}", words(&wide));
    }
}
