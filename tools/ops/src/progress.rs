//! Progress for people who wait, on standard error if it is a terminal.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};

const TICK: Duration = Duration::from_millis(200);

/// A count of unknown total. It disappears when this is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(what: &str) -> Self {
        let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
        spinner.enable_steady_tick(TICK);
        Self(spinner)
    }

    /// Shows the count so far.
    pub(crate) fn update(&self, what: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.set_message(format!("{what}: {}", HumanCount(count)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
