//! Tests of the page, some of them in a real browser: no text is cut or overlaps, contrast is sufficient, and
//! every point is at the position of its counts. Tests that need the browser are ignored by default.
//! `cargo test --test page -- --include-ignored` runs them, and they fail without Chromium.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::Deserialize;
use wakerace::publish::{Entry, FLEET, Front, LARGEST, fleet_page, page, signed_page};
use wakerace::record::{AnyRecord, FreeRecord, Record, ScenarioResult};

use common::{run, shipped, shipped_protocol};

fn entry(name: &str, record: &Record) -> Entry {
    Entry { name: name.to_owned(), record: AnyRecord::Run(Box::new(record.clone())) }
}

/// Five records: the shipped run, the same run from another host, one with many pairs of CPUs, an emulated
/// one, and one of the protocol.
fn entries() -> Vec<Entry> {
    let (_, text) = shipped();
    let record = run(&text);
    let mut other = record.clone();
    other.host.architecture = "aarch64".to_owned();
    other.host.cpu_model = "A CPU with a name that goes on for longer than most <do> & \"quotes\"".to_owned();
    other.host.virtualised = None;
    let mut pairs = other.clone();
    pairs.results = many_pairs(&record);
    let mut emulated = other.clone();
    emulated.host.emulated = true;
    let (name, protocol) = shipped_protocol();
    vec![
        entry("results/X/CPU/shipped.json", &record),
        entry("other.json", &other),
        entry("pairs.json", &pairs),
        entry("emulated.json", &emulated),
        Entry { name: name.display().to_string(), record: AnyRecord::Protocol(Box::new(protocol)) },
    ]
}

fn many_pairs(record: &Record) -> Vec<ScenarioResult> {
    let sb = record.results.iter().find(|result| result.scenario == "SB").unwrap();
    let pair = |p0: usize, p1: usize| {
        let mut result = sb.clone();
        result.placement.cpus = vec![p0, p1];
        if (p0 + p1).is_multiple_of(5) {
            result.races = 0;
        } else {
            result.races /= 10u64.pow((p0 % 4) as u32);
        }
        result.rate = Some(result.races as f64 / result.iterations as f64);
        result.interval = wakerace::stats::interval(result.races, result.iterations);
        result
    };
    (0..12).flat_map(|p0| (p0 + 1..12).map(move |p1| (p0, p1))).map(|(p0, p1)| pair(p0, p1)).collect()
}

#[test]
fn a_page_needs_nothing_else_and_keeps_what_it_is_told() {
    let text = page(&entries()).unwrap();
    assert!(text.len() < LARGEST, "{}", text.len());
    assert!(
        !text.contains("<script") && !text.contains("@import") && !text.contains("<link"),
        "nothing is fetched or run"
    );
    let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://") && !elsewhere.contains("url("));
    // Text of records is escaped.
    assert!(text.contains("&lt;do&gt;") && !text.contains("<do>"));
    // Emulated runs are listed and have no charts.
    let part = |from: &str, to: &str| {
        let start = text.find(from).unwrap_or_else(|| panic!("{from}"));
        &text[start..start + text[start..].find(to).unwrap()]
    };
    let emulated = part("id=\"emulated\">", "</section>");
    assert!(emulated.contains("badge forbidden\">emulated") && !emulated.contains("svg class=\"chart"));
    for section in ["chart", "windows", "all-windows", "last-writers", "pairs", "gaps"] {
        let drawn = part(&format!(" id=\"{section}\">"), "</section>");
        assert!(drawn.contains("svg class=\"chart"), "{section} draws something");
        assert!(
            !drawn.contains("> D ") && !drawn.contains("data-name=\"D\"") && !drawn.contains("data-run=\"D\""),
            "{section} draws the emulated run"
        );
    }
    // The page has the counts, the command and the code hashes.
    let (_, shipped) = shipped();
    let record = run(&shipped);
    for result in &record.results {
        assert!(text.contains(&result.code_sha256), "{}", result.scenario);
        assert!(text.contains(&wakerace::publish::count(result.iterations)), "{}", result.scenario);
    }
    assert!(text.contains("wakerace run") && text.contains("less often than once in"));
}

#[test]
fn many_records_are_thinned_and_too_many_refused() {
    let (_, text) = shipped();
    let record = run(&text);
    let of = |count: usize| -> Vec<Entry> {
        (0..count)
            .map(|number| {
                let mut record = record.clone();
                record.host.cpu_model = format!("CPU {number}");
                entry(&format!("{number}.json"), &record)
            })
            .collect()
    };
    // A dozen default runs have all their parts.
    let dozen = signed_page(&of(FLEET), &Front::default()).unwrap();
    assert_eq!(dozen.folded, [""; 0], "{}", dozen.html.len());
    // What does not fit is left out and named, on the page too: first what takes the most room for what it tells. The answer, the
    // first chart, the race windows of the race and the counts stay.
    let folded = signed_page(&of(36), &Front::default()).unwrap();
    assert!(folded.html.len() < LARGEST && folded.html.len() > LARGEST / 3, "{}", folded.html.len());
    assert_eq!(folded.folded[0], "race windows of outcomes other than the race");
    assert!(!folded.folded.contains(&"machine code"), "{:?}", folded.folded);
    assert!(folded.html.contains("larger than 4 MB: race windows of outcomes other than the race"));
    let without = folded.folded.contains(&"the records and histograms as downloads");
    assert_eq!(folded.html.contains("id=\"records\""), !without);
    for part in ["id=\"chart\"", "id=\"windows\"", "id=\"counts\"", "id=\"listings\""] {
        assert!(folded.html.contains(part), "{part}");
    }
    let mut wordy = of(2);
    for entry in &mut wordy {
        let AnyRecord::Run(record) = &mut entry.record else { panic!("not a run") };
        record.command = vec!["x".repeat(LARGEST)];
        record.results.truncate(1);
    }
    let error = page(&wordy).unwrap_err().to_string();
    assert!(error.contains("2 records") && error.contains("name fewer"), "{error}");
    assert!(page(&[]).is_err());
}

