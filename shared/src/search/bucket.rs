//! The index in its bucket: immutable objects, and manifests that say which of them make up the index.
//!
//! `v1/data/<random>` is an object for each segment of the index, with its files one after the other, and for each list
//! of deleted documents. `v1/manifests/<number>` lists the objects of a generation of the index. The numbers count
//! down, so that the newest manifest is first in the bucket's listing: one call finds it. Nothing is ever overwritten.
//! A manifest is put on condition that its number is not taken, so of two writers that start from the same generation
//! only one succeeds, and until the manifest is there, everything else that was put is invisible.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{Delete, Object, ObjectIdentifier};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::aws::{CountCalls, OnlyConnect};
use crate::domain::Timestamp;
use crate::env::{self, BadSetting};
use crate::invocation::Callee;
use crate::lifecycle;

/// The prefix of the objects' names. An index of another format lives beside this one.
pub(super) const FORMAT: &str = "v1";
/// The seconds for which objects are kept that the newest manifest does not name, for readers who page through an older
/// manifest; shorter where deleted content must be gone sooner.
pub(super) const KEPT_SECONDS: i64 = 15 * 60;
/// The maximum number of objects that one call removes.
const AT_ONCE: usize = 1000;
/// The timeouts: an object has some megabytes, and a function's deadline is ten seconds.
const ATTEMPT: Duration = Duration::from_secs(4);
const OPERATION: Duration = Duration::from_secs(8);

/// The parts of a generation of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The number of the generation.
    pub(super) generation: u64,
    /// A random name that tells the manifests of two writers apart.
    pub(super) writer: String,
    /// Tantivy's description of the index, its `meta.json`.
    pub(super) meta: String,
    /// The objects, each with the names of its files.
    pub(super) objects: BTreeMap<String, Vec<String>>,
    /// The objects that earlier generations had, and when they were dropped.
    pub(super) left: BTreeMap<String, Timestamp>,
    /// The segments that hold deleted documents, and since when.
    #[serde(default)]
    pub(super) deleted: BTreeMap<String, Timestamp>,
}

impl Manifest {
    /// Returns the next generation, in which these segments hold deleted documents. Forgets objects that were dropped
    /// more than `kept` seconds ago.
    pub(super) fn next(
        &self,
        meta: String,
        objects: BTreeMap<String, Vec<String>>,
        deleted: impl Iterator<Item = String>,
        kept: i64,
    ) -> Self {
        let now = Timestamp::now();
        let mut left = self.left.clone();
        left.retain(|_, at| !has_elapsed(*at, kept, now));
        let since = |segment: &String| self.deleted.get(segment).copied().unwrap_or(now);
        let deleted = deleted.map(|segment| {
            let since = since(&segment);
            (segment, since)
        });
        let deleted = deleted.collect();
        let gone = self
            .objects
            .keys()
            .filter(|name| !objects.contains_key(*name));
        left.extend(gone.map(|name| (name.clone(), now)));
        Self {
            generation: self.generation + 1,
            writer: random_name(),
            meta,
            objects,
            left,
            deleted,
        }
    }
}

fn has_elapsed(since: Timestamp, seconds: i64, now: Timestamp) -> bool {
    since.plus_seconds(seconds) < now
}

/// Returns a name that no other writer chooses.
pub(super) fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The outcome of putting a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Another writer's manifest has that number.
    Taken,
}

