//! Checks the options, port and folders of `./dev up` and `./dev invoke` before the build. purrline-local would report
//! the same errors, but only after minutes of compilation.
//!
//! `./dev` compiles this file alone, with the standard library only, which takes a second. A shell script can't check
//! ports and locks without tools that some machines lack. A test in `src/cli` compares these options with those of the
//! command line.

use std::fs::{File, TryLockError};
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The name of an option and the kind of its value.
type KnownOption = (&'static str, Value);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Any,
    Port,
    Count,
    Pair,
    Origin,
    OneOf(&'static [&'static str]),
}

const COMMON: &[KnownOption] = &[
    ("--template", Value::Any),
    ("--bin-dir", Value::Any),
    ("--workers", Value::Count),
    ("--concurrency", Value::Count),
    ("--param", Value::Pair),
    ("--help", Value::None),
    ("--version", Value::None),
];

const UP: &[KnownOption] = &[
    ("--host", Value::Any),
    ("--public-url", Value::Origin),
    ("--port", Value::Port),
    ("--data-dir", Value::Any),
    ("--ephemeral", Value::None),
    ("--release", Value::None),
    ("--log-format", Value::OneOf(&["auto", "text", "json"])),
    ("--verbose", Value::None),
];

const INVOKE: &[KnownOption] = &[("--url", Value::Any)];

/// The default port.
const DEFAULT_PORT: u16 = 8080;
/// The usual name of the template.
const TEMPLATE: &str = "template.yaml";

/// The reason that a command can't run: an error in its arguments, or a problem on the machine.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Usage(String),
    Machine(String),
}

/// The given arguments.
#[derive(Debug, Default)]
struct Arguments {
    options: Vec<(&'static str, String)>,
    positional: Vec<String>,
}

impl Arguments {
    fn parse(command: &str, arguments: &[String]) -> Result<Self, Refusal> {
        let mut parsed = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let argument = match argument.as_str() {
                "-h" => "--help",
                "-V" => "--version",
                other => other,
            };
            if !argument.starts_with("--") {
                parsed.positional.push(argument.to_owned());
                continue;
            }
            let (name, joined) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument, None),
            };
            let Some((name, kind)) = options(command).find(|(known, _)| *known == name) else {
                let all = names(command).join(", ");
                let problem = format!("there is no option {name}; the options are {all}");
                return Err(Refusal::Usage(problem));
            };
            let value = match (kind, joined) {
                (Value::None, None) => String::new(),
                (Value::None, Some(_)) => {
                    return Err(Refusal::Usage(format!("{name} takes no value")));
                }
                (_, Some(value)) => value,
                (_, None) => match arguments.next() {
                    Some(value) => value.clone(),
                    None => return Err(Refusal::Usage(format!("{name} needs a value"))),
                },
            };
            if let Some(problem) = kind.problem(&value) {
                return Err(Refusal::Usage(format!("{name} {value}: {problem}")));
            }
            parsed.options.push((name, value));
        }
        Ok(parsed)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().rev();
        options
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Value {
    fn problem(self, value: &str) -> Option<String> {
        let within = |range: std::ops::RangeInclusive<u32>| {
            let fits = value.parse().is_ok_and(|number| range.contains(&number));
            let problem = format!("must be a number from {} to {}", range.start(), range.end());
            (!fits).then_some(problem)
        };
        match self {
            Self::None | Self::Any => None,
            Self::Port => within(0..=65_535),
            Self::Count => within(1..=1000),
            Self::Pair => (!value.contains('=')).then(|| "must be NAME=VALUE".to_owned()),
            Self::Origin => (!is_origin(value)).then(|| NO_ORIGIN.to_owned()),
            Self::OneOf(all) => {
                (!all.contains(&value)).then(|| format!("must be one of {}", all.join(", ")))
            }
        }
    }
}

/// The requirement on a URL to which paths can be appended, in the words of the command line itself.
const NO_ORIGIN: &str =
    "must be http:// or https:// with a host and no path, such as https://cats.example";

/// Whether paths can be added to a URL. A test holds it against the command line's own check, which has a library to
/// parse URLs.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_web = ["http", "https"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web));
    let host = rest.strip_suffix('/').unwrap_or(rest);
    // An address of version 6 has colons, and brackets around it.
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (host, None),
    };
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_of_host),
    };
    is_web && is_host && port.is_none_or(is_port)
}

