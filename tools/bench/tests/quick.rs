//! Keeps the benchmark working: a tiny run of each kind must finish and report all of its figures.

// Tests and their helpers may panic.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs the benchmark, and reads its report.
fn report(arguments: &[&str]) -> (Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_purrline-bench"))
        .args(arguments)
        .arg("--quick")
        .arg("--work-dir")
        .arg(folder.path().join("work"))
        .arg("--out")
        .arg(folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n{printed}");
    let text = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["errors"], serde_json::json!([]));
    assert!(report["machine"]["cores"].as_u64() > Some(0), "{report}");
    pictures_are_there(folder.path());
    (report, folder)
}

/// Asserts that every chart of the report exists.
fn pictures_are_there(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    let names = text
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let mut pictures = 0;
    for name in names {
        let svg = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(svg.contains("<svg"), "{name}");
        pictures += 1;
    }
    assert!(pictures > 0, "{text}");
}

/// Returns the rows of a table, after asserting that each has these numbers.
fn rows<'a>(report: &'a Value, section: &str, numbers: &[&str]) -> &'a [Value] {
    let rows = report["sections"][section]["rows"].as_array();
    let rows = rows.unwrap_or_else(|| panic!("no {section}: {report:#}"));
    assert!(!rows.is_empty(), "{section}");
    for row in rows {
        for number in numbers {
            assert!(row[number].is_number(), "{section}, {number}: {row}");
        }
    }
    rows
}

/// Returns the value with a name in a table of names and values.
fn value(report: &Value, section: &str, what: &str) -> f64 {
    let rows = rows(report, section, &["value"]);
    let row = rows.iter().find(|row| row["what"] == what);
    let row = row.unwrap_or_else(|| panic!("{section} has no {what}: {rows:?}"));
    row["value"].as_f64().unwrap()
}

fn shape(name: &str) {
    let (report, _folder) = report(&["--shape", name]);
    let latencies = ["per_second", "p50_ms", "p95_ms", "p99_ms"];
    for section in ["reads", "reads_handler", "mix"] {
        for row in rows(&report, section, &latencies) {
            assert!(row["p50_ms"].as_f64() > Some(0.0), "{section}: {row}");
            assert_eq!(
                row["ratio_p50"].is_number(),
                row["way"] == "pull",
                "{section}: {row}"
            );
        }
    }
    rows(&report, "posts", &["followers", "p50_ms", "p99_ms"]);
    rows(&report, "memory", &["mean_bytes"]);
    let cost = rows(
        &report,
        "read_cost",
        &["cache_trips", "store_calls", "answer_bytes"],
    );
    assert_eq!(
        cost[0]["store_calls"], 0.0,
        "a read by fan-out asks the store: {cost:?}"
    );
    assert!(cost[1]["store_calls"].as_f64() > Some(0.0), "{cost:?}");
    for row in cost {
        assert!(row["cache_trips"].as_f64() >= Some(1.0), "{row}");
    }
    for row in rows(&report, "computing", &["invocations", "cpu_ms"]) {
        for number in ["invocations", "cpu_ms"] {
            assert!(row[number].as_f64() > Some(0.0), "{row}");
        }
    }
    let rebuilds = rows(&report, "rebuild", &["p50_ms", "store_calls"]);
    assert_eq!(
        rebuilds[1]["rebuilds"], 1.0,
        "many readers rebuild more than once: {rebuilds:?}"
    );
    assert_eq!(value(&report, "likes", "likes sent and counted"), 100.0);
    assert!(value(&report, "fan_out", "the last feed has it after, p50") > 0.0);
    let pushes = rows(&report, "push", &["per_second", "of_raw"]);
    assert!(
        pushes
            .iter()
            .all(|row| row["per_second"].as_f64() > Some(0.0)),
        "{pushes:?}"
    );
}

#[test]
fn watmew_run_reports_every_measurement() {
    shape("watmew");
}

#[test]
fn prostargram_run_reports_every_measurement() {
    shape("prostargram");
}

#[test]
fn powerlaw_run_reports_every_measurement() {
    shape("powerlaw");
}

#[test]
fn growth_run_reads_warm_pages_without_the_store() {
    let (report, _folder) = report(&["--growth"]);
    for by in ["users", "posts", "follows", "followers"] {
        let rows = rows(
            &report,
            &format!("growth_{by}"),
            &["size", "read_ms", "post_ms", "like_ms"],
        );
        assert!(rows.len() > 1, "{rows:?}");
        for row in rows {
            assert_eq!(
                row["read_store_calls"], 0.0,
                "a warm read asks the store: {row}"
            );
        }
    }
}
