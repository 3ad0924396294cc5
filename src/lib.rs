//! Tripline evaluates detection rules over the Kubernetes API server's audit log and records what it finds as
//! `SecurityAlert` objects.
//!
//! An event enters at [`source`], is judged in [`detect`] and leaves at [`alert`]; rules come down from
//! [`controller`]. Imports go one way: `api`, `event` and `query` know nobody, `detect` knows `event` and `query`,
//! `policy` knows `detect`, `source` and `alert` stand on those, `output` on `alert`, `controller` on all of them, and
//! `cli` on top (`tests/layout.rs` keeps it so).
pub mod alert;
pub mod api;
mod app;
pub mod cli;
pub mod controller;
pub mod detect;
pub mod event;
pub mod output;
pub mod policy;
pub mod query;
pub mod source;
pub mod telemetry;
