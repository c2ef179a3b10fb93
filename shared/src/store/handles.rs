//! Profiles as their users write them, and the handles they are found by.
//!
//! A handle's row says whose it is. It is written in one transaction with the profile, which changes only if
//! its handle is still as it was read, so that the two agree at any moment, and a handle has one owner,
//! however many ask for it at once. The handle that a user gives up stays theirs for 30 days: it leads to
//! them, and they can take it back. Of five they have so, they give up none other: else one account could keep
//! handles from everybody by the thousand.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};

use super::item::{Item, Read, item, n, rows, s};
use super::outbox::held;
use super::users::FIRST_TRACE;
use super::{CONFLICT_TRIES, Error, Store, back_off};
use crate::domain::{Bio, Handle, ImageKey, ProfileEdit, Timestamp, UserId, UserRef};

/// How long a handle stays with who gave it up.
const HELD_DAYS: i64 = 30;

/// How many handles a user may have given up of late: they are kept from everybody else meanwhile.
const MOST_HELD: usize = 5;

/// Whose the handles are of who has left. No id has a `#`.
const GONE: &str = "#";

/// Whose a handle is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Nobody,
    User(UserId),
    /// Somebody's who has left.
    Gone,
}

/// The key of the handle that a row of the index is about.
fn handle_key(row: &Item) -> Result<Item, Error> {
    Ok(item([("handle", s(row.text("handle")?))]))
}

