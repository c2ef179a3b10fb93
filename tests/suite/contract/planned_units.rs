//! Operations use the capacity units that `./dev plan` assumes.

use std::collections::BTreeMap;

use purrline_plan::measured::{Measured, Operation, Units};
use serde_json::json;

use crate::support::{World, comments, eventually, id_of, photo, retrying_soon};

/// Operations that read.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

/// Units by table, as the plan names it.
type ByTable = BTreeMap<String, Units>;

/// Returns the units that a function used since the counts were last reset.
fn used_units(world: &World, function: &str) -> ByTable {
    let mut by_table = ByTable::new();
    for ((call, table), units) in world.units_used() {
        if call.function != function {
            continue;
        }
        let of_table = by_table.entry(planned_name(world, &table)).or_default();
        if READS.contains(&call.operation.as_str()) {
            of_table.read += units;
        } else {
            of_table.write += units;
        }
    }
    by_table
}

fn planned_name(world: &World, table: &str) -> String {
    let measured = Measured::built_in().unwrap();
    let names = measured.tables();
    let found = names.iter().copied().find(|name| {
        let known = world.table_name(&format!("{name}Table"));
        known.is_some_and(|known| known == table)
    });
    found.map_or_else(|| table.to_owned(), str::to_owned)
}

/// Returns the units that the plan assumes for operations together.
fn planned_units(operations: &[&str]) -> ByTable {
    let measured = Measured::built_in().unwrap();
    let mut by_table = ByTable::new();
    for name in operations {
        let Operation { units, .. } = measured.operation(name).unwrap();
        for (table, more) in units {
            let of_table = by_table.entry(table.clone()).or_default();
            of_table.read += more.read;
            of_table.write += more.write;
        }
    }
    by_table
}

/// Fails unless the plan assumes the units used, or a little more written ones.
fn assert_planned(what: &str, used: &ByTable, operations: &[&str]) {
    let planned = planned_units(operations);
    println!("{what}: {used:?}");
    assert!(
        used.keys().eq(planned.keys()),
        "{what} uses {used:?}, and is planned to use {planned:?}"
    );
    for (table, used) in used {
        let planned = planned.get(table).copied().unwrap_or_default();
        // The local tables count a local index once in a transaction; the plan counts it twice, to be on the safe side.
        let most = used.write * 4.0 / 3.0;
        assert!(
            planned.read.to_bits() == used.read.to_bits()
                && (used.write..=most).contains(&planned.write),
            "{what} uses {used:?} of {table}, and is planned to use {planned:?}"
        );
    }
}

#[tokio::test]
async fn an_operation_uses_the_planned_units() {
    let world = World::own().await;
    let [author, reader, other] = ["nabi", "coco", "momo"].map(|name| world.user(name));
    let meow = json!({ "text": "meow" });
    // Every call is made once before measuring, since creating a row costs a unit more or less.
    reader.follow(&author).await;
    author.follow(&other).await;
    let first = author.post_id("meow").await;
    reader.like(&first).await;
    world.wait_until_drained().await;
    reader.comment(&first, "purr").await;
    reader.feed(20).await;
    author.upload_photo().await;
    world.wait_until_drained().await;

    world.reset_calls();
    let key = author.upload("image/jpeg", &photo(1280, 960)).await;
    eventually("the picture is made", async || {
        world.wait_until_drained().await;
        (!used_units(&world, "photo").is_empty()).then_some(())
    })
    .await;
    let pictured = used_units(&world, "photo");

    world.reset_calls();
    // With three sizes of a picture and some text, the answer is above 1 KB, as it usually is.
    let shown = json!({ "text": "meow ".repeat(50), "images": [key] });
    let shown = author.create_once("/v1/posts", "photo", &shown).await;
    shown.expect(201);
    let shown = used_units(&world, "post-write");
    world.wait_until_drained().await;

    world.reset_calls();
    let post = author.create_once("/v1/posts", "post", &meow).await;
    let post = id_of(&post.expect(201).json());
    world.wait_until_drained().await;
    let wrote = used_units(&world, "post-write");
    let fanned_out = used_units(&world, "fan-out");
    let indexed = used_units(&world, "index");

    world.reset_calls();
    reader.like(&post).await;
    world.wait_until_drained().await;
    let liked = used_units(&world, "like-consumer");

    world.reset_calls();
    let commented = reader.create_once(&comments(&post), "comment", &meow).await;
    commented.expect(201);
    let commented = used_units(&world, "comment");

    world.reset_calls();
    reader.follow(&other).await;
    world.wait_until_drained().await;
    let followed = used_units(&world, "follow-consumer");

    for (what, used, operations) in [
        ("an upload's picture", pictured, &["make_picture"][..]),
        ("a post with a photo", shown, &["write_post", "post_photo"]),
        ("a post", wrote, &["write_post"]),
        ("its fan-out", fanned_out, &["fan_out_post"]),
        ("its index", indexed, &["index_message"]),
        ("a like", liked, &["apply_like", "count_likes"]),
        ("a comment", commented, &["write_comment"]),
        ("a follow", followed, &["apply_follow"]),
    ] {
        assert_planned(what, &used, operations);
    }
}

