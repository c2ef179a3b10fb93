//! A plan: everything that is asked of a size.

use serde::Serialize;

use crate::Error;
use crate::bill::{self, Line};
use crate::cache_size::{self, Part};
use crate::limits::{self, Limit};
use crate::measured::Measured;
use crate::nodes::{self, Nodes};
use crate::partitions::{self, Partition};
use crate::prices::Prices;
use crate::queues::{self, Peak};
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::Usage;

/// What plans are made of.
#[derive(Debug, Clone)]
pub struct Basis {
    /// What AWS asks.
    pub prices: Prices,
    /// What things cost.
    pub measured: Measured,
    /// What is deployed.
    pub template: Template,
}

impl Basis {
    /// What is built in.
    pub fn built_in() -> Result<Self, Error> {
        Ok(Self {
            prices: Prices::built_in()?,
            measured: Measured::built_in()?,
            template: Template::built_in()?,
        })
    }

    fn bill(&self, usage: &Usage, traffic: &Traffic) -> Result<Vec<Line>, Error> {
        bill::lines(usage, traffic, &self.measured, &self.template, &self.prices)
    }

    /// The bill of a month, line by line.
    pub fn bill_of(&self, usage: &Usage) -> Result<Vec<Line>, Error> {
        let traffic = Traffic::of(usage, &self.measured, &self.template)?;
        self.bill(usage, &traffic)
    }

    /// The bill of a month, summed by service.
    pub fn by_service(&self, usage: &Usage) -> Result<Vec<(&'static str, f64)>, Error> {
        Ok(by_service(&self.bill_of(usage)?))
    }
}

/// The sums of the lines of each service, in their order.
pub fn by_service(lines: &[Line]) -> Vec<(&'static str, f64)> {
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
pub struct Plan {
    /// What it is for.
    pub usage: Usage,
    /// An average day.
    pub day: Traffic,
    /// A month, in dollars.
    pub bill: Vec<Line>,
    /// Its sum.
    pub month_dollars: f64,
    /// For each daily user.
    pub dollars_per_daily_user: f64,
    /// A month in which nobody comes.
    pub floor_dollars: f64,
    /// The same line by line.
    pub floor: Vec<Line>,
    /// What the cache holds.
    pub cache: Vec<Part>,
    /// The sum, in bytes.
    pub cache_bytes: f64,
    /// The cache on nodes.
    pub nodes: Nodes,
    /// The queues in their busiest minute.
    pub queues: Vec<Peak>,
    /// The hottest partitions.
    pub partitions: Vec<Partition>,
    /// Where it stops.
    pub limits: Vec<Limit>,
    /// What never stops it.
    pub bounded: Vec<String>,
}

impl Plan {
    /// Makes it.
    pub fn new(usage: Usage, basis: &Basis) -> Result<Self, Error> {
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
        Ok(Self {
            month_dollars,
            dollars_per_daily_user: month_dollars / usage.daily_users.max(1.0),
            floor_dollars: bill::total(&floor),
            floor,
            cache,
            cache_bytes,
            nodes: nodes::cheapest(cache_bytes, 1, &usage, &basis.prices)?,
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
