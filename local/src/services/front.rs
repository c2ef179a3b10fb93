//! What stands before each service: who calls, what, how often, and whether it is to go wrong.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};

use super::asked::Wanted;
use crate::faults::{Asked, Call, FaultAction, Faults, Outage, Service, Used, Verdict};
use crate::http_server::{Body, Closed, answer};
use crate::lambda::Lambda;

/// How a service words an error that was injected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// As `DynamoDB` and SQS do.
    Json,
    /// As S3 does.
    Xml,
}

/// What `DynamoDB` answers to a transaction that met another one.
const CONFLICT: &str = concat!(
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","#,
    r#""Message":"injected fault","CancellationReasons":[{"Code":"TransactionConflict"}]}"#
);

/// The front of one service.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) service: Service,
    pub(crate) refusal: Refusal,
    pub(crate) faults: Arc<Faults>,
    pub(crate) lambda: Arc<Lambda>,
}

impl Front {
    /// Whether connections are taken at all.
    pub(crate) fn is_open(&self) -> bool {
        *self.faults.outage(self.service).borrow() != Some(Outage::Closed)
    }

    /// Lets a call through to `serve`, or lets it go wrong. A bare `GET /`, which has no operation, is only
    /// answered.
    pub(crate) async fn call<F>(
        &self,
        headers: &HeaderMap,
        operation: String,
        serve: F,
    ) -> Result<Response<Body>, Closed>
    where
        F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
    {
        let caller = caller(headers);
        // What only opens a connection is no call.
        let verdict = if operation.is_empty() {
            Verdict::default()
        } else {
            self.faults.called(self.call_of(&caller, operation.clone()))
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
        if let Some(action) = verdict.before
            && let Some(response) = self.act(action, &caller).await?
        {
            return Ok(response);
        }
        // In a task of its own: a service doesn't stop halfway because its caller died.
        let response = tokio::spawn(serve).await.map_err(|_| Closed)??;
        if let Some(action) = verdict.after
            && let Some(response) = self.act(action, &caller).await?
        {
            return Ok(response);
        }
        Ok(response)
    }

    /// Whether an item of a table is too busy to be read.
    pub(crate) fn is_throttled(&self, table: &str, key: &str) -> bool {
        self.faults.is_throttled(table, key)
    }

    /// Notes what a call of tables used.
    pub(crate) fn used(&self, headers: &HeaderMap, operation: String, used: Used) {
        let call = self.call_of(&caller(headers), operation);
        self.faults.used(call, used);
    }

    /// Notes what a call asks for: actions, and what of.
    pub(crate) fn asks(&self, headers: &HeaderMap, wanted: Wanted) {
        let function = self.call_of(&caller(headers), String::new()).function;
        let asked = wanted.into_iter().map(|(action, resource)| Asked {
            function: function.clone(),
            action,
            resource,
        });
        self.faults.asks(asked);
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
        match self.refusal {
            Refusal::Json => answer(
                status,
                "application/x-amz-json-1.0",
                r#"{"__type":"com.amazonaws#InternalServerError","message":"injected fault"}"#,
            ),
            Refusal::Xml => answer(
                status,
                "application/xml",
                "<Error><Code>InternalError</Code><Message>injected fault</Message></Error>",
            ),
        }
    }
}

/// The process that calls, such as `post-write.7`, from the SDK's `app/post-write.7`; empty if unknown.
fn caller(headers: &HeaderMap) -> String {
    ["x-amz-user-agent", "user-agent"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .flat_map(str::split_ascii_whitespace)
        .find_map(|part| part.strip_prefix("app/"))
        .unwrap_or_default()
        .to_owned()
}
