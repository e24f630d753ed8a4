//! Clients of OpenAI's chat completions.

use axum::body::Bytes;
use serde_json::{Value, json};
use session_history_saver::Role;

use crate::support::{Answer, Api, Bench, Call, Client, Ended, ToolCall, Tools, reply};

const TEXT: &str = "Größe: 日本 🙂 fine";

fn ask(text: &str) -> Value {
    json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": text }] })
}

fn with(mut body: Value, more: Value) -> Value {
    let more = more.as_object().expect("it is one").clone();
    body.as_object_mut().expect("it is one").extend(more);
    body
}

fn streamed(body: Value) -> Value {
    with(body, json!({ "stream": true, "stream_options": { "include_usage": true } }))
}

fn tools() -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let weather =
        json!({ "name": "get_weather", "description": "Says the weather.", "parameters": city });
    json!({ "tools": [{ "type": "function", "function": weather }] })
}

fn calls_tools() -> Value {
    let call = |city| json!({ "name": "get_weather", "arguments": { "city": city } });
    json!([{ "type": "reply", "tool_calls": [call("Zürich"), call("a \"quoted\" place")] }])
}

#[tokio::test]
async fn openai_python() {
    let Some(tools) = Tools::or_skip("openai_python") else { return };
    let client = Client::openai_python(&tools);
    everything(Bench::start(&tools, "sqlite", client).await, Retries::Two).await;
}

#[tokio::test]
async fn openai_python_with_files() {
    let Some(tools) = Tools::or_skip("openai_python_with_files") else { return };
    let client = Client::openai_python(&tools);
    everything(Bench::start(&tools, "fs", client).await, Retries::Two).await;
}

#[tokio::test]
async fn openai_node() {
    let Some(tools) = Tools::or_skip("openai_node") else { return };
    let Some(client) = Client::openai_node("openai_node") else { return };
    everything(Bench::start(&tools, "sqlite", client).await, Retries::Two).await;
}

#[tokio::test]
async fn async_openai() {
    let Some(tools) = Tools::or_skip("async_openai") else { return };
    everything(Bench::start(&tools, "sqlite", Client::AsyncOpenai).await, Retries::None).await;
}

/// How often a client tries again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retries {
    None,
    Two,
}

async fn everything(mut bench: Bench, retries: Retries) {
    answers(&mut bench).await;
    tool_calls(&mut bench).await;
    ten_turns(&mut bench).await;
    two_users(&mut bench).await;
    broken_streams(&mut bench).await;
    errors(&mut bench, retries).await;
    leaving(&mut bench).await;

    let stored = bench.end().await;
    assert_eq!(stored.messages("ten turns").await.len(), 20);
    let mut ids = Vec::new();
    for (user, text, answer) in SHARING {
        let sessions = stored.sessions_of(user).await;
        let [id] = sessions.as_slice() else { panic!("{user} has one session: {sessions:?}") };
        let messages = stored.messages(id).await;
        let said: Vec<_> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, [text, answer], "{user}");
        ids.push(id.clone());
    }
    // Whose turn is stored first gets the id as it is, and the other one an id made of it.
    ids.sort();
    assert_eq!(ids[0], "shared");
    assert!(ids[1].starts_with("shared~"), "{ids:?}");
}

/// Users who send the same id of a session, with what they say and are told.
const SHARING: [(&str, &str, &str); 2] =
    [("bea", "Mine", "to bea"), ("cleo", "Mine too", "to cleo")];

/// Plain and streamed, with one choice and with two.
async fn answers(bench: &mut Bench) {
    let said = [(Role::User, "Hello!")];
    let without_usage = with(ask("Hello!"), json!({ "stream": true }));
    let bodies = [
        ("plain", ask("Hello!"), 1),
        ("streamed", streamed(ask("Hello!")), 1),
        ("streamed without usage", without_usage, 1),
        ("two choices", with(ask("Hello!"), json!({ "n": 2 })), 2),
        ("two choices streamed", streamed(with(ask("Hello!"), json!({ "n": 2 }))), 2),
    ];
    for (name, body, choices) in bodies {
        let call = Call::new(Api::Chat, name, body);
        let answer = bench.turn(reply(TEXT), &call, &said).await;
        assert_eq!((answer.text(), answer.choices.len()), (TEXT, choices), "{name}");
        assert_eq!(answer.usage.is_some(), name != "streamed without usage");
    }
}

/// The model calls two tools, gets what they say, and answers.
async fn tool_calls(bench: &mut Bench) {
    for (name, stream) in [("tools", false), ("tools streamed", true)] {
        let body = |messages: &[Value]| {
            let body = with(json!({ "model": "gpt-4o", "messages": messages }), tools());
            if stream { streamed(body) } else { body }
        };
        let question = json!({ "role": "user", "content": "How is the weather?" });
        let call = Call::new(Api::Chat, name, body(std::slice::from_ref(&question)));
        let said = [(Role::User, "How is the weather?")];
        let answer = bench.turn(calls_tools(), &call, &said).await;
        let calls = &answer.choices[0].calls;
        assert_eq!(calls.len(), 2);

        let function = |call: &ToolCall| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": call.id, "type": "function", "function": function })
        };
        let asked: Vec<_> = calls.iter().map(function).collect();
        let mut messages =
            vec![question, json!({ "role": "assistant", "content": null, "tool_calls": asked })];
        let result = |call: &ToolCall| json!({ "role": "tool", "tool_call_id": call.id, "content": "21 °C" });
        messages.extend(calls.iter().map(result));
        let call = Call::new(Api::Chat, name, body(&messages));
        bench.turn(reply("Warm."), &call, &[(Role::Tool, "21 °C"), (Role::Tool, "21 °C")]).await;
    }
}

