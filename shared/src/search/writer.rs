//! Writes the index.
//!
//! A batch of changes becomes the next generation: documents are deleted by their keys and added anew, then the new
//! segment and the lists of deleted documents are put into the bucket, then the manifest. If anything fails before
//! that, or another writer's manifest comes first, the old generation stays whole, what was written on disk is
//! discarded, and the same batch is applied again from the start.
//!
//! Segments of about the same size are merged once there are eight, up to a size that a function can merge and send
//! within seconds. So a small batch costs little, and a search reads few segments.
//!
//! A deleted document is no longer found, but its words stay in its segment, and the segment in the bucket. So that
//! nothing of an erased user remains, a segment is rewritten an hour after the first deletion from it: one segment with
//! each batch, the most overdue first. Segments that no manifest needs are removed from the bucket 15 minutes later. If
//! nothing else changes, `sweep` sends empty batches.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use tantivy::directory::MmapDirectory;
use tantivy::index::{SegmentComponent, SegmentId, SegmentMeta};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::{Index, IndexSettings, IndexWriter, Term};

use super::Error;
use super::bucket::{Bucket, KEPT_SECONDS, Manifest, Put, random_name};
use super::document::{Document, Fields, key, schema};
use super::files::{Folder, META};
use crate::domain::{Subject, Timestamp};
use crate::env;

/// The writer's memory budget in bytes: the least that tantivy accepts.
const MEMORY: usize = 15_000_000;
/// The number of segments of one size class at which they are merged.
const MERGED: usize = 8;
/// Segments with fewer documents than this are all of one size class.
const SMALLEST: u32 = 64;
/// The maximum number of documents of a merged segment.
const LARGEST: u32 = 50_000;
/// A segment is rewritten once more than one document in this many is deleted.
const DELETED: u32 = 3;
/// A segment is rewritten after the first deletion from it, once this many times the wait of an erasure has passed.
const REWRITE_ERASURES: i64 = 2;
/// The seconds that an erasure waits, by default.
const ERASURE_SECONDS: i64 = 30 * 60;

/// The state of a searchable subject: its document, or `None` if it is gone.
pub type Change = (Subject, Option<Document>);

/// Writes the index.
#[derive(Debug)]
pub struct Indexer {
    bucket: Bucket,
    folder: Folder,
    /// The objects whose files are on disk.
    local: BTreeMap<String, Vec<String>>,
    /// The state after the last batch; `None` at the start and after a failure.
    writing: Option<Writing>,
    /// The seconds after the first deletion from a segment until it is rewritten.
    rewrite_after: i64,
    /// The seconds for which the bucket keeps what the newest manifest no longer names.
    kept: i64,
    /// When this writer last tidied the bucket.
    tidied: Option<Timestamp>,
}

struct Writing {
    manifest: Manifest,
    index: Index,
    writer: IndexWriter,
    fields: Fields,
}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing").finish_non_exhaustive()
    }
}

