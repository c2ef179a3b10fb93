//! Search: tantivy's index, kept in a bucket and on the functions' own disks.
//!
//! Each function that changes something that can be found sends an [`IndexMessage`](crate::domain::IndexMessage).
//! The function `index` takes these in batches, reads each thing as it is now, and makes the next
//! generation of the index of it ([`Indexer`]). The function `search` keeps the newest generation on its
//! disk ([`Search`]) and answers with ids; what they stand for is read from the store, so what is deleted
//! or hidden never shows, whatever the index says.
//!
//! # Why so
//!
//! Nothing here costs while nobody searches or posts. A batch of changes is about four calls to S3: with
//! one every five seconds all month long some $8, with a thousand posts a day some cents. A search
//! costs one list of one name every few seconds for each busy instance. The index of 100,000 posts is some
//! 27 MB, which a function that starts has in a quarter of a second on the local stack. Sums here are prices of
//! AWS multiplied by hand; none was measured there.
//!
//! It stops where an index no longer fits a function's disk and start: at some millions of posts, or when
//! more are written than one function indexes (thousands a second). From there the same segments would be
//! read in place, as quickwit does: its splits are tantivy's segments in S3 too, one immutable object each,
//! named by a metastore, with their beginnings cached and the rest read by range. That takes a request some
//! rounds of 20 ms to S3 each, which a copy on disk doesn't.
//!
//! The other way without a server is postings in DynamoDB: an item for each term and post. A post of 30
//! words is then some 60 writes of a unit each with their deletions to come: $75 for a million posts, where
//! S3 takes cents. Words such as `고양이` are one hot partition, to be sharded; a search for two words
//! reads the shorter list whole, ten thousand postings being some 50 reads of a page; and phrases, ranking
//! and prefixes would all be ours to write. It has no upper end, and a post is found at once. `OpenSearch`,
//! serverless too, costs hundreds of dollars a month at rest.
//!
//! # Order
//!
//! BM25, where a post half a year newer outdoes one that fits twice as well. That is a factor of
//! `2^(time / half a year)`: the order of two posts never changes with time, so a cursor stays right.
//! A cursor also says which generation of the index it was given for, and that one is read on as long as it
//! is kept (15 minutes): whatever is written meanwhile, each post comes once.
//!
//! Tags are no documents: they are the terms of a field of the posts, so their counts can't go astray.

mod analysis;
mod bucket;
mod document;
mod files;
mod form;
mod query;
mod reader;
mod writer;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::env::BadSetting;

pub use document::Document;
pub use query::{Hit, Position};
pub use reader::{Generation, Search};
pub use writer::{Change, Indexer};

/// Why the index was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// The bucket did not answer, or not in time.
    #[error("the search index's bucket did not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another writer made a generation from the same one.
    #[error("another writer came first")]
    Overtaken,
    /// The disk, or the index itself.
    #[error("the search index is broken: {0}")]
    Broken(String),
}

impl Error {
    fn broken(what: impl std::fmt::Display) -> Self {
        Self::Broken(what.to_string())
    }

    fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<tantivy::TantivyError> for Error {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::broken(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::broken(error)
    }
}

impl<E, R> From<SdkError<E, R>> for Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    fn from(error: SdkError<E, R>) -> Self {
        Self::unavailable(error)
    }
}
