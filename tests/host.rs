//! What a record says of its host beside its CPUs: names, label, frequencies, conditions; and published rates beside its own.

mod common;

use std::collections::BTreeMap;
use std::fs;

use assert_cmd::assert::OutputAssertExt;
use predicates::prelude::*;
use predicates::str::contains;
use wakerace::expect::{Beside, Published, Standing, beside};
use wakerace::machine::{Conditions, Frequency, Moment};
use wakerace::publish::{self, Publish as _};
use wakerace::record::{self, AnyRecord, Merger, Record};
use wakerace::stats::interval;

use common::small::{self, another};
use common::{page, wakerace};

const LABEL: &str = "rack 3, <b>water</b> | cooled";

/// The small record on a machine with names, a label, cpufreq and conditions.
fn named() -> Record {
    let mut record = small::run();
    let host = &mut record.host;
    host.names.product = Some("Amazon EC2 c7g.large".to_owned());
    host.names.cloud = Some("Amazon EC2".to_owned());
    host.names.soc = Some("jep106:036b 0001".to_owned());
    host.label = Some(LABEL.to_owned());
    host.frequencies = vec![Frequency {
        cpus: "0-3".to_owned(),
        driver: "cppc_cpufreq".to_owned(),
        governor: "ondemand".to_owned(),
        min_khz: 1_000_000,
        max_khz: 2_600_000,
    }];
    host.mitigations = BTreeMap::from([("spec_store_bypass".to_owned(), "Mitigation: via prctl".to_owned())]);
    let moment = |steal_s, throttled| Moment { mhz: Some(2600.0), celsius: Some(61.5), throttled, steal_s };
    record.conditions = Some(Conditions { before: moment(Some(100.0), Some(7)), after: moment(Some(101.55), Some(9)) });
    assert_eq!(record::problems(&record), Vec::<String>::new());
    record
}

#[test]
fn names_and_label_are_shown_everywhere_as_text() {
    let record = named();
    let title = "x86_64 Example 9000, Amazon EC2 c7g.large, jep106:036b 0001, 4 CPUs, Linux 6.18.0, labelled \"rack 3,";
    assert!(record.table().starts_with(title), "{}", record.table());
    assert!(record.markdown().contains(r"\<b>water\</b> \| cooled"), "{}", record.markdown());
    let html = page(&record);
    assert!(html.contains("rack 3, &lt;b&gt;water&lt;") && !html.contains("<b>water"));
    for fact in
        ["c7g.large", "1000 to 2600 MHz (cppc_cpufreq, ondemand)", "Mitigation: via prctl", "spacing of variables"]
    {
        assert!(html.contains(fact), "{fact}");
    }
    let csv = record.csv().unwrap();
    assert!(csv.lines().next().unwrap().ends_with(",machine,label"), "{csv}");
    assert!(
        csv.lines()
            .nth(1)
            .unwrap()
            .ends_with("\"Amazon EC2 c7g.large, jep106:036b 0001\",\"rack 3, <b>water</b> | cooled\"")
    );
    // A record without them shows none.
    let plain = small::run();
    assert!(plain.table().starts_with("x86_64 Example 9000, 4 CPUs, Linux 6.18.0\n"), "{}", plain.table());
    assert!(!page(&plain).contains("labelled") && !page(&plain).contains("instance type"));
    // What another program wrote into a label cannot move the cursor.
    let mut evil = record;
    evil.host.label = Some("a\u{1b}[2Jb".to_owned());
    assert!(evil.table().contains(r"a\u{1b}[2Jb") && !page(&evil).contains('\u{1b}'));
    assert!(record::problems(&evil).join("\n").contains(r"host.label: has the control character \u{1b}"));
}

#[test]
fn what_disturbed_a_run_is_said() {
    let record = named();
    // 1.55 s of 7.75 s on four CPUs.
    let said = record.summary();
    assert!(said.contains("The hypervisor took 5.00 % of this machine's CPU time during the run (steal)."), "{said}");
    assert!(said.contains("their counts rose by 2."), "{said}");
    let mut quiet = record.clone();
    quiet.conditions.as_mut().unwrap().after.steal_s = Some(100.3);
    quiet.conditions.as_mut().unwrap().after.throttled = Some(7);
    assert!(!quiet.summary().contains("steal") && !quiet.summary().contains("throttled"));
    assert!(!small::run().summary().contains("steal"));
    let mut merger = Merger::new("a.json", record.clone()).unwrap();
    merger.add("b.json", another(record)).unwrap();
    let sum = merger.finish();
    assert_eq!((sum.conditions, sum.parts.len()), (None, 2));
    assert_eq!(sum.parts[1].host.label.as_deref(), Some(LABEL));
}

