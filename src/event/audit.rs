//! One event of the API server's audit log.
use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;

use super::json::{Kind, Tape};
use super::json_error::JsonError;
use super::value::Value;
use super::wanted::Wanted;

/// Why a line is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The line is not UTF-8.
    #[error("not valid utf-8 after byte {valid}")]
    NotUtf8 {
        /// How many bytes are.
        valid: usize,
    },
    /// The line is not JSON, or not JSON that we read to its end.
    #[error("not json: {0}")]
    NotJson(#[from] JsonError),
    /// JSON, but no `Event` of `audit.k8s.io/v1` or `v1beta1`.
    #[error("not an audit event: {0}")]
    NotAnEvent(&'static str),
}

impl DecodeError {
    /// A fixed word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            DecodeError::NotUtf8 { .. } => "not_utf8",
            DecodeError::NotJson(_) => "not_json",
            DecodeError::NotAnEvent(_) => "not_an_event",
        }
    }
}

/// When in a request's life its event was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// As soon as the audit handler has the request.
    RequestReceived,
    /// The response's headers are sent, the body is not; long-running requests only.
    ResponseStarted,
    /// The response is sent.
    ResponseComplete,
    /// The handler panicked.
    Panic,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Stage; 4] =
        [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

    /// As the log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }

    /// From the log's spelling.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == name)
    }
}

/// An event, borrowed from its line. Null and a value of the wrong type read as missing.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    root: Value<'a>,
}

impl<'a> Event<'a> {
    /// Reads a line of the log: an object of kind `Event` in `audit.k8s.io/v1` or `v1beta1`.
    pub fn decode(line: &'a [u8], tape: &'a mut Tape) -> Result<Event<'a>, DecodeError> {
        let root = tape.read(utf8(line)?)?;
        Event::of(root)
    }

    /// Reads a line as [`decode`](Self::decode) does, and keeps of the bodies only what is wanted.
    pub fn decode_wanted(
        line: &'a [u8],
        tape: &'a mut Tape,
        wanted: &Wanted,
    ) -> Result<Event<'a>, DecodeError> {
        let root = tape.read_wanted(utf8(line)?, wanted)?;
        Event::of(root)
    }

    fn of(root: Value<'a>) -> Result<Event<'a>, DecodeError> {
        let event = Event::of_object(root)?;
        if event.string("kind").as_deref() != Some("Event") {
            return Err(DecodeError::NotAnEvent("its kind is not Event"));
        }
        match event.string("apiVersion").as_deref() {
            Some("audit.k8s.io/v1" | "audit.k8s.io/v1beta1") => Ok(event),
            _ => Err(DecodeError::NotAnEvent(
                "its apiVersion is neither audit.k8s.io/v1 nor audit.k8s.io/v1beta1",
            )),
        }
    }

    /// Reads any JSON object as an event, as a rule's tests and `explain` write it.
    pub fn from_object(text: &'a str, tape: &'a mut Tape) -> Result<Event<'a>, DecodeError> {
        Event::of_object(tape.read(text)?)
    }

    fn of_object(root: Value<'a>) -> Result<Event<'a>, DecodeError> {
        if root.kind() == Kind::Object {
            Ok(Event { root })
        } else {
            Err(DecodeError::NotAnEvent("not an object"))
        }
    }

    /// The whole object.
    pub fn root(&self) -> Value<'a> {
        self.root
    }

    fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.root.get(name)?.text()
    }

    /// `level`
    pub fn level(&self) -> Option<Cow<'a, str>> {
        self.string("level")
    }

    /// `auditID`: the client's to choose, so it proves nothing.
    pub fn audit_id(&self) -> Option<Cow<'a, str>> {
        self.string("auditID")
    }

    /// `stage`, if it is one of the four.
    pub fn stage(&self) -> Option<Stage> {
        Stage::from_name(&self.string("stage")?)
    }

    /// `verb`
    pub fn verb(&self) -> Option<Cow<'a, str>> {
        self.string("verb")
    }

    /// `requestURI`
    pub fn request_uri(&self) -> Option<Cow<'a, str>> {
        self.string("requestURI")
    }

    /// `user`: who authenticated.
    pub fn user(&self) -> Option<User<'a>> {
        self.root.get("user").filter(|user| user.kind() == Kind::Object).map(User)
    }

    /// `impersonatedUser`: whom that user acted as.
    pub fn impersonated_user(&self) -> Option<User<'a>> {
        self.root.get("impersonatedUser").filter(|user| user.kind() == Kind::Object).map(User)
    }

    /// `sourceIPs`: every string among them, address or not.
    pub fn source_ips(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        strings(self.root.get("sourceIPs"))
    }

    /// `userAgent`
    pub fn user_agent(&self) -> Option<Cow<'a, str>> {
        self.string("userAgent")
    }

    /// `objectRef`
    pub fn object_ref(&self) -> Option<ObjectRef<'a>> {
        self.root.get("objectRef").filter(|object| object.kind() == Kind::Object).map(ObjectRef)
    }

    /// `responseStatus.code`
    pub fn response_code(&self) -> Option<i64> {
        let code = self.root.get("responseStatus")?.get("code")?;
        if code.kind() == Kind::Number { code.raw().parse().ok() } else { None }
    }

    /// The annotation of this name.
    pub fn annotation(&self, name: &str) -> Option<Cow<'a, str>> {
        self.root.get("annotations")?.get(name)?.text()
    }

    /// The authorizer's decision: `allow` or `forbid`.
    pub fn decision(&self) -> Option<Cow<'a, str>> {
        self.annotation("authorization.k8s.io/decision")
    }

    /// `requestReceivedTimestamp`
    pub fn request_received_time(&self) -> Option<Timestamp> {
        self.string("requestReceivedTimestamp")?.parse().ok()
    }

    /// `stageTimestamp`: the time of the event, by which everything here goes.
    pub fn stage_time(&self) -> Option<Timestamp> {
        self.string("stageTimestamp")?.parse().ok()
    }

    /// Whether the request stays open after its response has begun, see [`is_long_running`].
    pub fn is_long_running(&self) -> bool {
        let subresource = self.object_ref().and_then(|object| object.subresource());
        is_long_running(self.verb().as_deref(), subresource.as_deref())
    }
}

