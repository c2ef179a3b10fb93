//! A function's configuration: its environment.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The maximum value of `PATIENCE`.
const MAX_PATIENCE: u32 = 20;

/// A setting is missing or unusable: the function must not start.
#[derive(thiserror::Error)]
#[error("environment variable {name} {problem}")]
pub struct BadSetting {
    name: String,
    problem: String,
}

/// Shows the same message as `Display`, since a `main` that ends with an error prints the error's `Debug` form.
impl fmt::Debug for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BadSetting {
    /// Creates an error for a setting whose value can't be used, with the reason.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// Returns the value of a variable that must be set and not empty.
pub fn required(name: &str) -> Result<String, BadSetting> {
    optional(name).ok_or_else(|| BadSetting::new(name, "must be set"))
}

/// Returns the value of a variable, if it is set and not empty.
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Lengthens a timeout by the factor `PATIENCE`, if that is set. On a machine that runs everything, the process that is
/// waited for may get no processor for a while.
pub fn patient(time: Duration) -> Duration {
    let factor = optional("PATIENCE").and_then(|factor| factor.parse().ok());
    time.saturating_mul(factor.unwrap_or(1).clamp(1, MAX_PATIENCE))
}

/// Returns a number of whole seconds, or the default if the variable is not set.
pub fn seconds(name: &str, unless_set: i64) -> Result<i64, BadSetting> {
    whole_number(name, unless_set)
}

/// Returns a whole number of at least 1, or the default if the variable is not set.
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
