//! Recounting what the counters of a user or post count.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures::future::try_join_all;

use super::{CounterOwner, counters_of};
use crate::store::conditional::condition_held;
use crate::store::item::{Item, Read, n, s};
use crate::store::likes::{self, counts_key};
use crate::store::{Error, Store};

/// The maximum number of times that counters are recounted while they move.
const MAX_RECOUNTS: usize = 5;

/// A counter and the true number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recount {
    /// The user or post whose counter this is.
    pub of: CounterOwner,
    /// The name of the counter's attribute.
    pub counter: &'static str,
    /// The value of the counter; below zero if something went wrong.
    pub recorded: i64,
    /// The true number.
    pub actual: i64,
}

impl Recount {
    /// Returns whether the counter equals the true number.
    pub const fn is_exact(&self) -> bool {
        self.recorded == self.actual
    }
}

impl fmt::Display for Recount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of,
            counter,
            recorded,
            actual,
        } = self;
        write!(f, "{of}: {counter} says {recorded}, there are {actual}")
    }
}

impl Store {
    /// Recounts the counters of a user or post; returns none if there is no such user or post. Counts until two counts
    /// in a row are equal, at most five times.
    ///
    /// A user's followers and posts are counted from the rows that decide, which no index finds: the tables of follows
    /// and posts are read as a whole.
    pub async fn recount(&self, of: &CounterOwner) -> Result<Vec<Recount>, Error> {
        let mut last = None;
        for _ in 0..MAX_RECOUNTS {
            let actual = self.actual_counts(of).await?;
            let Some(recorded) = self.recorded_counts(of).await? else {
                return Ok(Vec::new());
            };
            let counters = counters_of(of).iter().zip(recorded).zip(actual);
            let recount = |((counter, recorded), actual): ((&&'static str, i64), i64)| Recount {
                of: of.clone(),
                counter,
                recorded,
                actual,
            };
            let recounts: Vec<Recount> = counters.map(recount).collect();
            if last.as_ref() == Some(&recounts) {
                return Ok(recounts);
            }
            last = Some(recounts);
        }
        Err(Error::Unavailable(format!(
            "the counters of {of} keep moving"
        )))
    }

    /// Corrects a counter, if it hasn't changed since it was recounted. Returns whether it was corrected.
    pub async fn correct(&self, recount: &Recount) -> Result<bool, Error> {
        let (table, key) = self.counters_row(&recount.of);
        let as_counted = match (&recount.of, recount.recorded) {
            // The row may have been deleted with its user.
            (CounterOwner::User(_), 0) => {
                "attribute_exists(id) AND (attribute_not_exists(#counter) OR #counter = :recorded)"
            }
            (CounterOwner::Post(_), 0) => "attribute_not_exists(#counter) OR #counter = :recorded",
            _ => "#counter = :recorded",
        };
        let update = self
            .client
            .update_item()
            .table_name(table)
            .set_key(Some(key))
            .update_expression("SET #counter = :actual")
            .condition_expression(as_counted)
            .expression_attribute_names("#counter", recount.counter)
            .expression_attribute_values(":recorded", n(recount.recorded))
            .expression_attribute_values(":actual", n(recount.actual));
        condition_held(update).await
    }

    fn counters_row(&self, of: &CounterOwner) -> (&str, Item) {
        match of {
            CounterOwner::User(user) => (
                &self.tables.users,
                HashMap::from([("id".to_owned(), s(user))]),
            ),
            CounterOwner::Post(post) => (&self.tables.likes, counts_key(*post)),
        }
    }

    /// Returns the values of the counters; nothing if there is no such user or post.
    async fn recorded_counts(&self, of: &CounterOwner) -> Result<Option<Vec<i64>>, Error> {
        if let CounterOwner::Post(post) = of
            && self.post(*post).await?.is_none()
        {
            return Ok(None);
        }
        let (table, key) = self.counters_row(of);
        let row = self.batch_get(table, vec![key], None).await?.pop();
        let row = match (of, row) {
            (CounterOwner::User(_), None) => return Ok(None),
            (_, row) => row.unwrap_or_default(),
        };
        let recorded = |name: &&str| Ok(row.maybe_number(name)?.unwrap_or_default());
        let counters = counters_of(of).iter().map(recorded);
        counters.collect::<Result<_, _>>().map(Some)
    }

    /// Counts the true numbers, counter by counter.
    async fn actual_counts(&self, of: &CounterOwner) -> Result<Vec<i64>, Error> {
        match of {
            CounterOwner::User(user) => {
                let following = format!("following#{user}");
                let (followers, following, posts) = futures::try_join!(
                    self.count_in_all(
                        &self.tables.follows,
                        "begins_with(#key, :of) AND #by = :user AND active = :yes",
                        [("#key", "list"), ("#by", "user")],
                        [
                            (":of", s("following#")),
                            (":user", s(user)),
                            (":yes", AttributeValue::Bool(true)),
                        ],
                    ),
                    self.count(&self.tables.follows, "list", following, true),
                    self.count_in_all(
                        &self.tables.posts,
                        "#by = :user AND attribute_not_exists(#gone)",
                        [("#by", "author"), ("#gone", "deleted_at")],
                        [(":user", s(user))],
                    ),
                )?;
                Ok(vec![followers, following, posts])
            }
            CounterOwner::Post(post) => {
                let likes = likes::partitions(*post)
                    .map(|partition| self.count(&self.tables.likes, "post", partition, true));
                let (likes, comments) = futures::try_join!(
                    try_join_all(likes),
                    self.count(&self.tables.comments, "post", post.to_string(), false),
                )?;
                Ok(vec![likes.into_iter().sum(), comments])
            }
        }
    }

    /// Counts the rows of a partition, or its active edges.
    async fn count(
        &self,
        table: &str,
        key: &str,
        partition: String,
        edges: bool,
    ) -> Result<i64, Error> {
        let mut query = self
            .client
            .query()
            .table_name(table)
            .key_condition_expression("#key = :partition")
            .expression_attribute_names("#key", key)
            .expression_attribute_values(":partition", s(partition))
            .consistent_read(true)
            .select(Select::Count);
        if edges {
            query = query
                .filter_expression("active = :yes")
                .expression_attribute_values(":yes", AttributeValue::Bool(true));
        }
        let mut pages = query.into_paginator().send();
        let mut sum = 0;
        while let Some(page) = pages.next().await {
            sum += i64::from(page?.count);
        }
        Ok(sum)
    }

    /// Counts the rows of a whole table that pass the filter.
    async fn count_in_all<const N: usize, const V: usize>(
        &self,
        table: &str,
        filter: &str,
        names: [(&str, &str); N],
        values: [(&str, AttributeValue); V],
    ) -> Result<i64, Error> {
        let names = names.map(|(name, stands_for)| (name.to_owned(), stands_for.to_owned()));
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let scan = self
            .client
            .scan()
            .table_name(table)
            .filter_expression(filter)
            .set_expression_attribute_names(Some(names.into()))
            .set_expression_attribute_values(Some(values.into()))
            .consistent_read(true)
            .select(Select::Count);
        let mut pages = scan.into_paginator().send();
        let mut sum = 0;
        while let Some(page) = pages.next().await {
            sum += i64::from(page?.count);
        }
        Ok(sum)
    }
}
