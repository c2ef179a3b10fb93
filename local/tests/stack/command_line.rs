use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{SOON, options, template_file, until};

fn command(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purrline-local"));
    command
        .arg(subcommand)
        .arg("--template")
        .arg(template_file());
    command
        .arg("--bin-dir")
        .arg(options().bin_dir)
        .kill_on_drop(true);
    command
}

pub(super) async fn run(command: &mut Command) -> Output {
    tokio::time::timeout(SOON, command.output())
        .await
        .unwrap()
        .unwrap()
}

/// Runs `up`. Returns its process, its URL, and its output after the URL.
async fn up(more: &[&str]) -> (Child, String, Lines<BufReader<ChildStdout>>) {
    let mut child = command("up")
        .args(["--port", "0", "--param", "BrokenStarts=well"])
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Functions may already have printed lines.
    let greeting = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(url) = line
                .split_whitespace()
                .find(|word| word.starts_with("http://") || word.starts_with("https://"))
            {
                return url.to_owned();
            }
        }
    };
    let url = tokio::time::timeout(SOON, greeting).await.unwrap();
    (child, url, lines)
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn up_runs_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for how in [Signal::INT, Signal::TERM] {
        let (mut child, url, mut lines) = up(&["--data-dir", data]).await;
        let answer = reqwest::get(format!("{url}/many/slow")).await.unwrap();
        assert_eq!(answer.status(), 200);
        signal(&child, how);
        assert!(
            tokio::time::timeout(SOON, child.wait())
                .await
                .unwrap()
                .unwrap()
                .success()
        );
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            printed.push(line);
        }
        let expected = r#"{"function":"probe","message":"slow is done"}"#;
        assert!(printed.iter().any(|line| line == expected), "{printed:#?}");
        assert_eq!(printed.last().unwrap(), "Stopped.");
        assert!(
            !printed.iter().any(|line| line.contains("killed")),
            "the processes ended in order: {printed:#?}"
        );
        assert!(
            !printed.iter().any(|line| line.contains('\u{1b}')),
            "colours without a terminal"
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_stack_leaves_no_process_behind() {
    let (mut child, url, _lines) = up(&["--ephemeral"]).await;
    let about: Value = reqwest::get(format!("{url}/many/environment"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let api = format!(
        "AWS_LAMBDA_RUNTIME_API={}",
        about["AWS_LAMBDA_RUNTIME_API"]
            .as_str()
            .unwrap()
            .rsplit_once("/probe/")
            .unwrap()
            .0
    );
    // The functions' processes, by the stack's address in their environment, and the stack's other children.
    let own = child.id().unwrap();
    let started =
        std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    let remaining = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|process| {
                let environ = std::fs::read(process.path().join("environ")).unwrap_or_default();
                let name = process.file_name().into_string().unwrap();
                String::from_utf8_lossy(&environ).contains(&api)
                    || started.split_whitespace().any(|pid| pid == name)
            })
            .count()
    };
    assert!(remaining() > 0);
    child.kill().await.unwrap();
    until("all are gone", async || remaining() == 0).await;
}

#[tokio::test]
async fn urls_contain_the_given_host_or_public_url() {
    let (_child, url, _lines) = up(&["--ephemeral", "--host", "localhost"]).await;
    assert!(url.starts_with("http://localhost:"), "{url}");
    let keys = reqwest::get(format!("{url}/_local/jwks.json"))
        .await
        .unwrap();
    assert_eq!(keys.status(), 200);

    let elsewhere = [
        "--ephemeral",
        "--host",
        "0.0.0.0",
        "--public-url",
        "https://cats.example",
    ];
    let (child, url, _lines) = up(&elsewhere).await;
    assert_eq!(url, "https://cats.example");
    drop(child);
}

#[tokio::test]
async fn invoke_prints_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    std::fs::write(&file, r#"{"path": "/echo", "who": "{{token:nabi}}"}"#).unwrap();
    let fresh = run(command("invoke").arg("probe").arg(&file)).await;
    assert!(
        fresh.status.success(),
        "{}",
        String::from_utf8_lossy(&fresh.stderr)
    );
    let answer: Value = serde_json::from_slice(&fresh.stdout).unwrap();
    assert!(
        answer["body"].as_str().unwrap().contains(r#""who":"ey"#),
        "{answer}"
    );

    let (_child, url, _lines) = up(&["--ephemeral"]).await;
    let running = run(command("invoke")
        .arg("Probe")
        .arg(&file)
        .args(["--url", &url]))
    .await;
    assert!(
        running.status.success(),
        "{}",
        String::from_utf8_lossy(&running.stderr)
    );
    let fail = folder.path().join("fail.json");
    std::fs::write(&fail, r#"{"path": "/fail"}"#).unwrap();
    let failing = run(command("invoke")
        .arg("broken")
        .arg(&fail)
        .args(["--url", &url]))
    .await;
    assert_eq!(failing.status.code(), Some(1));
    let unknown = run(command("invoke").arg("nobody").arg(&file)).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no function nobody"));
}

#[tokio::test]
async fn errors_name_the_problem_and_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, code, message) in [
        (vec!["--port", &port], 1, "choose another with --port"),
        (
            vec!["--template", "nowhere.yaml"],
            1,
            "can't read nowhere.yaml",
        ),
        (
            vec!["--bin-dir", "/nowhere"],
            1,
            "cargo build --workspace --profile local",
        ),
        (vec!["--param", "Timeout"], 2, "must be NAME=VALUE"),
        (
            vec!["--param", "CacheScheme=telnet"],
            2,
            "error: parameter CacheScheme=\"telnet\": must be one of redis, rediss\n",
        ),
        (
            vec!["--param", "cacheScheme=redis"],
            2,
            "there is no parameter cacheScheme, did you mean CacheScheme?\n",
        ),
        (
            vec![
                "--param",
                "Least=0",
                "--param",
                "Most=0",
                "--param",
                "BrokenStarts=",
            ],
            2,
            "error: the parameters are invalid:\n  \
             BrokenStarts=\"\": must be a word and perhaps a file\n  \
             Least=\"0\": must be at least 1\n  \
             Least and Most must differ\n",
        ),
        (
            vec!["--param", "BrokenStarts=fail"],
            1,
            "error: functions don't start:\n  broken: Error: \"told to fail\"\n",
        ),
        (
            vec!["--log-format", "xml"],
            2,
            "possible values: auto, text, json",
        ),
        (vec!["--data-dir", "x"], 2, "cannot be used with"),
        (
            vec!["--host", "192.0.2.1"],
            1,
            "--host takes an address of this machine",
        ),
        (
            vec!["--public-url", "cats.example"],
            2,
            "must be http:// or https://",
        ),
        (
            vec!["--public-url", "https://cats.example/x"],
            2,
            "must be http:// or https://",
        ),
    ] {
        let mut up = Command::new(env!("CARGO_BIN_EXE_purrline-local"));
        up.arg("up").arg("--ephemeral").env_remove("RUST_BACKTRACE");
        for (name, value) in [
            ("--template", template_file()),
            ("--bin-dir", options().bin_dir),
            ("--port", "0".into()),
        ] {
            if !arguments.contains(&name) {
                up.arg(name).arg(value);
            }
        }
        let output = run(up.args(&arguments)).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains(message) && stderr.starts_with("error:"),
            "{arguments:?}: {stderr}"
        );
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(!stdout.contains("is up"), "{arguments:?}: {stdout}");
    }
}