/// Deletes a post with a photo. The stack reviews dropped pictures after a second.
#[tokio::test]
async fn removing_a_picture_uses_the_planned_units() {
    let world = World::with(retrying_soon()).await;
    let author = world.user("nabi");
    let photo = author.upload_photo().await;
    let post = author
        .create("/v1/posts", &json!({ "images": [photo] }))
        .await;
    let post = id_of(&post.expect(201).json());
    world.wait_until_drained().await;

    world.reset_calls();
    author.delete_post(&post).await;
    // Both reviews are messages, so the queue is empty only after the second.
    world.wait_until_drained().await;
    let mut dropped = used_units(&world, "post-write");
    dropped.retain(|table, _| table == "Pictures");
    assert_planned("a dropped photo", &dropped, &["drop_photo"]);
    let removed = used_units(&world, "photo");
    assert_planned("its removal", &removed, &["remove_picture"]);
}

/// Bytes that Lambda itself logs for a run: START, END and REPORT, of the lengths in its documentation.
const LAMBDA_LINES: [usize; 3] = [73, 51, 128];
/// Bytes that `CloudWatch` adds to each line.
const PER_LINE: usize = 26;
/// Runs to look at.
const RUNS: usize = 50;

/// A run logs as much as planned, within a tenth. It reads a feed, the most frequent request.
#[tokio::test]
async fn a_run_logs_as_much_as_the_plan_assumes() {
    let world = World::own().await;
    let reader = world.user("reader");
    // Lines of requests, each followed by its metrics.
    let lines_of_runs = async |runs: usize| {
        eventually("all lines are there", async || {
            let lines = world.logs("feed").unwrap();
            let requests = lines
                .iter()
                .filter(|line| line.contains("/v1/feed"))
                .count();
            (requests == runs && lines.last()?.contains("_aws")).then_some(lines)
        })
        .await
    };
    reader.feed(20).await;
    let before = lines_of_runs(1).await.len();
    for _ in 0..RUNS {
        reader.feed(20).await;
    }
    let lines = lines_of_runs(RUNS + 1).await.split_off(before);
    let bytes: usize = lines.iter().map(|line| line.len() + PER_LINE).sum();
    let lambdas: usize = LAMBDA_LINES.iter().map(|line| line + PER_LINE).sum();
    let logged = u32::try_from(bytes / RUNS + lambdas).unwrap();
    let planned = Measured::built_in().unwrap().sizes.log_per_run;
    println!("a run logs {logged} bytes, and is planned to log {planned}");
    assert!(
        (planned / f64::from(logged) - 1.0).abs() < 0.1,
        "a run logs {logged} bytes, and is planned to log {planned}"
    );
}
