//! Litmus tests in assembly, as herd7 and litmus7 read them: X86_64, AArch64, PPC and RISCV.
//!
//! They are judged, not run: the models' own literature is written in them, so this is how the models here are held
//! against it. The instructions known are those that such tests are made of; any other is refused by name.

mod aarch64;
mod ppc;
mod riscv;
mod x86_64;

use super::Model;
use super::code::{BranchOn, Change, Code, CodeThread, Gives, Step, Update};
use super::event::Tags;
use crate::litmus::{self, Diagnostic, Source, Span, ast};
use crate::program::{Address, Binary, Column, Compare, Const, LocationId, Operand, Prop, RegisterId, Type};

/// The first word of a test in assembly, and the model it is for.
const DIALECTS: [(&str, Model); 5] = [
    ("X86_64", Model::X86Tso),
    ("X86", Model::X86Tso),
    ("AArch64", Model::Armv8),
    ("PPC", Model::Power),
    ("RISCV", Model::Rvwmo),
];

/// The model of the architecture a test is written for; `None` if it is not in assembly.
pub fn dialect(text: &str) -> Option<Model> {
    let word = text.split_whitespace().next()?;
    DIALECTS.iter().find(|(name, _)| *name == word).map(|(_, model)| *model)
}

/// Reads a test in assembly.
///
/// # Errors
/// What could not be understood, and where.
pub fn parse(source: &Source) -> Result<(Code, Model), Diagnostic> {
    let text = source.text();
    let Some(model) = dialect(text) else {
        return Err(source.error(Span::at(0), "expected X86_64, AArch64, PPC or RISCV", "the architecture's name"));
    };
    let mut words = text.split_whitespace();
    let name = words.nth(1).unwrap_or("").to_owned();
    let (Some(open), Some(close)) = (text.find('{'), text.find('}')) else {
        return Err(source.error(Span::at(0), "the test has no `{ ... }` with initial values", ""));
    };
    if close < open {
        return Err(source.error(Span::at(close), "`}` stands before `{`", ""));
    }
    let mut reader = Reader { source, model, names: Vec::new(), init: Vec::new(), threads: Vec::new() };
    let clause = clause_start(text, close);
    let lines = program_lines(text, close + 1, clause);
    let width = lines.first().map_or(0, |(_, cells)| cells.len());
    if width == 0 || !lines[0].1.iter().enumerate().all(|(at, (_, cell))| *cell == format!("P{at}")) {
        return Err(source.error(Span::at(close), "expected the line `P0 | P1 ...;` after the initial values", ""));
    }
    if width > crate::litmus::MAX_THREADS {
        let message = format!("the test has {width} threads; at most {} are taken", crate::litmus::MAX_THREADS);
        return Err(source.error(Span::at(close), message, ""));
    }
    reader.threads = (0..width).map(|_| Assembler::new(model)).collect();
    reader.initial(open + 1, close)?;
    for (line, cells) in &lines[1..] {
        if cells.len() > width {
            return Err(source.error(*line, format!("this line has {} columns, not {width}", cells.len()), ""));
        }
        for (thread, (span, cell)) in cells.iter().enumerate() {
            reader.instruction(thread, *span, cell)?;
        }
    }
    let (columns, filter, quantifier, condition) = reader.clauses(clause)?;
    let Reader { names, init, threads, .. } = reader;
    let threads = threads
        .into_iter()
        .map(|thread| CodeThread {
            registers: thread.values,
            names: thread.registers,
            steps: thread.steps,
            scoped: false,
        })
        .collect();
    Ok((Code { name, names, init, threads, columns, quantifier, condition, filter }, model))
}

/// Where the program ends and `locations`, `filter` or the condition begins.
fn clause_start(text: &str, from: usize) -> usize {
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        let start = line.trim_start_matches(['}', ' ', '\t']);
        if ["exists", "~exists", "forall", "locations", "filter"].iter().any(|word| start.starts_with(word)) {
            return at + (line.len() - start.len());
        }
        at += line.len();
    }
    text.len()
}

type Cells<'t> = Vec<(Span, &'t str)>;

/// The lines of the program, each cut into its threads' cells.
fn program_lines(text: &str, from: usize, to: usize) -> Vec<(Span, Cells<'_>)> {
    let mut lines = Vec::new();
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

struct Reader<'s> {
    source: &'s Source,
    model: Model,
    names: Vec<String>,
    init: Vec<Const>,
    threads: Vec<Assembler>,
}

