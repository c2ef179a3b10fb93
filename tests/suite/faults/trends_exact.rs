//! Trends count exactly: each post once for each of its tags, whatever is delivered twice or killed.

use std::collections::BTreeMap;

use purrline_local::{Delivery, FaultAction, FaultRule, When};
use serde_json::json;

use super::stage;
use crate::support::backstage::{Backstage, scan_all, text};

/// Returns the sums of all counters that aren't 0, by tag: authors and posts.
async fn trend_counts(stage: &Backstage) -> BTreeMap<String, (i64, i64)> {
    let scan = stage.tables.scan().table_name(stage.table("TrendsTable"));
    let rows = scan_all(scan.consistent_read(true)).await;
    let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.contains_key("rank")) {
        let rank: i64 = row["rank"].as_n().unwrap().parse().unwrap();
        let (authors, posts) = (rank / 1_000_000_000, rank % 1_000_000_000);
        assert!(authors >= 0 && posts >= authors, "{row:?}");
        let few = row.get("few").map_or(0, |few| few.as_ss().unwrap().len());
        assert_eq!(i64::try_from(few), Ok(authors), "{row:?}");
        let sum = sums.entry(text(row, "tag")).or_default();
        *sum = (sum.0 + authors, sum.1 + posts);
    }
    sums.retain(|_, counts| *counts != (0, 0));
    sums
}

/// Returns the counts of tags that one author used.
fn expected<const N: usize>(counts: [(&str, i64); N]) -> BTreeMap<String, (i64, i64)> {
    counts
        .map(|(tag, posts)| (tag.to_owned(), (1, posts)))
        .into()
}

/// Fails when the counters move outside the transaction that records what a post is counted for, when that transaction isn't
/// conditional on what was read, or when it comes after the mark is cleared.
#[tokio::test]
async fn posts_are_counted_once_despite_redeliveries_and_kills() {
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
    stage.sweep_until_settled().await;
    let all = expected([("all", 10), ("t0", 4), ("t1", 3), ("t2", 3)]);
    assert_eq!(trend_counts(&stage).await, all);
    assert!(faults.iter().all(|fault| fault.fired() > 0), "{faults:?}");

    let faults = [kill(1, When::After), kill(3, When::Before)];
    // Edits, deletions, and both at once, while earlier messages are still on their way.
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
    stage.sweep_until_settled().await;
    assert!(faults.iter().all(|fault| fault.fired() > 0), "{faults:?}");
    // Posts 0 and 5 are deleted; 2, 4, 6 and 8 are edited; 1, 3, 7 and 9 are unchanged.
    assert_eq!(
        trend_counts(&stage).await,
        expected([("all", 8), ("new", 4), ("t0", 2), ("t1", 2)])
    );
}

/// Each author counts once for a tag, whatever the hours of their posts, and in whatever order these are counted, added and
/// deleted.
#[tokio::test]
async fn authors_are_counted_once_over_all_hours() {
    use purrline::domain::{Draft, Id, Post, PostId, PostText, Timestamp, UserId};
    let stage = stage().await;
    let store = stage.store().await;
    let mut posts = Vec::new();
    for (author, hours) in [
        ("nabi", [3, 1, 1, 7]),
        ("coco", [2, 2, 5, 20]),
        ("momo", [9, 9, 9, 9]),
    ] {
        let author = UserId::parse(author).unwrap();
        for (n, hours) in hours.into_iter().enumerate() {
            // Ids of one hour differ by their milliseconds.
            let written = Timestamp::now().plus_seconds(-3600 * hours - i64::try_from(n).unwrap());
            let post = Post {
                id: PostId(Id::first_of(written)),
                author: author.clone(),
                draft: Draft::new(PostText::parse("#cats").unwrap(), vec![], vec![]).unwrap(),
                edited_at: None,
            };
            let now = Timestamp::now();
            store.create_post(&post, now, None).await.unwrap();
            posts.push((author.clone(), post.id));
        }
    }
    stage.sweep_until_settled().await;
    let cats = |authors, posts| BTreeMap::from([("cats".to_owned(), (authors, posts))]);
    assert_eq!(trend_counts(&stage).await, cats(3, 12));
    // One author's latest posts, all but one of another's, and all of the third's.
    for at in [1, 2, 4, 5, 6, 8, 9, 10, 11] {
        let (author, post) = &posts[at];
        store
            .delete_post(*post, author, Timestamp::now())
            .await
            .unwrap();
    }
    stage.sweep_until_settled().await;
    assert_eq!(trend_counts(&stage).await, cats(2, 3));
}

/// A post older than a day is neither counted nor subtracted.
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
    stage.sweep_until_settled().await;
    assert_eq!(trend_counts(&stage).await, expected([("h23", 1)]));
}