/// Each request brings the whole conversation, and its new turn is stored.
async fn ten_turns(bench: &mut Bench) {
    let mut messages = Vec::new();
    for turn in 0..10 {
        let text = format!("Question {turn}");
        messages.push(json!({ "role": "user", "content": text }));
        let body = json!({ "model": "gpt-4o", "messages": messages });
        let body = if turn % 2 == 0 { streamed(body) } else { body };
        let call = Call::new(Api::Chat, "ten turns", body);
        let answer =
            bench.turn(reply(&format!("Answer {turn}")), &call, &[(Role::User, &text)]).await;
        messages.push(json!({ "role": "assistant", "content": answer.text() }));
    }
}

/// Two users who send the same id have a session each.
async fn two_users(bench: &mut Bench) {
    for (user, text, answer) in SHARING {
        let mut call = Call::new(Api::Chat, "shared", ask(text));
        call.user = user.to_owned();
        let seen = bench.call(reply(answer), &call).await;
        assert_eq!(Answer::seen(Api::Chat, &seen).text(), answer);
    }
}

/// The provider goes away in the middle: with an error, or as if all was said.
async fn broken_streams(bench: &mut Bench) {
    for after in [1, 3] {
        for (kind, ended) in [("disconnect", Ended::Failed(None)), ("truncate", Ended::Cut)] {
            let name = format!("{kind} after {after}");
            let call = Call::new(Api::Chat, &name, streamed(ask("Hello!")));
            let fault = json!({ "type": "stream_fault", "kind": kind, "after_chunks": after });
            let behaviors = json!([reply(TEXT)[0], fault]);
            let mut seen = match ended {
                Ended::Cut => bench.call(behaviors, &call).await,
                _ => bench.broken_call(behaviors, &call).await,
            };
            assert_eq!(seen["events"].as_array().map(Vec::len), Some(after), "{name}: {seen}");
            // Some clients make an answer even of this.
            seen.as_object_mut().expect("it is one").remove("answer");
            let answer = Answer::seen(Api::Chat, &seen);
            bench.expect(&call, &[(Role::User, "Hello!")], answer, ended);
        }
    }
}

/// Each failed attempt is stored once as an error, and then the success, behind one question.
async fn errors(bench: &mut Bench, retries: Retries) {
    let said = [(Role::User, "Hello!")];
    let nothing = Answer { choices: vec![Default::default()], ..Answer::default() };
    let fail = |status: u16| json!({ "type": "fail", "status": status, "retry_after": 0.01 });

    for status in [400, 401, 404] {
        let call = Call::new(Api::Chat, &format!("status {status}"), ask("Hello!"));
        let seen = bench.call(json!([fail(status)]), &call).await;
        assert!(seen["error"].is_object() && seen.get("answer").is_none(), "{seen}");
        bench.expect(&call, &said, nothing.clone(), Ended::Failed(Some(status)));
    }
    if retries == Retries::None {
        return;
    }
    for status in [429, 500, 503] {
        let mut call =
            Call::new(Api::Chat, &format!("status {status}, then well"), streamed(ask("Hello!")));
        call.retries = 2;
        let seen = bench.call(json!([fail(status), reply(TEXT)[0]]), &call).await;
        bench.expect(&call, &said, nothing.clone(), Ended::Failed(Some(status)));
        bench.expect(&call, &[], Answer::seen(Api::Chat, &seen), Ended::Whole);
    }
}

/// The client goes away after any event.
async fn leaving(bench: &mut Bench) {
    let said = [(Role::User, "Hello!")];
    let (text, tools) = (streamed(ask("Hello!")), streamed(with(ask("Hello!"), tools())));
    let two = streamed(with(ask("Hello!"), json!({ "n": 2 })));
    let path = Api::Chat.path();
    let of_text = bench.llmock.events(path, &reply(TEXT), &text).await;
    let of_tools = bench.llmock.events(path, &calls_tools(), &tools).await;
    let of_two = interleaved(bench.llmock.events(path, &reply("one two"), &two).await);
    for (name, events, body) in
        [("text", of_text, text), ("tools", of_tools, tools), ("two", of_two, two)]
    {
        assert!(events.last().expect("there are events").starts_with(b"data: [DONE]"));
        bench.leave_everywhere(name, &events, &said, &Call::new(Api::Chat, name, body)).await;
    }
}

/// The events of two choices, mixed as providers mix them, the second choice first.
fn interleaved(events: Vec<Bytes>) -> Vec<Bytes> {
    let of = |choice: &[u8]| {
        let choice = choice.to_vec();
        events.iter().filter(move |event| event.windows(choice.len()).any(|at| at == choice))
    };
    let (first, second) = (of(b"\"choices\":[{\"index\":0"), of(b"\"choices\":[{\"index\":1"));
    let mut mixed: Vec<_> = second.zip(first).flat_map(|(b, a)| [b.clone(), a.clone()]).collect();
    let rest = events.len() - mixed.len();
    mixed.extend_from_slice(&events[events.len() - rest..]);
    mixed
}
