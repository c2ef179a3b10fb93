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

/// The time limit of a request: longer than any function's.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The time limit for queues to drain.
const DRAIN: Duration = Duration::from_mins(1);

/// The stack shared by all tests that don't change it.
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
    /// Returns the stack shared by tests that inject no faults, change no settings, and count no calls.
    pub(crate) async fn shared() -> Self {
        let stack = SHARED
            .get_or_init(|| async { start(Self::options()).await })
            .await;
        Self::on(Arc::clone(stack))
    }

    /// Starts a stack for one test.
    pub(crate) async fn own() -> Self {
        Self::with(Self::options()).await
    }

    /// Starts a stack for one test with these options; see [`World::options`].
    pub(crate) async fn with(options: Options) -> Self {
        Self::on(start(options).await)
    }

    fn on(stack: Arc<Stack>) -> Self {
        // Connections belong to the runtime of one test, so each test has a client of its own.
        let http = Client::builder()
            .timeout(TIMEOUT)
            // Shorter than the load balancer's timeout, or a request might use a connection that is just being closed.
            .pool_idle_timeout(Duration::from_secs(20))
            .no_proxy()
            .build()
            .unwrap();
        Self { stack, http }
    }

    /// Returns options for the deployed template with the binaries of this build, keeping no data. With `TEST_LOG` set, the
    /// functions' log lines are printed.
    pub(crate) fn options() -> Options {
        let mut options = Options::new(repository().join("template.yaml"), binaries())
            .parameter("IndexWindowSeconds", "1")
            .parameter("PictureReviewSeconds", "1");
        // Tests call more frequently than people do; tests of the limits set them.
        for limit in ["ReadLimit", "WriteLimit", "ClassifyLimit"] {
            options = options.parameter(limit, "off");
        }
        // Some settings are shorter than the template allows for deployments.
        options.constraints = Constraints::Waived;
        options.on_line = Some(secrets::check_line);
        if std::env::var_os("TEST_LOG").is_some() {
            options.log = Log::Verbose;
        }
        options
    }

    /// Returns a user whose id begins with this name, and whom no other test uses.
    pub(crate) fn user(&self, name: &str) -> User {
        static USERS: AtomicUsize = AtomicUsize::new(0);
        self.user_with_id(&format!("{name}-{}", USERS.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns the user with exactly this id.
    pub(crate) fn user_with_id(&self, id: &str) -> User {
        User::new(
            id,
            Some(self.token(id).unwrap()),
            self.url(),
            self.http.clone(),
        )
    }

    /// Returns a caller without a token.
    pub(crate) fn anonymous(&self) -> User {
        User::new("", None, self.url(), self.http.clone())
    }

    /// Returns a client of the stack's buckets with all permissions.
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

    /// Returns the bytes and the media type of an upload, which no client can read; nothing if it isn't there.
    pub(crate) async fn stored(&self, key: &str) -> Option<(Vec<u8>, String)> {
        let bucket = self.bucket_name("UploadsBucket").unwrap();
        let object = self.s3().get_object().bucket(bucket).key(key).send();
        let object = object.await.ok()?;
        let kind = object.content_type().unwrap_or_default().to_owned();
        let bytes = object.body.collect().await.unwrap().into_bytes();
        Some((bytes.to_vec(), kind))
    }

    /// Waits until every queue is empty and nothing runs. On a shared stack, other tests' requests count too: if
    /// possible, wait there for the expected result with [`super::eventually`] instead.
    pub(crate) async fn wait_until_drained(&self) {
        if !self.drain(DRAIN).await {
            let queues = self.status().await.map(|status| status.queues);
            panic!("not drained: {queues:#?}\n{}", self.warnings().join("\n"));
        }
        secrets::assert_nothing_leaked();
    }

    /// Returns the last lines that functions logged as warnings or errors.
    fn warnings(&self) -> Vec<String> {
        let is_warning = |line: &String| {
            line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)
        };
        let of = |name: &str| -> Vec<String> {
            let lines: Vec<String> = self
                .logs(name)
                .unwrap_or_default()
                .into_iter()
                .filter(is_warning)
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

/// Returns options of a stack that retries failed work soon.
pub(crate) fn retrying_soon() -> Options {
    World::options()
        .parameter("OutboxSeconds", "1")
        .parameter("ConsumerTimeoutSeconds", "3")
        .parameter("VisibilityTimeoutSeconds", "3")
}

/// Returns the repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Returns the folder of the binaries: `FUNCTIONS_DIR`, or `target/<profile>`, above the `deps` that this test is in.
pub(crate) fn binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("FUNCTIONS_DIR") {
        return folder.into();
    }
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
