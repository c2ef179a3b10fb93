//! Formats the functions' log lines for a terminal.
//!
//! All short lines have the same layout: time, event, outcome, duration, function, the first eight characters of the
//! request id, and other fields that aren't zero:
//!
//! ```text
//! 21:28:51  GET /v1/feed  200  4 ms  feed  dbfa1ca3  cache 3
//! 21:28:52  3 messages  ok  12 ms  like-consumer  0b5e1f7a  dynamodb 4, queued 980 ms
//! 21:28:53  WARN unavailable  profile  3cc80e14  error=timed out
//! ```

use owo_colors::OwoColorize as _;
use serde_json::{Map, Value};

/// The start of a line of metrics, which is meant for `CloudWatch`.
const METRICS: &str = r#"{"_aws":"#;
/// The messages with which a function logs each request, batch and scheduled run.
const REQUEST: &str = "request";
const BATCH: &str = "batch";
const RUN: &str = "run";
/// The number of characters of a request id that are shown.
const SHOWN_ID_LENGTH: usize = 8;
/// The separator of a line's segments.
const GAP: &str = "  ";

/// The style of a segment where colours are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    fn of_status(status: u64) -> Self {
        match status {
            0..400 => Self::Good,
            400..500 => Self::Warning,
            _ => Self::Bad,
        }
    }

    fn paint(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Faint => text.dimmed().to_string(),
            Self::Good => text.green().to_string(),
            Self::Warning => text.yellow().to_string(),
            Self::Bad => text.red().to_string(),
        }
    }
}

/// The segments of a line, from left to right.
struct Segments(Vec<(Tone, String)>);

impl Segments {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn add(mut self, tone: Tone, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.0.push((tone, text));
        }
        self
    }

    fn render(self, colour: bool) -> String {
        let mut line = String::new();
        for (tone, text) in self.0 {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let text = printable(&text);
            line.push_str(&if colour { tone.paint(&text) } else { text });
        }
        line
    }
}

/// The fields of a structured line.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(line: &str) -> Option<Self> {
        match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => Some(Self(fields)),
            _ => None,
        }
    }

    fn text(&mut self, name: &str) -> String {
        self.0
            .remove(name)
            .map(|value| plain(&value))
            .unwrap_or_default()
    }

    fn number(&mut self, name: &str) -> u64 {
        let value = self.0.remove(name);
        value.as_ref().and_then(Value::as_u64).unwrap_or(0)
    }

    /// Returns the time of day to the second, `23:51:35` for `2026-11-21T23:51:35.869727Z`.
    fn time(&mut self, now: &str) -> String {
        let time = self.text("timestamp");
        let time_of_day = time.split_once('T').and_then(|(_, time)| time.get(..8));
        time_of_day.unwrap_or(now).to_owned()
    }

    /// Returns the start of the request id, which is all that is shown. The id is a field of the line or of its span.
    fn short_id(&mut self) -> String {
        let span = self.0.remove("span");
        let own = self.text(REQUEST_ID);
        let in_span = span.as_ref().and_then(|span| span.get(REQUEST_ID));
        let id = in_span.map(plain).filter(|_| own.is_empty()).unwrap_or(own);
        id.chars().take(SHOWN_ID_LENGTH).collect()
    }

    /// Returns the names and values of the remaining fields that are neither zero nor empty.
    fn rest(self) -> Vec<(String, String)> {
        let nonzero = self.0.into_iter().filter(|(_, value)| !is_zero(value));
        nonzero.map(|(name, value)| (name, plain(&value))).collect()
    }
}

const REQUEST_ID: &str = "request_id";

/// Formats a line briefly, for people. Returns `None` for uninformative lines: metrics, successful scheduled runs, and
/// counts of zero. `now` is the time shown for lines without a timestamp.
pub(super) fn short(function: &str, line: &str, now: &str, colour: bool) -> Option<String> {
    if line.starts_with(METRICS) {
        return None;
    }
    let Some(mut fields) = Fields::parse(line) else {
        let segments = Segments::new().add(Tone::Faint, now).add(Tone::Plain, line);
        return Some(segments.add(Tone::Faint, function).render(colour));
    };
    let start = Segments::new().add(Tone::Faint, fields.time(now));
    let (level, message) = (fields.text("level"), fields.text("message"));
    let segments = match message.as_str() {
        REQUEST => request(start, fields, function),
        BATCH => batch(start, fields, function),
        RUN => run(start, fields, function)?,
        _ => other(start, &level, &message, fields, function)?,
    };
    Some(segments.render(colour))
}

