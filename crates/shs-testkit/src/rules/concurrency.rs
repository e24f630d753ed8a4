//! Writers that work at once get their messages stored one after the other, and lose nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shs_store::{
    AppendOptions, ErrorKind, Expected, MessagePatch, MessageQuery, Scope, Seq, SessionId,
    SessionPatch, Store, StoreExt,
};
use tokio::task::JoinSet;

use crate::audit::audit;
use crate::sample::{message_id, said, session, session_id};
use crate::{Fixture, Place, walk};

const WRITERS: usize = 64;

/// Sizes of the batches that each writer appends, one after the other.
const BATCHES: [usize; 3] = [1, 5, 2];

/// Sixty-four writers on one session: no number is skipped or given twice, nothing is lost, and each
/// batch has consecutive numbers.
pub async fn many_writers_on_one_session<F: Fixture>(place: &Place<F>) {
    write_at_once(vec![Arc::clone(&place.store)], 1).await;
}

/// Sixty-four writers on many sessions: the same holds in each.
pub async fn many_writers_on_many_sessions<F: Fixture>(place: &Place<F>) {
    write_at_once(vec![Arc::clone(&place.store)], 16).await;
}

/// The same holds for the writers of two stores that have one place open.
pub async fn writers_of_two_stores<F: Fixture>(place: &Place<F>) {
    if !F::SHARED {
        return;
    }
    let other = place.open().await;
    write_at_once(vec![Arc::clone(&place.store), Arc::clone(&other)], 2).await;
    audit(&*other).await;
    other.close().await.unwrap();
}

async fn write_at_once<S: Store>(stores: Vec<Arc<S>>, sessions: usize) {
    let ids: Vec<SessionId> = (0..sessions).map(|n| session_id(format!("s{n}"))).collect();
    for id in &ids {
        stores[0].create_session(&Scope::DEFAULT, session(id)).await.unwrap();
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&stores[writer % stores.len()]);
        let id = ids[writer % sessions].clone();
        writers.spawn(async move {
            for (number, size) in BATCHES.into_iter().enumerate() {
                let message =
                    |n: usize| said(format!("{writer}-{number}-{n}"), "word").with_tokens(1);
                let batch = (0..size).map(message).collect();
                let appended = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
                assert_eq!(appended.inserted, size);
                let first = appended.messages[0].seq.get();
                let numbers = appended.messages.iter().map(|message| message.seq.get());
                assert!(numbers.eq(first..first + size as u64), "a batch is consecutive");
            }
        });
    }
    // A reader meanwhile sees the beginning of what there will be, without gaps.
    for round in 0..10 {
        let id = &ids[round % sessions];
        let seen = walk::messages(
            &*stores[round % stores.len()],
            &Scope::DEFAULT,
            id,
            &MessageQuery::new(),
        )
        .await;
        let numbers = seen.iter().map(|message| message.seq.get());
        assert!(numbers.eq(1..=seen.len() as u64), "no number is missing");
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let each: usize = BATCHES.iter().sum();
    for (number, id) in ids.iter().enumerate() {
        let expected: BTreeSet<String> = (0..WRITERS)
            .filter(|writer| writer % sessions == number)
            .flat_map(|writer| {
                let batches = BATCHES.into_iter().enumerate();
                batches
                    .flat_map(move |(b, size)| (0..size).map(move |n| format!("{writer}-{b}-{n}")))
            })
            .collect();
        let messages = walk::messages(&*stores[0], &Scope::DEFAULT, id, &MessageQuery::new()).await;
        assert!(messages.iter().map(|m| m.seq.get()).eq(1..=expected.len() as u64));
        let ids: BTreeSet<String> = messages.into_iter().map(|m| m.id.into()).collect();
        assert_eq!(ids, expected);
        let stored = stores[0].session(&Scope::DEFAULT, id).await.unwrap();
        assert_eq!(stored.message_count as usize, WRITERS / sessions * each);
        assert_eq!(stored.total_tokens, stored.message_count);
    }
}

