//! Rule 4: a deleted object is gone from every read made after the answer, even if a reader was filling the cache meanwhile.

use std::collections::{HashMap, HashSet};

use purrline::cache::Missing;
use purrline::domain::{HydratedPosts, IdSource, Like, PostCounts, PostId, UserId, ViewerState};
use purrline_local::{FaultRule, When};

use super::leaving::fill;
use super::{followers_of, stage};
use crate::support::backstage::Backstage;
use crate::support::{User, eventually};

/// Returns a stack, and a reader of an author. Fan-out, which tells the cache of a deletion once more, runs only when a
/// test delivers its messages.
async fn reader_and_author() -> (Backstage, User, User) {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    stage.world.pause_queue("FanOutQueue").await.unwrap();
    (stage, reader, author)
}

async fn fan_out(stage: &Backstage) {
    let messages = stage.take("FanOutQueue").await;
    assert!(stage.deliver("fan-out", &messages).await.is_empty());
}

/// A reader who has seen a post knows its author. Once the post is gone, the author is not read from the store for it, since
/// the author may have left. Fails when remembered authors are filled into the cache.
#[tokio::test]
async fn the_author_of_a_post_that_is_gone_is_not_brought_back() {
    let (stage, reader, author) = reader_and_author().await;
    let posts = [
        author.post_id("first").await,
        author.post_id("second").await,
    ];
    fan_out(&stage).await;
    assert_eq!(reader.feed_ids(20).await.len(), posts.len());
    let card = format!("author:{{{}}}", author.id).into_bytes();
    assert!(stage.keys().await.contains(&card), "its name has changed");

    for post in &posts {
        author.delete_post(post).await;
    }
    stage.evict(&card).await;
    assert!(reader.feed_ids(20).await.is_empty());
    assert!(!stage.keys().await.contains(&card));
}

/// A reader takes a lease, reads the post from the store, and is slow; the post is deleted; then the reader fills the cache.
/// Fails when a deletion leaves leases valid, or when filling needs no lease.
#[tokio::test]
async fn a_slow_reader_does_not_bring_back_what_is_deleted() {
    let (stage, reader, author) = reader_and_author().await;
    let (store, cache) = (stage.store().await, stage.cache().await);
    let me = UserId::parse(&reader.id).unwrap();
    for edited in [false, true] {
        let post = author.post_id("first").await;
        fan_out(&stage).await;
        let id = PostId::parse(&post).unwrap();
        let missing = Missing {
            posts: vec![id],
            ..Missing::default()
        };

        let lease = cache.lease(&me, &missing).await.unwrap();
        let posts = store.posts(&[id]).await.unwrap();
        assert!(posts.contains_key(&id));
        if edited {
            author
                .change(
                    &format!("/v1/posts/{post}"),
                    &serde_json::json!({ "text": "second" }),
                )
                .await
                .expect(200);
        } else {
            author.delete_post(&post).await;
        }
        let before = HydratedPosts {
            posts,
            ..HydratedPosts::default()
        };
        cache.fill(&me, &lease, &missing, &before).await.unwrap();

        let (known, _) = cache.hydrate(&me, &[id], &[]).await.unwrap();
        assert!(
            !known.posts.contains_key(&id),
            "the cache holds what is no more"
        );
        let texts: Vec<_> = reader
            .feed(10)
            .await
            .iter()
            .map(|post| post["text"].clone())
            .collect();
        assert_eq!(texts, if edited { vec!["second"] } else { vec![] });
    }
}

