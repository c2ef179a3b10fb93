//! Rules 1, 2 and 5: a consumer is killed before or after any of its calls, and while it waits for the cache. Its messages
//! come again, and all data is correct.

use purrline_local::{FaultRule, When};
use serde_json::{Value, json};

use super::stage;
use crate::support::backstage::{Backstage, id_of, text};
use crate::support::{User, eventually};

/// More calls than any of these makes in one invocation, the cache's connections included.
const MOST_CALLS: u64 = 60;

/// One situation: users, a post, and the messages to handle.
struct Scene {
    reader: User,
    author: User,
    post: String,
    messages: Vec<String>,
}

async fn pause(stage: &Backstage, queue: &str) {
    stage.world.pause_queue(queue).await.unwrap();
}

/// Returns a reader with a feed in the cache, an author whom the reader follows, and a post in the feed.
async fn reader_and_post(stage: &Backstage) -> (User, User, String) {
    let (reader, author) = (stage.world.user("reader"), stage.world.user("author"));
    author.me().await;
    let at = purrline::domain::Version::now().micros();
    let follow =
        json!({ "v": 1, "follower": reader.id, "followee": author.id, "follow": true, "at": at });
    assert!(
        stage
            .deliver("follow-consumer", &[follow.to_string()])
            .await
            .is_empty()
    );
    let post = author.post_id("before").await;
    let fan_out = stage.take("FanOutQueue").await;
    assert!(stage.deliver("fan-out", &fan_out).await.is_empty());
    assert_eq!(reader.feed_ids(10).await, [post.as_str()]);
    (reader, author, post)
}

fn like(user: &str, post: &str, like: bool, order: i64) -> String {
    let at = 1_795_249_800_000_000 + order;
    json!({ "v": 1, "user": user, "post": post, "like": like, "at": at }).to_string()
}

fn follow(by: &User, whom: &User, follow: bool, at: i64) -> String {
    json!({ "v": 1, "follower": by.id, "followee": whom.id, "follow": follow, "at": at })
        .to_string()
}

// ---- The three consumers: the situation before, and the conditions after ----

async fn likes(stage: &Backstage) -> Scene {
    let (reader, author, post) = reader_and_post(stage).await;
    // One like from before is undone, one like is the reader's own, one message comes twice.
    assert!(
        stage
            .deliver("like-consumer", &[like("before", &post, true, 1)])
            .await
            .is_empty()
    );
    assert_eq!(reader.feed(10).await[0]["likes"], 1);
    let messages = vec![
        like("before", &post, false, 2),
        like(&reader.id, &post, true, 3),
        like("other", &post, true, 4),
        like("other", &post, true, 4),
        like("never", &post, false, 6),
        like("never", &post, true, 5),
    ];
    Scene {
        reader,
        author,
        post,
        messages,
    }
}

async fn likes_are_right(stage: &Backstage, scene: &Scene) {
    let (count, by) = stage.likes_of(&scene.post).await;
    assert_eq!((count, by.len()), (2, 2), "{by:?}");
    for post in [
        scene.reader.feed(10).await.remove(0),
        scene.reader.read_post(&scene.post).await,
    ] {
        assert_eq!((&post["likes"], &post["liked"]), (&json!(2), &json!(true)));
    }
}

async fn follows(stage: &Backstage) -> Scene {
    let (reader, author, post) = reader_and_post(stage).await;
    // The reader unfollows the author, and follows another, whose post the feed doesn't show yet.
    let other = stage.world.user("other");
    let theirs = other.post_id("there before").await;
    let fan_out = stage.take("FanOutQueue").await;
    assert!(stage.deliver("fan-out", &fan_out).await.is_empty());
    let now = purrline::domain::Version::now().micros();
    let messages = vec![
        follow(&reader, &author, false, now + 1),
        follow(&reader, &other, true, now + 2),
        follow(&reader, &other, true, now + 2),
        follow(&other, &reader, true, now + 3),
    ];
    let _ = post;
    Scene {
        reader,
        author: other,
        post: theirs,
        messages,
    }
}

async fn follows_are_right(stage: &Backstage, scene: &Scene) {
    let users = [scene.reader.id.clone(), scene.author.id.clone()];
    stage.assert_exact(&users, &[]).await;
    let me = scene.reader.me().await;
    assert_eq!((&me["following"], &me["followers"]), (&json!(1), &json!(1)));
    assert_eq!(scene.reader.feed_ids(10).await, [scene.post.as_str()]);
}

async fn fan_out(stage: &Backstage) -> Scene {
    let (reader, author, _) = reader_and_post(stage).await;
    assert_eq!(author.feed_ids(10).await.len(), 1);
    let post = author.post_id("now").await;
    Scene {
        reader,
        author,
        post,
        messages: stage.take("FanOutQueue").await,
    }
}

