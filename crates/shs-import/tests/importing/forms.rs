//! What is of another form than it looks, or is not understood, is told, and nothing is misread.

use serde_json::{Value, json};
use shs_import::Severity;
use shs_memory::MemoryStore;
use shs_store::Role;

use crate::{import, import_all, imported, said, sessions, text, transcript};

/// Each has a key that a known form has, and messages that are not that form's.
#[tokio::test]
async fn what_only_looks_like_a_known_form_is_refused_with_the_sign_and_the_forms() {
    let tree =
        |message: Value| json!({"id": "c", "mapping": {"a": {"parent": null, "message": message}}});
    for (value, sign) in [
        (json!({"messages": [{"from": "user", "content": "a"}]}), "message 1 has no \"role\""),
        (json!({"messages": [{"role": "user", "parts": []}]}), "message 1 has no \"content\""),
        (
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": {"parts": ["b"]}}]}),
            "message 2 has a \"content\" that is neither",
        ),
        (json!({"messages": [{"author": {"role": "user"}, "content": "a"}]}), "no \"role\""),
        (json!({"messages": [{"type": "user", "content": "a"}]}), "no \"role\""),
        (json!({"messages": ["a", "b"]}), "message 1 has no \"role\""),
        (json!({"messages": []}), "is empty"),
        (
            json!({"prompt": [{"role": "user", "content": "a"}], "chosen": [{"text": "b"}], "rejected": []}),
            "no \"role\"",
        ),
        (
            json!({"conversations": [{"conversation": {"id": "x"}, "responses": []}]}),
            "message 1 has no \"from\"",
        ),
        (json!({"conversations": [{"from": "human", "text": "a"}]}), "message 1 has no \"value\""),
        (json!({"conversations": []}), "is empty"),
        (tree(json!({"fragments": [{"type": "REQUEST", "content": "a"}]})), "no \"author/role\""),
        (tree(json!({"author": {"role": "user"}, "text": "a"})), "no \"content\""),
        (json!({"uuid": "u", "chat_messages": [{"role": "user", "text": "a"}]}), "no \"sender\""),
        (json!({"uuid": "u", "chat_messages": [{"sender": "human"}]}), "no \"text\""),
        (
            json!({"id": "o", "chat": {"messages": [{"sender": "user", "content": "a"}]}}),
            "no \"role\"",
        ),
        (json!({"session_id": "s", "messages": [{"text": "a", "type": "human"}]}), "no \"role\""),
        (json!({"unknown": [{"role": "user"}]}), "none of their keys"),
    ] {
        let store = MemoryStore::new();
        let (report, problems) = import_all(&store, text(value.to_string())).await;
        let [problem] = problems.as_slice() else { panic!("{value}: {problems:?}") };
        assert_eq!((report.imported, report.failed), (0, 1), "{value}");
        assert_eq!(problem.severity, Severity::Failed);
        assert!(problem.what.contains(sign), "{value}: {problem}");
        for form in ["transcripts", "openai", "sharegpt", "chatgpt", "claude", "open-webui"] {
            assert!(problem.what.contains(form), "{value}: {problem}");
        }
        assert!(sessions(&store).await.is_empty());
    }
}

#[tokio::test]
async fn a_text_of_which_nothing_is_understood_is_one_failure() {
    let lines =
        |count: usize| format!("{}\n", json!({"type": "event", "payload": {}})).repeat(count);
    let conversation = json!({"messages": [{"role": "user", "content": "a"}]}).to_string();
    let store = MemoryStore::new();
    let (report, problems) = import(&store, text(lines(5_000))).await;
    assert_eq!((report.imported, report.failed, problems.len()), (0, 1, 1));
    assert_eq!(problems[0].place.path, "line 1");
    assert!(problems[0].what.contains("4999 others"), "{problems:?}");

    // Beside what is understood, what has messages of another form fails, each by itself; what holds
    // none is noted.
    let other = json!({"messages": [{"from": "user", "content": "a"}]}).to_string();
    let mixed = format!("{other}\n{other}\n{conversation}\n{other}\n{}", lines(2));
    let (report, problems) = import(&store, text(mixed)).await;
    assert_eq!((report.imported, report.failed, report.notes), (1, 2, 3), "{problems:?}");
    let paths: Vec<_> = problems.iter().map(|problem| problem.place.path.as_str()).collect();
    assert_eq!(paths, ["line 1", "line 4", "line 5", "line 6"]);
    // Also if the text breaks off behind it.
    let store = MemoryStore::new();
    let (report, problems) = import(&store, text(format!("[{other}, {other}, "))).await;
    assert_eq!((report.failed, problems.len()), (2, 2), "{problems:?}");
}

#[tokio::test]
async fn roles_have_their_other_names_and_unknown_ones_are_told() {
    let names = ["ai", "bot", "gpt", "Assistant", "assistant ", "MODEL", "human", "User", "Tool"];
    let messages: Vec<Value> =
        names.iter().map(|name| json!({"role": name, "content": "x"})).collect();
    let from: Vec<Value> = names.iter().map(|name| json!({"from": name, "value": "x"})).collect();
    for value in [json!({"messages": messages}), json!({"conversations": from})] {
        let store = imported(value.to_string()).await;
        let id = sessions(&store).await[0].id.to_string();
        let messages = transcript(&store, &id).await.messages;
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        let mut expected = vec![Role::Assistant; 6];
        expected.extend([Role::User, Role::User, Role::Tool]);
        assert_eq!(roles, expected);
    }
    let store = MemoryStore::new();
    let narrator = json!({"role": "narrator", "content": "x"});
    let value = json!({"messages": [narrator, narrator]});
    let (report, problems) = import(&store, text(value.to_string())).await;
    assert_eq!((report.imported, report.failed, report.notes), (1, 0, 2));
    assert!(problems[0].what.contains("\"narrator\"") && problems[0].what.contains("2 messages"));
    let id = sessions(&store).await[0].id.to_string();
    let kept = &transcript(&store, &id).await.messages[1].metadata["openai"]["role"];
    assert_eq!(kept, "narrator");
}

