//! The classifier's process stays within the smallest memory size that Lambda offers, whatever image it gets.

use serde_json::Value;

use self::corpus::Outcome;
use crate::support::{Reply, User, World, image};

/// Large images, as `vision`'s own tests make them.
#[path = "../../../shared/tests/images/large.rs"]
mod large;

mod corpus {
    pub(super) use crate::support::image as read;

    /// The expected result for an image.
    #[derive(Debug, Clone, Copy)]
    pub(super) enum Outcome {
        Classified,
        Unprocessable,
        TooLarge,
    }
}

/// The memory of the function, and the maximum resident memory of its process: 100 MB, or 116 MB after a progressive
/// JPEG, whose coefficients are held at full size.
const MEMORY_MIB: u64 = 128;
const BAR_MIB: f64 = 100e6 / 1_048_576.0;
const PROGRESSIVE_BAR_MIB: f64 = 116e6 / 1_048_576.0;

/// The largest body that the load balancer lets through; larger images are uploaded.
const BODY_LIMIT: usize = 1024 * 1024;
/// The maximum size of an upload in bytes.
const UPLOAD_LIMIT: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn the_least_memory_is_enough_for_every_image() {
    let memory = MEMORY_MIB.to_string();
    let world = World::with(World::options().parameter("ClassifyMemoryMB", &memory)).await;
    let mut trial = Trial {
        nabi: world.user("nabi"),
        world,
        wrong: Vec::new(),
    };
    let golden: Value = serde_json::from_slice(&image("golden.json")).unwrap();
    for list in ["images", "refused"] {
        for item in golden[list].as_array().unwrap() {
            let file = item["file"].as_str().unwrap();
            let outcome = match item["error"].as_str() {
                None => Outcome::Classified,
                Some("too_large") => Outcome::TooLarge,
                Some(_) => Outcome::Unprocessable,
            };
            trial.of(file, image(file), Some(outcome)).await;
        }
    }
    trial.assert_peak("golden images", BAR_MIB).await;
    let (progressive, other): (Vec<_>, Vec<_>) = large::all().partition(|large| large.progressive);
    for (what, images, bar) in [
        ("large images", other, BAR_MIB),
        ("progressive JPEGs", progressive, PROGRESSIVE_BAR_MIB),
    ] {
        for large in images {
            if large.bytes.len() <= UPLOAD_LIMIT {
                trial.of(&large.name, large.bytes, large.outcome).await;
            }
        }
        trial.assert_peak(what, bar).await;
    }
    assert!(trial.wrong.is_empty(), "{}", trial.wrong.join("\n"));
}

struct Trial {
    world: World,
    nabi: User,
    wrong: Vec<String>,
}

impl Trial {
    async fn of(&mut self, name: &str, bytes: Vec<u8>, outcome: Option<Outcome>) {
        let status = match outcome {
            Some(Outcome::Classified) => &[200][..],
            Some(Outcome::Unprocessable) => &[422],
            Some(Outcome::TooLarge) => &[413],
            None => &[200, 422, 413],
        };
        let reply = self.by_either_way(bytes).await;
        if !status.contains(&reply.status) {
            let wrong = format!("{name}: {} {}", reply.status, reply.text());
            self.wrong.push(wrong);
        }
    }

    /// Classifies bytes sent in the request, or an upload if the load balancer doesn't let as many through.
    async fn by_either_way(&self, bytes: Vec<u8>) -> Reply {
        if bytes.len() <= BODY_LIMIT {
            return self.nabi.classify("", "image/png", bytes).await;
        }
        let key = self.nabi.upload("image/png", &bytes).await;
        self.nabi.classify_upload("", &key).await
    }

    /// Asserts the peak memory for all images sent so far. A process that exceeds the function's memory is killed, which
    /// counts as an error.
    async fn assert_peak(&self, what: &str, bar_mib: f64) {
        let status = self.world.status().await.unwrap();
        let classify = &status.functions["classify"];
        let peak = classify.peak_memory_mb;
        println!("after {what}: at most {peak} MiB of {bar_mib:.1}");
        assert_eq!((classify.errors, classify.memory_limit_mb), (0, MEMORY_MIB));
        assert!(peak > 0.0 && peak <= bar_mib, "{what}: {peak} MiB");
    }
}
