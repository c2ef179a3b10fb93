//! Cats, and their owners' lists.
//!
//! A cat is written in one transaction with its place in its owner's list and the use of its photo; its owner never changes,
//! so an edit writes only the cat's attributes that change and, where the photo changes, the uses of the photos.
//!
//! A deleted cat is gone at once, but its id is still in the posts that showed it, however many. The deletion leaves a
//! note in the list `deleted`; `sweep` walks the cat's posts, removes the id from each, and then removes the note. No
//! post can start to show the cat meanwhile, since a post is stored only if its cats are its author's.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
};

use super::create::Created;
use super::idempotency::{Answer, IdempotentRequest};
use super::item::{Item, Read, item, s};
use super::picture_row::{self, maybe_picture};
use super::retry::Retry;
use super::transactions::Outcome;
use super::{Error, Store};
use crate::domain::{
    Bio, BirthDate, Cat, CatEdit, CatId, ImageKey, Name, Picture, UserId, dropped_uploads,
};

/// The reason for giving up a change of a cat.
const CONTENDED: &str = "others kept changing the same cat";

fn cat_key(id: CatId) -> Item {
    item([("list", s(format!("cat#{id}"))), ("cat", s(id))])
}

fn owner_list(owner: &UserId) -> String {
    format!("owner#{owner}")
}

/// The list of deleted cats whose ids may still be in posts.
const DELETED: &str = "deleted";

fn deleted_key(id: CatId) -> Item {
    item([("list", s(DELETED)), ("cat", s(id))])
}

fn owner_key(owner: &UserId, id: CatId) -> Item {
    item([("list", s(owner_list(owner))), ("cat", s(id))])
}

fn id(row: &Item) -> Result<CatId, Error> {
    CatId::parse(row.text("cat")?).map_err(Error::broken)
}

fn cat(row: &Item) -> Result<Cat, Error> {
    let maybe = |name| row.maybe_text(name);
    Ok(Cat {
        id: id(row)?,
        owner: UserId::parse(row.text("owner")?).map_err(Error::broken)?,
        name: Name::stored(row.text("name")?),
        breed: maybe("breed").map(Name::stored),
        birth_date: maybe("birth_date")
            .map(BirthDate::parse)
            .transpose()
            .map_err(Error::broken)?,
        photo: maybe_picture(row, "photo")?,
        bio: maybe("bio").map(Bio::stored),
    })
}

/// Returns the attributes that an edit sets or removes, by their names.
fn changes(edit: &CatEdit) -> Vec<(&'static str, Option<AttributeValue>)> {
    let texts = [
        ("name", edit.name.as_ref().map(|name| Some(s(name)))),
        (
            "breed",
            edit.breed.as_ref().map(|breed| breed.as_ref().map(s)),
        ),
        ("birth_date", edit.birth_date.map(|date| date.map(s))),
        (
            "photo",
            edit.photo
                .as_ref()
                .map(|photo| photo.as_ref().map(picture_row::value)),
        ),
        ("bio", edit.bio.as_ref().map(|bio| bio.as_ref().map(s))),
    ];
    texts
        .into_iter()
        .filter_map(|(name, change)| Some((name, change?)))
        .collect()
}

/// The outcome of an edit of a cat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditedCat {
    /// The cat as it is now, and the photo that it no longer shows.
    Now(Box<Cat>, Vec<ImageKey>),
    /// The cat is no longer the caller's.
    Gone,
    /// The new photo was removed meanwhile.
    PictureGone,
}

