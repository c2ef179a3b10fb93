//! The growth of a read's, a post's and a like's cost with everything else.
//!
//! All sizes are measured in turns, each on a stack of its own where it needs a different data set.

mod sizes;

use std::sync::Arc;
use std::time::Duration;

use purrline_local::Service;
use serde_json::json;

use self::sizes::Sizes;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::load::load;
use crate::measure::FeedStrategy;
use crate::measure::footprint::{Cost, cost};
use crate::numbers::{count, float, median};
use crate::options::Options;
use crate::progress::bar;
use crate::report::{Report, split_page};
use crate::run::{finish, warm};
use crate::section::{Cell, Section, lines};
use crate::stage::{Call, Caller, Purpose, Stage};
use crate::stats::Percentiles;

/// The longest time for a queue to empty.
const PATIENCE: Duration = Duration::from_mins(5);
/// The number of readers, unless stated otherwise.
const READERS: u32 = 20;

const COLUMNS: [(&str, &str); 12] = [
    ("size", "size"),
    ("read_ms", "read ms"),
    ("read_trips", "trips to the cache"),
    ("read_store_calls", "store calls"),
    ("pull_ms", "pulled ms"),
    ("pull_store_calls", "store calls"),
    ("pull_rows", "rows"),
    ("post_ms", "post ms"),
    ("post_store_calls", "store calls"),
    ("like_ms", "like ms"),
    ("like_store_calls", "consumer's store calls a like"),
    ("like_rows", "rows"),
];

/// The costs at one size.
#[derive(Debug, Clone, Copy)]
struct Point {
    read: Cost,
    pull: Cost,
    post: f64,
    post_calls: f64,
    like: f64,
    like_calls: f64,
    like_rows: f64,
}

/// A size, its readers and its author, and their figures.
struct Subject {
    size: u64,
    stage: Arc<Stage>,
    readers: Vec<Caller>,
    author: Caller,
    points: Vec<Point>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let sizes = Sizes::new(options)?;
    if let Some((text, _)) = options.chapter() {
        split_page(&text)?;
    }
    let mut report = Report::new("How costs grow");
    report.fact("seed", json!(options.seed));
    let most_users = sizes.users.iter().copied().max().unwrap_or(0);
    let middle = sizes.all_posts.get(sizes.all_posts.len() / 2);
    let middle_posts = middle.copied().unwrap_or(0);

    let (mut by_users, mut by_posts) = (Vec::new(), Vec::new());
    let (mut by_follows, mut by_followers) = (Vec::new(), Vec::new());
    for users in &sizes.users {
        let stage = start(options, &sizes, *users, middle_posts).await?;
        by_users.push(typical(&stage, u64::from(*users))?);
        if *users == most_users {
            by_posts.push(typical(&stage, middle_posts)?);
            for (at, _) in (0..).zip(&sizes.follows) {
                by_follows.push(reader(&stage, at)?);
            }
            for (at, _) in (0..).zip(&sizes.followers) {
                by_followers.push(author(&stage, at)?);
            }
        }
    }
    let others = sizes.all_posts.iter();
    for posts in others.filter(|posts| **posts != middle_posts) {
        let stage = start(options, &sizes, most_users, *posts).await?;
        by_posts.push(typical(&stage, *posts)?);
    }
    by_posts.sort_by_key(|subject| subject.size);

