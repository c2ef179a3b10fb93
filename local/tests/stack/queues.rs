use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use purrline_local::{Delivery, QueueCounts, Stack};

use super::{SOON, queues_client, start};

async fn send(stack: &Stack, bodies: &[&str]) {
    let client = queues_client(stack);
    for chunk in bodies.chunks(10) {
        let entries = chunk.iter().enumerate().map(|(at, body)| {
            SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(*body)
                .build()
                .unwrap()
        });
        let sent = client
            .send_message_batch()
            .queue_url(stack.queue_url("Work").unwrap())
            .set_entries(Some(entries.collect()));
        assert!(sent.send().await.unwrap().failed().is_empty());
    }
}

fn handled(stack: &Stack) -> Vec<String> {
    let lines = stack.logs("consumer").unwrap();
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("handled ").map(str::to_owned))
        .collect()
}

fn batches(stack: &Stack) -> usize {
    stack
        .logs("consumer")
        .unwrap()
        .iter()
        .filter(|line| line.starts_with("batch of"))
        .count()
}

#[tokio::test]
async fn messages_are_gathered_into_batches() {
    let stack = start().await;
    stack.pause_queue("Work").await.unwrap();
    let bodies: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    send(
        &stack,
        &bodies.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(
        stack.queue_counts("Work").await.unwrap(),
        QueueCounts {
            visible: 50,
            in_flight: 0
        }
    );
    assert!(!stack.drain(Duration::from_millis(50)).await);
    stack.resume_queue("Work").unwrap();
    assert!(stack.drain(SOON).await);
    let mut seen = handled(&stack);
    seen.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(seen, bodies);
    assert_eq!(batches(&stack), 3, "20, 20 and 10");
}

#[tokio::test]
async fn only_failed_messages_are_redelivered_and_then_dead_lettered() {
    let stack = start().await;
    send(&stack, &["a", "fail b", "c"]).await;
    assert!(stack.drain(SOON).await);
    let mut seen = handled(&stack);
    seen.sort();
    assert_eq!(seen, ["a", "c"]);
    assert_eq!(batches(&stack), 2);
    let queue = stack.status().await.unwrap().queues["Work"];
    assert_eq!(
        (queue.visible, queue.in_flight, queue.dead_letters),
        (0, 0, 1)
    );
    assert_eq!(stack.redrive("Work").await.unwrap(), 1);
    assert!(stack.drain(SOON).await);
    assert_eq!(batches(&stack), 4);
}

#[tokio::test]
async fn crash_or_unknown_id_fails_the_whole_batch() {
    for bad in ["crash", "unknown"] {
        let stack = start().await;
        send(&stack, &["a", bad]).await;
        assert!(stack.drain(SOON).await);
        assert_eq!(
            stack.status().await.unwrap().queues["Work"].dead_letters,
            2,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn deliveries_can_be_duplicated_shuffled_and_dropped() {
    let stack = start().await;
    stack.pause_queue("Work").await.unwrap();
    let bodies: Vec<_> = (0..60).map(|n| n.to_string()).collect();
    send(
        &stack,
        &bodies.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    let delivery = Delivery::default()
        .duplicated()
        .shuffled(7)
        .dropping(|body| body == "13");
    stack.deliver("Work", delivery).unwrap();
    stack.resume_queue("Work").unwrap();
    assert!(stack.drain(SOON).await);
    let seen = handled(&stack);
    for body in &bodies {
        let times = seen.iter().filter(|other| *other == body).count();
        assert_eq!(times, if body == "13" { 0 } else { 2 }, "{body}");
    }
    assert!(!seen.is_sorted_by_key(|body| body.parse::<u32>().unwrap()));
}
