//! Signs in as a browser app does: discovery, the form, the redirect with a code, tokens, refreshed tokens.

mod app;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use purrline_local::Stack;
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::start;
use app::{App, BACK, CLIENT, PAGE, code_grant, inputs, location, send};

fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap())
}

#[tokio::test]
async fn app_signs_a_user_in_and_refreshes_tokens() {
    let stack = start().await;
    let app = App::new(&stack).await;
    let typed = [
        ("user", "nabi"),
        ("groups", "moderators"),
        ("expires_in", "60"),
    ];
    let answer = app.fill_in(app.authorization_url(&[]), &typed).await;
    let back = location(&answer);
    assert_eq!(back["from"], "purrline");
    assert_eq!(back["state"], "a state & \"more\"");
    assert_eq!(back["iss"], app.provider["issuer"].as_str().unwrap());

    let (status, tokens) = app.redeem(&back["code"]).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(
        (&tokens["token_type"], &tokens["expires_in"]),
        (&"Bearer".into(), &60.into())
    );
    assert_eq!(tokens["scope"], "openid profile");
    let access = app.claims(&tokens["access_token"]).await;
    assert_eq!(
        (&access["sub"], &access["cognito:groups"][0]),
        (&"nabi".into(), &"moderators".into())
    );
    assert_eq!(
        access["exp"].as_u64().unwrap() - access["iat"].as_u64().unwrap(),
        60
    );
    for only_of_id_tokens in ["nonce", "at_hash", "typ", "token_use"] {
        assert!(access.get(only_of_id_tokens).is_none(), "{access}");
    }
    let id = app.claims(&tokens["id_token"]).await;
    let hash = Sha256::digest(tokens["access_token"].as_str().unwrap());
    assert_eq!(id["at_hash"], URL_SAFE_NO_PAD.encode(&hash[..16]));
    for (name, value) in [
        ("sub", "nabi"),
        ("nonce", "n-1"),
        ("typ", "ID"),
        ("token_use", "id"),
    ] {
        assert_eq!(id[name], value, "{id}");
    }

    let (status, next) = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, 200, "{next}");
    assert_eq!(app.claims(&next["access_token"]).await["sub"], "nabi");
    assert!(app.claims(&next["id_token"]).await.get("nonce").is_none());
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
    // A reused refresh token was stolen, so the session ends.
    assert_eq!(
        error(&app.refresh(&tokens["refresh_token"]).await),
        (400, "invalid_grant")
    );
    assert_eq!(
        error(&app.refresh(&next["refresh_token"]).await),
        (400, "invalid_grant")
    );
}

