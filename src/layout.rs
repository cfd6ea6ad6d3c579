//! The memory layout of an instance's shared variables.
//!
//! An instance is one fresh copy of a test's variables. A layout gives every variable an offset within the
//! instance, and it gives the distance from one instance to the next. The hardware cares which variables share
//! a cache line. It does not care how far apart the lines are. So the kernel layouts keep which variables share
//! a line and drop the distances.

#![warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

use std::fmt;
use std::str::FromStr;

use crate::arch::Arch;
use crate::arch::facts::{FIELDS, TaskStruct};
use crate::error::{Error, Result};
use crate::program::{Location, Program};

/// A rule that places the variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayoutKind {
    /// Every variable has its own cache lines.
    Padded,
    /// All variables of an instance lie next to each other, in as few lines as possible.
    Packed,
    /// Every variable is an array over the instances of a batch, so neighbouring instances share lines, as in
    /// litmus7 with stride 1. This gives the most iterations and weak outcomes per second, but neighbours are
    /// not independent.
    Dense,
    /// Variables named like fields of task_struct share lines as those fields do in a v7.1 kernel for this
    /// architecture.
    Kernel(Arch),
}

impl fmt::Display for LayoutKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutKind::Padded => f.write_str("padded"),
            LayoutKind::Packed => f.write_str("packed"),
            LayoutKind::Dense => f.write_str("dense"),
            LayoutKind::Kernel(arch) => f.write_str(arch.facts().task_struct.layout),
        }
    }
}

impl FromStr for LayoutKind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "padded" => Ok(LayoutKind::Padded),
            "packed" => Ok(LayoutKind::Packed),
            "dense" => Ok(LayoutKind::Dense),
            "kernel" => {
                Arch::host().map(LayoutKind::Kernel).ok_or_else(|| "no kernel layout is known for this host".into())
            }
            _ => kernel_of(text).map(LayoutKind::Kernel).ok_or_else(|| {
                let kernels = Arch::ALL.map(|arch| arch.facts().task_struct.layout).join(", ");
                format!("unknown layout '{text}'; known are padded, packed, dense, kernel (this host's), {kernels}")
            }),
        }
    }
}

/// The architecture of a kernel's layout, by any of its names: `kernel-aarch64`, `kernel-arm64`.
pub fn kernel_of(layout: &str) -> Option<Arch> {
    layout.strip_prefix("kernel-").and_then(|arch| Arch::named(arch).ok())
}

/// The byte offsets within one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The rule that made the layout.
    pub kind: LayoutKind,
    /// The line size that the layout assumes, in bytes.
    pub line: usize,
    /// The offset of each location of the program, in bytes; each is aligned to its size.
    pub offsets: Vec<usize>,
    /// The distance from one instance to the next, in bytes. It is a multiple of `line`, except in the dense layout.
    pub stride: usize,
    /// The largest number of instances in a batch, if the offsets depend on it (dense layout); otherwise `None`.
    pub most: Option<usize>,
}

/// Default number of instances in a dense batch. Two variables of 4 bytes then take 64 KiB, which fits in the
/// second-level cache of every supported CPU (128 KiB on SiFive's U74, 256 KiB or more elsewhere), and the cost of the
/// rendezvous is spread over many instances.
const DENSE_BATCH: usize = 8192;

/// The largest distance between variables of an instance, in bytes: the reach of a signed 32-bit displacement. x86-64
/// instructions have such a displacement (Intel SDM vol. 1, 3.7.5.1), and the other back ends use the same limit.
pub const REACH: usize = (1 << 31) - 1;

impl Layout {
    /// Places the variables of a program. `line` is the host's false-sharing distance in bytes, a power of two.
    ///
    /// ```
    /// use wakerace::arch::Arch;
    /// use wakerace::catalogue;
    /// use wakerace::layout::{Layout, LayoutKind};
    ///
    /// let scenario = catalogue::named("S01-as-is")?;
    /// let padded = Layout::new(LayoutKind::Padded, &scenario.program, 128)?;
    /// assert!(padded.offsets.iter().all(|offset| offset % 128 == 0));
    /// // In the kernel's layout pi_lock and blocked_on share a line on arm64.
    /// let kernel = Layout::new(LayoutKind::Kernel(Arch::Aarch64), &scenario.program, 128)?;
    /// let line = |name: &str| {
    ///     let place = scenario.program.locations.iter().position(|location| location.name == name).unwrap();
    ///     kernel.lines()[place]
    /// };
    /// assert_eq!(line("pi_lock"), line("blocked_on"));
    /// # Ok::<(), wakerace::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`], which names the size, if the variables take more than [`REACH`] bytes.
    pub fn new(kind: LayoutKind, program: &Program, line: usize) -> Result<Layout> {
        Layout::for_batch(kind, program, line, None)
    }

