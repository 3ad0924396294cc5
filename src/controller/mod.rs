//! What comes down from the API server: rules, sources, and their statuses on the way back up.

mod alert_changes;
mod alerts;
mod client;
pub mod compile;
mod gap_event;
mod judge;
mod known_alerts;
mod lease;
mod limited;
mod loaded_rules;
mod namespaced_name;
mod noted;
mod own_requests;
mod preflight;
mod progress;
mod reader;
#[cfg(test)]
mod reader_tests;
mod reader_thread;
mod readers;
mod reading;
mod receivers;
mod requests_seen;
mod role;
mod rule_status;
mod rules;
mod self_protection;
mod source_status;
mod status_agents;
mod status_failure;
mod surroundings;
mod webhook_secret;

pub use alert_changes::AlertChanges;
pub use alerts::{AlertKeeper, Evictions, Retention, TriageWrites, WritesSeen};
pub use client::{ConnectError, connect, connect_as_kubectl};
pub use known_alerts::follow_alerts;
pub use lease::Candidate;
pub use loaded_rules::{LoadedRule, LoadedRules};
pub use namespaced_name::NamespacedName;
pub use own_requests::{Ignored, IgnoredUsers};
pub use preflight::wait_until_ready;
pub use progress::{Progress, Report, RuleCounts, SharedReport, SourceCounts, Trouble};
pub use reader::Reader;
pub use readers::Readers;
pub use reading::Reading;
pub use receivers::Receivers;
pub use requests_seen::RequestsSeen;
pub use role::Role;
pub use rule_status::RuleStatuses;
pub use rules::Rules;
pub use self_protection::{BUILT_IN, SelfProtection};
pub use source_status::SourceStatuses;
pub use surroundings::{SourceSettings, Surroundings};
pub use webhook_secret::{AUTHORITY_KEY, keep_webhook_secret};

use status_agents::make_room;
