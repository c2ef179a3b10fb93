//! Colours against those that `LittleCMS` computes: `tests/pictures`, as `tools/pictures/draw.py` has drawn it.

use std::collections::BTreeMap;

use super::{Shown, images, pictures};
use crate::corpus::repository;

/// The side of a patch, and the number of patches across.
const SIDE: usize = 40;
const ACROSS: usize = 8;

/// The greatest difference of a sample.
const TOLERANCE: u8 = 2;

#[test]
fn colours_are_those_of_littlecms() {
    let golden = repository().join("tests/pictures/colours.json");
    let golden = std::fs::read(golden).unwrap();
    let mut golden: BTreeMap<String, Vec<[u8; 3]>> = serde_json::from_slice(&golden).unwrap();
    let mut wrong = Vec::new();
    for (name, upload) in images("pictures") {
        let pictures = pictures(&name, &upload);
        let [picture] = pictures.sizes.as_slice() else {
            panic!("{name} is as wide as the smallest picture");
        };
        let shown = Shown::of(picture);
        for (place, expected) in golden.remove(&name).unwrap().into_iter().enumerate() {
            let (x, y) = (place % ACROSS, place / ACROSS);
            let got = shown.at(x * SIDE + SIDE / 2, y * SIDE + SIDE / 2);
            let differs = |(got, expected): (&u8, &u8)| got.abs_diff(*expected) > TOLERANCE;
            if got.iter().zip(&expected).any(differs) {
                wrong.push(format!("{name}, patch {place}: {got:?}, not {expected:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(golden.is_empty(), "not there: {golden:?}");
}
