//! One scenario on one placement: what to run (`request`), running it (`run`) with what earlier runs left (`bench`), and the
//! result of its counts (`result`). [`crate::record::judge`] then decides the finding.

mod bench;
mod explore;
mod follow;
mod request;
mod result;
mod run;

pub use bench::Bench;
pub use explore::Searching;
pub use request::{Choice, Common, Experiment, LARGEST_BATCH, LARGEST_GROUP, PaceChoice};
pub use result::Finished;
pub use run::{run, run_side_by_side, run_until};
