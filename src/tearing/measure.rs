//! Measures the accesses of the map on two CPUs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::access::Access;
use crate::arch::native;
use crate::error::Result;
use crate::machine::duet;
use crate::stats::{Count, Interval, effect_between, interval_with, share};

/// How often the map is gone through. The counts of the rounds show how much the rates change.
pub(super) const ROUNDS: usize = 5;
/// Loads, and pairs of stores, between two looks at the time or at what to do next.
const STRIDE: usize = 256;
/// The largest line. The accesses begin in the first line of the bytes below and reach into the second.
const LARGEST_LINE: usize = 256;
/// What the storing thread reads instead of the number of an access when it must wait.
const NONE: usize = usize::MAX;

/// What was seen of one access.
#[derive(Debug, Clone, PartialEq)]
pub struct Torn {
    /// The access.
    pub access: Access,
    /// Loads.
    pub loads: u64,
    /// Loads whose value differs from that of the load before: only these can have met a store.
    pub changes: u64,
    /// Loads whose value is neither of the two that were stored and differs from that of the load before. A torn value that
    /// stays until the next store is so counted once, however many loads see it.
    pub torn: u64,
    /// The torn loads among those that saw a new value, by round.
    pub rounds: Vec<Count>,
}

impl Torn {
    /// The share of the loads that saw a new value in which this value was torn. `None` without a new value: no load is known
    /// to have met a store then.
    pub fn share(&self) -> Option<f64> {
        share(self.torn, self.changes)
    }

    /// The 95 % interval of [`Torn::share`]; it includes the differences between the rounds. `None` without a new value.
    pub fn interval(&self) -> Option<Interval> {
        interval_with(self.torn, self.changes, effect_between(&self.rounds))
    }

    fn add(&mut self, Window { loads, changes, torn }: Window) {
        self.loads += loads;
        self.changes += changes;
        self.torn += torn;
        self.rounds.push(Count { seen: torn, of: changes });
    }
}

/// The bytes that are accessed. Their alignment is that of the largest line.
#[repr(align(256))]
struct Bytes(std::cell::UnsafeCell<[u8; 2 * LARGEST_LINE]>);

// SAFETY: the bytes are only accessed by single instructions (`native::load`, `native::store`), which may race.
unsafe impl Sync for Bytes {}

impl Bytes {
    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < LARGEST_LINE);
        self.0.get().cast::<u8>().wrapping_add(offset)
    }
}

/// The counts of one access in one round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Window {
    loads: u64,
    changes: u64,
    torn: u64,
}

/// Stores on CPU `b` and loads on CPU `a` with each access in turn, for about `time` in total. `watch` gets the share that
/// is done and the torn loads so far. Ends early when `interrupt` is set; then some accesses may have no loads.
///
/// # Errors
/// If a thread cannot be started or cannot be pinned to its CPU.
pub fn measure(
    (a, b): (usize, usize),
    accesses: &[Access],
    time: Duration,
    interrupt: &AtomicBool,
    mut watch: impl FnMut(f64, u64) + Send,
) -> Result<Vec<Torn>> {
    let bytes = Bytes(std::cell::UnsafeCell::new([0; 2 * LARGEST_LINE]));
    let [wanted, stored] = [(); 2].map(|()| CachePadded::new(AtomicUsize::new(NONE)));
    let each = time.div_f64((ROUNDS * accesses.len()).max(1) as f64);
    let store = |stop: &AtomicBool| {
        while !stop.load(Ordering::Relaxed) {
            let number = wanted.load(Ordering::Relaxed);
            if let Some(access) = accesses.get(number) {
                store_in_turn(&bytes, *access, || {
                    stored.store(number, Ordering::Release);
                    wanted.load(Ordering::Relaxed) == number && !stop.load(Ordering::Relaxed)
                });
            }
            std::hint::spin_loop();
        }
    };
    let load = || {
        let new = |access: &Access| Torn { access: *access, loads: 0, changes: 0, torn: 0, rounds: Vec::new() };
        let mut all: Vec<Torn> = accesses.iter().map(new).collect();
        let mut seen = 0;
        for at in 0..ROUNDS * all.len() {
            let number = at % all.len();
            wanted.store(number, Ordering::Relaxed);
            // The storing thread may have lost its CPU. What it stored before its announcement is seen after it.
            while stored.load(Ordering::Acquire) != number && !interrupt.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            let begun = Instant::now();
            let over = || begun.elapsed() >= each || interrupt.load(Ordering::Relaxed);
            let window = load_for(&bytes, accesses[number], over);
            if interrupt.load(Ordering::Relaxed) {
                break;
            }
            seen += window.torn;
            all[number].add(window);
            watch((at + 1) as f64 / (ROUNDS * accesses.len()) as f64, seen);
        }
        all
    };
    duet(a, b, store, load)
}

/// Stores zeros and ones in turn, and calls `go_on` from time to time after a store of ones, until it returns false.
fn store_in_turn(bytes: &Bytes, Access { size, offset }: Access, go_on: impl Fn() -> bool) {
    let place = bytes.at(offset);
    match size {
        4 => store_sized::<4>(place, go_on),
        8 => store_sized::<8>(place, go_on),
        _ => store_sized::<16>(place, go_on),
    }
}

