//! 64-bit Arm (Armv8), with LSE atomics or LL/SC.

mod assembly;
mod emit;
mod events;
mod primitives;

use super::Isa;
use crate::codegen::risc;
use crate::model::machine;

pub(super) const ISA: Isa = Isa {
    emit: |atomics, thread, layout, pace| risc::emit(emit::Aarch64::new(atomics), thread, layout, pace),
    events: |atomics, program| machine::events(program, &events::Aarch64(atomics)),
    dialect: &assembly::DIALECT,
    primitives: primitives::PRIMITIVES,
};