#[test]
fn impossible_conditions_are_problems() {
    let problem = |change: fn(&mut Record)| {
        let mut record = named();
        change(&mut record);
        record::problems(&record).join("\n")
    };
    fn after(record: &mut Record) -> &mut Moment {
        &mut record.conditions.as_mut().unwrap().after
    }
    assert!(problem(|record| after(record).celsius = Some(1000.0)).starts_with("conditions.after.celsius: is 1000.0"));
    assert!(problem(|record| after(record).mhz = Some(-1.0)).starts_with("conditions.after.mhz: is -1.0"));
    assert!(problem(|record| after(record).steal_s = Some(f64::NAN)).starts_with("conditions.after.steal_s: is NaN"));
    assert!(
        problem(|record| record.host.frequencies[0].max_khz = 5).contains("host.frequencies[0].min_khz: is 1000000")
    );
    assert!(
        problem(|record| record.host.frequencies[0].cpus = "x".to_owned())
            .contains("host.frequencies[0].cpus: 'x' is not")
    );
    assert!(problem(|record| record.host.label = Some(String::new())).contains("host.label: is empty"));
}

#[test]
fn a_label_is_given_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = |label: &str, more: &[&str]| {
        let options =
            ["run", "SB", "-n", "1000", "--no-controls", "--oversubscribe", "-q", "--no-save", "--label", label];
        wakerace().current_dir(folder.path()).args(options).args(more).assert()
    };
    run("rack 3", &["--export-json", "r.json"]).success().stdout(contains("labelled \"rack 3\""));
    let AnyRecord::Run(record) = record::read_valid(&folder.path().join("r.json")).unwrap() else { panic!("a run") };
    assert_eq!(record.host.label.as_deref(), Some("rack 3"));
    let Some(Conditions { before, after }) = &record.conditions else { panic!("no conditions") };
    assert!(before.steal_s <= after.steal_s, "{before:?} {after:?}");
    run("a\u{1b}[31m", &[]).code(2).stderr(contains("--label").and(contains(r"\u{1b}")));
    run("", &[]).code(2).stderr(contains("is empty; expected one line of text"));
    wakerace()
        .current_dir(folder.path())
        .args(["compare", "r.json", "r.json"])
        .assert()
        .success()
        .stdout(contains("labelled \"rack 3\""));
    let protocol = [
        "protocol",
        "-d",
        "50ms",
        "--profile",
        "v7.2",
        "-q",
        "--no-save",
        "--export-json",
        "p.json",
        "--label",
        "rack 3",
    ];
    wakerace().current_dir(folder.path()).args(protocol).assert().success();
    let record = record::read_valid(&folder.path().join("p.json")).unwrap();
    assert_eq!(record.host().label.as_deref(), Some("rack 3"));
}

/// A record of an arm64 host with these kinds of core, whose results have these races and iterations.
fn arm64(cores: &[(&str, &str)], results: &[(&str, u64, u64)]) -> Record {
    let mut record = small::run();
    record.host.architecture = "aarch64".to_owned();
    record.host.core_types = cores.iter().map(|(name, cpus)| ((*name).to_owned(), (*cpus).to_owned())).collect();
    let first = record.results[0].clone();
    record.results = (results.iter())
        .map(|&(scenario, races, iterations)| {
            let mut result = first.clone();
            result.scenario = scenario.to_owned();
            (result.races, result.iterations) = (races, iterations);
            result.rate = Some(races as f64 / iterations as f64);
            result.interval = interval(races, iterations);
            result
        })
        .collect();
    record
}

fn standings(record: &Record) -> Vec<(String, Standing, usize, bool)> {
    let published = Published::known();
    let of = |beside: &Beside<'_>| {
        (beside.result.scenario.clone(), beside.standing(), beside.published.len(), beside.same_cores)
    };
    beside(&published, record).iter().map(of).collect()
}

#[test]
fn a_rate_is_set_beside_that_of_the_same_core() {
    let line = |name: &str, standing, hosts, same| (name.to_owned(), standing, hosts, same);
    // On Neoverse-N1, MP was seen in 18.1 % of the iterations, so 0.1 % is within what harnesses differ by, and 1e-5 is not.
    let graviton =
        |seen| arm64(&[("Neoverse-N1", "0-3")], &[("MP", seen, 10_000_000), ("S02-wmb", 0, 1000), ("S12-heal", 1, 2)]);
    let forbidden = line("S02-wmb", Standing::Forbidden, 1, true);
    assert_eq!(standings(&graviton(30_000)), [line("MP", Standing::Usual, 1, true), forbidden.clone()]);
    assert_eq!(standings(&graviton(100)), [line("MP", Standing::FarBelow, 1, true), forbidden]);
    // The interval decides, and not the rate: a rate whose interval reaches the bound is not far below.
    let few = |seen, of| standings(&arm64(&[("Neoverse-N1", "0-3")], &[("MP", seen, of)]))[0].1;
    assert_eq!(few(0, 1000), Standing::TooFew);
    assert_eq!(few(0, 100_000), Standing::FarBelow);
    assert_eq!((few(1, 1000), few(1, 100_000)), (Standing::Usual, Standing::FarBelow));
    // A core of which nothing is published stands beside all of them, and the lowest rate counts: 0.66 % of Cortex-A53.
    let other = |seen| arm64(&[("Neoverse-V2", "0-3")], &[("MP", seen, 10_000_000)]);
    assert_eq!(standings(&other(1000)), [line("MP", Standing::Usual, 3, false)]);
    assert_eq!(standings(&other(100)), [line("MP", Standing::FarBelow, 3, false)]);
    // On several kinds of core, those that the test ran on count.
    let mut board = arm64(&[("Cortex-A53", "0-1"), ("Cortex-A72", "2-3")], &[("MP", 1000, 10_000_000); 3]);
    for (result, kinds) in
        board.results.iter_mut().zip([["Cortex-A53"; 2], ["Cortex-A72"; 2], ["Cortex-A53", "Cortex-A72"]])
    {
        result.placement.kinds = kinds.map(str::to_owned).to_vec();
    }
    let wanted = [(Standing::Usual, 1, true), (Standing::FarBelow, 1, true), (Standing::Usual, 3, false)];
    assert_eq!(standings(&board), wanted.map(|(standing, hosts, same)| line("MP", standing, hosts, same)));
}

