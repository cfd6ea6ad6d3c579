//! TODO

use crate::codegen::assembly::{Encoder, Piece, Places};
use crate::program::Instruction;

pub(super) const ENCODER: Encoder = Encoder { pool: &[30, 31, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27], fixed: |_, _| None, encode };

fn encode(_: &Instruction, _: &Places<'_>) -> Result<Piece, String> {
    Err("instructions of this architecture are not encoded yet".to_owned())
}
