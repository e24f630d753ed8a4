//! Every write can be repeated; nothing is stored twice.

use serde_json::json;
use shs_store::{
    ErrorKind, ImportMode, MessagePatch, NewMessage, Part, Role, Scope, SessionPatch, Status,
    Store, StoreExt,
};

use crate::audit::{refused, snapshot};
use crate::sample::{at, conversation, map, message_id, said, seq, session};
use crate::{Fault, FaultStore, Fixture, Operation, Place};

/// A batch that is repeated whole stores nothing, changes nothing, and returns what is stored.
pub async fn a_repeated_batch_stores_nothing_twice<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let first = store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    store.append(&Scope::DEFAULT, &id, said("m4", "x")).await.unwrap();
    let before = snapshot(store).await;
    for _ in 0..2 {
        place.tick();
        let again = store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
        assert_eq!((again.inserted, &again.messages), (0, &first.messages));
    }
    assert_eq!(snapshot(store).await, before);
}

/// Of a batch that is stored in part only the rest is stored, and all are returned in the batch's order.
pub async fn a_batch_repeated_in_part_stores_the_rest<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let mut batch = conversation(4);
    batch.swap(0, 3);
    let appended = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
    assert_eq!(appended.inserted, 2);
    let places: Vec<_> =
        appended.messages.iter().map(|message| (message.id.as_str(), message.seq.get())).collect();
    assert_eq!(places, [("m4", 3), ("m2", 2), ("m3", 4), ("m1", 1)]);
}

/// A message that was changed since is still known by what was appended: it is returned as it is now.
pub async fn a_repetition_returns_what_was_changed_since<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let new = said("m", "appended").with_parts(vec![Part::text("appended")]);
    store.append(&Scope::DEFAULT, &id, new.clone()).await.unwrap();
    let patch = MessagePatch::new()
        .with_content("changed")
        .with_parts(vec![])
        .with_status(Status::Error)
        .with_tokens(7);
    let changed = store.update_message(&Scope::DEFAULT, &id, &new.id, patch).await.unwrap();
    let before = snapshot(store).await;
    let again = store.append_all(&Scope::DEFAULT, &id, vec![new]).await.unwrap();
    assert_eq!((again.inserted, &again.messages[0]), (0, &changed));
    let as_changed = store.append(&Scope::DEFAULT, &id, said("m", "changed")).await;
    refused(as_changed, ErrorKind::Conflict);
    assert_eq!(snapshot(store).await, before);
}

/// The id of a stored message with another role, content or parts is a conflict, and changes nothing.
pub async fn a_taken_message_id_with_other_content_is_a_conflict<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let parts = vec![Part::tool_call("c", "f", json!({"a": 1}))];
    let new = said("m", "hello").with_parts(parts.clone());
    store.append(&Scope::DEFAULT, &id, new.clone()).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    let other_role =
        NewMessage::new(Role::Assistant, "hello").with_id(new.id.clone()).with_parts(parts);
    for other in [
        other_role,
        said("m", "hello").with_parts(vec![]),
        said("m", "hello").with_parts(vec![Part::tool_call("c", "f", json!({"a": 2}))]),
        said("m", "Hello").with_parts(new.parts.clone()),
        said("m", "").with_parts(new.parts.clone()),
        said("m", "hello\0").with_parts(new.parts.clone()),
    ] {
        let error = refused(store.append(&Scope::DEFAULT, &id, other).await, ErrorKind::Conflict);
        assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&new.id)));
    }
    assert_eq!(snapshot(store).await, before);
}

/// A repetition that differs in anything but role, content and parts is a repetition.
pub async fn other_fields_make_no_conflict<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let stored =
        store.append(&Scope::DEFAULT, &id, said("m", "hello").with_tokens(2)).await.unwrap();
    let retry = said("m", "hello")
        .with_timestamp(at(60))
        .with_tokens(3)
        .with_model("x")
        .with_status(Status::Pending)
        .with_metadata(map(json!({"attempt": 2})));
    assert_eq!(store.append(&Scope::DEFAULT, &id, retry).await.unwrap(), stored);
}

/// An id that occurs twice in one batch is refused, be the messages the same or not, stored or not.
pub async fn an_id_twice_in_a_batch_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("stored", "x")).await.unwrap();
    let before = snapshot(store).await;
    for batch in [
        vec![said("a", "x"), said("a", "x")],
        vec![said("a", "x"), said("b", "x"), said("a", "y")],
        vec![said("stored", "x"), said("stored", "x")],
    ] {
        let twice = batch[0].id.clone();
        let error =
            refused(store.append_all(&Scope::DEFAULT, &id, batch).await, ErrorKind::InvalidInput);
        assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&twice)));
    }
    assert_eq!(snapshot(store).await, before);
}

