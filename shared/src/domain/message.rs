//! The messages of the queues: JSON with a version, `"v": 1`.
//!
//! Readers ignore unknown fields, so that functions of two releases understand each other while one replaces the other.
//! They refuse any other version.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    CatId, Change, Follow, ImageKey, Like, Picture, PostId, Stamp, Timestamp, UserId, Version,
};

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

/// The largest difference between an endpoint's own clock and the queue's, in microseconds. Tokens are refused at a
/// much smaller one.
const MAX_CLOCK_SKEW: u64 = 60 * 1_000_000;

/// Returns the time of a change. If the endpoint had only its own clock, the queue's clock, which all endpoints share,
/// corrects it. A difference too large to be due to the clocks means that the message was sent again, from the
/// dead-letter queue: then the endpoint's own clock counts, so that no later change loses to this one.
fn change_version(at: Version, own_clock: bool, sent: Option<Timestamp>) -> Version {
    let Some(sent) = sent.filter(|_| own_clock) else {
        return at;
    };
    let sent = sent.millis().saturating_mul(1000);
    if at.micros().abs_diff(sent) > MAX_CLOCK_SKEW {
        return at;
    }
    Version::from_micros(sent)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's own signature")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A change of an edge, as a queue carries it.
pub trait EdgeMessage {
    /// The kind of edge.
    type Edge;

    /// Returns the edge.
    fn edge(&self) -> Self::Edge;

    /// Returns the change of the edge. `sent` is the time at which the queue took the message, by the queue's clock.
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
    /// Whether the user now likes the post.
    pub like: bool,
    /// The time at which the endpoint accepted the change, in microseconds since the epoch.
    pub at: Version,
    /// Whether `at` comes only from the endpoint's own clock.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_clock: bool,
    /// The time at which the queue first took the message, if it was sent again from the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sent: Option<Timestamp>,
}

impl LikeMessage {
    /// Creates a message that was accepted at `stamp`.
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
            version: change_version(self.at, self.own_clock, self.first_sent.or(sent)),
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
    /// Whether the follower now follows the followee.
    pub follow: bool,
    /// The time at which the endpoint accepted the change, in microseconds since the epoch.
    pub at: Version,
    /// Whether `at` comes only from the endpoint's own clock.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_clock: bool,
    /// The time at which the queue first took the message, if it was sent again from the dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sent: Option<Timestamp>,
}

impl FollowMessage {
    /// Creates a message that was accepted at `stamp`.
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
            version: change_version(self.at, self.own_clock, self.first_sent.or(sent)),
        }
    }
}

/// The task to deliver a post to its author's followers, whole or one chunk of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOutMessage {
    /// The format's version.
    pub v: V1,
    /// The post.
    pub post: PostId,
    /// The revision of the post that was handed over. The task of an older revision leaves the rest of its work to the
    /// task of the newer one.
    pub rev: u32,
    /// The followers that the task serves; `None` for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<Chunk>,
}

impl FanOutMessage {
    /// Creates the whole task.
    pub const fn whole(post: PostId, rev: u32) -> Self {
        Self {
            v: V1,
            post,
            rev,
            chunk: None,
        }
    }

    /// Creates one chunk of the task.
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
    /// The chunk's name, unique among all chunks of the post, earlier ones included.
    pub name: String,
    /// The followers that the chunk serves.
    #[serde(flatten)]
    pub followers: Followers,
    /// The name of the announcement that the author's posts are merged in from now on, if the chunk carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announces: Option<String>,
}

/// An author's followers in one shard, ordered by id. It stays consistent while people follow and unfollow, because
/// every follower belongs to exactly one shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followers {
    /// The author.
    pub author: UserId,
    /// The shard.
    #[serde(default)]
    pub shard: u16,
    /// The follower after whom these start; `None` for the start of the shard.
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

/// A notice that something changed or was deleted, and that search must read it again. The message doesn't say how it
/// changed, so that messages may arrive twice and in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMessage {
    /// The format's version.
    pub v: V1,
    /// The thing that changed.
    #[serde(flatten)]
    pub subject: Subject,
}

