//! Checks of a post's content: images and cats that aren't the caller's to use are 422.

use std::collections::HashSet;

use futures::future::try_join_all;
use purrline::domain::{
    CatId, ImageKey, Invalid, MAX_CATS, MAX_IMAGES, NOT_UPLOADED, NOT_YOUR_CAT, PostEdit, PostText,
    UserId,
};
use purrline::http::{DistinctList, List, Problem, Unchecked};
use purrline::media::Media;
use purrline::store::Store;

/// The content of a post in a request, before its images and cats are checked to be the caller's. Keys and ids may be
/// any text: an unknown key counts as an image that was never uploaded, and an unknown id as a cat that isn't the
/// caller's.
pub(crate) struct Content {
    pub(crate) text: Option<PostText>,
    pub(crate) images: Option<DistinctList<Unchecked<ImageKey>, MAX_IMAGES>>,
    pub(crate) cats: Option<List<Unchecked<CatId>, MAX_CATS>>,
}

/// Returns the content with the caller's images and cats. Refuses images that don't exist, and images and cats of others;
/// the images in `kept` are known to be the caller's.
pub(crate) async fn check_content(
    media: &Media,
    store: &Store,
    caller: &UserId,
    content: &Content,
    kept: &[ImageKey],
) -> Result<PostEdit, Problem> {
    let images = content
        .images
        .iter()
        .flat_map(|DistinctList(images)| images);
    let images = images.map(|Unchecked { text, .. }| async move {
        match ImageKey::sent_by(caller, text) {
            Ok(key) if kept.contains(&key) => Ok(Some(key)),
            _ => media.sent_by(caller, text).await,
        }
    });
    let cats = content.cats.iter().flat_map(|List(cats)| cats);
    let cats = cats.map(|cat| CatId::parse(&cat.text).ok());
    let cats: Vec<Option<CatId>> = cats.collect();
    let distinct: HashSet<CatId> = cats.iter().flatten().copied().collect();
    let distinct: Vec<CatId> = distinct.into_iter().collect();
    let (images, known) = futures::join!(try_join_all(images), store.cats(&distinct));
    let (images, known) = (images?, known?);
    let is_theirs = |cat: &CatId| known.get(cat).is_some_and(|cat| cat.owner == *caller);
    let cats: Vec<_> = cats.into_iter().map(|cat| cat.filter(is_theirs)).collect();

    let mut unusable = Invalid::default();
    for (at, _) in images.iter().enumerate().filter(|(_, key)| key.is_none()) {
        unusable.push(format!("/images/{at}"), NOT_UPLOADED);
    }
    for (at, _) in cats.iter().enumerate().filter(|(_, cat)| cat.is_none()) {
        unusable.push(format!("/cats/{at}"), NOT_YOUR_CAT);
    }
    if !unusable.errors.is_empty() {
        return Err(Problem::unusable(unusable));
    }
    let (images, cats) = (images.into_iter().flatten(), cats.into_iter().flatten());
    Ok(PostEdit {
        text: content.text.clone(),
        images: content.images.as_ref().map(|_| images.collect()),
        cats: content.cats.as_ref().map(|_| cats.collect()),
    })
}
