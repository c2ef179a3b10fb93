//! Invokes functions by the clock, with the events that AWS sends.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::ids;
use crate::stack::Parts;
use crate::template::{LocalValues, Schedule, ScheduleKind};

/// The event of one firing.
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
        // Whole seconds, as AWS writes it.
        "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": region,
        "resources": [resource],
        "detail": detail,
    })
}

/// Fires a schedule until the runtime ends; first after one interval.
pub(crate) async fn run(parts: Arc<Parts>, schedule: Schedule) {
    loop {
        tokio::time::sleep(schedule.every).await;
        let payload = Bytes::from(event(&schedule, &parts.local).to_string());
        // A failure is in the function's log and counts; the next firing comes anyway.
        let _ = parts.lambda.invoke(&schedule.function, payload, None).await;
    }
}
