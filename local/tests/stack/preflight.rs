//! The checks of `./dev` before it builds anything.

use std::os::unix::fs::PermissionsExt as _;

use tokio::process::Command;

use super::command_line::run;
use super::repository;

/// Runs `./dev` with a fake cargo, which reports that it was called. Returns the exit status and all output.
async fn dev(arguments: &[&str]) -> (Option<i32>, String) {
    let tools = tempfile::tempdir().unwrap();
    for tool in ["cargo", "redis-server"] {
        let file = tools.path().join(tool);
        std::fs::write(
            &file,
            format!("#!/bin/sh\necho {tool} was called >&2\nexit 9\n"),
        )
        .unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let mut script = Command::new("sh");
    script
        .arg(repository().join("dev"))
        .args(arguments)
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .current_dir(repository());
    let output = run(&mut script).await;
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[tokio::test]
async fn options_ports_and_folders_are_checked_before_the_build() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, used) = (file.to_str().unwrap(), folder.path().join("used"));
    std::fs::create_dir(&used).unwrap();
    let lock = std::fs::File::create(used.join("lock")).unwrap();
    lock.lock().unwrap();
    let used = used.to_str().unwrap();
    for (arguments, code, message) in [
        (
            vec!["up", "--prot", "1"],
            2,
            "error: there is no option --prot",
        ),
        (vec!["up", "8080"], 2, "unexpected argument 8080"),
        (vec!["up", "--port"], 2, "--port needs a value"),
        (
            vec!["up", "--port", "65536"],
            2,
            "must be a number from 0 to 65535",
        ),
        (
            vec!["up", "--workers=0"],
            2,
            "must be a number from 1 to 1000",
        ),
        (vec!["up", "--param", "ReadLimit"], 2, "must be NAME=VALUE"),
        (
            vec!["up", "--log-format", "xml"],
            2,
            "must be one of auto, text, json",
        ),
        (
            vec!["up", "--public-url", "cats.example"],
            2,
            "must be http:// or https:// with a host and no path",
        ),
        (
            vec!["up", "--data-dir", "x", "--ephemeral"],
            2,
            "cannot be used with",
        ),
        (
            vec!["up", "--port", &taken],
            1,
            "choose another with --port",
        ),
        (
            vec!["up", "--port", "0", "--data-dir", file],
            1,
            "choose another with --data-dir",
        ),
        (
            vec!["up", "--port", "0", "--data-dir", used],
            1,
            "another stack uses",
        ),
        (
            vec!["up", "--template", "nowhere.yaml"],
            1,
            "can't read nowhere.yaml",
        ),
        (vec!["invoke", "feed"], 2, "a function and an event's file"),
        (
            vec!["invoke", "feed", "nowhere.json"],
            1,
            "can't read nowhere.json",
        ),
    ] {
        let (exit, output) = dev(&arguments).await;
        assert_eq!(exit, Some(code), "{arguments:?}: {output}");
        assert!(output.contains(message), "{arguments:?}: {output}");
        assert!(!output.contains("was called"), "{arguments:?}: {output}");
    }
    // Valid arguments lead to the build.
    for arguments in [
        vec!["up", "--port", "0", "--ephemeral"],
        vec!["invoke", "feed", "-"],
    ] {
        let (exit, output) = dev(&arguments).await;
        assert!(
            exit == Some(9) && output.contains("cargo was called"),
            "{output}"
        );
    }
}
