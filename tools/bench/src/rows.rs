//! The rows of the tables, as `purrline::store` writes and reads them. All that the benchmark knows of them.

use std::collections::HashMap;

use dynoxide::types::{AttributeValue, Item};
use purrline::domain::{Handle, PostId};

use crate::dataset::{Dataset, user_id, user_text};
use crate::error::Result;

/// Changes with the rows, so that data sets of an earlier layout are loaded anew.
pub(crate) const LAYOUT: u32 = 1;

/// The tables that rows are for, by their logical ids.
pub(crate) const USERS: &str = "UsersTable";
pub(crate) const FOLLOWS: &str = "FollowsTable";
pub(crate) const POSTS: &str = "PostsTable";
pub(crate) const POST_LISTS: &str = "PostListsTable";

/// How many of an author's newest posts stand together in one item.
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

/// Over how many partitions an author's followers are spread.
const fn shards(followers: usize) -> u32 {
    match followers {
        0..10_000 => 1,
        10_000..100_000_000 => 16,
        _ => 64,
    }
}

/// Which of them a follower is in: any, as long as both rows of a follow say the same.
const fn shard(follower: u32, shards: u32) -> u32 {
    follower % shards
}

/// A user: name, counts, since when.
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

/// Micros since the epoch.
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

/// Whom somebody follows, in the order of the table's keys.
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

/// Who follows somebody, partition by partition.
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

/// A post that every feed has.
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

/// The places of somebody's posts in their author's list.
pub(crate) fn places(set: &Dataset, author: u32) -> impl Iterator<Item = Item> + '_ {
    let list = format!("author#{}", user_text(author));
    (0..set.posts_of(author)).map(move |at| {
        let id = set.post_id(set.post_of(author, at));
        item([("list", s(list.clone())), ("post", s(id.to_string()))])
    })
}

/// Somebody's newest posts together, and the newest of those that are not among them; nothing for who has none.
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
        // Who has few followers has them all in one, as ever.
        let few = set.probe_author(0);
        assert!(!user(&set, few).unwrap().contains_key("follower_shards"));
        let list = format!("followers#{}", user_text(few));
        assert!(followers(&set, few).all(|row| text(&row, "list") == list));
    }

    #[test]
    fn above_the_floor_all_posts_are_recent() {
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
        // Who wrote no more has no floor.
        let set = Dataset::new(Shape::Watmew.size(0.01, 1)).unwrap();
        assert!(!recent(&set, 7).unwrap().contains_key("floor"));
        assert!(recent(&set, set.probe_author(0)).is_none());
    }
}
