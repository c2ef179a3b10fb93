//! A plan: all answers about one size.

use serde::Serialize;

use crate::Error;
use crate::bill::{self, LineItem};
use crate::cache_size::{self, Part};
use crate::limits::{self, Limit};
use crate::measured::Measured;
use crate::nodes::{self, Nodes};
use crate::partitions::{self, Partition};
use crate::prices::{FlatPlan, Prices};
use crate::queues::{self, Peak};
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::{MONTH_DAYS, Usage};

/// The inputs of every plan.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    pub prices: Prices,
    pub measured: Measured,
    pub template: Template,
}

impl Basis {
    /// Returns the compiled-in inputs.
    pub(crate) fn built_in() -> Result<Self, Error> {
        Ok(Self {
            prices: Prices::built_in()?,
            measured: Measured::built_in()?,
            template: Template::built_in()?,
        })
    }

    fn bill(&self, usage: &Usage, traffic: &Traffic) -> Result<Vec<LineItem>, Error> {
        bill::lines(usage, traffic, &self.measured, &self.template, &self.prices)
    }

    /// Returns the bill of a month, line by line.
    pub(crate) fn bill_of(&self, usage: &Usage) -> Result<Vec<LineItem>, Error> {
        let traffic = Traffic::of(usage, &self.measured, &self.template)?;
        self.bill(usage, &traffic)
    }

    /// Returns the bill of a month, summed by service.
    pub(crate) fn by_service(&self, usage: &Usage) -> Result<Vec<(&'static str, f64)>, Error> {
        Ok(by_service(&self.bill_of(usage)?))
    }
}

/// Sums the lines of each service, in their order.
pub(crate) fn by_service(lines: &[LineItem]) -> Vec<(&'static str, f64)> {
    let mut sums: Vec<(&'static str, f64)> = Vec::new();
    for line in lines {
        match sums
            .iter_mut()
            .find(|(service, _)| *service == line.service)
        {
            Some((_, sum)) => *sum += line.dollars,
            None => sums.push((line.service, line.dollars)),
        }
    }
    sums
}

/// A plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    pub usage: Usage,
    /// The traffic of an average day.
    pub day: Traffic,
    pub bill: Vec<LineItem>,
    pub month_dollars: f64,
    pub dollars_per_daily_user: f64,
    /// A month without users.
    pub floor_dollars: f64,
    /// The lines of a month without users.
    pub floor: Vec<LineItem>,
    /// The kinds of keys in the cache.
    pub cache: Vec<Part>,
    pub cache_bytes: f64,
    /// The nodes that would hold the cache instead.
    pub nodes: Nodes,
    /// The flat-rate plan of `CloudFront` that would suffice instead, if any does.
    pub flat_rate: Option<FlatPlan>,
    /// The queues in their busiest minute.
    pub queues: Vec<Peak>,
    /// The hottest partitions.
    pub partitions: Vec<Partition>,
    /// All limits.
    pub limits: Vec<Limit>,
    /// Sentences about limits that are never met.
    pub bounded: Vec<String>,
}

impl Plan {
    /// Computes the plan.
    pub(crate) fn new(usage: Usage, basis: &Basis) -> Result<Self, Error> {
        let Basis {
            measured, template, ..
        } = basis;
        let day = Traffic::of(&usage, measured, template)?;
        let bill = basis.bill(&usage, &day)?;
        let rest = usage.at_rest();
        let floor = basis.bill(&rest, &Traffic::of(&rest, measured, template)?)?;
        let cache = cache_size::parts(&usage, measured);
        let cache_bytes = cache_size::bytes(&cache);
        let queues = queues::peaks(&usage, &day, measured, template)?;
        let month_dollars = bill::total(&bill);
        let million_views = day.picture_views * MONTH_DAYS / 1e6;
        let gb = day.picture_bytes * MONTH_DAYS / 1e9;
        Ok(Self {
            month_dollars,
            dollars_per_daily_user: month_dollars / usage.daily_users.max(1.0),
            floor_dollars: bill::total(&floor),
            floor,
            cache,
            cache_bytes,
            nodes: nodes::cheapest(cache_bytes, 1, &usage, &basis.prices)?,
            flat_rate: basis.prices.flat_plan(million_views, gb).cloned(),
            partitions: partitions::hottest(&usage, &day, template)?,
            limits: limits::limits(&usage, &day, &queues, measured, template)?,
            bounded: limits::bounded(template),
            queues,
            bill,
            day,
            usage,
        })
    }
}
