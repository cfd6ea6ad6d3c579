//! Relaxations: the edges of a cycle, with the names that diy7 gives them.

use super::language::{Language, Targets};

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dir {
    R,
    W,
}

impl Dir {
    pub const ALL: [Dir; 2] = [Dir::R, Dir::W];

    pub const fn letter(self) -> char {
        match self {
            Dir::R => 'R',
            Dir::W => 'W',
        }
    }
}

/// A communication between two accesses to a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Com {
    /// The read reads from the write.
    Rf,
    /// The read reads from a write before this write.
    Fr,
    /// The write comes before the other in coherence order.
    Co,
}

/// Whether a communication stays inside a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Side {
    Int,
    Ext,
}

/// Whether two accesses of a thread are to the same location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Loc {
    Diff,
    Same,
}

/// What an edge is. The numbers are places in the tables of the [`Language`]. The order is the one in which diy7
/// prefers the edges when it chooses the first thread of a symmetric cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Fence(usize, Loc),
    Dep(usize, Loc),
    Com(Com, Side),
    Po(Loc),
    /// The read and the write of one read-modify-write.
    Rmw(usize),
}

/// Which bytes of its location an access covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Size {
    /// 1, 2, 4 or 8.
    pub bytes: usize,
    /// A multiple of `bytes`.
    pub offset: usize,
}

impl Size {
    pub const WORD: Size = Size { bytes: 4, offset: 0 };

    /// The letter that diy7 has for the number of bytes.
    const fn letter(self) -> char {
        match self.bytes {
            1 => 'b',
            2 => 'h',
            4 => 'w',
            _ => 'q',
        }
    }

    pub fn text(self) -> String {
        format!("{}{}", self.letter(), self.offset)
    }

    pub const fn overlaps(self, other: Size) -> bool {
        self.offset < other.offset + other.bytes && other.offset < self.offset + self.bytes
    }
}

/// The annotation of an access: its ordering, and its size if the test has mixed sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    /// A place in [`Language::marks`]; 0 is the one that an access without an annotation has.
    pub order: usize,
    pub size: Option<Size>,
}

impl Mark {
    /// As diy7 writes it: `L`, `h2`, `L.h2`, and `P` for none.
    pub fn text(self, language: &Language) -> String {
        let order = language.marks[self.order].name;
        match self.size {
            None => order.to_owned(),
            Some(size) if self.order == 0 => size.text(),
            Some(size) => format!("{order}.{}", size.text()),
        }
    }
}

/// An edge of a cycle, from one access to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Edge {
    pub kind: Kind,
    pub src: Dir,
    pub dst: Dir,
    /// The annotations of the two accesses; `None` leaves them to the edges beside.
    pub marks: [Option<Mark>; 2],
}

impl Edge {
    pub const fn new(kind: Kind, src: Dir, dst: Dir) -> Edge {
        Edge { kind, src, dst, marks: [None; 2] }
    }

    pub const fn is_external(&self) -> bool {
        matches!(self.kind, Kind::Com(_, Side::Ext))
    }

    /// Whether the two accesses are to different locations.
    pub const fn changes_location(&self) -> bool {
        matches!(self.kind, Kind::Fence(_, Loc::Diff) | Kind::Dep(_, Loc::Diff) | Kind::Po(Loc::Diff))
    }

    /// The edge without its annotations, as diy7 writes it: `Rfe`, `PodWR`, `DpAddrdR`, `DMB.SYsRW`.
    fn base(&self, language: &Language) -> String {
        let loc = |loc| if loc == Loc::Same { 's' } else { 'd' };
        let (src, dst) = (self.src.letter(), self.dst.letter());
        match self.kind {
            Kind::Com(com, side) => format!("{com:?}{}", if side == Side::Int { 'i' } else { 'e' }),
            Kind::Po(at) => format!("Po{}{src}{dst}", loc(at)),
            Kind::Fence(fence, at) => format!("{}{}{src}{dst}", language.fences[fence].name, loc(at)),
            Kind::Dep(dep, at) => format!("Dp{}{}{dst}", language.deps[dep].name, loc(at)),
            Kind::Rmw(rmw) => language.rmws[rmw].name.to_owned(),
        }
    }

