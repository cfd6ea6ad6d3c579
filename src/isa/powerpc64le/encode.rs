//! TODO

use crate::codegen::assembly::{Encoder, Piece, Places};
use crate::program::Instruction;

pub(super) const ENCODER: Encoder = Encoder { pool: &[21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 4, 5, 6, 7, 8], fixed: |_, _| None, encode };

fn encode(_: &Instruction, _: &Places<'_>) -> Result<Piece, String> {
    Err("instructions of this architecture are not encoded yet".to_owned())
}
