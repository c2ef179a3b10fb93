//! Runs what the command line asks for.

use std::path::Path;

use purrline_charts::{Axis, Bars};

use super::{Arguments, Name};
use crate::Error;
use crate::floors;
use crate::plan::{Basis, Plan};
use crate::report;
use crate::scenario::{ScenarioResult, failover, influencer, lunch};

/// Returns the text to print, after writing the charts.
pub fn run(arguments: &Arguments) -> Result<String, Error> {
    let basis = Basis::built_in()?;
    let usage = arguments.options.usage(&basis.template)?;
    if arguments.floors {
        let floors = floors::floors(&usage, &basis)?;
        return if arguments.json {
            json(&floors)
        } else {
            Ok(report::floors(&floors))
        };
    }
    let Some(name) = arguments.scenario else {
        if let Some(folder) = &arguments.out {
            let now = basis.by_service(&usage)?;
            let tenfold = basis.by_service(&usage.times(10.0))?;
            let sums = |all: &[(&str, f64)]| all.iter().map(|(_, sum)| *sum).collect();
            let bars = Bars {
                title: "A month on AWS, by service".to_owned(),
                y: Axis {
                    label: "dollars".to_owned(),
                    log: true,
                },
                groups: now.iter().map(|(name, _)| short(name)).collect(),
                series: vec![
                    ("as asked".to_owned(), sums(&now)),
                    ("tenfold".to_owned(), sums(&tenfold)),
                ],
            };
            write(folder, "month.svg", &bars.svg()?)?;
        }
        let plan = Plan::new(usage, &basis)?;
        return if arguments.json {
            json(&plan)
        } else {
            Ok(report::plan(&plan))
        };
    };
    let bounded = [
        ("--followers", arguments.followers.0, 1e10),
        ("--requests", arguments.requests.0, 1e9),
        ("--within", arguments.within.0, 3_600.0),
        ("--outage", arguments.outage.0, 3_600.0),
    ];
    for (option, value, most) in bounded {
        if value > most {
            let problem = format!("must be at most {most}");
            return Err(Error::Option { option, problem });
        }
    }
    let result = match name {
        Name::Influencer => influencer::run(
            &usage,
            &basis,
            influencer::Parameters {
                followers: arguments.followers.0,
                active: arguments.active.0,
                likes: arguments.like_share.0,
            },
        ),
        Name::Lunch => lunch::run(
            &usage,
            &basis,
            arguments.requests.0,
            positive("--within", arguments.within.0)?,
        ),
        Name::Failover => failover::run(&usage, &basis, arguments.outage.0),
    }?;
    let mut drawn = Vec::new();
    if let Some(folder) = &arguments.out {
        for (file, picture) in &result.pictures {
            write(folder, file, &picture.svg()?)?;
            drawn.push(format!("picture: {}\n", folder.join(file).display()));
        }
    }
    if arguments.json {
        json(&result)
    } else {
        Ok(to_text(&result) + &drawn.concat())
    }
}

/// Abbreviates a service's name so that it fits below a bar.
fn short(service: &str) -> String {
    match service {
        "DynamoDB backup" => "backup",
        "ElastiCache" => "cache",
        "CloudFront" => "CDN",
        "CloudWatch" => "logs",
        "DynamoDB" => "tables",
        other => other,
    }
    .to_owned()
}

fn positive(option: &'static str, value: f64) -> Result<f64, Error> {
    if value > 0.0 {
        return Ok(value);
    }
    let problem = "must be above zero".to_owned();
    Err(Error::Option { option, problem })
}

fn to_text(result: &ScenarioResult) -> String {
    let sentences = result.verdict.iter();
    let sentences: String = sentences.flat_map(|one| ["- ", one, "\n"]).collect();
    format!("{}\n{sentences}", result.title)
}

fn json(what: &impl serde::Serialize) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(what);
    let text = text.map_err(|error| Error::file("JSON", error))?;
    Ok(text + "\n")
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(file);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| Error::Option {
        option: "--out",
        problem: format!("{}: {error}", path.display()),
    })
}
