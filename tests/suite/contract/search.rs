//! Search: which words find what, in which order, and what is not found.

use purrline::domain::Cursor;
use serde_json::{Value, json};

use crate::support::{User, World, eventually, id_of};

/// Starts a stack with only one process that searches, so that everything found once is found from then on.
async fn search_world() -> World {
    let mut options = World::options();
    options.workers = 1;
    World::with(options).await
}

/// Returns a word that only this user's test uses.
fn word(user: &User) -> String {
    user.id.replace('-', "x")
}

/// Encodes words for a query.
pub(super) fn encoded(words: &str) -> String {
    let encoded: Vec<String> = words.bytes().map(|byte| format!("%{byte:02X}")).collect();
    encoded.concat()
}

/// Returns one page of results.
async fn find(user: &User, kind: &str, words: &str) -> Vec<Value> {
    let path = format!("/v1/search?limit=100&type={kind}&q={}", encoded(words));
    let page = user.get(&path).await.expect(200).json();
    assert_eq!(page["next"], Value::Null, "{words}");
    assert_eq!(page["type"], kind, "{words}");
    page["items"].as_array().unwrap().clone()
}

async fn find_ids(user: &User, words: &str) -> Vec<String> {
    find(user, "posts", words).await.iter().map(id_of).collect()
}

/// Waits until exactly these posts are found, in this order.
async fn eventually_found(user: &User, words: &str, posts: &[&str]) {
    let what = format!("{words} finds {posts:?}");
    eventually(&what, async || {
        (find_ids(user, words).await == posts).then_some(())
    })
    .await;
}

#[tokio::test]
async fn posts_are_found_by_the_words_of_their_text() {
    let world = search_world().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let w = word(&nabi);
    let text =
        format!("{w}: 우리 길고양이가 창가에서 잔다 🐱 Sleeping CATS, #러시안블루 naïve 猫がいる");
    let post = nabi.post_id(&text).await;
    eventually_found(&reader, &w, &[&post]).await;
    for words in [
        "고양이",
        "길고양이",
        "길고양이가",
        "창가",
        "잔다",
        "잔",
        "러시안",
        "블루",
        "#러시안블루",
        "sleep",
        "cat",
        "Cat's sleeping",
        "🐱",
        "NAI\u{308}VE",
        "猫",
        "cats 창가에서 고양이",
        // 고양이, as some keyboards send it.
        "\u{1100}\u{1169}\u{110b}\u{1163}\u{11bc}\u{110b}\u{1175}",
    ] {
        assert_eq!(
            find_ids(&reader, &format!("{words} {w}")).await,
            [post.as_str()],
            "{words}"
        );
    }
    for words in [
        "강아지",
        "고양이를",
        "양",
        "dog",
        "ca",
        "sleeper cat dog",
        "🐶",
        "러시안 dog",
    ] {
        assert!(
            find_ids(&reader, &format!("{words} {w}")).await.is_empty(),
            "{words}"
        );
    }
    // A query without any searchable character finds nothing.
    assert!(find_ids(&reader, "!!!").await.is_empty());
    let shown = find(&reader, "posts", &w).await.remove(0);
    assert_eq!(shown, reader.read_post(&post).await);
}

/// Fails if the index alone is trusted, or if fan-out tells search of new posts only.
#[tokio::test]
async fn an_edited_post_is_found_by_its_new_text_and_a_deleted_post_is_gone_at_once() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    let (first, second) = (format!("{w} 고양이"), format!("{w} 강아지"));
    let (edited, deleted) = (nabi.post_id(&first).await, nabi.post_id(&first).await);
    eventually_found(&nabi, &first, &[&deleted, &edited]).await;
    nabi.change(&format!("/v1/posts/{edited}"), &json!({ "text": second }))
        .await
        .expect(200);
    eventually_found(&nabi, &second, &[&edited]).await;
    assert_eq!(find_ids(&nabi, &first).await, [deleted.as_str()]);
    nabi.delete_post(&deleted).await;
    assert!(find_ids(&nabi, &first).await.is_empty());
    eventually_found(&nabi, &w, &[&edited]).await;
}

