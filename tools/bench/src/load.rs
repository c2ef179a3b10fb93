//! Loads data sets and keeps them: a benchmark runs on a copy.
//!
//! Rows are written by table and in the order of their keys, so that the database appends instead of searching.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use dynoxide::types::Item;
use indicatif::ProgressBar;
use purrline_local::{Options, TableLoader};

use crate::dataset::Dataset;
use crate::error::{Result, file};
use crate::numbers::{count, float};
use crate::progress::bar;
use crate::rows::{self, FOLLOWS, LAYOUT, POST_LISTS, POSTS, USERS};
use crate::shape::Graph;

/// Rows of one transaction.
const BATCH: usize = 20_000;

/// A data set on disk.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) set: Dataset,
    pub(crate) folder: PathBuf,
    /// Written rows, and the seconds it took, unless the data set was there already.
    pub(crate) wrote: Option<(u64, f64)>,
}

/// Returns the data set, from `cache` if it was loaded before.
pub(crate) fn load(set: Dataset, cache: &Path, options: &Options) -> Result<Loaded> {
    let folder = cache.join(name(&set));
    if folder.join("tables.sqlite").exists() {
        return Ok(Loaded {
            set,
            folder,
            wrote: None,
        });
    }
    let unfinished = cache.join(format!("{}.unfinished", name(&set)));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(file("remove", &unfinished))?;
    }
    let started = Instant::now();
    let rows = write(&set, &unfinished, options)?;
    fs::rename(&unfinished, &folder).map_err(file("rename", &unfinished))?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Loaded {
        set,
        folder,
        wrote: Some((rows, seconds)),
    })
}

/// Returns a name that identifies the data set.
fn name(set: &Dataset) -> String {
    let size = &set.size;
    let graph = match size.graph {
        Graph::Even(average) => format!("even{average}"),
        Graph::Readers { readers, authors } => format!("readers{readers}x{authors}"),
        Graph::Powerlaw => "powerlaw".to_owned(),
    };
    let probes = size.probe_readers.iter().chain(&size.probe_authors);
    let probes: Vec<String> = probes.map(u32::to_string).collect();
    format!(
        "{}-{}-{}u-{}a-{}p-{graph}-{}-v{LAYOUT}",
        size.name,
        size.seed,
        size.users,
        size.authors,
        size.posts,
        probes.join("."),
    )
}

fn write(set: &Dataset, folder: &Path, options: &Options) -> Result<u64> {
    let authors = u64::from(set.size.authors);
    let total = u64::from(set.everybody) + count_follows(set) * 2 + set.size.posts * 2 + authors;
    let mut loader = Writer {
        tables: TableLoader::open(folder, options)?,
        table: USERS,
        batch: Vec::with_capacity(BATCH),
        bar: bar(&format!("loading {}", set.size.name), total),
        rows: 0,
    };
    for user in 0..set.everybody {
        loader.put(USERS, rows::user(set, user)?)?;
    }
    for user in 0..set.everybody {
        for row in rows::followers(set, user) {
            loader.put(FOLLOWS, row)?;
        }
    }
    for user in 0..set.everybody {
        for row in rows::following(set, user) {
            loader.put(FOLLOWS, row)?;
        }
    }
    for post in 0..set.size.posts {
        loader.put(POSTS, rows::post(set, post))?;
    }
    for author in 0..set.size.authors {
        for row in rows::places(set, author) {
            loader.put(POST_LISTS, row)?;
        }
    }
    for row in (0..set.size.authors).filter_map(|author| rows::recent(set, author)) {
        loader.put(POST_LISTS, row)?;
    }
    loader.finish()
}

fn count_follows(set: &Dataset) -> u64 {
    u64::try_from(set.follows()).unwrap_or(u64::MAX)
}

/// Collects rows of one table into batches.
struct Writer {
    tables: TableLoader,
    table: &'static str,
    batch: Vec<Item>,
    bar: ProgressBar,
    rows: u64,
}

impl Writer {
    fn put(&mut self, table: &'static str, row: Item) -> Result<()> {
        if table != self.table || self.batch.len() >= BATCH {
            self.flush()?;
            self.table = table;
        }
        self.batch.push(row);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let rows = count(&batch);
        self.tables.import(self.table, batch)?;
        self.rows = self.rows.saturating_add(rows);
        self.bar.inc(rows);
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.tables.finish()?;
        self.bar.finish_and_clear();
        Ok(self.rows)
    }
}

impl Loaded {
    /// Describes the written rows and the speed of writing.
    pub(crate) fn describe(&self) -> String {
        match self.wrote {
            None => "loaded before".to_owned(),
            Some((rows, seconds)) => format!(
                "{rows} rows loaded in {seconds:.1} s, {:.0} a second",
                float(rows) / seconds.max(f64::MIN_POSITIVE)
            ),
        }
    }
}

/// Copies a data set's folder, so that a run changes only the copy.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(file("make", to))?;
    for entry in fs::read_dir(from).map_err(file("read", from))? {
        let entry = entry.map_err(file("read", from))?;
        if entry.path().is_file() {
            let target = to.join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(file("write", &target))?;
        }
    }
    Ok(())
}