impl Store {
    /// Builds the part of a transaction that makes it fail unless this is that user's cat.
    pub(super) fn check_cat(&self, id: CatId, owner: &UserId) -> Result<TransactWriteItem, Error> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.cats)
            .set_key(Some(cat_key(id)))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", s(owner))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// Stores a new cat, and remembers the answer to its idempotency key.
    pub async fn create_cat(
        &self,
        cat: &Cat,
        request: Option<(&IdempotentRequest, &Answer)>,
    ) -> Result<Created, Error> {
        let all = CatEdit {
            name: Some(cat.name.clone()),
            breed: Some(cat.breed.clone()),
            birth_date: Some(cat.birth_date),
            photo: Some(cat.photo.clone()),
            bio: Some(cat.bio.clone()),
        };
        let mut row = cat_key(cat.id);
        row.insert("owner".to_owned(), s(&cat.owner));
        let attributes = changes(&all).into_iter();
        row.extend(attributes.filter_map(|(name, value)| Some((name.to_owned(), value?))));
        let put = |row: Item| {
            Put::builder()
                .table_name(&self.tables.cats)
                .set_item(Some(row))
        };
        let new = put(row).condition_expression("attribute_not_exists(cat)");
        let writes = [new, put(owner_key(&cat.owner, cat.id))].map(|put| {
            let put = put.build().map_err(Error::broken)?;
            Ok(TransactWriteItem::builder().put(put).build())
        });
        let mut writes = writes.into_iter().collect::<Result<Vec<_>, Error>>()?;
        let shown: Vec<&Picture> = cat.photo.iter().collect();
        let photo = self.count_uses(&[], &shown, &mut writes)?;
        let is_ours = async { Ok(self.cat(cat.id).await?.is_some_and(|stored| stored == *cat)) };
        self.create(writes, photo, request, is_ours).await
    }

    /// Returns a cat, if it exists.
    pub async fn cat(&self, id: CatId) -> Result<Option<Cat>, Error> {
        Ok(self.cats(&[id]).await?.remove(&id))
    }

    /// Returns a cat, if it exists and the viewer may see it.
    pub async fn visible_cat(&self, viewer: &UserId, id: CatId) -> Result<Option<Cat>, Error> {
        let Some(cat) = self.cat(id).await? else {
            return Ok(None);
        };
        let owner = std::slice::from_ref(&cat.owner);
        let visibility = self.visibility(viewer, owner).await?;
        Ok(visibility.allows(&cat.owner).then_some(cat))
    }

    /// Returns those of these cats that exist.
    pub async fn cats(&self, ids: &[CatId]) -> Result<HashMap<CatId, Cat>, Error> {
        let keys = ids.iter().map(|&id| cat_key(id)).collect();
        let rows = self.batch_get(&self.tables.cats, keys, None).await?;
        rows.iter()
            .map(|row| cat(row).map(|cat| (cat.id, cat)))
            .collect()
    }

    /// Returns those of these cats that exist and can be read: one busy item must not cost a page.
    pub async fn readable_cats(&self, ids: &[CatId]) -> Result<HashMap<CatId, Cat>, Error> {
        let keys = ids.iter().map(|&id| cat_key(id)).collect();
        let batch = self.batch_get_readable(&self.tables.cats, keys).await?;
        if !batch.unread.is_empty() {
            let unread = batch.unread.len();
            tracing::warn!(unread, "cats that can't be read are left out");
        }
        let cats = batch.items.iter();
        cats.map(|row| cat(row).map(|cat| (cat.id, cat))).collect()
    }

    /// Returns the ids of a user's cats that were registered before a position, latest first, at most `most`.
    pub async fn cats_of(
        &self,
        owner: &UserId,
        before: Option<CatId>,
        most: usize,
    ) -> Result<Vec<CatId>, Error> {
        let rows = self
            .newest(&self.tables.cats, &owner_list(owner), "cat", before, most)
            .await?;
        rows.iter().map(id).collect()
    }

    /// Edits a user's cat.
    pub async fn edit_cat(
        &self,
        id: CatId,
        owner: &UserId,
        edit: &CatEdit,
    ) -> Result<EditedCat, Error> {
        let mut retry = Retry::new(CONTENDED);
        loop {
            let stored = self.cat(id).await?.filter(|cat| cat.owner == *owner);
            let Some(stored) = stored else {
                return Ok(EditedCat::Gone);
            };
            let cat = edit.clone().apply(stored.clone());
            if cat == stored {
                return Ok(EditedCat::Now(Box::new(stored), Vec::new()));
            }
            let mut writes = vec![self.cat_edition(&stored, edit)?];
            let (before, after): (Vec<&Picture>, Vec<&Picture>) =
                (stored.photo.iter().collect(), cat.photo.iter().collect());
            let photo = self.count_uses(&before, &after, &mut writes)?;
            match self.write_all_or_none(writes, [photo]).await? {
                Outcome::Written => {
                    let dropped = dropped_uploads(&before, &after);
                    return Ok(EditedCat::Now(Box::new(cat), dropped));
                }
                Outcome::Unmet(_) => return Ok(EditedCat::PictureGone),
                Outcome::Conflict => retry.back_off().await?,
            }
        }
    }

    /// Builds the write of an edit, on condition that the cat is its owner's, and has the same photo as before.
    fn cat_edition(&self, stored: &Cat, edit: &CatEdit) -> Result<TransactWriteItem, Error> {
        let mut update = Update::builder()
            .table_name(&self.tables.cats)
            .set_key(Some(cat_key(stored.id)))
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", s(&stored.owner));
        let mut condition = "#owner = :owner".to_owned();
        if edit.photo.is_some() {
            update = update.expression_attribute_names("#photo", "photo");
            match &stored.photo {
                Some(photo) => {
                    condition.push_str(" AND #photo = :before");
                    let before = picture_row::value(photo);
                    update = update.expression_attribute_values(":before", before);
                }
                None => condition.push_str(" AND attribute_not_exists(#photo)"),
            }
        }
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, value) in changes(edit) {
            update = update.expression_attribute_names(format!("#{name}"), name);
            match value {
                Some(value) => {
                    update = update.expression_attribute_values(format!(":{name}"), value);
                    set.push(format!("#{name} = :{name}"));
                }
                None => removed.push(format!("#{name}")),
            }
        }
        let clause = |word: &str, what: Vec<String>| match what.as_slice() {
            [] => String::new(),
            what => format!("{word} {} ", what.join(", ")),
        };
        let expression = clause("SET", set) + &clause("REMOVE", removed);
        let update = update
            .condition_expression(condition)
            .update_expression(expression)
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Deletes a user's cat. Returns the uploads that it no longer shows; nothing if the cat is no longer theirs.
    pub async fn delete_cat(
        &self,
        id: CatId,
        owner: &UserId,
    ) -> Result<Option<Vec<ImageKey>>, Error> {
        let mut retry = Retry::new(CONTENDED);
        loop {
            let stored = self.cat(id).await?.filter(|cat| cat.owner == *owner);
            let Some(stored) = stored else {
                return Ok(None);
            };
            let delete = |key: Item| {
                Delete::builder()
                    .table_name(&self.tables.cats)
                    .set_key(Some(key))
            };
            // With the photo that was read, so that each use is counted.
            let theirs = delete(cat_key(id))
                .expression_attribute_names("#photo", "photo")
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_values(":owner", s(owner));
            let theirs = match &stored.photo {
                Some(photo) => theirs
                    .condition_expression("#owner = :owner AND #photo = :photo")
                    .expression_attribute_values(":photo", picture_row::value(photo)),
                None => {
                    theirs.condition_expression("#owner = :owner AND attribute_not_exists(#photo)")
                }
            };
            let writes = [theirs, delete(owner_key(owner, id))].map(|delete| {
                let delete = delete.build().map_err(Error::broken)?;
                Ok(TransactWriteItem::builder().delete(delete).build())
            });
            let mut writes: Vec<_> = writes.into_iter().collect::<Result<_, Error>>()?;
            let note = Put::builder()
                .table_name(&self.tables.cats)
                .set_item(Some(deleted_key(id)))
                .build()
                .map_err(Error::broken)?;
            writes.push(TransactWriteItem::builder().put(note).build());
            let shown: Vec<&Picture> = stored.photo.iter().collect();
            self.count_uses(&shown, &[], &mut writes)?;
            if self.write_transaction(writes).await? {
                return Ok(Some(dropped_uploads(&shown, &[])));
            }
            retry.back_off().await?;
        }
    }

    /// Returns some deleted cats whose ids may still be in posts, the longest registered first, starting after a
    /// position. Returns none at the end of the list.
    pub async fn deleted_cats(&self, after: Option<CatId>) -> Result<Vec<CatId>, Error> {
        let list = ("list", DELETED.to_owned());
        let rows = self
            .partition_rows(&self.tables.cats, list, after.map(deleted_key))
            .await?;
        rows.iter().map(id).collect()
    }

    /// Forgets a deleted cat, whose id is in no post any more.
    pub async fn forget_cat(&self, id: CatId) -> Result<(), Error> {
        self.client
            .delete_item()
            .table_name(&self.tables.cats)
            .set_key(Some(deleted_key(id)))
            .send()
            .await?;
        Ok(())
    }
}
