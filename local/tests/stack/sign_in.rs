//! Signing in as an app in a browser does: discovery, the page, the way back with a code, tokens, the next tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use purrline_local::Stack;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::start;

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CLIENT: &str = "purrline-local";
const BACK: &str = "http://localhost:3000/callback?from=purrline";
const PAGE: &str = "http://localhost:3000";

/// An app, and the provider as it knows it.
struct App {
    client: Client,
    provider: Value,
}

impl App {
    /// Reads the discovery document of the issuer that functions trust, and follows nothing by itself.
    async fn new(stack: &Stack) -> Self {
        let issuer = stack.environment("probe").unwrap()["ISSUER"].clone();
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        let url = format!("{issuer}/.well-known/openid-configuration");
        let answer = client.get(url).header("origin", PAGE).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let provider: Value = answer.json().await.unwrap();
        assert_eq!(provider["issuer"], issuer.as_str());
        assert_eq!(
            provider["code_challenge_methods_supported"],
            serde_json::json!(["S256"])
        );
        Self { client, provider }
    }

    fn endpoint(&self, name: &str) -> Url {
        self.provider[name].as_str().unwrap().parse().unwrap()
    }

    /// The address an app sends a browser to, with changes: a parameter's new value, or none.
    fn asked(&self, changes: &[(&str, Option<&str>)]) -> Url {
        let mut url = self.endpoint("authorization_endpoint");
        let usual = [
            ("response_type", "code"),
            ("client_id", CLIENT),
            ("redirect_uri", BACK),
            ("scope", "openid profile other"),
            ("state", "a state & \"more\""),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let usual = usual
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(it, _)| it == name));
        let changes = changes
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        url.query_pairs_mut()
            .extend_pairs(usual.copied())
            .extend_pairs(changes);
        url
    }

    /// Opens the page, fills its form in and sends it, as a browser does.
    async fn fill_in(&self, url: Url, typed: &[(&str, &str)]) -> Response {
        let answer = self.client.get(url.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        let html = answer.text().await.unwrap();
        let mut fields = inputs(&html);
        for (name, value) in typed {
            let field = fields.iter_mut().find(|(field, _)| field == name);
            (*value).clone_into(&mut field.unwrap_or_else(|| panic!("no {name}: {html}")).1);
        }
        send(self.client.post(url), &fields).await
    }

    /// Signs in and returns the code.
    async fn code(&self, changes: &[(&str, Option<&str>)], typed: &[(&str, &str)]) -> String {
        let answer = self.fill_in(self.asked(changes), typed).await;
        let back = location(&answer);
        assert_eq!(answer.status(), 303);
        back["code"].clone()
    }

    /// Calls the token endpoint as a page does.
    async fn tokens(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.client.post(self.endpoint("token_endpoint"));
        let answer = send(request.header("origin", PAGE), form).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn redeem(&self, code: &str) -> (u16, Value) {
        self.tokens(&redeeming(code)).await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        let grant = ("grant_type", "refresh_token");
        self.tokens(&[grant, ("client_id", CLIENT), ("refresh_token", token)])
            .await
    }

    /// A token's claims, if the provider signed it.
    async fn claims(&self, token: &Value) -> Value {
        let token = token.as_str().unwrap();
        let keys = self
            .client
            .get(self.endpoint("jwks_uri"))
            .send()
            .await
            .unwrap();
        assert_eq!(keys.headers()["access-control-allow-origin"], "*");
        let keys: JwkSet = keys.json().await.unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[CLIENT]);
        validation.set_issuer(&[self.provider["issuer"].as_str().unwrap()]);
        jsonwebtoken::decode::<Value>(token, &key, &validation)
            .unwrap()
            .claims
    }
}

/// Sends a form, as reqwest does where it may.
async fn send<T: AsRef<str>>(request: RequestBuilder, fields: &[(T, T)]) -> Response {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name.as_ref(), value.as_ref());
    }
    let kind = "application/x-www-form-urlencoded";
    let request = request.header("content-type", kind).body(form.finish());
    request.send().await.unwrap()
}

fn redeeming(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

/// Names and values of a page's inputs.
fn inputs(html: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, value) = tag.split_once(&format!(" {name}=\""))?;
        let value = value.split('"').next()?;
        let marks = [
            ("&quot;", "\""),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#39;", "'"),
            ("&amp;", "&"),
        ];
        Some(
            marks
                .iter()
                .fold(value.to_owned(), |text, (mark, it)| text.replace(mark, it)),
        )
    };
    let tags = html.split("<input").skip(1);
    let tags = tags.map(|tag| tag.split('>').next().unwrap());
    tags.map(|tag| {
        (
            attribute(tag, "name").unwrap(),
            attribute(tag, "value").unwrap_or_default(),
        )
    })
    .collect()
}