async fn fan_out_is_right(stage: &Backstage, scene: &Scene) {
    for user in [&scene.reader, &scene.author] {
        let feed = user.feed_ids(10).await;
        assert_eq!(
            (feed.len(), &feed[0]),
            (2, &scene.post),
            "the feed of {}",
            user.id
        );
    }
    assert!(stage.unfinished_fan_outs().await.is_empty());
}

async fn photos(stage: &Backstage) -> Scene {
    let (reader, author, post) = reader_and_post(stage).await;
    let _new = author.upload_photo().await;
    let dropped = author.upload_photo().await;
    let mut messages = stage.take("PhotosQueue").await;
    let body = json!({ "images": [dropped] });
    let shown = author.create("/v1/posts", &body).await.expect(201).json();
    author.delete_post(&id_of(&shown)).await;
    stage.take("FanOutQueue").await;
    let review = json!({ "v": 1, "task": "review", "keys": [dropped] }).to_string();
    messages.extend([review.clone(), review]);
    messages.reverse();
    Scene {
        reader,
        author,
        post,
        messages,
    }
}

async fn photos_are_right(stage: &Backstage, scene: &Scene) {
    let rows = stage.pictures().await;
    let theirs = rows
        .iter()
        .filter(|row| text(row, "owner") == scene.author.id);
    let states: Vec<_> = theirs
        .map(|row| (row.contains_key("sizes"), row.contains_key("removing")))
        .collect();
    // The dropped upload is being removed, or gone; the other can be shown.
    let shown: Vec<_> = states.iter().filter(|(_, removing)| !removing).collect();
    assert_eq!(shown, [&(true, false)], "{states:?}");
    let uploads = stage.world.bucket_name("UploadsBucket").unwrap();
    let list = stage.world.s3().list_objects_v2().bucket(uploads);
    let list = list.prefix(format!("uploads/{}/", scene.author.id));
    assert_eq!(list.send().await.unwrap().contents().len(), 1);
}

/// Kills the consumer at its first call, its second, and so on, before and after each. Each time the messages come again, to
/// a new process.
async fn die_at_every_call<S, R>(
    consumer: &str,
    set: impl Fn(Backstage) -> S,
    right: impl Fn(Backstage, Scene) -> R,
) where
    S: Future<Output = Scene>,
    R: Future<Output = ()>,
{
    let stage = stage().await;
    for queue in ["LikesQueue", "FollowsQueue", "FanOutQueue", "PhotosQueue"] {
        pause(&stage, queue).await;
    }
    for when in [When::Before, When::After] {
        let (mut killed_at, mut spared) = (0, 0);
        for nth in 1.. {
            assert!(nth < MOST_CALLS, "{consumer} calls without end");
            let scene = set(stage.clone()).await;
            // A new process also makes the calls that connect it.
            stage.world.kill_function(consumer).unwrap();
            let fault = stage
                .world
                .on_call(FaultRule::kill(consumer, nth, when))
                .unwrap();
            let failed = stage.deliver(consumer, &scene.messages).await;
            let killed = fault.fired() > 0;
            fault.clear();
            assert!(
                killed || failed.is_empty(),
                "{consumer} failed by itself at call {nth}"
            );
            // Twice, since the process may have been killed right after its answer.
            let again = async || stage.deliver(consumer, &scene.messages).await.is_empty();
            assert!(
                again().await || again().await,
                "{consumer} after {when:?} call {nth}"
            );
            right(stage.clone(), scene).await;
            (killed_at, spared) = if killed {
                (nth, 0)
            } else {
                (killed_at, spared + 1)
            };
            // The number of calls that connect a process varies a little.
            if spared == 3 {
                break;
            }
        }
        println!("{consumer}: killed {when:?} each of {killed_at} calls");
        assert!(killed_at > 3, "{consumer} made only {killed_at} calls");
    }
}

/// Fails when a like is counted before or after its edge, or when the cache doesn't learn what a process wrote before it
/// died.
#[tokio::test]
async fn like_consumer_survives_a_crash_at_any_call() {
    die_at_every_call(
        "like-consumer",
        |stage| async move { likes(&stage).await },
        |stage, scene| async move {
            likes_are_right(&stage, &scene).await;
        },
    )
    .await;
}

/// Fails when a follow's two rows and two counters are not one transaction, or when only the delivery that changed the edge
/// forgets the follower's feed.
#[tokio::test]
async fn follow_consumer_survives_a_crash_at_any_call() {
    die_at_every_call(
        "follow-consumer",
        |stage| async move { follows(&stage).await },
        |stage, scene| async move {
            follows_are_right(&stage, &scene).await;
        },
    )
    .await;
}

