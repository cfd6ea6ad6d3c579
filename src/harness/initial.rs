//! Resets instances to their initial values.

use super::last_writers::{LastWriters, Region};
use crate::layout::Layout;
use crate::program::{Const, Program};

/// Initial values of a test's variables, and where the variables are stored.
#[derive(Debug)]
pub struct InitialState {
    variables: Vec<Variable>,
    /// Distance from one instance to the next, in bytes.
    stride: usize,
    /// Whether each thread writes its own number instead of the initial values. The test then reads which thread
    /// wrote a variable last.
    #[cfg(test)]
    writes_thread_number: bool,
}

#[derive(Debug, Clone, Copy)]
struct Variable {
    /// Offset in the instance, in bytes.
    offset: usize,
    bytes: usize,
    value: Value,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Bits(u64),
    /// The address of the byte at this offset of the same instance.
    Address(usize),
}

impl InitialState {
    /// The initial state of a program in a layout.
    pub fn new(program: &Program, layout: &Layout) -> InitialState {
        let variables = (program.locations.iter().enumerate())
            .map(|(id, location)| Variable {
                offset: layout.offsets[id],
                bytes: location.ty.bytes(),
                value: match location.init {
                    Const::Int(value) => Value::Bits(value.cast_unsigned()),
                    Const::Address(target) => Value::Address(layout.offsets[target]),
                },
            })
            .collect();
        InitialState {
            variables,
            stride: layout.stride,
            #[cfg(test)]
            writes_thread_number: false,
        }
    }

    /// Same as [`InitialState::new`], but each thread writes its number instead of the initial values.
    #[cfg(test)]
    pub fn with_thread_number(program: &Program, layout: &Layout) -> InitialState {
        InitialState { writes_thread_number: true, ..InitialState::new(program, layout) }
    }

    /// Writes the initial values of the variables that no thread of the test accesses, in the first `count`
    /// instances. They do not change afterwards.
    ///
    /// # Safety
    /// As [`InitialState::reset`], and no other code may access these variables during the call.
    pub unsafe fn settle(&self, arena: *mut u8, last_writers: &LastWriters, count: usize) {
        for (variable, writer) in self.variables.iter().zip(last_writers.writers(0)) {
            if writer.is_none() {
                // SAFETY: guaranteed by the caller.
                unsafe { self.reset_variable(arena, variable, 0..count) };
            }
        }
    }

    /// Writes thread `number`'s part of the initial values of the first `count` instances of a region.
    ///
    /// The last-writer patterns of the region decide which thread writes which variable. The work of all
    /// threads is the same throughout a batch, which keeps free-running threads synchronized.
    ///
    /// # Safety
    /// `arena` must hold `count` instances of the layout. During the call, only the other threads' parts of the
    /// same reset may access them. All threads must use the same patterns.
    pub unsafe fn reset(&self, arena: *mut u8, region: &Region<'_>, count: usize, number: usize) {
        for (location, variable) in self.variables.iter().enumerate() {
            #[cfg(test)]
            let variable = &self.variable_of(number, *variable);
            for range in region.of(number, location, count) {
                // SAFETY: guaranteed by the caller. No two threads write the same variable of the same
                // instance.
                unsafe { self.reset_variable(arena, variable, range) };
            }
        }
    }

    #[cfg(test)]
    fn variable_of(&self, number: usize, variable: Variable) -> Variable {
        if self.writes_thread_number { Variable { value: Value::Bits(number as u64), ..variable } } else { variable }
    }

    /// Writes the initial value of one variable in a range of instances.
    ///
    /// # Safety
    /// As [`InitialState::reset`].
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the value is truncated to the variable's width, as a store truncates it"
    )]
    unsafe fn reset_variable(&self, arena: *mut u8, variable: &Variable, range: std::ops::Range<usize>) {
        let (stride, count) = (self.stride, range.len());
        // SAFETY: the layout places the variables inside the instances, aligned to their sizes. The caller
        // guarantees the instances.
        unsafe {
            let first = arena.add(range.start * stride + variable.offset);
            match (variable.value, variable.bytes) {
                (Value::Bits(bits), 1) => fill(first, stride, count, bits as u8),
                (Value::Bits(bits), 2) => fill(first.cast(), stride, count, bits as u16),
                (Value::Bits(bits), 4) => fill(first.cast(), stride, count, bits as u32),
                (Value::Bits(bits), _) => fill(first.cast(), stride, count, bits),
                (Value::Address(target), _) => {
                    for instance in range {
                        let base = arena.add(instance * stride);
                        base.add(variable.offset).cast::<u64>().write(base.add(target) as u64);
                    }
                }
            }
        }
    }
}

