//! Checks of a post's content: images and cats that aren't the caller's to use are 422.

use std::collections::HashSet;

use purrline::domain::{
    CatId, MAX_CATS, NOT_YOUR_CAT, Picture, PostEdit, PostImage, PostText, UserId,
};
use purrline::http::{List, NewImage, NewImages, Problem, Unchecked};
use purrline::store::Store;
use purrline::uploads::{Unusable, UnusableUploads, Uploads};

/// The content of a post in a request, before its images and cats are checked to be the caller's. Keys and ids may be
/// any text: an unknown key counts as an image that was never uploaded, and an unknown id as a cat that isn't the
/// caller's.
pub(crate) struct Content {
    pub(crate) text: Option<PostText>,
    pub(crate) images: Option<NewImages>,
    pub(crate) cats: Option<List<Unchecked<CatId>, MAX_CATS>>,
}

/// Returns the content with the caller's pictures and cats. Refuses images that don't exist or can't be shown, and images
/// and cats of others; the images in `kept` are known to be usable.
pub(crate) async fn check_content(
    uploads: &Uploads,
    store: &Store,
    caller: &UserId,
    content: Content,
    kept: &[PostImage],
) -> Result<PostEdit, Problem> {
    let cats = content.cats.iter().flat_map(|List(cats)| cats);
    let cats = cats.map(|cat| CatId::parse(&cat.text).ok());
    let cats: Vec<Option<CatId>> = cats.collect();
    let distinct: HashSet<CatId> = cats.iter().flatten().copied().collect();
    let distinct: Vec<CatId> = distinct.into_iter().collect();
    let images = content.images.as_ref();
    let images = images.map_or(&[][..], |NewImages(images)| images);
    let (pictures, known) = futures::join!(
        pictures(uploads, caller, images, kept),
        store.cats(&distinct)
    );
    let (pictures, known) = (pictures?, known?);
    let is_theirs = |cat: &CatId| known.get(cat).is_some_and(|cat| cat.owner == *caller);
    let cats: Vec<_> = cats.into_iter().map(|cat| cat.filter(is_theirs)).collect();

    let mut unusable = UnusableUploads::default();
    for (at, picture) in pictures.iter().enumerate() {
        if let Err(reason) = picture {
            unusable.push(format!("/images/{at}"), *reason);
        }
    }
    for (at, _) in cats.iter().enumerate().filter(|(_, cat)| cat.is_none()) {
        unusable.fields.push(format!("/cats/{at}"), NOT_YOUR_CAT);
    }
    if !unusable.fields.errors.is_empty() {
        return Err(unusable.into());
    }
    let pictures = pictures.into_iter().flatten();
    Ok(PostEdit {
        text: content.text,
        images: content.images.map(|NewImages(images)| {
            let images = images.into_iter().zip(pictures);
            let shown = images.map(|(image, picture)| PostImage {
                picture,
                alt: image.alt,
            });
            shown.collect()
        }),
        cats: content.cats.map(|_| cats.into_iter().flatten().collect()),
    })
}

/// Returns the pictures of images, in their order.
async fn pictures(
    uploads: &Uploads,
    caller: &UserId,
    images: &[NewImage],
    kept: &[PostImage],
) -> Result<Vec<Result<Picture, Unusable>>, Problem> {
    let known = |image: &NewImage| {
        let kept = kept.iter().map(|kept| &kept.picture);
        kept.clone()
            .find(|picture| picture.key.as_str() == image.key.text)
    };
    let new = images.iter().filter(|image| known(image).is_none());
    let new: Vec<&str> = new.map(|image| image.key.text.as_str()).collect();
    let mut new = uploads.pictures(caller, &new).await?.into_iter();
    let pictures = images.iter().map(|image| match known(image) {
        Some(picture) => Ok(picture.clone()),
        None => new.next().unwrap_or(Err(Unusable::NotUploaded)),
    });
    Ok(pictures.collect())
}
