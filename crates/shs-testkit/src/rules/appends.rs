//! Appended messages are numbered, kept whole and in order, all of a batch or none.

use serde_json::json;
use shs_store::{
    AppendOptions, ErrorKind, Expected, ImportMode, MessageQuery, NewMessage, Part, Role, Scope,
    Seq, SessionPatch, Status, Store, StoreExt, Timestamp, Transcript,
};

use crate::audit::{refused, snapshot};
use crate::sample::{at, conversation, map, message_id, nested, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// Each appended message gets the session's last number plus one, in the order of the batch.
pub async fn messages_are_numbered_from_one_without_gaps<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let mut last = 0;
    for size in [1, 2, 5, 1] {
        let batch: Vec<_> = (0..size).map(|n| said(format!("{last}-{n}"), "x")).collect();
        let appended = store.append_all(&Scope::DEFAULT, &id, batch.clone()).await.unwrap();
        assert_eq!(appended.inserted, size);
        for (new, message) in batch.into_iter().zip(appended.messages) {
            last += 1;
            assert_eq!(message, new.into_message(seq(last)));
        }
        assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().last_seq.get(), last);
    }
    let listed = walk::messages(store, &Scope::DEFAULT, &id, &MessageQuery::new()).await;
    assert!(listed.iter().map(|message| message.seq.get()).eq(1..=last));
}

/// No number is given twice within a session: a deleted message leaves its number empty, also when it
/// was the last.
pub async fn numbers_are_never_given_twice<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    assert!(store.delete_message(&Scope::DEFAULT, &id, &message_id("m3")).await.unwrap());
    assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().last_seq, seq(3));
    assert_eq!(store.append(&Scope::DEFAULT, &id, said("m4", "x")).await.unwrap().seq, seq(4));
    for message in ["m1", "m2", "m4"] {
        assert!(store.delete_message(&Scope::DEFAULT, &id, &message_id(message)).await.unwrap());
    }
    let empty = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!((empty.message_count, empty.last_seq), (0, seq(4)));
    assert_eq!(store.append(&Scope::DEFAULT, &id, said("m5", "x")).await.unwrap().seq, seq(5));
}

/// Everything in a message comes back as it was given.
pub async fn messages_come_back_as_they_were_given<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let other = Part::from_object(map(json!({"type": "hologram", "frames": [1, {"x": null}]})));
    let mut unknown = said("extra", "unknown keys").with_metadata(nested(100));
    unknown.extra = map(json!({"vote": 1, "nested": {"a": [true]}}));
    let mut batch = vec![
        unknown,
        said("empty", ""),
        said("nul", "a\0b\u{1}\u{7f}\r\n\t\\\"'%_").with_metadata(map(json!({"\0": "\0"}))),
        said("unicode", "de\u{301}ja déjà 部署 \u{feff}\u{202e} 👩‍👩‍👧 \u{10ffff}"),
        said("numbers", "x")
            .with_metadata(map(json!({
                "float": 0.1, "small": 5e-324, "large": 1.7976931348623157e308, "minus": -0.5,
                "max": u64::MAX, "min": i64::MIN, "whole": 1.0, "zero": 0
            })))
            .with_tokens(u32::MAX)
            .with_latency_ms(0.1 + 0.2)
            .with_model("claude-3-sonnet"),
        said("zero", "x").with_tokens(0).with_latency_ms(0.0),
        said("first", "x").with_timestamp(Timestamp::MIN),
        said("last", "x").with_timestamp(Timestamp::MAX),
        said("early", "x").with_timestamp(Timestamp::from_micros(-1).unwrap()),
        said("parts", "x").with_parts(vec![
            Part::text("déjà\0"),
            Part::reasoning("because"),
            Part::tool_call("call_1", "weather", json!({"city": "Paris", "days": 2.5})),
            Part::tool_call_response("call_1", json!([{"t": 21}])),
            Part::blob("image", "aGVsbG8=", Some("image/png".to_owned())),
            Part::file("audio", "file_1"),
            Part::uri("video", "https://example.org/v"),
            other.unwrap(),
        ]),
    ];
    batch.extend(Role::ALL.iter().map(|role| NewMessage::new(*role, role.as_str())));
    batch.extend(Status::ALL.iter().map(|status| NewMessage::user("x").with_status(*status)));
    let appended = store.append_all(&Scope::DEFAULT, &id, batch.clone()).await.unwrap();
    let expected: Vec<_> =
        batch.into_iter().zip(1..).map(|(new, number)| new.into_message(seq(number))).collect();
    assert_eq!(appended.messages, expected);
    assert_eq!(walk::messages(store, &Scope::DEFAULT, &id, &MessageQuery::new()).await, expected);
    for message in expected {
        assert_eq!(store.message(&Scope::DEFAULT, &id, &message.id).await.unwrap(), message);
    }
}

