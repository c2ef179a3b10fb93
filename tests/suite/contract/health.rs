//! `GET /v1/health`.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn health_needs_no_token() {
    let reply = World::shared()
        .await
        .anonymous()
        .get("/v1/health")
        .await
        .expect(200);
    assert_eq!(reply.json(), json!({ "status": "ok" }));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("x-request-id").is_some());
}
