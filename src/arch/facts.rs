//! What the layers below the emitters must know about an architecture, as data.
//!
//! `src/isa/ARCH/facts/mod.rs` fills in one [`Facts`] per architecture. Code that can only run on the architecture itself
//! (counter, barriers, caches) is in its `native.rs`.

use super::disassembler::Disassembler;
use super::lock::Lock;

/// The facts of one architecture.
#[allow(dead_code)] // only tests read the assembly texts; the code that runs has them in its `asm!`
pub(crate) struct Facts {
    /// The name on the command line, in scenario headers and in records.
    pub name: &'static str,
    /// The name in /proc/sys/kernel/arch (`uname -m`) of a kernel for this architecture.
    pub kernel_name: &'static str,
    /// The cache lines of task_struct.
    pub task_struct: TaskStruct,
    /// The controls of a run.
    pub controls: Controls,
    /// Whether there is a non-temporal store: a store that is weakly ordered although ordinary stores are not.
    pub has_nontemporal_store: bool,
    /// Whether the kernel chooses between two kinds of atomics ([`crate::arch::Atomics`]).
    pub has_two_atomics: bool,
    /// The spinlocks between which the kernel chooses at boot. The first one is the kind of code for another machine.
    pub locks: &'static [Lock],
    /// The counter that paces instances.
    pub counter: Counter,
    /// How CPUs are named.
    pub cpus: Cpus,
    /// The events that count lines from other caches.
    pub line_fills: &'static [LineFills],
    /// Whether CPUID names the hypervisor. Elsewhere /sys, the device tree or the firmware does.
    pub has_cpuid: bool,
    /// Whether QEMU's code generator runs the instructions of a machine that QEMU made, or else the CPU itself (KVM).
    pub translated_by_qemu: fn(&QemuMachine) -> bool,
    /// What decodes its machine code.
    pub disassembler: Disassembler,
    /// Whether the disassembler gives the distance to the target of a branch; otherwise it gives the target's address.
    pub disassembles_distances: bool,
    /// Whether objdump prints the bytes of an instruction as one number; otherwise byte by byte.
    pub lists_numbers: bool,
    /// The barriers that src/kernel executes.
    pub barriers: &'static [Barrier],
    /// The assembly of smp_load_acquire(): `{0}` is the value, `{1}` the address. `None` if Rust's acquire load of an
    /// atomic compiles to the kernel's instruction.
    pub load_acquire: Option<&'static str>,
    /// The assembly of one attempt of raw_spin_lock(). `None` if Rust's compare_exchange with acquire ordering
    /// compiles to the kernel's instructions.
    pub lock_attempt: Option<&'static str>,
}

/// Offsets in struct task_struct, read from a compiled kernel v7.1.5 (defconfig of the architecture; docs/kernel.md,
/// section 4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskStruct {
    /// The name of this layout on the command line and in records.
    pub layout: &'static str,
    /// The cache line size that the kernel assumes, in bytes: L1_CACHE_BYTES of arch/ARCH/include/asm/cache.h.
    pub line: usize,
    /// The offsets of [`FIELDS`], in bytes.
    pub offsets: [usize; FIELDS.len()],
}

/// The fields of task_struct that take part in the race, in the order of their offsets.
pub(crate) const FIELDS: [&str; 5] = ["__state", "on_rq", "pi_lock", "blocked_on", "blocked_lock"];

/// The controls of an architecture: scenarios that must race there, and their variants with a barrier, which must not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Controls {
    /// The controls that accompany every run.
    pub always: &'static [&'static str],
    /// The control that settings for a test of two stores are tuned on.
    pub of_two_stores: &'static str,
    /// The control that settings for any other test are tuned on.
    pub otherwise: &'static str,
}

/// The counter that every CPU can read in user space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    /// Its name for display.
    pub name: &'static str,
    /// The kernel's name for it as a clocksource.
    pub clocksource: &'static str,
    /// What it means if reading it raises SIGSEGV, and what to do; `None` if the kernel has no way to forbid it.
    pub forbidden: Option<&'static str>,
}

/// An event that hardware counts. The kernel opens a counter for it with these numbers (`struct perf_event_attr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HardwareEvent {
    /// The name that the vendor's manual gives it.
    pub name: &'static str,
    /// `type`: 4 (`PERF_TYPE_RAW`) for an event of the CPU.
    pub kind: u32,
    /// `config`: for an event of an x86 CPU its number and, from bit 8 on, its unit mask.
    pub config: u64,
}

/// An event that counts how often a line came from the cache of another CPU, and the designs that have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineFills {
    /// The values of the keys `vendor_id`, `cpu family` and, if not all have the event, `model` of /proc/cpuinfo.
    pub vendor: &'static str,
    pub families: &'static [u32],
    pub models: Option<&'static [u32]>,
    pub event: HardwareEvent,
}