fn request(start: Segments, mut fields: Fields, function: &str) -> Segments {
    let event = format!("{} {}", fields.text("method"), fields.text("route"));
    let status = fields.number("status");
    let segments = start
        .add(Tone::Plain, event)
        .add(Tone::of_status(status), status.to_string());
    add_ending(segments, fields, function)
}

fn batch(start: Segments, mut fields: Fields, function: &str) -> Segments {
    let event = match fields.number("received") {
        1 => "1 message".to_owned(),
        number => format!("{number} messages"),
    };
    let segments = start.add(Tone::Plain, event);
    let segments = match fields.number("failed") {
        0 => segments.add(Tone::Good, "ok"),
        failed => segments.add(Tone::Bad, format!("{failed} failed")),
    };
    add_ending(segments, fields, function)
}

fn run(start: Segments, mut fields: Fields, function: &str) -> Option<Segments> {
    if fields.text("failed") != "true" {
        return None;
    }
    let segments = start.add(Tone::Plain, "run").add(Tone::Bad, "failed");
    Some(add_ending(segments, fields, function))
}

/// Adds the duration, the function, the request id, and the other fields, such as the number of calls to each service.
fn add_ending(segments: Segments, mut fields: Fields, function: &str) -> Segments {
    let took = format!("{} ms", fields.number("duration_ms"));
    let queued = fields.number("queued_ms");
    let segments = segments
        .add(Tone::Plain, took)
        .add(Tone::Faint, function)
        .add(Tone::Faint, fields.short_id());
    // These fields are meant for programs.
    for name in ["trace", "traces", "caller"] {
        fields.text(name);
    }
    let rest = fields.rest().into_iter();
    let mut rest: Vec<String> = rest
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if queued > 0 {
        rest.push(format!("queued {queued} ms"));
    }
    segments.add(Tone::Faint, rest.join(", "))
}

fn other(
    start: Segments,
    level: &str,
    message: &str,
    mut fields: Fields,
    function: &str,
) -> Option<Segments> {
    let numbers = fields.0.values().filter(|value| value.is_number()).count();
    let id = fields.short_id();
    fields.text("trace");
    let rest = fields.rest();
    let is_calm = matches!(level, "" | "INFO" | "DEBUG" | "TRACE");
    if is_calm && numbers > 0 && rest.is_empty() {
        return None;
    }
    let tone = match level {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Warning,
        _ => Tone::Plain,
    };
    let text = if is_calm {
        message.to_owned()
    } else {
        format!("{level} {message}")
    };
    let rest = rest
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    Some(
        start
            .add(tone, text)
            .add(Tone::Faint, function)
            .add(Tone::Faint, id)
            .add(Tone::Plain, rest.collect::<Vec<_>>().join(" ")),
    )
}

