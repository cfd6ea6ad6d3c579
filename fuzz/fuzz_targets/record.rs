//! Whatever a file holds, it reads as a record and is judged, added up and printed, or is refused: no panic, and no sum of valid records that is
//! not valid.
//!
//! The first byte says what is done with it. With an even one a whole record of a few kB is changed in some places; with an odd one the rest of the
//! bytes is the file. A record that is only nearly right gets further than bytes that hardly ever are JSON.

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