    /// Places the variables of a program for batches of at most `batch` instances.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn for_batch(kind: LayoutKind, program: &Program, line: usize, batch: Option<usize>) -> Result<Layout> {
        let groups = match kind {
            LayoutKind::Padded => (0..program.locations.len()).map(|id| vec![id]).collect(),
            LayoutKind::Packed => vec![(0..program.locations.len()).collect()],
            LayoutKind::Dense => return dense(program, line, batch.unwrap_or(DENSE_BATCH)),
            LayoutKind::Kernel(arch) => kernel_groups(arch, &program.locations),
        };
        let mut offsets = vec![0; program.locations.len()];
        // 128 bits hold every sum, so the error can state the exact size.
        let mut end: u128 = 0;
        for group in groups {
            end = end.next_multiple_of(line as u128);
            for id in group {
                let size = program.locations[id].ty.bytes() as u128;
                let offset = end.next_multiple_of(size);
                end = offset + size;
                offsets[id] = within_reach(end).map(|_| offset).and_then(within_reach).unwrap_or(0);
            }
        }
        let bytes = end.next_multiple_of(line as u128).max(line as u128);
        let stride = within_reach(bytes).ok_or_else(|| {
            Error::Usage(format!(
                "--layout {kind}: an instance of the {} variables of {} takes {bytes} bytes, more than the {REACH} that an \
                 instruction's displacement reaches; use fewer variables, or --layout packed",
                program.locations.len(),
                program.name
            ))
        })?;
        Ok(Layout { kind, line, offsets, stride, most: None })
    }

    /// The line of an instance that each location lies on. Lines are numbered from 0 in ascending order; lines
    /// without a variable are not counted. In a dense layout each location has its own lines.
    pub fn lines(&self) -> Vec<usize> {
        let line = |offset: &usize| if self.most.is_some() { *offset } else { offset / self.line };
        let mut used: Vec<usize> = self.offsets.iter().map(line).collect();
        used.sort_unstable();
        used.dedup();
        self.offsets.iter().map(|offset| used.binary_search(&line(offset)).unwrap_or(0)).collect()
    }

    /// The number of bytes that this many instances take.
    ///
    /// # Errors
    /// [`Error::Usage`] if the size is more than can be addressed.
    pub fn bytes(&self, instances: usize) -> Result<usize> {
        let bytes = match self.most {
            Some(most) => self
                .offsets
                .iter()
                .max()
                .map_or(0, |&last| last as u128 + most as u128 * self.stride as u128)
                .next_multiple_of(self.line as u128),
            None => instances as u128 * self.stride as u128,
        };
        // No object can be larger than half of the address space.
        let most = usize::MAX as u128 / 2;
        usize::try_from(bytes).ok().filter(|_| bytes <= most).ok_or_else(|| {
            Error::Usage(format!(
                "--batch {instances}: {instances} instances of {} bytes take {bytes} bytes, more than the {most} that can be \
                 addressed; use a smaller --batch",
                self.stride
            ))
        })
    }
}

/// A size or offset in an instance; `None` if it exceeds [`REACH`].
fn within_reach(bytes: u128) -> Option<usize> {
    usize::try_from(bytes).ok().filter(|bytes| *bytes <= REACH)
}

/// Makes the dense layout: one array per variable, one after the other.
///
/// Arrays whose sizes are powers of two would put all variables of an instance at the same offset within a
/// page. Some CPUs then take a load for a load of an older store's bytes (4 KiB aliasing in Intel's
/// optimization manual). So each array begins one line later.
fn dense(program: &Program, line: usize, most: usize) -> Result<Layout> {
    let stride = program.locations.iter().map(|location| location.ty.bytes()).max().unwrap_or(1);
    let array = (most as u128 * stride as u128).next_multiple_of(line as u128) + line as u128;
    let count = program.locations.len();
    let bytes = count as u128 * array;
    // `bytes` is at least `array`, except if there is no variable.
    let (Some(array), Some(_)) = (within_reach(array), within_reach(bytes)) else {
        return Err(Error::Usage(format!(
            "--layout dense: {count} arrays of {most} instances of {stride} bytes take {bytes} bytes, more than the {REACH} \
             that an instruction's displacement reaches; use a smaller --batch (now {most}), or another --layout"
        )));
    };
    let offsets = (0..count).map(|id| id * array).collect();
    Ok(Layout { kind: LayoutKind::Dense, line, offsets, stride, most: Some(most) })
}

