//! What a post may be made of: 400 for what is malformed, 422 for what isn't the caller's to use.

use futures::future::try_join_all;
use purrline::domain::{
    CatId, Draft, ImageKey, Invalid, MAX_CATS, MAX_IMAGES, NOT_UPLOADED, PostText, Reason, UserId,
};
use purrline::http::{Fields, Problem};
use purrline::media::Media;

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
    let images = fields.list("images", MAX_IMAGES, any);
    let cats = fields.list("cats", MAX_CATS, any);
    let (text, images, cats) = fields.finish((text, images, cats))?;
    Ok(Content { text, images, cats })
}

/// Checks that the images are there and the caller's; those in `kept` are known to be. Nobody has cats
/// yet, so no cat is the caller's.
pub(crate) async fn usable(
    media: &Media,
    caller: &UserId,
    content: &Content,
    kept: &[ImageKey],
) -> Result<Usable, Problem> {
    let mut unusable = Invalid::default();
    let keys = content
        .images
        .iter()
        .flatten()
        .map(|text| ImageKey::sent_by(caller, text));
    let found = try_join_all(keys.map(|key| async move {
        let Ok(key) = key else {
            return Ok(None);
        };
        let there = kept.contains(&key) || media.uploaded(&key).await?;
        Ok::<_, purrline::media::Error>(there.then_some(key))
    }));
    let found = found.await.map_err(|error| Problem::unavailable(&error))?;
    for (at, _) in found.iter().enumerate().filter(|(_, key)| key.is_none()) {
        unusable.push(format!("/images/{at}"), NOT_UPLOADED);
    }
    for (at, _) in content.cats.iter().flatten().enumerate() {
        unusable.push(format!("/cats/{at}"), "is not one of your cats");
    }
    if !unusable.errors.is_empty() {
        return Err(Problem::unusable(unusable));
    }
    Ok(Usable {
        text: content.text.clone(),
        images: content
            .images
            .as_ref()
            .map(|_| found.into_iter().flatten().collect()),
        cats: content.cats.as_ref().map(|_| Vec::new()),
    })
}