/// Whether a request stays open after its response has begun, as the API server sees it: its ResponseComplete comes
/// when the session ends.
pub fn is_long_running(verb: Option<&str>, subresource: Option<&str>) -> bool {
    verb == Some("watch") || matches!(subresource, Some("exec" | "attach" | "portforward" | "proxy" | "log"))
}

fn utf8(line: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(line).map_err(|error| DecodeError::NotUtf8 { valid: error.valid_up_to() })
}

fn strings(value: Option<Value<'_>>) -> impl Iterator<Item = Cow<'_, str>> {
    value.into_iter().flat_map(|list| list.elements()).filter_map(|element| element.text())
}

/// `user` or `impersonatedUser` of an event.
#[derive(Debug, Clone, Copy)]
pub struct User<'a>(Value<'a>);

impl<'a> User<'a> {
    /// `username`
    pub fn username(&self) -> Option<Cow<'a, str>> {
        self.0.get("username")?.text()
    }

    /// `uid`
    pub fn uid(&self) -> Option<Cow<'a, str>> {
        self.0.get("uid")?.text()
    }

    /// The first value of an entry of `extra`, which the authenticator adds.
    pub fn extra(&self, name: &str) -> Option<Cow<'a, str>> {
        strings(self.0.get("extra")?.get(name)).next()
    }

    /// `groups`
    pub fn groups(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        strings(self.0.get("groups"))
    }
}

/// `objectRef` of an event: what the request was about.
#[derive(Debug, Clone, Copy)]
pub struct ObjectRef<'a>(Value<'a>);

impl<'a> ObjectRef<'a> {
    fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.0.get(name)?.text()
    }

    /// `resource`: the plural, such as `pods`.
    pub fn resource(&self) -> Option<Cow<'a, str>> {
        self.string("resource")
    }

    /// `subresource`
    pub fn subresource(&self) -> Option<Cow<'a, str>> {
        self.string("subresource")
    }

    /// `namespace`
    pub fn namespace(&self) -> Option<Cow<'a, str>> {
        self.string("namespace")
    }

    /// `name`
    pub fn name(&self) -> Option<Cow<'a, str>> {
        self.string("name")
    }

    /// `uid`
    pub fn uid(&self) -> Option<Cow<'a, str>> {
        self.string("uid")
    }

    /// `apiGroup`; missing or empty for the core group.
    pub fn api_group(&self) -> Option<Cow<'a, str>> {
        self.string("apiGroup")
    }

    /// `apiVersion`
    pub fn api_version(&self) -> Option<Cow<'a, str>> {
        self.string("apiVersion")
    }
}
