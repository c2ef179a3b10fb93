//! The load of an average day on functions, tables, queues, bucket and cache.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Error;
use crate::measured::{Answer, Measured, Operation, Units, on_memory};
use crate::template::Template;
use crate::usage::{DAY_SECONDS, Usage, Width};

/// Ids that a page of the feed requests: 20, and three in case some are hidden (shared/src/feed.rs, `SPARE`).
const IDS_READ: f64 = 23.0;
/// Runs of sweep a day: one each minute.
const SWEEPS: f64 = 1_440.0;
/// Calls a day of an idle queue's mapping: Lambda polls with five calls at a time, each of which waits 20 s
/// (`ReceiveMessageWaitTimeSeconds`).
const IDLE_POLLS: f64 = 5.0 * DAY_SECONDS / 20.0;
/// Messages that one call receives or deletes.
const PER_CALL: f64 = 10.0;
/// Caches of CloudFront that fetch a picture from the bucket independently of each other: those of the regions that its
/// viewers are near. An assumption.
const EDGE_CACHES: f64 = 3.0;

/// A function's invocations.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Runs {
    pub invocations: f64,
    /// Their total duration.
    pub seconds: f64,
    pub memory_mb: f64,
}

/// One day.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Traffic {
    /// Operations a day, by name.
    pub operations: BTreeMap<&'static str, f64>,
    /// Functions, by folder.
    pub functions: BTreeMap<String, Runs>,
    /// Request units, by the table's name without `Table`.
    pub tables: BTreeMap<String, Units>,
    /// Bytes that the day adds to each table.
    pub stored: BTreeMap<String, f64>,
    /// Messages sent to each queue.
    pub messages: BTreeMap<&'static str, f64>,
    /// Batches taken from each queue.
    pub batches: BTreeMap<&'static str, f64>,
    pub sqs_calls: f64,
    /// Calls to S3 that are priced as PUTs.
    pub s3_puts: f64,
    /// Other calls to S3.
    pub s3_gets: f64,
    /// Pictures that clients fetch from `CloudFront`.
    pub picture_views: f64,
    /// Their bytes.
    pub picture_bytes: f64,
    /// Pictures that `CloudFront` fetches from the bucket.
    pub picture_fetches: f64,
    /// Processing units of the cache.
    pub ecpus: f64,
    pub log_bytes: f64,
    /// Requests through the load balancer.
    pub requests: f64,
    pub request_bytes: f64,
    pub answer_bytes: f64,
}

/// Returns the number of each operation a day.
pub(crate) fn operations(usage: &Usage) -> BTreeMap<&'static str, f64> {
    let per = usage.per_user;
    let reads = usage.daily(per.reads);
    let posts = usage.daily(per.posts);
    let likes = usage.daily(per.likes);
    let follows = usage.daily(per.follows);
    let photos = usage.daily(per.photos);
    let dropped = usage.daily(per.photos_dropped);
    // A feed is cached for a day, and dropped when its owner follows another user.
    let rebuilds = usage.daily_users + follows;
    let posts_read = (posts * usage.habits.days_read).min(reads * IDS_READ);
    BTreeMap::from([
        ("read_feed", reads),
        ("merge_influencer", reads * usage.influencers_followed()),
        ("new_in_feed", reads * IDS_READ * usage.habits.fresh),
        ("fill_post", posts_read),
        ("fill_author", posts_read.min(usage.users)),
        ("rebuild_feed", rebuilds),
        ("rebuild_author", rebuilds * usage.follows_held),
        ("create_upload", photos),
        ("make_picture", photos),
        ("post_photo", photos),
        ("drop_photo", dropped),
        ("remove_picture", dropped),
        ("write_post", posts),
        ("post_tag", posts * usage.habits.tags),
        ("post_cat", posts * usage.habits.cats),
        ("fan_out_post", posts),
        ("push", posts * usage.pushes()),
        ("index_message", posts),
        ("like", likes),
        ("apply_like", likes),
        // Most posts have one like in a batch: the costly case.
        ("count_likes", likes),
        ("follow", follows),
        ("apply_follow", follows),
        ("write_comment", usage.daily(per.comments)),
        ("read_comments", usage.daily(per.comment_pages)),
        ("read_list", usage.daily(per.list_pages)),
        ("read_profile", usage.daily(per.profiles)),
        ("search", usage.daily(per.searches)),
        ("classify", usage.daily(per.classified)),
        ("sweep", SWEEPS),
    ])
}

