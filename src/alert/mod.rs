//! From a detection to its `SecurityAlert`: grouping, the evidence, the writes, the Kubernetes Event.
//!
//! * A detection is entered into the [`Ledger`], where it joins the [`Parcel`] of its group.
//! * The [`Writer`] brings parcels to the API server: it opens an alert or adds to the count of one.
//! * **A match counts once.** It has a place (node, source, stream, offset), and every alert keeps up to where it
//!   has counted each stream, written in the same update as the count. Judging the log again changes nothing.

mod announce;
mod bodies;
mod build;
mod call;
#[cfg(test)]
mod crash_test;
mod error;
mod evidence;
mod frequent;
mod groups;
mod known;
mod late_events;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod name;
mod pace;
mod parcel;
mod population;
mod queue;
mod rejected;
mod size;
pub mod text;
mod writer;

pub use announce::{Announcement, CLUSTER_NAMESPACE, NOTE_MAX, write_once};
pub use build::{alert_object, counted};
pub use call::{call, write_params};
pub use error::WriteError;
pub use evidence::{Match, RuleFacts};
pub use known::Destination;
pub use ledger::{Delivery, Entry, Ledger, Snapshot};
pub use name::{is_overflow, overflow_name};
pub use parcel::{Overflow, Parcel, Segment, settled};
pub use population::Bounds;
pub use rejected::{Rejected, append_bounded};
pub use writer::Writer;
