//! Functions that take too long are killed; the caller is answered, and the work is done again.

use std::process::Command;
use std::time::{Duration, Instant};

use purrline_local::{FaultAction, FaultRule, InvokeError, Outage, Service, When};
use serde_json::json;

use super::{LONGEST, followers_of, stage};
use crate::support::backstage::{Backstage, batch};
use crate::support::{World, retrying_soon};

/// Suspends all processes of a function (SIGSTOP), so that even their own timers stop.
fn freeze(stage: &Backstage, function: &str) {
    let name = format!("AWS_SDK_UA_APP_ID={function}.");
    let tables = format!(
        "AWS_ENDPOINT_URL_DYNAMODB={}",
        stage.world.endpoints().tables
    );
    let frozen = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let environment: Vec<_> = environment
                .split(|byte| *byte == 0)
                .map(String::from_utf8_lossy)
                .collect();
            environment
                .iter()
                .any(|variable| variable.starts_with(&name))
                && environment.iter().any(|variable| *variable == tables)
        });
    let pids: Vec<String> = frozen
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!pids.is_empty(), "no process of {function}");
    assert!(
        Command::new("kill")
            .arg("-STOP")
            .args(pids)
            .status()
            .unwrap()
            .success()
    );
}

/// A suspended consumer is killed when its time is over, and its messages come again. Fails when a message is acknowledged
/// before it is handled.
#[tokio::test]
async fn a_frozen_consumer_is_killed_and_its_work_done_again() {
    let options = retrying_soon().parameter("ConsumerTimeoutSeconds", "2");
    let stage = Backstage::of(&World::with(options).await).await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let post = author.post_id("freeze").await;
    stage.world.wait_until_drained().await;
    let rule = FaultRule::new(When::After, FaultAction::Delay(Duration::from_secs(1)));
    let fault = stage
        .world
        .on_call(
            rule.function("like-consumer")
                .operation("TransactWriteItems"),
        )
        .unwrap();
    let errors = async || stage.world.status().await.unwrap().functions["like-consumer"].errors;
    reader.like(&post).await;
    fault.wait().await;
    freeze(&stage, "like-consumer");
    crate::support::eventually("it is killed", async || (errors().await == 1).then_some(())).await;
    stage.world.wait_until_drained().await;
    stage.assert_exact(&[], std::slice::from_ref(&post)).await;
    let seen = reader.feed(1).await.remove(0);
    assert_eq!((&seen["likes"], &seen["liked"]), (&json!(1), &json!(true)));
    assert_eq!(errors().await, 1);
}

/// A request to a suspended function is answered when its time is over; the post that the function stored reaches all
/// followers. Fails when the function's process is not killed.
#[tokio::test]
async fn a_frozen_writer_is_killed_and_its_post_fanned_out() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    author.post("warm").await;
    let rule = FaultRule::new(When::After, FaultAction::Delay(Duration::from_secs(1)));
    let fault = stage
        .world
        .on_call(rule.function("post-write").operation("TransactWriteItems"))
        .unwrap();
    let started = Instant::now();
    let body = json!({ "text": "frozen" });
    let (reply, ()) = futures::join!(author.create_once("/v1/posts", "frozen", &body), async {
        fault.wait().await;
        freeze(&stage, "post-write");
    });
    assert_eq!(reply.status, 502, "what the load balancer says");
    assert!(
        started.elapsed() < LONGEST + Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    let again = author
        .create_once("/v1/posts", "frozen", &body)
        .await
        .expect(201)
        .json();
    stage.sweep_until_settled().await;
    let feed = reader.feed(10).await;
    assert_eq!(feed.len(), 2, "{feed:#?}");
    assert_eq!(feed[0]["id"], again["id"]);
}

/// A consumer whose calls hang gives up by itself before its time is over, and reports which messages failed. Fails when
/// consumers don't know their deadline.
#[tokio::test]
async fn a_consumer_whose_calls_hang_gives_up_in_time() {
    let options = retrying_soon().parameter("ConsumerTimeoutSeconds", "2");
    let stage = Backstage::of(&World::with(options).await).await;
    let author = stage.world.user("author");
    let post = author.post_id("hang").await;
    stage.world.wait_until_drained().await;
    let at = purrline::domain::Version::now();
    let messages = [
        (
            "like-consumer",
            json!({ "v": 1, "user": "u", "post": post, "like": true, "at": at }),
        ),
        (
            "follow-consumer",
            json!({ "v": 1, "follower": "u", "followee": author.id, "follow": true, "at": at }),
        ),
        ("fan-out", json!({ "v": 1, "post": post, "rev": 0 })),
    ];
    stage.world.stop_service(Service::Tables, Outage::Hang);
    let invocations = messages.clone().map(|(consumer, message)| {
        let bodies = [message.to_string(), "not json".to_owned()].map(|body| (body, 1));
        let stage = &stage;
        async move { stage.world.invoke(consumer, &batch(&bodies)).await }
    });
    for (answer, (consumer, _)) in futures::future::join_all(invocations)
        .await
        .into_iter()
        .zip(&messages)
    {
        let answer = answer.unwrap_or_else(|error: InvokeError| panic!("{consumer}: {error}"));
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            answer["batchItemFailures"].as_array().unwrap().len(),
            2,
            "{consumer}: {answer}"
        );
    }
    stage.world.resume_service(Service::Tables);
    for (consumer, message) in messages {
        assert!(
            stage
                .deliver(consumer, &[message.to_string()])
                .await
                .is_empty()
        );
    }
    stage
        .assert_exact(std::slice::from_ref(&author.id), &[post])
        .await;
}
