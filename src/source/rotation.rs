//! The files of one log: the live one, and those it was rotated to.
//!
//! kube-apiserver rotates by closing the log, renaming it to `<prefix>-<time><ext>` in the same folder and creating
//! a new one; later, in the background, it may compress a rotated file to `<name>.gz` and delete old ones. So a
//! rotated file is complete once there is a new one, and the times in the names put them in order.
//!
//! A container's log, `0.log` for its first run, the kubelet renames to `0.log.<time>`; then it asks the runtime to begin
//! a new one, and when it rotates again it compresses that file. Its times are to the second, and of its own time zone.
//! <https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/logs/container_log_manager.go>
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cap_std::fs::Metadata;
use jiff::{SignedDuration, Timestamp, tz};

use super::error::SourceError;
use super::order::Order;
use super::position::{FileId, Stamp};
use super::root::{LogRoot, OpenFile, file_id};

/// How often a look is taken again at once because a rotation came in between.
const LOOKS: usize = 8;

/// How far a clock may be behind UTC, and a bit more.
const MOST_BEHIND: SignedDuration = SignedDuration::from_hours(13);

/// A rotated file as it was seen.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) stamp: Stamp,
    /// Whether only the compressed file is left.
    pub(super) is_compressed: bool,
    /// In bytes, of which a compressed file has fewer than were written.
    pub(super) size: u64,
    pub(super) id: FileId,
    path: PathBuf,
}

/// The files of a log at one instant.
#[derive(Debug)]
pub(super) struct Look {
    /// The live file, if there is one.
    pub(super) live: Option<OpenFile>,
    /// The rotated ones, oldest first.
    pub(super) rotated: Vec<Rotated>,
    naming: Naming,
    order: Arc<Mutex<Order>>,
}

impl Look {
    /// The rotated files newer than `stamp`, oldest first.
    pub(super) fn newer_than(&self, stamp: Option<&Stamp>) -> &[Rotated] {
        let order = lock(&self.order);
        let is_newer = |file: &Rotated| stamp.is_none_or(|stamp| order.compare(&file.stamp, stamp).is_gt());
        &self.rotated[self.rotated.partition_point(|file| !is_newer(file))..]
    }

    /// Whether the file of that rotation is there.
    pub(super) fn has(&self, stamp: &Stamp) -> bool {
        self.rotated.iter().any(|file| file.stamp == *stamp)
    }

    /// The first file after that rotation: a rotated one, or the live one.
    pub(super) fn first_after(&self, stamp: Option<&Stamp>) -> Option<FileId> {
        let live = || self.live.as_ref().map(|open| open.id);
        self.newer_than(stamp).first().map(|file| file.id).or_else(live)
    }

    /// The newest rotation.
    pub(super) fn newest(&self) -> Option<&Stamp> {
        self.rotated.last().map(|file| &file.stamp)
    }

    /// The stamp before which a file was surely rotated before this time.
    pub(super) fn surely_before(&self, time: Timestamp) -> Stamp {
        match self.naming {
            Naming::ApiServer { .. } => Stamp::at(time),
            Naming::Kubelet { .. } => {
                let time = time.checked_sub(MOST_BEHIND).unwrap_or(Timestamp::MIN);
                Stamp::at_local(tz::TimeZone::UTC.to_datetime(time))
            }
        }
    }
}

/// Where the files of one log are.
#[derive(Debug)]
pub(super) struct LogFiles {
    root: LogRoot,
    live: PathBuf,
    lingering: Duration,
    order: Arc<Mutex<Order>>,
}

fn lock(order: &Mutex<Order>) -> MutexGuard<'_, Order> {
    // One thread has it at a time; nothing panics meanwhile.
    order.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How rotated files are named.
#[derive(Debug)]
enum Naming {
    /// As kube-apiserver does it: the time between these.
    ApiServer { prefix: String, extension: String },
    /// As the kubelet does it: the time after this.
    Kubelet { prefix: String },
}

impl Naming {
    /// That of a log of this name. A container's is named by the number of its run.
    fn of(name: &str) -> Self {
        let is_container = name
            .strip_suffix(".log")
            .is_some_and(|run| !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit()));
        if is_container {
            return Self::Kubelet { prefix: format!("{name}.") };
        }
        // As Go's filepath.Ext has it: the last dot counts even where it is the first character.
        let (stem, extension) = name.split_at(name.rfind('.').unwrap_or(name.len()));
        Self::ApiServer { prefix: format!("{stem}-"), extension: extension.to_owned() }
    }

    fn stamp_of(&self, name: &str) -> Option<(Stamp, bool)> {
        match self {
            Naming::ApiServer { prefix, extension } => {
                let (name, compressed) = match name.strip_suffix(".gz") {
                    // The extension of the log itself may be `.gz`, however odd.
                    Some(inner) if inner.ends_with(extension) => (inner, true),
                    _ => (name, false),
                };
                let stamp = name.strip_prefix(prefix)?.strip_suffix(extension)?;
                Some((Stamp::parse(stamp)?, compressed))
            }
            Naming::Kubelet { prefix } => {
                let stamp = name.strip_prefix(prefix)?;
                let (stamp, compressed) =
                    stamp.strip_suffix(".gz").map_or((stamp, false), |stamp| (stamp, true));
                Some((Stamp::parse_local(stamp)?, compressed))
            }
        }
    }
}

