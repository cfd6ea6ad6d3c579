//! Emitted code in memory that can be run.

use dynasmrt::AssemblyOffset;
use dynasmrt::mmap::{ExecutableBuffer, MutableBuffer};

use super::ThreadCode;
use crate::arch::Arch;
use crate::error::{Error, Result};

/// What an emitted function is told about its batch. The offsets of the fields are known to the emitters.
#[repr(C)]
#[derive(Debug)]
pub struct ThreadArgs {
    /// Offset 0: the first instance.
    pub arena: *mut u8,
    /// Offset 8: this thread's record of the first instance.
    pub records: *mut u8,
    /// Offset 16: how many instances.
    pub count: u64,
    /// Offset 24: the clock at which the first instance begins, in ticks.
    pub start: u64,
    /// Offset 32: ticks from one instance to the next; read only by paced code.
    pub period: u64,
    /// Offset 40: a byte that becomes nonzero when a thread that waits for a lock is to give up.
    pub stop: *const u8,
    /// Offset 48: written by the function: how many instances began after their time, because the thread was still busy
    /// with an earlier one. 0 from free-running code.
    pub late: u64,
}

/// The code of one thread, mapped executable and not writable.
#[derive(Debug)]
pub struct Executable {
    buffer: ExecutableBuffer,
}

impl Executable {
    /// Maps the code: written while writable, then made executable; never both.
    ///
    /// # Errors
    /// If the code is for another architecture than the host's, or the system refuses executable memory.
    pub fn new(code: &ThreadCode) -> Result<Executable> {
        if Some(code.arch) != Arch::host() {
            return Err(Error::Internal(format!("code for {} cannot run here", code.arch)));
        }
        let refused = "mapping memory for the emitted code";
        let mut buffer = MutableBuffer::new(code.bytes.len()).map_err(Error::io(refused))?;
        buffer.set_len(code.bytes.len());
        buffer.copy_from_slice(&code.bytes);
        let buffer = buffer.make_exec().map_err(Error::io(refused))?;
        Ok(Executable { buffer })
    }

    /// Runs one batch. False if the thread gave up because `stop` was set while it waited for a lock.
    ///
    /// # Safety
    /// `args` must describe memory that stays valid during the call: `arena` at least `count` instances of the layout
    /// the code was emitted for, all initialised; `records` at least `count` records of the thread; `stop` a byte.
    /// Other threads may run the code of other threads of the same test on the same arena meanwhile; nothing else may
    /// touch it.
    pub unsafe fn run(&self, args: &mut ThreadArgs) -> bool {
        // SAFETY: the buffer holds a complete function emitted by this crate, entered at offset 0, that follows the C
        // calling convention of the host, takes one pointer and returns an integer.
        let function: extern "C" fn(*mut ThreadArgs) -> u64 =
            unsafe { std::mem::transmute(self.buffer.ptr(AssemblyOffset(0))) };
        // The emitted code touches only what `args` names, as the caller promised: addresses are arena + instance *
        // stride + offset, or pointers to such that `program::lower` proved to be there.
        function(args) == 0
    }
}
