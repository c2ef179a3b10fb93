//! The core: types and rules, no I/O, no async, no AWS.
//!
//! Input is parsed here, once, into types that can't be invalid; functions on them are total. The adapters (`store`,
//! `cache`, `queue`, `media`, `http`) exchange only these types.

mod author;
mod breed;
mod cat;
mod character;
mod comment;
mod cursor;
mod edge;
mod feed;
mod id;
mod idempotency;
mod image;
mod invalid;
mod invalidation;
mod link;
mod message;
mod name;
mod page;
mod picture;
mod post;
mod presentation;
mod rate_limit;
mod search;
mod tag;
mod text;
mod time;
mod trend;
mod user;
mod user_id;
mod visibility;

pub use author::{Author, AuthorView};
pub use breed::{BREEDS, Breed, BreedName, BreedProbability, Classification, ModelInfo};
pub use cat::{BirthDate, Cat, CatEdit, CatView, NOT_YOUR_CAT, RegisteredCat};
pub use character::is_visible;
pub use comment::{Comment, CommentView};
pub use cursor::{BadCursor, Cursor};
pub use edge::{Change, Edge, Follow, Like, MAX_FOLLOWING, Outcome, latest_changes};
pub use feed::{FEED_LENGTH, PostWindow};
pub use id::{CatId, CommentId, Id, IdSource, PostId};
pub use idempotency::{Fingerprint, IdempotencyKey};
pub use image::{ContentType, ImageKey, NOT_UPLOADED, UPLOAD_MAX_BYTES, Upload, UploadSize};
pub use invalid::{FieldError, Invalid, Reason};
pub use invalidation::Invalidation;
pub use message::{
    Chunk, EdgeMessage, FanOutMessage, FollowMessage, Followers, IndexMessage, LikeMessage,
    PhotoAnswer, PhotoCall, PhotoMessage, PhotoTask, Subject, V1,
};
pub use name::{Bio, Name};
pub use page::{Limit, Page, Segment, TimedPosition};
pub use picture::{
    Alt, NOT_A_PICTURE, Picture, PictureName, PictureSize, PictureSizes, PictureView, PostImage,
    REVIEW_SECONDS, SizeView, Thumbhash, dropped_uploads, pictures_missing_from,
};
pub use post::{
    Draft, HydratedPosts, MAX_CATS, MAX_IMAGES, Post, PostCounts, PostEdit, PostView, ViewerState,
};
pub use presentation::{ImageHost, PostJson, RenderedPost, present_each, present_posts};
pub use rate_limit::RateLimit;
pub use search::{SearchPage, SearchText, SearchType, TagView};
pub use tag::{MAX_TAGS, Tag, tags_of};
pub use text::{CommentText, PostText, normal_form};
pub use time::{Stamp, Timestamp, Version};
pub use trend::{
    AuthorHours, AuthorMark, FEW_AUTHORS, TREND_HOURS, Trend, TrendDelta, TrendHour, most_used,
};
pub use user::{BlockedView, Handle, Profile, ProfileEdit, Relation, UserRef, UserView};
pub use user_id::UserId;
pub use visibility::{Standing, Visibility, may_see, may_see_trend};
