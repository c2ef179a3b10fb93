//! S3: s3s with s3s-fs, with the template's buckets. This crate adds the features that s3s-fs lacks: tags, CORS,
//! expiry, notifications, and the removal of uploads that are refused for their checksum.
//!
//! Known limits: a key has at most about 150 bytes, and `a` and `a/b` can't both be objects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

use super::bucket_notifications::Notifier;
use super::bucket_store::{SharedStore, Store};
use super::interceptor::Interceptor;
use super::queues::QueueService;
use super::{bucket_cors, bucket_signature, iam};
use crate::credentials::{ACCESS_KEY, SECRET_KEY};
use crate::error::{Error, Result};
use crate::http_server::{self, Body, BoxError, Closed};
use crate::template::Bucket;

/// The interval at which lifecycle rules are applied.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);

/// The largest body of a `DeleteObjects` request: a thousand keys of 1,024 bytes.
const MAX_DELETE_REQUEST: usize = 2 * 1024 * 1024;

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
    /// Opens the buckets in this folder and creates missing ones. They notify these queues.
    pub(crate) async fn open(
        folder: &Path,
        buckets: &[Bucket],
        queues: QueueService,
        region: &str,
    ) -> Result<Self> {
        let notifier = Notifier::new(queues, region, buckets);
        let store = Arc::new(Store::open(folder, buckets, notifier).await?);
        let mut signed = S3ServiceBuilder::new(SharedStore(Arc::clone(&store)));
        signed.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let public = S3ServiceBuilder::new(SharedStore(Arc::clone(&store))).build();
        Ok(Self {
            store,
            signed: signed.build(),
            public,
            buckets: Arc::new(buckets.to_vec()),
        })
    }

    /// Serves calls, and applies lifecycle rules at intervals.
    pub(crate) fn serve(&self, listener: tokio::net::TcpListener, interceptor: Interceptor) {
        let expiring = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EXPIRE_EVERY).await;
                // Objects that can't be removed now are removed next time.
                let _ = expiring.expire(Duration::ZERO).await;
            }
        });
        let (service, gate) = (self.clone(), interceptor.clone());
        tokio::spawn(http_server::serve(
            listener,
            move || gate.is_open(),
            move |request, _| service.clone().handle(interceptor.clone(), request),
        ));
    }

    /// Returns whether a path names an object in one of the buckets.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let key = path.trim_start_matches('/').split_once('/');
        self.bucket(path).is_some() && key.is_some_and(|(_, key)| !key.is_empty())
    }

    /// Returns the bucket that a path names.
    fn bucket(&self, path: &str) -> Option<&Bucket> {
        let name = path.trim_start_matches('/').split('/').next()?;
        self.buckets.iter().find(|bucket| bucket.name == name)
    }

    /// Answers one call.
    pub(crate) async fn handle(
        self,
        interceptor: Interceptor,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Closed> {
        let headers = request.headers().clone();
        let operation = operation(&request);
        let (recorder, request_headers) = (interceptor.clone(), headers.clone());
        let answer = async move {
            let path = request.uri().path().to_owned();
            let (body, request) = read_delete_request(operation, request).await?;
            recorder.record_iam_calls(&request_headers, iam::of_bucket(operation, &path, &body));
            self.answer(request).await
        };
        interceptor
            .intercept(&headers, operation.to_owned(), answer)
            .await
    }

    async fn answer(self, request: Request<s3s::Body>) -> Result<Response<Body>, Closed> {
        let bucket = self.bucket(request.uri().path());
        let rules = bucket.map_or(&[][..], |bucket| bucket.cors.as_slice());
        if let Some(response) = bucket_cors::preflight(rules, &request) {
            return Ok(response);
        }
        let (method, origin) = (request.method().clone(), bucket_cors::origin(&request));
        let mut response = match bucket_signature::refusal(&request) {
            Some(response) => response,
            None => call(&self.signed, request).await?,
        };
        bucket_cors::expose(rules, &method, origin.as_deref(), response.headers_mut());
        Ok(response)
    }

    /// Reads an object without credentials, sending these headers.
    pub(super) async fn read(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Response<Body>, Closed> {
        let mut read = Request::builder().method(method).uri(path);
        if let Some(read_headers) = read.headers_mut() {
            *read_headers = headers;
            read_headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
        }
        let read = read.body(s3s::Body::empty()).map_err(|_| Closed)?;
        call(&self.public, read).await
    }

    /// Removes expired objects, as if the time were later by `ahead`. Returns their number.
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

/// Reads the body of a `DeleteObjects` request, which lists objects. Any other body stays unread, since it may be a
/// large object.
async fn read_delete_request(
    operation: &str,
    request: Request<Incoming>,
) -> Result<(Bytes, Request<s3s::Body>), Closed> {
    if operation != "DeleteObjects" {
        return Ok((Bytes::new(), request.map(s3s::Body::from)));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_DELETE_REQUEST).collect().await;
    let body = body.map_err(|_| Closed)?.to_bytes();
    let request = Request::from_parts(head, s3s::Body::from(body.clone()));
    Ok((body, request))
}

async fn call(service: &S3Service, request: Request<s3s::Body>) -> Result<Response<Body>, Closed> {
    let response = service.call(request).await.map_err(|_| Closed)?;
    Ok(response.map(|body| body.map_err(|error| -> BoxError { error }).boxed_unsync()))
}

/// Returns the name of a request's operation, which is empty for a request that only opens a connection.
fn operation(request: &Request<Incoming>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let is_object = request.uri().path().trim_matches('/').contains('/');
    match (request.method(), is_object) {
        // SDKs open connections with an unsigned request.
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
