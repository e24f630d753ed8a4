//! OpenAI's Responses.

use http::Request;
use serde_json::{Value, json};
use shs_store::{Part, Role, Status};

use crate::support::{Answer, Body, Setup, post};

fn ask(session: &str, input: Value) -> Request<Body> {
    let body = json!({"model": "m-1", "instructions": "Be brief.", "input": input, "stream": true});
    post("/v1/responses", session, &body)
}

fn response(status: &str, output: Value) -> Value {
    let usage = json!({
        "input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
        "input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 1},
    });
    json!({"id": "resp_1", "object": "response", "model": "m-2", "status": status, "output": output, "usage": usage, "error": null})
}

fn output() -> Value {
    json!([
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Think."}]},
        {"type": "message", "id": "msg", "role": "assistant", "content": [{"type": "output_text", "text": "Hi!", "annotations": []}]},
        {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
    ])
}

fn events(last: Option<Value>) -> Answer {
    let mut events = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Think."}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Hi"}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "!"}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{\"a\":1}"}),
    ];
    events.extend(last);
    Answer::events(events.into_iter().enumerate().map(|(at, mut event)| {
        event["sequence_number"] = at.into();
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
    }))
}

#[tokio::test]
async fn plain_streamed_and_cut_say_the_same() {
    let setup = Setup::new();
    let completed =
        json!({"type": "response.completed", "response": response("completed", output())});
    let expected = [
        Part::reasoning("Think."),
        Part::text("Hi!"),
        Part::tool_call("call_1", "f", json!({"a": 1})),
    ];
    setup.send(ask("plain", "Hello!".into()), Answer::json(response("completed", output()))).await;
    setup.send(ask("streamed", "Hello!".into()), events(Some(completed))).await;
    setup.send(ask("cut", "Hello!".into()), events(None)).await;
    for (session, status) in [
        ("plain", Status::Delivered),
        ("streamed", Status::Delivered),
        ("cut", Status::Interrupted),
    ] {
        let messages = setup.messages(session).await;
        assert_eq!(messages[0].role, Role::System);
        let last = &messages[2];
        assert_eq!((last.content.as_str(), last.status), ("Hi!", status), "{session}");
        assert_eq!(last.parts, expected, "{session}");
        assert_eq!(last.metadata["response_id"], "resp_1");
    }
    let last = setup.last("streamed").await;
    assert_eq!(last.tokens, Some(15));
    assert_eq!(last.metadata["usage"]["cached_tokens"], 2);
}

#[tokio::test]
async fn responses_that_are_incomplete_failed_or_an_error() {
    let setup = Setup::new();
    let mut incomplete = response("incomplete", output());
    incomplete["incomplete_details"] = json!({"reason": "max_output_tokens"});
    setup
        .send(
            ask("a", "x".into()),
            events(Some(json!({"type": "response.incomplete", "response": incomplete}))),
        )
        .await;
    let last = setup.last("a").await;
    assert_eq!(
        (last.status, last.metadata["finish_reason"].as_str()),
        (Status::Delivered, Some("max_output_tokens"))
    );

    let mut failed = response("failed", json!([]));
    failed["error"] = json!({"code": "server_error", "message": "Oh no"});
    setup
        .send(
            ask("b", "x".into()),
            events(Some(json!({"type": "response.failed", "response": failed}))),
        )
        .await;
    let last = setup.last("b").await;
    assert_eq!((last.status, last.content.as_str()), (Status::Error, "Hi!"));
    assert_eq!(last.metadata["shs.error"], json!({"code": "server_error", "message": "Oh no"}));

    let error = json!({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": null});
    setup.send(ask("c", "x".into()), events(Some(error))).await;
    let last = setup.last("c").await;
    assert_eq!(last.status, Status::Error);
    assert_eq!(last.metadata["shs.error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn the_whole_input_that_comes_again_is_stored_once() {
    let setup = Setup::new();
    setup.send(ask("s", "Hello!".into()), Answer::json(response("completed", output()))).await;
    let mut input = vec![json!({"role": "user", "content": "Hello!"})];
    input.extend(output().as_array().unwrap().iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": "call_1", "output": "42"}));
    setup.send(ask("s", input.into()), Answer::json(response("completed", output()))).await;
    assert_eq!(setup.sessions().await.len(), 1);
    let texts =
        ["system: Be brief.", "user: Hello!", "assistant: Hi!", "tool: 42", "assistant: Hi!"];
    assert_eq!(setup.said("s").await, texts);
}

#[tokio::test]
async fn the_response_before_names_the_conversation() {
    let setup = Setup::new();
    let nameless = |body: Value| {
        let mut request = post("/v1/responses", "-", &body);
        request.headers_mut().remove("x-session-id");
        request
    };
    let mut next = response("completed", output());
    setup.send(nameless(json!({"input": "a"})), Answer::json(next.clone())).await;
    next["id"] = "resp_2".into();
    setup
        .send(nameless(json!({"input": "a", "previous_response_id": "resp_1"})), Answer::json(next))
        .await;
    let sessions = setup.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].message_count, 4);
    // Instructions that come again are kept once.
    let body =
        |text: &str| json!({"input": text, "instructions": "Be brief.", "conversation": "conv_2"});
    for text in ["a", "b"] {
        setup.send(nameless(body(text)), Answer::json(response("completed", output()))).await;
    }
    let said = setup.said("conv_2").await;
    assert_eq!(
        said,
        ["system: Be brief.", "user: a", "assistant: Hi!", "user: b", "assistant: Hi!"]
    );
    let body = json!({"input": "a", "conversation": {"id": "conv_1"}});
    setup.send(nameless(body), Answer::json(response("completed", output()))).await;
    assert_eq!(setup.said("conv_1").await.len(), 2);
}