impl LogFiles {
    /// The files of the log at `path`; a container's is written for some time after its rotation.
    pub(super) fn new(
        root: &LogRoot,
        path: &str,
        lingering: Duration,
        order: Order,
    ) -> Result<Self, SourceError> {
        let (root, live, order) = (root.clone(), root.resolve(path)?, Arc::new(Mutex::new(order)));
        Ok(Self { root, live, lingering, order })
    }

    /// The rotations before this one that seem to be later.
    pub(super) fn seemingly_later(&self, stamp: Option<&Stamp>) -> Vec<Stamp> {
        stamp.map(|stamp| lock(&self.order).seemingly_later(stamp)).unwrap_or_default()
    }

    /// Whether the file of the one rotation came before that of the other.
    pub(super) fn is_before(&self, one: &Stamp, other: &Stamp) -> bool {
        lock(&self.order).compare(one, other).is_lt()
    }

    /// How long a file may still be written after there is a new one.
    pub(super) fn lingering(&self, look: &Look) -> Duration {
        match look.naming {
            Naming::ApiServer { .. } => Duration::ZERO,
            Naming::Kubelet { .. } => self.lingering,
        }
    }

    /// The path of the live file.
    pub(super) fn path(&self) -> PathBuf {
        self.root.path().join(&self.live)
    }

    /// That reading the live file failed.
    pub(super) fn failed(&self, action: &'static str, source: io::Error) -> SourceError {
        self.root.failed(action, &self.live, source)
    }

    /// That there is nothing to read.
    pub(super) fn not_found(&self) -> SourceError {
        SourceError::NotFound { path: self.path(), source: io::ErrorKind::NotFound.into() }
    }

    /// The live file.
    pub(super) fn stat_live(&self) -> Result<Option<FileId>, SourceError> {
        self.root.stat(&self.live)
    }

    /// When the live file was last written.
    pub(super) fn last_write(&self) -> Option<Timestamp> {
        self.root.last_write(&self.live)
    }

