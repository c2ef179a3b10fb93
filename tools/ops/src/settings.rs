//! The settings of a stack's functions.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials as _;
use clap::Args;

use crate::error::Error;

/// The variable whose presence shows that the settings are in the environment.
const LOADED: &str = "PURRLINE_OPS";
/// The longest time for the local stack to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns whether this process has a stack's settings.
pub(crate) fn are_loaded() -> bool {
    std::env::var_os(LOADED).is_some()
}

type Settings = BTreeMap<String, String>;

/// The stack to operate.
#[derive(Debug, Args)]
pub(crate) struct Stack {
    /// The local stack at this address
    #[arg(long, global = true, value_name = "URL", conflicts_with = "stack")]
    #[arg(default_value = "http://127.0.0.1:8080")]
    local: String,
    /// The stack of this name on AWS, as in samconfig.toml
    #[arg(long, global = true, value_name = "NAME")]
    stack: Option<String>,
}

impl Stack {
    /// Returns whether the stack is on AWS.
    pub(crate) const fn is_on_aws(&self) -> bool {
        self.stack.is_some()
    }

    /// Restarts this program with the stack's settings; returns only if that fails.
    pub(crate) async fn restart_with_settings(&self) -> Error {
        let settings = match &self.stack {
            Some(stack) => on_aws(stack).await,
            None => on_this_machine(&self.local).await,
        };
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => return error,
        };
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return Error::Restart(error),
        };
        let failed = Command::new(program)
            .args(std::env::args_os().skip(1))
            .envs(settings)
            // The functions' own log lines are irrelevant here.
            .env("RUST_LOG", "error")
            .env(LOADED, "1")
            .exec();
        Error::Restart(failed)
    }
}

async fn on_this_machine(url: &str) -> Result<Settings, Error> {
    let unanswered = |_| Error::NoLocalStack(url.to_owned());
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    let client = client.build().map_err(unanswered)?;
    let asked = client.get(format!("{url}/_local/environment")).send().await;
    let answer = asked.and_then(reqwest::Response::error_for_status);
    let functions: BTreeMap<String, Settings> = answer
        .map_err(unanswered)?
        .json()
        .await
        .map_err(unanswered)?;
    Ok(functions.into_values().flatten().collect())
}

/// Returns the settings of all functions of a stack, and the caller's credentials.
async fn on_aws(stack: &str) -> Result<Settings, Error> {
    let config = purrline::aws::config().await;
    let lambda = aws_sdk_lambda::Client::new(&config);
    let mut pages = lambda.list_functions().into_paginator().items().send();
    let mut settings = Settings::new();
    while let Some(function) = pages.next().await {
        let function = function.map_err(Error::calling)?;
        let variables = function.environment.and_then(|it| it.variables);
        let variables = variables.unwrap_or_default();
        if variables
            .get("STACK_NAME")
            .is_some_and(|name| name == stack)
        {
            settings.extend(variables);
        }
    }
    if settings.is_empty() {
        let region = config.region().map(ToString::to_string);
        return Err(Error::NoStack(
            stack.to_owned(),
            region.unwrap_or_else(|| "no region".to_owned()),
        ));
    }
    // The cache takes tokens, which are signed with the credentials of the environment.
    if let Some(provider) = config.credentials_provider() {
        let credentials = provider
            .provide_credentials()
            .await
            .map_err(Error::calling)?;
        let session = credentials.session_token().unwrap_or_default();
        settings.extend(
            [
                ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
                ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
                ("AWS_SESSION_TOKEN", session),
            ]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
    }
    if let Some(region) = config.region() {
        settings.insert("AWS_REGION".to_owned(), region.to_string());
    }
    Ok(settings)
}
