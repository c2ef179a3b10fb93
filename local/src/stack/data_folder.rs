//! The folder that holds a stack's data.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::children::{Leftovers, Record};
use crate::error::{Error, Result};

/// The data folder: a given one, locked while the stack runs, or a temporary one, removed when the stack ends.
#[derive(Debug)]
pub(super) struct DataFolder {
    pub(super) path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Temporary {
        _folder: TempDir,
    },
    Persistent {
        lock: File,
        record: Arc<Record>,
        /// The remains of the last stack on this folder, if it was killed.
        leftovers: Option<Leftovers>,
    },
}

impl DataFolder {
    /// Opens and locks the given folder; without one, makes a temporary folder.
    ///
    /// # Errors
    /// Fails if the folder can't be made, or another stack uses it.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let folder = temporary_folder("purrline-")?;
            return Ok(Self {
                path: folder.path().to_owned(),
                kind: Kind::Temporary { _folder: folder },
            });
        };
        let failed = || Error::io(format!("can't use {}", path.display()));
        std::fs::create_dir_all(path).map_err(failed())?;
        let path = path.canonicalize().map_err(failed())?;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(path.join("lock")).map_err(failed())?;
        if lock.try_lock().is_err() {
            let problem = format!(
                "another stack uses {}: stop it, or choose another folder with --data-dir",
                path.display()
            );
            return Err(Error::part("data folder", problem));
        }
        let file = lock.try_clone().map_err(failed())?;
        let (record, leftovers) = Record::begin(file).map_err(failed())?;
        Ok(Self {
            path,
            kind: Kind::Persistent {
                lock,
                record: Arc::new(record),
                leftovers,
            },
        })
    }

    /// Returns the folder, if its data is kept.
    pub(super) fn persistent(&self) -> Option<&Path> {
        matches!(self.kind, Kind::Persistent { .. }).then_some(self.path.as_path())
    }

    /// Returns the folder, if it is removed when the stack ends.
    pub(super) fn temporary(&self) -> Option<&Path> {
        matches!(self.kind, Kind::Temporary { .. }).then_some(self.path.as_path())
    }

    pub(super) fn record(&self) -> Option<Arc<Record>> {
        match &self.kind {
            Kind::Temporary { .. } => None,
            Kind::Persistent { record, .. } => Some(Arc::clone(record)),
        }
    }

    pub(super) fn leftovers(&self) -> Option<&Leftovers> {
        match &self.kind {
            Kind::Temporary { .. } => None,
            Kind::Persistent { leftovers, .. } => leftovers.as_ref(),
        }
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Kind::Persistent { lock, record, .. } = &self.kind {
            record.clear();
            // If this fails, the system unlocks the file once no process has it open.
            let _ = lock.unlock();
        }
    }
}

/// Makes a folder that is removed when its handle is dropped.
pub(super) fn temporary_folder(prefix: &str) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(Error::io("can't make a temporary folder"))
}
