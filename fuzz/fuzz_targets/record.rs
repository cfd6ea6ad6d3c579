//! Fuzz target: every text is either refused with an error, or read as a record and validated, merged and
//! printed. No input may cause a panic, and the sum of two valid records must be valid.
//!
//! The first byte selects what is done with the record. If it is even, the other bytes select changes to a
//! valid record of a few kB. If it is odd, the other bytes are the file. A slightly changed record reaches
//! more code than random bytes, which are hardly ever JSON.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

#[path = "../../tests/common/mutate.rs"]
mod mutate;
#[path = "../../tests/common/small.rs"]
mod small;

static WHOLES: OnceLock<Vec<Value>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let Some((&what, rest)) = bytes.split_first() else { return };
    let text = if what % 2 == 0 {
        let wholes = WHOLES.get_or_init(mutate::wholes);
        mutate::changed(wholes, &mut mutate::Bytes(rest)).to_string()
    } else {
        String::from_utf8_lossy(rest).into_owned()
    };
    mutate::use_it(&text, usize::from(what / 2));
});
