//! Starts a function's process as Lambda would, and sees it through to its end.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Starts;
use super::function::Function;
use crate::children::Guarded;

/// The wait for a process's last output once it has ended: its children may hold the pipe open.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A process just started.
pub(super) struct Started {
    child: Child,
    guarded: Guarded,
    printing: Vec<JoinHandle<()>>,
    pub(super) pid: u32,
}

/// Starts a process of this function; `id` tells it apart from others.
pub(super) fn spawn(function: &Function, id: u32) -> std::io::Result<Started> {
    let (spec, surroundings) = (&function.spec, &function.surroundings);
    let name = &spec.name;
    let temporary = temporary(function, id);
    std::fs::create_dir_all(&temporary)?;
    let several = (surroundings.concurrency > 1).then(|| surroundings.concurrency.to_string());
    let several = several.map(|number| ("AWS_LAMBDA_MAX_CONCURRENCY", number));
    let ahead = surroundings.clocks_apart.filter(|_| super::is_ahead(id));
    let ahead = ahead.map(|ahead| ("CLOCK_AHEAD_MS", ahead.as_millis().to_string()));
    let mut child = Command::new(&function.binary)
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
        // On AWS it is /tmp.
        .env("TMPDIR", temporary)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string())
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{id}"))
        .env("LAMBDA_TASK_ROOT", function.binary.parent().unwrap_or(&function.binary))
        // With a path it needs a scheme, or it isn't a URI.
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/{name}/{id}", surroundings.runtime_api))
        // Names the caller of every AWS call, in its User-Agent.
        .env("AWS_SDK_UA_APP_ID", format!("{name}.{id}"))
        .envs(several)
        .envs(ahead)
        .envs(function.environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    let guarded = surroundings.guard.watch(pid);
    let printing = follow(function, child.stdout.take())
        .into_iter()
        .chain(follow(function, child.stderr.take()))
        .collect();
    Ok(Started {
        child,
        guarded,
        printing,
        pid,
    })
}

/// The folder that a process may write to, gone when the process is.
fn temporary(function: &Function, id: u32) -> PathBuf {
    let name = format!("{}.{id}", function.spec.name);
    function.surroundings.temporary.join(name)
}

/// Takes what a process prints, line by line.
fn follow(
    function: &Function,
    pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> Option<JoinHandle<()>> {
    let pipe = pipe?;
    let (name, logs) = (
        function.spec.name.clone(),
        Arc::clone(&function.surroundings.logs),
    );
    Some(tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            logs.push(&name, String::from_utf8_lossy(&line).trim_end());
        }
    }))
}

/// Waits for the process to end, or ends it when asked to.
pub(super) fn supervise(function: Arc<Function>, id: u32, started: Started, kill: Arc<Notify>) {
    let Started {
        mut child,
        guarded,
        printing,
        ..
    } = started;
    let starting = Arc::clone(&function);
    let init = tokio::spawn(async move {
        let Starts { slow, most } = starting.surroundings.starts;
        let started = Instant::now();
        if slow < most {
            tokio::time::sleep(slow).await;
            starting.init_is_slow(id);
        }
        tokio::time::sleep(most.saturating_sub(started.elapsed())).await;
        starting.init_timed_out(id);
    });
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = kill.notified() => {
                // It may have ended by itself in the meantime.
                let _ = child.start_kill();
                child.wait().await
            }
        };
        drop(guarded);
        init.abort();
        for printing in printing {
            let _ = tokio::time::timeout(LAST_LINES, printing).await;
        }
        let _ = tokio::fs::remove_dir_all(temporary(&function, id)).await;
        let status = ended.map_or_else(|error| error.to_string(), describe);
        function.exited(id, &status);
    });
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".to_owned(),
    }
}
