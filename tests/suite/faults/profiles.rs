//! Rule 7 for profiles: a handle and the profile that shows it agree at any time, whichever process dies, and authors
//! are shown with their current profile.

use std::collections::HashMap;
use std::time::Duration;

use purrline::cache::Missing;
use purrline::domain::{
    Author, Handle, HydratedPosts, ImageHost, Name, ProfileEdit, UserId, UserRef,
};
use purrline::store::ProfileError;
use purrline_local::{FaultAction, FaultRule, Outage, Service, When};
use serde_json::{Value, json};

use super::{assert_unavailable, followers_of, stage};
use crate::support::User;
use crate::support::backstage::{Backstage, text};

/// Fails unless the user owns the handle that the profile shows, and these other handles are not in use: they are held for
/// the user, or free.
async fn assert_handle_consistent(stage: &Backstage, user: &User, others: &[String]) {
    let row = stage.item("UsersTable", "id", &user.id).await.unwrap();
    let handle = text(&row, "handle");
    let owner = Some((user.id.clone(), None));
    assert_eq!(stage.owner_of(&handle).await, owner, "{handle}");
    for other in others.iter().filter(|other| **other != handle) {
        match stage.owner_of(other).await {
            None => {}
            Some((of, until)) => {
                assert_eq!(of, user.id, "{other}");
                assert!(until.is_some(), "{other} is in use, and {handle}");
            }
        }
    }
}

/// Returns the author of the newest post, as the reader's feed shows them.
async fn author_shown(reader: &User) -> Value {
    reader.feed(1).await[0]["author"].clone()
}

/// A change is killed before and after each of its calls. Either all of it is stored or nothing; handle and profile
/// agree; a warm feed shows what is stored, or, until the time of the change is up, the state before; and repeating the
/// request completes the change.
///
/// Fails when handle and profile are not one transaction, or when the cache is told only afterwards.
#[tokio::test]
async fn a_killed_change_leaves_handle_and_profile_consistent() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    let rival = stage.world.user("rival");
    author.post("x").await;
    stage.world.wait_until_drained().await;
    author
        .put_me(
            &json!({ "handle": "case_0", "name": "case 0", "avatar": author.upload_photo().await }),
        )
        .await
        .expect(201);
    let mut handles = vec!["case_0".to_owned()];
    let calls = [
        // The picture, and the avatar that it replaces.
        ("BatchGetItem", 1),
        ("BatchGetItem", 2),
        ("SendMessage", 1),
        ("EVALSHA", 1),
        ("BatchGetItem", 3),
        ("GetItem", 1),
        // The handles given up before, as the profile lists them and as their own rows have them.
        ("BatchGetItem", 4),
        ("BatchGetItem", 5),
        ("TransactWriteItems", 1),
        ("EVALSHA", 2),
        // The profile that is answered.
        ("BatchGetItem", 6),
    ];
    let (mut done, mut round) = (0, 0);
    for (operation, nth) in calls {
        for when in [When::Before, When::After] {
            let what = format!("{when:?} {operation} {nth}");
            // The author's handle and the five that they may have given up, repeatedly.
            round += 1;
            let number = round % 6;
            let avatar = author.upload_photo().await;
            // Its picture is made.
            stage.world.wait_until_drained().await;
            let body = json!({ "handle": format!("case_{number}"), "name": format!("case {round}"), "avatar": avatar });
            if handles.len() < 6 {
                handles.push(format!("case_{number}"));
            }
            let before = author.me().await;
            for _ in 0..2 {
                assert_eq!(author_shown(&reader).await["name"], before["name"]);
            }
            let rule = FaultRule::kill("profile", nth, when).operation(operation);
            let fault = stage.world.on_call(rule).unwrap();
            let reply = author.put_me(&body).await;
            assert_eq!((reply.status, fault.fired()), (502, 1), "{what}");
            fault.clear();

            let after = author.me().await;
            let changed = after["handle"] == body["handle"];
            if changed {
                done += 1;
                assert_eq!(after["name"], body["name"], "{what}");
                assert_ne!(after["avatar_url"], before["avatar_url"], "{what}");
            } else {
                assert_eq!(after, before, "{what}");
            }
            assert_handle_consistent(&stage, &author, &handles).await;
            for _ in 0..2 {
                let shown = author_shown(&reader).await;
                let is = |profile: &Value| {
                    let fields = ["handle", "name", "avatar_url"];
                    fields.iter().all(|field| shown[field] == profile[field])
                };
                assert!(is(&after) || is(&before), "{shown} {what}");
            }

            let healed = author.put_me(&body).await.expect(200).json();
            assert_eq!(healed["handle"], body["handle"], "{what}");
            assert_eq!(author_shown(&reader).await["name"], body["name"], "{what}");
            assert_handle_consistent(&stage, &author, &handles).await;
            for handle in &handles {
                let claim = json!({ "handle": handle, "name": "rival" });
                rival.put_me(&claim).await.problem(409);
            }
        }
    }
    assert_eq!(done, 5, "after the transaction, and at whatever follows");
}

