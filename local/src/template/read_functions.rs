//! Functions, and the queues and schedules that invoke them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::node::Node;
use super::plan::{Function, Mapping, Plan, Schedule, ScheduleKind};
use super::reader::Reader;

type Result<T> = std::result::Result<T, TemplateError>;

pub(super) fn read(evaluator: &Evaluator<'_>, plan: &mut Plan) -> Result<()> {
    let globals = evaluator.section(&["Globals", "Function"])?;
    for (id, node) in evaluator.resources("AWS::Serverless::Function")? {
        read_function(evaluator, &globals, id, node, plan)?;
    }
    for (id, node) in evaluator.resources("AWS::Lambda::EventSourceMapping")? {
        let properties = evaluator.properties(id, node)?;
        let function = function_of(&properties.field("FunctionName")?)?;
        plan.mappings.push(mapping(
            &properties,
            &properties.field("EventSourceArn")?.text()?,
            &function,
        )?);
    }
    Ok(())
}

/// Returns a function's name, given its name or ARN.
fn function_of(reader: &Reader) -> Result<String> {
    let text = reader.text()?;
    Ok(text
        .split(':')
        .nth(6)
        .map_or_else(|| text.clone(), str::to_owned))
}

fn read_function(
    evaluator: &Evaluator<'_>,
    globals: &Reader,
    id: &str,
    node: &Node,
    plan: &mut Plan,
) -> Result<()> {
    let properties = evaluator.properties(id, node)?;
    let name = evaluator.function_name_of(id)?;
    let own_or_global = |field: &str| {
        properties
            .optional(field)
            .or_else(|| globals.optional(field))
    };

    let mut environment = BTreeMap::new();
    for source in [globals, &properties] {
        if let Some(variables) = source
            .optional("Environment")
            .and_then(|environment| environment.optional("Variables"))
        {
            for (name, value) in variables.entries()? {
                environment.insert(name, value.text()?);
            }
        }
    }
    let logging = own_or_global("LoggingConfig").and_then(|config| config.optional("LogFormat"));
    if let Some(format) = logging {
        environment.insert("AWS_LAMBDA_LOG_FORMAT".to_owned(), format.text()?);
    }
    let function = Function {
        logical_id: id.to_owned(),
        binary: evaluator.binary_name_of(id)?,
        // Lambda's own defaults.
        memory_mb: own_or_global("MemorySize").map_or(Ok(128), |field| field.integer())?,
        timeout: own_or_global("Timeout")
            .map_or(Ok(Duration::from_secs(3)), |field| field.seconds())?,
        environment,
        reserved_concurrency: own_or_global("ReservedConcurrentExecutions")
            .map(|field| field.count())
            .transpose()?,
        name: name.clone(),
    };
    if plan.functions.insert(name.clone(), function).is_some() {
        return Err(properties.wrong(format!("there are two functions named {name}")));
    }
    let events = properties
        .optional("Events")
        .map(|events| events.entries())
        .transpose()?
        .unwrap_or_default();
    for (event, reader) in events {
        read_event(&event, &reader, id, &name, plan)?;
    }
    Ok(())
}

fn read_event(
    event: &str,
    reader: &Reader,
    id: &str,
    function: &str,
    plan: &mut Plan,
) -> Result<()> {
    let properties = reader.field("Properties")?;
    let enabled = properties
        .optional("Enabled")
        .map_or(Ok(true), |field| field.boolean())?
        && properties
            .optional("State")
            .is_none_or(|field| field.value() != "DISABLED");
    match reader.field("Type")?.text()?.as_str() {
        "SQS" if enabled => {
            let queue = properties.field("Queue")?.text()?;
            plan.mappings.push(mapping(&properties, &queue, function)?);
        }
        kind @ ("Schedule" | "ScheduleV2") if enabled => {
            let (kind, expression) = if kind == "Schedule" {
                (ScheduleKind::Rule, properties.field("Schedule")?)
            } else {
                (
                    ScheduleKind::Scheduler,
                    properties.field("ScheduleExpression")?,
                )
            };
            plan.schedules.push(Schedule {
                name: properties
                    .optional("Name")
                    .map_or(Ok(format!("{id}{event}")), |field| field.text())?,
                function: function.to_owned(),
                every: rate(&expression)?,
                kind,
                input: properties
                    .optional("Input")
                    .map(|field| field.text())
                    .transpose()?,
            });
        }
        "SQS" | "Schedule" | "ScheduleV2" => {}
        other => {
            return Err(reader.wrong(format!(
                "the local stack doesn't support events of type {other}"
            )));
        }
    }
    Ok(())
}

fn mapping(properties: &Reader, queue_arn: &str, function: &str) -> Result<Mapping> {
    if let Some(filter) = properties.optional("FilterCriteria") {
        return Err(filter.wrong("the local stack doesn't support filters"));
    }
    let batch_size = properties
        .optional("BatchSize")
        .map_or(Ok(10), |field| field.count())?;
    let window = properties
        .optional("MaximumBatchingWindowInSeconds")
        .map_or(Ok(Duration::ZERO), |field| field.seconds())?;
    if batch_size > 10 && window.is_zero() {
        return Err(properties
            .wrong("a BatchSize above 10 needs MaximumBatchingWindowInSeconds of at least 1"));
    }
    if !(1..=10_000).contains(&batch_size) {
        return Err(properties.wrong("BatchSize must be 1 to 10,000"));
    }
    let maximum_concurrency = properties
        .optional("ScalingConfig")
        .and_then(|config| config.optional("MaximumConcurrency"))
        .map(|field| field.count())
        .transpose()?;
    if maximum_concurrency.is_some_and(|limit| limit < 2) {
        return Err(properties.wrong("MaximumConcurrency must be at least 2"));
    }
    let reports = properties.texts("FunctionResponseTypes")?;
    Ok(Mapping {
        queue_arn: queue_arn.to_owned(),
        function: function.to_owned(),
        batch_size,
        window,
        reports_failures: reports.iter().any(|kind| kind == "ReportBatchItemFailures"),
        maximum_concurrency,
    })
}

/// Parses an expression such as `rate(5 minutes)`.
fn rate(expression: &Reader) -> Result<Duration> {
    let text = expression.text()?;
    let unsupported = || {
        expression.wrong(format!(
            "the local stack supports only rate(<number> <unit>), not {text}"
        ))
    };
    let inner = text
        .strip_prefix("rate(")
        .and_then(|text| text.strip_suffix(')'))
        .ok_or_else(unsupported)?;
    let (number, unit) = inner.split_once(' ').ok_or_else(unsupported)?;
    let number: u64 = number.parse().map_err(|_| unsupported())?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(unsupported()),
    };
    number
        .checked_mul(seconds)
        .filter(|total| *total > 0)
        .map(Duration::from_secs)
        .ok_or_else(unsupported)
}
