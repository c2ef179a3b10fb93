//! Profiles as their users write them, and the handles they are found by.
//!
//! A handle's row names its owner. The row is written in one transaction with the profile, which changes only if its
//! handle is still as it was read, so that the two agree at any moment, and a handle has one owner, however many users
//! ask for it at once. A handle that a user gives up stays theirs for 30 days: it leads to them, and they can take it
//! back. A user who has given up five handles can't give up another: otherwise one account could keep handles from
//! everybody by the thousand. The profile lists those that were given up, and the list changes in the same transaction:
//! the index of a user's handles is a moment behind, and would let quick changes pass.
//!
//! Leaving gives up all handles. They lead to nobody then, and are held under the name for those who left, so that they
//! still count, and can be taken back, when the same user returns.

use std::collections::HashSet;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use super::conditional::condition_held;
use super::item::{Item, Read, item, n, rows, s};
use super::leaving::departed_name;
use super::picture_row;
use super::retry::Retry;
use super::transactions::Outcome;
use super::users::FIRST_TRACE;
use super::{Error, Store};
use crate::domain::{
    Handle, ImageKey, Picture, ProfileEdit, Timestamp, UserId, UserRef, dropped_uploads,
};

/// The days for which a handle stays with the user who gave it up.
const HELD_DAYS: i64 = 30;

/// The maximum number of handles that a user has given up lately: they are kept from everybody else meanwhile.
const MAX_HELD: usize = 5;

/// The owner of a handle.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Nobody,
    User(UserId),
    /// A user who has left, by the name for those who left: the handle is held for them. No id has a `#`.
    Left(String),
}

impl Owner {
    /// Returns whether the handle is kept from that user.
    fn keeps_from(&self, user: &UserId) -> bool {
        match self {
            Self::Nobody => false,
            Self::User(owner) => owner != user,
            Self::Left(name) => *name != departed_name(user),
        }
    }
}

fn handle_key(handle: &str) -> Item {
    item([("handle", s(handle))])
}

/// The handles that a user gave up, as the profile lists them, separated by spaces: before a change, and after it.
struct GivenUp {
    before: Option<String>,
    now: String,
}

/// The outcome of an edit of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutProfile {
    /// Whether the user had chosen no handle before.
    pub first: bool,
    /// The avatar that is no longer shown.
    pub dropped: Vec<ImageKey>,
}

/// The parts of a profile that an edit replaces.
struct Before<'p> {
    handle: Option<&'p Handle>,
    avatar: Option<&'p Picture>,
    given_up: Option<GivenUp>,
}

