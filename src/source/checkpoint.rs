//! The state folder: for each source the position reached, together with what was found up to there.
//!
//! A checkpoint is replaced as a whole or not at all: temporary file, fsync, rename, fsync of the folder. One process
//! holds the folder at a time. A checkpoint that cannot be read is set aside, never overwritten.
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::CheckpointError;
use super::position::FilePosition;
use super::webhook::{WEBHOOK_PATH, WebhookSettings};

/// The version of the format that this program writes.
const VERSION: u64 = 1;

/// The file that says which webhooks are received for.
const WEBHOOKS: &str = "webhooks.json";

/// What is kept of a source. `P` is the caller's: what was found up to the position and is not yet delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint<P> {
    /// The version of the format.
    pub version: u64,
    /// The source's name.
    pub source: String,
    /// The log's path, as the source gives it.
    pub path: String,
    /// Where reading goes on.
    pub position: Option<FilePosition>,
    /// What was found up to there.
    pub found: P,
}

impl<P> Checkpoint<P> {
    /// A checkpoint in the present format.
    pub fn new(
        source: impl Into<String>,
        path: impl Into<String>,
        position: Option<FilePosition>,
        found: P,
    ) -> Self {
        Self { version: VERSION, source: source.into(), path: path.into(), position, found }
    }
}

impl<P: Serialize> Checkpoint<P> {
    /// The checkpoint as it is written.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointError> {
        serde_json::to_vec(self)
            .map_err(|error| CheckpointError::Encode { name: self.source.clone(), source: error })
    }
}

impl<P: DeserializeOwned> Checkpoint<P> {
    /// Reads a checkpoint of this source and path as [`Checkpoint::encode`] writes it; otherwise says why it is none.
    pub fn decode(bytes: &[u8], source: &str, path: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no checkpoint: {error}"))?;
        if version != VERSION {
            return Err(format!("it has version {version}, and this program knows version {VERSION}"));
        }
        let checkpoint: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is damaged: {error}"))?;
        if (checkpoint.source.as_str(), checkpoint.path.as_str()) != (source, path) {
            return Err(format!(
                "it belongs to source {:?} and path {:?}",
                checkpoint.source, checkpoint.path
            ));
        }
        Ok(checkpoint)
    }
}

/// What a look for a checkpoint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded<P> {
    /// A checkpoint.
    Found(Box<Checkpoint<P>>),
    /// None was ever written.
    None,
    /// There is one that this program cannot read. It was set aside, so that reading starts as if there were none,
    /// which the caller must state.
    Unreadable {
        /// Why it cannot be read.
        why: String,
        /// Where it is now.
        kept_as: PathBuf,
    },
}

/// The folder that holds the checkpoints, locked for as long as this value lives.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Opens the folder, which is created with mode 0700 where it is missing, and locks it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CheckpointError> {
        let path = path.into();
        let create = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        create.map_err(failed("create", &path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &lock_path)(source)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoint of this source and path.
    pub fn load<P: DeserializeOwned>(&self, source: &str, path: &str) -> Result<Loaded<P>, CheckpointError> {
        let file = self.file_of(source, path);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::None),
            Err(error) => return Err(failed("read", &file)(error)),
        };
        match Checkpoint::decode(&bytes, source, path) {
            Ok(checkpoint) => Ok(Loaded::Found(Box::new(checkpoint))),
            Err(why) => Ok(Loaded::Unreadable { why, kept_as: self.set_aside(&file)? }),
        }
    }

    /// The position that is on disk for this source and path. Looks only: whatever cannot be read is none.
    pub fn durable_position(&self, source: &str, path: &str) -> Option<FilePosition> {
        let bytes = fs::read(self.file_of(source, path)).ok()?;
        Checkpoint::<IgnoredAny>::decode(&bytes, source, path).ok()?.position
    }

    /// The webhooks that were [saved](Self::save_webhooks) last, without the folder of their credentials.
    pub fn webhooks(&self) -> Result<Vec<WebhookSettings>, CheckpointError> {
        let file = self.path.join(WEBHOOKS);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| failed("read", &file)(io::Error::new(io::ErrorKind::InvalidData, error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("read", &file)(error)),
        }
    }

    /// Keeps which webhooks are received for.
    pub fn save_webhooks(&self, webhooks: &[WebhookSettings]) -> Result<(), CheckpointError> {
        let bytes = serde_json::to_vec(webhooks)
            .map_err(|source| CheckpointError::Encode { name: WEBHOOKS.to_owned(), source })?;
        self.replace(&self.path.join(WEBHOOKS), &bytes)
    }

    /// The folder of what was received for this source and is not yet judged.
    pub fn spool_of(&self, source: &str) -> PathBuf {
        self.path.join(format!("spool-{}", key_of(source, WEBHOOK_PATH)))
    }

    /// Replaces the checkpoint of `source` and the checkpoint's path; durable on return.
    pub fn save<P: Serialize>(&self, checkpoint: &Checkpoint<P>) -> Result<(), CheckpointError> {
        self.replace(&self.file_of(&checkpoint.source, &checkpoint.path), &checkpoint.encode()?)
    }

    /// The file of a checkpoint.
    pub(super) fn file_of(&self, source: &str, path: &str) -> PathBuf {
        self.path.join(format!("checkpoint-{}.json", key_of(source, path)))
    }

    /// Replaces a file of the folder in one step; durable on return.
    pub(super) fn replace(&self, file: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
        let new = file.with_extension("new");
        let write = || {
            let mut open =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            open.write_all(bytes)?;
            open.sync_all()
        };
        write().map_err(failed("write", &new))?;
        fs::rename(&new, file).map_err(failed("replace", file))?;
        self.sync()
    }

    fn set_aside(&self, file: &Path) -> Result<PathBuf, CheckpointError> {
        let free = |number: &u32| !file.with_extension(format!("unreadable-{number}")).exists();
        let number = (1..u32::MAX).find(free).unwrap_or(u32::MAX);
        let aside = file.with_extension(format!("unreadable-{number}"));
        fs::rename(file, &aside).map_err(failed("set aside", file))?;
        self.sync()?;
        Ok(aside)
    }

    fn sync(&self) -> Result<(), CheckpointError> {
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(failed("sync", &self.path))
    }
}

