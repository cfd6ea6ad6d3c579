//! The race windows: the rate of each outcome against the skew.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{Detail, Figure, Legend, Part, Section, id, legend};
use super::sum::{Sum, looks};
use crate::machine::in_order;
use crate::publish::chart::{Axis, Line, Lines, Look, Point};
use crate::publish::distances::in_window;
use crate::publish::numbers::{short_count, tick_percent, tick_scientific};
use crate::publish::titles::{self, Values};
use crate::publish::{count, rate, rate_with_interval};
use crate::record::{FinalValue, OutcomeRecord, ScenarioResult, SkewRecord};
use crate::stats::{interval, share};

/// What a chart of a race window counts.
#[derive(Clone, PartialEq)]
enum Counted {
    Races,
    Matches,
    Outcome(Values),
}

impl Counted {
    fn at(&self, result: &ScenarioResult, skew: &SkewRecord) -> Option<u64> {
        match self {
            Counted::Races => Some(skew.races),
            Counted::Matches => skew.matches,
            Counted::Outcome(_) if skew.outcomes.is_empty() => None,
            Counted::Outcome(values) => {
                let alike = |outcome: &OutcomeRecord| &titles::current(result, &outcome.values) == values;
                let at = result.outcomes.iter().position(alike);
                Some(at.and_then(|at| skew.outcomes.get(at).copied()).unwrap_or(0))
            }
        }
    }
}

/// A result with more than one skew, and the sum that it belongs to.
type Swept<'a> = (&'a Sum<'a>, &'a ScenarioResult);

/// The results of each test that have a window. Results of several placements are not added up, because the window of
/// each is at other skews.
fn swept<'a>(sums: &'a [Sum<'a>]) -> Vec<Vec<Swept<'a>>> {
    let of_test = |sums: &'a [Sum<'a>]| -> Vec<Swept<'a>> {
        let alone = sums.iter().filter(|sum| sum.results.len() == 1 && sum.first().skews.len() > 1);
        alone.map(|sum| (sum, sum.first())).collect()
    };
    let tests = sums.chunk_by(|a, b| a.first().scenario == b.first().scenario).map(of_test);
    tests.filter(|swept| !swept.is_empty()).collect()
}

/// For every test with more than one skew, a chart per outcome, the race's first. Each chart has a line per run. The
/// charts of a test have the same axes.
pub(super) fn windows(sums: &[Sum<'_>], detail: Detail) -> Vec<Section> {
    let section = |swept: Vec<Swept<'_>>| {
        let first = swept[0].1;
        let mut panels = panels(&swept);
        if !detail.has(Part::Outcomes) {
            panels.truncate(1);
        }
        let drawn: Vec<Vec<Line>> = panels.iter().map(|(counted, _)| lines(&swept, counted, detail)).collect();
        let range = Range::of(&drawn);
        let figures = (panels.iter().zip(drawn).enumerate())
            .map(|(number, ((counted, caption), lines))| Figure {
                id: id(&["window", &first.scenario, &number.to_string()]),
                test: first.scenario.clone(),
                caption: caption.clone(),
                note: note(&swept, counted),
                race: *counted == Counted::Races,
                svg: chart(&first.scenario, caption, lines, range).svg(),
                legend: legends(&swept),
                raw: Vec::new(),
            })
            .collect();
        Section {
            heading: first.scenario.clone(),
            note: format!("{}. The race is the outcome that the condition asks about.", first.condition),
            figures,
        }
    };
    swept(sums).into_iter().map(section).collect()
}

