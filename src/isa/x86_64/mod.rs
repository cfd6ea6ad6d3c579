//! x86-64 (x86-TSO).

mod assembly;
mod emit;
mod events;
mod primitives;

use super::Isa;
use crate::model::machine;

pub(super) const ISA: Isa = Isa {
    emit: |_, thread, layout, pace| emit::emit(thread, layout, pace),
    events: |_, program| machine::events(program, &events::X86),
    dialect: &assembly::DIALECT,
    primitives: primitives::PRIMITIVES,
};
