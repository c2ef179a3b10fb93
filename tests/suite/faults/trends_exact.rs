//! What trends is counted exactly: each post once for each of its tags, whatever is delivered twice or killed.

use std::collections::BTreeMap;

use purrline_local::{Delivery, FaultAction, FaultRule, When};
use serde_json::json;

use super::backstage::{Backstage, Item, text};
use super::stage;

/// All counters that aren't 0, summed by tag.
async fn counted(stage: &Backstage) -> BTreeMap<String, i64> {
    let scan = stage.tables.scan().table_name(stage.table("TrendsTable"));
    let rows = scan.consistent_read(true).into_paginator().items().send();
    let rows: Vec<Item> = rows.collect::<Result<_, _>>().await.unwrap();
    let mut sums = BTreeMap::new();
    for row in rows.iter().filter(|row| row.contains_key("posts")) {
        let posts: i64 = row["posts"].as_n().unwrap().parse().unwrap();
        assert!(posts >= 0, "{row:?}");
        *sums.entry(text(row, "tag")).or_default() += posts;
    }
    sums.retain(|_, posts| *posts != 0);
    sums
}

fn expected<const N: usize>(counts: [(&str, i64); N]) -> BTreeMap<String, i64> {
    counts.map(|(tag, posts)| (tag.to_owned(), posts)).into()
}

/// Fails when the counters move outside the transaction that notes what a post is counted for, when that
/// isn't on condition of what was read, or when it comes after the mark is cleared.
#[tokio::test]
async fn posts_are_counted_once_whatever_is_delivered_twice_or_killed() {
    let stage = stage().await;
    let world = &stage.world;
    let nabi = world.user("nabi");
    world
        .deliver(
            "FanOutQueue",
            Delivery::default().duplicated().shuffled(20_261_122),
        )
        .unwrap();
    let kill = |nth, when| {
        let rule = FaultRule::kill("fan-out", nth, when).operation("TransactWriteItems");
        world.on_call(rule).unwrap()
    };
    let lost = FaultRule::new(When::After, FaultAction::Disconnect)
        .function("fan-out")
        .operation("TransactWriteItems")
        .nth(9)
        .times(2);
    let faults = [
        kill(2, When::Before),
        kill(4, When::After),
        kill(7, When::After),
        world.on_call(lost).unwrap(),
    ];
    let mut posts = Vec::new();
    for n in 0..10 {
        posts.push(nabi.post_id(&format!("#all #t{} #T{}", n % 3, n % 3)).await);
    }
    stage.heal().await;
    let all = expected([("all", 10), ("t0", 4), ("t1", 3), ("t2", 3)]);
    assert_eq!(counted(&stage).await, all);
    assert!(faults.iter().all(|fault| fault.fired() > 0), "{faults:?}");

    let faults = [kill(1, When::After), kill(3, When::Before)];
    // Edited, deleted, and both at once, while the messages of before are still on their way.
    for (at, post) in posts.iter().enumerate() {
        if at % 2 == 0 {
            let edit = json!({ "text": "#all #new" });
            nabi.change(&format!("/v1/posts/{post}"), &edit)
                .await
                .expect(200);
        }
        if at % 5 == 0 {
            nabi.delete_post(post).await;
        }
    }
    stage.heal().await;
    assert!(faults.iter().all(|fault| fault.fired() > 0), "{faults:?}");
    // 0 and 5 are gone; 2, 4, 6 and 8 are edited; 1, 3, 7 and 9 are as they were.
    assert_eq!(
        counted(&stage).await,
        expected([("all", 8), ("new", 4), ("t0", 2), ("t1", 2)])
    );
}

/// A post of yesterday is counted no more, and no less.
#[tokio::test]
async fn posts_older_than_a_day_are_left_out() {
    use purrline::domain::{Draft, Id, Post, PostId, PostText, Timestamp, UserId};
    let stage = stage().await;
    let store = stage.store().await;
    for hours in [23, 25] {
        let written = Timestamp::now().plus_seconds(-3600 * hours);
        let text = PostText::parse(&format!("#h{hours}")).unwrap();
        let post = Post {
            id: PostId(Id::first_of(written)),
            author: UserId::parse("nabi").unwrap(),
            draft: Draft::new(text, vec![], vec![]).unwrap(),
            edited_at: None,
        };
        store
            .create_post(&post, Timestamp::now(), None)
            .await
            .unwrap();
    }
    stage.heal().await;
    assert_eq!(counted(&stage).await, expected([("h23", 1)]));
}
