//! `breed_suggestions` in the answer to `POST /v1/cats`.

use std::time::{Duration, Instant};

use purrline_local::{FaultAction, FaultRule, Service, When};
use serde_json::{Value, json};

use super::shapes::assert_cat;
use crate::support::{JPEG, World, id_of, image};

/// Separates the cat from its suggestions.
fn without_suggestions(answer: &Value) -> (Value, Option<Value>) {
    let mut cat = answer.clone();
    let suggestions = cat.as_object_mut().unwrap().remove("breed_suggestions");
    assert_cat(&cat);
    (cat, suggestions)
}

#[tokio::test]
async fn a_photo_without_a_breed_is_answered_with_the_classifiers_three_best() {
    let nabi = World::shared().await.user("nabi");
    let photo = nabi.upload("image/jpeg", &image(JPEG)).await;
    let body = json!({ "name": "x", "photo": photo });
    let first = nabi.create_once("/v1/cats", "key", &body).await.expect(201);
    let (cat, suggestions) = without_suggestions(&first.json());
    // The photo is small, so that its smallest size is its largest: the one that is classified.
    let picture = nabi.http().get(cat["photo_url"].as_str().unwrap());
    let picture = nabi.send(picture).await.expect(200).body;
    let expected = nabi.classify("?top=3", "image/jpeg", picture).await;
    let expected = expected.expect(200).json();
    assert_eq!(suggestions, Some(expected["breeds"].clone()));
    assert_eq!(cat["breed"], Value::Null);
    assert_eq!(nabi.read_cat(&id_of(&cat)).await, cat);
    // The answer is remembered; the classifier isn't called again.
    let again = nabi.create_once("/v1/cats", "key", &body).await.expect(201);
    assert_eq!(again.json(), first.json());

    for body in [
        json!({ "name": "x", "photo": photo, "breed": "bengal" }),
        json!({ "name": "x", "breed": null }),
    ] {
        let answer = nabi.create("/v1/cats", &body).await.expect(201).json();
        assert_eq!(without_suggestions(&answer).1, None, "{body}");
    }
    let path = format!("/v1/cats/{}", id_of(&cat));
    assert_cat(
        &nabi
            .change(&path, &json!({ "photo": photo }))
            .await
            .expect(200)
            .json(),
    );
}

/// Fails if a failing classifier makes the cat fail, is called twice, or is waited for longer than 4 s.
#[tokio::test]
async fn a_classifier_that_fails_or_is_slow_costs_nothing_but_its_suggestions() {
    let world = World::own().await;
    let nabi = world.user("nabi");
    let body = json!({ "name": "x", "photo": nabi.upload_photo().await });
    // From now on the photo's picture is there.
    nabi.create("/v1/cats", &body).await.expect(201);
    let calls = |action| {
        let rule = FaultRule::new(When::Before, action).function("cat");
        world
            .on_call(rule.service(Service::Functions).times(u64::MAX))
            .unwrap()
    };
    for action in [
        FaultAction::Status(500),
        FaultAction::Disconnect,
        FaultAction::Hang,
    ] {
        let fault = calls(action);
        let started = Instant::now();
        let answer = nabi.create("/v1/cats", &body).await.expect(201).json();
        assert!(
            started.elapsed() < Duration::from_secs(6),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(fault.fired(), 1, "{action:?}");
        fault.clear();
        let (cat, suggestions) = without_suggestions(&answer);
        assert_eq!(suggestions, Some(json!([])), "{action:?}");
        assert_eq!(nabi.read_cat(&id_of(&cat)).await, cat);
    }
    // A slow classifier is waited for.
    let fault = calls(FaultAction::Delay(Duration::from_millis(2500)));
    let answer = nabi.create("/v1/cats", &body).await.expect(201).json();
    fault.clear();
    let suggestions = without_suggestions(&answer).1.unwrap();
    assert_eq!(suggestions.as_array().unwrap().len(), 3);
    // The picture can't be read.
    let rule = FaultRule::new(When::Before, FaultAction::Status(500)).function("cat");
    let rule = rule.service(Service::Bucket).times(u64::MAX);
    let fault = world.on_call(rule).unwrap();
    let answer = nabi.create("/v1/cats", &body).await.expect(201).json();
    assert_eq!(without_suggestions(&answer).1, Some(json!([])));
    assert!(fault.fired() > 0);
}