#[test]
fn counts_at_the_edge_are_drawn_or_refused_and_never_a_panic() {
    let (_, text) = shipped();
    for count in [0, 1, 1_000_000_000_000_000_000, u64::MAX] {
        let mut record = run(&text);
        for result in &mut record.results {
            (result.iterations, result.races, result.matches) = (count, count, Some(count));
            for outcome in &mut result.outcomes {
                outcome.count = count;
            }
            for skew in &mut result.skews {
                (skew.iterations, skew.races) = (count, count);
                skew.skew_ns *= 1e300;
                skew.outcomes.truncate(1);
            }
            for start in &mut result.last_writers {
                (start.iterations, start.races) = (count, count);
            }
        }
        let text = page(&[entry("edge.json", &record)]).unwrap();
        // The record in the page is compressed, and its text may have any letters.
        let drawn = text.replacen("data:application", "\0", 1);
        let (before, after) = drawn.split_once('\0').unwrap();
        let drawn = before.to_owned() + &after[after.find('"').unwrap()..];
        let drawn = &drawn[drawn.find("<body>").unwrap()..];
        assert!(!drawn.contains("NaN") && !drawn.contains(">inf"), "{count}");
    }
}

#[test]
fn the_answer_comes_first_with_what_it_rests_on() {
    let (name, text) = shipped();
    let record = run(&text);
    let page = page(&[entry(&name.display().to_string(), &record)]).unwrap();
    let of = |from: &str, to: &str| {
        let start = page.find(from).unwrap_or_else(|| panic!("{from}")) + from.len();
        page[start..start + page[start..].find(to).unwrap()].replace('\u{a0}', " ")
    };
    let named = |name: &str| record.results.iter().find(|result| result.scenario == name).unwrap();
    let (race, control) = (named("S01-as-is"), named("S01-core+nt"));
    let iterations = format!("{:.1} M", race.iterations as f64 / 1e6);
    assert_eq!(
        of("<h1>", "</h1>"),
        format!("On AMD EPYC the race was not seen in {iterations} iterations, and x86_64 forbids it.")
    );
    let answer = of("<p class=\"answer\">", "</p>");
    let once = format!("less often than once in {:.1} M iterations", 1.0 / race.interval.unwrap().high / 1e6);
    let control =
        format!("(S01-core+nt) raced in {} of its iterations", wakerace::publish::rate(control.rate.unwrap()));
    assert!(answer.contains(&once) && answer.contains(&control), "{answer}");
    // The outcomes have the kernel's words beside the registers, the race even though it was never seen.
    assert!(page.contains("woken, and blocked_on seen empty (1:r0=2; 1:r1=0)"));
    assert!(page.contains("woken, and blocked_on seen (1:r0=2; 1:r1=&amp;mutex)"));
    // Nothing but the first screen and the race windows is unfolded.
    let shown = page.split("<details").next().unwrap();
    assert!(shown.contains("svg class=\"chart forest") && !shown.contains("svg class=\"chart lines"));
}

#[test]
fn two_runs_of_one_host_are_told_apart_and_where_they_differ_is_said() {
    let (_, text) = shipped();
    let first = run(&text);
    // A run of the same host in which some tests raced half or a tenth as often.
    let slower = |names: &[&str], by: u64| {
        let mut record = first.clone();
        for result in record.results.iter_mut().filter(|result| names.contains(&result.scenario.as_str())) {
            result.races /= by;
            result.rate = wakerace::stats::share(result.races, result.iterations);
            result.interval = wakerace::stats::interval(result.races, result.iterations);
            result.distances = None;
        }
        record
    };
    let control = first.results.iter().find(|result| result.scenario == "S01-core+nt").unwrap();
    let rates = [1, 10].map(|by| wakerace::publish::rate((control.races / by) as f64 / control.iterations as f64));
    let two = [entry("a.json", &first), entry("b.json", &slower(&["S01-core+nt"], 10))];
    let html = page(&two).unwrap();
    let text = html.replace('\u{a0}', " ");
    let [ours, theirs] = &rates;
    let both = format!(
        "raced in {ours} of its iterations in run A and in {theirs} of its iterations in run B at these settings, so such"
    );
    assert!(text.contains(&both), "{both}\n{}", &text[text.find("<h1>").unwrap()..][..1500]);
    assert!(text.contains("A and B differ in S01-core+nt (") && !text.contains("No rates of runs of one host"));
    // Each chip has a mark of its own, with the colour of the host.
    let chips = &html[html.find("<ul class=\"chips\">").unwrap()..];
    let chips = &chips[..chips.find("</ul>").unwrap()];
    let marks: Vec<&str> =
        chips.split("<path class=\"mark ").skip(1).map(|rest| &rest[..rest.find("/>").unwrap()]).collect();
    assert!(marks.len() == 2 && marks.iter().all(|mark| mark.starts_with("s0\"")) && marks[0] != marks[1], "{marks:?}");
    // Runs that do not differ are said not to, and a run in which no control raced is named.
    let alike = page(&[entry("a.json", &first), entry("b.json", &first)]).unwrap();
    assert!(alike.contains("No rates of runs of one host differ by more than usual") && !alike.contains("differ in "));
    let silent = page(&[entry("a.json", &first), entry("b.json", &slower(&["S01-core+nt"], u64::MAX))]).unwrap();
    assert!(silent.contains("in run A and not once in run B at these settings, so such"));
    // Of many runs the ends of the range are named.
    let mut many: Vec<Entry> = (0..5).map(|at| entry(&format!("{at}.json"), &first)).collect();
    many[3] = entry("3.json", &slower(&["S01-core+nt"], 10));
    let text = page(&many).unwrap().replace('\u{a0}', " ");
    let range = format!(
        "raced in {theirs} (run D) to {ours} (run E) of its iterations in the 5 runs at these settings, so such"
    );
    assert!(text.contains(&range), "{range}\n{}", &text[text.find("<h1>").unwrap()..][..1500]);
    assert!(!page(&two[..1]).unwrap().contains("runs of one host differ"));
}