/// Groups of locations that share a line in task_struct, each group in the order of the offsets. Every other
/// variable (the runqueue's lock, the mutex) belongs to another object, so it forms a group by itself.
fn kernel_groups(arch: Arch, locations: &[Location]) -> Vec<Vec<usize>> {
    let TaskStruct { line, offsets, .. } = arch.facts().task_struct;
    let mut groups: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
    let mut placed: Vec<(Option<usize>, usize, usize)> = Vec::new();
    for (id, location) in locations.iter().enumerate() {
        let field = FIELDS.iter().position(|name| *name == location.name).map(|field| offsets[field]);
        placed.push((field.map(|offset| offset / line), field.unwrap_or(0), id));
    }
    placed.sort_unstable_by_key(|&(line, offset, id)| (line.is_none(), line, offset, id));
    for (line, _, id) in placed {
        match groups.last_mut() {
            Some((known, group)) if line.is_some() && *known == line => group.push(id),
            _ => groups.push((line, vec![id])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    fn program() -> Program {
        let text = "C t\n{}\nP0(int *__state, int *on_rq, spinlock_t *pi_lock, int **blocked_on, spinlock_t *blocked_lock, \
                    spinlock_t *rq_lock) { WRITE_ONCE(*__state, 1); }\nexists (__state=1)";
        lower(&parse(&Source::new("t", text)).unwrap()).unwrap()
    }

    fn lines(kind: LayoutKind) -> Vec<usize> {
        Layout::new(kind, &program(), 64).unwrap().lines()
    }

    #[test]
    fn kernel_layouts_share_lines_as_task_struct_does() {
        // __state, on_rq, pi_lock, blocked_on, blocked_lock, and the runqueue's lock, which belongs to another
        // object.
        assert_eq!(lines(LayoutKind::Kernel(Arch::Aarch64)), [0, 1, 2, 2, 3, 4]);
        assert_eq!(lines(LayoutKind::Kernel(Arch::X86_64)), [0, 1, 2, 3, 3, 4]);
        assert_eq!(lines(LayoutKind::Kernel(Arch::Riscv64gc)), [0, 1, 2, 3, 3, 4]);
        assert_eq!(lines(LayoutKind::Kernel(Arch::Powerpc64le)), [0, 0, 1, 1, 1, 2]);
        assert_eq!(lines(LayoutKind::Padded), [0, 1, 2, 3, 4, 5]);
        assert_eq!(lines(LayoutKind::Dense), [0, 1, 2, 3, 4, 5]);
        assert_eq!(lines(LayoutKind::Packed), [0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_kernel_layout_has_every_name_of_its_architecture() {
        for (name, arch) in [
            ("kernel-arm64", Arch::Aarch64),
            ("kernel-aarch64", Arch::Aarch64),
            ("kernel-ppc64le", Arch::Powerpc64le),
            ("kernel-power", Arch::Powerpc64le),
            ("kernel-riscv64", Arch::Riscv64gc),
            ("kernel-x86-64", Arch::X86_64),
        ] {
            assert_eq!(name.parse(), Ok(LayoutKind::Kernel(arch)), "{name}");
        }
        for kind in Arch::ALL.map(LayoutKind::Kernel) {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("kernel-vax".parse::<LayoutKind>().unwrap_err().contains("unknown layout 'kernel-vax'"));
        assert!("arm64".parse::<LayoutKind>().is_err());
    }

    #[test]
    fn every_variable_is_aligned_and_none_overlap() {
        let program = program();
        // Some sizes fill their lines to the last byte; the others leave part of a line free.
        for count in [100, 104, 105, 128] {
            let layout = Layout::for_batch(LayoutKind::Dense, &program, 64, Some(count)).unwrap();
            assert_eq!(layout.offsets[1] - layout.offsets[0], (count * 8).next_multiple_of(64) + 64, "a line later");
            let mut bytes = vec![false; layout.bytes(count).unwrap()];
            for instance in 0..count {
                for (location, offset) in program.locations.iter().zip(&layout.offsets) {
                    let at = instance * layout.stride + offset;
                    assert_eq!(at % location.ty.bytes(), 0, "{}", location.name);
                    for byte in &mut bytes[at..at + location.ty.bytes()] {
                        assert!(!std::mem::replace(byte, true), "{} overlaps", location.name);
                    }
                }
            }
        }
        let kinds = [LayoutKind::Padded, LayoutKind::Packed].into_iter().chain(Arch::ALL.map(LayoutKind::Kernel));
        for kind in kinds {
            for line in [64, 128, 256] {
                let layout = Layout::new(kind, &program, line).unwrap();
                assert_eq!(layout.stride % line, 0);
                let mut bytes = vec![false; layout.stride];
                for (location, offset) in program.locations.iter().zip(&layout.offsets) {
                    assert_eq!(offset % location.ty.bytes(), 0, "{kind} {}", location.name);
                    for byte in &mut bytes[*offset..offset + location.ty.bytes()] {
                        assert!(!std::mem::replace(byte, true), "{kind} {} overlaps", location.name);
                    }
                }
            }
        }
    }
}
