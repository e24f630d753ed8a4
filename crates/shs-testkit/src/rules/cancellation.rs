//! A future that is dropped leaves the store right: all of the operation, or none.
//!
//! Each rule polls an operation once, twice, and so on, and drops it then, until it is done before it is
//! dropped. After each drop it looks at the store, repeats the operation, and looks again.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use serde_json::json;
use shs_store::{
    ErrorKind, ImportMode, MessagePatch, NewMessage, Scope, SearchQuery, SessionId, SessionPatch,
    Store, StoreExt, Transcript,
};

use crate::sample::{at, conversation, map, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// An operation that is still not done after so many polls has been tried often enough.
const MAX_POLLS: usize = 100;

/// Polls a future so many times at most, and drops it; `None` if it was not done by then.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A dropped create leaves a session or none, and its repetition makes one.
pub async fn a_dropped_create<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let new = session(polls.to_string()).with_title("t");
        let done = drop_after(polls, store.create_session(&Scope::DEFAULT, new.clone())).await;
        if let Some(found) = store.find_session(&Scope::DEFAULT, &new.id).await.unwrap() {
            assert_eq!(found.title.as_deref(), Some("t"));
        }
        match store.create_session(&Scope::DEFAULT, new.clone()).await {
            Ok(_) => assert!(done.is_none()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
        }
        assert_eq!(store.session(&Scope::DEFAULT, &new.id).await.unwrap().title, new.title);
        if done.is_some() {
            return;
        }
    }
}

/// A dropped append leaves the whole batch or nothing, and its repetition stores each message once.
pub async fn a_dropped_append<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let batch: Vec<_> =
            (0..5).map(|n| said(format!("b{n}"), "needle").with_tokens(1)).collect();
        let done = drop_after(polls, store.append_all(&Scope::DEFAULT, &id, batch.clone())).await;
        let seen = store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages.len();
        assert!(seen == 3 || seen == 8, "{seen} messages after {polls} polls");
        let appended = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
        let numbers = appended.messages.iter().map(|message| message.seq.get());
        assert!(numbers.eq(4..=8));
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!((stored.message_count, stored.total_tokens, stored.last_seq), (8, 5, seq(8)));
        let query = SearchQuery::new("needle").with_session(id);
        assert_eq!(walk::hits(store, &Scope::DEFAULT, &query).await.len(), 5);
        if done.is_some() {
            return;
        }
    }
}

/// A dropped change of a message is made whole or not at all, and its repetition makes it.
pub async fn a_dropped_change_of_a_message<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let m2 = message_id("m2");
        let patch = || MessagePatch::new().with_content("needle").with_tokens(7);
        let done =
            drop_after(polls, store.update_message(&Scope::DEFAULT, &id, &m2, patch())).await;
        let seen = store.message(&Scope::DEFAULT, &id, &m2).await.unwrap();
        assert_eq!(seen.content == "needle", seen.tokens == Some(7));
        store.update_message(&Scope::DEFAULT, &id, &m2, patch()).await.unwrap();
        assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap().total_tokens, 7);
        let found = async |text: &str| {
            let query = SearchQuery::new(text).with_session(id.clone());
            walk::hits(store, &Scope::DEFAULT, &query).await.len()
        };
        assert_eq!((found("needle").await, found("turn").await), (1, 2));
        if done.is_some() {
            return;
        }
    }
}

/// A dropped deletion of a message is made whole or not at all, and its repetition makes it.
pub async fn a_dropped_deletion_of_a_message<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let done =
            drop_after(polls, store.delete_message(&Scope::DEFAULT, &id, &message_id("m3"))).await;
        store.delete_message(&Scope::DEFAULT, &id, &message_id("m3")).await.unwrap();
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!((stored.message_count, stored.last_seq), (2, seq(3)));
        assert_eq!(
            store.append(&Scope::DEFAULT, &id, said("next", "x")).await.unwrap().seq,
            seq(4)
        );
        if done.is_some() {
            return;
        }
    }
}

/// A dropped change of a session is made whole or not at all, and its repetition makes it.
pub async fn a_dropped_change_of_a_session<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let patch = || {
            SessionPatch::new()
                .with_title("t")
                .with_tag_added("a")
                .with_metadata_merged(map(json!({"k": 1})))
        };
        let done = drop_after(polls, store.update_session(&Scope::DEFAULT, &id, patch())).await;
        let seen = store.session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!(seen.title.is_some(), !seen.tags.is_empty());
        assert_eq!(seen.title.is_some(), !seen.metadata.is_empty());
        let changed = store.update_session(&Scope::DEFAULT, &id, patch()).await.unwrap();
        assert_eq!(changed.tags, ["a"]);
        assert_eq!(store.session(&Scope::DEFAULT, &id).await.unwrap(), changed);
        if done.is_some() {
            return;
        }
    }
}

