//! The kind of a cache on AWS.

use crate::env::{self, BadSetting};

/// The two kinds of caches that `ElastiCache` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One that AWS scales.
    Serverless,
    /// A replication group.
    Nodes,
}

impl Kind {
    /// Returns the kind that `CACHE_KIND` names, `serverless` or `nodes`, if it is set.
    pub fn from_env() -> Result<Option<Self>, BadSetting> {
        match env::optional("CACHE_KIND").as_deref() {
            None => Ok(None),
            Some("serverless") => Ok(Some(Self::Serverless)),
            Some("nodes") => Ok(Some(Self::Nodes)),
            Some(_) => Err(BadSetting::new("CACHE_KIND", "must be serverless or nodes")),
        }
    }
}
