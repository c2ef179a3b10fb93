use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use purrline_local::{Error, InvokeError, Options, Stack, StartLimits, fill_event};
use serde_json::{Value, json};

use super::{count_items, options, start, until};

fn event(behaviour: &str) -> Value {
    json!({ "path": format!("/{behaviour}") })
}

#[tokio::test]
async fn function_gets_lambdas_context_and_environment() {
    let stack = start().await;
    let answer: Value =
        serde_json::from_slice(&stack.invoke("probe", &event("echo")).await.unwrap()).unwrap();
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let remaining = body["context"]["deadline_in_ms"].as_u64().unwrap();
    assert!((1..=1000).contains(&remaining), "{remaining}");
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
        serde_json::from_slice(&stack.invoke("Probe", &event("environment")).await.unwrap())
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
async fn failures_are_distinguished_and_fail_only_their_own_invocation() {
    let stack = start().await;
    let failed = stack.invoke("probe", &event("fail")).await.unwrap_err();
    assert!(
        matches!(&failed, InvokeError::Function(text) if text.contains("told to fail")),
        "{failed}"
    );
    let panicked = stack.invoke("probe", &event("panic")).await.unwrap_err();
    assert!(
        matches!(&panicked, InvokeError::Function(text) if text.contains("told to panic")),
        "{panicked}"
    );
    assert_eq!(
        stack.status().await.unwrap().functions["probe"].processes,
        1
    );

    let crashed = stack.invoke("probe", &event("crash")).await.unwrap_err();
    assert_eq!(crashed, InvokeError::Crashed("exit status 3".to_owned()));
    assert!(
        stack.invoke("probe", &event("echo")).await.is_ok(),
        "a new process starts"
    );

    let broken = stack.invoke("broken", &event("echo")).await.unwrap_err();
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
async fn timeout_kills_the_process() {
    let stack = start().await;
    let started = Instant::now();
    let error = stack.invoke("probe", &event("hang")).await.unwrap_err();
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
async fn exceeded_memory_limit_kills_the_process() {
    let stack = Stack::start(options().parameter("Timeout", "10"))
        .await
        .unwrap();
    let error = stack.invoke("probe", &event("hog")).await.unwrap_err();
    assert!(
        matches!(&error, InvokeError::Crashed(text) if text.starts_with("out of memory")),
        "{error}"
    );
    let status = stack.status().await.unwrap().functions["probe"].clone();
    assert!(status.peak_memory_mb > 128.0, "{status:?}");
}

#[tokio::test]
async fn load_starts_processes_up_to_the_limit() {
    let stack = Stack::start(Options {
        workers: 3,
        ..options()
    })
    .await
    .unwrap();
    let started = Instant::now();
    let slow = event("slow");
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
async fn event_placeholders_are_filled_in() {
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
async fn schedule_invokes_its_function() {
    let stack = start().await;
    stack.run_schedule("probe").await.unwrap();
    assert_eq!(
        stack.status().await.unwrap().functions["probe"].invocations,
        1
    );
}

#[tokio::test]
async fn concurrent_stacks_are_independent() {
    let started = Instant::now();
    let stacks = futures::future::join_all((0..6).map(|_| start())).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    let items = futures::future::join_all(stacks.iter().map(|stack| async {
        stack.invoke("probe", &event("put")).await.unwrap();
        stack.kill_function("probe").unwrap();
        count_items(stack).await
    }))
    .await;
    assert_eq!(items, [2; 6]);
    let mut urls: Vec<_> = stacks.iter().map(Stack::url).collect();
    urls.dedup();
    assert_eq!(urls.len(), 6);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_process_outlives_the_stack() {
    let stack = start().await;
    stack.invoke("probe", &event("echo")).await.unwrap();
    let answer: Value =
        serde_json::from_slice(&stack.invoke("probe", &event("environment")).await.unwrap())
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
async fn start_errors_name_the_missing_part() {
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
async fn data_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Options {
        data_dir: Some(folder.path().to_owned()),
        ..options()
    };
    let stack = Stack::start(kept()).await.unwrap();
    stack.invoke("probe", &event("put")).await.unwrap();
    let keys = stack.sign_in().jwks().clone();
    let busy = Stack::start(kept()).await.unwrap_err();
    assert!(busy.to_string().contains("another stack uses"), "{busy}");
    stack.stop().await;

    let started = Instant::now();
    let stack = Stack::start(kept()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(stack.sign_in().jwks(), &keys);
    assert_eq!(count_items(&stack).await, 2);
}

/// Starts a stack whose function `broken` starts in this way. Returns the stack and the function's URL.
async fn start_with_broken(how: &str, start_limits: StartLimits) -> (Stack, String) {
    let options = Options {
        start_limits,
        ..options().parameter("BrokenStarts", how)
    };
    let stack = Stack::start(options).await.unwrap();
    let url = format!("{}/broken", stack.url());
    (stack, url)
}

#[tokio::test]
async fn requests_wait_for_a_slow_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("start");
    let limits = StartLimits {
        warn_after: Duration::from_millis(50),
        ..StartLimits::default()
    };
    let (stack, url) = start_with_broken(&format!("after:{}", file.display()), limits).await;
    let (answer, ()) = futures::join!(reqwest::get(&url), async {
        // AWS would not wait this long, which only causes a warning.
        until("the warning is logged", async || {
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
async fn request_without_a_process_is_a_503_with_retry_after() {
    let limits = StartLimits {
        warn_after: Duration::from_secs(10),
        give_up_after: Duration::from_millis(200),
    };
    let (stack, url) = start_with_broken("hang", limits).await;
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
    let error = stack.invoke("broken", &event("echo")).await.unwrap_err();
    assert_eq!(error, InvokeError::StartTimedOut(limits.give_up_after));
}

#[tokio::test]
async fn unsent_request_is_retried_with_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let how = format!("second:{}", folder.path().join("tried").display());
    let (stack, url) = start_with_broken(&how, StartLimits::default()).await;
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let status = stack.status().await.unwrap().functions["broken"].clone();
    assert_eq!((status.invocations, status.errors), (1, 0));
    let failed = stack.logs("broken").unwrap();
    assert!(
        failed.iter().any(|line| line.contains("told to fail once")),
        "{failed:#?}"
    );
}

/// Fails when a start that times out fails the request that waits then, however short it has waited.
#[tokio::test]
async fn timed_out_start_does_not_fail_later_requests() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tried");
    let how = format!("hangonce:{}", file.display());
    let options = Options {
        start_limits: StartLimits {
            warn_after: Duration::from_secs(10),
            give_up_after: Duration::from_secs(2),
        },
        workers: 2,
        ..options()
            .parameter("BrokenStarts", &how)
            .parameter("Timeout", "20")
    };
    let stack = Stack::start(options).await.unwrap();
    let invoke = async |how: &str| stack.invoke("broken", &event(how)).await;
    // The second process takes both.
    let (first, second) = futures::join!(invoke("echo"), async {
        until("the first process hangs", async || file.exists()).await;
        invoke("echo").await
    });
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    // It is kept busy, so that the next one is for the first process.
    let later = async {
        let running = async || stack.status().await.unwrap().functions["broken"].running == 1;
        until("the second process is busy", running).await;
        invoke("echo").await
    };
    tokio::select! {
        hung = invoke("hang") => panic!("{hung:?}"),
        later = later => assert!(later.is_ok(), "{later:?}"),
    }
    let lines = stack.logs("broken").unwrap();
    let timed_out = |line: &String| line.contains("didn't start within 2s");
    assert!(lines.iter().any(timed_out), "{lines:#?}");
}

#[tokio::test]
async fn warm_stack_waits_for_every_function() {
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
