//! Pages of lists of which the caller may not see every entry.

use std::future::Future;

/// A stretch of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch<T, P> {
    /// What the caller may see of it, in the list's order.
    pub items: Vec<T>,
    /// The position of its last entry, seen or not; nothing at the list's end.
    pub end: Option<P>,
}

/// A page that is full while there is more to see, and whether there is. `read` gives the stretch of at
/// most so many entries after a position.
pub async fn full_page<T, P, E, R>(
    size: usize,
    after: Option<P>,
    mut read: impl FnMut(Option<P>, usize) -> R,
) -> Result<(Vec<T>, bool), E>
where
    R: Future<Output = Result<Stretch<T, P>, E>>,
{
    let mut items = Vec::new();
    let mut position = after;
    // One more than is asked for tells whether there is a next page.
    while items.len() <= size {
        let stretch = read(position, size + 1 - items.len()).await?;
        items.extend(stretch.items);
        position = stretch.end;
        if position.is_none() {
            break;
        }
    }
    let more = items.len() > size;
    items.truncate(size);
    Ok((items, more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pages of any size walk what may be seen once, in order, each full but the last.
        #[test]
        fn pages_walk_what_is_seen(seen in prop::collection::vec(any::<bool>(), 0..60), size in 1..9_usize) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = |after: Option<usize>, most: usize| {
                let start = after.map_or(0, |after| after + 1);
                let end = seen.len().min(start + most);
                let items = (start..end).filter(|&at| seen[at]).collect();
                let end = (end - start == most).then(|| end - 1);
                std::future::ready(Ok::<_, ()>(Stretch { items, end }))
            };
            let mut walked: Vec<usize> = Vec::new();
            loop {
                let after = walked.last().copied();
                let (page, more) = runtime.block_on(full_page(size, after, read)).unwrap();
                prop_assert!(page.len() == size || !more);
                walked.extend(page);
                if !more {
                    break;
                }
            }
            let expected: Vec<usize> = (0..seen.len()).filter(|&at| seen[at]).collect();
            prop_assert_eq!(walked, expected);
        }
    }
}
