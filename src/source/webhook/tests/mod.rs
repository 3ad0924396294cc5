//! The records of a batch, the spool against a model, and the endpoint against those who should not come in.
mod endpoint;
mod records;
mod spool;
