//! One case: its own users on the shared stack, with real endpoints and consumers, and with queues that the test delivers. A
//! model keeps track of what must hold at each moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use futures::future::join_all;
use proptest::sample::Index;
use purrline_local::{Fault, FaultAction, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};

use super::deliveries::Message;
use super::operations::{Call, Operation, USERS, Write};
use super::reads::Walk;
use super::reference::{Model, PostId};
use crate::support::backstage::{Backstage, id_of};
use crate::support::{Reply, User};

/// Duration of a reader's slow call: longer than everything that happens meanwhile.
const SLOW: Duration = Duration::from_millis(40);

/// The model's knowledge of a post.
#[derive(Debug)]
pub(super) struct KnownPost {
    pub(super) author: usize,
    /// The post shows one of these texts. There are several only after an edit without an answer.
    pub(super) texts: Vec<String>,
    /// `None` if nobody has tried to delete the post; otherwise whether a deletion was answered.
    pub(super) deletion: Option<bool>,
}

#[derive(Debug)]
pub(super) struct Case {
    pub(super) stage: Backstage,
    pub(super) users: Vec<User>,
    pub(super) posts: BTreeMap<PostId, KnownPost>,
    /// Attempted posts without an answer: author and text.
    pub(super) unanswered: Vec<(usize, String)>,
    /// The last requests on follows and likes: as accepted, and those that have taken effect.
    pub(super) requested: Model,
    pub(super) applied: Model,
    pub(super) queues: [Vec<Message>; 3],
    /// Posts that are in all feeds.
    pub(super) fanned_out: HashSet<PostId>,
    /// Every pair of follower and followee that ever existed.
    pub(super) ever_followed: BTreeSet<(usize, usize)>,
    pub(super) walks: [Walk; USERS],
    pub(super) walking: [bool; USERS],
    clock: i64,
}

impl Case {
    pub(super) async fn new(stage: &Backstage) -> Self {
        let users: Vec<User> = (0..USERS).map(|_| stage.world.user("model")).collect();
        // A follow doesn't create a user.
        for user in &users {
            user.me().await;
        }
        // Some have their followers in several shards, as if they had once had very many.
        for user in users.iter().step_by(2) {
            stage.spread_followers(user, 3).await;
        }
        Self {
            stage: stage.clone(),
            users,
            posts: BTreeMap::new(),
            unanswered: Vec::new(),
            requested: Model::default(),
            applied: Model::default(),
            queues: Default::default(),
            fanned_out: HashSet::new(),
            ever_followed: BTreeSet::new(),
            walks: Default::default(),
            walking: [false; USERS],
            clock: 0,
        }
    }

    pub(super) async fn perform(&mut self, operation: &Operation) {
        let (Operation::Write { meanwhile, .. } | Operation::Deliver { meanwhile, .. }) = operation
        else {
            return self.perform_alone(operation).await;
        };
        let Some(Call { nth, when }) = *meanwhile else {
            return self.perform_alone(operation).await;
        };
        let slow = FaultRule::new(when, FaultAction::Delay(SLOW)).function("feed");
        let slow = self.stage.world.on_call(slow.nth(nth)).unwrap();
        let deleted: HashSet<PostId> = self.deleted().cloned().collect();
        let readers = self.users.clone();
        let reads = join_all(readers.iter().map(|reader| reader.feed_ids(100)));
        let ((), feeds) = futures::join!(self.perform_alone(operation), reads);
        slow.clear();
        for feed in feeds {
            assert!(feed.is_sorted_by(|a, b| a > b), "{feed:?}");
            assert_eq!(
                feed.iter().find(|id| deleted.contains(*id)),
                None,
                "deleted, and read later"
            );
        }
    }

    /// Returns the posts whose deletion was answered.
    fn deleted(&self) -> impl Iterator<Item = &PostId> {
        self.posts
            .iter()
            .filter(|(_, known)| known.deletion == Some(true))
            .map(|(id, _)| id)
    }

    async fn perform_alone(&mut self, operation: &Operation) {
        match operation {
            Operation::Write {
                what: Write::Post(by),
                crash,
                retry,
                ..
            } => self.post(*by, *crash, *retry).await,
            Operation::Write {
                what: Write::Edit(post),
                crash,
                retry,
                ..
            } => self.edit(*post, *crash, *retry).await,
            Operation::Write {
                what: Write::Delete(post),
                crash,
                retry,
                ..
            } => self.delete(*post, *crash, *retry).await,
            Operation::Follow { by, whom, on } => {
                self.clock += 1;
                self.requested.follow(*by, *whom, self.clock, *on);
                let (by, whom) = (&self.users[*by], &self.users[*whom]);
                if *on {
                    by.follow(whom).await;
                } else {
                    by.unfollow(whom).await;
                }
            }
            Operation::Like { by, post, on } => {
                let Some(post) = self.pick(*post, |_| true) else {
                    return;
                };
                self.clock += 1;
                self.requested.like(*by, &post, self.clock, *on);
                if *on {
                    self.users[*by].like(&post).await;
                } else {
                    self.users[*by].unlike(&post).await;
                }
            }
            Operation::Read { by, size } => self.read(*by, *size).await,
            Operation::Deliver {
                queue,
                messages,
                redeliver,
                crash,
                cut_off,
                ..
            } => {
                let reached = cut_off.then(|| self.cut_off(*queue));
                self.deliver(*queue, messages, *redeliver, *crash).await;
                if let Some(fault) = reached {
                    fault.clear();
                    self.stage.sweep().await;
                }
            }
            Operation::PushLate { to, post } => {
                let left = self.ever_followed.iter().copied();
                let left: Vec<(usize, usize)> = left
                    .filter(|(by, whom)| !self.applied.follows(*by, *whom))
                    .collect();
                if left.is_empty() {
                    return;
                }
                let (to, author) = *to.get(&left);
                if let Some(post) = self.pick(*post, |known| known.author == author) {
                    let reader = &self.users[to];
                    // A reader with a cached feed gets the post, and leaves it out.
                    reader.feed_ids(100).await;
                    self.stage.push(reader, &post).await;
                    let feed = reader.feed_ids(100).await;
                    assert!(
                        !feed.contains(&post) || self.follow_half_done(to, author),
                        "{to} is shown {post} of {author}, whom they left"
                    );
                }
            }
            Operation::EmptyCache => self.stage.world.flush_cache().await.unwrap(),
            Operation::Evict(key) => {
                let keys = self.stage.keys().await;
                if !keys.is_empty() {
                    self.stage.evict(key.get(&keys).as_slice()).await;
                }
            }
            Operation::Sweep => self.stage.sweep().await,
        }
    }