#[tokio::test]
async fn missing_cache_server_is_named() {
    let up = Command::new(env!("CARGO_BIN_EXE_purrline-local"))
        .args(["up", "--ephemeral", "--port", "0", "--template"])
        .arg(template_file())
        .arg("--bin-dir")
        .arg(options().bin_dir)
        .env("PATH", "/nowhere")
        .stdout(Stdio::null())
        .output();
    let stderr = tokio::time::timeout(Duration::from_secs(20), up)
        .await
        .unwrap()
        .unwrap()
        .stderr;
    assert!(
        String::from_utf8_lossy(&stderr).contains("neither valkey-server nor redis-server"),
        "{stderr:?}"
    );
}

#[tokio::test]
async fn log_formats_differ_in_detail() {
    for (more, expected) in [
        (vec!["--log-format", "text"], "  slow is done  probe"),
        (vec!["--verbose"], "           probe | slow is done"),
        (
            vec!["--log-format", "json"],
            r#"{"function":"probe","message":"slow is done"}"#,
        ),
    ] {
        let arguments = [vec!["--ephemeral"], more].concat();
        let (_child, url, mut lines) = up(&arguments).await;
        let answer = reqwest::get(format!("{url}/many/slow")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let printed = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.ends_with(expected) {
                    return;
                }
            }
            panic!("{arguments:?} doesn't print {expected}");
        };
        tokio::time::timeout(SOON, printed).await.unwrap();
    }
}

