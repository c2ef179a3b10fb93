//! What the person at the terminal sees: colours only where there is one, progress only where it
//! takes longer than two seconds.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;

/// How long something may take before it is shown that it does.
const PATIENCE: Duration = Duration::from_secs(2);

fn has_colours(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// Prints a line to standard output; nobody to tell if it is gone.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Text that stands out, where standard output has colours.
pub(crate) fn strong(text: &str) -> String {
    if has_colours(&std::io::stdout()) {
        text.bold().to_string()
    } else {
        text.to_owned()
    }
}

/// Text that steps back, where standard output has colours.
pub(crate) fn faint(text: &str) -> String {
    if has_colours(&std::io::stdout()) {
        text.dimmed().to_string()
    } else {
        text.to_owned()
    }
}

/// Prints what went wrong to standard error.
pub(crate) fn problem(text: &str) {
    let label = if has_colours(&std::io::stderr()) {
        "error:".red().bold().to_string()
    } else {
        "error:".to_owned()
    };
    let _ = writeln!(std::io::stderr(), "{label} {text}");
}

/// Does something, and shows what once it takes long.
pub(crate) async fn showing<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(PATIENCE, work.as_mut()).await {
        return done;
    }
    let spinner = if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
            .unwrap_or(ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(what.to_owned())
            .with_elapsed(PATIENCE);
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    } else {
        let _ = writeln!(std::io::stderr(), "{what} …");
        ProgressBar::hidden()
    };
    let done = work.await;
    spinner.finish_and_clear();
    done
}