/// A message may carry 10 MB of content.
pub async fn a_large_message_comes_back_whole<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let content = format!("begin{}end", " …".repeat(10 * 1024 * 1024 / 4));
    store.append(&Scope::DEFAULT, &id, said("m", content.as_str())).await.unwrap();
    let stored = store.message(&Scope::DEFAULT, &id, &message_id("m")).await.unwrap();
    assert!(stored.content == content, "the content comes back as it was given");
}

/// Counts and tokens of a session follow what is appended.
pub async fn counts_and_tokens_follow<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let batch = vec![said("a", "x").with_tokens(3), said("b", "x"), said("c", "x").with_tokens(4)];
    store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
    let big = said("d", "x").with_tokens(u32::MAX);
    store
        .append_all(&Scope::DEFAULT, &id, vec![big.clone(), said("e", "x").with_tokens(u32::MAX)])
        .await
        .unwrap();
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!(stored.message_count, 5);
    assert_eq!(stored.total_tokens, 7 + 2 * u64::from(u32::MAX));
}

/// An empty batch stores nothing and is no error, if the session exists.
pub async fn an_empty_batch_stores_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let before = snapshot(store).await;
    let stale = AppendOptions::new().with_expected(Expected::LastSeq(seq(9)));
    for options in [AppendOptions::new(), stale] {
        let appended = store.append_opts(&Scope::DEFAULT, &id, Vec::new(), options).await.unwrap();
        assert_eq!((appended.messages.len(), appended.inserted), (0, 0));
    }
    assert_eq!(snapshot(store).await, before);
    let missing = store.append_all(&Scope::DEFAULT, &session_id("absent"), Vec::new()).await;
    refused(missing, ErrorKind::NotFound);
}

/// Appending to a session that does not exist is refused, and never creates one.
pub async fn appending_to_a_missing_session_is_refused<F: Fixture>(place: &Place<F>) {
    let id = session_id("absent");
    let error = refused(
        place.store.append(&Scope::DEFAULT, &id, said("m", "x")).await,
        ErrorKind::NotFound,
    );
    assert_eq!(error.session_id(), Some(&id));
    assert_eq!(error.op(), Some("append"));
    assert!(snapshot(&*place.store).await.is_empty());
}

/// A batch with one message that is refused stores none of its messages.
pub async fn a_refused_batch_stores_none<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    let fresh = || vec![said("n1", "needle"), said("n2", "needle")];
    let invalid = ErrorKind::InvalidInput;
    for (bad, kind) in [
        (said("m1", "another content"), ErrorKind::Conflict),
        (said("n1", "needle"), invalid),
        (said("n1", "another content"), invalid),
        (said("bad", "x").with_metadata(nested(200)), invalid),
        (said("bad", "x").with_parts(vec![deep_part()]), invalid),
        (known_key_as_unknown(), invalid),
        (said("bad", "x").with_latency_ms(f64::NAN), invalid),
        (said("bad", "x").with_latency_ms(-1.0), invalid),
        (said("bad", "x").with_model(""), invalid),
        (said("bad", "x").with_model("x".repeat(256)), invalid),
    ] {
        for place_in_batch in [0, 2] {
            let mut batch = fresh();
            batch.insert(place_in_batch, bad.clone());
            let error = refused(store.append_all(&Scope::DEFAULT, &id, batch).await, kind);
            assert_eq!(error.session_id(), Some(&id));
            assert_eq!(error.message_id(), Some(&bad.id));
        }
    }
    assert_eq!(snapshot(store).await, before);
    let appended = store.append_all(&Scope::DEFAULT, &id, fresh()).await.unwrap();
    assert_eq!(appended.messages[0].seq, seq(3), "a refused batch uses up no numbers");
}

/// In JSON it would have its role twice.
fn known_key_as_unknown() -> NewMessage {
    let mut new = said("bad", "x");
    new.extra.insert("role".to_owned(), "user".into());
    new
}

fn deep_part() -> Part {
    let mut object = nested(200);
    object.insert("type".to_owned(), "deep".into());
    Part::from_object(object).expect("it has a type")
}

/// A batch holds up to 10,000 messages, and one more is refused.
pub async fn a_batch_has_a_limit<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let mut batch: Vec<_> = (0..10_001).map(|n| said(n.to_string(), "x")).collect();
    refused(store.append_all(&Scope::DEFAULT, &id, batch.clone()).await, ErrorKind::InvalidInput);
    assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 0);
    batch.pop();
    assert_eq!(store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap().inserted, 10_000);
    assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 10_000);
}

