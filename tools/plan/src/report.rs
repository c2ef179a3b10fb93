//! The plan as text and tables.

use std::fmt::Write;

use crate::bill::LineItem;
use crate::floors::Floor;
use crate::numbers::{bytes, dollars, duration, format_count, readable};
use crate::plan::{Plan, by_service};
use crate::traffic::Traffic;
use crate::usage::Usage;

/// Limits shown.
const LIMITS: usize = 12;
/// Partitions shown.
const PARTITIONS: usize = 5;

/// Formats the whole plan.
pub(crate) fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = write_plan(plan, &mut text);
    text
}

fn write_plan(plan: &Plan, out: &mut String) -> std::fmt::Result {
    usage(&plan.usage, &plan.day, out)?;
    bill(plan, out)?;
    cache(plan, out)?;
    queues(plan, out)?;
    partitions(plan, out)?;
    limits(plan, out)?;
    let oldest = plan.bill.iter().map(|line| line.as_of.as_str()).min();
    writeln!(
        out,
        "\nPrices of {}, entered by hand (tools/plan/prices.toml), * marks derived ones; what operations cost is\n\
         counted, measured or assumed as tools/plan/measured.toml says. Nothing of this was measured on AWS.",
        oldest.unwrap_or("no month")
    )
}

/// Formats the table of setups without users.
pub(crate) fn floors(floors: &[Floor]) -> String {
    let services: Vec<_> = floors
        .first()
        .map(|floor| floor.services.iter().map(|(name, _)| *name).collect())
        .unwrap_or_default();
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut head = vec!["set up for".to_owned(), "parameters".to_owned()];
    head.extend(services.iter().map(|name| (*name).to_owned()));
    head.push("a month with nobody there".to_owned());
    let line = vec!["---".to_owned(); head.len()];
    let rows = floors.iter().map(|floor| {
        let mut cells = vec![
            floor.setup.what.to_owned(),
            floor.setup.parameters.to_owned(),
        ];
        cells.extend(floor.services.iter().map(|(_, sum)| dollars(*sum)));
        cells.push(dollars(floor.dollars));
        row(cells)
    });
    let rows: String = rows.collect();
    row(head) + &row(line) + &rows
}

fn heading(out: &mut String, text: &str) -> std::fmt::Result {
    writeln!(out, "\n{text}\n{}", "-".repeat(text.chars().count()))
}

fn usage(usage: &Usage, day: &Traffic, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "Purrline for {} daily users of {}",
        readable(usage.daily_users),
        readable(usage.users)
    )?;
    heading(out, "A day")?;
    let rows = [
        ("pages of feeds", "read_feed"),
        ("posts", "write_post"),
        ("photos", "post_photo"),
        ("likes", "like"),
        ("new follows", "follow"),
        ("comments", "write_comment"),
        ("ids pushed to feeds", "push"),
        ("feeds made anew", "rebuild_feed"),
    ];
    for (what, operation) in rows {
        let daily = day.operations.get(operation).copied().unwrap_or(0.0);
        writeln!(
            out,
            "{what:<22}{:>14}  {:>10}/s in the busiest hour",
            readable(daily),
            readable(Traffic::at_peak(usage, daily))
        )?;
    }
    writeln!(
        out,
        "{:<22}{:>14}  {:>10}/s in the busiest hour",
        "requests, all",
        readable(day.requests),
        readable(Traffic::at_peak(usage, day.requests))
    )
}

