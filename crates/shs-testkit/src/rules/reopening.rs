//! What was acknowledged is there for whoever opens the place later, or has it open too.
//!
//! A place that is not durable, or not shared, passes the rules that do not concern it.

use std::sync::Arc;

use shs_store::{
    AppendOptions, Clock, ErrorKind, Expected, ImportMode, MessagePatch, MessageQuery, Scope,
    SearchOrder, SearchQuery, SessionPatch, SessionQuery, Store, StoreExt,
};

use crate::audit::{audit, refused, snapshot};
use crate::sample::{CORPUS, conversation, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// What was written is there, all of it and nothing else, after the store was closed and opened again.
pub async fn everything_is_there_after_reopening<F: Fixture>(place: &Place<F>) {
    if !F::DURABLE {
        return;
    }
    let id = varied(&*place.store).await;
    let before = snapshot(&*place.store).await;
    let order = arrivals(&*place.store).await;
    let store = place.reopen().await;
    assert_eq!(snapshot(&*store).await, before);
    assert_eq!(arrivals(&*store).await, order);
    audit(&*store).await;
    let query = SearchQuery::new("部署");
    assert_eq!(walk::hits(&*store, &Scope::DEFAULT, &query).await.len(), 2);
    store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
    store.close().await.unwrap();
    let store = place.open().await;
    refused(store.session(&Scope::DEFAULT, &id).await, ErrorKind::NotFound);
    assert_eq!(snapshot(&*store).await.len(), before.len() - 1);
    audit(&*store).await;
    store.close().await.unwrap();
}

/// After reopening numbering goes on, also after deleted messages; repetitions, conflicts and
/// expectations are known as before; what is stored then arrives after what was there.
pub async fn nothing_is_forgotten_by_reopening<F: Fixture>(place: &Place<F>) {
    if !F::DURABLE {
        return;
    }
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(4)).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("m4")).await.unwrap();
    let patch = MessagePatch::new().with_content("changed");
    let changed =
        store.update_message(&Scope::DEFAULT, &id, &message_id("m1"), patch).await.unwrap();
    let before = place.clock.now();
    let store = place.reopen().await;
    let again = store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    assert_eq!((again.inserted, &again.messages[0]), (0, &changed));
    refused(store.append(&Scope::DEFAULT, &id, said("m1", "changed")).await, ErrorKind::Conflict);
    refused(store.create_session(&Scope::DEFAULT, session("s")).await, ErrorKind::AlreadyExists);
    let expected = AppendOptions::new().with_expected(Expected::LastSeq(seq(4)));
    let appended =
        store.append_opts(&Scope::DEFAULT, &id, vec![said("m5", "x")], expected).await.unwrap();
    assert_eq!(appended.messages[0].seq, seq(5));
    assert_eq!(arrivals(&*store).await.last().unwrap(), "s m5");
    assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().updated_at, before);
    store.close().await.unwrap();
}

/// A cursor stays valid after reopening.
pub async fn cursors_stay_valid_after_reopening<F: Fixture>(place: &Place<F>) {
    if !F::DURABLE {
        return;
    }
    let store = &*place.store;
    let id = varied(store).await;
    let sessions = SessionQuery::new().with_limit(1);
    let messages = MessageQuery::new().with_limit(2);
    let search = SearchQuery::all().with_limit(3);
    let sessions_next =
        store.list_sessions(&Scope::DEFAULT, &sessions).await.unwrap().next.unwrap();
    let messages_next =
        store.messages(&Scope::DEFAULT, &id, &messages).await.unwrap().next.unwrap();
    let search_next = store.search(&Scope::DEFAULT, &search).await.unwrap().next.unwrap();
    let sessions = sessions.with_after(sessions_next);
    let messages = messages.with_after(messages_next);
    let search = search.with_after(search_next);
    let before = (
        walk::sessions(store, &Scope::DEFAULT, &sessions).await,
        walk::messages(store, &Scope::DEFAULT, &id, &messages).await,
        walk::hits(store, &Scope::DEFAULT, &search).await,
    );
    let store = place.reopen().await;
    let after = (
        walk::sessions(&*store, &Scope::DEFAULT, &sessions).await,
        walk::messages(&*store, &Scope::DEFAULT, &id, &messages).await,
        walk::hits(&*store, &Scope::DEFAULT, &search).await,
    );
    assert_eq!(after, before);
    store.close().await.unwrap();
}

