//! The local stack against a small template and a function that behaves as it is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod bucket;
mod cache;
mod command_line;
mod faults;
mod lambda;
mod load_balancer;
mod media;
mod queues;
mod sign_in;
mod template;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use purrline_local::{ACCESS_KEY, Options, SECRET_KEY, Stack};

/// Long enough for anything that isn't hanging.
const SOON: Duration = Duration::from_secs(20);

fn template_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/template.yaml")
}

/// The repository's root.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Cargo builds examples beside the tests' own folder.
fn options() -> Options {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(Path::parent).unwrap();
    Options::new(template_file(), built.join("examples"))
}

async fn start() -> Stack {
    Stack::start(options()).await.unwrap()
}

fn config(stack: &Stack) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(stack.endpoints().region.clone()))
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
            Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local"),
        ))
        .build()
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds().await {
        assert!(started.elapsed() < SOON, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
