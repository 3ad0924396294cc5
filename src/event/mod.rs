//! The audit event: reading a line of the log, and addressing what it says.
//!
//! [`Event::decode`] borrows a line and a [`Tape`] and copies nothing; [`Field::resolve`] turns a name as a rule writes
//! it into how it is read. There are three spellings of the same value: the event's own path
//! (`objectRef.resource`), Elastic's data set (`kubernetes.audit.objectRef.resource`) and the Elastic Common Schema
//! (`user.name`). On top of those come a few fields that we derive (`exec.command`, `podSpec.…`).
//!
//! Everything in an event is chosen by whoever made the request: no function here recurses on an event's depth, and
//! each is linear in its size (sorting the keys of one large object apart).
mod address;
mod audit;
mod canonical;
mod csr;
mod derived;
mod ecs;
mod field;
mod glob;
mod image;
mod json;
mod json_error;
mod logged;
mod outline;
mod oversized;
mod plain_text;
mod pod_spec;
mod salvage;
mod scalar;
mod scan;
mod schema;
mod skip;
mod slot;
mod value;
mod walk;
mod wanted;
mod withheld;

pub use audit::{DecodeError, Event, ObjectRef, Stage, User, is_long_running};
pub use canonical::{Reached, Visit, read_canonical};
pub use field::{Field, FieldError, Look};
pub use glob::Glob;
pub use json::{Kind, Tape};
pub use json_error::{JsonError, MAX_DEPTH};
pub use logged::Parts;
pub use outline::{NotPlain, Outline};
pub use oversized::without_bodies;
pub use plain_text::is_plain_text;
pub use salvage::{RECORD_START, glued_record};
pub use scalar::{Scalar, Type};
pub use schema::{is_known, is_numeric, nearest};
pub use slot::{Slot, Slots};
pub use value::{Key, Value};
pub use walk::Scope;
pub use wanted::Wanted;
pub use withheld::{withheld_at, withholds};

#[cfg(test)]
mod tests;