    let mut all = [
        ("growth_users", "users", by_users),
        ("growth_posts", "posts in the store", by_posts),
        (
            "growth_follows",
            "authors that the reader follows",
            by_follows,
        ),
        ("growth_followers", "followers of the author", by_followers),
    ];
    let subjects: usize = all.iter().map(|(_, _, subjects)| subjects.len()).sum();
    let bar = bar(
        "growth",
        u64::from(sizes.rounds) * u64::try_from(subjects).unwrap_or(0),
    );
    for _ in 0..sizes.rounds {
        for subject in all.iter_mut().flat_map(|(_, _, subjects)| subjects) {
            let point = measure(subject, &sizes).await?;
            subject.points.push(point);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut errors = Vec::new();
    for (key, what, subjects) in all {
        report.add(section(key, what, &subjects, &sizes));
        errors.extend(subjects.iter().flat_map(|subject| subject.stage.errors()));
    }
    finish(&report, options, &errors)
}

async fn start(options: &Options, sizes: &Sizes, users: u32, posts: u64) -> Result<Arc<Stage>> {
    let setting = options.setting()?;
    let set = Dataset::new(sizes.size(users, posts, options.seed))?;
    let loaded = load(set, &options.data(), &setting.options())?;
    Ok(Arc::new(
        Stage::start(&loaded, &setting, Purpose::Counts, true).await?,
    ))
}

/// Reads as random users, and posts as a user with few followers.
fn typical(stage: &Arc<Stage>, size: u64) -> Result<Subject> {
    Ok(Subject {
        size,
        readers: stage.callers(&stage.set.readers(READERS))?,
        author: stage.caller(stage.set.probe_author(0))?,
        stage: Arc::clone(stage),
        points: Vec::new(),
    })
}

/// Reads as a probe.
fn reader(stage: &Arc<Stage>, at: u32) -> Result<Subject> {
    let reader = stage.set.probe_reader(at);
    Ok(Subject {
        readers: vec![stage.caller(reader)?],
        ..typical(stage, count(stage.set.following.get(reader)))?
    })
}

/// Posts as a probe, and reads as its followers.
fn author(stage: &Arc<Stage>, at: u32) -> Result<Subject> {
    let author = stage.set.probe_author(at);
    let followers = stage.set.followers.get(author);
    let most = usize::try_from(READERS).unwrap_or(0);
    let readers: Vec<u32> = followers.iter().take(most).copied().collect();
    Ok(Subject {
        readers: stage.callers(&readers)?,
        author: stage.caller(author)?,
        ..typical(stage, count(followers))?
    })
}

async fn measure(subject: &Subject, sizes: &Sizes) -> Result<Point> {
    let Subject { stage, readers, .. } = subject;
    warm(stage, readers).await?;
    let read = cost(stage, readers, FeedStrategy::FanOut, sizes.calls).await?;
    let pull = cost(stage, readers, FeedStrategy::Pull, sizes.calls).await?;

    stage.stack.reset_calls();
    stage.stack.take_durations("post-write")?;
    let mut last = None;
    for _ in 0..sizes.posts {
        last = Some(stage.post(&subject.author).await?.0);
        stage.wait_until_empty("FanOutQueue", PATIENCE).await?;
    }
    let post = Percentiles::of(&stage.stack.take_durations("post-write")?);
    let post_calls = store_calls(stage, "post-write");

    stage.stack.reset_calls();
    stage.stack.take_durations("like")?;
    for reader in readers.iter().chain([&subject.author]) {
        if let Some(last) = last {
            stage.call(reader, Call::Like(last)).await;
        }
    }
    stage.wait_until_empty("LikesQueue", PATIENCE).await?;
    let like = Percentiles::of(&stage.stack.take_durations("like")?);
    let likes = float(like.count.max(1));
    Ok(Point {
        read,
        pull,
        post: post.p50,
        post_calls: post_calls / f64::from(sizes.posts.max(1)),
        like: like.p50,
        like_calls: store_calls(stage, "like-consumer") / likes,
        like_rows: float(stage.stack.rows_read().values().sum()) / likes,
    })
}

/// Returns the number of calls that a function made to the store.
fn store_calls(stage: &Stage, function: &str) -> f64 {
    let calls = stage.stack.calls();
    let of = calls
        .iter()
        .filter(|(call, _)| call.service == Service::Tables && call.function == function);
    float(of.map(|(_, count)| count).sum())
}

fn section(key: &'static str, what: &str, subjects: &[Subject], sizes: &Sizes) -> Section {
    let note = format!(
        "Times are medians in the functions, over {} rounds in turns with all other sizes; calls are means, and being \
         counted on their way costs them time. A post's fan-out and a like's counting come after their answer and are no part of these times.",
        sizes.rounds
    );
    let mut section = Section::new(key, &format!("Growth with {what}"), &note, &COLUMNS);
    let mut drawn: [(String, Vec<(f64, f64)>); 4] = Default::default();
    for subject in subjects {
        let of = |part: fn(&Point) -> f64| median(subject.points.iter().map(part));
        let times = [
            ("read", of(|it| it.read.handler.p50)),
            ("read by pulling", of(|it| it.pull.handler.p50)),
            ("post", of(|it| it.post)),
            ("like", of(|it| it.like)),
        ];
        for ((name, line), (called, time)) in drawn.iter_mut().zip(times) {
            called.clone_into(name);
            line.push((float(subject.size), time));
        }
        let [read, pull, post, like] = times.map(|(_, time)| Cell::from(time));
        section.row([
            Cell::from(subject.size),
            read,
            of(|it| it.read.trips).into(),
            of(|it| it.read.calls).into(),
            pull,
            of(|it| it.pull.calls).into(),
            of(|it| it.pull.rows).into(),
            post,
            of(|it| it.post_calls).into(),
            like,
            of(|it| it.like_calls).into(),
            of(|it| it.like_rows).into(),
        ]);
    }
    let title = format!("Time in the function, by {what}");
    section.pictures = vec![lines(&title, (what, "ms"), true, drawn.into())];
    section
}
