//! The speed of search: with a small index in every run, and with a large one if `PURRLINE_POSTS` is its number of posts:
//! `PURRLINE_POSTS=100000 ./dev test search_is_fast -- --nocapture`.

#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures to be printed, and made-up words"
)]

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use purrline::domain::{Id, Timestamp};
use serde_json::json;

use super::search::encoded;
use crate::support::World;
use crate::support::backstage::{Backstage, Item};

/// The limit for the 95th percentile of searches, in the function.
const P95: Duration = Duration::from_millis(50);

/// A generator of numbers, the same each time (Steele, Lea and Flood's `SplitMix`).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns one of the words, the first ones far more often, as in real text.
    fn one_of<'a>(&mut self, words: &'a [String]) -> &'a str {
        let unit = |n: u64| (n >> 11) as f64 / (1_u64 << 53) as f64;
        let at = (words.len() as f64).powf(unit(self.next())) as usize - 1;
        &words[at.min(words.len() - 1)]
    }
}

struct Words {
    korean: Vec<String>,
    english: Vec<String>,
    particles: Vec<String>,
}

impl Words {
    fn new() -> Self {
        let mut numbers = Numbers(1);
        let mut korean: Vec<String> = [
            "고양이",
            "우리",
            "오늘",
            "나비",
            "집사",
            "간식",
            "창가",
            "낮잠",
            "산책",
            "러시안블루",
        ]
        .map(str::to_owned)
        .into();
        let mut english: Vec<String> = [
            "cat", "the", "my", "sleep", "cute", "today", "kitten", "window", "play", "blue",
        ]
        .map(str::to_owned)
        .into();
        // About a thousand common syllables, and made-up words of two to four of them.
        let syllable =
            |n: u64| char::from_u32(0xac00 + u32::try_from(n % 1100).unwrap() * 10).unwrap();
        while korean.len() < 20_000 {
            let length = 2 + numbers.next() % 3;
            korean.push((0..length).map(|_| syllable(numbers.next())).collect());
        }
        while english.len() < 20_000 {
            let length = 3 + numbers.next() % 7;
            let letter = |n: u64| char::from(b'a' + u8::try_from(n % 26).unwrap());
            english.push((0..length).map(|_| letter(numbers.next())).collect());
        }
        let particles = ["가", "는", "를", "", "에서", "의", "도"]
            .map(str::to_owned)
            .into();
        Self {
            korean,
            english,
            particles,
        }
    }

    fn text(&self, numbers: &mut Numbers) -> String {
        let mut text = String::new();
        let korean = !numbers.next().is_multiple_of(3);
        for _ in 0..5 + numbers.next() % 30 {
            if korean {
                text.push_str(numbers.one_of(&self.korean));
                text.push_str(numbers.one_of(&self.particles));
            } else {
                text.push_str(numbers.one_of(&self.english));
            }
            text.push(' ');
        }
        for _ in 0..numbers.next() % 4 {
            let words = if korean { &self.korean } else { &self.english };
            text.push('#');
            text.push_str(numbers.one_of(words));
            text.push(' ');
        }
        text
    }

    /// Returns a query such as people type: one or two words, mostly common ones.
    fn query(&self, numbers: &mut Numbers) -> (&'static str, String) {
        let words = if numbers.next().is_multiple_of(2) {
            &self.korean
        } else {
            &self.english
        };
        let one = numbers.one_of(words).to_owned();
        match numbers.next() % 8 {
            0 => ("tags", one.chars().take(2).collect()),
            1 => ("users", one),
            2 => ("posts", one.chars().take(1).collect()),
            3 | 4 => ("posts", format!("{one} {}", numbers.one_of(words))),
            _ => ("posts", one),
        }
    }
}