/// Whether a host's name may have it: no space, and none of what divides the parts of a URL.
fn is_of_host(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"#%/:<>?@[\\]^|".contains(c)
}

/// The names of a command's options.
pub(crate) fn names(command: &str) -> Vec<&'static str> {
    options(command).map(|(name, _)| name).collect()
}

fn options(command: &str) -> impl Iterator<Item = KnownOption> {
    let own = if command == "up" { UP } else { INVOKE };
    own.iter().chain(COMMON).copied()
}

/// Checks a command of the script `./dev` in the folder `root`.
fn check(root: &Path, command: &str, arguments: &[String]) -> Result<(), Refusal> {
    let given = Arguments::parse(command, arguments)?;
    if given.value("--help").or(given.value("--version")).is_some() {
        return Ok(());
    }
    let template = given
        .value("--template")
        .map_or_else(|| nearest(root), PathBuf::from);
    if let Err(error) = File::open(&template) {
        let problem = format!("can't read {}: {error}", template.display());
        return Err(Refusal::Machine(problem));
    }
    if command == "up" {
        check_up(&given, &template)
    } else {
        check_invoke(&given)
    }
}

fn check_up(given: &Arguments, template: &Path) -> Result<(), Refusal> {
    if let Some(unexpected) = given.positional.first() {
        let problem = format!("unexpected argument {unexpected}");
        return Err(Refusal::Usage(problem));
    }
    let data_dir = given.value("--data-dir");
    let ephemeral = given.value("--ephemeral").is_some();
    if data_dir.is_some() && ephemeral {
        let problem = "--data-dir cannot be used with --ephemeral".to_owned();
        return Err(Refusal::Usage(problem));
    }
    let port = given.value("--port").and_then(|port| port.parse().ok());
    let port = port.unwrap_or(DEFAULT_PORT);
    let host = given.value("--host").unwrap_or("127.0.0.1");
    if let Err(error) = TcpListener::bind((host, port)) {
        let problem = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {port} is taken: stop what listens there, or choose another with --port"
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("can't listen on port {port}: {error}; choose another with --port")
            }
            _ => format!(
                "can't listen on {host}: {error}; --host takes an address of this machine, such as 127.0.0.1 or 0.0.0.0"
            ),
        };
        return Err(Refusal::Machine(problem));
    }
    if ephemeral {
        return Ok(());
    }
    let beside = || template.with_file_name(".local").join("data");
    check_folder(&data_dir.map_or_else(beside, PathBuf::from))
}

/// Checks that the folder is writable and that no other stack uses it.
fn check_folder(folder: &Path) -> Result<(), Refusal> {
    let unusable = |error: std::io::Error| {
        let problem = format!(
            "can't use {}: {error}; choose another with --data-dir",
            folder.display()
        );
        Refusal::Machine(problem)
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let mut lock = File::options();
    lock.read(true).write(true).create(true).truncate(false);
    let lock = lock.open(folder.join("lock")).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Refusal::Machine(format!(
            "another stack uses {}: stop it, or choose another folder with --data-dir",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn check_invoke(given: &Arguments) -> Result<(), Refusal> {
    let [_, event] = given.positional.as_slice() else {
        let problem = "the arguments must be a function and an event's file".to_owned();
        return Err(Refusal::Usage(problem));
    };
    match File::open(event) {
        Err(error) if event != "-" => Err(Refusal::Machine(format!("can't read {event}: {error}"))),
        _ => Ok(()),
    }
}

/// The nearest template in this folder or above it, else the one beside the script.
fn nearest(root: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let mut above = here.ancestors().map(|folder| folder.join(TEMPLATE));
    let found = above.find(|file| file.is_file());
    found.unwrap_or_else(|| root.join(TEMPLATE))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let root = PathBuf::from(arguments.next().unwrap_or_default());
    let command = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    match check(&root, &command, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal::Usage(problem)) => {
            eprintln!("error: {problem}\n\nFor more information, try: ./dev {command} --help");
            ExitCode::from(2)
        }
        Err(Refusal::Machine(problem)) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
