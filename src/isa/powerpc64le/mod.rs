//! Little-endian 64-bit POWER.

mod assembly;
mod emit;
mod encode;
mod events;
mod primitives;

use super::Isa;
use crate::codegen::risc;
use crate::model::machine;

pub(super) const ISA: Isa = Isa {
    emit: |_, thread, layout, pace| risc::emit(emit::Powerpc64le::new(), thread, layout, pace),
    events: |_, program| machine::events(program, &events::Power),
    dialects: &assembly::DIALECTS,
    encoder: &encode::ENCODER,
    primitives: primitives::PRIMITIVES,
};
