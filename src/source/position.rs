//! Places in a log: what an event's position is, and what finds that place again after a restart.
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::civil::DateTime;
use jiff::{Timestamp, tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::contents::Contents;

/// How many bytes before a position are remembered to know the place again.
pub(super) const BEFORE: usize = 256;

/// One unbroken sequence of bytes of one source, across rotations. Random, shown as 32 hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 16]);

impl StreamId {
    /// A new stream, unlike any other.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The stream with these 128 bits.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stream id is 32 lower-case hex characters")]
pub struct InvalidStreamId;

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        bytes_of_hex(text).map(Self).ok_or(InvalidStreamId)
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where an event stands: its stream, and the byte after its newline counted over the whole stream.
///
/// The last line of a rotated file may lack the newline; its offset is the file's end, which is where the next
/// file begins. So every event of a stream has an offset of its own, and later events have greater ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The unbroken sequence of bytes that `offset` counts.
    pub stream: StreamId,
    /// The byte after the event.
    pub offset: u64,
}

/// Where reading begins when there is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// After the last whole line there is.
    End,
    /// At the oldest rotated file that is still there.
    Start,
    /// As `Start`, less the files rotated before that time. The caller leaves out the events before
    /// [`FileSource::not_before`](super::FileSource::not_before).
    LastSeconds(u64),
}

/// A SHA-256 over some bytes, and how many they were.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-256, in hex.
    #[serde(serialize_with = "as_hex", deserialize_with = "from_hex")]
    pub sha256: [u8; 32],
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.length, HEXLOWER.encode(&self.sha256))
    }
}

impl Fingerprint {
    /// The fingerprint of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }

    /// The fingerprint of the first line of `file`, of at most `limit` bytes of it. `None` while the line has no
    /// end, unless `closed` says that none will come.
    pub(super) fn of_first_line(file: &Contents, limit: u64, closed: bool) -> io::Result<Option<Self>> {
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut ended = false;
        scan(file, 0, limit, |chunk| {
            let line = memchr::memchr(b'\n', chunk);
            let part = &chunk[..line.unwrap_or(chunk.len())];
            hash.update(part);
            length += part.len() as u64;
            ended = line.is_some();
            !ended
        })?;
        let known = ended || length == limit || (closed && length > 0);
        Ok(known.then(|| Self { length, sha256: hash.finalize().into() }))
    }

    /// Whether `file` has these bytes at `offset`.
    pub(super) fn is_at(&self, file: &Contents, offset: u64) -> io::Result<bool> {
        let mut hash = Sha256::new();
        let mut length = 0;
        scan(file, offset, self.length, |chunk| {
            hash.update(chunk);
            length += chunk.len() as u64;
            true
        })?;
        Ok(length == self.length && <[u8; 32]>::from(hash.finalize()) == self.sha256)
    }
}

/// Shows up to `limit` bytes of `file` from `offset` on, a chunk at a time, for as long as `more` says true.
fn scan(file: &Contents, mut offset: u64, limit: u64, mut more: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    let mut left = limit;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let count = file.read_at(&mut chunk[..most], offset)?;
        if count == 0 || !more(&chunk[..count]) {
            break;
        }
        offset += count as u64;
        left -= count as u64;
    }
    Ok(())
}

/// The time in a rotated file's name, `2026-11-24T05-52-29.123` or, of a container's log, `20261124-055229`; of one log
/// later ones are greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(String);

impl Stamp {
    /// The stamp of a file rotated at this time.
    pub fn at(time: Timestamp) -> Self {
        Self(tz::TimeZone::UTC.to_datetime(time).strftime("%Y-%m-%dT%H-%M-%S.%3f").to_string())
    }

    /// That of a container's log, rotated when a clock of the kubelet's time zone showed this.
    pub(super) fn at_local(time: DateTime) -> Self {
        Self(time.strftime("%Y%m%d-%H%M%S").to_string())
    }

    /// Whatever else lies beside a log and begins like it (another log, a copy made by hand) has no such name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        has_shape(text, b"0000-00-00T00-00-00.000").then(|| Self(text.to_owned()))
    }

    /// The same of a container's log.
    pub(super) fn parse_local(text: &str) -> Option<Self> {
        has_shape(text, b"00000000-000000").then(|| Self(text.to_owned()))
    }

    /// The time it says, if there is such a time.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S.%f", &self.0).ok()?;
        Some(time.to_zoned(tz::TimeZone::UTC).ok()?.timestamp())
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which file it is, for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode. File systems give the number of a deleted file to a new one.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970, by which the new one is told; where the file system knows it.
    #[serde(default)]
    pub born: Option<u64>,
}

