//! Writes cache-line transfer latencies between CPUs as a matrix: the lower triangle, as core-to-core-latency prints it.

use std::collections::{BTreeMap, BTreeSet};

use super::chart::{Axis, Cell, Heat};
use crate::machine::Class;
use crate::stats::median;

/// Latencies between pairs of CPUs, in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Latencies {
    /// The higher and the lower CPU of each pair, with the placement class and the latency.
    pairs: BTreeMap<(usize, usize), (Class, f64)>,
    /// The pairs whose measurement was disturbed.
    disturbed: BTreeSet<(usize, usize)>,
}

/// The mark of a disturbed measurement.
pub const DISTURBED_MARK: &str = "*";

/// The columns of a number in the matrix, with the space before it.
const WIDE: usize = 6;

/// A latency in at most five characters, if it is less than 100 µs.
fn in_five(ns: f64) -> String {
    if ns < 999.95 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}

impl Latencies {
    /// Adds the latency of a pair.
    pub fn put(&mut self, cpus: (usize, usize), class: Class, ns: f64) {
        self.pairs.insert((cpus.0.max(cpus.1), cpus.0.min(cpus.1)), (class, ns));
    }

    /// Notes that other load disturbed the measurement of a pair.
    pub fn mark_disturbed(&mut self, cpus: (usize, usize)) {
        self.disturbed.insert((cpus.0.max(cpus.1), cpus.0.min(cpus.1)));
    }

    fn at(&self, a: usize, b: usize) -> Option<f64> {
        self.pairs.get(&(a.max(b), a.min(b))).map(|(_, ns)| *ns)
    }

    /// The CPUs that have a latency, ascending.
    fn cpus(&self) -> Vec<usize> {
        let mut cpus: Vec<usize> = self.pairs.keys().flat_map(|(a, b)| [*a, *b]).collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    /// The heading of the matrix of some CPUs.
    pub fn heading(cpus: &[usize]) -> String {
        let columns = cpus.iter().map(|cpu| format!("{cpu:>WIDE$}"));
        format!("{:>WIDE$}{}", "CPU", columns.collect::<String>())
    }

    /// The row of a CPU: its latencies to the CPUs before it. A pair that was not measured has a hyphen.
    pub fn row(&self, cpu: usize, cpus: &[usize]) -> String {
        let before = cpus.iter().take_while(|other| **other < cpu);
        let marked = |other: usize| self.disturbed.contains(&(cpu.max(other), cpu.min(other)));
        let cell = |other: &usize| match self.at(cpu, *other) {
            None => "-".to_owned(),
            Some(ns) if marked(*other) => format!("{ns:.0}{DISTURBED_MARK}"),
            Some(ns) => in_five(ns),
        };
        // The space keeps numbers apart that are wider than their column.
        let cells = before.map(|other| format!(" {:>1$}", cell(other), WIDE - 1));
        format!("{cpu:>WIDE$}{}", cells.collect::<String>())
    }

    /// The shortest and the longest latency with their CPUs, and the median of each placement class.
    pub fn summary(&self) -> String {
        let mut all: Vec<(f64, String)> = Vec::new();
        let mut classes: BTreeMap<Class, Vec<f64>> = BTreeMap::new();
        for ((high, low), (class, ns)) in &self.pairs {
            classes.entry(*class).or_default().push(*ns);
            all.push((*ns, format!("{ns:.1} ns, CPUs {low},{high}\n")));
        }
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let end = |name: &str, found: Option<&(f64, String)>| {
            found.map_or(String::new(), |(_, words)| format!("  {name}: {words}"))
        };
        let each = classes.into_iter().map(|(class, of_class)| {
            let (pairs, plural) = (of_class.len(), if of_class.len() == 1 { "" } else { "s" });
            format!("  {class}: median {:.1} ns of {pairs} pair{plural}\n", median(of_class))
        });
        let disturbed = match self.disturbed.len() {
            0 => String::new(),
            count => format!(
                "  {DISTURBED_MARK} disturbed: {count} of {} measurements, although each was repeated; other load took these CPUs, so \
                 the latency may be too long. Measure again on a quiet machine.\n",
                self.pairs.len()
            ),
        };
        end("shortest", all.first()) + &end("longest", all.last()) + &each.collect::<String>() + &disturbed
    }

    /// The matrix as CSV without headings: a line and a column for each CPU in ascending order, with values below the
    /// diagonal. Plotters of core-to-core-latency's results read this.
    pub fn csv(&self) -> String {
        let cpus = self.cpus();
        let line = |cpu: &usize| {
            let cell = |other: &usize| if other < cpu { self.at(*cpu, *other) } else { None };
            let cells: Vec<String> =
                cpus.iter().map(|other| cell(other).map_or(String::new(), |ns| format!("{ns:.3}"))).collect();
            cells.join(",") + "\n"
        };
        cpus.iter().map(line).collect()
    }

    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The lowest and the highest latency.
    pub(super) fn ends(&self) -> (f64, f64) {
        let all = || self.pairs.values().map(|(_, ns)| *ns);
        (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max))
    }

