//! Rules 1 and 7: a post that was answered reaches all followers, a post that was not answered exists completely or not
//! at all, and repeating the request completes it.

use std::collections::HashMap;
use std::time::Duration;

use purrline_local::{Delivery, FaultAction, FaultRule, Service, When};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{followers_of, stage};
use crate::support::backstage::{Backstage, id_of};
use crate::support::{User, World, retrying_soon};

const TRIES: usize = 100;

/// The fault of one attempt.
#[derive(Debug, Clone)]
enum PostFault {
    /// The client disconnects after this number of milliseconds.
    Cut(u64),
    /// The function is killed, or one of its calls fails.
    Fault(FaultRule),
    /// A message is lost.
    Drop,
}

fn at(service: Service, operation: &str, when: When, action: FaultAction, times: u64) -> PostFault {
    let rule = FaultRule::new(when, action)
        .function("post-write")
        .service(service);
    PostFault::Fault(
        if operation.is_empty() {
            rule
        } else {
            rule.operation(operation)
        }
        .times(times),
    )
}

fn kill(operation: &str, when: When) -> PostFault {
    let rule = FaultRule::kill("post-write", 1, when);
    PostFault::Fault(rule.operation(operation))
}

/// Returns everything that may go wrong with a post, repeatedly; slow faults only once.
fn post_faults() -> Vec<PostFault> {
    use FaultAction::{Delay, Disconnect, Hang, Status};
    use Service::{Queues, Tables};
    use When::{After, Before};
    let mut post_faults = Vec::new();
    for nth in 1..=6 {
        for when in [Before, After] {
            post_faults.push(PostFault::Fault(FaultRule::kill("post-write", nth, when)));
        }
    }
    for when in [Before, After] {
        post_faults.extend([kill("TransactWriteItems", when), kill("SendMessage", when)]);
        for (service, operation) in [(Tables, "TransactWriteItems"), (Tables, ""), (Queues, "")] {
            post_faults.push(at(service, operation, when, Status(500), 1));
            post_faults.push(at(service, operation, when, Status(503), u64::MAX));
            post_faults.push(at(service, operation, when, Disconnect, 1));
            post_faults.push(at(service, operation, when, Disconnect, u64::MAX));
        }
    }
    post_faults.push(at(
        Tables,
        "TransactWriteItems",
        After,
        Delay(Duration::from_millis(300)),
        1,
    ));
    let slow = [
        at(Tables, "TransactWriteItems", After, Hang, 1),
        at(Queues, "", Before, Hang, u64::MAX),
    ];
    let often = TRIES - slow.len();
    let cuts = (0..often).map(|at| PostFault::Cut(u64::try_from(at % 12).unwrap()));
    let mut mixed: Vec<PostFault> = post_faults
        .into_iter()
        .zip(cuts)
        .flat_map(|(post_fault, cut)| [post_fault, cut])
        .collect();
    mixed.push(PostFault::Drop);
    let mut post_faults: Vec<PostFault> = mixed.into_iter().cycle().take(often).collect();
    post_faults.extend(slow);
    post_faults
}

/// Returns the request of an attempt, with its own key and body. Some have an image.
fn request(author: &User, image: &str, number: usize) -> RequestBuilder {
    let mut body = json!({ "text": format!("try {number}") });
    if number.is_multiple_of(3) {
        body["images"] = json!([image]);
    }
    author
        .request(Method::POST, "/v1/posts")
        .header("idempotency-key", format!("try-{number}"))
        .json(&body)
}

