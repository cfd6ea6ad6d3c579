//! Parser of litmus tests in assembly, as herd7 and litmus7 read them: X86_64, AArch64, PPC and RISCV.
//!
//! The literature on the models uses these tests, so they compare the models here with published verdicts. The
//! parser knows the instructions that such tests use. It refuses every other instruction by name. It keeps the
//! instructions beside their meaning, so that `isa` can encode them and the test can run.
//!
//! Not supported: page tables and faults, memory tags, and code as data. Accesses of mixed sizes are read as herd7 reads
//! them with `-variant mixed`; memory is little-endian (`super::sizes`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Model;
use super::code::{BranchOn, Change, Code, CodeThread, Step, Update, UpdateResult};
use super::condition_flags::{self, Reason, Refused, Setter};
use super::event::Tags;
use super::places::{self, Compared};
use super::sizes::{self, Clash, UNDECLARED, Variable};
use super::trace::wrap;
use crate::litmus::{self, Diagnostic, Source, Span, ast};
use crate::program::{
    Address, Binary, Column, Compare, Const, END, Instruction, LocationId, Operand, Prop, Quantifier, RegisterId, Type,
};

/// A parsed test in assembly.
pub(crate) struct Parsed {
    /// The test with a location for each variable.
    pub code: Code,
    /// The test as a model sees it, if accesses have different sizes: with a location for each byte; or if the condition
    /// compares places by their bits.
    pub view: Option<Code>,
    /// The places that the condition of `view` compares by their bits, and that of `code` by their values.
    pub compared: Vec<Compared>,
    /// The language that it is written in.
    pub dialect: &'static Dialect,
    /// The declarations in the comments in front of the initial values.
    pub header: litmus::Header,
    /// The `Match` event of the header.
    pub match_event: Option<Prop>,
    /// The threads as they are written.
    pub threads: Vec<Written>,
    /// The declared size of each location in bytes.
    pub sizes: Vec<Option<usize>>,
    /// Whether a location is an array.
    pub has_arrays: bool,
    /// Why no model covers the test, and the instruction that is the reason.
    pub not_modelled: Option<(&'static str, Span)>,
}

/// What of a test is kept besides its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing, if the test is only judged.
    Meaning,
    /// The instructions as they are written.
    Instructions,
}

/// A thread of a test in assembly as it is written.
pub(crate) struct Written {
    /// Its instructions, if they are kept.
    pub instructions: Vec<Instruction>,
    /// For each step of the thread's code, the place of its instruction.
    pub spans: Vec<Span>,
}

/// The assembly language of one architecture, as litmus tests write it.
pub(crate) struct Dialect {
    /// The first word of a test in this language.
    pub word: &'static str,
    /// The model of the architecture.
    pub model: Model,
    /// Parses the name of a register: its canonical name, and the width that the spelling gives it. The canonical name of a
    /// symbolic register begins with `%`.
    pub register: fn(&str) -> Option<(&str, Type)>,
    /// The number of bits of a register.
    pub register_bits: u8,
    /// Adds the steps of one instruction; `None` if the instruction is not supported. The last argument holds the
    /// names of the locations.
    pub instruction: fn(&mut Assembler, &str, &[&str], &[String]) -> Option<()>,
    /// Spells an instruction as `instruction` knows it, if it is written in another way: the mnemonic and the operands
    /// without blanks.
    pub respell: fn(&str, &str) -> Option<(String, String)>,
    /// Whether labels may have dots.
    pub has_dotted_labels: bool,
    /// Whether operands name locations, as on x86.
    pub names_locations: bool,
    /// The register that says where a return goes.
    pub link: Option<&'static str>,
    /// The length of an instruction in bytes, if a jump may go to a distance from itself, such as `.+8`.
    pub jumps_by: Option<i64>,
    /// Whether tests write two operands target first where `instruction` takes the target last. They are turned round.
    pub turned_round: bool,
}

impl Dialect {
    /// Whether a text is the name of a label.
    fn is_label(&self, text: &str) -> bool {
        is_name(text) || self.has_dotted_labels && is_name(&text.replace('.', "_"))
    }

    /// The first label of a cell, and what stands behind it.
    fn split_label<'t>(&self, cell: &'t str) -> Option<(&'t str, &'t str)> {
        let (label, rest) = cell.split_once(':')?;
        Some((label.trim(), rest.trim())).filter(|(label, _)| self.is_label(label))
    }
}

/// The dialect that a test is written in; `None` if the test is not in assembly.
pub(crate) fn dialect<'d>(text: &str, dialects: &[&'d Dialect]) -> Option<&'d Dialect> {
    let word = text.split_whitespace().next()?;
    dialects.iter().copied().find(|dialect| dialect.word == word)
}

