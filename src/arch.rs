//! The four architectures, by the names Rust's targets and the kernel give them.

use std::fmt;
use std::str::FromStr;

/// An instruction set that scenarios have expectations for.
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
    /// All of them, in the order of the instruction table in docs/kernel.md, section 5.
    pub const ALL: [Arch; 4] = [Arch::X86_64, Arch::Aarch64, Arch::Powerpc64le, Arch::Riscv64gc];

    /// The name used on the command line, in headers and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Powerpc64le => "powerpc64le",
            Arch::Riscv64gc => "riscv64gc",
        }
    }

    /// The architecture this binary was built for, `None` for one that wakerace does not know.
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

/// How arm64's atomics are done; the other architectures have one way each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomics {
    /// One instruction each (FEAT_LSE).
    Lse,
    /// Load-exclusive, store-exclusive loops.
    Llsc,
}

impl Atomics {
    /// What the kernel would use on this CPU: LSE where it exists.
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
