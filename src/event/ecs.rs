//! The fields of the Elastic Common Schema that Elastic's Kubernetes pipeline fills from an audit event.
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use super::audit::Event;
use super::field::Look;
use super::logged::Parts;
use super::scalar::{Scalar, Type};
use super::slot::{Slot, Slots};
use super::walk::{Scope, reach};

/// One field of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ecs {
    Constant(&'static str),
    /// The event's own path, as the pipeline sees it: empty values do not exist.
    Own(&'static str),
    Outcome,
    /// All source addresses, if every one is an address.
    SourceAddresses,
    /// Those source addresses that are addresses.
    RelatedAddresses,
    RelatedUsers,
    Cluster,
}

/// Every field of the schema that we know.
pub(super) const TABLE: [(&str, Ecs); 22] = [
    ("@timestamp", Ecs::Own("stageTimestamp")),
    ("client.ip", Ecs::SourceAddresses),
    ("container.image.name", Ecs::Own("requestObject.spec.containers.image")),
    ("data_stream.dataset", Ecs::Constant("kubernetes.audit_logs")),
    ("event.action", Ecs::Own("verb")),
    ("event.dataset", Ecs::Constant("kubernetes.audit_logs")),
    ("event.kind", Ecs::Constant("event")),
    ("event.module", Ecs::Constant("kubernetes")),
    ("event.outcome", Ecs::Outcome),
    ("orchestrator.api_version", Ecs::Own("apiVersion")),
    ("orchestrator.cluster.name", Ecs::Cluster),
    ("orchestrator.namespace", Ecs::Own("objectRef.namespace")),
    ("orchestrator.resource.name", Ecs::Own("objectRef.name")),
    ("orchestrator.resource.type", Ecs::Own("objectRef.resource")),
    ("orchestrator.type", Ecs::Constant("kubernetes")),
    ("related.ip", Ecs::RelatedAddresses),
    ("related.user", Ecs::RelatedUsers),
    ("source.ip", Ecs::SourceAddresses),
    ("user.id", Ecs::Own("user.uid")),
    ("user.name", Ecs::Own("user.username")),
    ("user_agent.original", Ecs::Own("userAgent")),
    // Refused in a query; here so that the linter knows the name.
    ("event.ingested", Ecs::Constant("")),
];

/// The field of exactly this name.
pub(super) fn named(name: &str) -> Option<Ecs> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

impl Ecs {
    pub(super) fn kind(self) -> Type {
        match self {
            Ecs::Own("stageTimestamp") => Type::Date,
            Ecs::SourceAddresses | Ecs::RelatedAddresses => Type::Address,
            _ => Type::Plain,
        }
    }

    pub(super) fn parts(self) -> Parts {
        match self {
            Ecs::Outcome => Parts::ANNOTATIONS,
            Ecs::Own(path) => Parts::of_path(path),
            _ => Parts::NONE,
        }
    }

    pub(super) fn own_path(self) -> Option<&'static str> {
        if let Ecs::Own(path) = self { Some(path) } else { None }
    }

    pub(super) fn slots(self) -> Slots {
        match self {
            Ecs::Constant(_) | Ecs::Cluster => Slots::NONE,
            Ecs::Own(path) => Slots::of_path(path),
            Ecs::Outcome => Slot::Annotations.into(),
            Ecs::SourceAddresses | Ecs::RelatedAddresses => Slot::SourceIps.into(),
            Ecs::RelatedUsers => Slot::User.into(),
        }
    }

    pub(super) fn visit<'a>(
        self,
        look: &Look<'a>,
        visit: &mut dyn FnMut(Scalar<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let event = &look.event;
        match self {
            Ecs::Constant("") => ControlFlow::Continue(()),
            Ecs::Constant(text) => visit(Scalar::Text(Cow::Borrowed(text))),
            Ecs::Own(path) => reach(event.root(), Scope::Pruned, Some(path), false, &mut |value, _| {
                Scalar::of(value).map_or(ControlFlow::Continue(()), &mut *visit)
            }),
            Ecs::Outcome => match event.decision().as_deref() {
                Some("allow") => visit(Scalar::Text(Cow::Borrowed("success"))),
                Some("forbid") => visit(Scalar::Text(Cow::Borrowed("failure"))),
                _ => ControlFlow::Continue(()),
            },
            Ecs::SourceAddresses if !all_addresses(event) => ControlFlow::Continue(()),
            Ecs::SourceAddresses | Ecs::RelatedAddresses => {
                event.source_ips().filter(|ip| is_address(ip)).try_for_each(|ip| visit(Scalar::Text(ip)))
            }
            Ecs::RelatedUsers => {
                let (uid, name) = event.user().map(|user| (user.uid(), user.username())).unwrap_or_default();
                let name = name.filter(|name| uid.as_ref() != Some(name));
                let users = [uid, name].into_iter().flatten().filter(|text| !text.is_empty());
                users.map(Scalar::Text).try_for_each(visit)
            }
            Ecs::Cluster => look
                .cluster
                .map_or(ControlFlow::Continue(()), |cluster| visit(Scalar::Text(Cow::Borrowed(cluster)))),
        }
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Elastic's pipeline converts the whole list or nothing, so one element that is no address hides them all.
fn all_addresses(event: &Event<'_>) -> bool {
    let Some(list) = event.root().get("sourceIPs") else {
        return false;
    };
    list.elements().all(|element| element.text().is_some_and(|text| is_address(&text)))
}
