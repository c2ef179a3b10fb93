//! `GET /v1/tags/trending`.

use purrline_local::Service;
use serde_json::{Value, json};

use super::routes::tag_of;
use crate::support::{User, World, eventually, id_of};

/// A stack that computes what trends anew each second.
async fn world() -> World {
    World::with(World::options().parameter("TrendingSeconds", "1")).await
}

async fn trending(user: &User, query: &str) -> Vec<Value> {
    let (items, next) = user.page(&format!("/v1/tags/trending{query}")).await;
    assert_eq!(next, None);
    items
}

/// Waits until this is what trends.
async fn trends(user: &User, expected: &Value) {
    eventually(&format!("{expected} trends"), async || {
        (json!(trending(user, "").await) == *expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tags_are_counted_as_posts_come_change_and_go() {
    let world = world().await;
    let (nabi, coco) = (world.user("nabi"), world.user("coco"));
    trends(&nabi, &json!([])).await;
    let mut posts = Vec::new();
    for (n, text) in ["#cats #nap", "#CATS #cats", "#nap #고양이", "none", "#cats"]
        .iter()
        .enumerate()
    {
        posts.push((
            [&nabi, &coco][n % 2],
            [&nabi, &coco][n % 2].post_id(text).await,
        ));
    }
    let expected = json!([{ "tag": "cats", "posts": 3 }, { "tag": "nap", "posts": 2 }, { "tag": "고양이", "posts": 1 }]);
    trends(&nabi, &expected).await;
    assert_eq!(
        trending(&coco, "?limit=2").await,
        expected.as_array().unwrap()[..2]
    );

    let (author, post) = &posts[0];
    author
        .change(
            &format!("/v1/posts/{post}"),
            &json!({ "text": "#nap #dogs" }),
        )
        .await
        .expect(200);
    trends(&nabi, &json!([
        { "tag": "cats", "posts": 2 }, { "tag": "nap", "posts": 2 }, { "tag": "dogs", "posts": 1 },
        { "tag": "고양이", "posts": 1 }
    ])).await;
    for (author, post) in &posts[..4] {
        author.delete_post(post).await;
    }
    trends(&nabi, &json!([{ "tag": "cats", "posts": 1 }])).await;
    // Without tags, then with tags again.
    let (author, post) = &posts[4];
    author
        .change(&format!("/v1/posts/{post}"), &json!({ "text": "x" }))
        .await
        .expect(200);
    trends(&nabi, &json!([])).await;
    author
        .change(&format!("/v1/posts/{post}"), &json!({ "text": "#x" }))
        .await
        .expect(200);
    trends(&nabi, &json!([{ "tag": "x", "posts": 1 }])).await;
}

#[tokio::test]
async fn limits_are_1_to_100_and_there_is_one_page() {
    let world = world().await;
    let nabi = world.user("nabi");
    let own = tag_of(&nabi.id);
    for chunk in 0..5 {
        let tags: Vec<String> = (0..25).map(|n| format!("#{own}_{chunk}_{n}")).collect();
        nabi.post(&tags.join(" ")).await;
    }
    eventually("a hundred tags trend", async || {
        (trending(&nabi, "?limit=100").await.len() == 100).then_some(())
    })
    .await;
    for (query, len) in [("", 20), ("?limit=1", 1), ("?limit=99", 99)] {
        assert_eq!(trending(&nabi, query).await.len(), len, "{query}");
    }
    for (query, fields) in [
        ("limit=0", vec!["/limit"]),
        ("limit=101", vec!["/limit"]),
        ("cursor=x", vec!["/cursor"]),
        ("limit=x&cursor=&page=2", vec!["/limit", "/cursor", "/page"]),
    ] {
        nabi.get(&format!("/v1/tags/trending?{query}"))
            .await
            .bad_fields(400, &fields);
    }
    // It is a tag too.
    nabi.get("/v1/tags/trending/posts").await.expect(200);
}

/// The answer is computed once in a while, by a number of reads that doesn't depend on the posts, and given
/// again meanwhile.
#[tokio::test]
async fn an_answer_is_given_again_for_a_while() {
    let world = World::with(World::options().parameter("TrendingSeconds", "3600")).await;
    let nabi = world.user("nabi");
    let first = id_of(&nabi.post("#a").await);
    world.drained().await;
    let queries = || -> u64 {
        let calls = world.calls().into_iter();
        let ours = calls.filter(|(call, _)| {
            call.function == "post-read"
                && call.service == Service::Tables
                && call.operation == "Query"
        });
        ours.map(|(_, count)| count).sum()
    };
    world.reset_calls();
    let answer = trending(&nabi, "").await;
    assert_eq!(json!(answer), json!([{ "tag": "a", "posts": 1 }]));
    assert_eq!(queries(), 24 * 16);
    nabi.delete_post(&first).await;
    nabi.post("#b").await;
    world.drained().await;
    world.reset_calls();
    for _ in 0..3 {
        assert_eq!(trending(&nabi, "").await, answer);
    }
    assert_eq!(queries(), 0);
}
