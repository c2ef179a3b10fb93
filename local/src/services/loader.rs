//! Fills a data folder's tables before a stack is started on it: in this process, a transaction a batch, without
//! the wire protocol.

use std::path::Path;

use dynoxide::ImportOptions;
use dynoxide::types::Item;

use super::TableService;
use crate::address::Addresses;
use crate::error::{Error, Result};
use crate::stack::Options;
use crate::start::{parameters, read_template};
use crate::template::{LocalValues, Table};

/// The tables of a data folder on which no stack runs.
#[derive(Debug)]
pub struct TableLoader {
    tables: TableService,
    plan: Vec<Table>,
}

impl TableLoader {
    /// Opens the tables in a folder, which a stack of these options will have as its `data_dir`, and creates
    /// those that aren't there. Until [`TableLoader::finish`] a crash may leave them broken.
    ///
    /// # Errors
    /// The template is wrong, or the tables can't be created there.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(Error::io(format!("can't make {}", folder.display())))?;
        let template = read_template(&options.template)?;
        // Where things are says nothing about the tables.
        let parameters = parameters(&template, options, &Addresses::nowhere());
        let plan = template.plan(&parameters, &LocalValues::default())?.tables;
        let tables = TableService::open(Some(folder))?;
        tables.create(&plan)?;
        tables.database().enable_bulk_loading().map_err(failed)?;
        Ok(Self { tables, plan })
    }

    /// Writes items into a table of that logical id, indexes and all, in one transaction. Fastest in the order
    /// of the table's keys.
    ///
    /// # Errors
    /// There is no such table, or an item doesn't fit it; then none is written.
    pub fn import(&self, logical_id: &str, items: Vec<Item>) -> Result<()> {
        let table = self
            .plan
            .iter()
            .find(|table| table.logical_id == logical_id)
            .ok_or_else(|| failed(format!("there is no {logical_id}")))?;
        self.tables
            .database()
            .import_items(&table.name, items, ImportOptions::default())
            .map(|_| ())
            .map_err(failed)
    }

    /// Ends the loading: what was written stays.
    ///
    /// # Errors
    /// The database can't be written.
    pub fn finish(self) -> Result<()> {
        self.tables
            .database()
            .disable_bulk_loading()
            .map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("tables", error)
}