#[tokio::test]
async fn start_can_be_interrupted() {
    let mut child = command("up")
        .args(["--port", "0", "--ephemeral", "--param", "BrokenStarts=hang"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(SOON, lines.next_line()).await.unwrap();
    assert_eq!(line.unwrap().unwrap(), "starting …");
    signal(&child, Signal::INT);
    let ended = tokio::time::timeout(SOON, child.wait()).await.unwrap();
    assert!(ended.unwrap().success());
    assert_eq!(lines.next_line().await.unwrap(), None);
}

/// Whether a process runs. A zombie has no command line.
#[cfg(target_os = "linux")]
fn runs(pid: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The processes whose command line contains this text.
#[cfg(target_os = "linux")]
fn processes(text: &str) -> Vec<Pid> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let with_text = all.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    });
    with_text
        .filter_map(|process| Pid::from_raw(process.file_name().to_str()?.parse().ok()?))
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn restart_after_a_kill_reports_lost_messages() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (mut child, _url, _lines) = up(&["--data-dir", data]).await;
    let record = std::fs::read_to_string(folder.path().join("lock")).unwrap();
    let server = record
        .lines()
        .find(|line| line.contains("-server"))
        .unwrap();
    let server = server.split(' ').next().unwrap();
    // The guard, which would kill the server, is a child of the same parent as the server.
    let parent = child.id().unwrap();
    let is_guard = |pid: &Pid| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
        status.is_ok_and(|status| status.contains(&format!("PPid:\t{parent}\n")))
    };
    let mut guards = processes("purrline-guard");
    guards.retain(is_guard);
    assert_eq!(guards.len(), 1);
    kill_process(guards[0], Signal::KILL).unwrap();
    child.kill().await.unwrap();
    assert!(runs(server), "the cache's server still runs");

    let (mut child, _url, mut lines) = up(&["--data-dir", data]).await;
    until("the server is killed", async || !runs(server)).await;
    let mut greeting = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.is_empty() {
            break;
        }
        greeting.push_str(&line);
    }
    for part in [
        "was killed",
        "photos and tokens are kept",
        "in its queues are lost",
        "-server",
    ] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    signal(&child, Signal::INT);
    child.wait().await.unwrap();
    let record = std::fs::read_to_string(folder.path().join("lock")).unwrap();
    assert_eq!(record, "", "the stack ended in order");
}

#[tokio::test]
async fn help_names_the_command_as_typed() {
    for (arguments, usage) in [
        (vec!["up", "--help"], "Usage: ./dev up [OPTIONS]"),
        (
            vec!["invoke", "--help"],
            "Usage: ./dev invoke [OPTIONS] <FUNCTION> <EVENT>",
        ),
        (vec!["up", "--prot"], "Usage: ./dev up"),
        (vec!["--help"], "Usage: ./dev <COMMAND>"),
    ] {
        let mut help = Command::new(env!("CARGO_BIN_EXE_purrline-local"));
        let output = run(help.args(&arguments)).await;
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(printed.contains(usage), "{arguments:?}: {printed}");
        assert!(
            !printed.contains("purrline-local"),
            "{arguments:?}: {printed}"
        );
    }
}
