//! The lists of posts: by author, by cat, and by tag.
//!
//! A tag may be in a million posts, written by anybody at any time, so its list is spread over 16 partitions by the
//! posts' ids, whose last digits are random: a post is in one of them. A page is merged from the newest posts of each
//! partition, as many as the page holds: 16 concurrent reads, whatever the tag's size.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures::future::try_join_all;

use super::item::{Item, Read, item, s, shard};
use super::{Error, Store};
use crate::domain::{CatId, Post, PostId, Tag, UserId};

/// The number of partitions that a tag's posts are spread over: each takes 1,000 writes a second.
const TAG_SHARDS: u8 = 16;

/// A list of posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostList {
    /// The posts that a user wrote.
    By(UserId),
    /// The posts that show a cat.
    Of(CatId),
    /// The posts with a tag.
    Tagged(Tag),
}

impl PostList {
    /// Returns the list's partitions.
    fn partitions(&self) -> Vec<String> {
        match self {
            Self::By(author) => vec![format!("author#{author}")],
            Self::Of(cat) => vec![format!("cat#{cat}")],
            Self::Tagged(tag) => (0..TAG_SHARDS).map(|shard| tagged(tag, shard)).collect(),
        }
    }

    /// Returns the partition that holds a post.
    fn partition(&self, post: PostId) -> String {
        match self {
            Self::Tagged(tag) => tagged(tag, shard(post, TAG_SHARDS)),
            list => list.partitions().concat(),
        }
    }
}

fn tagged(tag: &Tag, shard: u8) -> String {
    format!("tag#{tag}#{shard}")
}

/// Returns the partitions that hold a post, one of each of its lists.
pub(super) fn partitions(post: &Post) -> BTreeSet<String> {
    let cats = post.draft.cats().iter().copied().map(PostList::Of);
    let tags = post.tags().into_iter().map(PostList::Tagged);
    let lists = [PostList::By(post.author.clone())].into_iter();
    let lists = lists.chain(cats).chain(tags);
    lists.map(|list| list.partition(post.id)).collect()
}

impl Store {
    /// Returns the ids of a list's posts that are older than a position, newest first, at most `most`.
    pub async fn newest_posts(
        &self,
        list: &PostList,
        before: Option<PostId>,
        most: usize,
    ) -> Result<Vec<PostId>, Error> {
        let partitions = list.partitions();
        let table = &self.tables.post_lists;
        let reads = partitions
            .iter()
            .map(|partition| self.newest(table, partition, "post", before, most));
        let id = |row: &Item| PostId::parse(row.text("post")?).map_err(Error::broken);
        let rows = try_join_all(reads).await?.concat();
        let mut posts: Vec<PostId> = rows.iter().map(id).collect::<Result<_, _>>()?;
        posts.sort_unstable_by(|a, b| b.cmp(a));
        posts.truncate(most);
        Ok(posts)
    }

    /// Builds the write that adds a post to a partition.
    pub(super) fn list_post(
        &self,
        partition: &str,
        id: PostId,
    ) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.tables.post_lists)
            .set_item(Some(key(partition, id)))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Builds the write that removes a post from a partition.
    pub(super) fn unlist_post(
        &self,
        partition: &str,
        id: PostId,
    ) -> Result<TransactWriteItem, Error> {
        let delete = Delete::builder()
            .table_name(&self.tables.post_lists)
            .set_key(Some(key(partition, id)))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

fn key(partition: &str, post: PostId) -> Item {
    item([("list", s(partition)), ("post", s(post))])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Draft, IdSource, PostText};

    fn post(id: PostId, text: &str) -> Post {
        let cats = [3, 4, 3].map(|n| CatId(crate::domain::Id::from_u64(n).unwrap()));
        let text = PostText::parse(text).unwrap();
        Post {
            id,
            author: UserId::parse("nabi").unwrap(),
            draft: Draft::new(text, vec![], cats.to_vec()).unwrap(),
            edited_at: None,
        }
    }

    #[test]
    fn post_is_in_one_partition_of_each_of_its_lists() {
        let post = post(PostId(IdSource::new().mint()), "#a #B #b");
        let found = partitions(&post);
        assert_eq!(found.len(), 1 + 2 + 2, "{found:?}");
        for tag in post.tags() {
            let list = PostList::Tagged(tag);
            let of_list = list.partitions();
            assert_eq!(of_list.len(), usize::from(TAG_SHARDS));
            assert_eq!(of_list.iter().filter(|it| found.contains(*it)).count(), 1);
        }
    }

    const POSTS: usize = 64_000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Each partition gets a sixteenth of a popular tag's posts, give or take a tenth, whether few busy processes
        /// or many wrote them.
        #[test]
        fn a_popular_tag_is_spread_evenly(processes in prop::sample::select(vec![1_usize, 7, 400])) {
            let tag = PostList::Tagged(Tag::parse("cats").unwrap());
            let sources: Vec<IdSource> = (0..processes).map(|_| IdSource::new()).collect();
            let mut counts: HashMap<String, usize> = HashMap::new();
            for source in sources.iter().cycle().take(POSTS) {
                *counts.entry(tag.partition(PostId(source.mint()))).or_default() += 1;
            }
            let share = POSTS / usize::from(TAG_SHARDS);
            prop_assert_eq!(counts.len(), usize::from(TAG_SHARDS));
            for (partition, count) in counts {
                prop_assert!(count.abs_diff(share) <= share / 10, "{}: {}", partition, count);
            }
        }
    }
}
