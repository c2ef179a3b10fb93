//! What is going on, for who waits: on the terminal's error output, and only if that is one.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};

const TICK: Duration = Duration::from_millis(200);

/// Something that counts and of which nobody knows how long it takes. It goes away with this.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(what: &str) -> Self {
        let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
        spinner.enable_steady_tick(TICK);
        Self(spinner)
    }

    /// So many of these by now.
    pub(crate) fn reached(&self, what: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.set_message(format!("{what}: {}", HumanCount(count)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
