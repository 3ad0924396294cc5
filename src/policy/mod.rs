//! The API server's audit policy: what one logs, which rules it blinds, and the smallest one that blinds none.
//!
//! A policy and a rule are compared request by request, over the kinds of Kubernetes and what rules and policy name
//! ([`Kinds`]). Pure: no client, no clock.
mod check;
mod decide;
mod document;
mod generate;
mod kinds;
mod lines;
mod merge;
mod served;
mod yaml;

pub use check::{Lack, check, words};
pub use decide::{Decision, Request, Target};
pub use document::{GroupResources, Line, Policy, PolicyError};
pub use generate::{Breadth, generate};
pub use kinds::{Kind, Kinds};
pub use merge::merge;

#[cfg(test)]
mod tests;
