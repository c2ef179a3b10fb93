//! An app that signs users in as a browser app does.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use purrline_local::Stack;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use url::Url;

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const CLIENT: &str = "purrline-local";
pub(super) const BACK: &str = "http://localhost:3000/callback?from=purrline";
pub(super) const PAGE: &str = "http://localhost:3000";

/// An app with the provider's discovery document.
pub(super) struct App {
    pub(super) client: Client,
    pub(super) provider: Value,
}

impl App {
    /// Reads the discovery document of the issuer that the functions trust. The client follows no redirects.
    pub(super) async fn new(stack: &Stack) -> Self {
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

    pub(super) fn endpoint(&self, name: &str) -> Url {
        self.provider[name].as_str().unwrap().parse().unwrap()
    }

    /// The URL to which the app sends a browser, with changed or removed parameters.
    pub(super) fn authorization_url(&self, changes: &[(&str, Option<&str>)]) -> Url {
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
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let changes = changes
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        url.query_pairs_mut()
            .extend_pairs(usual.copied())
            .extend_pairs(changes);
        url
    }

    /// Opens the form, fills it in and submits it, as a browser does.
    pub(super) async fn fill_in(&self, url: Url, typed: &[(&str, &str)]) -> Response {
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
    pub(super) async fn code(
        &self,
        changes: &[(&str, Option<&str>)],
        typed: &[(&str, &str)],
    ) -> String {
        let answer = self.fill_in(self.authorization_url(changes), typed).await;
        let back = location(&answer);
        assert_eq!(answer.status(), 303);
        back["code"].clone()
    }

    /// Calls the token endpoint from a page.
    pub(super) async fn tokens(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let request = self.client.post(self.endpoint("token_endpoint"));
        let answer = send(request.header("origin", PAGE), form).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(super) async fn redeem(&self, code: &str) -> (u16, Value) {
        self.tokens(&code_grant(code)).await
    }

    pub(super) async fn refresh(&self, token: &Value) -> (u16, Value) {
        let token = token.as_str().unwrap();
        let grant = ("grant_type", "refresh_token");
        self.tokens(&[grant, ("client_id", CLIENT), ("refresh_token", token)])
            .await
    }

    /// Verifies a token with the provider's keys and returns its claims.
    pub(super) async fn claims(&self, token: &Value) -> Value {
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

/// Sends a form.
pub(super) async fn send<T: AsRef<str>>(request: RequestBuilder, fields: &[(T, T)]) -> Response {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        form.append_pair(name.as_ref(), value.as_ref());
    }
    let kind = "application/x-www-form-urlencoded";
    let request = request.header("content-type", kind).body(form.finish());
    request.send().await.unwrap()
}

pub(super) fn code_grant(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]
}

/// The names and values of a page's inputs.
pub(super) fn inputs(html: &str) -> Vec<(String, String)> {
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
                .fold(value.to_owned(), |text, (mark, character)| {
                    text.replace(mark, character)
                }),
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

/// The parameters with which an answer redirects to the app.
pub(super) fn location(answer: &Response) -> std::collections::BTreeMap<String, String> {
    let url = answer.headers()["location"].to_str().unwrap();
    assert!(url.starts_with(BACK), "{url}");
    Url::parse(url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}
