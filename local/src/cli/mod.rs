//! The command line, which `./dev` passes to this program.

mod common;
mod invoke;
mod terminal;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use purrline_local::Error;

/// Runs Purrline on this machine, with the same functions, template and wire protocols as on AWS.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    name = "purrline-local",
    bin_name = "./dev"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything that the template deploys, and stream the functions' logs until Ctrl-C.
    Up(up::Up),
    /// Send one event to a function and print its answer.
    Invoke(invoke::Invoke),
}

/// Runs the command, and prints errors to standard error.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Up(up) => up.run().await,
        Command::Invoke(invoke) => invoke.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::problem(&error.to_string());
            match error {
                // The same exit status as for invalid options.
                Error::Parameters(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

#[cfg(test)]
#[allow(dead_code)]
#[path = "../../preflight.rs"]
mod preflight;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::{Arguments, preflight, up};

    #[test]
    fn preflight_and_start_accept_the_same_public_urls() {
        for (url, is_right) in [
            ("https://cats.example", true),
            ("HTTP://cats.example/", true),
            ("http://192.168.0.5:8080", true),
            ("https://고양이.example:/", true),
            ("http://[::1]:8080", true),
            ("http://[::1]", true),
            ("http://my_laptop.local", true),
            ("cats.example", false),
            ("localhost:8080", false),
            ("ftp://cats.example", false),
            ("https://", false),
            ("https:///", false),
            ("https://:80", false),
            ("https://cats.example/app", false),
            ("https://cats.example//", false),
            ("https://cats.example?x", false),
            ("https://cats.example/#x", false),
            ("https://nabi@cats.example", false),
            ("https://:secret@cats.example", false),
            ("https://cats.example:65536", false),
            ("https://cats.example:x", false),
            ("https://cats example", false),
            ("http://[::x]", false),
            ("http://[::1", false),
            ("http://::1", false),
            ("", false),
        ] {
            assert_eq!(preflight::is_origin(url), is_right, "{url}");
            assert_eq!(up::origin(url).is_ok(), is_right, "{url}");
        }
    }

    #[test]
    fn preflight_knows_every_option() {
        let mut all = Arguments::command();
        all.build();
        for name in ["up", "invoke"] {
            let command = all.find_subcommand(name).unwrap();
            let options = command.get_arguments().filter_map(|option| {
                let long = option.get_long()?;
                Some(format!("--{long}"))
            });
            let checked = preflight::names(name).into_iter().map(str::to_owned);
            assert_eq!(
                options.collect::<BTreeSet<_>>(),
                checked.collect::<BTreeSet<_>>(),
                "{name}: see local/preflight.rs"
            );
        }
    }
}
