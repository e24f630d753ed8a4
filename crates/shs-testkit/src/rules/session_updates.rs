//! Sessions are changed field by field, and their time of change never goes back.

use serde_json::json;
use shs_store::{ErrorKind, MessagePatch, NewMessage, Scope, SessionPatch, Store, StoreExt};

use crate::audit::{refused, snapshot};
use crate::sample::{at, map, message_id, nested, said, session, session_id};
use crate::{Fixture, Place};

/// A change is returned and stored; it changes what it names, the time of change, and nothing else.
pub async fn a_change_touches_only_what_it_names<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let new = session("s")
        .with_user("alice")
        .with_project("p")
        .with_title("old")
        .with_tag("a")
        .with_metadata(map(json!({"k": 1})));
    let mut expected = store.create_session(&Scope::DEFAULT, new).await.unwrap();
    let id = expected.id.clone();
    let message =
        store.append(&Scope::DEFAULT, &id, said("m", "hello").with_tokens(3)).await.unwrap();
    expected = store.session(&Scope::DEFAULT, &id).await.unwrap();
    for patch in [
        SessionPatch::new(),
        SessionPatch::new().with_title("new"),
        SessionPatch::new().without_title(),
        SessionPatch::new().with_title(""),
        SessionPatch::new().with_tags(["x", "y", "x"]),
        SessionPatch::new().with_tag_added("z").with_tag_added("x"),
        SessionPatch::new().with_tag_removed("y").with_tag_removed("absent"),
        SessionPatch::new().with_tags(["a", "b"]).with_tag_added("c").with_tag_removed("a"),
        SessionPatch::new().with_tags(Vec::<String>::new()),
        SessionPatch::new().with_metadata(map(json!({"a": {"b": 1, "c": 2}, "d": 3}))),
        SessionPatch::new()
            .with_metadata_merged(map(json!({"a": {"b": null, "x": [1]}, "d": null}))),
        SessionPatch::new().with_metadata_merged(map(json!({}))),
        SessionPatch::new().with_metadata(map(json!({}))),
        SessionPatch::new().with_ended_at(at(77)),
        SessionPatch::new().reopened(),
        SessionPatch::new().with_title("all").with_tag_added("t").with_ended_at(at(-5)),
    ] {
        place.tick();
        patch.clone().apply(&mut expected, shs_store::Clock::now(&*place.clock)).unwrap();
        let returned = store.update_session(&Scope::DEFAULT, &id, patch.clone()).await.unwrap();
        assert_eq!(returned, expected, "{patch:?}");
        assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap(), expected, "{patch:?}");
    }
    assert_eq!(store.message(&Scope::DEFAULT, &id, &message.id).await.unwrap(), message);
}

/// Changes of two callers to different fields both hold.
pub async fn changes_to_different_fields_both_hold<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for round in 0..20 {
        let text = round.to_string();
        let (title, tag, metadata) = futures::join!(
            store.update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title(&text)),
            store.update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_tag_added(&text)),
            store.update_session(
                &Scope::DEFAULT,
                &id,
                SessionPatch::new().with_metadata_merged(map(json!({ text.clone(): round })))
            ),
        );
        assert_eq!(title.unwrap().title.as_deref(), Some(&*text));
        assert!(tag.unwrap().tags.contains(&text));
        assert_eq!(metadata.unwrap().metadata[&text], round);
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!(stored.title.as_deref(), Some(&*text));
        assert_eq!((stored.tags.len(), stored.metadata.len()), (round + 1, round + 1));
    }
}

/// Repeating a change of a session changes nothing more than its time of change.
pub async fn repeating_a_change_changes_only_the_time<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s").with_tag("a")).await.unwrap().id;
    let patch = SessionPatch::new()
        .with_title("t")
        .with_tag_added("b")
        .with_tag_removed("a")
        .with_metadata_merged(map(json!({"k": {"l": 1}})))
        .with_ended_at(at(9));
    let mut once = store.update_session(&Scope::DEFAULT, &id, patch.clone()).await.unwrap();
    place.tick();
    let twice = store.update_session(&Scope::DEFAULT, &id, patch).await.unwrap();
    assert_eq!(twice.updated_at, at(1));
    once.updated_at = twice.updated_at;
    assert_eq!(twice, once);
}

