//! The folder beneath which logs may be read.
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use jiff::Timestamp;
use rustix::fs::{AtFlags, StatxFlags, statx};

use super::contents::Contents;
use super::error::SourceError;
use super::position::{FileId, Fingerprint};

/// `O_NONBLOCK` on Linux: without it, opening a named pipe that took the log's place would hang for good.
const NONBLOCK: i32 = 0o4000;

/// How many links are followed, as many as Linux follows.
const LINKS: usize = 40;

/// The folder beneath which logs may be read, `--log-root`. No path and no link leads out of it: whoever may write
/// an AuditSource names a path, and a node's other files are none of his business.
#[derive(Debug, Clone)]
pub struct LogRoot {
    dir: Arc<Dir>,
    path: PathBuf,
}

/// An open regular file with what tells it from another one while it is open.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) contents: Contents,
    pub(super) id: FileId,
}

impl OpenFile {
    /// Whether a look at some path found this file there.
    pub(super) fn is_at(&self, found: Option<FileId>) -> bool {
        found.is_some_and(|found| found.is(self.id))
    }

    /// Whether the file has these bytes at `offset`.
    pub(super) fn has(&self, bytes: &Fingerprint, offset: u64) -> io::Result<bool> {
        bytes.is_at(&self.contents, offset)
    }

    /// Whether the first line is this one, or begins with it where it is the longest that is looked at.
    pub(super) fn begins_with(&self, line: &Fingerprint, longest: usize) -> io::Result<bool> {
        let mut next = [0];
        let ended = line.length >= longest as u64
            || self.contents.read_at(&mut next, line.length)? == 0
            || next == *b"\n";
        Ok(ended && self.has(line, 0)?)
    }

    /// Whether it ends before this place, as far as it says.
    pub(super) fn is_shorter_than(&self, length: u64) -> io::Result<bool> {
        Ok(self.contents.size()?.is_some_and(|size| size < length))
    }

    /// The same file, which is a compressed one.
    pub(super) fn decompressed(self) -> OpenFile {
        match self.contents {
            Contents::Plain(file) => OpenFile { contents: Contents::of_gzip(file), ..self },
            Contents::Gzip(_) => self,
        }
    }
}

