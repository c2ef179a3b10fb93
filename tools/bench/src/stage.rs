//! A stack on a data set, and its callers.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use purrline::cache::Cache;
use purrline::domain::PostId;
use purrline_local::{Calls, Options, Stack};
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::dataset::{Dataset, user_text};
use crate::error::{Result, file, wrong};
use crate::load::{Loaded, copy};
use crate::template::{has_parameter, with_feed_by_pull};

/// The longest time of a request: longer than any function may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The interval of looks at a queue.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// The marks of log lines that explain a failure.
const WARNING_LEVELS: [&str; 2] = [r#""level":"ERROR""#, r#""level":"WARN""#];
/// Rate limits that are checked but never reached.
const UNLIMITED: &str = "9999999/9999999";
/// A follower threshold that no author reaches, so that every post is fanned out.
const NO_INFLUENCERS: &str = "1000000000";

/// The purpose of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Timing: nothing stands between the functions and the tables and the cache.
    Times,
    /// Counting calls, by proxies that take time themselves.
    Counts,
}

/// A route to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Feed,
    FeedByPull,
    Post,
    Like(PostId),
}

impl Call {
    /// Returns the function that answers.
    pub(crate) const fn function(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::FeedByPull => "feed-by-pull",
            Self::Post => "post-write",
            Self::Like(_) => "like",
        }
    }
}

/// A user with a token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: String,
    token: String,
}

/// A body, and the time from before the request was sent until all of it had arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) took: Duration,
    pub(crate) body: Vec<u8>,
}

/// The setting of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) template: PathBuf,
    pub(crate) bin_dir: PathBuf,
    /// The parent of the stack's folders.
    pub(crate) work: PathBuf,
    pub(crate) workers: usize,
    pub(crate) cache_mb: u32,
}

impl Setting {
    /// Returns the options with which tables are created.
    pub(crate) fn options(&self) -> Options {
        Options::new(&self.template, &self.bin_dir)
    }
}

/// A running stack.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) set: Dataset,
    pub(crate) cache: Cache,
    cache_node: String,
    http: Client,
    errors: Mutex<Vec<String>>,
    _folder: TempDir,
}

impl Stage {
    /// Starts a stack on a copy of a data set. Nothing is indexed for search, so that indexing slows nothing down, and every
    /// author's posts are fanned out, unless `influencers` keeps the template's threshold.
    pub(crate) async fn start(
        loaded: &Loaded,
        setting: &Setting,
        purpose: Purpose,
        influencers: bool,
    ) -> Result<Self> {
        let made = tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&setting.work);
        let folder = made.map_err(file("make a folder in", &setting.work))?;
        let data = folder.path().join("data");
        copy(&loaded.folder, &data)?;
        let read = std::fs::read_to_string(&setting.template);
        let template = with_feed_by_pull(&read.map_err(file("read", &setting.template))?)?;
        let path = folder.path().join("template.yaml");
        std::fs::write(&path, &template).map_err(file("write", &path))?;

