//! Reads the index.
//!
//! A function keeps the newest generation on its disk. It checks the bucket for a newer one at most every two seconds,
//! and meanwhile answers from its copy; a search waits for the check only after a pause of more than [`STALE`]. While
//! the bucket is unavailable, searches read the old generation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use tantivy::{Index, ReloadPolicy, Searcher};
use tracing::Instrument as _;

use super::Error;
use super::bucket::{Bucket, Manifest};
use super::document::{Fields, schema};
use super::files::{Folder, Snapshot};
use crate::invocation::inherit_trace;

/// The time for which a function treats its copy as the newest.
const FRESH: Duration = Duration::from_secs(2);
/// The age up to which the copy answers while a check is under way. Together with the time for which changes are
/// batched, it is far below a minute.
const STALE: Duration = Duration::from_secs(20);
/// The maximum time that a search waits for a newer generation.
const WAIT: Duration = Duration::from_secs(3);
/// The maximum number of generations kept open, for callers who page through older ones.
const OPEN: usize = 4;

/// One generation of the index.
pub struct Generation {
    pub(super) number: u64,
    pub(super) searcher: Searcher,
    pub(super) fields: Fields,
    objects: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({})", self.number)
    }
}

/// A reader of the index. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Search(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bucket: Bucket,
    state: Mutex<State>,
    /// The folder, locked while a generation is being fetched.
    folder: tokio::sync::Mutex<Folder>,
}

#[derive(Debug, Default)]
struct State {
    /// The time of the last successful check of the bucket; `None` before the first.
    checked_at: Option<Instant>,
    /// Whether a check is under way in the background.
    checking: bool,
    /// The newest generation known, if any.
    newest: Option<Arc<Generation>>,
    /// Older generations, the most recently used last.
    older: Vec<Arc<Generation>>,
}

impl Search {
    /// Opens the index in the bucket that `SEARCH_BUCKET` names.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, Error> {
        Self::new(Bucket::from_env(aws)?, "purrline-search")
    }

    /// Opens the index in the bucket with this name, and a folder with this name in the directory for temporary files.
    pub fn open(aws: &SdkConfig, bucket: String, folder: &str) -> Result<Self, Error> {
        Self::new(Bucket::new(aws, bucket), folder)
    }

    fn new(bucket: Bucket, folder: &str) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            bucket,
            state: Mutex::default(),
            folder: tokio::sync::Mutex::new(Folder::open(folder)?),
        })))
    }

    /// Returns the newest known generation; `None` if nothing was ever indexed.
    pub async fn newest(&self) -> Result<Option<Arc<Generation>>, Error> {
        let age = {
            let state = self.0.state();
            let age = state.checked_at.map(|at| at.elapsed());
            if age.is_some_and(|age| age < FRESH) {
                return Ok(state.newest.clone());
            }
            age
        };
        if age.is_some_and(|age| age < STALE) {
            self.0.refresh_in_background();
            return Ok(self.0.state().newest.clone());
        }
        let inner = Arc::clone(&self.0);
        // A separate task, so that its result counts even if this search stops waiting.
        let checking =
            tokio::spawn(inherit_trace(async move { inner.check().await }).in_current_span());
        let checked = match tokio::time::timeout(WAIT, checking).await {
            Ok(done) => done.map_err(Error::unavailable).and_then(|checked| checked),
            Err(elapsed) => Err(Error::unavailable(elapsed)),
        };
        let newest = self.0.state().newest.clone();
        match checked {
            Err(error) if newest.is_none() => Err(error),
            Err(error) => {
                let error = crate::log::chain(&error);
                tracing::warn!(error, "an older index is read");
                Ok(newest)
            }
            Ok(()) => Ok(newest),
        }
    }

    /// Returns the generation with this number, for paging; `None` if it is gone. A generation is kept for 15 minutes
    /// after the next one appears.
    pub async fn generation(&self, number: u64) -> Result<Option<Arc<Generation>>, Error> {
        if let Some(known) = self.0.known(number) {
            return Ok(Some(known));
        }
        // Another process may have returned a generation that is newer than any known here.
        self.newest().await?;
        match self.0.known(number) {
            Some(known) => Ok(Some(known)),
            None => self.0.older(number).await,
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks in the background, unless a check is already under way there.
    fn refresh_in_background(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().checking, true) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = inner.check().await {
                let error = crate::log::chain(&error);
                tracing::warn!(error, "an older index is read");
            }
            inner.state().checking = false;
        });
    }

    /// Asks the bucket for the newest generation, and opens it.
    async fn check(&self) -> Result<(), Error> {
        let folder = self.folder.lock().await;
        let checked_at = Instant::now();
        let newest = self.bucket.newest().await?;
        let known = self.state().newest.as_ref().map(|it| it.number);
        if let Some(number) = newest.filter(|_| newest != known) {
            let manifest = self.bucket.manifest(number).await?;
            let manifest = manifest.ok_or_else(|| Error::broken("the newest manifest is gone"))?;
            let generation = self.load(&folder, manifest).await?;
            let mut state = self.state();
            let before = state.newest.replace(generation);
            state.older.extend(before);
        }
        self.state().checked_at = Some(checked_at);
        self.tidy(&folder)
    }

    fn known(&self, number: u64) -> Option<Arc<Generation>> {
        let mut state = self.state();
        if let Some(newest) = state.newest.as_ref().filter(|it| it.number == number) {
            return Some(Arc::clone(newest));
        }
        let at = state.older.iter().position(|it| it.number == number)?;
        let known = state.older.remove(at);
        state.older.push(Arc::clone(&known));
        Some(known)
    }

    async fn older(&self, number: u64) -> Result<Option<Arc<Generation>>, Error> {
        let folder = self.folder.lock().await;
        let Some(manifest) = self.bucket.manifest(number).await? else {
            return Ok(None);
        };
        let generation = self.load(&folder, manifest).await?;
        self.state().older.push(Arc::clone(&generation));
        self.tidy(&folder)?;
        Ok(Some(generation))
    }

    async fn load(&self, folder: &Folder, manifest: Manifest) -> Result<Arc<Generation>, Error> {
        let local = self.objects();
        folder
            .fetch(&self.bucket, &manifest, |object| local.contains_key(object))
            .await?;
        let snapshot = Snapshot::new(folder, &manifest.meta).map_err(Error::broken)?;
        let reader = Index::open(snapshot)?
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let (_, fields) = schema();
        Ok(Arc::new(Generation {
            number: manifest.generation,
            searcher: reader.searcher(),
            fields,
            objects: manifest.objects,
        }))
    }

    /// Returns the objects of the open generations.
    fn objects(&self) -> BTreeMap<String, Vec<String>> {
        let state = self.state();
        let open = state.newest.iter().chain(&state.older);
        open.flat_map(|generation| generation.objects.clone())
            .collect()
    }

    /// Closes the generations that have not been used for the longest, and removes files that no open one needs.
    fn tidy(&self, folder: &Folder) -> Result<(), Error> {
        {
            let mut state = self.state();
            let over = state.older.len().saturating_sub(OPEN - 1);
            state.older.drain(..over);
        }
        let used: BTreeSet<String> = self.objects().into_values().flatten().collect();
        folder.keep(&used)
    }
}
