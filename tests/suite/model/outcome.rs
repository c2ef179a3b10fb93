//! The conditions that must hold at the end of a history.

use std::collections::BTreeSet;

use super::case::Case;
use super::reference::Model;
use crate::support::backstage::id_of;

impl Case {
    /// Compares everything with the model, once all is delivered: with the cache as it is, and again with feeds rebuilt from
    /// the store.
    pub(super) async fn compare(&self) {
        let model = self.model().await;
        let ids: Vec<String> = model.posts().map(|(id, _)| id.clone()).collect();
        let users: Vec<String> = self.users.iter().map(|user| user.id.clone()).collect();
        self.stage.assert_exact(&users, &ids).await;
        for user in 0..self.users.len() {
            self.compare_user(&model, user).await;
            self.compare_feed(&model, user, user + 1).await;
        }
        self.stage.world.flush_cache().await.unwrap();
        for user in 0..self.users.len() {
            self.compare_feed(&model, user, 100).await;
        }
    }

    /// Returns the accepted requests, with the existing posts. A write without an answer is done wholly or not at all.
    async fn model(&self) -> Model {
        let mut model = self.requested.clone();
        let mut unanswered = self.unanswered.clone();
        for (by, user) in self.users.iter().enumerate() {
            for post in user.walk(&format!("/v1/users/{}/posts", user.id), 3).await {
                let (id, text) = (id_of(&post), post["text"].as_str().unwrap());
                if let Some(known) = self.posts.get(&id) {
                    assert_ne!(known.deletion, Some(true), "deleted: {post}");
                    assert!(
                        known.texts.iter().any(|known| known == text),
                        "{post} shows none of {:?}",
                        known.texts
                    );
                } else {
                    let one = unanswered
                        .iter()
                        .position(|unanswered| *unanswered == (by, text.to_owned()));
                    let one =
                        one.unwrap_or_else(|| panic!("nobody posted {post}, or it is there twice"));
                    unanswered.remove(one);
                }
                model.post(&id, by, text);
            }
        }
        for (id, known) in &self.posts {
            assert!(
                known.deletion.is_some() || model.get(id).is_some(),
                "lost: {id} {known:?}"
            );
        }
        model
    }

    async fn compare_user(&self, model: &Model, which: usize) {
        let user = &self.users[which];
        let me = user.me().await;
        let counts = [
            model.followers(which).len(),
            model.following(which).len(),
            model.posts_of(which).len(),
        ];
        assert_eq!(
            [&me["followers"], &me["following"], &me["posts"]],
            counts.map(serde_json::Value::from).each_ref()
        );
        for (list, expected) in [
            ("followers", model.followers(which)),
            ("following", model.following(which)),
        ] {
            let listed = user
                .walk_ids(&format!("/v1/users/{}/{list}", user.id), 2)
                .await;
            let found: BTreeSet<usize> = listed
                .iter()
                .map(|id| self.users.iter().position(|user| user.id == *id).unwrap())
                .collect();
            assert_eq!(listed.len(), found.len(), "{list} of {which}: {listed:?}");
            assert_eq!(found, expected, "{list} of {which}");
        }
    }

    async fn compare_feed(&self, model: &Model, which: usize, size: usize) {
        let feed = self.users[which].walk("/v1/feed", size).await;
        let ids: Vec<String> = feed.iter().map(id_of).collect();
        assert_eq!(ids, model.feed(which), "the feed of {which}, {size} a page");
        for post in &feed {
            let id = id_of(post);
            assert_eq!(
                post["text"],
                *model.get(&id).unwrap().text,
                "{which} and {post}"
            );
            assert_eq!(post["likes"], model.like_count(&id), "{which} and {post}");
            assert_eq!(post["liked"], model.likes(which, &id), "{which} and {post}");
        }
    }
}
