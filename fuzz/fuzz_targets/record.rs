//! Whatever a file holds, it reads as a record and is judged, added to itself and printed, or is refused: no panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wakerace::publish::{Publish, compare};
use wakerace::record::{AnyRecord, Merger, problems, protocol_problems, read};

fuzz_target!(|text: &str| {
    match read("fuzz.json", text) {
        Ok(AnyRecord::Run(record)) => {
            let _ = problems(&record);
            let _ = (record.table(), record.summary(), record.csv());
            let _ = compare(&[(*record).clone(), (*record).clone()]);
            if let Ok(mut merger) = Merger::new("a", (*record).clone()) {
                let _ = merger.add("b", *record);
                let _ = problems(&merger.finish());
            }
        }
        Ok(AnyRecord::Protocol(record)) => {
            let _ = protocol_problems(&record);
            let _ = (record.table(), record.summary(), record.csv(), record.markdown());
        }
        Err(error) => drop(error.to_string()),
    }
});
