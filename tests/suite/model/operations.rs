//! The operations of a history, in any order.

use proptest::prelude::*;
use proptest::sample::Index;
use purrline_local::When;

/// Users of a case.
pub(super) const USERS: usize = 5;
/// The most operations of a case.
const OPERATIONS: usize = 60;

/// A queue, and the function that takes its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Likes,
    Follows,
    FanOut,
}

/// A call that fails: the n-th from now, before or after it is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) nth: u64,
    pub(super) when: When,
}

/// A change of a post.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Post(usize),
    Edit(Index),
    Delete(Index),
}

/// One event of a history. `crash` is the call at which the process is killed. With `meanwhile`, all users read their feed
/// during the event, and that call of their reads is slow.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// A user posts, edits or deletes. The function may be killed, and the caller may try again.
    Write {
        what: Write,
        crash: Option<Call>,
        retry: bool,
        meanwhile: Option<Call>,
    },
    Follow {
        by: usize,
        whom: usize,
        on: bool,
    },
    Like {
        by: usize,
        post: Index,
        on: bool,
    },
    /// A user reads the next page of their walk through the feed.
    Read {
        by: usize,
        size: usize,
    },
    /// Any messages of a queue are delivered in any order. They may be delivered again later, and the function may be
    /// killed. With `cut_off`, the function doesn't reach the cache, which the next sweep does.
    Deliver {
        queue: Queue,
        messages: Vec<Index>,
        redeliver: bool,
        crash: Option<Call>,
        cut_off: bool,
        meanwhile: Option<Call>,
    },
    /// A fan-out pushes a post to a user who followed its author when the fan-out read the followers.
    PushLate {
        to: Index,
        post: Index,
    },
    EmptyCache,
    /// One key of the cache is removed.
    Evict(Index),
    Sweep,
}

fn call(most: u64) -> impl Strategy<Value = Call> {
    (1..=most, prop_oneof![Just(When::Before), Just(When::After)])
        .prop_map(|(nth, when)| Call { nth, when })
}

fn maybe_crash(most: u64) -> impl Strategy<Value = Option<Call>> {
    prop_oneof![6 => Just(None), 1 => call(most).prop_map(Some)]
}

fn meanwhile() -> impl Strategy<Value = Option<Call>> {
    prop::option::weighted(0.3, call(20))
}

fn write() -> impl Strategy<Value = Write> {
    // One user writes more than the others, so that some of their posts are trimmed from lists.
    let author = prop_oneof![1 => Just(0), 1 => 0..USERS];
    prop_oneof![
        4 => author.prop_map(Write::Post),
        1 => any::<Index>().prop_map(Write::Edit),
        2 => any::<Index>().prop_map(Write::Delete),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let queue =
        prop_oneof![2 => Just(Queue::Likes), 3 => Just(Queue::Follows), 4 => Just(Queue::FanOut)];
    let messages = prop::collection::vec(any::<Index>(), 1..6);
    prop_oneof![
        10 => (write(), maybe_crash(5), any::<bool>(), meanwhile())
            .prop_map(|(what, crash, retry, meanwhile)| Operation::Write { what, crash, retry, meanwhile }),
        6 => (0..USERS, 0..USERS, prop::bool::weighted(0.7))
            .prop_filter("nobody follows themselves", |(by, whom, _)| by != whom)
            .prop_map(|(by, whom, on)| Operation::Follow { by, whom, on }),
        4 => (0..USERS, any::<Index>(), prop::bool::weighted(0.7))
            .prop_map(|(by, post, on)| Operation::Like { by, post, on }),
        10 => (0..USERS, 1..4_usize).prop_map(|(by, size)| Operation::Read { by, size }),
        10 => (queue, messages, prop::bool::weighted(0.3), maybe_crash(6), prop::bool::weighted(0.06), meanwhile())
            .prop_map(|(queue, messages, redeliver, crash, cut_off, meanwhile)| {
                Operation::Deliver { queue, messages, redeliver, crash, cut_off, meanwhile }
            }),
        2 => any::<(Index, Index)>().prop_map(|(to, post)| Operation::PushLate { to, post }),
        1 => Just(Operation::EmptyCache),
        3 => any::<Index>().prop_map(Operation::Evict),
        1 => Just(Operation::Sweep),
    ]
}

/// Returns the beginning of a history: all others follow one user, not all with effect yet, and their feeds are in the cache.
/// In some, a fan-out is killed before more follows take effect. Other histories rarely reach the rise of an influencer.
fn famous() -> impl Strategy<Value = Vec<Operation>> {
    let messages = || prop::collection::vec(any::<Index>(), 1..2 * USERS);
    let killed = prop::option::of(call(6));
    // The followers of the first are in several shards.
    let whom = prop_oneof![Just(0), Just(1)];
    (whom, messages(), killed, messages()).prop_map(|(whom, early, killed, late)| {
        let others = (0..USERS).filter(move |by| *by != whom);
        let follows = others
            .clone()
            .map(|by| Operation::Follow { by, whom, on: true });
        let reads = others.map(|by| Operation::Read { by, size: 3 });
        let followed = follows.chain([deliver(Queue::Follows, early.clone(), None)]);
        let post = Operation::Write {
            what: Write::Post(whom),
            crash: None,
            retry: false,
            meanwhile: None,
        };
        let interrupted = [
            post,
            deliver(Queue::FanOut, early, killed),
            deliver(Queue::Follows, late, None),
        ];
        let interrupted = interrupted.into_iter().filter(|_| killed.is_some());
        followed.chain(reads).chain(interrupted).collect()
    })
}

/// A delivery during which nothing else happens.
fn deliver(queue: Queue, messages: Vec<Index>, crash: Option<Call>) -> Operation {
    Operation::Deliver {
        queue,
        messages,
        redeliver: false,
        crash,
        cut_off: false,
        meanwhile: None,
    }
}

pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let beginning = prop_oneof![2 => Just(Vec::new()), 1 => famous()];
    let rest = prop::collection::vec(operation(), 1..OPERATIONS);
    (beginning, rest).prop_map(|(beginning, rest)| [beginning, rest].concat())
}
