//! A machine that has other work to do: the local stack is slow there, and still answers as api.md says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::join_all;
use purrline_local::{Calls, FaultAction, FaultRule, Options, Service, When};
use serde_json::json;

use crate::support::World;

/// More than the machine has processors, so that all of them are busy.
const THREADS_PER_PROCESSOR: usize = 4;
/// The number of people who set their profile at once.
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

/// Nobody is told that something doesn't answer that is merely slow. As `./dev up` runs it.
#[tokio::test]
async fn all_profiles_are_taken_while_the_processors_are_busy() {
    let busy = Busy::begin();
    let world = World::with(World::options().patient()).await;
    all_set_their_profiles(&world).await;
    drop(busy);
}

/// The same for a cache that takes longer than AWS's would be waited for. Fails when patience doesn't reach the
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