/// Fails if newer posts are not preferred, or are preferred to ones that match far better.
#[tokio::test]
async fn the_best_match_comes_first_and_equals_are_newest_first() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    let best = nabi.post_id(&format!("{w} {w} {w}")).await;
    let rest = "말이 아주 많은 글이라 낱말 하나하나는 덜 중요하다 ".repeat(10);
    let worst = nabi.post_id(&format!("{w} {rest}")).await;
    let older = nabi.post_id(&format!("{w} 나비")).await;
    let newer = nabi.post_id(&format!("{w} 나비")).await;
    eventually_found(&nabi, &w, &[&best, &newer, &older, &worst]).await;
}

/// Fails if the generation of the index that a cursor refers to is not kept.
#[tokio::test]
async fn every_page_size_walks_each_item_once_despite_concurrent_writes() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    let mut posts = Vec::new();
    for n in 0..12 {
        posts.insert(
            0,
            nabi.post_id(&format!("{w} {}", "나 ".repeat(n % 3))).await,
        );
    }
    let list = format!("/v1/search?q={w}");
    let all = eventually("all are found", async || {
        let ids = find_ids(&nabi, &w).await;
        (ids.len() == posts.len()).then_some(ids)
    })
    .await;
    for size in [1, 3, 4, 5, 11, 12, 13, 100] {
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let (page, next) = nabi.page(&format!("{list}&limit={size}{cursor}")).await;
            assert!(next.is_none() || page.len() == size);
            walked.extend(page.iter().map(id_of));
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(walked, all, "by {size}");
    }
    // A new post comes first, and deletions change the words' weights; a walk that has begun goes on unchanged.
    let (page, next) = nabi.page(&format!("{list}&limit=4")).await;
    let mut walked: Vec<String> = page.iter().map(id_of).collect();
    let new = nabi.post_id(&format!("{w} {w} {w} {w}")).await;
    nabi.delete_post(&all[1]).await;
    nabi.delete_post(&all[7]).await;
    eventually("the new one is found", async || {
        find_ids(&nabi, &w).await.contains(&new).then_some(())
    })
    .await;
    let mut cursor = next.unwrap();
    loop {
        let (page, next) = nabi.page(&format!("{list}&limit=2&cursor={cursor}")).await;
        assert!(next.is_none() || page.len() == 2, "a page that isn't full");
        walked.extend(page.iter().map(id_of));
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let mut expected = all.clone();
    expected.remove(7);
    assert_eq!(walked, expected);
}

async fn introduce(user: &User, handle: &str, name: &str) {
    let profile = json!({ "handle": handle, "name": name });
    let reply = user.put_me(&profile).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
}

#[tokio::test]
async fn users_are_found_while_their_name_is_typed() {
    let world = search_world().await;
    let (nabi, other, reader) = (
        world.user("nabi"),
        world.user("other"),
        world.user("reader"),
    );
    let number = nabi.id.split('-').nth(1).unwrap().to_owned();
    let (handle, theirs) = (format!("q{number}_purr.cat"), format!("q{number}"));
    introduce(&nabi, &handle, &format!("나비{number} Butterfly")).await;
    introduce(&other, &theirs, "달님").await;
    reader.follow(&nabi).await;
    let ids = async |words: &str| -> Vec<String> {
        find(&reader, "users", words)
            .await
            .iter()
            .map(id_of)
            .collect()
    };
    eventually(
        "both are found, the one who is called just so first",
        async || (ids(&theirs).await == [other.id.clone(), nabi.id.clone()]).then_some(()),
    )
    .await;
    for words in [
        format!("@{handle}"),
        format!("{theirs}_"),
        format!("{theirs} p"),
        format!("{theirs} cat"),
        format!("{theirs} BUTT"),
        format!("{theirs} ㄴ"),
        format!("{theirs} 납"),
        format!("나비{number} {theirs}"),
    ] {
        assert_eq!(ids(&words).await, std::slice::from_ref(&nabi.id), "{words}");
    }
    for words in [
        format!("{theirs} fly"),
        format!("{theirs} 비"),
        format!("{theirs}_purrs"),
    ] {
        assert!(ids(&words).await.is_empty(), "{words}");
    }
    world.wait_until_drained().await;
    let shown = find(&reader, "users", &handle).await.remove(0);
    assert_eq!(shown, reader.read_user(&nabi).await);
    assert_eq!(shown["followed"], true);
    // After a change, the new name finds the user, and the old one no longer does.
    introduce(&nabi, &handle, "구름").await;
    eventually("the new name is found", async || {
        (ids(&format!("{theirs} 구")).await == std::slice::from_ref(&nabi.id)).then_some(())
    })
    .await;
    assert!(ids(&format!("{theirs} 나비")).await.is_empty());
}

