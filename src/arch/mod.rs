//! The supported architectures: their names, and what the layers below the emitters know about each.
//!
//! The facts of one architecture are in its folder `src/isa/ARCH/facts/`, beside its emitter. In the module tree they belong
//! to this module, because the modules that use them (layout, machine, codegen, kernel) lie below [`crate::isa`]. A file of
//! facts uses nothing of this crate but this module. tests/docs.rs checks that.

// Under loom src/kernel uses loom's fences instead of the host's.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

pub(crate) mod disassembler;
pub(crate) mod facts;
pub mod lock;
pub(crate) mod portable;

#[path = "../isa/aarch64/facts/mod.rs"]
mod aarch64;
#[path = "../isa/powerpc64le/facts/mod.rs"]
mod powerpc64le;
#[path = "../isa/riscv64/facts/mod.rs"]
mod riscv64;
#[path = "../isa/x86_64/facts/mod.rs"]
mod x86_64;

/// Code that runs only on this host's architecture: counter, barriers, caches.
#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::native;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub(crate) use powerpc64le::native;
#[cfg(target_arch = "riscv64")]
pub(crate) use riscv64::native;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::native;

/// The same for hosts that run no test. With it wakerace builds there and offers the commands that run nothing.
#[cfg(not(any(
    target_arch = "aarch64",
    all(target_arch = "powerpc64", target_endian = "little"),
    target_arch = "riscv64",
    target_arch = "x86_64"
)))]
#[path = "unsupported.rs"]
pub(crate) mod native;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use facts::Facts;
pub use facts::HardwareEvent;

/// Calls a macro with the variants of [`Arch`], in the order of [`Arch::ALL`].
macro_rules! architectures {
    ($callback:ident) => {
        $callback! { X86_64 Aarch64 Powerpc64le Riscv64gc }
    };
}
pub(crate) use architectures;

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

    /// What the layers below the emitters know about the architecture.
    pub(crate) const fn facts(self) -> &'static Facts {
        match self {
            Arch::X86_64 => &x86_64::FACTS,
            Arch::Aarch64 => &aarch64::FACTS,
            Arch::Powerpc64le => &powerpc64le::FACTS,
            Arch::Riscv64gc => &riscv64::FACTS,
        }
    }

    /// The architecture's name on the command line, in scenario headers and in records.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The architecture this binary was built for; `None` if wakerace does not support it.
    pub const fn host() -> Option<Arch> {
        native::ARCH
    }

    /// The event that counts lines from other caches on a CPU with these values of /proc/cpuinfo, if one is known.
    pub fn line_fills(self, cpu_ids: &BTreeMap<String, String>) -> Option<HardwareEvent> {
        let number = |key: &str| cpu_ids.get(key)?.parse::<u32>().ok();
        let (vendor, family) = (cpu_ids.get("vendor_id")?, number("cpu family")?);
        let has = |fills: &&facts::LineFills| {
            let model = |models: &[u32]| number("model").is_some_and(|model| models.contains(&model));
            fills.vendor == vendor && fills.families.contains(&family) && fills.models.is_none_or(model)
        };
        self.facts().line_fills.iter().find(has).map(|fills| fills.event)
    }

    /// Whether the kernel chooses between two kinds of atomics on this architecture.
    pub const fn has_two_atomics(self) -> bool {
        self.facts().has_two_atomics
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Other names of architectures: those of Debian, the kernel's folders, uname and compilers. Each belongs to the one of
/// [`Arch::ALL`] that wakerace runs on.
const ALIASES: [(&str, Arch); 10] = [
    ("x86-64", Arch::X86_64),
    ("amd64", Arch::X86_64),
    ("x86", Arch::X86_64),
    ("arm64", Arch::Aarch64),
    ("ppc64le", Arch::Powerpc64le),
    ("ppc64el", Arch::Powerpc64le),
    ("power", Arch::Powerpc64le),
    ("powerpc", Arch::Powerpc64le),
    ("riscv64", Arch::Riscv64gc),
    ("riscv", Arch::Riscv64gc),
];

impl Arch {
    /// The architecture that a name on the command line means: its own name or a usual other one, in any case. Files have
    /// only its own name, which [`FromStr`] takes.
    ///
    /// ```
    /// use wakerace::arch::Arch;
    ///
    /// assert_eq!(Arch::named("arm64"), Ok(Arch::Aarch64));
    /// assert_eq!(Arch::named("x86-64"), "x86_64".parse());
    /// assert!("arm64".parse::<Arch>().is_err());
    /// ```
    ///
    /// # Errors
    /// If no architecture has this name. The message lists the names.
    pub fn named(text: &str) -> Result<Arch, String> {
        let name = text.to_ascii_lowercase();
        let mut names = Arch::ALL.into_iter().map(|arch| (arch.name(), arch)).chain(ALIASES);
        names.find(|(known, _)| *known == name).map(|(_, arch)| arch).ok_or_else(|| Arch::unknown(text))
    }

    /// The error for a name that no architecture has.
    fn unknown(text: &str) -> String {
        format!(
            "unknown architecture '{text}'; known are {}, and on the command line also their usual names, such as arm64, \
             ppc64le or x86-64",
            Arch::ALL.map(Arch::name).join(", ")
        )
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Arch::ALL.into_iter().find(|arch| arch.name() == text).ok_or_else(|| Arch::unknown(text))
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
        native::atomics()
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
