use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use purrline_local::{Error, InvokeError, Options, Stack, Starts, fill_event};
use serde_json::{Value, json};

use super::{options, start, until};

fn told(how: &str) -> Value {
    json!({ "path": format!("/{how}") })
}

#[tokio::test]
async fn a_function_is_told_what_lambda_tells_it() {
    let stack = start().await;
    let answer: Value =
        serde_json::from_slice(&stack.invoke("probe", &told("echo")).await.unwrap()).unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let left = body["context"]["deadline_in_ms"].as_u64().unwrap();
    assert!((1..=1000).contains(&left), "{left}");
    assert_eq!(
        body["context"]["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:probe"
    );
    assert!(
        body["context"]["trace"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );

    let answer: Value =
        serde_json::from_slice(&stack.invoke("Probe", &told("environment")).await.unwrap())
            .unwrap();
    let environment: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "probe"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_REGION", "us-east-1"),
        ("TABLE", "Things"),
        ("CACHE", stack.endpoints().cache.as_deref().unwrap()),
        ("AWS_ENDPOINT_URL_S3", &stack.endpoints().bucket),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(
        environment.get("HOME").is_none(),
        "the caller's environment leaks"
    );
}

#[tokio::test]
async fn failures_are_told_apart_and_cost_only_their_own_invocation() {
    let stack = start().await;
    let failed = stack.invoke("probe", &told("fail")).await.unwrap_err();
    assert!(
        matches!(&failed, InvokeError::Function(text) if text.contains("told to fail")),
        "{failed}"
    );
    let panicked = stack.invoke("probe", &told("panic")).await.unwrap_err();
    assert!(
        matches!(&panicked, InvokeError::Function(text) if text.contains("told to panic")),
        "{panicked}"
    );
    assert_eq!(
        stack.status().await.unwrap().functions["probe"].processes,
        1
    );

    let crashed = stack.invoke("probe", &told("crash")).await.unwrap_err();
    assert_eq!(crashed, InvokeError::Crashed("exit status 3".to_owned()));
    assert!(
        stack.invoke("probe", &told("echo")).await.is_ok(),
        "it starts again"
    );

    let broken = stack.invoke("broken", &told("echo")).await.unwrap_err();
    assert!(matches!(broken, InvokeError::Init(_)), "{broken}");
    assert!(matches!(
        stack.invoke("nobody", &json!({})).await,
        Err(InvokeError::Unknown(_))
    ));

    let status = stack.status().await.unwrap().functions["probe"].clone();
    assert_eq!((status.invocations, status.errors), (4, 3));
    assert!(
        status.peak_memory_mb > 1.0 && status.duration_ms.max > 0.0,
        "{status:?}"
    );
}

#[tokio::test]
async fn a_timeout_kills_the_process() {
    let stack = start().await;
    let started = Instant::now();
    let error = stack.invoke("probe", &told("hang")).await.unwrap_err();
    assert_eq!(error, InvokeError::TimedOut(Duration::from_secs(1)));
    assert!(
        (900..10_000).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
    until("the process is gone", async || {
        stack.status().await.unwrap().functions["probe"].processes == 0
    })
    .await;
    assert!(
        stack
            .logs("probe")
            .unwrap()
            .iter()
            .any(|line| line.contains("timed out after 1s"))
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn too_much_memory_kills_the_process() {
    let stack = Stack::start(options().parameter("Timeout", "10"))
        .await
        .unwrap();
    let error = stack.invoke("probe", &told("hog")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Crashed(text) if text.starts_with("out of memory")),
        "{error}"
    );
    let status = stack.status().await.unwrap().functions["probe"].clone();
    assert!(status.peak_memory_mb > 128.0, "{status:?}");
}

#[tokio::test]
async fn one_process_takes_one_event_and_load_starts_more_up_to_the_limit() {
    let stack = Stack::start(Options {
        workers: 3,
        ..options()
    })
    .await
    .unwrap();
    let started = Instant::now();
    let slow = told("slow");
    let invocations = (0..6).map(|_| stack.invoke("probe", &slow));
    assert!(
        futures::future::join_all(invocations)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert!(
        started.elapsed() >= Duration::from_millis(600),
        "three at a time, twice"
    );
    let status = stack.status().await.unwrap().functions["probe"].clone();
    assert_eq!(
        (status.processes, status.invocations, status.running),
        (3, 6, 0)
    );
}

#[tokio::test]
async fn placeholders_of_events_are_filled_in() {
    let stack = start().await;
    let event = r#"{"a": "{{token:nabi}}", "b": ["{{token:nabi}}", "{{token:mango}}", "{ {"]}"#;
    let filled: Value =
        serde_json::from_str(&fill_event(stack.url(), event).await.unwrap()).unwrap();
    assert_eq!(filled["a"], filled["b"][0]);
    assert_ne!(filled["a"], filled["b"][1]);
    let payload = filled["a"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["sub"], "nabi");
    for bad in ["{{token", "{{cat:nabi}}", "{{token}}"] {
        assert!(fill_event(stack.url(), bad).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn schedules_send_the_services_event() {
    let stack = start().await;
    stack.run_schedule("probe").await.unwrap();
    assert_eq!(
        stack.status().await.unwrap().functions["probe"].invocations,
        1
    );
}

#[tokio::test]
async fn stacks_start_at_once_and_dont_meet() {
    let started = Instant::now();
    let stacks = futures::future::join_all((0..6).map(|_| start())).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let tables = futures::future::join_all(stacks.iter().map(|stack| async {
        let client = aws_sdk_dynamodb::Client::from_conf(
            aws_sdk_dynamodb::config::Builder::from(&super::config(stack))
                .endpoint_url(&stack.endpoints().tables)
                .build(),
        );
        stack.invoke("probe", &told("put")).await.unwrap();
        stack.kill_function("probe").unwrap();
        client
            .scan()
            .table_name("Things")
            .send()
            .await
            .unwrap()
            .count()
    }))
    .await;
    assert_eq!(tables, [2; 6]);
    let mut urls: Vec<_> = stacks.iter().map(Stack::url).collect();
    urls.dedup();
    assert_eq!(urls.len(), 6);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_outlives_the_stack() {
    let stack = start().await;
    stack.invoke("probe", &told("echo")).await.unwrap();
    let answer: Value =
        serde_json::from_slice(&stack.invoke("probe", &told("environment")).await.unwrap())
            .unwrap();
    let environment: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let api = environment["AWS_LAMBDA_RUNTIME_API"]
        .as_str()
        .unwrap()
        .to_owned();
    let marker = format!("AWS_LAMBDA_RUNTIME_API={api}");
    let alive = || {
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .any(|process| {
                std::fs::read(process.path().join("environ")).is_ok_and(|environ| {
                    environ
                        .split(|byte| *byte == 0)
                        .any(|one| one == marker.as_bytes())
                })
            })
    };
    assert!(alive());
    drop(stack);
    until("the process is gone", async || !alive()).await;
}

#[tokio::test]
async fn whats_missing_is_named() {
    let missing = Stack::start(Options {
        bin_dir: "/nowhere".into(),
        ..options()
    })
    .await
    .unwrap_err();
    assert!(
        matches!(&missing, Error::MissingBinary { function, .. } if function == "broken"),
        "{missing}"
    );
    let taken = start().await;
    let port = taken.url().rsplit(':').next().unwrap().parse().unwrap();
    let error = Stack::start(Options {
        port: Some(port),
        ..options()
    })
    .await
    .unwrap_err();
    assert!(
        matches!(error, Error::PortTaken { port: same } if same == port),
        "{error}"
    );
    let wrong = Stack::start(options().parameter("Nobody", "x"))
        .await
        .unwrap_err();
    assert!(
        wrong.to_string().contains("there is no parameter Nobody"),
        "{wrong}"
    );
}

#[tokio::test]
async fn data_stays_in_its_folder_and_a_later_start_is_quick() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Options {
        data_dir: Some(folder.path().to_owned()),
        ..options()
    };
    let stack = Stack::start(kept()).await.unwrap();
    stack.invoke("probe", &told("put")).await.unwrap();
    let keys = stack.sign_in().jwks().clone();
    let busy = Stack::start(kept()).await.unwrap_err();
    assert!(busy.to_string().contains("another stack uses"), "{busy}");
    stack.stop().await;

    let started = Instant::now();
    let stack = Stack::start(kept()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(stack.sign_in().jwks(), &keys);
    let client = aws_sdk_dynamodb::Client::from_conf(
        aws_sdk_dynamodb::config::Builder::from(&super::config(&stack))
            .endpoint_url(&stack.endpoints().tables)
            .build(),
    );
    assert_eq!(
        client
            .scan()
            .table_name("Things")
            .send()
            .await
            .unwrap()
            .count(),
        2
    );
}

/// A stack whose function `broken` starts as it is told, and the address that it answers at.
async fn starting(how: &str, starts: Starts) -> (Stack, String) {
    let options = Options {
        starts,
        ..options().parameter("BrokenStarts", how)
    };
    let stack = Stack::start(options).await.unwrap();
    let url = format!("{}/broken", stack.url());
    (stack, url)
}

#[tokio::test]
async fn requests_wait_for_a_process_that_starts_slowly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("start");
    let starts = Starts {
        slow: Duration::from_millis(50),
        ..Starts::default()
    };
    let (stack, url) = starting(&format!("after:{}", file.display()), starts).await;
    let (answer, ()) = futures::join!(reqwest::get(&url), async {
        // Longer than AWS would wait: that is said, and no more.
        until("a warning says so", async || {
            let lines = stack.logs("broken").unwrap();
            lines
                .iter()
                .any(|line| line.contains("took longer than 50ms to start"))
        })
        .await;
        std::fs::write(&file, "").unwrap();
    });
    assert_eq!(answer.unwrap().status(), 200);
    let status = stack.status().await.unwrap().functions["broken"].clone();
    assert_eq!((status.processes, status.errors), (1, 0));
}

#[tokio::test]
async fn a_request_that_no_process_could_take_is_a_503_that_says_when_to_try_again() {
    let starts = Starts {
        slow: Duration::from_secs(10),
        most: Duration::from_millis(200),
    };
    let (stack, url) = starting("hang", starts).await;
    let requests = (0..3).map(|_| reqwest::get(&url));
    for answer in futures::future::join_all(requests).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 503);
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "application/problem+json");
        assert_eq!(header("retry-after"), "2");
        let id = header("x-request-id");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(
            (&problem["type"], &problem["status"], &problem["instance"]),
            (&json!("/problems/unavailable"), &json!(503), &json!(id))
        );
    }
    let error = stack.invoke("broken", &told("echo")).await.unwrap_err();
    assert_eq!(error, InvokeError::StartTimedOut(starts.most));
}

#[tokio::test]
async fn a_request_that_was_never_sent_is_tried_with_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let how = format!("second:{}", folder.path().join("tried").display());
    let (stack, url) = starting(&how, Starts::default()).await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let status = stack.status().await.unwrap().functions["broken"].clone();
    assert_eq!((status.invocations, status.errors), (1, 0));
    let failed = stack.logs("broken").unwrap();
    assert!(
        failed.iter().any(|line| line.contains("told to fail once")),
        "{failed:#?}"
    );
}

/// Fails when a start that takes too long costs the request that waits at its end, however short that has waited.
#[tokio::test]
async fn a_start_that_takes_too_long_costs_no_request_that_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tried");
    let how = format!("hangonce:{}", file.display());
    let options = Options {
        starts: Starts {
            slow: Duration::from_secs(10),
            most: Duration::from_secs(2),
        },
        workers: 2,
        ..options()
            .parameter("BrokenStarts", &how)
            .parameter("Timeout", "20")
    };
    let stack = Stack::start(options).await.unwrap();
    let invoke = async |how: &str| stack.invoke("broken", &told(how)).await;
    // The second process takes both.
    let (first, second) = futures::join!(invoke("echo"), async {
        until("the first process hangs", async || file.exists()).await;
        invoke("echo").await
    });
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    // It is kept busy, so that the next one is for the first process.
    tokio::select! {
        biased;
        hung = invoke("hang") => panic!("{hung:?}"),
        later = invoke("echo") => assert!(later.is_ok(), "{later:?}"),
    }
    let lines = stack.logs("broken").unwrap();
    let timed_out = |line: &String| line.contains("didn't start within 2s");
    assert!(lines.iter().any(timed_out), "{lines:#?}");
}

#[tokio::test]
async fn a_warm_stack_isnt_up_before_every_function_is() {
    let warm = |how: &str| Options {
        warm: true,
        ..options().parameter("BrokenStarts", how)
    };
    let error = Stack::start(warm("fail")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "functions don't start:\n  broken: Error: \"told to fail\""
    );
    let stack = Stack::start(warm("well")).await.unwrap();
    let status = stack.status().await.unwrap();
    assert!(
        status
            .functions
            .values()
            .all(|one| one.processes == 1 && one.init_ms.max > 0.0),
        "{status:#?}"
    );
}