/// Writes `value` to `count` places, `stride` bytes apart, from `first` on.
///
/// # Safety
/// All these places must be valid for writes and aligned. No other code may access them during the call.
unsafe fn fill<T: Copy>(first: *mut T, stride: usize, count: usize, value: T) {
    if stride == size_of::<T>() {
        // SAFETY: the caller guarantees `count` adjacent values. Every bit pattern is a valid value of an
        // integer type.
        unsafe { std::slice::from_raw_parts_mut(first.cast::<std::mem::MaybeUninit<T>>(), count) }
            .fill(std::mem::MaybeUninit::new(value));
    } else {
        for at in 0..count {
            // SAFETY: guaranteed by the caller.
            unsafe { first.cast::<u8>().add(at * stride).cast::<T>().write(value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutKind;
    use crate::litmus::{Source, parse};
    use crate::program::lower;

    /// Together the threads write everything exactly once. On neighbouring lines every combination of writers
    /// is equally frequent.
    #[test]
    fn the_work_is_shared_and_mixed() {
        let text = "C t\n{ x=1; y=1; z=1; }\nP0(int *x, int *y, int *z) { WRITE_ONCE(*x, *y); WRITE_ONCE(*z, 1); }\nexists (x=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for threads in [1_usize, 2, 3] {
            // 64 consecutive lines hold 64 padded instances, or 1024 dense instances of four bytes.
            for (kind, block) in [(LayoutKind::Padded, 64), (LayoutKind::Dense, 1024)] {
                let count = block * threads.pow(3);
                let layout = Layout::for_batch(kind, &program, 64, Some(count)).unwrap();
                let state = InitialState::new(&program, &layout);
                let last_writers = LastWriters::new(&program, &layout, threads);
                let region = last_writers.region(count, 0);
                let mut choices = vec![[usize::MAX; 3]; count];
                for thread in 0..threads {
                    let mut arena = vec![0_u64; layout.bytes(count).unwrap() / 8];
                    // SAFETY: the vector is large enough.
                    unsafe { state.reset(arena.as_mut_ptr().cast(), &region, count, thread) };
                    let bytes: Vec<u8> = arena.iter().flat_map(|word| word.to_ne_bytes()).collect();
                    for (instance, choice) in choices.iter_mut().enumerate() {
                        for (id, offset) in layout.offsets.iter().enumerate() {
                            let at = instance * layout.stride + offset;
                            if bytes[at..at + 4] == 1_i32.to_ne_bytes() {
                                assert_eq!(choice[id], usize::MAX, "written twice");
                                choice[id] = thread;
                            }
                        }
                    }
                }
                let mut seen = std::collections::BTreeMap::<[usize; 3], usize>::new();
                choices.iter().for_each(|choice| *seen.entry(*choice).or_default() += 1);
                assert!(seen.len() == threads.pow(3) && seen.values().all(|&often| often == block), "{kind}: {seen:?}");
                // The recorded last writer is the thread that wrote.
                for (instance, choice) in choices.iter().enumerate() {
                    let said: Vec<_> =
                        last_writers.writers(region.kind(instance)).iter().map(|who| who.unwrap()).collect();
                    assert_eq!(said, choice, "{kind}, instance {instance}");
                }
            }
        }
    }

    /// The memory is filled with garbage first. After the reset, the first `count` instances have their initial
    /// values to the byte, and nothing else is changed. Covers variables of every width, negative values,
    /// addresses in the same instance, variables that share a line, and variables that no thread accesses.
    #[test]
    fn every_instance_is_as_it_was_and_nothing_else_is_touched() {
        let text = "C t\n{ a=-7; b=300; c=-70000; d=5; p=&c; int unused = 9; }\n\
                    P0(char *a, short *b, int *c, long *d, int **p, int *unused, int **q) { WRITE_ONCE(*a, 1); WRITE_ONCE(*b, 1); \
                    WRITE_ONCE(*c, 1); WRITE_ONCE(*d, 1); WRITE_ONCE(*p, c); WRITE_ONCE(*q, unused); }\n\
                    P1(int *c) { WRITE_ONCE(*c, 2); }\nexists (c=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for kind in [LayoutKind::Padded, LayoutKind::Packed, LayoutKind::Dense] {
            for (most, count) in [(1, 1), (500, 500), (500, 499), (500, 64), (2000, 1025)] {
                let layout = Layout::for_batch(kind, &program, 64, Some(most)).unwrap();
                let (state, last_writers) =
                    (InitialState::new(&program, &layout), LastWriters::new(&program, &layout, 2));
                let mut arena = vec![0xa5_a5_a5_a5_a5_a5_a5_a5_u64; layout.bytes(most).unwrap() / 8 + 8];
                let before: Vec<u8> = arena.iter().flat_map(|word| word.to_ne_bytes()).collect();
                let base = arena.as_mut_ptr().cast::<u8>();
                let mut region = last_writers.region(most, 3);
                region.turn(count, 5);
                // SAFETY: the vector is large enough, and the two calls cover the parts of all threads.
                unsafe {
                    state.settle(base, &last_writers, count);
                    (0..2).for_each(|number| state.reset(base, &region, count, number));
                }
                let after: Vec<u8> = arena.iter().flat_map(|word| word.to_ne_bytes()).collect();
                let mut wanted = before;
                for instance in 0..count {
                    for (id, location) in program.locations.iter().enumerate() {
                        let at = instance * layout.stride + layout.offsets[id];
                        let value = match location.init {
                            Const::Int(value) => value.to_le_bytes(),
                            Const::Address(target) => {
                                (base as usize + instance * layout.stride + layout.offsets[target]).to_le_bytes()
                            }
                        };
                        let bytes = location.ty.bytes();
                        wanted[at..at + bytes].copy_from_slice(&value[..bytes]);
                    }
                }
                let differs = (0..after.len()).find(|&at| after[at] != wanted[at]);
                assert_eq!(differs, None, "{kind}, {count} of {most}");
            }
        }
    }
}
