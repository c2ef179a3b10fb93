//! The functions' output: kept for tests, and printed to the terminal on request.

mod render;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use owo_colors::{AnsiColors, OwoColorize as _};
use serde_json::{Map, Value};

/// The number of lines kept per function.
const MAX_LINES: usize = 2_000;

/// The colours that distinguish functions.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Yellow,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
];

/// The destination and format of the functions' output. Recent lines are always kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log {
    /// Prints nothing.
    #[default]
    Quiet,
    /// Prints short lines for people and omits uninformative ones.
    Stream,
    /// Prints all fields of all lines for people.
    Verbose,
    /// Prints the JSON that AWS receives, with the function's name added.
    Json,
}

/// A callback that receives the function's name and each line of its output.
pub type OnLine = fn(&str, &str);

/// Returns true if the stream is a terminal and `NO_COLOR` isn't set.
fn has_colours(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The output of all functions.
#[derive(Debug)]
pub(crate) struct Logs {
    log: Log,
    on_line: Option<OnLine>,
    colour: bool,
    /// Whether output is printed yet.
    printing: AtomicBool,
    lines: Mutex<BTreeMap<String, VecDeque<String>>>,
}

impl Logs {
    /// Creates empty logs. If `deferred`, short lines are printed only from [`Self::start_printing`] on, because a failed
    /// start reports its reason itself.
    pub(crate) fn new(log: Log, on_line: Option<OnLine>, deferred: bool) -> Self {
        Self {
            log,
            on_line,
            colour: has_colours(&std::io::stdout()),
            printing: AtomicBool::new(!(deferred && log == Log::Stream)),
            lines: Mutex::new(BTreeMap::new()),
        }
    }

    /// Starts printing lines. Earlier lines are kept but not printed.
    pub(crate) fn start_printing(&self) {
        self.printing.store(true, Ordering::SeqCst);
    }

    /// Adds a line of a function's output.
    pub(crate) fn push(&self, function: &str, line: &str) {
        if self.printing.load(Ordering::SeqCst) {
            self.print(function, line);
        }
        self.keep(function, line);
    }

    fn keep(&self, function: &str, line: &str) {
        if let Some(on_line) = self.on_line {
            on_line(function, line);
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lines.entry(function.to_owned()).or_default();
        if kept.len() == MAX_LINES {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    }

    /// Adds a warning by the stack itself about a function or another part, in the format of the functions' own lines.
    pub(crate) fn warn(&self, part: &str, message: &str) {
        let fields = [
            ("timestamp", Timestamp::now().to_string()),
            ("level", "WARN".to_owned()),
            ("message", message.to_owned()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), Value::from(value)));
        let line = Value::Object(Map::from_iter(fields)).to_string();
        self.print(part, &line);
        self.keep(part, &line);
    }

    fn print(&self, function: &str, line: &str) {
        let line = match self.log {
            Log::Quiet => None,
            Log::Stream => {
                let now = Timestamp::now().strftime("%H:%M:%S").to_string();
                render::short(function, line, &now, self.colour)
            }
            Log::Verbose => Some(format!(
                "{} {}",
                self.label(function),
                render::verbose(line)
            )),
            Log::Json => Some(render::json(function, line)),
        };
        if let Some(line) = line {
            // If the terminal is gone, the line needs no printing.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        }
    }

    fn label(&self, function: &str) -> String {
        let label = format!("{function:>16} |");
        if !self.colour {
            return label;
        }
        let sum = function.bytes().fold(0_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        let colour = COLOURS
            .get(sum.checked_rem(COLOURS.len()).unwrap_or(0))
            .unwrap_or(&AnsiColors::White);
        label.color(*colour).to_string()
    }

    /// Returns the kept lines of a function, oldest first.
    pub(crate) fn lines(&self, function: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .get(function)
            .map(|kept| kept.iter().cloned().collect())
            .unwrap_or_default()
    }
}
