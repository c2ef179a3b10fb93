//! Pictures: what is served of an upload.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::text::{text_type, without_null};
use super::{ImageKey, Reason};

/// The reason for refusing an upload that can't be shown.
pub const NOT_A_PICTURE: Reason =
    Reason::new("is not a JPEG, PNG or WebP image that can be shown, or is too large");

/// The default number of seconds from a change to the review of pictures that it dropped, and between the parts of a
/// removal: longer than any request, or the making of a picture, may take.
pub const REVIEW_SECONDS: i64 = 15;

/// The maximum number of sizes of a picture.
const MAX_SIZES: usize = 3;

/// The names of a picture's files, the smallest first.
const FILES: [&str; MAX_SIZES] = ["small.jpg", "medium.jpg", "large.jpg"];

/// The name of a picture in its URL: 128 random bits, which say nothing of the upload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PictureName(String);

impl PictureName {
    /// Mints a new name.
    pub fn mint() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()))
    }

    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(random) if random.len() == 16 => Ok(Self(text.to_owned())),
            _ => Err(Reason::new("not the name of a picture")),
        }
    }

    /// Returns the paths of every file that the picture may have, the smallest first.
    pub fn files(&self) -> [String; MAX_SIZES] {
        FILES.map(|file| format!("{self}/{file}"))
    }

    /// Returns the path of the smallest file, which every picture has.
    pub fn smallest(&self) -> String {
        let [smallest, ..] = self.files();
        smallest
    }
}

impl TryFrom<String> for PictureName {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

text_type!(PictureName);

/// The size of a file of a picture, in pixels; `320x240` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PictureSize {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
}

impl PictureSize {
    /// Parses a size.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let sides = text.split_once('x');
        let sides = sides.map(|(width, height)| (width.parse(), height.parse()));
        match sides {
            Some((Ok(width), Ok(height))) => Ok(Self { width, height }),
            _ => Err(Reason::new("not a size")),
        }
    }
}

impl fmt::Display for PictureSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl TryFrom<String> for PictureSize {
    type Error = Reason;
    fn try_from(text: String) -> Result<Self, Reason> {
        Self::parse(&text)
    }
}

impl From<PictureSize> for String {
    fn from(size: PictureSize) -> Self {
        size.to_string()
    }
}

/// The sizes of a picture's files, the smallest first: one to three.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PictureSize>", into = "Vec<PictureSize>")]
pub struct PictureSizes(Vec<PictureSize>);

impl PictureSizes {
    /// Creates sizes.
    pub fn new(sizes: Vec<PictureSize>) -> Result<Self, Reason> {
        if (1..=MAX_SIZES).contains(&sizes.len()) {
            Ok(Self(sizes))
        } else {
            Err(Reason::new("not one to three sizes"))
        }
    }

    /// Returns the sizes.
    pub fn get(&self) -> &[PictureSize] {
        &self.0
    }
}

impl TryFrom<Vec<PictureSize>> for PictureSizes {
    type Error = Reason;
    fn try_from(sizes: Vec<PictureSize>) -> Result<Self, Reason> {
        Self::new(sizes)
    }
}

impl From<PictureSizes> for Vec<PictureSize> {
    fn from(sizes: PictureSizes) -> Self {
        sizes.0
    }
}

/// A placeholder of some 25 bytes, to show until a picture is loaded (<https://evanw.github.io/thumbhash/>), in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thumbhash(String);

impl Thumbhash {
    /// Creates a placeholder from its bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }

    /// Restores a stored placeholder.
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }
}

text_type!(Thumbhash);

/// The picture of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The upload that it was made of.
    pub key: ImageKey,
    /// Its name in URLs.
    pub name: PictureName,
    /// The sizes of its files.
    pub sizes: PictureSizes,
    /// Its placeholder.
    pub thumbhash: Thumbhash,
}

impl Picture {
    /// Returns the path of the smallest file of at least this width, or of the largest.
    pub fn file_of_at_least(&self, width: u32) -> String {
        let files = self.name.files().into_iter().zip(self.sizes.get());
        let file = files.into_iter().find(|(_, size)| size.width >= width);
        file.map_or_else(|| self.largest(), |(file, _)| file)
    }

