//! Events: the memory accesses and barriers of a thread, as the models see them.

use super::bits::named_bits;
use crate::program::{Const, LocationId};

/// The tags of an event: a set of bits. An access without tags is the architecture's ordinary load or store
/// (in the kernel's model, READ_ONCE and WRITE_ONCE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Tags(pub u64);

named_bits! {
    Tags:
    /// Acquire: ldar, .aq, smp_load_acquire, the read of spin_lock.
    ACQUIRE = 0, "acq";
    /// Acquire, RCpc (weaker): ldapr.
    ACQUIRE_PC = 1, "acqpc";
    /// Release: stlr, .rl, smp_store_release, spin_unlock.
    RELEASE = 2, "rel";
    /// One half of a load-reserved/store-conditional pair.
    EXCLUSIVE = 3, "x";
    /// One half of an atomic instruction.
    AMO = 4, "amo";
    /// The read of an update whose result is discarded.
    NORETURN = 5, "noreturn";
    /// A plain C access.
    PLAIN = 6, "plain";
    /// The read of a lock that was taken.
    LKR = 7, "LKR";
    /// The write that takes a lock.
    LKW = 8, "LKW";
    /// The write that frees a lock.
    UL = 9, "UL";
    /// The read of a lock that could not be taken.
    LF = 10, "LF";
    /// A spin_is_locked that found the lock held.
    RL = 11, "RL";
    /// A spin_is_locked that found the lock free.
    RU = 12, "RU";
    /// smp_mb
    MB = 13, "mb";
    /// smp_rmb
    RMB = 14, "rmb";
    /// smp_wmb
    WMB = 15, "wmb";
    /// smp_mb__before_atomic
    BEFORE_ATOMIC = 16, "before-atomic";
    /// smp_mb__after_atomic
    AFTER_ATOMIC = 17, "after-atomic";
    /// smp_mb__after_spinlock
    AFTER_SPINLOCK = 18, "after-spinlock";
    /// smp_mb__after_unlock_lock
    AFTER_UNLOCK_LOCK = 19, "after-unlock-lock";
    /// mfence, or a locked instruction on memory that no other thread sees
    MFENCE = 20, "mfence";
    /// dmb ish (and dsb)
    DMB_FULL = 21, "dmb";
    /// dmb ishld
    DMB_LD = 22, "dmb.ld";
    /// dmb ishst
    DMB_ST = 23, "dmb.st";
    /// isb, isync
    ISYNC = 24, "isync";
    /// sync (hwsync)
    SYNC = 25, "sync";
    /// lwsync
    LWSYNC = 26, "lwsync";
    /// eieio
    EIEIO = 27, "eieio";
    /// fence whose predecessors include reads
    FENCE_PR = 28, "r,";
    /// fence whose predecessors include writes
    FENCE_PW = 29, "w,";
    /// fence whose successors include reads
    FENCE_SR = 30, ",r";
    /// fence whose successors include writes
    FENCE_SW = 31, ",w";
    /// dsb ishst
    DSB_ST = 32, "dsb.st";
    /// The read of a conditional read-modify-write that did not write.
    FAILED = 33, "failed";
    /// barrier
    BARRIER = 34, "barrier";
    /// rcu_read_lock
    RCU_LOCK = 35, "rcu-lock";
    /// rcu_read_unlock
    RCU_UNLOCK = 36, "rcu-unlock";
    /// synchronize_rcu
    SYNC_RCU = 37, "sync-rcu";
    /// The read of srcu_read_lock
    SRCU_LOCK = 38, "srcu-lock";
    /// The write of srcu_read_unlock
    SRCU_UNLOCK = 39, "srcu-unlock";
    /// synchronize_srcu
    SYNC_SRCU = 40, "sync-srcu";
    /// smp_mb__after_srcu_read_unlock
    AFTER_SRCU_READ_UNLOCK = 41, "after-srcu-read-unlock";
}

