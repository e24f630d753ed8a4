//! The tools that requests offer.

use std::sync::Arc;

use http::Request;
use serde_json::{Value, json};
use shs_export::{Check, Export, Format};
use shs_memory::MemoryStore;
use shs_store::{Map, NewMessage, NewSession, Scope, SessionId, SessionPatch, Store};
use shs_testkit::{Fault, FaultStore, Operation};
use shs_tower::decode::{Custom, Prompt};
use shs_tower::{Limits, RecordLayer, Recorder, Redact, keys};

use crate::support::{Answer, Body, Setup, chat, post, turns};

/// A tool as chat completions have it.
fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {
        "name": name,
        "description": "It tells.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }})
}

fn ask(session: &str, texts: &[&str], more: Value) -> Request<Body> {
    let mut body = json!({"model": "m", "messages": turns(texts.iter().copied())});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post("/v1/chat/completions", session, &body)
}

async fn metadata<S: Store>(setup: &Setup<S>, session: &str) -> Map {
    setup.store.session(&Scope::DEFAULT, &SessionId::new(session).unwrap()).await.unwrap().metadata
}

/// A store that lets so many sessions be updated, and no more.
fn with_updates(updates: usize) -> Setup<FaultStore<MemoryStore>> {
    let store = FaultStore::new(MemoryStore::new());
    store.inject(Fault::before(Operation::UpdateSession).after_passing(updates).every_time());
    Setup::over(store, |layer| layer)
}

#[test]
fn exports_look_for_them_where_they_are() {
    assert_eq!(keys::TOOLS, shs_export::TOOLS_KEY);
    assert_eq!(keys::PARALLEL_TOOL_CALLS, shs_export::PARALLEL_TOOL_CALLS_KEY);
}

