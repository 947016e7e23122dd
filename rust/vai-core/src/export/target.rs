//! Where an export may go, and how it gets there: under a temporary name until it is whole.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::db::{self, Files};
use crate::error::{Error, Result};
use crate::store::Store;

impl Store {
    /// Refuses a target that must not be replaced: what exists already unless `overwrite`, and
    /// cluster files in any case.
    pub fn check_export_target(&self, target: &Path, overwrite: bool) -> Result<()> {
        let files = Files::of(target)?;
        let own = self.inner.files.main.as_os_str().as_encoded_bytes();
        let beside = files.main.as_os_str().as_encoded_bytes().strip_prefix(own);
        // The file itself, its log and shared memory, and what vai puts beside it.
        let ours = beside.is_some_and(|rest| rest.is_empty() || matches!(rest[0], b'-' | b'.'))
            && files.main.exists();
        if ours || db::is_cluster_file(&files)? {
            return Err(Error::Invalid(format!(
                "{}: part of a cluster file, which an export may not replace; choose another name",
                files.main.display()
            )));
        }
        if files.main.exists() && !overwrite {
            return Err(Error::Invalid(format!(
                "{}: exists already; choose a new name, or say that it may be replaced (overwrite=True, --force)",
                files.main.display()
            )));
        }
        Ok(())
    }
}

/// A name beside the target that no other process uses.
pub(super) fn beside(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(format!(".{}.part", std::process::id()));
    PathBuf::from(name)
}

/// Gives a whole file its name, durably.
pub(super) fn publish(made: &Path, target: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::io(target, &error);
    File::open(made).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(made, target).map_err(failed)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
