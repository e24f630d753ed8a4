//! Anthropic's client.

use serde_json::{Value, json};
use session_history_saver::Role;

use crate::support::{Answer, Api, Bench, Call, Client, Ended, Tools, reply};

fn ask(messages: &[Value], stream: bool) -> Value {
    let city = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    json!({
        "model": "claude-of-a-test", "max_tokens": 100, "stream": stream, "system": "Be brief.", "messages": messages,
        "tools": [{ "name": "get_weather", "description": "Says the weather.", "input_schema": city }],
    })
}

#[tokio::test]
async fn anthropic_python() {
    let Some(tools) = Tools::or_skip("anthropic_python") else { return };
    let client = Client::anthropic_python(&tools);
    let mut bench = Bench::start(&tools, "sqlite", client).await;
    let question = json!({ "role": "user", "content": "Hello!" });
    let question = std::slice::from_ref(&question);
    let said = [(Role::System, "Be brief."), (Role::User, "Hello!")];
    let weather = json!({ "name": "get_weather", "arguments": { "city": "Zürich" } });
    let tool = json!([{ "type": "reply", "text": "Let me see.", "tool_calls": [weather] }]);

    for (name, stream) in [("plain", false), ("streamed", true)] {
        let call = Call::new(Api::Messages, name, ask(question, stream));
        let answer = bench.turn(reply("Größe: 日本 🙂"), &call, &said).await;
        assert_eq!(answer.text(), "Größe: 日本 🙂");

        let name = format!("tools {name}");
        let call = Call::new(Api::Messages, &name, ask(question, stream));
        let answer = bench.turn(tool.clone(), &call, &said).await;
        let [used] = answer.choices[0].calls.as_slice() else { panic!("one call: {answer:?}") };
        let input: Value = serde_json::from_str(&used.arguments).expect("it is JSON");
        let messages = [
            question[0].clone(),
            json!({ "role": "assistant", "content": [
                { "type": "text", "text": answer.text() },
                { "type": "tool_use", "id": used.id, "name": used.name, "input": input },
            ] }),
            json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": used.id, "content": "21 °C" }] }),
        ];
        let call = Call::new(Api::Messages, &name, ask(&messages, stream));
        bench.turn(reply("Warm."), &call, &[(Role::Tool, "21 °C")]).await;
    }

    let nothing = Answer { choices: vec![Default::default()], ..Answer::default() };
    let mut call = Call::new(Api::Messages, "overloaded, then well", ask(question, true));
    call.retries = 2;
    let fail = json!({ "type": "fail", "status": 529, "retry_after": 0.01 });
    let seen = bench.call(json!([fail, reply("Well.")[0]]), &call).await;
    bench.expect(&call, &said, nothing, Ended::Failed(Some(529)));
    bench.expect(&call, &[], Answer::seen(Api::Messages, &seen), Ended::Whole);

    let call = Call::new(Api::Messages, "", ask(question, true));
    let path = format!("/anthropic{}", Api::Messages.path());
    let events = bench.llmock.events(&path, &tool, &call.body).await;
    bench.leave_everywhere("tools", &events, &said, &call).await;
    bench.end().await;
}
