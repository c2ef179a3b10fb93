//! Intercepts the calls to each service: identifies the caller, records the call, and injects faults and outages.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};

use super::iam::Permissions;
use crate::faults::{Call, CallFaults, FaultAction, Faults, IamCall, Outage, Service, Usage};
use crate::http_server::{Body, Closed, answer};
use crate::lambda::Lambda;

/// The format of a service's errors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ErrorFormat {
    /// The format of `DynamoDB`, SQS and Lambda.
    Json,
    /// The format of S3.
    Xml,
}

/// DynamoDB's answer to a transaction that conflicts with another one.
const CONFLICT: &str = concat!(
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","#,
    r#""Message":"injected fault","CancellationReasons":[{"Code":"TransactionConflict"}]}"#
);

/// The interceptor of one service.
#[derive(Debug, Clone)]
pub(crate) struct Interceptor {
    pub(crate) service: Service,
    pub(crate) error_format: ErrorFormat,
    pub(crate) faults: Arc<Faults>,
    pub(crate) lambda: Arc<Lambda>,
}

impl Interceptor {
    /// Returns whether the service accepts connections.
    pub(crate) fn is_open(&self) -> bool {
        *self.faults.outage(self.service).borrow() != Some(Outage::Closed)
    }

    /// Records a call and passes it on to `serve`, unless a fault or an outage prevents that. A call without an
    /// operation, a bare `GET /`, only opens a connection and isn't recorded.
    pub(crate) async fn intercept<F>(
        &self,
        headers: &HeaderMap,
        operation: String,
        serve: F,
    ) -> Result<Response<Body>, Closed>
    where
        F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
    {
        let caller = caller(headers);
        let faults = if operation.is_empty() {
            CallFaults::default()
        } else {
            self.faults
                .record_call(self.call_of(&caller, operation.clone()))
        };
        let outage = *self.faults.outage(self.service).borrow();
        match outage {
            None => {}
            Some(Outage::Closed) => return Err(Closed),
            Some(Outage::Unavailable) => return Ok(self.refuse(StatusCode::SERVICE_UNAVAILABLE)),
            Some(Outage::Hang) => std::future::pending().await,
        }
        if operation.is_empty() {
            return Ok(answer(StatusCode::OK, "text/plain", "healthy"));
        }
        if let Some(action) = faults.before
            && let Some(response) = self.act(action, &caller).await?
        {
            return Ok(response);
        }
        // In a task of its own, so that the service finishes the call even if the caller dies.
        let response = tokio::spawn(serve).await.map_err(|_| Closed)??;
        if let Some(action) = faults.after
            && let Some(response) = self.act(action, &caller).await?
        {
            return Ok(response);
        }
        Ok(response)
    }

    /// Returns whether batch reads of an item are throttled.
    pub(crate) fn is_throttled(&self, table: &str, key: &str) -> bool {
        self.faults.is_throttled(table, key)
    }

    pub(crate) fn record_usage(&self, headers: &HeaderMap, operation: String, usage: Usage) {
        let call = self.call_of(&caller(headers), operation);
        self.faults.record_usage(call, usage);
    }

    /// Records the permissions that a call needs.
    pub(crate) fn record_iam_calls(&self, headers: &HeaderMap, needed: Permissions) {
        let function = self.call_of(&caller(headers), String::new()).function;
        let calls = needed.into_iter().map(|(action, resource)| IamCall {
            function: function.clone(),
            action,
            resource,
        });
        self.faults.record_iam_calls(calls);
    }

    fn call_of(&self, caller: &str, operation: String) -> Call {
        let function = caller
            .rsplit_once('.')
            .map_or("", |(function, _)| function)
            .to_owned();
        Call {
            function,
            service: self.service,
            operation,
        }
    }

    async fn act(
        &self,
        action: FaultAction,
        caller: &str,
    ) -> Result<Option<Response<Body>>, Closed> {
        match action {
            FaultAction::KillCaller => {
                if caller.contains('.') {
                    self.lambda.kill_instance(caller);
                    // The connection ends with the process.
                    std::future::pending::<()>().await;
                }
                Err(Closed)
            }
            FaultAction::Status(status) => Ok(Some(self.refuse(
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            ))),
            FaultAction::Conflict if self.service == Service::Tables => Ok(Some(answer(
                StatusCode::BAD_REQUEST,
                "application/x-amz-json-1.0",
                CONFLICT,
            ))),
            FaultAction::Conflict | FaultAction::Disconnect => Err(Closed),
            FaultAction::Hang => std::future::pending().await,
            FaultAction::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(None)
            }
        }
    }

    fn refuse(&self, status: StatusCode) -> Response<Body> {
        match self.error_format {
            ErrorFormat::Json => answer(
                status,
                "application/x-amz-json-1.0",
                r#"{"__type":"com.amazonaws#InternalServerError","message":"injected fault"}"#,
            ),
            ErrorFormat::Xml => answer(
                status,
                "application/xml",
                "<Error><Code>InternalError</Code><Message>injected fault</Message></Error>",
            ),
        }
    }
}

/// Returns the calling instance, such as `post-write.7`, from `app/post-write.7` in the SDK's User-Agent, or an empty
/// name if the caller is unknown.
fn caller(headers: &HeaderMap) -> String {
    ["x-amz-user-agent", "user-agent"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .flat_map(str::split_ascii_whitespace)
        .find_map(|part| part.strip_prefix("app/"))
        .unwrap_or_default()
        .to_owned()
}