/// A place in the order of arrival is never given again, in whichever way its message went and the store was reopened: a
/// cursor from before finds what arrives then.
pub async fn arrival_goes_on_after_reopening<F: Fixture>(place: &Place<F>) {
    if !F::DURABLE {
        return;
    }
    let mut store = Arc::clone(&place.store);
    let stays = store.create_session(&Scope::DEFAULT, session("stays")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &stays, said("first", "x")).await.unwrap();
    let going = ["one", "two"];
    for (round, way) in ["session", "message", "user", "import"].into_iter().enumerate() {
        for id in going {
            store.create_session(&Scope::DEFAULT, session(id).with_user("gone")).await.unwrap();
            store.append(&Scope::DEFAULT, &session_id(id), said("m", "x")).await.unwrap();
        }
        let query = SearchQuery::all().with_order(SearchOrder::Oldest);
        let all_but_one = query.clone().with_limit(round as u32 + 2);
        let next = store.search(&Scope::DEFAULT, &all_but_one).await.unwrap().next.unwrap();
        for id in going.map(session_id) {
            match way {
                "session" => drop(store.delete_session(&Scope::DEFAULT, &id).await.unwrap()),
                "message" => drop(
                    store.delete_message(&Scope::DEFAULT, &id, &message_id("m")).await.unwrap(),
                ),
                "user" => drop(store.delete_user(&Scope::DEFAULT, "gone").await.unwrap()),
                _ => {
                    let mut empty = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
                    empty.messages.clear();
                    store.import(&Scope::DEFAULT, empty, ImportMode::Overwrite).await.unwrap();
                }
            }
        }
        store.close().await.unwrap();
        store = place.open().await;
        let arrived = store.append(&Scope::DEFAULT, &stays, said(way, "x")).await.unwrap();
        let found = walk::hits(&*store, &Scope::DEFAULT, &query.with_after(next)).await;
        assert!(found.len() == 1 && found[0].message == arrived, "after a deletion by {way}");
        for id in going {
            store.delete_session(&Scope::DEFAULT, &session_id(id)).await.unwrap();
        }
    }
    store.close().await.unwrap();
}

/// Whoever has the place open too sees a write as soon as it returned.
pub async fn another_store_sees_what_was_written<F: Fixture>(place: &Place<F>) {
    if !F::SHARED {
        return;
    }
    let other = place.open().await;
    let (one, two) = (&*place.store, &*other);
    let id = one.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for round in 0..5 {
        for (writer, reader, name) in [(one, two, "one"), (two, one, "two")] {
            let message = said(format!("{name}{round}"), format!("needle{round}"));
            let stored = writer.append(&Scope::DEFAULT, &id, message).await.unwrap();
            assert_eq!(reader.message(&Scope::DEFAULT, &id, &stored.id).await.unwrap(), stored);
            let found = reader
                .search(&Scope::DEFAULT, &SearchQuery::new(&stored.content))
                .await
                .unwrap()
                .items;
            assert!(found.iter().any(|hit| hit.message == stored));
            let title = SessionPatch::new().with_title(&stored.content);
            let patched = writer.update_session(&Scope::DEFAULT, &id, title).await.unwrap();
            assert_eq!(reader.session(&Scope::DEFAULT, &id).await.unwrap(), patched);
        }
    }
    assert_eq!(snapshot(one).await, snapshot(two).await);
    assert!(one.delete_session(&Scope::DEFAULT, &id).await.unwrap());
    refused(two.session(&Scope::DEFAULT, &id).await, ErrorKind::NotFound);
    other.close().await.unwrap();
    one.create_session(&Scope::DEFAULT, session("t"))
        .await
        .expect("closing one store leaves the other open");
}

/// What was acknowledged is there for another store although the first was never closed or flushed.
pub async fn nothing_waits_for_a_close<F: Fixture>(place: &Place<F>) {
    if !F::SHARED {
        return;
    }
    varied(&*place.store).await;
    let other = place.open().await;
    assert_eq!(snapshot(&*other).await, snapshot(&*place.store).await);
    audit(&*other).await;
    other.close().await.unwrap();
}

/// Stores a bit of everything; returns a session with many messages.
async fn varied<S: Store>(store: &S) -> shs_store::SessionId {
    let id = store
        .create_session(&Scope::DEFAULT, session("corpus").with_user("u").with_tag("t"))
        .await
        .unwrap()
        .id;
    let batch =
        CORPUS.iter().enumerate().map(|(n, text)| said(n.to_string(), *text).with_tokens(1));
    store.append_all(&Scope::DEFAULT, &id, batch.collect()).await.unwrap();
    store.fork(&Scope::DEFAULT, &id, seq(2), session("../fork")).await.unwrap();
    store.delete_message(&Scope::DEFAULT, &id, &message_id("7")).await.unwrap();
    let patch = MessagePatch::new().with_content("changed\0").with_tokens(9);
    store.update_message(&Scope::DEFAULT, &id, &message_id("8"), patch).await.unwrap();
    store
        .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_title("Title\0"))
        .await
        .unwrap();
    let mut transcript = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    transcript.session.id = session_id("import");
    transcript.messages.truncate(2);
    store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    store.create_session(&Scope::DEFAULT, session("deleted")).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &session_id("deleted")).await.unwrap();
    store.create_session(&Scope::DEFAULT, session("empty")).await.unwrap();
    id
}

/// All messages, first stored first.
async fn arrivals<S: Store>(store: &S) -> Vec<String> {
    let query = SearchQuery::all().with_order(SearchOrder::Oldest);
    let hits = walk::hits(store, &Scope::DEFAULT, &query).await;
    hits.iter().map(|hit| format!("{} {}", hit.session.id, hit.message.id)).collect()
}