impl Reader<'_> {
    fn location(&mut self, name: &str) -> LocationId {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.init.push(Const::Int(0));
            self.names.len() - 1
        })
    }

    /// `0:X0=x; uint32_t y=1; z;`
    fn initial(&mut self, from: usize, to: usize) -> Result<(), Diagnostic> {
        let mut at = from;
        for item in self.source.text()[from..to].split(';') {
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
            // A type may stand in front, and brackets or a star around a location.
            let left = left.split_whitespace().last().unwrap_or("").trim_matches(['*', '[', ']']);
            let value = match parse_int(right) {
                Some(value) => Const::Int(value),
                None if is_name(right.trim_start_matches('&')) => {
                    Const::Address(self.location(right.trim_start_matches('&')))
                }
                None => return Err(bad("expected a number or the name of a location after `=`")),
            };
            match left.split_once(':') {
                Some((thread, register)) => {
                    let thread = thread.trim().parse::<usize>().ok().filter(|thread| *thread < self.threads.len());
                    let Some(thread) = thread else { return Err(bad("there is no such thread")) };
                    let Some(register) = self.threads[thread].register(register.trim()) else {
                        return Err(bad("this is no register"));
                    };
                    self.threads[thread].values[register] = value;
                }
                None if is_name(left) => {
                    let location = self.location(left);
                    self.init[location] = value;
                }
                None => return Err(bad("expected `0:register=value` or `location=value`")),
            }
        }
        Ok(())
    }

    fn instruction(&mut self, thread: usize, span: Span, cell: &str) -> Result<(), Diagnostic> {
        let mut rest = cell;
        while let Some((label, after)) = rest.split_once(':') {
            if !is_name(label.trim()) {
                break;
            }
            let label = self.threads[thread].label(label.trim());
            self.threads[thread].steps.push(Step::Label(label));
            rest = after.trim();
        }
        if rest.is_empty() {
            return Ok(());
        }
        let (mnemonic, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operands = split_operands(operands);
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        // x86 names locations in operands.
        if self.model == Model::X86Tso {
            for operand in &operands {
                let name = operand.trim_matches(['(', ')', '[', ']']);
                if name.len() < operand.len() && is_name(name) && x86_64::register_name(name).is_none() {
                    self.location(name);
                }
            }
        }
        let assembler = &mut self.threads[thread];
        let known = match self.model {
            Model::X86Tso => x86_64::assemble(assembler, mnemonic, &operands, &self.names),
            Model::Armv8 => aarch64::assemble(assembler, mnemonic, &operands),
            Model::Power => ppc::assemble(assembler, mnemonic, &operands),
            Model::Rvwmo => riscv::assemble(assembler, mnemonic, &operands),
            Model::Lkmm | Model::Sc => None,
        };
        known.ok_or_else(|| {
            self.source.error(span, format!("`{rest}` is not an instruction that can be judged"), "in this form")
        })
    }

    #[allow(clippy::type_complexity)] // a tuple of the four parts of one clause, used once
    fn clauses(
        &mut self,
        from: usize,
    ) -> Result<(Vec<Column>, Option<Prop>, crate::program::Quantifier, Prop), Diagnostic> {
        let (locations, filter, condition) = litmus::clauses(self.source, from)?;
        let mut columns = Vec::new();
        for observable in &locations {
            self.column(observable, &mut columns)?;
        }
        let filter = filter.map(|filter| self.prop(&filter, &mut columns)).transpose()?;
        let prop = self.prop(&condition.prop, &mut columns)?;
        Ok((columns, filter, condition.quantifier, prop))
    }

    fn column(&mut self, observable: &ast::Observable, columns: &mut Vec<Column>) -> Result<usize, Diagnostic> {
        let name = &observable.name;
        let column = match observable.thread {
            None => Column::Location(self.location(&name.text)),
            Some((thread, span)) => {
                let Some(assembler) = self.threads.get_mut(thread) else {
                    return Err(self.source.error(span, format!("there is no thread {thread}"), ""));
                };
                let Some(register) = assembler.register(&name.text) else {
                    return Err(self.source.error(name.span, format!("`{}` is no register", name.text), ""));
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
            ast::Prop::Atom { left, equal, value } => {
                let column = self.column(left, columns)?;
                let value = match value {
                    ast::Value::Int(value, _) => Const::Int(*value),
                    ast::Value::Address(name) => Const::Address(self.location(&name.text)),
                };
                let atom = Prop::Equal { column, value };
                if *equal { atom } else { Prop::Not(Box::new(atom)) }
            }
        })
    }
}

/// Operands, cut at the commas that are not in brackets.
fn split_operands(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut depth = 0;
    let mut current = String::new();
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                out.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// A register as an operand names it: which one, and how wide.
type Named = (String, Type);

/// The registers, labels and steps of one thread.
struct Assembler {
    model: Model,
    registers: Vec<String>,
    values: Vec<Const>,
    labels: Vec<String>,
    steps: Vec<Step>,
    /// What the last comparison compared; for machines with flags.
    flags: Option<(Operand, Operand, Type)>,
}

const WORD: Type = Type::Int { bits: 32, signed: true };
const LONG: Type = Type::Int { bits: 64, signed: true };

impl Assembler {
    fn new(model: Model) -> Assembler {
        Assembler {
            model,
            registers: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            steps: Vec::new(),
            flags: None,
        }
    }

    fn named(&self, text: &str) -> Option<Named> {
        match self.model {
            Model::X86Tso => x86_64::register_name(text.trim_start_matches('%')),
            Model::Armv8 => aarch64::register_name(text),
            Model::Power => ppc::register_name(text),
            Model::Rvwmo => riscv::register_name(text),
            Model::Lkmm | Model::Sc => None,
        }
    }

    /// The number of a register, and the width its name says.
    fn typed(&mut self, text: &str) -> Option<(RegisterId, Type)> {
        let (name, ty) = self.named(text)?;
        Some((self.number(&name), ty))
    }

    fn register(&mut self, text: &str) -> Option<RegisterId> {
        self.typed(text).map(|(register, _)| register)
    }

    fn number(&mut self, name: &str) -> RegisterId {
        self.registers.iter().position(|known| known == name).unwrap_or_else(|| {
            self.registers.push(name.to_owned());
            self.values.push(Const::Int(0));
            self.registers.len() - 1
        })
    }

    fn temporary(&mut self) -> RegisterId {
        let name = format!("t{}", self.registers.len());
        self.number(&name)
    }

    fn label(&mut self, name: &str) -> usize {
        self.labels.iter().position(|known| known == name).unwrap_or_else(|| {
            self.labels.push(name.to_owned());
            self.labels.len() - 1
        })
    }

    /// base + index as an address.
    fn indexed(&mut self, base: RegisterId, index: Operand) -> Address {
        if index == Operand::Const(Const::Int(0)) {
            return Address::Register(base);
        }
        let dst = self.temporary();
        let left = Operand::Register(base);
        self.steps.push(Step::Binary { dst, op: Binary::Add, left, right: index, ty: LONG });
        Address::Register(dst)
    }

    /// One atomic instruction that gives the old value; `tags` are those of its read and of its write.
    fn atomic(&mut self, dst: Option<RegisterId>, address: Address, ty: Type, change: Change, tags: [Tags; 2]) {
        let [read, write] = tags;
        self.steps.push(Step::Update(Update {
            dst,
            gives: Gives::Old,
            address,
            ty,
            change,
            read,
            failed: read,
            write,
            before: None,
            after: None,
            branch: BranchOn::Nothing,
            until_done: false,
        }));
    }

    fn mov(&mut self, dst: RegisterId, src: Operand, ty: Type) {
        self.steps.push(Step::Move { dst, src, ty });
    }

    fn binary(&mut self, op: Binary, dst: RegisterId, left: Operand, right: Operand, ty: Type) {
        self.steps.push(Step::Binary { dst, op, left, right, ty });
    }

    /// A jump forward to a label; backward jumps are not followed.
    fn branch(&mut self, compare: Compare, left: Operand, right: Operand, ty: Type, label: &str) -> Option<()> {
        let target = self.forward(label)?;
        self.steps.push(Step::Branch { compare, left, right, ty, target });
        Some(())
    }

    fn jump(&mut self, label: &str) -> Option<()> {
        let target = self.forward(label)?;
        self.steps.push(Step::Jump(target));
        Some(())
    }

    fn forward(&mut self, label: &str) -> Option<usize> {
        let target = self.label(label);
        (is_name(label) && !self.steps.contains(&Step::Label(target))).then_some(target)
    }
}

const ZERO: Operand = Operand::Const(Const::Int(0));
