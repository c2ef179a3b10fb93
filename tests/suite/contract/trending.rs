//! `GET /v1/tags/trending`.

use purrline_local::Service;
use serde_json::{Value, json};

use super::routes::tag_of;
use crate::support::backstage::Backstage;
use crate::support::{User, World, eventually, id_of};

/// Starts a stack that computes trends anew each second.
async fn world() -> World {
    let options = World::options().parameter("TrendingSeconds", "1");
    World::with(options.parameter("ErasureSeconds", "1")).await
}

async fn trending(user: &User, query: &str) -> Vec<Value> {
    let (items, next) = user.page(&format!("/v1/tags/trending{query}")).await;
    assert_eq!(next, None);
    items
}

/// Waits until exactly these tags trend.
async fn eventually_trends(user: &User, expected: &Value) {
    eventually(&format!("{expected} trends"), async || {
        (json!(trending(user, "").await) == *expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tags_are_counted_as_posts_come_change_and_go() {
    let world = world().await;
    let (nabi, coco) = (world.user("nabi"), world.user("coco"));
    eventually_trends(&nabi, &json!([])).await;
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
    eventually_trends(&nabi, &expected).await;
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
    eventually_trends(&nabi, &json!([
        { "tag": "cats", "posts": 2 }, { "tag": "nap", "posts": 2 }, { "tag": "dogs", "posts": 1 },
        { "tag": "고양이", "posts": 1 }
    ])).await;
    for (author, post) in &posts[..4] {
        author.delete_post(post).await;
    }
    eventually_trends(&nabi, &json!([{ "tag": "cats", "posts": 1 }])).await;
    // The tags are removed, and come back.
    let (author, post) = &posts[4];
    author
        .change(&format!("/v1/posts/{post}"), &json!({ "text": "x" }))
        .await
        .expect(200);
    eventually_trends(&nabi, &json!([])).await;
    author
        .change(&format!("/v1/posts/{post}"), &json!({ "text": "#x" }))
        .await
        .expect(200);
    eventually_trends(&nabi, &json!([{ "tag": "x", "posts": 1 }])).await;
}

/// Twelve posts of one account count as one author's.
#[tokio::test]
async fn tags_of_the_most_authors_trend_first() {
    let world = world().await;
    let [nabi, coco, momo] = ["nabi", "coco", "momo"].map(|name| world.user(name));
    let mut loud = Vec::new();
    for _ in 0..12 {
        loud.push(nabi.post_id("#loud #both").await);
    }
    let both = coco.post_id("#both #two").await;
    momo.post("#two #one").await;
    eventually_trends(
        &nabi,
        &json!([
            { "tag": "both", "posts": 13 }, { "tag": "two", "posts": 2 }, { "tag": "loud", "posts": 12 },
            { "tag": "one", "posts": 1 }
        ]),
    )
    .await;
    // An author counts until their last post with the tag is gone, in any order of deletion.
    for post in &loud[1..] {
        nabi.delete_post(post).await;
    }
    nabi.change(
        &format!("/v1/posts/{}", loud[0]),
        &json!({ "text": "#both" }),
    )
    .await
    .expect(200);
    eventually_trends(
        &nabi,
        &json!([
            { "tag": "both", "posts": 2 }, { "tag": "two", "posts": 2 }, { "tag": "one", "posts": 1 }
        ]),
    )
    .await;
    coco.delete_post(&both).await;
    eventually_trends(
        &nabi,
        &json!([
            { "tag": "both", "posts": 1 }, { "tag": "one", "posts": 1 }, { "tag": "two", "posts": 1 }
        ]),
    )
    .await;
}

/// Fails if the answer for everybody is given to a caller who may see none of a trend's posts.
#[tokio::test]
async fn a_trend_of_hidden_authors_is_left_out() {
    let world = world().await;
    let [nabi, coco, momo, reader] =
        ["nabi", "coco", "momo", "reader"].map(|name| world.user(name));
    nabi.post("#nabis #both").await;
    nabi.post("#nabis").await;
    coco.post("#cocos #both").await;
    let all = json!([
        { "tag": "both", "posts": 2 }, { "tag": "nabis", "posts": 2 }, { "tag": "cocos", "posts": 1 }
    ]);
    eventually_trends(&reader, &all).await;
    let without = |hidden: &str| -> Vec<Value> {
        let all = all.as_array().unwrap().iter().cloned();
        all.filter(|trend| trend["tag"] != hidden).collect()
    };
    momo.me().await;
    // The tag disappears at once, though the answer is cached, and in both directions.
    reader.block(&nabi).await;
    assert_eq!(trending(&reader, "").await, without("nabis"));
    assert_eq!(trending(&reader, "?limit=2").await, without("nabis"));
    coco.block(&momo).await;
    assert_eq!(trending(&momo, "").await, without("cocos"));
    assert_eq!(trending(&nabi, "").await, *all.as_array().unwrap());
    // The same holds for a token that outlives its user.
    let gone = world.user("gone");
    gone.me().await;
    coco.block(&gone).await;
    gone.delete("/v1/me").await.expect(202);
    assert_eq!(trending(&gone, "").await, without("cocos"));
    let stage = Backstage::of(&world).await;
    eventually("they are erased", async || {
        world.run_schedule("sweep").await.unwrap();
        let row = stage.item("UsersTable", "id", &gone.id).await;
        row.is_none().then_some(())
    })
    .await;
    assert_eq!(trending(&gone, "").await, without("cocos"));
    reader.block(&coco).await;
    assert_eq!(trending(&reader, "").await, Vec::<Value>::new());
    // Another author makes the trend visible again.
    momo.post("#nabis").await;
    eventually_trends(&reader, &json!([{ "tag": "nabis", "posts": 3 }])).await;
    reader.unblock(&nabi).await;
    eventually("both of nabi's trend again", async || {
        (trending(&reader, "").await.len() == 2).then_some(())
    })
    .await;
}

/// Fails if a trend stays although no user sees any of its posts.
#[tokio::test]
async fn a_trend_of_departed_users_is_shown_to_nobody() {
    let world = world().await;
    let [nabi, left, gone, reader] =
        ["nabi", "left", "gone", "reader"].map(|name| world.user(name));
    nabi.post("#nabis #both").await;
    left.post("#lefts #both").await;
    gone.post("#lefts #gones").await;
    let all = json!([
        { "tag": "both", "posts": 2 }, { "tag": "lefts", "posts": 2 }, { "tag": "gones", "posts": 1 },
        { "tag": "nabis", "posts": 1 }
    ]);
    eventually_trends(&reader, &all).await;
    gone.delete("/v1/me").await.expect(202);
    eventually_trends(
        &reader,
        &json!([
            { "tag": "both", "posts": 2 }, { "tag": "lefts", "posts": 2 }, { "tag": "nabis", "posts": 1 }
        ]),
    )
    .await;
    left.delete("/v1/me").await.expect(202);
    // Their posts count until they are erased.
    let seen = json!([{ "tag": "both", "posts": 2 }, { "tag": "nabis", "posts": 1 }]);
    eventually_trends(&reader, &seen).await;
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
    // `trending` is also a tag.
    nabi.get("/v1/tags/trending/posts").await.expect(200);
}

/// The answer is computed once in a while, by a number of reads that doesn't depend on the posts, and reused meanwhile.
#[tokio::test]
async fn trending_tags_are_cached_for_ten_seconds() {
    let world = World::with(World::options().parameter("TrendingSeconds", "3600")).await;
    let nabi = world.user("nabi");
    let first = id_of(&nabi.post("#a").await);
    world.wait_until_drained().await;
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
    // The other queries read who has left, and whom the caller doesn't see.
    assert_eq!(queries(), 24 * 16 + 2);
    nabi.delete_post(&first).await;
    nabi.post("#b").await;
    world.wait_until_drained().await;
    world.reset_calls();
    for _ in 0..3 {
        assert_eq!(trending(&nabi, "").await, answer);
    }
    assert_eq!(queries(), 3);
}
