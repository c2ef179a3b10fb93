//! Tests the local stack with a small template and a function that behaves as its events say.
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
mod notifications;
mod preflight;
mod queues;
mod sign_in;
mod template;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use purrline_local::{ACCESS_KEY, Options, SECRET_KEY, Stack};

/// A timeout that only hanging code exceeds.
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

/// Options for the test template, whose functions are the example `probe`, which Cargo builds beside the tests' folder.
fn options() -> Options {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(Path::parent).unwrap();
    Options::new(template_file(), built.join("examples"))
}

async fn start() -> Stack {
    Stack::start(options()).await.unwrap()
}

fn sdk_config(stack: &Stack) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(stack.endpoints().region.clone()))
        .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
            Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local"),
        ))
        .build()
}

fn tables_client(stack: &Stack) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::config::Builder::from(&sdk_config(stack));
    let config = config.endpoint_url(&stack.endpoints().tables).build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

fn queues_client(stack: &Stack) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::config::Builder::from(&sdk_config(stack));
    let config = config.endpoint_url(&stack.endpoints().queues).build();
    aws_sdk_sqs::Client::from_conf(config)
}

fn bucket_client(stack: &Stack, url: &str) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&sdk_config(stack)).endpoint_url(url);
    aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
}

/// Counts the items of the table that the function `probe` writes to.
async fn count_items(stack: &Stack) -> i32 {
    let scan = tables_client(stack).scan().table_name("Things");
    scan.send().await.unwrap().count()
}

/// Waits until a condition holds.
async fn until(description: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < SOON,
            "waited too long until {description}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
