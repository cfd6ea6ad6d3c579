//! x86-64 (x86-TSO).

mod assembly;
mod emit;
mod encode;
mod events;
mod mnemonic;
mod primitives;
mod updates;

use super::Isa;
use crate::model::machine;

pub(super) const ISA: Isa = Isa {
    emit: |choices, thread, layout, pace| emit::emit(choices.lock, thread, layout, pace),
    events: |choices, program| machine::events(program, &events::X86(choices.lock)),
    dialects: &assembly::DIALECTS,
    encoder: &encode::ENCODER,
    primitives: primitives::PRIMITIVES,
};
