//! Kubernetes Events on Tripline's own objects: what befalls a rule or a source, for who watches Events.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Client, Resource, ResourceExt as _};
use sha2::{Digest as _, Sha256};

use crate::alert::{CLUSTER_NAMESPACE, NOTE_MAX, WriteError, text, write_once};
use crate::api::CONTROLLER;

/// What an Event tells.
#[derive(Clone, Debug)]
pub(super) struct OwnEvent<'a> {
    /// What tells this Event from others on the same object: with the same words it is written once, however often that
    /// is tried.
    pub(super) told: String,
    /// One word for why.
    pub(super) reason: &'a str,
    /// One word for what Tripline was doing.
    pub(super) action: &'a str,
    /// The text, cut to what an Event may have.
    pub(super) note: &'a str,
    /// When it was.
    pub(super) time: Timestamp,
    /// Which process tells it.
    pub(super) instance: &'a str,
}

impl OwnEvent<'_> {
    /// Writes it on an object, which is cluster-scoped.
    ///
    /// # Errors
    /// When the API server does not take it.
    pub(super) async fn publish<K>(&self, client: &Client, object: &K) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        write_once(client, CLUSTER_NAMESPACE, &self.on(object)).await.map(drop)
    }

    pub(super) fn on<K: Resource<DynamicType = ()>>(&self, object: &K) -> Event {
        let told = format!("{}/{}", object.uid().unwrap_or_default(), self.told);
        let hash = HEXLOWER.encode(&Sha256::digest(told)[..8]);
        let name = text::cut(&object.name_any(), 200);
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{hash}", name.trim_end_matches(['.', '-']))),
                namespace: Some(CLUSTER_NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(self.time)),
            type_: Some("Warning".to_owned()),
            reason: Some(self.reason.to_owned()),
            action: Some(self.action.to_owned()),
            note: Some(text::short(self.note, NOTE_MAX)),
            regarding: Some(object.object_ref(&())),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(text::short(self.instance, 128)),
            ..Event::default()
        }
    }
}
