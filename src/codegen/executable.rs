//! Maps emitted code as executable memory and runs it.

use dynasmrt::AssemblyOffset;
use dynasmrt::mmap::{ExecutableBuffer, MutableBuffer};

use super::ThreadCode;
use crate::arch::{Arch, native};
use crate::error::{Error, Result};

/// The arguments of an emitted function for one batch. The emitters contain the offsets of the fields.
#[repr(C)]
#[derive(Debug)]
pub struct ThreadArgs {
    /// Offset 0: address of the first instance.
    pub arena: *mut u8,
    /// Offset 8: address of this thread's record for the first instance.
    pub records: *mut u8,
    /// Offset 16: number of instances. Paced code counts it down. If it is 0, code with [`super::Pace::Edges`] runs a chain of
    /// `gap` steps, so that a caller can measure what a step costs.
    pub count: u64,
    /// Offset 24: clock value at which the first instance starts, in ticks.
    pub start: u64,
    /// Offset 32: period of the pace, in ticks; read only by paced code. With [`super::Pace::Edges`] the time from one span to
    /// the next.
    pub period: u64,
    /// Offset 40: address of a byte that becomes nonzero when a thread that waits for a lock must give up.
    pub stop: *const u8,
    /// Offset 48: number of instances that started after their time, because the thread was still busy with an
    /// earlier one. The function writes it. Free-running code writes 0.
    pub late: u64,
    /// Offset 56: number of instances that run back to back at each tick of the pace; read only by paced code.
    pub group: u64,
    /// Offset 64: number of prefetch steps per group before its start time; each step is [`super::prefetch_step`]
    /// bytes. 0 prefetches nothing. Read only by paced code.
    pub prefetch_steps: u64,
    /// Offset 72: groups per span. This and the next fields are used only by code with [`super::Pace::Edges`].
    pub span_groups: u64,
    /// Offset 80: groups until the next span, counted down: 1 at first.
    pub span_left: u64,
    /// Offset 88: steps of the chain between the edge and the first group of a span.
    pub delay: u64,
    /// Offset 96: steps of the chain between two groups of a span.
    pub gap: u64,
    /// Offset 104: the gap of the current span, which the function writes: `gap`, or 0 if the thread was late by a span or
    /// more.
    pub span_gap: u64,
    /// Offset 112: bytes from the lines of a group to those that are prefetched for writing before the group: 0, or those of a
    /// group. Read only by paced code.
    pub prefetch_ahead: u64,
}

impl ThreadArgs {
    /// The arguments of a batch of no instances, whose [`super::Pace::Edges`] code runs a chain of `steps` steps.
    pub fn of_chain(steps: u64, stop: *const u8) -> ThreadArgs {
        ThreadArgs {
            arena: std::ptr::null_mut(),
            records: std::ptr::null_mut(),
            count: 0,
            start: 0,
            period: 0,
            stop,
            late: 0,
            group: 1,
            prefetch_steps: 0,
            span_groups: 1,
            span_left: 1,
            delay: 0,
            gap: steps,
            span_gap: 0,
            prefetch_ahead: 0,
        }
    }
}

// The emitters contain these offsets as numbers.
const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(ThreadArgs, arena) == 0 && offset_of!(ThreadArgs, records) == 8);
    assert!(offset_of!(ThreadArgs, count) == 16 && offset_of!(ThreadArgs, start) == 24);
    assert!(offset_of!(ThreadArgs, period) == 32 && offset_of!(ThreadArgs, stop) == 40);
    assert!(offset_of!(ThreadArgs, late) == 48 && offset_of!(ThreadArgs, group) == 56);
    assert!(offset_of!(ThreadArgs, prefetch_steps) == 64 && offset_of!(ThreadArgs, span_groups) == 72);
    assert!(offset_of!(ThreadArgs, span_left) == 80 && offset_of!(ThreadArgs, delay) == 88);
    assert!(offset_of!(ThreadArgs, gap) == 96 && offset_of!(ThreadArgs, span_gap) == 104);
    assert!(offset_of!(ThreadArgs, prefetch_ahead) == 112 && size_of::<ThreadArgs>() == 120);
};

/// The code of one thread, mapped as executable and not writable.
#[derive(Debug)]
pub struct Executable {
    buffer: ExecutableBuffer,
}

impl Executable {
    /// Maps the code. The memory is first writable and then executable, never both at once.
    ///
    /// # Errors
    /// If the code is for another architecture than the host's, or if the system refuses executable memory.
    pub fn new(code: &ThreadCode) -> Result<Executable> {
        if Some(code.arch) != Arch::host() {
            return Err(Error::Internal(format!("code for {} cannot run here", code.arch)));
        }
        let refused = "mapping memory for the emitted code";
        let mut buffer = MutableBuffer::new(code.bytes.len()).map_err(Error::io(refused))?;
        buffer.set_len(code.bytes.len());
        buffer.copy_from_slice(&code.bytes);
        let buffer = buffer.make_exec().map_err(Error::io(refused))?;
        native::make_visible(&buffer);
        Ok(Executable { buffer })
    }

    /// Runs one batch. Returns false if the thread gave up because `stop` was set while it waited for a lock.
    ///
    /// # Safety
    /// `args` must describe memory that stays valid during the call. `arena` must hold at least `count`
    /// initialised instances of the layout that the code was generated for. `records` must hold at least
    /// `count` records of the thread. `stop` must point to a byte. Meanwhile other threads may run the code of
    /// other threads of the same test on the same arena; nothing else may access it.
    pub unsafe fn run(&self, args: &mut ThreadArgs) -> bool {
        // SAFETY: the buffer holds a complete function that this crate emitted. Its entry is at offset 0. It
        // follows the C calling convention of the host, takes one pointer and returns an integer.
        let function: extern "C" fn(*mut ThreadArgs) -> u64 =
            unsafe { std::mem::transmute(self.buffer.ptr(AssemblyOffset(0))) };
        native::forget_prefetched();
        // The emitted code accesses only memory that `args` names, which the caller guarantees to be valid. Its
        // addresses are arena + instance * stride + offset, or pointers to such addresses, as `program::lower`
        // has proved. Prefetches may go beyond the arena; they are hints, which access nothing and cannot fault.
        function(args) == 0
    }
}
