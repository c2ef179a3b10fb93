//! Invokes functions on their schedules, with the events that AWS sends.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::ids;
use crate::lambda::Lambda;
use crate::template::{LocalValues, Schedule, ScheduleKind};

/// Builds the event of one run of a schedule.
pub(crate) fn event(schedule: &Schedule, local: &LocalValues) -> Value {
    if let Some(input) = &schedule.input {
        return serde_json::from_str(input).unwrap_or_else(|_| Value::from(input.as_str()));
    }
    let LocalValues {
        region, account, ..
    } = local;
    let (source, resource, detail) = match schedule.kind {
        ScheduleKind::Rule => (
            "aws.events",
            format!("arn:aws:events:{region}:{account}:rule/{}", schedule.name),
            json!({}),
        ),
        ScheduleKind::Scheduler => {
            let resource = format!(
                "arn:aws:scheduler:{region}:{account}:schedule/default/{}",
                schedule.name
            );
            ("aws.scheduler", resource, json!("{}"))
        }
    };
    json!({
        "version": "0",
        "id": ids::uuid(),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": account,
        // AWS writes whole seconds.
        "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region,
        "resources": [resource],
        "detail": detail,
    })
}

/// Invokes the schedule's function after each interval, until the runtime ends.
pub(crate) async fn run(lambda: Arc<Lambda>, local: LocalValues, schedule: Schedule) {
    loop {
        tokio::time::sleep(schedule.every).await;
        let payload = Bytes::from(event(&schedule, &local).to_string());
        // A failure is in the function's log and its error count, and doesn't stop the schedule.
        let _ = lambda.invoke(&schedule.function, payload, None).await;
    }
}