/// Fails if deleted posts count, or if the middle of a tag finds it.
#[tokio::test]
async fn tags_are_found_while_they_are_typed_with_their_counts() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    let mut posts = Vec::new();
    for text in [
        format!("#{w}고양이"),
        format!("#{w}고양이 #{w}강아지 #{w}고"),
        format!("#{}고양이 #{w}고양이", w.to_uppercase()),
        format!("#{w}과자 #{w}고래 #{w}고래"),
        format!("#{w}고래"),
    ] {
        posts.push(nabi.post_id(&text).await);
    }
    let tags = async |words: &str| -> Vec<(String, u64)> {
        let items = find(&nabi, "tags", words).await;
        let tag = |tag: &Value| {
            assert_eq!(tag.as_object().unwrap().len(), 2);
            let name = tag["tag"].as_str().unwrap().strip_prefix(&w).unwrap();
            (name.to_owned(), tag["posts"].as_u64().unwrap())
        };
        items.iter().map(tag).collect()
    };
    let expect = async |words: &str, expected: &[(&str, u64)]| {
        let expected: Vec<(String, u64)> = expected
            .iter()
            .map(|(tag, posts)| ((*tag).to_owned(), *posts))
            .collect();
        eventually(&format!("{words} finds {expected:?}"), async || {
            (tags(words).await == expected).then_some(())
        })
        .await;
    };
    // The tag itself comes first, then those with the most posts. On the keyboard, `과` begins with the same keys as
    // `고`.
    expect(
        &format!("{w}고"),
        &[("고", 1), ("고양이", 3), ("고래", 2), ("과자", 1)],
    )
    .await;
    expect(&format!("#{w}고양"), &[("고양이", 3)]).await;
    expect(&format!("{w} 고양이"), &[("고양이", 3)]).await;
    expect(&format!("{w}양이"), &[]).await;
    let list = format!("/v1/search?type=tags&q={w}");
    let (all, _) = nabi.page(&list).await;
    assert_eq!(all.len(), 5);
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = nabi.page(&format!("{list}&limit=2{cursor}")).await;
        walked.extend(page);
        match next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, all);
    nabi.delete_post(&posts[0]).await;
    nabi.delete_post(&posts[3]).await;
    expect(&format!("{w}고"), &[("고", 1), ("고양이", 2), ("고래", 1)]).await;
}

#[tokio::test]
async fn bad_input_names_the_field() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    for q in [
        "x".repeat(100),
        "고".repeat(100),
        format!("%20{}%20", "x".repeat(100)),
    ] {
        nabi.get(&format!("/v1/search?q={q}")).await.expect(200);
    }
    for (query, fields) in [
        ("", vec!["/q"]),
        ("?q=", vec!["/q"]),
        ("?q=%20%20", vec!["/q"]),
        ("?q=x%00y", vec!["/q"]),
        ("?q=%E2%80%8B", vec!["/q"]),
        ("?q=%E3%85%A4%EF%B8%8F", vec!["/q"]),
        (&format!("?q={}", "x".repeat(101)), vec!["/q"]),
        ("?q=x&q=y", vec!["/q"]),
        ("?q=x&type=dogs", vec!["/type"]),
        ("?q=x&type=", vec!["/type"]),
        ("?q=x&limit=0", vec!["/limit"]),
        ("?q=x&limit=101", vec!["/limit"]),
        ("?q=x&cursor=x", vec!["/cursor"]),
        (
            "?type=dogs&limit=x&page=2",
            vec!["/q", "/type", "/limit", "/page"],
        ),
    ] {
        nabi.get(&format!("/v1/search{query}"))
            .await
            .bad_fields(400, &fields);
    }
    // Queries have no syntax: each is just words.
    for q in [
        "\"", "a AND (", "*", "+x -y", "text:x", "x\u{1}y", "\\", "~", "=", "ㄱ\u{1}",
    ] {
        for kind in ["posts", "users", "cats", "tags"] {
            find(&nabi, kind, q).await;
        }
    }
}