/// Parses a test in one of the dialects.
///
/// # Errors
/// A [`Diagnostic`] that says what was not understood, and where.
pub(crate) fn parse(source: &Source, dialects: &[&'static Dialect], keep: Keep) -> Result<Parsed, Diagnostic> {
    let blanked = without_comments(source.text());
    let text = blanked.as_str();
    let Some(dialect) = dialect(text, dialects) else {
        let words: Vec<&str> = dialects.iter().map(|dialect| dialect.word).collect();
        let (last, others) = words.split_last().expect("there are dialects");
        let expected = format!("expected {} or {last}", others.join(", "));
        return Err(source.error(Span::at(0), expected, "the architecture's name"));
    };
    let joined = dialect.names_locations.then(|| with_joined_prefixes(text));
    let text = joined.as_deref().unwrap_or(text);
    let mut words = text.split_whitespace();
    let name = litmus::naming::test_name(words.nth(1).unwrap_or("")).to_owned();
    let (Some(open), Some(close)) = (text.find('{'), closing_brace(text)) else {
        return Err(source.error(Span::at(0), "the test has no `{ ... }` with initial values", ""));
    };
    if close < open {
        return Err(source.error(Span::at(close), "`}` stands before `{`", ""));
    }
    refuse_by_name(source, text)?;
    litmus::remarks::check_all(source, text, open)?;
    let mut reader = Reader {
        source,
        text,
        dialect,
        names: Vec::new(),
        init: Vec::new(),
        variables: Vec::new(),
        initialised: Vec::new(),
        threads: Vec::new(),
        keep,
        instructions: Vec::new(),
        not_modelled: None,
        symbolic: Vec::new(),
        targets: Vec::new(),
    };
    let clause = clause_start(text, close);
    // A semicolon may stand behind the initial values.
    let behind = &text[close + 1..clause];
    let blanks = behind.len() - behind.trim_start().len();
    let begin = close + 1 + if behind.trim_start().starts_with(';') { blanks + 1 } else { 0 };
    let lines = program_lines(text, begin, clause);
    // Without a condition the program goes to the end.
    let rest = text[begin..clause].rsplit(';').next().unwrap_or("");
    if !rest.trim().is_empty() {
        let start = clause - rest.trim_start().len();
        let span = Span { start, end: start + rest.trim().len() };
        return Err(if clause == text.len() {
            let message = "expected `exists`, `~exists` or `forall`, and a condition";
            source.error(span, message, "this is none of them")
        } else {
            source.error(span, "the last line of the program has no `;`", "expected `;` behind it")
        });
    }
    let width = lines.first().map_or(0, |(_, cells)| cells.len());
    if width == 0
        || !lines[0]
            .1
            .iter()
            .enumerate()
            .all(|(at, (_, cell))| cell.strip_prefix('P').and_then(thread_number) == Some(at))
    {
        return Err(source.error(Span::at(close), "expected the line `P0 | P1 ...;` after the initial values", ""));
    }
    if width > crate::litmus::MAX_THREADS {
        let message = format!("the test has {width} threads; a test may have at most {}", crate::litmus::MAX_THREADS);
        return Err(source.error(Span::at(close), message, ""));
    }
    reader.threads = (0..width).map(|_| Assembler::new(dialect, lines.len())).collect();
    reader.instructions = vec![Vec::new(); width];
    reader.targets = targets(dialect, &lines[1..], width);
    reader.initial(open + 1, close)?;
    reader.type_elements();
    for (line, cells) in &lines[1..] {
        // A line that is empty may have fewer.
        if cells.len() > width || cells.len() < width && cells.iter().any(|(_, cell)| !cell.is_empty()) {
            return Err(source.error(*line, format!("this line has {} columns, not {width}", cells.len()), ""));
        }
        for (thread, (span, cell)) in cells.iter().enumerate() {
            reader.instruction(thread, *span, cell)?;
        }
    }
    for assembler in &mut reader.threads {
        assembler.place_end();
    }
    reader.labels_exist()?;
    reader.returns_end()?;
    reader.set_symbolic();
    let Clauses { mut columns, displayed, arrays, alone, filter, quantifier, condition } = reader.clauses(clause)?;
    let mut header = litmus::header(source, open)?;
    // An outcome may have any spelling of a register.
    let named = header.naming.outcomes.iter_mut().flat_map(|outcome| &mut outcome.values);
    for (left, _) in named.filter(|(left, _)| left.thread.is_some()) {
        if let Some(name) = (dialect.register)(&left.name.text).map(|(name, _)| name.to_owned()) {
            left.name.text = name;
        }
    }
    let match_event = header.match_event.as_ref().map(|event| reader.prop(event, &mut columns)).transpose()?;
    reader.elements_exist()?;
    for (number, assembler) in reader.threads.iter_mut().enumerate() {
        assembler.forget_moves(|register| columns.contains(&Column::Register { thread: number, register }));
    }
    let types = columns.iter().map(|column| reader.column_type(*column)).collect();
    let elements = columns.iter().enumerate().filter_map(|(at, column)| match *column {
        Column::Location(location) if reader.variables[location].element_of.is_some() => {
            Some((at, reader.names[location].clone()))
        }
        _ => None,
    });
    let elements = elements.collect();
    let mut threads: Vec<CodeThread> = (reader.threads.iter_mut())
        .map(|thread| CodeThread {
            registers: std::mem::take(&mut thread.values),
            names: std::mem::take(&mut thread.registers),
            steps: std::mem::take(&mut thread.steps),
            scoped: false,
            expressions: Vec::new(),
        })
        .collect();
    for (number, thread) in threads.iter_mut().enumerate() {
        let assembler = &mut reader.threads[number];
        let Some(operands) = assembler.flags else { continue };
        let (setters, readers) = (&assembler.flag_setters, &assembler.flag_readers);
        condition_flags::connect(thread, &mut assembler.spans, operands, setters, readers)
            .map_err(|refused| reader.flags_refused(&reader.threads[number], &refused))?;
    }
    let (names, init) = (std::mem::take(&mut reader.names), std::mem::take(&mut reader.init));
    let code = Code {
        name,
        names,
        init,
        bytes: None,
        threads,
        columns,
        types,
        displayed,
        elements,
        arrays,
        alone,
        quantifier,
        condition,
        filter,
    };
    let view = sizes::laid_out(&code, &reader.variables, dialect.model);
    let mut view = view.map_err(|clash| reader.refused(&clash))?;
    let mut compared = Vec::new();
    if places::compares(&code) {
        let bits = sizes::column_bits(&code, &reader.variables, dialect.register_bits);
        let (exact, found) = places::by_bits(view.clone().unwrap_or_else(|| code.clone()), &bits, dialect.model);
        if !found.is_empty() {
            (view, compared) = (Some(exact), found);
        }
    }
    let sizes = sizes::declared(&reader.variables, &code.init);
    let has_arrays = reader.variables.iter().any(|variable| variable.elements.is_some());
    let threads = reader.threads.into_iter().zip(reader.instructions);
    let threads = threads.map(|(thread, instructions)| Written { instructions, spans: thread.spans }).collect();
    let not_modelled = reader.not_modelled;
    Ok(Parsed { code, view, compared, dialect, header, match_event, threads, sizes, has_arrays, not_modelled })
}

/// The text with blanks in place of comments (`(* *)`, `/* */`, `//`), of quoted remarks in front of the initial
/// values, and of the lines that name the test and its outcomes. Offsets stay the same. A `(* *)` comment that never ends is as long as the text.
fn without_comments(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    for span in litmus::naming::spans(text) {
        out[span.start..span.end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    // Whole lines were replaced, so this is UTF-8.
    let text = String::from_utf8(out.clone()).unwrap_or_default();
    let text = text.as_str();
    let mut at = 0;
    let mut in_front = true;
    // A comment or the initial values begin only at these characters.
    while let Some(next) = text[at..].bytes().position(|byte| matches!(byte, b'(' | b'/' | b'"' | b'{')) {
        at += next;
        let rest = &text[at..];
        in_front &= !rest.starts_with('{');
        let close = |open: &str, close: &str| {
            rest.strip_prefix(open).and_then(|inner| inner.find(close)).map(|end| open.len() + end + close.len())
        };
        let length = if rest.starts_with("(*") {
            Some(litmus::comment_length(rest).unwrap_or(rest.len()))
        } else if rest.starts_with("//") {
            Some(rest.find('\n').unwrap_or(rest.len()))
        } else if in_front {
            close("/*", "*/").or_else(|| close("\"", "\""))
        } else {
            close("/*", "*/")
        };
        let step = length.unwrap_or(1);
        if length.is_some() {
            out[at..at + step].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at += step;
    }
    // Whole characters were replaced, so this is UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// The text with a blank in place of the `;` between a prefix `lock` and its instruction, as x86 tests write it.
fn with_joined_prefixes(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    for (at, _) in text.match_indices(';') {
        let front = text[..at].trim_end();
        let is_prefix =
            front.get(front.len().saturating_sub(4)..).is_some_and(|word| word.eq_ignore_ascii_case("lock"));
        let before = front.get(..front.len().saturating_sub(4)).unwrap_or("").trim_end_matches([' ', '\t']);
        if is_prefix && before.ends_with([';', '|', '\n', ':']) {
            out[at] = b' ';
        }
    }
    // ASCII characters were replaced, so this is UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// Refuses tests of parts of an architecture that no model here covers. Their loads and stores look like those of
/// other tests, but mean something else.
fn refuse_by_name(source: &Source, text: &str) -> Result<(), Diagnostic> {
    const PAGES: &str = "page tables, address translation and faults are not modelled";
    const TAGS: &str = "memory tagging is not modelled";
    const CODE: &str = "code as data (instruction fetch) is not modelled";
    /// A character, and what stands before and behind it.
    const SIGNS: [(u8, &str, &str, &str); 16] = [
        (b'(', "PTE", "", PAGES),
        (b'(', "pte", "", PAGES),
        (b'(', "PA", "", PAGES),
        (b'(', "TTD", "", PAGES),
        (b'(', "fault", "", PAGES),
        (b'(', "Fault", "", PAGES),
        (b'=', "TTHM", "", PAGES),
        (b'=', "", "vmsa", PAGES),
        (b'=', "", "kvm", PAGES),
        (b'=', "", "memtag", TAGS),
        (b'=', "", "self", CODE),
        (b'=', "", "ifetch", CODE),
        (b':', "", "red", TAGS),
        (b':', "", "green", TAGS),
        (b':', "instr", "", CODE),
        (b'B', "TL", "I", PAGES),
    ];
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| matches!(byte, b'(' | b'=' | b':' | b'B')) {
        let here = |(character, before, behind, _): &&(u8, &str, &str, &str)| {
            character == byte
                && bytes[..at].ends_with(before.as_bytes())
                && bytes[at + 1..].starts_with(behind.as_bytes())
        };
        if let Some((_, before, behind, what)) = SIGNS.iter().find(here) {
            let span = Span { start: at - before.len(), end: at + 1 + behind.len() };
            return Err(source.error(span, *what, "this is part of it"));
        }
    }
    Ok(())
}

/// The byte offset where the program ends and `locations`, `filter` or the condition begins.
fn clause_start(text: &str, from: usize) -> usize {
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        let start = line.trim_start_matches(['}', ' ', '\t']);
        let words = start.strip_prefix('~').map(str::trim_start).filter(|rest| rest.starts_with("exists"));
        // A label may have this name.
        let is_final = (start.strip_prefix("final")).is_some_and(|rest| {
            rest.starts_with([' ', '\t', '(', '~', '[', '\r', '\n']) && !rest.trim_start().starts_with(':')
        });
        if words.is_some()
            || is_final
            || ["exists", "forall", "locations", "filter"].iter().any(|word| start.starts_with(word))
        {
            return at + (line.len() - start.len());
        }
        at += line.len();
    }
    text.len()
}

type Cells<'t> = Vec<(Span, &'t str)>;

/// The lines of the program, each split into the cells of the threads.
fn program_lines(text: &str, from: usize, to: usize) -> Vec<(Span, Cells<'_>)> {
    let mut lines = Vec::with_capacity(16);
    let mut at = from;
    for line in text[from..to].split_inclusive(';') {
        let start = at;
        at += line.len();
        let Some(body) = line.strip_suffix(';') else { continue };
        let mut cells = Vec::new();
        let mut cell_at = start;
        for cell in body.split('|') {
            let trimmed = cell.trim();
            let begin = cell_at + (cell.len() - cell.trim_start().len());
            cells.push((Span { start: begin, end: begin + trimmed.len().max(1) }, trimmed));
            cell_at += cell.len() + 1;
        }
        lines.push((Span { start, end: at }, cells));
    }
    lines
}

/// The parts of the clauses at the end of a test.
struct Clauses {
    columns: Vec<Column>,
    displayed: Vec<usize>,
    arrays: Vec<(String, Vec<usize>)>,
    alone: Vec<usize>,
    filter: Option<Prop>,
    quantifier: Quantifier,
    condition: Prop,
}

/// The largest array. herd7's own tests have up to 1024 bytes.
const MAX_ELEMENTS: usize = 4096;

struct Reader<'s> {
    source: &'s Source,
    /// The text without comments, with the same offsets.
    text: &'s str,
    dialect: &'static Dialect,
    names: Vec<String>,
    init: Vec<Const>,
    /// What is declared about each location.
    variables: Vec<Variable>,
    /// What has an initial value already: a location, or a register of a thread.
    initialised: Vec<(Option<usize>, usize)>,
    threads: Vec<Assembler>,
    keep: Keep,
    /// The instructions of each thread as they are written, if they are kept.
    instructions: Vec<Vec<Instruction>>,
    not_modelled: Option<(&'static str, Span)>,
    /// The initial values of symbolic registers, each with its declared type. They hold for all threads that have them.
    symbolic: Vec<(String, Const, Option<Type>)>,
    /// For each thread, where its jumps by a distance go.
    targets: Vec<Targets>,
}

impl Reader<'_> {
    fn location(&mut self, name: &str) -> LocationId {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known;
        }
        let element_of = element(name).map(|(array, element)| (self.location(array), element));
        self.names.push(name.to_owned());
        self.init.push(Const::Int(0));
        let declared = element_of.and_then(|(array, _)| self.variables[array].declared);
        self.variables.push(Variable { declared, element_of, ..Variable::default() });
        self.names.len() - 1
    }

    /// Gives the names of elements that the initial values name before their array the type of that array.
    fn type_elements(&mut self) {
        for at in 0..self.variables.len() {
            if let Some((array, _)) = self.variables[at].element_of {
                self.variables[at].declared = self.variables[array].declared;
            }
        }
    }

    fn elements_exist(&self) -> Result<(), Diagnostic> {
        for (at, variable) in self.variables.iter().enumerate() {
            let Some((array, element)) = variable.element_of else { continue };
            let elements = self.variables[array].elements;
            if elements.is_none_or(|elements| element >= elements) {
                let (name, array) = (&self.names[at], &self.names[array]);
                let start = self.text.find(name.as_str()).unwrap_or(0);
                let label = match elements {
                    Some(elements) => format!("`{array}` has {elements} elements, from 0 on"),
                    None => format!("`{array}` is not declared as an array, such as `int {array}[2]`"),
                };
                let span = Span { start, end: start + name.len() };
                return Err(self.source.error(span, format!("there is no element `{name}`"), label));
            }
        }
        Ok(())
    }

    /// A value in front of a `;`: a number, or the address of a location or of an element of an array.
    fn initial_value(&mut self, text: &str) -> Option<Const> {
        if let Some(value) = parse_int(text) {
            return Some(Const::Int(value));
        }
        let name = text.strip_prefix('&').unwrap_or(text);
        (is_location(name) || element(name).is_some()).then(|| Const::Address(self.location(name)))
    }

    /// Parses the initial values: `0:X0=x; uint32_t y=1; z;`
    fn initial(&mut self, from: usize, to: usize) -> Result<(), Diagnostic> {
        let mut at = from;
        for item in self.text[from..to].split(';') {
            let start = at + (item.len() - item.trim_start().len());
            at += item.len() + 1;
            let item = item.trim();
            if item.is_empty() {
                continue;
            }
            let span = Span { start, end: start + item.len() };
            let bad = |message: &str| self.source.error(span, message.to_owned(), "here");
            let (left, right) = match item.split_once('=') {
                Some((left, right)) => (left.trim(), right.trim()),
                None => (item, "0"),
            };
            let list = right.strip_prefix('{').and_then(|right| right.strip_suffix('}'));
            let values: Option<Vec<Const>> =
                list.unwrap_or(right).split(',').map(|value| self.initial_value(value.trim())).collect();
            let is_label = right.split_once(':').is_some_and(|(thread, label)| {
                thread.trim_start_matches('P').parse::<usize>().is_ok() && self.dialect.is_label(label)
            });
            if is_label {
                return Err(bad("code addresses are not modelled: a label is no value"));
            }
            let values = match values {
                Some(values) if list.is_some() || values.len() == 1 => values,
                _ => return Err(bad("expected a number or the name of a location after `=`")),
            };
            let value = values[0];
            let values = if list.is_some() { values } else { Vec::new() };
            // A type may come before a location and before a register; blanks may come before and after the
            // colon.
            let (thread, name, mut words) = match left.split_once(':') {
                Some((front, register)) => {
                    let mut words: Vec<&str> = front.split_whitespace().collect();
                    let thread = words.pop().unwrap_or("");
                    // The star of a pointer type may stand before the number of the thread.
                    let number = thread.strip_prefix('*').inspect(|_| words.push("*")).unwrap_or(thread);
                    // herd7 also takes `P0:r1`.
                    let Some(thread) = thread_number(number.strip_prefix('P').unwrap_or(number)) else {
                        return Err(bad("expected the number of a thread before `:`"));
                    };
                    if thread >= self.threads.len() {
                        return Err(bad("there is no such thread"));
                    }
                    (Some(thread), register.trim(), words)
                }
                None => {
                    let mut words: Vec<&str> = left.split_whitespace().collect();
                    let name = words.pop().unwrap_or("");
                    (None, name, words)
                }
            };
            let pointer = name.starts_with('*') && !words.is_empty() || words.iter().any(|word| word.ends_with('*'));
            words.retain(|word| *word != "*");
            let declared = match (words.as_slice(), pointer) {
                ([], _) => None,
                (_, true) => Some(Type::Pointer),
                (words, false) => match declared_type(words) {
                    Some(ty) => Some(ty),
                    None => return Err(bad("expected a type such as `int`, `uint64_t` or `int *` before the name")),
                },
            };
            let symbolic = (self.dialect.register)(name).filter(|(name, _)| name.starts_with('%'));
            if let Some((name, _)) = symbolic {
                if thread.is_some() {
                    return Err(bad("a symbolic register has one initial value for all threads, such as `%x=1`"));
                }
                if self.symbolic.iter().any(|(known, ..)| known == name) {
                    return Err(bad("this is initialised twice"));
                }
                self.symbolic.push((name.to_owned(), value, declared));
                continue;
            }
            let (key, number) = match thread {
                Some(thread) => {
                    let Some(register) = self.threads[thread].register(name) else {
                        return Err(bad("this is not a register"));
                    };
                    if list.is_some() {
                        return Err(bad("a register has one value"));
                    }
                    self.threads[thread].values[register] = value;
                    self.threads[thread].declared.extend(declared.map(|ty| (register, ty)));
                    (Some(thread), register)
                }
                None => {
                    let name = name.trim_start_matches('*');
                    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
                    let (name, elements) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
                        Some((name, count)) => {
                            (name, count.parse().ok().filter(|count| (1..=MAX_ELEMENTS).contains(count)))
                        }
                        None => (name, None),
                    };
                    if elements.is_none() && left.ends_with(']') && !left.starts_with('[')
                        || elements.is_some() && list.is_none() && right != "0"
                    {
                        return Err(bad("expected an array such as `uint8_t x[16]` or `int y[2]={1,2}`"));
                    }
                    if list.is_some() && elements != Some(values.len()) {
                        return Err(bad("expected as many values as the array has elements"));
                    }
                    if !is_location(name) {
                        return Err(bad("expected `0:register=value` or `location=value`"));
                    }
                    let location = self.location(name);
                    self.init[location] = value;
                    self.variables[location] = Variable { declared, elements, values, element_of: None };
                    (None, location)
                }
            };
            if self.initialised.contains(&(key, number)) {
                return Err(bad("this is initialised twice"));
            }
            self.initialised.push((key, number));
        }
        Ok(())
    }

    /// Gives the symbolic registers of the threads their initial values.
    fn set_symbolic(&mut self) {
        for (name, value, declared) in &self.symbolic {
            for thread in &mut self.threads {
                if let Some(register) = thread.registers.iter().position(|known| known == name) {
                    thread.values[register] = *value;
                    thread.declared.extend(declared.map(|ty| (register, ty)));
                }
            }
        }
    }

    /// Checks that a return ends its thread: that the thread does not name the register that says where it goes.
    fn returns_end(&self) -> Result<(), Diagnostic> {
        let Some(link) = self.dialect.link else { return Ok(()) };
        for thread in self.threads.iter().filter(|thread| thread.registers.iter().any(|known| known == link)) {
            if let Some(step) = thread.returns {
                let label = format!("it goes where {link} says, which this thread uses otherwise");
                return Err(self.source.error(thread.spans[step], "code addresses are not modelled", label));
            }
        }
        Ok(())
    }

    /// Checks that every jump's label exists in its thread.
    fn labels_exist(&self) -> Result<(), Diagnostic> {
        for (number, thread) in self.threads.iter().enumerate() {
            if let Some((label, span)) = thread.jumps.iter().find(|(label, _)| thread.labels[*label].1.is_none()) {
                let name = &thread.labels[*label].0;
                if name.starts_with('@') {
                    let message = format!("this jump goes out of the instructions of P{number}");
                    return Err(self.source.error(*span, message, "there is no instruction at this distance"));
                }
                let known = thread.labels.iter().filter(|(name, at)| at.is_some() && !name.starts_with('@'));
                let known: Vec<String> = known.map(|(name, _)| format!("`{name}`")).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(self.source.error(
                    *span,
                    format!("P{number} has no label `{name}`"),
                    format!("its labels: {known}"),
                ));
            }
        }
        Ok(())
    }

    /// The error for an access that the model does not cover.
    fn refused(&self, clash: &Clash) -> Diagnostic {
        let span = self.threads[clash.thread].spans[clash.step];
        self.source.error(span, clash.message.clone(), "this access").help(clash.help.clone())
    }

    /// The error for a condition on flags that is not followed.
    fn flags_refused(&self, thread: &Assembler, refused: &Refused) -> Diagnostic {
        let text = |step: usize| &self.source.text()[thread.spans[step].start..thread.spans[step].end];
        let by = |step: usize| {
            let (line, _) = self.source.line_column(thread.spans[step].start);
            format!("`{}` in line {line}", text(step))
        };
        let own = text(refused.step);
        let (message, label) = match refused.reason {
            Reason::NotSet if refused.setters.is_empty() => {
                (format!("`{own}` reads flags that no instruction has set"), "here")
            }
            Reason::NotSet => (format!("`{own}` reads flags that are not set on every path to it"), "here"),
            Reason::NotFollowed(setter) => (
                format!("`{own}` reads a flag of `{}` that is not followed", text(setter)),
                "of this result, only whether it is 0 or negative is followed",
            ),
        };
        let error = self.source.error(thread.spans[refused.step], message, label);
        let setters: Vec<String> = refused.setters.iter().map(|setter| by(*setter)).collect();
        match setters.as_slice() {
            [] => error,
            setters => error.note(format!("the flags may come from {}", setters.join(", or from "))),
        }
    }

    fn instruction(&mut self, thread: usize, span: Span, cell: &str) -> Result<(), Diagnostic> {
        let mut rest = cell;
        let mut labels = Vec::new();
        let part = |text: &str| {
            // `text` is a slice of `cell`, so the pointers can be subtracted.
            let start = span.start + (text.as_ptr() as usize - cell.as_ptr() as usize);
            Span { start, end: start + text.len() }
        };
        while let Some((name, after)) = self.dialect.split_label(rest) {
            let label = self.threads[thread].label(name);
            let at = &mut self.threads[thread].labels[label].1;
            if at.is_some() {
                let message = format!("the label `{name}` is defined twice in P{thread}");
                return Err(self.source.error(part(name), message, "second definition"));
            }
            *at = Some(part(name));
            if self.keep == Keep::Instructions {
                labels.push(name.to_owned());
            }
            self.threads[thread].steps.push(Step::Label(label));
            self.threads[thread].uses("", true);
            rest = after;
        }
        let assembler = &mut self.threads[thread];
        assembler.spans.resize(assembler.steps.len(), span);
        if rest.is_empty() {
            if !labels.is_empty() {
                let none = String::new;
                let operands = Vec::new();
                self.instructions[thread].push(Instruction { labels, mnemonic: none(), operands, text: none(), span });
            }
            return Ok(());
        }
        if self.targets[thread].instructions.contains(&self.threads[thread].instructions) {
            let name = distance_label(self.threads[thread].instructions);
            let assembler = &mut self.threads[thread];
            let label = assembler.label(&name);
            assembler.labels[label].1 = Some(part(rest));
            assembler.steps.push(Step::Label(label));
            assembler.spans.push(part(rest));
            assembler.uses("", true);
            if self.keep == Keep::Instructions {
                labels.push(name);
            }
        }
        self.threads[thread].instructions += 1;
        let (mnemonic, operands) = split_mnemonic(rest);
        let operands = without_blanks(operands);
        let (mnemonic, operands) = match (self.dialect.respell)(&mnemonic, &operands) {
            Some((mnemonic, operands)) => (Cow::Owned(mnemonic), Cow::Owned(operands)),
            None => (mnemonic, operands),
        };
        let (mnemonic, operands) = match self.as_jump(thread, &mnemonic, &operands) {
            Some((mnemonic, operands)) => (Cow::Owned(mnemonic), Cow::Owned(operands)),
            None => (mnemonic, operands),
        };
        let mut operands = split_operands(&operands);
        if let ([first, second], true) = (operands.as_mut_slice(), self.dialect.turned_round) {
            std::mem::swap(first, second);
        }
        if self.keep == Keep::Instructions {
            self.instructions[thread].push(Instruction {
                labels,
                mnemonic: mnemonic.clone().into_owned(),
                operands: operands.iter().map(|operand| (*operand).to_owned()).collect(),
                text: rest.to_owned(),
                span: part(rest),
            });
        }
        if self.dialect.names_locations {
            for operand in &operands {
                let name = operand.trim_matches(['(', ')', '[', ']']);
                if name.len() < operand.len() && is_location(name) && (self.dialect.register)(name).is_none() {
                    self.location(name);
                }
            }
        }
        let assembler = &mut self.threads[thread];
        assembler.uses(rest, false);
        // Only labels that the reader makes have one.
        let is_own = !rest.contains('@');
        let known = is_own.then(|| (self.dialect.instruction)(assembler, &mnemonic, &operands, &self.names)).flatten();
        if let Some(reason) = assembler.not_modelled.take() {
            self.not_modelled.get_or_insert((reason, part(rest)));
        }
        if known.is_none() {
            let message = format!("`{rest}` is not a supported instruction");
            let error = self.source.error(part(rest), message, "not supported in this form");
            return Err(match self.threads[thread].hint {
                Some(hint) => error.help(hint),
                None => error,
            });
        }
        let assembler = &mut self.threads[thread];
        let new = &assembler.steps[assembler.spans.len()..];
        if new.iter().any(|step| matches!(step, Step::Branch { .. } | Step::Jump(_))) {
            assembler.uses("", true);
        }
        for step in &assembler.steps[assembler.spans.len()..] {
            if let Step::Branch { target, .. } | Step::Jump(target) = step {
                // The label is the last operand of a jump.
                let label = rest.rsplit([' ', '\t', ',']).next().unwrap_or(rest);
                assembler.jumps.push((*target, part(label)));
            }
        }
        assembler.spans.resize(assembler.steps.len(), part(rest));
        Ok(())
    }

    /// A jump to a distance as a jump to a label: the mnemonic and the operands.
    fn as_jump(&self, thread: usize, mnemonic: &str, operands: &str) -> Option<(String, String)> {
        let (front, last) = operands.rsplit_once(',').unwrap_or(("", operands));
        // The jump itself is counted already.
        let target = target(self.dialect, last, self.threads[thread].instructions - 1)?;
        let label = self.targets[thread].label(target);
        Some((mnemonic.to_owned(), if front.is_empty() { label } else { format!("{front},{label}") }))
    }

    fn clauses(&mut self, from: usize) -> Result<Clauses, Diagnostic> {
        let (locations, filter, condition) = litmus::clauses(self.source, from)?;
        // As in herd7, an array is displayed as a whole, and those elements too that are named by themselves.
        let (mut columns, mut arrays, mut alone) = (Vec::new(), Vec::new(), BTreeSet::new());
        for observable in &locations {
            self.show(observable, &mut columns, &mut arrays, &mut alone)?;
        }
        let prop = self.prop(&condition.prop, &mut columns)?;
        for place in condition.prop.places() {
            self.show(place, &mut columns, &mut arrays, &mut alone)?;
        }
        let displayed = (0..columns.len()).collect();
        let filter = filter.map(|filter| self.prop(&filter, &mut columns)).transpose()?;
        let alone = alone.into_iter().collect();
        Ok(Clauses { columns, displayed, arrays, alone, filter, quantifier: condition.quantifier, condition: prop })
    }

    /// Takes note of a place that is displayed: an array as a whole, or a column by itself.
    fn show(
        &mut self,
        place: &ast::Observable,
        columns: &mut Vec<Column>,
        arrays: &mut Vec<(String, Vec<usize>)>,
        alone: &mut BTreeSet<usize>,
    ) -> Result<(), Diagnostic> {
        let name = &place.name.text;
        let location = place.thread.is_none().then(|| self.location(name));
        let Some(elements) = location.and_then(|location| self.variables[location].elements) else {
            alone.insert(self.column(place, columns)?);
            return Ok(());
        };
        if !arrays.iter().any(|(known, _)| known == name) {
            let all = (0..elements).map(|at| self.column(&place.element(at), columns));
            arrays.push((name.clone(), all.collect::<Result<_, _>>()?));
        }
        Ok(())
    }

    /// The constant that a column is compared with.
    fn constant(&mut self, column: Column, value: &ast::Value) -> Const {
        match value {
            // The models convert the final values to the types of the columns.
            ast::Value::Int(value, _) => wrap(Const::Int(*value), self.column_type(column)),
            ast::Value::Address(name) => Const::Address(self.location(&name.text)),
        }
    }

    fn column(&mut self, observable: &ast::Observable, columns: &mut Vec<Column>) -> Result<usize, Diagnostic> {
        let name = &observable.name;
        let column = match observable.thread {
            None => {
                let location = self.location(&name.text);
                if self.variables[location].elements == Some(1) {
                    return self.column(&observable.element(0), columns);
                }
                if self.variables[location].elements.is_some() {
                    let array = &name.text;
                    let message = format!("`{array}` is an array, which a condition cannot compare");
                    return Err(self.source.error(
                        name.span,
                        message,
                        format!("name its elements, such as `{array}[0]`"),
                    ));
                }
                Column::Location(location)
            }
            Some((thread, span)) => {
                let Some(assembler) = self.threads.get_mut(thread) else {
                    return Err(self.source.error(span, format!("there is no thread {thread}"), ""));
                };
                let Some(register) = assembler.register(&name.text) else {
                    return Err(self.source.error(name.span, format!("`{}` is not a register", name.text), ""));
                };
                Column::Register { thread, register }
            }
        };
        Ok(columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            columns.push(column);
            columns.len() - 1
        }))
    }

    fn prop(&mut self, prop: &ast::Prop, columns: &mut Vec<Column>) -> Result<Prop, Diagnostic> {
        Ok(match prop {
            ast::Prop::Const(value) => Prop::Const(*value),
            ast::Prop::Not(inner) => Prop::Not(Box::new(self.prop(inner, columns)?)),
            ast::Prop::And(left, right) => {
                Prop::And(Box::new(self.prop(left, columns)?), Box::new(self.prop(right, columns)?))
            }
            ast::Prop::Or(left, right) => {
                Prop::Or(Box::new(self.prop(left, columns)?), Box::new(self.prop(right, columns)?))
            }
            ast::Prop::Array { left, equal, values } => {
                let location = left.thread.is_none().then(|| self.location(&left.name.text));
                let elements = location.and_then(|location| self.variables[location].elements).unwrap_or(0);
                self.prop(&ast::Prop::of_elements(left, elements, *equal, values), columns)?
            }
            ast::Prop::Same { left, equal, right } => {
                let atom = Prop::Same(self.column(left, columns)?, self.column(right, columns)?);
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
            ast::Prop::Atom { left, equal, value } => {
                let column = self.column(left, columns)?;
                let value = self.constant(columns[column], value);
                let atom = Prop::Equal { column, value };
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
        })
    }

    /// The type of a column. herd7 takes what is not declared for an `int`.
    fn column_type(&self, column: Column) -> Type {
        let declared = match column {
            Column::Register { thread, register } => {
                let declared = self.threads[thread].declared.iter();
                declared.filter(|(known, _)| *known == register).map(|(_, ty)| *ty).next_back()
            }
            Column::Location(location) => self.variables[location].declared,
        };
        declared.unwrap_or(UNDECLARED)
    }
}

/// Splits an instruction into its mnemonic and its operands. A prefix (`lock`) belongs to the mnemonic.
fn split_mnemonic(text: &str) -> (Cow<'_, str>, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if !first.eq_ignore_ascii_case("lock") {
        return (Cow::Borrowed(first), rest);
    }
    let rest = rest.trim_start();
    let (second, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    (Cow::Owned(format!("{first} {second}")), operands)
}

fn without_blanks(text: &str) -> Cow<'_, str> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Cow::Borrowed(text),
        false => text.chars().filter(|c| !c.is_whitespace()).collect(),
    }
}

