//! A function's configuration: its environment.

use std::str::FromStr;

/// A setting is missing or unusable: the function must not start.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {name} {problem}")]
pub struct BadSetting {
    name: String,
    problem: String,
}

impl BadSetting {
    /// A setting with a value that can't be used, and why.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The value of a variable that must be set and not empty.
pub fn required(name: &str) -> Result<String, BadSetting> {
    optional(name).ok_or_else(|| BadSetting::new(name, "must be set"))
}

/// The value of a variable, if it is set and not empty.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A number of whole seconds, or what it is where the variable is not set.
pub fn seconds(name: &str, unless_set: i64) -> Result<i64, BadSetting> {
    whole_number(name, unless_set)
}

/// A whole number from 1 on, or what it is where the variable is not set.
pub fn whole_number<N>(name: &str, unless_set: N) -> Result<N, BadSetting>
where
    N: FromStr + PartialOrd + From<u8>,
{
    let Ok(value) = std::env::var(name) else {
        return Ok(unless_set);
    };
    let number = value.parse().ok().filter(|number| *number >= N::from(1));
    number.ok_or_else(|| BadSetting::new(name, "must be a whole number from 1"))
}
