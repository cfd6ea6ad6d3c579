//! Cycles of relaxations: whether the edges fit each other, which rotation is the one that diy7 prints, and the name.

use super::edge::{Dir, Edge, Kind, Mark};
use super::language::Language;
use super::plan::needs_overlap;

/// A cycle whose edges fit each other, in its canonical rotation: the last edge leads from the last thread to the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Cycle {
    edges: Vec<Edge>,
}

impl Cycle {
    /// Checks the edges and rotates them.
    ///
    /// # Errors
    /// What does not fit.
    pub fn new(language: &Language, edges: &[Edge]) -> Result<Cycle, String> {
        let edges = marked(language, edges)?;
        check(language, &edges)?;
        let first = starts(&edges).min_by_key(|start| key(&edges, *start));
        let Some(first) = first else { return Err("no edge leads from one thread to another".to_owned()) };
        Ok(Cycle { edges: rotated(&edges, first).copied().collect() })
    }

    /// The cycle of edges that begin with a thread, if they fit each other and this is their canonical rotation.
    pub fn canonical(language: &Language, edges: &[Edge]) -> Option<Cycle> {
        let edges = marked(language, edges).ok()?;
        check(language, &edges).ok()?;
        let own = key(&edges, 0);
        let is_first = starts(&edges).all(|start| key(&edges, start) >= own);
        is_first.then_some(Cycle { edges })
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// As diy7 writes it: `PodWW Rfe DpAddrdR Fre`.
    pub fn text(&self, language: &Language) -> String {
        self.edges.iter().map(|edge| edge.text(language)).collect::<Vec<_>>().join(" ")
    }

    /// The communications between the threads: `Rf Fr`.
    pub fn communications(&self) -> String {
        let external = self.edges.iter().filter_map(|edge| match edge.kind {
            Kind::Com(com, _) if edge.is_external() => Some(format!("{com:?}")),
            _ => None,
        });
        external.collect::<Vec<_>>().join(" ")
    }

    /// The edges inside of each thread.
    fn threads(&self) -> impl Iterator<Item = &[Edge]> {
        self.edges.split_inclusive(Edge::is_external).map(|edges| &edges[..edges.len() - 1])
    }

    /// The name that diy7 gives the test: a family such as `MP`, and what distinguishes the test in it.
    pub fn name(&self, language: &Language) -> String {
        let one_location = !self.edges.iter().any(Edge::changes_location);
        let family = family(&self.points(), one_location);
        let isolated = self.isolated(language);
        let parts: Vec<String> =
            self.threads().filter(|edges| !edges.is_empty()).map(|edges| part(language, edges)).collect();
        let same = parts.iter().all(|part| *part == parts[0]);
        let mut names = match parts.as_slice() {
            [one] if one == "po" || one == "pos" => Vec::new(),
            [one, ..] if same && one == "po" => Vec::new(),
            [one, _, ..] if same => vec![format!("{one}s")],
            _ => parts,
        };
        names.extend(isolated);
        std::iter::once(family).chain(names).collect::<Vec<_>>().join("+")
    }

    /// For each thread, its first access and, if it is another one, its last.
    fn points(&self) -> Vec<Point> {
        points(&self.edges)
    }

    /// The annotations of the threads with one access, if one of them has any.
    fn isolated(&self, language: &Language) -> Option<String> {
        let mut alone = Vec::new();
        for (at, edge) in self.edges.iter().enumerate() {
            let before = (at + self.edges.len() - 1) % self.edges.len();
            if edge.is_external() && self.edges[before].is_external() {
                alone.push(edge.marks[0].unwrap_or_default());
            }
        }
        let marked = language.always_marked || alone.iter().any(|mark| *mark != Mark::default());
        (marked && !alone.is_empty()).then(|| alone.iter().map(|mark| mark.text(language)).collect())
    }
}

/// The part of a name for a thread.
fn part(language: &Language, edges: &[Edge]) -> String {
    let is_open = |kind: Kind| matches!(kind, Kind::Po(_) | Kind::Fence(..));
    let name = |(at, edge): (usize, &Edge)| {
        let target_is_open = is_open(edge.kind) || matches!(edge.kind, Kind::Dep(..));
        let next_is_open = edges.get(at + 1).is_some_and(|next| is_open(next.kind));
        edge.name(language, target_is_open && next_is_open)
    };
    edges.iter().enumerate().map(name).collect::<Vec<_>>().join("-")
}

/// Gives both edges at an access the annotation that one of them has.
fn marked(language: &Language, edges: &[Edge]) -> Result<Vec<Edge>, String> {
    let mut out = edges.to_vec();
    // A read-modify-write has one size.
    for at in 0..out.len() {
        let size = |mark: Option<Mark>| mark.and_then(|mark| mark.size);
        if matches!(out[at].kind, Kind::Rmw(_)) {
            let count = out.len();
            let [before, after] = out[at].marks;
            let given = size(before).or(size(after)).or(size(out[(at + count - 1) % count].marks[1]));
            if let Some(given) = given.or(size(out[(at + 1) % count].marks[0])) {
                let with = |mark: Option<Mark>| Some(Mark { size: Some(given), ..mark.unwrap_or_default() });
                out[at].marks = [with(before), with(after)];
            }
        }
    }
    for at in 0..out.len() {
        let before = (at + out.len() - 1) % out.len();
        let mark = match (out[before].marks[1], out[at].marks[0]) {
            (Some(left), Some(right)) if left != right => merged(left, right).ok_or_else(|| {
                let [left, right] = [&edges[before], &edges[at]].map(|edge| edge.text(language));
                format!("{left} and {right} give the access between them different annotations")
            })?,
            (left, right) => left.or(right).unwrap_or_default(),
        };
        if !language.takes(mark, out[at].src) {
            let (mark, edge) = (mark.text(language), edges[at].text(language));
            let what = if out[at].src == Dir::R { "a read" } else { "a write" };
            return Err(format!("{what} cannot have the annotation {mark} ({edge})"));
        }
        out[before].marks[1] = Some(mark);
        out[at].marks[0] = Some(mark);
    }
    Ok(out)
}

/// An ordering from one side and a size from the other.
fn merged(left: Mark, right: Mark) -> Option<Mark> {
    let order = match (left.order, right.order) {
        (a, b) if a == b => a,
        (0, b) if left.size.is_some() => b,
        (a, 0) if right.size.is_some() => a,
        _ => return None,
    };
    match (left.size, right.size) {
        (Some(a), Some(b)) if a != b => None,
        (a, b) => Some(Mark { order, size: a.or(b) }),
    }
}

fn check(language: &Language, edges: &[Edge]) -> Result<(), String> {
    if edges.len() < 2 {
        return Err("a cycle has at least two edges".to_owned());
    }
    for (at, edge) in edges.iter().enumerate() {
        let next = &edges[(at + 1) % edges.len()];
        if edge.dst != next.src {
            let kind = |dir| if dir == Dir::R { "a read" } else { "a write" };
            return Err(format!(
                "{} ends in {}, and {} begins with {}",
                edge.text(language),
                kind(edge.dst),
                next.text(language),
                kind(next.src)
            ));
        }
        let sizes = edge.marks.map(|mark| mark.unwrap_or_default().size.unwrap_or(super::edge::Size::WORD));
        let disjoint = needs_overlap(edge.kind) && !sizes[0].overlaps(sizes[1]);
        let unequal = matches!(edge.kind, Kind::Rmw(_)) && sizes[0] != sizes[1];
        if disjoint || unequal {
            let what = if unequal { "have different sizes" } else { "have no byte in common" };
            return Err(format!("the accesses of {} {what}", edge.text(language)));
        }
    }
    let (mut external, mut changes, mut inside) = (0, 0, false);
    for edge in edges {
        external += usize::from(edge.is_external());
        changes += usize::from(edge.changes_location());
        inside |= !matches!(edge.kind, Kind::Com(..));
    }
    match (external, changes) {
        (0, _) => Err("no edge leads from one thread to another (Rfe, Fre or Coe)".to_owned()),
        (_, 1) => Err("one edge alone cannot lead to another location; the others lead back to the same".to_owned()),
        (1, 2..) => Err("one edge alone cannot lead to another thread; add a second of Rfe, Fre and Coe".to_owned()),
        _ if !inside => Err("no edge stands inside a thread".to_owned()),
        _ => Ok(()),
    }
}

fn rotated(edges: &[Edge], start: usize) -> impl Iterator<Item = &Edge> {
    edges[start..].iter().chain(&edges[..start])
}

/// The places where a thread begins.
fn starts(edges: &[Edge]) -> impl Iterator<Item = usize> {
    let begins = |at: &usize| edges[(at + edges.len() - 1) % edges.len()].is_external();
    (0..edges.len()).filter(begins)
}

/// A thread as its neighbours see it. The order is that of diy7's names: `W` before `WW`, `RR`, `RW`, `WR` and `R`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    W,
    WW,
    RR,
    RW,
    WR,
    R,
}

