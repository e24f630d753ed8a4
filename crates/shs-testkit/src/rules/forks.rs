//! A fork is a copy up to a number, and a session of its own.

use serde_json::json;
use shs_store::{
    ErrorKind, ForkPoint, MessagePatch, MessageQuery, Scope, SearchQuery, Seq, SessionPatch, Store,
    StoreExt,
};

use crate::audit::{refused, snapshot};
use crate::sample::{at, conversation, map, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// A fork holds copies of the messages up to its number, that one included, with ids, numbers, times and all
/// else; missing numbers stay missing.
pub async fn a_fork_copies_up_to_its_number<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let batch = conversation(6).into_iter().map(|new| {
        let mut new = new.with_tokens(2).with_metadata(map(json!({"k": [1]})));
        new.extra = map(json!({"vote": 1}));
        new
    });
    store.append_all(&Scope::DEFAULT, &id, batch.collect()).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m2")).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m5")).await.unwrap();
    let all = walk::messages(store, &Scope::DEFAULT, &id, &MessageQuery::new()).await;
    let source = store.session(&Scope::DEFAULT, &id).await.unwrap();
    place.tick();
    for up_to in 0..=6 {
        let fork = store
            .fork(&Scope::DEFAULT, &id, seq(up_to), session(format!("fork{up_to}")))
            .await
            .unwrap();
        let expected: Vec<_> =
            all.iter().filter(|message| message.seq.get() <= up_to).cloned().collect();
        assert_eq!(fork.message_count, expected.len() as u64);
        assert_eq!(fork.total_tokens, 2 * expected.len() as u64);
        assert_eq!(fork.last_seq, seq(up_to), "numbering goes on after it");
        let point = ForkPoint { session_id: id.clone(), seq: seq(up_to) };
        assert_eq!(fork.forked_from, Some(point));
        assert_eq!((fork.created_at, fork.updated_at), (at(1), at(1)));
        assert_eq!(store.session(&Scope::DEFAULT, &fork.id).await.unwrap(), fork);
        assert_eq!(
            walk::messages(store, &Scope::DEFAULT, &fork.id, &MessageQuery::new()).await,
            expected
        );
        let next = store.append(&Scope::DEFAULT, &fork.id, said("next", "x")).await.unwrap();
        assert_eq!(next.seq, seq(up_to + 1));
    }
    assert_eq!(
        store.session(&Scope::DEFAULT, &id).await.unwrap(),
        source,
        "the source is not touched"
    );
    assert_eq!(walk::messages(store, &Scope::DEFAULT, &id, &MessageQuery::new()).await, all);
}

/// A fork takes user, project, title, tags and metadata from the source where they are not given, and
/// nothing else.
pub async fn a_fork_inherits_what_is_not_given<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let new = session("s")
        .with_user("alice")
        .with_project("p")
        .with_title("t")
        .with_tag("a")
        .with_metadata(map(json!({"k": 1})))
        .with_created_at(at(-100));
    let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
    store
        .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_ended_at(at(5)))
        .await
        .unwrap();
    let source = store.session(&Scope::DEFAULT, &id).await.unwrap();
    place.tick();
    let bare = store.fork(&Scope::DEFAULT, &id, Seq::ZERO, session("bare")).await.unwrap();
    assert_eq!((&bare.user_id, &bare.project_id), (&source.user_id, &source.project_id));
    assert_eq!((&bare.title, &bare.tags), (&source.title, &source.tags));
    assert_eq!(bare.metadata, source.metadata);
    assert_eq!((bare.created_at, bare.updated_at, bare.ended_at), (at(1), at(1), None));
    let own = session("own")
        .with_user("bob")
        .with_project("q")
        .with_title("u")
        .with_tag("b")
        .with_metadata(map(json!({"l": 2})))
        .with_created_at(at(-7));
    let own = store.fork(&Scope::DEFAULT, &id, Seq::ZERO, own).await.unwrap();
    assert_eq!((own.user_id.as_deref(), own.project_id.as_deref()), (Some("bob"), Some("q")));
    assert_eq!((own.title.as_deref(), own.tags.as_slice()), (Some("u"), &["b".to_owned()][..]));
    assert_eq!(own.metadata, map(json!({"l": 2})));
    assert_eq!(own.created_at, at(-7));
}

/// A fork and its source go their own ways: a change of one is not seen in the other.
pub async fn a_fork_is_a_session_of_its_own<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let fork = store.fork(&Scope::DEFAULT, &id, seq(2), session("fork")).await.unwrap().id;
    let before = store.transcript(&Scope::DEFAULT, &fork).await.unwrap();
    let m1 = message_id("m1");
    let patch = MessagePatch::new().with_content("changed in the source");
    store.update_message(&Scope::DEFAULT, &id, &m1, patch).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m2")).await.unwrap();
    store.append(&Scope::DEFAULT, &id, said("m3", "in the source")).await.unwrap();
    store
        .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title("source"))
        .await
        .unwrap();
    assert_eq!(store.transcript(&Scope::DEFAULT, &fork).await.unwrap(), before);
    let before = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    let patch = MessagePatch::new().with_content("changed in the fork");
    store.update_message(&Scope::DEFAULT, &fork, &m1, patch).await.unwrap();
    store.append(&Scope::DEFAULT, &fork, said("m3", "in the fork")).await.unwrap();
    assert_eq!(store.transcript(&Scope::DEFAULT, &id).await.unwrap(), before);
    for (text, expected) in [("source", &id), ("fork", &fork)] {
        let hits = store.search(&Scope::DEFAULT, &SearchQuery::new(text)).await.unwrap().items;
        assert!(hits.len() == 2 && hits.iter().all(|hit| hit.session.id == *expected), "{text}");
    }
}

/// A fork can be forked, and tells of the session that it was forked from itself.
pub async fn a_fork_can_be_forked<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    let first = store.fork(&Scope::DEFAULT, &id, seq(2), session("first")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &first, said("other", "x")).await.unwrap();
    let second = store.fork(&Scope::DEFAULT, &first, seq(3), session("second")).await.unwrap();
    assert_eq!(second.forked_from, Some(ForkPoint { session_id: first, seq: seq(3) }));
    let messages = walk::messages(store, &Scope::DEFAULT, &second.id, &MessageQuery::new()).await;
    let ids: Vec<_> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids, ["m1", "m2", "other"]);
}

/// Forking a missing session, to a taken id, or beyond the last number is refused, and makes nothing.
pub async fn a_refused_fork_makes_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    store.create_session(&Scope::DEFAULT, session("taken")).await.unwrap();
    let before = snapshot(store).await;
    place.tick();
    let absent = session_id("absent");
    let error = refused(
        store.fork(&Scope::DEFAULT, &absent, Seq::ZERO, session("f")).await,
        ErrorKind::NotFound,
    );
    assert_eq!(error.session_id(), Some(&absent));
    for taken in ["taken", "s"] {
        let result = store.fork(&Scope::DEFAULT, &id, seq(1), session(taken)).await;
        let error = refused(result, ErrorKind::AlreadyExists);
        assert_eq!(error.session_id(), Some(&session_id(taken)));
    }
    for beyond in [3, i64::MAX as u64] {
        let result = store.fork(&Scope::DEFAULT, &id, seq(beyond), session("f")).await;
        assert_eq!(refused(result, ErrorKind::InvalidInput).session_id(), Some(&id));
    }
    let bad = session("f").with_tag("");
    refused(store.fork(&Scope::DEFAULT, &id, seq(1), bad).await, ErrorKind::InvalidInput);
    assert_eq!(snapshot(store).await, before);
}
