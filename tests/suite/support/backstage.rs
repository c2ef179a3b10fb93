//! Helpers that work behind the API: they read tables, send and receive messages, and let time pass.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use purrline::cache::{Cache, Push};
use purrline::domain::{ImageHost, PostId, UserId};
use purrline::feed::Feeds;
use purrline::store::Store;
use purrline_local::{ACCESS_KEY, SECRET_KEY};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{User, World};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Time limit for everything to settle after a fault.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);

/// A stack, with access to its tables, queues and cache.
#[derive(Debug, Clone)]
pub(crate) struct Backstage {
    pub(crate) world: World,
    pub(crate) tables: aws_sdk_dynamodb::Client,
    pub(crate) queues: aws_sdk_sqs::Client,
    redis: Arc<OnceCell<MultiplexedConnection>>,
}

impl Backstage {
    pub(crate) async fn of(world: &World) -> Self {
        let endpoints = world.endpoints();
        Self {
            tables: aws_sdk_dynamodb::Client::new(
                &config(&endpoints.tables, &endpoints.region).await,
            ),
            queues: aws_sdk_sqs::Client::new(&config(&endpoints.queues, &endpoints.region).await),
            world: world.clone(),
            redis: Arc::default(),
        }
    }

    // ---- Tables ----

    pub(crate) fn table(&self, logical_id: &str) -> String {
        self.world.table_name(logical_id).unwrap().to_owned()
    }

    /// Returns all items of a partition.
    pub(crate) async fn partition(&self, table: &str, key: &str, value: &str) -> Vec<Item> {
        let query = self
            .tables
            .query()
            .table_name(self.table(table))
            .consistent_read(true);
        let query = query
            .key_condition_expression("#key = :value")
            .expression_attribute_names("#key", key);
        let query =
            query.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        query
            .into_paginator()
            .items()
            .send()
            .collect::<Result<_, _>>()
            .await
            .unwrap()
    }

    /// Returns the rows of a list of follows, from all its shards.
    pub(crate) async fn follows(&self, list: &str, user: &str) -> Vec<Item> {
        let counts = self.item("UsersTable", "id", user).await;
        let shards = counts.map_or(0, |counts| number(&counts, "follower_shards"));
        let mut rows = self
            .partition("FollowsTable", "list", &format!("{list}#{user}"))
            .await;
        for shard in 1..shards {
            let partition = format!("{list}#{user}#{shard}");
            rows.extend(self.partition("FollowsTable", "list", &partition).await);
        }
        rows
    }

