//! The tags of objects, kept in one file per object beside the objects.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// An object's tags.
pub(super) type Tags = BTreeMap<String, String>;

/// The contents of a file of tags.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Tagged {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) tags: Tags,
}

/// The folder with the files of tags.
#[derive(Debug)]
pub(super) struct TagFiles {
    folder: PathBuf,
}

impl TagFiles {
    pub(super) fn new(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Returns the path of an object's tag file, named by a hash because a key may contain any characters.
    fn path(&self, bucket: &str, key: &str) -> PathBuf {
        let name = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{bucket}/{key}")));
        self.folder.join(format!("{name}.json"))
    }

    pub(super) async fn get(&self, bucket: &str, key: &str) -> std::io::Result<Tags> {
        match tokio::fs::read(self.path(bucket, key)).await {
            Ok(text) => Ok(serde_json::from_slice::<Tagged>(&text)?.tags),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Tags::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn set(&self, bucket: &str, key: &str, tags: Tags) -> std::io::Result<()> {
        let path = self.path(bucket, key);
        if tags.is_empty() {
            return match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec(&Tagged {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            tags,
        })?;
        // Renamed into place, so that a crash leaves either the old tags or the new ones.
        let new = path.with_extension(format!("{}.new", crate::ids::uuid()));
        tokio::fs::write(&new, text).await?;
        tokio::fs::rename(new, path).await
    }
}

/// Parses an `x-amz-tagging` header. Returns `None` unless it contains at most ten valid tags, as S3 requires.
pub(super) fn parse_header(header: &str) -> Option<Tags> {
    let pairs: Vec<_> = url::form_urlencoded::parse(header.as_bytes())
        .into_owned()
        .collect();
    let tags: Tags = pairs.iter().cloned().collect();
    let valid = pairs.len() == tags.len() && pairs.len() <= 10;
    (valid
        && tags
            .iter()
            .all(|(key, value)| !key.is_empty() && key.len() <= 128 && value.len() <= 256))
    .then_some(tags)
}
