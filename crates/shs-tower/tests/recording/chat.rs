//! OpenAI's chat completions.

use serde_json::{Value, json};
use shs_store::{Part, Role, Status};

use crate::support::{Answer, Setup, chat, turns};

fn chunks(chunks: impl IntoIterator<Item = Value>) -> Answer {
    let events = chunks.into_iter().map(|chunk| format!("data: {chunk}\n\n"));
    Answer::events(events.chain(["data: [DONE]\n\n".to_owned()]))
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"id": "chatcmpl-7", "model": "m-2", "choices": [{"index": index, "delta": delta, "finish_reason": null}]})
}

fn finish(index: u32, reason: &str) -> Value {
    json!({"id": "chatcmpl-7", "model": "m-2", "choices": [{"index": index, "delta": {}, "finish_reason": reason}]})
}

#[tokio::test]
async fn what_an_answer_keeps() {
    let setup = Setup::new();
    let usage = json!({
        "prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27,
        "prompt_tokens_details": {"cached_tokens": 16}, "completion_tokens_details": {"reasoning_tokens": 4},
    });
    let answer = chunks([
        delta(0, json!({"role": "assistant", "content": ""})),
        delta(0, json!({"content": "Hi"})),
        json!({"obfuscation": "x7", "choices": [{"index": 0, "delta": {"content": "!"}, "logprobs": null}], "usage": null}),
        finish(0, "length"),
        json!({"choices": [], "usage": usage}),
    ]);
    setup.send(chat("s", turns(["Hello!"])), answer).await;
    let last = setup.last("s").await;
    assert_eq!(last.content, "Hi!");
    assert_eq!((last.model.as_deref(), last.tokens), (Some("m-2"), Some(27)));
    let counts = json!({"prompt_tokens": 20, "completion_tokens": 7, "cached_tokens": 16, "reasoning_tokens": 4});
    assert_eq!(last.metadata["usage"], counts);
    assert_eq!(last.metadata["finish_reason"], "length");
    assert_eq!(last.metadata["request_model"], "model-1");
    assert_eq!(last.metadata["response_id"], "chatcmpl-7");
    assert_eq!(last.metadata["shs.api"], "openai.chat");
    assert_eq!(setup.sessions().await[0].total_tokens, 27);
}

#[tokio::test]
async fn several_choices_may_come_mixed() {
    let setup = Setup::new();
    let answer = chunks([
        delta(1, json!({"content": "b"})),
        delta(0, json!({"content": "a"})),
        delta(1, json!({"content": "B"})),
        finish(1, "stop"),
        delta(0, json!({"content": "A"})),
        finish(0, "stop"),
    ]);
    let frames = answer.frames.len();
    setup.send(chat("s", turns(["Hello!"])), answer.clone()).await;
    let messages = setup.messages("s").await;
    let seen: Vec<_> = messages[1..]
        .iter()
        .map(|m| (m.content.as_str(), m.metadata["choice"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("aA", 0), ("bB", 1)]);
    // Who goes on with any of them goes on in the session.
    setup.send(chat("s", turns(["Hello!", "bB", "more"])), Answer::words(["ok"])).await;
    assert_eq!(setup.said("s").await.len(), 5);
    assert_eq!(setup.sessions().await.len(), 1);
    // A choice that was whole when the client left is delivered, the other is not.
    setup.leave_after(chat("t", turns(["Hello!"])), answer, frames - 3).await;
    let messages = setup.messages("t").await;
    let seen: Vec<_> = messages[1..].iter().map(|m| (m.content.as_str(), m.status)).collect();
    assert_eq!(seen, [("a", Status::Interrupted), ("bB", Status::Delivered)]);
}

#[tokio::test]
async fn the_only_choice_that_began_says_which_one_it_is() {
    let setup = Setup::new();
    let answer = chunks([delta(1, json!({"content": "b"})), delta(0, json!({"content": "a"}))]);
    setup.leave_after(chat("s", turns(["Hello!"])), answer, 1).await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("b", Status::Interrupted));
    assert_eq!(last.metadata["choice"], 1);
}

