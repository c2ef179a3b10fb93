//! On a busy machine the local stack is slow, and still answers as api.md says.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::join_all;
use purrline_local::{Calls, FaultAction, FaultRule, Options, Service, StartLimits, When};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{World, binaries, eventually};

/// Threads for each processor, so that all processors are busy.
const THREADS_PER_PROCESSOR: usize = 4;
/// The number of users who set their profile at once.
const PEOPLE: usize = 24;

/// Keeps every processor busy until it is dropped.
struct Busy {
    done: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    fn begin() -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let spin = |_| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..processors * THREADS_PER_PROCESSOR).map(spin).collect();
        Self { done, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

async fn all_set_their_profiles(world: &World) {
    let people: Vec<_> = (0..PEOPLE).map(|_| world.user("laptop")).collect();
    let put = people.iter().map(|user| async {
        let profile = json!({ "handle": user.own_handle(), "name": "Nabi" });
        user.put_me(&profile).await.expect(201)
    });
    join_all(put).await;
}

/// Returns a folder with the functions' binaries, in which this function starts only once the returned file exists.
fn delay_start(function: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    for file in std::fs::read_dir(binaries()).unwrap() {
        let file = file.unwrap();
        if file.file_name() != function && file.path().is_file() {
            let link = folder.path().join(file.file_name());
            std::os::unix::fs::symlink(file.path(), link).unwrap();
        }
    }
    let script = format!(
        "#!/bin/sh\nwhile [ ! -e '{}' ]; do /bin/sleep 0.05; done\nexec '{}'\n",
        go.display(),
        binaries().join(function).display()
    );
    let file = folder.path().join(function);
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    (folder, go)
}

/// No caller is told that a merely slow dependency doesn't answer, even when a start takes longer than AWS would allow. The
/// stack runs with the patience of `./dev up`.
#[tokio::test]
async fn all_profiles_are_stored_while_the_processors_are_busy() {
    let busy = Busy::begin();
    let (folder, go) = delay_start("profile");
    let options = Options {
        bin_dir: folder.path().to_owned(),
        start_limits: StartLimits {
            warn_after: Duration::from_millis(100),
            ..StartLimits::default()
        },
        ..World::options().patient()
    };
    let world = World::with(options).await;
    futures::join!(all_set_their_profiles(&world), async {
        eventually("a start takes too long for AWS", async || {
            let lines = world.logs("profile").unwrap();
            let slow = |line: &String| line.contains("took longer than 100ms to start");
            lines.iter().any(slow).then_some(())
        })
        .await;
        std::fs::write(&go, "").unwrap();
    });
    drop(busy);
}

/// The same for a cache that is slower than the functions would allow on AWS. Fails when patience doesn't reach the
/// functions' clients.
#[tokio::test]
async fn a_slow_cache_is_waited_for() {
    let options = Options {
        calls: Calls::Watched,
        ..World::options().patient()
    };
    let world = World::with(options).await;
    let slow = FaultAction::Delay(Duration::from_millis(700));
    let rule = FaultRule::new(When::After, slow).service(Service::Cache);
    world.on_call(rule.times(u64::MAX)).unwrap();
    all_set_their_profiles(&world).await;
}
