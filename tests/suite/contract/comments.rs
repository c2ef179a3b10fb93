//! Comments: who may write, read and delete them, their order, and their count wherever a post is shown.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};

use super::shapes::{assert_comment, author};
use crate::support::backstage::Backstage;
use crate::support::{User, World, comments, id_of};

/// Returns a post's number of comments from every place where this caller, who follows its author and saved it, sees it.
async fn count(caller: &User, author: &User, post: &str) -> u64 {
    let read = caller.read_post(post).await;
    for list in [
        format!("/v1/users/{}/posts", author.id),
        "/v1/feed".to_owned(),
        "/v1/me/saved".to_owned(),
    ] {
        let listed = caller.walk(&list, 20).await;
        let listed = listed.iter().find(|item| id_of(item) == post);
        assert_eq!(listed.unwrap()["comments"], read["comments"], "{list}");
    }
    read["comments"].as_u64().unwrap()
}

/// Returns a new user who follows the author and saved the post.
async fn fan_of(world: &World, author: &User, post: &str) -> User {
    let fan = world.user("fan");
    fan.follow(author).await;
    fan.put(&format!("/v1/posts/{post}/save")).await.expect(204);
    world.wait_until_drained().await;
    fan
}

#[tokio::test]
async fn a_comment_has_every_field_and_is_counted_wherever_the_post_is_shown() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let post = nabi.post_id("x").await;
    let fan = fan_of(&world, &nabi, &post).await;
    assert_eq!(count(&fan, &nabi, &post).await, 0);
    let mut written = Vec::new();
    for (n, by) in (1_u64..).zip([&fan, &nabi, &fan]) {
        let text = format!("귀여워 {n} \u{1f408}\n");
        let reply = by
            .create(&comments(&post), &json!({ "text": text }))
            .await
            .expect(201);
        let comment = reply.json();
        assert_comment(&comment);
        let location = format!("/v1/posts/{post}/comments/{}", id_of(&comment));
        assert_eq!(reply.header("location"), Some(location.as_str()));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(
            (&comment["post_id"], &comment["text"]),
            (&json!(post), &json!(text))
        );
        assert_eq!(comment["author"], author(by).await);
        written.insert(0, comment);
        // The count changes at once, even if it was cached.
        assert_eq!(count(&fan, &nabi, &post).await, n);
    }
    for caller in [&nabi, &fan, &world.user("third")] {
        assert_eq!(caller.walk(&comments(&post), 20).await, written);
    }
    for comment in &written {
        let reply = nabi
            .delete_comment(&post, &id_of(comment))
            .await
            .expect(204);
        assert!(reply.body.is_empty());
    }
    assert_eq!(count(&fan, &nabi, &post).await, 0);
}

#[tokio::test]
async fn a_text_has_1_to_1000_characters_of_any_kind() {
    let nabi = World::shared().await.user("nabi");
    let post = nabi.post_id("x").await;
    let decomposed = "\u{1112}\u{1161}\u{11ab}";
    for text in ["\u{1f408}", "가", "x", decomposed] {
        let most = 1000 / text.chars().count();
        for good in [text.to_owned(), text.repeat(most)] {
            assert_eq!(nabi.comment(&post, &good).await["text"], good);
        }
        let bad = format!("{}x", text.repeat(most)) + &"x".repeat(1000 % text.chars().count());
        nabi.create(&comments(&post), &json!({ "text": bad }))
            .await
            .bad_fields(400, &["/text"]);
    }
    for odd in [" x", "x\n", "\u{1}\u{202e}x", "\"\\", "<b>#x</b>"] {
        assert_eq!(nabi.comment(&post, odd).await["text"], odd);
    }
    for bad in [
        "",
        " ",
        "\n",
        "\u{200b}",
        "\u{3164}\u{fe0f}",
        "\u{2800}",
        "\0",
        "x\0",
        "x\0y",
    ] {
        nabi.create(&comments(&post), &json!({ "text": bad }))
            .await
            .bad_fields(400, &["/text"]);
    }
    // A page of the largest comments is cut to the maximum size of an answer, and the next page continues from there.
    let largest = format!("x{}", "\u{1}".repeat(999));
    for _ in 0..100 {
        nabi.comment(&post, &largest).await;
    }
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let list = format!("{}?limit=100{cursor}", comments(&post));
        let (page, next) = nabi.page(&list).await;
        walked.extend(page.iter().map(id_of));
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, nabi.walk_ids(&comments(&post), 20).await);
    assert_eq!(walked.len(), 113);
}