impl Indexer {
    /// Opens the bucket that `SEARCH_BUCKET` names. Deleted documents are gone from the bucket after about 75 minutes,
    /// or sooner if `ERASURE_SECONDS` is shorter than on AWS.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, Error> {
        let erasure = env::seconds("ERASURE_SECONDS", ERASURE_SECONDS)?;
        let erasure = erasure.min(ERASURE_SECONDS);
        Ok(Self {
            rewrite_after: erasure.saturating_mul(REWRITE_ERASURES),
            kept: KEPT_SECONDS.min(erasure),
            ..Self::new(Bucket::from_env(aws)?, "purrline-index")?
        })
    }

    /// Opens the bucket with this name, and a folder with this name in the directory for temporary files.
    pub fn open(aws: &SdkConfig, bucket: String, folder: &str) -> Result<Self, Error> {
        Self::new(Bucket::new(aws, bucket), folder)
    }

    fn new(bucket: Bucket, folder: &str) -> Result<Self, Error> {
        Ok(Self {
            bucket,
            folder: Folder::open(folder)?,
            local: BTreeMap::new(),
            writing: None,
            rewrite_after: ERASURE_SECONDS * REWRITE_ERASURES,
            kept: KEPT_SECONDS,
            tidied: None,
        })
    }

    /// Loads the newest generation, unless this writer already has one. Call this before reading what changed.
    pub async fn begin(&mut self) -> Result<(), Error> {
        if self.writing.is_none() {
            self.writing = Some(self.start().await?);
        }
        Ok(())
    }

    /// Applies these changes. [`Error::Overtaken`] means that another writer came first: read again what changed, since
    /// it may have changed once more, and retry.
    pub async fn apply(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        // If anything fails from here on, or the call is cancelled, there is no state to continue from.
        let mut writing = match self.writing.take() {
            Some(writing) => writing,
            None => self.start().await?,
        };
        writing.write(changes)?;
        self.publish(&mut writing).await?;
        self.maintain(&mut writing).await?;
        self.writing = Some(writing);
        Ok(())
    }

    /// Starts from the newest generation, or from nothing.
    async fn start(&mut self) -> Result<Writing, Error> {
        let manifest = match self.bucket.newest().await? {
            None => Manifest::default(),
            Some(newest) => {
                let manifest = self.bucket.manifest(newest).await?;
                manifest.ok_or_else(|| Error::broken("the newest manifest is gone"))?
            }
        };
        // Files that the index deleted on the way to an unpublished generation are gone.
        let names = self.folder.names()?;
        self.local.retain(|object, files| {
            manifest.objects.contains_key(object) && files.iter().all(|file| names.contains(file))
        });
        // Before the fetch, so that no file of an earlier attempt is taken for a fetched one.
        let stays = self.local.values().flatten().cloned().collect();
        self.folder.keep(&stays)?;
        let local = |object: &str| self.local.contains_key(object);
        self.folder.fetch(&self.bucket, &manifest, local).await?;
        self.local = manifest.objects.clone();
        let directory = MmapDirectory::open(self.folder.path()).map_err(Error::broken)?;
        let (schema, fields) = schema();
        let index = if manifest.meta.is_empty() {
            let settings = IndexSettings {
                docstore_compress_dedicated_thread: false,
                ..IndexSettings::default()
            };
            Index::create(directory, schema, settings)?
        } else {
            self.folder.write(META, manifest.meta.as_bytes())?;
            Index::open(directory)?
        };
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(MEMORY)
            .build();
        let writer: IndexWriter = index.writer_with_options(options)?;
        // Merging is a separate step here: a function is suspended between two batches.
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(Writing {
            manifest,
            index,
            writer,
            fields,
        })
    }

    /// Puts new segments into the bucket, then the manifest. Does nothing if there are no changes.
    async fn publish(&mut self, writing: &mut Writing) -> Result<(), Error> {
        let names = self.folder.names()?;
        let known: BTreeMap<&Vec<String>, &String> = writing
            .manifest
            .objects
            .iter()
            .map(|(object, files)| (files, object))
            .collect();
        let mut objects = BTreeMap::new();
        let mut fresh = Vec::new();
        let segments = writing.index.load_metas()?.segments;
        for segment in &segments {
            for files in files_of(segment, &names) {
                if let Some(object) = known.get(&files) {
                    objects.insert((*object).clone(), files);
                } else {
                    let object = random_name();
                    fresh.push((object.clone(), self.folder.pack(&files)?));
                    objects.insert(object, files);
                }
            }
        }
        if objects == writing.manifest.objects {
            return Ok(());
        }
        let bucket = &self.bucket;
        let sent = fresh
            .into_iter()
            .map(|(object, bytes)| async move { bucket.put_data(&object, bytes).await });
        futures::future::try_join_all(sent).await?;
        let meta = String::from_utf8(self.folder.read(META)?).map_err(Error::broken)?;
        let deleted = segments.iter().filter(|segment| segment.has_deletes());
        let deleted = deleted.map(|segment| segment.id().uuid_string());
        let manifest = writing.manifest.next(meta, objects, deleted, self.kept);
        match self.bucket.put_manifest(&manifest).await? {
            Put::Taken => return Err(Error::Overtaken),
            Put::Done => {}
        }
        self.local = manifest.objects.clone();
        let live: BTreeSet<&String> = manifest.objects.values().flatten().collect();
        // Files of tantivy itself, such as its lock, begin with a dot.
        let stays = |name: &&String| name.starts_with('.') || *name == META || live.contains(name);
        self.folder
            .keep(&self.folder.names()?.iter().filter(stays).cloned().collect())?;
        writing.manifest = manifest;
        Ok(())
    }

    /// Merges segments and tidies the bucket, if that is due. The changes are already published.
    async fn maintain(&mut self, writing: &mut Writing) -> Result<(), Error> {
        let segments = writing.index.load_metas()?.segments;
        let mut due = due_segments(&segments);
        if due.is_empty() {
            let before = Timestamp::now().plus_seconds(-self.rewrite_after);
            due.extend(segment_to_rewrite(
                &segments,
                &writing.manifest.deleted,
                before,
            ));
        }
        if !due.is_empty() {
            writing.writer.merge(&due).wait()?;
            match self.publish(writing).await {
                // The other writer will merge them.
                Err(Error::Overtaken) => {
                    *writing = self.start().await?;
                }
                published => drop(published?),
            }
        }
        let now = Timestamp::now();
        let is_due = |tidied: Timestamp| tidied.plus_seconds(self.kept) < now;
        if self.tidied.is_none_or(is_due) {
            let removed = self.bucket.tidy(&writing.manifest, self.kept).await?;
            self.tidied = Some(now);
            tracing::info!(removed, "tidied");
        }
        Ok(())
    }
}

