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
    /// Offset 16: how many instances. Paced code counts it down.
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
    /// Offset 56: how many instances follow each other freely at each tick; read only by paced code.
    pub group: u64,
    /// Offset 64: how many pieces of a group are fetched before its tick, each [`super::warm_step`] bytes from the last; 0
    /// fetches nothing. Read only by paced code.
    pub warm: u64,
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
        make_visible(&buffer);
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
        forget_prefetched();
        // The emitted code touches only what `args` names, as the caller promised: addresses are arena + instance *
        // stride + offset, or pointers to such that `program::lower` proved to be there.
        function(args) == 0
    }
}

/// Makes code that was written as data visible to the instruction fetches of every CPU. On x86 it always is.
fn make_visible(code: &[u8]) {
    #[cfg(target_arch = "aarch64")]
    dynasmrt::cache_control::synchronize_icache(code);
    #[cfg(target_arch = "riscv64")]
    {
        /// riscv_flush_icache(2), for all threads of the process (arch/riscv/include/uapi/asm/unistd.h).
        const SYS_RISCV_FLUSH_ICACHE: libc::c_long = 259;
        let range = code.as_ptr_range();
        // SAFETY: the call takes two addresses and a number, and writes no memory of this process.
        unsafe { libc::syscall(SYS_RISCV_FLUSH_ICACHE, range.start, range.end, 0) };
    }
    #[cfg(target_arch = "powerpc64")]
    {
        // Every block once; blocks are at least 32 bytes (Power ISA, Book II 4.3: dcbst, sync, icbi, isync).
        // SAFETY: the addresses lie in `code`; the instructions change no memory and no register.
        unsafe {
            for block in code.chunks(32) {
                std::arch::asm!("dcbst 0,{0}", in(reg_nonzero) block.as_ptr());
            }
            std::arch::asm!("sync");
            for block in code.chunks(32) {
                std::arch::asm!("icbi 0,{0}", in(reg_nonzero) block.as_ptr());
            }
            std::arch::asm!("sync", "isync");
        }
    }
    let _ = code;
}

/// Drops instructions that this CPU fetched before the code was written. On x86 and riscv64 nothing is left to do.
#[inline]
fn forget_prefetched() {
    // SAFETY: both instructions only order the CPU's own fetches.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!("isb", options(nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "powerpc64")]
    unsafe {
        std::arch::asm!("isync", options(nostack, preserves_flags));
    }
}