#[tokio::test]
async fn every_page_size_walks_each_comment_once_newest_first() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let (post, other) = (nabi.post_id("x").await, nabi.post_id("y").await);
    let users = [&nabi, &world.user("a"), &world.user("b")];
    let mut written = Vec::new();
    for n in 0..12 {
        let comment = users[n % 3].comment(&post, &n.to_string()).await;
        users[n % 2].comment(&other, "elsewhere").await;
        written.insert(0, comment);
    }
    for size in [1, 2, 3, 4, 5, 11, 12, 13, 100] {
        assert_eq!(
            nabi.walk(&comments(&post), size).await,
            written,
            "by {size}"
        );
    }
    // New comments are newer than a walk's position; deletions leave no gap.
    let (first, next) = nabi.page(&format!("{}?limit=5", comments(&post))).await;
    assert_eq!(first, written[..5]);
    nabi.comment(&post, "new").await;
    for gone in [4, 5] {
        nabi.delete_comment(&post, &id_of(&written[gone]))
            .await
            .expect(204);
    }
    let rest = format!("{}?limit=100&cursor={}", comments(&post), next.unwrap());
    assert_eq!(nabi.page(&rest).await, (written[6..].to_vec(), None));
}

#[tokio::test]
async fn its_author_and_the_posts_delete_a_comment_and_nobody_else() {
    let world = World::shared().await;
    let (nabi, fan, other) = (world.user("nabi"), world.user("fan"), world.user("other"));
    let (post, another) = (nabi.post_id("x").await, other.post_id("y").await);
    for by in [&fan, &nabi] {
        let comment = id_of(&fan.comment(&post, "purr").await);
        other.delete_comment(&post, &comment).await.problem(403);
        // A comment can't be deleted by the path of another post.
        for anybody in [&fan, &nabi, &other] {
            anybody
                .delete_comment(&another, &comment)
                .await
                .problem(404);
        }
        assert_eq!(nabi.read_post(&post).await["comments"], 1);
        by.delete_comment(&post, &comment).await.expect(204);
        for anybody in [&fan, &nabi, &other] {
            anybody.delete_comment(&post, &comment).await.problem(404);
        }
        assert_eq!(nabi.read_post(&post).await["comments"], 0);
        assert!(nabi.walk(&comments(&post), 5).await.is_empty());
    }
    // Nobody else may delete a comment that an author wrote on their own post.
    let comment = id_of(&nabi.comment(&post, "mine").await);
    fan.delete_comment(&post, &comment).await.problem(403);
}

