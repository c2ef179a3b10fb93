//! The messages of the queues: JSON with a version, `"v": 1`.
//!
//! Unknown fields are passed over, so that functions of two releases understand each other while
//! one replaces the other; another version is refused.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{CatId, Change, Follow, Like, PostId, Stamp, Timestamp, UserId, Version};

/// The `"v": 1` of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format_args!("version {other} is not 1"))),
        }
    }
}

/// How far an endpoint's own clock may be from the queue's. Tokens are refused long before.
const CLOCKS_APART: u64 = 60 * 1_000_000;

/// When a word was said. An endpoint that had only its own clock is put right by the queue's, which is one for all
/// endpoints. Where the two are further apart than clocks may be, the queue says when the message was sent again, out of
/// the dead-letter queue: then the endpoint's own clock counts, so that no later word loses to it.
fn said_at(at: Version, own_clock: bool, sent: Option<Timestamp>) -> Version {
    let Some(sent) = sent.filter(|_| own_clock) else {
        return at;
    };
    let sent = sent.millis().saturating_mul(1000);
    if at.micros().abs_diff(sent) > CLOCKS_APART {
        return at;
    }
    Version::from_micros(sent)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own signature")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A word on an edge, as a queue carries it.
pub trait EdgeMessage {
    /// The kind of edge.
    type Edge;

    /// Returns the edge.
    fn edge(&self) -> Self::Edge;

    /// Returns the word on it. `sent` is when the queue took the message, by the queue's clock.
    fn change(&self, sent: Option<Timestamp>) -> Change;
}

/// A like or its undoing, as accepted by the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikeMessage {
    /// The format's version.
    pub v: V1,
    /// The user whose like it is.
    pub user: UserId,
    /// The post.
    pub post: PostId,
    /// Liked, or no longer.
    pub like: bool,
    /// When the endpoint accepted it, in microseconds since the epoch.
    pub at: Version,
    /// Whether `at` is only by the endpoint's own clock.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_clock: bool,
    /// When the queue took it first, where it was sent again out of the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sent: Option<Timestamp>,
}

impl LikeMessage {
    /// Accepted at this stamp.
    pub const fn new(user: UserId, post: PostId, like: bool, stamp: Stamp) -> Self {
        Self {
            v: V1,
            user,
            post,
            like,
            at: stamp.version(),
            own_clock: stamp.is_own(),
            first_sent: None,
        }
    }
}

impl EdgeMessage for LikeMessage {
    type Edge = Like;

    fn edge(&self) -> Like {
        Like {
            user: self.user.clone(),
            post: self.post,
        }
    }

    fn change(&self, sent: Option<Timestamp>) -> Change {
        Change {
            active: self.like,
            version: said_at(self.at, self.own_clock, self.first_sent.or(sent)),
        }
    }
}

/// A follow or its undoing, as accepted by the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowMessage {
    /// The format's version.
    pub v: V1,
    /// The user who follows.
    pub follower: UserId,
    /// The user who is followed.
    pub followee: UserId,
    /// Follows, or no longer.
    pub follow: bool,
    /// When the endpoint accepted it, in microseconds since the epoch.
    pub at: Version,
    /// Whether `at` is only by the endpoint's own clock.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_clock: bool,
    /// When the queue took it first, where it was sent again out of the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sent: Option<Timestamp>,
}

impl FollowMessage {
    /// Accepted at this stamp.
    #[expect(clippy::similar_names, reason = "the field's own terms")]
    pub const fn new(follower: UserId, followee: UserId, follow: bool, stamp: Stamp) -> Self {
        Self {
            v: V1,
            follower,
            followee,
            follow,
            at: stamp.version(),
            own_clock: stamp.is_own(),
            first_sent: None,
        }
    }
}

impl EdgeMessage for FollowMessage {
    type Edge = Follow;

    fn edge(&self) -> Follow {
        Follow {
            follower: self.follower.clone(),
            followee: self.followee.clone(),
        }
    }

    fn change(&self, sent: Option<Timestamp>) -> Change {
        Change {
            active: self.follow,
            version: said_at(self.at, self.own_clock, self.first_sent.or(sent)),
        }
    }
}

/// A post to bring to its author's followers: the whole task, or one chunk of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOutMessage {
    /// The format's version.
    pub v: V1,
    /// The post.
    pub post: PostId,
    /// The revision of the post that was handed over: an older one leaves the rest to the newer.
    pub rev: u32,
    /// The part of the followers that it serves; all of them by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<Chunk>,
}

impl FanOutMessage {
    /// The whole task.
    pub const fn whole(post: PostId, rev: u32) -> Self {
        Self {
            v: V1,
            post,
            rev,
            chunk: None,
        }
    }

    /// One chunk of it.
    pub const fn chunk(post: PostId, rev: u32, chunk: Chunk) -> Self {
        Self {
            v: V1,
            post,
            rev,
            chunk: Some(chunk),
        }
    }
}