#[test]
fn what_was_seen_on_an_architecture_that_allows_it_is_the_answer_too() {
    let (_, text) = shipped();
    let mut record = run(&text);
    record.host.cpu_model = "Neoverse-N1".to_owned();
    record.host.architecture = "aarch64".to_owned();
    let race = record.results.iter_mut().find(|result| result.scenario == "S01-as-is").unwrap();
    race.expected = Some(wakerace::litmus::Verdict::Sometimes);
    (race.races, race.rate) = (race.iterations / 400, Some(0.0025));
    race.interval = wakerace::stats::interval(race.races, race.iterations);
    race.finding = wakerace::record::Finding::Observed;
    let both = page(&[entry("a.json", &record), entry("b.json", &run(&text))]).unwrap().replace('\u{a0}', " ");
    let headline = "<h1>The race: on Neoverse-N1, seen in 0.25 % of ";
    assert!(
        both.contains(headline) && both.contains("(aarch64 allows it); on AMD EPYC, not seen in "),
        "{}",
        &both[..3000]
    );
    let alone = page(&[entry("a.json", &record)]).unwrap();
    assert!(alone.contains("It was not seen with S02-wmb or S03-store-release."));
}

#[test]
fn a_page_of_a_log_says_that_another_program_ran_the_tests() {
    let (_, text) = shipped();
    let mut record = run(&text);
    let of = |record: &Record| page(&[entry("a.json", record)]).unwrap();
    let words = "Another program ran these litmus tests and counted every outcome. wakerace has read its log.";
    assert!(!of(&record).contains(words));
    record.tool.name = "litmus7".to_owned();
    assert!(of(&record).contains(words));
}

#[test]
fn a_zero_on_several_cpus_is_as_sure_as_on_the_least_sure_one() {
    let (_, text) = shipped();
    let record = run(&text);
    let mut other = record.clone();
    other.host.cpu_model = "Other".to_owned();
    let race = other.results.iter_mut().find(|result| result.scenario == "S01-as-is").unwrap();
    race.iterations = 3_000_000;
    race.interval = wakerace::stats::interval(0, 3_000_000);
    let entries = [entry("a.json", &record), entry("b.json", &other)];
    let page = fleet_page(&entries, &Front::default()).unwrap().html.replace('\u{a0}', " ");
    assert!(page.contains("With 95 % confidence it happens less often than once in 1 M iterations on each of them, taking iterations as independent ("));
}

#[test]
fn a_page_is_signed_and_carries_its_records() {
    use base64::Engine as _;
    use std::io::Read as _;

    let (name, text) = shipped();
    let record = run(&text);
    let entries = [entry(&name.display().to_string(), &record)];
    let front = Front {
        author: Some("A. <Author>".to_owned()),
        cite: Some("Races, 2026".to_owned()),
        url: Some("https://example.org/races/page.html".to_owned()),
        image: Some("https://example.org/races/page.png".to_owned()),
        pages: Vec::new(),
    };
    let signed = signed_page(&entries, &front).unwrap();
    let html = &signed.html;
    assert!(
        html.contains("<meta name=\"author\" content=\"A. &lt;Author&gt;\">")
            && html.contains("Author: A. &lt;Author&gt;")
    );
    assert!(html.contains("Cite as: Races, 2026"));
    assert!(html.contains("og:image\" content=\"https:&#x2f;&#x2f;example.org&#x2f;races&#x2f;page.png\""));
    for part in ["og:image:width\" content=\"1200\"", "og:image:height\" content=\"630\"", "\"summary_large_image\""] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.contains("og:image:alt\" content=\"On AMD EPYC the race was not seen"));
    assert!(html.contains("og:description\" content=\"On AMD EPYC the race was not seen"));
    // The picture has what the chart has: lines of either ground, and marks and text over a white page.
    let mut reader = png::Decoder::new(std::io::Cursor::new(signed.picture.unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let shape = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((shape.width, shape.height, shape.color_type), (1200, 630, png::ColorType::Rgb));
    let of = |colour: [u8; 3]| pixels.chunks_exact(3).filter(|pixel| **pixel == colour).count();
    let [paper, allows, forbids, ink, mark] =
        [[0xff, 0xff, 0xff], [0xfd, 0xf0, 0xd5], [0xe3, 0xeb, 0xf5], [0x1b, 0x1d, 0x21], [0x1f, 0x6f, 0xb2]].map(of);
    assert!(paper > 400_000 && ink > 5_000 && mark > 500, "{paper} {ink} {mark}");
    assert!(allows > 20_000 && forbids > allows, "five tests are forbidden and two are allowed: {allows} {forbids}");
    // Sites take no picture without an address.
    let plain = signed_page(&entries, &Front::default()).unwrap();
    assert!(plain.picture.is_none() && !plain.html.contains("og:image") && plain.html.contains("og:description"));
    // The download is the record.
    let start = html.find("data:application&#x2f;gzip;base64,").unwrap() + "data:application&#x2f;gzip;base64,".len();
    let packed = html[start..start + html[start..].find('"').unwrap()].replace("&#x2f;", "/");
    let packed = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
    let mut json = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut json).unwrap();
    assert_eq!(run(&json), record);
    assert!(html.contains(&format!("download=\"{}.gz\"", name.file_name().unwrap().display())));
}