    /// Returns the path of the largest file.
    pub fn largest(&self) -> String {
        let mut files = self.name.files().into_iter().take(self.sizes.get().len());
        files.next_back().unwrap_or_else(|| self.name.smallest())
    }
}

/// Returns the pictures of `list` whose uploads aren't in `other`.
pub fn pictures_missing_from<'p>(
    other: &[&Picture],
    list: &[&'p Picture],
) -> impl Iterator<Item = &'p Picture> {
    list.iter()
        .copied()
        .filter(|picture| other.iter().all(|it| it.key != picture.key))
}

/// Returns the uploads that are shown before a change and not after it.
pub fn dropped_uploads(before: &[&Picture], after: &[&Picture]) -> Vec<ImageKey> {
    pictures_missing_from(after, before)
        .map(|picture| picture.key.clone())
        .collect()
}

/// The description of an image for those who can't see it: at most 1,500 characters, none of them U+0000, and at least
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Alt(String);

impl Alt {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 1500;

    /// Parses a description. An empty text is none.
    pub fn parse(text: &str) -> Result<Option<Self>, Reason> {
        if text.chars().nth(Self::MAX_CHARS).is_some() {
            return Err(Reason::new("must be at most 1500 characters"));
        }
        without_null(text)?;
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }
}

text_type!(Alt, stored);

/// An image of a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostImage {
    /// The picture that is shown.
    pub picture: Picture,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt: Option<Alt>,
}

/// A picture in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Picture"))]
pub struct PictureView {
    /// The key of the upload.
    pub key: ImageKey,
    /// The URL of the largest size.
    pub url: String,
    /// The width of the largest size, in pixels.
    pub width: u32,
    /// The height of the largest size, in pixels.
    pub height: u32,
    /// The author's description of the picture, for those who can't see it.
    pub alt: Option<Alt>,
    /// A placeholder to show until the picture is loaded: a [thumbhash](https://evanw.github.io/thumbhash/) in base64.
    pub thumbhash: Thumbhash,
    /// Every size, the smallest first: 320, 640 and 1,280 pixels wide, as far as the upload is that wide.
    pub sizes: Vec<SizeView>,
}

/// A size of a picture in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "PictureSize"))]
pub struct SizeView {
    /// The URL.
    pub url: String,
    /// The width in pixels.
    pub width: u32,
    /// The height in pixels.
    pub height: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentType, UserId};

    #[test]
    fn names_round_trip_and_say_nothing_of_the_upload() {
        let name = PictureName::mint();
        assert_eq!(PictureName::parse(name.as_str()), Ok(name.clone()));
        assert_ne!(name, PictureName::mint());
        for bad in [
            "",
            "x",
            "../AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(PictureName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_round_trip_and_are_one_to_three() {
        let size = PictureSize {
            width: 320,
            height: 240,
        };
        assert_eq!(PictureSize::parse(&size.to_string()), Ok(size));
        for bad in ["", "320", "320x", "x240", "-1x2", "axb", "1x2x3"] {
            assert!(PictureSize::parse(bad).is_err(), "{bad}");
        }
        for count in [0, 4] {
            assert!(PictureSizes::new(vec![size; count]).is_err(), "{count}");
        }
        for count in 1..=3 {
            assert!(PictureSizes::new(vec![size; count]).is_ok(), "{count}");
        }
    }

    #[test]
    fn the_largest_file_is_that_of_the_last_size() {
        let size = PictureSize {
            width: 1,
            height: 1,
        };
        let picture = |count| Picture {
            key: ImageKey::mint(&UserId::parse("nabi").unwrap(), ContentType::Png),
            name: PictureName::mint(),
            sizes: PictureSizes::new(vec![size; count]).unwrap(),
            thumbhash: Thumbhash::new(&[]),
        };
        for (count, file) in [(1, "small.jpg"), (2, "medium.jpg"), (3, "large.jpg")] {
            let picture = picture(count);
            assert_eq!(picture.largest(), format!("{}/{file}", picture.name));
        }
    }

    #[test]
    fn descriptions_have_at_most_1500_characters() {
        assert!(matches!(Alt::parse(&"고".repeat(1500)), Ok(Some(_))));
        assert!(Alt::parse(&"고".repeat(1501)).is_err());
        assert!(Alt::parse("a\0b").is_err());
        assert_eq!(Alt::parse(""), Ok(None));
    }
}