/// Splits operands without blanks at the commas outside of brackets.
fn split_operands(text: &str) -> Vec<&str> {
    let mut out = Vec::with_capacity(4);
    let (mut depth, mut start) = (0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'(' => depth += 1,
            b']' | b')' => depth -= 1,
            b',' if depth == 0 => {
                out.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    // Behind a comma at the end stands an operand that is empty, which no instruction has.
    if !text.is_empty() {
        out.push(&text[start..]);
    }
    out
}

/// The array and the number of an element, as in `x[1]`.
fn element(name: &str) -> Option<(&str, usize)> {
    let (array, number) = name.strip_suffix(']')?.split_once('[')?;
    Some((array, number.parse().ok()?)).filter(|(array, _)| is_location(array))
}

/// The place of the brace that closes the first one.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a text is the name of a location, which may have dots inside.
fn is_location(text: &str) -> bool {
    is_name(&text.replace('.', "_")) && !text.starts_with('.')
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Parses a number of at most 64 bits, signed or unsigned.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        _ if digits.starts_with(['+', '-']) => return None,
        Some(hex) if !hex.starts_with(['+', '-']) => u64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => digits.parse().ok()?,
    };
    if negative && value > 1 << 63 {
        return None;
    }
    // Keep the bits, as a register does.
    Some(if negative { (value as i64).wrapping_neg() } else { value as i64 })
}

/// The number of a thread; `P00` is `P0`, as in herd7.
fn thread_number(digits: &str) -> Option<usize> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The instruction that a jump by a distance goes to, such as `.+8`, from that with the number `at`. The inner one is `None`
/// if it would stand in front of the first.
fn target(dialect: &Dialect, operand: &str, at: usize) -> Option<Option<usize>> {
    let length = dialect.jumps_by?;
    let text = operand.strip_prefix('.').filter(|text| text.starts_with(['+', '-']))?;
    let distance = parse_int(text.strip_prefix('+').unwrap_or(text)).filter(|distance| distance % length == 0)?;
    Some(i64::try_from(at).ok()?.checked_add(distance / length).and_then(|at| usize::try_from(at).ok()))
}

/// Where the jumps by a distance of one thread go.
#[derive(Default)]
struct Targets {
    /// The instructions, by number.
    instructions: BTreeSet<usize>,
    /// The number of instructions of the thread, which is that of its end.
    end: usize,
}

impl Targets {
    /// The label of a place that a jump goes to.
    fn label(&self, target: Option<usize>) -> String {
        match target {
            Some(target) if target == self.end => END.to_owned(),
            Some(target) => distance_label(target),
            None => "@none".to_owned(),
        }
    }
}

/// Where the jumps by a distance of each thread go.
fn targets(dialect: &Dialect, lines: &[(Span, Cells<'_>)], width: usize) -> Vec<Targets> {
    let of_thread = |thread: usize| {
        let mut targets = Targets::default();
        let cells = lines.iter().filter_map(|(_, cells)| Some(cells.get(thread)?.1));
        for instruction in cells.map(|cell| without_labels(dialect, cell)).filter(|rest| !rest.is_empty()) {
            let last = instruction.rsplit([' ', '\t', ',']).next().unwrap_or(instruction);
            targets.instructions.extend(target(dialect, last, targets.end).flatten());
            targets.end += 1;
        }
        targets
    };
    // Most dialects have no such jumps.
    (0..width).map(|thread| dialect.jumps_by.map_or_else(Targets::default, |_| of_thread(thread))).collect()
}

/// What stands behind the labels of a cell.
fn without_labels<'t>(dialect: &Dialect, cell: &'t str) -> &'t str {
    dialect.split_label(cell).map_or(cell, |(_, rest)| without_labels(dialect, rest))
}

/// The label in front of the instruction with this number.
fn distance_label(number: usize) -> String {
    format!("@{number}")
}

/// The name of a register whose number is left open, such as `%P0_x`.
pub(crate) fn symbolic_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('%')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(text)
}