impl Writing {
    fn write(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        for (subject, document) in changes {
            let key = Term::from_field_text(self.fields.key, &key(&subject));
            self.writer.delete_term(key);
            if let Some(document) = document {
                self.writer
                    .add_document(document.into_tantivy(&self.fields))?;
            }
        }
        self.writer.commit()?;
        Ok(())
    }
}

/// Returns the files of a segment, grouped as they go into objects: the list of deleted documents changes, the other
/// files never do.
fn files_of(segment: &SegmentMeta, names: &BTreeSet<String>) -> Vec<Vec<String>> {
    let id = segment.id().uuid_string();
    let never = |name: &&String| {
        name.starts_with(&id)
            && !std::path::Path::new(name.as_str())
                .extension()
                .is_some_and(|it| it == "del" || it == "temp")
    };
    let mut files = vec![names.iter().filter(never).cloned().collect()];
    if segment.has_deletes() {
        let path = segment.relative_path(SegmentComponent::Delete);
        files.push(vec![path.to_string_lossy().into_owned()]);
    }
    files
}

/// Returns the segments to merge or rewrite now, if any.
fn due_segments(segments: &[SegmentMeta]) -> Vec<SegmentId> {
    let sizes: Vec<(u32, SegmentId)> = segments
        .iter()
        .map(|segment| (segment.num_docs(), segment.id()))
        .collect();
    let merged = segments_to_merge(&sizes);
    if !merged.is_empty() {
        return merged;
    }
    let thinned = segments.iter().find(|segment| {
        segment.num_deleted_docs() > segment.max_doc() / DELETED && segment.max_doc() > SMALLEST
    });
    thinned.map(SegmentMeta::id).into_iter().collect()
}

/// Returns the segment with the oldest deletion, if that was before `before`. A segment without a known time of
/// deletion counts as the oldest.
fn segment_to_rewrite(
    segments: &[SegmentMeta],
    since: &BTreeMap<String, Timestamp>,
    before: Timestamp,
) -> Option<SegmentId> {
    let deleted = segments.iter().filter(|segment| segment.has_deletes());
    let dated = deleted.map(|segment| (since.get(&segment.id().uuid_string()), segment.id()));
    let due = dated.filter(|(since, _)| since.is_none_or(|since| *since < before));
    due.min_by_key(|(since, _)| *since)
        .map(|(_, segment)| segment)
}

/// Returns the segments to merge: of the smallest size class with at least eight, its smallest segments, as many as fit
/// into one.
fn segments_to_merge<T: Copy>(segments: &[(u32, T)]) -> Vec<T> {
    let mut sizes: BTreeMap<u32, Vec<(u32, T)>> = BTreeMap::new();
    for segment in segments {
        let size = (segment.0.max(1) / SMALLEST)
            .checked_ilog(8)
            .map_or(0, |it| it + 1);
        sizes.entry(size).or_default().push(*segment);
    }
    for mut alike in sizes.into_values() {
        if alike.len() < MERGED {
            continue;
        }
        alike.sort_by_key(|(documents, _)| *documents);
        let mut sum = 0_u32;
        let fit: Vec<T> = alike
            .into_iter()
            .take_while(|(documents, _)| {
                sum = sum.saturating_add(*documents);
                sum <= LARGEST
            })
            .map(|(_, segment)| segment)
            .collect();
        if fit.len() > 1 {
            return fit;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds batches of that many documents, one after the other. Returns the maximum number of segments, how often each
    /// document was written, and the maximum number of documents merged at once.
    fn grow(batch: u32, batches: u32) -> (usize, f64, u32) {
        let (mut segments, mut most, mut written, mut largest) = (Vec::new(), 0, 0_u64, 0);
        for n in 0..batches {
            segments.push((batch, n));
            written += u64::from(batch);
            let merged = segments_to_merge(&segments);
            let sum: u32 = segments
                .iter()
                .filter(|(_, n)| merged.contains(n))
                .map(|(size, _)| size)
                .sum();
            if sum > 0 {
                segments.retain(|(_, n)| !merged.contains(n));
                segments.push((sum, n + batches));
                written += u64::from(sum);
                largest = largest.max(sum);
            }
            most = most.max(segments.len());
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "a ratio"
        )]
        let ratio = written as f64 / f64::from(batch * batches);
        (most, ratio, largest)
    }

    #[test]
    fn merging_bounds_segment_count_and_write_amplification() {
        for (batch, batches) in [(1, 200_000), (3, 70_000), (50, 20_000), (1000, 1000)] {
            let (most, ratio, largest) = grow(batch, batches);
            let full = usize::try_from(batch * batches / (LARGEST / 2)).unwrap();
            assert!(most < 45 + full, "{batch}: {most} segments");
            // There are six size classes, and the smallest takes some more merges.
            assert!(ratio < 10.0, "{batch}: each is written {ratio} times");
            assert!(largest <= LARGEST);
        }
    }
}