#[tokio::test]
async fn each_api_has_its_form() {
    let setup = Setup::with(|layer| {
        layer.decoder(Custom::post("/api/chat", |body: &Value| {
            let prompt = Prompt::continues(vec![NewMessage::user(body["say"].as_str()?)]);
            Some(prompt.with_tools(vec![tool("f"), json!("odd")]).with_parallel_tool_calls(false))
        }))
    });
    let function = tool("f")["function"].clone();
    let answer = Answer::words(["x"]);
    let offered = json!({"tools": [tool("f")], "parallel_tool_calls": false});
    setup.send(ask("chat", &["a"], offered), answer.clone()).await;
    setup.send(ask("old", &["a"], json!({"functions": [function]})), answer.clone()).await;
    let mut flat = function.clone();
    flat["type"] = "function".into();
    let body = json!({"input": "a", "tools": [flat, {"type": "web_search"}], "parallel_tool_calls": false});
    setup.send(post("/v1/responses", "responses", &body), answer.clone()).await;
    let own =
        json!({"name": "f", "description": "It tells.", "input_schema": function["parameters"]});
    let server = json!({"type": "web_search_20250305", "name": "web_search"});
    let body = json!({
        "messages": turns(["a"]),
        "tools": [own, server],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
    });
    setup.send(post("/v1/messages", "anthropic", &body), answer.clone()).await;
    setup.send(post("/api/chat", "custom", &json!({"say": "a"})), answer).await;
    for (session, tools) in [
        ("chat", json!([tool("f")])),
        ("old", json!([tool("f")])),
        ("responses", json!([tool("f"), {"type": "web_search"}])),
        ("anthropic", json!([tool("f"), server])),
        ("custom", json!([tool("f")])),
    ] {
        let metadata = metadata(&setup, session).await;
        assert_eq!(metadata["tools"], tools, "{session}");
        let parallel = metadata.get("parallel_tool_calls");
        let expected = (session != "old").then_some(Value::Bool(false));
        assert_eq!(parallel, expected.as_ref(), "{session}");
        assert!(!metadata.contains_key(keys::TOOLS_LEFT_OUT));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_offered_before_is_not_written_again() {
    let setup = with_updates(0);
    let offered = json!({"tools": [tool("f"), tool("g")], "parallel_tool_calls": true});
    setup.send(ask("s", &["a"], offered.clone()), Answer::words(["b"])).await;
    setup.send(ask("s", &["a", "b", "c"], offered.clone()), Answer::words(["d"])).await;
    // Nor in another order, nor what says nothing.
    let other_order = json!({"tools": [tool("g"), tool("f")]});
    setup.send(ask("s", &["a", "b", "c", "d", "e"], other_order), Answer::words(["f"])).await;
    for nothing in [json!({}), json!({"tools": null}), json!({"tools": []}), json!({"tools": "x"})]
    {
        setup.send(ask("t", &["a"], nothing), Answer::words(["b"])).await;
        setup
            .send(ask("s", &["d", "e", "f", "g"], json!({"tools": []})), Answer::words(["h"]))
            .await;
    }
    // Another recorder compares with what is stored.
    let recorder = Recorder::new(Arc::clone(&setup.store) as Arc<dyn Store>);
    let again = Setup { layer: RecordLayer::new(recorder.clone()), recorder, store: setup.store };
    again.send(ask("s", &["f", "g", "h", "i"], offered), Answer::words(["j"])).await;
    let stored = metadata(&again, "s").await;
    assert_eq!(stored["tools"], json!([tool("f"), tool("g")]));
    assert_eq!(stored["parallel_tool_calls"], true);
    assert_eq!((setup.recorder.counts().failed, again.recorder.counts().failed), (0, 0));
    let nothing = metadata(&again, "t").await;
    assert!(!nothing.contains_key("tools") && !nothing.contains_key("parallel_tool_calls"));
}

#[tokio::test(start_paused = true)]
async fn other_tools_are_written_once() {
    let setup = with_updates(2);
    setup.send(ask("s", &["a"], json!({"tools": [tool("f")]})), Answer::words(["b"])).await;
    let other = json!({"tools": [tool("g")], "parallel_tool_calls": false});
    setup.send(ask("s", &["a", "b", "c"], other.clone()), Answer::words(["d"])).await;
    setup.send(ask("s", &["c", "d", "e"], other.clone()), Answer::words(["f"])).await;
    let stored = metadata(&setup, "s").await;
    assert_eq!(stored["tools"], json!([tool("g")]));
    assert_eq!(stored["parallel_tool_calls"], false);
    assert_eq!(stored["shs.session_from"], "header x-session-id");
    // A session that was there without tools gets them once, too.
    let new = NewSession::with_id(SessionId::new("t").unwrap());
    setup.store.create_session(&Scope::DEFAULT, new).await.unwrap();
    setup.send(ask("t", &["a"], other.clone()), Answer::words(["b"])).await;
    setup.send(ask("t", &["a", "b", "c"], other), Answer::words(["d"])).await;
    assert_eq!(metadata(&setup, "t").await["tools"], json!([tool("g")]));
    assert_eq!(setup.recorder.counts().failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_delays_no_message_and_is_tried_again() {
    let setup = with_updates(0);
    setup.send(ask("s", &["a"], json!({"tools": [tool("f")]})), Answer::words(["b"])).await;
    let other = json!({"tools": [tool("g")]});
    let request = ask("s", &["a", "b", "c"], other.clone());
    let answer = Answer::words(["d"]);
    assert_eq!(setup.send(request, answer.clone()).await, answer.bytes());
    let texts = ["user: a", "assistant: b", "user: c", "assistant: d"];
    assert_eq!(setup.said("s").await, texts);
    assert_eq!(metadata(&setup, "s").await["tools"], json!([tool("f")]));
    assert_eq!((setup.recorder.counts().recorded, setup.recorder.counts().failed), (1, 1));
    // What was not written is written by the next request, through a failure and an answer that is lost.
    setup.store.clear();
    setup.store.inject(Fault::before(Operation::UpdateSession));
    setup.store.inject(Fault::after(Operation::UpdateSession));
    setup.send(ask("s", &["c", "d", "e"], other), Answer::words(["f"])).await;
    assert_eq!(metadata(&setup, "s").await["tools"], json!([tool("g")]));
    assert_eq!(setup.said("s").await.len(), 6);
    assert_eq!((setup.recorder.counts().recorded, setup.recorder.counts().failed), (2, 1));
}

#[tokio::test]
async fn a_fork_has_its_own_or_those_of_its_source() {
    for write_ahead in [false, true] {
        let setup = Setup::with(|layer| if write_ahead { layer.write_ahead() } else { layer });
        setup.send(ask("s", &["a"], json!({"tools": [tool("f")]})), Answer::words(["b"])).await;
        setup.send(ask("s", &["a"], json!({"tools": [tool("g")]})), Answer::words(["c"])).await;
        setup.send(ask("s", &["edited"], json!({})), Answer::words(["d"])).await;
        assert_eq!(metadata(&setup, "s").await["tools"], json!([tool("f")]));
        let mut forks = Vec::new();
        for session in setup.sessions().await {
            if session.forked_from.is_some() {
                let first = setup.said(session.id.as_str()).await.remove(0);
                forks.push((first, session.metadata["tools"].clone()));
            }
        }
        forks.sort_by(|a, b| a.0.cmp(&b.0));
        let of_source = ("user: edited".to_owned(), json!([tool("f")]));
        assert_eq!(forks, [("user: a".to_owned(), json!([tool("g")])), of_source]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fork_is_left_alone_when_it_goes_on_with_its_tools() {
    let setup = with_updates(1);
    setup.send(ask("s", &["a"], json!({"tools": [tool("f")]})), Answer::words(["b"])).await;
    setup.send(ask("s", &["x"], json!({"tools": [tool("g")]})), Answer::words(["c"])).await;
    setup
        .send(ask("s", &["x", "c", "y"], json!({"tools": [tool("g")]})), Answer::words(["d"]))
        .await;
    setup
        .send(ask("s", &["a", "b", "y"], json!({"tools": [tool("f")]})), Answer::words(["d"]))
        .await;
    assert_eq!(setup.recorder.counts().recorded, 4);
    assert_eq!(setup.sessions().await.len(), 2);
}

#[tokio::test]
async fn they_are_free_of_secrets() {
    let redact = Redact::default().regex("^function$|hunter2").unwrap();
    let redact = redact.json_pointer("/tools/*/function/parameters/default").unwrap();
    let setup = Setup::with(|layer| layer.redact(redact));
    let mut tool = tool("f");
    tool["function"]["description"] = "Use sk-proj-THISISASECRET0001 or hunter2.".into();
    tool["function"]["parameters"]["default"] = json!({"pin": 1234});
    setup.send(ask("s", &["a"], json!({"tools": [tool]})), Answer::words(["b"])).await;
    let stored = metadata(&setup, "s").await;
    assert_eq!(stored["tools"][0]["type"], "function");
    let function = &stored["tools"][0]["function"];
    assert_eq!(function["description"], "Use [redacted] or [redacted].");
    assert_eq!(function["parameters"]["default"], "[redacted]");
    assert_eq!(function["parameters"]["type"], "object");
    // All of them at once.
    let redact = Redact::nothing().json_pointer("/tools/*").unwrap();
    let setup = Setup::with(|layer| layer.redact(redact));
    setup.send(ask("s", &["a"], json!({"tools": [tool]})), Answer::words(["b"])).await;
    assert!(!metadata(&setup, "s").await.contains_key("tools"));
}

#[tokio::test]
async fn so_much_of_them_is_kept_and_no_more() {
    let small = json!([tool("f")]);
    let bytes = small.to_string().len();
    let setup = Setup::with(|layer| layer.limits(Limits::default().with_tools(bytes)));
    setup.send(ask("s", &["a"], json!({"tools": small})), Answer::words(["b"])).await;
    let stored = metadata(&setup, "s").await;
    assert_eq!(stored["tools"], small);
    assert!(!stored.contains_key("shs.tools_left_out"));
    // One byte more: what there was stays, and the session says so.
    let large = json!({"tools": [tool("fg")], "parallel_tool_calls": false});
    setup.send(ask("s", &["a", "b", "c"], large.clone()), Answer::words(["d"])).await;
    setup.send(ask("t", &["a"], large), Answer::words(["b"])).await;
    let why = json!({"bytes": bytes + 1, "limit": bytes});
    let stored = metadata(&setup, "s").await;
    assert_eq!((&stored["tools"], &stored["shs.tools_left_out"]), (&small, &why));
    let stored = metadata(&setup, "t").await;
    assert_eq!(stored["shs.tools_left_out"], why);
    assert!(!stored.contains_key("tools") && !stored.contains_key("parallel_tool_calls"));
    // Until there are some that fit.
    setup.send(ask("s", &["c", "d", "e"], json!({"tools": small})), Answer::words(["f"])).await;
    assert!(!metadata(&setup, "s").await.contains_key("shs.tools_left_out"));
    assert_eq!(setup.said("s").await.len(), 6);
}

#[tokio::test]
async fn tools_that_no_store_takes_cost_no_message() {
    let setup = Setup::new();
    let deep = (0..110).fold(json!({}), |inner, _| json!({ "a": inner }));
    let offered =
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": deep}}]});
    setup.send(ask("s", &["a"], offered), Answer::words(["b"])).await;
    assert_eq!(setup.said("s").await, ["user: a", "assistant: b"]);
    let stored = metadata(&setup, "s").await;
    let reason = stored["shs.tools_left_out"]["refused"].as_str().unwrap();
    assert!(reason.contains("100 levels deep"), "{reason}");
    assert!(!stored.contains_key("tools"));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_keeps_there_stays() {
    let setup = with_updates(1);
    let id = SessionId::new("s").unwrap();
    setup.store.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
    let own = Map::from_iter([("tools".to_owned(), json!(["search", "weather"]))]);
    let patch = SessionPatch::new().with_metadata_merged(own);
    setup.store.update_session(&Scope::DEFAULT, &id, patch).await.unwrap();
    setup.send(ask("s", &["a"], json!({"tools": [tool("f")]})), Answer::words(["b"])).await;
    assert_eq!(metadata(&setup, "s").await["tools"], json!(["search", "weather"]));
    assert_eq!(setup.recorder.counts().recorded, 1);
}

#[tokio::test]
async fn a_recorded_conversation_goes_out_with_its_tools() {
    let setup = Setup::new();
    let offered = json!({"tools": [tool("weather")], "parallel_tool_calls": false});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}});
    let said = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": said, "finish_reason": "tool_calls"});
    let mut messages = json!([{"role": "user", "content": "How is the weather in Bern?"}]);
    for answer in [Answer::json(json!({"choices": [choice]})), Answer::words(["Sunny."])] {
        let mut body = json!({"messages": messages});
        body.as_object_mut().unwrap().extend(offered.as_object().unwrap().clone());
        setup.send(post("/v1/chat/completions", "s", &body), answer).await;
        let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "sunny"});
        messages.as_array_mut().unwrap().extend([said.clone(), result]);
    }
    setup.send(chat("t", turns(["Hello!"])), Answer::words(["Hi!"])).await;
    let store = Arc::clone(&setup.store) as Arc<dyn Store>;
    let mut written = Vec::new();
    let report = Export::new(store, Format::OpenAi).to_writer(&mut written).await.unwrap();
    assert_eq!((report.conversations, report.messages), (2, 6));
    assert!(report.left_out.is_empty(), "{report:?}");
    let mut problems = Vec::new();
    let check = Check::new(Format::OpenAi).unwrap();
    check.read(&written[..], |problem| problems.push(problem)).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let lines = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let with_tools = lines.iter().find(|line| line["messages"].as_array().unwrap().len() == 4);
    let with_tools = with_tools.unwrap();
    assert_eq!(with_tools["tools"], json!([tool("weather")]));
    assert_eq!(with_tools["parallel_tool_calls"], false);
    assert_eq!(with_tools["messages"][1]["tool_calls"], json!([call]));
    assert_eq!(with_tools["messages"][2]["tool_call_id"], "call_1");
    let plain = lines.iter().find(|line| line["messages"].as_array().unwrap().len() == 2);
    assert!(plain.unwrap().get("tools").is_none());
}