impl IndexMessage {
    /// Creates a message about a subject that changed.
    pub const fn new(subject: Subject) -> Self {
        Self { v: V1, subject }
    }
}

/// Something that the function of pictures must do later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum PhotoTask {
    /// Removes the uploads among these that nothing shows, with their pictures.
    Review {
        /// The uploads' keys.
        keys: Vec<ImageKey>,
    },
    /// Removes all uploads and pictures of a user, if the user has left.
    Erase {
        /// The user.
        user: UserId,
        /// The upload after which to go on; nothing for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ImageKey>,
    },
}

/// A task for the function of pictures. Its outcome depends on the store alone, so that messages may arrive twice, late and
/// in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoMessage {
    /// The format's version.
    pub v: V1,
    /// The task.
    #[serde(flatten)]
    pub task: PhotoTask,
}

impl PhotoMessage {
    /// Creates a message.
    pub const fn new(task: PhotoTask) -> Self {
        Self { v: V1, task }
    }
}

/// A call of the function of pictures by one that needs the picture of an upload now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoCall {
    /// The upload's key.
    pub make: ImageKey,
}

/// The answer to such a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhotoAnswer {
    /// The picture can be shown.
    Ready(Picture),
    /// The upload can't be shown.
    Refused,
    /// There is no such upload, or no longer.
    Missing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photo_message_is_a_flat_object() {
        let user = UserId::parse("nabi").unwrap();
        let key = ImageKey::parse("uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg").unwrap();
        let review = PhotoMessage::new(PhotoTask::Review { keys: vec![key] });
        let erase = PhotoMessage::new(PhotoTask::Erase { user, after: None });
        for (message, expected) in [
            (
                review,
                r#"{"v":1,"task":"review","keys":["uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg"]}"#,
            ),
            (erase, r#"{"v":1,"task":"erase","user":"nabi"}"#),
        ] {
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(text, expected);
            let read = serde_json::from_str::<PhotoMessage>(&text).unwrap();
            assert_eq!(read, message);
        }
    }

    #[test]
    fn index_message_is_a_flat_object() {
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
    fn own_stamp_is_corrected_by_the_queues_sent_time() {
        const SECOND: i64 = 1_000_000;
        let now = Version::from_micros(1_795_249_800 * SECOND);
        let offset = |stamp, sent| {
            let user = UserId::parse("nabi").unwrap();
            let post = PostId::parse("0000000000001").unwrap();
            let like = LikeMessage::new(user, post, true, stamp);
            let seconds = like.change(sent).version.micros() - now.micros();
            seconds / SECOND
        };
        let sent = |seconds| Some(now.timestamp().plus_seconds(seconds));
        assert_eq!(offset(Stamp::Shared(now), sent(5)), 0);
        assert_eq!(offset(Stamp::Own(now), None), 0);
        assert_eq!(offset(Stamp::Own(now), sent(5)), 5);
        assert_eq!(offset(Stamp::Own(now), sent(-5)), -5);
        assert_eq!(offset(Stamp::Own(now), sent(60)), 60);
        // Minutes or days later, out of the dead-letter queue.
        assert_eq!(offset(Stamp::Own(now), sent(61)), 0);
        assert_eq!(offset(Stamp::Own(now), sent(200_000)), 0);
    }

    /// A change that is replayed within a minute keeps the time at which it was first sent.
    #[test]
    fn replayed_change_keeps_the_time_of_the_first_send() {
        let [nabi, coco] = ["nabi", "coco"].map(|id| UserId::parse(id).unwrap());
        let now = Version::from_micros(1_795_249_800_000_000);
        let message = FollowMessage::new(nabi, coco, true, Stamp::Own(now));
        let mut body = serde_json::to_value(&message).unwrap();
        let first = now.timestamp().plus_seconds(2);
        body["first_sent"] = serde_json::to_value(first).unwrap();
        let replayed: FollowMessage = serde_json::from_value(body).unwrap();
        let resent = Some(now.timestamp().plus_seconds(30));
        assert_eq!(replayed.change(resent), message.change(Some(first)));
    }

    #[test]
    fn unknown_version_is_refused_and_unknown_field_is_ignored() {
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
