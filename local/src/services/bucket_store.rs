//! The store behind s3s: s3s-fs with tags, checks of keys, and clean-up after refused uploads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, DeleteObjectInput, DeleteObjectOutput,
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, DeleteObjectsInput, DeleteObjectsOutput,
    ETag, GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput, PutObjectTaggingInput,
    PutObjectTaggingOutput, Tag,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::bucket_notifications::{Created, Notifier};
use super::bucket_tags::{TagFiles, Tags, parse_header};
use crate::error::{Error, Result};
use crate::template::{Bucket, Expiry};

/// The maximum length of a key in bytes. s3s-fs encodes keys in base64 as file names, which have at most 255 bytes.
const MAX_KEY: usize = 150;

/// The objects and their tags.
#[derive(Debug)]
pub(super) struct Store {
    objects: FileSystem,
    root: PathBuf,
    replaced: PathBuf,
    tags: TagFiles,
    notifier: Notifier,
    /// A lock for each key being written, so that `If-None-Match: *` holds.
    write_locks: std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>,
}

/// The store as the implementation of S3 that s3s serves.
pub(super) struct SharedStore(pub(super) Arc<Store>);

fn internal(error: impl std::fmt::Display) -> s3s::S3Error {
    s3_error!(InternalError, "{error}")
}

/// Checks that a key is safe to use as a path: that it stays in the bucket's folder and isn't too long.
fn check_key(key: &str) -> S3Result<()> {
    if key.len() > MAX_KEY {
        return Err(s3_error!(KeyTooLongError));
    }
    if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(s3_error!(
            InvalidArgument,
            "the local bucket takes no keys with empty, . or .. parts"
        ));
    }
    Ok(())
}

impl Store {
    pub(super) async fn open(
        folder: &Path,
        buckets: &[Bucket],
        notifier: Notifier,
    ) -> Result<Self> {
        let (root, replaced) = (folder.join("objects"), folder.join("replaced"));
        let create = |path: &Path| {
            std::fs::create_dir_all(path).map_err(Error::io("can't make the bucket's folder"))
        };
        create(&replaced)?;
        for bucket in buckets {
            let path = root.join(&bucket.name);
            let is_new = !path.exists();
            create(&path)?;
            if is_new {
                notifier.test(&bucket.name).await;
            }
        }
        Ok(Self {
            objects: FileSystem::new(&root)
                .map_err(|error| Error::part("bucket", format!("{error:?}")))?,
            tags: TagFiles::new(folder.join("tags"))
                .map_err(Error::io("can't make the folder of tags"))?,
            root,
            replaced,
            notifier,
            write_locks: std::sync::Mutex::default(),
        })
    }

    fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(key)
    }

    async fn lock_for_writing(&self, bucket: &str, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self
                .write_locks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            let slot = locks.entry(format!("{bucket}/{key}")).or_default();
            slot.upgrade().unwrap_or_else(|| {
                let lock = Arc::new(Mutex::new(()));
                *slot = Arc::downgrade(&lock);
                lock
            })
        };
        lock.lock_owned().await
    }

    fn check_exists(&self, bucket: &str, key: &str) -> S3Result<()> {
        check_key(key)?;
        if self.path(bucket, key).is_file() {
            Ok(())
        } else {
            Err(s3_error!(NoSuchKey))
        }
    }

    /// Returns the keys that a lifecycle rule expires, as if the time were later by `ahead`.
    pub(super) async fn expired(
        &self,
        bucket: &str,
        rule: &Expiry,
        ahead: Duration,
    ) -> S3Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut after = None;
        loop {
            let input = ListObjectsV2Input {
                bucket: bucket.to_owned(),
                prefix: Some(rule.prefix.clone()),
                start_after: after,
                ..ListObjectsV2Input::default()
            };
            let page = self.objects.list_objects_v2(request(input)).await?.output;
            let objects = page.contents.unwrap_or_default();
            after = objects.last().and_then(|object| object.key.clone());
            for key in objects.into_iter().filter_map(|object| object.key) {
                if self
                    .is_expired(bucket, &key, rule, ahead)
                    .await
                    .map_err(internal)?
                {
                    keys.push(key);
                }
            }
            if page.is_truncated != Some(true) || after.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn is_expired(
        &self,
        bucket: &str,
        key: &str,
        rule: &Expiry,
        ahead: Duration,
    ) -> std::io::Result<bool> {
        let Ok(metadata) = tokio::fs::metadata(self.path(bucket, key)).await else {
            return Ok(false);
        };
        let age = SystemTime::now()
            .duration_since(metadata.modified()?)
            .unwrap_or_default()
            .saturating_add(ahead);
        if age < rule.after {
            return Ok(false);
        }
        let tags = self.tags.get(bucket, key).await?;
        Ok(rule
            .tags
            .iter()
            .all(|(name, value)| tags.get(name) == Some(value)))
    }

    pub(super) async fn remove(&self, bucket: &str, key: &str) -> S3Result<()> {
        let input = DeleteObjectInput {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            ..DeleteObjectInput::default()
        };
        self.delete(request(input)).await.map(drop)
    }

    async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        check_key(&request.input.key)?;
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let _writing = self.lock_for_writing(&bucket, &key).await;
        let response = self.objects.delete_object(request).await?;
        self.tags
            .set(&bucket, &key, Tags::new())
            .await
            .map_err(internal)?;
        Ok(response)
    }

    async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        check_key(&request.input.key)?;
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let tags = match &request.input.tagging {
            Some(header) => parse_header(header).ok_or_else(|| s3_error!(InvalidTag))?,
            None => Tags::new(),
        };
        let _writing = self.lock_for_writing(&bucket, &key).await;
        // s3s-fs verifies the checksum only after it has replaced the object, so the old object is kept until then.
        let (path, kept) = (
            self.path(&bucket, &key),
            self.replaced.join(crate::ids::uuid()),
        );
        let existed = tokio::fs::hard_link(&path, &kept).await.is_ok();
        let response = self.objects.put_object(request).await;
        let tidied = match (&response, existed) {
            (Ok(_), true) => tokio::fs::remove_file(&kept).await,
            (Ok(_), false) => Ok(()),
            (Err(_), true) => tokio::fs::rename(&kept, &path).await,
            (Err(_), false) => match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        tidied.map_err(internal)?;
        let response = response?;
        self.tags.set(&bucket, &key, tags).await.map_err(internal)?;
        let e_tag = response.output.e_tag.as_ref();
        self.notify("ObjectCreated:Put", &bucket, &key, e_tag).await;
        Ok(response)
    }

    /// Notifies of an object. The caller holds its lock, so that notifications are in the order of the changes.
    async fn notify(&self, event: &str, bucket: &str, key: &str, e_tag: Option<&ETag>) {
        let size = tokio::fs::metadata(self.path(bucket, key)).await;
        let created = Created {
            event,
            bucket,
            key,
            size: size.map_or(0, |metadata| metadata.len()),
            e_tag: e_tag.map(ETag::value).unwrap_or_default(),
        };
        self.notifier.notify(&created).await;
    }
}

fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::GET,
        uri: http::Uri::default(),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

#[async_trait::async_trait]
impl S3 for SharedStore {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.0.put(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.0
            .check_exists(&request.input.bucket, &request.input.key)?;
        self.0.objects.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.0
            .check_exists(&request.input.bucket, &request.input.key)?;
        self.0.objects.head_object(request).await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        check_key(&request.input.key)?;
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let _writing = self.0.lock_for_writing(&bucket, &key).await;
        let response = self.0.objects.copy_object(request).await?;
        let result = response.output.copy_object_result.as_ref();
        let e_tag = result.and_then(|result| result.e_tag.as_ref());
        self.0
            .notify("ObjectCreated:Copy", &bucket, &key, e_tag)
            .await;
        Ok(response)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.delete(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        for object in &request.input.delete.objects {
            check_key(&object.key)?;
            self.0
                .tags
                .set(&request.input.bucket, &object.key, Tags::new())
                .await
                .map_err(internal)?;
        }
        self.0.objects.delete_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.0.objects.list_objects_v2(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.objects.head_bucket(request).await
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let GetObjectTaggingInput { bucket, key, .. } = &request.input;
        self.0.check_exists(bucket, key)?;
        let tags = self.0.tags.get(bucket, key).await.map_err(internal)?;
        let tag_set = tags
            .into_iter()
            .map(|(key, value)| Tag {
                key: Some(key),
                value: Some(value),
            })
            .collect();
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set,
            ..GetObjectTaggingOutput::default()
        }))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let PutObjectTaggingInput {
            bucket,
            key,
            tagging,
            ..
        } = request.input;
        self.0.check_exists(&bucket, &key)?;
        let count = tagging.tag_set.len();
        let tags: Tags = tagging
            .tag_set
            .into_iter()
            .filter_map(|tag| {
                Some((
                    tag.key.filter(|key| !key.is_empty())?,
                    tag.value.unwrap_or_default(),
                ))
            })
            .collect();
        if tags.len() != count || count > 10 {
            return Err(s3_error!(InvalidTag));
        }
        self.0
            .tags
            .set(&bucket, &key, tags)
            .await
            .map_err(internal)?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let DeleteObjectTaggingInput { bucket, key, .. } = &request.input;
        self.0.check_exists(bucket, key)?;
        self.0
            .tags
            .set(bucket, key, Tags::new())
            .await
            .map_err(internal)?;
        Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
    }
}
