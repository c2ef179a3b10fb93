//! Full pages of lists of ids.

use super::Error;

/// A page of what a list's ids stand for, newest first, full while there are more, and whether there are.
///
/// `ids` reads the list: those older than a position, at most so many. `find` looks them up, in their order,
/// and leaves out what isn't there any more or isn't to be shown; it is made up for with older ones.
pub async fn full_page<I: Copy, T, Ids, Found>(
    size: usize,
    after: Option<I>,
    ids: impl Fn(Option<I>, usize) -> Ids,
    find: impl Fn(Vec<I>) -> Found,
) -> Result<(Vec<T>, bool), Error>
where
    Ids: Future<Output = Result<Vec<I>, Error>>,
    Found: Future<Output = Result<Vec<T>, Error>>,
{
    // One more than the page tells whether there is another. Later rounds ask for no fewer: what was left
    // out once may come in runs, and each round costs the same.
    let wanted = size.saturating_add(1);
    let (mut found, mut position) = (Vec::new(), after);
    while found.len() < wanted {
        let read = ids(position, wanted).await?;
        let (last, whole) = (read.last().copied(), read.len() < wanted);
        found.extend(find(read).await?);
        position = last.or(position);
        if whole {
            break;
        }
    }
    let more = found.len() > size;
    found.truncate(size);
    Ok((found, more))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Pages of any size walk everything that is shown once, and each is full but the last.
        #[test]
        fn a_walk_finds_what_is_shown(shown in prop::collection::vec(any::<bool>(), 0..40), size in 1..10_usize) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let ids = |before: Option<usize>, most: usize| {
                let older = (0..before.unwrap_or(shown.len())).rev();
                ready(Ok(older.take(most).collect::<Vec<_>>()))
            };
            let find = |ids: Vec<usize>| {
                ready(Ok(ids.into_iter().filter(|&id| shown[id]).collect::<Vec<_>>()))
            };
            let (mut walked, mut after) = (Vec::new(), None);
            loop {
                let (page, more) = runtime.block_on(full_page(size, after, ids, find)).unwrap();
                prop_assert!(page.len() == size || !more);
                walked.extend(page);
                if !more {
                    break;
                }
                after = walked.last().copied();
            }
            let expected: Vec<usize> = (0..shown.len()).rev().filter(|&id| shown[id]).collect();
            prop_assert_eq!(walked, expected);
        }
    }
}