/// Fails if a page is read from another generation of the index, which has another order.
#[tokio::test]
async fn a_cursor_of_a_generation_that_is_gone_is_too_old() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    for n in 0..3 {
        nabi.post_id(&format!("{w} {n}")).await;
    }
    let path = format!("/v1/search?q={w}&limit=1");
    let next = eventually("there is a second page", async || nabi.page(&path).await.1).await;
    let list = format!("search/Posts/{w}");
    let mut place = Cursor::open(&next, &list).unwrap();
    nabi.get(&format!("{path}&cursor={next}")).await.expect(200);
    place[..8].copy_from_slice(&u64::to_be_bytes(1 << 40));
    let gone = Cursor::issue(&list, &place);
    let reply = nabi.get(&format!("{path}&cursor={}", gone.as_str())).await;
    reply.bad_fields(400, &["/cursor"]);
}

/// A cursor is bound to its words and type.
#[tokio::test]
async fn a_cursor_is_good_for_its_own_search_only() {
    let world = search_world().await;
    let nabi = world.user("nabi");
    let w = word(&nabi);
    for _ in 0..2 {
        nabi.post(&format!("{w} #{w}a #{w}b")).await;
    }
    let mut cursors = Vec::new();
    for list in ["type=posts&q=", "type=tags&q="] {
        let list = format!("/v1/search?{list}{w}");
        let next = eventually("there is a second page", async || {
            nabi.page(&format!("{list}&limit=1")).await.1
        })
        .await;
        nabi.get(&format!("{list}&limit=5&cursor={next}"))
            .await
            .expect(200);
        cursors.push(next);
    }
    let [posts, tags] = &cursors[..] else {
        panic!("two cursors")
    };
    for (query, cursor) in [
        (format!("type=tags&q={w}"), posts),
        (format!("type=posts&q={w}"), tags),
        (format!("type=users&q={w}"), posts),
        (format!("q={w}y"), posts),
    ] {
        nabi.get(&format!("/v1/search?{query}&cursor={cursor}"))
            .await
            .bad_fields(400, &["/cursor"]);
    }
}

/// Fails if search doesn't check who is visible to the caller, or if its pages aren't full.
#[tokio::test]
async fn blocked_and_departed_users_are_not_found() {
    let world = search_world().await;
    let (nabi, other, left) = (world.user("nabi"), world.user("other"), world.user("left"));
    let reader = world.user("reader");
    let w = word(&nabi);
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for _ in 0..3 {
        for author in [&nabi, &other, &left] {
            let post = author.post_id(&w).await;
            if author.id == nabi.id {
                seen.insert(0, post.clone());
            }
            all.insert(0, post);
        }
    }
    for user in [&nabi, &other, &left] {
        introduce(user, &word(user), &format!("{w} 나비")).await;
    }
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    eventually_found(&reader, &w, &all).await;
    eventually("all three are found", async || {
        (find(&reader, "users", &w).await.len() == 3).then_some(())
    })
    .await;
    reader.block(&other).await;
    left.delete("/v1/me").await.expect(202);
    assert_eq!(find_ids(&reader, &w).await, seen);
    let users = find(&reader, "users", &w).await;
    assert_eq!(
        users.iter().map(id_of).collect::<Vec<_>>(),
        std::slice::from_ref(&nabi.id)
    );
    let (page, next) = reader.page(&format!("/v1/search?q={w}&limit=2")).await;
    assert_eq!((page.len(), next.is_some()), (2, true));
    let next = next.unwrap();
    let (page, next) = reader
        .page(&format!("/v1/search?q={w}&limit=2&cursor={next}"))
        .await;
    assert_eq!((page.len(), next), (1, None));
    // The same in the other direction.
    let hidden = reader.post_id(&format!("{w} 숨은")).await;
    eventually_found(&nabi, &format!("{w} 숨은"), &[&hidden]).await;
    assert!(find_ids(&other, &format!("{w} 숨은")).await.is_empty());
}