    /// The annotations behind the name of an edge: nothing if neither access has one.
    fn marks_text(&self, language: &Language) -> String {
        let marks = self.marks.map(Option::unwrap_or_default);
        if !language.always_marked && marks == [Mark::default(); 2] {
            return String::new();
        }
        marks.map(|mark| mark.text(language)).concat()
    }

    /// As diy7 writes it: `PodWWPL`, `RfeLA`, `Amo.SwpAL`.
    pub fn text(&self, language: &Language) -> String {
        self.base(language) + &self.marks_text(language)
    }

    /// The edge's part of a test's name: `po`, `addr`, `dmb.sy`, `popl`. `target` adds the direction of the second access
    /// where the next edge leaves it open.
    pub fn name(&self, language: &Language, target: bool) -> String {
        let same = |loc| if loc == Loc::Same { "s" } else { "" };
        let name = match self.kind {
            Kind::Com(..) => self.base(language),
            Kind::Po(loc) => format!("po{}", same(loc)),
            Kind::Fence(fence, loc) => format!("{}{}", language.fences[fence].name, same(loc)),
            Kind::Dep(dep, loc) => format!("{}{}", language.deps[dep].name, same(loc)),
            Kind::Rmw(rmw) => language.rmws[rmw].short.to_owned(),
        };
        let target = if target { self.dst.letter().to_string() } else { String::new() };
        format!("{}{target}{}", name.to_lowercase(), self.marks_text(language).to_lowercase())
    }
}

/// A word of a list of relaxations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// The edges that it may stand for: one, or several with `*`.
    Edges(Vec<Edge>),
    /// An annotation by itself, for the access where it stands.
    Mark(Mark),
}

/// All names of a language's edges.
pub(super) struct Vocabulary<'l> {
    language: &'l Language,
    /// The longest first, because some names begin with others.
    names: Vec<(String, Edge)>,
}

