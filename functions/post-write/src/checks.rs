//! What a post may be made of: 400 for what is malformed, 422 for what isn't the caller's to use.

use std::collections::HashSet;

use futures::future::try_join_all;
use purrline::domain::{
    CatId, Draft, ImageKey, Invalid, MAX_CATS, MAX_IMAGES, NOT_UPLOADED, NOT_YOUR_CAT, PostText,
    Reason, UserId,
};
use purrline::http::{Fields, Problem};
use purrline::media::Media;
use purrline::store::Store;

/// What a request says; nothing where nothing was said. An image's key and a cat's id are any text: one
/// that this service never handed out is an image that was never uploaded, nobody's cat.
pub(crate) struct Content {
    text: Option<PostText>,
    images: Option<Vec<String>>,
    cats: Option<Vec<String>>,
}

/// The same, with images that the caller uploaded, and the caller's cats.
pub(crate) struct Usable {
    pub(crate) text: Option<PostText>,
    pub(crate) images: Option<Vec<ImageKey>>,
    pub(crate) cats: Option<Vec<CatId>>,
}

impl Usable {
    pub(crate) fn into_draft(self) -> Result<Draft, Invalid> {
        let Self { text, images, cats } = self;
        Draft::new(
            text.unwrap_or_default(),
            images.unwrap_or_default(),
            cats.unwrap_or_default(),
        )
    }
}

/// What the body of a `POST` or a `PATCH` says.
pub(crate) fn content(mut fields: Fields) -> Result<Content, Problem> {
    let any = |key: &str| Ok::<_, Reason>(key.to_owned());
    let text = fields.optional("text", PostText::parse);
    // Each image is shown once.
    let mut named = HashSet::new();
    let images = fields.list("images", MAX_IMAGES, |key| {
        let first = named.insert(key.to_owned());
        first
            .then(|| key.to_owned())
            .ok_or("is in the list already")
    });
    let cats = fields.list("cats", MAX_CATS, any);
    let (text, images, cats) = fields.finish((text, images, cats))?;
    Ok(Content { text, images, cats })
}

/// Checks that the images are there and the caller's, and the cats the caller's; the images in `kept` are
/// known to be.
pub(crate) async fn usable(
    media: &Media,
    store: &Store,
    caller: &UserId,
    content: &Content,
    kept: &[ImageKey],
) -> Result<Usable, Problem> {
    let images = content.images.as_deref().unwrap_or_default();
    let images = images.iter().map(|text| async move {
        match ImageKey::sent_by(caller, text) {
            Ok(key) if kept.contains(&key) => Ok(Some(key)),
            _ => media.sent_by(caller, text).await,
        }
    });
    let cats = content.cats.as_deref().unwrap_or_default();
    let cats = cats.iter().map(|text| CatId::parse(text).ok());
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
    let said = |_: &Vec<String>| images.into_iter().flatten().collect();
    Ok(Usable {
        text: content.text.clone(),
        images: content.images.as_ref().map(said),
        cats: (content.cats.as_ref()).map(|_| cats.into_iter().flatten().collect()),
    })
}
