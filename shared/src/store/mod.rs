//! The store: DynamoDB.
//!
//! | table | key | access pattern |
//! |---|---|---|
//! | Posts | `id` | a post by id; posts of a page by batch; tombstones of deleted posts (30 days) |
//! | Posts, index `outbox` | `outbox`, `due_at` | posts whose fan-out is overdue (sparse: only those not done) |
//! | `PostLists` | `list` = `author#<user>`, `post` | an author's posts, newest first, from any position |
//! | `PostLists` | `list` = `recent#<user>`, `post` = `#` | many authors' recent posts, by batch; their delivery |
//! | `PostLists` | `list` = `invalidations#<kind>`, `post` | invalidations that wait for the cache (2 days) |
//! | `PostLists` | `list` = `cat#<cat>`, `post` | the posts that show a cat, newest first, from any position |
//! | `PostLists` | `list` = `tag#<tag>#<shard>`, `post` | the posts with a tag, likewise, merged from 16 shards |
//! | Users | `id` | profile and exact follower, following and post counts |
//! | Users, index `generated` | `generated_handle` | the user for whom a handle was generated |
//! | Handles | `handle` | a handle's owner, also for 30 days after the owner gave it up |
//! | Handles, index `user` | `user`, or `left#<hash>` | a user's handles, to be erased or counted |
//! | Follows | `list` = `followers#<user>` (of the famous, 16 or 64 shards), `user` | an author's followers by id, for fan-out |
//! | Follows | `list` = `following#<user>`, `user` | the users whom a user follows; whether the caller follows given users |
//! | Follows, index `latest` | `list`, `since` | both lists, latest first (sparse: tombstones are not in it) |
//! | Likes | `post` = `<post>#<shard>`, `user` | a post's likes; whether the caller likes given posts |
//! | Likes | `post`, `user` = `#count` | a post's exact counts of likes and comments, and the number of their changes |
//! | Likes, index `latest` | `post`, `since` | the users who like a post, latest first, merged from 16 shards |
//! | Cats | `list` = `cat#<cat>`, `cat` | a cat by id; cats of a page by batch |
//! | Cats | `list` = `deleted`, `cat` | deleted cats whose ids may still be in posts |
//! | Cats | `list` = `owner#<user>`, `cat` | an owner's cats, newest first, from any position |
//! | Comments | `post`, `id` | a post's comments, newest first, from any position; a comment by id |
//! | Comments, Likes | `post` | a deleted post's comments and likes, to be erased part by part |
//! | Comments, index `author` | `author`, `id` | an author's comments, to erase them |
//! | Blocks | `user`, `other` | whether two users block each other, either way |
//! | Blocks | `left#<hash>`, `other` | the users who block one who has left; in their rows `other` = `left#<hash>` |
//! | Blocks, index `latest` | `user`, `since` | the users whom a user blocks, latest first |
//! | Saves | `user`, `post` | whether a user saved a post |
//! | Saves, index `latest` | `user`, `since` | the posts that a user saved, latest first |
//! | Likes, index `liker` | `liker`, `post` | the posts that a user likes, to be erased |
//! | Users, index `leaving` | `leaving`, `erase_at` | users who left and are to be erased (sparse) |
//! | Users | `id` = `left#<hash>` | the end of a user's erasure, up to which their changes are void (30 days) |
//! | Trends | `window` = `<hour>#<shard>`, `tag` | the numbers of authors and posts of that hour with the tag (48 hours) |
//! | Trends, index `top` | `window`, `rank` | the tags of an hour and shard with the most authors |
//! | Trends | `window` = `author#<mark>`, `tag` | the hours in which the author used the tag (48 hours) |
//! | Trends | `window` = `answer`, `tag` = `#` | the last answer |
//! | Idempotency | `user`, `key` | the answer given to a key (24 hours) |
//! | Idempotency | `user`, `key` = `granted uploads` | the uploads granted to a user, today and in all |
//! | Pictures | `owner`, `upload` | the picture of an upload by its key, by batch; a user's uploads, to be erased |
//! | Pictures, index `due` | `due_shard`, `due_at` | uploads to remove (sparse: those that nothing shows) |
//!
//! Every read that a decision depends on is strongly consistent (for that reason all indexes named `latest` are local;
//! an entry of `generated` never changes). No request scans a table. Changes that belong together are one transaction.

mod allowance;
mod audience;
#[cfg(feature = "audit")]
mod audit;
mod block_row;
mod blocks;
mod cats;
mod comments;
mod conditional;
mod counters;
mod create;
mod due_index;
mod edges;
mod follows;
mod handles;
mod hydration;
mod idempotency;
mod invalidations;
mod item;
mod kept_blocks;
mod latest;
mod leaving;
mod likes;
mod outbox;
mod picture_row;
mod pictures;
mod post_edits;
mod post_erasure;
mod post_lists;
mod post_row;
mod posts;
mod readable;
mod recent;
mod retry;
mod saves;
mod transactions;
mod trends;
mod users;
mod visibility;

use std::fmt;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;

use crate::aws::{CountCalls, OnlyConnect};
use crate::domain::MAX_FOLLOWING;
use crate::env::{self, BadSetting};
use crate::invocation::Callee;
use crate::lifecycle;
use readable::LastCounts;

