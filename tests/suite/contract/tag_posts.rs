//! `GET /v1/tags/{tag}/posts`.

use std::collections::BTreeSet;

use purrline_local::Service;
use serde_json::json;

use super::routes::tag_of;
use crate::support::backstage::{Backstage, text};
use crate::support::{World, id_of};

#[tokio::test]
async fn a_tag_lists_posts_of_all_authors_newest_first() {
    let world = World::shared().await;
    let (nabi, coco, reader) = (world.user("nabi"), world.user("coco"), world.user("reader"));
    let tag = tag_of(&nabi.id);
    let mut posts = Vec::new();
    for n in 0..25 {
        let author = [&nabi, &coco][n % 2];
        posts.push(author.post(&format!("{n} #{tag} #other{n}")).await);
        author.post(&format!("{n} #{tag}x")).await;
    }
    posts.reverse();
    let list = format!("/v1/tags/{tag}/posts");
    for size in [1, 4, 5, 24, 25, 100] {
        assert_eq!(reader.walk(&list, size).await, posts, "by {size}");
    }
    // Deletions in the middle of a walk leave no gap.
    let (page, next) = reader.page(&format!("{list}?limit=3")).await;
    for at in [3, 4, 5, 7] {
        let author = if posts[at]["author"]["id"] == nabi.id {
            &nabi
        } else {
            &coco
        };
        author.delete_post(&id_of(&posts[at])).await;
    }
    let (rest, _) = reader
        .page(&format!("{list}?limit=3&cursor={}", next.unwrap()))
        .await;
    assert_eq!(page, posts[..3]);
    assert_eq!(rest, [6, 8, 9].map(|at: usize| posts[at].clone()));
}

#[tokio::test]
async fn any_spelling_of_a_tag_lists_its_posts() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let own = tag_of(&nabi.id);
    let post = nabi.post(&format!("#고양이_{own} #Straße_{own}")).await;
    // Composed, decomposed, in capitals, folded; percent-encoded.
    let gat = "%E1%84%80%E1%85%A9%E1%84%8B%E1%85%A3%E1%86%BC%E1%84%8B%E1%85%B5";
    for spelling in [
        format!("고양이_{own}"),
        format!("{gat}_{own}"),
        format!("고양이_{}", own.to_uppercase()),
        format!("STRASSE_{own}"),
        format!("straße_{own}"),
        format!("%73trasse%5F{own}"),
    ] {
        let list = format!("/v1/tags/{spelling}/posts");
        assert_eq!(
            nabi.walk(&list, 20).await,
            std::slice::from_ref(&post),
            "{spelling}"
        );
    }
    // A cursor is valid for the list, however the tag is spelt.
    nabi.post(&format!("#strasse_{own}")).await;
    let (_, next) = nabi
        .page(&format!("/v1/tags/STRASSE_{own}/posts?limit=1"))
        .await;
    let next = next.unwrap();
    let path = format!("/v1/tags/straße_{own}/posts?limit=1&cursor={next}");
    assert_eq!(nabi.page(&path).await, (vec![post], None));
    nabi.get(&format!("/v1/tags/other/posts?cursor={next}"))
        .await
        .bad_fields(400, &["/cursor"]);
}

#[tokio::test]
async fn malformed_tags_are_not_found_and_unused_ones_are_empty() {
    let nabi = World::shared().await.user("nabi");
    let long = "x".repeat(51);
    for no_tag in [
        "%23cats",
        "2026",
        "a%20b",
        "a-b",
        "%F0%9F%90%88",
        "%FF",
        "a%2Fb",
        "%20",
        &long,
    ] {
        nabi.get(&format!("/v1/tags/{no_tag}/posts"))
            .await
            .problem(404);
    }
    for unused in ["nobody_uses_this", "_", &"나".repeat(50)] {
        let page = nabi
            .page(&format!("/v1/tags/{unused}/posts?limit=100"))
            .await;
        assert!(page.1.is_none(), "{unused}");
    }
    let own = tag_of(&nabi.id);
    assert_eq!(
        nabi.page(&format!("/v1/tags/{own}/posts")).await,
        (vec![], None)
    );
}