/// Callers that append the same messages at once store each of them once, and get the same answer.
pub async fn the_same_messages_at_once_are_stored_once<F: Fixture>(place: &Place<F>) {
    let id = place.store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, id) = (Arc::clone(&place.store), id.clone());
        writers.spawn(async move {
            let first = writer % 4;
            let batch = (first..first + 3).map(|n| said(n.to_string(), "x")).collect();
            store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap()
        });
    }
    let mut inserted = 0;
    let mut answers: BTreeMap<String, Seq> = BTreeMap::new();
    while let Some(appended) = writers.join_next().await {
        let appended = appended.unwrap();
        inserted += appended.inserted;
        for message in appended.messages {
            let seq = *answers.entry(message.id.into()).or_insert(message.seq);
            assert_eq!(seq, message.seq);
        }
    }
    assert_eq!((inserted, answers.len()), (6, 6));
    assert_eq!(place.store.session(&Scope::DEFAULT, &id).await.unwrap().message_count, 6);
}

/// Of callers that create one session, or append at one expected number, at once, exactly one succeeds.
pub async fn one_of_many_rivals_succeeds<F: Fixture>(place: &Place<F>) {
    let mut rivals = JoinSet::new();
    for number in 0..WRITERS {
        let store = Arc::clone(&place.store);
        rivals.spawn(async move {
            let new = session("s").with_title(number.to_string());
            match store.create_session(&Scope::DEFAULT, new).await {
                Ok(created) => Some(created),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                    None
                }
            }
        });
    }
    let created: Vec<_> = rivals.join_all().await.into_iter().flatten().collect();
    assert_eq!(created.len(), 1);
    let id = session_id("s");
    assert_eq!(place.store.session(&Scope::DEFAULT, &id).await.unwrap(), created[0]);
    let mut rivals = JoinSet::new();
    for number in 0..WRITERS {
        let (store, id) = (Arc::clone(&place.store), id.clone());
        rivals.spawn(async move {
            let options = AppendOptions::new().with_expected(Expected::LastSeq(Seq::ZERO));
            let batch = vec![said(number.to_string(), "x")];
            match store.append_opts(&Scope::DEFAULT, &id, batch, options).await {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict);
                    false
                }
            }
        });
    }
    let won = rivals.join_all().await;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(place.store.session(&Scope::DEFAULT, &id).await.unwrap().last_seq, Seq::FIRST);
}

/// Operations of every kind at once leave a sound store.
pub async fn mixed_operations_at_once<F: Fixture>(place: &Place<F>) {
    let ids = ["a", "b", "c", "d"].map(session_id);
    for id in &ids {
        place.store.create_session(&Scope::DEFAULT, session(id).with_user("u")).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for task in 0..16_usize {
        let store = Arc::clone(&place.store);
        let ids = ids.clone();
        tasks.spawn(async move {
            for round in 0..6_usize {
                let id = &ids[(task + round) % ids.len()];
                let message = message_id(format!("m{}", (task + round) % 5));
                let outcome = match (task * 5 + round) % 7 {
                    0..=2 => {
                        let batch = (0..3)
                            .map(|n| said(format!("{task}-{round}-{n}"), "word").with_tokens(2));
                        store.append_all(&Scope::DEFAULT, id, batch.collect()).await.map(drop)
                    }
                    3 => {
                        store.append(&Scope::DEFAULT, id, said(&message, "shared")).await.map(drop)
                    }
                    4 => {
                        let patch = MessagePatch::new().with_content("changed").with_tokens(3);
                        store.update_message(&Scope::DEFAULT, id, &message, patch).await.map(drop)
                    }
                    5 => store.delete_message(&Scope::DEFAULT, id, &message).await.map(drop),
                    _ if round % 2 == 0 => {
                        let patch = SessionPatch::new().with_tag_added(task.to_string());
                        store.update_session(&Scope::DEFAULT, id, patch).await.map(drop)
                    }
                    _ => {
                        let fork = session(format!("fork{task}-{round}"));
                        store.fork(&Scope::DEFAULT, id, Seq::ZERO, fork).await.map(drop)
                    }
                };
                if let Err(error) = outcome {
                    // Somebody else may have deleted the message.
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    audit(&*place.store).await;
}
