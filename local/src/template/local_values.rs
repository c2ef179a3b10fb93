//! The local values of resources and pseudo parameters.

/// The local values of resources and pseudo parameters.
#[derive(Debug, Clone)]
pub struct LocalValues {
    /// The region, which is also part of ARNs.
    pub region: String,
    /// The account, 12 digits.
    pub account: String,
    /// The base URL of the queues, without a trailing slash.
    pub queues_url: String,
    /// The load balancer's host and port.
    pub load_balancer: String,
    /// The cache's host.
    pub cache_host: String,
    /// The cache's port.
    pub cache_port: u16,
}

impl Default for LocalValues {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            queues_url: "http://127.0.0.1:9324".to_owned(),
            load_balancer: "127.0.0.1:8080".to_owned(),
            cache_host: "127.0.0.1".to_owned(),
            cache_port: 6379,
        }
    }
}

impl LocalValues {
    /// Returns the domain name of a bucket.
    pub(super) fn bucket_domain(&self, bucket: &str) -> String {
        format!("{bucket}.s3.{}.amazonaws.com", self.region)
    }
}
