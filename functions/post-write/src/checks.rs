//! What a post may be made of: 400 for what is malformed, 422 for what isn't the caller's to use.

use std::collections::HashSet;

use futures::future::try_join_all;
use purrline::domain::{
    CatId, ImageKey, Invalid, MAX_CATS, MAX_IMAGES, NOT_UPLOADED, NOT_YOUR_CAT, PostEdit, PostText,
    Reason, UserId,
};
use purrline::http::{Fields, Problem};
use purrline::media::Media;
use purrline::store::Store;

/// The content that a request gives a post, before it is checked against what the caller has. An image's key and a cat's
/// id are any text: one that this service never handed out is an image that was never uploaded, nobody's cat.
pub(crate) struct Content {
    text: Option<PostText>,
    images: Option<Vec<String>>,
    cats: Option<Vec<String>>,
}

/// Parses the body of a `POST` or a `PATCH`.
pub(crate) fn content(mut fields: Fields) -> Result<Content, Problem> {
    let any = |key: &str| Ok::<_, Reason>(key.to_owned());
    let text = fields.optional("text", PostText::parse);
    let images = fields.list("images", MAX_IMAGES, any);
    let cats = fields.list("cats", MAX_CATS, any);
    let (text, images, cats) = fields.finish((text, images, cats))?;
    let named = images.as_deref().unwrap_or_default();
    each_once(named)?;
    Ok(Content { text, images, cats })
}

/// Refuses images that are named twice: each is shown once.
fn each_once(images: &[String]) -> Result<(), Invalid> {
    let mut twice = Invalid::default();
    for (at, key) in images.iter().enumerate() {
        if images.iter().take(at).any(|before| before == key) {
            twice.push(format!("/images/{at}"), "is in the list already");
        }
    }
    twice.into_result()
}

/// Returns the content with the caller's images and cats. Refuses images that are not there, and what is not the
/// caller's; the images in `kept` are known to be.
pub(crate) async fn usable(
    media: &Media,
    store: &Store,
    caller: &UserId,
    content: &Content,
    kept: &[ImageKey],
) -> Result<PostEdit, Problem> {
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
    Ok(PostEdit {
        text: content.text.clone(),
        images: content.images.as_ref().map(said),
        cats: (content.cats.as_ref()).map(|_| cats.into_iter().flatten().collect()),
    })
}
