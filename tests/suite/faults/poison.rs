//! Rule 6: a malformed message never blocks others.

use purrline::domain::Version;
use purrline_local::{FaultAction, FaultRule, Service, When};
use serde_json::{Value, json};

use super::followers_of;
use crate::support::backstage::{Backstage, text};
use crate::support::{User, World, eventually, retrying_soon};

const QUEUES: [(&str, &str); 4] = [
    ("LikesQueue", "like-consumer"),
    ("FollowsQueue", "follow-consumer"),
    ("FanOutQueue", "fan-out"),
    ("PhotosQueue", "photo"),
];

/// Returns malformed messages of every kind, made from a good one.
fn poison(good: &Value) -> Vec<String> {
    let mut bad: Vec<String> = [
        "not json",
        " ",
        "{",
        "null",
        "[]",
        "7",
        "\"text\"",
        "{}",
        "{\"v\":1}",
        // A secret that must not be logged.
        "zeugma",
        "\"zeugma\"",
        "{\"zeugma\":1}",
        "{\"v\":\"zeugma\"}",
    ]
    .map(str::to_owned)
    .into();
    bad.push("[".repeat(20_000));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut message = good.clone();
        change(&mut message);
        message.to_string()
    };
    bad.push(with(&|message| message["v"] = json!(2)));
    bad.push(with(&|message| message["v"] = json!("1")));
    bad.push(with(&|message| {
        message["padding"] = json!("x".repeat(200 * 1024));
    }));
    if good["at"].is_number() {
        // With such a time, every later request would seem earlier, or none would ever apply.
        for at in [0, -1, 1, i64::MAX] {
            bad.push(with(&|message| message["at"] = json!(at)));
        }
    }
    for field in good
        .as_object()
        .unwrap()
        .keys()
        .filter(|field| *field != "v")
    {
        bad.push(with(&|message| {
            drop(message.as_object_mut().unwrap().remove(field));
        }));
        bad.push(with(&|message| {
            message[field] = json!({ "of": ["another", "kind"] });
        }));
        bad.push(with(&|message| message[field] = json!("#!")));
    }
    bad
}

async fn scene() -> (Backstage, User, User, String) {
    let options = retrying_soon()
        .parameter("ConsumerTimeoutSeconds", "2")
        .parameter("VisibilityTimeoutSeconds", "2");
    let stage = Backstage::of(&World::with(options).await).await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let post = author.post_id("good").await;
    stage.world.wait_until_drained().await;
    (stage, author, reader, post)
}

fn good(user: &str, author: &User, post: &str) -> [Value; 4] {
    let at = Version::now().micros();
    [
        json!({ "v": 1, "user": user, "post": post, "like": true, "at": at }),
        json!({ "v": 1, "follower": user, "followee": author.id, "follow": true, "at": at }),
        json!({ "v": 1, "post": post, "rev": 0 }),
        json!({ "v": 1, "task": "erase", "user": user }),
    ]
}

/// In one batch, by hand: exactly the bad messages are reported. Fails when one unreadable body fails its batch, or counts
/// as handled.
#[tokio::test]
async fn only_malformed_messages_of_a_batch_are_reported() {
    let (stage, author, _, post) = scene().await;
    let (first, last) = (good("first", &author, &post), good("last", &author, &post));
    for (at, (_, consumer)) in QUEUES.iter().enumerate() {
        let bad = poison(&first[at]);
        let mut batch = vec![first[at].to_string()];
        batch.extend(bad.clone());
        batch.push(last[at].to_string());
        let mut failed = stage.deliver(consumer, &batch).await;
        failed.sort_unstable();
        let unreported: Vec<_> = (1..=bad.len())
            .filter(|at| !failed.contains(at))
            .map(|at| bad[at - 1].clone())
            .collect();
        assert_eq!(
            failed,
            (1..=bad.len()).collect::<Vec<_>>(),
            "{consumer} took {unreported:?}"
        );
        assert_eq!(
            stage.deliver(consumer, &bad).await.len(),
            bad.len(),
            "{consumer}: nothing but bad ones"
        );
    }
    assert_eq!(
        stage.deliver("like-consumer", &[]).await,
        Vec::<usize>::new(),
        "an empty batch"
    );
    assert_eq!(stage.likes_of(&post).await.0, 2);
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[post])
        .await;
    assert_eq!(author.me().await["followers"], 3);
}

