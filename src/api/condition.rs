//! `metav1.Condition`, with bounds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One aspect of an object's state, in the shape of `metav1.Condition`. A type of our own, because the generated
/// one has no bounds in its schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the condition is about, in CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 64))]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// One word for the present status, in CamelCase.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// The same for people.
    #[schemars(length(max = 8192))]
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// The generation of the spec that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

impl Condition {
    /// A condition without its time, which [`Condition::set`] fills in.
    pub fn new(
        type_: &str,
        status: impl Into<ConditionStatus>,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_: type_.to_owned(),
            status: status.into(),
            reason: reason.to_owned(),
            message: message.into(),
            last_transition_time: Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        }
    }

    /// Puts this condition into `list`, replacing the one of its type. The transition time stays while the status
    /// does, as the API conventions ask.
    pub fn set(
        mut self,
        list: &mut Vec<Self>,
        observed_generation: Option<i64>,
        now: k8s_openapi::jiff::Timestamp,
    ) {
        self.observed_generation = observed_generation;
        self.last_transition_time = Time(now);
        match list.iter_mut().find(|old| old.type_ == self.type_) {
            Some(old) => {
                if old.status == self.status {
                    self.last_transition_time = old.last_transition_time.clone();
                }
                *old = self;
            }
            None => list.push(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut list = Vec::new();
        Condition::new("Ready", false, "A", "a").set(&mut list, Some(1), at(1));
        Condition::new("Ready", false, "B", "b").set(&mut list, Some(2), at(2));
        assert_eq!((list[0].last_transition_time.0, list[0].reason.as_str()), (at(1), "B"));
        Condition::new("Ready", true, "C", "c").set(&mut list, Some(3), at(3));
        assert_eq!((list.len(), list[0].last_transition_time.0), (1, at(3)));
        assert_eq!(list[0].observed_generation, Some(3));
    }
}
