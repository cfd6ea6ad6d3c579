//! wakerace measures memory-ordering races of the Linux kernel's wakeup path on real hardware.
//!
//! Data flows in one direction. Each arrow below is one module with one public entry point:
//!
//! ```text
//! scenarios/*.litmus --litmus::parse--> Test --program::lower--> Program --codegen--> machine code
//!                                                             Program --model--> allowed outcomes
//!     --harness::run--> Tally --stats--> Record --publish--> table, JSON, CSV, Markdown
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)] // only terminal.rs may print

pub mod apart;
pub mod arch;
pub mod campaign;
pub mod catalogue;
pub mod cli;
pub mod codegen;
pub mod error;
pub mod expect;
pub mod experiment;
pub mod files;
pub mod generate;
pub mod harness;
pub mod hash;
pub mod input;
pub mod isa;
pub mod kernel;
pub mod layout;
pub mod litmus;
pub mod machine;
pub mod model;
pub mod parallel;
pub mod profile;
pub mod program;
pub mod protocol;
pub mod publish;
pub mod record;
pub mod search;
pub mod shown;
pub mod stats;
pub mod tables;
pub mod tearing;
pub mod terminal;
pub mod tune;
pub mod units;
pub mod verdict;
