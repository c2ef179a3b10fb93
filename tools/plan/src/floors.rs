//! What it costs to be there at all, for each way to set it up.

use serde::Serialize;

use crate::Error;
use crate::plan::Basis;
use crate::usage::{Cache, Egress, Usage};

/// A way to set it up.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Setup {
    /// For whom.
    pub what: &'static str,
    /// Parameters of template.yaml that differ from its defaults.
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

/// A month of it in which nobody comes.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    /// Of what.
    pub setup: Setup,
    /// By service, those that cost anything in any set-up.
    pub services: Vec<(&'static str, f64)>,
    /// The sum, in dollars.
    pub dollars: f64,
}

/// Less than half a cent is nothing.
const SHOWN: f64 = 0.005;

/// All of them.
pub fn floors(usage: &Usage, basis: &Basis) -> Result<Vec<Floor>, Error> {
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
        if *sum >= SHOWN && !paid.contains(name) {
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
    fn no_service_is_left_out_and_the_default_is_the_cheapest_network() {
        let arguments = <crate::cli::Arguments as clap::Parser>::parse_from(["plan"]);
        let basis = Basis::built_in().unwrap();
        let usage = arguments.options.usage(&basis.template).unwrap();
        let floors = floors(&usage, &basis).unwrap();
        for floor in &floors {
            let services: f64 = floor.services.iter().map(|(_, sum)| sum).sum();
            // What is left out costs less than half a cent each.
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