/// Fails when the outbox mark is cleared before the last push.
#[tokio::test]
async fn fan_out_survives_a_crash_at_any_call() {
    die_at_every_call(
        "fan-out",
        |stage| async move { fan_out(&stage).await },
        |stage, scene| async move {
            fan_out_is_right(&stage, &scene).await;
        },
    )
    .await;
}

/// Fails when a picture is written before its row knows the name, or when a removal that was begun isn't completed by the
/// next delivery.
#[tokio::test]
async fn photo_survives_a_crash_at_any_call() {
    die_at_every_call(
        "photo",
        |stage| async move { photos(&stage).await },
        |stage, scene| async move {
            photos_are_right(&stage, &scene).await;
        },
    )
    .await;
}

/// If the cache doesn't answer, consumers leave invalidations to `sweep` before their time is over, and may be killed
/// while they wait. Fails when a consumer ignores the cache, or forgets only what this very delivery changed.
#[tokio::test]
async fn consumers_may_be_killed_while_waiting_for_the_cache() {
    let stage = stage().await;
    for queue in ["LikesQueue", "FollowsQueue", "FanOutQueue"] {
        pause(&stage, queue).await;
    }
    let (likes, follows, fan_out) = (
        likes(&stage).await,
        follows(&stage).await,
        fan_out(&stage).await,
    );
    let consumers = [
        ("like-consumer", &likes),
        ("follow-consumer", &follows),
        ("fan-out", &fan_out),
    ];
    stage.world.pause_cache().unwrap();
    let deliveries = consumers.map(|(consumer, scene)| stage.deliver(consumer, &scene.messages));
    for (failed, (consumer, _)) in futures::future::join_all(deliveries)
        .await
        .iter()
        .zip(consumers)
    {
        assert!(failed.is_empty(), "{consumer} without a cache");
        assert!(
            stage.world.status().await.unwrap().functions[consumer].errors == 0,
            "{consumer} died"
        );
    }
    let deliveries = consumers.map(|(consumer, scene)| stage.deliver(consumer, &scene.messages));
    let killer = async {
        for (consumer, _) in consumers {
            let running = async || {
                let status = stage.world.status().await.unwrap();
                (status.functions[consumer].running > 0).then_some(())
            };
            eventually("it runs", running).await;
            stage.world.kill_function(consumer).unwrap();
        }
    };
    futures::join!(futures::future::join_all(deliveries), killer);
    stage.world.resume_cache().unwrap();
    // Connections may have to be opened again first.
    let invalidated = async || {
        for (consumer, scene) in consumers {
            stage.deliver(consumer, &scene.messages).await;
        }
        stage.make_overdue().await;
        let swept = stage.world.run_schedule("sweep").await.is_ok();
        let fan_outs = stage.take("FanOutQueue").await;
        stage.deliver("fan-out", &fan_outs).await;
        let (pending, unfinished) =
            futures::join!(stage.invalidations(), stage.unfinished_fan_outs());
        (swept && pending.is_empty() && unfinished.is_empty()).then_some(())
    };
    eventually("the cache is told of all", invalidated).await;
    likes_are_right(&stage, &likes).await;
    follows_are_right(&stage, &follows).await;
    fan_out_is_right(&stage, &fan_out).await;
}

/// `sweep` is killed before and after each of its calls, and run again. Fails when `sweep` postpones posts that it has
/// not sent.
#[tokio::test]
async fn sweep_survives_a_crash_at_any_call() {
    let stage = stage().await;
    pause(&stage, "FanOutQueue").await;
    let (reader, author, first) = reader_and_post(&stage).await;
    let mut posts = vec![first];
    for when in [When::Before, When::After] {
        for nth in 1.. {
            assert!(nth < MOST_CALLS, "sweep calls without end");
            let post: Value = author.post("swept").await;
            posts.insert(0, id_of(&post));
            stage.take("FanOutQueue").await;
            stage.make_overdue().await;
            let fault = stage
                .world
                .on_call(FaultRule::kill("sweep", nth, when))
                .unwrap();
            let died = stage.world.run_schedule("sweep").await.is_err();
            let killed = fault.fired() > 0;
            fault.clear();
            assert_eq!(died, killed);
            let mut messages = stage.take("FanOutQueue").await;
            if messages.is_empty() {
                stage.make_overdue().await;
                stage.world.run_schedule("sweep").await.unwrap();
                messages = stage.take("FanOutQueue").await;
            }
            assert!(stage.deliver("fan-out", &messages).await.is_empty());
            assert!(
                stage.unfinished_fan_outs().await.is_empty(),
                "{when:?} call {nth}"
            );
            assert_eq!(reader.walk_ids("/v1/feed", 50).await, posts);
            if !killed {
                assert!(nth > 9, "sweep made only {} calls", nth - 1);
                break;
            }
        }
    }
}
