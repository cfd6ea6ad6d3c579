//! Instructions in the notation of the tables of primitives (`isa::primitives`).

use wakerace::arch::Arch;

/// An instruction of a listing in the notation of the tables; `None` for a move between registers and for the load of a
/// constant, which the tables leave out.
pub fn mnemonic(arch: Arch, text: &str) -> Option<String> {
    // dynasm emits a REX prefix without any bit set before registers known only at run time, and objdump prints it.
    let text = text.strip_prefix("rex ").unwrap_or(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let moves = match arch {
        Arch::X86_64 => {
            let clears = words[0] == "xor" && words.len() == 3 && words[1].trim_end_matches(',') == words[2];
            words[0] == "mov" && !text.contains('[') || clears
        }
        Arch::Aarch64 => words[0] == "mov",
        Arch::Powerpc64le => matches!(words[0], "mr" | "li" | "lis"),
        Arch::Riscv64gc => matches!(words[0], "mv" | "li" | "lui"),
    };
    (!moves).then(|| match words[0] {
        "lock" => words[..2].join(" "),
        // `fence` without operands orders everything.
        "fence" if words.len() == 1 => "fence iorw, iorw".to_owned(),
        "fence" | "dmb" | "dsb" => text.to_owned(),
        // The operation of a prefetch.
        "prfm" => words[..2].join(" ").trim_end_matches(',').to_owned(),
        // EH=1 tells the CPU that the word is a lock.
        "lwarx" if words.len() == 5 && words[4] == "1" => "lwarx 1".to_owned(),
        // Some disassemblers write branches with hints, others without.
        word if word.starts_with("bne") && word != "bnez" => "bne".to_owned(),
        word => word.to_owned(),
    })
}