/// The store writes the profile, and its answer is lost: the profile still counts as the first. Fails when a retried call
/// counts as another one.
#[tokio::test]
async fn a_profile_whose_answer_is_lost_still_counts_as_the_first() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let rule = FaultRule::new(When::After, FaultAction::Disconnect).operation("TransactWriteItems");
    let fault = stage.world.on_call(rule).unwrap();
    let body = json!({ "handle": "author", "name": "Author" });
    author.put_me(&body).await.expect(201);
    assert_eq!(fault.fired(), 1);
    assert_handle_consistent(&stage, &author, &[]).await;
}

/// Without the cache a profile can't be changed, since the cache would keep the old one: 503, and repeating the request
/// succeeds once the cache is back. Reads continue. Fails when the cache is told after the store, or when a failure to
/// tell it is ignored.
#[tokio::test]
async fn profiles_cannot_change_without_a_cache_and_can_afterwards() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    author.post("x").await;
    stage.world.wait_until_drained().await;
    author
        .put_me(&json!({ "handle": "before", "name": "before" }))
        .await
        .expect(201);
    for how in ["killed", "stopped", "closed"] {
        let before = author.me().await;
        assert_eq!(author_shown(&reader).await["name"], before["name"]);
        match how {
            "killed" => stage.world.kill_cache().await.unwrap(),
            "stopped" => stage.world.pause_cache().unwrap(),
            _ => stage.world.stop_service(Service::Cache, Outage::Closed),
        }
        let body = json!({ "handle": how, "name": how });
        assert_unavailable(how, author.put_me(&body)).await;
        assert_eq!(author.me().await, before, "{how}");
        assert_eq!(
            reader.read_user(&author).await["name"],
            before["name"],
            "{how}"
        );
        assert_eq!(author_shown(&reader).await["name"], before["name"], "{how}");
        match how {
            "killed" => stage.world.start_cache().await.unwrap(),
            "stopped" => stage.world.resume_cache().unwrap(),
            _ => stage.world.resume_service(Service::Cache),
        }
        let healed = async || (author.put_me(&body).await.status == 200).then_some(());
        crate::support::eventually("the same again heals", healed).await;
        assert_eq!(author_shown(&reader).await["name"], how);
    }
    // The cache fails once the store has the profile: the change is not answered, since the cache may not know of it.
    let slow = FaultRule::new(When::Before, FaultAction::Delay(Duration::from_secs(1)))
        .function("profile")
        .operation("TransactWriteItems");
    let stored = stage.world.on_call(slow).unwrap();
    let goes = async {
        crate::support::eventually("the profile is about to be stored", async || {
            (stored.fired() > 0).then_some(())
        })
        .await;
        stage.world.stop_service(Service::Cache, Outage::Closed);
    };
    let body = json!({ "handle": "after", "name": "after" });
    futures::join!(
        assert_unavailable("a change that the cache missed", author.put_me(&body)),
        goes
    );
    stage.world.resume_service(Service::Cache);
    crate::support::eventually("the time of the change is up", async || {
        (author_shown(&reader).await["name"] == "after").then_some(())
    })
    .await;
    crate::support::eventually("the same again heals", async || {
        (author.put_me(&body).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(author_shown(&reader).await["name"], "after");
}

/// A reader takes a lease, reads the author from the store, and is slow; the author changes; then the reader fills the
/// cache. Fails when a change leaves leases valid.
#[tokio::test]
async fn a_slow_reader_does_not_bring_back_an_old_author() {
    let stage = stage().await;
    let author = stage.world.user("author");
    let reader = followers_of(&stage, &author, 1).await.remove(0);
    author.post("x").await;
    stage.world.wait_until_drained().await;
    let (store, cache) = (stage.store().await, stage.cache().await);
    let [me, id] = [&reader.id, &author.id].map(|id| UserId::parse(id).unwrap());
    let missing = Missing {
        authors: vec![id.clone()],
        ..Missing::default()
    };
    let lease = cache.lease(&me, &missing).await.unwrap();
    let before = Author::of(&id, store.profile(&id).await.unwrap().as_ref());
    author
        .put_me(&json!({ "handle": "author", "name": "Author" }))
        .await
        .expect(201);
    let before = HydratedPosts {
        authors: HashMap::from([(id.clone(), Some(before.into()))]),
        ..HydratedPosts::default()
    };
    cache.fill(&me, &lease, &missing, &before).await.unwrap();
    assert_eq!(author_shown(&reader).await["name"], "Author");
    // Cached authors don't depend on the images' address.
    let authors = std::slice::from_ref(&id);
    let (known, _) = cache.hydrate(&me, &[], authors).await.unwrap();
    let author = known.authors[&id].as_deref().unwrap().clone();
    let view = author.view(&ImageHost::new("http://images"));
    assert_eq!((view.name.as_str(), view.avatar_url), ("Author", None));
}

/// Returns the profile that a `PUT` of this handle leaves, and nothing else.
fn edit(handle: &str) -> ProfileEdit {
    ProfileEdit {
        handle: Some(Handle::parse(handle).unwrap()),
        name: Some(Name::parse(handle).unwrap()),
        ..ProfileEdit::default()
    }
}

/// One user sends six changes at once. Exactly one of them makes the first profile; one handle is the user's, and the others
/// are held for the user. Fails when a profile is written regardless of what became of its handle.
#[tokio::test]
async fn concurrent_changes_leave_one_handle() {
    let stage = stage().await;
    let store = stage.store().await;
    for round in 0..5 {
        let author = stage.world.user("author");
        let id = UserId::parse(&author.id).unwrap();
        let handles: Vec<String> = (0..6).map(|n| format!("round_{round}_{n}")).collect();
        let edits: Vec<ProfileEdit> = handles.iter().map(|handle| edit(handle)).collect();
        let changes = edits.iter().map(|edit| store.put_profile(&id, edit));
        let changes = futures::future::join_all(changes).await;
        let first = changes
            .into_iter()
            .filter(|put| put.as_ref().unwrap().first);
        assert_eq!(first.count(), 1);
        let me = author.me().await;
        assert_eq!(me["handle"], me["name"]);
        assert_handle_consistent(&stage, &author, &handles).await;
        for handle in &handles {
            assert!(stage.owner_of(handle).await.is_some(), "{handle}");
        }
    }
}

/// A hundred users ask the store for one handle at the same time, more than there are processes: one gets it, and the others
/// learn that it is taken. (`contract::profiles` runs fifty rounds through the load balancer.) Fails when a handle is only
/// looked up before it is taken.
#[tokio::test]
async fn one_of_a_hundred_claims_of_a_handle_wins() {
    let stage = stage().await;
    let store = stage.store().await;
    let users: Vec<UserId> = (0..100)
        .map(|n| UserId::parse(&format!("claimant-{n}")).unwrap())
        .collect();
    let started = std::time::Instant::now();
    let mut taken = HashMap::new();
    for round in 0..10 {
        let edit = edit(&format!("round_{round}"));
        let handle = edit.handle.clone().unwrap();
        let claims = users.iter().map(|user| store.put_profile(user, &edit));
        let claims = futures::future::join_all(claims).await;
        let mut winners = Vec::new();
        for (user, claim) in users.iter().zip(claims) {
            match claim {
                Ok(_) => winners.push(user),
                Err(ProfileError::HandleTaken | ProfileError::TooManyHandles) => {}
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let owner = store.user(UserRef::Handle(handle.clone())).await.unwrap();
        assert_eq!(owner.as_ref(), Some(winners[0]), "round {round}");
        taken.insert(handle, winners[0].clone());
    }
    println!("10 rounds of 100 claims took {:?}", started.elapsed());
    // Each handle leads to its winner, and each winner's profile has the last of their handles.
    for (handle, winner) in &taken {
        let profile = store.profile(winner).await.unwrap().unwrap();
        let (owner, until) = stage.owner_of(handle.as_str()).await.unwrap();
        assert_eq!(owner, winner.as_str());
        assert_eq!(until.is_none(), profile.handle.as_ref() == Some(handle));
    }
    let with_profile = store.profiles(&users).await.unwrap();
    let with_profile = with_profile.values().filter(|it| it.handle.is_some());
    let winners: std::collections::HashSet<_> = taken.values().collect();
    assert_eq!(with_profile.count(), winners.len());
}
