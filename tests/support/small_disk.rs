//! A disk of its own for a folder, small enough to be filled.
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// A disk in memory. It is taken away when this is dropped, whoever still uses it.
pub(crate) struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it at a folder, which is made.
    pub(crate) fn mount(folder: &Path, kibibytes: u32) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let options = format!("size={kibibytes}k,mode=0700");
        let mount = ["-t", "tmpfs", "-o", &options, "tripline-test"];
        let status = Command::new("mount").args(mount).arg(folder).status().context("failed to run mount")?;
        ensure!(status.success(), "{} could not be mounted", folder.display());
        Ok(Self { folder: folder.to_owned() })
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        loop {
            match file.write(&[b'x'; 4096]) {
                Ok(0) => bail!("nothing is written, and no error"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives back what [`fill`](Self::fill) took.
    pub(crate) fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that still has a file open there does not keep it.
        let status = Command::new("umount").arg("--lazy").arg(&self.folder).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.folder.display());
        }
    }
}
