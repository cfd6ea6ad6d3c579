//! 64-bit RISC-V (RVWMO).

mod assembly;
mod emit;
mod encode;
mod events;
mod primitives;

use super::Isa;
use crate::codegen::risc;
use crate::model::machine;

pub(super) const ISA: Isa = Isa {
    emit: |choices, thread, layout, pace| risc::emit(emit::Riscv64::new(choices.lock), thread, layout, pace),
    events: |choices, program| machine::events(program, &events::Riscv(choices.lock)),
    dialects: &assembly::DIALECTS,
    encoder: &encode::ENCODER,
    primitives: primitives::PRIMITIVES,
};
