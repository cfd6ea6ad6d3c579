//! Finds and counts the rows with given indices: 64 indices, which are a word, at a time.

/// Number of indices in a word: as many as a `u64` has bits.
pub(super) const WORD: usize = 64;

/// The most words that are counted at once. With AVX2 a count of 8 bits gets at most two for each word, and 2 * 127 fits.
pub(super) const MOST: usize = 127;

/// A way to compare indices.
pub(super) trait Compare: Copy {
    /// One bit for each index, set if the index is one of the wanted ones. The first index has the lowest bit.
    fn find(self, indices: &[u8; WORD], wanted: impl Iterator<Item = u8>) -> u64;

    /// How many of the indices are `wanted`, in at most [`MOST`] words.
    fn count(self, words: &[[u8; WORD]], wanted: u8) -> u32;
}

/// Without intrinsics, for CPUs that have no instructions for it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(target_arch = "aarch64", allow(dead_code, reason = "only the tests compare it with NEON"))]
pub(super) struct Portable;

impl Compare for Portable {
    #[inline(always)]
    fn find(self, indices: &[u8; WORD], wanted: impl Iterator<Item = u8>) -> u64 {
        find(indices, wanted)
    }

    #[inline(always)]
    fn count(self, words: &[[u8; WORD]], wanted: u8) -> u32 {
        debug_assert!(words.len() <= MOST);
        let mut counts = [0_u8; WORD];
        for word in words {
            for (count, &index) in counts.iter_mut().zip(word) {
                *count += u8::from(index == wanted);
            }
        }
        counts.iter().map(|&count| u32::from(count)).sum()
    }
}

/// [`Compare::find`] for indices of any width, without intrinsics.
#[inline(always)]
pub(super) fn find<I: Copy + PartialEq>(indices: &[I; WORD], wanted: impl Iterator<Item = I>) -> u64 {
    let mut marks = [0; WORD];
    for wanted in wanted {
        for (mark, &index) in marks.iter_mut().zip(indices) {
            *mark |= u8::from(index == wanted);
        }
    }
    bits(&marks)
}

/// Packs bytes that are 0 or 1 into bits.
#[inline(always)]
pub(super) fn bits(marks: &[u8; WORD]) -> u64 {
    let mut bits = 0;
    for (byte, marks) in marks.chunks_exact(8).enumerate() {
        let eight = u64::from_le_bytes(marks.try_into().expect("chunks of eight"));
        // Collects the lowest bit of each byte in the highest byte, in order.
        let gathered = eight.wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * byte);
    }
    bits
}

/// The way of every CPU of this target.
#[cfg(not(target_arch = "aarch64"))]
pub(super) const BASE: Portable = Portable;
#[cfg(target_arch = "aarch64")]
pub(super) const BASE: neon::Neon = neon::Neon;

/// x86-64 with AVX2.
#[cfg(target_arch = "x86_64")]
pub(super) mod wide {
    use std::arch::is_x86_feature_detected;
    use std::arch::x86_64::{
        __m256i, _mm_add_epi64, _mm_cvtsi128_si32, _mm_unpackhi_epi64, _mm256_castsi256_si128, _mm256_cmpeq_epi8,
        _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_sad_epu8, _mm256_set1_epi8,
        _mm256_setzero_si256, _mm256_sub_epi8,
    };

    use super::{Compare, MOST, WORD};

    /// Says that this CPU has AVX2, and what the search for gaps between races uses: POPCNT, LZCNT, BMI1 and BMI2.
    #[derive(Debug, Clone, Copy)]
    pub struct Wide(());

    impl Wide {
        /// Asks the CPU.
        pub fn detect() -> Option<Wide> {
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2");
            has.then_some(Wide(()))
        }
    }

    impl Compare for Wide {
        #[inline(always)]
        fn find(self, indices: &[u8; WORD], wanted: impl Iterator<Item = u8>) -> u64 {
            // SAFETY: a `Wide` is made only where the CPU has AVX2.
            unsafe { find(indices, wanted) }
        }

        #[inline(always)]
        fn count(self, words: &[[u8; WORD]], wanted: u8) -> u32 {
            // SAFETY: a `Wide` is made only where the CPU has AVX2.
            unsafe { count(words, wanted) }
        }
    }

    /// The halves of 64 indices: all bits of a byte are set if its index is `wanted`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn compare(indices: &[u8; WORD], wanted: __m256i) -> [__m256i; 2] {
        [0, 32].map(|at| {
            // SAFETY: `at` is 0 or 32, so the 32 bytes are inside the array. The load needs no alignment.
            let half = unsafe { _mm256_loadu_si256(indices.as_ptr().add(at).cast::<__m256i>()) };
            _mm256_cmpeq_epi8(half, wanted)
        })
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn count(words: &[[u8; WORD]], wanted: u8) -> u32 {
        debug_assert!(words.len() <= MOST);
        let wanted = _mm256_set1_epi8(wanted.cast_signed());
        let mut counts = _mm256_setzero_si256();
        for word in words {
            // Subtracting the minus one of an equal byte adds one. Each byte gets two for a word, at most.
            let [low, high] = compare(word, wanted);
            counts = _mm256_sub_epi8(_mm256_sub_epi8(counts, low), high);
        }
        let sums = _mm256_sad_epu8(counts, _mm256_setzero_si256());
        let sums = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let sum = _mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums));
        _mm_cvtsi128_si32(sum).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn find(indices: &[u8; WORD], wanted: impl Iterator<Item = u8>) -> u64 {
        let mut found = 0;
        for wanted in wanted {
            let [low, high] = compare(indices, _mm256_set1_epi8(wanted.cast_signed()))
                .map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
            found |= low | high << 32;
        }
        found
    }
}

