//! The endpoints of a running stack.

use std::collections::BTreeMap;

use crate::credentials::{ACCESS_KEY, SECRET_KEY};

/// The endpoints of a stack. Clients of AWS's services use [`ACCESS_KEY`] and [`SECRET_KEY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The load balancer, such as `http://127.0.0.1:8080`, without a trailing slash.
    pub url: String,
    /// The load balancer's URL for clients elsewhere, which tokens and the URLs of pictures and uploads contain.
    pub public: String,
    /// `DynamoDB`.
    pub tables: String,
    /// SQS.
    pub queues: String,
    /// S3, with path-style URLs.
    pub bucket: String,
    /// Lambda's invoke API. The load balancer serves the API too, but would count the connections that functions open in
    /// advance as clients' requests.
    pub functions: String,
    /// The cache, `redis://host:port`, a cluster of one node; `None` if the template has no cache.
    pub cache: Option<String>,
    /// The region of all services.
    pub region: String,
}

impl Endpoints {
    /// Returns the endpoints and credentials of AWS's services as the variables that the SDKs read.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let all = [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.tables.as_str()),
            ("AWS_ENDPOINT_URL_SQS", &self.queues),
            ("AWS_ENDPOINT_URL_S3", &self.bucket),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.functions),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", &self.region),
            ("AWS_DEFAULT_REGION", &self.region),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }
}
