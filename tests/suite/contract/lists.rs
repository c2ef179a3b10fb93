//! Paging: limits, cursors, and walks while others write.

use std::collections::HashSet;

use futures::StreamExt as _;
use serde_json::Value;

use super::routes::{self, LISTS};
use crate::support::{User, World, id_of};

#[tokio::test]
async fn limits_are_1_to_100() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (post, cat) = (nabi.post_id("x").await, nabi.cat_id("x").await);
    for list in LISTS.iter() {
        let list = routes::with_cat(&routes::path(list, &post, &nabi.id), &cat);
        for good in ["1", "20", "99", "100"] {
            nabi.get(&format!("{list}?limit={good}")).await.expect(200);
        }
        for bad in [
            "0",
            "101",
            "-1",
            "abc",
            "",
            "1.5",
            "%2B5",
            "1e1",
            "0x10",
            "99999999999999999999",
            "%EF%BC%95",
        ] {
            nabi.get(&format!("{list}?limit={bad}"))
                .await
                .bad_fields(400, &["/limit"]);
        }
        nabi.get(&format!("{list}?limit=5&limit=5"))
            .await
            .bad_fields(400, &["/limit"]);
        nabi.get(&format!("{list}?limit=0&cursor=x&page=2"))
            .await
            .bad_fields(400, &["/limit", "/cursor", "/page"]);
    }
}

#[tokio::test]
async fn an_empty_list_is_a_page_without_a_next() {
    let world = World::shared().await;
    let (nabi, newcomer) = (world.user("nabi"), world.user("newcomer"));
    newcomer.me().await;
    let author = world.user("author");
    let (post, cat) = (author.post_id("x").await, author.cat_id("x").await);
    // The list of breeds is never empty.
    for list in LISTS.iter().filter(|list| **list != "/v1/breeds") {
        for user in [&nabi, &newcomer] {
            let path = routes::with_cat(&routes::path(list, &post, &user.id), &cat);
            let (items, next) = nabi.page(&path).await;
            assert_eq!((items.len(), next), (0, None), "{list}");
        }
    }
}