#[tokio::test]
async fn tool_calls_are_put_together_by_their_index() {
    let setup = Setup::new();
    let call = |index: u32, call: Value| {
        let mut call = call;
        call["index"] = index.into();
        delta(0, json!({"tool_calls": [call]}))
    };
    let answer = chunks([
        delta(0, json!({"reasoning_content": "Let me "})),
        delta(0, json!({"reasoning_content": "look."})),
        call(
            0,
            json!({"id": "c0", "type": "function", "function": {"name": "weather", "arguments": ""}}),
        ),
        call(
            1,
            json!({"id": "c1", "type": "function", "function": {"name": "time", "arguments": "{\"zone\":"}}),
        ),
        call(0, json!({"function": {"arguments": "{\"city\": \"Bern"}})),
        call(1, json!({"function": {"arguments": "\"CET\"}"}})),
        call(0, json!({"function": {"arguments": "\"}"}})),
        finish(0, "tool_calls"),
    ]);
    setup.send(chat("s", turns(["Hello!"])), answer.clone()).await;
    let last = setup.last("s").await;
    let expected = [
        Part::reasoning("Let me look."),
        Part::tool_call("c0", "weather", json!({"city": "Bern"})),
        Part::tool_call("c1", "time", json!({"zone": "CET"})),
    ];
    assert_eq!(last.parts, expected);
    // Cut in the middle of its arguments, a call is kept as far as it came.
    setup.leave_after(chat("t", turns(["Hello!"])), answer, 5).await;
    let last = setup.last("t").await;
    assert_eq!(last.parts[1].as_object()["arguments"], r#"{"city": "Bern"#);
}

#[tokio::test]
async fn old_calls_refusals_and_errors_inside_of_a_stream() {
    let setup = Setup::new();
    let answer = chunks([
        delta(0, json!({"function_call": {"name": "f", "arguments": "{"}})),
        delta(0, json!({"function_call": {"arguments": "}"}})),
        finish(0, "function_call"),
    ]);
    setup.send(chat("s", turns(["a"])), answer).await;
    let last = setup.last("s").await;
    assert_eq!(
        last.parts,
        [Part::from_object(
            json!({"type": "tool_call", "name": "f", "arguments": {}}).as_object().unwrap().clone()
        )
        .unwrap()]
    );
    let answer = chunks([
        delta(0, json!({"refusal": "I can"})),
        delta(0, json!({"refusal": "not."})),
        finish(0, "stop"),
    ]);
    setup.send(chat("t", turns(["a"])), answer).await;
    let last = setup.last("t").await;
    assert_eq!(
        (last.content.as_str(), &last.metadata["refusal"]),
        ("I cannot.", &Value::Bool(true))
    );
    let error = json!({"error": {"message": "The server had an error", "type": "server_error", "code": null}});
    let answer = Answer::events([
        format!("data: {}\n\n", delta(0, json!({"content": "Hm"}))),
        format!("data: {error}\n\n"),
    ]);
    setup.send(chat("u", turns(["a"])), answer).await;
    let last = setup.last("u").await;
    assert_eq!((last.content.as_str(), last.status), ("Hm", Status::Error));
    assert_eq!(
        last.metadata["shs.error"],
        json!({"message": "The server had an error", "type": "server_error"})
    );
}

#[tokio::test]
async fn the_end_may_lack_its_mark_and_its_empty_line() {
    let setup = Setup::new();
    let text = format!(
        ": ping\r\n\r\ndata: {}\r\n\r\ndata: {}",
        delta(0, json!({"content": "Hi"})),
        finish(0, "stop")
    );
    setup.send(chat("s", turns(["a"])), Answer::events([text])).await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("Hi", Status::Delivered));
}

#[tokio::test]
async fn messages_of_every_kind_are_read() {
    let setup = Setup::new();
    let question = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "Ann", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "novelty", "x": 1},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
    ]);
    let plain = json!({
        "id": "x", "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "A cat.", "refusal": null, "reasoning": "hm"}, "finish_reason": "stop"}],
    });
    setup.send(chat("s", question), Answer::json(plain)).await;
    let messages = setup.messages("s").await;
    let roles: Vec<_> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::Developer, Role::User, Role::Assistant, Role::Tool, Role::Assistant]);
    let kinds: Vec<_> = messages[1].parts.iter().map(Part::kind).collect();
    assert_eq!(kinds, ["text", "uri", "blob", "file", "novelty"]);
    assert_eq!(
        (messages[1].content.as_str(), &messages[1].metadata["name"]),
        ("What is this?", &json!("Ann"))
    );
    assert_eq!(messages[2].parts, [Part::tool_call("c", "f", json!({"a": 1}))]);
    assert_eq!(messages[3].content, "42");
    assert_eq!(messages[4].parts, [Part::reasoning("hm"), Part::text("A cat.")]);
}
