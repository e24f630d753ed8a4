//! What breaks a limit is refused where it enters, and nothing is stored.

use serde_json::{Value, json};
use shs_store::limits::{MAX_ID_BYTES, MAX_QUERY_BYTES, MAX_TAGS, MAX_TITLE_BYTES};
use shs_store::{
    Cursor, Error, ErrorKind, Map, MessageId, MessageQuery, NewSession, Page, Role, Scope,
    SearchOrder, SearchQuery, SessionId, SessionOrder, SessionPatch, SessionQuery, Store, StoreExt,
};

use crate::audit::{refused, snapshot};
use crate::sample::{conversation, map, message_id, nested, said, seq, session, session_id};
use crate::{Fixture, Place};

/// Ids that are empty, longer than 255 bytes or have control characters cannot be made.
pub async fn bad_ids_cannot_be_made<F: Fixture>(place: &Place<F>) {
    let long = "x".repeat(MAX_ID_BYTES + 1);
    let wide = "語".repeat(86);
    for bad in ["", "\0", "a\0b", "a\nb", "\u{7f}", "\u{85}", "\u{1b}[0m", &long, &wide] {
        assert_eq!(SessionId::new(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert_eq!(MessageId::new(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
    }
    assert!(snapshot(&*place.store).await.is_empty());
}

/// A session that breaks a limit is refused with the store, the operation and the id, and not stored.
pub async fn a_session_that_breaks_a_limit_is_refused<F: Fixture>(place: &Place<F>) {
    let long = "x".repeat(MAX_ID_BYTES + 1);
    let many = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let with_tags = |tags| {
        let mut new = session("s");
        new.tags = tags;
        new
    };
    // A hundred and one levels, the innermost empty.
    let empty = (0..100)
        .fold(Map::new(), |inner, _| Map::from_iter([("inner".to_owned(), Value::Object(inner))]));
    let bad: Vec<NewSession> = vec![
        session("s").with_metadata(empty),
        session("s").with_user(""),
        session("s").with_user(&long),
        session("s").with_user("a\0b"),
        session("s").with_project(""),
        session("s").with_project(&long),
        session("s").with_tag(""),
        session("s").with_tag(&long),
        session("s").with_tag("a\tb"),
        with_tags(many(MAX_TAGS + 1)),
        session("s").with_title("x".repeat(MAX_TITLE_BYTES + 1)),
        session("s").with_metadata(nested(200)),
        session("s").with_metadata(nested(101)),
    ];
    for new in bad {
        let error = refused(
            place.store.create_session(&Scope::DEFAULT, new).await,
            ErrorKind::InvalidInput,
        );
        assert_eq!(error.op(), Some("create_session"));
        assert_eq!(error.store(), Some(place.store.name()));
        assert_eq!(error.session_id(), Some(&session_id("s")));
    }
    assert!(snapshot(&*place.store).await.is_empty());
}

/// What is just within the limits is stored and comes back as it was given.
pub async fn what_is_within_the_limits_comes_back<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let longest = "語".repeat(85);
    let mut new = session(&longest)
        .with_user(&longest)
        .with_project("x".repeat(MAX_ID_BYTES))
        .with_title("é\0".repeat(MAX_TITLE_BYTES / 3))
        .with_metadata(nested(100));
    new.tags = (0..MAX_TAGS).map(|number| format!("{number:03}")).collect();
    let created = store.create_session(&Scope::DEFAULT, new.clone()).await.unwrap();
    let stored = store.session(&Scope::DEFAULT, &created.id).await.unwrap();
    assert_eq!(stored, created);
    assert_eq!((stored.title, stored.tags), (new.title, new.tags));
    assert_eq!(stored.metadata, new.metadata);
    let all_tags = SessionQuery::new().with_user(&longest).with_any_tag(["999"]);
    assert_eq!(store.list_sessions(&Scope::DEFAULT, &all_tags).await.unwrap().items.len(), 1);
}

/// Text keeps its NUL characters in titles and metadata.
pub async fn nul_characters_come_back<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let metadata = map(json!({"\0key\0": ["\0", {"a\0": "b\0c"}]}));
    let new = session("s").with_title("\0a\0").with_metadata(metadata.clone());
    let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!((stored.title.as_deref(), &stored.metadata), (Some("\0a\0"), &metadata));
    let patch = SessionPatch::new().with_title("b\0").with_metadata_merged(map(json!({"\0": 1})));
    store.update_session(&Scope::DEFAULT, &id, patch).await.unwrap();
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!(stored.title.as_deref(), Some("b\0"));
    assert_eq!((stored.metadata.len(), &stored.metadata["\0"]), (2, &json!(1)));
}

/// A limit of zero, or above a thousand, is refused by every list.
pub async fn a_limit_out_of_range_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    for limit in [0, 1_001, 1_000_000_000, u32::MAX] {
        let sessions = SessionQuery::new().with_limit(limit);
        refused(store.list_sessions(&Scope::DEFAULT, &sessions).await, ErrorKind::InvalidInput);
        let messages = MessageQuery::new().with_limit(limit);
        let error =
            refused(store.messages(&Scope::DEFAULT, &id, &messages).await, ErrorKind::InvalidInput);
        assert_eq!(error.session_id(), Some(&id));
        for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
            for query in [SearchQuery::all(), SearchQuery::new("turn"), SearchQuery::new("absent")]
            {
                let query = query.with_order(order).with_limit(limit);
                refused(store.search(&Scope::DEFAULT, &query).await, ErrorKind::InvalidInput);
            }
        }
    }
    let largest = MessageQuery::new().with_limit(1_000);
    assert_eq!(store.messages(&Scope::DEFAULT, &id, &largest).await.unwrap().items.len(), 2);
}

