//! Tests of each part by itself. Whole files are in `shared/tests/images`.

use super::*;

#[test]
fn very_tall_uploads_get_fewer_widths() {
    let widths = |width, height| -> Vec<usize> {
        let (smaller, largest) = sizes_of(width, height);
        let all = smaller.into_iter().chain([largest]);
        all.map(|(w, _)| w).collect()
    };
    assert_eq!(widths(1280, 12_500), [320, 640, 1280]);
    assert_eq!(widths(1280, 12_501), [320, 640]);
    assert_eq!(widths(640, 25_000), [320, 640]);
    assert_eq!(widths(640, 25_001), [320]);
    // At least one, no higher than browsers read.
    assert_eq!(sizes_of(320, 65_501), (vec![], (320, 65_500)));
    assert_eq!(widths(320, 65_535), [320]);
    assert_eq!(widths(1, 65_535), [1]);
}
