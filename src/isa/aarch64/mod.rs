//! 64-bit Arm (Armv8), with LSE atomics or LL/SC.

mod assembly;
mod emit;
mod encode;
mod events;
mod primitives;

use super::Isa;
use crate::arch::Atomics;
use crate::codegen::risc;
use crate::model::machine;
use crate::program::{Order, RmwOp, RmwResult};

pub(super) const ISA: Isa = Isa {
    emit: |choices, thread, layout, pace| risc::emit(emit::Aarch64::new(choices.atomics), thread, layout, pace),
    events: |choices, program| machine::events(program, &events::Aarch64(choices.atomics)),
    dialects: &assembly::DIALECTS,
    encoder: &encode::ENCODER,
    primitives: primitives::PRIMITIVES,
};

/// The ordering that a read-modify-write has in the kernel's text: operation, result, and whether it has 64 bits.
///
/// With LSE, the relaxed, acquire and release forms of a 32-bit atomic_sub_return and atomic_dec_return are fully
/// ordered, because __lse_atomic_sub_return() calls __lse_atomic_fetch_sub() without the suffix
/// (arch/arm64/include/asm/atomic_lse.h, v7.2). The 64-bit forms have the suffix.
fn order(atomics: Atomics, (op, result, wide): (RmwOp, RmwResult, bool), order: Order) -> Order {
    let unsuffixed = atomics == Atomics::Lse && op == RmwOp::Sub && result == RmwResult::New && !wide;
    if unsuffixed { Order::Full } else { order }
}
