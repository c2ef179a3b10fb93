//! Output for people: colours only on a terminal, and progress only for work that takes longer than two seconds.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;

/// The time after which work shows its progress.
const SHOW_PROGRESS_AFTER: Duration = Duration::from_secs(2);

fn has_colours(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// Prints a line to standard output. Ignores errors, since they couldn't be shown.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Emphasizes text if standard output has colours.
pub(crate) fn strong(text: &str) -> String {
    if has_colours(&std::io::stdout()) {
        text.bold().to_string()
    } else {
        text.to_owned()
    }
}

/// Dims text if standard output has colours.
pub(crate) fn faint(text: &str) -> String {
    if has_colours(&std::io::stdout()) {
        text.dimmed().to_string()
    } else {
        text.to_owned()
    }
}

/// Prints an error to standard error.
pub(crate) fn problem(text: &str) {
    let label = if has_colours(&std::io::stderr()) {
        "error:".red().bold().to_string()
    } else {
        "error:".to_owned()
    };
    let _ = writeln!(std::io::stderr(), "{label} {text}");
}

/// Awaits work. Shows `description` once the work has taken `SHOW_PROGRESS_AFTER`.
pub(crate) async fn with_progress<T>(description: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(SHOW_PROGRESS_AFTER, work.as_mut()).await {
        return done;
    }
    let spinner = if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
            .unwrap_or(ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(description.to_owned())
            .with_elapsed(SHOW_PROGRESS_AFTER);
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    } else {
        let _ = writeln!(std::io::stderr(), "{description} …");
        ProgressBar::hidden()
    };
    let done = work.await;
    spinner.finish_and_clear();
    done
}
