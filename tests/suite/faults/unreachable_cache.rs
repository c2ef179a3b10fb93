//! Functions that change the store can't reach the cache, which keeps its content: once it can be reached, outdated
//! content is shown only until the next sweep.

use purrline_local::{Fault, FaultAction, FaultRule, Service, When};

use super::stage;
use crate::support::backstage::{Backstage, id_of};
use crate::support::{User, eventually};

/// Cuts these functions off from the cache.
fn cut_off(stage: &Backstage, functions: &[&str]) -> Vec<Fault> {
    let cut = |function: &&str| {
        let rule = FaultRule::new(When::Before, FaultAction::Disconnect).function(function);
        let rule = rule.service(Service::Cache).times(u64::MAX);
        stage.world.on_call(rule).unwrap()
    };
    functions.iter().map(cut).collect()
}

async fn dead_letters(stage: &Backstage) -> u64 {
    let status = stage.world.status().await.unwrap();
    let queues = status.queues.values();
    queues.map(|queue| queue.dead_letters).sum()
}

/// Returns a reader who follows two authors, the authors, and one post of each, oldest first.
async fn reader_of_two(stage: &Backstage) -> (User, [User; 2], [String; 2]) {
    let reader = stage.world.user("reader");
    let authors = ["first", "second"].map(|name| stage.world.user(name));
    for author in &authors {
        reader.follow(author).await;
    }
    stage.world.wait_until_drained().await;
    let posts = [
        authors[0].post_id("first").await,
        authors[1].post_id("second").await,
    ];
    stage.world.wait_until_drained().await;
    (reader, authors, posts)
}

/// An unfollow, a like, a post and a deletion are applied while readers reach the cache and consumers don't. Their messages
/// are handled, not dead, and the first sweep that reaches the cache corrects it. Fails when a consumer that can't reach the
/// cache forgets about it, or leaves its message to the dead-letter queue.
#[tokio::test]
async fn a_cache_that_was_unreachable_is_corrected_by_the_next_sweep() {
    let stage = stage().await;
    let (reader, [left, other], [theirs, liked]) = reader_of_two(&stage).await;
    let gone = other.post_id("gone").await;
    stage.world.wait_until_drained().await;
    let before = reader.feed_ids(20).await;
    assert_eq!(before, [&gone[..], &liked, &theirs]);

    let consumers = ["follow-consumer", "like-consumer", "fan-out", "sweep"];
    let faults = cut_off(&stage, &consumers);
    reader.unfollow(&left).await;
    reader.like(&liked).await;
    let new = other.post_id("new").await;
    other.delete_post(&gone).await;
    stage.world.wait_until_drained().await;
    assert!(faults[..3].iter().all(|fault| fault.fired() > 0));
    // A reader that found the cache too slow avoids it for a second.
    let before_sweep = eventually("the feed is read from the cache", async || {
        let feed = reader.feed(20).await;
        let shown: Vec<String> = feed.iter().map(id_of).collect();
        (shown == [&liked[..], &theirs]).then_some(feed)
    })
    .await;
    assert_eq!(before_sweep[0]["liked"], false);
    assert_eq!(stage.invalidations().await.len(), 2);
    // The sweep can't reach the cache either: everything waits for the next.
    assert!(stage.world.run_schedule("sweep").await.is_err());
    stage.world.wait_until_drained().await;
    assert_eq!(stage.invalidations().await.len(), 2);
    assert_eq!(dead_letters(&stage).await, 0);

    stage.world.clear_faults();
    stage.world.run_schedule("sweep").await.unwrap();
    stage.world.wait_until_drained().await;
    let feed = reader.feed(20).await;
    let shown: Vec<String> = feed.iter().map(id_of).collect();
    assert_eq!(shown, [&new[..], &liked]);
    assert_eq!(
        (&feed[1]["likes"], &feed[1]["liked"]),
        (&1.into(), &true.into())
    );
    assert!(stage.invalidations().await.is_empty());
    assert!(stage.unfinished_fan_outs().await.is_empty());
    assert_eq!(dead_letters(&stage).await, 0);
}

/// One post is saved and another unsaved while readers reach the cache and `save` doesn't: the requests are answered,
/// and the first sweep corrects the cache. Fails when a stored change is answered with 503 instead of deferring its
/// invalidation.
#[tokio::test]
async fn a_save_that_the_cache_missed_is_shown_after_the_next_sweep() {
    let stage = stage().await;
    let (reader, _, [first, second]) = reader_of_two(&stage).await;
    let save = |post: &str| format!("/v1/posts/{post}/save");
    reader.put(&save(&first)).await.expect(204);
    let shown = async || {
        let feed = reader.feed(20).await;
        feed.iter().map(|post| post["saved"] == true).collect()
    };
    let before: Vec<bool> = shown().await;
    assert_eq!(before, [false, true]);
    let faults = cut_off(&stage, &["save"]);
    reader.put(&save(&second)).await.expect(204);
    reader.delete(&save(&first)).await.expect(204);
    assert!(faults[0].fired() > 0);
    assert_eq!(stage.invalidations().await.len(), 2);
    stage.world.clear_faults();
    stage.world.run_schedule("sweep").await.unwrap();
    eventually("the feed shows it", async || {
        let now: Vec<bool> = shown().await;
        (now == [true, false]).then_some(())
    })
    .await;
    assert!(stage.invalidations().await.is_empty());
}

/// The sweep dies at any of its calls; the next one does what is left. Fails when an invalidation is deleted before the
/// cache has carried it out.
#[tokio::test]
async fn a_killed_sweep_loses_no_cache_invalidation() {
    let stage = stage().await;
    let (reader, [left, _], [_, liked]) = reader_of_two(&stage).await;
    for nth in 1..=8 {
        for when in [When::Before, When::After] {
            reader.follow(&left).await;
            reader.unlike(&liked).await;
            stage.world.wait_until_drained().await;
            let feed = reader.feed(20).await;
            assert_eq!((feed.len(), &feed[0]["likes"]), (2, &0.into()));
            cut_off(&stage, &["follow-consumer", "like-consumer"]);
            reader.unfollow(&left).await;
            reader.like(&liked).await;
            stage.world.wait_until_drained().await;
            stage.world.clear_faults();
            let kill = stage.world.on_call(FaultRule::kill("sweep", nth, when));
            let _ = stage.world.run_schedule("sweep").await;
            kill.unwrap().clear();
            stage.world.run_schedule("sweep").await.unwrap();
            let feed = reader.feed(20).await;
            assert_eq!(
                (feed.len(), &feed[0]["likes"]),
                (1, &1.into()),
                "{nth} {when:?}"
            );
            assert!(stage.invalidations().await.is_empty(), "{nth} {when:?}");
        }
    }
}
