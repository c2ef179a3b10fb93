//! The report: printed table by table, and written as JSON and as Markdown with charts.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Result, file, wrong};
use crate::machine::Machine;
use crate::section::{Picture, Section};

/// The lines between which a page has its report.
const BEGIN_MARKER: &str = "<!-- from here on written by ./dev bench --growth --docs -->";
const END_MARKER: &str = "<!-- to here -->";

/// Returns the text of a page before and after the report.
pub(crate) fn split_page(path: &Path) -> Result<[String; 2]> {
    let text = std::fs::read_to_string(path).map_err(file("read", path))?;
    let place = text.split_once(BEGIN_MARKER).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END_MARKER)?;
        Some([before.to_owned(), after.to_owned()])
    });
    place.ok_or_else(|| {
        wrong(format!(
            "{} lacks the lines {BEGIN_MARKER} and {END_MARKER}",
            path.display()
        ))
    })
}

/// A report in progress.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    /// The circumstances of the measurement, by name.
    facts: Vec<(&'static str, Value)>,
    sections: Vec<Section>,
}

impl Report {
    pub(crate) fn new(title: &str) -> Self {
        let machine = Machine::this();
        println!("# {title}\n\n{}\n", machine.describe());
        Self {
            title: title.to_owned(),
            facts: vec![("machine", machine.json())],
            sections: Vec::new(),
        }
    }

    /// Adds a circumstance of the measurement.
    pub(crate) fn fact(&mut self, name: &'static str, value: Value) {
        println!("{name}: {}", describe(&value));
        self.facts.push((name, value));
    }

    /// Prints a table and keeps it.
    pub(crate) fn add(&mut self, section: Section) {
        println!("\n{}", section.markdown());
        self.sections.push(section);
    }

    /// Writes the report into a folder, with the run's errors.
    pub(crate) fn write(&self, folder: &Path, errors: &[String]) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(file("make", folder))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(file("write", &path))
        };
        write("report.json", &format!("{:#}\n", self.json(errors)))?;
        write("report.md", &self.markdown("", errors))?;
        for (name, picture) in self.sections.iter().flat_map(pictures) {
            let svg = match picture {
                Picture::Lines(chart) => chart.svg()?,
                Picture::Bars(bars) => bars.svg()?,
            };
            write(&name, &svg)?;
        }
        println!("Written: {}", folder.join("report.md").display());
        Ok(())
    }

    /// Writes the report into its place in a page, with links to the charts under `link`.
    pub(crate) fn write_into_page(&self, path: &Path, link: &str) -> Result<()> {
        let [before, after] = split_page(path)?;
        let chapter = self.markdown(link, &[]);
        let text = format!("{before}{BEGIN_MARKER}\n\n{chapter}\n{END_MARKER}{after}");
        std::fs::write(path, text).map_err(file("write", path))
    }

    fn json(&self, errors: &[String]) -> Value {
        let sections = self.sections.iter();
        let sections: Map<String, Value> = sections
            .map(|section| (section.key.to_owned(), section.json()))
            .collect();
        let facts = self.facts.iter();
        let facts = facts.map(|(name, value)| ((*name).to_owned(), value.clone()));
        let rest = [
            ("title".to_owned(), json!(self.title)),
            ("errors".to_owned(), json!(errors)),
            ("sections".to_owned(), Value::Object(sections)),
        ];
        Value::Object(rest.into_iter().chain(facts).collect())
    }

    fn markdown(&self, link: &str, errors: &[String]) -> String {
        let mut lines = vec![format!("## {}", self.title), String::new()];
        let facts = self.facts.iter();
        lines.extend(facts.map(|(name, value)| format!("- {name}: {}", describe(value))));
        lines.push(format!("- errors: {}", errors.len()));
        for section in &self.sections {
            lines.push(String::new());
            lines.push(section.markdown());
            for (name, picture) in pictures(section) {
                let title = match picture {
                    Picture::Lines(chart) => &chart.title,
                    Picture::Bars(bars) => &bars.title,
                };
                lines.push(format!("![{title}]({link}{name})\n"));
            }
        }
        lines.join("\n")
    }
}

/// Returns the charts of a section, by file name.
fn pictures(section: &Section) -> impl Iterator<Item = (String, &Picture)> {
    let numbered = (0_usize..).zip(&section.pictures);
    numbered.map(|(number, picture)| (format!("{}-{number}.svg", section.key), picture))
}

/// Formats a circumstance for readers.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let words: Vec<String> = fields
                .map(|(name, value)| format!("{name} {}", describe(value)))
                .collect();
            words.join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::options::PAGE;

    #[test]
    fn page_has_a_place_for_the_growth_chapter() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(PAGE);
        split_page(&page).unwrap();
    }

    #[test]
    fn chapter_replaces_only_its_own_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("README.md");
        let text = format!("before\n{BEGIN_MARKER}\nold\n{END_MARKER}\nafter\n");
        std::fs::write(&path, text).unwrap();
        let report = Report::new("Growth");
        for _ in 0..2 {
            report.write_into_page(&path, "pictures/").unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(&format!("before\n{BEGIN_MARKER}\n\n## Growth\n")));
            assert!(text.ends_with(&format!("\n{END_MARKER}\nafter\n")));
            assert!(!text.contains("old"));
        }
        std::fs::write(&path, "neither").unwrap();
        assert!(report.write_into_page(&path, "pictures/").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "neither");
    }
}
