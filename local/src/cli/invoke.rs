//! `purrline-local invoke`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use purrline_local::{Error, Options, Result, Stack, fill_event};
use serde_json::Value;

use super::common::CommonOptions;
use super::terminal::{say, with_progress};

#[derive(Debug, Args)]
pub(super) struct Invoke {
    /// The function's name or logical id.
    function: String,
    /// The event's file, or - for standard input. Placeholders such as `{{token:<user>}}`, `{{user:<user>}}`,
    /// `{{post:<user>}}`, `{{comment:<user>}}` and `{{cat:<user>}}` are filled in.
    event: PathBuf,
    /// The URL of a running stack, as `up` prints it [default: a fresh stack that keeps no data].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    common: CommonOptions,
}

impl Invoke {
    pub(super) async fn run(self) -> Result<()> {
        let event = read(&self.event)?;
        let answer = match &self.url {
            Some(url) => {
                with_progress(
                    "waiting for the answer",
                    invoke_running(url, &self.function, &event),
                )
                .await?
            }
            None => self.invoke_fresh(&event).await?,
        };
        let pretty = serde_json::from_slice::<Value>(&answer)
            .and_then(|answer| serde_json::to_string_pretty(&answer))
            .unwrap_or_else(|_| String::from_utf8_lossy(&answer).into_owned());
        say(&pretty);
        Ok(())
    }

    async fn invoke_fresh(&self, event: &str) -> Result<Vec<u8>> {
        let options: Options = self.common.options();
        let stack = with_progress("starting", Stack::start(options)).await?;
        let answer = self.invoke_on(&stack, event).await;
        // An unknown function has no output.
        for line in stack.logs(&self.function).unwrap_or_default() {
            eprintln!("{line}");
        }
        stack.stop().await;
        answer
    }

    async fn invoke_on(&self, stack: &Stack, event: &str) -> Result<Vec<u8>> {
        let event = parse(&fill_event(stack.url(), event).await?)?;
        let answer = with_progress(
            "waiting for the answer",
            stack.invoke(&self.function, &event),
        )
        .await;
        answer
            .map(|answer| answer.to_vec())
            .map_err(|error| failed(&error))
    }
}

fn failed(problem: &dyn std::fmt::Display) -> Error {
    Error::Part {
        part: "invoke",
        problem: problem.to_string(),
    }
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let result = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    result.map_err(|source| Error::Io {
        doing: format!("can't read {}", file.display()),
        source,
    })?;
    Ok(text)
}

fn parse(event: &str) -> Result<Value> {
    serde_json::from_str(event).map_err(|error| failed(&format!("the event isn't JSON: {error}")))
}

async fn invoke_running(url: &str, function: &str, event: &str) -> Result<Vec<u8>> {
    let event = parse(event)?;
    let request = reqwest::Client::new().post(format!(
        "{}/2015-03-31/functions/{function}/invocations",
        url.trim_end_matches('/')
    ));
    let answer = request.json(&event).send().await.map_err(|error| {
        failed(&format!(
            "can't reach {url} ({error}): start that stack, or omit --url to use a fresh one"
        ))
    })?;
    let unhandled = answer.headers().contains_key("x-amz-function-error");
    let invoked = answer.status().is_success() && !unhandled;
    let body = answer.bytes().await.map_err(|error| failed(&error))?;
    if invoked {
        return Ok(body.to_vec());
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let named = |name| problem.get(name).and_then(Value::as_str);
    let problem = named("errorMessage").or_else(|| named("message"));
    Err(failed(
        &problem.unwrap_or("the answer isn't from a local stack"),
    ))
}