/// The number behind the letter of a register, without leading zeros.
pub(crate) fn register_number(digits: &str) -> Option<usize> {
    let is_number = digits == "0" || !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The type that the words of a C declaration name.
fn declared_type(words: &[&str]) -> Option<Type> {
    let words = words.strip_prefix(&["_Atomic"]).unwrap_or(words);
    let words: Vec<&str> = words.iter().copied().filter(|word| !matches!(*word, "volatile" | "const")).collect();
    let int = |bits, signed| Type::Int { bits, signed };
    Some(match words.as_slice() {
        ["int8_t" | "char"] | ["signed", "char"] => int(8, true),
        ["uint8_t"] | ["unsigned", "char"] => int(8, false),
        ["int16_t" | "short"] | ["signed", "short"] => int(16, true),
        ["uint16_t"] | ["unsigned", "short"] => int(16, false),
        ["int" | "int32_t"] | ["signed", "int"] => int(32, true),
        ["unsigned" | "uint32_t"] | ["unsigned", "int"] => int(32, false),
        ["long" | "int64_t" | "intptr_t"] | ["signed", "long"] => int(64, true),
        ["uint64_t" | "uintptr_t"] | ["unsigned", "long"] => int(64, false),
        _ => return None,
    })
}

/// A register: its canonical name, and the width that the operand's spelling gives it.
pub(crate) type Named = (&'static str, Type);

/// What an instruction sets the flags by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sets {
    /// The difference of the two operands.
    Difference,
    /// Their sum.
    Sum,
    /// The first operand, which is a bitwise result. The second one is 0. There is no overflow, and the carry is 0.
    Bits,
    /// The first operand. The second one is 0. Only whether the result is 0 or negative is followed: the carry and the
    /// overflow are those of a computation that is not known.
    Result,
}

/// Whether a comparison takes its operands as signed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signs {
    Signed,
    Unsigned,
    /// It compares the result with 0, which is about the flag for the sign alone.
    OfResult,
    /// It compares the flag for an overflow with 0.
    Overflow,
}