pub use allowance::{Allowance, Grant, Granted};
pub use audience::Audience;
#[cfg(feature = "audit")]
pub use audit::{CounterOwner, Difference, Recount};
pub use cats::EditedCat;
pub use create::Created;
pub use edges::Applied;
pub use follows::{FollowList, Relations};
pub use handles::{ProfileError, PutProfile};
pub use idempotency::{Answer, IdempotencyRecord, IdempotentRequest};
pub use invalidations::PendingInvalidation;
pub use outbox::OutboxMark;
pub use pictures::{Removal, UploadState};
pub use post_edits::Edited;
pub use post_lists::PostList;
pub use posts::{PostError, Removed};
pub use readable::Readable;
pub use recent::{Delivery, RECENT, Recent};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store was out of reach, throttled, or too busy with the same items: try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// An item could not be understood, or the store did not understand the request: a bug, or a manual change. Trying
    /// again won't help.
    #[error("the store and this function do not understand each other: {0}")]
    Broken(String),
}

impl Error {
    fn broken(what: impl fmt::Display) -> Self {
        Self::Broken(what.to_string())
    }
}

/// DynamoDB's error codes for a request that it will never accept.
const REFUSALS: [&str; 4] = [
    "AccessDeniedException",
    "ItemCollectionSizeLimitExceededException",
    "ResourceNotFoundException",
    "ValidationException",
];

/// DynamoDB's reasons for never accepting a part of a transaction, as the message of the transaction's error has them.
const REFUSED_REASONS: [&str; 2] = ["ItemCollectionSizeLimitExceeded", "ValidationError"];

impl<E: ProvideErrorMetadata, R: fmt::Debug> From<SdkError<E, R>> for Error {
    fn from(error: SdkError<E, R>) -> Self {
        let what = match &error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                let code = meta.code().unwrap_or("?");
                let what = format!("{code}: {}", meta.message().unwrap_or(""));
                let reasons = meta
                    .message()
                    .filter(|_| code == "TransactionCanceledException");
                let refused = |reason: &&str| reasons.is_some_and(|all| all.contains(*reason));
                if REFUSALS.contains(&code) || REFUSED_REASONS.iter().any(refused) {
                    return Self::Broken(what);
                }
                what
            }
            SdkError::TimeoutError(_) => "timed out".to_owned(),
            SdkError::DispatchFailure(failure) => format!("no connection: {failure:?}"),
            _ => "no understandable response".to_owned(),
        };
        Self::Unavailable(what)
    }
}

/// The tables' names.
#[derive(Debug, Clone)]
struct Tables {
    posts: String,
    post_lists: String,
    users: String,
    handles: String,
    follows: String,
    likes: String,
    comments: String,
    blocks: String,
    saves: String,
    cats: String,
    trends: String,
    idempotency: String,
    pictures: String,
}

/// The store. Cheap to clone; made once, during init.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    tables: Tables,
    last_counts: LastCounts,
    max_following: i64,
}

impl Store {
    /// Opens the store that the environment names: `POSTS_TABLE`, `POST_LISTS_TABLE`, `USERS_TABLE`, `HANDLES_TABLE`,
    /// `FOLLOWS_TABLE`, `LIKES_TABLE`, `COMMENTS_TABLE`, `BLOCKS_TABLE`, `SAVES_TABLE`, `CATS_TABLE`, `TRENDS_TABLE`,
    /// `IDEMPOTENCY_TABLE`, `PICTURES_TABLE`. `MAX_FOLLOWING` limits the number of users that one user follows. Begins to connect to the
    /// store.
    pub fn from_env(config: &aws_config::SdkConfig) -> Result<Self, BadSetting> {
        let store = Self {
            max_following: env::whole_number("MAX_FOLLOWING", MAX_FOLLOWING)?,
            ..Self::new(config, env::required)?
        };
        let connect = store.client.describe_endpoints().customize();
        lifecycle::begin(async move {
            let _ = connect.interceptor(OnlyConnect).send().await;
        });
        Ok(store)
    }

    /// Opens the store whose tables have the names that `name` returns for those variables.
    pub fn new<E>(
        config: &aws_config::SdkConfig,
        name: impl Fn(&str) -> Result<String, E>,
    ) -> Result<Self, E> {
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .retry_classifier(ConflictsAreTransient)
            .interceptor(CountCalls(Callee::Tables))
            .build();
        Ok(Self {
            client: Client::from_conf(config),
            tables: Tables {
                posts: name("POSTS_TABLE")?,
                post_lists: name("POST_LISTS_TABLE")?,
                users: name("USERS_TABLE")?,
                handles: name("HANDLES_TABLE")?,
                follows: name("FOLLOWS_TABLE")?,
                likes: name("LIKES_TABLE")?,
                comments: name("COMMENTS_TABLE")?,
                blocks: name("BLOCKS_TABLE")?,
                saves: name("SAVES_TABLE")?,
                cats: name("CATS_TABLE")?,
                trends: name("TRENDS_TABLE")?,
                idempotency: name("IDEMPOTENCY_TABLE")?,
                pictures: name("PICTURES_TABLE")?,
            },
            last_counts: LastCounts::new(),
            max_following: MAX_FOLLOWING,
        })
    }
}

/// A classifier that retries an update that met a transaction on its item, like a throttled one. The SDK doesn't
/// consider this error transient.
#[derive(Debug)]
struct ConflictsAreTransient;

impl ClassifyRetry for ConflictsAreTransient {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let service = error.and_then(|error| error.as_operation_error());
        let update = service.and_then(|error| error.downcast_ref::<UpdateItemError>());
        match update {
            Some(UpdateItemError::TransactionConflictException(_)) => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "conflicts are transient"
    }
}