/// A dropped deletion of a session takes it whole or not at all, and its repetition takes it.
pub async fn a_dropped_deletion_of_a_session<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let done = drop_after(polls, store.delete_session(&Scope::DEFAULT, &id)).await;
        if store.find_session(&Scope::DEFAULT, &id).await.unwrap().is_none() {
            let hits = store
                .search(&Scope::DEFAULT, &SearchQuery::all().with_session(id.clone()))
                .await
                .unwrap();
            assert!(hits.items.is_empty());
        }
        store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
        assert_eq!(store.find_session(&Scope::DEFAULT, &id).await.unwrap(), None);
        // Nothing of it is left for a session that takes its id.
        store.create_session(&Scope::DEFAULT, session(&id)).await.unwrap();
        assert_eq!(
            store.append(&Scope::DEFAULT, &id, said("m1", "other")).await.unwrap().seq,
            seq(1)
        );
        if done.is_some() {
            return;
        }
    }
}

/// A dropped deletion of a user takes each session whole or not at all, and its repetition takes the rest.
pub async fn a_dropped_deletion_of_a_user<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let user = format!("user{polls}");
        for number in 0..3 {
            let new = session(format!("{polls}-{number}")).with_user(&user);
            let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
            store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
        }
        let done = drop_after(polls, store.delete_user(&Scope::DEFAULT, &user)).await;
        for number in 0..3 {
            let id = session_id(format!("{polls}-{number}"));
            if let Some(left) = store.find_session(&Scope::DEFAULT, &id).await.unwrap() {
                assert_eq!(left.message_count, 2);
            }
        }
        store.delete_user(&Scope::DEFAULT, &user).await.unwrap();
        let query = SearchQuery::all().with_user(user);
        assert!(store.search(&Scope::DEFAULT, &query).await.unwrap().items.is_empty());
        if done.is_some() {
            return;
        }
    }
}

/// A dropped fork makes a whole copy or nothing, and its repetition makes one.
pub async fn a_dropped_fork<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let fork = session(format!("fork{polls}"));
        let done = drop_after(polls, store.fork(&Scope::DEFAULT, &id, seq(2), fork.clone())).await;
        if store.find_session(&Scope::DEFAULT, &fork.id).await.unwrap().is_some() {
            assert_eq!(
                store.transcript(&Scope::DEFAULT, &fork.id).await.unwrap().messages.len(),
                2
            );
        }
        match store.fork(&Scope::DEFAULT, &id, seq(2), fork.clone()).await {
            Ok(_) => assert!(done.is_none()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists),
        }
        let copy = store.transcript(&Scope::DEFAULT, &fork.id).await.unwrap();
        assert_eq!(
            copy.messages,
            store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages[..2]
        );
        assert_eq!(copy.session.last_seq, seq(2));
        if done.is_some() {
            return;
        }
    }
}

/// A dropped import stores the whole conversation or leaves what was there, and its repetition stores it.
pub async fn a_dropped_import<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for polls in 0..MAX_POLLS {
        let id = start(store, polls).await;
        let before = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
        let messages = (1..=6).map(|n| {
            let new = NewMessage::system("needle").with_id(message_id(format!("i{n}")));
            new.with_timestamp(at(0)).into_message(seq(n))
        });
        let new = session(&id).with_title("imported").into_session(at(9)).unwrap();
        let import = Transcript::new(new, messages.collect()).unwrap();
        let done =
            drop_after(polls, store.import(&Scope::DEFAULT, import.clone(), ImportMode::Overwrite))
                .await;
        // The session and its messages are two reads, between which a dropped import may end.
        let seen = store.messages(&Scope::DEFAULT, &id, &Default::default()).await.unwrap().items;
        assert!(seen == before.messages || seen == import.messages, "after {polls} polls");
        store.import(&Scope::DEFAULT, import.clone(), ImportMode::Overwrite).await.unwrap();
        assert_eq!(store.transcript(&Scope::DEFAULT, &id).await.unwrap(), import);
        let found = async |text: &str| {
            let query = SearchQuery::new(text).with_session(id.clone());
            walk::hits(store, &Scope::DEFAULT, &query).await.len()
        };
        assert_eq!((found("needle").await, found("turn").await), (6, 0));
        if done.is_some() {
            return;
        }
    }
}

/// Dropped reads change nothing, and the store goes on working.
pub async fn dropped_reads<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = start(store, 0).await;
    let before = crate::audit::snapshot(store).await;
    for polls in 0..8 {
        for _ in 0..8 {
            drop_after(polls, store.session(&Scope::DEFAULT, &id)).await;
            drop_after(polls, store.messages(&Scope::DEFAULT, &id, &Default::default())).await;
            drop_after(polls, store.list_sessions(&Scope::DEFAULT, &Default::default())).await;
            drop_after(polls, store.search(&Scope::DEFAULT, &SearchQuery::new("turn"))).await;
            drop_after(polls, store.stats(&Scope::DEFAULT, &Default::default())).await;
            drop_after(polls, store.flush()).await;
        }
    }
    assert_eq!(crate::audit::snapshot(store).await, before);
}

/// A session with three messages.
async fn start<S: Store>(store: &S, number: usize) -> SessionId {
    let id = store.create_session(&Scope::DEFAULT, session(number.to_string())).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    id
}