/// A condition on the flags: how the operands of the last comparison compare.
pub(crate) type Condition = (Compare, Signs);

/// The registers, labels and steps of one thread while it is parsed.
pub(crate) struct Assembler {
    dialect: &'static Dialect,
    registers: Vec<String>,
    pub values: Vec<Const>,
    /// The registers that the initial values declare, with their types.
    declared: Vec<(RegisterId, Type)>,
    /// Each label, and where it is defined.
    labels: Vec<(String, Option<Span>)>,
    /// The labels of the jumps, and where each is named.
    jumps: Vec<(usize, Span)>,
    pub steps: Vec<Step>,
    /// For each step, the span of its instruction.
    spans: Vec<Span>,
    /// The instructions that set the flags.
    flag_setters: Vec<Setter>,
    /// The registers that hold what the flags are set by, if an instruction sets or reads them.
    flags: Option<[RegisterId; 2]>,
    /// The instructions that read them.
    flag_readers: Vec<condition_flags::Reader>,
    /// Why no model covers the last instruction, if its dialect knows it all the same.
    pub not_modelled: Option<&'static str>,
    /// What would be right, if the last instruction is not supported.
    pub hint: Option<&'static str>,
    /// Base registers that a post-indexed access moved on, each with the step that does, as long as nothing uses them again.
    pub moved_on: Vec<(RegisterId, usize)>,
    /// The number of instructions so far.
    instructions: usize,
    /// The step of the first return.
    returns: Option<usize>,
}

