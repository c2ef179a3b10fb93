//! Breeds suggested for a cat's photo, by the classifying function, which is called through Lambda itself.
//!
//! The function is called as the load balancer calls it, with the caller's own token, and so decides by its own rules
//! whose upload the photo is. Its suggestions are an extra: there is one try, of four seconds at most, and no
//! suggestion if it fails.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::primitives::Blob;
use serde::Deserialize;
use serde_json::json;

use crate::aws::{CountCalls, OnlyConnect};
use crate::domain::{Breed, BreedProbability, ImageKey};
use crate::env::{self, BadSetting};
use crate::invocation::{self, Callee};
use crate::lifecycle;

/// Time limit of the one try.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The maximum number of breeds to suggest.
const MAX_BREEDS: usize = 3;

/// The source of suggested breeds.
#[derive(Debug, Clone)]
pub struct Suggestions {
    client: Client,
    function: String,
}

/// Nothing was suggested.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the classifier was not called, or not in time")]
    NotCalled(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the classifier failed: {0}")]
    Failed(String),
    #[error("the classifier answered {0}")]
    Refused(u16),
    #[error("the classifier's answer can't be understood")]
    NotUnderstood(#[from] serde_json::Error),
}

impl Error {
    fn not_called(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::NotCalled(Box::new(error))
    }
}

/// The function's answer to the load balancer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    body: String,
}

#[derive(Deserialize)]
struct Classified {
    breeds: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    breed: String,
    probability: f32,
}

impl Suggestions {
    /// Creates a source from the function that `CLASSIFY_FUNCTION` names. Begins to connect to Lambda.
    pub fn from_env(aws: &SdkConfig) -> Result<Self, BadSetting> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(TIMEOUT)
            .operation_timeout(TIMEOUT)
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
            function: env::required("CLASSIFY_FUNCTION")?,
        })
    }

    /// Returns the three most likely breeds of the cat in an upload, by its owner's `Authorization`; none if the
    /// function fails.
    pub async fn of(&self, photo: &ImageKey, authorization: &str) -> Vec<BreedProbability> {
        self.ask(photo, authorization)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(error = crate::log::chain(&error), "no breeds are suggested");
                Vec::new()
            })
    }

    async fn ask(
        &self,
        photo: &ImageKey,
        authorization: &str,
    ) -> Result<Vec<BreedProbability>, Error> {
        let trace: Vec<String> = invocation::trace()
            .map(|trace| trace.header())
            .into_iter()
            .collect();
        let event = json!({
            "requestContext": { "elb": { "targetGroupArn": "" } },
            "httpMethod": "POST",
            "path": "/v1/classify",
            "multiValueQueryStringParameters": { "top": [MAX_BREEDS.to_string()] },
            "multiValueHeaders": {
                "authorization": [authorization],
                "content-type": ["application/json"],
                "x-amzn-trace-id": trace,
            },
            "body": json!({ "image": photo }).to_string(),
            "isBase64Encoded": false,
        });
        let call = self
            .client
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(event.to_string()));
        // The SDK's own limit ends where the body begins.
        let output = tokio::time::timeout(TIMEOUT, call.send())
            .await
            .map_err(Error::not_called)?
            .map_err(Error::not_called)?;
        if let Some(error) = output.function_error {
            return Err(Error::Failed(error));
        }
        let payload = output.payload.map(Blob::into_inner).unwrap_or_default();
        let answer: Answer = serde_json::from_slice(&payload)?;
        if answer.status_code != 200 {
            return Err(Error::Refused(answer.status_code));
        }
        let Classified { breeds } = serde_json::from_str(&answer.body)?;
        let known = breeds.into_iter().filter_map(|prediction| {
            Some(BreedProbability {
                breed: Breed::of(&prediction.breed)?,
                probability: prediction.probability,
            })
        });
        Ok(known.take(MAX_BREEDS).collect())
    }
}
