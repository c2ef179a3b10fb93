//! Bugs planted on purpose, to see that the reference model catches each of them.
//!
//! Only a build with the feature `planted` has them, which no deployed build has; the environment variable
//! `PLANTED_BUG` switches one on. `./dev plant` plants each in turn.

/// Their names, and what each does.
pub const BUGS: [(&str, &str); 18] = [
    (
        "announced-early",
        "posts are no longer pushed once the announcement has begun, not once it is through",
    ),
    (
        "unmarked-rebuild",
        "a rebuilt feed does not know whose posts are merged in",
    ),
    (
        "mark-skipped",
        "a feed that has a post is not told that its author is merged in",
    ),
    (
        "wrote-stays",
        "the list of what an author wrote of late is not pushed onto",
    ),
    (
        "wrote-unread",
        "the lists of those who are merged in are not read",
    ),
    (
        "floor-ignored",
        "a feed ends where the cached part of it does",
    ),
    (
        "below-floor",
        "posts that came late, below the floor, are shown as if there were no gap around them",
    ),
    (
        "recent-floorless",
        "what an author wrote of late is cut back without a word of what is dropped",
    ),
    (
        "recent-late",
        "a post is not added to what its author wrote of late",
    ),
    (
        "rebuild-forgets",
        "a rebuild drops what was pushed meanwhile",
    ),
    (
        "mark-cleared-early",
        "the first of several chunks counts as the last",
    ),
    (
        "shards-forgotten",
        "only the first shard of followers is fanned out to",
    ),
    (
        "likes-uncounted",
        "a like leaves the post's counts in the cache as they were",
    ),
    (
        "unnoted",
        "what the cache could not be told of is not noted for sweep",
    ),
    ("feed-kept", "a follow leaves the follower's feed as it was"),
    (
        "unfollowed-shown",
        "a feed shows posts of whoever is on its list",
    ),
    (
        "duplicates-shown",
        "a post that is on a list twice is shown twice",
    ),
    (
        "order-of-arrival",
        "the word that comes last wins, not the one that was said last",
    ),
];

/// Whether that bug is planted.
pub fn planted(bug: &str) -> bool {
    cfg!(feature = "planted") && std::env::var("PLANTED_BUG").is_ok_and(|planted| planted == bug)
}
