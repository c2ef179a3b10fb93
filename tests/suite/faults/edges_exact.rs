//! Rule 2: likes and follows count exactly, and each user's last request wins.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;
use purrline::domain::Version;
use purrline_local::{Delivery, FaultRule, When};
use serde_json::json;

use crate::support::backstage::{Backstage, flag, id_of, text};
use crate::support::{User, World, retrying_soon};

/// Requests in flight at a time.
const AT_ONCE: usize = 8;

/// Starts a stack whose consumers get all messages of a queue together, twice and shuffled.
async fn shuffling_stage(queue: &str) -> Backstage {
    // Long enough that a message can wait for its turn among two thousand.
    let world = World::with(retrying_soon().parameter("VisibilityTimeoutSeconds", "6")).await;
    world.pause_queue(queue).await.unwrap();
    world
        .deliver(queue, Delivery::default().duplicated().shuffled(20_261_121))
        .unwrap();
    Backstage::of(&world).await
}

/// Delivers the messages, and kills the consumer three times at its transactions.
async fn deliver_and_kill(stage: &Backstage, queue: &str, consumer: &str, at: [u64; 3]) {
    let kill = |(nth, when)| FaultRule::kill(consumer, nth, when).operation("TransactWriteItems");
    let kills = [
        (at[0], When::After),
        (at[1], When::Before),
        (at[2], When::After),
    ];
    let kills = kills.map(|kill_at| stage.world.on_call(kill(kill_at)).unwrap());
    stage.world.resume_queue(queue).unwrap();
    stage.world.wait_until_drained().await;
    for (kill, at) in kills.iter().zip(at) {
        assert_eq!(kill.fired(), 1, "never came to transaction {at}");
    }
    let status = stage.world.status().await.unwrap();
    assert!(
        status.queues.values().all(|queue| queue.dead_letters == 0),
        "{status:#?}"
    );
}

/// Returns whether a pair's second request is the positive one, as it is for half of the pairs.
const fn ends_positive(a: usize, b: usize) -> bool {
    (a + b).is_multiple_of(2)
}

/// The bar of rule 2: 1,000 likes and 1,000 unlikes by 200 users on 5 posts, delivered twice and
/// shuffled, with the consumer killed three times.
///
/// Fails when a counter moves outside its edges' transaction, when a message that was applied before counts again, when the
/// request that arrives last wins, or when an undone edge leaves no tombstone.
#[tokio::test]
async fn a_thousand_likes_and_unlikes_count_exactly() {
    let stage = shuffling_stage("LikesQueue").await;
    let author = stage.world.user("author");
    let mut posts = Vec::new();
    for _ in 0..5 {
        posts.push(author.post_id("like me").await);
    }
    let users: Vec<User> = (0..200).map(|_| stage.world.user("liker")).collect();
    let pairs = (0..users.len()).flat_map(|user| (0..posts.len()).map(move |post| (user, post)));
    futures::stream::iter(pairs.clone())
        .for_each_concurrent(AT_ONCE, |(user, post)| {
            let (by, on) = (&users[user], &posts[post]);
            async move {
                if ends_positive(user, post) {
                    by.unlike(on).await;
                    by.like(on).await;
                } else {
                    by.like(on).await;
                    by.unlike(on).await;
                }
            }
        })
        .await;
    // The cache now has counts that it must not keep.
    author.feed(5).await;
    deliver_and_kill(&stage, "LikesQueue", "like-consumer", [2, 5, 9]).await;

    stage
        .assert_exact(std::slice::from_ref(&author.id), &posts)
        .await;
    let shown: HashMap<String, u64> = author
        .feed(5)
        .await
        .iter()
        .map(|post| (id_of(post), post["likes"].as_u64().unwrap()))
        .collect();
    for (at, post) in posts.iter().enumerate() {
        let liked = (0..users.len())
            .filter(|&user| ends_positive(user, at))
            .map(|user| users[user].id.clone());
        let liked: HashSet<String> = liked.collect();
        let (count, by) = stage.likes_of(post).await;
        assert_eq!(by, liked, "the last changes on {post}");
        assert_eq!(count, liked.len());
        assert_eq!(shown[post], 100, "in the feed");
        for user in [0, 1, 198, 199] {
            let seen = users[user].read_post(post).await;
            assert_eq!(
                (seen["likes"].as_u64(), seen["liked"].as_bool()),
                (Some(100), Some(ends_positive(user, at)))
            );
        }
    }
}