/// The id of a deleted message is free again: the message is stored anew, under a new number.
pub async fn the_id_of_a_deleted_message_is_free_again<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m1")).await.unwrap();
    let again = store.append(&Scope::DEFAULT, &id, said("m1", "something else")).await.unwrap();
    assert_eq!(again.seq, seq(3));
    assert_eq!(store.message(&Scope::DEFAULT, &id, &message_id("m1")).await.unwrap(), again);
}

/// Forks and imports know the messages in them: repeating one stores nothing.
pub async fn copies_recognize_repetitions<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    let patch = MessagePatch::new().with_content("changed");
    store.update_message(&Scope::DEFAULT, &id, &message_id("m2"), patch).await.unwrap();
    let fork = store.fork(&Scope::DEFAULT, &id, seq(2), session("fork")).await.unwrap().id;
    let appended = store.append_all(&Scope::DEFAULT, &fork, conversation(3)).await.unwrap();
    assert_eq!(appended.inserted, 1);
    assert_eq!(appended.messages[1].content, "changed");

    let transcript = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap();
    let known = said("m1", "turn 1");
    assert_eq!(store.append_all(&Scope::DEFAULT, &id, vec![known]).await.unwrap().inserted, 0);
    refused(store.append(&Scope::DEFAULT, &id, said("m1", "other")).await, ErrorKind::Conflict);
}

/// A write whose answer was lost can be repeated by its ids, and is then done exactly once.
pub async fn a_write_whose_answer_was_lost_can_be_repeated<F: Fixture>(place: &Place<F>) {
    let store = FaultStore::new(std::sync::Arc::clone(&place.store));
    let id = session("s").id;
    for (number, fault) in [Fault::before_write(), Fault::after_write()].into_iter().enumerate() {
        let lose = || store.inject(fault);
        let lost = ErrorKind::Unavailable;
        lose();
        refused(store.create_session(&Scope::DEFAULT, session("s")).await, lost);
        match store.create_session(&Scope::DEFAULT, session("s")).await {
            Ok(_) => assert_eq!(number, 0, "it was not done before"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
        }
        lose();
        refused(store.append_all(&Scope::DEFAULT, &id, conversation(3)).await, lost);
        store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
        lose();
        let patch = || MessagePatch::new().with_content("changed").with_tokens(5);
        refused(store.update_message(&Scope::DEFAULT, &id, &message_id("m1"), patch()).await, lost);
        store.update_message(&Scope::DEFAULT, &id, &message_id("m1"), patch()).await.unwrap();
        lose();
        refused(store.delete_message(&Scope::DEFAULT, &id, &message_id("m2")).await, lost);
        assert_eq!(
            store.delete_message(&Scope::DEFAULT, &id, &message_id("m2")).await.unwrap(),
            number == 0
        );
        lose();
        let patch = || SessionPatch::new().with_tag_added("t");
        refused(store.update_session(&Scope::DEFAULT, &id, patch()).await, lost);
        store.update_session(&Scope::DEFAULT, &id, patch()).await.unwrap();
        lose();
        refused(store.fork(&Scope::DEFAULT, &id, seq(2), session("fork")).await, lost);
        match store.fork(&Scope::DEFAULT, &id, seq(2), session("fork")).await {
            Ok(_) => assert_eq!(number, 0, "it was not done before"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
        }
        lose();
        let transcript = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
        refused(
            store.import(&Scope::DEFAULT, transcript.clone(), ImportMode::Overwrite).await,
            lost,
        );
        store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap();

        let all = snapshot(&store).await;
        assert_eq!(all.len(), 2);
        let (stored, messages) = &all[&id];
        let texts: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(texts, ["changed", "turn 3"]);
        assert_eq!((stored.total_tokens, stored.tags.as_slice()), (5, &["t".to_owned()][..]));
        for id in ["s", "fork"] {
            lose();
            let id = session(id).id;
            refused(store.delete_session(&Scope::DEFAULT, &id).await, lost);
            assert_eq!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap(), number == 0);
        }
        store.clear();
    }
    store.inject(Fault::after(Operation::DeleteUser));
    store.create_session(&Scope::DEFAULT, session("s").with_user("u")).await.unwrap();
    refused(store.delete_user(&Scope::DEFAULT, "u").await, ErrorKind::Unavailable);
    assert_eq!(store.delete_user(&Scope::DEFAULT, "u").await.unwrap().sessions, 0);
}
