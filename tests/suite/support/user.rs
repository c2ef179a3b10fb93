//! A caller of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::documented::Described;
use super::{JPEG, Reply, image, secrets};

/// A caller of the API, with a token or anonymous.
#[derive(Debug, Clone)]
pub(crate) struct User {
    /// The token's `sub`; empty for an anonymous caller.
    pub(crate) id: String,
    pub(crate) token: Option<String>,
    /// Whether the user is known to exist.
    exists: Arc<AtomicBool>,
    url: String,
    http: Client,
}

impl User {
    pub(crate) fn new(id: &str, token: Option<String>, url: &str, http: Client) -> Self {
        Self {
            id: id.to_owned(),
            token,
            exists: Arc::default(),
            url: url.to_owned(),
            http,
        }
    }

    /// Returns the same caller with another token, or without one.
    pub(crate) fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Returns a request to a path, with the token, to be sent by [`User::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request. Fails if no answer comes.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        match self.try_send(request).await {
            Ok(reply) => reply,
            Err(error) => panic!("no answer: {error:?}"),
        }
    }

    /// Sends a request that contains more than the API's description allows.
    pub(crate) async fn send_undescribed(&self, request: RequestBuilder) -> Reply {
        let request = request.build().unwrap();
        let name = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.unwrap();
        let reply = Reply::read(name, response).await.unwrap();
        secrets::assert_nothing_leaked();
        reply
    }

    /// Sends a request that may get no answer. An answer must match the API's description.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Reply> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url());
        let described = Described::of(&request);
        let reply = Reply::read(name, self.http.execute(request).await?).await?;
        described.assert_answer(&reply);
        secrets::assert_nothing_leaked();
        Ok(reply)
    }

    pub(crate) async fn call(&self, method: Method, path: &str) -> Reply {
        self.send(self.request(method, path)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).await
    }

    pub(crate) async fn put(&self, path: &str) -> Reply {
        self.call(Method::PUT, path).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path).await
    }

    /// Sends `POST` with a JSON body.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends `POST` with a JSON body and an `Idempotency-Key`.
    pub(crate) async fn create_once(&self, path: &str, key: &str, body: &Value) -> Reply {
        self.send(
            self.request(Method::POST, path)
                .header("idempotency-key", key)
                .json(body),
        )
        .await
    }

    /// Sends `PATCH` with a JSON body.
    pub(crate) async fn change(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(body))
            .await
    }

    /// Sends `PUT` with a JSON body.
    pub(crate) async fn put_json(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends `PATCH /v1/me`.
    pub(crate) async fn patch_me(&self, body: &Value) -> Reply {
        self.change("/v1/me", body).await
    }

    /// Sends `PUT /v1/me`.
    pub(crate) async fn put_me(&self, body: &Value) -> Reply {
        self.put_json("/v1/me", body).await
    }

    /// Returns a handle that no other user of the stack asks for: the id, spelt as handles are.
    pub(crate) fn own_handle(&self) -> String {
        self.id.to_lowercase().replace('-', "_")
    }

    // ---- The actions of users; each fails unless it is answered as api.md says ----

    /// Posts a text and returns the post.
    pub(crate) async fn post(&self, text: &str) -> Value {
        self.create("/v1/posts", &json!({ "text": text }))
            .await
            .expect(201)
            .json()
    }

    /// Posts a text that shows these cats, and returns the post.
    pub(crate) async fn post_of(&self, text: &str, cats: &[&str]) -> Value {
        self.create("/v1/posts", &json!({ "text": text, "cats": cats }))
            .await
            .expect(201)
            .json()
    }

    /// Posts a text and returns the post's id.
    pub(crate) async fn post_id(&self, text: &str) -> String {
        id_of(&self.post(text).await)
    }

    /// Registers a cat of this name and returns it.
    pub(crate) async fn cat(&self, name: &str) -> Value {
        self.create("/v1/cats", &json!({ "name": name }))
            .await
            .expect(201)
            .json()
    }

    /// Registers a cat of this name and returns the cat's id.
    pub(crate) async fn cat_id(&self, name: &str) -> String {
        id_of(&self.cat(name).await)
    }

    pub(crate) async fn read_cat(&self, cat: &str) -> Value {
        self.get(&format!("/v1/cats/{cat}"))
            .await
            .expect(200)
            .json()
    }

    pub(crate) async fn read_post(&self, post: &str) -> Value {
        self.get(&format!("/v1/posts/{post}"))
            .await
            .expect(200)
            .json()
    }

    pub(crate) async fn delete_post(&self, post: &str) {
        self.delete(&format!("/v1/posts/{post}")).await.expect(204);
    }

    /// Comments on a post and returns the comment.
    pub(crate) async fn comment(&self, post: &str, text: &str) -> Value {
        self.create(&comments(post), &json!({ "text": text }))
            .await
            .expect(201)
            .json()
    }

    /// Sends `DELETE` for a comment.
    pub(crate) async fn delete_comment(&self, post: &str, comment: &str) -> Reply {
        self.delete(&format!("{}/{comment}", comments(post))).await
    }

    /// Follows a user. A user who may not exist yet signs in first, since a follow doesn't create them.
    pub(crate) async fn follow(&self, other: &Self) {
        if !other.exists.swap(true, Ordering::Relaxed) && other.token.is_some() {
            other.get("/v1/me").await;
        }
        self.put(&format!("/v1/users/{}/follow", other.id))
            .await
            .expect(202);
    }

    pub(crate) async fn unfollow(&self, other: &Self) {
        self.delete(&format!("/v1/users/{}/follow", other.id))
            .await
            .expect(202);
    }

    pub(crate) async fn block(&self, other: &Self) {
        self.put(&format!("/v1/users/{}/block", other.id))
            .await
            .expect(204);
    }

    pub(crate) async fn unblock(&self, other: &Self) {
        self.delete(&format!("/v1/users/{}/block", other.id))
            .await
            .expect(204);
    }

    pub(crate) async fn like(&self, post: &str) {
        self.put(&format!("/v1/posts/{post}/like"))
            .await
            .expect(202);
    }

    pub(crate) async fn unlike(&self, post: &str) {
        self.delete(&format!("/v1/posts/{post}/like"))
            .await
            .expect(202);
    }

    /// Returns a user as this caller sees them (`GET /v1/users/{id}`).
    pub(crate) async fn read_user(&self, other: &Self) -> Value {
        self.get(&format!("/v1/users/{}", other.id))
            .await
            .expect(200)
            .json()
    }

    /// Returns the caller as they see themselves (`GET /v1/me`).
    pub(crate) async fn me(&self) -> Value {
        self.get("/v1/me").await.expect(200).json()
    }

    /// Returns the newest posts of the caller's feed, one page.
    pub(crate) async fn feed(&self, limit: usize) -> Vec<Value> {
        self.page(&format!("/v1/feed?limit={limit}")).await.0
    }

    /// Returns the ids of the newest posts of the caller's feed, one page.
    pub(crate) async fn feed_ids(&self, limit: usize) -> Vec<String> {
        self.feed(limit).await.iter().map(id_of).collect()
    }

    /// Returns one page of a list, and the cursor of the next.
    pub(crate) async fn page(&self, path: &str) -> (Vec<Value>, Option<String>) {
        let reply = self.get(path).await.expect(200);
        let page = reply.json();
        let mut keys = vec!["items", "next"];
        if path.starts_with("/v1/search") {
            keys.push("type");
        }
        let object = page.as_object().unwrap();
        let found: Vec<&String> = object.keys().collect();
        assert_eq!(found, keys, "{}", reply.request);
        let next = match &page["next"] {
            Value::Null => None,
            next => Some(next.as_str().unwrap().to_owned()),
        };
        (page["items"].as_array().unwrap().clone(), next)
    }

    /// Returns all items of a list (such as `/v1/feed`), read in pages of this size, each full but the last.
    pub(crate) async fn walk(&self, list: &str, size: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let (page, next) = self.page(&format!("{list}?limit={size}{cursor}")).await;
            assert!(
                page.len() <= size,
                "{list}: {} items by a limit of {size}",
                page.len()
            );
            assert!(
                next.is_none() || page.len() == size,
                "{list}: a page that isn't full, and more to come"
            );
            items.extend(page);
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Returns the ids of all items of a list.
    pub(crate) async fn walk_ids(&self, list: &str, size: usize) -> Vec<String> {
        self.walk(list, size).await.iter().map(id_of).collect()
    }

    /// Uploads these bytes as an image of this type, and returns the key.
    pub(crate) async fn upload(&self, content_type: &str, bytes: &[u8]) -> String {
        let wanted = json!({ "content_type": content_type, "size": bytes.len() });
        let upload = self.create("/v1/uploads", &wanted).await.expect(201).json();
        self.put_bytes(&upload, bytes).await.expect(200);
        upload["key"].as_str().unwrap().to_owned()
    }

    /// Uploads a small photo, and returns the key.
    pub(crate) async fn upload_photo(&self) -> String {
        self.upload("image/jpeg", &image(JPEG)).await
    }

    /// Sends `POST /v1/classify` with an image's own bytes.
    pub(crate) async fn classify(&self, query: &str, content_type: &str, bytes: Vec<u8>) -> Reply {
        let request = self
            .request(Method::POST, &format!("/v1/classify{query}"))
            .header("content-type", content_type)
            .body(bytes);
        self.send(request).await
    }

    /// Sends `POST /v1/classify` with an upload's key.
    pub(crate) async fn classify_upload(&self, query: &str, key: &str) -> Reply {
        self.create(&format!("/v1/classify{query}"), &json!({ "image": key }))
            .await
    }

    /// Uploads bytes as the answer to `POST /v1/uploads` says.
    pub(crate) async fn put_bytes(&self, upload: &Value, bytes: &[u8]) -> Reply {
        let method = upload["method"].as_str().unwrap().parse().unwrap();
        let mut request = self
            .http
            .request(method, upload["url"].as_str().unwrap())
            .body(bytes.to_vec());
        for (name, value) in upload["headers"].as_object().unwrap() {
            // reqwest writes the length itself, and would write it twice if told.
            if name != "content-length" {
                request = request.header(name, value.as_str().unwrap());
            }
        }
        self.send(request).await
    }

    /// Returns an HTTP client, for addresses outside the API.
    pub(crate) fn http(&self) -> &Client {
        &self.http
    }
}

/// Returns the path of a post's comments.
pub(crate) fn comments(post: &str) -> String {
    format!("/v1/posts/{post}/comments")
}

/// Returns the id of a post, a user or anything else.
pub(crate) fn id_of(item: &Value) -> String {
    item["id"]
        .as_str()
        .unwrap_or_else(|| panic!("no id: {item}"))
        .to_owned()
}
