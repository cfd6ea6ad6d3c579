//! The four supported architectures, with the names that Rust's targets and the kernel use.

use std::fmt;
use std::str::FromStr;

/// An instruction set for which scenarios state expected results.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86 (x86-TSO).
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// Little-endian 64-bit POWER (ELFv2).
    Powerpc64le,
    /// 64-bit RISC-V with the G and C extensions (RVWMO).
    Riscv64gc,
}

impl Arch {
    /// All architectures, in the order of the instruction table in docs/kernel.md.
    pub const ALL: [Arch; 4] = [Arch::X86_64, Arch::Aarch64, Arch::Powerpc64le, Arch::Riscv64gc];

    /// The architecture's name on the command line, in scenario headers and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Powerpc64le => "powerpc64le",
            Arch::Riscv64gc => "riscv64gc",
        }
    }

    /// The architecture this binary was built for; `None` if wakerace does not support it.
    pub const fn host() -> Option<Arch> {
        if cfg!(target_arch = "x86_64") {
            Some(Arch::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Arch::Aarch64)
        } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
            Some(Arch::Powerpc64le)
        } else if cfg!(target_arch = "riscv64") {
            Some(Arch::Riscv64gc)
        } else {
            None
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Arch::ALL
            .into_iter()
            .find(|arch| arch.name() == text)
            .ok_or_else(|| format!("unknown architecture '{text}'; known are {}", Arch::ALL.map(Arch::name).join(", ")))
    }
}

/// How arm64 performs atomic operations. Each other architecture has only one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomics {
    /// One instruction per operation (FEAT_LSE).
    Lse,
    /// Loops of load-exclusive and store-exclusive.
    Llsc,
}

impl Atomics {
    /// The choice that the kernel makes on this CPU: LSE if the CPU has it.
    pub fn of_host() -> Atomics {
        #[cfg(target_arch = "aarch64")]
        if !std::arch::is_aarch64_feature_detected!("lse") {
            return Atomics::Llsc;
        }
        Atomics::Lse
    }
}

impl fmt::Display for Atomics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Atomics::Lse => "lse",
            Atomics::Llsc => "llsc",
        })
    }
}

impl FromStr for Atomics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lse" => Ok(Atomics::Lse),
            "llsc" => Ok(Atomics::Llsc),
            _ => Err(format!("unknown atomics '{text}'; known are lse and llsc")),
        }
    }
}
