//! `purrline-local up`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use purrline_local::{Error, Log, Options, Result, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Common;
use super::terminal::{faint, say, showing, strong};

/// How long a stop waits for the queues, whose messages are in memory only.
const DRAIN: Duration = Duration::from_secs(30);

/// The users of the examples.
const USER: &str = "nabi";

#[derive(Debug, Args)]
pub(super) struct Up {
    #[command(flatten)]
    common: Common,
    /// Where to listen: an address of this machine or its name, which URLs then have; 0.0.0.0 for all addresses, so
    /// that phones and containers reach it. Whoever does can sign in as anybody.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: String,
    /// By which URL clients reach it, where there is a proxy or another name between: tokens' issuer, uploads and
    /// pictures are called by it [default: http://ADDRESS:PORT; with 0.0.0.0, by the machine's address in its network].
    #[arg(long, value_name = "URL", value_parser = origin)]
    public_url: Option<String>,
    /// The load balancer's port; 0 for a free one.
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    port: u16,
    /// Where the data stays [default: .local/data beside the template].
    #[arg(long, value_name = "FOLDER", conflicts_with = "ephemeral")]
    data_dir: Option<PathBuf>,
    /// Keep no data.
    #[arg(long)]
    ephemeral: bool,
    /// How the functions' log looks: text for people, JSON as AWS gets it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Leave nothing out of the log: each field, and each run that found nothing to do.
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

/// A URL that paths can be added to.
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
        let mut end = End::listen()?;
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
            started = showing("starting", Stack::start(options)) => started?,
            () = end.asked() => return Ok(()),
        };
        self.greet(&stack)?;
        end.asked().await;
        self.stop(stack, &mut end).await;
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
            .map_or("nothing is kept".to_owned(), |folder| {
                format!("data is in {}", folder.display())
            });
        say(&format!(
            "{} {}",
            strong(&format!("Purrline is up at {url}")),
            faint(&format!("({data}; Ctrl-C stops it)"))
        ));
        if let Some(ended) = stack.ended_of_killed() {
            say_what_is_gone(ended);
        }
        say("");
        say(&format!(
            "A token of {USER}, good for a day (others: curl {url}/_local/token/<user>):"
        ));
        say(&format!("  TOKEN={}", stack.token(USER)?));
        say("Post, wait for the queues, read the feed:");
        let curl = "  curl -H \"Authorization: Bearer $TOKEN\"";
        say(&format!(
            "{curl} -H 'content-type: application/json' -d '{{\"text\": \"오늘의 #고양이\"}}' {url}/v1/posts"
        ));
        say(&format!("  curl -X POST {url}/_local/drain"));
        say(&format!("{curl} {url}/v1/feed"));
        say("Ask which breed a cat is:");
        say(&format!(
            "{curl} -H 'content-type: image/jpeg' --data-binary @tests/images/jpeg-baseline-420.jpg {url}/v1/classify"
        ));
        say(&faint(&format!(
            "What it is doing: curl {url}/_local/status"
        )));
        say("");
        Ok(())
    }

    async fn stop(&self, stack: Stack, end: &mut End) {
        say("");
        if !self.ephemeral && !stack.drain(Duration::ZERO).await {
            say(&format!(
                "Stopping once the queues are empty, at most {} s (Ctrl-C again: at once)",
                DRAIN.as_secs()
            ));
            tokio::select! {
                drained = stack.drain(DRAIN) => if !drained {
                    say("The queues aren't empty: what they hold is lost, except what sweep sends again.");
                },
                () = end.asked() => {}
            }
        }
        stack.stop().await;
        say("Stopped.");
    }
}

/// Says what a stack that was killed has kept, and what not.
fn say_what_is_gone(ended: &[String]) {
    say(
        "The stack that used this data before was killed. Posts, profiles, follows, photos and tokens are kept.",
    );
    say(
        "Gone is what waited in its queues: likes, follows and changes that search was to learn of (./dev ops reindex has \
         it learn them). Posts are sent to their followers again by themselves, and the cache fills as it is used.",
    );
    if !ended.is_empty() {
        say(&format!(
            "These processes of it still ran, and were ended: {}.",
            ended.join(", ")
        ));
    }
}

/// The ways of asking for the end: Ctrl-C, `kill`, and closing the terminal.
struct End {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl End {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
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
