//! The layers around every handler.

use axum::Router;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderName, StatusCode};
use axum::routing::{get, post, put};

use super::{ORIGIN, Origins, Settings, api, call, settings};
use crate::http::Api;

fn hello() -> Api {
    let router = Router::new()
        .route("/v1/health", get(async || "hello"))
        .route(
            "/v1/posts",
            post(async |body: crate::http::Fields| body.finish(()).map(|()| "posted")),
        )
        .route("/v1/posts/{id}/like", put(async || "liked"));
    api(router)
}

#[tokio::test]
async fn single_and_multi_value_events_are_answered() {
    for request in [
        call("GET", "/v1/health"),
        call("GET", "/v1/health").single_value(),
    ] {
        let got = request.to(&hello()).await;
        assert_eq!((got.status(), got.text()), (200, "hello"));
        assert_eq!(got.answer["statusDescription"], "200 OK");
        assert_eq!(got.answer["isBase64Encoded"], false);
    }
}

#[tokio::test]
async fn binary_answers_are_base64() {
    let api = api(Router::new().route("/v1/health", get(async || vec![0xff_u8, 0xd8])));
    let got = call("GET", "/v1/health").to(&api).await;
    assert_eq!(
        (got.text(), &got.answer["isBase64Encoded"]),
        ("/9g=", &true.into())
    );
}

