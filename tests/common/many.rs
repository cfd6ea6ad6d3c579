//! Tests of one thread that use many registers.

use wakerace::arch::Arch;

/// The most registers that a thread in assembly can use.
pub const MOST: [(Arch, usize); 4] =
    [(Arch::X86_64, 15), (Arch::Aarch64, 29), (Arch::Powerpc64le, 27), (Arch::Riscv64gc, 27)];

/// The first word of a test, and the registers that a thread may name.
fn language(arch: Arch) -> (&'static str, Vec<String>) {
    const X86: [&str; 15] =
        ["rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    let numbered = |letter: &str, numbers: std::ops::RangeInclusive<usize>| -> Vec<String> {
        numbers.map(|number| format!("{letter}{number}")).collect()
    };
    match arch {
        Arch::X86_64 => ("X86_64", X86.map(str::to_owned).to_vec()),
        Arch::Aarch64 => ("AArch64", numbered("X", 0..=30)),
        // r0 as a base register reads as 0.
        Arch::Powerpc64le => ("PPC", numbered("r", 1..=31)),
        Arch::Riscv64gc => ("RISCV", numbered("x", 1..=31)),
    }
}

/// The load of what a register points to into the same register.
fn load(arch: Arch, register: &str) -> String {
    match arch {
        Arch::X86_64 => format!("movq (%{register}),%{register}"),
        Arch::Aarch64 => format!("LDR {register},[{register}]"),
        Arch::Powerpc64le => format!("ld {register},0({register})"),
        Arch::Riscv64gc => format!("ld {register},0({register})"),
    }
}

/// A loop of `rounds` rounds with this counter.
fn rounds(arch: Arch, counter: &str) -> [String; 3] {
    match arch {
        Arch::X86_64 => [format!("L: decq %{counter}"), "jne L".to_owned(), "nop".to_owned()],
        Arch::Aarch64 => [format!("L: SUB {counter},{counter},#1"), format!("CBNZ {counter},L"), "NOP".to_owned()],
        Arch::Powerpc64le => {
            [format!("L: addi {counter},{counter},-1"), format!("cmpwi {counter},0"), "bne L".to_owned()]
        }
        Arch::Riscv64gc => [format!("L: addi {counter},{counter},-1"), format!("bnez {counter},L"), "nop".to_owned()],
    }
}

/// A test whose thread uses `count` registers. Each but the last points to a location of its own and is loaded with what is
/// there: 100 for the first, 101 for the second. The last is a constant, 2, or with `looping` the counter of a loop of two
/// rounds behind the loads. Also the value of each register at the end.
pub fn many(arch: Arch, count: usize, looping: bool) -> (String, Vec<i64>) {
    let (word, names) = language(arch);
    let (pointers, last) = (&names[..count - 1], &names[count - 1]);
    let init: String =
        pointers.iter().enumerate().map(|(n, name)| format!("int64_t v{n}={}; 0:{name}=v{n}; ", 100 + n)).collect();
    let mut body: Vec<String> = pointers.iter().map(|name| load(arch, name)).collect();
    if looping {
        body.extend(rounds(arch, last));
    }
    let lines: String = body.iter().map(|line| format!(" {line} ;\n")).collect();
    let mut values: Vec<i64> = (100..).take(count - 1).collect();
    values.push(if looping { 0 } else { 2 });
    let condition: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("0:{name}={value}")).collect();
    let text =
        format!("{word} many\n{{ {init}int64_t 0:{last}=2; }}\n P0 ;\n{lines}forall ({})\n", condition.join(" /\\ "));
    (text, values)
}
