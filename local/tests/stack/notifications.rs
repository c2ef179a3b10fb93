use aws_sdk_s3::Client;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use purrline_local::{Options, Stack};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{bucket_client, options, queues_client};

const BODY: &[u8] = b"\xff\xd8cat";

/// A bucket that notifies a queue without a consumer, so that the tests receive the messages.
const TEMPLATE: &str = r"
Resources:
  Created:
    Type: AWS::SQS::Queue
  CreatedPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Created]
      PolicyDocument:
        Statement:
          - Effect: Allow
            Principal: { Service: s3.amazonaws.com }
            Action: sqs:SendMessage
            Resource: !GetAtt Created.Arn
            Condition: { StringEquals: { aws:SourceAccount: !Ref AWS::AccountId } }
  Inbox:
    Type: AWS::S3::Bucket
    DependsOn: CreatedPolicy
    Properties:
      NotificationConfiguration:
        QueueConfigurations:
          - Event: s3:ObjectCreated:Put
            Filter: { S3Key: { Rules: [{ Name: prefix, Value: uploads/ }, { Name: suffix, Value: .jpg }] } }
            Queue: !GetAtt Created.Arn
";

struct Scene {
    stack: Stack,
    folder: TempDir,
}

impl Scene {
    /// Starts a stack whose data stays in a folder.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::start(Self::options(&folder)).await.unwrap();
        Self { stack, folder }
    }

    fn options(folder: &TempDir) -> Options {
        let template = folder.path().join("template.yaml");
        std::fs::write(&template, TEMPLATE).unwrap();
        let mut options = options();
        options.template = template;
        options.data_dir = Some(folder.path().join("data"));
        options
    }

    fn client(&self) -> Client {
        bucket_client(&self.stack, &self.stack.endpoints().bucket)
    }

    async fn put(&self, key: &str) {
        let put = self.client().put_object().bucket("inbox").key(key);
        put.body(BODY.to_vec().into()).send().await.unwrap();
    }

    /// Receives and deletes all messages.
    async fn received(&self) -> Vec<Value> {
        let client = queues_client(&self.stack);
        let url = self.stack.queue_url("Created").unwrap();
        let mut bodies = Vec::new();
        loop {
            let receive = client.receive_message().queue_url(url);
            let received = receive.max_number_of_messages(10).send().await.unwrap();
            let Some(messages) = received.messages else {
                return bodies;
            };
            for message in messages {
                bodies.push(serde_json::from_str(message.body().unwrap()).unwrap());
                let delete = client.delete_message().queue_url(url);
                let delete = delete.set_receipt_handle(message.receipt_handle);
                delete.send().await.unwrap();
            }
        }
    }
}

/// Returns the object's part of a message's only record.
fn object(message: &Value) -> &Value {
    assert_eq!(message["Records"].as_array().unwrap().len(), 1);
    &message["Records"][0]["s3"]["object"]
}

#[tokio::test]
async fn queue_is_tested_when_its_bucket_is_created() {
    let scene = Scene::start().await;
    let [test] = scene.received().await.try_into().unwrap();
    assert_eq!(test["Service"], "Amazon S3");
    assert_eq!(test["Event"], "s3:TestEvent");
    assert_eq!(test["Bucket"], "inbox");
    for field in ["Time", "RequestId", "HostId"] {
        assert!(test[field].is_string(), "{field}");
    }
    let Scene { stack, folder } = scene;
    stack.stop().await;
    let stack = Stack::start(Scene::options(&folder)).await.unwrap();
    let scene = Scene { stack, folder };
    assert!(scene.received().await.is_empty(), "the bucket existed");
}