/// The windows of the race and of its control, on the same axis of rates; fewer if one of the two has none.
pub(super) fn side_by_side(sums: &[Sum<'_>], tests: &[&str], detail: Detail) -> Vec<Figure> {
    let pair = Pair::of(sums, tests, detail);
    let range = Range::of(&pair.drawn);
    pair.figures("", range)
}

/// Race windows of placements whose results are added up elsewhere on the page.
#[derive(Serialize, Default)]
pub(super) struct Placements {
    /// The placements, each with the race and its control.
    sections: Vec<Section>,
    /// How many placements there are beyond these.
    more: usize,
}

/// A run has so many placements with race windows on its page. A run on all pairs of a large machine has thousands.
const MOST_PLACEMENTS: usize = 12;

/// For each placement of runs with several placements of one class: the windows of the race and its control. All have the same axes.
pub(super) fn by_placement(sums: &[Sum<'_>], tests: &[&str], detail: Detail) -> Placements {
    let several = |sum: &&Sum<'_>| sum.results.len() > 1 && tests.contains(&sum.first().scenario.as_str());
    // Keys keep the order in which the placements were measured.
    let mut placements: Vec<(String, Vec<Sum<'_>>)> = Vec::new();
    for sum in sums.iter().filter(several) {
        for result in sum.results.iter().filter(|result| result.skews.len() > 1) {
            let placement = &result.placement;
            let key = format!("{} {}, CPUs {}", sum.run.letter, placement.class_and_kinds(), in_order(&placement.cpus));
            let one = sum.of_one(result);
            match placements.iter_mut().find(|(known, _)| *known == key) {
                Some((_, ones)) => ones.push(one),
                None => placements.push((key, vec![one])),
            }
        }
    }
    let most = if detail.has(Part::Placements) { MOST_PLACEMENTS } else { 1 };
    let shown = shown_of(&placements, most);
    let pairs: Vec<(&String, Pair<'_>)> =
        shown.iter().map(|(key, ones)| (key, Pair::of(ones, tests, detail))).collect();
    let range = Range::of(pairs.iter().flat_map(|(_, pair)| &pair.drawn));
    let section = |(key, pair): (&String, Pair<'_>)| Section {
        heading: key.clone(),
        note: String::new(),
        figures: pair.figures(key, range),
    };
    let sections: Vec<Section> = pairs.into_iter().map(section).collect();
    Placements { more: placements.len() - sections.len(), sections }
}

/// At most `most` of some placements: the first ones of each run and class in turn.
fn shown_of<'b, 'a>(placements: &'b [(String, Vec<Sum<'a>>)], most: usize) -> Vec<&'b (String, Vec<Sum<'a>>)> {
    let kind =
        |(_, ones): &(String, Vec<Sum<'_>>)| (ones[0].run.letter.clone(), ones[0].first().placement.class_and_kinds());
    let mut met: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, usize)> = Vec::new();
    for (number, placement) in placements.iter().enumerate() {
        let rank = met.entry(kind(placement)).or_insert(0);
        ranked.push((*rank, number));
        *rank += 1;
    }
    ranked.sort_unstable();
    ranked.truncate(most);
    ranked.sort_unstable_by_key(|(_, number)| *number);
    ranked.into_iter().map(|(_, number)| &placements[number]).collect()
}

/// The windows of the race and of its control, before they are drawn.
struct Pair<'a> {
    wanted: Vec<Vec<Swept<'a>>>,
    drawn: Vec<Vec<Line>>,
}

impl<'a> Pair<'a> {
    fn of(sums: &'a [Sum<'a>], tests: &[&str], detail: Detail) -> Pair<'a> {
        let mut all = swept(sums);
        let take = |test: &&str| {
            let at = all.iter().position(|swept| swept[0].1.scenario == *test)?;
            Some(all.swap_remove(at))
        };
        let wanted: Vec<Vec<Swept<'_>>> = tests.iter().filter_map(take).collect();
        let drawn = wanted.iter().map(|swept| lines(swept, &Counted::Races, detail)).collect();
        Pair { wanted, drawn }
    }

    /// The charts. `place` tells their addresses from those of other placements.
    fn figures(self, place: &str, range: Range) -> Vec<Figure> {
        let figure = |(swept, lines): (Vec<Swept<'_>>, Vec<Line>)| {
            let scenario = &swept[0].1.scenario;
            let title = titles::title(swept[0].1).map_or(String::new(), |title| format!(", {title}"));
            let race = race_in_words(&swept);
            Figure {
                id: if place.is_empty() { id(&["window", scenario]) } else { id(&["window", scenario, place]) },
                test: scenario.clone(),
                caption: format!("{scenario}{title}: {race}"),
                note: note(&swept, &Counted::Races),
                svg: chart(scenario, &race, lines, range).svg(),
                legend: legends(&swept),
                ..Figure::default()
            }
        };
        self.wanted.into_iter().zip(self.drawn).map(figure).collect()
    }
}

