//! Lowers a test in assembly: to steps for the models, and to a program that its own architecture can run.
//!
//! The parser gives both views of the test ([`crate::model::assembly`]). This module adds what only a run needs: a type
//! for each location and each observed register, the proof that every access stays inside a location
//! ([`crate::model::extent`]), and a trial encoding. So a test that cannot run is refused when it is read, at the
//! instruction that is the reason.

use super::of;
use crate::arch::Arch;
use crate::codegen::assembly::{self, NotEncoded};
use crate::litmus::{Diagnostic, Header, Source, Span};
use crate::model::assembly::{Dialect, Parsed, Written};
use crate::model::code::{Code, CodeThread};
use crate::model::extent::{self, Extents};
use crate::model::{self, Model, ModelError};
use crate::program::{Assembly, Column, Const, Location, MAX_RUN_THREADS, Program, Register, RegisterId, Thread, Type};

/// A test in assembly that its architecture can run.
#[derive(Debug, Clone)]
pub struct AssemblyTest {
    /// The declarations of its header.
    pub header: Header,
    /// What runs.
    pub program: Program,
    /// What the models judge.
    pub view: ModelView,
}

/// A test in assembly as the models see it.
#[derive(Debug, Clone)]
pub struct ModelView {
    code: Code,
    model: Model,
    not_modelled: Option<&'static str>,
}

impl ModelView {
    /// The test for a model.
    ///
    /// # Errors
    /// [`ModelError::NotModelled`] if the model is that of another language, or does not cover an instruction.
    pub fn code(&self, model: Model) -> model::Result<Code> {
        if let Some(reason) = self.not_modelled {
            return Err(ModelError::NotModelled(reason));
        }
        if model != self.model && model != Model::Sc {
            return Err(ModelError::NotModelled("the test is in the assembly of another architecture"));
        }
        Ok(self.code.clone())
    }

    /// The accesses of the test, as [`model::machine::accesses`] gives them for a test in C.
    pub fn accesses(&self) -> Code {
        self.code.clone()
    }
}

/// Lowers a parsed test.
///
/// # Errors
/// A [`Diagnostic`] at the first instruction that cannot run.
pub(super) fn lower(source: &Source, parsed: Parsed) -> Result<AssemblyTest, Diagnostic> {
    let arch = parsed.dialect.model.arch().expect("a dialect is that of an architecture");
    if let Some(thread) = parsed.threads.get(MAX_RUN_THREADS) {
        let message = format!("cannot run: a test that runs has at most {MAX_RUN_THREADS} threads");
        let first = thread.instructions.first().map_or(Span::at(0), |instruction| instruction.span);
        return Err(source.error(first, message, "one too many"));
    }
    if parsed.has_arrays {
        let help = "`wakerace check` judges the test all the same";
        return Err(source.error(Span::at(0), "cannot run: the test has an array", "").help(help));
    }
    let extents = extent::extents(&parsed.code, &parsed.sizes).map_err(|outside| {
        let span = parsed.threads[outside.thread].spans[outside.step];
        source
            .error(span, format!("cannot run: this access {}", outside.reason), "this access")
            .help("every access of a run must stay inside a location; `wakerace check` judges the test all the same")
    })?;
    if let Some(compared) = parsed.compared.iter().find(|compared| !extents.values_are_enough(compared)) {
        let columns = &parsed.code.columns;
        let name = |column| columns.iter().position(|known| *known == column).map(|at| parsed.code.column_name(at));
        let [left, right] = compared.columns.map(|column| name(column).unwrap_or_default());
        let message = format!("cannot run: the condition compares the bits of `{left}` and `{right}`");
        let help = "the values of a run have the types of the test; declare both with one type of 64 bits";
        return Err(source.error(Span::at(0), message, "").help(help));
    }
    let program = Lowering { parsed: &parsed, arch, extents: &extents }.program();
    for (thread, written) in program.threads.iter().zip(&parsed.threads) {
        try_to_encode(source, arch, thread, written, program.locations.len())?;
    }
    let Parsed { code, view, header, not_modelled, dialect, .. } = parsed;
    let code = view.unwrap_or(code);
    let view = ModelView { code, model: dialect.model, not_modelled: not_modelled.map(|(reason, _)| reason) };
    Ok(AssemblyTest { header, program, view })
}

