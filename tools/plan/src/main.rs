//! The program of `./dev plan`.

use std::process::ExitCode;

use clap::Parser;
use purrline_plan::cli::Arguments;

fn main() -> ExitCode {
    match purrline_plan::cli::run(&Arguments::parse()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
