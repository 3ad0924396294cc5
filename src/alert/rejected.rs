//! Keeps what the API server will never take, so that it can be looked at.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tracing::error;

use super::parcel::Parcel;

/// The size at which the file is full; further parcels are only counted and logged.
const MAX_BYTES: u64 = 1 << 20;

/// A file of refused parcels, one JSON object a line, bounded.
#[derive(Clone, Debug)]
pub struct Rejected {
    path: PathBuf,
}

#[derive(Serialize)]
struct Entry<'a> {
    why: &'a str,
    parcel: &'a Parcel,
}

impl Rejected {
    /// The file at `path`, which is made when first needed.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends a parcel, with what the API server said.
    pub fn keep(&self, parcel: &Parcel, why: &str) {
        let rule = &parcel.opening.rule_name;
        match self.append(parcel, why) {
            Ok(kept) => error!(rule, why, kept, file = %self.path.display(), "an alert was refused for good"),
            Err(error) => error!(rule, why, %error, "an alert was refused for good and could not be kept"),
        }
    }

    fn append(&self, parcel: &Parcel, why: &str) -> std::io::Result<bool> {
        append_bounded(&self.path, serde_json::to_vec(&Entry { why, parcel })?, MAX_BYTES)
    }
}

/// Appends a line to a file that is made when first needed, unless it would pass so many bytes; says whether it did.
///
/// # Errors
/// When the file cannot be written.
pub fn append_bounded(path: &Path, mut line: Vec<u8>, most: u64) -> std::io::Result<bool> {
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    line.push(b'\n');
    if file.metadata()?.len() + line.len() as u64 > most {
        return Ok(false);
    }
    file.write_all(&line)?;
    Ok(true)
}
