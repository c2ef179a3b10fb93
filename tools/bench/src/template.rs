//! The template of the benchmark's stack: the deployed one, with a function `feed-by-pull` that equals `feed`.

use crate::error::{Result, wrong};

/// The suffixes of the resources that belong to `feed`.
const PARTS: [&str; 4] = ["Function", "Rule", "TargetGroup", "Permission"];
/// A priority that no listener rule has.
const PRIORITY: u32 = 40_000;

/// Returns the template with `GET /v1/feed-by-pull`, answered by a binary of that name.
pub(crate) fn with_feed_by_pull(template: &str) -> Result<String> {
    let mut added = String::new();
    for part in PARTS {
        added.push('\n');
        added.push_str(&resource(template, &format!("Feed{part}"))?);
    }
    for part in PARTS {
        added = added.replace(&format!("Feed{part}"), &format!("FeedByPull{part}"));
    }
    for (from, to) in [
        (
            "CodeUri: functions/feed\n",
            "CodeUri: functions/feed-by-pull\n",
        ),
        ("Values: [/v1/feed]", "Values: [/v1/feed-by-pull]"),
    ] {
        if !added.contains(from) {
            return Err(wrong(format!("template.yaml's feed has no {from}")));
        }
        added = added.replace(from, to);
    }
    let priority = added
        .lines()
        .find(|line| line.trim_start().starts_with("Priority:"))
        .ok_or_else(|| wrong("template.yaml's FeedRule has no priority"))?;
    let added = added.replace(priority, &format!("      Priority: {PRIORITY}"));
    let (before, after) = template
        .split_once("\nOutputs:\n")
        .ok_or_else(|| wrong("template.yaml has no outputs"))?;
    Ok(format!("{before}{added}\nOutputs:\n{after}"))
}

/// Returns the lines of a resource, up to the first empty one.
fn resource(template: &str, name: &str) -> Result<String> {
    let start = format!("  {name}:");
    let lines = template.lines().skip_while(|line| *line != start);
    let lines: Vec<&str> = lines.take_while(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Err(wrong(format!("template.yaml has no {name}")));
    }
    Ok(format!("{}\n", lines.join("\n")))
}

/// Returns whether the template has a parameter.
pub(crate) fn has_parameter(template: &str, name: &str) -> bool {
    let declared = format!("  {name}:");
    let lines = template.lines().skip_while(|line| *line != "Parameters:");
    let mut lines = lines
        .skip(1)
        .take_while(|line| line.starts_with(' ') || line.is_empty());
    lines.any(|line| line == declared)
}

#[cfg(test)]
mod tests {
    use purrline_local::template::{LocalValues, Template};

    use super::*;

    #[test]
    fn feed_by_pull_has_every_resource_of_feed() {
        let template = std::fs::read_to_string("../../template.yaml").unwrap();
        let template = with_feed_by_pull(&template).unwrap();
        let parsed = Template::parse(&template).unwrap();
        let parameters = [("AuthIssuer", "http://x"), ("AuthAudience", "x")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let plan = parsed
            .plan(&parameters.into(), &LocalValues::default())
            .unwrap();
        let (feed, pull) = (&plan.functions["feed"], &plan.functions["feed-by-pull"]);
        assert_eq!(
            (feed.memory_mb, &feed.environment),
            (pull.memory_mb, &pull.environment)
        );
        assert!(has_parameter(&template, "ReadLimit"));
        assert!(!has_parameter(&template, "FeedFunction"));
    }
}