/// The bucket.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// Opens the bucket that `SEARCH_BUCKET` names, and begins to connect to it.
    pub(super) fn from_env(aws: &SdkConfig) -> Result<Self, BadSetting> {
        let bucket = Self::new(aws, env::required("SEARCH_BUCKET")?);
        let connect = bucket.client.head_bucket().bucket(&bucket.name).customize();
        lifecycle::begin(async move {
            let _ = connect.interceptor(OnlyConnect).send().await;
        });
        Ok(bucket)
    }

    pub(super) fn new(aws: &SdkConfig, name: String) -> Self {
        // A custom endpoint (a local stack) has no host name for each bucket.
        let moved =
            std::env::var_os("AWS_ENDPOINT_URL_S3").is_some() || aws.endpoint_url().is_some();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let config = Builder::from(aws)
            .force_path_style(moved)
            .interceptor(CountCalls(Callee::Bucket))
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            name,
        }
    }

    /// Returns the number of the newest manifest, if there is one.
    pub(super) async fn newest(&self) -> Result<Option<u64>, Error> {
        let prefix = manifest_prefix();
        let page = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(&prefix)
            .max_keys(1)
            .send()
            .await?;
        Ok(page.contents().first().and_then(generation_of))
    }

    /// Returns the manifest with this number, if it exists.
    pub(super) async fn manifest(&self, generation: u64) -> Result<Option<Manifest>, Error> {
        let bytes = self.get(&manifest_name(generation)).await?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes).map_err(Error::broken))
            .transpose()
    }

    /// Puts a manifest, unless there is one with its number.
    pub(super) async fn put_manifest(&self, manifest: &Manifest) -> Result<Put, Error> {
        let sent = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(manifest_name(manifest.generation))
            .if_none_match("*")
            .content_type("application/json")
            .body(serde_json::to_vec(manifest).map_err(Error::broken)?.into())
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Put::Done),
            // An earlier attempt may have put it, and only its answer was lost. 409 means that another put is under
            // way.
            Err(error) if is_taken(&error) => match self.manifest(manifest.generation).await? {
                Some(known) if known.writer == manifest.writer => Ok(Put::Done),
                _ => Ok(Put::Taken),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Returns a data object.
    pub(super) async fn data(&self, name: &str) -> Result<Vec<u8>, Error> {
        let bytes = self.get(&data_name(name)).await?;
        bytes.ok_or_else(|| Error::broken(format_args!("the object {name} is gone")))
    }

    /// Puts a data object.
    pub(super) async fn put_data(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(data_name(name))
            .body(ByteStream::from(bytes))
            .send()
            .await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let reading = async {
            let sent = self
                .client
                .get_object()
                .bucket(&self.name)
                .key(key)
                .send()
                .await;
            match sent {
                Ok(object) => {
                    let bytes = object.body.collect().await.map_err(Error::unavailable)?;
                    Ok(Some(bytes.to_vec()))
                }
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(GetObjectError::is_no_such_key) =>
                {
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        };
        let read = tokio::time::timeout(OPERATION, reading).await;
        read.map_err(Error::unavailable)?
    }

    /// Removes unneeded manifests and objects: those of writers that died before putting their manifest, and those that
    /// newer generations have not used for `kept` seconds. Returns their number.
    pub(super) async fn tidy(&self, newest: &Manifest, kept: i64) -> Result<usize, Error> {
        let now = Timestamp::now();
        let is_old = |object: &Object| {
            let changed = object.last_modified().map(DateTime::secs);
            let changed = changed.map(|at| Timestamp::from_millis(at.saturating_mul(1000)));
            changed.is_some_and(|at| has_elapsed(at, kept, now))
        };
        let (manifests, data) = (manifest_prefix(), data_name(""));
        let (manifests, data) = futures::try_join!(self.list(&manifests), self.list(&data))?;
        // A manifest counts as dropped once the next one was put.
        let followed = manifests.iter().zip(manifests.iter().skip(1));
        let over = followed
            .filter(|(newer, older)| {
                is_old(newer) && generation_of(older).is_some_and(|it| it < newest.generation)
            })
            .map(|(_, older)| older);
        let used: BTreeSet<String> = newest
            .objects
            .keys()
            .chain(
                newest
                    .left
                    .iter()
                    .filter(|(_, at)| !has_elapsed(**at, kept, now))
                    .map(|(name, _)| name),
            )
            .map(|name| data_name(name))
            .collect();
        let unused = data
            .iter()
            .filter(|object| is_old(object) && object.key().is_some_and(|key| !used.contains(key)));
        let keys: Vec<&str> = over.chain(unused).filter_map(Object::key).collect();
        for some in keys.chunks(AT_ONCE) {
            self.remove(some).await?;
        }
        Ok(keys.len())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, Error> {
        let mut objects = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(prefix)
                .set_start_after(after)
                .send()
                .await?;
            let more = page.is_truncated() == Some(true);
            objects.extend(page.contents.unwrap_or_default());
            after = objects.last().and_then(|last| last.key.clone());
            if !more {
                return Ok(objects);
            }
        }
    }

    async fn remove(&self, keys: &[&str]) -> Result<(), Error> {
        let objects = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(*key).build())
            .collect::<Result<_, _>>()
            .map_err(Error::broken)?;
        let delete = Delete::builder()
            .set_objects(Some(objects))
            .quiet(true)
            .build()
            .map_err(Error::broken)?;
        self.client
            .delete_objects()
            .bucket(&self.name)
            .delete(delete)
            .send()
            .await?;
        Ok(())
    }
}

fn is_taken<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code);
    matches!(
        code,
        Some("PreconditionFailed" | "ConditionalRequestConflict")
    )
}

fn manifest_prefix() -> String {
    format!("{FORMAT}/manifests/")
}

fn manifest_name(generation: u64) -> String {
    format!("{}{:020}", manifest_prefix(), u64::MAX - generation)
}

fn generation_of(object: &Object) -> Option<u64> {
    let number = object.key()?.strip_prefix(&manifest_prefix())?;
    Some(u64::MAX - number.parse::<u64>().ok()?)
}

fn data_name(name: &str) -> String {
    format!("{FORMAT}/data/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_manifest_comes_first() {
        let names: Vec<String> = [u64::MAX, 100, 99, 10, 1, 0]
            .into_iter()
            .map(manifest_name)
            .collect();
        assert!(names.is_sorted());
        let object = Object::builder().key(manifest_name(42)).build();
        assert_eq!(generation_of(&object), Some(42));
    }
}