    /// Spreads the future followers of a user, who has none yet, over a number of shards.
    pub(crate) async fn spread_followers(&self, user: &User, shards: usize) {
        user.me().await;
        let update = self.tables.update_item();
        update
            .table_name(self.table("UsersTable"))
            .key("id", AttributeValue::S(user.id.clone()))
            .update_expression("SET follower_shards = :shards")
            .expression_attribute_values(":shards", AttributeValue::N(shards.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// Returns the rows of a post's likes, from all their shards.
    pub(crate) async fn likes(&self, post: &str) -> Vec<Item> {
        let shards = (0..16).map(|shard| async move {
            let partition = format!("{post}#{shard}");
            self.partition("LikesTable", "post", &partition).await
        });
        futures::future::join_all(shards).await.concat()
    }

    pub(crate) async fn item(&self, table: &str, key: &str, value: &str) -> Option<Item> {
        let get = self
            .tables
            .get_item()
            .table_name(self.table(table))
            .consistent_read(true);
        get.key(key, AttributeValue::S(value.to_owned()))
            .send()
            .await
            .unwrap()
            .item
    }

    /// Returns a handle's owner and, if it was released, when its reservation ends.
    pub(crate) async fn owner_of(&self, handle: &str) -> Option<(String, Option<i64>)> {
        let row = self.item("HandlesTable", "handle", handle).await?;
        let until = row.get("expires_at");
        let until = until.map(|until| until.as_n().unwrap().parse().unwrap());
        Some((text(&row, "user"), until))
    }

    /// Makes the reservation of a given-up handle end this many seconds from now.
    pub(crate) async fn end_reservation_in(&self, handle: &str, seconds: i64) {
        let until = purrline::domain::Timestamp::now()
            .plus_seconds(seconds)
            .seconds();
        let update = self
            .tables
            .update_item()
            .table_name(self.table("HandlesTable"));
        let update = update
            .key("handle", AttributeValue::S(handle.to_owned()))
            .update_expression("SET expires_at = :until")
            .condition_expression("attribute_exists(expires_at)");
        update
            .expression_attribute_values(":until", AttributeValue::N(until.to_string()))
            .send()
            .await
            .unwrap();
    }

    /// Moves a user's last granted upload into the distant past, and sets one of the numbers of what was granted.
    pub(crate) async fn backdate_upload_grant(&self, user: &User, name: &str, value: i64) {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let update = self.tables.update_item();
        update
            .table_name(self.table("IdempotencyTable"))
            .key("user", AttributeValue::S(user.id.clone()))
            .key("key", AttributeValue::S("granted uploads".to_owned()))
            .update_expression("SET #name = :value, last_at = :long_ago, counted_at = :long_ago")
            .condition_expression("attribute_exists(last_at)")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", number(value))
            .expression_attribute_values(":long_ago", number(1))
            .send()
            .await
            .unwrap();
    }

    /// Returns the posts whose fan-out is not done.
    /// Returns the rows of uploads whose pictures were begun.
    pub(crate) async fn pictures(&self) -> Vec<Item> {
        let scan = self.tables.scan().table_name(self.table("PicturesTable"));
        scan_all(scan.consistent_read(true)).await
    }

    /// Lets two days pass for an upload that nothing shows.
    pub(crate) async fn age_upload(&self, user: &User, key: &str) {
        self.tables
            .update_item()
            .table_name(self.table("PicturesTable"))
            .key("owner", AttributeValue::S(user.id.clone()))
            .key("upload", AttributeValue::S(key.to_owned()))
            .update_expression("SET due_at = :past")
            .condition_expression("attribute_exists(due_at)")
            .expression_attribute_values(":past", AttributeValue::N("1000".to_owned()))
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn unfinished_fan_outs(&self) -> Vec<String> {
        let scan = self.tables.scan().table_name(self.table("PostsTable"));
        let items = scan_all(scan.index_name("outbox")).await;
        items.iter().map(|item| text(item, "id")).collect()
    }

    /// Runs `sweep` as if everything unfinished were overdue.
    pub(crate) async fn sweep(&self) {
        self.make_overdue().await;
        self.world.run_schedule("sweep").await.unwrap();
    }

    /// Makes everything unfinished overdue.
    pub(crate) async fn make_overdue(&self) {
        for post in self.unfinished_fan_outs().await {
            let update = self
                .tables
                .update_item()
                .table_name(self.table("PostsTable"));
            let update = update
                .key("id", AttributeValue::S(post))
                .update_expression("SET due_at = :long_ago");
            // The fan-out may be done by now.
            let update = update.condition_expression("attribute_exists(due_at)");
            let _ = update
                .expression_attribute_values(":long_ago", AttributeValue::N("1".to_owned()))
                .send()
                .await;
        }
    }

    /// Returns the deferred invalidations of the cache.
    pub(crate) async fn invalidations(&self) -> Vec<Item> {
        let of = |list| self.partition("PostListsTable", "list", list);
        let (feeds, likes) = futures::join!(of("invalidations#feeds"), of("invalidations#likes"));
        [feeds, likes].concat()
    }

    /// Sweeps until no fan-out is unfinished, no invalidation is pending, and every queue is empty.
    pub(crate) async fn sweep_until_settled(&self) {
        let started = std::time::Instant::now();
        loop {
            self.world.wait_until_drained().await;
            let (unfinished, pending) =
                (self.unfinished_fan_outs().await, self.invalidations().await);
            if unfinished.is_empty() && pending.is_empty() {
                return;
            }
            assert!(
                started.elapsed() < SETTLE_TIMEOUT,
                "never done: {unfinished:?} {pending:?}"
            );
            self.sweep().await;
        }
    }

    /// Fails unless every counter of these users and posts equals what it counts.
    pub(crate) async fn assert_exact(&self, users: &[String], posts: &[String]) {
        for user in users {
            let counts = self
                .item("UsersTable", "id", user)
                .await
                .unwrap_or_default();
            for list in ["followers", "following"] {
                let edges = self.follows(list, user).await;
                let active = edges.iter().filter(|edge| flag(edge, "active")).count();
                assert_eq!(number(&counts, list), active, "{list} of {user}");
            }
            let posts = self
                .partition("PostListsTable", "list", &format!("author#{user}"))
                .await;
            assert_eq!(number(&counts, "posts"), posts.len(), "posts of {user}");
        }
        for post in posts {
            let likes = self.likes_of(post).await;
            assert_eq!(likes.0, likes.1.len(), "likes of {post}");
            let comments = self.comments_of(post).await;
            assert_eq!(comments.0, comments.1.len(), "comments of {post}");
        }
    }

    /// Returns a post's count of comments, and the ids of the existing comments, newest first.
    pub(crate) async fn comments_of(&self, post: &str) -> (usize, Vec<String>) {
        let rows = self.partition("LikesTable", "post", post).await;
        let counts = rows.iter().find(|row| text(row, "user") == "#count");
        let count = counts.map_or(0, |row| number(row, "comments"));
        let there = self.partition("CommentsTable", "post", post).await;
        (
            count,
            there.iter().rev().map(|row| text(row, "id")).collect(),
        )
    }

    /// Returns a post's count of likes, and the users who like it by its edges.
    pub(crate) async fn likes_of(&self, post: &str) -> (usize, HashSet<String>) {
        let counts = self.partition("LikesTable", "post", post).await;
        let count = counts.first().map_or(0, |row| number(row, "likes"));
        let likes = self.likes(post).await;
        let by = likes.iter().filter(|row| flag(row, "active"));
        (count, by.map(|row| text(row, "user")).collect())
    }

    // ---- Queues ----

    /// Sends messages, ten a call.
    pub(crate) async fn send(&self, queue: &str, bodies: &[String]) {
        let url = self.world.queue_url(queue).unwrap();
        for chunk in bodies.chunks(10) {
            let mut batch = self.queues.send_message_batch().queue_url(url);
            for (at, body) in chunk.iter().enumerate() {
                let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder();
                batch = batch.entries(entry.id(at.to_string()).message_body(body).build().unwrap());
            }
            assert!(batch.send().await.unwrap().failed().is_empty());
        }
    }

    /// Takes all messages off a queue.
    pub(crate) async fn take(&self, queue: &str) -> Vec<String> {
        let taken = self.take_with_times(queue).await;
        taken.into_iter().map(|(body, _)| body).collect()
    }

    /// Takes all messages off a queue, each with the time when the queue took it, in milliseconds by the queue's clock.
    pub(crate) async fn take_with_times(&self, queue: &str) -> Vec<(String, i64)> {
        let url = self.world.queue_url(queue).unwrap();
        let mut bodies = Vec::new();
        loop {
            let receive = self
                .queues
                .receive_message()
                .queue_url(url)
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .max_number_of_messages(10);
            let messages = receive
                .wait_time_seconds(0)
                .send()
                .await
                .unwrap()
                .messages
                .unwrap_or_default();
            if messages.is_empty() {
                return bodies;
            }
            for message in messages {
                let delete = self.queues.delete_message().queue_url(url);
                delete
                    .receipt_handle(message.receipt_handle.unwrap())
                    .send()
                    .await
                    .unwrap();
                let attributes = message.attributes.unwrap();
                let sent = &attributes[&MessageSystemAttributeName::SentTimestamp];
                bodies.push((message.body.unwrap(), sent.parse().unwrap()));
            }
        }
    }

    /// Gives messages to a consumer in one batch. Returns the positions of those that failed; all of them if the function
    /// itself failed.
    pub(crate) async fn deliver(&self, function: &str, bodies: &[String]) -> Vec<usize> {
        let first = bodies.iter().map(|body| (body.clone(), 1));
        self.deliver_with_counts(function, &first.collect::<Vec<_>>())
            .await
    }

    /// Delivers messages like [`Self::deliver`], each with the number of its deliveries, including this one.
    pub(crate) async fn deliver_with_counts(
        &self,
        function: &str,
        messages: &[(String, u32)],
    ) -> Vec<usize> {
        self.deliver_event(function, &batch(messages)).await
    }

    /// Delivers messages like [`Self::deliver_with_counts`], each with the time when the queue took it.
    pub(crate) async fn deliver_with_times(
        &self,
        function: &str,
        messages: &[(String, u32, i64)],
    ) -> Vec<usize> {
        let bodies = messages
            .iter()
            .map(|(body, times, _)| (body.clone(), *times));
        let mut event = batch(&bodies.collect::<Vec<_>>());
        for (at, (_, _, sent)) in messages.iter().enumerate() {
            event["Records"][at]["attributes"]["SentTimestamp"] = json!(sent.to_string());
        }
        self.deliver_event(function, &event).await
    }

    async fn deliver_event(&self, function: &str, event: &Value) -> Vec<usize> {
        match self.world.invoke(function, event).await {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(&answer).unwrap();
                let failures = answer["batchItemFailures"].as_array().unwrap();
                failures
                    .iter()
                    .map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap())
                    .collect()
            }
            Err(_) => (0..event["Records"].as_array().unwrap().len()).collect(),
        }
    }

    // ---- The adapters ----

    pub(crate) async fn store(&self) -> Store {
        let config = config(
            &self.world.endpoints().tables,
            &self.world.endpoints().region,
        )
        .await;
        let names: BTreeMap<String, String> = self.world.environment("feed").unwrap();
        Store::new(&config, |name| {
            names.get(name).cloned().ok_or_else(|| name.to_owned())
        })
        .unwrap()
    }

    pub(crate) async fn cache(&self) -> Cache {
        let cache = Cache::new(self.world.endpoints().cache.as_ref().unwrap()).unwrap();
        cache.ping().await.unwrap();
        cache
    }

    /// Pushes a post onto a user's feed, as a fan-out does.
    pub(crate) async fn push(&self, to: &User, post: &str) {
        let push = Push::of(PostId::parse(post).unwrap());
        let to = UserId::parse(&to.id).unwrap();
        self.cache().await.push(&push, &[to]).await.unwrap();
    }

    pub(crate) async fn feeds(&self) -> Feeds {
        Feeds::new(
            self.store().await,
            self.cache().await,
            ImageHost::new("http://images"),
        )
    }

    /// Returns the cache's keys.
    pub(crate) async fn keys(&self) -> Vec<Vec<u8>> {
        let mut connection = self.redis().await;
        redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut connection)
            .await
            .unwrap()
    }

    /// Sets a key of the cache.
    pub(crate) async fn set_key(&self, key: &str, value: &str) {
        let mut connection = self.redis().await;
        let mut set = redis::cmd("SET");
        set.arg(key).arg(value);
        set.query_async::<()>(&mut connection).await.unwrap();
    }

    /// Deletes the whole search index.
    pub(crate) async fn delete_index(&self) {
        let (s3, bucket) = (self.world.s3(), self.world.bucket_name("SearchBucket"));
        let bucket = bucket.unwrap();
        let listed = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
        assert_eq!(listed.is_truncated(), Some(false), "more than a page");
        for object in listed.contents() {
            let delete = s3.delete_object().bucket(bucket);
            delete.key(object.key().unwrap()).send().await.unwrap();
        }
    }

    /// Records in the cache that a user has reached the limit of follows.
    pub(crate) async fn note_follow_limits(&self, user: &User) {
        let mut set = redis::cmd("SET");
        set.arg(format!("full:{{{}}}", user.id)).arg(1).arg("EX");
        let set = set.arg(600).exec_async(&mut self.redis().await).await;
        set.unwrap();
    }

    pub(crate) async fn evict(&self, key: &[u8]) {
        let mut connection = self.redis().await;
        redis::cmd("DEL")
            .arg(key)
            .exec_async(&mut connection)
            .await
            .unwrap();
    }

    /// Returns the bytes that a key takes in the cache.
    pub(crate) async fn memory(&self, key: &str) -> usize {
        let mut ask = redis::cmd("MEMORY");
        ask.arg("USAGE").arg(key);
        ask.query_async(&mut self.redis().await).await.unwrap()
    }

    /// Returns the seconds until a key expires; less than 0 if it never does.
    pub(crate) async fn ttl(&self, key: &[u8]) -> i64 {
        let mut ask = redis::cmd("TTL");
        ask.arg(key);
        ask.query_async(&mut self.redis().await).await.unwrap()
    }

    /// Returns the one connection to the cache, for tests that don't kill the cache.
    async fn redis(&self) -> MultiplexedConnection {
        let connect = || async {
            let client = redis::Client::open(self.world.endpoints().cache.clone().unwrap());
            client
                .unwrap()
                .get_multiplexed_async_connection()
                .await
                .unwrap()
        };
        self.redis.get_or_init(connect).await.clone()
    }
}

async fn config(endpoint: &str, region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(
            ACCESS_KEY, SECRET_KEY, None, None, "tests",
        ))
        .endpoint_url(endpoint)
        .load()
        .await
}

/// Returns all items of a scan.
pub(crate) async fn scan_all(scan: ScanFluentBuilder) -> Vec<Item> {
    let items = scan.into_paginator().items().send();
    items.collect::<Result<_, _>>().await.unwrap()
}

/// Returns an event with these messages and the number of each one's deliveries. Message ids are positions.
pub(crate) fn batch(bodies: &[(String, u32)]) -> Value {
    let record = |(at, (body, times)): (usize, &(String, u32))| {
        json!({
            "messageId": at.to_string(), "receiptHandle": "r", "body": body,
            "attributes": { "ApproximateReceiveCount": times.to_string() },
            "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "md5OfBody": "", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

pub(crate) fn text(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

pub(crate) fn flag(item: &Item, name: &str) -> bool {
    item.get(name)
        .is_some_and(|value| *value.as_bool().unwrap())
}

/// Returns a counter, or 0 if it is missing.
pub(crate) fn number(item: &Item, name: &str) -> usize {
    item.get(name)
        .map_or(0, |value| value.as_n().unwrap().parse().unwrap())
}

/// Returns the id of a post or user.
pub(crate) fn id_of(item: &Value) -> String {
    item["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {item}"))
        .to_owned()
}
