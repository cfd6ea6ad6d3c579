//! Whatever a file holds, it reads as a record and is judged, added to itself and printed, or is refused: no panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wakerace::publish::{Entry, Publish, compare, litmus_log, page, window_csv};
use wakerace::record::{AnyRecord, Merger, problems, protocol_problems, read};

fuzz_target!(|text: &str| {
    match read("fuzz.json", text) {
        Ok(AnyRecord::Run(record)) => {
            let _ = problems(&record);
            let _ = (record.table(), record.summary(), record.csv(), record.markdown());
            let _ = (litmus_log(&record), window_csv(&record));
            let _ = page(&[Entry { name: "fuzz.json".to_owned(), record: record.any() }]);
            let _ = compare(&[(*record).clone(), (*record).clone()]);
            if let Ok(mut merger) = Merger::new("a", (*record).clone()) {
                let _ = merger.add("b", *record);
                let _ = problems(&merger.finish());
            }
        }
        Ok(AnyRecord::Protocol(record)) => {
            let _ = protocol_problems(&record);
            let _ = (record.table(), record.summary(), record.csv(), record.markdown());
            let _ = page(&[Entry { name: "fuzz.json".to_owned(), record: record.any() }]);
        }
        Err(error) => drop(error.to_string()),
    }
});