#[tokio::test]
async fn upload_leads_to_one_message() {
    let scene = Scene::start().await;
    scene.received().await;
    scene.put("uploads/nabi/a cat+1.jpg").await;
    let [message] = scene.received().await.try_into().unwrap();
    let record = &message["Records"][0];
    assert_eq!(record["eventVersion"], "2.1");
    assert_eq!(record["eventSource"], "aws:s3");
    assert_eq!(record["awsRegion"], "us-east-1");
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    let time: jiff::Timestamp = record["eventTime"].as_str().unwrap().parse().unwrap();
    assert!(time.duration_until(jiff::Timestamp::now()).abs() < super::SOON.try_into().unwrap());
    assert!(record["userIdentity"]["principalId"].is_string());
    assert!(record["requestParameters"]["sourceIPAddress"].is_string());
    assert!(record["responseElements"]["x-amz-request-id"].is_string());
    let s3 = &record["s3"];
    assert_eq!(s3["s3SchemaVersion"], "1.0");
    assert!(s3["configurationId"].is_string());
    assert_eq!(s3["bucket"]["name"], "inbox");
    assert_eq!(s3["bucket"]["arn"], "arn:aws:s3:::inbox");
    assert!(s3["bucket"]["ownerIdentity"]["principalId"].is_string());
    let first = object(&message);
    assert_eq!(first["key"], "uploads/nabi/a+cat%2B1.jpg");
    assert_eq!(first["size"], BODY.len());
    let head = scene.client().head_object().bucket("inbox");
    let head = head.key("uploads/nabi/a cat+1.jpg").send().await.unwrap();
    let tag = head.e_tag().unwrap().trim_matches('"');
    assert_eq!(first["eTag"], tag);
    scene.put("uploads/nabi/a cat+1.jpg").await;
    let [again] = scene.received().await.try_into().unwrap();
    let sequencer = |object: &Value| object["sequencer"].as_str().unwrap().to_owned();
    assert!(sequencer(first) < sequencer(object(&again)));
}

#[tokio::test]
async fn objects_outside_the_filter_lead_to_no_message() {
    let scene = Scene::start().await;
    scene.received().await;
    for key in ["other/1.jpg", "uploads/1.png", "uploads.jpg"] {
        scene.put(key).await;
    }
    let copy = scene.client().copy_object().bucket("inbox");
    let copy = copy
        .copy_source("inbox/other/1.jpg")
        .key("uploads/copy.jpg");
    copy.send().await.unwrap();
    let delete = scene.client().delete_object().bucket("inbox");
    delete.key("uploads/copy.jpg").send().await.unwrap();
    assert!(scene.received().await.is_empty());
}

#[tokio::test]
async fn refused_uploads_lead_to_no_message() {
    let scene = Scene::start().await;
    scene.put("uploads/1.jpg").await;
    scene.received().await;
    let put = |key: &str| {
        let put = scene.client().put_object().bucket("inbox").key(key);
        put.body(BODY.to_vec().into())
    };
    let other = STANDARD.encode(Sha256::digest(b"x"));
    let corrupted = put("uploads/2.jpg").checksum_sha256(other);
    assert!(corrupted.send().await.is_err());
    let overwriting = put("uploads/1.jpg").if_none_match("*");
    assert!(overwriting.send().await.is_err());
    let url = format!("{}/inbox/uploads/3.jpg", scene.stack.endpoints().bucket);
    let unsigned = reqwest::Client::new().put(url).body(BODY);
    assert_eq!(unsigned.send().await.unwrap().status(), 403);
    assert!(scene.received().await.is_empty());
}

#[tokio::test]
async fn bucket_without_a_distribution_is_not_served() {
    let scene = Scene::start().await;
    scene.put("uploads/1.jpg").await;
    for path in ["media/uploads/1.jpg", "media/inbox/uploads/1.jpg"] {
        let url = format!("{}/{path}", scene.stack.url());
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 404, "{path}");
    }
    for origin in [scene.stack.url(), &scene.stack.endpoints().bucket] {
        let url = format!("{origin}/inbox/uploads/1.jpg");
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 403, "{url}");
    }
}