/// 8 bits, extended by zeros to the full register.
pub(crate) const BYTE: Type = Type::Int { bits: 8, signed: false };
/// 16 bits, extended by zeros to the full register.
pub(crate) const HALF: Type = Type::Int { bits: 16, signed: false };
/// 32 bits of a wider register. On AArch64, PPC and x86-64 a 32-bit load or computation clears the upper
/// half.
pub(crate) const WORD: Type = Type::Int { bits: 32, signed: false };
/// 32 bits that are sign-extended to the full register, on RISC-V.
pub(crate) const SIGNED_WORD: Type = Type::Int { bits: 32, signed: true };
/// 8 bits, extended by their sign to the full register.
pub(crate) const SIGNED_BYTE: Type = Type::Int { bits: 8, signed: true };
/// 16 bits, extended by their sign to the full register.
pub(crate) const SIGNED_HALF: Type = Type::Int { bits: 16, signed: true };
pub(crate) const LONG: Type = Type::Int { bits: 64, signed: true };

impl Assembler {
    /// `lines` is the number of instructions that the thread may have.
    fn new(dialect: &'static Dialect, lines: usize) -> Assembler {
        Assembler {
            dialect,
            registers: Vec::with_capacity(8),
            values: Vec::with_capacity(8),
            declared: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            steps: Vec::with_capacity(lines),
            spans: Vec::with_capacity(lines),
            flag_setters: Vec::new(),
            flags: None,
            flag_readers: Vec::new(),
            not_modelled: None,
            hint: None,
            moved_on: Vec::new(),
            instructions: 0,
            returns: None,
        }
    }