/// How the CPUs of an architecture are named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpus {
    /// A key of /proc/cpuinfo that only this architecture's kernel prints.
    pub own_key: &'static str,
    /// The keys of /proc/cpuinfo that hold a name, the best first.
    pub name_keys: &'static [&'static str],
    /// The keys of /proc/cpuinfo that identify the design.
    pub id_keys: &'static [&'static str],
    /// How numbers identify the design, if the kernel prints numbers instead of a name.
    pub numbers: Option<CpuNumbers>,
}

/// Numbers that identify a design.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuNumbers {
    /// The two keys of /proc/cpuinfo that hold them, in hexadecimal.
    pub keys: [&'static str; 2],
    /// The name for the values of the two keys; `None` if /proc/cpuinfo has a better one under its
    /// [`name_keys`](Cpus::name_keys).
    pub name: fn(u64, u64) -> Option<String>,
    /// The identification register, if /sys shows it.
    pub register: Option<CpuRegister>,
}

/// A register that identifies a design.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuRegister {
    /// The file below /sys/devices/system/cpu/cpuN that holds it, in hexadecimal.
    pub file: &'static str,
    /// The name for a value of the register.
    pub name: fn(u64) -> String,
}

/// What a machine that QEMU made says about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QemuMachine<'a> {
    /// /proc/cpuinfo.
    pub cpuinfo: &'a str,
    /// The counter's frequency as the hardware states it, in Hz.
    pub counter_hz: Option<f64>,
    /// Whether the device tree has a node /hypervisor.
    pub hypervisor_node: bool,
}

/// A barrier that src/kernel executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Barrier {
    /// The name of the function, which is the kernel's where the kernel has the barrier.
    pub name: &'static str,
    /// The assembly text; empty for a barrier that only stops the compiler from reordering.
    pub text: &'static str,
    /// Whether the assembly claims `nostack`: it does not touch the stack, so the compiler may keep data below the
    /// stack pointer across it.
    pub nostack: bool,
}

/// Defines the barriers of an architecture, given its `target_arch`: the table `BARRIERS` on every host, and one function
/// each on that architecture. Each text is written once, because `asm!` takes only literals.
macro_rules! barriers {
    ($target:literal: $($name:ident => $text:literal $($nostack:ident)?;)*) => {
        /// The barriers that src/kernel executes.
        pub(super) const BARRIERS: &[crate::arch::facts::Barrier] = &[$(crate::arch::facts::Barrier {
            name: stringify!($name),
            text: $text,
            nostack: !stringify!($($nostack)?).is_empty(),
        }),*];
        $(
            #[cfg(target_arch = $target)]
            #[inline(always)]
            #[allow(non_snake_case)] // the kernel's names
            pub(crate) fn $name() {
                // SAFETY: the instruction orders memory accesses and changes no register. smp_mb() of x86 adds 0 to the
                // word below the stack pointer. It does not claim `nostack`, so the compiler keeps no data there.
                // Without `nomem` the compiler assumes an access to all memory and moves no access across it.
                unsafe {
                    std::arch::asm!($text, options($($nostack)?));
                }
            }
        )*
    };
}
pub(crate) use barriers;

/// Defines the additions of an architecture for the probe of a core (src/harness/neighbours.rs), given an addition of each of six registers to
/// itself.
macro_rules! additions {
    ($a:literal $b:literal $c:literal $d:literal $e:literal $f:literal) => {
        /// Additions a turn of the loops of [`dependent_additions`] and [`independent_additions`]. The loop itself takes few of the
        /// adders beside so many.
        const A_TURN: u64 = 24;

        /// Makes at least so many additions, each of what the one before gave, so that they take the latency of one each.
        pub(crate) fn dependent_additions(number: u64) {
            let mut a = number;
            for _ in 0..number.div_ceil(A_TURN) {
                // SAFETY: the instructions change the register, and flags on x86-64.
                unsafe {
                    std::arch::asm!(
                        $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a, $a,
                        a = inout(reg) a, options(nomem, nostack)
                    );
                }
            }
        }

        /// Makes at least so many additions in six chains that do not depend on each other, so that several are made at a time.
        pub(crate) fn independent_additions(number: u64) {
            let [mut a, mut b, mut c, mut d, mut e, mut f] = [number; 6];
            for _ in 0..number.div_ceil(A_TURN) {
                // SAFETY: as above.
                unsafe {
                    std::arch::asm!(
                        $a, $b, $c, $d, $e, $f, $a, $b, $c, $d, $e, $f, $a, $b, $c, $d, $e, $f, $a, $b, $c, $d, $e, $f,
                        a = inout(reg) a, b = inout(reg) b, c = inout(reg) c, d = inout(reg) d, e = inout(reg) e,
                        f = inout(reg) f, options(nomem, nostack)
                    );
                }
            }
        }
    };
}
pub(crate) use additions;
