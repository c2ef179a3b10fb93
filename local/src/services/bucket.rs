//! S3: s3s with s3s-fs, created from the template's buckets, with what s3s-fs lacks: tags, CORS,
//! expiry, and that an upload refused for its checksum leaves no object behind.
//!
//! Known limits: a key has at most about 150 bytes, and `a` and `a/b` can't both be objects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::bucket_store::{Shared, Store};
use super::{Front, asked};
use crate::error::{Error, Result};
use crate::http_server::{self, Body, BoxError, Closed};
use crate::load_balancer::matches;
use crate::template::{Bucket, Cors};

/// How often lifecycle rules are applied.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);

/// The longest list of objects that are to be deleted: a thousand, with names of 1,024 bytes.
const MAX_LIST: usize = 2 * 1024 * 1024;

/// The running buckets.
#[derive(Clone)]
pub(crate) struct BucketService {
    store: Arc<Store>,
    signed: S3Service,
    public: S3Service,
    buckets: Arc<Vec<Bucket>>,
}

impl std::fmt::Debug for BucketService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BucketService")
    }
}

impl BucketService {
    /// Opens the buckets of this folder and creates those that aren't there.
    pub(crate) fn open(folder: &Path, buckets: &[Bucket]) -> Result<Self> {
        let store = Arc::new(Store::open(folder, buckets)?);
        let mut signed = S3ServiceBuilder::new(Shared(Arc::clone(&store)));
        signed.set_auth(SimpleAuth::from_single(
            crate::ACCESS_KEY,
            crate::SECRET_KEY,
        ));
        let public = S3ServiceBuilder::new(Shared(Arc::clone(&store))).build();
        Ok(Self {
            store,
            signed: signed.build(),
            public,
            buckets: Arc::new(buckets.to_vec()),
        })
    }

    /// Serves calls, and applies lifecycle rules now and then.
    pub(crate) fn serve(&self, listener: tokio::net::TcpListener, front: Front) {
        let expiring = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EXPIRE_EVERY).await;
                // What isn't removed now is next time.
                let _ = expiring.expire(Duration::ZERO).await;
            }
        });
        let (service, gate) = (self.clone(), front.clone());
        tokio::spawn(http_server::serve(
            listener,
            move || gate.is_open(),
            move |request, _| {
                let (front, service) = (front.clone(), service.clone());
                async move {
                    let headers = request.headers().clone();
                    let operation = operation(&request);
                    let (counting, callers) = (front.clone(), headers.clone());
                    let answer = async move {
                        let path = request.uri().path().to_owned();
                        let (body, request) = listed(operation, request).await?;
                        counting.asks(&callers, asked::of_bucket(operation, &path, &body));
                        service.answer(request).await
                    };
                    front.call(&headers, operation.to_owned(), answer).await
                }
            },
        ));
    }

    async fn answer(self, request: Request<s3s::Body>) -> Result<Response<Body>, Closed> {
        let name = request
            .uri()
            .path()
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        let origin = request
            .headers()
            .get(http::header::ORIGIN)
            .and_then(|value| value.to_str().ok());
        let rule = self
            .buckets
            .iter()
            .find(|bucket| bucket.name == name)
            .and_then(|bucket| {
                bucket.cors.iter().find(|rule| {
                    rule.origins
                        .iter()
                        .any(|allowed| matches(allowed, origin.unwrap_or_default()))
                })
            });
        let signed = self.signed.clone();
        let inner =
            tower::service_fn(move |request: Request<s3s::Body>| call(signed.clone(), request));
        match rule.filter(|_| origin.is_some()) {
            None => inner.oneshot(request).await,
            Some(rule) => cors(rule).layer(inner).oneshot(request).await,
        }
    }

    /// Reads an object for anyone, by a path that ends in `/media/<key>`.
    pub(crate) async fn read(
        &self,
        bucket: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Closed> {
        let key = request
            .uri()
            .path()
            .strip_prefix("/media/")
            .unwrap_or_default();
        let mut read = Request::builder()
            .method(request.method())
            .uri(format!("/{bucket}/{key}"));
        for (name, value) in request.headers() {
            if matches!(
                name.as_str(),
                "range" | "if-match" | "if-none-match" | "if-modified-since"
            ) {
                read = read.header(name, value);
            }
        }
        let read = read
            .header("host", "127.0.0.1")
            .body(s3s::Body::empty())
            .map_err(|_| Closed)?;
        let response = self.public.call(read).await.map_err(|_| Closed)?;
        Ok(response.map(|body| body.map_err(|error| -> BoxError { error }).boxed_unsync()))
    }

    /// Removes what the lifecycle rules say, as if it were later by `ahead`. Returns how many objects.
    pub(crate) async fn expire(&self, ahead: Duration) -> Result<usize> {
        let failed = |error: s3s::S3Error| Error::part("bucket", error);
        let mut removed = 0_usize;
        for bucket in self.buckets.iter() {
            for rule in &bucket.expiry {
                for key in self
                    .store
                    .expired(&bucket.name, rule, ahead)
                    .await
                    .map_err(failed)?
                {
                    self.store
                        .remove(&bucket.name, &key)
                        .await
                        .map_err(failed)?;
                    removed = removed.saturating_add(1);
                }
            }
        }
        Ok(removed)
    }
}