/// Why a profile was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The handle is somebody else's, or kept for somebody else.
    #[error("the handle is taken")]
    HandleTaken,
    /// The user gave up too many handles of late.
    #[error("too many handles were given up")]
    TooManyHandles,
    /// The user has left, and is being erased.
    #[error("the account was withdrawn")]
    Withdrawn,
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Who is meant; nobody, if nobody has that handle. Whether there is a user of that id is not asked.
    pub async fn user(&self, named: UserRef) -> Result<Option<UserId>, Error> {
        match named {
            UserRef::Id(id) => Ok(Some(id)),
            UserRef::Handle(handle) => match self.owner(&handle).await? {
                Owner::Nobody if handle.looks_generated() => self.generated_for(&handle).await,
                Owner::Nobody | Owner::Gone => Ok(None),
                Owner::User(id) => Ok(Some(id)),
            },
        }
    }

    /// For whom that handle was generated. The index is a moment behind, once for each user.
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

    /// Who has that handle, or had it until lately.
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
        // DynamoDB deletes what has expired up to days later: until then it counts as gone.
        let held_until = row.maybe_number("expires_at")?;
        if held_until.is_some_and(|until| until < Timestamp::now().seconds()) {
            return Ok(Owner::Nobody);
        }
        match row.text("user")? {
            GONE => Ok(Owner::Gone),
            id => UserId::parse(id).map(Owner::User).map_err(Error::broken),
        }
    }

    /// Keeps the handles of a user who has left from everybody for a while, without saying whose they
    /// were.
    pub async fn erase_handles(&self, user: &UserId) -> Result<(), Error> {
        let until = Timestamp::now().plus_seconds(HELD_DAYS * 24 * 60 * 60);
        for row in self.handles_of(user).await? {
            let sent = self
                .client
                .update_item()
                .table_name(&self.tables.handles)
                .set_key(Some(handle_key(&row)?))
                .update_expression("SET #user = :gone, expires_at = :until")
                // The index lags: the handle may be somebody else's by now.
                .condition_expression("#user = :user")
                .expression_attribute_names("#user", "user")
                .expression_attribute_values(":user", s(user))
                .expression_attribute_values(":gone", s(GONE))
                .expression_attribute_values(":until", n(until.seconds()))
                .send()
                .await;
            held(sent.map(|_| ()))?;
        }
        Ok(())
    }

    /// The rows of a user's handles, by an index that is a moment behind: few, since few may be given up.
    async fn handles_of(&self, user: &UserId) -> Result<Vec<Item>, Error> {
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

    /// Fails if the user has given up so many handles that one more would be too many, unless it is one of
    /// them that they ask for.
    async fn check_given_up(&self, user: &UserId, asked: &Handle) -> Result<(), ProfileError> {
        let named = self.handles_of(user).await?;
        let keys = named.iter().map(handle_key).collect::<Result<_, _>>()?;
        let rows = self.batch_get(&self.tables.handles, keys, None).await?;
        let now = Timestamp::now().seconds();
        let mut held = 0;
        for row in &rows {
            // The index lags: it may be somebody else's by now.
            let theirs = row.text("user")? == user.as_str();
            if theirs && row.text("handle")? == asked.as_str() {
                return Ok(());
            }
            let until = row.maybe_number("expires_at")?;
            held += usize::from(theirs && until.is_some_and(|until| until > now));
        }
        if held < MOST_HELD {
            Ok(())
        } else {
            Err(ProfileError::TooManyHandles)
        }
    }

    /// Changes what an edit says of the user's profile, and takes the handle that it asks for. Answers whether the
    /// user had chosen none before.
    pub async fn put_profile(
        &self,
        user: &UserId,
        edit: &ProfileEdit,
    ) -> Result<bool, ProfileError> {
        let asked = edit.handle.as_ref();
        if asked.is_some_and(|handle| !handle.is_open_to(user)) {
            return Err(ProfileError::HandleTaken);
        }
        for tries in 0..CONFLICT_TRIES {
            let owner = async {
                match asked {
                    Some(handle) => self.owner(handle).await,
                    None => Ok(Owner::Nobody),
                }
            };
            let (profile, owner) = futures::try_join!(self.profile(user), owner)?;
            match owner {
                Owner::User(owner) if owner != *user => return Err(ProfileError::HandleTaken),
                Owner::Gone => return Err(ProfileError::HandleTaken),
                Owner::User(_) | Owner::Nobody => {}
            }
            if profile.as_ref().is_some_and(|profile| profile.withdrawn) {
                return Err(ProfileError::Withdrawn);
            }
            let had = profile.and_then(|profile| profile.handle);
            let mut writes = vec![self.write_profile(user, edit, had.as_ref())?];
            if let Some(asked) = asked.filter(|asked| had.as_ref() != Some(*asked)) {
                writes.push(self.take(asked, user)?);
                if let Some(had) = &had {
                    self.check_given_up(user, asked).await?;
                    writes.push(self.give_up(had, user)?);
                }
            }
            if self.written_together(writes).await? {
                return Ok(had.is_none());
            }
            back_off(tries).await;
        }
        Err(Error::Unavailable("others kept asking for the same handle".to_owned()).into())
    }

    /// Writes what an edit says, if the profile's handle is still the one that was read.
    fn write_profile(
        &self,
        user: &UserId,
        edit: &ProfileEdit,
        had: Option<&Handle>,
    ) -> Result<TransactWriteItem, Error> {
        let bio = edit.bio.as_ref().map(|bio| bio.as_ref().map(Bio::as_str));
        let avatar = edit.avatar.as_ref();
        let avatar = avatar.map(|avatar| avatar.as_ref().map(ImageKey::as_str));
        let mut sets = vec![FIRST_TRACE.to_owned()];
        let mut removes = Vec::new();
        let mut update = Update::builder()
            .table_name(&self.tables.users)
            .key("id", s(user))
            .expression_attribute_values(":seen", n(Timestamp::now().millis()))
            .expression_attribute_names("#handle", "handle")
            .expression_attribute_values(":generated", s(Handle::generated(user)));
        for (name, text) in [
            ("handle", edit.handle.as_ref().map(|it| Some(it.as_str()))),
            ("name", edit.name.as_ref().map(|it| Some(it.as_str()))),
            ("bio", bio),
            ("avatar", avatar),
        ] {
            let Some(text) = text else { continue };
            update = update.expression_attribute_names(format!("#{name}"), name);
            match text {
                Some(text) => {
                    sets.push(format!("#{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), s(text));
                }
                None => removes.push(format!("#{name}")),
            }
        }
        let mut expression = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            expression = format!("{expression} REMOVE {}", removes.join(", "));
        }
        let update = match had {
            Some(had) => update
                .condition_expression("#handle = :had")
                .expression_attribute_values(":had", s(had)),
            None => update.condition_expression("attribute_not_exists(#handle)"),
        };
        let update = update.update_expression(expression);
        let update = update.build().map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Takes a handle, if it is nobody else's.
    fn take(&self, handle: &Handle, user: &UserId) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.tables.handles)
            .set_item(Some(item([("handle", s(handle)), ("user", s(user))])))
            .condition_expression(
                "attribute_not_exists(#user) OR #user = :user OR expires_at < :now",
            )
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":user", s(user))
            .expression_attribute_values(":now", n(Timestamp::now().seconds()))
            .build()
            .map_err(Error::broken)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Gives a handle up, which the user keeps for a while.
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
