//! The content delivery network: its bucket, its methods, and its added headers.

use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use http::{HeaderName, HeaderValue};

use super::error::TemplateError;
use super::evaluate::Evaluator;
use super::plan::{Bucket, Distribution};
use super::read_policies::{self, Access};
use super::reader::Reader;

type Headers = Vec<(HeaderName, HeaderValue)>;
type Result<T> = std::result::Result<T, TemplateError>;

/// The ids of AWS's managed policies for response headers:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-response-headers-policies.html>
const SIMPLE_CORS: &str = "60669652-455b-4ae9-85a4-c4c02393f86c";
const SECURITY_HEADERS: &str = "67f7725c-6f97-4210-82d7-5512b31e9d03";
const CORS_AND_SECURITY_HEADERS: &str = "e61eb60c-9c35-4d20-a928-2b84e02af89c";

/// Reads the distribution whose origin is one of the buckets.
pub(super) fn read(evaluator: &Evaluator<'_>, buckets: &[Bucket]) -> Result<Option<Distribution>> {
    for (id, node) in evaluator.resources("AWS::CloudFront::Distribution")? {
        let properties = evaluator.properties(id, node)?;
        let config = properties.field("DistributionConfig")?;
        for origin in config.list("Origins") {
            let domain = origin.field("DomainName")?.text()?;
            let local = evaluator.local();
            let is_origin = |bucket: &&Bucket| local.bucket_domain(&bucket.name) == domain;
            if let Some(bucket) = buckets.iter().find(is_origin) {
                let lists = may_list(evaluator, id, &bucket.name)?;
                return distribution(&config, &bucket.name, lists).map(Some);
            }
        }
    }
    Ok(None)
}

/// Returns whether a bucket's policy lets a distribution list the bucket, and so tells it which objects are missing.
fn may_list(evaluator: &Evaluator<'_>, id: &str, bucket: &str) -> Result<bool> {
    let account = &evaluator.local().account;
    let access = Access {
        policy: "AWS::S3::BucketPolicy",
        owner: bucket,
        service: "cloudfront.amazonaws.com",
        action: "s3:ListBucket",
        resource: &format!("arn:aws:s3:::{bucket}"),
        source: &format!("arn:aws:cloudfront::{account}:distribution/local-{id}"),
    };
    read_policies::allow(evaluator, &access)
}

fn distribution(config: &Reader, bucket: &str, missing_is_404: bool) -> Result<Distribution> {
    for error in config.list("CustomErrorResponses") {
        if let Some(page) = error.optional("ResponsePagePath") {
            return Err(page.wrong("the local stack doesn't support error pages"));
        }
    }
    let behavior = config.field("DefaultCacheBehavior")?;
    let (headers, cors) = match behavior.optional("ResponseHeadersPolicyId") {
        None => (Vec::new(), Vec::new()),
        Some(policy) => match policy.text()?.as_str() {
            SIMPLE_CORS => (Vec::new(), any_origin()),
            SECURITY_HEADERS => (security(), Vec::new()),
            CORS_AND_SECURITY_HEADERS => (security(), any_origin()),
            id => {
                let problem =
                    format!("the local stack doesn't support the response headers policy {id}");
                return Err(policy.wrong(problem));
            }
        },
    };
    Ok(Distribution {
        bucket: bucket.to_owned(),
        root: config
            .optional("DefaultRootObject")
            .map(|root| root.text())
            .transpose()?,
        missing_is_404,
        methods: methods(&behavior.texts("AllowedMethods")?),
        headers,
        cors,
    })
}

/// Returns the configured methods; by default GET and HEAD, as on AWS.
fn methods(configured: &[String]) -> Vec<String> {
    if configured.is_empty() {
        return ["GET", "HEAD"].map(str::to_owned).to_vec();
    }
    configured.to_vec()
}

fn any_origin() -> Headers {
    vec![(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))]
}

/// Returns the headers of AWS's security policy, except `Strict-Transport-Security`, which is invalid over plain HTTP.
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
