//! POST /v1/uploads: a presigned S3 PUT
fn main() {}