impl Vocabulary<'_> {
    pub fn new(language: &Language) -> Vocabulary<'_> {
        let mut names: Vec<(String, Edge)> =
            edges(language).into_iter().map(|edge| (edge.base(language), edge)).collect();
        let other = |name: &str, kind, src, dst| (name.to_owned(), Edge::new(kind, src, dst));
        names.push(other("Wse", Kind::Com(Com::Co, Side::Ext), Dir::W, Dir::W));
        names.push(other("Wsi", Kind::Com(Com::Co, Side::Int), Dir::W, Dir::W));
        for (letter, loc) in [('d', Loc::Diff), ('s', Loc::Same)] {
            for (src, dst) in pairs() {
                let name = format!("Fence{letter}{}{}", src.letter(), dst.letter());
                names.push((name, Edge::new(Kind::Fence(language.strong, loc), src, dst)));
            }
        }
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Vocabulary { language, names }
    }

    /// The names of all edges, in the order of the language's tables.
    pub fn list(language: &Language) -> Vec<String> {
        edges(language).iter().map(|edge| edge.base(language)).collect()
    }

    /// Reads a word.
    ///
    /// # Errors
    /// A reason that names the word.
    pub fn word(&self, word: &str) -> Result<Word, String> {
        if let Some(mark) = self.mark(word).find_map(|(mark, rest)| rest.is_empty().then_some(mark)) {
            return Ok(Word::Mark(mark));
        }
        let all_dependencies = [("Dpd", Loc::Diff), ("Dps", Loc::Same)];
        if let Some((loc, target)) = all_dependencies
            .iter()
            .find_map(|(name, loc)| word.strip_prefix(name).map(|rest| (*loc, rest)))
            .filter(|(_, rest)| matches!(*rest, "R" | "W" | "*"))
        {
            let fits = |edge: &Edge| {
                matches!(edge.kind, Kind::Dep(_, at) if at == loc)
                    && (target == "*" || target == edge.dst.letter().to_string())
            };
            return Ok(Word::Edges(edges(self.language).into_iter().filter(fits).collect()));
        }
        let spellings = starred(word);
        let edges: Vec<Edge> = spellings.iter().filter_map(|word| self.edge(word)).collect();
        if edges.is_empty() { Err(self.unknown(word)) } else { Ok(Word::Edges(edges)) }
    }

    fn edge(&self, word: &str) -> Option<Edge> {
        self.names.iter().find_map(|(name, edge)| {
            let rest = word.strip_prefix(name.as_str())?;
            if rest.is_empty() {
                return Some(*edge);
            }
            let (before, after) = self.marks(rest, edge)?;
            Some(Edge { marks: [Some(before), Some(after)], ..*edge })
        })
    }

    /// Two annotations that fit the accesses of an edge.
    fn marks(&self, text: &str, edge: &Edge) -> Option<(Mark, Mark)> {
        let fits = |mark: Mark, dir| self.language.takes(mark, dir);
        self.mark(text).filter(|(mark, _)| fits(*mark, edge.src)).find_map(|(before, rest)| {
            let mut second = self.mark(rest).filter(|(mark, rest)| rest.is_empty() && fits(*mark, edge.dst));
            second.next().map(|(after, _)| (before, after))
        })
    }

    /// The annotations that a text may begin with, each with what is behind it.
    fn mark<'t>(&self, text: &'t str) -> impl Iterator<Item = (Mark, &'t str)> {
        let mut found = Vec::new();
        if let Some((size, rest)) = self.size(text) {
            found.push((Mark { order: 0, size: Some(size) }, rest));
        }
        for (order, kind) in self.language.marks.iter().enumerate() {
            let Some(rest) = text.strip_prefix(kind.name) else { continue };
            if let Some((size, rest)) = rest.strip_prefix('.').and_then(|rest| self.size(rest)) {
                found.push((Mark { order, size: Some(size) }, rest));
            }
            found.push((Mark { order, size: None }, rest));
        }
        found.into_iter()
    }

    fn size<'t>(&self, text: &'t str) -> Option<(Size, &'t str)> {
        if !self.language.sizes {
            return None;
        }
        let bytes = match text.chars().next()? {
            'b' => 1,
            'h' => 2,
            'w' => 4,
            'q' => 8,
            _ => return None,
        };
        let offset = usize::try_from(text[1..].chars().next()?.to_digit(10)?).ok()?;
        (offset % bytes == 0 && offset + bytes <= 8).then_some((Size { bytes, offset }, &text[2..]))
    }

    /// Says that a word is not known, and which known one is close.
    fn unknown(&self, word: &str) -> String {
        let close = self.names.iter().map(|(name, _)| (strsim::normalized_damerau_levenshtein(name, word), name));
        let best = close.filter(|(score, _)| *score > 0.6).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = best.map_or_else(String::new, |(_, name)| format!("; did you mean {name}?"));
        format!("'{}' is not a relaxation of {}{hint}", crate::shown::line(word), self.language.word)
    }
}

fn pairs() -> impl Iterator<Item = (Dir, Dir)> {
    Dir::ALL.into_iter().flat_map(|src| Dir::ALL.map(|dst| (src, dst)))
}

/// Every edge of a language, without annotations.
fn edges(language: &Language) -> Vec<Edge> {
    let mut out = Vec::new();
    for (com, src, dst) in [(Com::Rf, Dir::W, Dir::R), (Com::Fr, Dir::R, Dir::W), (Com::Co, Dir::W, Dir::W)] {
        out.extend([Side::Ext, Side::Int].map(|side| Edge::new(Kind::Com(com, side), src, dst)));
    }
    for loc in [Loc::Diff, Loc::Same] {
        out.extend(pairs().map(|(src, dst)| Edge::new(Kind::Po(loc), src, dst)));
        for fence in 0..language.fences.len() {
            out.extend(pairs().map(|(src, dst)| Edge::new(Kind::Fence(fence, loc), src, dst)));
        }
        for (number, dep) in language.deps.iter().enumerate() {
            let targets = Dir::ALL.into_iter().filter(|dst| dep.targets == Targets::Both || *dst == Dir::W);
            out.extend(targets.map(|dst| Edge::new(Kind::Dep(number, loc), Dir::R, dst)));
        }
    }
    out.extend((0..language.rmws.len()).map(|rmw| Edge::new(Kind::Rmw(rmw), Dir::R, Dir::W)));
    out
}

/// A word with `R` and `W` for each `*`.
fn starred(word: &str) -> Vec<String> {
    match word.split_once('*') {
        None => vec![word.to_owned()],
        Some((before, after)) => {
            Dir::ALL.iter().flat_map(|dir| starred(&format!("{before}{}{after}", dir.letter()))).collect()
        }
    }
}