/// Creates a user with three cats, one of which is in seven posts with the user's tag. Three of the posts are saved;
/// three followers like the last post and comment on it; the user follows three others and blocks three. Returns the
/// user, that post and that cat.
async fn popular(world: &World) -> (User, String, String) {
    let nabi = world.user("nabi");
    for n in 0..2 {
        nabi.cat(&n.to_string()).await;
    }
    let cat = nabi.cat_id("2").await;
    let tag = routes::tag_of(&nabi.id);
    let mut post = String::new();
    for n in 0..7 {
        post = id_of(&nabi.post_of(&format!("{n} #{tag}"), &[&cat]).await);
        if n < 3 {
            nabi.put(&format!("/v1/posts/{post}/save"))
                .await
                .expect(204);
        }
    }
    for name in ["a", "b", "c"] {
        let (other, stranger) = (world.user(name), world.user("stranger"));
        nabi.follow(&other).await;
        other.follow(&nabi).await;
        other.like(&post).await;
        other.comment(&post, "purr").await;
        stranger.me().await;
        nabi.block(&stranger).await;
    }
    world.wait_until_drained().await;
    (nabi, post, cat)
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_only() {
    let world = World::shared().await;
    let (nabi, reader) = futures::join!(popular(&world), async { popular(&world).await });
    let mut cursors = Vec::new();
    for (user, post, cat) in [&nabi, &reader] {
        for list in LISTS.iter() {
            let list = routes::with_cat(&routes::path(list, post, &user.id), cat);
            let own = routes::is_callers_own(&list);
            let caller = if own { user } else { &reader.0 };
            let (_, next) = caller.page(&format!("{list}?limit=2")).await;
            cursors.push((caller, list, next.unwrap()));
        }
    }
    for (caller, list, cursor) in &cursors {
        let url_safe = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        assert!(cursor.chars().all(url_safe), "{cursor}");
        // A cursor works for its own list, with any limit, for any caller who may read the list.
        caller
            .get(&format!("{list}?cursor={cursor}&limit=1"))
            .await
            .expect(200);
        for (other_caller, other_list, foreign) in &cursors {
            if (list, &caller.id) == (other_list, &other_caller.id)
                || (list == other_list && !routes::is_callers_own(list))
            {
                continue;
            }
            caller
                .get(&format!("{list}?cursor={foreign}"))
                .await
                .bad_fields(400, &["/cursor"]);
        }
        let flipped = if cursor.starts_with('A') { "B" } else { "A" };
        let damaged = [
            String::new(),
            "x".to_owned(),
            "0000000000000".to_owned(),
            cursor[1..].to_owned(),
            cursor[..cursor.len() - 1].to_owned(),
            cursor[..cursor.len() / 2].to_owned(),
            format!("{cursor}A"),
            format!("{cursor}{cursor}"),
            format!("{flipped}{}", &cursor[1..]),
            format!("{cursor}%00"),
            "A".repeat(5000),
            "%FF".to_owned(),
            "나비".to_owned(),
        ];
        for damaged in damaged {
            caller
                .get(&format!("{list}?cursor={damaged}"))
                .await
                .problem(400);
        }
        caller
            .get(&format!("{list}?cursor={cursor}&cursor={cursor}"))
            .await
            .bad_fields(400, &["/cursor"]);
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_page_size_walks_each_item_once_newest_first() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let mut posted = Vec::new();
    for n in 0..12 {
        posted.push(nabi.post_id(&n.to_string()).await);
    }
    posted.reverse();
    world.wait_until_drained().await;
    for list in [
        format!("/v1/users/{}/posts", nabi.id),
        "/v1/feed".to_owned(),
    ] {
        // 3, 4 and 12 fill the last page exactly: no empty page follows.
        for size in [1, 3, 4, 5, 11, 12, 13, 100] {
            assert_eq!(
                ids(&nabi.walk(&list, size).await),
                posted,
                "{list} by {size}"
            );
        }
        let (full, next) = nabi.page(&format!("{list}?limit=12")).await;
        assert_eq!(
            (full.len(), next),
            (12, None),
            "{list}: a page exactly full is the last"
        );
        let (items, next) = nabi.page(&list).await;
        assert_eq!((items.len(), next), (12, None), "{list}: 20 by default");
    }
    for n in 12..25 {
        nabi.post(&n.to_string()).await;
    }
    world.wait_until_drained().await;
    for list in [
        format!("/v1/users/{}/posts", nabi.id),
        "/v1/feed".to_owned(),
    ] {
        let (items, next) = nabi.page(&list).await;
        assert_eq!(
            (items.len(), next.is_some()),
            (20, true),
            "{list}: 20 by default"
        );
    }
}

/// Checks that items that existed throughout are seen once, in order, and others at most once.
#[tokio::test]
async fn a_walk_survives_posts_and_deletions() {
    let world = World::shared().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    reader.follow(&nabi).await;
    let mut posted = Vec::new();
    for n in 0..24 {
        posted.push(nabi.post_id(&n.to_string()).await);
    }
    world.wait_until_drained().await;
    posted.reverse();
    let mut deleted: HashSet<String> = HashSet::new();
    for (list, size) in [
        ("/v1/feed".to_owned(), 3),
        (format!("/v1/users/{}/posts", nabi.id), 4),
    ] {
        let all_along: Vec<String> = posted
            .iter()
            .filter(|id| !deleted.contains(*id))
            .cloned()
            .collect();
        let mut kept = all_along.clone();
        let (mut walked, mut cursor, mut turn) = (Vec::new(), String::new(), 0);
        loop {
            let (page, next) = reader.page(&format!("{list}?limit={size}{cursor}")).await;
            walked.extend(ids(&page).into_iter().map(str::to_owned));
            // In turns: the page's own last item, the next one, and one further on.
            let ahead: Vec<&String> = all_along
                .iter()
                .filter(|id| !walked.contains(id) && !deleted.contains(*id))
                .collect();
            let victim = match turn % 3 {
                0 => walked.last().filter(|id| !deleted.contains(*id)).cloned(),
                1 => ahead.first().map(|id| (*id).clone()),
                _ => ahead.get(4).map(|id| (*id).clone()),
            };
            if let Some(victim) = victim {
                nabi.delete_post(&victim).await;
                kept.retain(|id| *id != victim);
                deleted.insert(victim);
            }
            nabi.post("another").await;
            turn += 1;
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let distinct: HashSet<&String> = walked.iter().collect();
        assert_eq!(distinct.len(), walked.len(), "{list}: something twice");
        assert!(
            walked.windows(2).all(|pair| pair[0] > pair[1]),
            "{list}: not newest first: {walked:?}"
        );
        for id in &kept {
            assert!(distinct.contains(id), "{list}: {id} is missing");
        }
    }
}

/// The load balancer takes no answer above 1 MB: a page of larger posts holds fewer, and the walk misses nothing.
#[tokio::test]
async fn a_page_too_large_for_one_answer_holds_fewer() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    // Each character is six bytes of JSON, and seven in JSON within JSON.
    let text = format!("x{}", "\u{1}".repeat(1999));
    let mut posted: Vec<String> = futures::stream::iter(0..100)
        .map(|_| nabi.post_id(&text))
        .buffer_unordered(4)
        .collect()
        .await;
    posted.sort_unstable_by(|a, b| b.cmp(a));
    world.wait_until_drained().await;
    for list in [
        format!("/v1/users/{}/posts", nabi.id),
        "/v1/feed".to_owned(),
    ] {
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let (page, next) = nabi.page(&format!("{list}?limit=100{cursor}")).await;
            assert!(page.iter().all(|post| post["text"] == text), "{list}");
            walked.extend(page.iter().map(id_of));
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, posted, "{list}");
    }
}
