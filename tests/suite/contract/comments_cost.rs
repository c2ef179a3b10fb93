//! The bar: a page of 20 comments costs the same reads for a post with 1,000,000 comments as for one with 100.
//!
//! `PURRLINE_COMMENTS` is the number of comments (default 5,000).

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures::{StreamExt, TryStreamExt};
use purrline::domain::{Cursor, Id, IdSource};
use purrline_local::{Call, Service};
use serde_json::Value;

use crate::support::backstage::Backstage;
use crate::support::{User, World, comments};

/// The number of authors who write the comments in turns, so that each is on every page.
const AUTHORS: usize = 7;
/// Comments that one `BatchWriteItem` takes.
const BATCH: usize = 25;

/// Writes `count` comments on a post directly into the table. Returns their ids, oldest first.
async fn write(stage: &Backstage, authors: &[User], post: &str, count: usize) -> Vec<Id> {
    let source = IdSource::new();
    let ids: Vec<Id> = (0..count).map(|_| source.mint()).collect();
    let row = |(n, id): &(usize, &Id)| {
        let attributes = [
            ("post", post.to_owned()),
            ("id", id.to_string()),
            ("author", authors[n % authors.len()].id.clone()),
            ("text", format!("comment {n}")),
        ];
        let put = attributes
            .into_iter()
            .fold(PutRequest::builder(), |put, (name, value)| {
                put.item(name, AttributeValue::S(value))
            });
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    };
    let numbered: Vec<(usize, &Id)> = ids.iter().enumerate().collect();
    let table = stage.table("CommentsTable");
    futures::stream::iter(numbered.chunks(BATCH))
        .map(|batch| {
            let (write, rows) = (stage.tables.batch_write_item(), batch.iter().map(row));
            write.request_items(&table, rows.collect()).send()
        })
        .buffer_unordered(4)
        .try_for_each(async |written| {
            assert!(written.unprocessed_items().is_none_or(HashMap::is_empty));
            Ok(())
        })
        .await
        .unwrap();
    ids
}

/// The cost of a page: calls of each operation of each service, and rows read.
type Cost = BTreeMap<Call, (u64, u64)>;

/// Returns a page of 20 comments after a given one, and its cost.
async fn page(world: &World, reader: &User, post: &str, after: Option<Id>) -> (Vec<Value>, Cost) {
    let mut path = format!("{}?limit=20", comments(post));
    if let Some(after) = after {
        let cursor = Cursor::issue(&format!("comments/{post}"), &after.to_bytes());
        path = format!("{path}&cursor={}", cursor.as_str());
    }
    world.reset_calls();
    let (items, _) = reader.page(&path).await;
    let (calls, rows) = (world.calls(), world.rows_read());
    let cost = |(call, count): (Call, u64)| {
        let rows = rows.get(&call).copied().unwrap_or_default();
        (call, (count, rows))
    };
    // Comments don't use the cache, but a process that has just started connects to it.
    let calls = calls.into_iter();
    let calls = calls.filter(|(call, _)| call.service != Service::Cache);
    (items, calls.map(cost).collect())
}

/// Fails if a page reads more than it shows, because of a filter, an offset, or counting.
#[tokio::test]
async fn a_page_of_comments_costs_the_same_however_many_there_are() {
    let many = std::env::var("PURRLINE_COMMENTS").map_or(5_000, |many| many.parse().unwrap());
    let world = World::own().await;
    let stage = Backstage::of(&world).await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let authors: Vec<User> = (0..AUTHORS)
        .map(|n| world.user(&format!("fan{n}")))
        .collect();
    for user in authors.iter().chain([&reader]) {
        user.me().await;
    }
    let (small, large) = (nabi.post_id("small").await, nabi.post_id("large").await);
    world.wait_until_drained().await;
    let of_small = write(&stage, &authors, &small, 100).await;
    let of_large = write(&stage, &authors, &large, many).await;

    // The newest page, one in the middle, and the last full one.
    let places = |ids: &[Id]| [None, Some(ids[ids.len() / 2]), Some(ids[21])];
    let mut costs = Vec::new();
    for (post, ids) in [(&small, &of_small), (&large, &of_large)] {
        for after in places(ids) {
            let (items, cost) = page(&world, &reader, post, after).await;
            let end = after.map_or(ids.len(), |after| {
                ids.iter().position(|id| *id == after).unwrap()
            });
            let expected: Vec<String> =
                ids[end - 20..end].iter().rev().map(Id::to_string).collect();
            let found: Vec<&str> = items
                .iter()
                .map(|item| item["id"].as_str().unwrap())
                .collect();
            assert_eq!(found, expected);
            costs.push(cost);
        }
    }
    println!(
        "of 100 and of {many} comments, a page of 20 costs: {:#?}",
        costs[0]
    );
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:#?}");
    let made: BTreeMap<&str, (u64, u64)> = costs[0]
        .iter()
        .map(|(call, cost)| (call.operation.as_str(), *cost))
        .collect();
    // The query reads one more comment than is shown, to learn whether there are more. The other reads are the post, its
    // author, the caller and their blocks; then the comments' authors, and the caller again.
    assert_eq!(made["Query"], (1, 21), "{made:?}");
    let (calls, rows) = made["BatchGetItem"];
    assert!(calls <= 5 && rows <= 3 + 8, "{made:?}");
    assert_eq!(made.len(), 2, "{made:?}");
}