#[tokio::test]
async fn comments_of_hidden_users_are_left_out_and_pages_stay_full() {
    let world = World::shared().await;
    let (nabi, bad, fan) = (world.user("nabi"), world.user("bad"), world.user("fan"));
    let (mine, common) = (nabi.post_id("x").await, fan.post_id("y").await);
    let mut by_bad = Vec::new();
    let mut by_nabi = Vec::new();
    for _ in 0..4 {
        by_bad.insert(0, id_of(&bad.comment(&common, "bad's").await));
        by_bad.insert(0, id_of(&bad.comment(&common, "bad's").await));
        by_nabi.insert(0, id_of(&nabi.comment(&common, "nabi's").await));
    }
    let on_mine = id_of(&bad.comment(&mine, "bad's").await);
    let kept = id_of(&bad.comment(&mine, "bad's").await);
    let own = id_of(&nabi.comment(&mine, "nabi's").await);
    nabi.block(&bad).await;
    for size in [1, 2, 3, 4, 5] {
        let list = comments(&common);
        assert_eq!(nabi.walk_ids(&list, size).await, by_nabi);
        assert_eq!(bad.walk_ids(&list, size).await, by_bad);
        assert_eq!(fan.walk(&list, size).await.len(), 12);
    }
    // A user who doesn't see the post sees none of its comments, not even their own.
    let body = json!({ "text": "x" });
    bad.get(&comments(&mine)).await.problem(404);
    bad.create(&comments(&mine), &body).await.problem(404);
    bad.delete_comment(&mine, &own).await.problem(404);
    // A user who doesn't see a comment's author can't tell that the comment exists.
    nabi.delete_comment(&common, &by_bad[0]).await.problem(404);
    // But the post's author may delete any comment on it.
    nabi.delete_comment(&mine, &on_mine).await.expect(204);
    assert_eq!(nabi.walk_ids(&comments(&mine), 5).await, [own.as_str()]);
    assert_eq!(fan.read_post(&mine).await["comments"], 2);
    nabi.unblock(&bad).await;
    assert_eq!(bad.walk_ids(&comments(&mine), 5).await, [own, kept]);
}

/// Despite any block, a comment may be deleted by its author and its post's author, and by no other user.
#[tokio::test]
async fn a_block_keeps_nobody_from_deleting_their_comments() {
    let world = World::shared().await;
    for author_blocks in [true, false] {
        let (author, writer, third) = (
            world.user("author"),
            world.user("writer"),
            world.user("third"),
        );
        let post = author.post_id("x").await;
        let mut written = Vec::new();
        for _ in 0..3 {
            written.push(id_of(&writer.comment(&post, "purr").await));
        }
        let by_third = id_of(&third.comment(&post, "purr").await);
        if author_blocks {
            author.block(&writer).await;
        } else {
            writer.block(&author).await;
        }
        let [own, others, kept] = [0, 1, 2].map(|n: usize| written[n].as_str());
        for hidden in [by_third.as_str(), "0000000000000"] {
            let reply = writer.delete_comment(&post, hidden).await;
            assert_eq!(reply.problem(404)["detail"], "There is no such post.");
        }
        writer.delete_comment(&post, own).await.expect(204);
        author.delete_comment(&post, others).await.expect(204);
        for gone in [own, others] {
            writer.delete_comment(&post, gone).await.problem(404);
            author.delete_comment(&post, gone).await.problem(404);
        }
        third.delete_comment(&post, kept).await.problem(403);
        third.block(&writer).await;
        third.delete_comment(&post, kept).await.problem(404);
        assert_eq!(author.read_post(&post).await["comments"], 2);
        // A departed user can delete nothing, and a departed author's post has no comments to delete.
        let (mine, below) = (&by_third, author.comment(&post, "own").await);
        if author_blocks {
            third.delete("/v1/me").await.expect(202);
            third.delete_comment(&post, mine).await.problem(403);
        } else {
            author.delete("/v1/me").await.expect(202);
            third.delete_comment(&post, mine).await.problem(404);
            author
                .delete_comment(&post, &id_of(&below))
                .await
                .problem(403);
        }
    }
}