/// Arm64, whose CPUs all have NEON.
#[cfg(target_arch = "aarch64")]
pub(super) mod neon {
    use std::arch::aarch64::{
        uint8x16_t, vaddlvq_u8, vandq_u8, vceqq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vorrq_u8, vpaddq_u8,
        vreinterpretq_u64_u8, vsubq_u8,
    };

    use super::{Compare, MOST, WORD};

    /// The bit of each byte in its group of eight.
    const BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

    #[derive(Debug, Clone, Copy)]
    pub struct Neon;

    impl Compare for Neon {
        #[inline(always)]
        fn find(self, indices: &[u8; WORD], wanted: impl Iterator<Item = u8>) -> u64 {
            // SAFETY: NEON is part of the base of this target. `BITS` has the 16 bytes of the load.
            unsafe {
                let mut marks = [vdupq_n_u8(0); 4];
                for wanted in wanted {
                    for (mark, quarter) in marks.iter_mut().zip(compare(indices, vdupq_n_u8(wanted))) {
                        *mark = vorrq_u8(*mark, quarter);
                    }
                }
                let bits = vld1q_u8(BITS.as_ptr());
                let [a, b, c, d] = marks.map(|quarter| vandq_u8(quarter, bits));
                // Each addition of neighbours halves the number of bytes: 64 of one bit become 8 of eight.
                let fours = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
                vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)))
            }
        }

        #[inline(always)]
        fn count(self, words: &[[u8; WORD]], wanted: u8) -> u32 {
            debug_assert!(words.len() <= MOST);
            // SAFETY: NEON is part of the base of this target.
            unsafe {
                let wanted = vdupq_n_u8(wanted);
                let mut counts = [vdupq_n_u8(0); 4];
                for word in words {
                    for (count, quarter) in counts.iter_mut().zip(compare(word, wanted)) {
                        // Subtracting the minus one of an equal byte adds one.
                        *count = vsubq_u8(*count, quarter);
                    }
                }
                counts.map(|count| u32::from(vaddlvq_u8(count))).iter().sum()
            }
        }
    }

    /// The quarters of 64 indices: all bits of a byte are set if its index is `wanted`.
    #[inline(always)]
    fn compare(indices: &[u8; WORD], wanted: uint8x16_t) -> [uint8x16_t; 4] {
        // SAFETY: NEON is part of the base of this target. Each load is of 16 bytes inside the array.
        [0, 16, 32, 48].map(|at| unsafe { vceqq_u8(vld1q_u8(indices.as_ptr().add(at)), wanted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways of this CPU give the same as a comparison one by one.
    fn check(words: &[[u8; WORD]], wanted: &[u8]) {
        let bits = (0..WORD).fold(0, |all, at| all | u64::from(wanted.contains(&words[0][at])) << at);
        let (first, wanted) = (wanted[0], || wanted.iter().copied());
        let count: u32 = words.iter().flatten().map(|index| u32::from(*index == first)).sum();
        let of = |way: &dyn Fn() -> (u64, u32)| assert_eq!(way(), (bits, count), "{words:?} {first}");
        of(&|| (Portable.find(&words[0], wanted()), Portable.count(words, first)));
        of(&|| (BASE.find(&words[0], wanted()), BASE.count(words, first)));
        #[cfg(target_arch = "x86_64")]
        if let Some(wide) = wide::Wide::detect() {
            of(&|| (wide.find(&words[0], wanted()), wide.count(words, first)));
        }
        let wider = words[0].map(|index| 256 * u16::from(index));
        assert_eq!(find(&wider, wanted().map(|wanted| 256 * u16::from(wanted))), bits);
    }

    #[test]
    fn all_ways_find_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        for values in [1_u8, 2, 3, 4, 24, 255] {
            for length in (1..20).chain([MOST]) {
                let mut index = || match random.u8(..) {
                    0..16 => u8::MAX,
                    other => other % values,
                };
                let words: Vec<[u8; WORD]> = (0..length).map(|_| std::array::from_fn(|_| index())).collect();
                for wanted in [&[0][..], &[1], &[2, 0], &[3, 1, 255], &[23], &[128, 23, 2], &[254, 0], &[255]] {
                    check(&words, wanted);
                }
            }
        }
        check(&[[7; WORD]; MOST], &[7]);
    }
}