/// The reason why a profile was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The handle is another user's, or held for another user.
    #[error("the handle is taken")]
    HandleTaken,
    /// The user gave up too many handles lately.
    #[error("too many handles were given up")]
    TooManyHandles,
    /// The user has left, and is being erased.
    #[error("the account was withdrawn")]
    Withdrawn,
    /// The avatar was removed meanwhile.
    #[error("the avatar was removed")]
    PictureGone,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Returns the named user; nobody if nobody has that handle. Doesn't check that a user with that id exists.
    pub async fn user(&self, named: UserRef) -> Result<Option<UserId>, Error> {
        match named {
            UserRef::Id(id) => Ok(Some(id)),
            UserRef::Handle(handle) => match self.owner(&handle).await? {
                Owner::Nobody if handle.looks_generated() => self.generated_for(&handle).await,
                Owner::Nobody | Owner::Left(_) => Ok(None),
                Owner::User(id) => Ok(Some(id)),
            },
        }
    }

    /// Returns the user for whom that handle was generated. The index is a moment behind when a user is created.
    async fn generated_for(&self, handle: &Handle) -> Result<Option<UserId>, Error> {
        let output = self
            .client
            .query()
            .table_name(&self.tables.users)
            .index_name("generated")
            .key_condition_expression("generated_handle = :handle")
            .expression_attribute_values(":handle", s(handle))
            .limit(1)
            .send()
            .await?;
        let id = |row: &Item| UserId::parse(row.text("id")?).map_err(Error::broken);
        output.items().first().map(id).transpose()
    }

    /// Returns the owner of a handle, or the last owner for whom it is held.
    async fn owner(&self, handle: &Handle) -> Result<Owner, Error> {
        let output = self
            .client
            .get_item()
            .table_name(&self.tables.handles)
            .key("handle", s(handle))
            .consistent_read(true)
            .send()
            .await?;
        let Some(row) = output.item else {
            return Ok(Owner::Nobody);
        };
        // DynamoDB deletes expired rows up to days later: until then they count as gone.
        let held_until = row.maybe_number("expires_at")?;
        if held_until.is_some_and(|until| until < Timestamp::now().seconds()) {
            return Ok(Owner::Nobody);
        }
        let name = row.text("user")?;
        if name.contains('#') {
            return Ok(Owner::Left(name.to_owned()));
        }
        UserId::parse(name).map(Owner::User).map_err(Error::broken)
    }

    /// Holds a departed user's handles for 30 days, without saying whose they were. Returns whether there were any.
    pub async fn erase_handles(&self, user: &UserId) -> Result<bool, Error> {
        let until = Timestamp::now().plus_seconds(HELD_DAYS * 24 * 60 * 60);
        let handles = self.handles_of(user.as_str()).await?;
        if !handles.is_empty() {
            self.note_found(user).await?;
        }
        for row in &handles {
            let update = self
                .client
                .update_item()
                .table_name(&self.tables.handles)
                .set_key(Some(handle_key(row.text("handle")?)))
                .update_expression(
                    "SET #user = :left, expires_at = if_not_exists(expires_at, :until)",
                )
                // The index lags: the handle may belong to another user by now.
                .condition_expression("#user = :user")
                .expression_attribute_names("#user", "user")
                .expression_attribute_values(":user", s(user))
                .expression_attribute_values(":left", s(departed_name(user)))
                .expression_attribute_values(":until", n(until.seconds()));
            condition_held(update).await?;
        }
        Ok(!handles.is_empty())
    }

    /// Returns the rows of a user's handles, or of those held under a name, by an index that is a moment behind. They
    /// are few, since few may be given up.
    async fn handles_of(&self, user: &str) -> Result<Vec<Item>, Error> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.handles)
            .index_name("user")
            .key_condition_expression("#user = :user")
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":user", s(user));
        rows(query, usize::MAX).await
    }

    /// Returns the handles that the user gave up, as the profile lists them.
    async fn named_given_up(&self, user: &UserId) -> Result<Option<String>, Error> {
        let key = vec![item([("id", s(user))])];
        let rows = self.batch_get(&self.tables.users, key, Some("id, given_up"));
        let row = rows.await?.pop().unwrap_or_default();
        Ok(row.maybe_text("given_up").map(str::to_owned))
    }

    /// Returns the handles that are held for the user once they take `asked` and give up `had`. Fails if these are too
    /// many, unless `asked` is held for the user already. Handles given up before the user left and returned count too.
    async fn check_given_up(
        &self,
        user: &UserId,
        asked: &Handle,
        had: Option<&Handle>,
        by_profile: Option<&str>,
    ) -> Result<Vec<String>, ProfileError> {
        let left = departed_name(user);
        let (named, before) =
            futures::try_join!(self.handles_of(user.as_str()), self.handles_of(&left))?;
        let named = named.iter().chain(&before).map(|row| row.text("handle"));
        // The index lags: one handle may be found by both names, and one given up just now by neither.
        let mut named = named.collect::<Result<HashSet<_>, _>>()?;
        named.extend(by_profile.unwrap_or_default().split_whitespace());
        let keys = named.into_iter().map(handle_key).collect();
        let rows = self.batch_get(&self.tables.handles, keys, None).await?;
        let now = Timestamp::now().seconds();
        let mut held: Vec<String> = had.into_iter().map(ToString::to_string).collect();
        let mut is_theirs = false;
        for row in &rows {
            // The index lags: the handle may belong to another user by now.
            let owner = row.text("user")?;
            let theirs = owner == user.as_str() || owner == left;
            let until = row.maybe_number("expires_at")?;
            if !theirs || until.is_none_or(|until| until <= now) {
                continue;
            }
            let handle = row.text("handle")?;
            if handle == asked.as_str() {
                is_theirs = true;
            } else {
                held.push(handle.to_owned());
            }
        }
        if is_theirs || held.len() <= MAX_HELD {
            Ok(held)
        } else {
            Err(ProfileError::TooManyHandles)
        }
    }

    /// Applies an edit to the user's profile, and takes the handle that the edit asks for.
    pub async fn put_profile(
        &self,
        user: &UserId,
        edit: &ProfileEdit,
    ) -> Result<PutProfile, ProfileError> {
        let asked = edit.handle.as_ref();
        if asked.is_some_and(|handle| !handle.is_open_to(user)) {
            return Err(ProfileError::HandleTaken);
        }
        let mut retry = Retry::new("others kept asking for the same handle");
        loop {
            let owner = async {
                match asked {
                    Some(handle) => self.owner(handle).await,
                    None => Ok(Owner::Nobody),
                }
            };
            let (profile, owner) = futures::try_join!(self.profile(user), owner)?;
            if owner.keeps_from(user) {
                return Err(ProfileError::HandleTaken);
            }
            let profile = match profile {
                Some(profile) => profile,
                None => self.sign_in(user).await?,
            };
            if profile.withdrawn {
                return Err(ProfileError::Withdrawn);
            }
            let had = profile.handle.clone();
            let mut writes = Vec::new();
            let mut given_up = None;
            if let Some(asked) = asked.filter(|asked| had.as_ref() != Some(*asked)) {
                let before = self.named_given_up(user).await?;
                let check = self.check_given_up(user, asked, had.as_ref(), before.as_deref());
                let now = Box::pin(check).await?.join(" ");
                given_up = Some(GivenUp { before, now });
                writes.push(self.take(asked, user)?);
                if let Some(had) = &had {
                    writes.push(self.give_up(had, user)?);
                }
            }
            let had_avatar = profile.avatar.as_ref();
            let avatar = edit.avatar.as_ref().map_or(had_avatar, Option::as_ref);
            let before = Before {
                handle: had.as_ref(),
                avatar: had_avatar,
                given_up,
            };
            writes.push(self.write_profile(user, edit, before)?);
            let before: Vec<&Picture> = had_avatar.into_iter().collect();
            let after: Vec<&Picture> = avatar.into_iter().collect();
            let added = self.count_uses(&before, &after, &mut writes)?;
            match self.write_all_or_none(writes, [added]).await? {
                Outcome::Written => {
                    return Ok(PutProfile {
                        first: had.is_none(),
                        dropped: dropped_uploads(&before, &after),
                    });
                }
                Outcome::Unmet(_) => return Err(ProfileError::PictureGone),
                Outcome::Conflict => retry.back_off().await?,
            }
        }
    }

    /// Builds the write of an edit, on condition that what it replaces is as it was read.
    fn write_profile(
        &self,
        user: &UserId,
        edit: &ProfileEdit,
        before: Before<'_>,
    ) -> Result<TransactWriteItem, Error> {
        let Before {
            handle: had,
            avatar: had_avatar,
            given_up,
        } = before;
        let bio = edit.bio.as_ref().map(|bio| bio.as_ref().map(s));
        let avatar = edit.avatar.as_ref();
        let avatar = avatar.map(|avatar| avatar.as_ref().map(picture_row::value));
        let mut sets = vec![FIRST_TRACE.to_owned()];
        let mut removes = Vec::new();
        let mut update = Update::builder()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .expression_attribute_values(":seen", n(Timestamp::now().millis()))
            .expression_attribute_names("#handle", "handle")
            .expression_attribute_values(":generated", s(Handle::generated(user)));
        for (name, value) in [
            ("handle", edit.handle.as_ref().map(|it| Some(s(it)))),
            ("name", edit.name.as_ref().map(|it| Some(s(it)))),
            ("bio", bio),
            ("avatar", avatar),
        ] {
            let Some(value) = value else { continue };
            update = update.expression_attribute_names(format!("#{name}"), name);
            match value {
                Some(value) => {
                    sets.push(format!("#{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), value);
                }
                None => removes.push(format!("#{name}")),
            }
        }
        let mut conditions = Vec::new();
        if edit.avatar.is_some() {
            match had_avatar {
                Some(avatar) => {
                    conditions.push("#avatar = :had_avatar");
                    let avatar = picture_row::value(avatar);
                    update = update.expression_attribute_values(":had_avatar", avatar);
                }
                None => conditions.push("attribute_not_exists(#avatar)"),
            }
        }
        if let Some(GivenUp { before, now }) = given_up {
            sets.push("given_up = :given_up".to_owned());
            update = update.expression_attribute_values(":given_up", s(now));
            match before {
                Some(before) => {
                    conditions.push("given_up = :known");
                    update = update.expression_attribute_values(":known", s(before));
                }
                None => conditions.push("attribute_not_exists(given_up)"),
            }
        }
        let mut expression = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            expression = format!("{expression} REMOVE {}", removes.join(", "));
        }
        match had {
            Some(had) => {
                conditions.push("#handle = :had");
                update = update.expression_attribute_values(":had", s(had));
            }
            None => conditions.push("attribute_not_exists(#handle)"),
        }
        let update = update.condition_expression(conditions.join(" AND "));
        let update = update.update_expression(expression);
        let update = update.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Builds the write that takes a handle, on condition that it is nobody else's.
    fn take(&self, handle: &Handle, user: &UserId) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.tables.handles)
            .set_item(Some(item([("handle", s(handle)), ("user", s(user))])))
            .condition_expression(
                "attribute_not_exists(#user) OR #user = :user OR #user = :left OR expires_at < :now",
            )
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":user", s(user))
            .expression_attribute_values(":left", s(departed_name(user)))
            .expression_attribute_values(":now", n(Timestamp::now().seconds()))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Builds the write that gives up a handle, which the user keeps for a while.
    fn give_up(&self, handle: &Handle, user: &UserId) -> Result<TransactWriteItem, Error> {
        let until = Timestamp::now().plus_seconds(HELD_DAYS * 24 * 60 * 60);
        let put = Put::builder()
            .table_name(&self.tables.handles)
            .set_item(Some(item([
                ("handle", s(handle)),
                ("user", s(user)),
                ("expires_at", n(until.seconds())),
            ])))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}