/// Formats a structured line with all its fields: time, level, message and the rest. Other lines keep their text.
pub(super) fn verbose(line: &str) -> String {
    let Some(Fields(mut fields)) = Fields::parse(line) else {
        return printable(line);
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
    printable(text.trim_start())
}

/// Adds the function's name to a line, which on AWS is part of the log stream's name.
pub(super) fn json(function: &str, line: &str) -> String {
    let function = Value::from(function);
    match Fields::parse(line) {
        Some(Fields(fields)) => {
            let rest = line.trim_start().trim_start_matches('{');
            let comma = if fields.is_empty() { "" } else { "," };
            format!(r#"{{"function":{function}{comma}{rest}"#)
        }
        None => format!(
            r#"{{"function":{function},"message":{}}}"#,
            Value::from(line)
        ),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Escapes control characters, which could move the terminal's cursor or worse.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    const NOW: &str = "12:00:00";

    fn line(more: Value) -> String {
        let mut fields = json!({ "timestamp": "2026-11-21T21:28:51.869727Z", "level": "INFO" });
        let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) else {
            return String::new();
        };
        fields.extend(more);
        Value::Object(fields.clone()).to_string()
    }

    fn request(status: u64, cache: u64) -> String {
        line(json!({
            "message": "request", "request_id": "dbfa1ca3-0d3c-4a6e-9f0a-1a2b3c4d5e6f",
            "trace": "Root=1-6749-00", "caller": "b047fc4e2d3fa838", "method": "GET", "route": "/v1/feed",
            "status": status, "duration_ms": 0, "dynamodb": 0, "sqs": 0, "s3": 0, "lambda": 0, "cache": cache,
        }))
    }

    fn shown(function: &str, line: &str) -> Option<String> {
        short(function, line, NOW, false)
    }

    #[test]
    fn request_is_one_short_line() {
        assert_eq!(
            shown("feed", &request(401, 0)).unwrap(),
            "21:28:51  GET /v1/feed  401  0 ms  feed  dbfa1ca3"
        );
        assert_eq!(
            shown("feed", &request(200, 3)).unwrap(),
            "21:28:51  GET /v1/feed  200  0 ms  feed  dbfa1ca3  cache 3"
        );
    }

    #[test]
    fn batch_is_formatted_like_a_request() {
        let batch = |received: u64, failed: u64| {
            line(json!({
                "message": "batch", "request_id": "0b5e1f7a-0d3c", "traces": "Root=1-6749-00 Root=1-6749-01",
                "received": received, "failed": failed, "queued_ms": 980, "duration_ms": 12, "dynamodb": 4, "sqs": 0,
            }))
        };
        assert_eq!(
            shown("like-consumer", &batch(3, 0)).unwrap(),
            "21:28:51  3 messages  ok  12 ms  like-consumer  0b5e1f7a  dynamodb 4, queued 980 ms"
        );
        assert_eq!(
            shown("like-consumer", &batch(1, 1)).unwrap(),
            "21:28:51  1 message  1 failed  12 ms  like-consumer  0b5e1f7a  dynamodb 4, queued 980 ms"
        );
    }

    #[test]
    fn only_idle_runs_are_omitted() {
        let run = |failed: bool| {
            line(json!({
                "message": "run", "request_id": "3cc80e14-1", "duration_ms": 31, "failed": failed, "dynamodb": 17,
            }))
        };
        let sweep = |found: u64| {
            line(json!({ "message": "sweep", "found": found, "cats": 0, "failed": 0 }))
        };
        assert_eq!(shown("sweep", &run(false)), None);
        assert_eq!(shown("sweep", &sweep(0)), None);
        assert_eq!(
            shown("sweep", &run(true)).unwrap(),
            "21:28:51  run  failed  31 ms  sweep  3cc80e14  dynamodb 17"
        );
        assert_eq!(
            shown("sweep", &sweep(2)).unwrap(),
            "21:28:51  sweep  sweep  found=2"
        );
        assert_eq!(
            shown("sweep", &line(json!({ "message": "an account is erased" }))).unwrap(),
            "21:28:51  an account is erased  sweep"
        );
    }

    #[test]
    fn warnings_are_never_omitted() {
        let warning = json!({
            "level": "WARN", "message": "unavailable", "error": "timed out", "bytes": 0,
            "span": { "name": "request", "request_id": "3cc80e14-99", "trace": "Root=1-1" },
        });
        assert_eq!(
            shown("profile", &line(warning)).unwrap(),
            "21:28:51  WARN unavailable  profile  3cc80e14  error=timed out"
        );
        let zeros = json!({ "level": "ERROR", "message": "failed", "bytes": 0 });
        assert_eq!(
            shown("profile", &line(zeros)).unwrap(),
            "21:28:51  ERROR failed  profile"
        );
    }

    #[test]
    fn status_decides_the_colour() {
        let colour = |status| short("feed", &request(status, 0), NOW, true).unwrap();
        for (status, code) in [(200, 32), (304, 32), (404, 33), (503, 31)] {
            let painted = format!("\u{1b}[{code}m{status}\u{1b}[39m");
            assert!(colour(status).contains(&painted), "{:?}", colour(status));
        }
        assert!(!shown("feed", &request(503, 1)).unwrap().contains('\u{1b}'));
    }

    #[test]
    fn metrics_are_omitted_and_plain_lines_are_shown() {
        assert_eq!(shown("feed", r#"{"_aws":{"Timestamp":1}}"#), None);
        assert_eq!(
            shown("probe", "plain {").unwrap(),
            "12:00:00  plain {  probe"
        );
        assert_eq!(
            shown("probe", "a\u{1b}[2Jb").unwrap(),
            r"12:00:00  a\u{1b}[2Jb  probe"
        );
    }

    #[test]
    fn verbose_line_has_every_field() {
        assert_eq!(
            verbose(
                r#"{"timestamp":"2026-11-21T23:51:35.869727Z","level":"INFO","message":"request","status":200,"cache":0}"#
            ),
            "23:51:35.869 INFO request cache=0 status=200"
        );
        assert_eq!(verbose("plain {"), "plain {");
    }

    #[test]
    fn json_line_gets_the_functions_name() {
        for (line, expected) in [
            (r#"{"b":1,"a":2}"#, r#"{"function":"feed","b":1,"a":2}"#),
            ("{}", r#"{"function":"feed"}"#),
            ("plain {", r#"{"function":"feed","message":"plain {"}"#),
            (
                r#"say "hi""#,
                r#"{"function":"feed","message":"say \"hi\""}"#,
            ),
        ] {
            assert_eq!(json("feed", line), expected);
            assert!(
                serde_json::from_str::<Value>(&json("feed", line)).is_ok(),
                "{line}"
            );
        }
    }
}