#[test]
fn the_page_of_a_run_of_the_protocol_has_its_table_unfolded() {
    let (name, protocol) = shipped_protocol();
    let of = |name: &str| Entry { name: name.to_owned(), record: AnyRecord::Protocol(Box::new(protocol.clone())) };
    let part = |entries: &[Entry]| {
        let html = page(entries).unwrap();
        let part = html.split("<section id=\"protocol\"").nth(1).unwrap().split("</section>").next().unwrap();
        part.split("<details>").next().unwrap().matches("<table class=\"results\">").count()
    };
    assert_eq!(part(&[of(&name.display().to_string())]), 1);
    // Of several runs each is folded, under its verdict.
    assert_eq!(part(&[of("a.json"), of("b.json")]), 0);
}

/// Records of a fleet, made of the shipped run: other seeds, durations and counts, on three kinds of CPU.
fn fleet(count: usize) -> Vec<Entry> {
    let (_, text) = shipped();
    let shipped = run(&text);
    let made = |number: usize| {
        let mut record = shipped.clone();
        record.host.cpu_model = format!("Maker {}", number % 3);
        for result in &mut record.results {
            result.seed = number as u64;
            // One run in the fleet sees SB ten times as rarely as the others, and one never sees S05-swapped.
            let rarer = match (number, result.scenario.as_str()) {
                (5, "SB") => 10,
                (7, "S05-swapped") => u64::MAX,
                _ => 1,
            };
            result.races = result.races / rarer * (90 + number as u64 % 20) / 100;
            result.rate = wakerace::stats::share(result.races, result.iterations);
            result.interval = wakerace::stats::interval(result.races, result.iterations);
        }
        entry(&format!("made/{number}.json"), &record)
    };
    (0..count).map(made).collect()
}

#[test]
fn a_fleet_is_drawn_by_kind_of_cpu_with_the_runs_that_are_unlike_the_others() {
    let entries = fleet(40);
    assert!(entries.len() > FLEET);
    let links: Vec<String> = (0..entries.len()).map(|number| format!("pages/{number}.html")).collect();
    let page = fleet_page(&entries, &Front { pages: links, ..Front::default() }).unwrap().html;
    assert!(page.len() < 300_000, "{}", page.len());
    let text = page.replace('\u{a0}', " ");
    let iterations: u64 = entries
        .iter()
        .map(|entry| match &entry.record {
            AnyRecord::Run(record) => {
                record.results.iter().find(|result| result.scenario == "S01-as-is").unwrap().iterations
            }
            AnyRecord::Protocol(_) | AnyRecord::Campaign(_) => 0,
        })
        .sum();
    assert!(iterations > 1_000_000_000 && text.contains("<h1>The race: on Maker 0, not seen in "), "{}", &text[..2000]);
    // A mark for each test and kind of CPU, twice: in the wide and in the narrow chart.
    let first = &page[page.find("id=\"chart\"").unwrap()..page.find("id=\"each\"").unwrap()];
    assert_eq!(first.matches("data-cpu=\"Maker 1\"").count(), 2 * 7);
    assert!(first.contains("data-runs=\"14\"") && first.contains("data-runs=\"13\""));
    // Each test has a chart with a dot for each run. The run that is unlike the others has its own mark and its letter.
    let each = &page[page.find("id=\"each\"").unwrap()..page.find("id=\"spread\"").unwrap()];
    assert_eq!(each.matches("svg class=\"chart strips").count(), 7);
    let sb = &each[each.find("id=\"runs-SB\"").unwrap()..];
    let sb = &sb[..sb.find("</figure>").unwrap()];
    assert!(sb.contains("Seen in 40 of 40 runs.") && sb.matches("class=\"dots unlike ").count() == 1, "{sb}");
    assert!(sb.matches("h0").count() == 40 && sb.contains(">F</text>"), "{sb}");
    // The sixth run is F.
    let unlike =
        text.split("<td data-label=\"runs unlike the others\">").skip(1).map(|rest| rest.split('<').next().unwrap());
    let named: Vec<&str> = unlike.filter(|names| *names != "-").collect();
    let [sb, swapped] = named[..] else { panic!("{named:?}") };
    assert!(sb.starts_with("F ") && sb.ends_with('%') && swapped.starts_with("H &lt; "), "{named:?}");
    assert!(page.contains("<a href=\"pages&#x2f;39.html\">made&#x2f;39.json</a>"));
}

#[test]
fn a_fleet_has_a_heat_map_of_pairs_for_each_kind_of_cpu() {
    let (_, text) = shipped();
    let mut record = run(&text);
    record.results = many_pairs(&record);
    let made = |cpu: &str, number: u64| {
        let mut record = record.clone();
        record.host.cpu_model = cpu.to_owned();
        for result in &mut record.results {
            result.races *= number;
            result.iterations *= 4;
            result.rate = wakerace::stats::share(result.races, result.iterations);
        }
        entry(&format!("{cpu}-{number}.json"), &record)
    };
    let entries = [made("One", 1), made("One", 2), made("One", 3), made("Two", 1)];
    let page = fleet_page(&entries, &Front::default()).unwrap().html;
    let heats = &page[page.find("id=\"heats\"").unwrap()..page.find("id=\"hosts\"").unwrap()];
    assert_eq!(heats.matches("svg class=\"chart heat").count(), 2);
    let one = &heats[..heats.find("SB, Two").unwrap()];
    assert_eq!(one.matches("data-p0=").count(), 66);
    // Twice the counts of one run is the median, and the counts are added up.
    let pair = record.results.iter().find(|result| result.placement.cpus == [0, 1]).unwrap();
    let counts =
        format!("data-p0=\"0\" data-p1=\"1\" data-seen=\"{}\" data-of=\"{}\"", 6 * pair.races, 12 * pair.iterations);
    let median = wakerace::publish::rate(2.0 * pair.races as f64 / (4 * pair.iterations) as f64);
    assert!(one.contains(&counts), "{counts}");
    assert!(one.contains(&format!("(core): seen in 3 of 3 runs, median {median}")), "{median}");
    assert!(one.contains("P0 on CPU 0, P1 on CPU 5 (core): seen in 0 of 3 runs, median -"));
}

