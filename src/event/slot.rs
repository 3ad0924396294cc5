//! The places of an event that a test can read, as far as they are told apart before the event is read whole.
use std::fmt;

/// One place. What lies in none of the named ones is [`Slot::Rest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Slot {
    /// `level`
    Level,
    /// `stage`
    Stage,
    /// `requestURI`, and what is derived from it
    RequestUri,
    /// `verb`
    Verb,
    /// `user`
    User,
    /// `impersonatedUser`
    ImpersonatedUser,
    /// `sourceIPs`
    SourceIps,
    /// `userAgent`
    UserAgent,
    /// `objectRef.resource`
    Resource,
    /// `objectRef.namespace`
    Namespace,
    /// `objectRef.name`
    Name,
    /// `objectRef.apiGroup`
    ApiGroup,
    /// `objectRef.subresource`
    Subresource,
    /// `responseStatus`
    Status,
    /// `annotations`
    Annotations,
    /// `requestObject`
    RequestObject,
    /// `responseObject`
    ResponseObject,
    /// `requestReceivedTimestamp`
    ReceivedTime,
    /// `stageTimestamp`
    StageTime,
    /// Everything else: the remaining members of `objectRef`, unknown members.
    Rest,
}

impl Slot {
    /// How many there are.
    pub const COUNT: usize = Slot::Rest as usize + 1;

    /// Every slot.
    pub const ALL: [Slot; Slot::COUNT] = [
        Slot::Level,
        Slot::Stage,
        Slot::RequestUri,
        Slot::Verb,
        Slot::User,
        Slot::ImpersonatedUser,
        Slot::SourceIps,
        Slot::UserAgent,
        Slot::Resource,
        Slot::Namespace,
        Slot::Name,
        Slot::ApiGroup,
        Slot::Subresource,
        Slot::Status,
        Slot::Annotations,
        Slot::RequestObject,
        Slot::ResponseObject,
        Slot::ReceivedTime,
        Slot::StageTime,
        Slot::Rest,
    ];

    /// The slot of a member of the event, of `objectRef` alone none.
    pub(super) fn of_member(key: &[u8]) -> Slot {
        match key {
            b"level" => Slot::Level,
            b"stage" => Slot::Stage,
            b"requestURI" => Slot::RequestUri,
            b"verb" => Slot::Verb,
            b"user" => Slot::User,
            b"impersonatedUser" => Slot::ImpersonatedUser,
            b"sourceIPs" => Slot::SourceIps,
            b"userAgent" => Slot::UserAgent,
            b"responseStatus" => Slot::Status,
            b"annotations" => Slot::Annotations,
            b"requestObject" => Slot::RequestObject,
            b"responseObject" => Slot::ResponseObject,
            b"requestReceivedTimestamp" => Slot::ReceivedTime,
            b"stageTimestamp" => Slot::StageTime,
            _ => Slot::Rest,
        }
    }

    /// The slot of a member of `objectRef`.
    pub(super) fn of_object_member(key: &[u8]) -> Slot {
        match key {
            b"resource" => Slot::Resource,
            b"namespace" => Slot::Namespace,
            b"name" => Slot::Name,
            b"apiGroup" => Slot::ApiGroup,
            b"subresource" => Slot::Subresource,
            _ => Slot::Rest,
        }
    }

    /// The key of the event's member that the slot is, or is in.
    pub fn member(self) -> &'static str {
        match self {
            Slot::Level => "level",
            Slot::Stage => "stage",
            Slot::RequestUri => "requestURI",
            Slot::Verb => "verb",
            Slot::User => "user",
            Slot::ImpersonatedUser => "impersonatedUser",
            Slot::SourceIps => "sourceIPs",
            Slot::UserAgent => "userAgent",
            Slot::Resource | Slot::Namespace | Slot::Name | Slot::ApiGroup | Slot::Subresource => "objectRef",
            Slot::Status => "responseStatus",
            Slot::Annotations => "annotations",
            Slot::RequestObject => "requestObject",
            Slot::ResponseObject => "responseObject",
            Slot::ReceivedTime => "requestReceivedTimestamp",
            Slot::StageTime => "stageTimestamp",
            Slot::Rest => "",
        }
    }

    /// Of a slot inside `objectRef`, the key there.
    fn object_member(self) -> Option<&'static str> {
        Some(match self {
            Slot::Resource => "resource",
            Slot::Namespace => "namespace",
            Slot::Name => "name",
            Slot::ApiGroup => "apiGroup",
            Slot::Subresource => "subresource",
            _ => return None,
        })
    }

    /// Writes an event that has nothing but this value in the slot.
    pub fn write_alone(self, value: &str, event: &mut String) {
        event.clear();
        let keys = [Some(self.member()), self.object_member()].into_iter().flatten();
        for key in keys.clone() {
            for part in ["{\"", key, "\":"] {
                event.push_str(part);
            }
        }
        event.push_str(value);
        keys.for_each(|_| event.push('}'));
    }
}

/// A set of slots.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots(u32);

impl Slots {
    /// No slot.
    pub const NONE: Slots = Slots(0);
    /// Every slot.
    pub const ALL: Slots = Slots((1 << Slot::COUNT) - 1);

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Slots) -> Slots {
        Slots(self.0 | other.0)
    }

    /// Whether `slot` is one of them.
    pub fn has(self, slot: Slot) -> bool {
        self.0 & (1 << slot as u8) != 0
    }

    /// The slot, if it is only one.
    pub fn single(self) -> Option<Slot> {
        if self.0.is_power_of_two() { Slot::ALL.get(self.0.trailing_zeros() as usize).copied() } else { None }
    }

    /// The slots in their order.
    pub fn iter(self) -> impl Iterator<Item = Slot> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let slot = Slot::ALL.get(rest.trailing_zeros() as usize).copied()?;
            rest &= rest - 1;
            Some(slot)
        })
    }

    /// The slots that an own path reads.
    pub(super) fn of_path(path: &str) -> Slots {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        match (first, rest) {
            ("objectRef", None) => Slots::OBJECT.with(Slot::Rest.into()),
            ("objectRef", Some(rest)) => {
                Slot::of_object_member(rest.split('.').next().unwrap_or_default().as_bytes()).into()
            }
            _ => Slot::of_member(first.as_bytes()).into(),
        }
    }

    /// The slots of all own paths that begin with `start`, which may end anywhere in a name.
    pub(super) fn of_start(start: &str) -> Slots {
        match start.split_once('.') {
            None => Slots::ALL,
            Some(("objectRef", rest)) if !rest.contains('.') => Slots::OBJECT.with(Slot::Rest.into()),
            Some(_) => Slots::of_path(start),
        }
    }

    /// The members of `objectRef` that have slots of their own.
    pub(super) const OBJECT: Slots = Slots(
        1 << Slot::Resource as u8
            | 1 << Slot::Namespace as u8
            | 1 << Slot::Name as u8
            | 1 << Slot::ApiGroup as u8
            | 1 << Slot::Subresource as u8,
    );
}

impl From<Slot> for Slots {
    fn from(slot: Slot) -> Slots {
        Slots(1 << slot as u8)
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