/// The same for counts and likes. Fails when leases on counts and likes stay valid after a like.
#[tokio::test]
async fn a_slow_reader_does_not_bring_back_old_counts() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let (store, cache) = (stage.store().await, stage.cache().await);
    let me = UserId::parse(&reader.id).unwrap();
    let post = author.post_id("like me").await;
    stage.world.wait_until_drained().await;
    let id = PostId::parse(&post).unwrap();
    let missing = Missing {
        counts: vec![id],
        viewer: vec![id],
        ..Missing::default()
    };

    let lease = cache.lease(&me, &missing).await.unwrap();
    let counts = store.post_counts(&[id]).await.unwrap();
    reader.like(&post).await;
    stage.world.wait_until_drained().await;
    let before = HydratedPosts {
        counts,
        viewer: HashMap::from([(id, ViewerState::default())]),
        ..HydratedPosts::default()
    };
    cache.fill(&me, &lease, &missing, &before).await.unwrap();

    let seen = reader.feed(10).await.remove(0);
    assert_eq!(
        (seen["likes"].as_u64(), seen["liked"].as_bool()),
        (Some(1), Some(true))
    );
}

/// Readers race with a deletion over and over: a reader who asks after the answer doesn't see the post, then or later. Fails
/// when the cache forgets the post before the store does, or after the answer.
#[tokio::test]
async fn readers_racing_with_a_deletion_never_see_it_after() {
    let (stage, reader, author) = reader_and_author().await;
    for round in 0..60 {
        let post = author.post_id("soon gone").await;
        fan_out(&stage).await;
        if round % 2 == 0 {
            assert!(reader.feed_ids(10).await.contains(&post));
        }
        let (path, list) = (
            format!("/v1/posts/{post}"),
            format!("/v1/users/{}/posts", author.id),
        );
        let deletion = async {
            author.delete_post(&post).await;
            let (feed, list, one) = futures::join!(
                reader.feed_ids(10),
                reader.walk_ids(&list, 10),
                reader.get(&path),
            );
            assert!(
                !feed.contains(&post) && !list.contains(&post),
                "round {round}: shown after it was deleted"
            );
            one.problem(404);
        };
        futures::join!(deletion, reader.feed(10), reader.feed(10), author.feed(10));
        assert!(
            !reader.feed_ids(10).await.contains(&post),
            "round {round}: back again"
        );
    }
    author.delete("/v1/posts/0000000000001").await.problem(404);
}

/// As soon as a follow or unfollow has taken effect, the feed shows all earlier posts of followed authors, and none of
/// unfollowed ones. Fails when a follow leaves the cached feed as it was.
#[tokio::test]
async fn a_feed_changes_with_its_follows() {
    let stage = stage().await;
    let (first, second) = (stage.world.user("first"), stage.world.user("second"));
    let old: Vec<String> = [second.post_id("1").await, second.post_id("2").await]
        .into_iter()
        .rev()
        .collect();
    let reader = followers_of(&stage, &first, 1).await.remove(0);
    let post = first.post_id("3").await;
    stage.world.wait_until_drained().await;
    assert_eq!(reader.feed_ids(10).await, [post.as_str()]);
    reader.unfollow(&first).await;
    reader.follow(&second).await;
    stage.world.wait_until_drained().await;
    // A fan-out that was on its way all the time.
    stage
        .deliver(
            "fan-out",
            &[serde_json::json!({ "v": 1, "post": post, "rev": 0 }).to_string()],
        )
        .await;
    assert_eq!(reader.walk_ids("/v1/feed", 1).await, old);
}

