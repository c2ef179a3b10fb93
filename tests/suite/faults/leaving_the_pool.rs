//! Leaving a stack that has its own user pool: the user is deleted there too.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::support::backstage::Backstage;
use crate::support::user_pool::{Answers, POOL, UserPool};
use crate::support::{User, World, eventually, retrying_soon};

async fn stage(pool: &UserPool, erasure_seconds: &str) -> Backstage {
    let options = retrying_soon().parameter("ErasureSeconds", erasure_seconds);
    Backstage::of(&World::with(pool.configure(options)).await).await
}

/// Returns a user with this Cognito user name, which differs from the id if the user signs in with another provider.
fn pool_user(world: &World, name: &str, cognito: &str) -> User {
    let user = world.user(name);
    let mut claims = world.sign_in().claims(&user.id);
    claims["username"] = json!(cognito);
    let token = world.sign_in().sign(&claims).unwrap();
    user.with_token(Some(&token))
}

/// Runs `sweep` with this erasure due. Returns whether everything due was done.
async fn sweep(stage: &Backstage, user: &User) -> bool {
    let due = stage
        .tables
        .update_item()
        .table_name(stage.table("UsersTable"))
        .key("id", AttributeValue::S(user.id.clone()))
        .update_expression("SET erase_at = :long_ago")
        .condition_expression("attribute_exists(withdrawn_at)")
        .expression_attribute_values(":long_ago", AttributeValue::N("1".to_owned()));
    // The erasure may be done by now.
    let _ = due.send().await;
    stage.world.run_schedule("sweep").await.is_ok()
}

async fn is_erased(stage: &Backstage, user: &User) -> bool {
    stage.item("UsersTable", "id", &user.id).await.is_none()
}

async fn sweep_until_erased(stage: &Backstage, user: &User) {
    eventually("the account is erased", async || {
        sweep(stage, user).await;
        is_erased(stage, user).await.then_some(())
    })
    .await;
}

/// Fails if an erasure ends although the pool did not delete the user, or if the deletion is not tried again.
#[tokio::test]
async fn an_erasure_ends_only_when_the_pool_has_deleted_the_user() {
    let pool = UserPool::start().await;
    let stage = stage(&pool, "1").await;
    let leaver = pool_user(&stage.world, "leaver", "google_1234567890");
    leaver.post("bye").await;
    leaver.delete("/v1/me").await.expect(202);
    for answers in [Answers::Fails, Answers::TooMany, Answers::HangsUp] {
        pool.set_answers(answers);
        let before = pool.requests().len();
        assert!(!sweep(&stage, &leaver).await, "{answers:?}");
        assert!(pool.requests().len() > before, "{answers:?}");
        assert!(!is_erased(&stage, &leaver).await, "{answers:?}");
    }
    pool.set_answers(Answers::Done);
    sweep_until_erased(&stage, &leaver).await;
    for request in pool.requests() {
        assert_eq!(request.action(), "cognito-idp:AdminDeleteUser");
        assert_eq!(
            request.body(),
            json!({ "UserPoolId": POOL, "Username": "google_1234567890" })
        );
        assert_eq!(
            request.header("content-type"),
            Some("application/x-amz-json-1.1")
        );
        let signature = request.header("authorization").unwrap();
        assert!(signature.starts_with("AWS4-HMAC-SHA256 "), "{signature}");
        for part in [
            "/us-east-1/cognito-idp/aws4_request",
            "SignedHeaders=content-type;host;x-amz-date;x-amz-target",
        ] {
            assert!(signature.contains(part), "{signature}");
        }
    }
}

/// Fails if each pass deletes the user of that name: a user who has meanwhile come back through Google has the same
/// name.
#[tokio::test]
async fn the_pool_is_asked_once_however_many_passes_an_erasure_takes() {
    let pool = UserPool::start().await;
    let stage = stage(&pool, "3600").await;
    let leaver = pool_user(&stage.world, "leaver", "google_1");
    for _ in 0..3 {
        leaver.delete("/v1/me").await.expect(202);
        assert!(sweep(&stage, &leaver).await);
    }
    assert!(!is_erased(&stage, &leaver).await);
    assert_eq!(pool.requests().len(), 1);
}

/// The pool names its own users by their ids. A user who is missing there is still erased.
#[tokio::test]
async fn a_user_missing_from_the_pool_is_erased() {
    let pool = UserPool::start().await;
    pool.set_answers(Answers::NoSuchUser);
    let stage = stage(&pool, "1").await;
    let leaver = stage.world.user("leaver");
    leaver.post("bye").await;
    leaver.delete("/v1/me").await.expect(202);
    sweep_until_erased(&stage, &leaver).await;
    let requests = pool.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body()["Username"], json!(leaver.id));
}
