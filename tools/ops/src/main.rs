//! What operators do, against a stack on AWS or the local one alike. `./dev ops --help` says how.
//!
//! It first asks the stack for the settings that its functions have, and then starts itself anew with those, as if it
//! were one of them: tables, queues and the cache are found in one way only.

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

/// Operates a stack of Purrline: what its consumers gave up, what it counted, what its cache keeps.
///
/// On AWS it calls as who you are there, by the environment or a profile (after a sign-in by a browser:
/// eval "$(aws configure export-credentials --format env)"). Tables and queues can be reached from anywhere; the
/// cache only from inside the stack's network, such as from AWS's shell in the browser with an environment in the
/// stack's VPC.
#[derive(Debug, Parser)]
#[command(version, name = "ops", bin_name = "./dev ops")]
struct Arguments {
    #[command(flatten)]
    stack: Stack,
    /// Say what would be done, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Messages that consumers gave up after five attempts.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Forget what is kept of a user's feed, and have it put together anew from the store.
    RebuildFeed {
        /// The user's id: a token's `sub`.
        #[arg(value_parser = UserId::parse)]
        user: UserId,
    },
    /// Count what a user or a post has, and correct the counters that say otherwise.
    ///
    /// Of a user it reads the tables of follows and of posts as a whole, twice. What comes and goes in between is not
    /// noticed: better do it when it is quiet.
    #[command(subcommand)]
    Recount(recount::Command),
    /// Read the whole store and say what does not hold in it. Exit status 1 if anything does not, 2 if it can't be said.
    ///
    /// Reads each row of nine tables, which costs a read unit for 4 KB, and keeps some hundred bytes of each in memory. Where
    /// something seems not to hold it reads all a second time, since others write meanwhile, and tells what is the very
    /// same then.
    Check,
    /// Have search look at every post, user and cat again, such as when its index was lost.
    ///
    /// Reads three tables as a whole and queues a message for each; what the index knows it keeps meanwhile.
    Reindex,
    /// Show the cache: its state and limits on AWS and its nodes, or what it keeps for a user or a post.
    Cache(cache::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !settings::are_here() {
        let error = arguments.stack.enter().await;
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

/// Says what went wrong: status 1 where what was asked for isn't there, else 2.
fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    match error {
        Error::Nothing(_) => ExitCode::FAILURE,
        _ => ExitCode::from(2),
    }
}
