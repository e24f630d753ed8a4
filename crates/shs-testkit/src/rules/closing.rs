//! Flush and close are explicit, can be repeated, and wait.

use std::sync::Arc;

use shs_store::{
    AppendOptions, ErrorKind, ImportMode, MessagePatch, MessageQuery, Scope, SearchQuery, Seq,
    SessionPatch, SessionQuery, StatsQuery, Store, StoreExt,
};

use crate::audit::{refused, snapshot};
use crate::sample::{conversation, message_id, said, session};
use crate::{Fixture, Operation, Place};

/// Flushing and closing can be repeated, from several tasks at once.
pub async fn flush_and_close_can_be_repeated<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.flush().await.unwrap();
    store.append(&Scope::DEFAULT, &id, said("m", "x")).await.unwrap();
    let (first, second) = futures::join!(store.flush(), store.flush());
    first.and(second).unwrap();
    assert_eq!(snapshot(store).await.len(), 1, "it is used as before after a flush");
    let (first, second, third) = futures::join!(store.close(), store.close(), store.close());
    first.and(second).and(third).unwrap();
    store.close().await.unwrap();
}

/// After a close every other method fails as closed, and says which store and which operation.
pub async fn everything_fails_after_a_close<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s").with_user("u")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let transcript = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
    let m1 = message_id("m1");
    store.close().await.unwrap();
    let options = AppendOptions::new();
    let closed = ErrorKind::Closed;
    let errors = [
        (
            Operation::CreateSession,
            refused(store.create_session(&Scope::DEFAULT, session("t")).await, closed),
        ),
        (Operation::Session, refused(store.session(&Scope::DEFAULT, &id).await, closed)),
        (
            Operation::UpdateSession,
            refused(store.update_session(&Scope::DEFAULT, &id, SessionPatch::new()).await, closed),
        ),
        (
            Operation::DeleteSession,
            refused(store.delete_session(&Scope::DEFAULT, &id).await, closed),
        ),
        (Operation::DeleteUser, refused(store.delete_user(&Scope::DEFAULT, "u").await, closed)),
        (
            Operation::ListSessions,
            refused(store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await, closed),
        ),
        (
            Operation::Append,
            refused(
                store.append_opts(&Scope::DEFAULT, &id, conversation(3), options).await,
                closed,
            ),
        ),
        (
            Operation::Append,
            refused(store.append_opts(&Scope::DEFAULT, &id, Vec::new(), options).await, closed),
        ),
        (Operation::Message, refused(store.message(&Scope::DEFAULT, &id, &m1).await, closed)),
        (
            Operation::Messages,
            refused(store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await, closed),
        ),
        (
            Operation::UpdateMessage,
            refused(
                store.update_message(&Scope::DEFAULT, &id, &m1, MessagePatch::new()).await,
                closed,
            ),
        ),
        (
            Operation::DeleteMessage,
            refused(store.delete_message(&Scope::DEFAULT, &id, &m1).await, closed),
        ),
        (
            Operation::Fork,
            refused(store.fork(&Scope::DEFAULT, &id, Seq::FIRST, session("f")).await, closed),
        ),
        (
            Operation::Import,
            refused(store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await, closed),
        ),
        (
            Operation::Search,
            refused(store.search(&Scope::DEFAULT, &SearchQuery::new("turn")).await, closed),
        ),
        (Operation::Stats, refused(store.stats(&Scope::DEFAULT, &StatsQuery::new()).await, closed)),
        (Operation::Flush, refused(store.flush().await, closed)),
    ];
    for (operation, error) in errors {
        assert_eq!(error.op(), Some(operation.as_str()));
        assert_eq!(error.store(), Some(store.name()));
    }
    store.close().await.unwrap();
}

/// Whoever writes while the store is closed gets an answer: done, or closed; what was done is there.
pub async fn writes_during_a_close_are_answered<F: Fixture>(place: &Place<F>) {
    let id = place.store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let mut writers = Vec::new();
    for writer in 0..16 {
        let (store, id) = (Arc::clone(&place.store), id.clone());
        writers.push(tokio::spawn(async move {
            let mut done = Vec::new();
            for number in 0..100 {
                let message = format!("{writer}-{number}");
                match store.append(&Scope::DEFAULT, &id, said(&message, "x")).await {
                    Ok(_) => done.push(message),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Closed, "{error:?}");
                        break;
                    }
                }
                tokio::task::yield_now().await;
            }
            done
        }));
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    place.store.close().await.unwrap();
    let mut done = Vec::new();
    for writer in writers {
        done.extend(writer.await.unwrap());
    }
    if F::DURABLE {
        let store = place.open().await;
        assert_eq!(
            store.session(&Scope::DEFAULT, &id).await.unwrap().message_count,
            done.len() as u64
        );
        for message in done {
            store.message(&Scope::DEFAULT, &id, &message_id(message)).await.unwrap();
        }
        store.close().await.unwrap();
    }
}
