//! Keeps what a webhook will never take, so that it can be looked at and sent by hand.

use std::path::PathBuf;

use tracing::error;

use crate::alert::append_bounded;

/// The size at which the file is full; what follows is only counted and logged.
const MAX_BYTES: u64 = 4 << 20;

/// A bounded file of refused messages, one a line, as they were sent.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    path: PathBuf,
}

impl Refused {
    /// The file at `path`, which is made when first needed.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends a message.
    pub(super) async fn keep(&self, id: &str, why: &str, message: Vec<u8>) {
        let path = self.path.clone();
        let kept = tokio::task::spawn_blocking(move || append_bounded(&path, message, MAX_BYTES)).await;
        let kept = kept.unwrap_or_else(|_| Err(std::io::Error::other("the write ended abnormally")));
        let path = self.path.display();
        match kept {
            Ok(kept) => error!(id, why, kept, file = %path, "the webhook refused a change for good"),
            Err(error) => {
                error!(id, why, %error, "the webhook refused a change for good, which could not be kept");
            }
        }
    }
}
