//! What is going on, for who waits: on the terminal's error output, and only if that is one.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{msg:30} {wide_bar} {human_pos}/{human_len} {per_sec:>14} {eta:>5}";
const TICK: Duration = Duration::from_millis(200);

/// A bar of so many steps.
pub(crate) fn bar(what: &str, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template(BAR) {
        bar.set_style(style);
    }
    bar
}

/// Something of which nobody knows how long it takes.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}
