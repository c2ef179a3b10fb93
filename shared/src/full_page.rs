//! Pages of lists of which the caller may not see every entry.

use std::future::Future;

use crate::domain::Segment;

/// The maximum number of reads for a page. Each is up to twice as long as the one before: together they pass about 500
/// entries, of which a caller sees fewer than a page only if somebody arranged it so.
const MAX_READS: usize = 10;
/// The maximum length of a segment that is read at a time: the largest page, and one more.
const MAX_SEGMENT: usize = 101;

/// Reads a page of a list of which the caller may not see every entry, and fills it while there is more to see. `read`
/// reads at most a number of entries after a position, and returns the visible ones.
///
/// If hardly anything is visible, the page ends after ten reads, shorter than asked for, and the next page continues
/// from there: the cost of a page is bounded, whatever the list contains.
pub async fn full_page<T, P, E, R>(
    size: usize,
    after: Option<P>,
    read: impl FnMut(Option<P>, usize) -> R,
) -> Result<Segment<T, P>, E>
where
    P: Clone,
    R: Future<Output = Result<Segment<T, P>, E>>,
{
    page_within(MAX_READS, size, after, read).await
}

async fn page_within<T, P, E, R>(
    reads: usize,
    size: usize,
    after: Option<P>,
    mut read: impl FnMut(Option<P>, usize) -> R,
) -> Result<Segment<T, P>, E>
where
    P: Clone,
    R: Future<Output = Result<Segment<T, P>, E>>,
{
    let mut items: Vec<(T, P)> = Vec::new();
    let mut end = after;
    // One more than asked for shows whether there is a next page.
    let mut most = size.saturating_add(1);
    for _ in 0..reads {
        let segment = read(end, most).await?;
        items.extend(segment.items);
        end = segment.end;
        if end.is_none() || items.len() > size {
            break;
        }
        most = most.saturating_mul(2).min(MAX_SEGMENT);
    }
    if items.len() > size {
        items.truncate(size);
        end = items.last().map(|(_, position)| position.clone());
    }
    Ok(Segment { items, end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pages of any size walk the visible entries once, in order; each page but the last is full, or took the
        /// maximum number of reads.
        #[test]
        fn pages_contain_each_visible_entry_once(
            seen in prop::collection::vec(prop::bool::weighted(0.2), 0..200), size in 1..9_usize, reads in 1..4_usize,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut walked: Vec<usize> = Vec::new();
            let mut after = None;
            loop {
                let mut count = 0;
                let read = |after: Option<usize>, most: usize| {
                    count += 1;
                    let start = after.map_or(0, |after| after + 1);
                    let end = seen.len().min(start + most);
                    let items = (start..end).filter(|&at| seen[at]).map(|at| (at, at)).collect();
                    let end = (end - start == most).then(|| end - 1);
                    std::future::ready(Ok::<_, ()>(Segment { items, end }))
                };
                let page = runtime.block_on(page_within(reads, size, after, read)).unwrap();
                prop_assert!(count <= reads);
                prop_assert!(page.items.len() == size || page.end.is_none() || (count == reads && page.items.len() < size));
                prop_assert!(page.end.is_none() || page.end > after);
                walked.extend(page.items.into_iter().map(|(item, _)| item));
                after = page.end;
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<usize> = (0..seen.len()).filter(|&at| seen[at]).collect();
            prop_assert_eq!(walked, expected);
        }
    }
}