/// Through the queues: good messages are applied once; bad ones end in the dead-letter queues after their attempts, and
/// again when they are replayed. Fails when a failed batch takes good messages along, or when a bad one is dropped.
#[tokio::test]
async fn malformed_messages_move_to_the_dead_letter_queue() {
    let (stage, author, reader, post) = scene().await;
    let samples = good("sample", &author, &post);
    let mut expected = [0; 4];
    for (at, (queue, _)) in QUEUES.iter().enumerate() {
        // SQS takes no more than 256 KiB a call.
        let bad: Vec<String> = poison(&samples[at]);
        expected[at] = u64::try_from(bad.len()).unwrap();
        for (number, bad) in bad.chunks(1).enumerate() {
            stage.send(queue, bad).await;
            stage
                .send(
                    queue,
                    &[good(&format!("user-{number}"), &author, &post)[at].to_string()],
                )
                .await;
        }
    }
    let new = author.post_id("among the bad ones").await;
    let resting = async || {
        let status = stage.world.status().await.unwrap();
        let dead = QUEUES.map(|(queue, _)| {
            let name = &stage.world.plan().queue(queue).unwrap().name;
            status.queues[name].dead_letters
        });
        (dead == expected).then_some(())
    };
    eventually("the bad ones rest", resting).await;
    stage.world.wait_until_drained().await;
    let users = usize::try_from(expected[0]).unwrap();
    assert_eq!(stage.likes_of(&post).await.0, users);
    assert_eq!(author.me().await["followers"], 1 + expected[1]);
    stage
        .assert_exact(
            &[author.id.clone(), reader.id.clone()],
            std::slice::from_ref(&post),
        )
        .await;
    assert_eq!(reader.walk_ids("/v1/feed", 10).await, [new, post]);
    assert!(stage.unfinished_fan_outs().await.is_empty());
    let status = stage.world.status().await.unwrap();
    for (_, consumer) in QUEUES {
        assert_eq!(
            status.functions[consumer].errors, 0,
            "{consumer} died of one"
        );
    }
    let moved = stage.world.redrive("LikesQueue").await.unwrap();
    assert_eq!(u64::try_from(moved).unwrap(), expected[0]);
    eventually("they rest again", resting).await;
}

/// Good messages that could not be handled for a long time end in the dead-letter queues too. They are handled when
/// they are replayed after the repair. Fails when dead letters lose what a replay needs.
#[tokio::test]
async fn dead_letters_are_handled_when_replayed() {
    let (stage, author, reader, post) = scene().await;
    let rules = [
        ("like-consumer", "TransactWriteItems"),
        ("follow-consumer", "TransactWriteItems"),
        ("fan-out", "Query"),
    ];
    for (consumer, operation) in rules {
        let rule = FaultRule::new(When::Before, FaultAction::Status(500)).function(consumer);
        stage
            .world
            .on_call(
                rule.service(Service::Tables)
                    .operation(operation)
                    .times(u64::MAX),
            )
            .unwrap();
    }
    let rule = FaultRule::new(When::Before, FaultAction::Status(500)).function("photo");
    let rule = rule.service(Service::Bucket).times(u64::MAX);
    stage.world.on_call(rule).unwrap();
    let photo = author.upload_photo().await;
    let other = stage.world.user("other");
    reader.like(&post).await;
    other.follow(&author).await;
    let new = author.post_id("stuck").await;
    let all_rest = async || {
        let status = stage.world.status().await.unwrap();
        QUEUES
            .iter()
            .all(|(queue, _)| status.queues[*queue].dead_letters == 1)
            .then_some(())
    };
    eventually("all rest", all_rest).await;
    assert_eq!(reader.feed_ids(10).await, [post.as_str()]);
    stage.world.clear_faults();
    for (queue, _) in QUEUES {
        assert_eq!(stage.world.redrive(queue).await.unwrap(), 1);
    }
    stage.world.wait_until_drained().await;
    let pictures = stage.pictures().await;
    assert_eq!(text(&pictures[0], "upload"), photo);
    assert!(pictures[0].contains_key("sizes"));
    let feed = reader.feed(10).await;
    assert_eq!(
        (&feed[0]["id"], &feed[1]["likes"], &feed[1]["liked"]),
        (&json!(new), &json!(1), &json!(true))
    );
    assert_eq!(other.feed_ids(10).await, [new, post.clone()]);
    stage
        .assert_exact(&[author.id.clone(), other.id.clone()], &[post])
        .await;
    assert!(stage.unfinished_fan_outs().await.is_empty());
}
