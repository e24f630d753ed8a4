//! Messages are changed field by field; tokens and search follow.

use serde_json::json;
use shs_store::streaming::StreamLease;
use shs_store::{ErrorKind, MessagePatch, Part, Scope, SearchQuery, Status, Store, StoreExt};

use crate::audit::{refused, snapshot};
use crate::sample::{conversation, map, message_id, nested, said, session, session_id};
use crate::{Fixture, Place, walk};

/// A change of a message is returned and stored; it changes what it names and nothing else.
pub async fn a_message_changes_only_in_what_is_named<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let mut new = said("m", "old").with_metadata(map(json!({"k": 1})));
    new.extra = map(json!({"vote": 1}));
    let batch = vec![said("before", "x"), new, said("after", "x")];
    let appended = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap().messages;
    let mut expected = appended[1].clone();
    let mut removal = MessagePatch::new();
    removal.tokens = Some(None);
    removal.model = Some(None);
    removal.latency_ms = Some(None);
    for patch in [
        MessagePatch::new(),
        MessagePatch::new().with_content("new"),
        MessagePatch::new().with_content(""),
        MessagePatch::new().with_content("a\0b"),
        MessagePatch::new().with_parts(vec![Part::text("t"), Part::reasoning("r")]),
        MessagePatch::new().with_parts(vec![]),
        MessagePatch::new().with_status(Status::Pending),
        MessagePatch::new().with_status(Status::Error).with_expected_status(Status::Pending),
        MessagePatch::new().with_tokens(0),
        MessagePatch::new().with_tokens(9).with_model("m").with_latency_ms(0.1),
        removal,
        MessagePatch::new().with_metadata(map(json!({"a": {"b": 1, "c": 2}, "d": 3}))),
        MessagePatch::new().with_metadata_merged(map(json!({"a": {"b": null}, "d": [1]}))),
        MessagePatch::new().with_metadata(map(json!({}))),
    ] {
        patch.clone().apply(&mut expected).unwrap();
        let returned =
            store.update_message(&Scope::DEFAULT, &id, &expected.id, patch.clone()).await.unwrap();
        assert_eq!(returned, expected, "{patch:?}");
        let stored = walk::messages(store, &Scope::DEFAULT, &id, &Default::default()).await;
        assert_eq!(stored, [appended[0].clone(), expected.clone(), appended[2].clone()]);
    }
}

/// The session's tokens follow when a message gets tokens, other tokens, or none.
pub async fn tokens_follow_a_change<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store
        .append_all(&Scope::DEFAULT, &id, vec![said("a", "x").with_tokens(5), said("b", "x")])
        .await
        .unwrap();
    let mut none = MessagePatch::new();
    none.tokens = Some(None);
    for (message, patch, total) in [
        ("a", MessagePatch::new().with_tokens(7), 7),
        ("b", MessagePatch::new().with_tokens(u32::MAX), 7 + u64::from(u32::MAX)),
        ("b", MessagePatch::new().with_content("y"), 7 + u64::from(u32::MAX)),
        ("b", MessagePatch::new().with_tokens(1), 8),
        ("a", none, 1),
    ] {
        store.update_message(&Scope::DEFAULT, &id, &message_id(message), patch).await.unwrap();
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!((stored.total_tokens, stored.message_count), (total, 2));
    }
}

/// Search finds the new content and not the old.
pub async fn search_follows_a_change<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("m", "old words 部署")).await.unwrap();
    let count = async |text: &str| {
        store.search(&Scope::DEFAULT, &SearchQuery::new(text)).await.unwrap().items.len()
    };
    let patch = |content: &str| MessagePatch::new().with_content(content);
    store
        .update_message(&Scope::DEFAULT, &id, &message_id("m"), patch("new words テスト"))
        .await
        .unwrap();
    assert_eq!((count("old").await, count("部署").await), (0, 0));
    assert_eq!((count("new").await, count("words").await, count("テスト").await), (1, 1, 1));
    store
        .update_message(&Scope::DEFAULT, &id, &message_id("m"), MessagePatch::new().with_tokens(1))
        .await
        .unwrap();
    assert_eq!(count("new").await, 1, "a change of something else leaves it found");
    store.update_message(&Scope::DEFAULT, &id, &message_id("m"), patch("")).await.unwrap();
    assert_eq!((count("new").await, count("words").await), (0, 0));
    store.update_message(&Scope::DEFAULT, &id, &message_id("m"), patch("again")).await.unwrap();
    assert_eq!(count("again").await, 1);
}

/// A change that expects another status than the message has is a conflict, and changes nothing.
pub async fn an_expected_status_must_hold<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("m", "x").with_status(Status::Pending)).await.unwrap();
    let message = message_id("m");
    let before = snapshot(store).await;
    place.tick();
    for status in [Status::Delivered, Status::Error, Status::Interrupted] {
        let patch = MessagePatch::new().with_content("lost").with_expected_status(status);
        let error = refused(
            store.update_message(&Scope::DEFAULT, &id, &message, patch).await,
            ErrorKind::Conflict,
        );
        assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&message)));
    }
    assert_eq!(snapshot(store).await, before);
    let finish = MessagePatch::new()
        .with_content("done")
        .with_status(Status::Delivered)
        .with_expected_status(Status::Pending);
    store.update_message(&Scope::DEFAULT, &id, &message, finish.clone()).await.unwrap();
    // A repetition of a change of the status that it expects is a conflict.
    let before = snapshot(store).await;
    refused(
        store.update_message(&Scope::DEFAULT, &id, &message, finish).await,
        ErrorKind::Conflict,
    );
    assert_eq!(snapshot(store).await, before);
}

