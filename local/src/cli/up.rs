//! `purrline-local up`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use purrline_local::{Error, Log, Options, Result, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::common::CommonOptions;
use super::terminal::{faint, say, strong, with_progress};

/// The maximum time to wait for the queues before stopping, because their messages are kept only in memory.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The user in the examples.
const USER: &str = "nabi";

#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    common: CommonOptions,
    /// The address or name of this machine to listen on, which URLs then contain. 0.0.0.0 listens on all addresses, so
    /// that phones and containers can connect. Anyone who can connect can sign in as any user.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// The URL by which clients reach the stack, if they use a proxy or another name. It is part of the tokens' issuer and
    /// of the URLs of uploads and pictures [default: http://ADDRESS:PORT; for 0.0.0.0, the machine's network address].
    #[arg(long, value_name = "URL", value_parser = origin)]
    public_url: Option<String>,
    /// The load balancer's port, or 0 for a free one.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// The folder that keeps the data [default: .local/data beside the template].
    #[arg(long, value_name = "FOLDER", conflicts_with = "ephemeral")]
    data_dir: Option<PathBuf>,
    /// Keep no data.
    #[arg(long)]
    ephemeral: bool,
    /// Run functions that are optimised as they are deployed. `./dev` builds them first, which takes far longer.
    #[arg(long = "release")]
    _release: bool,
    /// The format of the functions' log: text for people, or JSON as AWS receives it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Show everything in the log: every field, and runs that found nothing to do.
    #[arg(long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    Text,
    Json,
}

/// Parses a URL to which paths can be appended.
pub(super) fn origin(text: &str) -> std::result::Result<String, String> {
    let origin = url::Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let origin = origin.ok_or(
        "must be http:// or https:// with a host and no path, such as https://cats.example",
    )?;
    Ok(origin.as_str().trim_end_matches('/').to_owned())
}

impl Up {
    pub(super) async fn run(self) -> Result<()> {
        let mut stop = StopSignals::listen()?;
        let options = Options {
            data_dir: self.data_dir(),
            host: Some(self.host.clone()),
            public_url: self.public_url.clone(),
            port: Some(self.port),
            log: self.log(),
            warm: true,
            schedules: true,
            ..self.common.options()
        };
        let stack = tokio::select! {
            started = with_progress("starting", Stack::start(options)) => started?,
            () = stop.received() => return Ok(()),
        };
        self.greet(&stack)?;
        stop.received().await;
        self.stop(stack, &mut stop).await;
        Ok(())
    }

    fn log(&self) -> Log {
        match self.log_format {
            LogFormat::Json => Log::Json,
            _ if self.verbose => Log::Verbose,
            LogFormat::Auto if !std::io::stdout().is_terminal() => Log::Json,
            LogFormat::Auto | LogFormat::Text => Log::Stream,
        }
    }

    fn data_dir(&self) -> Option<PathBuf> {
        if self.ephemeral {
            return None;
        }
        let beside = || self.common.template().with_file_name(".local").join("data");
        Some(self.data_dir.clone().unwrap_or_else(beside))
    }

    fn greet(&self, stack: &Stack) -> Result<()> {
        let url = stack.public_url();
        let data = self
            .data_dir()
            .map_or("keeps no data".to_owned(), |folder| {
                format!("keeps its data in {}", folder.display())
            });
        say(&format!(
            "{} {}",
            strong(&format!("Purrline is up at {url}")),
            faint(&format!("({data}; stop with Ctrl-C)"))
        ));
        if let Some(killed) = stack.killed_leftovers() {
            report_lost_messages(killed);
        }
        say("");
        say(&format!(
            "A token of {USER}, valid for a day (for other users: curl {url}/_local/token/<user>):"
        ));
        say(&format!("  TOKEN={}", stack.token(USER)?));
        say("Write a post, wait for the queues, read the feed:");
        let curl = "  curl -H \"Authorization: Bearer $TOKEN\"";
        say(&format!(
            "{curl} -H 'content-type: application/json' -d '{{\"text\": \"오늘의 #고양이\"}}' {url}/v1/posts"
        ));
        say(&format!("  curl -X POST {url}/_local/drain"));
        say(&format!("{curl} {url}/v1/feed"));
        say("Classify a cat's breed:");
        say(&format!(
            "{curl} -H 'content-type: image/jpeg' --data-binary @tests/images/jpeg-baseline-420.jpg {url}/v1/classify"
        ));
        say(&faint(&format!("Status: curl {url}/_local/status")));
        say("");
        Ok(())
    }

    async fn stop(&self, stack: Stack, stop: &mut StopSignals) {
        say("");
        if !self.ephemeral && !stack.drain(Duration::ZERO).await {
            say(&format!(
                "Stopping once the queues are empty, after at most {} s (press Ctrl-C again to stop at once)",
                DRAIN_TIMEOUT.as_secs()
            ));
            tokio::select! {
                drained = stack.drain(DRAIN_TIMEOUT) => if !drained {
                    say("The queues aren't empty. Their messages are lost, except those that sweep sends again.");
                },
                () = stop.received() => {}
            }
        }
        stack.stop().await;
        say("Stopped.");
    }
}

/// Says which data of a killed stack is kept and which is lost.
fn report_lost_messages(killed: &[String]) {
    say(
        "The stack that used this data before was killed. Posts, profiles, follows, photos and tokens are kept.",
    );
    say(
        "Messages in its queues are lost: likes, follows, and changes to the search index (./dev ops reindex repairs the \
         index). Posts still reach their followers, since sweep sends them again, and the cache refills as it is used.",
    );
    if !killed.is_empty() {
        say(&format!(
            "These processes of it were still running and have been killed: {}.",
            killed.join(", ")
        ));
    }
}

/// The signals that stop the stack: Ctrl-C, `kill`, and closing the terminal.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|source| Error::Io {
        doing: "can't listen for signals".to_owned(),
        source,
    })
}