#[test]
fn it_is_said_if_something_holds_the_harness_back() {
    let said = |record: &Record| publish::expectations(&Published::known(), record, None);
    let held = "Your harness sees less than published: something holds it back. ";
    let n1 = &[("Neoverse-N1", "0-3")];
    let below = said(&arm64(n1, &[("SB", 3_000_000, 10_000_000), ("MP", 3, 10_000_000)]));
    assert!(below.contains(&format!("{held}MP: more than 100 times rarer here")), "{below}");
    let row = below.lines().find(|line| line.trim_start().starts_with("MP ")).unwrap();
    assert!(row.contains("18.1 % Graviton2 (Neoverse-N1)") && row.ends_with("FAR BELOW"), "{row}");
    assert!(below.contains("published: https://github.com/rems-project/system-litmus-harness"), "{below}");
    // One placement that sees enough clears the harness.
    let both = said(&arm64(n1, &[("MP", 3, 10_000_000), ("MP", 3_000_000, 10_000_000)]));
    assert!(!both.contains(held) && both.contains("FAR BELOW"), "{both}");
    let good = said(&arm64(n1, &[("MP", 3_000_000, 10_000_000)]));
    assert!(good.contains("No rate here is far below the published ones."), "{good}");
    let few = said(&arm64(n1, &[("MP", 0, 100)]));
    assert!(few.contains("MP: not seen, in too few iterations") && !few.contains("No rate here"), "{few}");
    let other = said(&arm64(&[("Neoverse-V2", "0-3")], &[("MP", 3, 10_000_000)]));
    assert!(other.contains(held) && other.contains("No rate is published for Neoverse-V2"), "{other}");
    let mut emulated = arm64(n1, &[("MP", 3, 10_000_000)]);
    emulated.host.emulated = true;
    let emulated = said(&emulated);
    assert!(!emulated.contains(held) && emulated.contains("from an emulator"), "{emulated}");
    let none = said(&arm64(n1, &[("S12-heal", 1, 2)]));
    assert!(none.contains("none of the tests with published rates; run `wakerace run MP S01-core"), "{none}");
}

#[test]
fn errata_are_matched_with_the_cores() {
    let said =
        |core: &str| publish::expectations(&Published::known(), &arm64(&[(core, "0-3")], &[("MP", 1, 10)]), None);
    let a53 = said("Cortex-A53");
    let line = a53.lines().find(|line| line.contains("855830")).unwrap();
    assert!(line.contains("This host has Cortex-A53.") && line.contains("no scenario has this shape"), "{line}");
    assert!(!a53.contains("This host has Cortex-A55"), "{a53}");
    assert!(said("Cortex-A55").contains("This host has Cortex-A55."));
    let load_load = a53.lines().find(|line| line.contains("761319, Cortex-A9")).unwrap();
    assert!(load_load.contains("the scenario CoRR has this shape: `wakerace run CoRR`"), "{load_load}");
}

#[test]
fn expect_reads_a_record_and_says_where_nothing_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x86.json");
    fs::write(&path, serde_json::to_string(&small::run()).unwrap()).unwrap();
    let expect = |args: &[&str]| wakerace().current_dir(folder.path()).arg("expect").args(args).assert();
    let nothing = contains("No published rate fits x86_64: docs/rates.md has rates of arm64 cores only.");
    expect(&["x86.json"]).success().stdout(nothing.and(contains("855830, Cortex-A53")));
    fs::write(folder.path().join("p.json"), serde_json::to_string(&small::protocol()).unwrap()).unwrap();
    expect(&["p.json"]).code(2).stderr(contains("p.json: a record of `wakerace protocol`"));
    expect(&["absent.json"]).code(2).stderr(contains("absent.json"));
    expect(&["x86.json", "-d", "1s"]).code(2).stderr(contains("cannot be used with"));
    let published = Published::known().scenarios(std::env::consts::ARCH).len();
    if published == 0 {
        expect(&[]).success().stdout(contains("No published rate fits"));
    } else {
        expect(&["-d", "20ms", "--no-save"]).success().stdout(contains("Published errata"));
    }
    assert!(!folder.path().join("results").exists());
}
