//! One case: users of its own on the shared stack, real endpoints and consumers, and queues in the
//! test's hand. Beside it runs what is known of how things must be at that moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::future::join_all;
use proptest::sample::Index;
use purrline_local::{Fault, FaultRule};
use reqwest::Method;
use serde_json::{Value, json};

use super::operations::{Crash, Operation, Queue, USERS, Write};
use super::reference::{Model, PostId};
use crate::faults::backstage::{Backstage, flag, id_of};
use crate::support::{Reply, User};

impl Queue {
    const ALL: [Self; 3] = [Self::Likes, Self::Follows, Self::FanOut];

    const fn name(self) -> &'static str {
        match self {
            Self::Likes => "LikesQueue",
            Self::Follows => "FollowsQueue",
            Self::FanOut => "FanOutQueue",
        }
    }

    const fn consumer(self) -> &'static str {
        match self {
            Self::Likes => "like-consumer",
            Self::Follows => "follow-consumer",
            Self::FanOut => "fan-out",
        }
    }
}

/// What is known of a post.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) author: usize,
    /// It shows one of these: more than one only after an edit without an answer.
    pub(super) texts: Vec<String>,
    /// Whether its deletion was tried, and answered.
    pub(super) deletion: Option<bool>,
}

/// A message in the test's hand.
#[derive(Debug)]
struct Message {
    body: String,
    says: Value,
    /// A consumer died on it: it may be half done.
    half_done: bool,
}

/// A walk through a feed that has not reached its end.
#[derive(Debug, Default)]
struct Walk {
    cursor: String,
    seen: Vec<PostId>,
    /// What was there all along.
    must: BTreeSet<PostId>,
}

#[derive(Debug)]
pub(super) struct Case {
    pub(super) stage: Backstage,
    pub(super) users: Vec<User>,
    pub(super) posts: BTreeMap<PostId, Known>,
    /// Posts that were tried without an answer: author and text.
    pub(super) tried: Vec<(usize, String)>,
    /// The last words on follows and likes, as said, and as far as they have taken effect.
    pub(super) said: Model,
    pub(super) applied: Model,
    queues: [Vec<Message>; 3],
    /// Posts that are in all feeds.
    fanned_out: HashSet<PostId>,
    walks: [Walk; USERS],
    walking: [bool; USERS],
    clock: i64,
}

