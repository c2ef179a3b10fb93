//! Counters: attributes of rows that are moved in the same transaction as what they count.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};

use super::Error;
use super::item::{Item, n, s};
use super::users::{FIRST_TRACE, generated_handle};
use crate::domain::{Edge, Timestamp};

/// The attribute of a post's counts that says how many times they have changed; absent before the first time.
pub(super) const REVISION: &str = "rev";

/// A row of a table.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) table: &'a str,
    pub(super) key: Item,
    /// The attributes that the row always has beside the key.
    pub(super) attributes: Item,
}

/// A counter: an attribute of a row.
#[derive(Debug, Clone)]
pub(super) struct Counter<'a> {
    /// The id of the row, unique among all rows with counters.
    pub(super) id: String,
    pub(super) row: Row<'a>,
    pub(super) name: &'static str,
    /// Whether the row is a user's, which also keeps [`FIRST_TRACE`]; a post's keeps [`REVISION`].
    pub(super) dated: bool,
    pub(super) grows: GrowthCondition,
}

/// The condition under which a counter grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrowthCondition {
    /// No condition.
    Always,
    /// Only if the counter's row exists: counting creates no user.
    IfExists,
    /// Up to this number.
    UpTo(i64),
}

/// The sums that are added to the counters of one row: a transaction may write a row only once.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    row: Row<'a>,
    dated: bool,
    first_seen: Timestamp,
    sums: BTreeMap<&'static str, (i64, GrowthCondition)>,
}

impl<'a> Tally<'a> {
    /// Creates a tally that moves one counter by `sum`; `first_seen` becomes the time of a user's creation if this is
    /// their first trace.
    pub(super) fn of(counter: Counter<'a>, sum: i64, first_seen: Timestamp) -> Self {
        let Counter {
            row,
            name,
            dated,
            grows,
            ..
        } = counter;
        Self {
            row,
            dated,
            first_seen,
            sums: BTreeMap::from([(name, (sum, grows))]),
        }
    }

    /// Builds the write; nothing if no counter moves.
    pub(super) fn write(self) -> Result<Option<TransactWriteItem>, Error> {
        let moved = self.sums.into_iter().filter(|(_, (sum, _))| *sum != 0);
        let moved: Vec<(&str, (i64, GrowthCondition))> = moved.collect();
        if moved.is_empty() {
            return Ok(None);
        }
        let adds: Vec<String> = moved
            .iter()
            .map(|(name, _)| format!("#{name} :{name}"))
            .collect();
        let adds = adds.join(", ");
        let mut conditions = Vec::new();
        let generated = self.dated.then(|| generated_handle(&self.row.key));
        let mut update = Update::builder()
            .table_name(self.row.table)
            .set_key(Some(self.row.key));
        for (name, (sum, grows)) in moved {
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), n(sum));
            match grows {
                GrowthCondition::IfExists if sum > 0 => {
                    conditions.push("attribute_exists(id)".to_owned());
                }
                GrowthCondition::UpTo(most) if sum > 0 => {
                    conditions.push(format!(
                        "(attribute_not_exists(#{name}) OR #{name} <= :room_{name})"
                    ));
                    let room = n(most.saturating_sub(sum));
                    update = update.expression_attribute_values(format!(":room_{name}"), room);
                }
                _ => {}
            }
        }
        if !conditions.is_empty() {
            update = update.condition_expression(conditions.join(" AND "));
        }
        let update = match generated {
            Some(generated) => update
                .update_expression(format!("SET {FIRST_TRACE} ADD {adds}"))
                .expression_attribute_values(":seen", n(self.first_seen.millis()))
                .expression_attribute_values(":generated", s(generated?)),
            None => update
                .update_expression(format!("ADD {adds}, {REVISION} :revision"))
                .expression_attribute_values(":revision", n(1)),
        };
        let update = update.build().map_err(Error::broken)?;
        Ok(Some(TransactWriteItem::builder().update(update).build()))
    }
}

/// The sums that some edges add to counters, row by row.
#[derive(Debug, Default)]
pub(super) struct Tallies<'a>(HashMap<String, Tally<'a>>);

impl<'a> Tallies<'a> {
    pub(super) fn add(&mut self, counters: Vec<Counter<'a>>, delta: i64, edge: &Edge) {
        for counter in counters {
            let (id, name, grows) = (counter.id.clone(), counter.name, counter.grows);
            let tally = self
                .0
                .entry(id)
                .or_insert_with(|| Tally::of(counter, 0, edge.version.timestamp()));
            tally.sums.entry(name).or_insert((0, grows)).0 += delta;
        }
    }

    pub(super) fn writes(self) -> Result<Vec<TransactWriteItem>, Error> {
        let writes = self.0.into_values().map(Tally::write);
        Ok(writes
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }
}
