//! A second reading of x86-64 code.

use capstone::prelude::*;

/// What capstone reads in x86-64 code. The program itself lists such code with another library, in the same spelling.
pub fn capstone(bytes: &[u8]) -> Vec<String> {
    let engine = Capstone::new().x86().mode(arch::x86::ArchMode::Mode64).build().unwrap();
    let all = engine.disasm_all(bytes, 0).unwrap();
    let text = |one: &capstone::Insn| format!("{} {}", one.mnemonic().unwrap(), one.op_str().unwrap());
    all.iter().map(|one| text(one).trim().to_owned()).collect()
}
