//! A store that keeps messages in memory for reading answers as one that does not, whoever writes.

mod numbers;

use shs_sqlite::{SqliteOptions, SqliteStore};
use shs_store::{
    ErrorKind, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Role, Scope,
    SearchQuery, Seq, SessionId, Store, StoreExt, Timestamp,
};

use numbers::Numbers;

fn query(numbers: &mut Numbers) -> MessageQuery {
    let mut query = MessageQuery::new().with_limit(numbers.pick(&[1, 3, 10, 100]));
    if numbers.below(2) == 0 {
        query = query.newest_first();
    }
    match numbers.below(8) {
        0 => query.with_role(Role::User),
        1 => query.with_offset(numbers.below(5)),
        2 => query.with_up_to_seq(Seq::from(numbers.below(40) as u32)),
        3 | 4 => query.with_after_seq(Seq::from(numbers.below(40) as u32)),
        _ => query,
    }
}

async fn change(numbers: &mut Numbers, store: &SqliteStore, id: &SessionId, ids: &[MessageId]) {
    let any = || ids.first().cloned().unwrap_or_else(|| MessageId::new("none").unwrap());
    let ended = match numbers.below(12) {
        0 => store.delete_session(&Scope::DEFAULT, id).await.map(drop),
        1 => {
            let patch = MessagePatch::new().with_content(format!("edit {}", numbers.below(100)));
            store.update_message(&Scope::DEFAULT, id, &any(), patch).await.map(drop)
        }
        2 => store.delete_message(&Scope::DEFAULT, id, &any()).await.map(drop),
        3 | 4 => {
            store.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.map(drop)
        }
        _ => {
            let role = if numbers.below(2) == 0 { Role::User } else { Role::Assistant };
            let batch = (0..1 + numbers.below(4)).map(|n| NewMessage::new(role, format!("m {n}")));
            store.append_all(&Scope::DEFAULT, id, batch.collect()).await.map(drop)
        }
    };
    if let Err(error) = ended {
        assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists), "{error}");
    }
}

#[tokio::test]
async fn what_is_kept_in_memory_is_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    // The second is as another process would be.
    let keeping = SqliteOptions::new(&path).with_cache(6_000).open().await.unwrap();
    let asking = SqliteOptions::new(&path).with_cache(0).open().await.unwrap();
    let mut numbers = Numbers::new(7);
    let mut full = 0;
    for _ in 0..800 {
        let id = SessionId::new(format!("s{}", numbers.below(3))).unwrap();
        let writer = if numbers.below(2) == 0 { &keeping } else { &asking };
        let ids = writer.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await;
        let ids: Vec<MessageId> =
            ids.map_or(Vec::new(), |page| page.items.into_iter().map(|m| m.id).collect());
        change(&mut numbers, writer, &id, &ids).await;
        let mut query = query(&mut numbers);
        loop {
            match (
                keeping.messages(&Scope::DEFAULT, &id, &query).await,
                asking.messages(&Scope::DEFAULT, &id, &query).await,
            ) {
                (Ok(kept), Ok(stored)) => {
                    assert_eq!(kept, stored, "{query:?}");
                    full += kept.items.len();
                    let Some(next) = kept.next else { break };
                    query = query.with_after(next);
                }
                (kept, stored) => {
                    assert_eq!(kept.unwrap_err().kind(), ErrorKind::NotFound);
                    assert_eq!(stored.unwrap_err().kind(), ErrorKind::NotFound);
                    break;
                }
            }
        }
    }
    assert!(full > 2_500, "only {full} messages were read");
    keeping.close().await.unwrap();
    asking.close().await.unwrap();
}

#[tokio::test]
async fn every_text_and_number_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(folder.path().join("history.db")).with_cache(0);
    let store = options.open().await.unwrap();
    let texts = ["", "\u{1}", "=", "=\u{1}", "-1", "\0", "a\0b", "ÿþ", "\u{10ffff}"];
    for (number, text) in texts.into_iter().enumerate() {
        let mut new = NewSession::new().with_user("-").with_title(text);
        new.metadata.insert(text.to_owned(), text.into());
        let session = store.create_session(&Scope::DEFAULT, new).await.unwrap();
        assert_eq!(session.title.as_deref(), Some(text));
        let mut latencies = [0.1, f64::MIN_POSITIVE, f64::MAX, 5e-324, 1.0 / 3.0].into_iter();
        let batch = ["a", "-", "1", "=", "01a2046f-509f-71cf-9a63-a3e8af611657"].map(|id| {
            let micros = Timestamp::MIN.as_micros() + number as i64;
            let mut new = NewMessage::user(text)
                .with_id(MessageId::new(id).unwrap())
                .with_model(id)
                .with_timestamp(Timestamp::from_micros(micros).unwrap());
            new.latency_ms = latencies.next();
            new.metadata.insert(text.to_owned(), text.into());
            new
        });
        let written =
            store.append_all(&Scope::DEFAULT, &session.id, batch.to_vec()).await.unwrap().messages;
        let page =
            store.messages(&Scope::DEFAULT, &session.id, &MessageQuery::new()).await.unwrap();
        assert_eq!(page.items, written);
        let found = store
            .search(&Scope::DEFAULT, &SearchQuery::all().with_limit(1))
            .await
            .unwrap()
            .items
            .remove(0);
        assert_eq!(Some(&found.message), written.last());
        assert_eq!(found.session, store.session(&Scope::DEFAULT, &session.id).await.unwrap());
        assert_eq!(found.session.title.as_deref(), Some(text));
        assert_eq!(found.session.metadata, session.metadata);
    }
}
