//! What it is told on the command line.

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::error::{Result, file, wrong};
use crate::shape::Shape;
use crate::stage::Setting;

/// Measures reads, posts, likes and fan-outs on a local stack, and writes what came of it
///
/// Loads a data set (it is kept, so that the next run finds it), starts the whole stack on a copy of it, calls it
/// through its load balancer, and prints tables: what clients see, and what the functions took of that. The same
/// tables are written as report.json, and as report.md with plots.
#[derive(Debug, Clone, Parser)]
#[command(name = "bench", bin_name = "./dev bench", max_term_width = 100)]
pub(crate) struct Options {
    /// The data set
    #[arg(long, value_enum, default_value = "watmew")]
    pub(crate) shape: Shape,
    /// So many times as large as the shape says
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub(crate) scale: f64,
    /// Other numbers give another data set of the same shape
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) seed: u64,
    /// Tiny and short: shows that it works, and no more
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures how costs grow with users, follows, followers and posts, instead
    #[arg(long)]
    pub(crate) growth: bool,
    /// Writes the chapter on growth of docs/performance.md, with its pictures beside the benchmark
    #[arg(long, requires = "growth", conflicts_with_all = ["out", "quick"])]
    pub(crate) docs: bool,
    /// Measures these parts only, by their names in report.json
    #[arg(long, value_delimiter = ',', value_name = "PART,...")]
    pub(crate) only: Vec<String>,
    /// Where the report goes [default: target/bench/<shape>, or target/bench/growth]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The most processes of one function, and the most batches of one queue at a time [default: four a core]
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// The cache's memory in MB
    #[arg(long, default_value_t = 4096, value_name = "MB")]
    cache_mb: u32,
    /// Where data sets are kept, and copies run [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    work_dir: Option<PathBuf>,
}

/// The folder of the pictures of docs/performance.md's chapter.
const CHAPTER: &str = "tools/bench/growth/";
/// The page that has the chapter.
pub(crate) const PAGE: &str = "docs/performance.md";
/// The same folder, as the page links to it.
const FROM_PAGE: &str = "../tools/bench/growth/";

/// How much smaller a quick run's data set is.
const QUICK_SCALE: f64 = 0.001;

impl Options {
    /// The size of the data set against what the shape says.
    pub(crate) fn scale(&self) -> Result<f64> {
        if !(self.scale > 0.0 && self.scale <= 1000.0) {
            return Err(wrong("--scale must be above 0 and at most 1000"));
        }
        Ok(if self.quick { QUICK_SCALE } else { self.scale })
    }

    /// Whether a part is to be measured.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Where data sets are kept.
    pub(crate) fn data(&self) -> PathBuf {
        self.work().join("data")
    }

    /// Where the report goes.
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

    /// The text that has a chapter of the report, and where from there its pictures are.
    pub(crate) fn chapter(&self) -> Option<(PathBuf, &'static str)> {
        let page = || (repository().join(PAGE), FROM_PAGE);
        self.docs.then(page)
    }

    fn work(&self) -> PathBuf {
        let beside = || repository().join("target").join("bench");
        self.work_dir.clone().unwrap_or_else(beside)
    }

    /// How stacks are run: the deployed template, and the binaries that lie beside this one.
    pub(crate) fn setting(&self) -> Result<Setting> {
        let program = std::env::current_exe().map_err(file("find", Path::new("this program")))?;
        let bin_dir = program.parent().unwrap_or(Path::new(".")).to_owned();
        let work = self.work();
        std::fs::create_dir_all(&work).map_err(file("make", &work))?;
        Ok(Setting {
            template: repository().join("template.yaml"),
            bin_dir,
            work,
            workers: self.workers.unwrap_or_else(a_few_a_core),
            cache_mb: self.cache_mb,
        })
    }
}

/// More than that only wait for each other, and for the processor.
fn a_few_a_core() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get().saturating_mul(4))
}

/// The repository's root, as it was when this was built.
fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}
