//! The command line, as `./dev` passes it on.

mod invoke;
mod terminal;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use purrline_local::{Error, Options};

/// The template's usual name.
const TEMPLATE: &str = "template.yaml";

/// Runs Purrline on this machine: the same functions, template and wire protocols as on AWS.
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

/// What every command that starts a stack takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The template to run [default: template.yaml, here or above, else above this program].
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Where the functions' binaries are [default: where this program is].
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
    /// The most processes of one function, and the most batches of one queue at a time.
    #[arg(long, default_value_t = 8, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// How many events one process works on at a time: one, as on Lambda, or several, as on its managed instances.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// A parameter of the template; may be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

impl Common {
    /// The template asked for, else the nearest one.
    fn template(&self) -> PathBuf {
        let nearest = || {
            let here = std::env::current_dir().ok();
            let starts = [here, own_folder()];
            let mut files = starts
                .iter()
                .flatten()
                .flat_map(|start| start.ancestors())
                .map(|folder| folder.join(TEMPLATE));
            files.find(|file| file.is_file())
        };
        self.template
            .clone()
            .or_else(nearest)
            .unwrap_or_else(|| TEMPLATE.into())
    }

    fn options(&self) -> Options {
        let bin_dir = self.bin_dir.clone().or_else(own_folder).unwrap_or_default();
        Options {
            workers: self.workers.into(),
            concurrency: self.concurrency.into(),
            parameters: self.parameters.iter().cloned().collect(),
            ..Options::new(self.template(), bin_dir)
        }
        .patient()
    }
}

fn own_folder() -> Option<PathBuf> {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the command; problems go to standard error.
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
                // As options that can't be used.
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
    fn public_urls_are_checked_before_the_build_as_they_are_later() {
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
    fn what_is_checked_before_the_build_has_the_same_options() {
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