    /// The heat map of the latencies, with colours from `low` to `high`. Both directions of a pair have the same colour.
    pub(super) fn heat(&self, (low, high): (f64, f64)) -> String {
        let cells = self.pairs.iter().flat_map(|((a, b), (class, ns))| {
            [(*a, *b), (*b, *a)].map(|(x, y)| Cell {
                x,
                y,
                value: Some(*ns),
                note: format!("CPUs {x} and {y} ({class}): {ns:.1} ns"),
                data: format!(" data-a=\"{x}\" data-b=\"{y}\" data-ns=\"{ns:.3}\""),
            })
        });
        let chart = Heat {
            name: "Cache-line transfer latency between CPUs".to_owned(),
            cells: cells.collect(),
            cpus: self.cpus(),
            across: "CPU →".to_owned(),
            down: "CPU ↓".to_owned(),
            axis: Axis::linear(low.min(high), high, "cache-line transfer latency, ns"),
            tick: |ns| format!("{ns}"),
        };
        chart.svg()
    }

    /// The heat map as a file of its own.
    pub fn svg(&self) -> String {
        super::page::own_file(&self.heat(self.ends()), 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies() -> Latencies {
        let mut found = Latencies::default();
        for (cpus, class, ns) in [((0, 1), Class::Smt, 8.25), ((4, 0), Class::Core, 30.0), ((1, 4), Class::Core, 40.0)]
        {
            found.put(cpus, class, ns);
        }
        found
    }

    #[test]
    fn the_matrix_has_the_lower_triangle() {
        let found = latencies();
        let cpus = found.cpus();
        assert_eq!(cpus, [0, 1, 4]);
        assert_eq!(Latencies::heading(&cpus), "   CPU     0     1     4");
        assert_eq!(found.row(0, &cpus), "     0");
        assert_eq!(found.row(4, &cpus), "     4  30.0  40.0");
        assert_eq!(found.row(4, &[0, 1, 3, 4]), "     4  30.0  40.0     -");
        let mut slow = found.clone();
        slow.put((0, 4), Class::Core, 123_596.0);
        slow.put((1, 4), Class::Core, 1_500.25);
        assert_eq!(slow.row(4, &cpus), "     4 123596  1500");
        assert!(!slow.summary().contains("disturbed"));
        slow.mark_disturbed((1, 4));
        slow.mark_disturbed((0, 4));
        assert_eq!(slow.row(4, &cpus), "     4 123596* 1500*");
        assert!(slow.summary().contains("  * disturbed: 2 of 3 measurements"), "{}", slow.summary());
        assert_eq!(found.csv(), ",,\n8.250,,\n30.000,40.000,\n");
        let summary = found.summary();
        assert_eq!(
            summary,
            "  shortest: 8.2 ns, CPUs 0,1\n  longest: 40.0 ns, CPUs 1,4\n  smt: median 8.2 ns of 1 pair\n  core: median 35.0 ns \
             of 2 pairs\n"
        );
    }

    #[test]
    fn both_directions_of_a_pair_are_drawn() {
        let svg = latencies().svg();
        assert_eq!(svg.matches("class=\"cell\"").count(), 6, "{svg}");
        assert!(svg.contains("data-a=\"4\" data-b=\"0\" data-ns=\"30.000\""));
        assert!(svg.contains("data-a=\"0\" data-b=\"4\" data-ns=\"30.000\""));
        // The longest is darker than the shortest.
        let value = |ns: &str| {
            let line = svg.lines().find(|line| line.contains(&format!("data-ns=\"{ns}\""))).unwrap();
            line.split("--v:").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(value("40.000") > value("30.000") && value("30.000") > value("8.250"));
    }
}
