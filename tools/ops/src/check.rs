//! Checks the store's invariants.

use std::process::ExitCode;

use purrline::aws;
use purrline::domain::Timestamp;
use purrline::store::Store;

use crate::error::Error;
use crate::progress::Progress;

/// Prints each violated invariant, and returns whether there is none.
pub(crate) async fn run() -> Result<ExitCode, Error> {
    let store = Store::from_env(&aws::config().await)?;
    let progress = Progress::new("reading");
    let mut rows = std::collections::BTreeMap::new();
    let differences = store
        .differences(Timestamp::now(), |table, read| {
            rows.insert(table.to_owned(), read);
            progress.update(&format!("rows of {table}"), read);
        })
        .await?;
    drop(progress);
    for difference in &differences {
        println!("{difference}");
    }
    let read: usize = rows.values().sum();
    let (tables, found) = (rows.len(), differences.len());
    println!("{read} rows of {tables} tables read, {found} differences found");
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