/// What stands for a source and path in a name: both are somebody's text, so only their hash does.
fn key_of(source: &str, path: &str) -> String {
    let mut hash = Sha256::new();
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    hash.update((source.len() as u64).to_be_bytes());
    hash.update(source);
    hash.update(path);
    HEXLOWER.encode(&hash.finalize())[..32].to_owned()
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> (tempfile::TempDir, StateFolder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(temp.path().join("a/state")).unwrap();
        (temp, folder)
    }

    fn checkpoint(source: &str, path: &str, found: u32) -> Checkpoint<u32> {
        Checkpoint::new(source, path, None, found)
    }

    fn found<P>(loaded: Loaded<P>) -> Checkpoint<P> {
        match loaded {
            Loaded::Found(checkpoint) => *checkpoint,
            Loaded::None => panic!("no checkpoint"),
            Loaded::Unreadable { why, .. } => panic!("{why}"),
        }
    }

    #[test]
    fn what_was_saved_last_is_loaded() {
        let (_temp, folder) = folder();
        assert_eq!(folder.load::<u32>("node", "audit.log").unwrap(), Loaded::None);
        for number in 0..3 {
            folder.save(&checkpoint("node", "audit.log", number)).unwrap();
        }
        let loaded = found(folder.load("node", "audit.log").unwrap());
        assert_eq!(loaded, checkpoint("node", "audit.log", 2));
    }

    #[test]
    fn a_checkpoint_belongs_to_a_source_and_a_path_whatever_their_names() {
        let (_temp, folder) = folder();
        let names = ["", "a", "ab", "../../etc/passwd", "/", "a/b", "nul\0", "ü\n", &"x".repeat(5000)];
        let pairs = || names.iter().flat_map(|source| names.iter().map(move |path| (*source, *path)));
        for (number, (source, path)) in (0..).zip(pairs()) {
            folder.save(&checkpoint(source, path, number)).unwrap();
        }
        for (number, (source, path)) in (0..).zip(pairs()) {
            assert_eq!(found(folder.load::<u32>(source, path).unwrap()).found, number);
        }
        // Those, and the lock.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len() * names.len() + 1);
    }

    #[test]
    fn only_root_can_look_and_only_one_process_can_hold_the_folder() {
        let (_temp, folder) = folder();
        folder.save(&checkpoint("node", "audit.log", 1)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.file_of("node", "audit.log")), 0o600);

        let second = StateFolder::open(folder.path()).unwrap_err();
        assert_eq!(second.category(), "in_use");
        assert!(second.to_string().ends_with("is in use by another process"), "{second}");
        let path = folder.path().to_owned();
        drop(folder);
        StateFolder::open(path).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_with_its_reason() {
        let (_temp, folder) = folder();
        let file = folder.file_of("node", "audit.log");
        let whole = checkpoint("node", "audit.log", 1).encode().unwrap();
        let cases: [(&[u8], &str); 7] = [
            (b"", "it is no checkpoint: EOF while parsing"),
            (b"\xff\xfe", "it is no checkpoint: "),
            (&whole[..whole.len() / 2], "it is no checkpoint: EOF while parsing"),
            (b"{\"version\":2}", "it has version 2, and this program knows version 1"),
            (b"{\"version\":1}", "it is damaged: missing field `source`"),
            (
                &checkpoint("node", "other.log", 1).encode().unwrap(),
                "it belongs to source \"node\" and path \"other.log\"",
            ),
            (
                &Checkpoint::new("node", "audit.log", None, "text").encode().unwrap(),
                "it is damaged: invalid type",
            ),
        ];
        for (number, (bytes, reason)) in (1..).zip(cases) {
            fs::write(&file, bytes).unwrap();
            let loaded = folder.load::<u32>("node", "audit.log").unwrap();
            let Loaded::Unreadable { why, kept_as } = loaded else { panic!("{loaded:?}") };
            assert!(why.starts_with(reason), "{why}");
            assert!(kept_as.to_str().unwrap().ends_with(&format!(".unreadable-{number}")), "{kept_as:?}");
            assert_eq!(fs::read(kept_as).unwrap(), bytes);
            assert_eq!(folder.load::<u32>("node", "audit.log").unwrap(), Loaded::None);
        }
    }

    #[test]
    fn a_write_that_fails_leaves_the_checkpoint_as_it_was() {
        let (_temp, folder) = folder();
        folder.save(&checkpoint("node", "audit.log", 1)).unwrap();
        // The temporary file cannot be created where a folder is.
        fs::create_dir(folder.file_of("node", "audit.log").with_extension("new")).unwrap();
        let error = folder.save(&checkpoint("node", "audit.log", 2)).unwrap_err();
        assert_eq!(error.category(), "io");
        assert!(error.to_string().starts_with("failed to write /"), "{error}");
        assert_eq!(found(folder.load::<u32>("node", "audit.log").unwrap()).found, 1);
    }
}
