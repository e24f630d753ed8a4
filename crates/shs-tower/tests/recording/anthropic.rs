//! Anthropic's messages.

use http::Request;
use serde_json::{Value, json};
use shs_store::{Part, Role, Status};

use crate::support::{Answer, Body, Setup, post};

fn ask(session: &str, messages: Value) -> Request<Body> {
    let body = json!({"model": "m-1", "max_tokens": 100, "system": [{"type": "text", "text": "Be brief."}], "messages": messages});
    post("/v1/messages", session, &body)
}

fn events(events: Vec<Value>) -> Answer {
    let text =
        |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    Answer::events(events.into_iter().map(text))
}

fn streamed() -> Vec<Value> {
    let start = json!({"id": "msg_1", "model": "m-2", "content": [], "usage": {
        "input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2, "output_tokens": 1,
    }});
    vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "ping"}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "!"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "tu_1", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ": 1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ]
}

#[tokio::test]
async fn a_stream_with_thinking_text_and_a_tool() {
    let setup = Setup::new();
    let hello = json!([{"role": "user", "content": "Hello!"}]);
    setup.send(ask("s", hello.clone()), events(streamed())).await;
    let messages = setup.messages("s").await;
    assert_eq!((messages[0].role, messages[0].content.as_str()), (Role::System, "Be brief."));
    let last = &messages[2];
    let parts =
        [Part::reasoning("Hm."), Part::text("Hi!"), Part::tool_call("tu_1", "f", json!({"a": 1}))];
    assert_eq!((last.content.as_str(), last.status), ("Hi!", Status::Delivered));
    assert_eq!(last.parts, parts);
    let counts = json!({"prompt_tokens": 16, "completion_tokens": 9, "cached_tokens": 4});
    assert_eq!((last.tokens, &last.metadata["usage"]), (Some(25), &counts));
    assert_eq!(last.metadata["finish_reason"], "tool_use");

    // The client sends it back with the tool's result.
    let again = json!([
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Hi!"},
            {"type": "tool_use", "id": "tu_1", "name": "f", "input": {"a": 1}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "tu_1", "content": [{"type": "text", "text": "42"}]},
            {"type": "text", "text": "And?"},
        ]},
    ]);
    let plain = json!({"id": "msg_2", "model": "m-2", "content": [{"type": "text", "text": "42."}], "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 2}});
    setup.send(ask("s", again), Answer::json(plain)).await;
    assert_eq!(setup.sessions().await.len(), 1);
    let texts = [
        "system: Be brief.",
        "user: Hello!",
        "assistant: Hi!",
        "tool: 42",
        "user: And?",
        "assistant: 42.",
    ];
    assert_eq!(setup.said("s").await, texts);
}

#[tokio::test]
async fn an_error_inside_of_a_successful_stream() {
    let setup = Setup::new();
    let mut cut = streamed();
    cut.truncate(8);
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    cut.push(error);
    setup.send(ask("s", json!([{"role": "user", "content": "Hello!"}])), events(cut)).await;
    let last = setup.last("s").await;
    assert_eq!((last.content.as_str(), last.status), ("Hi", Status::Error));
    assert_eq!(
        last.metadata["shs.error"],
        json!({"type": "overloaded_error", "message": "Overloaded"})
    );
    assert_eq!(last.tokens, Some(17));
}

#[tokio::test]
async fn a_client_that_leaves_at_any_event_leaves_all_text_that_had_come() {
    let setup = Setup::new();
    for frames in 1..streamed().len() {
        let session = format!("s{frames}");
        let request = ask(&session, json!([{"role": "user", "content": "Hello!"}]));
        setup.leave_after(request, events(streamed()), frames).await;
        let last = setup.last(&session).await;
        let text = ["", "Hi", "Hi!"][usize::from(frames > 7) + usize::from(frames > 8)];
        assert_eq!(last.content, text, "after {frames} events");
        let whole = frames >= 15;
        assert_eq!(last.status == Status::Delivered, whole, "after {frames} events");
    }
}

#[tokio::test]
async fn errors_and_images() {
    let setup = Setup::new();
    let error =
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}});
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    let question = json!([{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]);
    setup.send(ask("s", question), Answer::json(error).status(429)).await;
    let messages = setup.messages("s").await;
    assert_eq!(messages[1].parts[0], Part::blob("image", "AAAA", Some("image/png".to_owned())));
    assert_eq!(messages[2].metadata["shs.error"]["type"], "rate_limit_error");
}