/// Encodes a thread once, for the errors.
fn try_to_encode(
    source: &Source,
    arch: Arch,
    thread: &Thread,
    written: &Written,
    locations: usize,
) -> Result<(), Diagnostic> {
    let Some(own) = &thread.assembly else { return Ok(()) };
    let first = written.instructions.first().map_or(Span::at(0), |instruction| instruction.span);
    let encoder = of(arch).encoder;
    let allocation = assembly::allocate(thread, own, encoder)
        .map_err(|reason| source.error(first, format!("cannot run: the thread {reason}"), ""))?;
    let offsets = vec![0; locations];
    let encoded = assembly::encode(thread, own, &allocation, &offsets, encoder);
    let refused = |NotEncoded { instruction, reason }: NotEncoded| {
        let written = &written.instructions[instruction];
        let message = format!("`{}` cannot run: {reason}", written.text);
        source.error(written.span, message, "not encoded").help("`wakerace check` judges the test all the same")
    };
    encoded.map(|_| ()).map_err(refused)
}

struct Lowering<'a> {
    parsed: &'a Parsed,
    arch: Arch,
    extents: &'a Extents,
}

impl Lowering<'_> {
    fn program(&self) -> Program {
        let code = &self.parsed.code;
        Program {
            name: code.name.clone(),
            language: Some(self.arch),
            locations: (0..code.names.len()).map(|location| self.location(location)).collect(),
            threads: (code.threads.iter().enumerate()).map(|(number, thread)| self.thread(number, thread)).collect(),
            columns: code.columns.clone(),
            displayed: code.displayed.clone(),
            alone: code.displayed.clone(),
            arrays: Vec::new(),
            quantifier: code.quantifier,
            condition: code.condition.clone(),
            filter: code.filter.clone(),
            match_event: self.parsed.match_event.clone(),
            cannot_run: None,
        }
    }

    fn location(&self, location: usize) -> Location {
        let code = &self.parsed.code;
        let pointer = self.extents.locations_hold_addresses[location];
        let size = self.extents.sizes[location];
        let column = code.columns.iter().position(|column| *column == Column::Location(location));
        // The models convert a column to its declared type.
        let declared = column.map(|column| code.types[column]).filter(|ty| ty.bytes() == size);
        let ty = if pointer { Type::Pointer } else { declared.unwrap_or_else(|| integer(size)) };
        Location { name: code.names[location].clone(), ty, init: code.init[location] }
    }

    fn thread(&self, number: usize, thread: &CodeThread) -> Thread {
        let written = &self.parsed.threads[number];
        let is_own = |name: &str| is_register(self.parsed.dialect, name);
        let initial = (thread.names.iter().zip(&thread.registers).enumerate())
            .filter(|(_, (name, _))| is_own(name))
            .map(|(id, (_, value))| (id, *value));
        let register = |(id, name): (RegisterId, &String)| Register {
            name: name.clone(),
            ty: self.register_type(number, id),
            observed: self.column(number, id).is_some(),
        };
        Thread {
            registers: thread.names.iter().enumerate().map(register).collect(),
            ops: Vec::new(),
            judged_only: None,
            cut: None,
            assembly: Some(Assembly {
                instructions: written.instructions.clone(),
                initial: initial.collect(),
                touched: self.extents.touched[number].clone(),
                locations: self.parsed.code.names.clone(),
                values: self.extents.stored[number].iter().copied().map(Const::Int).collect(),
            }),
            labels: 0,
            zeroed: Vec::new(),
            composites: Vec::new(),
            expressions: Vec::new(),
        }
    }

    /// The column of a register; `None` if it is not observed.
    fn column(&self, thread: usize, register: RegisterId) -> Option<usize> {
        self.parsed.code.columns.iter().position(|column| *column == Column::Register { thread, register })
    }

    /// The type that an observed register is saved with: as in herd7 the declared one, else `int`.
    fn register_type(&self, thread: usize, register: RegisterId) -> Type {
        if self.extents.registers_hold_addresses[thread][register] {
            return Type::Pointer;
        }
        let column = self.column(thread, register);
        column.map_or(Type::INT, |column| self.parsed.code.types[column])
    }
}

/// Whether a name is that of a register of the architecture, and not one that the parser made for a value in between.
fn is_register(dialect: &Dialect, name: &str) -> bool {
    (dialect.register)(name).is_some_and(|(canonical, _)| canonical == name)
}

/// An integer of this many bytes. Loads of less than 32 bits extend by zeros on most architectures, so short values are
/// unsigned.
fn integer(bytes: usize) -> Type {
    let (bits, signed) = match bytes {
        1 => (8, false),
        2 => (16, false),
        8 => (64, true),
        _ => (32, true),
    };
    Type::Int { bits, signed }
}
