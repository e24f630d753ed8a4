//! Exports of chats that branch: ChatGPT, Claude.ai, Open WebUI.

use serde_json::{Value, json};
use shs_store::{Part, Role, Status};

use crate::{imported, said, sessions, transcript};

fn node(id: &str, parent: &str, role: &str, content: Value) -> (String, Value) {
    let message = json!({
        "id": id, "author": {"role": role, "name": null, "metadata": {}}, "create_time": 1_700_000_000.25,
        "content": content, "status": "finished_successfully", "weight": 1.0, "recipient": "all",
        "metadata": {"model_slug": if role == "assistant" { Value::from("gpt-5") } else { Value::Null }},
    });
    (id.to_owned(), json!({"id": id, "parent": parent, "children": [], "message": message}))
}

fn words(text: &str) -> Value {
    json!({"content_type": "text", "parts": [text]})
}

/// A conversation of ChatGPT with everything that its exports are known to have.
pub(crate) fn chatgpt() -> Value {
    let mut mapping = serde_json::Map::from_iter([
        (
            "root".to_owned(),
            json!({"id": "root", "parent": null, "children": ["sys"], "message": null}),
        ),
        node("sys", "root", "system", words("")),
        node(
            "about",
            "sys",
            "user",
            json!({"content_type": "user_editable_context", "user_profile": "I am Alice.", "user_instructions": "Be short."}),
        ),
        node(
            "q",
            "about",
            "user",
            json!({"content_type": "multimodal_text", "parts": [
            {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "size_bytes": 7}, "What is on it?"]}),
        ),
        node("a1", "q", "assistant", words("A cat.")),
        node("a2", "q", "assistant", words("A dog.")),
        node(
            "think",
            "a2",
            "assistant",
            json!({"content_type": "thoughts", "thoughts": [{"summary": "Thinking", "content": "It barks."}]}),
        ),
        node(
            "call",
            "think",
            "assistant",
            json!({"content_type": "code", "language": "python", "text": "{\"a\": 1}"}),
        ),
        node("ran", "call", "tool", json!({"content_type": "execution_output", "text": "1"})),
        node("odd", "ran", "assistant", json!({"content_type": "hologram", "shape": [1, 2]})),
        node("cut", "odd", "assistant", words("It is a d")),
        node("later", "a1", "user", words("Really?")),
    ]);
    mapping["sys"]["message"]["weight"] = json!(0.0);
    mapping["about"]["message"]["metadata"]["is_visually_hidden_from_conversation"] = true.into();
    mapping["q"]["message"]["metadata"]["attachments"] = json!([{"id": "file-2", "name": "note.txt", "mime_type": "text/plain", "extracted_content": "Pasted words."}]);
    mapping["call"]["message"]["recipient"] = "python".into();
    mapping["cut"]["message"]["status"] = "in_progress".into();
    mapping["cut"]["message"]["create_time"] = Value::Null;
    json!({
        "id": "c1", "conversation_id": "c1", "title": "Pets", "create_time": 1_700_000_000.125, "update_time": 1_700_000_100.0,
        "mapping": mapping, "current_node": "cut", "is_archived": true, "gizmo_id": null, "default_model_slug": "gpt-5",
    })
}