impl Tags {
    /// fence rw,rw
    pub const FENCE_RW_RW: Tags = Tags(Tags::FENCE_PR.0 | Tags::FENCE_PW.0 | Tags::FENCE_SR.0 | Tags::FENCE_SW.0);
    /// fence rw,w
    pub const FENCE_RW_W: Tags = Tags(Tags::FENCE_PR.0 | Tags::FENCE_PW.0 | Tags::FENCE_SW.0);
    /// fence r,rw
    pub const FENCE_R_RW: Tags = Tags(Tags::FENCE_PR.0 | Tags::FENCE_SR.0 | Tags::FENCE_SW.0);
    /// fence r,r
    pub const FENCE_R_R: Tags = Tags(Tags::FENCE_PR.0 | Tags::FENCE_SR.0);
    /// fence w,w
    pub const FENCE_W_W: Tags = Tags(Tags::FENCE_PW.0 | Tags::FENCE_SW.0);
    /// The events of locks.
    pub const OF_LOCKS: Tags = Tags(Tags::LKR.0 | Tags::LKW.0 | Tags::UL.0 | Tags::LF.0 | Tags::RL.0 | Tags::RU.0);
    /// The events of SRCU domains.
    pub const OF_SRCU: Tags = Tags(Tags::SRCU_LOCK.0 | Tags::SRCU_UNLOCK.0 | Tags::SYNC_SRCU.0);

    /// Whether the two sets have a tag in common.
    pub const fn any(self, of: Tags) -> bool {
        self.0 & of.0 != 0
    }

    /// The tags as text, separated by commas; a RISC-V fence as `fence r,rw`.
    pub fn words(self) -> String {
        let fence = Tags::FENCE_RW_RW;
        if self.any(fence) {
            let side =
                |r: Tags, w: Tags| [(r, "r"), (w, "w")].map(|(tag, c)| if self.any(tag) { c } else { "" }).concat();
            return format!("fence {},{}", side(Tags::FENCE_PR, Tags::FENCE_PW), side(Tags::FENCE_SR, Tags::FENCE_SW));
        }
        let words: Vec<&str> = Tags::WORDS.iter().filter(|(tag, _)| self.any(*tag)).map(|(_, word)| *word).collect();
        words.join(",")
    }
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads a value from a location.
    Read(LocationId, Const),
    /// Writes a value to a location.
    Write(LocationId, Const),
    /// A barrier.
    Fence,
    /// A grace period of the SRCU domain at a location.
    GracePeriod(LocationId),
}

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// The thread; `None` for the write of an initial value.
    pub thread: Option<usize>,
    /// Read, write or fence.
    pub kind: Kind,
    /// The tags.
    pub tags: Tags,
    /// The index of the thread's step that it belongs to.
    pub step: usize,
}

impl Event {
    /// The location that the event reads or writes, or the SRCU domain of a grace period.
    pub fn location(&self) -> Option<LocationId> {
        match self.kind {
            Kind::Read(location, _) | Kind::Write(location, _) | Kind::GracePeriod(location) => Some(location),
            Kind::Fence => None,
        }
    }

    /// The event as text, with the names of the cells and of the locations: `R[acq] x=1`, `W y=1`, `F[mb]`.
    pub fn describe(&self, cells: &[String], names: &[String]) -> String {
        let words = self.tags.words();
        let tags = if words.is_empty() { String::new() } else { format!("[{words}]") };
        let value = |value: Const| match value {
            Const::Int(value) => value.to_string(),
            Const::Address(location) => format!("&{}", names[location]),
        };
        match self.kind {
            Kind::Read(location, read) => format!("R{tags} {}={}", cells[location], value(read)),
            Kind::Write(location, written) => format!("W{tags} {}={}", cells[location], value(written)),
            Kind::Fence => format!("F{tags}"),
            Kind::GracePeriod(location) => format!("F{tags} {}", cells[location]),
        }
    }
}
