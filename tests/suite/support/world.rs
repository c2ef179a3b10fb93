//! A stack with users on it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use purrline_local::{Constraints, Log, Options, Stack};
use reqwest::Client;
use tokio::sync::OnceCell;

use super::{User, secrets};

/// Time limit of a request: longer than any function's.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Time limit for queues to drain.
const DRAIN: Duration = Duration::from_mins(1);

/// The stack of all tests that change nothing of it.
static SHARED: OnceCell<Arc<Stack>> = OnceCell::const_new();

/// A stack, and users who call it. All of [`Stack`]'s methods are here too.
#[derive(Debug, Clone)]
pub(crate) struct World {
    stack: Arc<Stack>,
    http: Client,
}

impl Deref for World {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

impl World {
    /// The stack that tests share which inject no faults, change no settings, and count no calls.
    pub(crate) async fn shared() -> Self {
        let stack = SHARED
            .get_or_init(|| async { start(Self::options()).await })
            .await;
        Self::on(Arc::clone(stack))
    }

    /// A stack of the test's own.
    pub(crate) async fn own() -> Self {
        Self::with(Self::options()).await
    }

    /// A stack of the test's own, started with these options; see [`World::options`].
    pub(crate) async fn with(options: Options) -> Self {
        Self::on(start(options).await)
    }

    fn on(stack: Arc<Stack>) -> Self {
        // Connections belong to the runtime of one test, so each test has a client of its own.
        let http = Client::builder()
            .timeout(TIMEOUT)
            // Before the load balancer closes it, which a request may meet.
            .pool_idle_timeout(Duration::from_secs(20))
            .no_proxy()
            .build()
            .unwrap();
        Self { stack, http }
    }

    /// The deployed template with the binaries of this build, keeping no data. With `TEST_LOG` set,
    /// the functions' lines are printed.
    pub(crate) fn options() -> Options {
        let mut options = Options::new(repository().join("template.yaml"), binaries())
            .parameter("IndexWindowSeconds", "1");
        // Tests call more often than people do; those of the limits set them.
        for limit in ["ReadLimit", "WriteLimit", "ClassifyLimit"] {
            options = options.parameter(limit, "off");
        }
        // And some of their times are shorter than what is deployed may have.
        options.constraints = Constraints::Waived;
        options.on_line = Some(secrets::look);
        if std::env::var_os("TEST_LOG").is_some() {
            options.log = Log::Verbose;
        }
        options
    }

    /// A user of this name whom no other test knows.
    pub(crate) fn user(&self, name: &str) -> User {
        static USERS: AtomicUsize = AtomicUsize::new(0);
        self.user_called(&format!("{name}-{}", USERS.fetch_add(1, Ordering::Relaxed)))
    }

    /// The user of this very id.
    pub(crate) fn user_called(&self, id: &str) -> User {
        User::new(
            id,
            Some(self.token(id).unwrap()),
            self.url(),
            self.http.clone(),
        )
    }

    /// Somebody without a token.
    pub(crate) fn anonymous(&self) -> User {
        User::new("", None, self.url(), self.http.clone())
    }

    /// A client of the stack's buckets, as who may do anything there.
    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
        let (key, secret) = (purrline_local::ACCESS_KEY, purrline_local::SECRET_KEY);
        let endpoints = self.endpoints();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&endpoints.bucket)
            .force_path_style(true)
            .region(Region::new(endpoints.region.clone()))
            .credentials_provider(Credentials::new(key, secret, None, None, "test"))
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Waits until every queue is empty and nothing runs. On a shared stack other tests' requests
    /// count too: wait for what is expected there, with [`super::eventually`], where that says enough.
    pub(crate) async fn drained(&self) {
        if !self.drain(DRAIN).await {
            let queues = self.status().await.map(|status| status.queues);
            panic!("not drained: {queues:#?}\n{}", self.complaints().join("\n"));
        }
        secrets::none_said();
    }

    /// The last lines that functions logged as warnings or errors.
    fn complaints(&self) -> Vec<String> {
        let complains = |line: &String| {
            line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)
        };
        let of = |name: &str| -> Vec<String> {
            let lines: Vec<String> = self
                .logs(name)
                .unwrap_or_default()
                .into_iter()
                .filter(complains)
                .collect();
            lines
                .iter()
                .rev()
                .take(5)
                .rev()
                .map(|line| format!("{name}: {line}"))
                .collect()
        };
        self.plan()
            .functions
            .values()
            .flat_map(|function| of(&function.name))
            .collect()
    }
}

async fn start(options: Options) -> Arc<Stack> {
    match Stack::start(options).await {
        Ok(stack) => Arc::new(stack),
        Err(error) => panic!("the stack doesn't start: {error}"),
    }
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The folder of the binaries: what `FUNCTIONS_DIR` says, or `target/<profile>`, above the
/// `deps` that this test is in.
pub(crate) fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("FUNCTIONS_DIR") {
        return folder.into();
    }
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
