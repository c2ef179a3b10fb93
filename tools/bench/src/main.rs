//! The benchmark. `./dev bench --help` says how to run it; what each figure means stands in the report it writes.
//!
//! It starts the local stack in its own process, as tests do, and calls it through its load balancer. Clients,
//! functions, tables and cache share this machine's processors, so what clients see is the whole machine's doing:
//! beside each such table stands what the function itself took. Whatever is compared was measured in turns in one
//! run.

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