/// An outcome with its words in front: `woken, and blocked_on seen empty (1:r0=2; 1:r1=0)`.
fn in_words(result: &ScenarioResult, outcome: &Values) -> String {
    let value = |(name, value): (&String, &FinalValue)| format!("{name}={value}");
    let values = outcome.iter().map(value).collect::<Vec<_>>().join("; ");
    titles::outcome(result, outcome).map_or(values.clone(), |words| format!("{words} ({values})"))
}

/// The outcomes of a test in all runs, and whether each is a race, in the order of their values.
fn outcomes(swept: &[Swept<'_>]) -> Vec<(Values, bool)> {
    let mut out: Vec<(Values, bool)> = Vec::new();
    for (_, result) in swept {
        for outcome in &result.outcomes {
            let values = titles::current(result, &outcome.values);
            if !out.iter().any(|(known, _)| *known == values) {
                out.push((values, outcome.satisfies));
            }
        }
    }
    out.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    out
}

/// The race of a test: its words, or else its values if only one outcome was seen that is a race, or else its condition.
fn race_in_words(swept: &[Swept<'_>]) -> String {
    let first = swept[0].1;
    let outcomes = outcomes(swept);
    let mut racing = outcomes.iter().filter(|(_, race)| *race);
    match (racing.next(), racing.next()) {
        (Some((one, _)), None) => in_words(first, one),
        _ => titles::race(first).map_or(first.condition.clone(), |words| {
            let values = first.condition.trim_start_matches("exists ").replace(" /\\ ", "; ");
            format!("{words} {values}")
        }),
    }
}

/// The charts of a race window: first the race, then every outcome that is not already the race's chart.
fn panels(swept: &[Swept<'_>]) -> Vec<(Counted, String)> {
    let first = swept[0].1;
    let outcomes = outcomes(swept);
    let races = outcomes.iter().filter(|(_, race)| *race).count();
    let mut out = vec![(Counted::Races, format!("the race: {}", race_in_words(swept)))];
    let known = swept.iter().any(|(_, result)| result.skews.iter().any(|skew| !skew.outcomes.is_empty()));
    if known {
        let others = outcomes.into_iter().filter(|(_, race)| !(*race && races == 1));
        out.extend(others.map(|(values, _)| {
            let words = in_words(first, &values);
            (Counted::Outcome(values), words)
        }));
    } else if let Some(event) = swept.iter().find_map(|(_, result)| result.match_event.as_ref()) {
        out.push((Counted::Matches, format!("matches: {event}")));
    }
    out
}

fn looks_of(swept: &[Swept<'_>]) -> Vec<Look> {
    looks(&swept.iter().map(|(sum, _)| *sum).collect::<Vec<_>>())
}

fn legends(swept: &[Swept<'_>]) -> Vec<Legend> {
    swept.iter().zip(looks_of(swept)).map(|((sum, _), look)| legend(sum, look)).collect()
}

/// A line per run and placement class.
fn lines(swept: &[Swept<'_>], counted: &Counted, detail: Detail) -> Vec<Line> {
    let marked = *counted == Counted::Races && detail.has(Part::Points);
    let line = |((sum, result), look): (&Swept<'_>, Look)| {
        let common = between_batches(result);
        let point = |at: usize| {
            let (skew, sparse) = (&result.skews[at], is_sparse(&result.skews, at));
            let seen = counted.at(result, skew)?;
            point(&sum.run.letter, skew, seen, common).map(|point| Point { sparse, ..point })
        };
        Line { look, name: sum.run.letter.clone(), points: (0..result.skews.len()).filter_map(point).collect(), marked }
    };
    swept.iter().zip(looks_of(swept)).map(line).collect()
}

/// Whether a skew has less than a quarter of the iterations of both of its neighbours. A run measures longer at the skews
/// where it found races. A skew among these that it left out has only the few batches of the search, and its rate may be
/// far from theirs.
fn is_sparse(skews: &[SkewRecord], at: usize) -> bool {
    let much = |other: &SkewRecord| skews[at].iterations < other.iterations / 4;
    at > 0 && at + 1 < skews.len() && much(&skews[at - 1]) && much(&skews[at + 1])
}

/// The point of a skew. Its interval includes the variance between batches. `common` is that variance's part of the
/// interval, as a share of the rate ([`between_batches`]).
fn point(letter: &str, skew: &SkewRecord, seen: u64, common: f64) -> Option<Point> {
    let own = interval(seen, skew.iterations)?;
    let y = share(seen, skew.iterations).filter(|_| seen > 0);
    let ends = y.map_or((own.low, own.high), |y| {
        let common = y * common;
        ((y - (y - own.low).hypot(common)).max(0.0), (y + (own.high - y).hypot(common)).min(1.0))
    });
    let note = format!(
        "{letter}, {:+.1} ns: {} in {}, {}",
        skew.skew_ns,
        count(seen),
        count(skew.iterations),
        rate_with_interval(y.or(Some(0.0)), Some(own))
    );
    let data = format!(" data-x=\"{:.4e}\" data-seen=\"{seen}\" data-of=\"{}\"", skew.skew_ns, skew.iterations);
    Some(Point { x: skew.skew_ns, y, interval: Some(ends), sparse: false, note, data })
}

/// Half the width of the interval of a result's rate, as a share of the rate, without the part that independent
/// iterations would have.
fn between_batches(result: &ScenarioResult) -> f64 {
    let Some((rate, whole)) = result.rate.filter(|rate| *rate > 0.0).zip(result.interval) else { return 0.0 };
    let alone = interval(result.races, result.iterations).map_or(0.0, |alone| alone.high - alone.low);
    let wide = whole.high - whole.low;
    (wide * wide - alone * alone).max(0.0).sqrt() / (2.0 * rate)
}

/// The axis of a chart in which nothing was seen goes so much higher than its bounds, because it says so above them.
const HEADROOM: f64 = 1.3;

/// What the axes of some charts must hold.
#[derive(Clone, Copy)]
struct Range {
    left: f64,
    right: f64,
    /// The highest interval of a rate that was seen.
    seen: f64,
    /// The highest bound of a chart in which nothing was seen. Bounds are thousands of times smaller than rates, so the axis of the
    /// others would show none of them.
    unseen: f64,
}

impl Range {
    /// `charts` are the lines of each chart.
    fn of<'a>(charts: impl IntoIterator<Item = &'a Vec<Line>>) -> Range {
        let mut range = Range { left: 0.0, right: 0.0, seen: 0.0, unseen: 0.0 };
        for lines in charts {
            let empty = is_empty(lines);
            for point in lines.iter().flat_map(|line| &line.points) {
                (range.left, range.right) = (range.left.min(point.x), range.right.max(point.x));
                let high = point.interval.map_or(0.0, |(_, high)| high.min(1.0));
                match point.y {
                    Some(_) => range.seen = range.seen.max(high),
                    None if empty => range.unseen = range.unseen.max(high),
                    None => {}
                }
            }
        }
        range
    }
}

/// Whether nothing was seen in a chart of these lines.
fn is_empty(lines: &[Line]) -> bool {
    lines.iter().flat_map(|line| &line.points).all(|point| point.y.is_none())
}

fn chart(scenario: &str, caption: &str, lines: Vec<Line>, Range { left, right, seen, unseen }: Range) -> Lines {
    let top = if is_empty(&lines) { (unseen * HEADROOM).min(1.0) } else { seen };
    Lines {
        name: format!("{scenario}: probability of {caption} against skew"),
        x: Axis::linear(left, right, "skew: start delay of the last thread relative to P0, ns"),
        x_tick: |value| format!("{value}"),
        y: Axis::linear(0.0, top, "probability per iteration, 95 % band"),
        y_tick: if top >= 1e-3 { tick_percent } else { tick_scientific },
        lines,
    }
}

/// A sentence for each window that is of a part of the iterations: the others ran free, and have no skew.
fn parts(swept: &[Swept<'_>]) -> String {
    let of_run = |(sum, result): &Swept<'_>| {
        let run = if swept.len() > 1 { format!(" of run {}", sum.run.letter) } else { String::new() };
        in_window(result).map(|part| format!(" The window{run} is that of {part}: the others ran free."))
    };
    swept.iter().filter_map(of_run).collect()
}

/// What to see in the chart: where the outcome is most frequent, or how often it was looked for.
fn note(swept: &[Swept<'_>], counted: &Counted) -> String {
    let mut best: Option<(f64, f64, &Swept<'_>)> = None;
    let mut tried: Vec<u64> = Vec::new();
    for run in swept {
        for skew in &run.1.skews {
            tried.push(skew.iterations);
            let found = counted.at(run.1, skew).and_then(|seen| share(seen, skew.iterations)).unwrap_or(0.0);
            if found > best.as_ref().map_or(0.0, |best| best.0) {
                best = Some((found, skew.skew_ns, run));
            }
        }
    }
    let (least, most) = (tried.iter().min().copied().unwrap_or(0), tried.iter().max().copied().unwrap_or(0));
    match best {
        Some((highest, at, (sum, _))) => {
            let run = if swept.len() > 1 { format!(", in run {}", sum.run.letter) } else { String::new() };
            format!("Most frequent at a skew of {at:+.0} ns{run}: {}.{}", rate(highest), parts(swept))
        }
        None => {
            let high = |iterations| interval(0, iterations).map(|interval| interval.high);
            let run = if swept.len() > 1 { " of a run" } else { "" };
            let whole = swept.iter().filter_map(|(_, result)| high(result.paced())).fold(0.0, f64::max);
            let bound = high(least).map_or(String::new(), |bound| {
                format!(
                    ", so each has its own bound of the rate, at most {bound:.1e}. The bound of all skews{run} together is smaller: \
                     {whole:.1e}"
                )
            });
            let tried = format!("{} to {} times{bound}", short_count(least), short_count(most));
            format!("Never seen. Each skew was tried {tried}.{}", parts(swept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;
    use crate::record::{AnyRecord, read_file};

    #[test]
    fn placement_classes_of_a_run_have_lines_of_their_own() {
        let mut record = shipped("2026-11-25T174425Z");
        let mut far = record.results.clone();
        for result in &mut far {
            result.placement.class = crate::machine::Class::Llc;
        }
        record.results.extend(far);
        let entries = [super::super::Entry { name: String::new(), record: AnyRecord::Run(Box::new(record)) }];
        let runs = super::super::runs::runs(&entries);
        let sums = super::super::sum::sums(&runs.iter().collect::<Vec<_>>());
        for section in windows(&sums, Detail::FULL) {
            let [near, far] = &section.figures[0].legend[..] else { panic!("two lines") };
            assert_ne!(near.classes, far.classes);
            assert!(section.figures[0].svg.contains(&format!("class=\"line {}\"", far.classes)));
        }
    }

    /// The window, the notes and the answer of a run that was paced for a part of its iterations.
    #[test]
    fn the_window_of_the_paced_part_says_so() {
        let notes = |records: Vec<crate::record::Record>| -> (Vec<String>, String) {
            let entries: Vec<_> = (records.into_iter())
                .map(|record| super::super::Entry { name: String::new(), record: AnyRecord::Run(Box::new(record)) })
                .collect();
            let runs = super::super::runs::runs(&entries);
            let sums = super::super::sum::sums(&runs.iter().collect::<Vec<_>>());
            let notes = windows(&sums, Detail::FULL).iter().map(|section| section.figures[0].note.clone()).collect();
            (notes, super::super::words::best_skew(sums[0].first()).unwrap_or_default())
        };
        let moved = crate::publish::distances::tests::moved();
        let (alone, best) = notes(vec![moved.clone()]);
        let part = "the paced 10 % of the iterations";
        assert!(alone[0].ends_with(&format!(" The window is that of {part}: the others ran free.")), "{alone:?}");
        assert!(best.ends_with(&format!(" %, of {part}.")), "{best}");
        let mut other = moved.clone();
        (other.results[0].free, other.results[0].seed) = (None, 7);
        let (both, _) = notes(vec![moved, other]);
        let ends = format!(" The window of run A is that of {part}: the others ran free.");
        assert!(both[0].ends_with(&ends), "{both:?}");
        // A window in which nothing was seen.
        let mut none = crate::publish::distances::tests::moved();
        none.results[0].skews.iter_mut().for_each(|skew| skew.races = 0);
        let (none, _) = notes(vec![none]);
        assert!(none[0].starts_with("Never seen.") && none[0].ends_with(": the others ran free."), "{none:?}");
    }

    #[test]
    fn an_outcome_whose_name_changed_has_one_chart() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/results/x86_64/amd-epyc-cpu-family-25-model-17-stepping-1/");
        // The first record calls the mutex `lock`.
        let entries = ["2026-11-23T055508Z.json", "2026-11-25T174425Z.json"].map(|name| {
            let path = format!("{folder}{name}");
            super::super::Entry { record: read_file(path.as_ref()).unwrap(), name: path }
        });
        let runs = super::super::runs::runs(&entries);
        let sums = super::super::sum::sums(&runs.iter().collect::<Vec<_>>());
        let sections = windows(&sums, Detail::FULL);
        let race = sections.iter().find(|section| section.heading == "S01-as-is").unwrap();
        let captions: Vec<&str> = race.figures.iter().map(|figure| figure.caption.as_str()).collect();
        assert_eq!(captions.len(), 4, "{captions:?}");
        assert!(captions.iter().all(|caption| !caption.contains("&lock")), "{captions:?}");
        // Both runs are in the chart of an outcome that both saw.
        let seen = race.figures.iter().find(|figure| figure.caption.contains("1:r1=&mutex")).unwrap();
        assert_eq!(seen.svg.matches("class=\"line ").count(), 2);
        assert!(!seen.svg.contains("not seen at any skew"));
    }

    #[test]
    fn the_band_of_a_skew_includes_the_variance_between_batches() {
        let record = shipped("2026-11-26T093808Z");
        let named = |name: &str| record.results.iter().find(|result| result.scenario == name).unwrap().clone();
        // 34 % with the interval from 28.7 % to 39.5 %: 16 % of the rate to either side.
        let mut sb = named("SB");
        assert!((between_batches(&sb) - 0.159).abs() < 0.002, "{}", between_batches(&sb));
        // Independent iterations add nothing.
        sb.interval = interval(sb.races, sb.iterations);
        assert!(between_batches(&sb) < 1e-9);
        assert!(between_batches(&named("S01-as-is")).abs() < 1e-12, "a zero has no variance");
    }
}