impl Case {
    pub(super) fn new(stage: &Backstage) -> Self {
        Self {
            stage: stage.clone(),
            users: (0..USERS).map(|_| stage.world.user("model")).collect(),
            posts: BTreeMap::new(),
            tried: Vec::new(),
            said: Model::default(),
            applied: Model::default(),
            queues: Default::default(),
            fanned_out: HashSet::new(),
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
        if !meanwhile {
            return self.perform_alone(operation).await;
        }
        let deleted: HashSet<PostId> = self.deleted().cloned().collect();
        let readers = self.users.clone();
        let reads = join_all(readers.iter().map(|reader| reader.feed_ids(100)));
        let ((), feeds) = futures::join!(self.perform_alone(operation), reads);
        for feed in feeds {
            assert!(feed.is_sorted_by(|a, b| a > b), "{feed:?}");
            assert_eq!(
                feed.iter().find(|id| deleted.contains(*id)),
                None,
                "deleted, and read later"
            );
        }
    }

    /// Posts whose deletion was answered.
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
                again,
                ..
            } => self.post(*by, *crash, *again).await,
            Operation::Write {
                what: Write::Edit(post),
                crash,
                again,
                ..
            } => self.edit(*post, *crash, *again).await,
            Operation::Write {
                what: Write::Delete(post),
                crash,
                again,
                ..
            } => self.delete(*post, *crash, *again).await,
            Operation::Follow { by, whom, on } => {
                self.clock += 1;
                self.said.follow(*by, *whom, self.clock, *on);
                let (by, whom) = (&self.users[*by], &self.users[*whom]);
                if *on {
                    by.follow(whom).await
                } else {
                    by.unfollow(whom).await
                }
            }
            Operation::Like { by, post, on } => {
                let Some(post) = self.pick(*post, |_| true) else {
                    return;
                };
                self.clock += 1;
                self.said.like(*by, &post, self.clock, *on);
                if *on {
                    self.users[*by].like(&post).await
                } else {
                    self.users[*by].unlike(&post).await
                }
            }
            Operation::Read { by, size } => self.read(*by, *size).await,
            Operation::Deliver {
                queue,
                messages,
                again,
                crash,
                ..
            } => {
                self.deliver(*queue, messages, *again, *crash).await;
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

    /// One of the posts that such an operation can be tried on.
    fn pick(&self, which: Index, fits: impl Fn(&Known) -> bool) -> Option<PostId> {
        let posts: Vec<_> = self
            .posts
            .iter()
            .filter(|(_, known)| fits(known))
            .map(|(id, _)| id)
            .collect();
        (!posts.is_empty()).then(|| (*which.get(&posts)).clone())
    }

    fn arm(&self, function: &str, crash: Option<Crash>) -> Option<Fault> {
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

    /// Sends a request, which the function may be killed at, and again if the test says so. The last
    /// answer; that of a killed function is a bare 502.
    async fn send(
        &self,
        by: usize,
        request: (Method, &str, Option<Value>, &str),
        crash: Option<Crash>,
        again: bool,
    ) -> Reply {
        let (method, path, body, key) = request;
        let send = async || {
            let request = self.users[by]
                .request(method.clone(), path)
                .header("idempotency-key", key);
            self.users[by]
                .send(
                    body.iter()
                        .fold(request, |request, body| request.json(body)),
                )
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
        if killed && again { send().await } else { reply }
    }

    async fn post(&mut self, by: usize, crash: Option<Crash>, again: bool) {
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
                again,
            )
            .await;
        if reply.status == 502 {
            self.tried.push((by, text));
        } else {
            let id = id_of(&reply.expect(201).json());
            self.posts.insert(
                id,
                Known {
                    author: by,
                    texts: vec![text],
                    deletion: None,
                },
            );
        }
    }

    async fn edit(&mut self, post: Index, crash: Option<Crash>, again: bool) {
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
                again,
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

    async fn delete(&mut self, post: Index, crash: Option<Crash>, again: bool) {
        let Some(post) = self.pick(post, |known| known.deletion != Some(true)) else {
            return;
        };
        let (path, by) = (format!("/v1/posts/{post}"), self.posts[&post].author);
        self.forget(|_, id, _| id == post);
        let reply = self
            .send(by, (Method::DELETE, &path, None, "-"), crash, again)
            .await;
        let known = self.posts.get_mut(&post).unwrap();
        // One whose deletion was tried before may be gone: tried before this, or killed at this.
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

    /// Walks no longer must show these posts: by reader, post and author.
    fn forget(&mut self, which: impl Fn(usize, &str, Option<usize>) -> bool) {
        for (reader, walk) in self.walks.iter_mut().enumerate() {
            walk.must
                .retain(|id| !which(reader, id, self.posts.get(id).map(|known| known.author)));
        }
    }

    // ---- Queues ----

    fn user(&self, id: &Value) -> usize {
        self.users.iter().position(|user| *id == *user.id).unwrap()
    }

    /// Takes what the endpoints have sent meanwhile.
    async fn collect(&mut self, queue: Queue) {
        for body in self.stage.take(queue.name()).await {
            let says: Value = serde_json::from_str(&body).unwrap();
            // A case that failed may have left some behind.
            let mine = match queue {
                Queue::Likes => self.users.iter().any(|user| says["user"] == *user.id),
                Queue::Follows => self.users.iter().any(|user| says["follower"] == *user.id),
                Queue::FanOut => true,
            };
            if mine {
                self.queues[queue as usize].push(Message {
                    body,
                    says,
                    half_done: false,
                });
            }
        }
    }

    async fn deliver(&mut self, queue: Queue, which: &[Index], again: bool, crash: Option<Crash>) {
        self.collect(queue).await;
        let held = &self.queues[queue as usize];
        if held.is_empty() {
            return;
        }
        let mut places: Vec<usize> = Vec::new();
        for index in which.iter().map(|index| index.index(held.len())) {
            if !places.contains(&index) {
                places.push(index);
            }
        }
        let bodies: Vec<String> = places.iter().map(|at| held[*at].body.clone()).collect();
        let fault = self.arm(queue.consumer(), crash);
        let failed = self.stage.deliver(queue.consumer(), &bodies).await;
        let killed = fault.is_some_and(|fault| {
            fault.clear();
            fault.fired() > 0
        });
        assert!(
            killed || failed.is_empty(),
            "{} failed without a fault: {bodies:?}",
            queue.consumer()
        );
        for at in &places {
            self.queues[queue as usize][*at].half_done = killed;
            let says = self.queues[queue as usize][*at].says.clone();
            self.delivered(queue, &says, killed).await;
        }
        if !killed && !again {
            places.sort_unstable();
            for at in places.into_iter().rev() {
                self.queues[queue as usize].remove(at);
            }
        }
    }

    async fn delivered(&mut self, queue: Queue, says: &Value, killed: bool) {
        match queue {
            Queue::Likes if !killed => {
                let (user, post) = (self.user(&says["user"]), says["post"].as_str().unwrap());
                self.applied.like(
                    user,
                    post,
                    says["at"].as_i64().unwrap(),
                    says["like"] == true,
                );
            }
            Queue::Follows => {
                let (by, whom) = (self.user(&says["follower"]), self.user(&says["followee"]));
                if !killed {
                    self.applied.follow(
                        by,
                        whom,
                        says["at"].as_i64().unwrap(),
                        says["follow"] == true,
                    );
                }
                if killed || !self.applied.follows(by, whom) {
                    self.forget(|reader, _, author| reader == by && author == Some(whom));
                }
            }
            Queue::FanOut if !killed => {
                let post = says["post"].as_str().unwrap();
                let row = self.stage.item("PostsTable", "id", post).await;
                if row.is_some_and(|row| flag(&row, "fanned_out")) {
                    self.fanned_out.insert(post.to_owned());
                }
            }
            Queue::Likes | Queue::FanOut => {}
        }
    }

    /// Delivers all there is, and sweeps, until nothing is left to do.
    pub(super) async fn settle(&mut self) {
        self.stage.world.clear_faults();
        for round in 0.. {
            assert!(
                round < 20,
                "never done: {:?}",
                self.stage.unfinished().await
            );
            for queue in Queue::ALL {
                self.collect(queue).await;
                while let len @ 1.. = self.queues[queue as usize].len() {
                    // From both ends, so that the order is neither.
                    let bodies =
                        [0, len - 1].map(|at| self.queues[queue as usize][at].body.clone());
                    let failed = self.stage.deliver(queue.consumer(), &bodies).await;
                    assert!(
                        failed.is_empty(),
                        "{} failed without a fault: {bodies:?}",
                        queue.consumer()
                    );
                    self.queues[queue as usize].remove(len - 1);
                    if len > 1 {
                        self.queues[queue as usize].remove(0);
                    }
                }
            }
            if self.stage.unfinished().await.is_empty() {
                return;
            }
            self.stage.sweep().await;
        }
    }

    // ---- Reading ----

    /// Whether a consumer died on such a message, and it has not come again since.
    fn half_done(&self, queue: Queue, matches: impl Fn(&Value) -> bool) -> bool {
        self.queues[queue as usize]
            .iter()
            .any(|message| message.half_done && matches(&message.says))
    }

    fn follow_half_done(&self, by: usize, whom: usize) -> bool {
        let (by, whom) = (&self.users[by].id, &self.users[whom].id);
        self.half_done(Queue::Follows, |says| {
            says["follower"] == **by && says["followee"] == **whom
        })
    }

    async fn read(&mut self, by: usize, size: usize) {
        if !self.walking[by] {
            self.walking[by] = true;
            let shown = |known: &Known| {
                known.author == by
                    || (self.applied.follows(by, known.author)
                        && !self.follow_half_done(by, known.author))
            };
            let there = self.posts.iter().filter(|(id, known)| {
                known.deletion.is_none() && self.fanned_out.contains(*id) && shown(known)
            });
            let must = there.map(|(id, _)| id.clone()).collect();
            self.walks[by] = Walk {
                must,
                ..Walk::default()
            };
        }
        let path = format!("/v1/feed?limit={size}{}", self.walks[by].cursor);
        let (page, next) = self.users[by].page(&path).await;
        assert!(
            page.len() <= size,
            "{} posts by a limit of {size}",
            page.len()
        );
        assert!(
            next.is_none() || page.len() == size,
            "a page that isn't full, and more to come"
        );
        for post in &page {
            self.check(by, post);
            let id = id_of(post);
            let last = self.walks[by].seen.last();
            assert!(last.is_none_or(|last| *last > id), "{id} after {last:?}");
            self.walks[by].seen.push(id);
        }
        match next {
            Some(next) => self.walks[by].cursor = format!("&cursor={next}"),
            None => {
                self.walking[by] = false;
                let Walk { seen, must, .. } = std::mem::take(&mut self.walks[by]);
                let missed: Vec<_> = must.iter().filter(|id| !seen.contains(id)).collect();
                assert!(
                    missed.is_empty(),
                    "a whole walk missed {missed:?}, which were there all along: {seen:?}"
                );
            }
        }
    }

    /// What holds of a post in a feed at any moment.
    fn check(&self, by: usize, post: &Value) {
        let id = id_of(post);
        let author = self.user(&post["author"]["id"]);
        let followed = self.applied.shows(by, author) || self.follow_half_done(by, author);
        assert!(
            followed,
            "{by} is shown {id} of {author}, and does not follow them"
        );
        let text = post["text"].as_str().unwrap();
        match self.posts.get(&id) {
            None => assert!(
                self.tried.contains(&(author, text.to_owned())),
                "nobody posted {post}"
            ),
            Some(known) => {
                assert_eq!(known.author, author, "{post}");
                assert_ne!(known.deletion, Some(true), "deleted: {post}");
                assert!(
                    known.texts.iter().any(|known| known == text),
                    "{post} shows none of {:?}",
                    known.texts
                );
            }
        }
        if !self.half_done(Queue::Likes, |says| says["post"] == *id) {
            assert_eq!(post["likes"], self.applied.like_count(&id), "{post}");
            assert_eq!(
                post["liked"],
                self.applied.likes(by, &id),
                "{by} and {post}"
            );
        }
    }
}
