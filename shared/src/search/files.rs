//! The index's files on the function's own disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use tantivy::Directory;
use tantivy::directory::error::{
    DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError,
};
use tantivy::directory::{
    DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

use super::Error;
use super::bucket::{Bucket, Manifest};

/// The name of tantivy's description of the index.
pub(super) const META: &str = "meta.json";
/// The maximum number of objects that are fetched at the same time.
const AT_ONCE: usize = 8;

/// A folder of this process alone, empty at first and removed in the end. If a process was killed, the next one that
/// starts removes its folder, which has the same path.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(name: &str) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn names(&self) -> Result<BTreeSet<String>, Error> {
        let names = fs::read_dir(&self.0)?
            .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
            .collect::<std::io::Result<_>>()?;
        Ok(names)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        Ok(fs::read(self.0.join(name))?)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        Ok(fs::File::create(self.0.join(name))?.write_all(bytes)?)
    }

    /// Removes all files except these.
    pub(super) fn keep(&self, names: &BTreeSet<String>) -> Result<(), Error> {
        for name in self.names()?.difference(names) {
            match fs::remove_file(self.0.join(name)) {
                // Tantivy removes files too.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Packs files into one object: a line of JSON with their names and sizes, then the files.
    pub(super) fn pack(&self, names: &[String]) -> Result<Vec<u8>, Error> {
        let files = names
            .iter()
            .map(|name| Ok((name, self.read(name)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let sizes: Vec<(&String, usize)> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.len()))
            .collect();
        let mut object = serde_json::to_vec(&sizes).map_err(Error::broken)?;
        object.push(b'\n');
        for (_, bytes) in files {
            object.extend(bytes);
        }
        Ok(object)
    }

    /// Writes the files of an object, which must contain exactly these.
    pub(super) fn unpack(&self, object: &[u8], names: &[String]) -> Result<(), Error> {
        let mut parts = object.splitn(2, |byte| *byte == b'\n');
        let (head, mut rest) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let sizes: Vec<(String, usize)> = serde_json::from_slice(head).map_err(Error::broken)?;
        if !sizes.iter().map(|(name, _)| name).eq(names) {
            return Err(Error::broken("an object holds other files than it should"));
        }
        for (name, size) in sizes {
            let Some((bytes, others)) = rest.split_at_checked(size) else {
                return Err(Error::broken("an object was cut short"));
            };
            self.write(&name, bytes)?;
            rest = others;
        }
        Ok(())
    }

    /// Fetches a manifest's objects, except those that are already on disk.
    pub(super) async fn fetch(
        &self,
        bucket: &Bucket,
        manifest: &Manifest,
        is_local: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let missing = manifest
            .objects
            .iter()
            .filter(|(object, _)| !is_local(object));
        let fetches: Vec<_> = missing
            .map(|(object, names)| self.fetch_one(bucket, object, names))
            .collect();
        futures::stream::iter(fetches)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn fetch_one(
        &self,
        bucket: &Bucket,
        object: &str,
        names: &[String],
    ) -> Result<(), Error> {
        self.unpack(&bucket.data(object).await?, names)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that is not removed is gone with the disk.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A read-only generation of the index: files shared with other generations, and a description of its own.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    files: MmapDirectory,
    meta: Arc<[u8]>,
}

impl Snapshot {
    pub(super) fn new(folder: &Folder, meta: &str) -> Result<Self, OpenDirectoryError> {
        Ok(Self {
            files: MmapDirectory::open(folder.path())?,
            meta: meta.as_bytes().into(),
        })
    }
}

fn read_only() -> std::io::Error {
    std::io::Error::other("a snapshot is only read")
}

impl Directory for Snapshot {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.files.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError {
            io_error: Arc::new(read_only()),
            filepath: path.to_owned(),
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(path == Path::new(META) || self.files.exists(path)?)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::IoError {
            io_error: Arc::new(read_only()),
            filepath: path.to_owned(),
        })
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(META) {
            Ok(self.meta.to_vec())
        } else {
            self.files.atomic_read(path)
        }
    }

    fn atomic_write(&self, _: &Path, _: &[u8]) -> std::io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Does nothing, since nobody writes.
    fn acquire_lock(&self, _: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
