//! A data set: users, follows and posts, the same for the same size and seed.
//!
//! Users are numbers: first the authors, then the other users, then the probes.

use purrline::domain::{Id, PostId, Timestamp, UserId};

use crate::error::{Error, wrong};
use crate::lists::Lists;
use crate::numbers::{index, whole};
use crate::random::Random;
use crate::shape::{Graph, Size};

/// The time of the first post, in milliseconds since the epoch: 2025-01-01.
const FIRST_MILLIS: i64 = 1_735_689_600_000;
/// Milliseconds from the first post to the last: 90 days.
const SPAN_MILLIS: u64 = 90 * 24 * 60 * 60 * 1000;
/// The random bits of an id.
const RANDOM_BITS: u64 = (1 << 22) - 1;

/// The purposes of random number generators.
const GRAPH: u64 = 1;
const IDS: u64 = 2;

/// A data set.
#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    pub(crate) size: Size,
    /// The number of users, including the probes.
    pub(crate) everybody: u32,
    /// The users that each user follows.
    pub(crate) following: Lists,
    /// The followers of each user.
    pub(crate) followers: Lists,
}

impl Dataset {
    pub(crate) fn new(size: Size) -> Result<Self, Error> {
        let probes = size
            .probe_readers
            .len()
            .saturating_add(size.probe_authors.len());
        let everybody = u32::try_from(probes)
            .ok()
            .and_then(|probes| size.users.checked_add(probes))
            .ok_or_else(|| wrong("too many users"))?;
        // By the followed, then by the follower: both directions come out sorted.
        let edges = edges(&size);
        let followers = Lists::of(everybody, edges.iter().map(|&(by, of)| (of, by)));
        drop(edges);
        let turned = followers.pairs(everybody).map(|(of, by)| (by, of));
        let following = Lists::of(everybody, turned);
        let turned = following.pairs(everybody).map(|(by, of)| (of, by));
        let followers = Lists::of(everybody, turned);
        Ok(Self {
            size,
            everybody,
            following,
            followers,
        })
    }

    pub(crate) fn follows(&self) -> usize {
        self.following.len()
    }

    /// Returns the n-th probe that reads.
    pub(crate) fn probe_reader(&self, at: u32) -> u32 {
        self.size.users.saturating_add(at)
    }

    /// Returns the n-th probe that writes.
    pub(crate) fn probe_author(&self, at: u32) -> u32 {
        let readers = u32::try_from(self.size.probe_readers.len()).unwrap_or(0);
        self.probe_reader(readers).saturating_add(at)
    }

    /// Returns the user with the most followers.
    pub(crate) fn most_followed(&self) -> u32 {
        let users = 0..self.everybody;
        users
            .max_by_key(|user| self.followers.get(*user).len())
            .unwrap_or(0)
    }

    /// Returns a number of users, among those who follow the most.
    pub(crate) fn readers(&self, most: u32) -> Vec<u32> {
        match self.size.graph {
            Graph::Readers { readers, .. } => {
                let first = self.size.users.saturating_sub(readers);
                (first..self.size.users).take(index(most.into())).collect()
            }
            Graph::Even(_) | Graph::Powerlaw => {
                let mut random = Random::new(self.size.seed, 4);
                let mut chosen: Vec<u32> = (0..most.saturating_mul(2))
                    .map(|_| random.below(self.size.users))
                    .collect();
                chosen.sort_unstable();
                chosen.dedup();
                chosen.truncate(index(most.into()));
                chosen
            }
        }
    }

    /// Returns the number of an author's posts.
    pub(crate) fn posts_of(&self, author: u32) -> u64 {
        if author >= self.size.authors {
            return 0;
        }
        let authors = u64::from(self.size.authors);
        let more = u64::from(u64::from(author) < self.size.posts % authors);
        self.size.posts / authors + more
    }

    /// Returns the number of an author's n-th post, from the oldest.
    pub(crate) fn post_of(&self, author: u32, at: u64) -> u64 {
        u64::from(author).saturating_add(at.saturating_mul(self.size.authors.into()))
    }

    /// Returns the author of a post.
    pub(crate) fn author_of(&self, post: u64) -> u32 {
        let author = post.checked_rem(self.size.authors.into());
        author.and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
    }

    /// Returns a post's id: later posts have greater ones.
    pub(crate) fn post_id(&self, post: u64) -> PostId {
        let share = u128::from(SPAN_MILLIS) * u128::from(post) / u128::from(self.size.posts.max(1));
        let millis = i64::try_from(share)
            .unwrap_or(0)
            .saturating_add(FIRST_MILLIS);
        let first = Id::first_of(Timestamp::from_millis(millis));
        let random = Random::new(self.size.seed ^ post, IDS).next() & RANDOM_BITS;
        let bits = u64::from_be_bytes(first.to_bytes()) | random;
        PostId(Id::from_u64(bits).unwrap_or(first))
    }

