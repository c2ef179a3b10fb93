//! A stand-in for a user pool of Amazon Cognito.

use std::sync::{Arc, Mutex, PoisonError};

use purrline_local::Options;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The pool's id.
pub(crate) const POOL: &str = "us-east-1_Cats";

/// The way a pool answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// The pool does what it is asked.
    Done,
    /// The pool knows no such user.
    NoSuchUser,
    /// The pool gets too many requests.
    TooMany,
    /// The pool fails.
    Fails,
    /// The pool closes the connection.
    HangsUp,
}

impl Answers {
    fn text(self) -> Option<String> {
        let (status, body) = match self {
            Self::Done => ("200 OK", ""),
            Self::NoSuchUser => (
                "400 Bad Request",
                r#"{"__type":"UserNotFoundException","message":"User does not exist."}"#,
            ),
            Self::TooMany => (
                "400 Bad Request",
                r#"{"__type":"com.amazonaws.cognito#TooManyRequestsException"}"#,
            ),
            Self::Fails => ("500 Internal Server Error", "not JSON"),
            Self::HangsUp => return None,
        };
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ))
    }
}

/// A request as received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
    body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }

    /// Returns the operation, as roles name it.
    pub(crate) fn action(&self) -> String {
        let target = self.header("x-amz-target").unwrap();
        let (_, operation) = target.split_once('.').unwrap();
        format!("cognito-idp:{operation}")
    }

    /// Returns the id of the pool in the request.
    pub(crate) fn pool(&self) -> String {
        self.body()["UserPoolId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A running stand-in.
#[derive(Debug, Clone)]
pub(crate) struct UserPool {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    answers: Arc<Mutex<Answers>>,
}

impl UserPool {
    /// Starts a stand-in that does whatever it is asked, on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            answers: Arc::new(Mutex::new(Answers::Done)),
        };
        let answering = pool.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                answering.answer(socket).await;
            }
        });
        pool
    }

    /// Returns options of a stack whose users sign in at this pool.
    pub(crate) fn configure(&self, mut options: Options) -> Options {
        let endpoint = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER";
        for (name, value) in [("USER_POOL_ID", POOL), (endpoint, &self.url)] {
            options
                .environment
                .insert(name.to_owned(), value.to_owned());
        }
        options
    }

    /// Sets the answers from now on.
    pub(crate) fn set_answers(&self, answers: Answers) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers;
    }

    /// Returns the requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }

    async fn answer(&self, mut socket: TcpStream) {
        let Some(request) = read(&mut socket).await else {
            return;
        };
        let answer = {
            self.requests.lock().unwrap().push(request);
            self.answers.lock().unwrap().text()
        };
        if let Some(answer) = answer {
            // A client that hangs up gets no answer.
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    }
}

/// Reads a whole request; `None` if the client hangs up.
async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let request = Request {
                head: head.to_owned(),
                body: body.to_owned(),
            };
            let length = request.header("content-length").unwrap_or("0");
            if body.len() >= length.parse().unwrap() {
                return Some(request);
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