/// Sends the request under a fault. Returns the post if it was answered.
async fn attempt(
    stage: &Backstage,
    author: &User,
    image: &str,
    number: usize,
    post_fault: PostFault,
) -> Option<String> {
    let sent = author.try_send(request(author, image, number));
    let reply = match post_fault {
        PostFault::Cut(after) => tokio::time::timeout(Duration::from_millis(after), sent)
            .await
            .ok()?
            .unwrap(),
        PostFault::Drop => {
            stage
                .world
                .deliver("FanOutQueue", Delivery::default().dropping(|_| true))
                .unwrap();
            let reply = sent.await.unwrap();
            stage.world.wait_until_drained().await;
            stage
                .world
                .deliver("FanOutQueue", Delivery::default())
                .unwrap();
            reply
        }
        PostFault::Fault(rule) => {
            let killing = rule.action == FaultAction::KillCaller;
            let fault = stage.world.on_call(rule.clone()).unwrap();
            let reply = sent.await.unwrap();
            fault.clear();
            match reply.status {
                201 => {}
                // The load balancer's answer when the function dies.
                502 => assert!(killing && fault.fired() > 0, "{rule:?}: {}", reply.text()),
                _ => {
                    reply.problem(503);
                    assert!(reply.header("retry-after").is_some(), "{rule:?}");
                }
            }
            reply
        }
    };
    (reply.status == 201).then(|| id_of(&reply.json()))
}

/// Returns all posts of the author by their texts, after checking that all users see the same.
async fn posts_seen_by_all(author: &User, followers: &[User]) -> HashMap<String, String> {
    let list = author
        .walk(&format!("/v1/users/{}/posts", author.id), 100)
        .await;
    let ids: Vec<String> = list.iter().map(id_of).collect();
    assert_eq!(author.me().await["posts"], ids.len(), "the count of posts");
    assert_eq!(
        author.walk_ids("/v1/feed", 33).await,
        ids,
        "the author's feed"
    );
    for follower in followers {
        assert_eq!(
            follower.walk_ids("/v1/feed", 20).await,
            ids,
            "the feed of {}",
            follower.id
        );
    }
    for id in &ids {
        author.read_post(id).await;
    }
    let by_text: HashMap<String, String> = list
        .iter()
        .map(|post: &Value| (post["text"].as_str().unwrap().to_owned(), id_of(post)))
        .collect();
    assert_eq!(by_text.len(), ids.len(), "a try is there twice: {list:#?}");
    by_text
}

/// The bar of rule 1: in 100 attempts a client disconnects, the function is killed at any call, the store, the queue and the
/// bucket answer 5xx, close the connection or hang, or a message is lost. Every 201 reaches every follower; every other
/// attempt stores the post wholly or leaves nothing; each repeated request makes one post.
///
/// Fails without the outbox mark; without `sweep`; when the mark is cleared early; when the post, its list entry, its count
/// and its idempotency record are not one transaction; or when a fan-out that wasn't queued fails the request.
#[tokio::test]
async fn a_post_is_atomic() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let followers = followers_of(&stage, &author, 3).await;
    let image = author.upload_photo().await;
    let mut answered = HashMap::new();
    for (number, post_fault) in post_faults().into_iter().enumerate() {
        if let Some(id) = attempt(&stage, &author, &image, number, post_fault).await {
            answered.insert(format!("try {number}"), id);
        }
    }
    // A request whose client disconnected may still run.
    stage.sweep_until_settled().await;
    let there = posts_seen_by_all(&author, &followers).await;
    for (text, id) in &answered {
        assert_eq!(there.get(text), Some(id), "{text} was answered");
    }
    assert!(
        answered.len() > TRIES / 4,
        "only {} of {TRIES} were answered",
        answered.len()
    );
    assert!(there.len() < TRIES, "nothing ever failed");

    for number in 0..TRIES {
        let again = author
            .send(request(&author, &image, number))
            .await
            .expect(201);
        let id = id_of(&again.json());
        assert_eq!(
            again.header("location"),
            Some(format!("/v1/posts/{id}").as_str())
        );
        if let Some(known) = there.get(&format!("try {number}")) {
            assert_eq!(id, *known, "try {number} was there");
        }
    }
    stage.sweep_until_settled().await;
    assert_eq!(posts_seen_by_all(&author, &followers).await.len(), TRIES);
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[])
        .await;
    println!(
        "of {TRIES} tries {} were answered, {} were there, all after a retry",
        answered.len(),
        there.len()
    );
}

