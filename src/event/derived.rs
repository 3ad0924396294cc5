//! Fields that are in no log: what rules would otherwise compute by hand, and get wrong.
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use percent_encoding::percent_decode_str;

use super::address::is_public;
use super::audit::Event;
use super::csr::{SubjectPart, subject};
use super::logged::Parts;
use super::scalar::Scalar;
use super::slot::{Slot, Slots};
use super::walk::{Scope, reach};
use super::wanted::Wanted;

/// A field that is computed from an event, when a rule asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Derived {
    DryRun,
    FromPublicAddress,
    ExecCommand,
    ExecArgv,
    Subject(SubjectPart),
}

/// Every such field, apart from those below `podSpec`.
pub(super) const TABLE: [(&str, Derived); 6] = [
    ("request.dryRun", Derived::DryRun),
    ("request.fromPublicAddress", Derived::FromPublicAddress),
    ("exec.command", Derived::ExecCommand),
    ("exec.argv", Derived::ExecArgv),
    ("csr.subject.organization", Derived::Subject(SubjectPart::Organization)),
    ("csr.subject.commonName", Derived::Subject(SubjectPart::CommonName)),
];

/// What a subject is read from.
const REQUEST: &str = "requestObject.spec.request";
/// Where the body of a deletion says that nothing is to be deleted.
const DRY_RUN: &str = "requestObject.dryRun";

/// The field of exactly this name.
pub(super) fn named(name: &str) -> Option<Derived> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

impl Derived {
    pub(super) fn parts(self) -> Parts {
        if let Derived::Subject(_) = self { Parts::REQUEST } else { Parts::NONE }
    }

    pub(super) fn slots(self) -> Slots {
        match self {
            // The body of a deletion, and what tells whether it would be there.
            Derived::DryRun => [Slot::Level, Slot::Stage, Slot::Verb, Slot::Status, Slot::Annotations]
                .into_iter()
                .chain([Slot::RequestUri, Slot::RequestObject])
                .fold(Slots::NONE, |all, slot| all.with(slot.into())),
            Derived::ExecCommand | Derived::ExecArgv => Slot::RequestUri.into(),
            Derived::FromPublicAddress => Slot::SourceIps.into(),
            Derived::Subject(_) => Slot::RequestObject.into(),
        }
    }

    pub(super) fn add_wanted(self, wanted: &mut Wanted) {
        match self {
            Derived::Subject(_) => wanted.add(REQUEST),
            Derived::DryRun => wanted.add(DRY_RUN),
            Derived::FromPublicAddress | Derived::ExecCommand | Derived::ExecArgv => {}
        }
    }

    pub(super) fn visit<'a>(
        self,
        event: &Event<'a>,
        visit: &mut dyn FnMut(Scalar<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let go_on = ControlFlow::Continue(());
        let mut texts =
            |texts: Vec<String>| texts.into_iter().try_for_each(|text| visit(Scalar::Text(Cow::Owned(text))));
        match self {
            Derived::DryRun => dry_run(event).map_or(go_on, |is_dry| visit(Scalar::Bool(is_dry))),
            Derived::FromPublicAddress => {
                from_public_address(event).map_or(go_on, |is_public| visit(Scalar::Bool(is_public)))
            }
            Derived::ExecCommand => match exec_argv(event) {
                argv if argv.is_empty() => go_on,
                argv => texts(vec![argv.join(" ")]),
            },
            Derived::ExecArgv => texts(exec_argv(event)),
            Derived::Subject(part) => {
                reach(event.root(), Scope::Own, Some(REQUEST), false, &mut |value, _| {
                    value.text().map_or(go_on, |request| texts(subject(part, &request)))
                })
            }
        }
    }
}

/// Whether one of the request's addresses is public; `None` without any.
fn from_public_address(event: &Event<'_>) -> Option<bool> {
    let addresses = event.source_ips().filter_map(|address| address.parse::<IpAddr>().ok());
    addresses.map(is_public).reduce(|one, other| one || other)
}

/// Whether the request was a dry run; `None` without a request URI, and where the body of a deletion decides that and was
/// not logged.
fn dry_run(event: &Event<'_>) -> Option<bool> {
    if matches!(event.verb().as_deref(), Some("delete" | "deletecollection")) {
        // A deletion with a body follows that, and its URI is not looked at.
        if event.root().get("requestObject").is_some() {
            let found = reach(event.root(), Scope::Own, Some(DRY_RUN), false, &mut |value, _| {
                if value.text().is_some_and(|text| text == "All") {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            });
            return Some(found.is_break());
        }
        if event.unlogged().meets(Parts::REQUEST) {
            return None;
        }
    }
    let uri = event.request_uri()?;
    Some(query_pairs(&uri).any(|(name, value)| name == "dryRun" && value == "All"))
}

/// The decoded command of an exec request, a value an argument.
fn exec_argv(event: &Event<'_>) -> Vec<String> {
    let Some(uri) = event.request_uri() else {
        return Vec::new();
    };
    // As the API server reads it: whoever wants to hide an exec writes its name with a percent sign.
    let path = uri.split_once('?').map_or(&*uri, |(path, _)| path);
    let path = percent_decode_str(path).decode_utf8_lossy();
    if !path.trim_end_matches('/').ends_with("/exec") {
        return Vec::new();
    }
    query_pairs(&uri).filter(|(name, _)| name == "command").map(|(_, value)| value.into_owned()).collect()
}

fn query_pairs(uri: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
}
