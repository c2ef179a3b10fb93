//! Tests of properties that every answer has.

use clap::Parser;

use super::*;
use crate::cli::{Arguments, run};
use crate::plan::{Basis, Plan};
use crate::usage::Usage;

fn usage_and_basis(options: &[&str]) -> (Usage, Basis) {
    let basis = Basis::built_in().unwrap();
    let arguments = ["plan"].iter().chain(options);
    let arguments = Arguments::try_parse_from(arguments).unwrap();
    (arguments.options.usage(&basis.template).unwrap(), basis)
}

fn printed(options: &[&str]) -> Result<String, String> {
    let arguments = ["plan"].iter().chain(options);
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
    run(&arguments).map_err(|error| error.to_string())
}

#[test]
fn plan_needs_no_options() {
    let text = printed(&[]).unwrap();
    for part in [
        "10,000 daily users",
        "A month on AWS",
        "Where it stops",
        "for each daily user",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("NaN"));
}

#[test]
fn plans_exist_for_no_users_and_for_everybody() {
    for users in ["0", "1", "1g"] {
        for more in [
            &[][..],
            &["--scenario", "failover"],
            &["--scenario", "lunch"],
        ] {
            let options = [&["--daily-users", users][..], more].concat();
            let text = printed(&options).unwrap();
            assert!(!text.contains("NaN"), "{options:?}: {text}");
        }
    }
}

#[test]
fn json_has_the_same_sum_as_the_text() {
    let (usage, basis) = usage_and_basis(&[]);
    let plan = Plan::new(usage, &basis).unwrap();
    let json: serde_json::Value = serde_json::from_str(&printed(&["--json"]).unwrap()).unwrap();
    let month = json["month_dollars"].as_f64().unwrap();
    assert!((month - plan.month_dollars).abs() < 1e-6);
    let lines: f64 = plan.bill.iter().map(|line| line.dollars).sum();
    assert!((month - lines).abs() < 1e-6);
    for scenario in ["influencer", "lunch", "failover"] {
        let output = printed(&["--json", "--scenario", scenario]).unwrap();
        let output: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert!(
            output["verdict"].as_array().unwrap().len() > 2,
            "{scenario}"
        );
    }
}

#[test]
fn wrong_values_are_refused_by_the_option() {
    let wrong = [
        (&["--daily-users", "many"][..], "--daily-users"),
        (&["--posts", "-1"][..], "--posts"),
        (&["--author", "nabi"][..], "--author"),
        (&["--author", "nabi=1g"][..], "--author"),
        (&["--users", "5"][..], "--users"),
        (&["--peak", "30"][..], "--peak"),
        (&["--max-followers", "3"][..], "--max-followers"),
        (&["--active", "1.5"][..], "--active"),
        (&["--scenario", "lunch", "--within", "0"][..], "--within"),
        (
            &["--scenario", "failover", "--outage", "1g"][..],
            "--outage",
        ),
        (
            &["--scenario", "influencer", "--followers", "1e30"][..],
            "--followers",
        ),
        (&["--likes", "1e30"][..], "--likes"),
    ];
    for (options, name) in wrong {
        let error = printed(options).unwrap_err();
        assert!(error.contains(name), "{options:?}: {error}");
    }
}

#[test]
fn pushing_takes_longer_with_more_followers() {
    let (usage, basis) = usage_and_basis(&[]);
    let seconds = |followers| {
        let parameters = influencer::Parameters {
            followers,
            active: 0.1,
            likes: 0.05,
        };
        let result = influencer::run(&usage, &basis, parameters).unwrap();
        result.figures["fan_out_seconds"]
    };
    assert!(seconds(1e6) < seconds(1e7) && seconds(1e7) < seconds(6.5e8));
    // The cache's limit in template.yaml allows nothing faster.
    let push = basis.measured.operation("push").unwrap().ecpu;
    assert!(seconds(6.5e8) >= 6.5e8 * push / basis.template.cache_ecpus);
}

#[test]
fn oversized_crowd_is_reported() {
    let (usage, basis) = usage_and_basis(&[]);
    let few = lunch::run(&usage, &basis, 5_000.0, 60.0).unwrap();
    assert!(
        few.verdict
            .iter()
            .any(|text| text.contains("Nothing saturates")),
        "{few:?}"
    );
    let factor = few.figures["first_limit_at_times"];
    let many = lunch::run(&usage, &basis, 5_000.0 * factor * 1.5, 60.0).unwrap();
    assert!(
        many.verdict.iter().any(|text| text.contains("Too much")),
        "{many:?}"
    );
}

#[test]
fn store_carries_a_small_town_without_a_cache_but_not_a_large_one() {
    let (small, basis) = usage_and_basis(&[]);
    let result = failover::run(&small, &basis, 30.0).unwrap();
    assert!(
        result
            .verdict
            .iter()
            .any(|text| text.contains("Nothing saturates")),
        "{result:?}"
    );
    let (large, basis) = usage_and_basis(&["--daily-users", "1m"]);
    let result = failover::run(&large, &basis, 30.0).unwrap();
    assert!(
        result.verdict.iter().any(|text| text.contains("Too much")),
        "{result:?}"
    );
}

#[test]
fn every_chart_can_be_drawn() {
    let (usage, basis) = usage_and_basis(&[]);
    let parameters = influencer::Parameters {
        followers: 650e6,
        active: 0.1,
        likes: 0.05,
    };
    let results = [
        influencer::run(&usage, &basis, parameters).unwrap(),
        lunch::run(&usage, &basis, 5_000.0, 60.0).unwrap(),
        failover::run(&usage, &basis, 0.0).unwrap(),
    ];
    for (file, picture) in results.iter().flat_map(|result| &result.pictures) {
        assert!(picture.svg().unwrap().contains("</svg>"), "{file}");
    }
}
