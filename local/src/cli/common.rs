//! The options that every command that starts a stack shares.

use std::path::{Path, PathBuf};

use clap::Args;
use purrline_local::Options;

/// The usual name of the template.
const TEMPLATE: &str = "template.yaml";

/// The options of every command that starts a stack.
#[derive(Debug, Args)]
pub(super) struct CommonOptions {
    /// The template [default: the nearest template.yaml in this folder or above it, or else above this program].
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// The folder with the functions' binaries [default: this program's folder].
    #[arg(long, value_name = "FOLDER")]
    bin_dir: Option<PathBuf>,
    /// The maximum number of processes per function, and of concurrent batches per queue.
    #[arg(long, default_value_t = 8, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// The number of events that a process handles at a time: one, as on Lambda, or more, as on its managed instances.
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// A parameter of the template. May be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

impl CommonOptions {
    /// Returns the given template, or the nearest one if none is given.
    pub(super) fn template(&self) -> PathBuf {
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

    pub(super) fn options(&self) -> Options {
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
