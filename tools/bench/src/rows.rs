//! The rows of tables, as `purrline::store` writes and reads them. No other module of the benchmark knows them.

use std::collections::HashMap;

use dynoxide::types::{AttributeValue, Item};
use purrline::domain::{Handle, PostId};

use crate::dataset::{Dataset, user_id, user_text};
use crate::error::Result;

/// The version of the rows: data sets of other versions are loaded anew.
pub(crate) const LAYOUT: u32 = 1;

/// The tables, by logical id.
pub(crate) const USERS: &str = "UsersTable";
pub(crate) const FOLLOWS: &str = "FollowsTable";
pub(crate) const POSTS: &str = "PostsTable";
pub(crate) const POST_LISTS: &str = "PostListsTable";

/// The number of an author's newest posts in one item.
const RECENT: u64 = 50;

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

#[expect(clippy::needless_pass_by_value, reason = "numbers: calls read better")]
fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    let attributes = attributes.into_iter();
    attributes
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Returns the number of partitions that an author's followers are spread over.
const fn shards(followers: usize) -> u32 {
    match followers {
        0..10_000 => 1,
        10_000..100_000_000 => 16,
        _ => 64,
    }
}

/// Returns the partition of a follower: any, as long as both rows of a follow agree.
const fn shard(follower: u32, shards: u32) -> u32 {
    follower % shards
}

/// Returns a user's row: name, counts, time of joining.
pub(crate) fn user(set: &Dataset, user: u32) -> Result<Item> {
    let id = user_id(user)?;
    let followers = set.followers.get(user).len();
    let mut row = item([
        ("id", s(id.as_str())),
        ("followers", n(followers)),
        ("following", n(set.following.get(user).len())),
        ("posts", n(set.posts_of(user))),
        ("created_at", n(Dataset::began_millis())),
        ("generated_handle", s(Handle::generated(&id).as_str())),
    ]);
    if shards(followers) > 1 {
        row.insert("follower_shards".to_owned(), n(shards(followers)));
    }
    Ok(row)
}

/// Returns microseconds since the epoch.
fn since() -> AttributeValue {
    n(Dataset::began_millis().saturating_mul(1000))
}

fn follow(list: String, user: u32) -> Item {
    item([
        ("list", s(list)),
        ("user", s(user_text(user))),
        ("active", AttributeValue::BOOL(true)),
        ("version", since()),
        ("since", since()),
    ])
}

/// Returns the rows of the users that a user follows, in the order of the table's keys.
pub(crate) fn following(set: &Dataset, by: u32) -> impl Iterator<Item = Item> + '_ {
    let list = format!("following#{}", user_text(by));
    set.following.get(by).iter().map(move |of| {
        let mut row = follow(list.clone(), *of);
        let shard = shard(by, shards(set.followers.get(*of).len()));
        if shard > 0 {
            row.insert("shard".to_owned(), n(shard));
        }
        row
    })
}

/// Returns the rows of a user's followers, partition by partition.
pub(crate) fn followers(set: &Dataset, of: u32) -> impl Iterator<Item = Item> + '_ {
    let all = set.followers.get(of);
    let shards = shards(all.len());
    (0..shards).flat_map(move |at| {
        let list = match at {
            0 => format!("followers#{}", user_text(of)),
            at => format!("followers#{}#{at}", user_text(of)),
        };
        let here = all.iter().filter(move |by| shard(**by, shards) == at);
        here.map(move |by| follow(list.clone(), *by))
    })
}

/// Returns the row of a post that every feed has.
pub(crate) fn post(set: &Dataset, post: u64) -> Item {
    let text = format!("The cat slept by the window, then on the chair. Nap number {post}");
    item([
        ("id", s(set.post_id(post).to_string())),
        ("author", s(user_text(set.author_of(post)))),
        ("rev", n(0)),
        ("text", s(text)),
        ("images", AttributeValue::L(Vec::new())),
        ("cats", AttributeValue::L(Vec::new())),
        ("fanned_out", AttributeValue::BOOL(true)),
    ])
}

/// Returns the rows of an author's list.
pub(crate) fn places(set: &Dataset, author: u32) -> impl Iterator<Item = Item> + '_ {
    let list = format!("author#{}", user_text(author));
    (0..set.posts_of(author)).map(move |at| {
        let id = set.post_id(set.post_of(author, at));
        item([("list", s(list.clone())), ("post", s(id.to_string()))])
    })
}

/// Returns the item of an author's newest posts, with the newest one that is not in it; `None` without posts.
pub(crate) fn recent(set: &Dataset, author: u32) -> Option<Item> {
    let many = set.posts_of(author);
    if many == 0 {
        return None;
    }
    let id = |at| -> PostId { set.post_id(set.post_of(author, at)) };
    let bytes = |at| id(at).0.to_bytes().to_vec();
    let first = many.saturating_sub(RECENT);
    let mut row: HashMap<_, _> = item([
        ("list", s(format!("recent#{}", user_text(author)))),
        ("post", s("#")),
        (
            "posts",
            AttributeValue::BS((first..many).map(bytes).collect()),
        ),
    ]);
    if let Some(floor) = first.checked_sub(1) {
        row.insert("floor".to_owned(), AttributeValue::B(bytes(floor)));
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::shape::Shape;

    fn text<'a>(row: &'a Item, name: &str) -> &'a str {
        match &row[name] {
            AttributeValue::S(text) | AttributeValue::N(text) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    #[test]
    fn both_rows_of_a_follow_name_the_same_partition() {
        let set = Dataset::new(Shape::Powerlaw.size(0.02, 1)).unwrap();
        let author = set.most_followed();
        assert_eq!(text(&user(&set, author).unwrap(), "follower_shards"), "16");
        let mut places = HashMap::new();
        for row in followers(&set, author) {
            let place = text(&row, "list").to_owned();
            assert!(
                places
                    .insert(text(&row, "user").to_owned(), place)
                    .is_none()
            );
        }
        assert_eq!(places.len(), set.followers.get(author).len());
        for follower in set.followers.get(author) {
            let row = following(&set, *follower)
                .find(|row| text(row, "user") == user_text(author))
                .unwrap();
            let partition = match row.get("shard") {
                None => format!("followers#{}", user_text(author)),
                Some(_) => format!("followers#{}#{}", user_text(author), text(&row, "shard")),
            };
            assert_eq!(places[&user_text(*follower)], partition);
        }
        // Followers of an author with few of them share one partition.
        let few = set.probe_author(0);
        assert!(!user(&set, few).unwrap().contains_key("follower_shards"));
        let list = format!("followers#{}", user_text(few));
        assert!(followers(&set, few).all(|row| text(&row, "list") == list));
    }

    #[test]
    fn all_posts_newer_than_the_floor_are_recent() {
        let set = Dataset::new(Shape::Prostargram.size(0.01, 1)).unwrap();
        let row = recent(&set, 7).unwrap();
        let AttributeValue::BS(newest) = &row["posts"] else {
            panic!("{row:?}")
        };
        let AttributeValue::B(floor) = &row["floor"] else {
            panic!("{row:?}")
        };
        let mut all: Vec<Vec<u8>> = (0..set.posts_of(7))
            .map(|at| set.post_id(set.post_of(7, at)).0.to_bytes().to_vec())
            .collect();
        all.retain(|id| id > floor);
        assert_eq!((&all, all.len()), (newest, 50));
        // An author without older posts has no floor.
        let set = Dataset::new(Shape::Watmew.size(0.01, 1)).unwrap();
        assert!(!recent(&set, 7).unwrap().contains_key("floor"));
        assert!(recent(&set, set.probe_author(0)).is_none());
    }
}