/// Returns the messages sent to each queue by these operations.
fn messages(operations: &BTreeMap<&'static str, f64>) -> BTreeMap<&'static str, f64> {
    let of = |name| operations.get(name).copied().unwrap_or(0.0);
    BTreeMap::from([
        ("Likes", of("like")),
        ("Follows", of("follow")),
        ("FanOut", of("fan_out_post")),
        ("Index", of("index_message")),
        ("Photos", of("make_picture") + 2.0 * of("remove_picture")),
    ])
}

/// Returns the mean size of a batch at a rate of messages a second: those of one window, up to the maximum.
pub(crate) fn batch_size(rate: f64, window: f64, most: f64) -> f64 {
    (1.0 + rate * window).min(most)
}

/// Returns the number of views for which a cache fetches the picture from the bucket, if views are spread evenly over
/// `times_kept`, the periods for which the caches keep each picture. Uneven views cause fewer fetches.
fn fetches(views: f64, times_kept: f64) -> f64 {
    if times_kept > 0.0 {
        times_kept * -(-views / times_kept).exp_m1()
    } else {
        views
    }
}

impl Traffic {
    /// Returns the traffic of an average day.
    pub(crate) fn of(
        usage: &Usage,
        measured: &Measured,
        template: &Template,
    ) -> Result<Self, Error> {
        let operations = operations(usage);
        let mut traffic = Self {
            messages: messages(&operations),
            ..Self::default()
        };
        traffic.add_pictures(usage, measured, template);
        for (name, &times) in &operations {
            let operation = measured.operation(name)?;
            traffic.add(operation, times, measured, template)?;
        }
        for (queue, messages) in traffic.messages.clone() {
            let pushes = usage.pushes();
            traffic.consume(queue, messages, pushes, measured, template)?;
        }
        traffic.operations = operations;
        let runs: f64 = traffic
            .functions
            .values()
            .map(|runs| runs.invocations)
            .sum();
        traffic.log_bytes = runs * measured.sizes.log_per_run;
        Ok(traffic)
    }

    fn run(&mut self, function: &str, runs: f64, seconds: f64, memory_mb: f64) {
        let entry = self.functions.entry(function.to_owned()).or_default();
        entry.invocations += runs;
        entry.seconds += seconds;
        entry.memory_mb = memory_mb;
    }

    fn add(
        &mut self,
        operation: &Operation,
        times: f64,
        measured: &Measured,
        template: &Template,
    ) -> Result<(), Error> {
        if let Some(function) = &operation.function {
            let memory = template.memory(function)?;
            let seconds = measured.seconds(operation, memory);
            self.run(function, times, times * seconds, memory);
        }
        if let Some(function) = &operation.within {
            let memory = template.memory(function)?;
            let seconds = measured.waited_ms(operation.waits_added) / 1e3;
            self.run(function, 0.0, times * seconds, memory);
        }
        for (table, units) in &operation.units {
            let all = self.tables.entry(table.clone()).or_default();
            all.read += times * units.read;
            all.write += times * units.write;
        }
        for (table, bytes) in &operation.stored {
            *self.stored.entry(table.clone()).or_default() += times * bytes;
        }
        self.ecpus += times * operation.ecpu;
        self.sqs_calls += times * operation.sqs;
        self.s3_puts += times * operation.s3_puts;
        self.s3_gets += times * operation.s3_gets;
        if let Some(answer) = operation.answer {
            self.requests += times;
            self.request_bytes += times * measured.sizes.request;
            self.answer_bytes += times
                * match answer {
                    Answer::Page => measured.sizes.page_answer,
                    Answer::Comments => measured.sizes.comments_answer,
                    Answer::Small => measured.sizes.small_answer,
                };
        }
        Ok(())
    }

    /// Adds the pictures that clients fetch with the pages of their feeds.
    fn add_pictures(&mut self, usage: &Usage, measured: &Measured, template: &Template) {
        let pages = usage.daily(usage.per_user.reads);
        let photos = pages * usage.habits.photos_seen;
        let avatars = pages * usage.habits.avatars_seen;
        self.picture_views = photos + avatars;
        self.picture_bytes = photos * measured.pictures.bytes(usage.habits.photo_width)
            + avatars * measured.pictures.bytes(Width::Small);
        let times_kept = usage.habits.days_read * DAY_SECONDS / template.picture_seconds.max(1.0);
        let caches = usage.daily(usage.per_user.photos) * times_kept * EDGE_CACHES;
        // Too few people see an avatar within that time for an edge to have it.
        self.picture_fetches = fetches(photos, caches) + avatars;
    }

    fn consume(
        &mut self,
        queue: &'static str,
        messages: f64,
        pushes: f64,
        measured: &Measured,
        template: &Template,
    ) -> Result<(), Error> {
        let (consumer, mapping) = (measured.queue(queue)?, template.queue(queue)?);
        let memory = template.memory(&consumer.function)?;
        let size = batch_size(messages / DAY_SECONDS, mapping.window, mapping.batch);
        let batches = messages / size;
        let cpu = consumer.cpu_per_message_ms + pushes * consumer.cpu_per_push_ms;
        let each = consumer.per_message_ms + on_memory(cpu, memory);
        let once = consumer.per_batch_ms + measured.latency.runtime_ms;
        let seconds = (batches * once + messages * each) / 1e3;
        self.run(&consumer.function, batches, seconds, memory);
        self.s3_puts += batches * consumer.s3_puts_per_batch;
        self.s3_gets += batches * consumer.s3_gets_per_batch;
        // Calls that receive and delete messages, and polls that find none.
        self.sqs_calls += 2.0 * (messages / PER_CALL).max(batches) + IDLE_POLLS;
        self.batches.insert(queue, batches);
        Ok(())
    }

    /// Converts a number a day to a rate a second in the busiest hour.
    pub(crate) fn at_peak(usage: &Usage, daily: f64) -> f64 {
        daily / DAY_SECONDS * usage.habits.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_fetch_each_view_of_rare_pictures_and_each_time_kept_of_popular_ones() {
        assert!((fetches(10.0, 1e6) - 10.0).abs() < 0.01);
        assert!((fetches(1e6, 10.0) - 10.0).abs() < 0.01);
        assert!((fetches(10.0, 0.0) - 10.0).abs() < f64::EPSILON);
        assert!(fetches(0.0, 10.0).abs() < f64::EPSILON);
    }
}
