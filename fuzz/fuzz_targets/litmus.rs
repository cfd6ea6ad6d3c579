//! Fuzz target: every text is either refused with an error, or parsed, lowered and emitted. No input may
//! cause a panic or a hang.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wakerace::arch::Arch;
use wakerace::codegen::{Pace, disassemble};
use wakerace::isa::emit;
use wakerace::layout::{Layout, LayoutKind};
use wakerace::litmus::{Source, parse};
use wakerace::program::{lower, lower_to_judge};

fuzz_target!(|text: &str| {
    let test = match parse(&Source::new("fuzz.litmus", text)) {
        Ok(test) => test,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    if let Ok(judged) = lower_to_judge(&test) {
        let _ = judged.to_string();
    }
    let Ok(program) = lower(&test).inspect_err(|error| drop(error.to_string())) else { return };
    let _ = program.to_string();
    for kind in [LayoutKind::Padded, LayoutKind::Packed] {
        let Ok(layout) = Layout::new(kind, &program, 64) else { continue };
        for code in emit(Arch::X86_64, &program, &layout, Pace::Paced).into_iter().flatten() {
            // Emitted code must decode with a disassembler that is not ours.
            disassemble(&code).expect("the disassembler reads what was emitted");
        }
    }
});
