use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Client, StatusCode};
use serde_json::Value;

use super::{start, until};

#[tokio::test]
async fn rules_route_by_priority_path_and_method() {
    let stack = start().await;
    let (client, url) = (Client::new(), stack.url());
    let arn = async |request: reqwest::RequestBuilder| {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["context"]["arn"].as_str().unwrap().to_owned()
    };
    assert!(
        arn(client.get(format!("{url}/many/single/x")))
            .await
            .ends_with("function:single")
    );
    assert!(
        arn(client.put(format!("{url}/many/single/x")))
            .await
            .ends_with("function:probe")
    );
    assert!(
        arn(client.get(format!("{url}/many?a=b")))
            .await
            .ends_with("function:probe")
    );
    let fixed = client.get(format!("{url}/elsewhere")).send().await.unwrap();
    assert_eq!(
        (
            fixed.status(),
            fixed.headers()["content-type"].to_str().unwrap()
        ),
        (StatusCode::NOT_FOUND, "text/plain")
    );
    assert_eq!(fixed.text().await.unwrap(), "nothing here");
}

#[tokio::test]
async fn functions_get_the_load_balancers_event() {
    let stack = start().await;
    let client = Client::new();
    let many = client
        .post(format!("{}/many/%EA%B3%A0?tag=a&tag=b%20c", stack.url()))
        .header("X-Thing", "one")
        .header("X-Thing", "two")
        .header("content-type", "image/png")
        .body(vec![0_u8, 255, 1])
        .send()
        .await
        .unwrap();
    let event = many.json::<Value>().await.unwrap()["event"].clone();
    assert_eq!(event["path"], "/many/%EA%B3%A0");
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(
        event["multiValueQueryStringParameters"]["tag"],
        serde_json::json!(["a", "b%20c"])
    );
    assert_eq!(
        event["multiValueHeaders"]["x-thing"],
        serde_json::json!(["one", "two"])
    );
    assert_eq!(
        event["multiValueHeaders"]["x-forwarded-for"],
        serde_json::json!(["127.0.0.1"])
    );
    assert_eq!(
        (&event["body"], &event["isBase64Encoded"]),
        (&"AP8B".into(), &true.into())
    );

    let single = client
        .get(format!("{}/many/single/x?tag=a&tag=b", stack.url()))
        .send()
        .await
        .unwrap();
    let text = single.text().await.unwrap();
    let event = serde_json::from_str::<Value>(&text).unwrap()["event"].clone();
    assert_eq!(event["queryStringParameters"]["tag"], "b");
    assert!(
        event["headers"]["host"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    let arn = event["requestContext"]["elb"]["targetGroupArn"]
        .as_str()
        .unwrap();
    assert!(
        arn.starts_with(
            "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/SingleGroup/"
        ),
        "{arn}"
    );
}

#[tokio::test]
async fn answers_keep_every_header() {
    let stack = start().await;
    let answer = Client::new()
        .get(format!("{}/many/binary", stack.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer
            .headers()
            .get_all("x-many")
            .iter()
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    assert_eq!(answer.bytes().await.unwrap().as_ref(), b"\x01cat");
}

#[tokio::test]
async fn failed_function_is_a_bad_gateway() {
    let stack = start().await;
    for how in [
        "many/crash",
        "many/fail",
        "many/panic",
        "many/hang",
        "many/nothing",
        "many/big",
        "broken",
    ] {
        let answer = Client::new()
            .get(format!("{}/{how}", stack.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{how}");
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("<h1>502 Bad Gateway</h1>"),
            "{how}"
        );
    }
}

#[tokio::test]
async fn bodies_up_to_one_mebibyte_pass() {
    let stack = start().await;
    let post = async |size: usize, chunked: bool| {
        let body = vec![b'x'; size];
        let body = if chunked {
            let frames = [Ok::<_, std::io::Error>(Frame::data(Bytes::from(body)))];
            reqwest::Body::wrap(StreamBody::new(futures::stream::iter(frames)))
        } else {
            reqwest::Body::from(body)
        };
        let request = Client::new()
            .post(format!("{}/many/slow", stack.url()))
            .body(body);
        request.send().await.unwrap().status()
    };
    assert_eq!(post(1 << 20, false).await, StatusCode::OK);
    assert_eq!(
        post((1 << 20) + 1, false).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        post((1 << 20) + 1, true).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn invocation_continues_without_its_client() {
    let stack = start().await;
    let client = Client::builder()
        .timeout(Duration::from_millis(150))
        .build()
        .unwrap();
    stack.invoke("probe", &serde_json::json!({})).await.unwrap();
    assert!(
        client
            .get(format!("{}/many/slow", stack.url()))
            .send()
            .await
            .unwrap_err()
            .is_timeout()
    );
    let lines = || stack.logs("probe").unwrap();
    until("it is done", async || {
        lines().iter().any(|line| line == "slow is done")
    })
    .await;
}

#[tokio::test]
async fn local_routes_answer() {
    let stack = start().await;
    let (client, url) = (Client::new(), stack.url());
    let token: Value = client
        .get(format!("{url}/_local/token/nabi"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&token["token_type"], &token["expires_in"]),
        (&"Bearer".into(), &86_400.into())
    );
    let jwks: jsonwebtoken::jwk::JwkSet = client
        .get(format!("{url}/_local/jwks.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let token = token["access_token"].as_str().unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwks.find(&kid).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["purrline-local"]);
    validation.set_issuer(&[&stack.environment("probe").unwrap()["ISSUER"]]);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], "nabi");
    assert!(
        jsonwebtoken::decode::<Value>(
            stack.sign_in().sign_with_another_key(&claims).unwrap(),
            &key,
            &validation
        )
        .is_err()
    );

    let status: Value = client
        .get(format!("{url}/_local/status"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        status["queues"]["Work"],
        serde_json::json!({ "visible": 0, "in_flight": 0, "dead_letters": 0 })
    );
    assert_eq!(status["functions"]["probe"]["memory_limit_mb"], 128);
    let drained = client
        .post(format!("{url}/_local/drain?timeout=5"))
        .send()
        .await
        .unwrap();
    assert_eq!(drained.status(), StatusCode::OK);
    let invoked = client
        .post(format!("{url}/2015-03-31/functions/probe/invocations"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(invoked.status(), StatusCode::OK);
    let nobody = client
        .post(format!("{url}/2015-03-31/functions/nobody/invocations"))
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(nobody.status(), 404);
    for (method, path, allow) in [
        ("GET", "drain", "POST"),
        ("PUT", "drain", "POST"),
        ("POST", "status", "GET"),
        ("DELETE", "token/nabi", "GET"),
        ("POST", "jwks.json", "GET"),
        ("POST", "environment", "GET"),
    ] {
        let request = client.request(method.parse().unwrap(), format!("{url}/_local/{path}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.headers()["allow"], allow, "{method} {path}");
        let media_type = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(media_type, "application/problem+json", "{method} {path}");
        let problem: Value = answer.json().await.unwrap();
        let detail = format!("This path takes {allow} only.");
        assert_eq!(problem["detail"], detail, "{method} {path}");
    }
    for (path, status) in [("drain?wait=5", 400), ("nothing", 404)] {
        let answer = client
            .post(format!("{url}/_local/{path}"))
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn listener_headers_are_on_every_answer_once() {
    let stack = start().await;
    let client = Client::new();
    let large = vec![b'x'; (1 << 20) + 1];
    for (request, status) in [
        (client.get(format!("{}/many/binary", stack.url())), 200),
        (client.get(format!("{}/elsewhere", stack.url())), 404),
        (client.get(format!("{}/many/nothing", stack.url())), 502),
        (
            client
                .post(format!("{}/many/slow", stack.url()))
                .body(large),
            413,
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("access-control-allow-origin", "*"),
        ] {
            let found: Vec<_> = answer.headers().get_all(name).iter().collect();
            assert_eq!(found, [value], "{status}: {name}");
        }
        assert!(!answer.headers().contains_key("content-security-policy"));
    }
}

#[tokio::test]
async fn tokens_have_the_requested_lifetime_and_groups() {
    let stack = start().await;
    let token = async |query: &str| {
        let answer = reqwest::get(format!("{}/_local/token/{query}", stack.url()));
        let answer = answer.await.unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    for (query, lifetime, groups) in [
        ("nabi", 86_400, Value::Null),
        ("nabi?expires_in=1", 1, Value::Null),
        ("nabi?expires_in=2592000", 2_592_000, Value::Null),
        (
            "nabi?expires_in=60&groups=moderators,cats",
            60,
            serde_json::json!(["moderators", "cats"]),
        ),
    ] {
        let (status, answer) = token(query).await;
        assert_eq!(
            (status, &answer["expires_in"]),
            (200, &lifetime.into()),
            "{query}"
        );
        let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(
            answer["access_token"].as_str().unwrap(),
        );
        let claims = claims.unwrap().claims;
        let (from, to) = (
            claims["iat"].as_u64().unwrap(),
            claims["exp"].as_u64().unwrap(),
        );
        assert_eq!(
            (to - from, &claims["cognito:groups"]),
            (lifetime, &groups),
            "{query}"
        );
    }
    for (query, parameter) in [
        ("nabi?expires_in=0", "expires_in"),
        ("nabi?expires_in=2592001", "expires_in"),
        ("nabi?expires_in=soon", "expires_in"),
        ("nabi?groups=a%20b", "groups"),
        ("nabi?group=cats", "groups"),
        ("na.bi", "user"),
    ] {
        let (status, answer) = token(query).await;
        let error = answer["error"].as_str().unwrap();
        assert!(
            status == 400 && error.contains(parameter),
            "{query}: {answer}"
        );
    }
}
