//! What the functions print: kept for tests, and streamed to the terminal where asked for.

mod render;

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use owo_colors::{AnsiColors, OwoColorize as _};
use serde_json::{Map, Value};

/// How many lines of a function are kept.
const KEPT: usize = 2_000;

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
    /// Kept, and printed to standard output for people: short, without what tells nothing.
    Stream,
    /// Kept, and all that they say printed to standard output for people.
    Verbose,
    /// Kept, and printed to standard output as the JSON that AWS gets, with the function's name.
    Json,
}

/// Somebody who is shown every line: the function's name, and what it printed.
pub type OnLine = fn(&str, &str);

/// Whether text on this stream may be coloured: it is a terminal, and `NO_COLOR` isn't set.
pub(crate) fn has_colours(stream: &impl std::io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// The lines of all functions.
#[derive(Debug)]
pub(crate) struct Logs {
    log: Log,
    on_line: Option<OnLine>,
    colour: bool,
    /// Whether functions' lines are printed yet.
    begun: AtomicBool,
    lines: Mutex<BTreeMap<String, VecDeque<String>>>,
}

impl Logs {
    /// With `later`, functions' short lines are printed from [`Self::begin`] on: a start that fails says itself why.
    pub(crate) fn new(log: Log, on_line: Option<OnLine>, later: bool) -> Self {
        Self {
            log,
            on_line,
            colour: has_colours(&std::io::stdout()),
            begun: AtomicBool::new(!(later && log == Log::Stream)),
            lines: Mutex::new(BTreeMap::new()),
        }
    }

    /// Prints what functions say from now on.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    /// Takes one line of a function.
    pub(crate) fn push(&self, function: &str, line: &str) {
        if self.begun.load(Ordering::SeqCst) {
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
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line.to_owned());
    }

    /// Takes a warning of the stack's own about a function or another part, in the shape of the functions' lines.
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
            // Nobody to tell if the terminal is gone.
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

    /// The last lines of a function, oldest first.
    pub(crate) fn of(&self, function: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .get(function)
            .map(|kept| kept.iter().cloned().collect())
            .unwrap_or_default()
    }
}