/// Where an answer leads back to: the parameters there.
fn location(answer: &Response) -> std::collections::BTreeMap<String, String> {
    let url = answer.headers()["location"].to_str().unwrap();
    assert!(url.starts_with(BACK), "{url}");
    Url::parse(url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap())
}

#[tokio::test]
async fn an_app_signs_somebody_in_and_stays_signed_in() {
    let stack = start().await;
    let app = App::new(&stack).await;
    let typed = [
        ("user", "nabi"),
        ("groups", "moderators"),
        ("expires_in", "60"),
    ];
    let answer = app.fill_in(app.asked(&[]), &typed).await;
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
    // One that comes again was stolen: the session ends.
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
async fn a_code_is_good_once_for_the_app_that_asked_for_it() {
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
        let mut form = redeeming(&code);
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
async fn what_is_wrong_with_a_sign_in_is_told_to_the_app_if_it_is_one() {
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
        let url = app.asked(&[(name, value)]);
        let answer = app.client.get(url).send().await.unwrap();
        let back = location(&answer);
        assert_eq!(back["error"], expected, "{name}");
        assert_eq!(back["state"], "a state & \"more\"");
        assert!(!back.contains_key("code"), "{back:?}");
    }
    // Where it isn't known to be one, nobody is sent anywhere.
    for (name, value) in [
        ("client_id", Some("another")),
        ("client_id", None),
        ("redirect_uri", None),
        ("redirect_uri", Some("/callback")),
        ("redirect_uri", Some("javascript:alert(1)")),
        ("redirect_uri", Some("http://localhost:3000/#x")),
    ] {
        let url = app.asked(&[(name, value)]);
        let answer = app.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{name}={value:?}");
        assert!(!answer.headers().contains_key("location"));
        assert!(answer.text().await.unwrap().contains(name));
    }
}

#[tokio::test]
async fn the_page_asks_again_for_what_it_cant_take_and_shows_what_it_is_given_as_text() {
    let stack = start().await;
    let app = App::new(&stack).await;
    for (name, value) in [("user", "na bi"), ("groups", "a b"), ("expires_in", "0")] {
        let mut typed = vec![("user", "nabi")];
        typed.retain(|(field, _)| *field != name);
        typed.push((name, value));
        let answer = app.fill_in(app.asked(&[]), &typed).await;
        assert_eq!(answer.status(), 400, "{name}");
        let html = answer.text().await.unwrap();
        assert!(html.contains("role=\"alert\""), "{html}");
        assert!(
            inputs(&html).contains(&(name.to_owned(), value.to_owned())),
            "{html}"
        );
    }
    let hostile = "\"><script>alert('x')</script>";
    let url = app.asked(&[("state", Some(hostile)), ("login_hint", Some(hostile))]);
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
async fn signing_out_ends_the_session_and_leads_back() {
    let stack = start().await;
    let app = App::new(&stack).await;
    let code = app.code(&[], &[("user", "nabi")]).await;
    let (_, tokens) = app.redeem(&code).await;
    let out = async |parameters: &[(&str, &str)]| {
        let mut url = app.endpoint("end_session_endpoint");
        url.query_pairs_mut().extend_pairs(parameters);
        app.client.get(url).send().await.unwrap()
    };
    assert_eq!(out(&[]).await.status(), 200);
    let back = ("post_logout_redirect_uri", BACK);
    assert_eq!(out(&[back]).await.status(), 400);
    assert_eq!(out(&[back, ("client_id", "another")]).await.status(), 400);
    assert_eq!(out(&[back, ("id_token_hint", "x.y.z")]).await.status(), 400);
    let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
    let answer = out(&[back, hint, ("state", "s")]).await;
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
async fn pages_may_ask_the_provider_whatever_they_send_along() {
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
async fn refresh_tokens_outlive_a_restart_and_give_no_access() {
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
    let about = jsonwebtoken::dangerous::insecure_decode::<Value>(refresh)
        .unwrap()
        .claims;
    assert_ne!(about["aud"], CLIENT, "functions would take it");
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
async fn another_provider_is_not_spoken_for() {
    let options = super::options().parameter("AuthIssuer", "https://id.example");
    let stack = Stack::start(options).await.unwrap();
    let url = format!("{}/_local/.well-known/openid-configuration", stack.url());
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
}
