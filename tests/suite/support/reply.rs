//! An answer as received.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer: its status, headers and body.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The method and path of the request, such as `GET /v1/feed`, for messages.
    pub(crate) request: String,
}

impl Reply {
    pub(crate) async fn read(
        request: String,
        response: reqwest::Response,
    ) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Self {
            status,
            headers,
            body,
            request,
        })
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!(
                "{}: {} with a body that is no JSON ({error}): {}",
                self.request,
                self.status,
                self.text()
            ),
        }
    }

    /// Returns the one value of a header, or `None` if it is missing.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(
            values.next().is_none(),
            "{}: {name} is there twice",
            self.request
        );
        Some(value.to_str().unwrap())
    }

    /// Fails unless the answer has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.request, self.text());
        self
    }

    /// Fails unless the answer is an error of this status in the one form that errors have. Returns the problem.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        let what = format!("{}: {} {}", self.request, self.status, self.text());
        assert_eq!(self.status, status, "{what}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{what}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{what}");
        for text in ["type", "title", "detail"] {
            assert!(
                problem[text].as_str().is_some_and(|text| !text.is_empty()),
                "{text} of {what}"
            );
        }
        let typed = problem["type"] != "about:blank";
        match status {
            429 => assert_eq!(problem["type"], "/problems/rate-limited", "{what}"),
            503 => assert_eq!(problem["type"], "/problems/unavailable", "{what}"),
            409 => assert!(typed, "{what}"),
            _ => assert!(!typed || status == 422, "{what}"),
        }
        assert_eq!(
            problem["instance"].as_str(),
            self.header("x-request-id"),
            "{what}"
        );
        let known = ["type", "title", "status", "detail", "instance", "errors"];
        assert!(
            problem
                .as_object()
                .unwrap()
                .keys()
                .all(|key| known.contains(&key.as_str())),
            "{what}"
        );
        if let Some(errors) = problem.get("errors") {
            let errors = errors.as_array().unwrap();
            assert!(!errors.is_empty(), "{what}");
            for error in errors {
                assert_eq!(error.as_object().unwrap().len(), 2, "{what}");
                assert!(
                    error["pointer"].as_str().unwrap().starts_with('/'),
                    "{what}"
                );
                assert!(!error["detail"].as_str().unwrap().is_empty(), "{what}");
            }
        }
        for inside in [
            "dynamodb",
            "amazon",
            "aws",
            "sqs",
            "redis",
            "table",
            "panick",
            "src/",
            ".rs",
            "exception",
        ] {
            assert!(
                !problem.to_string().to_lowercase().contains(inside),
                "{inside} leaks: {what}"
            );
        }
        problem
    }

    /// Fails like [`Reply::problem`], and also unless exactly these fields are named, in any order.
    #[track_caller]
    pub(crate) fn bad_fields(&self, status: u16, pointers: &[&str]) {
        let problem = self.problem(status);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let mut named: Vec<&str> = errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        let mut expected = pointers.to_vec();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{}: {problem}", self.request);
    }
}