/// The labels of the ticks in each chart of a part of a page. `part` begins with an id.
fn ticks(page: &str, part: &str, kind: &str) -> Vec<Vec<String>> {
    let start = page.find(&format!("id=\"{part}\"")).unwrap_or_else(|| panic!("no {part}"));
    let end = start + page[start..].find("</section>").unwrap();
    let opening = format!("<svg class=\"chart {kind}");
    let charts = page[start..end].split(&opening).skip(1);
    let labels = |chart: &str| {
        let chart = &chart[..chart.find("</svg>").unwrap()];
        let all = chart.split("class=\"tick\"").skip(1);
        all.map(|rest| rest[rest.find('>').unwrap() + 1..rest.find('<').unwrap()].to_owned()).collect()
    };
    charts.map(labels).collect()
}

#[test]
fn charts_of_the_same_thing_have_the_same_axes() {
    let (_, text) = shipped();
    let record = run(&text);
    let mut pairs = record.clone();
    pairs.results = many_pairs(&record);
    // Another test on the same pairs, a thousand times as rare.
    let mut rare = pairs.clone();
    for result in &mut rare.results {
        result.races /= 1000;
        result.rate = wakerace::stats::share(result.races, result.iterations);
        result.line_transfer_ns = result.line_transfer_ns.map(|ns| ns * 3.0);
    }
    let page = page(&[entry("a.json", &pairs), entry("b.json", &rare)]).unwrap();
    // The keys of the colours: the last ticks of a heat map; those before name the CPUs.
    let heats = ticks(&page, "heats", "heat");
    assert_eq!(heats.len(), 4);
    let key = |ticks: &[String]| ticks[24..].to_vec();
    assert_eq!(key(&heats[0]), key(&heats[1]));
    assert!(heats[0].last().unwrap() == "100 %" && key(&heats[0]).len() > 3, "{heats:?}");
    assert_eq!(key(&heats[2]), key(&heats[3]));
    assert!(heats[2].last().unwrap() != heats[0].last().unwrap(), "{heats:?}");
    // Gaps of all tests, and healing times of all profiles and runs.
    let (name, mut protocol) = shipped_protocol();
    let with_gaps = record.results.iter().filter(|result| result.gaps.count > 1);
    for (healed, result) in protocol.results.iter_mut().zip(with_gaps) {
        healed.heal_ns = result.gaps.clone();
    }
    let protocol =
        |name: &str| Entry { name: name.to_owned(), record: AnyRecord::Protocol(Box::new(protocol.clone())) };
    let whole =
        wakerace::publish::page(&[entry("a.json", &record), protocol(&name.display().to_string()), protocol("b.json")]);
    let whole = whole.unwrap();
    for part in ["between", "protocol"] {
        let charts = ticks(&whole, part, "lines");
        assert!(charts.len() > 2 && charts.iter().all(|ticks| *ticks == charts[0]), "{part}: {charts:?}");
    }
}

#[test]
fn the_window_of_a_race_that_was_not_seen_shows_its_bounds() {
    let (_, text) = shipped();
    let record = run(&text);
    let html = page(&[entry("a.json", &record)]).unwrap();
    let windows = &html[html.find("<section id=\"windows\"").unwrap()..];
    let race = &windows[..windows.find("</figure>").unwrap()];
    let result = record.results.iter().find(|result| result.scenario == "S01-as-is").unwrap();
    let bound = |iterations| wakerace::stats::interval(0, iterations).unwrap().high;
    let highest = result.skews.iter().map(|skew| bound(skew.iterations)).fold(0.0, f64::max);
    // Above the highest bound the axis has room for the words, and ends at the next step.
    let ticks =
        race.split(" data-value=\"").skip(1).map(|rest| rest[..rest.find('"').unwrap()].parse::<f64>().unwrap());
    let rates: Vec<f64> = ticks.filter(|value| value.abs() < 1.0 && *value > 0.0).collect();
    let top = rates.iter().copied().fold(0.0, f64::max);
    assert!(top >= 1.3 * highest && top < 2.0 * highest, "{rates:?} {highest}");
    // The line says both bounds.
    let words = format!(
        "each has its own bound of the rate, at most {highest:.1e}. The bound of all skews together is smaller: {:.1e}.",
        bound(result.iterations)
    );
    assert!(race.contains(&words), "{words}\n{}", &race[..1500]);
    // Instances of it that ran free have no skew.
    let mut mixed = record.clone();
    let more = mixed.results.iter_mut().find(|result| result.scenario == "S01-as-is").unwrap();
    more.iterations *= 1000;
    let free = FreeRecord { iterations: 999 * result.iterations, matches: None, races: 0, outcomes: Vec::new() };
    more.free = Some(free);
    assert!(page(&[entry("a.json", &mixed)]).unwrap().contains(&words));
}

