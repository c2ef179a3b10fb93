//! The sign-in provider's keys are unreachable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::assert_unavailable;
use crate::support::{World, eventually, retrying_soon};

const REFUSES: u8 = 0;
const HANGS: u8 = 1;
const BREAKS: u8 = 2;
const ANSWERS: u8 = 3;

/// Starts a provider, and returns its address, a switch for its behaviour, and a channel for its keys.
async fn provider() -> (String, Arc<AtomicU8>, tokio::sync::watch::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let mode = Arc::new(AtomicU8::new(REFUSES));
    let (keys, known) = tokio::sync::watch::channel(String::new());
    let behaviour = Arc::clone(&mode);
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            match behaviour.load(Ordering::SeqCst) {
                REFUSES => drop(socket),
                HANGS => hanging.push(socket),
                mode => {
                    let body = if mode == BREAKS {
                        "{\"keys\": 7}".to_owned()
                    } else {
                        known.borrow().clone()
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let mut request = [0; 4096];
                    // A client that hangs up gets no answer.
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
                }
            }
        }
    });
    (url, mode, keys)
}

/// While its keys are unreachable, every function answers 503 with Retry-After, never 401, and doesn't hang; it recovers by
/// itself. Fails when missing keys make a token invalid, or are never requested again.
#[tokio::test]
async fn unreachable_keys_are_a_503_and_not_a_401() {
    let (url, mode, keys) = provider().await;
    let world = World::with(retrying_soon().parameter("AuthJwksUrl", &url)).await;
    keys.send_replace(world.sign_in().jwks().to_string());
    let user = world.user("user");
    let (text, image) = (
        json!({ "text": "x" }),
        json!({ "content_type": "image/png", "size": 5 }),
    );
    for how in [REFUSES, HANGS, BREAKS] {
        mode.store(how, Ordering::SeqCst);
        futures::join!(
            assert_unavailable("post", user.create("/v1/posts", &text)),
            assert_unavailable("read", user.get("/v1/posts/0000000000001")),
            assert_unavailable("like", user.put("/v1/posts/0000000000001/like")),
            assert_unavailable("follow", user.put("/v1/users/somebody/follow")),
            assert_unavailable("feed", user.get("/v1/feed")),
            assert_unavailable("me", user.get("/v1/me")),
            assert_unavailable("upload", user.create("/v1/uploads", &image)),
        );
        user.get("/v1/health").await.expect(200);
        // A malformed token needs no key.
        user.with_token(Some("nonsense"))
            .get("/v1/me")
            .await
            .problem(401);
        user.with_token(None).get("/v1/me").await.problem(401);
    }
    mode.store(ANSWERS, Ordering::SeqCst);
    for path in ["/v1/me", "/v1/feed"] {
        eventually("the keys are there", async || {
            (user.get(path).await.status == 200).then_some(())
        })
        .await;
    }
    // The keys last seen stay valid.
    mode.store(REFUSES, Ordering::SeqCst);
    user.get("/v1/me").await.expect(200);
    user.get("/v1/feed").await.expect(200);
}

/// The provider begins to use a key right after the keys were searched for another unknown one. Until they are read again,
/// the function can't know whether the new key's tokens are good, so no user is signed out. Fails when such a token is 401.
#[tokio::test]
async fn a_rotated_key_keeps_everybody_signed_in() {
    let (url, mode, keys) = provider().await;
    let mut options = World::options();
    options.workers = 1;
    let world = World::with(options.parameter("AuthJwksUrl", &url)).await;
    let user = world.user("user");
    let sign_in = world.sign_in();
    let mut others = sign_in.jwks().clone();
    others["keys"][0]["kid"] = json!("before");
    keys.send_replace(others.to_string());
    mode.store(ANSWERS, Ordering::SeqCst);
    let claims = sign_in.claims(&user.id);
    let mut header = serde_json::to_value(sign_in.header()).unwrap();
    header["kid"] = json!("nobody's");
    let nobodys = sign_in.sign_with_header(&header, &claims).unwrap();
    let nobodys = user.with_token(Some(&nobodys));
    eventually("it is known that nobody has this key", async || {
        let reply = nobodys.get("/v1/me").await;
        let keys_there = reply.status == 401;
        assert!(keys_there || reply.status == 503, "{}", reply.text());
        keys_there.then_some(())
    })
    .await;
    // An unknown key makes the function read the keys, and then not again for a while.
    nobodys.get("/v1/me").await.problem(401);
    keys.send_replace(sign_in.jwks().to_string());
    let mut waited = false;
    eventually("the new key is known", async || {
        let reply = user.get("/v1/me").await;
        if reply.status == 503 {
            reply.problem(503);
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            waited = true;
            return None;
        }
        reply.expect(200);
        Some(())
    })
    .await;
    assert!(waited, "the key was looked for at once");
}