/// The threads' first and last accesses.
fn points(edges: &[Edge]) -> Vec<Point> {
    let of = |thread: &[Edge]| match (thread.len(), thread[0].src, thread[thread.len() - 1].src) {
        (1, Dir::R, _) => Point::R,
        (1, Dir::W, _) => Point::W,
        (_, Dir::R, Dir::R) => Point::RR,
        (_, Dir::R, Dir::W) => Point::RW,
        (_, Dir::W, Dir::R) => Point::WR,
        (_, Dir::W, Dir::W) => Point::WW,
    };
    edges.split_inclusive(Edge::is_external).map(of).collect()
}

/// What makes one rotation come before another: the threads' points, then few edges in the first thread, then the edges.
fn key(edges: &[Edge], start: usize) -> (Vec<Point>, usize, Vec<Edge>) {
    let turned: Vec<Edge> = rotated(edges, start).copied().collect();
    let inside = turned.iter().take_while(|edge| !edge.is_external()).count();
    (points(&turned), inside, turned)
}

/// The families of one location that have a name of their own, by their points.
const ONE_LOCATION: [(&str, &str); 6] =
    [("WW", "CoWW"), ("RW", "CoRW1"), ("W+RW", "CoRW2"), ("W+WR", "CoWR"), ("W+RR", "CoRR"), ("WR", "CoWR0")];