/// Changing a session that does not exist is refused, and creates none.
pub async fn changing_a_missing_session_is_refused<F: Fixture>(place: &Place<F>) {
    let id = session_id("absent");
    let patch = SessionPatch::new().with_title("t");
    let error =
        refused(place.store.update_session(&Scope::DEFAULT, &id, patch).await, ErrorKind::NotFound);
    assert_eq!(error.session_id(), Some(&id));
    assert!(snapshot(&*place.store).await.is_empty());
}

/// A change that would break a limit is refused and changes nothing, its valid parts neither.
pub async fn a_refused_change_changes_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s").with_tag("a")).await.unwrap().id;
    let before = snapshot(store).await;
    place.tick();
    let valid = || SessionPatch::new().with_title("new");
    for patch in [
        valid().with_tag_added(""),
        valid().with_tag_added("a\nb"),
        valid().with_tags((0..1_001).map(|number| number.to_string())),
        valid().with_metadata(nested(200)),
        valid().with_metadata_merged(nested(200)),
        SessionPatch::new().with_title("x".repeat(65_537)).with_tag_added("b"),
    ] {
        let error = refused(
            store.update_session(&Scope::DEFAULT, &id, patch).await,
            ErrorKind::InvalidInput,
        );
        assert_eq!(error.session_id(), Some(&id));
    }
    assert_eq!(snapshot(store).await, before);
}

/// Every write to a session sets its time of change from the store's clock; reads and writes that find
/// nothing to do leave it.
pub async fn every_write_sets_the_time_of_change<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let time = async || store.session(&Scope::DEFAULT, &id).await.unwrap().updated_at;
    let message = message_id("m");
    place.tick();
    store.append(&Scope::DEFAULT, &id, said("m", "a")).await.unwrap();
    assert_eq!(time().await, at(1), "append");
    place.tick();
    store
        .update_message(&Scope::DEFAULT, &id, &message, MessagePatch::new().with_content("b"))
        .await
        .unwrap();
    assert_eq!(time().await, at(2), "update_message");
    place.tick();
    store.update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title("t")).await.unwrap();
    assert_eq!(time().await, at(3), "update_session");
    place.tick();
    assert!(store.delete_message(&Scope::DEFAULT, &id, &message).await.unwrap());
    assert_eq!(time().await, at(4), "delete_message");
    store.append(&Scope::DEFAULT, &id, said("m", "a")).await.unwrap();

    place.tick();
    store.append(&Scope::DEFAULT, &id, said("m", "a")).await.unwrap();
    store.append_all(&Scope::DEFAULT, &id, Vec::new()).await.unwrap();
    assert!(!store.delete_message(&Scope::DEFAULT, &id, &message_id("absent")).await.unwrap());
    store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!(time().await, at(4), "nothing was written since");
}

/// The time of change never goes back, also when the clock does.
pub async fn the_time_of_change_never_goes_back<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    place.clock.set(at(100));
    store.append(&Scope::DEFAULT, &id, said("m", "a")).await.unwrap();
    place.clock.set(at(50));
    let time = async || store.session(&Scope::DEFAULT, &id).await.unwrap().updated_at;
    let patched = store
        .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title("t"))
        .await
        .unwrap();
    assert_eq!(patched.updated_at, at(100));
    store.append(&Scope::DEFAULT, &id, NewMessage::user("b")).await.unwrap();
    assert_eq!(time().await, at(100));
    let patch = MessagePatch::new().with_content("c");
    store.update_message(&Scope::DEFAULT, &id, &message_id("m"), patch).await.unwrap();
    assert_eq!(time().await, at(100));
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m")).await.unwrap();
    assert_eq!(time().await, at(100));
}
