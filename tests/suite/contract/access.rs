//! Rule 8: each route serves only the callers entitled to it. Every route is called by its owner, another user, a caller
//! without a token, and the owner with an expired token.

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use crate::support::{JPEG, Reply, User, World, id_of, image};

/// The answer to each caller.
struct Expected {
    owner: u16,
    other: u16,
}

fn expected(method: &Method, route: &str) -> Expected {
    let (owner, other) = match (method.as_str(), route) {
        ("PATCH", "/v1/posts/{post}" | "/v1/cats/{cat}") => (200, 403),
        (
            "DELETE",
            "/v1/posts/{post}" | "/v1/cats/{cat}" | "/v1/posts/{post}/comments/{comment}",
        ) => (204, 403),
        // Another user's upload.
        ("POST", "/v1/classify") => (200, 422),
        // Each caller has a profile of their own.
        ("POST", _) | ("PUT", "/v1/me") => (201, 201),
        // Users can't follow themselves.
        (_, "/v1/users/{user}/follow") => (422, 202),
        // Nor can they block themselves.
        (_, "/v1/users/{user}/block") => (422, 204),
        (_, "/v1/posts/{post}/save") => (204, 204),
        ("PUT" | "DELETE", _) => (202, 202),
        ("GET", _) | ("PATCH", "/v1/me") => (200, 200),
        _ => panic!("say what is expected of {method} {route}"),
    };
    Expected { owner, other }
}

async fn call(caller: &User, method: &Method, path: &str, body: Option<&Value>) -> Reply {
    let mut request = caller.request(method.clone(), path);
    if let Some(body) = body {
        request = request.json(&routes::with_handle(body.clone(), caller));
    }
    caller.send(request).await
}

#[tokio::test]
async fn every_route_answers_owners_and_others_as_expected() {
    let world = World::shared().await;
    let (owner, other) = (world.user("owner"), world.user("other"));
    let mut claims = world.sign_in().claims(&owner.id);
    claims["exp"] = json!(1_700_000_000);
    let expired = owner.with_token(Some(&world.sign_in().sign(&claims).unwrap()));
    let image = owner.upload("image/jpeg", &image(JPEG)).await;
    // Leaving ends all other calls, so another test covers it.
    let calls = routes::calls()
        .filter(|(method, route, _)| (method.as_str(), *route) != ("DELETE", "/v1/me"));
    for (method, route, body) in calls {
        let body = body.map(|body| routes::with_image(body, &image));
        let post = owner.post_id("the owner's").await;
        let cat = owner.cat_id("the owner's").await;
        let comment = id_of(&owner.comment(&post, "the owner's").await);
        let route_of = route.replace("{comment}", &comment);
        let path = routes::with_cat(&routes::good_path(&route_of, &post, &owner.id), &cat);
        let Expected {
            owner: to_owner,
            other: to_other,
        } = expected(&method, route);
        // The owner comes last: a deletion would leave the others nothing to try.
        for (who, caller, status) in [
            ("anonymous", &world.anonymous(), 401),
            ("expired", &expired, 401),
            ("other", &other, to_other),
            ("owner", &owner, to_owner),
        ] {
            let reply = call(caller, &method, &path, body.as_ref()).await;
            assert_eq!(
                reply.status,
                status,
                "{who}: {} {}",
                reply.request,
                reply.text()
            );
            if who != "owner" && status >= 400 {
                assert_eq!(
                    owner.read_post(&post).await["edited_at"],
                    Value::Null,
                    "{who}: {}",
                    reply.request
                );
                assert_eq!(
                    owner.read_cat(&cat).await["bio"],
                    Value::Null,
                    "{who}: {}",
                    reply.request
                );
            }
        }
    }
}

/// Routes that show the caller's own things never show another user's.
#[tokio::test]
async fn me_and_the_feed_are_the_callers_own() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let post = nabi.post_id("mine").await;
    nabi.like(&post).await;
    world.wait_until_drained().await;
    assert_eq!(nabi.feed_ids(20).await, std::slice::from_ref(&post));
    assert!(other.feed(20).await.is_empty());
    assert_eq!(other.me().await["id"], other.id);
    assert_eq!(nabi.read_post(&post).await["liked"], true);
    assert_eq!(other.read_post(&post).await["liked"], false);
}

/// A caller can't claim to be another user.
#[tokio::test]
async fn headers_that_name_a_user_are_ignored() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let named = |user: &User| {
        user.request(Method::GET, "/v1/me")
            .header("x-amzn-oidc-identity", &nabi.id)
            .header("x-amzn-oidc-data", nabi.token.clone().unwrap())
            .header("x-user-id", &nabi.id)
            .header("cookie", format!("token={}", nabi.token.clone().unwrap()))
    };
    assert_eq!(
        other.send(named(&other)).await.expect(200).json()["id"],
        other.id
    );
    let anonymous = world.anonymous();
    anonymous.send(named(&anonymous)).await.problem(401);
    anonymous
        .get(&format!(
            "/v1/me?access_token={}",
            nabi.token.clone().unwrap()
        ))
        .await
        .problem(401);
}