        let mut options = Options::new(path, &setting.bin_dir)
            .parameter("ReadLimit", UNLIMITED)
            .parameter("WriteLimit", UNLIMITED);
        if !influencers && has_parameter(&template, "InfluencerFollowers") {
            options = options.parameter("InfluencerFollowers", NO_INFLUENCERS);
        }
        options.data_dir = Some(data);
        options.workers = setting.workers;
        options.cache_mb = setting.cache_mb;
        options.calls = match purpose {
            Purpose::Times => Calls::Direct,
            Purpose::Counts => Calls::Watched,
        };
        options.expiry = false;
        let stack = Stack::start(options).await?;
        stack.pause_queue("IndexQueue").await?;
        let cache_url = stack.endpoints().cache.clone();
        let cache_url = cache_url.ok_or_else(|| wrong("template.yaml has no cache"))?;
        let http = Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            cache: Cache::new(&cache_url)?,
            cache_node: node_of(&cache_url).await?,
            set: loaded.set.clone(),
            http,
            errors: Mutex::default(),
            stack,
            _folder: folder,
        })
    }

    pub(crate) fn caller(&self, user: u32) -> Result<Caller> {
        self.caller_with_id(user_text(user))
    }

    pub(crate) fn caller_with_id(&self, id: String) -> Result<Caller> {
        let token = self.stack.token(&id)?;
        Ok(Caller { id, token })
    }

    pub(crate) fn callers(&self, users: &[u32]) -> Result<Vec<Caller>> {
        users.iter().map(|user| self.caller(*user)).collect()
    }

    /// Makes a call. A wrong answer is recorded and fails the run.
    pub(crate) async fn call(&self, caller: &Caller, call: Call) -> Option<Answer> {
        match self.try_call(caller, call).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.fail([format!("{call:?} by {}: {error}", caller.id)]);
                None
            }
        }
    }

    /// Records errors that fail the run.
    pub(crate) fn fail(&self, errors: impl IntoIterator<Item = String>) {
        let mut all = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(errors);
    }

    /// Makes a call, and fails if the answer is wrong.
    pub(crate) async fn try_call(&self, caller: &Caller, call: Call) -> Result<Answer> {
        let (method, path, expected) = match call {
            Call::Feed => (Method::GET, "feed".to_owned(), StatusCode::OK),
            Call::FeedByPull => (Method::GET, "feed-by-pull".to_owned(), StatusCode::OK),
            Call::Post => (Method::POST, "posts".to_owned(), StatusCode::CREATED),
            Call::Like(post) => (
                Method::PUT,
                format!("posts/{post}/like"),
                StatusCode::ACCEPTED,
            ),
        };
        let url = format!("{}/v1/{path}", self.stack.url());
        let mut request = self.http.request(method, url).bearer_auth(&caller.token);
        if call == Call::Post {
            request = request.json(&serde_json::json!({ "text": "A cat sat on the window sill." }));
        }
        let started = Instant::now();
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?.to_vec();
        let took = started.elapsed();
        if status != expected {
            let logs = self.stack.logs(call.function())?;
            let failed = |line: &&String| WARNING_LEVELS.iter().any(|level| line.contains(level));
            let complaint = logs.iter().rev().find(failed);
            return Err(wrong(format!(
                "{status}: {} {}",
                String::from_utf8_lossy(&body),
                complaint.map_or("", String::as_str)
            )));
        }
        Ok(Answer { took, body })
    }

    /// Writes a post.
    pub(crate) async fn post(&self, author: &Caller) -> Result<(PostId, Duration)> {
        let answer = self.try_call(author, Call::Post).await?;
        let body: Value = serde_json::from_slice(&answer.body)?;
        let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = PostId::parse(id).map_err(|reason| wrong(reason.to_string()))?;
        Ok((id, answer.took))
    }

    /// Reads a path as a user.
    pub(crate) async fn get(&self, caller: &Caller, path: &str) -> Result<Value> {
        let url = format!("{}/v1/{path}", self.stack.url());
        let answer = self.http.get(url).bearer_auth(&caller.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Waits until a queue is empty.
    pub(crate) async fn wait_until_empty(&self, queue: &str, within: Duration) -> Result<()> {
        let started = Instant::now();
        while self.stack.queue_counts(queue).await? != purrline_local::QueueCounts::default() {
            if started.elapsed() > within {
                return Err(wrong(format!("{queue} isn't empty after {within:?}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits until no function runs and every post is fanned out, so that rounds do not overlap.
    pub(crate) async fn wait_until_idle(&self, within: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            self.wait_until_empty("FanOutQueue", within).await?;
            let status = self.stack.status().await?;
            if status
                .functions
                .values()
                .all(|function| function.running == 0)
            {
                return Ok(());
            }
            if started.elapsed() > within {
                return Err(wrong(format!("functions still run after {within:?}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Returns a connection to the cache's server.
    pub(crate) async fn server(&self) -> Result<MultiplexedConnection> {
        connection(&self.cache_node).await
    }

    /// Returns the errors, with their counts.
    pub(crate) fn errors(&self) -> Vec<String> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.clone()
    }
}

async fn connection(url: &str) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(url)?;
    // Longer than the default, which would cut a measurement short.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    Ok(connection.await?)
}

/// Returns the address that a cluster's only node announces, which functions connect to.
async fn node_of(cluster: &str) -> Result<String> {
    let nodes = redis::cmd("CLUSTER").arg("NODES").to_owned();
    let nodes: String = nodes.query_async(&mut connection(cluster).await?).await?;
    let line = nodes.lines().find(|line| line.contains("myself"));
    let address = line.and_then(|line| line.split(' ').nth(1)?.split('@').next());
    let address = address.ok_or_else(|| wrong(format!("a cache without a node: {nodes}")))?;
    Ok(format!("redis://{address}"))
}
