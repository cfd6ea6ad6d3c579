//! Sets of named bits: the tags of events, and the flags of executions.

/// Gives a set type its members, each with its bit and its word, the empty set, and the union `|`.
macro_rules! named_bits {
    ($set:ident: $($(#[$doc:meta])* $name:ident = $bit:literal, $word:literal;)*) => {
        impl $set {
            $($(#[$doc])* pub const $name: $set = $set(1 << $bit);)*
            const WORDS: &[($set, &str)] = &[$(($set::$name, $word),)*];

            /// The empty set.
            pub const NONE: $set = $set(0);
        }

        impl std::ops::BitOr for $set {
            type Output = $set;
            fn bitor(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }
        }
    };
}

pub(super) use named_bits;
