//! A part of the report: a table with its charts, for people and programs.

use std::fmt::Write as _;

use purrline_charts::{Axis, Bars, Chart, Series};
use serde_json::{Map, Value, json};

/// A cell of a table.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Number(crate::numbers::float(count))
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => readable(*number),
            Self::Nothing => String::new(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Nothing => Value::Null,
        }
    }
}

/// Formats about three digits, with thousands separators.
fn readable(number: f64) -> String {
    let size = number.abs();
    if size >= 1000.0 || number.fract() == 0.0 {
        let digits = format!("{size:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        return if number < 0.0 {
            format!("-{text}")
        } else {
            text
        };
    }
    let decimals = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.decimals$}")
}

/// A chart of the report.
#[derive(Debug, Clone)]
pub(crate) enum Picture {
    Lines(Chart),
    Bars(Bars),
}

/// Returns a line chart.
pub(crate) fn lines(
    title: &str,
    (x, y): (&str, &str),
    log_y: bool,
    series: Vec<(String, Vec<(f64, f64)>)>,
) -> Picture {
    let axis = |label: &str, log| Axis {
        label: label.to_owned(),
        log,
    };
    let series = series
        .into_iter()
        .map(|(name, points)| Series { name, points });
    Picture::Lines(Chart {
        title: title.to_owned(),
        x: axis(x, true),
        y: axis(y, log_y),
        series: series.collect(),
    })
}

/// Returns grouped bars from zero: a bar in each group for each name.
pub(crate) fn bars(
    title: &str,
    label: &str,
    groups: &[&str],
    series: Vec<(String, Vec<f64>)>,
) -> Picture {
    let groups = groups.iter().map(|&group| group.to_owned());
    Picture::Bars(Bars {
        title: title.to_owned(),
        y: Axis {
            label: label.to_owned(),
            log: false,
        },
        groups: groups.collect(),
        series,
    })
}

/// A table of measurements.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// The name in JSON, and the prefix of the charts' files.
    pub(crate) key: &'static str,
    pub(crate) title: String,
    /// A description of the measurement, in sentences.
    pub(crate) note: String,
    /// Columns: the name in JSON, and the title.
    columns: Vec<(&'static str, &'static str)>,
    rows: Vec<Vec<Cell>>,
    pub(crate) pictures: Vec<Picture>,
}

impl Section {
    pub(crate) fn new(
        key: &'static str,
        title: &str,
        note: &str,
        columns: &[(&'static str, &'static str)],
    ) -> Self {
        Self {
            key,
            title: title.to_owned(),
            note: note.to_owned(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            pictures: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Returns the rows as objects.
    pub(crate) fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| {
            let keys = self.columns.iter().map(|(key, _)| (*key).to_owned());
            let fields: Map<String, Value> = keys.zip(row.iter().map(Cell::json)).collect();
            Value::Object(fields)
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(object).collect::<Vec<_>>() })
    }

    /// Returns the table and its description as Markdown, which is legible on a terminal too.
    pub(crate) fn markdown(&self) -> String {
        let heads = self.columns.iter().map(|(_, head)| (*head).to_owned());
        let mut lines: Vec<Vec<String>> = vec![heads.collect()];
        lines.extend(
            self.rows
                .iter()
                .map(|row| row.iter().map(Cell::text).collect()),
        );
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("### {}\n\n{}\n\n", self.title, self.note);
        for (at, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(&widths) {
                // Writing to a String doesn't fail.
                let _ = write!(text, "| {cell:>width$} ", width = *width);
            }
            text.push_str("|\n");
            if at == 0 {
                for width in &widths {
                    let _ = write!(text, "|{}:", "-".repeat(width.saturating_add(1)));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn numbers_are_short_with_thousands_separators() {
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1,234"),
            (-1_234_567.0, "-1,234,567"),
            (0.004, "0.00"),
        ] {
            assert_eq!(readable(number), text);
        }
    }
}