impl LogRoot {
    /// Opens the folder.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        let path = path.into();
        match Dir::open_ambient_dir(&path, ambient_authority()) {
            Ok(dir) => Ok(Self { dir: Arc::new(dir), path }),
            Err(source) => Err(failed("open", path, source)),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a log relative to the root; an absolute one must lie beneath it.
    pub fn resolve(&self, path: &str) -> Result<PathBuf, SourceError> {
        let given = Path::new(path);
        let outside = || SourceError::OutsideLogRoot { path: given.to_owned(), root: self.path.clone() };
        let inside =
            if given.is_absolute() { given.strip_prefix(&self.path).map_err(|_| outside())? } else { given };
        let mut resolved = PathBuf::new();
        for component in inside.components() {
            match component {
                Component::Normal(name) => resolved.push(name),
                Component::CurDir => {}
                // A `..` is refused even where it stays beneath the root: two spellings of a path would be two
                // sources with a checkpoint each.
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        // "" and "x/" name folders.
        if resolved.as_os_str().is_empty() || path.ends_with('/') {
            return Err(SourceError::NotAFile { path: given.to_owned() });
        }
        Ok(resolved)
    }

    /// The folder of a log, to be watched.
    pub fn folder_of(&self, path: &str) -> Result<PathBuf, SourceError> {
        let mut folder = self.path.join(self.resolve(path)?);
        folder.pop();
        Ok(folder)
    }

    /// Opens a resolved path for reading.
    pub(super) fn open_file(&self, path: &Path) -> Result<OpenFile, SourceError> {
        #[cfg(test)]
        super::tests::meanwhile();
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(NONBLOCK);
        let fail = |source| self.failed("open", path, source);
        let file = self.dir.open_with(path, &options).map_err(fail)?.into_std();
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(SourceError::NotAFile { path: self.path.join(path) });
        }
        let id = FileId::new(metadata.dev(), metadata.ino(), born(&file));
        Ok(OpenFile { id, contents: Contents::Plain(file) })
    }

    /// Where a resolved path leads if it is a link, or links that follow each other: the files that belong to a log are
    /// beside the one that is written, not beside a link to it.
    pub(super) fn follow(&self, path: &Path) -> Result<PathBuf, SourceError> {
        #[cfg(test)]
        super::tests::meanwhile();
        let mut followed = path.to_owned();
        for _ in 0..LINKS {
            match self.dir.read_link(&followed) {
                Ok(target) => {
                    followed.pop();
                    followed.push(target);
                }
                // It is none, or nothing is there.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) =>
                {
                    return Ok(followed);
                }
                Err(error) => return Err(self.failed("follow", path, error)),
            }
        }
        Err(self.failed("follow", path, io::Error::other("too many links")))
    }

    /// Which file a listed link leads to. `None` where it leads nowhere, or out of the root.
    pub(super) fn linked(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match self.dir.metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_escape(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The file at a resolved path, or nothing where there is nothing.
    pub(super) fn stat(&self, path: &Path) -> Result<Option<FileId>, SourceError> {
        #[cfg(test)]
        super::tests::meanwhile();
        match self.dir.metadata(path) {
            Ok(metadata) => Ok(Some(file_id(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("look at", path, error)),
        }
    }

    /// When the file at a resolved path was last written, where there is one.
    pub(super) fn last_write(&self, path: &Path) -> Option<Timestamp> {
        let time = self.dir.metadata(path).ok()?.modified().ok()?.into_std();
        Timestamp::try_from(time).ok()
    }

    /// The names in the folder of a resolved path, with what `entry` makes of them.
    pub(super) fn list<T>(
        &self,
        path: &Path,
        mut entry: impl FnMut(&str, &cap_std::fs::DirEntry) -> io::Result<Option<T>>,
    ) -> Result<Vec<T>, SourceError> {
        #[cfg(test)]
        super::tests::meanwhile();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fail = |source| self.failed("list", folder, source);
        let mut found = Vec::new();
        for item in self.dir.read_dir(folder).map_err(fail)? {
            let item = item.map_err(fail)?;
            if let Some(name) = item.file_name().to_str()
                && let Some(value) = entry(name, &item).map_err(fail)?
            {
                found.push(value);
            }
        }
        Ok(found)
    }

    pub(super) fn failed(&self, action: &'static str, path: &Path, source: io::Error) -> SourceError {
        if is_escape(&source) {
            return SourceError::OutsideLogRoot { path: self.path.join(path), root: self.path.clone() };
        }
        failed(action, self.path.join(path), source)
    }
}

/// Whether a path was not followed because it leads out of the root. cap-std reports that as a refusal of its own, which
/// no error number of the system stands behind.
fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// When an open file was made, since 1970. The standard library knows it with glibc only, and the operator's image has
/// another C library; a listed file's comes from statx, as this does.
fn born(file: &File) -> Option<Duration> {
    let status = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
    let is_known = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::BTIME);
    let (seconds, nanos) = (status.stx_btime.tv_sec, status.stx_btime.tv_nsec);
    is_known.then(|| Some(Duration::new(u64::try_from(seconds).ok()?, nanos)))?
}

/// Which file a listed one is.
pub(super) fn file_id(metadata: &Metadata) -> FileId {
    use cap_std::fs::MetadataExt as _;
    let born = metadata.created().ok().and_then(|time| time.into_std().duration_since(UNIX_EPOCH).ok());
    FileId::new(metadata.dev(), metadata.ino(), born)
}

fn failed(action: &'static str, path: PathBuf, source: io::Error) -> SourceError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::NotFound { path, source },
        io::ErrorKind::PermissionDenied => SourceError::PermissionDenied { path, source },
        _ => SourceError::Io { action, path, source },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn category<T>(result: Result<T, SourceError>) -> &'static str {
        result.err().map_or("ok", |error| error.category())
    }

    #[test]
    fn paths_resolve_beneath_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = LogRoot::open(folder.path()).unwrap();
        let absolute = folder.path().join("kubernetes/audit.log");
        assert_eq!(root.resolve(absolute.to_str().unwrap()).unwrap(), Path::new("kubernetes/audit.log"));
        assert_eq!(root.resolve("./kubernetes//audit.log").unwrap(), Path::new("kubernetes/audit.log"));
        for outside in ["/etc/shadow", "../etc/shadow", "a/../b", "/", "/var/logs/x"] {
            assert_eq!(category(root.resolve(outside)), "outside_log_root", "{outside}");
        }
        for folder in ["", ".", "kubernetes/"] {
            assert_eq!(category(root.resolve(folder)), "not_a_file", "{folder}");
        }
        assert_eq!(root.folder_of("a/b.log").unwrap(), folder.path().join("a"));
    }

    #[test]
    fn a_link_is_followed_within_the_root_and_never_out_of_it() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        let inner = outer.path().join("log");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("real.log"), "x").unwrap();
        symlink("real.log", inner.join("within.log")).unwrap();
        symlink("../secret", inner.join("relative.log")).unwrap();
        symlink(outer.path().join("secret"), inner.join("absolute.log")).unwrap();
        symlink(inner.join("real.log"), inner.join("absolute-within.log")).unwrap();
        symlink("..", inner.join("folder")).unwrap();

        let root = LogRoot::open(&inner).unwrap();
        assert_eq!(category(root.open_file(Path::new("within.log"))), "ok");
        for outside in ["relative.log", "absolute.log", "absolute-within.log", "folder/secret"] {
            assert_eq!(category(root.open_file(Path::new(outside))), "outside_log_root", "{outside}");
            assert_eq!(category(root.stat(Path::new(outside))), "outside_log_root", "{outside}");
        }
        assert_eq!(category(root.list(Path::new("folder/x"), |_, _| Ok(Some(())))), "outside_log_root");
    }

    #[test]
    fn a_file_is_the_same_however_it_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = Path::new("audit.log");
        fs::write(folder.path().join(path), "x").unwrap();
        let root = LogRoot::open(folder.path()).unwrap();
        let open = root.open_file(path).unwrap().id;
        let listed = root.list(path, |_, entry| Ok(Some(file_id(&entry.metadata()?)))).unwrap();
        assert_eq!((listed, root.stat(path).unwrap()), (vec![open], Some(open)));
        fs::remove_file(folder.path().join(path)).unwrap();
        fs::write(folder.path().join(path), "x").unwrap();
        assert!(open.born.is_none() || !root.open_file(path).unwrap().id.is(open));
    }

    #[test]
    fn what_is_no_file_says_so_without_blocking() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dir.log")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.log")).status().unwrap();
        assert!(made.success());
        let root = LogRoot::open(folder.path()).unwrap();
        assert_eq!(category(root.open_file(Path::new("dir.log"))), "not_a_file");
        assert_eq!(category(root.open_file(Path::new("pipe.log"))), "not_a_file");
        assert_eq!(category(root.open_file(Path::new("none.log"))), "not_found");
        assert_eq!(category(root.open_file(Path::new("none/none.log"))), "not_found");
        assert_eq!(category(LogRoot::open(folder.path().join("none"))), "not_found");
    }
}