/// A request's body, if it names objects; else nothing, since it may be one.
async fn listed(
    operation: &str,
    request: Request<Incoming>,
) -> Result<(Bytes, Request<s3s::Body>), Closed> {
    if operation != "DeleteObjects" {
        return Ok((Bytes::new(), request.map(s3s::Body::from)));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_LIST).collect().await;
    let body = body.map_err(|_| Closed)?.to_bytes();
    let request = Request::from_parts(head, s3s::Body::from(body.clone()));
    Ok((body, request))
}

async fn call(service: S3Service, request: Request<s3s::Body>) -> Result<Response<Body>, Closed> {
    let response = service.call(request).await.map_err(|_| Closed)?;
    Ok(response.map(|body| body.map_err(|error| -> BoxError { error }).boxed_unsync()))
}

/// Browsers' rules, from the template's. Headers are only allowed by name or all together.
fn cors(rule: &Cors) -> CorsLayer {
    let methods: Vec<Method> = rule
        .methods
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    let named = |names: &[String]| {
        names
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect::<Vec<HeaderName>>()
    };
    let headers = if rule.headers.iter().any(|name| name == "*") {
        AllowHeaders::mirror_request()
    } else {
        AllowHeaders::list(named(&rule.headers))
    };
    let origins = rule.origins.clone();
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::predicate(move |origin, _| {
            origin
                .to_str()
                .is_ok_and(|origin| origins.iter().any(|allowed| matches(allowed, origin)))
        })
    };
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods(AllowMethods::list(methods))
        .allow_headers(headers)
        .expose_headers(ExposeHeaders::list(named(&rule.exposed)));
    match rule.max_age {
        Some(age) => layer.max_age(age),
        None => layer,
    }
}

/// The name of the operation that a request asks for.
fn operation(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let is_object = request.uri().path().trim_matches('/').contains('/');
    match (request.method(), is_object) {
        // Who opens a connection signs nothing.
        (&Method::GET, false) if request.uri().path() == "/" => {
            let signed = request.headers().contains_key("authorization");
            if signed { "ListAllMyBuckets" } else { "" }
        }
        (&Method::PUT, true) if has("tagging") => "PutObjectTagging",
        (&Method::GET, true) if has("tagging") => "GetObjectTagging",
        (&Method::DELETE, true) if has("tagging") => "DeleteObjectTagging",
        (&Method::PUT, true) if request.headers().contains_key("x-amz-copy-source") => "CopyObject",
        (&Method::PUT, true) => "PutObject",
        (&Method::GET, true) => "GetObject",
        (&Method::HEAD, true) => "HeadObject",
        (&Method::DELETE, true) => "DeleteObject",
        (&Method::GET, false) => "ListObjects",
        (&Method::POST, false) if has("delete") => "DeleteObjects",
        (&Method::HEAD, false) => "HeadBucket",
        (&Method::OPTIONS, _) => "Preflight",
        _ => "Other",
    }
}