impl FileId {
    pub(super) fn new(device: u64, inode: u64, born: Option<Duration>) -> Self {
        Self { device, inode, born: born.and_then(|born| u64::try_from(born.as_nanos()).ok()) }
    }

    /// Whether both are the same file. Where one does not know when it was made, the number alone has to tell.
    pub(super) fn is(self, other: FileId) -> bool {
        let is_born_then = self.born.zip(other.born).is_none_or(|(this, that)| this == that);
        self.device == other.device && self.inode == other.inode && is_born_then
    }
}

/// What tells one file of a log from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// As a hint where to look first: a copy is the same file.
    #[serde(flatten)]
    pub id: FileId,
    /// The first record, which has an auditID of its own: this is the identity.
    pub first_record: Fingerprint,
}

/// A place in a log that can be found again, even in a file that was rotated meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The log's path, as the source was given it.
    pub path: String,
    /// The stream.
    pub stream: StreamId,
    /// The byte after the last event that was handed out, counted over the stream.
    pub offset: u64,
    /// Where in the stream the file begins.
    pub base: u64,
    /// The file. Without it the place is the start of the first file rotated after `rotated_after`, or of the live one.
    pub file: Option<FileIdentity>,
    /// That first file, or the one after the file, where it was seen, of which nothing else is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<FileId>,
    /// The bytes just before the place, at most 256.
    pub before: Fingerprint,
    /// The rotation before the file: all files rotated later are this one or newer.
    pub rotated_after: Option<Stamp>,
    /// Rotations before that one whose names say that they are later: a clock was set back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotated_before: Vec<Stamp>,
    /// Events before this time are not wanted ([`StartAt::LastSeconds`]).
    pub not_before: Option<Timestamp>,
}

impl FilePosition {
    /// The position of the last event that was handed out.
    pub fn position(&self) -> Position {
        Position { stream: self.stream, offset: self.offset }
    }
}

fn has_shape(text: &str, shape: &[u8]) -> bool {
    let fits = |(byte, &shape): (u8, &u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    text.len() == shape.len() && text.bytes().zip(shape).all(fits)
}

fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn as_hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(bytes))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    bytes_of_hex(&String::deserialize(deserializer)?)
        .ok_or_else(|| de::Error::custom("expected 64 lower-case hex characters"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> Contents {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Contents::Plain(file)
    }

    #[test]
    fn a_stream_id_is_32_hex_characters_in_json_too() {
        let id = StreamId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &"zz".repeat(16)] {
            assert_eq!(wrong.parse::<StreamId>(), Err(InvalidStreamId), "{wrong}");
        }
        assert_ne!(StreamId::random().unwrap(), StreamId::random().unwrap());
    }

    #[test]
    fn the_first_line_is_known_once_it_has_an_end() {
        let of = |content: &[u8], limit, closed| {
            Fingerprint::of_first_line(&file(content), limit, closed).unwrap()
        };
        assert_eq!(of(b"", 100, true), None);
        assert_eq!(of(b"one", 100, false), None);
        assert_eq!(of(b"one", 100, true), Some(Fingerprint::of(b"one")));
        assert_eq!(of(b"one\ntwo", 100, false), Some(Fingerprint::of(b"one")));
        assert_eq!(of(b"longer than the limit", 6, false), Some(Fingerprint::of(b"longer")));
        let long = vec![b'x'; 40_000];
        assert_eq!(of(&[&long[..], b"\n"].concat(), 50_000, false), Some(Fingerprint::of(&long)));
    }

    #[test]
    fn a_fingerprint_is_found_only_where_its_bytes_are() {
        let two = Fingerprint::of(b"two");
        assert!(two.is_at(&file(b"one\ntwo"), 4).unwrap());
        assert!(!two.is_at(&file(b"one\ntwo"), 3).unwrap());
        assert!(!two.is_at(&file(b"one\ntw"), 4).unwrap());
        assert!(Fingerprint::of(b"").is_at(&file(b"one"), 99).unwrap());
    }
}