#[tokio::test]
async fn edits_and_deletions_move_a_post_between_tags() {
    let nabi = World::shared().await.user("nabi");
    let [a, b] = ["a", "b"].map(|name| format!("{name}_{}", tag_of(&nabi.id)));
    let post = nabi.post_id(&format!("#{a}")).await;
    let path = format!("/v1/posts/{post}");
    let lists = async || {
        let of_a = nabi.walk_ids(&format!("/v1/tags/{a}/posts"), 20).await;
        (
            of_a.len(),
            nabi.walk_ids(&format!("/v1/tags/{b}/posts"), 20)
                .await
                .len(),
        )
    };
    assert_eq!(lists().await, (1, 0));
    for (text, expected) in [
        (format!("#{a} #{b}"), (1, 1)),
        (format!("#{} no more", b.to_uppercase()), (0, 1)),
        ("none".to_owned(), (0, 0)),
        (format!("#{b} #{a} #{b}"), (1, 1)),
    ] {
        nabi.change(&path, &json!({ "text": text }))
            .await
            .expect(200);
        assert_eq!(lists().await, expected, "{text}");
    }
    nabi.delete_post(&post).await;
    assert_eq!(lists().await, (0, 0));
    // No row of the lists remains.
    let rows = Backstage::of(&World::shared().await).await;
    for tag in [a, b] {
        for shard in 0..16 {
            let list = format!("tag#{tag}#{shard}");
            assert!(
                rows.partition("PostListsTable", "list", &list)
                    .await
                    .is_empty()
            );
        }
    }
}

/// One transaction changes everything that may change in a post at once: 30 tags and 10 cats.
#[tokio::test]
async fn thirty_tags_and_ten_cats_may_change_at_once() {
    let nabi = World::shared().await.user("nabi");
    let own = tag_of(&nabi.id);
    let mut cats = Vec::new();
    for n in 0..20 {
        cats.push(nabi.cat_id(&n.to_string()).await);
    }
    let tags = |from: usize| -> String {
        let tags = (from..from + 30).map(|n| format!("#t{n}_{own}"));
        tags.collect::<Vec<_>>().join(" ")
    };
    let body = json!({ "text": tags(0), "cats": cats[..10] });
    let post = id_of(
        &nabi
            .create_once("/v1/posts", "all", &body)
            .await
            .expect(201)
            .json(),
    );
    let path = format!("/v1/posts/{post}");
    let body = json!({ "text": tags(30), "cats": cats[10..] });
    nabi.change(&path, &body).await.expect(200);
    for (tag, expected) in [(0, 0), (29, 0), (30, 1), (59, 1)] {
        let list = format!("/v1/tags/t{tag}_{own}/posts");
        assert_eq!(nabi.walk_ids(&list, 20).await.len(), expected, "{tag}");
    }
    nabi.delete_post(&post).await;
    assert!(
        nabi.walk_ids(&format!("/v1/tags/t30_{own}/posts"), 20)
            .await
            .is_empty()
    );
}

/// The bar: whatever the tag's size, its newest page costs the same number of reads, and a write touches one partition of
/// 16.
#[tokio::test]
async fn a_page_costs_the_same_for_every_size_of_tag() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let mut costs = BTreeSet::new();
    for posts in [30, 170] {
        for n in 0..posts {
            nabi.post(&format!("{n} #popular")).await;
        }
        world.wait_until_drained().await;
        world.reset_calls();
        let (page, next) = nabi.page("/v1/tags/popular/posts?limit=20").await;
        assert_eq!((page.len(), next.is_some()), (20, true));
        let calls: Vec<(String, u64)> = world
            .calls()
            .into_iter()
            .filter(|(call, _)| call.function == "post-read" && call.service == Service::Tables)
            .map(|(call, count)| (call.operation, count))
            .collect();
        let queries = calls.iter().find(|(operation, _)| operation == "Query");
        assert_eq!(queries.map(|(_, count)| *count), Some(16), "{calls:?}");
        costs.insert(calls);
    }
    assert_eq!(costs.len(), 1, "{costs:?}");

    let stage = Backstage::of(&world).await;
    let mut found = BTreeSet::new();
    for shard in 0..16 {
        let list = format!("tag#popular#{shard}");
        let rows = stage.partition("PostListsTable", "list", &list).await;
        // 12.5 on average; more than 35 happens once in a hundred million times.
        assert!(rows.len() <= 35, "{} of 200 in one partition", rows.len());
        for row in &rows {
            assert!(found.insert(text(row, "post")), "in two partitions");
        }
    }
    assert_eq!(found.len(), 200);
}
