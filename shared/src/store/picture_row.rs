//! The attributes of a picture: of its own row, and in the rows of what shows it.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Error;
use super::item::{Item, Read, item, list, s};
use crate::domain::{
    Alt, ImageKey, Picture, PictureName, PictureSize, PictureSizes, PostImage, Thumbhash,
};

pub(super) fn upload(row: &Item) -> Result<ImageKey, Error> {
    ImageKey::parse(row.text("upload")?).map_err(Error::broken)
}

pub(super) fn name(row: &Item) -> Result<PictureName, Error> {
    PictureName::parse(row.text("name")?).map_err(Error::broken)
}

pub(super) fn sizes_and_thumbhash(picture: &Picture) -> [(&'static str, AttributeValue); 2] {
    [
        ("sizes", list(picture.sizes.get())),
        ("thumbhash", s(&picture.thumbhash)),
    ]
}

pub(super) fn picture(row: &Item) -> Result<Picture, Error> {
    let sizes = row.texts("sizes")?.into_iter().map(PictureSize::parse);
    let sizes = sizes.collect::<Result<_, _>>().map_err(Error::broken)?;
    Ok(Picture {
        key: upload(row)?,
        name: name(row)?,
        sizes: PictureSizes::new(sizes).map_err(Error::broken)?,
        thumbhash: Thumbhash::stored(row.text("thumbhash")?),
    })
}

/// Returns a picture as the value of an attribute.
pub(super) fn value(picture: &Picture) -> AttributeValue {
    AttributeValue::M(attributes(picture))
}

fn attributes(picture: &Picture) -> Item {
    let mut row = item([("upload", s(&picture.key)), ("name", s(&picture.name))]);
    row.extend(item(sizes_and_thumbhash(picture)));
    row
}

/// Returns the picture in an attribute, if the row has the attribute.
pub(super) fn maybe_picture(row: &Item, attribute: &str) -> Result<Option<Picture>, Error> {
    let Some(value) = row.get(attribute) else {
        return Ok(None);
    };
    let map = value
        .as_m()
        .map_err(|_| Error::broken(format_args!("{attribute} is not a map")))?;
    picture(map).map(Some)
}

/// Returns the images of a post as the value of an attribute.
pub(super) fn images_value(images: &[PostImage]) -> AttributeValue {
    let images = images.iter().map(|image| {
        let mut row = attributes(&image.picture);
        if let Some(alt) = &image.alt {
            row.insert("alt".to_owned(), s(alt));
        }
        AttributeValue::M(row)
    });
    AttributeValue::L(images.collect())
}

/// Returns the images of a post.
pub(super) fn images(row: &Item) -> Result<Vec<PostImage>, Error> {
    let Some(value) = row.get("images") else {
        return Ok(Vec::new());
    };
    let broken = |_: &AttributeValue| Error::broken("images is not a list of maps");
    let images = value.as_l().map_err(broken)?.iter();
    images
        .map(|image| {
            let row = image.as_m().map_err(broken)?;
            Ok(PostImage {
                picture: picture(row)?,
                alt: row.maybe_text("alt").map(Alt::stored),
            })
        })
        .collect()
}
