//! The programs that data sets are made for read what is exported here: `datasets` and the types of the `openai` SDK.

use std::path::Path;

use serde_json::{Value, json};
use session_history_saver::export::{Check, Format};
use session_history_saver::{
    ImportMode, Location, NewSession, Scope, SessionTracker, Store, StoreExt, Transcript,
    open_store,
};
use shs_tests::{python, skip};

/// What reads it. `datasets` brings pyarrow and pandas.
const PACKAGES: [&str; 2] = ["datasets==5.2.0", "openai==3.54.0"];

/// Conversations with everything that formats carry, each with other tools.
fn conversations() -> Vec<Value> {
    let tool = |name: &str, properties: Value| {
        let parameters = json!({"type": "object", "properties": properties});
        json!({"type": "function", "function": {"name": name, "description": "It tells.", "parameters": parameters}})
    };
    let called = |name: &str, arguments: Value| {
        json!([
            {"type": "reasoning", "content": "A tool knows."},
            {"type": "tool_call", "id": "call_a", "name": name, "arguments": arguments},
        ])
    };
    let result = json!([{"type": "tool_call_response", "id": "call_a", "response": {"found": [1, null, "部署"]}}]);
    let with_tool = |id: &str, name: &str, properties: Value, arguments: Value| {
        json!({
            "session_id": id,
            "metadata": {"tools": [tool(name, properties)], "parallel_tool_calls": true},
            "messages": [
                {"role": "system", "content": "You are of help."},
                {"role": "user", "content": "What about \"Paris\"?\n\tAnd 東京? 😀", "metadata": {"name": "alice"}},
                {"role": "assistant", "content": "", "parts": called(name, arguments)},
                {"role": "tool", "content": "found", "parts": result},
                {"role": "assistant", "content": "It is there.", "metadata": {"weight": 1}},
            ],
        })
    };
    let image = json!([{"type": "uri", "modality": "image", "uri": "https://example.com/cat.png"}]);
    vec![
        with_tool(
            "weather",
            "weather",
            json!({"city": {"type": "string"}}),
            json!({"city": "Paris", "days": 3}),
        ),
        with_tool(
            "search",
            "search",
            json!({"query": {"type": "array"}}),
            json!({"query": ["Paris"], "days": null}),
        ),
        json!({"session_id": "plain", "messages": [
            {"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "Bye."},
            {"role": "assistant", "content": "Bye!", "metadata": {"choice": 0, "weight": 0}},
            {"role": "assistant", "content": "See you!", "metadata": {"choice": 1, "feedback": "up"}},
        ]}),
        json!({"session_id": "image", "messages": [
            {"role": "user", "content": "What is it?", "parts": image}, {"role": "assistant", "content": "A cat."},
        ]}),
    ]
}

#[tokio::test]
async fn datasets_and_openai_read_what_is_exported() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let python = match python::with_packages(target, "training-data", &PACKAGES) {
        Ok(python) => python,
        Err(why) => return skip("datasets_and_openai_read_what_is_exported", &why),
    };
    let store = open_store(&Location::Memory).await.unwrap();
    for session in conversations() {
        let transcript: Transcript = serde_json::from_value(session).unwrap();
        store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    }
    let plain = "plain".parse().unwrap();
    let fork = store.fork(&Scope::DEFAULT, &plain, 1_u32.into(), NewSession::new()).await.unwrap();
    let again = session_history_saver::NewMessage::assistant("Good morning.");
    store.append(&Scope::DEFAULT, &fork.id, again).await.unwrap();

    let history = SessionTracker::with_store(store);
    let folder = tempfile::tempdir().unwrap();
    let formats = Format::ALL.iter().filter(|format| format.is_for_training());
    let mut expected = serde_json::Map::new();
    for format in formats {
        let file = format!("{format}.{}", format.extension());
        let path = folder.path().join(&file);
        let report = history.export(*format).to_file(&path).await.unwrap();
        assert!(report.conversations > 0, "{format}");
        expected.insert(file, report.conversations.into());
        if let Ok(check) = Check::new(*format) {
            let read = std::fs::read(&path).unwrap();
            let checked = check.read(&read[..], |problem| panic!("{format}: {problem}")).unwrap();
            assert_eq!(checked.lines, report.conversations);
        }
    }
    std::fs::write(folder.path().join("expected.json"), Value::Object(expected).to_string())
        .unwrap();
    let read: Value =
        serde_json::from_str(&python::script(&python, "load_training.py", folder.path())).unwrap();
    // Messages that the types of the SDK were asked about; and files that datasets loaded.
    assert_eq!(read["messages"], 5 + 5 + 4 + 2 + 2 + (1 + 2) + (3 + 2));
    assert_eq!(read["loaded"], 7);
}
