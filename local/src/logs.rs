//! What the functions print: kept for tests, and streamed to the terminal where asked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use owo_colors::{AnsiColors, OwoColorize as _};
use serde_json::Value;

/// How many lines of a function are kept.
const KEPT: usize = 2_000;

/// How a line of metrics begins.
const METRICS: &str = r#"{"_aws":"#;

/// The colours that tell functions apart.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Yellow,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
];

/// Where the functions' lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log {
    /// Kept only.
    #[default]
    Quiet,
    /// Kept, and printed to standard output with the function's name.
    Stream,
}

/// Somebody who is shown every line: the function's name, and what it printed.
pub type OnLine = fn(&str, &str);

/// The lines of all functions.
#[derive(Debug)]
pub(crate) struct Logs {
    log: Log,
    on_line: Option<OnLine>,
    colour: bool,
    lines: Mutex<BTreeMap<String, VecDeque<String>>>,
}

impl Logs {
    pub(crate) fn new(log: Log, on_line: Option<OnLine>) -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            log,
            on_line,
            colour,
            lines: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes one line of a function.
    pub(crate) fn push(&self, function: &str, line: &str) {
        // Lines that are CloudWatch's to read tell people nothing.
        if self.log == Log::Stream && !line.starts_with(METRICS) {
            self.print(function, line);
        }
        if let Some(on_line) = self.on_line {
            on_line(function, line);
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lines.entry(function.to_owned()).or_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    }

    fn print(&self, function: &str, line: &str) {
        let line = &readable(line);
        let mut out = std::io::stdout().lock();
        // Nobody to tell if the terminal is gone.
        let _ = if self.colour {
            let sum = function.bytes().fold(0_usize, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add(usize::from(byte))
            });
            let colour = COLOURS
                .get(sum.checked_rem(COLOURS.len()).unwrap_or(0))
                .unwrap_or(&AnsiColors::White);
            writeln!(
                out,
                "{} {line}",
                format_args!("{function:>16} |").color(*colour)
            )
        } else {
            writeln!(out, "{function:>16} | {line}")
        };
    }

    /// The last lines of a function, oldest first.
    pub(crate) fn of(&self, function: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .get(function)
            .map(|kept| kept.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// A structured line as people read it: time, level, message, fields. Any other line as it is.
fn readable(line: &str) -> Cow<'_, str> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
        return line.into();
    };
    let mut text = String::new();
    let time = fields
        .remove("timestamp")
        .map(|time| plain(&time))
        .unwrap_or_default();
    text.push_str(
        time.split_once('T')
            .map_or(time.as_str(), |(_, time)| time.get(..12).unwrap_or(time)),
    );
    for name in ["level", "message"] {
        if let Some(value) = fields.remove(name) {
            text.push(' ');
            text.push_str(&plain(&value));
        }
    }
    for (name, value) in &fields {
        text.push(' ');
        text.push_str(name);
        text.push('=');
        text.push_str(&plain(value));
    }
    text.into()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn structured_lines_are_made_readable() {
        let line = r#"{"timestamp":"2026-11-21T23:51:35.869727Z","level":"INFO","message":"request","status":200,"route":"/v1"}"#;
        assert_eq!(
            readable(line),
            "23:51:35.869 INFO request route=/v1 status=200"
        );
        assert_eq!(readable("plain {"), "plain {");
    }
}
