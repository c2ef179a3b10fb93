use std::time::Duration;

use purrline_local::{
    Call, Fault, FaultAction, FaultRule, InvokeError, Outage, Service, Stack, When,
};
use serde_json::{Value, json};

use super::{count_items, options, start};

async fn put(stack: &Stack) -> Result<u64, InvokeError> {
    let answer = stack.invoke("probe", &json!({ "path": "/put" })).await?;
    Ok(
        serde_json::from_slice::<Value>(&answer).unwrap()["statusCode"]
            .as_u64()
            .unwrap(),
    )
}

fn puts(stack: &Stack) -> u64 {
    let call = Call {
        function: "probe".to_owned(),
        service: Service::Tables,
        operation: "PutItem".to_owned(),
    };
    stack.calls().get(&call).copied().unwrap_or(0)
}

#[tokio::test]
async fn calls_are_counted_by_function_service_and_operation() {
    let stack = start().await;
    assert_eq!(put(&stack).await, Ok(200));
    assert_eq!(puts(&stack), 2);
    assert_eq!(stack.call_log().len(), 2);
    stack.reset_calls();
    assert_eq!(count_items(&stack).await, 2);
    let calls = stack.calls();
    let (scan, count) = calls.first_key_value().unwrap();
    assert_eq!(
        (scan.function.as_str(), scan.operation.as_str(), *count),
        ("", "Scan", 1)
    );
}

#[tokio::test]
async fn process_can_be_killed_before_or_after_any_call() {
    for (nth, when, written) in [
        (1, When::Before, 0),
        (1, When::After, 1),
        (2, When::Before, 1),
        (2, When::After, 2),
    ] {
        let stack = start().await;
        let fault: Fault = stack.on_call(FaultRule::kill("Probe", nth, when)).unwrap();
        assert!(matches!(put(&stack).await, Err(InvokeError::Crashed(_))));
        fault.wait().await;
        assert_eq!(
            (fault.fired(), count_items(&stack).await),
            (1, written),
            "{nth} {when:?}"
        );
        assert_eq!(put(&stack).await, Ok(200), "the next process works");
    }
}

#[tokio::test]
async fn calls_can_fail_disconnect_wait_and_hang() {
    // The SDK waits up to three seconds between its attempts.
    let stack = Stack::start(options().parameter("Timeout", "10"))
        .await
        .unwrap();
    let rule = |action| {
        FaultRule::new(When::Before, action)
            .function("probe")
            .service(Service::Tables)
    };
    // The SDK makes three attempts.
    let fault = stack
        .on_call(rule(FaultAction::Status(500)).times(3))
        .unwrap();
    assert_eq!(put(&stack).await, Ok(503));
    assert_eq!(fault.fired(), 3);
    fault.clear();
    stack.on_call(rule(FaultAction::Disconnect)).unwrap();
    assert_eq!(
        put(&stack).await,
        Ok(200),
        "a single lost connection is retried"
    );
    stack
        .on_call(rule(FaultAction::Delay(Duration::from_millis(50))))
        .unwrap();
    assert_eq!(put(&stack).await, Ok(200));
    let stack = start().await;
    stack.on_call(rule(FaultAction::Hang)).unwrap();
    assert_eq!(
        put(&stack).await,
        Err(InvokeError::TimedOut(Duration::from_secs(1)))
    );
    assert!(
        stack
            .on_call(FaultRule::kill("nobody", 1, When::Before))
            .is_err()
    );
}

#[tokio::test]
async fn service_can_be_taken_down() {
    let stack = start().await;
    for outage in [Outage::Closed, Outage::Unavailable] {
        stack.stop_service(Service::Tables, outage);
        assert_ne!(put(&stack).await, Ok(200), "{outage:?}");
    }
    stack.resume_service(Service::Tables);
    assert_eq!(put(&stack).await, Ok(200));
}
