//! Loads tables into a data folder before a stack starts on it, in this process and without the wire protocol.

use std::path::Path;

use dynoxide::ImportOptions;
use dynoxide::types::Item;

use super::options::Options;
use super::parameters;
use crate::address::Addresses;
use crate::error::{Error, Result};
use crate::services::TableService;
use crate::template::{LocalValues, Table};

/// Loads the tables of a data folder on which no stack runs.
#[derive(Debug)]
pub struct TableLoader {
    tables: TableService,
    plan: Vec<Table>,
}

impl TableLoader {
    /// Opens the tables in the folder that will be the `data_dir` of a stack with these options, and creates missing
    /// ones. Until [`TableLoader::finish`], a crash may corrupt them.
    ///
    /// # Errors
    /// Fails if the template is invalid, or the tables can't be created there.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(Error::io(format!("can't make {}", folder.display())))?;
        let template = parameters::read_template(&options.template)?;
        // The tables don't depend on addresses.
        let parameters = parameters::complete(&template, options, &Addresses::placeholders());
        let plan = template.plan(&parameters, &LocalValues::default())?.tables;
        let tables = TableService::open(Some(folder))?;
        tables.create(&plan)?;
        tables.database().enable_bulk_loading().map_err(failed)?;
        Ok(Self { tables, plan })
    }

    /// Writes items to the table with this logical id and to its indexes, in one transaction. Items in the order of the
    /// table's keys are written fastest.
    ///
    /// # Errors
    /// Fails if there is no such table, or if an item is invalid. No item is written then.
    pub fn import(&self, logical_id: &str, items: Vec<Item>) -> Result<()> {
        let table = self
            .plan
            .iter()
            .find(|table| table.logical_id == logical_id)
            .ok_or_else(|| failed(format!("there is no table {logical_id}")))?;
        self.tables
            .database()
            .import_items(&table.name, items, ImportOptions::default())
            .map(|_| ())
            .map_err(failed)
    }

    /// Ends the loading and makes the written items durable.
    ///
    /// # Errors
    /// Fails if the database can't be written.
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