/// The same for follows, among 25 users who all follow and unfollow one another.
///
/// Fails for the same reasons as the test of likes, and also when a follow's two rows are not written together, or when
/// one batch moves two counters of one user.
#[tokio::test]
async fn follows_and_unfollows_count_exactly() {
    let stage = shuffling_stage("FollowsQueue").await;
    let users: Vec<User> = (0..25).map(|_| stage.world.user("friend")).collect();
    let pairs = (0..users.len()).flat_map(|a| (0..users.len()).map(move |b| (a, b)));
    let pairs: Vec<_> = pairs
        .filter(|(a, b)| a != b && (a * 7 + b) % 3 != 0)
        .collect();
    futures::stream::iter(pairs.clone())
        .for_each_concurrent(AT_ONCE, |(a, b)| {
            let (by, whom) = (&users[a], &users[b]);
            async move {
                if ends_positive(a, b) {
                    by.unfollow(whom).await;
                    by.follow(whom).await;
                } else {
                    by.follow(whom).await;
                    by.unfollow(whom).await;
                }
            }
        })
        .await;
    deliver_and_kill(&stage, "FollowsQueue", "follow-consumer", [2, 4, 7]).await;

    let ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
    stage.assert_exact(&ids, &[]).await;
    for (which, user) in users.iter().enumerate() {
        let expected = |mine: bool| -> HashSet<String> {
            let edges = pairs
                .iter()
                .filter(|(a, b)| ends_positive(*a, *b) && which == if mine { *a } else { *b });
            edges
                .map(|(a, b)| ids[if mine { *b } else { *a }].clone())
                .collect()
        };
        for (list, expected) in [
            ("following", expected(true)),
            ("followers", expected(false)),
        ] {
            let listed = user
                .walk_ids(&format!("/v1/users/{}/{list}", user.id), 7)
                .await;
            assert_eq!(listed.len(), expected.len(), "{list} of {}", user.id);
            assert_eq!(
                listed.into_iter().collect::<HashSet<_>>(),
                expected,
                "{list} of {}",
                user.id
            );
            assert_eq!(user.me().await[list], expected.len());
        }
    }
}

/// Several processes work on the same few edges at the same time, each with the messages in another order. Fails when
/// an edge is written without a condition, or with a condition that still holds after another process's write.
#[tokio::test]
async fn concurrent_consumers_count_exactly() {
    const SIDE_BY_SIDE: usize = 4;
    let stage = Backstage::of(&World::with(retrying_soon()).await).await;
    let author = stage.world.user("author");
    let posts = [author.post_id("one").await, author.post_id("two").await];
    let users: Vec<User> = (0..4).map(|_| stage.world.user("user")).collect();
    for user in &users {
        user.me().await;
    }
    let users: Vec<String> = users.into_iter().map(|user| user.id).collect();
    let (mut likes, mut follows) = (HashMap::new(), HashMap::new());
    let mut at = Version::now().micros();
    for round in 0..25_usize {
        let (mut like_changes, mut follow_changes) = (Vec::new(), Vec::new());
        for number in 0..24 {
            at += 1;
            let (a, b) = (
                (number * 7 + round) % users.len(),
                (number * 5 + round * 3) % users.len(),
            );
            let on = (number * number + round) % 3 != 0;
            let (user, post, whom) = (&users[a], &posts[b % 2], &users[b]);
            like_changes.push(
                json!({ "v": 1, "user": user, "post": post, "like": on, "at": at }).to_string(),
            );
            likes.insert((user.clone(), post.clone()), on);
            if a != b {
                let change =
                    json!({ "v": 1, "follower": user, "followee": whom, "follow": on, "at": at });
                follow_changes.push(change.to_string());
                follows.insert((user.clone(), whom.clone()), on);
            }
        }
        for (consumer, changes) in [
            ("like-consumer", like_changes),
            ("follow-consumer", follow_changes),
        ] {
            let deliveries = (0..SIDE_BY_SIDE).map(|which| {
                // Each process starts with another message, and doesn't get all of them.
                let mut changes = changes.clone();
                let count = changes.len();
                changes.rotate_left(which * count / SIDE_BY_SIDE);
                changes.truncate(count * 2 / 3);
                let stage = &stage;
                async move {
                    // Messages that kept conflicting with others come again.
                    while let failed @ [_, ..] = stage.deliver(consumer, &changes).await.as_slice()
                    {
                        changes = failed.iter().map(|at| changes[*at].clone()).collect();
                    }
                }
            });
            futures::future::join_all(deliveries).await;
        }
    }
    stage.assert_exact(&users, &posts).await;
    for post in &posts {
        let expected: HashSet<String> = likes
            .iter()
            .filter(|((_, on), like)| on == post && **like)
            .map(|((user, _), _)| user.clone())
            .collect();
        assert_eq!(
            stage.likes_of(post).await.1,
            expected,
            "the last changes on {post}"
        );
    }
    for user in &users {
        let followed: HashSet<String> = follows
            .iter()
            .filter(|((by, _), on)| by == user && **on)
            .map(|((_, whom), _)| whom.clone())
            .collect();
        let rows = stage
            .partition("FollowsTable", "list", &format!("following#{user}"))
            .await;
        let rows = rows
            .iter()
            .filter(|row| flag(row, "active"))
            .map(|row| text(row, "user"));
        assert_eq!(
            rows.collect::<HashSet<_>>(),
            followed,
            "the last changes of {user}"
        );
    }
}
