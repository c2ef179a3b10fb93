//! Every route gives the same answer for an object that the caller may not know of as for one that never existed. So no
//! caller learns that a user blocks them, or that a hidden object exists.

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use crate::support::{Reply, User, World, comments, id_of};

/// The reason why the caller may not know of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    /// Its author blocks the caller.
    AuthorBlocks,
    /// The caller blocks its author.
    CallerBlocks,
    /// Its author has left.
    AuthorLeft,
    /// It was deleted, and its author is still there.
    Deleted,
}

/// The things that a path may name.
struct Objects {
    user: String,
    post: String,
    comment: String,
    cat: String,
}

impl Objects {
    async fn of(author: &User) -> Self {
        let (post, cat) = (author.post_id("x").await, author.cat_id("나비").await);
        let comment = id_of(&author.comment(&post, "x").await);
        let user = author.id.clone();
        Self {
            user,
            post,
            comment,
            cat,
        }
    }

    fn nonexistent(user: &User) -> Self {
        let never = || "0000000000000".to_owned();
        Self {
            user: user.id.clone(),
            post: never(),
            comment: never(),
            cat: never(),
        }
    }

    fn path(&self, route: &str) -> String {
        [
            ("{user}", &self.user),
            ("{post}", &self.post),
            ("{comment}", &self.comment),
            ("{cat}", &self.cat),
        ]
        .iter()
        .fold(route.to_owned(), |path, (name, id)| path.replace(name, id))
    }
}

async fn call(caller: &User, method: &Method, path: &str, body: Option<&Value>) -> Reply {
    let request = caller.request(method.clone(), path);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    caller.send(request).await
}

/// Returns the status, and a problem's detail.
fn status_and_detail(reply: &Reply) -> (u16, Value) {
    let detail = if reply.status >= 400 {
        reply.problem(reply.status)["detail"].clone()
    } else {
        Value::Null
    };
    (reply.status, detail)
}

/// Fails if any route distinguishes a hidden object from one that never existed. A block is the one exception: any existing
/// user can be blocked by everybody.
#[tokio::test]
async fn hidden_objects_are_answered_like_unknown_ones() {
    let world = World::shared().await;
    for why in [
        Hidden::AuthorBlocks,
        Hidden::CallerBlocks,
        Hidden::AuthorLeft,
        Hidden::Deleted,
    ] {
        let (author, caller) = (world.user("author"), world.user("caller"));
        caller.me().await;
        let hidden = Objects::of(&author).await;
        let never = Objects::nonexistent(&world.user("never"));
        match why {
            Hidden::AuthorBlocks => author.block(&caller).await,
            Hidden::CallerBlocks => caller.block(&author).await,
            Hidden::AuthorLeft => drop(author.delete("/v1/me").await.expect(202)),
            Hidden::Deleted => {
                author.delete_post(&hidden.post).await;
                let cat = format!("/v1/cats/{}", hidden.cat);
                author.delete(&cat).await.expect(204);
            }
        }
        let mut tried = 0;
        for (method, route, body) in routes::calls() {
            let named = ["{user}", "{post}", "{cat}"];
            let named = named.iter().find(|name| route.contains(*name));
            let Some(named) = named else { continue };
            if why == Hidden::Deleted && *named == "{user}" {
                continue;
            }
            let [of_hidden, of_never] = [&hidden, &never].map(|things| things.path(route));
            let hidden_reply = call(&caller, &method, &of_hidden, body.as_ref()).await;
            let never_reply = call(&caller, &method, &of_never, body.as_ref()).await;
            let is_block = (method.as_str(), route) == ("PUT", "/v1/users/{user}/block");
            if is_block && why != Hidden::AuthorLeft {
                assert_eq!((hidden_reply.status, never_reply.status), (204, 404));
                continue;
            }
            assert_eq!(
                status_and_detail(&hidden_reply),
                status_and_detail(&never_reply),
                "{why:?}: {method} {route}"
            );
            // Reads and immediate changes answer 404; queued changes are accepted without a lookup.
            let queued = route.ends_with("/like") || route.ends_with("/follow");
            let taken_back = route.ends_with("/save") || route.ends_with("/block");
            let expected = match method {
                Method::PUT | Method::DELETE if queued => 202,
                Method::DELETE if taken_back => 204,
                _ => 404,
            };
            assert_eq!(hidden_reply.status, expected, "{why:?}: {method} {route}");
            tried += 1;
            if why == Hidden::CallerBlocks && route.ends_with("/block") {
                caller.block(&author).await;
            }
        }
        let least = if why == Hidden::Deleted { 11 } else { 18 };
        assert!(tried >= least, "{why:?}: only {tried} calls");
        // None of these calls had an effect.
        if matches!(why, Hidden::AuthorBlocks | Hidden::CallerBlocks) {
            caller.unblock(&author).await;
            author.unblock(&caller).await;
            let post = caller.read_post(&hidden.post).await;
            assert_eq!(
                (&post["edited_at"], &post["comments"]),
                (&Value::Null, &json!(1))
            );
            assert_eq!(caller.read_cat(&hidden.cat).await["bio"], Value::Null);
            let left = caller.walk_ids(&comments(&hidden.post), 5).await;
            assert_eq!(left, [hidden.comment]);
        }
    }
}