/// Rule 7: the store writes the post, and its answer is lost. Even without an idempotency key, there is one post. Fails when
/// a retried call counts as a new one.
#[tokio::test]
async fn an_answer_lost_on_the_way_makes_no_second_post() {
    let stage = stage().await;
    let author = stage.world.user("author");
    for number in 1..=5 {
        let rule =
            FaultRule::new(When::After, FaultAction::Disconnect).operation("TransactWriteItems");
        let fault = stage.world.on_call(rule).unwrap();
        author.post(&format!("once {number}")).await;
        assert_eq!(fault.fired(), 1);
        stage.sweep_until_settled().await;
        let posts = author
            .walk_ids(&format!("/v1/users/{}/posts", author.id), 50)
            .await;
        assert_eq!(posts.len(), number);
        assert_eq!(author.me().await["posts"], number);
    }
}

/// Rule 7: many identical requests at once, as from an impatient client, to as many processes, make one post and have one
/// answer. Fails when the key is only looked up, and not part of the transaction.
#[tokio::test]
async fn concurrent_identical_requests_make_one_post() {
    let stage = stage().await;
    let author = stage.world.user("author");
    for round in 0..20 {
        let body = json!({ "text": format!("round {round}") });
        let key = format!("key-{round}");
        let requests = (0..8).map(|_| author.create_once("/v1/posts", &key, &body));
        let replies = futures::future::join_all(requests).await;
        let posts: Vec<Value> = replies
            .into_iter()
            .map(|reply| reply.expect(201).json())
            .collect();
        assert!(posts.iter().all(|post| *post == posts[0]), "{posts:#?}");
        let listed = author
            .walk_ids(&format!("/v1/users/{}/posts", author.id), 50)
            .await;
        assert_eq!((listed.len(), &listed[0]), (round + 1, &id_of(&posts[0])));
    }
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[])
        .await;
}

/// Rule 1: fan-outs are lost, come twice or in any order. Fails without the outbox.
#[tokio::test]
async fn fan_outs_dropped_doubled_and_shuffled_reach_everybody() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let followers = followers_of(&stage, &author, 3).await;
    let mut posted = Vec::new();
    for delivery in [
        Delivery::default().duplicated(),
        Delivery::default().shuffled(7).duplicated(),
        Delivery::default().dropping(|_| true),
    ] {
        stage.world.pause_queue("FanOutQueue").await.unwrap();
        for _ in 0..12 {
            posted.insert(0, author.post_id("meow").await);
        }
        stage.world.deliver("FanOutQueue", delivery).unwrap();
        stage.world.resume_queue("FanOutQueue").unwrap();
        stage.world.wait_until_drained().await;
    }
    stage
        .world
        .deliver("FanOutQueue", Delivery::default())
        .unwrap();
    for follower in &followers {
        assert_eq!(
            follower.walk_ids("/v1/feed", 10).await,
            posted[12..],
            "without those lost"
        );
    }
    assert_eq!(stage.unfinished_fan_outs().await.len(), 12);
    stage.sweep_until_settled().await;
    for follower in &followers {
        assert_eq!(follower.walk_ids("/v1/feed", 10).await, posted);
    }
}

/// Rule 1 by the clock: what a crash left behind is due after `OutboxSeconds`, not before, and the schedule alone heals it.
/// Fails when `sweep` resends what isn't due, or nothing at all.
#[tokio::test]
async fn sweep_sends_overdue_fan_outs_again() {
    let stage =
        Backstage::of(&World::with(retrying_soon().parameter("OutboxSeconds", "2")).await).await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    stage
        .world
        .deliver("FanOutQueue", Delivery::default().dropping(|_| true))
        .unwrap();
    let post = author.post_id("lost").await;
    stage.world.wait_until_drained().await;
    stage
        .world
        .deliver("FanOutQueue", Delivery::default())
        .unwrap();
    stage.world.run_schedule("sweep").await.unwrap();
    stage.world.wait_until_drained().await;
    assert_eq!(
        reader.feed_ids(5).await,
        Vec::<String>::new(),
        "sent again before it was due"
    );
    crate::support::eventually("sweep heals it", async || {
        stage.world.run_schedule("sweep").await.unwrap();
        stage.world.wait_until_drained().await;
        (reader.feed_ids(5).await == [post.as_str()]).then_some(())
    })
    .await;
    assert!(stage.unfinished_fan_outs().await.is_empty());
}