/// A part of a fan-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its name, unique among all that were ever cut for the post.
    pub name: String,
    /// The followers it serves.
    #[serde(flatten)]
    pub followers: Followers,
    /// The announcement that it brings along, that the author's posts are merged in from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announces: Option<String>,
}

/// An author's followers of one shard, by id. It stays right while people follow and unfollow: whoever
/// comes in belongs to exactly one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followers {
    /// The author.
    pub author: UserId,
    /// The shard.
    #[serde(default)]
    pub shard: u16,
    /// From the first after this one on; from the start where nothing is said.
    #[serde(default)]
    pub after: Option<UserId>,
}

/// Something that can be searched for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "lowercase")]
pub enum Subject {
    /// A post.
    Post(PostId),
    /// A user.
    User(UserId),
    /// A cat.
    Cat(CatId),
}

/// Something changed, or went away: search is to look at it again. It says nothing of how it changed, so
/// that messages may come twice and in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMessage {
    /// The format's version.
    pub v: V1,
    /// The thing that changed.
    #[serde(flatten)]
    pub subject: Subject,
}

impl IndexMessage {
    /// This changed.
    pub const fn new(subject: Subject) -> Self {
        Self { v: V1, subject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_message_is_flat() {
        let cat = IndexMessage::new(Subject::Cat(CatId::parse("0000000000001").unwrap()));
        let text = serde_json::to_string(&cat).unwrap();
        assert_eq!(text, r#"{"v":1,"kind":"cat","id":"0000000000001"}"#);
        assert_eq!(serde_json::from_str::<IndexMessage>(&text).unwrap(), cat);
        for bad in [
            r#"{"v":2,"kind":"cat","id":"0000000000001"}"#,
            r#"{"v":1,"kind":"dog","id":"0000000000001"}"#,
            r#"{"v":1,"kind":"cat","id":"mimi"}"#,
        ] {
            assert!(serde_json::from_str::<IndexMessage>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoints_own_clock_is_put_right_by_the_queues() {
        const SECOND: i64 = 1_000_000;
        let now = Version::from_micros(1_795_249_800 * SECOND);
        let said = |stamp, sent| {
            let user = UserId::parse("nabi").unwrap();
            let post = PostId::parse("0000000000001").unwrap();
            let like = LikeMessage::new(user, post, true, stamp);
            let seconds = like.change(sent).version.micros() - now.micros();
            seconds / SECOND
        };
        let sent = |seconds| Some(now.timestamp().plus_seconds(seconds));
        assert_eq!(said(Stamp::Shared(now), sent(5)), 0);
        assert_eq!(said(Stamp::Own(now), None), 0);
        assert_eq!(said(Stamp::Own(now), sent(5)), 5);
        assert_eq!(said(Stamp::Own(now), sent(-5)), -5);
        assert_eq!(said(Stamp::Own(now), sent(60)), 60);
        // Minutes or days later, out of the dead-letter queue.
        assert_eq!(said(Stamp::Own(now), sent(61)), 0);
        assert_eq!(said(Stamp::Own(now), sent(200_000)), 0);
    }

    /// An early word that is replayed within a minute is as early as it was.
    #[test]
    fn a_replayed_word_is_as_old_as_when_it_was_first_sent() {
        let [nabi, coco] = ["nabi", "coco"].map(|id| UserId::parse(id).unwrap());
        let now = Version::from_micros(1_795_249_800_000_000);
        let word = FollowMessage::new(nabi, coco, true, Stamp::Own(now));
        let mut body = serde_json::to_value(&word).unwrap();
        let first = now.timestamp().plus_seconds(2);
        body["first_sent"] = serde_json::to_value(first).unwrap();
        let replayed: FollowMessage = serde_json::from_value(body).unwrap();
        let again = Some(now.timestamp().plus_seconds(30));
        assert_eq!(replayed.change(again), word.change(Some(first)));
    }

    #[test]
    fn another_version_is_refused_and_a_new_field_is_not() {
        let like = LikeMessage::new(
            UserId::parse("nabi").unwrap(),
            PostId::parse("0000000000001").unwrap(),
            true,
            Stamp::Shared(Version::now()),
        );
        let text = serde_json::to_string(&like).unwrap();
        assert_eq!(serde_json::from_str::<LikeMessage>(&text).unwrap(), like);
        let newer = text.replacen('{', "{\"trace\":\"x\",", 1);
        assert_eq!(serde_json::from_str::<LikeMessage>(&newer).unwrap(), like);
        assert!(serde_json::from_str::<LikeMessage>(&text.replace("\"v\":1", "\"v\":2")).is_err());
        assert!(serde_json::from_str::<LikeMessage>(&text.replace("\"v\":1,", "")).is_err());
    }
}
