//! The monthly cost of a stack without users, for each of its setups.

use serde::Serialize;

use crate::Error;
use crate::plan::Basis;
use crate::usage::{Cache, Egress, Usage};

/// A setup of the stack.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Setup {
    /// The kind of operator it suits.
    pub what: &'static str,
    pub parameters: &'static str,
    egress: Egress,
    cache: Cache,
}

const SETUPS: [Setup; 6] = [
    Setup {
        what: "most",
        parameters: "none",
        egress: Egress::Ipv6,
        cache: Cache::Serverless,
    },
    Setup {
        what: "a cache of known size, hobby use",
        parameters: "`CacheKind=nodes CacheReplicas=0`",
        egress: Egress::Ipv6,
        cache: Cache::Single,
    },
    Setup {
        what: "a provider whose keys have no IPv6 address",
        parameters: "`Egress=nat`",
        egress: Egress::Nat,
        cache: Cache::Serverless,
    },
    Setup {
        what: "production, everything doubled",
        parameters: "`Egress=nat-in-each-zone CacheKind=nodes`",
        egress: Egress::NatInEachZone,
        cache: Cache::Doubled,
    },
    Setup {
        what: "an existing network (its own price not counted)",
        parameters: "`VpcId` `SubnetIds` `PublicSubnetIds`",
        egress: Egress::Existing,
        cache: Cache::Serverless,
    },
    Setup {
        what: "endpoints instead of a gateway, Cognito only",
        parameters: "weighed, not in the template",
        egress: Egress::Endpoints,
        cache: Cache::Serverless,
    },
];

/// The monthly cost of a setup without users.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Floor {
    pub setup: Setup,
    /// Dollars by service, for each service that costs something in any setup.
    pub services: Vec<(&'static str, f64)>,
    pub dollars: f64,
}

/// Smaller sums, in dollars, are rounded to nothing.
const NEGLIGIBLE_DOLLARS: f64 = 0.005;

/// Returns the cost of each setup.
pub(crate) fn floors(usage: &Usage, basis: &Basis) -> Result<Vec<Floor>, Error> {
    let mut floors = Vec::new();
    for setup in SETUPS {
        let services = basis.by_service(&Usage {
            egress: setup.egress,
            cache: setup.cache,
            ..usage.at_rest()
        })?;
        let dollars = services.iter().map(|(_, sum)| sum).sum();
        floors.push(Floor {
            setup,
            services,
            dollars,
        });
    }
    let mut paid: Vec<&'static str> = Vec::new();
    for (name, sum) in floors.iter().flat_map(|floor| &floor.services) {
        if *sum >= NEGLIGIBLE_DOLLARS && !paid.contains(name) {
            paid.push(name);
        }
    }
    for floor in &mut floors {
        let sum = |name| floor.services.iter().find(|(other, _)| *other == name);
        let all = paid
            .iter()
            .map(|name| sum(*name).copied().unwrap_or((name, 0.0)));
        floor.services = all.collect();
    }
    Ok(floors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_have_every_service_and_the_default_is_cheapest() {
        let arguments = <crate::cli::Arguments as clap::Parser>::parse_from(["plan"]);
        let basis = Basis::built_in().unwrap();
        let usage = arguments.options.usage(&basis.template).unwrap();
        let floors = floors(&usage, &basis).unwrap();
        for floor in &floors {
            let services: f64 = floor.services.iter().map(|(_, sum)| sum).sum();
            // Each omitted service costs less than half a cent.
            assert!((services - floor.dollars).abs() < 0.05, "{floor:?}");
            assert!(floor.dollars >= floors[0].dollars, "{floor:?}");
        }
        let table = crate::report::floors(&floors);
        let page = include_str!("../../../docs/operations/deploying.md");
        assert!(
            page.contains(&table),
            "docs/operations/deploying.md has another table than ./dev plan --floors:\n{table}"
        );
    }
}
