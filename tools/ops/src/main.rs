//! The operators' program, for stacks on AWS and the local one. `./dev ops --help` explains its commands.
//!
//! It first asks the stack for the settings of its functions, and then restarts itself with those as if it were one of them,
//! so that tables, queues and the cache are found in one way only.

mod cache;
mod check;
mod dead_letters;
mod error;
mod feed;
mod progress;
mod queues;
mod recount;
mod reindex;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use purrline::domain::UserId;

use error::Error;
use settings::Stack;

/// Operates a stack of Purrline: dead letters, counters, feeds, the search index, the cache.
///
/// On AWS it calls with your credentials, from the environment or a profile (after a sign-in by a browser:
/// eval "$(aws configure export-credentials --format env)"). Tables and queues can be reached from anywhere; the
/// cache only from inside the stack's network, such as from AWS's shell in the browser with an environment in the VPC.
#[derive(Debug, Parser)]
#[command(version, name = "ops", bin_name = "./dev ops")]
struct Arguments {
    #[command(flatten)]
    stack: Stack,
    /// Print what would be done, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Handle messages that consumers gave up after five attempts.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Drop a user's cached feed, and rebuild it from the store.
    RebuildFeed {
        /// The user's id: a token's `sub`
        #[arg(value_parser = UserId::parse)]
        user: UserId,
    },
    /// Count the follows, posts, likes or comments of a user or a post, and correct wrong counters.
    ///
    /// For a user it reads the tables of follows and of posts as a whole, twice. It does not notice changes in between, so run it
    /// when there is little traffic.
    #[command(subcommand)]
    Recount(recount::Command),
    /// Read the whole store, and print every violated invariant. Exit status 1 if there is one, 2 if the check failed.
    ///
    /// Reads each row of nine tables, which costs a read unit for 4 KB, and keeps some hundred bytes of each in memory. If it
    /// finds violations it reads everything a second time, since others write meanwhile, and prints those that are found again
    /// unchanged.
    Check,
    /// Index every post, user and cat for search again, such as after the index was lost.
    ///
    /// Reads three tables as a whole and queues a message for each row; the index keeps its content meanwhile.
    Reindex,
    /// Show the cache: its state and limits on AWS and its nodes, or its keys for a user or a post.
    Cache(cache::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !settings::are_loaded() {
        let error = arguments.stack.restart_with_settings().await;
        return failed(&error);
    }
    purrline::log::init();
    let dry_run = arguments.dry_run;
    let done = match arguments.command {
        Command::DeadLetters(command) => command.run(dry_run).await,
        Command::RebuildFeed { user } => feed::rebuild(&user, dry_run).await,
        Command::Recount(command) => command.run(dry_run).await,
        Command::Check => return check::run().await.unwrap_or_else(|error| failed(&error)),
        Command::Reindex => reindex::run(dry_run).await,
        Command::Cache(command) => command.run(arguments.stack.is_on_aws()).await,
    };
    done.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

/// Prints the error, and returns status 1 if the object of the command doesn't exist, else 2.
fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    match error {
        Error::Nothing(_) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}