/// Returns a post's row, as the store has it.
fn row(id: &str, text: &str) -> Item {
    let s = |text: &str| AttributeValue::S(text.to_owned());
    [
        ("id", s(id)),
        ("author", s(&format!("author{}", id.len()))),
        ("rev", AttributeValue::N("0".to_owned())),
        ("text", s(text)),
        ("images", AttributeValue::L(Vec::new())),
        ("cats", AttributeValue::L(Vec::new())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

async fn store(stage: &Backstage, rows: Vec<Item>) {
    let put = |row| {
        let put = PutRequest::builder().set_item(Some(row)).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    let write = stage.tables.batch_write_item();
    let write = write.request_items(
        stage.table("PostsTable"),
        rows.into_iter().map(put).collect(),
    );
    assert!(
        write
            .send()
            .await
            .unwrap()
            .unprocessed_items
            .unwrap_or_default()
            .is_empty()
    );
}

async fn bucket_bytes(stage: &Backstage) -> (usize, i64) {
    let list = stage.world.s3().list_objects_v2();
    let list = list.bucket(stage.world.bucket_name("SearchBucket").unwrap());
    let objects: Vec<_> = list
        .into_paginator()
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .unwrap()
        .into_iter()
        .flat_map(|page| page.contents.unwrap_or_default())
        .collect();
    let sizes = objects.iter().filter_map(aws_sdk_s3::types::Object::size);
    (objects.len(), sizes.sum())
}

/// Returns the number of objects of the newest generation, and their size.
async fn index_bytes(stage: &Backstage) -> (usize, i64) {
    let s3 = stage.world.s3();
    let bucket = stage.world.bucket_name("SearchBucket").unwrap();
    let newest = s3
        .list_objects_v2()
        .bucket(bucket)
        .prefix("v1/manifests/")
        .max_keys(1);
    let newest = newest
        .send()
        .await
        .unwrap()
        .contents
        .unwrap()
        .remove(0)
        .key
        .unwrap();
    let body = s3
        .get_object()
        .bucket(bucket)
        .key(newest)
        .send()
        .await
        .unwrap()
        .body;
    let manifest: serde_json::Value =
        serde_json::from_slice(&body.collect().await.unwrap().to_vec()).unwrap();
    let mut bytes = 0;
    let objects = manifest["objects"].as_object().unwrap();
    for name in objects.keys() {
        let head = s3
            .head_object()
            .bucket(bucket)
            .key(format!("v1/data/{name}"));
        bytes += head
            .send()
            .await
            .unwrap()
            .content_length()
            .unwrap_or_default();
    }
    (objects.len(), bytes)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// Fails if a search takes more than 50 ms in the function.
#[tokio::test]
async fn search_is_fast() {
    let posts: usize = std::env::var("PURRLINE_POSTS").map_or(600, |posts| posts.parse().unwrap());
    let large = posts > 10_000;
    let mut options = World::options().parameter("ConsumerTimeoutSeconds", "60");
    options.workers = 1;
    let options = options.parameter("VisibilityTimeoutSeconds", "60");
    let stage = Backstage::of(&World::with(options).await).await;
    let (words, mut numbers) = (Words::new(), Numbers(2));
    let start = Timestamp::now().millis() - i64::try_from(posts).unwrap() * 60_000;
    let (mut indexing, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let mut done = 0;
    while done < posts {
        let mut messages = Vec::new();
        let batch = (posts - done).min(if large { 1000 } else { 200 });
        for rows in 0..batch.div_ceil(25) {
            let mut some = Vec::new();
            for n in rows * 25..(rows * 25 + 25).min(batch) {
                let minute = i64::try_from(done + n).unwrap() * 60_000;
                let id = Id::first_of(Timestamp::from_millis(start + minute)).to_string();
                some.push(row(&id, &words.text(&mut numbers)));
                messages.push(json!({ "v": 1, "kind": "post", "id": id }).to_string());
            }
            store(&stage, some).await;
        }
        let started = Instant::now();
        assert!(stage.deliver("index", &messages).await.is_empty());
        indexing += started.elapsed();
        slowest = slowest.max(started.elapsed());
        done += batch;
    }
    let (objects, bytes) = index_bytes(&stage).await;
    println!(
        "{posts} posts indexed in {indexing:?}, {:.0} a second, the slowest batch {slowest:?}",
        posts as f64 / indexing.as_secs_f64()
    );
    println!(
        "the index: {objects} objects of {bytes} bytes; with what is left of earlier generations {:?}",
        bucket_bytes(&stage).await
    );
    let reader = stage.world.user("reader");
    let search = async |kind: &str, q: &str| -> Duration {
        let path = format!("/v1/search?type={kind}&q={}", encoded(q));
        let started = Instant::now();
        reader.get(&path).await.expect(200);
        started.elapsed()
    };
    println!(
        "a function's first search, with its start and the download: {:?}",
        search("posts", "고양이").await
    );
    // By the stack's own clock, including the store's part: the client's clock would add the load balancer.
    let mut taken = Vec::new();
    for _ in 0..if large { 2000 } else { 200 } {
        let (kind, q) = words.query(&mut numbers);
        taken.push(search(kind, &q).await);
    }
    taken.sort_unstable();
    let status = stage.world.status().await.unwrap();
    let (search, index) = (&status.functions["search"], &status.functions["index"]);
    println!(
        "a search over HTTP: p50 {:?}, p95 {:?}, longest {:?}",
        percentile(&taken, 50),
        percentile(&taken, 95),
        taken.last()
    );
    println!("in the function: {:?} ms", search.duration_ms);
    println!(
        "memory at the most: search {} MB, index {} MB",
        search.peak_memory_mb, index.peak_memory_mb
    );
    if large {
        assert!(percentile(&taken, 95) < P95);
    }
}