#[tokio::test]
async fn chatgpt_comes_with_branches_tools_files_and_what_is_hidden() {
    let store = imported(json!([chatgpt()]).to_string()).await;
    let read = transcript(&store, "c1").await;
    assert_eq!(
        said(&read.messages),
        [
            ("system", ""),
            ("user", "I am Alice.\nBe short."),
            ("user", "What is on it?\nPasted words."),
            ("assistant", "A dog."),
            ("assistant", ""),
            ("assistant", "{\"a\": 1}"),
            ("tool", "1"),
            ("assistant", ""),
            ("assistant", "It is a d"),
        ]
    );
    let [system, about, question, answer, thought, call, ran, odd, cut] = &read.messages[..] else {
        panic!("nine messages")
    };
    assert_eq!(
        (&system.metadata["hidden"], &about.metadata["hidden"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(question.parts[0].as_object()["file_id"], "file-service://file-1");
    assert_eq!(question.parts[0].as_object()["size_bytes"], 7);
    assert_eq!(question.parts[2].as_object()["name"], "note.txt");
    assert_eq!((answer.id.as_str(), answer.model.as_deref()), ("a2", Some("gpt-5")));
    assert_eq!(answer.timestamp.to_string(), "2023-11-14T22:13:20.250000+00:00");
    assert_eq!(thought.parts, [Part::reasoning("Thinking\nIt barks.")]);
    assert_eq!(call.parts[0].as_object()["name"], "python");
    assert_eq!(call.parts[0].as_object()["arguments"], json!({"a": 1}));
    assert_eq!(ran.parts[0].kind(), "tool_call_response");
    assert_eq!(odd.metadata["chatgpt"]["content"]["shape"], json!([1, 2]));
    assert_eq!((cut.status, cut.timestamp), (Status::Interrupted, odd.timestamp));
    let session = read.session;
    assert_eq!((session.title.as_deref(), session.forked_from), (Some("Pets"), None));
    assert_eq!(session.created_at.to_string(), "2023-11-14T22:13:20.125000+00:00");
    assert_eq!(session.metadata["chatgpt"]["is_archived"], true);

    let branch = transcript(&store, "c1/later").await;
    let from = branch.session.forked_from.unwrap();
    assert_eq!((from.session_id.as_str(), from.seq.get()), ("c1", 3));
    assert_eq!(said(&branch.messages[3..]), [("assistant", "A cat."), ("user", "Really?")]);
    assert_eq!(branch.messages[..3], read.messages[..3]);
    assert_eq!(sessions(&store).await.len(), 2);
}

/// A conversation of Claude.ai with a question that was changed.
pub(crate) fn claude() -> Value {
    let message = |uuid: &str, parent: &str, sender: &str, second: u32, rest: Value| {
        let mut message = json!({
            "uuid": uuid, "parent_message_uuid": parent, "sender": sender, "text": "", "content": [], "attachments": [], "files": [],
            "created_at": format!("2026-01-01T10:00:{second:02}.123456Z"), "updated_at": format!("2026-01-01T10:00:{second:02}Z"),
        });
        message.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        message
    };
    json!({
        "uuid": "b0", "name": "Weather", "summary": "About it.", "created_at": "2026-01-01T10:00:00Z", "updated_at": "2026-01-01T11:00:00Z",
        "account": {"uuid": "acc"}, "chat_messages": [
            message("m1", "00000000-0000-4000-8000-000000000000", "human", 1, json!({
                "attachments": [{"file_name": "paste.txt", "file_size": 5, "file_type": "txt", "extracted_content": "A pasted text."}]})),
            message("m2", "m1", "assistant", 2, json!({"text": "Let me see.", "content": [
                {"type": "thinking", "thinking": "A tool knows."}, {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bern"}},
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "sunny"}], "is_error": false}]})),
            message("m3", "m2", "human", 3, json!({"text": "Thanks", "content": [{"type": "text", "text": "Thanks"}], "files": [{"file_name": "map.png"}]})),
            message("m3b", "m2", "human", 4, json!({"text": "And tomorrow?", "content": [{"type": "text", "text": "And tomorrow?"}]})),
        ],
    })
}

#[tokio::test]
async fn claude_comes_with_pasted_text_tools_and_changed_questions() {
    let store = imported(json!([claude()]).to_string()).await;
    let read = transcript(&store, "b0").await;
    assert_eq!(
        said(&read.messages),
        [
            ("user", "A pasted text."),
            ("assistant", "Let me see.\nsunny"),
            ("user", "And tomorrow?")
        ]
    );
    let kinds: Vec<_> = read.messages[1].parts.iter().map(Part::kind).collect();
    assert_eq!(kinds, ["reasoning", "text", "tool_call", "tool_call_response"]);
    assert_eq!(read.messages[0].parts[0].as_object()["file_name"], "paste.txt");
    assert_eq!(read.session.title.as_deref(), Some("Weather"));
    assert_eq!(read.session.metadata["claude"]["summary"], "About it.");
    let branch = transcript(&store, "b0/m3").await;
    assert_eq!(branch.session.forked_from.unwrap().seq.get(), 2);
    assert_eq!(branch.messages[2].parts[1].as_object()["file_id"], "map.png");

    // Before there were branches, the order was all there was.
    let mut old = claude();
    for message in old["chat_messages"].as_array_mut().unwrap() {
        message.as_object_mut().unwrap().remove("parent_message_uuid");
    }
    let store = imported(old.to_string()).await;
    assert_eq!(transcript(&store, "b0").await.messages.len(), 4);
    assert_eq!(sessions(&store).await.len(), 1);
}

/// A chat of Open WebUI with an answer that was made anew.
pub(crate) fn open_webui() -> Value {
    let message = |id: &str, parent: Value, role: &str, content: &str| {
        json!({
            "id": id, "parentId": parent, "childrenIds": [], "role": role, "content": content, "timestamp": 1_700_000_000, "done": true,
        })
    };
    let mut messages = json!({
        "u": message("u", Value::Null, "user", "Hello"),
        "a": message("a", json!("u"), "assistant", "Hi"),
        "b": message("b", json!("u"), "assistant", "Hello!"),
    });
    messages["b"]["model"] = "llama3".into();
    messages["b"]["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2});
    messages["b"]["sources"] = json!([{"source": {"name": "x"}}]);
    messages["a"]["error"] = json!({"content": "out of memory"});
    messages["u"]["files"] = json!([{"type": "image", "url": "data:image/png;base64,aGk="}, {"type": "file", "id": "f1", "name": "a.pdf"}]);
    json!({
        "id": "w1", "user_id": "someone", "title": "Greeting", "created_at": 1_700_000_000, "updated_at": 1_700_000_500_000_i64,
        "archived": false, "pinned": true, "meta": {"tags": ["greeting", "test"]},
        "chat": {"title": "Greeting", "models": ["llama3"], "history": {"currentId": "b", "messages": messages}, "messages": []},
    })
}

#[tokio::test]
async fn open_webui_comes_with_usage_files_and_answers_made_anew() {
    let store = imported(json!([open_webui()]).to_string()).await;
    let read = transcript(&store, "w1").await;
    assert_eq!(said(&read.messages), [("user", "Hello"), ("assistant", "Hello!")]);
    let answer = &read.messages[1];
    assert_eq!((answer.model.as_deref(), answer.tokens), (Some("llama3"), Some(2)));
    assert_eq!(answer.metadata["open-webui"]["sources"][0]["source"]["name"], "x");
    assert_eq!(
        read.messages[0].parts[1],
        Part::blob("image", "aGk=", Some("image/png".to_owned()))
    );
    assert_eq!(read.messages[0].parts[2].as_object()["name"], "a.pdf");
    assert_eq!(read.session.tags, ["greeting", "test"]);
    assert_eq!(read.session.updated_at.to_string(), "2023-11-14T22:21:40.000000+00:00");
    assert_eq!(read.session.metadata["open-webui"]["pinned"], true);
    let branch = transcript(&store, "w1/a").await;
    assert_eq!(
        (branch.messages[1].role, branch.messages[1].status),
        (Role::Assistant, Status::Error)
    );
    assert_eq!(branch.session.forked_from.unwrap().seq.get(), 1);
}

#[tokio::test]
async fn a_tree_that_goes_in_circles_or_has_no_beginning_comes_to_an_end() {
    let mut chat = chatgpt();
    chat["mapping"]["root"]["parent"] = "cut".into();
    chat["mapping"]["later"]["parent"] = "gone".into();
    chat["current_node"] = "nowhere".into();
    let store = imported(chat.to_string()).await;
    let all = sessions(&store).await;
    assert!(all.iter().any(|session| session.id.as_str() == "c1"), "{all:?}");
}

#[tokio::test]
async fn nothing_of_a_circle_and_nothing_that_has_the_id_of_another_is_lost() {
    let mapping = |nodes: Vec<(String, Value)>| Value::Object(nodes.into_iter().collect());
    let ring = [node("a", "b", "user", words("x")), node("b", "a", "assistant", words("y"))];
    let alone = [ring[0].clone(), ring[1].clone(), node("c", "gone", "user", words("z"))];
    for (nodes, current, all) in
        [(ring.to_vec(), "nowhere", 2), (alone.to_vec(), "c", 3), (alone[1..].to_vec(), "b", 2)]
    {
        let chat = json!({"id": "ring", "current_node": current, "mapping": mapping(nodes)});
        let store = imported(chat.to_string()).await;
        let counts = sessions(&store).await.into_iter().map(|session| session.message_count);
        assert_eq!(counts.sum::<u64>(), all);
    }

    let message =
        |id: Option<&str>, text: &str| json!({"uuid": id, "sender": "human", "text": text});
    for ids in [[Some("1"), Some("1"), Some("2")], [None, Some("m1"), Some("m1")]] {
        let messages: Vec<Value> =
            ids.iter().zip(["x", "y", "z"]).map(|(id, text)| message(*id, text)).collect();
        let chat = json!({"uuid": "twice", "chat_messages": messages});
        let store = imported(chat.to_string()).await;
        let read = transcript(&store, "twice").await;
        let texts: Vec<&str> = said(&read.messages).iter().map(|(_, text)| *text).collect();
        assert_eq!(texts, ["x", "y", "z"]);
    }
}