/// Fails when a tag is shown to callers who may see none of its posts.
#[tokio::test]
async fn a_tag_used_only_by_hidden_authors_is_not_found() {
    let world = search_world().await;
    let (nabi, other, left) = (world.user("nabi"), world.user("other"), world.user("left"));
    let reader = world.user("reader");
    let w = word(&nabi);
    other.post(&format!("#{w}all #{w}both #{w}others")).await;
    left.post(&format!("#{w}all #{w}lefts")).await;
    nabi.post(&format!("#{w}all #{w}both #{w}nabis")).await;
    // With this many posts, one more reveals nothing about its author.
    for _ in 0..9 {
        other.post(&format!("#{w}many")).await;
    }
    let tags = async |caller: &User| -> Vec<Value> {
        let mut tags = find(caller, "tags", &w).await;
        for tag in &mut tags {
            let short = tag["tag"].as_str().unwrap().replace(&w, "");
            tag["tag"] = short.into();
        }
        tags
    };
    let all = json!([
        { "tag": "many", "posts": 9 }, { "tag": "all", "posts": 3 }, { "tag": "both", "posts": 2 },
        { "tag": "lefts", "posts": 1 }, { "tag": "nabis", "posts": 1 }, { "tag": "others", "posts": 1 }
    ]);
    eventually("all tags are found", async || {
        (json!(tags(&reader).await) == all).then_some(())
    })
    .await;
    reader.block(&other).await;
    left.delete("/v1/me").await.expect(202);
    let without = |hidden: &[&str]| -> Vec<Value> {
        let all = all.as_array().unwrap().iter().cloned();
        let shown = all.filter(|tag| !hidden.contains(&tag["tag"].as_str().unwrap()));
        shown.collect()
    };
    assert_eq!(tags(&reader).await, without(&["lefts", "others"]));
    assert_eq!(tags(&nabi).await, without(&["lefts"]));
    // Pages are full.
    let words = encoded(&w);
    let path = format!("/v1/search?type=tags&q={words}");
    let sizes = async |limit: usize| -> Vec<usize> {
        let (mut sizes, mut next) = (Vec::new(), Some(String::new()));
        while let Some(cursor) = next {
            let cursor = match cursor.as_str() {
                "" => String::new(),
                cursor => format!("&cursor={cursor}"),
            };
            let (page, after) = reader.page(&format!("{path}&limit={limit}{cursor}")).await;
            sizes.push(page.len());
            next = after;
        }
        sizes
    };
    assert_eq!(sizes(1).await, [1, 1, 1, 1]);
    assert_eq!(sizes(3).await, [3, 1]);
    assert_eq!(sizes(4).await, [4]);
    // The same in the other direction.
    reader.post(&format!("#{w}readers")).await;
    eventually("nabi finds it", async || {
        (tags(&nabi).await.len() == 6).then_some(())
    })
    .await;
    assert_eq!(tags(&other).await, without(&["lefts"]));
}

#[tokio::test]
async fn width_accents_spaces_and_invisible_characters_make_no_difference() {
    let world = search_world().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let w = word(&nabi);
    let narrow = format!("{w} ﾈｺ Ｔｏｗｅｒ café 고양이카페 kit\u{ad}ten 길 고양이");
    let wide = format!("{w} ネコ tower cafe 고양이 카페 kitten 길고양이");
    let narrow = nabi.post_id(&narrow).await;
    let wide = nabi.post_id(&wide).await;
    let posts = [wide, narrow];
    eventually("both are found", async || {
        (find_ids(&reader, &w).await.len() == 2).then_some(())
    })
    .await;
    for words in [
        "ネコ",
        "ﾈｺ",
        "Ｔｏｗｅｒ",
        "tower",
        "cafe",
        "café",
        "CAFE\u{301}",
        "고양이카페",
        "고양이 카페",
        "kitten",
        "kit\u{200b}ten",
        "kit\u{ad}ten",
        "길고양이",
        "길 고양이",
        "고양이\u{3000}카페",
    ] {
        let mut ids = find_ids(&reader, &format!("{words} {w}")).await;
        ids.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(ids, posts, "{words}");
    }
    for words in ["カフェ", "카페고양", "cafes tower dog"] {
        assert!(
            find_ids(&reader, &format!("{words} {w}")).await.is_empty(),
            "{words}"
        );
    }
    // The same holds for tags and names.
    nabi.post(&format!("#{w}Café")).await;
    introduce(&nabi, &word(&nabi), &format!("{w} Zoë 나비 집사🐱")).await;
    eventually("the tag and the name are found", async || {
        let tags = find(&reader, "tags", &format!("{w}ｃａｆｅ")).await;
        let users = find(&reader, "users", &format!("{w} zoe")).await;
        (tags.len() == 1 && users.len() == 1).then_some(())
    })
    .await;
    for words in ["나비집사".to_owned(), format!("{w} 나 비 집 사")] {
        let users = find(&reader, "users", &words).await;
        let is_found = users.iter().any(|user| user["id"] == *nabi.id);
        assert!(is_found, "{words}");
    }
}

