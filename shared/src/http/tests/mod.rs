//! The HTTP side as a client sees it: the load balancer's events in, answers out.

mod answers;
mod events;
mod extractors;
mod image;
mod provider;
mod sign_in;

use std::convert::Infallible;

use axum::Router;
use axum::response::Response;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent};
use lambda_runtime::LambdaInvocation;
use serde_json::{Value, json};
use tower::{Service as _, service_fn};

use super::settings::Origins;
use super::{Api, Settings, alb};
use crate::domain::Timestamp;

const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const ORIGIN: &str = "https://cats.example";

/// A request on its way to the load balancer.
struct Call {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: String,
    base64: bool,
    multi_value: bool,
    deadline: Option<i64>,
}

fn call(method: &'static str, path: &str) -> Call {
    Call {
        method,
        path: path.to_owned(),
        query: Vec::new(),
        headers: vec![
            ("host", "api.cats.example".to_owned()),
            ("x-forwarded-proto", "https".to_owned()),
        ],
        body: String::new(),
        base64: false,
        multi_value: true,
        deadline: None,
    }
}

impl Call {
    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    fn json(self, body: impl Into<String>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    fn base64(mut self) -> Self {
        self.base64 = true;
        self
    }

    fn single_value(mut self) -> Self {
        self.multi_value = false;
        self
    }

    fn milliseconds_left(mut self, left: i64) -> Self {
        self.deadline = Some(Timestamp::now().plus_millis(left).millis());
        self
    }

    fn event(&self) -> Value {
        let pairs = |pairs: &[(&str, String)]| {
            let mut map = json!({});
            for (name, value) in pairs {
                if self.multi_value {
                    let list = &mut map[*name];
                    if list.is_null() {
                        *list = json!([]);
                    }
                    list.as_array_mut().unwrap().push(json!(value));
                } else {
                    map[*name] = json!(value);
                }
            }
            map
        };
        let (headers, query) = if self.multi_value {
            ("multiValueHeaders", "multiValueQueryStringParameters")
        } else {
            ("headers", "queryStringParameters")
        };
        let group =
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/x/6d0ecf831eec9f09";
        json!({
            "requestContext": {"elb": {"targetGroupArn": group}},
            "httpMethod": self.method,
            "path": self.path,
            query: pairs(&self.query),
            headers: pairs(&self.headers),
            "body": self.body,
            "isBase64Encoded": self.base64,
        })
    }

    async fn to(self, api: &Api) -> Got {
        let mut context = Context::default();
        context.deadline = self.deadline.unwrap_or_default().unsigned_abs();
        let got = Got {
            answer: answer(api, &self.event(), context).await,
            multi_value: self.multi_value,
        };
        got.check();
        got
    }
}

/// Answers an event by the whole path that it takes in a function, except the runtime.
async fn answer(api: &Api, event: &Value, mut context: Context) -> Value {
    context.request_id = REQUEST_ID.to_owned();
    let (parts, ()) = Response::new(()).into_parts();
    let invocation = alb::mend(LambdaInvocation {
        parts,
        body: event.to_string().into(),
        context,
    });
    let event: LambdaRequest = serde_json::from_slice(&invocation.body).unwrap();
    let answering =
        service_fn(|request| async move { Ok::<_, Infallible>(api.answer(request).await) });
    let answer = Adapter::from(answering).call(LambdaEvent::new(event, invocation.context));
    serde_json::to_value(answer.await.unwrap()).unwrap()
}

/// An answer, as the load balancer gets it.
#[derive(Debug)]
struct Got {
    answer: Value,
    multi_value: bool,
}

impl Got {
    fn status(&self) -> u64 {
        self.answer["statusCode"].as_u64().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let value = if self.multi_value {
            &self.answer["multiValueHeaders"][name][0]
        } else {
            &self.answer["headers"][name]
        };
        value.as_str()
    }

    fn text(&self) -> &str {
        self.answer["body"].as_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// Returns the pointers of the bad fields, in order.
    fn pointers(&self) -> Vec<String> {
        let errors = self.json()["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Checks the rules that every answer keeps.
    fn check(&self) {
        assert_eq!(self.header("x-request-id"), Some(REQUEST_ID));
        assert!(self.header("cache-control").is_some());
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert!(self.header("strict-transport-security").is_some());
        if self.status() >= 400 && !self.text().is_empty() {
            assert_eq!(
                self.header("content-type"),
                Some("application/problem+json")
            );
            let problem = self.json();
            let kind = match self.status() {
                429 => "/problems/rate-limited",
                503 => "/problems/unavailable",
                _ => "about:blank",
            };
            assert_eq!(problem["type"], kind);
            assert_eq!(problem["status"], self.status());
            assert_eq!(problem["instance"], REQUEST_ID);
            assert!(problem["title"].is_string() && problem["detail"].is_string());
        }
    }
}

fn settings() -> Settings {
    Settings {
        origins: Origins::parse(&format!("{ORIGIN}, https://b.example/")).unwrap(),
        sign_in: None,
        body_limit: 1024,
        gate: None,
    }
}

fn api(router: Router) -> Api {
    Api::new(router, settings())
}
