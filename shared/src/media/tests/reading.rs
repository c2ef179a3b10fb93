//! Reading objects from a bucket that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use aws_config::retry::RetryConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// The behaviour of a bucket for one request.
#[derive(Clone, Copy)]
enum Does {
    /// Answers with this status, length and body, and hangs up.
    Answer(u16, usize, &'static str),
    /// Answers 200 with this length and body, and then sends nothing for a minute.
    Stall(usize, &'static str),
}

/// Starts a bucket that does these in order, then repeats the last one, and counts the requests.
async fn bucket(does: Vec<Does>) -> (Media, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let at = count.fetch_add(1, Ordering::SeqCst);
            let does = does[at.min(does.len() - 1)];
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 8192]).await;
                let (status, length, body) = match does {
                    Does::Answer(status, length, body) => (status, length, body),
                    Does::Stall(length, body) => (200, length, body),
                };
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                if let Does::Stall(..) = does {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                }
            });
        }
    });
    let aws = aws()
        .into_builder()
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::standard().with_max_attempts(1))
        .build();
    (Media::new(&aws, "photos".to_owned()), requests)
}

/// Reads an object of at most ten bytes.
async fn read<const N: usize>(does: [Does; N]) -> (Result<String, ReadError>, usize) {
    let (media, requests) = bucket(does.to_vec()).await;
    let key = ImageKey::mint(&UserId::parse("nabi").unwrap(), ContentType::Jpeg);
    let read = media.read(&key, 10).await;
    let text = read.map(|bytes| String::from_utf8(bytes).unwrap());
    (text, requests.load(Ordering::SeqCst))
}

const MISSING: &str = "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
const FORBIDDEN: &str = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";

#[tokio::test]
async fn object_within_the_limit_is_read() {
    let (read, requests) = read([Does::Answer(200, 10, "0123456789")]).await;
    assert_eq!((read.unwrap().as_str(), requests), ("0123456789", 1));
    let (read, _) = self::read([Does::Answer(200, 0, "")]).await;
    assert_eq!(read.unwrap(), "");
}

/// The object is refused by its size alone: its body never comes.
#[tokio::test]
async fn oversized_object_is_refused_without_its_body() {
    let started = Instant::now();
    let (read, requests) = read([Does::Stall(11, "")]).await;
    assert!(matches!(read, Err(ReadError::TooLarge)), "{read:?}");
    assert_eq!(requests, 1);
    assert!(started.elapsed() < STALL);
}

#[tokio::test]
async fn missing_object_is_distinguished_from_a_failure() {
    let (read, _) = read([Does::Answer(404, MISSING.len(), MISSING)]).await;
    assert!(matches!(read, Err(ReadError::Missing)), "{read:?}");
    let (read, _) = self::read([Does::Answer(403, FORBIDDEN.len(), FORBIDDEN)]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let (read, _) = self::read([Does::Answer(500, 0, "")]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
}

#[tokio::test]
async fn truncated_or_stalled_body_is_fetched_again() {
    const WHOLE: Does = Does::Answer(200, 4, "meow");
    let (read, requests) = read([Does::Answer(200, 4, "me"), Does::Stall(4, "m"), WHOLE]).await;
    assert_eq!((read.unwrap().as_str(), requests), ("meow", 3));
    let (read, requests) = self::read([Does::Answer(200, 4, "me")]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    assert_eq!(requests, 3);
}

#[tokio::test]
async fn stalled_read_times_out() {
    let started = Instant::now();
    let (read, _) = read([Does::Stall(4, "m")]).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    assert!(started.elapsed() < READ + STALL);
}
