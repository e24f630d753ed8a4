//! Pairs of answers.

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use shs_export::{Export, Format, Reason};
use shs_store::{MessageId, NewMessage, NewSession, Scope, SessionId, Status, Store, StoreExt};
use support::{assistant, lines, one, user, written};

fn choice(number: u32, content: &str) -> Value {
    json!({"role": "assistant", "content": content, "metadata": {"choice": number}})
}

fn rated(number: u32, content: &str, feedback: Value) -> Value {
    json!({"role": "assistant", "content": content, "metadata": {"choice": number, "feedback": feedback}})
}

fn answers(line: &Value) -> (&str, &str) {
    let text = |side: &str| line[side][0]["content"].as_str().unwrap();
    (text("preferred_output"), text("non_preferred_output"))
}

#[tokio::test]
async fn several_answers_to_one_request_make_pairs() {
    let store = one(json!([
        user("A?"),
        assistant("a"),
        user("B?"),
        choice(0, "b0"),
        choice(1, "b1"),
        user("C?"),
        rated(0, "c0", json!("down")),
        rated(1, "c1", json!(0.5)),
        choice(2, "c2"),
    ]))
    .await;
    let (pairs, report) = lines(&store, Format::OpenAiDpo).await;
    assert_eq!(
        pairs[0],
        json!({
            "input": {"messages": [user("A?"), assistant("a"), user("B?")], "tools": [], "parallel_tool_calls": true},
            "preferred_output": [assistant("b0")],
            "non_preferred_output": [assistant("b1")],
        })
    );
    let said: Vec<_> = pairs.iter().map(answers).collect();
    assert_eq!(said, [("b0", "b1"), ("c1", "c0"), ("c1", "c2")]);
    let before = json!([user("A?"), assistant("a"), user("B?"), assistant("b0"), user("C?")]);
    assert_eq!(pairs[1]["input"]["messages"], before);
    assert_eq!((report.conversations, report.messages), (3, 5 + 7 + 7));
    // Elsewhere the preferred answers are the conversation.
    let (openai, report) = lines(&store, Format::OpenAi).await;
    let contents: Vec<_> = openai[0]["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect();
    assert_eq!(contents, ["A?", "a", "B?", "b0", "C?", "c1"]);
    assert_eq!(report.dropped_messages[&Reason::Alternative], 3);

    let equal = one(json!([user("A?"), choice(0, "a"), choice(1, "b")])).await;
    let (none, report) = lines(&equal, Format::OpenAiDpo).await;
    assert!(none.is_empty());
    assert_eq!(report.dropped_conversations[&Reason::NoPreference], 1);
}

/// Adds messages that end in an answer; returns its id.
async fn say(store: &Arc<dyn Store>, id: &SessionId, texts: &[&str]) -> MessageId {
    let mut last = MessageId::generate();
    for text in texts {
        let message = match text.strip_suffix('?') {
            Some(_) => NewMessage::user(*text),
            None => NewMessage::assistant(*text),
        };
        last = store.append(&Scope::DEFAULT, id, message).await.unwrap().id;
    }
    last
}

async fn new(store: &Arc<dyn Store>) -> SessionId {
    store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id
}

async fn fork(store: &Arc<dyn Store>, id: &SessionId, up_to: u32) -> SessionId {
    store.fork(&Scope::DEFAULT, id, up_to.into(), NewSession::new()).await.unwrap().id
}

#[tokio::test]
async fn a_fork_with_another_answer_makes_a_pair() {
    let store: Arc<dyn Store> = Arc::new(shs_memory::MemoryStore::new());
    let source = new(&store).await;
    say(&store, &source, &["A?", "a", "B?", "b"]).await;
    let other = fork(&store, &source, 3).await;
    say(&store, &other, &["b again"]).await;
    let pair = |id: SessionId| {
        let export = Export::new(Arc::clone(&store), Format::OpenAiDpo).session(&id);
        async move {
            let (text, report) = written(&export).await;
            let line = text.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap());
            (line, report)
        }
    };
    // Somebody asked for another one.
    let (line, _) = pair(other.clone()).await;
    assert_eq!(answers(line.as_ref().unwrap()), ("b again", "b"));
    let input = json!([user("A?"), assistant("a"), user("B?")]);
    assert_eq!(line.unwrap()["input"]["messages"], input);
    // The conversation went on with the first.
    say(&store, &source, &["C?", "c"]).await;
    assert_eq!(answers(pair(other.clone()).await.0.as_ref().unwrap()), ("b", "b again"));
    // And with the other.
    say(&store, &other, &["D?", "d"]).await;
    assert_eq!(answers(pair(other.clone()).await.0.as_ref().unwrap()), ("b again", "b"));

    // No pairs: another question, the same answer, an answer that is not whole, and the source itself.
    let question = fork(&store, &source, 2).await;
    say(&store, &question, &["Another?", "x"]).await;
    let same = fork(&store, &source, 3).await;
    say(&store, &same, &["b"]).await;
    let cut = fork(&store, &source, 3).await;
    let message = NewMessage::assistant("b, no").with_status(Status::Interrupted);
    store.append(&Scope::DEFAULT, &cut, message).await.unwrap();
    let expected = [
        (question, Reason::NoPair),
        (same, Reason::SameAnswer),
        (cut, Reason::Interrupted),
        (source.clone(), Reason::NoPair),
    ];
    for (id, reason) in expected {
        let (line, report) = pair(id).await;
        assert!(line.is_none(), "{reason}");
        assert_eq!(report.dropped_conversations[&reason], 1);
    }
    store.delete_session(&Scope::DEFAULT, &source).await.unwrap();
    assert_eq!(pair(other).await.1.dropped_conversations[&Reason::NoPair], 1);
}
