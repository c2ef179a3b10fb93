//! The content delivery network: which bucket is behind it, and what it adds to what the bucket answers.

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue};

use super::TemplateError;
use super::evaluate::{Evaluator, bucket_domain};
use super::plan::{Bucket, Distribution};
use super::reader::Reader;

type Headers = Vec<(HeaderName, HeaderValue)>;
type Result<T> = std::result::Result<T, TemplateError>;

/// AWS's own policies of response headers, by their ids:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html>
const SIMPLE_CORS: &str = "60669652-455b-4ae9-85a4-c4c02393f86c";
const SECURITY_HEADERS: &str = "67f7725c-6f97-4210-82d7-5512b31e9d03";
const CORS_AND_SECURITY_HEADERS: &str = "e61eb60c-9c35-4d20-a928-2b84e02af89c";

/// The distribution of a bucket, else one that adds nothing, where there is only one bucket.
pub(super) fn read(evaluator: &Evaluator<'_>, buckets: &[Bucket]) -> Result<Option<Distribution>> {
    let region = &evaluator.local().region;
    for (id, node) in evaluator.resources("AWS::CloudFront::Distribution")? {
        let properties = evaluator.properties(id, node)?;
        let config = properties.field("DistributionConfig")?;
        for origin in config.list("Origins") {
            let domain = origin.field("DomainName")?.text()?;
            let of_origin = |bucket: &&Bucket| bucket_domain(&bucket.name, region) == domain;
            if let Some(bucket) = buckets.iter().find(of_origin) {
                return distribution(&config, &bucket.name).map(Some);
            }
        }
    }
    Ok(match buckets {
        [only] => Some(Distribution {
            bucket: only.name.clone(),
            methods: methods(&[]),
            headers: Vec::new(),
            cors: Vec::new(),
        }),
        _ => None,
    })
}

fn distribution(config: &Reader, bucket: &str) -> Result<Distribution> {
    let behavior = config.field("DefaultCacheBehavior")?;
    let (headers, cors) = match behavior.maybe("ResponseHeadersPolicyId") {
        None => (Vec::new(), Vec::new()),
        Some(policy) => match policy.text()?.as_str() {
            SIMPLE_CORS => (Vec::new(), any_origin()),
            SECURITY_HEADERS => (security(), Vec::new()),
            CORS_AND_SECURITY_HEADERS => (security(), any_origin()),
            id => {
                let problem =
                    format!("the local stack doesn't know the response headers policy {id}");
                return Err(policy.wrong(problem));
            }
        },
    };
    Ok(Distribution {
        bucket: bucket.to_owned(),
        methods: methods(&behavior.texts("AllowedMethods")?),
        headers,
        cors,
    })
}

/// GET and HEAD unless told, as on AWS.
fn methods(told: &[String]) -> Vec<String> {
    if told.is_empty() {
        return ["GET", "HEAD"].map(str::to_owned).to_vec();
    }
    told.to_vec()
}

fn any_origin() -> Headers {
    vec![(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]
}

/// All but `Strict-Transport-Security`, which has no place in plain HTTP.
fn security() -> Headers {
    [
        (REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "SAMEORIGIN"),
        (X_XSS_PROTECTION, "1; mode=block"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
    .to_vec()
}
