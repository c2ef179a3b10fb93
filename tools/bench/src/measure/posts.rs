//! Posts of an author with followers compared with posts of an author without, in pairs.

use std::time::Duration;

use crate::effort::Effort;
use crate::error::{Result, wrong};
use crate::numbers::{count, median, millis, ratio};
use crate::progress::bar;
use crate::section::{Cell, Section};
use crate::stage::{Caller, Stage};
use crate::stats::Percentiles;

const COLUMNS: [(&str, &str); 7] = [
    ("where", "where"),
    ("followers", "followers"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("ratio_p50", "p50 against none"),
    (
        "paired_percent",
        "median of the pairs' differences, % of p50",
    ),
];

/// The longest time for a fan-out.
const PATIENCE: Duration = Duration::from_mins(2);

/// The time of a post as seen by the client, and in the function.
struct Post {
    client: Duration,
    handler: Duration,
}

pub(crate) async fn measure(stage: &Stage, effort: &Effort) -> Result<Section> {
    let popular = stage.set.probe_author(0);
    let followers = count(stage.set.followers.get(popular));
    let popular = stage.caller(popular)?;
    let lonely = stage.caller_with_id("nobody".to_owned())?;
    for author in [&popular, &lonely, &popular, &lonely] {
        timed(stage, author).await?;
    }
    let bar = bar("posts", effort.pairs.into());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for pair in 0..effort.pairs {
        if pair.is_multiple_of(2) {
            with.push(timed(stage, &popular).await?);
            without.push(timed(stage, &lonely).await?);
        } else {
            without.push(timed(stage, &lonely).await?);
            with.push(timed(stage, &popular).await?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let note = format!(
        "{} pairs of posts, one by an author with {followers} followers and one by an author with none, one after the \
         other in changing order; the next begins when the fan-out of the last is done.",
        effort.pairs
    );
    let mut section = Section::new("posts", "Posts with and without fan-out", &note, &COLUMNS);
    let durations = |of: fn(&Post) -> Duration| -> [Vec<Duration>; 2] {
        [&with, &without].map(|posts| posts.iter().map(of).collect())
    };
    rows(
        &mut section,
        "client",
        followers,
        &durations(|post| post.client),
    );
    rows(
        &mut section,
        "handler",
        followers,
        &durations(|post| post.handler),
    );
    Ok(section)
}

/// Writes a post, and waits for its fan-out, which must not overlap with the next post.
async fn timed(stage: &Stage, author: &Caller) -> Result<Post> {
    stage.stack.take_durations("post-write")?;
    let (_, client) = stage.post(author).await?;
    stage.wait_until_empty("FanOutQueue", PATIENCE).await?;
    let handler = stage.stack.take_durations("post-write")?.first().copied();
    let handler = handler.ok_or_else(|| wrong("post-write was not called"))?;
    Ok(Post { client, handler })
}

fn rows(section: &mut Section, place: &str, followers: u64, [with, without]: &[Vec<Duration>; 2]) {
    let differences = with.iter().zip(without);
    let difference = median(differences.map(|(with, without)| millis(*with) - millis(*without)));
    let (some, none) = (Percentiles::of(with), Percentiles::of(without));
    let against = Some(ratio(some.p50, none.p50));
    let paired = Some(100.0 * ratio(difference, none.p50));
    for (followers, own, against, paired) in
        [(0, none, None, None), (followers, some, against, paired)]
    {
        section.row([
            Cell::from(place),
            followers.into(),
            own.p50.into(),
            own.p95.into(),
            own.p99.into(),
            against.into(),
            paired.into(),
        ]);
    }
}