#[tokio::test]
async fn turns_of_one_form_under_the_key_of_another_and_a_chat_by_itself_are_read() {
    let value = json!({"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    let store = imported(value.to_string()).await;
    let id = sessions(&store).await[0].id.to_string();
    assert_eq!(said(&transcript(&store, &id).await.messages), [("user", "a"), ("assistant", "b")]);

    let chat = json!({"title": "T", "messages": [], "history": {"currentId": "a", "messages": {
        "a": {"id": "a", "parentId": null, "role": "user", "content": "hi", "timestamp": 1}}}});
    for (value, id) in [
        (chat.clone(), None),
        (json!({"id": "", "chat": chat.clone()}), None),
        (json!({"id": "", "chat": {"id": "c1", "history": chat["history"]}}), Some("c1")),
    ] {
        let store = imported(value.to_string()).await;
        let session = &sessions(&store).await[0];
        assert!(id.is_none_or(|id| session.id.as_str() == id), "{}", session.id);
        assert_eq!(said(&transcript(&store, session.id.as_str()).await.messages), [("user", "hi")]);
        let (report, _) = import(&store, text(value.to_string())).await;
        assert_eq!(report.already_there, 1);
    }
}

#[tokio::test]
async fn a_broken_character_costs_itself_and_is_told() {
    let long = "x".repeat(100_000);
    for (said_there, read) in [
        (r"half \ud83d of it".to_owned(), "half \u{fffd} of it".to_owned()),
        (r"\ude00".to_owned(), "\u{fffd}".to_owned()),
        (format!(r"{long}\ud83d"), long.clone() + "\u{fffd}"),
    ] {
        let line = format!(r#"{{"messages": [{{"role": "user", "content": "{said_there}"}}]}}"#);
        for input in [format!("[{line}]"), format!("{line}\n{line}\n"), line] {
            let store = MemoryStore::new();
            let (report, problems) = import(&store, text(input)).await;
            assert!(report.imported > 0 && report.failed == 0, "{problems:?}");
            assert!(problems.iter().all(|problem| problem.what.contains("U+FFFD")));
            assert_eq!(report.notes, problems.len() as u64 + 1, "and that there are no times");
            let id = sessions(&store).await[0].id.to_string();
            assert_eq!(transcript(&store, &id).await.messages[0].content, read);
        }
    }
    let mut bytes = br#"{"messages": [{"role": "user", "content": "a"#.to_vec();
    bytes.extend(b"\xff b\"}]}");
    let store = MemoryStore::new();
    let (report, _) = import(&store, text(bytes)).await;
    assert_eq!((report.imported, report.failed), (1, 0));
}

#[tokio::test]
async fn times_are_read_as_tools_write_them_and_kept_where_they_cannot_be() {
    let micros = 1_768_473_000_000_000_i64;
    for (given, expected) in [
        (json!(1_768_473_000), Some(micros)),
        (json!("1768473000"), Some(micros)),
        (json!("1768473000000"), Some(micros)),
        (json!("2026-01-15T10:30:00Z"), Some(micros)),
        (json!("2026-01-15 10:30:00 UTC"), Some(micros)),
        (json!("Thu, 15 Jan 2026 10:30:00 +0000"), Some(micros)),
        (json!({"$date": "2026-01-15T10:30:00Z"}), Some(micros)),
        (json!({"$date": {"$numberLong": "1768473000000"}}), Some(micros)),
        (json!("2026-01-15"), Some(micros - 37_800_000_000)),
        (json!("01/15/2026"), None),
        (json!(true), None),
    ] {
        let value = json!({"id": "c", "create_time": given, "mapping": {"a": {"parent": null, "message": {
            "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["x"]}, "create_time": given}}}});
        let store = MemoryStore::new();
        let (report, problems) = import_all(&store, text(value.to_string())).await;
        assert_eq!((report.imported, report.failed), (1, 0));
        let transcript = transcript(&store, "c").await;
        let (session, message) = (&transcript.session, &transcript.messages[0]);
        match expected {
            Some(micros) => {
                assert_eq!(problems, [], "{given}");
                assert_eq!(session.created_at.as_micros(), micros, "{given}");
                assert_eq!(message.timestamp.as_micros(), micros, "{given}");
            }
            None => {
                assert_eq!(session.metadata["chatgpt"]["create_time"], given);
                assert_eq!(message.metadata["chatgpt"]["create_time"], given);
                assert_eq!(problems.len(), 2, "{problems:?}");
                assert!(problems[0].what.contains("a time cannot be read"), "{problems:?}");
                assert!(problems[1].what.contains("1970-01-01 stands for it"), "{problems:?}");
            }
        }
    }
    // Our own form, by number.
    let store = imported(r#"{"session_id": "s", "messages": [{"role": "user", "content": "x", "timestamp": 1768473000}]}"#).await;
    let transcript = transcript(&store, "s").await;
    assert_eq!(transcript.messages[0].timestamp.as_micros(), micros);
    assert_eq!(transcript.session.created_at.as_micros(), micros);
    assert!(transcript.messages[0].extra.is_empty());
}
