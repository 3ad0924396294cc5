//! Rules and sources as the API holds them: from object to compiled rule, and their status.

pub mod compile;