#[tokio::test]
async fn unknown_paths_are_404() {
    for path in [
        "/",
        "/v1",
        "/v2/health",
        "/v1/health/",
        "/v1/posts/",
        "/v1//like",
        "/V1/health",
        "/v1/health%2F",
        "",
    ] {
        assert_eq!(call("GET", path).to(&hello()).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_list_those_of_every_function() {
    for (method, path, allow) in [
        ("POST", "/v1/health", "GET, HEAD"),
        ("PATCH", "/v1/posts/x/like", "DELETE, PUT"),
        ("PUT", "/v1/posts/x", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/v1/uploads", "POST"),
        ("FETCH", "/v1/uploads", "POST"),
    ] {
        let got = call(method, path).to(&hello()).await;
        assert_eq!(
            (got.status(), got.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn head_answers_have_no_body() {
    let got = call("HEAD", "/v1/health").to(&hello()).await;
    assert_eq!((got.status(), got.text()), (200, ""));
    let got = call("HEAD", "/v1/nothing").to(&hello()).await;
    assert_eq!((got.status(), got.text()), (404, ""));
}

#[tokio::test]
async fn route_of_another_function_is_500() {
    assert_eq!(
        call("DELETE", "/v1/posts/x/like")
            .to(&hello())
            .await
            .status(),
        500
    );
    assert_eq!(call("GET", "/v1/feed").to(&hello()).await.status(), 500);
}

#[tokio::test]
async fn malformed_requests_are_400() {
    for request in [
        call("GET", "/v1/hea lth"),
        call("G ET", "/v1/health"),
        call("POST", "/v1/posts").body("*").base64(),
    ] {
        assert_eq!(request.to(&hello()).await.status(), 400);
    }
}

#[tokio::test]
async fn odd_hosts_and_headers_do_not_fail_a_request() {
    let odd = [
        ("host", "["),
        ("host", "x/v1/posts?"),
        ("x y", "z"),
        ("x", "\u{0}"),
        ("x", "고양이"),
        ("", ""),
    ];
    for (name, value) in odd {
        let got = call("GET", "/v1/health")
            .header(name, value)
            .to(&hello())
            .await;
        assert_eq!(got.status(), 200, "{name}: {value}");
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_413_and_compressed_ones_415() {
    let body = |len: usize| format!("{{{}}}", " ".repeat(len - 2));
    for (len, status) in [(1024, 200), (1025, 413)] {
        let got = call("POST", "/v1/posts").json(body(len)).to(&hello()).await;
        assert_eq!(got.status(), status, "{len}");
    }
    let encoded = call("POST", "/v1/posts")
        .json("e30=")
        .base64()
        .to(&hello())
        .await;
    assert_eq!((encoded.status(), encoded.text()), (200, "posted"));
    for (encoding, status) in [("identity", 200), ("gzip", 415)] {
        let request = call("POST", "/v1/posts")
            .header("content-encoding", encoding)
            .json("e30=")
            .base64();
        assert_eq!(request.to(&hello()).await.status(), status, "{encoding}");
    }
}

#[tokio::test]
async fn a_panic_is_500_and_the_next_request_is_fine() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let calls = std::sync::Arc::new(calls);
    let handler = async move || {
        assert_ne!(
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            0,
            "the first one fails"
        );
        "fine"
    };
    let api = api(Router::new().route("/v1/health", get(handler)));
    let got = call("GET", "/v1/health")
        .header("origin", ORIGIN)
        .to(&api)
        .await;
    assert_eq!(got.status(), 500);
    assert!(!got.text().contains("first"), "{}", got.text());
    assert_eq!(got.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(call("GET", "/v1/health").to(&api).await.status(), 200);
}

#[tokio::test]
async fn a_handler_that_runs_out_of_time_is_503() {
    let api = api(Router::new().route("/v1/health", get(std::future::pending::<String>)));
    for left in [-1000, 0, 310] {
        let got = call("GET", "/v1/health")
            .milliseconds_left(left)
            .to(&api)
            .await;
        assert_eq!((got.status(), got.header("retry-after")), (503, Some("2")));
    }
}

#[tokio::test]
async fn absurd_deadline_is_ignored() {
    let got = call("GET", "/v1/health")
        .milliseconds_left(-600_000)
        .to(&hello())
        .await;
    assert_eq!(got.status(), 200);
}

#[tokio::test]
async fn plain_error_answers_become_problems_without_their_text() {
    let handler = get(async || (StatusCode::CONFLICT, "table Posts-1F3X is at fault"));
    let got = call("GET", "/v1/health")
        .to(&api(Router::new().route("/v1/health", handler)))
        .await;
    assert_eq!(got.status(), 409);
    assert!(!got.text().contains("Posts"), "{}", got.text());
}

#[tokio::test]
async fn asterisk_among_origins_allows_any_origin() {
    for origins in ["*", "*/", "*, https://b.example", "https://b.example,*/"] {
        let settings = Settings {
            origins: Origins::parse(origins).unwrap(),
            ..settings()
        };
        let handler = Router::new().route("/v1/health", get(async || "fine"));
        let got = call("GET", "/v1/health")
            .header("origin", "https://any.example")
            .to(&Api::new(handler, settings))
            .await;
        assert_eq!(
            got.header("access-control-allow-origin"),
            Some("*"),
            "{origins}"
        );
    }
}

#[tokio::test]
async fn preflights_are_answered_for_the_configured_origins() {
    for path in ["/v1/posts", "/v1/nothing"] {
        let preflight = || call("OPTIONS", path).header("access-control-request-method", "POST");
        let got = preflight().header("origin", ORIGIN).to(&hello()).await;
        assert_eq!(got.status(), 200);
        assert_eq!(got.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(
            got.header("access-control-allow-headers"),
            Some(
                "authorization,content-type,idempotency-key,traceparent,tracestate,sentry-trace,baggage"
            )
        );
        assert_eq!(
            got.header("access-control-allow-methods"),
            Some("GET,POST,PUT,PATCH,DELETE")
        );
        assert_eq!(got.header("access-control-max-age"), Some("3600"));
        assert_eq!(got.header("vary"), Some("origin"));
        let got = preflight()
            .header("origin", "https://dogs.example")
            .to(&hello())
            .await;
        assert_eq!(got.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn answers_may_be_read_from_the_configured_origins() {
    for (path, status) in [("/v1/health", 200), ("/v1/nothing", 404)] {
        for origin in [ORIGIN, "https://b.example"] {
            let got = call("GET", path)
                .header("origin", origin)
                .to(&hello())
                .await;
            assert_eq!(got.status(), status);
            assert_eq!(got.header("access-control-allow-origin"), Some(origin));
            assert_eq!(
                got.header("access-control-expose-headers"),
                Some("location,retry-after,www-authenticate,x-request-id")
            );
            assert_eq!(got.header("vary"), Some("origin"));
        }
        let got = call("GET", path)
            .header("origin", "https://dogs.example")
            .to(&hello())
            .await;
        assert_eq!(got.header("access-control-allow-origin"), None);
        assert_eq!(got.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn options_without_an_origin_lists_the_methods() {
    let got = call("OPTIONS", "/v1/posts").to(&hello()).await;
    assert_eq!(
        (got.status(), got.header("allow")),
        (204, Some("POST, OPTIONS"))
    );
    assert_eq!(
        call("OPTIONS", "/v1/nothing").to(&hello()).await.status(),
        404
    );
}

#[tokio::test]
async fn only_successful_answers_can_be_cacheable() {
    const PUBLIC: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "public, max-age=60")];
    let router = Router::new()
        .route("/v1/health", get(async || (PUBLIC, "for all")))
        .route("/v1/me", get(async || "for one"))
        .route(
            "/v1/feed",
            get(async || (StatusCode::CONFLICT, PUBLIC, "an error")),
        );
    let api = api(router);
    for (path, caching) in [
        ("/v1/health", "public, max-age=60"),
        ("/v1/me", "no-store"),
        ("/v1/feed", "no-store"),
        ("/v1/nothing", "no-store"),
    ] {
        let got = call("GET", path).to(&api).await;
        assert_eq!(got.header("cache-control"), Some(caching), "{path}");
    }
}
