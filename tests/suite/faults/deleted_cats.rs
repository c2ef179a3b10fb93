//! A deleted cat leaves the posts that showed it.

use purrline_local::{FaultRule, When};
use serde_json::json;

use super::stage;
use crate::support::{User, id_of};

/// Returns the cats of each post on a list's first page.
async fn cats(reader: &User, list: &str) -> Vec<Vec<String>> {
    let (posts, _) = reader.page(&format!("{list}?limit=100")).await;
    let cats = posts
        .iter()
        .map(|post| post["cats"].as_array().unwrap().clone());
    let text = |cat: serde_json::Value| cat.as_str().unwrap().to_owned();
    cats.map(|cats| cats.into_iter().map(text).collect())
        .collect()
}

/// Fails when the deleted cat's row is removed before its last post is done, when a post is changed without its outbox mark,
/// or when the cache keeps an old post.
#[tokio::test]
async fn a_deleted_cat_is_removed_from_its_posts_even_if_sweep_dies() {
    let stage = stage().await;
    let world = &stage.world;
    let (nabi, fan) = (world.user("nabi"), world.user("fan"));
    fan.follow(&nabi).await;
    let (coco, momo) = (nabi.cat_id("coco").await, nabi.cat_id("momo").await);
    let mut posts = Vec::new();
    for n in 0..9 {
        posts.push(id_of(&nabi.post_of(&n.to_string(), &[&coco, &momo]).await));
    }
    world.wait_until_drained().await;
    let by_nabi = format!("/v1/users/{}/posts", nabi.id);
    let both = vec![vec![coco.clone(), momo.clone()]; 9];
    assert_eq!(cats(&fan, "/v1/feed").await, both);

    nabi.delete(&format!("/v1/cats/{coco}")).await.expect(204);
    // One post is deleted, and one no longer shows the cat.
    nabi.delete_post(&posts[4]).await;
    let edit = json!({ "cats": [momo] });
    nabi.change(&format!("/v1/posts/{}", posts[5]), &edit)
        .await
        .expect(200);
    for (operation, nth, when) in [
        ("TransactWriteItems", 2, When::Before),
        ("DeleteItem", 1, When::Before),
    ] {
        let rule = FaultRule::kill("sweep", nth, when).operation(operation);
        let kill = world.on_call(rule).unwrap();
        assert!(world.run_schedule("sweep").await.is_err());
        assert_eq!(kill.fired(), 1, "{operation}");
    }
    world.run_schedule("sweep").await.unwrap();
    stage.sweep_until_settled().await;
    let momo_alone = vec![vec![momo.clone()]; 8];
    for list in ["/v1/feed", &by_nabi, &format!("/v1/cats/{momo}/posts")] {
        assert_eq!(cats(&fan, list).await, momo_alone, "{list}");
    }
    assert_eq!(fan.read_post(&posts[0]).await["edited_at"], json!(null));
    for list in ["deleted".to_owned(), format!("cat#{coco}")] {
        assert!(
            stage.partition("CatsTable", "list", &list).await.is_empty(),
            "{list}"
        );
    }
    let list = format!("cat#{coco}");
    assert!(
        stage
            .partition("PostListsTable", "list", &list)
            .await
            .is_empty()
    );
}
