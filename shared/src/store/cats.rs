//! Cats, and their owners' lists.
//!
//! A cat is written in one transaction with its place in its owner's list; its owner never changes, so an edit writes
//! the cat alone, and only the attributes that change.
//!
//! A deleted cat is gone at once, but its id is still in the posts that showed it, however many. The deletion leaves a
//! note in the list `deleted`; `sweep` walks the cat's posts, removes the id from each, and then removes the note. No
//! post can start to show the cat meanwhile, since a post is stored only if its cats are its author's.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValue, TransactWriteItem,
};

use super::create::Created;
use super::idempotency::{Answer, IdempotentRequest};
use super::item::{Item, Read, item, s};
use super::{Error, Store};
use crate::domain::{Bio, BirthDate, Cat, CatEdit, CatId, ImageKey, Name, UserId};

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
        photo: maybe("photo")
            .map(ImageKey::parse)
            .transpose()
            .map_err(Error::broken)?,
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
        ("photo", edit.photo.as_ref().map(|key| key.as_ref().map(s))),
        ("bio", edit.bio.as_ref().map(|bio| bio.as_ref().map(s))),
    ];
    texts
        .into_iter()
        .filter_map(|(name, change)| Some((name, change?)))
        .collect()
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
        let writes = writes.into_iter().collect::<Result<_, Error>>()?;
        let is_ours = async { Ok(self.cat(cat.id).await?.is_some_and(|stored| stored == *cat)) };
        self.create(writes, request, is_ours).await
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

    /// Edits a user's cat. Returns nothing if the cat is no longer theirs.
    pub async fn edit_cat(
        &self,
        id: CatId,
        owner: &UserId,
        edit: &CatEdit,
    ) -> Result<Option<Cat>, Error> {
        let changes = changes(edit);
        if changes.is_empty() {
            return Ok(self.cat(id).await?.filter(|cat| cat.owner == *owner));
        }
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.cats)
            .set_key(Some(cat_key(id)))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", s(owner))
            .return_values(ReturnValue::AllNew);
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (name, value) in changes {
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
        match update.update_expression(expression).send().await {
            Ok(output) => cat(&output.attributes.unwrap_or_default()).map(Some),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// Deletes a user's cat. Returns false if the cat is no longer theirs.
    pub async fn delete_cat(&self, id: CatId, owner: &UserId) -> Result<bool, Error> {
        let delete = |key: Item| {
            Delete::builder()
                .table_name(&self.tables.cats)
                .set_key(Some(key))
        };
        let theirs = delete(cat_key(id))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", s(owner));
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
        self.write_if(writes).await
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
