//! What has to hold of whatever comes from outside: a rule's text, a file in the state folder, lines of the log.
//!
//! Each `check` takes any bytes and panics where something does not hold. The fuzz targets feed it what a
//! coverage-guided fuzzer finds; `tests/fuzz_targets.rs` of the main package feeds it the seeds and mutations of them.
// A panic is how a target says what it has found.
#![allow(clippy::panic, clippy::missing_panics_doc)]

pub mod checkpoint;
mod json;
pub mod kql;
pub mod line;
mod rules;
