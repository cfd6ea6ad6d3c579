//! Mnemonics of X86_64 litmus tests: a prefix, a name and a suffix for the width.

/// The width of an operand in bytes.
pub(super) type Width = usize;

/// The names that may have a suffix.
const WITH_SUFFIX: [&str; 22] = [
    "mov", "xchg", "movnti", "add", "sub", "and", "or", "xor", "cmp", "test", "inc", "dec", "not", "neg", "cmpxchg",
    "xadd", "shl", "sal", "shr", "sar", "nop", "ret",
];

/// A mnemonic taken apart.
pub(super) struct Mnemonic<'a> {
    /// Whether the prefix `lock` stands before it.
    pub lock: bool,
    /// The name without prefix and suffix.
    pub name: &'a str,
    /// The width that a suffix gives.
    pub suffix: Option<Width>,
}

impl Mnemonic<'_> {
    /// Takes a mnemonic in lower case apart.
    pub fn of(text: &str) -> Mnemonic<'_> {
        let (lock, name) = match text.split_once(char::is_whitespace) {
            Some(("lock", rest)) => (true, rest.trim()),
            _ => (false, text),
        };
        let width = name.chars().last().and_then(|last| match last {
            'b' => Some(1),
            'w' => Some(2),
            'l' => Some(4),
            'q' => Some(8),
            _ => None,
        });
        let known = |name: &str| WITH_SUFFIX.contains(&name);
        match width {
            Some(width) if !known(name) && known(&name[..name.len() - 1]) => {
                Mnemonic { lock, name: &name[..name.len() - 1], suffix: Some(width) }
            }
            _ => Mnemonic { lock, name, suffix: None },
        }
    }
}
