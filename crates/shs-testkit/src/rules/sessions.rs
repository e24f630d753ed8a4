//! Sessions are created, read, and told apart by their ids.

use std::collections::BTreeSet;

use serde_json::json;
use shs_store::{ErrorKind, NewMessage, Scope, Seq, SessionQuery, Store, StoreExt, Timestamp};

use crate::audit::{refused, snapshot};
use crate::sample::{at, map, session, session_id};
use crate::{Fixture, Place, walk};

/// The time that a store tells is the one by which it sets its own times, and goes on with its
/// clock.
pub async fn the_store_tells_the_time_that_it_stores<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let before = store.now();
    let created = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().created_at;
    assert!((before..=store.now()).contains(&created), "{before} {created}");
    place.tick();
    assert!(store.now() > created);
}

/// A created session is returned as it is stored: what was given, no messages, and the times of the clock.
pub async fn a_created_session_is_returned_as_it_is_stored<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let metadata = map(json!({"plan": "pro", "nested": {"list": [1, 2.5, null, true, "ü"]}}));
    let new = session("full")
        .with_user("alice")
        .with_project("support-bot")
        .with_title("Billing")
        .with_tag("billing")
        .with_tag("urgent")
        .with_metadata(metadata.clone());
    let created = store.create_session(&Scope::DEFAULT, new).await.unwrap();
    assert_eq!(created.id, "full");
    assert_eq!(created.user_id.as_deref(), Some("alice"));
    assert_eq!(created.project_id.as_deref(), Some("support-bot"));
    assert_eq!(created.title.as_deref(), Some("Billing"));
    assert_eq!(created.tags, ["billing", "urgent"]);
    assert_eq!(created.metadata, metadata);
    assert_eq!((created.created_at, created.updated_at), (at(0), at(0)));
    assert_eq!((created.ended_at, created.forked_from.clone()), (None, None));
    assert_eq!((created.message_count, created.total_tokens), (0, 0));
    assert_eq!(created.last_seq, Seq::ZERO);
    assert_eq!(store.session(&Scope::DEFAULT, &created.id).await.unwrap(), created);

    let bare = store.create_session(&Scope::DEFAULT, session("bare")).await.unwrap();
    assert_eq!((&bare.user_id, &bare.project_id, &bare.title), (&None, &None, &None));
    assert!(bare.tags.is_empty() && bare.metadata.is_empty() && bare.extra.is_empty());
    assert_eq!(store.session(&Scope::DEFAULT, &bare.id).await.unwrap(), bare);
}

/// A session keeps the time of its start that the caller gives, from the year 1 to the year 9999.
pub async fn a_session_keeps_the_start_that_is_given<F: Fixture>(place: &Place<F>) {
    for (number, start) in
        [Timestamp::MIN, at(-2_000_000_000), Timestamp::MAX].into_iter().enumerate()
    {
        let new = session(format!("s{number}")).with_created_at(start);
        let created = place.store.create_session(&Scope::DEFAULT, new).await.unwrap();
        assert_eq!((created.created_at, created.updated_at), (start, at(0)));
        assert_eq!(place.store.session(&Scope::DEFAULT, &created.id).await.unwrap(), created);
    }
}

/// Creating a session whose id is taken is refused and leaves what is there as it is.
pub async fn a_taken_id_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store
        .create_session(&Scope::DEFAULT, session("taken").with_title("first"))
        .await
        .unwrap()
        .id;
    store.append(&Scope::DEFAULT, &id, NewMessage::user("kept")).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    for new in [session("taken").with_title("first"), session("taken").with_title("second")] {
        let error =
            refused(store.create_session(&Scope::DEFAULT, new).await, ErrorKind::AlreadyExists);
        assert_eq!(error.session_id(), Some(&id));
    }
    assert_eq!(snapshot(store).await, before);
}

/// A session that does not exist is not found.
pub async fn a_missing_session_is_not_found<F: Fixture>(place: &Place<F>) {
    let id = session_id("absent");
    let error = refused(place.store.session(&Scope::DEFAULT, &id).await, ErrorKind::NotFound);
    assert_eq!(error.session_id(), Some(&id));
    assert_eq!(place.store.find_session(&Scope::DEFAULT, &id).await.unwrap(), None);
}