/// Times order nothing within a session.
pub async fn times_order_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for (number, second) in [50, -50, 50, 0, 9].into_iter().enumerate() {
        place.clock.set(at(-second));
        let new = said(number.to_string(), "x").with_timestamp(at(second));
        store.append(&Scope::DEFAULT, &id, new).await.unwrap();
    }
    let listed = walk::messages(store, &Scope::DEFAULT, &id, &MessageQuery::new()).await;
    let ids: Vec<_> = listed.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2", "3", "4"]);
}

/// An ended session still takes messages.
pub async fn an_ended_session_still_takes_messages<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store
        .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_ended_at(at(1)))
        .await
        .unwrap();
    store.append(&Scope::DEFAULT, &id, said("m", "x")).await.unwrap();
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!((stored.message_count, stored.ended_at), (1, Some(at(1))));
}

/// A message id is unique within its session only.
pub async fn one_message_id_in_two_sessions_is_two_messages<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let first = store.create_session(&Scope::DEFAULT, session("a")).await.unwrap().id;
    let second = store.create_session(&Scope::DEFAULT, session("b")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &first, said("m", "one")).await.unwrap();
    store.append(&Scope::DEFAULT, &second, said("m", "two")).await.unwrap();
    assert!(store.delete_message(&Scope::DEFAULT, &first, &message_id("m")).await.unwrap());
    assert_eq!(
        store.message(&Scope::DEFAULT, &second, &message_id("m")).await.unwrap().content,
        "two"
    );
}

/// With an expected last number, new messages are stored if it is the session's, and a conflict if not.
pub async fn an_expected_last_number_must_hold<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let expect = |number| AppendOptions::new().with_expected(Expected::LastSeq(seq(number)));
    store.append_opts(&Scope::DEFAULT, &id, conversation(2), expect(0)).await.unwrap();
    store.append_opts(&Scope::DEFAULT, &id, vec![said("m3", "x")], expect(2)).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    for stale in [0, 2, 4, 1_000] {
        let result =
            store.append_opts(&Scope::DEFAULT, &id, vec![said("m4", "x")], expect(stale)).await;
        let error = refused(result, ErrorKind::Conflict);
        assert_eq!(error.session_id(), Some(&id));
    }
    assert_eq!(snapshot(store).await, before);
    // The last number is the highest ever given, not that of the last message that is left.
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m3")).await.unwrap();
    let result = store.append_opts(&Scope::DEFAULT, &id, vec![said("m4", "x")], expect(2)).await;
    refused(result, ErrorKind::Conflict);
    store.append_opts(&Scope::DEFAULT, &id, vec![said("m4", "x")], expect(3)).await.unwrap();
}

/// A batch that is stored already succeeds whatever last number it expects; one with something new in it
/// must expect the right one.
pub async fn a_stored_batch_can_be_repeated_with_its_expectation<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let expect = |number| AppendOptions::new().with_expected(Expected::LastSeq(seq(number)));
    let first = store.append_opts(&Scope::DEFAULT, &id, conversation(2), expect(0)).await.unwrap();
    store.append(&Scope::DEFAULT, &id, said("m3", "x")).await.unwrap();
    let before = snapshot(store).await;
    let again = store.append_opts(&Scope::DEFAULT, &id, conversation(2), expect(0)).await.unwrap();
    assert_eq!((again.messages, again.inserted), (first.messages, 0));
    let mut partly_new = conversation(2);
    partly_new.push(said("m4", "x"));
    let result = store.append_opts(&Scope::DEFAULT, &id, partly_new.clone(), expect(0)).await;
    refused(result, ErrorKind::Conflict);
    assert_eq!(snapshot(store).await, before);
    let appended = store.append_opts(&Scope::DEFAULT, &id, partly_new, expect(3)).await.unwrap();
    assert_eq!((appended.inserted, appended.messages[2].seq), (1, seq(4)));
}

/// When the highest number is given, no further message is taken, and no number is given twice.
pub async fn numbers_end_at_the_highest<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let new = session("s").into_session(at(0)).unwrap();
    let message = said("m", "x").into_message(seq(Seq::MAX.get() - 1));
    let transcript = Transcript::new(new, vec![message]).unwrap();
    let id = store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap().id;
    let two = vec![said("a", "x"), said("b", "x")];
    refused(store.append_all(&Scope::DEFAULT, &id, two).await, ErrorKind::InvalidInput);
    assert_eq!(store.append(&Scope::DEFAULT, &id, said("a", "x")).await.unwrap().seq, Seq::MAX);
    let before = snapshot(store).await;
    refused(store.append(&Scope::DEFAULT, &id, said("b", "x")).await, ErrorKind::InvalidInput);
    assert_eq!(store.append(&Scope::DEFAULT, &id, said("a", "x")).await.unwrap().seq, Seq::MAX);
    assert_eq!(snapshot(store).await, before);
}