fn bill(plan: &Plan, out: &mut String) -> std::fmt::Result {
    heading(out, "A month on AWS")?;
    let floor = by_service(&plan.floor);
    writeln!(out, "{:<46}{:>12}{:>14}", "", "", "with no users")?;
    for (service, sum) in by_service(&plan.bill) {
        let least = floor.iter().find(|(name, _)| *name == service);
        writeln!(
            out,
            "{service:<46}{:>12}{:>14}",
            dollars(sum),
            least.map_or(String::new(), |(_, least)| dollars(*least))
        )?;
        for line in plan.bill.iter().filter(|line| line.service == service) {
            detail(line, out)?;
        }
    }
    writeln!(
        out,
        "{:<46}{:>12}{:>14}",
        "Total",
        dollars(plan.month_dollars),
        dollars(plan.floor_dollars)
    )?;
    writeln!(
        out,
        "for each daily user: ${:.4}",
        plan.dollars_per_daily_user
    )?;
    writeln!(
        out,
        "the cache on nodes instead: {} of {}, half of them replicas: {}",
        readable(plan.nodes.count()),
        plan.nodes.kind,
        dollars(plan.nodes.dollars)
    )?;
    match &plan.flat_rate {
        Some(flat) => writeln!(
            out,
            "CloudFront by a flat-rate plan instead: {}, {}, for up to {} million requests and {}",
            flat.name,
            dollars(flat.month),
            readable(flat.million_requests),
            bytes(flat.gb * 1e9)
        ),
        None => writeln!(out, "CloudFront has no flat-rate plan for so much"),
    }
}

/// Formats a line that costs at least a cent.
fn detail(line: &LineItem, out: &mut String) -> std::fmt::Result {
    if line.dollars < 0.01 {
        return Ok(());
    }
    writeln!(
        out,
        "  {:<26}{:>18}{:>12}{} {}",
        line.what,
        readable(line.quantity),
        dollars(line.dollars),
        if line.sure { ' ' } else { '*' },
        line.unit
    )
}

fn cache(plan: &Plan, out: &mut String) -> std::fmt::Result {
    heading(out, &format!("In the cache: {}", bytes(plan.cache_bytes)))?;
    for part in &plan.cache {
        writeln!(
            out,
            "{:<30}{:>14} keys {:>12}",
            part.what,
            readable(part.keys),
            bytes(part.bytes)
        )?;
    }
    Ok(())
}

fn queues(plan: &Plan, out: &mut String) -> std::fmt::Result {
    heading(out, "The queues in their busiest minute")?;
    for peak in &plan.queues {
        let drained = match peak.drained_after {
            Some(after) => format!("empty {} after", duration(after)),
            None => "not empty an hour later".to_owned(),
        };
        writeln!(
            out,
            "{:<8} {:>8}/s of {:>9}/s that can be done; {} waited at most, {} late at most, {drained}, {} batches at a time",
            peak.queue,
            readable(peak.minute_rate),
            readable(peak.capacity),
            format_count(peak.backlog),
            duration(peak.worst_delay),
            peak.running,
        )?;
    }
    Ok(())
}

fn partitions(plan: &Plan, out: &mut String) -> std::fmt::Result {
    heading(out, "The hottest partitions in the busiest minute")?;
    for partition in plan.partitions.iter().take(PARTITIONS) {
        writeln!(
            out,
            "{:>8} of {:>6} units/s ({:.1} %)  {}",
            readable(partition.units),
            readable(partition.limit),
            partition.used() * 100.0,
            partition.what
        )?;
    }
    Ok(())
}

fn limits(plan: &Plan, out: &mut String) -> std::fmt::Result {
    heading(out, "Where it stops, were the traffic multiplied")?;
    if let Some(first) = plan.limits.first() {
        let factor = first.factor();
        let verdict = if factor < 1.0 {
            format!(
                "Too small already: {} is exceeded {} times.",
                first.what,
                readable(1.0 / factor)
            )
        } else {
            format!(
                "First: {}, at {} times the traffic.",
                first.what,
                readable(factor)
            )
        };
        writeln!(out, "{verdict}")?;
    }
    for limit in plan.limits.iter().take(LIMITS) {
        writeln!(
            out,
            "{:>10} x  {}: {} of {} {} ({})",
            readable(limit.factor()),
            limit.what,
            readable(limit.load),
            readable(limit.capacity),
            limit.unit,
            limit.set_by
        )?;
    }
    for words in &plan.bounded {
        writeln!(out, "     never    {words}")?;
    }
    Ok(())
}