/// A search text of more than 4,096 bytes is refused.
pub async fn a_long_search_text_is_refused<F: Fixture>(place: &Place<F>) {
    for length in [MAX_QUERY_BYTES + 1, 100_000] {
        for order in [SearchOrder::Newest, SearchOrder::Rank] {
            let query = SearchQuery::new("x".repeat(length)).with_order(order);
            refused(place.store.search(&Scope::DEFAULT, &query).await, ErrorKind::InvalidInput);
        }
    }
}

/// A cursor that was altered, or that belongs to another query, is refused.
pub async fn a_cursor_of_another_query_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let ids = ["a", "b", "c"].map(session_id);
    for id in &ids {
        store.create_session(&Scope::DEFAULT, session(id).with_user("u")).await.unwrap();
        store.append_all(&Scope::DEFAULT, id, conversation(3)).await.unwrap();
    }
    fn next<T>(page: Result<Page<T>, Error>) -> Cursor {
        page.unwrap().next.expect("there is more")
    }
    let sessions = SessionQuery::new().with_limit(1);
    let messages = MessageQuery::new().with_limit(1);
    let search = SearchQuery::new("turn").with_limit(1);
    let of_sessions = next(store.list_sessions(&Scope::DEFAULT, &sessions).await);
    let of_messages = next(store.messages(&Scope::DEFAULT, &ids[0], &messages).await);
    let of_search = next(store.search(&Scope::DEFAULT, &search).await);
    let mut altered = of_search.as_str().to_owned();
    let last = if altered.ends_with('A') { "B" } else { "A" };
    altered.replace_range(altered.len() - 1.., last);
    let bad = ["", "x", "ü", "AAAAAAAA", &"A".repeat(10_000), &altered].map(Cursor::new);

    let by_creation = sessions.clone().with_order(SessionOrder::Created);
    let others = [&of_messages, &of_search].into_iter().chain(&bad);
    let attempts = others.map(|cursor| (&sessions, cursor));
    let queries = [by_creation, sessions.clone().with_user("u"), sessions.clone().active()];
    for (query, cursor) in attempts.chain(queries.iter().map(|query| (query, &of_sessions))) {
        let query = query.clone().with_after(cursor.clone());
        refused(store.list_sessions(&Scope::DEFAULT, &query).await, ErrorKind::InvalidInput);
    }

    let others = [&of_sessions, &of_search].into_iter().chain(&bad);
    let attempts = others.map(|cursor| (&ids[0], &messages, cursor));
    let queries = [
        (&ids[1], messages.clone()),
        (&ids[0], messages.clone().newest_first()),
        (&ids[0], messages.clone().with_role(Role::User)),
        (&ids[0], messages.clone().with_up_to_seq(seq(3))),
    ];
    let queries = queries.iter().map(|(id, query)| (*id, query, &of_messages));
    for (id, query, cursor) in attempts.chain(queries) {
        let query = query.clone().with_after(cursor.clone());
        let error =
            refused(store.messages(&Scope::DEFAULT, id, &query).await, ErrorKind::InvalidInput);
        assert_eq!(error.session_id(), Some(id));
    }

    let others = [&of_sessions, &of_messages].into_iter().chain(&bad);
    let attempts = others.map(|cursor| (&search, cursor));
    let queries = [
        SearchQuery::new("turns"),
        SearchQuery::all(),
        search.clone().with_order(SearchOrder::Oldest),
        search.clone().with_session(ids[0].clone()),
        search.clone().with_role(Role::User),
    ];
    for (query, cursor) in attempts.chain(queries.iter().map(|query| (query, &of_search))) {
        let query = query.clone().with_after(cursor.clone());
        refused(store.search(&Scope::DEFAULT, &query).await, ErrorKind::InvalidInput);
    }
    // Another limit or offset is the same query.
    let query = messages.with_after(of_messages).with_limit(5).with_offset(1);
    assert_eq!(store.messages(&Scope::DEFAULT, &ids[0], &query).await.unwrap().items.len(), 1);
}

/// Errors name the store, the operation and the ids, and never hold content.
pub async fn errors_say_where_and_hold_no_content<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let secret = "4111-1111-1111-1111";
    let id =
        store.create_session(&Scope::DEFAULT, session("s").with_title(secret)).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("m", secret)).await.unwrap();
    let missing = session_id("absent");
    let metadata = map(json!({ secret: nested(200) }));
    let errors = [
        store.append(&Scope::DEFAULT, &id, said("m", format!("{secret}."))).await.unwrap_err(),
        store
            .append_all(&Scope::DEFAULT, &id, vec![said("n", secret), said("n", secret)])
            .await
            .unwrap_err(),
        store
            .append(&Scope::DEFAULT, &id, said("n", secret).with_metadata(metadata.clone()))
            .await
            .unwrap_err(),
        store.append(&Scope::DEFAULT, &missing, said("n", secret)).await.unwrap_err(),
        store.create_session(&Scope::DEFAULT, session("s").with_title(secret)).await.unwrap_err(),
        store
            .create_session(&Scope::DEFAULT, session("t").with_metadata(metadata.clone()))
            .await
            .unwrap_err(),
        store
            .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_metadata(metadata))
            .await
            .unwrap_err(),
        store.message(&Scope::DEFAULT, &id, &message_id("absent")).await.unwrap_err(),
        store.search(&Scope::DEFAULT, &SearchQuery::new(secret.repeat(1_000))).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.store(), Some(store.name()));
        let op = error.op().expect("an error names the operation");
        let text = format!("{error} {error:?}");
        assert!(error.to_string().contains(op) && error.to_string().contains(store.name()));
        assert!(!text.contains("4111"), "{text}");
    }
}
