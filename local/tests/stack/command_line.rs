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

async fn run(command: &mut Command) -> Output {
    tokio::time::timeout(SOON, command.output())
        .await
        .unwrap()
        .unwrap()
}

/// A stack of its own, with its address and what it prints after that.
async fn up(more: &[&str]) -> (Child, String, Lines<BufReader<ChildStdout>>) {
    let mut child = command("up")
        .args(["--port", "0"])
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Functions may have printed something already.
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
        assert!(
            printed
                .iter()
                .any(|line| line.ends_with("probe | slow is done")),
            "{printed:#?}"
        );
        assert_eq!(printed.last().unwrap(), "Stopped.");
        assert!(
            !printed.iter().any(|line| line.contains('\u{1b}')),
            "colours without a terminal"
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_stack_leaves_nothing_behind() {
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
    // The functions, by the stack that they serve; and whatever its own process started.
    let own = child.id().unwrap();
    let started =
        std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    let left = || {
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
    assert!(left() > 0);
    child.kill().await.unwrap();
    until("all are gone", async || left() == 0).await;
}

#[tokio::test]
async fn up_is_called_by_the_name_that_it_was_given() {
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
    let failing = run(command("invoke")
        .arg("broken")
        .arg(&file)
        .args(["--url", &url]))
    .await;
    assert_eq!(failing.status.code(), Some(1));
    let unknown = run(command("invoke").arg("nobody").arg(&file)).await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no function nobody"));
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, code, said) in [
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
            1,
            "telnet isn't one of redis, rediss",
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
            stderr.contains(said) && stderr.starts_with("error:"),
            "{arguments:?}: {stderr}"
        );
    }
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
