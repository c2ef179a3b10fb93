//! Time limits and retries of all AWS clients.
//!
//! Region and credentials come from the environment, as Lambda sets them; endpoints can be moved by
//! `AWS_ENDPOINT_URL_DYNAMODB`, `_SQS`, `_S3`, `_LAMBDA`, `_ELASTICACHE` and `_COGNITO_IDENTITY_PROVIDER`.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;

use crate::env::patient;
use crate::invocation::{self, Callee};

const CONNECT: Duration = Duration::from_secs(1);
const ATTEMPT: Duration = Duration::from_secs(2);
/// The maximum time of a call, all attempts together: shorter than any function's own limit, so that the function can
/// still answer.
pub const OPERATION: Duration = Duration::from_secs(4);
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

/// Loads the configuration of every client; called once, when a function starts. Makes no call.
///
/// A call takes at most 4 seconds in three attempts with jitter between them: 1 second to connect, 2 seconds an
/// attempt; longer where [`patient`] says so. Protection against stalled streams is off: it would cost a timer for each
/// call, and the one body that is large enough to stall, an image's, is watched by its reader.
pub async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(patient(CONNECT))
        .operation_attempt_timeout(patient(ATTEMPT))
        .operation_timeout(patient(OPERATION))
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(MAX_BACKOFF);
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(retries)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .load()
        .await
}

/// An interceptor that counts every attempt of a client's calls for the invocation that makes them.
#[derive(Debug)]
pub(crate) struct CountCalls(pub(crate) Callee);

impl Intercept for CountCalls {
    fn name(&self) -> &'static str {
        "CountCalls"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        invocation::record_call(self.0);
        Ok(())
    }
}

/// An interceptor that turns any call into an unsigned, bare `GET /`, which only opens the connection that later calls
/// use. The call itself fails, since the response is not a response to it.
#[derive(Debug)]
pub(crate) struct OnlyConnect;

impl Intercept for OnlyConnect {
    fn name(&self) -> &'static str {
        "OnlyConnect"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        settings: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // No retries: if the dependency is down, the first call that needs it finds out.
        settings
            .interceptor_state()
            .store_put(RetryConfig::disabled());
        Ok(())
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let (scheme, rest) = request.uri().split_once("://").ok_or("no URL")?;
        let host = rest.split('/').next().unwrap_or_default();
        let root = format!("{scheme}://{host}/");
        request.set_uri(root)?;
        request.set_method("GET")?;
        let names: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, _)| name.to_owned())
            .filter(|name| !name.eq_ignore_ascii_case("host"))
            .collect();
        for name in names {
            request.headers_mut().remove(name);
        }
        *request.body_mut() = SdkBody::empty();
        Ok(())
    }
}