#[test]
fn each_of_several_placements_has_the_windows_of_the_race_and_its_control() {
    let (_, text) = shipped();
    let mut record = run(&text);
    let of_test = |name: &str| record.results.iter().find(|result| result.scenario == name).unwrap().clone();
    let tests = ["S01-as-is", "S01-core+nt"].map(of_test);
    let pairs: Vec<(usize, usize)> = (0..15).map(|cpu| (cpu, cpu + 1)).collect();
    record.results.clear();
    for test in tests {
        for (p0, p1) in &pairs {
            let mut result = test.clone();
            result.placement.cpus = vec![*p0, *p1];
            record.results.push(result);
        }
    }
    let html = page(&[entry("a.json", &record)]).unwrap();
    let windows = &html[html.find("<section id=\"windows\"").unwrap()..];
    let windows = &windows[..windows.find("</section>").unwrap()];
    let (unfolded, folded) = windows.split_once("<details>").unwrap();
    // The first placement is unfolded, eleven more are folded, and three are not drawn.
    assert!(
        unfolded.contains("<h3>A core, CPUs 0,1</h3>") && unfolded.matches("<svg class=\"chart lines").count() == 2
    );
    assert!(folded.contains("11 more placements") && folded.contains("<h3>A core, CPUs 11,12</h3>"), "{folded}");
    assert!(
        folded.matches("<svg class=\"chart lines").count() == 22 && folded.contains("3 more placements are not drawn")
    );
    let mut axes = ticks(&html, "windows", "lines");
    for ticks in &mut axes {
        ticks.retain(|tick| !tick.starts_with("the rate is below"));
    }
    // The race was never seen and its control was. Each kind of chart has the same axes everywhere.
    let [race, control] = [0, 1].map(|kind| axes.iter().skip(kind).step_by(2).collect::<Vec<_>>());
    assert!(race.iter().all(|ticks| *ticks == race[0]) && control.iter().all(|ticks| *ticks == control[0]), "{axes:?}");
    let ids: Vec<&str> = windows.split("<figure id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 24, "{ids:?}");
}

/// The measurements that the browser made on a page.
#[derive(Deserialize)]
struct Seen {
    width: f64,
    scroll: f64,
    /// Elements that extend beyond the page or their own box.
    out: Vec<String>,
    /// Pairs of texts in a chart that overlap.
    overlaps: Vec<String>,
    /// The lowest contrast between text and background.
    contrast: f64,
    /// The lowest contrast between a mark of the first chart and a background that the chart has.
    marks_contrast: f64,
    /// The height of the page before anything is unfolded.
    height: f64,
    /// The lower end of the first chart.
    fold: f64,
    /// Links and summaries that the keyboard does not reach, or without a visible focus.
    unreachable: Vec<String>,
    background: String,
    charts: Vec<Chart>,
}

/// The layout of a chart.
#[derive(Deserialize)]
struct Chart {
    kind: String,
    section: String,
    test: String,
    caption: String,
    race: bool,
    axes: Vec<String>,
    x: Vec<(f64, f64)>,
    y: Vec<(f64, f64)>,
    marks: Vec<Mark>,
}

/// A point, a bound or a bar.
#[derive(Deserialize)]
struct Mark {
    line: String,
    bound: bool,
    x: f64,
    y: f64,
    data: BTreeMap<String, String>,
}

/// A script that measures the layout of a page in an iframe.
const MEASURE: &str = r#"
const round = v => Math.round(v * 100) / 100;
function luminance(c) {
  const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b;
}
function measure(frame) {
  const doc = frame.contentDocument, win = frame.contentWindow, root = doc.documentElement;
  const out = [], overlaps = [], charts = [], unreachable = [];
  const height = doc.body.getBoundingClientRect().bottom;
  const first = [...doc.querySelectorAll('svg.forest')].map(e => e.getBoundingClientRect()).find(r => r.width > 0);
  doc.querySelectorAll('details').forEach(e => { e.open = true; });
  for (const e of doc.querySelectorAll('a,summary')) {
    e.focus();
    if (doc.activeElement != e || e.tabIndex < 0 || win.getComputedStyle(e).outlineStyle == 'none') unreachable.push(e.textContent.slice(0, 60));
  }
  const name = e => e.tagName + ' ' + (e.textContent || '').trim().slice(0, 60);
  for (const e of doc.querySelectorAll('h1,h2,h3,p,li,dt,dd,td,th,figcaption,svg.chart,.badge')) {
    const r = e.getBoundingClientRect();
    if (r.width > 0 && (r.right > root.clientWidth + .6 || r.left < -.6)) out.push(name(e) + ' right ' + r.right);
    if (e.classList.contains('badge') && r.width < 20) out.push(name(e) + ' cannot be seen');
    if (e.tagName == 'TD' && e.scrollWidth > e.clientWidth + 1) out.push(name(e) + ' wider than its cell');
  }
  const ratio = (c, d) => { const [a, b] = [luminance(c), luminance(d)].sort((p, q) => q - p); return (a + .05) / (b + .05); };
  const behind = e => {
    const c = win.getComputedStyle(e).backgroundColor;
    return c != 'rgba(0, 0, 0, 0)' ? c : behind(e.parentElement);
  };
  let contrast = 99, marksContrast = 99;
  for (const e of doc.querySelectorAll('h1,h2,p,dd,dt,td,li,a,small,summary,.badge,svg.chart text,svg.chart tspan,figcaption')) {
    const style = win.getComputedStyle(e), c = e instanceof win.SVGElement ? style.fill : style.color;
    contrast = Math.min(contrast, ratio(c, behind(e)));
  }
  for (const mark of doc.querySelectorAll('svg.forest .mark'))
    for (const ground of doc.querySelectorAll('svg.forest .ground')) {
      const style = win.getComputedStyle(mark), c = mark.classList.contains('bound') ? style.stroke : style.fill;
      marksContrast = Math.min(marksContrast, ratio(c, win.getComputedStyle(ground).fill));
    }
  for (const svg of doc.querySelectorAll('svg.chart')) {
    const box = svg.getBoundingClientRect();
    if (!box.width) continue;
    const texts = [...svg.querySelectorAll('text')].map(t => [t, t.getBoundingClientRect()]);
    texts.forEach(([t, r], i) => {
      if (r.left < box.left - 2 || r.right > box.right + 2 || r.top < box.top - 2 || r.bottom > box.bottom + 2) out.push('text ' + t.textContent);
      for (const [u, s] of texts.slice(i + 1))
        if (r.left < s.right - 1 && s.left < r.right - 1 && r.top < s.bottom - 3 && s.top < r.bottom - 3)
          overlaps.push(t.textContent + ' | ' + u.textContent);
    });
    const centre = (e, axis) => { const r = e.getBoundingClientRect(); return axis == 'x' ? (r.left + r.right) / 2 : (r.top + r.bottom) / 2; };
    const ticks = axis => {
      const g = svg.querySelector('g.' + axis);
      if (!g) return [];
      const lines = [...g.querySelectorAll('line')], labels = [...g.querySelectorAll('text.tick')];
      return labels.map((l, i) => [Number(l.dataset.value), round(centre(lines[i], axis))]);
    };
    const figure = svg.closest('figure'), section = svg.closest('section');
    charts.push({
      kind: svg.classList[1], section: section.id, test: figure.dataset.test || '',
      caption: figure.querySelector('figcaption').textContent, race: figure.querySelector('figcaption').classList.contains('race'),
      axes: [...svg.querySelectorAll('text.axis')].map(t => t.textContent), x: ticks('x'), y: ticks('y'),
      marks: [...svg.querySelectorAll('[data-of]')].map(e => {
        const r = e.getBoundingClientRect(), bar = e.tagName == 'rect', bound = e.classList.contains('none') || e.classList.contains('bound');
        const g = e.closest('g.line');
        return { line: g ? g.dataset.name : '', bound, x: round(bar ? r.right : (r.left + r.right) / 2),
                 y: round(e.classList.contains('loose') ? r.top : (r.top + r.bottom) / 2), data: { ...e.dataset } };
      }),
    });
  }
  return { width: root.clientWidth, scroll: root.scrollWidth, out, overlaps, contrast, marks_contrast: marksContrast, height, fold: first ? first.bottom : 0, unreachable, background: win.getComputedStyle(doc.body).backgroundColor, charts };
}
addEventListener('load', () => { document.getElementById('out').textContent = JSON.stringify(measure(document.getElementById('page'))); });
"#;

/// Lets the browser lay out a page at a width in CSS pixels, and returns its measurements.
fn browse(page: &str, width: u32, dark: bool) -> Seen {
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
        .expect("Chromium is not installed");
    let folder = tempfile::tempdir().unwrap();
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
    let wrapper = format!(
        "<!DOCTYPE html><html><body style=\"margin:0\"><iframe id=\"page\" style=\"width:{width}px;height:2000px;border:0\" \
         srcdoc=\"{escaped}\"></iframe><pre id=\"out\"></pre><script>{MEASURE}</script></body></html>"
    );
    let file = folder.path().join("page.html");
    fs::write(&file, wrapper).unwrap();
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--dump-dom",
        "--virtual-time-budget=10000",
    ]);
    command.arg(format!("--window-size={},2200", width + 100));
    command.arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let output = command.arg(format!("file://{}", file.display())).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let start = dom.rfind("<pre id=\"out\">").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let json = &dom[start + 14..start + dom[start..].find("</pre>").unwrap()];
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_is_cut_or_overlaps_on_a_desk_or_a_telephone_by_day_or_by_night() {
    let text = page(&entries()).unwrap();
    let many = fleet_page(&fleet(40), &Front::default()).unwrap().html;
    let index = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/results/index.html")).unwrap();
    for (page, width, dark) in [(&many, 1280, false), (&many, 400, true), (&index, 1280, true), (&index, 400, false)] {
        let seen = browse(page, width, dark);
        assert!(
            seen.scroll <= seen.width && seen.out.is_empty() && seen.overlaps.is_empty(),
            "{width}: {:?} {:?}",
            seen.out,
            seen.overlaps
        );
        assert!(seen.contrast >= 4.5 && seen.marks_contrast >= 3.0 && seen.unreachable.is_empty(), "{width}");
    }
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        let seen = browse(&text, width, dark);
        assert!((seen.width - f64::from(width)).abs() < 20.0, "{width}: the frame is {} wide", seen.width);
        assert!(seen.scroll <= seen.width, "{width}: {} wide", seen.scroll);
        assert!(seen.out.is_empty(), "{width}: {:#?}", seen.out);
        assert!(seen.overlaps.is_empty(), "{width}: {:#?}", seen.overlaps);
        // WCAG 2 requires 4.5.
        assert!(seen.contrast >= 4.5, "{width}, dark {dark}: contrast {}", seen.contrast);
        // WCAG 2 requires 3 for the parts of graphics.
        assert!(seen.marks_contrast >= 3.0, "{width}, dark {dark}: contrast of marks {}", seen.marks_contrast);
        assert!(seen.unreachable.is_empty(), "{:#?}", seen.unreachable);
        assert_eq!(seen.background == "rgb(255, 255, 255)", !dark, "{}", seen.background);
        assert!(seen.charts.len() > 20);
        for chart in &seen.charts {
            let axes = chart.axes.join(", ");
            let units = match chart.kind.as_str() {
                "lines" if chart.section.ends_with("windows") => vec!["probability", "ns"],
                "lines" if chart.section == "time" => vec!["iterations per second", "cache-line transfers"],
                "lines" => vec!["percentile"],
                "bars" | "forest" => vec!["races per iteration"],
                _ if chart.caption.starts_with("Cache-line transfer") => vec!["CPU", "latency, ns"],
                _ => vec!["P0 on CPU", "races per iteration"],
            };
            assert!(units.iter().all(|unit| axes.contains(unit)), "{} {}: {axes}", chart.test, chart.caption);
        }
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_answer_and_the_chart_are_on_the_first_screen() {
    let (name, text) = shipped();
    let page = page(&[entry(&name.display().to_string(), &run(&text))]).unwrap();
    for (width, dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
        let seen = browse(&page, width, dark);
        assert!(seen.fold > 100.0 && seen.fold <= 800.0, "{width}: the chart ends at {}", seen.fold);
        // The race and its control are side by side. Nothing was seen of the race, so its bounds have an axis of their own, on which
        // they are seen.
        let pair: Vec<&Chart> = seen.charts.iter().filter(|chart| chart.section == "windows").collect();
        assert!(
            pair.len() == 2 && (width < 1280 || pair[0].x[0].1 < pair[1].x[0].1 && pair[0].y[0].1 == pair[1].y[0].1)
        );
        assert!(pair[0].y.last().unwrap().0 < 1e-3 && pair[1].y.last().unwrap().0 > 1e-3, "{:?}", pair[0].y);
        let (base, top) = (pair[0].y[0].1, pair[0].y.last().unwrap().1);
        let highest = pair[0].marks.iter().map(|mark| mark.y).fold(base, f64::min);
        assert!((base - highest) / (base - top) > 0.4, "the bounds end at {highest}, between {base} and {top}");
        let most = if width == 1280 { 3000.0 } else { 6000.0 };
        assert!(seen.height <= most, "{width}: the page is {} high before anything is unfolded", seen.height);
    }
}

/// The position of a value on an axis with these ticks. `project` is the scale of the axis.
fn place(ticks: &[(f64, f64)], value: f64, project: fn(f64) -> f64) -> f64 {
    let [first, last] = [ticks[0], ticks[ticks.len() - 1]];
    let share = (project(value) - project(first.0)) / (project(last.0) - project(first.0));
    first.1 + share * (last.1 - first.1)
}

#[test]
#[ignore = "needs Chromium"]
fn every_point_lies_where_its_counts_belong() {
    let entries = entries();
    let seen = browse(&page(&entries).unwrap(), 1280, false);
    let AnyRecord::Run(record) = &entries[0].record else { panic!() };
    let mut drawn = 0;
    for result in &record.results {
        let chart = (seen.charts.iter())
            .find(|chart| chart.section == "all-windows" && chart.race && chart.test == result.scenario)
            .unwrap_or_else(|| panic!("no window of {}", result.scenario));
        let marks: Vec<&Mark> = chart.marks.iter().filter(|mark| mark.line == "A").collect();
        assert_eq!(marks.len(), result.skews.len(), "{}", result.scenario);
        for (mark, skew) in marks.iter().zip(&result.skews) {
            let what = format!("{} at {} ns", result.scenario, skew.skew_ns);
            assert_eq!(mark.data["seen"], skew.races.to_string(), "{what}");
            assert_eq!(mark.data["of"], skew.iterations.to_string(), "{what}");
            // A zero is drawn as a bound at the upper end of its interval.
            assert_eq!(mark.bound, skew.races == 0, "{what}");
            let interval = wakerace::stats::interval(skew.races, skew.iterations).unwrap();
            let value = if mark.bound { interval.high } else { skew.races as f64 / skew.iterations as f64 };
            // A bound may be above what was seen in the test's other charts. It then ends at the top.
            let value = value.min(chart.y[chart.y.len() - 1].0);
            let (x, y) = (place(&chart.x, skew.skew_ns, |v| v), place(&chart.y, value, |v| v));
            assert!((mark.x - x).abs() < 1.0, "{what}: x is {}, not {x}", mark.x);
            assert!((mark.y - y).abs() < 1.5, "{what}: y is {}, not {y}", mark.y);
            drawn += 1;
        }
        // The first chart has a mark for it, at the rate or at the upper bound.
        let first = seen.charts.iter().find(|chart| chart.section == "chart").expect("the first chart");
        let mark = (first.marks.iter())
            .find(|mark| mark.data["test"] == result.scenario && mark.data["run"] == "A")
            .unwrap_or_else(|| panic!("no mark of {}", result.scenario));
        assert_eq!(mark.data["seen"], result.races.to_string(), "{}", result.scenario);
        assert_eq!(mark.data["of"], result.iterations.to_string(), "{}", result.scenario);
        assert_eq!(mark.bound, result.races == 0, "{}", result.scenario);
        let value = result.rate.filter(|rate| *rate > 0.0).unwrap_or(result.interval.unwrap().high);
        let end = place(&first.x, value, f64::log10);
        assert!((mark.x - end).abs() < 1.5, "{}: the mark is at {}, not {end}", result.scenario, mark.x);
        // Cache-line ownership: a bar for each start of the tests that raced.
        let last_writers =
            seen.charts.iter().find(|chart| chart.section == "last-writers" && chart.test == result.scenario);
        assert_eq!(last_writers.is_some(), result.races > 0, "{}", result.scenario);
        let bars = last_writers.map_or(&[][..], |chart| &chart.marks);
        for start in result.last_writers.iter().filter(|_| result.races > 0) {
            let (raced, of) = (start.races.to_string(), start.iterations.to_string());
            let mark = bars.iter().find(|mark| mark.data["seen"] == raced && mark.data["of"] == of);
            let mark = mark.unwrap_or_else(|| panic!("no bar of {start:?}"));
            let interval = wakerace::stats::interval(start.races, start.iterations).unwrap();
            let value = if mark.bound { interval.high } else { start.rate() };
            let end = place(&last_writers.unwrap().x, value, f64::log10);
            assert!((mark.x - end).abs() < 1.5, "{start:?}: the bar ends at {}, not {end}", mark.x);
        }
    }
    assert!(drawn > 300, "{drawn}");
    // The heat map has a cell for each pair.
    let heat = seen.charts.iter().find(|chart| chart.kind == "heat").expect("a heat map");
    assert_eq!(heat.marks.len(), 66);
    assert!(heat.marks.iter().all(|mark| mark.bound == (mark.data["seen"] == "0")));
}