    /// Opens a rotated file. `None` when it is not that one any more: deleted or compressed since the look.
    pub(super) fn open(&self, rotated: &Rotated) -> Result<Option<OpenFile>, SourceError> {
        match self.root.open_file(&rotated.path) {
            Ok(open) if !open.is_at(Some(rotated.id)) => Ok(None),
            Ok(open) if rotated.is_compressed => Ok(Some(open.decompressed())),
            Ok(open) => Ok(Some(open)),
            Err(SourceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The files as they are now. `None` while rotations follow each other too fast; a later read tries again.
    pub(super) fn settled_look(&self) -> Result<Option<Look>, SourceError> {
        for _ in 0..LOOKS {
            if let Some(look) = self.look()? {
                return Ok(Some(look));
            }
        }
        Ok(None)
    }

    /// Looks at all files of the log. `None` when a rotation came in between.
    fn look(&self) -> Result<Option<Look>, SourceError> {
        let live = match self.root.open_file(&self.live) {
            Ok(open) => Some(open),
            Err(SourceError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        // Before the last look: a link that leads to the open file then led there now.
        let written = self.root.follow(&self.live)?;
        // Where a link leads to a name that is no UTF-8, no file could be told to be rotated.
        let naming = Naming::of(written.file_name().and_then(|name| name.to_str()).unwrap_or_default());
        let rotated = self.rotated(&written, &naming)?;
        // Reading a folder is not one step: a file renamed meanwhile may be in neither place. But when the live file
        // is still the one that was open all the time, every other file had its name before the list was begun.
        let now = self.stat_live()?;
        let same = live.as_ref().map_or(now.is_none(), |open| open.is_at(now));
        Ok(same.then(|| self.in_order(live, rotated, naming)))
    }

    fn in_order(&self, live: Option<OpenFile>, mut rotated: Vec<Rotated>, naming: Naming) -> Look {
        let mut order = lock(&self.order);
        order.see(rotated.iter().map(|file| &file.stamp));
        rotated.sort_by(|a, b| order.compare(&a.stamp, &b.stamp));
        drop(order);
        Look { live, rotated, naming, order: Arc::clone(&self.order) }
    }

    /// The rotated files of the log that is written there.
    fn rotated(&self, written: &Path, naming: &Naming) -> Result<Vec<Rotated>, SourceError> {
        let folder = written.parent().unwrap_or(Path::new(""));
        let listed = self.root.list(written, |name, entry| {
            let Some((stamp, is_compressed)) = naming.stamp_of(name) else {
                return Ok(None);
            };
            let path = folder.join(name);
            let metadata = match entry.metadata() {
                // kube-apiserver gives a link another name as it would the file.
                Ok(metadata) if metadata.is_symlink() => self.root.linked(&path)?,
                Ok(metadata) => Some(metadata),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            Ok(metadata.filter(Metadata::is_file).map(|metadata| {
                let (id, size) = (file_id(&metadata), metadata.len());
                Rotated { stamp, is_compressed, size, id, path }
            }))
        });
        let listed = match listed {
            Err(SourceError::NotFound { .. }) => Vec::new(),
            listed => listed?,
        };
        // While a file is being compressed both are there, and the plain one is the whole one.
        let mut files: Vec<Rotated> = listed;
        files.sort_by(|a, b| a.stamp.cmp(&b.stamp).then(a.is_compressed.cmp(&b.is_compressed)));
        files.dedup_by(|next, first| next.stamp == first.stamp);
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FIRST: &str = "2026-11-24T05-52-29.123";
    const SECOND: &str = "2026-11-24T05-52-30.000";

    fn files(folder: &Path, path: &str) -> LogFiles {
        LogFiles::new(&LogRoot::open(folder).unwrap(), path, Duration::ZERO, Order::default()).unwrap()
    }

    #[test]
    fn a_stamp_is_written_as_the_api_server_writes_it() {
        let time = "2026-11-24T05:52:29.1239Z".parse().unwrap();
        assert_eq!(Stamp::at(time).to_string(), FIRST);
        assert_eq!(Stamp::parse(FIRST).unwrap(), Stamp::at(time));
        for wrong in ["", "2026-11-24", "2026-11-24T05-52-29.12x", "2026-11-24T05:52:29.123", "policy"] {
            assert_eq!(Stamp::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_files_with_a_stamp_belong_to_the_log() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "audit.log",
            &format!("audit-{SECOND}.log"),
            &format!("audit-{FIRST}.log"),
            &format!("audit-{FIRST}.log.gz"),
            "audit-2026-11-24T05-52-28.999.log.gz",
            "audit-policy.log",
            "audit-proxy-2026-11-24T05-52-29.123.log",
            &format!("audit-{FIRST}.log.bak"),
            &format!("audit-{FIRST}.txt"),
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("audit-2026-11-24T05-52-31.000.log")).unwrap();

        let look = files(folder.path(), "audit.log").look().unwrap().unwrap();
        assert!(look.live.is_some());
        let found: Vec<_> =
            look.rotated.iter().map(|file| (file.stamp.to_string(), !file.is_compressed)).collect();
        let found: Vec<_> = found.iter().map(|(stamp, is_plain)| (&**stamp, *is_plain)).collect();
        assert_eq!(found, [("2026-11-24T05-52-28.999", false), (FIRST, true), (SECOND, true)]);
        assert_eq!(look.newest().unwrap().to_string(), SECOND);
        assert_eq!(look.newer_than(Stamp::parse(FIRST).as_ref()).len(), 1);
        assert_eq!(look.newer_than(None).len(), 3);
    }

    #[test]
    fn names_without_extension_and_with_dots_are_split_like_the_api_server_does() {
        for (path, rotated) in [
            ("audit", format!("audit-{FIRST}")),
            ("kube.audit.log", format!("kube.audit-{FIRST}.log")),
            (".audit", format!("-{FIRST}.audit")),
            ("deep/audit.log", format!("audit-{FIRST}.log")),
        ] {
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            let (naming, stamp) = (Naming::of(name), Stamp::parse(FIRST).unwrap());
            assert_eq!(naming.stamp_of(&rotated), Some((stamp.clone(), false)), "{path}");
            assert_eq!(naming.stamp_of(&format!("{rotated}.gz")), Some((stamp, true)), "{path}");
        }
    }

    #[test]
    fn a_containers_log_has_the_kubelets_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "0.log",
            "0.log.20261125-210000",
            "0.log.20261125-205000.gz",
            "0.log.20261125-205000",
            "0.log.20261125-204000.gz",
            // What the kubelet compresses to first, and what is another log's.
            "0.log.20261125-203000.tmp",
            "0-2026-11-24T05-52-29.123.log",
            "1.log",
            "1.log.20261125-202000",
            "0.log.20261125",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let look = files(folder.path(), "0.log").look().unwrap().unwrap();
        let found: Vec<_> =
            look.rotated.iter().map(|file| (file.stamp.to_string(), file.is_compressed)).collect();
        let found: Vec<_> = found.iter().map(|(stamp, is_compressed)| (&**stamp, *is_compressed)).collect();
        assert_eq!(
            found,
            [("20261125-204000", true), ("20261125-205000", false), ("20261125-210000", false)]
        );
        assert!(look.rotated.iter().all(|rotated| folder.path().join(&rotated.path).exists()));
        // A zone may be that far behind: of a file that looks older nothing is known.
        let wanted = look.surely_before("2026-11-25T21:00:00Z".parse().unwrap());
        assert_eq!(wanted.to_string(), "20261125-080000");
    }

    #[test]
    fn a_missing_folder_is_an_empty_log() {
        let folder = tempfile::tempdir().unwrap();
        let look = files(folder.path(), "none/audit.log").look().unwrap().unwrap();
        assert!(look.live.is_none() && look.rotated.is_empty());
    }
}
