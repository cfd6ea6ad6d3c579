//! The instances back to their initial values.

use super::starts::{Starts, Stretch};
use crate::layout::Layout;
use crate::program::{Const, Program};

/// What a test's variables begin with, and where they lie.
#[derive(Debug)]
pub struct InitialState {
    variables: Vec<Variable>,
    /// Bytes from one instance to the next.
    stride: usize,
    /// Whether integers begin with the number of the thread that resets them: what a test then reads is who wrote last.
    #[cfg(test)]
    signed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Variable {
    /// Byte offset in the instance.
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
    /// That of a program in a layout.
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
            signed: false,
        }
    }

    /// The same, but each thread writes its number.
    #[cfg(test)]
    pub fn signed(program: &Program, layout: &Layout) -> InitialState {
        InitialState { signed: true, ..InitialState::new(program, layout) }
    }

    /// Writes, in all of the first `count` instances, the initial values of what no thread of the test ever goes to: they stay.
    ///
    /// # Safety
    /// As [`InitialState::reset`], and nothing else may touch them.
    pub unsafe fn settle(&self, arena: *mut u8, starts: &Starts, count: usize) {
        for (variable, writer) in self.variables.iter().zip(starts.writers(0)) {
            if writer.is_none() {
                // SAFETY: as the caller vouches.
                unsafe { self.reset_variable(arena, variable, 0..count) };
            }
        }
    }

    /// Writes the initial values of the first `count` instances of a stretch, as far as that is thread `number`'s part of the work.
    ///
    /// Which part that is, their kinds say: all threads have the same work all along a batch, which keeps free-running ones together.
    ///
    /// # Safety
    /// `arena` must hold that many instances of the layout, and nothing but other threads' parts may touch them meanwhile; all threads
    /// must go by the same kinds.
    pub unsafe fn reset(&self, arena: *mut u8, stretch: &Stretch<'_>, count: usize, number: usize) {
        for (location, variable) in self.variables.iter().enumerate() {
            #[cfg(test)]
            let variable = &self.by(number, *variable);
            for range in stretch.of(number, location, count) {
                // SAFETY: as the caller vouches: no two threads write the same variable of the same instance.
                unsafe { self.reset_variable(arena, variable, range) };
            }
        }
    }

    #[cfg(test)]
    fn by(&self, number: usize, variable: Variable) -> Variable {
        if self.signed { Variable { value: Value::Bits(number as u64), ..variable } } else { variable }
    }

    /// Writes the initial value of one variable in some instances.
    ///
    /// # Safety
    /// As [`InitialState::reset`].
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a value is cut to the variable's width, as the store of it would be"
    )]
    unsafe fn reset_variable(&self, arena: *mut u8, variable: &Variable, range: std::ops::Range<usize>) {
        let (stride, count) = (self.stride, range.len());
        // SAFETY: inside the instances by the layout, aligned to their sizes by the layout; the caller vouches for the
        // instances.
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

/// Writes a value `count` times, from `first` on, `stride` bytes apart.
///
/// # Safety
/// All of these places must be there, aligned, and nobody else's meanwhile.
unsafe fn fill<T: Copy>(first: *mut T, stride: usize, count: usize, value: T) {
    if stride == size_of::<T>() {
        // SAFETY: the caller vouches for `count` values side by side, and any bits are a value of an integer type.
        unsafe { std::slice::from_raw_parts_mut(first.cast::<std::mem::MaybeUninit<T>>(), count) }
            .fill(std::mem::MaybeUninit::new(value));
    } else {
        for at in 0..count {
            // SAFETY: as the caller vouches.
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

    /// Together the threads write everything once, and on neighbouring lines every choice of threads comes up equally often.
    #[test]
    fn the_work_is_shared_and_mixed() {
        let text = "C t\n{ x=1; y=1; z=1; }\nP0(int *x, int *y, int *z) { WRITE_ONCE(*x, *y); WRITE_ONCE(*z, 1); }\nexists (x=1)";
        let program = lower(&parse(&Source::new("t", text)).unwrap()).unwrap();
        for threads in [1_usize, 2, 3] {
            // 64 lines in a row, which are 1024 dense instances of four bytes.
            for (kind, block) in [(LayoutKind::Padded, 64), (LayoutKind::Dense, 1024)] {
                let count = block * threads.pow(3);
                let layout = Layout::for_batch(kind, &program, 64, Some(count)).unwrap();
                let state = InitialState::new(&program, &layout);
                let starts = Starts::new(&program, &layout, threads);
                let stretch = starts.stretch(count, 0);
                let mut choices = vec![[usize::MAX; 3]; count];
                for thread in 0..threads {
                    let mut arena = vec![0_u64; layout.bytes(count).unwrap() / 8];
                    // SAFETY: the vector is that large.
                    unsafe { state.reset(arena.as_mut_ptr().cast(), &stretch, count, thread) };
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
                // Who wrote is who is said to have written.
                for (instance, choice) in choices.iter().enumerate() {
                    let said: Vec<_> = starts.writers(stretch.kind(instance)).iter().map(|who| who.unwrap()).collect();
                    assert_eq!(said, choice, "{kind}, instance {instance}");
                }
            }
        }
    }

    /// After garbage, the first `count` instances are what they were at first, to the byte, and nothing else is touched: variables of every
    /// width, signed ones below zero, addresses of their own instance, whatever shares a line with them, and those that no thread goes to.
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
                let (state, starts) = (InitialState::new(&program, &layout), Starts::new(&program, &layout, 2));
                let mut arena = vec![0xa5_a5_a5_a5_a5_a5_a5_a5_u64; layout.bytes(most).unwrap() / 8 + 8];
                let before: Vec<u8> = arena.iter().flat_map(|word| word.to_ne_bytes()).collect();
                let base = arena.as_mut_ptr().cast::<u8>();
                let mut stretch = starts.stretch(most, 3);
                stretch.turn(count, 5);
                // SAFETY: the vector is that large, and these are all of the threads' parts.
                unsafe {
                    state.settle(base, &starts, count);
                    (0..2).for_each(|number| state.reset(base, &stretch, count, number));
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