    /// Returns one of the posts that an operation fits.
    fn pick(&self, which: Index, fits: impl Fn(&KnownPost) -> bool) -> Option<PostId> {
        let posts: Vec<_> = self
            .posts
            .iter()
            .filter(|(_, known)| fits(known))
            .map(|(id, _)| id)
            .collect();
        (!posts.is_empty()).then(|| (*which.get(&posts)).clone())
    }

    pub(super) fn arm(&self, function: &str, crash: Option<Call>) -> Option<Fault> {
        crash.map(|crash| {
            self.stage
                .world
                .on_call(FaultRule::kill(function, crash.nth, crash.when))
                .unwrap()
        })
    }

    fn text(&mut self) -> String {
        self.clock += 1;
        format!("{} #cat", self.clock)
    }

    /// Sends a request, during which the function may be killed, and repeats it if the test says so. Returns the last
    /// answer; a killed function's is a bare 502.
    async fn send(
        &self,
        by: usize,
        request: (Method, &str, Option<Value>, &str),
        crash: Option<Call>,
        retry: bool,
    ) -> Reply {
        let (method, path, body, key) = request;
        let send = async || {
            let request = self.users[by]
                .request(method.clone(), path)
                .header("idempotency-key", key);
            self.users[by]
                .send(body.iter().fold(request, reqwest::RequestBuilder::json))
                .await
        };
        let fault = self.arm("post-write", crash);
        let reply = send().await;
        let Some(fault) = fault else { return reply };
        fault.clear();
        let killed = fault.fired() > 0;
        assert!(
            reply.status == 502 || !killed,
            "{} by a killed function: {}",
            reply.request,
            reply.text()
        );
        if killed && retry { send().await } else { reply }
    }

    async fn post(&mut self, by: usize, crash: Option<Call>, retry: bool) {
        let text = self.text();
        let key = self.clock.to_string();
        let reply = self
            .send(
                by,
                (
                    Method::POST,
                    "/v1/posts",
                    Some(json!({ "text": text })),
                    &key,
                ),
                crash,
                retry,
            )
            .await;
        if reply.status == 502 {
            self.unanswered.push((by, text));
        } else {
            let id = id_of(&reply.expect(201).json());
            self.posts.insert(
                id,
                KnownPost {
                    author: by,
                    texts: vec![text],
                    deletion: None,
                },
            );
        }
    }

    async fn edit(&mut self, post: Index, crash: Option<Call>, retry: bool) {
        let Some(post) = self.pick(post, |known| known.deletion.is_none()) else {
            return;
        };
        let text = self.text();
        let (path, by) = (format!("/v1/posts/{post}"), self.posts[&post].author);
        let reply = self
            .send(
                by,
                (Method::PATCH, &path, Some(json!({ "text": text })), "-"),
                crash,
                retry,
            )
            .await;
        let known = self.posts.get_mut(&post).unwrap();
        if reply.status == 502 {
            known.texts.push(text);
        } else {
            assert_eq!(reply.expect(200).json()["text"], text);
            known.texts = vec![text];
        }
    }

    async fn delete(&mut self, post: Index, crash: Option<Call>, retry: bool) {
        let Some(post) = self.pick(post, |known| known.deletion != Some(true)) else {
            return;
        };
        let (path, by) = (format!("/v1/posts/{post}"), self.posts[&post].author);
        self.forget(|_, id, _| id == post);
        let reply = self
            .send(by, (Method::DELETE, &path, None, "-"), crash, retry)
            .await;
        let known = self.posts.get_mut(&post).unwrap();
        // The post may be gone if its deletion was tried before, or if this attempt is killed.
        if crash.is_some() {
            known.deletion.get_or_insert(false);
        }
        let fits = reply.status == 204 || (reply.status == 404 && known.deletion.is_some());
        assert!(
            fits || reply.status == 502,
            "{}: {}",
            reply.request,
            reply.text()
        );
        known.deletion = Some(fits);
    }

    /// Removes the posts that `which` selects, by reader, post and author, from those that walks must show.
    pub(super) fn forget(&mut self, which: impl Fn(usize, &str, Option<usize>) -> bool) {
        for (reader, walk) in self.walks.iter_mut().enumerate() {
            walk.expected
                .retain(|id| !which(reader, id, self.posts.get(id).map(|known| known.author)));
        }
    }
}
