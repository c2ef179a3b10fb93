//! Calls of one function by another, through Lambda itself.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;

use crate::aws::{CountCalls, OnlyConnect};
use crate::env::{self, BadSetting};
use crate::invocation::Callee;
use crate::lifecycle;

/// A function that others call.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    client: Client,
    name: String,
    timeout: Duration,
}

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the function could not be called, or did not answer in time")]
    NotCalled(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the function failed: {0}")]
    Failed(String),
}

impl Error {
    fn not_called(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::NotCalled(Box::new(error))
    }
}

impl Function {
    /// Creates the function that this environment variable names. Each call is one try within a time. Begins to connect to
    /// Lambda.
    pub(crate) fn from_env(
        aws: &SdkConfig,
        variable: &str,
        timeout: Duration,
    ) -> Result<Self, BadSetting> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(timeout)
            .operation_timeout(timeout)
            .build();
        let config = Builder::from(aws)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .interceptor(CountCalls(Callee::Functions))
            .build();
        let client = Client::from_conf(config);
        let connect = client.get_account_settings().customize();
        lifecycle::begin(async move {
            let _ = connect.interceptor(OnlyConnect).send().await;
        });
        Ok(Self {
            client,
            name: env::required(variable)?,
            timeout,
        })
    }

    /// Calls the function with an event, and returns its answer.
    pub(crate) async fn call(&self, event: &Value) -> Result<Vec<u8>, Error> {
        let call = self
            .client
            .invoke()
            .function_name(&self.name)
            .payload(Blob::new(event.to_string()));
        // The SDK's own limit ends where the body begins.
        let output = tokio::time::timeout(self.timeout, call.send())
            .await
            .map_err(Error::not_called)?
            .map_err(Error::not_called)?;
        match output.function_error {
            Some(error) => Err(Error::Failed(error)),
            None => Ok(output.payload.map(Blob::into_inner).unwrap_or_default()),
        }
    }
}