/// Cached counts stay in place while writers change them, but no longer than a write may take, and each writer replaces
/// only earlier counts by its own. Fails when a hold empties the key, when held counts are kept for a day, when older
/// counts replace later ones, or when a lease from before a change stays valid.
#[tokio::test]
async fn counts_are_shown_while_they_change_and_never_go_back() {
    let stage = stage().await;
    let cache = stage.cache().await;
    let me = UserId::parse("reader").unwrap();
    let id = PostId(IdSource::new().mint());
    let posts = HashSet::from([id]);
    let missing = Missing {
        counts: vec![id],
        ..Missing::default()
    };
    let counts = |rev| PostCounts {
        likes: 0,
        comments: rev,
        rev,
    };
    let known = async || {
        let (known, _) = cache.hydrate(&me, &[id], &[]).await.unwrap();
        known.counts.get(&id).map(|counts| counts.rev)
    };
    let fill = async |lease, rev| {
        let found = HydratedPosts {
            counts: HashMap::from([(id, counts(rev))]),
            ..HydratedPosts::default()
        };
        cache.fill(&me, &lease, &missing, &found).await
    };
    let key = format!("counts:{{{id}}}").into_bytes();

    cache.put_counts(None, id, counts(1)).await.unwrap();
    assert_eq!(known().await, None, "later counts may have stood there");
    let lease = cache.lease(&me, &missing).await.unwrap();
    fill(lease, 1).await.unwrap();
    assert_eq!(known().await, Some(1));
    assert!(stage.ttl(&key).await > 15);

    let [first, second] = [cache.hold_counts(&posts), cache.hold_counts(&posts)];
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(known().await, Some(1), "nobody was answered yet");
    assert!((1..=15).contains(&stage.ttl(&key).await));
    let put = cache.put_counts(Some(&second), id, counts(3)).await;
    put.unwrap();
    assert_eq!(known().await, Some(3));
    assert!(
        (1..=15).contains(&stage.ttl(&key).await),
        "the first may die"
    );
    let put = cache.put_counts(Some(&first), id, counts(2)).await;
    put.unwrap();
    assert_eq!(known().await, Some(3), "it goes back");
    assert!(stage.ttl(&key).await > 15, "nobody is at it");

    stage.evict(&key).await;
    let hold = cache.hold_counts(&posts).await.unwrap();
    let lease = cache.lease(&me, &missing).await.unwrap();
    fill(lease, 3).await.unwrap();
    assert_eq!(known().await, Some(3));
    assert!((1..=15).contains(&stage.ttl(&key).await), "it may die");

    stage.evict(&key).await;
    let lease = cache.lease(&me, &missing).await.unwrap();
    let put = cache.put_counts(Some(&hold), id, counts(4)).await;
    put.unwrap();
    fill(lease, 3).await.unwrap();
    assert_eq!(known().await, None, "read before the change");
    let lease = cache.lease(&me, &missing).await.unwrap();
    let like = Like {
        user: me.clone(),
        post: id,
    };
    cache.forget_likes(&HashSet::from([like])).await.unwrap();
    fill(lease, 3).await.unwrap();
    assert_eq!(known().await, None, "read before the like");
}

/// Rule 4: everything that belongs to a deleted post is erased, however much there is, even if the erasure dies at any
/// of its calls. Fails when comments or likes stay, or when the mark is cleared before they are gone.
#[tokio::test]
async fn comments_and_likes_of_a_deleted_post_are_erased() {
    let stage = stage().await;
    let (author, reader) = (stage.world.user("author"), stage.world.user("reader"));
    let ids = IdSource::new();
    // More than one message erases, and few.
    for many in [1200, 3] {
        let post = author.post_id("x").await;
        reader.like(&post).await;
        reader.comment(&post, "mine").await;
        stage.world.wait_until_drained().await;
        let comment = |n: usize| {
            let id = ids.mint().to_string();
            serde_json::json!({ "post": post, "id": id, "author": format!("fan-{n}"), "text": "x" })
        };
        fill(&stage, "CommentsTable", (0..many).map(comment)).await;
        let like = |n: usize| serde_json::json!({ "post": format!("{post}#{}", n % 16), "user": format!("fan-{n}"), "liker": format!("fan-{n}"), "active": true, "version": 1, "since": 1 });
        fill(&stage, "LikesTable", (0..many).map(like)).await;
        for nth in [3, 6, 9] {
            let dies = FaultRule::kill("fan-out", nth, When::After);
            stage.world.on_call(dies).unwrap();
        }
        author.delete_post(&post).await;
        eventually("nothing is left", async || {
            stage.sweep_until_settled().await;
            let comments = stage.partition("CommentsTable", "post", &post).await;
            let counts = stage.partition("LikesTable", "post", &post).await;
            let likes = stage.likes(&post).await;
            (comments.is_empty() && counts.is_empty() && likes.is_empty()).then_some(())
        })
        .await;
        stage.world.wait_until_drained().await;
        assert!(stage.unfinished_fan_outs().await.is_empty());
    }
}
