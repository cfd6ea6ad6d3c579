//! Fuzz target: every text in assembly is either refused with an error, or its architecture has code for it, and a
//! disassembler that is not ours reads the code. No input may cause a panic or a hang.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wakerace::catalogue::Scenario;
use wakerace::codegen::{Pace, disassemble};
use wakerace::isa;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::Source;

fuzz_target!(|text: &str| {
    let source = Source::new("fuzz.litmus", text);
    if isa::model_of_assembly(text).is_none() {
        return;
    }
    if let Err(error) = isa::parse_assembly(&source) {
        let _ = error.to_string();
    }
    let scenario = match Scenario::new(&source, "") {
        Ok(scenario) => scenario,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let program = &scenario.program;
    let _ = program.to_string();
    let arch = program.language.expect("the test is in assembly");
    for kind in [LayoutKind::Padded, LayoutKind::Dense] {
        let Ok(layout) = Layout::new(kind, program, 64) else { continue };
        for code in isa::emit(arch, program, &layout, Pace::Paced).expect("a test that was read has code") {
            disassemble(&code).expect("the disassembler reads what was emitted");
        }
    }
});