/// Tags that are given twice are stored once, in the order given.
pub async fn repeated_tags_are_stored_once<F: Fixture>(place: &Place<F>) {
    let new = session("s").with_tag("b").with_tag("a").with_tag("b");
    let created = place.store.create_session(&Scope::DEFAULT, new).await.unwrap();
    assert_eq!(created.tags, ["b", "a"]);
    assert_eq!(place.store.session(&Scope::DEFAULT, &created.id).await.unwrap().tags, ["b", "a"]);
}

/// Any valid id works, and ids that differ in any byte are different sessions.
pub async fn ids_are_told_apart_byte_by_byte<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let odd = odd_ids();
    for id in &odd {
        store.create_session(&Scope::DEFAULT, session(id).with_title(id)).await.unwrap();
        store
            .append(&Scope::DEFAULT, &session_id(id), NewMessage::user(id.as_str()))
            .await
            .unwrap();
    }
    for id in &odd {
        let id = session_id(id);
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!(stored.id, id);
        assert_eq!(stored.title.as_deref(), Some(id.as_str()));
        let messages = walk::messages(store, &Scope::DEFAULT, &id, &Default::default()).await;
        assert_eq!(messages.len(), 1, "{id:?}");
        assert_eq!(messages[0].content, id.as_str());
    }
    let listed = walk::sessions(store, &Scope::DEFAULT, &SessionQuery::new().with_limit(3)).await;
    let listed: BTreeSet<String> = listed.into_iter().map(|session| session.id.into()).collect();
    assert_eq!(listed, odd.iter().cloned().collect());
    for id in odd.iter().step_by(2) {
        assert!(store.delete_session(&Scope::DEFAULT, &session_id(id)).await.unwrap(), "{id:?}");
    }
    for (number, id) in odd.iter().enumerate() {
        let found = store.find_session(&Scope::DEFAULT, &session_id(id)).await.unwrap();
        assert_eq!(found.is_some(), number % 2 == 1, "{id:?}");
    }
}

/// Any valid message id works, and ids that differ in any byte are different messages.
pub async fn message_ids_are_told_apart_byte_by_byte<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let odd = odd_ids();
    let batch = odd.iter().map(|id| crate::sample::said(id, id.as_str())).collect();
    store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
    for message in &odd {
        let message_id = crate::sample::message_id(message);
        assert_eq!(
            store.message(&Scope::DEFAULT, &id, &message_id).await.unwrap().content,
            *message
        );
    }
}

/// Ids that file systems, paths, shells and collations are known to treat in ways of their own.
fn odd_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/",
        "/etc/passwd",
        "C:\\x",
        "CON",
        "con",
        "NUL",
        "nul.txt",
        "COM1",
        "a",
        "A",
        "ä",
        "a\u{308}",
        "ß",
        "ss",
        "SS",
        "i",
        "I",
        "ı",
        "İ",
        "x.",
        "x",
        "x ",
        " x",
        " ",
        "x..",
        "~",
        "%41",
        "%",
        "%2e",
        "*",
        "?",
        "a:b",
        "<a>",
        "|",
        "\"",
        "'",
        "''",
        "$HOME",
        "`x`",
        "-rf",
        "--",
        ";",
        "#",
        "a b",
        "a%b",
        "a_b",
        "axb",
        "日本語",
        "👍",
        "e\u{301}",
        "é",
        ".hidden",
        "x.json",
        "x.jsonl",
        "x.tmp",
        "x.lock",
        "null",
        "0",
        "00",
        "1",
        "1.0",
        "ffi",
        "ﬃ",
        "\u{feff}x",
        "a\u{200b}",
        "\u{202e}x",
    ]
    .map(str::to_owned)
    .into();
    ids.push("x".repeat(255));
    ids.push(format!("{}y", "x".repeat(254)));
    ids.push("語".repeat(85));
    ids.push(format!("{}言", "語".repeat(84)));
    ids.push("👍".repeat(63));
    ids
}
