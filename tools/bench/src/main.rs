//! The benchmark. `./dev bench --help` explains its options; the report it writes explains each figure.
//!
//! The benchmark starts the local stack in its own process, as the tests do, and calls it through its load balancer.
//! Clients, functions, tables and cache share this machine's processors, so clients measure the whole machine. Each
//! such table therefore also shows the time spent in the function itself. All compared figures are measured in turns in
//! one run.

mod clients;
mod commands;
mod dataset;
mod effort;
mod error;
mod growth;
mod lists;
mod load;
mod machine;
mod measure;
mod numbers;
mod options;
mod progress;
mod random;
mod report;
mod rows;
mod run;
mod section;
mod server;
mod shape;
mod stage;
mod stats;
mod template;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let options = options::Options::parse();
    let done = if options.growth {
        growth::run(&options).await
    } else {
        run::run(&options).await
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
