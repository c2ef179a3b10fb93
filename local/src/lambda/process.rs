//! Starts a function's process as Lambda would, and waits for it to end.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};

use super::settings::{ProcessSettings, is_clock_ahead};
use crate::children::Guarded;
use crate::logs::Logs;
use crate::template::Function;

/// The time to wait for the last output of a process that has ended, whose children may hold the pipe open.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// A running process of a function.
pub(super) struct Process {
    child: Child,
    guarded: Guarded,
    output: Vec<JoinHandle<()>>,
    /// The folder that the process may write to, removed with the process.
    temporary: PathBuf,
    pub(super) pid: u32,
}

impl Process {
    /// Starts a process of this function. The id distinguishes it from others.
    pub(super) fn spawn(
        function: &Function,
        binary: &Path,
        settings: &ProcessSettings,
        id: u32,
    ) -> std::io::Result<Self> {
        let name = &function.name;
        let temporary = settings.temporary.join(format!("{name}.{id}"));
        std::fs::create_dir_all(&temporary)?;
        let concurrency = (settings.concurrency > 1).then(|| settings.concurrency.to_string());
        let concurrency = concurrency.map(|number| ("AWS_LAMBDA_MAX_CONCURRENCY", number));
        let skew = settings.clock_skew.filter(|_| is_clock_ahead(id));
        let skew = skew.map(|skew| ("CLOCK_AHEAD_MS", skew.as_millis().to_string()));
        let mut child = Command::new(binary)
            .env_clear()
            .envs([
                ("PATH", "/usr/local/bin:/usr/bin:/bin"),
                ("LANG", "en_US.UTF-8"),
                ("TZ", ":UTC"),
                ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_LAMBDA_FUNCTION_NAME", name),
                ("_HANDLER", "bootstrap"),
            ])
            // On AWS, the temporary folder is /tmp.
            .env("TMPDIR", &temporary)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string())
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{id}"))
            .env("LAMBDA_TASK_ROOT", binary.parent().unwrap_or(binary))
            // An address with a path needs a scheme to be a valid URI.
            .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/{name}/{id}", settings.runtime_api))
            // The SDKs send this id in the User-Agent, by which the services identify the caller.
            .env("AWS_SDK_UA_APP_ID", format!("{name}.{id}"))
            .envs(concurrency)
            .envs(skew)
            .envs(settings.environment_of(function))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        let guarded = settings.guard.watch(pid);
        let output = forward(name, &settings.logs, child.stdout.take())
            .into_iter()
            .chain(forward(name, &settings.logs, child.stderr.take()))
            .collect();
        Ok(Self {
            child,
            guarded,
            output,
            temporary,
            pid,
        })
    }

    /// Waits for the process to end, or kills it once `kill` is notified. Then aborts `start_timer`, cleans up after the
    /// process, and returns the exit status in words.
    pub(super) async fn run(mut self, kill: &Notify, start_timer: &AbortHandle) -> String {
        let ended = tokio::select! {
            ended = self.child.wait() => ended,
            () = kill.notified() => {
                // The process may have ended in the meantime.
                let _ = self.child.start_kill();
                self.child.wait().await
            }
        };
        drop(self.guarded);
        start_timer.abort();
        for output in self.output {
            let _ = tokio::time::timeout(LAST_OUTPUT_TIMEOUT, output).await;
        }
        let _ = tokio::fs::remove_dir_all(&self.temporary).await;
        ended.map_or_else(|error| error.to_string(), describe)
    }
}

/// Forwards a process's output to the logs, line by line.
fn forward(
    function: &str,
    logs: &Arc<Logs>,
    pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> Option<JoinHandle<()>> {
    let pipe = pipe?;
    let (function, logs) = (function.to_owned(), Arc::clone(logs));
    Some(tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            logs.push(&function, String::from_utf8_lossy(&line).trim_end());
        }
    }))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}