#[tokio::test]
async fn cats_are_found_by_every_name_of_their_breed() {
    let world = search_world().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let w = word(&nabi);
    let mut cats = Vec::new();
    for breed in [
        json!("russian-blue"),
        json!("러시안 블루"),
        json!("치즈 태비"),
        Value::Null,
    ] {
        let cat = json!({ "name": w, "breed": breed });
        let cat = nabi.create("/v1/cats", &cat).await.expect(201).json();
        cats.push(id_of(&cat));
    }
    let ids = async |words: &str| -> Vec<String> {
        let cats = find(&reader, "cats", &format!("{w} {words}")).await;
        let mut ids: Vec<String> = cats.iter().map(id_of).collect();
        ids.sort_unstable();
        ids
    };
    eventually("all are found", async || {
        (ids("").await.len() == cats.len()).then_some(())
    })
    .await;
    for words in [
        "러시안 블루",
        "러시안블루",
        "러시안",
        "russian-blue",
        "Russian Blue",
        "블루",
        "ＲＵＳＳＩＡＮ",
    ] {
        assert_eq!(ids(words).await, cats[..2], "{words}");
    }
    for words in ["치즈태비", "치즈 태비", "태"] {
        assert_eq!(ids(words).await, cats[2..3], "{words}");
    }
    assert!(ids("시안").await.is_empty());
    // The breed changes.
    let path = format!("/v1/cats/{}", cats[0]);
    let bengal = json!({ "breed": "bengal" });
    nabi.change(&path, &bengal).await.expect(200);
    eventually("it is found by its new breed", async || {
        (ids("벵갈").await == cats[..1]).then_some(())
    })
    .await;
    assert_eq!(ids("러시안").await, cats[1..2]);
}

/// Fails if a change of a cat isn't indexed, or if search ignores its owner.
#[tokio::test]
async fn cats_are_found_while_their_name_is_typed() {
    let world = search_world().await;
    let (nabi, reader) = (world.user("nabi"), world.user("reader"));
    let w = word(&nabi);
    let cat = nabi.cat_id(&format!("{w} 고등어")).await;
    let ids = async |words: String| -> Vec<String> {
        find(&reader, "cats", &words)
            .await
            .iter()
            .map(id_of)
            .collect()
    };
    eventually("the cat is found", async || {
        (ids(format!("{w} 고등")).await == std::slice::from_ref(&cat)).then_some(())
    })
    .await;
    assert_eq!(
        find(&reader, "cats", &w).await,
        [reader.read_cat(&cat).await]
    );
    assert!(ids(format!("{w} 등어")).await.is_empty());
    let path = format!("/v1/cats/{cat}");
    let renamed = json!({ "name": format!("{w} 치즈") });
    nabi.change(&path, &renamed).await.expect(200);
    eventually("the new name is found", async || {
        (ids(format!("{w} 치즈")).await == std::slice::from_ref(&cat)).then_some(())
    })
    .await;
    assert!(ids(format!("{w} 고등")).await.is_empty());
    reader.me().await;
    nabi.block(&reader).await;
    assert!(ids(w.clone()).await.is_empty());
    nabi.unblock(&reader).await;
    nabi.delete(&path).await.expect(204);
    assert!(ids(w.clone()).await.is_empty());
}
