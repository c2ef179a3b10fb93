//! Queues that the test delivers: it takes messages from where the endpoints sent them, and gives them to the consumers in
//! any order.

use proptest::sample::Index;
use purrline_local::{Fault, FaultAction, FaultRule, Service, When};
use serde_json::Value;

use super::case::Case;
use super::operations::{Call, Queue};
use crate::support::backstage::flag;

impl Queue {
    const ALL: [Self; 3] = [Self::Likes, Self::Follows, Self::FanOut];

    /// Returns the queue's position among all.
    pub(super) const fn position(self) -> usize {
        match self {
            Self::Likes => 0,
            Self::Follows => 1,
            Self::FanOut => 2,
        }
    }

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

/// A message that the test has taken.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: String,
    pub(super) content: Value,
    /// The time when the queue took it, in milliseconds by the queue's clock.
    pub(super) sent: i64,
    /// Whether a consumer died on the message, so that it may be half done.
    pub(super) half_done: bool,
    /// The number of its deliveries.
    pub(super) times: u32,
}

impl Message {
    /// Returns the time of a request, in microseconds: the queue's if its endpoint had only its own clock.
    fn requested_at(&self) -> i64 {
        if self.content["own_clock"] == true {
            self.sent * 1000
        } else {
            self.content["at"].as_i64().unwrap_or_default()
        }
    }
}

impl Case {
    pub(super) fn user(&self, id: &Value) -> usize {
        self.users.iter().position(|user| *id == *user.id).unwrap()
    }

    /// Takes the messages that the endpoints have sent meanwhile.
    pub(super) async fn collect(&mut self, queue: Queue) {
        for (body, sent) in self.stage.take_with_times(queue.name()).await {
            let content: Value = serde_json::from_str(&body).unwrap();
            // A failed case may have left some behind.
            let mine = match queue {
                Queue::Likes => self.users.iter().any(|user| content["user"] == *user.id),
                Queue::Follows => self
                    .users
                    .iter()
                    .any(|user| content["follower"] == *user.id),
                Queue::FanOut => true,
            };
            if mine {
                self.queues[queue.position()].push(Message {
                    body,
                    content,
                    sent,
                    half_done: false,
                    times: 0,
                });
            }
        }
    }

    /// Cuts a queue's consumer off from the cache.
    pub(super) fn cut_off(&self, queue: Queue) -> Fault {
        let rule = FaultRule::new(When::Before, FaultAction::Disconnect);
        let rule = rule.function(queue.consumer()).service(Service::Cache);
        self.stage.world.on_call(rule.times(u64::MAX)).unwrap()
    }

    pub(super) async fn deliver(
        &mut self,
        queue: Queue,
        which: &[Index],
        redeliver: bool,
        crash: Option<Call>,
    ) {
        self.collect(queue).await;
        let held = &self.queues[queue.position()];
        if held.is_empty() {
            return;
        }
        let mut places: Vec<usize> = Vec::new();
        for index in which.iter().map(|index| index.index(held.len())) {
            if !places.contains(&index) {
                places.push(index);
            }
        }
        for at in &places {
            self.queues[queue.position()][*at].times += 1;
        }
        let held = &self.queues[queue.position()];
        let messages = places
            .iter()
            .map(|at| (held[*at].body.clone(), held[*at].times, held[*at].sent));
        let bodies: Vec<(String, u32, i64)> = messages.collect();
        let fault = self.arm(queue.consumer(), crash);
        let failed = self
            .stage
            .deliver_with_times(queue.consumer(), &bodies)
            .await;
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
            self.queues[queue.position()][*at].half_done = killed;
            let message = &self.queues[queue.position()][*at];
            let (content, requested_at) = (message.content.clone(), message.requested_at());
            self.delivered(queue, &content, requested_at, killed).await;
        }
        if !killed && !redeliver {
            places.sort_unstable();
            for at in places.into_iter().rev() {
                self.queues[queue.position()].remove(at);
            }
        }
    }

    pub(super) async fn delivered(
        &mut self,
        queue: Queue,
        content: &Value,
        requested_at: i64,
        killed: bool,
    ) {
        match queue {
            Queue::Likes if !killed => {
                let (user, post) = (
                    self.user(&content["user"]),
                    content["post"].as_str().unwrap(),
                );
                self.applied
                    .like(user, post, requested_at, content["like"] == true);
            }
            Queue::Follows => {
                let (by, whom) = (
                    self.user(&content["follower"]),
                    self.user(&content["followee"]),
                );
                if !killed {
                    self.applied
                        .follow(by, whom, requested_at, content["follow"] == true);
                }
                if self.applied.follows(by, whom) {
                    self.ever_followed.insert((by, whom));
                }
                if killed || !self.applied.follows(by, whom) {
                    self.forget(|reader, _, author| reader == by && author == Some(whom));
                }
            }
            Queue::FanOut if !killed => {
                let post = content["post"].as_str().unwrap();
                let row = self.stage.item("PostsTable", "id", post).await;
                if row.is_some_and(|row| flag(&row, "fanned_out")) {
                    self.fanned_out.insert(post.to_owned());
                }
            }
            Queue::Likes | Queue::FanOut => {}
        }
    }

    /// Delivers all messages, and sweeps, until nothing is left to do.
    pub(super) async fn settle(&mut self) {
        self.stage.world.clear_faults();
        for round in 0.. {
            assert!(
                round < 20,
                "never done: {:?}",
                self.stage.unfinished_fan_outs().await
            );
            for queue in Queue::ALL {
                loop {
                    // This also collects messages that consumers have sent.
                    self.collect(queue).await;
                    let len = self.queues[queue.position()].len();
                    if len == 0 {
                        break;
                    }
                    // From both ends, so that the order is neither the original nor its reverse.
                    let held = &self.queues[queue.position()];
                    let bodies = [0, len - 1].map(|at| (held[at].body.clone(), 1, held[at].sent));
                    let failed = self
                        .stage
                        .deliver_with_times(queue.consumer(), &bodies)
                        .await;
                    assert!(
                        failed.is_empty(),
                        "{} failed without a fault: {bodies:?}",
                        queue.consumer()
                    );
                    self.queues[queue.position()].remove(len - 1);
                    if len > 1 {
                        self.queues[queue.position()].remove(0);
                    }
                }
            }
            if self.stage.unfinished_fan_outs().await.is_empty() {
                return;
            }
            self.stage.sweep().await;
        }
    }
}