    /// Takes note of what the text of an instruction uses. A label or a jump may lead to any use.
    fn uses(&mut self, text: &str, jumps: bool) {
        if !self.moved_on.is_empty() {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '%' | '_'));
            let used: Vec<RegisterId> = words.filter_map(|word| self.register(word)).collect();
            self.moved_on.retain(|(register, _)| !jumps && !used.contains(register));
        }
    }

    /// Leaves a base register where it is, if nothing uses it after it was moved on: it may point behind its variable.
    fn forget_moves(&mut self, observed: impl Fn(RegisterId) -> bool) {
        for (register, step) in std::mem::take(&mut self.moved_on) {
            if !observed(register) {
                let src = Operand::Register(register);
                self.steps[step] = Step::Move { dst: register, src, ty: LONG };
            }
        }
    }

    /// The number of a register, and the width that its name gives.
    pub fn typed(&mut self, text: &str) -> Option<(RegisterId, Type)> {
        let (name, ty) = (self.dialect.register)(text)?;
        Some((self.number(name), ty))
    }

    pub fn register(&mut self, text: &str) -> Option<RegisterId> {
        self.typed(text).map(|(register, _)| register)
    }

    pub fn number(&mut self, name: &str) -> RegisterId {
        self.registers.iter().position(|known| known == name).unwrap_or_else(|| {
            self.registers.push(name.to_owned());
            self.values.push(Const::Int(0));
            self.registers.len() - 1
        })
    }

    pub fn temporary(&mut self) -> RegisterId {
        let name = format!("t{}", self.registers.len());
        self.number(&name)
    }

    fn label(&mut self, name: &str) -> usize {
        self.labels.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.labels.push((name.to_owned(), None));
            self.labels.len() - 1
        })
    }

    /// base + index as an address.
    pub fn indexed(&mut self, base: RegisterId, index: Operand) -> Address {
        if index == Operand::Const(Const::Int(0)) {
            return Address::Register(base);
        }
        let dst = self.temporary();
        let left = Operand::Register(base);
        self.steps.push(Step::Binary { dst, op: Binary::Add, left, right: index, ty: LONG });
        Address::Register(dst)
    }

    /// One atomic instruction that returns the old value. `tags` are those of its read and of its write.
    pub fn atomic(&mut self, dst: Option<RegisterId>, address: Address, ty: Type, change: Change, tags: [Tags; 2]) {
        let [read, write] = tags;
        self.steps.push(Step::Update(Update {
            dst,
            gives: UpdateResult::Old,
            address,
            ty,
            change,
            read,
            failed: read,
            write,
            after: None,
            branch: BranchOn::Nothing,
            until_done: false,
            picks: false,
        }));
    }

    pub fn mov(&mut self, dst: RegisterId, src: Operand, ty: Type) {
        self.steps.push(Step::Move { dst, src, ty });
    }

    /// A jump to a label if the flags satisfy a condition.
    pub fn branch_if(&mut self, condition: Condition, label: &str) -> Option<()> {
        let (compare, left, right, ty) = self.flags_as(condition);
        self.branch(compare, left, right, ty, label)
    }

    /// The comparison that a condition on the flags is. The next step reads them. What it compares is known only when
    /// all jumps are ([`condition_flags::connect`]).
    fn flags_as(&mut self, condition: Condition) -> (Compare, Operand, Operand, Type) {
        let (compare, signs) = condition;
        let [left, right] = self.flags().map(Operand::Register);
        self.flag_readers.push(condition_flags::Reader { step: self.steps.len(), condition });
        (compare, left, right, Type::Int { bits: 64, signed: signs == Signs::Signed })
    }

    /// The registers that hold what the flags are set by.
    fn flags(&mut self) -> [RegisterId; 2] {
        let known = self.flags;
        let flags = known.unwrap_or_else(|| ["flags.left", "flags.right"].map(|name| self.number(name)));
        self.flags = Some(flags);
        flags
    }

    /// Records a result that sets the flags. Only whether it is 0 or negative is followed.
    pub fn compare_with_zero(&mut self, result: Operand, ty: Type) {
        self.set_flags(Sets::Result, result, ZERO, ty);
    }

    /// `dst = then` if the flags satisfy a condition, else `dst = otherwise`.
    pub fn select(&mut self, dst: RegisterId, condition: Condition, then: Operand, otherwise: Operand) {
        let (compare, left, right, ty) = self.flags_as(condition);
        self.steps.push(Step::Select { dst, compare, left, right, ty, then, otherwise });
    }

    pub fn binary(&mut self, op: Binary, dst: RegisterId, left: Operand, right: Operand, ty: Type) {
        self.steps.push(Step::Binary { dst, op, left, right, ty });
    }

    /// Records a comparison for later branches.
    pub fn compare(&mut self, left: Operand, right: Operand, ty: Type) {
        self.set_flags(Sets::Difference, left, right, ty);
    }

    /// Sets the flags by two operands. It copies them, because their registers may change before the flags are read. The
    /// copies are sign-extended, which keeps the order of signed and of unsigned values. All instructions have the same
    /// copies, so a reader sees those of the last one on its path.
    pub fn set_flags(&mut self, sets: Sets, left: Operand, right: Operand, ty: Type) {
        let ty = ty.with_sign(true);
        for (dst, operand) in self.flags().into_iter().zip([left, right]) {
            self.mov(dst, operand, ty);
        }
        self.flag_setters.push(Setter { step: self.steps.len() - 1, ty, sets });
    }

    /// A conditional jump to a label.
    pub fn branch(&mut self, compare: Compare, left: Operand, right: Operand, ty: Type, label: &str) -> Option<()> {
        let target = self.target(label)?;
        self.steps.push(Step::Branch { compare, left, right, ty, target });
        Some(())
    }

    pub fn jump(&mut self, label: &str) -> Option<()> {
        let target = self.target(label)?;
        self.steps.push(Step::Jump(target));
        Some(())
    }

    /// Ends the thread, as a return does.
    pub fn end(&mut self) {
        self.returns.get_or_insert(self.steps.len());
        let target = self.label(END);
        self.steps.push(Step::Jump(target));
    }

    /// Places the end of the thread, if an instruction goes there.
    fn place_end(&mut self) {
        if let Some(label) = self.labels.iter().position(|(name, _)| name == END) {
            let last = self.spans.last().copied().unwrap_or(Span::at(0));
            self.labels[label].1 = Some(last);
            self.steps.push(Step::Label(label));
            self.spans.push(last);
        }
    }

    fn target(&mut self, label: &str) -> Option<usize> {
        (label.starts_with('@') || self.dialect.is_label(label)).then(|| self.label(label))
    }
}

pub(crate) const ZERO: Operand = int(0);

/// A constant as an operand.
pub(crate) const fn int(value: i64) -> Operand {
    Operand::Const(Const::Int(value))
}