/// Every route that takes a handle treats a hidden owner's handle like an unknown one, even if the call has other
/// faults. Two calls reveal more, about users whom the caller may know of by other means: blocking an existing user,
/// and ending the caller's own block.
#[tokio::test]
async fn a_handle_tells_nothing_of_who_is_hidden() {
    let world = World::shared().await;
    for why in [
        Hidden::AuthorBlocks,
        Hidden::CallerBlocks,
        Hidden::AuthorLeft,
    ] {
        let (author, caller) = (world.user("author"), world.user("caller"));
        caller.me().await;
        let profile = json!({ "handle": author.own_handle(), "name": "나비" });
        author.put_me(&profile).await.expect(201);
        match why {
            Hidden::CallerBlocks => caller.block(&author).await,
            Hidden::AuthorLeft => drop(author.delete("/v1/me").await.expect(202)),
            _ => author.block(&caller).await,
        }
        let never = world.user("never");
        let mut tried = 0;
        for (method, route, body) in routes::calls() {
            if !route.contains("{user}") {
                continue;
            }
            let queries: &[&str] = if routes::LISTS.contains(&route) {
                &["", "?limit=0", "?cursor=x"]
            } else {
                &[""]
            };
            for query in queries {
                let [of_hidden, of_never] = [&author, &never].map(|user| {
                    let handle = format!("@{}", user.own_handle());
                    format!("{}{query}", route.replace("{user}", &handle))
                });
                let hidden_reply = call(&caller, &method, &of_hidden, body.as_ref()).await;
                let never_reply = call(&caller, &method, &of_never, body.as_ref()).await;
                never_reply.problem(404);
                let knows_more = match method {
                    _ if !route.ends_with("/block") => false,
                    Method::PUT => why != Hidden::AuthorLeft,
                    _ => why == Hidden::CallerBlocks,
                };
                if knows_more {
                    assert_eq!(hidden_reply.status, 204, "{why:?}: {method} {route}");
                    if method == Method::PUT && why == Hidden::AuthorBlocks {
                        // The caller knows that the block ended, and nothing of it remains.
                        caller.unblock(&author).await;
                    } else if method == Method::DELETE {
                        caller.block(&author).await;
                    }
                } else {
                    let replies = (
                        status_and_detail(&hidden_reply),
                        status_and_detail(&never_reply),
                    );
                    assert_eq!(replies.0, replies.1, "{why:?}: {method} {route}{query}");
                }
                tried += 1;
            }
        }
        assert!(tried >= 17, "{why:?}: only {tried} calls");
    }
}

/// A user who has left can't change their own hidden objects either.
#[tokio::test]
async fn a_departed_user_can_change_nothing() {
    let world = World::shared().await;
    let author = world.user("author");
    let own = Objects::of(&author).await;
    author.delete("/v1/me").await.expect(202);
    for (method, route) in [
        (Method::PATCH, "/v1/posts/{post}"),
        (Method::DELETE, "/v1/posts/{post}"),
        (Method::PATCH, "/v1/cats/{cat}"),
        (Method::DELETE, "/v1/cats/{cat}"),
        (Method::DELETE, "/v1/posts/{post}/comments/{comment}"),
    ] {
        let body = routes::good_body(&method, route);
        let reply = call(&author, &method, &own.path(route), body.as_ref()).await;
        let status = if route.ends_with("{comment}") {
            403
        } else {
            404
        };
        reply.problem(status);
    }
}
