//! The scans of a JPEG that may have been cut short. An image may be in several: one for each component, or, if it is
//! progressive, one for each band of coefficients, then others that refine them.

use std::collections::BTreeMap;

/// The markers of the image's end, of a scan and of restarts, and the byte that follows an 0xFF of compressed data.
const END: u8 = 0xD9;
const SCAN: u8 = 0xDA;
const RESTARTS: std::ops::RangeInclusive<u8> = 0xD0..=0xD7;
const STUFFING: u8 = 0;

/// Returns whether the scans, complete or not, bring every coefficient of this many components at least roughly.
pub(super) fn are_enough(bytes: &[u8], components: usize) -> bool {
    let mut known: BTreeMap<u8, u64> = BTreeMap::new();
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((marker, content, after)) = next(rest) {
        rest = after;
        if marker == END {
            break;
        }
        // The number of components, two bytes for each, then the first and the last coefficient.
        if marker == SCAN
            && let [of, parameters @ ..] = content
            && let Some((of, [first, last, ..])) = parameters.split_at_checked(usize::from(*of) * 2)
        {
            let band = (*first..=(*last).min(63)).fold(0, |band, nth| band | 1_u64 << nth);
            for [component, _] in of.as_chunks().0 {
                *known.entry(*component).or_default() |= band;
            }
        }
    }
    known.values().filter(|known| **known == u64::MAX).count() >= components
}

/// Returns the next marker, the content of its segment, and what follows it; skips compressed data before the marker.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let is_marker = |pair: &[u8]| matches!(pair, [0xFF, marker] if !matches!(*marker, STUFFING | 0xFF) && !RESTARTS.contains(marker));
    let at = bytes.windows(2).position(is_marker)?;
    let (&[_, marker], after) = bytes.get(at..)?.split_first_chunk()?;
    if marker == END {
        return Some((marker, &[], after));
    }
    let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
    Some((marker, after.get(2..length)?, after.get(length..)?))
}
