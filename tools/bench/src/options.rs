//! The command line.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::error::{Result, file, wrong};
use crate::shape::Shape;
use crate::stage::Setting;

/// Measures reads, posts, likes and fan-outs on a local stack, and writes a report
///
/// Loads a data set (which is kept for the next run), starts the whole stack on a copy of it, calls it through its load
/// balancer, and prints tables: the times that clients see, and the part spent in the functions. Writes the same tables as
/// report.json, and as report.md with charts.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", bin_name = "./dev bench", max_term_width = 100)]
pub(crate) struct Options {
    /// The data set
    #[arg(long, value_enum, default_value = "watmew")]
    pub(crate) shape: Shape,
    /// Multiplies the size of the data set
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub(crate) scale: f64,
    /// Seed of the data set
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,
    /// Measures a tiny data set briefly, which only shows that the benchmark works
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures how costs grow with users, follows, followers and posts, instead
    #[arg(long)]
    pub(crate) growth: bool,
    /// Writes the chapter on growth of docs/performance.md, with its charts beside the benchmark
    #[arg(long, requires = "growth", conflicts_with_all = ["out", "quick"])]
    pub(crate) docs: bool,
    /// Measures only these parts, by their names in report.json
    #[arg(long, value_delimiter = ',', value_name = "PART,...")]
    pub(crate) only: Vec<String>,
    /// Folder of the report [default: a folder of target/bench, by the shape]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The maximum number of processes of one function, and of concurrent batches of one queue [default: four per core]
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// Memory of the cache in MB
    #[arg(long, default_value_t = 4096, value_name = "MB")]
    cache_mb: u32,
    /// Folder of data sets and their copies [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    work_dir: Option<PathBuf>,
}

/// The folder of the chapter's charts.
const CHAPTER: &str = "tools/bench/growth/";
/// The page with the chapter.
pub(crate) const PAGE: &str = "docs/performance.md";
/// The same folder, relative to the page.
const FROM_PAGE: &str = "../tools/bench/growth/";

/// The scale of a quick run's data set.
const QUICK_SCALE: f64 = 0.001;

impl Options {
    /// Returns the scale of the data set.
    pub(crate) fn scale(&self) -> Result<f64> {
        if !(self.scale > 0.0 && self.scale <= 1000.0) {
            return Err(wrong("--scale must be above 0 and at most 1000"));
        }
        Ok(if self.quick { QUICK_SCALE } else { self.scale })
    }

    /// Returns whether a part is to be measured.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Returns the folder of data sets.
    pub(crate) fn data(&self) -> PathBuf {
        self.work().join("data")
    }

    /// Returns the folder of the report.
    pub(crate) fn out(&self) -> PathBuf {
        if self.docs {
            return repository().join(CHAPTER);
        }
        let name = if self.growth {
            "growth"
        } else {
            self.shape.name()
        };
        self.out.clone().unwrap_or_else(|| self.work().join(name))
    }

    /// Returns the page with the report's chapter, and the path of its charts from there.
    pub(crate) fn chapter(&self) -> Option<(PathBuf, &'static str)> {
        let page = || (repository().join(PAGE), FROM_PAGE);
        self.docs.then(page)
    }

    fn work(&self) -> PathBuf {
        let beside = || repository().join("target").join("bench");
        self.work_dir.clone().unwrap_or_else(beside)
    }

    /// Returns the setting of stacks: the deployed template, and the binaries beside this one.
    pub(crate) fn setting(&self) -> Result<Setting> {
        let program = std::env::current_exe().map_err(file("find", Path::new("this program")))?;
        let bin_dir = program.parent().unwrap_or(Path::new(".")).to_owned();
        let work = self.work();
        std::fs::create_dir_all(&work).map_err(file("make", &work))?;
        Ok(Setting {
            template: repository().join("template.yaml"),
            bin_dir,
            work,
            workers: self.workers.unwrap_or_else(default_workers),
            cache_mb: self.cache_mb,
        })
    }
}

/// Returns a number of processes for the cores: with more, they only wait for each other.
fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get().saturating_mul(4))
}

/// Returns the repository's root at build time.
fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}
