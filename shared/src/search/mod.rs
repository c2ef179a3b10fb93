//! Search: a tantivy index, kept in a bucket and on the functions' own disks.
//!
//! Each function that changes something searchable sends an [`IndexMessage`](crate::domain::IndexMessage). The function
//! `index` takes these messages in batches, reads the current state of each subject from the store, and writes the next
//! generation of the index ([`Indexer`]). The function `search` keeps the newest generation on its disk ([`Search`])
//! and answers with ids, whose content is read from the store. So nothing deleted or hidden ever shows, whatever the
//! index says.
//!
//! # Costs and alternatives
//!
//! This design costs nothing while nobody searches or posts. A batch of changes takes about four calls to S3: some $8 a
//! month with one batch every five seconds, some cents with a thousand posts a day. A search costs one list call for
//! one name every few seconds for each busy instance. The index of 100,000 posts is some 27 MB, which a starting
//! function fetches in a quarter of a second on the local stack. These sums are AWS's prices multiplied by hand; none
//! was measured there.
//!
//! Its limit is reached when an index no longer fits a function's disk and start-up, at some millions of posts, or when
//! more posts are written than one function can index (thousands a second). Beyond that, the same segments could be
//! read in place, as quickwit does: its splits are tantivy segments in S3 too, one immutable object each, named by a
//! metastore, with their beginnings cached and the rest read by range. Each request then takes some rounds of 20 ms to
//! S3, which a copy on disk does not.
//!
//! The other option without a server is postings in DynamoDB: an item for each term and post. A post of 30 words then
//! takes some 60 writes of a unit each, later deletions included: $75 for a million posts, where S3 takes cents. Words
//! such as `고양이` are one hot partition, to be sharded; a search for two words reads the shorter list whole, and ten
//! thousand postings take some 50 reads of a page; and phrases, ranking and prefixes would all be ours to write. On the
//! other hand, it has no upper limit, and a post is found at once. `OpenSearch`, serverless too, costs hundreds of
//! dollars a month at rest.
//!
//! # Order
//!
//! Results are ordered by BM25 and age: being half a year newer counts as much as matching twice as well. The factor is
//! `2^(time / half a year)`, so the order of two posts never changes with time, and a cursor stays valid. A cursor also
//! names the generation of the index it was made for, and paging continues in that generation for as long as it is kept
//! (15 minutes): whatever is written meanwhile, each post comes once.
//!
//! Tags are not documents but terms of a field of the posts, so their counts can't drift.

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

/// The reason why the index was not read or written.
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