/// A change that expects a writer is made while the message is that writer's, and refused
/// otherwise.
pub async fn an_expected_writer_must_hold<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let leased =
        |writer: &str| StreamLease { writer: writer.to_owned(), until: store.now() }.metadata();
    let new = said("m", "x").with_status(Status::Pending).with_metadata(leased("one"));
    store.append_all(&Scope::DEFAULT, &id, vec![new, said("none", "y")]).await.unwrap();
    let message = message_id("m");
    let taking = |from: &str, to: &str| {
        MessagePatch::new().with_expected_writer(from).with_metadata_merged(leased(to))
    };
    let before = snapshot(store).await;
    place.tick();
    for (id_of, patch) in [
        (&message, taking("two", "two")),
        (&message, taking("", "two")),
        (&message_id("none"), taking("one", "two")),
        (&message_id("none"), taking("", "two")),
    ] {
        let done = store.update_message(&Scope::DEFAULT, &id, id_of, patch).await;
        let error = refused(done, ErrorKind::Conflict);
        assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(id_of)));
    }
    assert_eq!(snapshot(store).await, before);
    // Of two who take it over from the same writer, one does.
    let [first, second] = ["two", "three"].map(|writer| taking("one", writer));
    store.update_message(&Scope::DEFAULT, &id, &message, first).await.unwrap();
    refused(
        store.update_message(&Scope::DEFAULT, &id, &message, second).await,
        ErrorKind::Conflict,
    );
}

/// A message that was marked as interrupted stays its last writer's, until somebody else goes on
/// with it or it ends.
pub async fn an_interrupted_writer_is_the_last_one<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let lease = |writer: &str| StreamLease { writer: writer.to_owned(), until: store.now() };
    let new = said("m", "x").with_status(Status::Pending).with_metadata(lease("one").metadata());
    store.append(&Scope::DEFAULT, &id, new).await.unwrap();
    let message = message_id("m");
    let change = async |patch| store.update_message(&Scope::DEFAULT, &id, &message, patch).await;
    let by = |writer: &str| MessagePatch::new().with_expected_writer(writer);
    let interrupted = change(lease("one").interrupt()).await.unwrap();
    assert_eq!(interrupted.status, Status::Interrupted);
    assert!(StreamLease::of(&interrupted).is_none());

    let before = snapshot(store).await;
    place.tick();
    refused(change(by("two").with_content("two's")).await, ErrorKind::Conflict);
    refused(change(lease("one").interrupt()).await, ErrorKind::Conflict);
    assert_eq!(snapshot(store).await, before);
    let back = by("one").with_status(Status::Pending);
    change(back.with_metadata_merged(lease("one").metadata())).await.unwrap();
    change(lease("one").interrupt()).await.unwrap();

    let taken = MessagePatch::new()
        .with_expected_status(Status::Interrupted)
        .with_status(Status::Pending)
        .with_metadata_merged(lease("two").metadata());
    change(taken).await.unwrap();
    refused(change(by("one").with_content("one's")).await, ErrorKind::Conflict);
    change(by("two").with_content("two's")).await.unwrap();
    change(lease("two").interrupt()).await.unwrap();
    refused(change(by("one").with_content("one's")).await, ErrorKind::Conflict);
    let done = by("two").with_status(Status::Delivered);
    let done = change(done.with_metadata_merged(StreamLease::removal())).await.unwrap();
    assert_eq!(done.content, "two's");
    refused(change(by("two").with_content("two's again")).await, ErrorKind::Conflict);
}

/// Repeating a change of a message changes nothing more than the session's time of change.
pub async fn repeating_a_change_of_a_message<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let patch = MessagePatch::new()
        .with_content("changed")
        .with_tokens(4)
        .with_metadata_merged(map(json!({"a": {"b": 1}})));
    let once =
        store.update_message(&Scope::DEFAULT, &id, &message_id("m1"), patch.clone()).await.unwrap();
    let mut before = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    place.tick();
    assert_eq!(
        store.update_message(&Scope::DEFAULT, &id, &message_id("m1"), patch).await.unwrap(),
        once
    );
    let after = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    before.session.updated_at = after.session.updated_at;
    assert_eq!(after, before);
}

/// Changing a message that does not exist is refused, and stores none.
pub async fn changing_a_missing_message_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let before = snapshot(store).await;
    let patch = || MessagePatch::new().with_content("x").with_expected_status(Status::Pending);
    let message = message_id("m");
    let error = refused(
        store.update_message(&Scope::DEFAULT, &id, &message, patch()).await,
        ErrorKind::NotFound,
    );
    assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&message)));
    let absent = session_id("absent");
    let error = refused(
        store.update_message(&Scope::DEFAULT, &absent, &message, patch()).await,
        ErrorKind::NotFound,
    );
    assert_eq!(error.session_id(), Some(&absent));
    assert_eq!(snapshot(store).await, before);
}

/// A change that would break a limit is refused and changes nothing, its valid parts neither.
pub async fn a_refused_change_of_a_message_changes_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("m", "kept").with_tokens(1)).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    let valid = || MessagePatch::new().with_content("lost").with_tokens(9);
    for patch in [
        valid().with_metadata(nested(200)),
        valid().with_metadata_merged(nested(200)),
        valid().with_latency_ms(f64::INFINITY),
        valid().with_latency_ms(-0.5),
        valid().with_model(""),
        valid().with_model("a\nb"),
    ] {
        let message = message_id("m");
        let result = store.update_message(&Scope::DEFAULT, &id, &message, patch).await;
        let error = refused(result, ErrorKind::InvalidInput);
        assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&message)));
    }
    assert_eq!(snapshot(store).await, before);
}