fn store_sized<const SIZE: usize>(place: *mut u8, go_on: impl Fn() -> bool) {
    // Only then is the access announced: before the first store the bytes are those that another access left.
    loop {
        for _ in 0..STRIDE {
            // SAFETY: `place` has LARGEST_LINE more bytes after it ([`Bytes::at`]), and only `load` and `store` access them.
            unsafe {
                native::store::<SIZE>(place, 0);
                native::store::<SIZE>(place, u128::MAX);
            }
        }
        if !go_on() {
            return;
        }
    }
}

/// Loads until `over` returns true, and counts.
fn load_for(bytes: &Bytes, Access { size, offset }: Access, over: impl Fn() -> bool) -> Window {
    let place = bytes.at(offset);
    match size {
        4 => load_sized::<4>(place, over),
        8 => load_sized::<8>(place, over),
        _ => load_sized::<16>(place, over),
    }
}

fn load_sized<const SIZE: usize>(place: *const u8, over: impl Fn() -> bool) -> Window {
    let ones = u128::MAX >> (128 - 8 * SIZE);
    let (mut window, mut last) = (Window::default(), 0);
    while !over() {
        for _ in 0..STRIDE {
            // SAFETY: as in `store_sized`.
            let value = unsafe { native::load::<SIZE>(place) };
            let new = value != last;
            window.changes += u64::from(new);
            window.torn += u64::from(new && value != 0 && value != ones);
            last = value;
        }
        window.loads += STRIDE as u64;
    }
    window
}

#[cfg(test)]
mod tests {
    use super::super::access::{SIZES, accesses};
    use super::*;

    /// A value whose halves differ is torn, whatever its size; zeros and ones of this size are not.
    #[test]
    fn a_load_of_parts_of_two_stores_is_torn() {
        for access in accesses(&SIZES, 64).into_iter().step_by(7) {
            let bytes = Bytes(std::cell::UnsafeCell::new([0; 2 * LARGEST_LINE]));
            let once = || {
                let looks = std::cell::Cell::new(0);
                let over = || looks.replace(looks.get() + 1) == 1;
                load_for(&bytes, access, over)
            };
            assert_eq!(once(), Window { loads: 256, changes: 0, torn: 0 }, "{access:?}");
            let rounds = std::cell::Cell::new(0);
            store_in_turn(&bytes, access, || rounds.replace(rounds.get() + 1) == 0);
            assert_eq!(once(), Window { loads: 256, changes: 1, torn: 0 }, "{access:?}");
            // SAFETY: no other thread accesses the bytes. One byte in the middle of the access is changed.
            unsafe { *bytes.at(access.offset + access.size / 2) = 0x7f };
            assert_eq!(once(), Window { loads: 256, changes: 1, torn: 1 }, "{access:?}");
            // The bytes outside are as they were.
            // SAFETY: no other thread accesses the bytes.
            let outside = unsafe { *bytes.at(access.offset + access.size) };
            assert_eq!(outside, 0, "{access:?}");
        }
    }

    /// Loads that begin before the first store see the bytes of the access before, which are no tear.
    #[test]
    fn an_access_is_announced_after_its_first_stores() {
        for access in accesses(&SIZES, 64) {
            let bytes = Bytes(std::cell::UnsafeCell::new([0x0f; 2 * LARGEST_LINE]));
            store_in_turn(&bytes, access, || {
                let end = access.offset + access.size;
                // SAFETY: no other thread accesses the bytes.
                let seen: Vec<u8> = (access.offset..end).map(|at| unsafe { *bytes.at(at) }).collect();
                assert!(seen.iter().all(|byte| *byte == 0xff), "{access:?}: {seen:x?}");
                false
            });
        }
    }

    #[test]
    fn every_access_is_measured_in_every_round_and_an_interrupt_ends_it() {
        let allowed = crate::machine::allowed_cpus().unwrap();
        let cpus = (allowed[0], *allowed.last().unwrap());
        let all = accesses(&[4, 8], 64);
        let go = AtomicBool::new(false);
        let mut shares = Vec::new();
        let found = measure(cpus, &all, Duration::from_millis(640), &go, |share, _| shares.push(share)).unwrap();
        assert_eq!(found.iter().map(|torn| torn.access).collect::<Vec<_>>(), all);
        for torn in &found {
            assert!(torn.rounds.len() == ROUNDS && torn.loads >= ROUNDS as u64 * STRIDE as u64, "{torn:?}");
            assert_eq!(torn.rounds.iter().map(|round| round.of).sum::<u64>(), torn.changes);
            assert!(torn.torn <= torn.changes && torn.changes <= torn.loads);
            assert!(torn.torn == 0 || !torn.access.is_guaranteed(), "{torn:?}");
        }
        assert_eq!((shares.len(), *shares.last().unwrap()), (ROUNDS * all.len(), 1.0));
        go.store(true, Ordering::Relaxed);
        let none = measure(cpus, &all, Duration::from_secs(600), &go, |_, _| ()).unwrap();
        assert!(none.iter().all(|torn| torn.loads == 0 && torn.interval().is_none()));
    }
}