/// The families of several locations that have a name of their own, by their points.
const FAMILIES: [(&str, &str); 30] = [
    ("WW+RR", "MP"),
    ("WR+WR", "SB"),
    ("RW+RW", "LB"),
    ("WW+WR", "R"),
    ("WW+RW", "S"),
    ("WW+WW", "2+2W"),
    ("W+RW+RR", "WRC"),
    ("W+RR+WR", "RWC"),
    ("W+RW+WR", "WRW+WR"),
    ("W+RR+WW", "WRR+2W"),
    ("W+RW+RW", "WWC"),
    ("W+RW+WW", "WRW+2W"),
    ("WW+RR+WR", "W+RWC"),
    ("WW+RW+RR", "ISA2"),
    ("WR+WR+WR", "3.SB"),
    ("RW+RW+RW", "3.LB"),
    ("WW+WW+WW", "3.2W"),
    ("WR+WR+WR+WR", "4.SB"),
    ("RW+RW+RW+RW", "4.LB"),
    ("WW+WW+WW+WW", "4.2W"),
    ("W+RR+W+RR", "IRIW"),
    ("W+RR+W+RW", "IRRWIW"),
    ("W+RW+W+RR", "IRRWIW"),
    ("W+RW+W+RW", "IRWIW"),
    ("WW+RW+WR", "Z6.0"),
    ("WW+WW+RW", "Z6.1"),
    ("WW+RW+RW", "Z6.2"),
    ("WW+WW+RR", "Z6.3"),
    ("WW+WR+WR", "Z6.4"),
    ("WW+WW+WR", "Z6.5"),
];

/// The cycle of program order between different locations that has this name: `Rfe PodRR Fre Rfe PodRR Fre` for `IRIW`. `None` if
/// no family of several locations has the name.
pub(super) fn plain(name: &str) -> Option<String> {
    let (points, _) = FAMILIES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name))?;
    let threads: Vec<&str> = points.split('+').collect();
    let next = threads.iter().cycle().skip(1);
    let edges = threads.iter().zip(next).flat_map(|(thread, next)| {
        let inside = (thread.len() > 1).then(|| format!("Pod{thread}"));
        let outside = match (&thread[thread.len() - 1..], &next[..1]) {
            ("W", "R") => "Rfe",
            ("R", _) => "Fre",
            _ => "Coe",
        };
        inside.into_iter().chain([outside.to_owned()])
    });
    Some(edges.collect::<Vec<_>>().join(" "))
}

/// The name of a family. Families without a name of their own are named after the points.
fn family(points: &[Point], one_location: bool) -> String {
    let key = points.iter().map(|point| format!("{point:?}")).collect::<Vec<_>>().join("+");
    let known = ONE_LOCATION.iter().filter(|_| one_location).chain(&FAMILIES).find(|(points, _)| *points == key);
    known.map_or(key.clone(), |(_, name)| (*name).to_owned())
}