#[tokio::test]
async fn code_is_valid_once_and_only_for_its_app() {
    let stack = start().await;
    let app = App::new(&stack).await;
    let code = app.code(&[], &[("user", "nabi")]).await;
    let (_, tokens) = app.redeem(&code).await;
    assert_eq!(error(&app.redeem(&code).await), (400, "invalid_grant"));
    assert_eq!(
        error(&app.refresh(&tokens["refresh_token"]).await),
        (400, "invalid_grant")
    );

    for (name, value, expected) in [
        (
            "code_verifier",
            "another-verifier-of-forty-three-characters-x",
            "invalid_grant",
        ),
        (
            "redirect_uri",
            "http://localhost:3000/callback",
            "invalid_grant",
        ),
        ("code", "another", "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("redirect_uri", "", "invalid_request"),
        ("code", "", "invalid_request"),
        ("client_id", "another", "invalid_client"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "", "invalid_request"),
    ] {
        let code = app.code(&[], &[("user", "nabi")]).await;
        let mut form = code_grant(&code);
        form.iter_mut().find(|(field, _)| *field == name).unwrap().1 = value;
        let answer = app.tokens(&form).await;
        assert_eq!(
            error(&answer),
            (400, expected),
            "{name}={value}: {}",
            answer.1
        );
    }
    let twice = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_id", CLIENT),
    ];
    assert_eq!(error(&app.tokens(&twice).await), (400, "invalid_request"));
    let request = app.client.post(app.endpoint("token_endpoint"));
    let answer = send(request.basic_auth(CLIENT, Some("secret")), &twice[..2]).await;
    assert_eq!(
        (
            answer.status().as_u16(),
            &answer.headers()["www-authenticate"]
        ),
        (401, &"Basic".parse().unwrap())
    );
    let other = app
        .client
        .get(app.endpoint("token_endpoint"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (other.status().as_u16(), &other.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
}

#[tokio::test]
async fn errors_are_reported_to_a_known_app_only() {
    let stack = start().await;
    let app = App::new(&stack).await;
    for (name, value, expected) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "invalid_request"),
        ("response_mode", Some("fragment"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("prompt", Some("none"), "login_required"),
        (
            "request_uri",
            Some("https://cats.example/"),
            "request_uri_not_supported",
        ),
    ] {
        let url = app.authorization_url(&[(name, value)]);
        let answer = app.client.get(url).send().await.unwrap();
        let back = location(&answer);
        assert_eq!(back["error"], expected, "{name}");
        assert_eq!(back["state"], "a state & \"more\"");
        assert!(!back.contains_key("code"), "{back:?}");
    }
    // Without a valid client and URL, nobody is redirected.
    for (name, value) in [
        ("client_id", Some("another")),
        ("client_id", None),
        ("redirect_uri", None),
        ("redirect_uri", Some("/callback")),
        ("redirect_uri", Some("javascript:alert(1)")),
        ("redirect_uri", Some("http://localhost:3000/#x")),
    ] {
        let url = app.authorization_url(&[(name, value)]);
        let answer = app.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{name}={value:?}");
        assert!(!answer.headers().contains_key("location"));
        assert!(answer.text().await.unwrap().contains(name));
    }
}

#[tokio::test]
async fn form_rejects_invalid_input_and_escapes_values() {
    let stack = start().await;
    let app = App::new(&stack).await;
    for (name, value) in [("user", "na bi"), ("groups", "a b"), ("expires_in", "0")] {
        let mut typed = vec![("user", "nabi")];
        typed.retain(|(field, _)| *field != name);
        typed.push((name, value));
        let answer = app.fill_in(app.authorization_url(&[]), &typed).await;
        assert_eq!(answer.status(), 400, "{name}");
        let html = answer.text().await.unwrap();
        assert!(html.contains("role=\"alert\""), "{html}");
        assert!(
            inputs(&html).contains(&(name.to_owned(), value.to_owned())),
            "{html}"
        );
    }
    let hostile = "\"><script>alert('x')</script>";
    let url = app.authorization_url(&[("state", Some(hostile)), ("login_hint", Some(hostile))]);
    let answer = app.client.get(url).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("default-src 'none'"));
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let html = answer.text().await.unwrap();
    assert!(!html.contains("<script"), "{html}");
    assert!(
        inputs(&html).contains(&("user".to_owned(), hostile.to_owned())),
        "{html}"
    );
}

#[tokio::test]
async fn logout_ends_the_session_and_redirects() {
    let stack = start().await;
    let app = App::new(&stack).await;
    let code = app.code(&[], &[("user", "nabi")]).await;
    let (_, tokens) = app.redeem(&code).await;
    let log_out = async |parameters: &[(&str, &str)]| {
        let mut url = app.endpoint("end_session_endpoint");
        url.query_pairs_mut().extend_pairs(parameters);
        app.client.get(url).send().await.unwrap()
    };
    assert_eq!(log_out(&[]).await.status(), 200);
    let back = ("post_logout_redirect_uri", BACK);
    assert_eq!(log_out(&[back]).await.status(), 400);
    assert_eq!(
        log_out(&[back, ("client_id", "another")]).await.status(),
        400
    );
    assert_eq!(
        log_out(&[back, ("id_token_hint", "x.y.z")]).await.status(),
        400
    );
    let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
    let answer = log_out(&[back, hint, ("state", "s")]).await;
    assert_eq!(
        (
            answer.status().as_u16(),
            location(&answer)["state"].as_str()
        ),
        (303, "s")
    );
    assert_eq!(
        error(&app.refresh(&tokens["refresh_token"]).await),
        (400, "invalid_grant")
    );
}

#[tokio::test]
async fn preflights_of_the_provider_allow_any_header() {
    let stack = start().await;
    let app = App::new(&stack).await;
    for endpoint in ["token_endpoint", "jwks_uri"] {
        let preflight = app.client.request(Method::OPTIONS, app.endpoint(endpoint));
        let preflight = preflight
            .header("origin", PAGE)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,x-requested-with",
            );
        let answer = preflight.send().await.unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(
            answer.headers()["access-control-allow-headers"],
            "authorization,x-requested-with"
        );
    }
}

#[tokio::test]
async fn refresh_tokens_survive_a_restart_and_give_no_access() {
    let folder = tempfile::tempdir().unwrap();
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let start = async || {
        let mut options = super::options();
        options.data_dir = Some(folder.path().to_owned());
        options.port = Some(port);
        Stack::start(options).await.unwrap()
    };
    let stack = start().await;
    let app = App::new(&stack).await;
    let code = app.code(&[("scope", None)], &[("user", "nabi")]).await;
    let (_, tokens) = app.redeem(&code).await;
    assert!(
        tokens.get("id_token").is_none(),
        "no openid, no ID token: {tokens}"
    );
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(refresh)
        .unwrap()
        .claims;
    assert_ne!(claims["aud"], CLIENT, "functions would accept it");
    stack.stop().await;
    let stack = start().await;
    let app = App::new(&stack).await;
    let (status, next) = app.refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, 200, "{next}");
    assert_eq!(
        error(&app.refresh(&tokens["refresh_token"]).await),
        (400, "invalid_grant")
    );
}

#[tokio::test]
async fn foreign_issuer_disables_the_local_provider() {
    let options = super::options().parameter("AuthIssuer", "https://id.example");
    let stack = Stack::start(options).await.unwrap();
    let url = format!("{}/_local/.well-known/openid-configuration", stack.url());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
}
