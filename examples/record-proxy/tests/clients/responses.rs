//! OpenAI's Responses API.

use serde_json::{Value, json};
use session_history_saver::Role;

use crate::support::{Answer, Api, Bench, Call, Client, Tools, reply};

fn ask(text: &str, previous: Option<&Answer>, stream: bool) -> Value {
    let mut body = json!({ "model": "gpt-4o", "input": text, "stream": stream });
    if let Some(previous) = previous {
        body["previous_response_id"] = json!(previous.id);
    }
    body
}

#[tokio::test]
async fn openai_python_responses() {
    let Some(tools) = Tools::or_skip("openai_python_responses") else { return };
    let client = Client::openai_python(&tools);
    let mut bench = Bench::start(&tools, "sqlite", client).await;
    let said = [(Role::User, "Hello!")];

    for (name, stream) in [("plain", false), ("streamed", true)] {
        let call = Call::new(Api::Responses, name, ask("Hello!", None, stream));
        let answer = bench.turn(reply("Größe: 日本 🙂"), &call, &said).await;
        assert_eq!(answer.text(), "Größe: 日本 🙂");
        let call = Call::new(Api::Responses, name, ask("And?", Some(&answer), stream));
        bench.turn(reply("That is all."), &call, &[(Role::User, "And?")]).await;
    }

    // Without a name, a conversation is found by the response that it goes on from.
    let mut call = Call::new(Api::Responses, "", ask("Hello!", None, true));
    (call.session, call.user) = (None, "nameless".to_owned());
    let mut previous = Answer::default();
    for turn in 0..4 {
        call.body =
            ask(&format!("Question {turn}"), (turn > 0).then_some(&previous), turn % 2 == 0);
        let seen = bench.call(reply(&format!("Answer {turn}")), &call).await;
        previous = Answer::seen(Api::Responses, &seen);
    }

    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let mut body = ask("Hello!", None, true);
    body["tools"] = json!([{ "type": "function", "name": "get_weather", "parameters": city }]);
    let weather = json!({ "name": "get_weather", "arguments": { "city": "Zürich" } });
    let tool = json!([{ "type": "reply", "text": "Let me see.", "tool_calls": [weather] }]);
    let call = Call::new(Api::Responses, "", body);
    let events = bench.llmock.events(Api::Responses.path(), &tool, &call.body).await;
    bench.leave_everywhere("tools", &events, &said, &call).await;

    let stored = bench.end().await;
    let sessions = stored.sessions_of("nameless").await;
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    let messages = stored.messages(&sessions[0]).await;
    let texts: Vec<_> = messages.iter().map(|message| message.content.clone()).collect();
    let wanted = (0..4).flat_map(|turn| [format!("Question {turn}"), format!("Answer {turn}")]);
    assert_eq!(texts, wanted.collect::<Vec<_>>());
}
