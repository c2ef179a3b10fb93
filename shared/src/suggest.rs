//! Breeds suggested for a cat's photo, by the classifying function, which is called through Lambda itself.
//!
//! The function is called as the load balancer calls it, with the caller's own token and the picture's bytes, so that the
//! upload isn't read and decoded again. Its suggestions are an extra: there is one try, of four seconds at most, and no
//! suggestion if it fails.

use std::time::Duration;

use aws_config::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::call::{self, Function};
use crate::domain::{Breed, BreedProbability};
use crate::env::BadSetting;
use crate::invocation;

/// Time limit of the one try.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The maximum number of breeds to suggest.
const MAX_BREEDS: usize = 3;

/// The source of suggested breeds.
#[derive(Debug, Clone)]
pub struct Suggestions {
    function: Function,
}

/// Nothing was suggested.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the classifier was not called")]
    NotCalled(#[from] call::Error),
    #[error("the classifier answered {0}")]
    Refused(u16),
    #[error("the classifier's answer can't be understood")]
    NotUnderstood(#[from] serde_json::Error),
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
        Ok(Self {
            function: Function::from_env(aws, "CLASSIFY_FUNCTION", TIMEOUT)?,
        })
    }

    /// Returns the three most likely breeds of the cat in a JPEG, for the caller with this `Authorization`; none if the
    /// function fails.
    pub async fn of(&self, jpeg: &[u8], authorization: &str) -> Vec<BreedProbability> {
        self.ask(jpeg, authorization).await.unwrap_or_else(|error| {
            tracing::warn!(error = crate::log::chain(&error), "no breeds are suggested");
            Vec::new()
        })
    }

    async fn ask(&self, jpeg: &[u8], authorization: &str) -> Result<Vec<BreedProbability>, Error> {
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
                "content-type": ["image/jpeg"],
                "x-amzn-trace-id": trace,
            },
            "body": STANDARD.encode(jpeg),
            "isBase64Encoded": true,
        });
        let payload = self.function.call(&event).await?;
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