    /// Returns the time at which all users joined and all follows were made, in milliseconds since the epoch: before the
    /// first post.
    pub(crate) const fn began_millis() -> i64 {
        FIRST_MILLIS
    }
}

/// Returns a user's id, which sorts as the number does.
pub(crate) fn user_id(user: u32) -> Result<UserId, Error> {
    UserId::parse(&user_text(user)).map_err(|reason| wrong(reason.to_string()))
}

pub(crate) fn user_text(user: u32) -> String {
    format!("u{user:010}")
}

/// Returns all follows as pairs of follower and followed, each once.
fn edges(size: &Size) -> Vec<(u32, u32)> {
    let mut random = Random::new(size.seed, GRAPH);
    let mut edges = Vec::new();
    match size.graph {
        Graph::Even(average) => {
            let most = average.saturating_mul(2).saturating_sub(1);
            let mut partner = None;
            for user in 0..size.users {
                // In each pair, one user exceeds the average by as much as the other falls below it.
                let many = match partner.take() {
                    Some(many) => average.saturating_mul(2).saturating_sub(many),
                    None => random.below(most).saturating_add(1),
                };
                partner = if user % 2 == 0 { Some(many) } else { None };
                edges.extend(distinct(&mut random, many, size.authors, user).map(|of| (user, of)));
            }
        }
        Graph::Readers { readers, authors } => {
            for user in size.users.saturating_sub(readers)..size.users {
                edges.extend(
                    distinct(&mut random, authors, size.authors, user).map(|of| (user, of)),
                );
            }
        }
        Graph::Powerlaw => {
            for author in 0..size.authors {
                let many = size.users / author.saturating_add(1);
                edges
                    .extend(distinct(&mut random, many, size.users, author).map(|by| (by, author)));
            }
        }
    }
    let mut probe = size.users;
    for many in &size.probe_readers {
        edges.extend(distinct(&mut random, *many, size.authors, probe).map(|of| (probe, of)));
        probe = probe.saturating_add(1);
    }
    for many in &size.probe_authors {
        edges.extend(distinct(&mut random, *many, size.users, probe).map(|by| (by, probe)));
        probe = probe.saturating_add(1);
    }
    edges
}

/// Returns up to `many` different numbers below a bound, leaving out an excluded number. Walks in equal steps that are
/// coprime to the bound.
fn distinct(
    random: &mut Random,
    many: u32,
    below: u32,
    without: u32,
) -> impl Iterator<Item = u32> + use<> {
    let start = random.below(below);
    let mut step = random.below(below).max(1);
    while gcd(step, below) > 1 {
        step = step.saturating_add(1);
    }
    let at = move |n: u32| {
        let at = (u64::from(start) + u64::from(n) * u64::from(step)).checked_rem(below.into());
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
    };
    let many = index(whole(f64::from(many.min(below))));
    (0..below)
        .map(at)
        .filter(move |one| *one != without)
        .take(many)
}

const fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn watmew_has_its_documented_size() {
        let size = Shape::Watmew.size(0.1, 1);
        let probes = usize::try_from(size.probe_readers[0] + size.probe_authors[0]).unwrap();
        let set = Dataset::new(size).unwrap();
        assert_eq!(set.size.users, 10_000);
        assert_eq!(set.follows(), 300_000 + probes);
        for user in 0..set.size.users {
            let mut following = set.following.get(user).to_vec();
            // One more may be the probe's.
            assert!((1..=60).contains(&following.len()), "{user}: {following:?}");
            assert!(following.is_sorted() && !following.contains(&user));
            following.dedup();
            assert_eq!(following.len(), set.following.get(user).len());
        }
    }

    #[test]
    fn both_directions_of_follows_agree_and_a_seed_repeats_them() {
        for shape in [Shape::Watmew, Shape::Prostargram, Shape::Powerlaw] {
            let set = Dataset::new(shape.size(0.001, 7)).unwrap();
            let again = Dataset::new(shape.size(0.001, 7)).unwrap();
            assert_eq!(set.following, again.following);
            for of in 0..set.everybody {
                let followers = set.followers.get(of);
                assert!(followers.is_sorted());
                for by in followers {
                    assert!(set.following.get(*by).contains(&of));
                }
            }
        }
    }

    #[test]
    fn posts_belong_to_their_authors_and_are_in_order() {
        let set = Dataset::new(Shape::Prostargram.size(0.01, 1)).unwrap();
        let ids: Vec<PostId> = (0..set.size.posts).map(|post| set.post_id(post)).collect();
        assert!(ids.is_sorted());
        let posts: u64 = (0..set.everybody).map(|user| set.posts_of(user)).sum();
        assert_eq!(posts, set.size.posts);
        let last = set.posts_of(3) - 1;
        assert_eq!(set.author_of(set.post_of(3, last)), 3);
        let reader = set.readers(1)[0];
        let followed = set.following.get(reader).iter();
        assert_eq!(
            followed.map(|author| set.posts_of(*author)).sum::<u64>(),
            20_000
        );
    }
}
