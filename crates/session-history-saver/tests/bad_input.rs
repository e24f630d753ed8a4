//! What a person or a program may give that is too much, too long or broken: an error that says what to do, and
//! nothing is stored; or it is kept as it is.

mod stores;

use std::error::Error;

use serde_json::{Value, json};
use session_history_saver::{
    Cursor, ErrorKind, ImportMode, MessageId, SearchQuery, SessionId, SessionQuery, SessionTracker,
    Timestamp,
};
use stores::on_every_store;

/// Nothing was stored.
async fn assert_empty(history: &SessionTracker) {
    let stats = history.stats().await.unwrap();
    assert_eq!((stats.sessions, stats.messages), (0, 0));
}

on_every_store! {
    async fn ids_that_cannot_be_are_refused(history) {
        for bad in ["", "a\nb", "\0", "\u{1b}[2J", "\u{85}", &"x".repeat(256)] {
            assert_eq!(SessionId::new(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(MessageId::new(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
            let error = history.session().id(bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            let session = json!({"session_id": bad, "messages": []});
            let error = history.import_value(session, ImportMode::CreateOnly).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            let session = json!({"session_id": "s", "messages": [
                {"message_id": bad, "role": "user", "content": "Hello!"},
            ]});
            let error = history.import_value(session, ImportMode::CreateOnly).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        assert_empty(&history).await;
    }

    async fn ten_megabytes_of_text_with_nul_are_kept_and_found(history) {
        let session = history.session().await.unwrap();
        let text = format!("begin \0 {} vu end", "… ".repeat(10 * 1024 * 1024 / 4));
        session.user(text.as_str()).await.unwrap();
        assert!(session.last(1).await.unwrap()[0].content == text, "it comes back whole");
        let hits = history.search("begin -other \"vu end\"").await.unwrap().items;
        assert_eq!(hits.len(), 1);
        assert!(hits[0].snippet.text.starts_with("begin"));
    }

    async fn a_million_tags_are_refused(history) {
        let error = history.session().tags((0..1_000_000).map(|n| n.to_string())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("1000000"), "{error}");
        assert_empty(&history).await;
    }

    async fn metadata_that_is_nested_too_deep_is_refused(history) {
        let deep = (0..200).fold(json!({}), |inner, _| json!({ "a": inner }));
        let error = history.session().metadata("deep", deep.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("nested more than 100"), "{error}");
        let session = json!({"session_id": "s", "metadata": deep, "messages": []});
        let json = session.to_string();
        let value = history.import_value(session, ImportMode::CreateOnly).await.unwrap_err();
        let text = history.import_json(json, ImportMode::CreateOnly).await.unwrap_err();
        for error in [value, text] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let cause = error.source().unwrap();
            assert!(format!("{error}: {cause}").contains("nested"), "{error}: {cause}");
        }
        // So deep that reading it carelessly would overflow the stack.
        let bottomless = "[".repeat(1_000_000);
        let error = history.import_json(bottomless, ImportMode::CreateOnly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_empty(&history).await;
    }

    async fn times_at_the_ends_are_kept_and_those_beyond_are_refused(history) {
        let times = [
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000+00:00"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999+00:00"),
            ("1969-07-20T20:17:40.5Z", "1969-07-20T20:17:40.500000+00:00"),
            ("2026-11-22T11:30:00.123456789Z", "2026-11-22T11:30:00.123456+00:00"),
        ];
        let session = history.session().await.unwrap();
        for (given, kept) in times {
            let at: Timestamp = given.parse().unwrap();
            session.user(given).timestamp(at).await.unwrap();
            let stored = session.last(1).await.unwrap().remove(0);
            assert_eq!(stored.timestamp.to_string(), kept);
        }
        assert!(session.stats().await.unwrap().duration_seconds.unwrap() > 6e10);
        for bad in ["0000-12-31T23:59:59Z", "+10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "now"] {
            assert_eq!(bad.parse::<Timestamp>().unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
            let session = json!({"session_id": "bad", "created_at": bad, "messages": []});
            let error = history.import_value(session, ImportMode::CreateOnly).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }

    async fn any_query_is_answered_or_told_to_be_too_long(history) {
        history.session().await.unwrap().user("and or not near").await.unwrap();
        let found = async |text: &str| history.search(text).await.unwrap().items.len();
        for nothing in ["", "\"", "*", "-", ".,;!?()", "\"\"\"", "%", "' OR 1=1 --", "\0", "-and"] {
            assert_eq!(found(nothing).await, 0, "{nothing}");
        }
        for one in ["AND OR NOT NEAR(", "\"and or", "\"and or\" not*", "n*", "not(near"] {
            assert_eq!(found(one).await, 1, "{one}");
        }
        let error = history.search("x".repeat(100_000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("100000") && error.to_string().contains("4096"), "{error}");
    }

    async fn limits_and_cursors_that_are_none_are_refused(history) {
        for _ in 0..2 {
            history.session().user("alice").await.unwrap().user("Hello!").await.unwrap();
        }
        for limit in [0, 1_000_000_000] {
            let query = SessionQuery::new().with_limit(limit);
            assert_eq!(history.list(query).await.unwrap_err().kind(), ErrorKind::InvalidInput);
            let query = SearchQuery::new("hello").with_limit(limit);
            assert_eq!(history.search(query).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let query = SessionQuery::new().with_limit(1);
        let cursor = history.list(query.clone()).await.unwrap().next.unwrap();
        let tampered = Cursor::new(cursor.as_str().replace(|c: char| c.is_ascii_digit(), "A") + "A");
        for (query, cursor) in [
            (query.clone(), tampered),
            (query.clone(), Cursor::new("' OR 1=1 --")),
            (query.clone().with_user("alice"), cursor.clone()),
            (query.clone().ended(), cursor.clone()),
        ] {
            let error = history.list(query.with_after(cursor)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        assert_eq!(history.list(query.with_after(cursor)).await.unwrap().items.len(), 1);
    }

    async fn json_that_is_no_session_is_refused(history) {
        let half = r#"{"session_id": "s", "messages": [{"role": "user", "con"#;
        let bad: [&[u8]; 7] =
            [b"", b"null", b"[]", b"{}{}", half.as_bytes(), b"{\"session_id\": \"\xff\"}", b"\0"];
        for json in bad {
            let error = history.import_json(json, ImportMode::CreateOnly).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        let error = history.import_value(Value::Null, ImportMode::CreateOnly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_empty(&history).await;
    }
}