/// The account is withdrawn directly in the store, so that this tests comments alone.
#[tokio::test]
async fn comments_of_departed_users_are_left_out() {
    let world = World::shared().await;
    let (nabi, gone) = (world.user("nabi"), world.user("gone"));
    gone.me().await;
    let (post, theirs) = (nabi.post_id("x").await, gone.post_id("y").await);
    let mut left = Vec::new();
    for _ in 0..3 {
        gone.comment(&post, "gone").await;
        left.insert(0, id_of(&nabi.comment(&post, "stays").await));
    }
    let stage = Backstage::of(&world).await;
    let update = stage.tables.update_item();
    update
        .table_name(stage.table("UsersTable"))
        .key("id", AttributeValue::S(gone.id.clone()))
        .update_expression("SET withdrawn_at = :now")
        .expression_attribute_values(":now", AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
    for size in [1, 2, 3] {
        assert_eq!(nabi.walk_ids(&comments(&post), size).await, left);
    }
    nabi.get(&comments(&theirs)).await.problem(404);
    nabi.create(&comments(&theirs), &json!({ "text": "x" }))
        .await
        .problem(404);
}

#[tokio::test]
async fn unknown_posts_have_no_comments() {
    let world = World::shared().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let (post, deleted) = (nabi.post_id("x").await, nabi.post_id("y").await);
    let comment = id_of(&fan.comment(&deleted, "before").await);
    let mine = id_of(&nabi.comment(&deleted, "before").await);
    nabi.delete_post(&deleted).await;
    let body = json!({ "text": "x" });
    for caller in [&nabi, &fan] {
        for gone in [deleted.as_str(), "0000000000000", "nothing", "a%2Fb", "%FF"] {
            caller.get(&comments(gone)).await.problem(404);
            caller.create(&comments(gone), &body).await.problem(404);
            for id in [&comment, &mine] {
                caller.delete_comment(gone, id).await.problem(404);
            }
        }
        for gone in ["0000000000000", "nothing", "a%2Fb", "%FF", &comment] {
            caller.delete_comment(&post, gone).await.problem(404);
        }
    }
    // The detail names which of the two is missing.
    let words = async |reply: crate::support::Reply| reply.problem(404)["detail"].clone();
    assert_eq!(
        words(nabi.delete_comment("nothing", "nothing").await).await,
        "There is no such post."
    );
    for gone in ["nothing", "%FF", "0000000000000"] {
        assert_eq!(
            words(nabi.delete_comment(&post, gone).await).await,
            "There is no such comment."
        );
    }
    // A single comment can't be read.
    let path = format!("{}/{comment}", comments(&post));
    let reply = nabi.call(Method::GET, &path).await;
    reply.problem(405);
    assert_eq!(reply.header("allow"), Some("DELETE"));
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer_and_one_comment() {
    let world = World::shared().await;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    let (post, another) = (nabi.post_id("x").await, nabi.post_id("y").await);
    let body = json!({ "text": "once" });
    let send = async |by: &User, key: &str| by.create_once(&comments(&post), key, &body).await;
    let first = send(&fan, "key").await.expect(201);
    let again = send(&fan, "key").await.expect(201);
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("location"), first.header("location"));
    // With another body or post, the key belongs to another request.
    fan.create_once(&comments(&post), "key", &json!({ "text": "twice" }))
        .await
        .problem(422);
    fan.create_once(&comments(&another), "key", &body)
        .await
        .problem(422);
    fan.create_once(&comments(&post), "a b", &body)
        .await
        .bad_fields(400, &["/Idempotency-Key"]);
    assert_eq!(nabi.read_post(&post).await["comments"], 1);
    // Another key, no key or another caller each create a comment.
    for other in [
        send(&fan, "KEY").await,
        send(&nabi, "key").await,
        fan.create(&comments(&post), &body).await,
    ] {
        assert_ne!(other.expect(201).json()["id"], first.json()["id"]);
    }
    assert_eq!(nabi.read_post(&post).await["comments"], 4);
    // The answer is remembered even after the comment is deleted.
    fan.delete_comment(&post, &id_of(&first.json()))
        .await
        .expect(204);
    assert_eq!(send(&fan, "key").await.expect(201).json(), first.json());
    assert_eq!(nabi.walk(&comments(&post), 9).await.len(), 3);
    // Many identical requests at once.
    let replies = futures::future::join_all((0..8).map(|_| send(&fan, "at-once"))).await;
    let answers: Vec<Value> = replies
        .into_iter()
        .map(|it| it.expect(201).json())
        .collect();
    assert!(answers.iter().all(|it| *it == answers[0]), "{answers:#?}");
    assert_eq!(nabi.walk(&comments(&post), 9).await.len(), 4);
    assert_eq!(nabi.read_post(&post).await["comments"], 4);
}
