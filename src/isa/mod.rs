//! The architectures, one folder each: what is emitted for a kernel primitive (`emit`), the events that the models
//! see (`events`), and the assembly language of its litmus tests (`assembly`, `encode`).
//!
//! [`crate::codegen`] and [`crate::model`] hold what the architectures share, and do not use this module. Each folder
//! has one `Isa`, and `of` is the only `match` over architectures here.
//!
//! The instructions of each primitive are those of a running kernel (docs/kernel.md, section 5). [`primitives()`] has one
//! table per architecture, which tests/primitives.rs compares with the emitted code and with the events. tests/emitted.rs
//! compares the code with the events, instruction by instruction.

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod aarch64;
mod lower;
mod powerpc64le;
pub mod primitives;
mod riscv64;
mod x86_64;

use crate::arch::Arch;
use crate::arch::lock::Choices;
use crate::codegen::assembly::Encoder;
use crate::codegen::{self, Pace, Target, ThreadCode};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::litmus::{Diagnostic, Source};
use crate::model::assembly::{self, Dialect, Keep};
use crate::model::code::Code;
use crate::model::{self, Model, machine};
use crate::program::{Program, Thread};
pub use lower::{AssemblyTest, ModelView};
use primitives::Primitive;

/// Emits the code of one thread. The error is a reason that completes "P0 ...".
type Emit = fn(Choices, &Thread, &Layout, Pace) -> std::result::Result<ThreadCode, String>;

/// What one architecture provides.
struct Isa {
    emit: Emit,
    /// Translates a test into the events of the emitted instructions.
    events: fn(Choices, &Program) -> model::Result<Code>,
    /// Its assembly languages, the one for today's machines first.
    dialects: &'static [Dialect],
    /// Encodes the instructions of tests in assembly.
    encoder: &'static Encoder,
    primitives: &'static [Primitive],
}

fn of(arch: Arch) -> &'static Isa {
    match arch {
        Arch::X86_64 => &x86_64::ISA,
        Arch::Aarch64 => &aarch64::ISA,
        Arch::Powerpc64le => &powerpc64le::ISA,
        Arch::Riscv64gc => &riscv64::ISA,
    }
}

/// Generates the code of every thread of a program.
///
/// ```
/// use wakerace::arch::Arch;
/// use wakerace::codegen::{Pace, disassemble};
/// use wakerace::layout::{Layout, LayoutKind};
/// use wakerace::{catalogue, isa};
///
/// let scenario = catalogue::named("S02-wmb")?;
/// let layout = Layout::new(LayoutKind::Padded, &scenario.program, 64)?;
/// let code = isa::emit(Arch::Aarch64, &scenario.program, &layout, Pace::Paced)?;
/// assert_eq!(code.len(), scenario.program.threads.len());
/// assert!(disassemble(&code[0])?.iter().any(|instruction| instruction.text == "dmb ishst"));
/// # Ok::<(), wakerace::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Host`] if the architecture lacks an operation, or if a thread needs more registers at once than it has;
/// [`Error::Litmus`] if the test breaks a rule of [`crate::program::lower`] ([`Program::cannot_run`]).
pub fn emit(target: impl Into<Target>, program: &Program, layout: &Layout, pace: Pace) -> Result<Vec<ThreadCode>> {
    if let Some(reason) = &program.cannot_run {
        return Err(reason.clone().into());
    }
    let target = target.into();
    if let Some(language) = program.language.filter(|language| *language != target.arch) {
        let name = &program.name;
        return Err(Error::Host(format!(
            "{name}: the test is in the assembly of {language}; it has no code for {}",
            target.arch
        )));
    }
    each_thread(target, program, layout, pace)
        .map_err(|(number, reason)| Error::Host(format!("{}: P{number} {reason}", program.name)))
}

/// The first thread that no code can be emitted for, and the reason, which completes "P0 ...".
pub fn refused(target: Target, program: &Program, layout: &Layout) -> Option<(usize, String)> {
    each_thread(target, program, layout, Pace::Free).err()
}

fn each_thread(
    target: Target,
    program: &Program,
    layout: &Layout,
    pace: Pace,
) -> std::result::Result<Vec<ThreadCode>, (usize, String)> {
    let emit = of(target.arch).emit;
    let each = program.threads.iter().enumerate();
    each.map(|(number, thread)| emit(target.choices(), thread, layout, pace).map_err(|reason| (number, reason)))
        .collect()
}

/// Translates a test for a model: into the instructions of the model's architecture, or into the C view of
/// the kernel's model and of sequential consistency. `choices` matters on x86-64, Armv8
/// and RISC-V.
///
/// # Errors
/// If the test has a non-temporal store, which these models do not cover.
pub fn code_for(program: &Program, model: Model, choices: impl Into<Choices>) -> model::Result<Code> {
    match model.arch() {
        None => machine::c_view(program, model),
        Some(arch) => (of(arch).events)(choices.into(), program),
    }
}

/// What each kernel primitive becomes on an architecture.
pub fn primitives(arch: Arch) -> &'static [Primitive] {
    of(arch).primitives
}

/// The first word of a litmus test in an architecture's assembly, such as `AArch64`.
pub fn litmus_word(arch: Arch) -> &'static str {
    of(arch).dialects[0].word
}

/// The assembly languages of all architectures.
fn dialects() -> Vec<&'static Dialect> {
    Arch::ALL.into_iter().flat_map(|arch| of(arch).dialects).collect()
}

/// The model of the architecture that a test in assembly is written for; `None` if the test is not in assembly.
pub fn model_of_assembly(text: &str) -> Option<Model> {
    assembly::dialect(text, &dialects()).map(|dialect| dialect.model)
}

/// Parses a test in assembly for the models.
///
/// # Errors
/// A [`Diagnostic`] that says what was not understood or is not modelled, and where.
pub fn parse_assembly(source: &Source) -> std::result::Result<(Code, Model), Diagnostic> {
    let parsed = assembly::parse(source, &dialects(), Keep::Meaning)?;
    if let Some((reason, span)) = parsed.not_modelled {
        return Err(source.error(span, reason, "this instruction"));
    }
    Ok((parsed.view.unwrap_or(parsed.code), parsed.dialect.model))
}

/// Parses a test in assembly for a run.
///
/// # Errors
/// A [`Diagnostic`] that says what was not understood or cannot run, and where.
pub fn read_assembly(source: &Source) -> std::result::Result<AssemblyTest, Diagnostic> {
    lower::lower(source, assembly::parse(source, &dialects(), Keep::Instructions)?)
}

/// The bytes of each instruction of each thread of a test in assembly, with the registers that the test names and not
/// those of a run. Operands that name a location stand for the first byte of an instance.
///
/// # Errors
/// [`Error::Usage`] if the test is not in assembly, or if an instruction cannot be encoded.
pub fn as_written(program: &Program) -> Result<Vec<Vec<Vec<u8>>>> {
    let fail = |reason: String| Error::Usage(format!("{}: {reason}", program.name));
    let arch = program.language.ok_or_else(|| fail("the test is not in assembly".to_owned()))?;
    let each = program.threads.iter().map(|thread| match &thread.assembly {
        Some(own) => codegen::assembly::as_written(thread, own, of(arch).encoder).map_err(fail),
        None => Ok(Vec::new()),
    });
    each.collect()
}
