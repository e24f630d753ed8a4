//! What the training formats write, and what they drop and why.

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use shs_export::{Export, Format, Reason, SystemMessages};
use shs_store::ErrorKind;
use support::{assistant, call, lines, one, result, store, user, written};

/// A conversation with everything that formats differ in.
fn with_tools() -> Value {
    let weather = json!({"type": "function", "function": {"name": "weather", "parameters": {}}});
    json!([{
        "session_id": "s", "title": "Weather",
        "metadata": {"tools": [weather], "parallel_tool_calls": false},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Paris?", "metadata": {"name": "alice"}},
            {"role": "assistant", "content": "", "parts": [
                {"type": "reasoning", "content": "A tool knows."},
                {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}}]},
            result("c1", json!({"sky": "clear"})),
            {"role": "assistant", "content": "Clear.", "metadata": {"weight": 1}},
        ],
    }])
}

#[tokio::test]
async fn openai_has_arguments_in_strings_and_tools_and_weights() {
    let store = store(with_tools()).await;
    let (lines, report) = lines(&store, Format::OpenAi).await;
    assert_eq!(
        lines,
        [json!({
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Paris?", "name": "alice"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
                    "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}]},
                {"role": "tool", "content": "{\"sky\":\"clear\"}", "tool_call_id": "c1"},
                {"role": "assistant", "content": "Clear.", "weight": 1},
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
            "parallel_tool_calls": false,
        })]
    );
    assert_eq!((report.conversations, report.messages), (1, 5));
    assert_eq!(report.left_out[&Reason::Reasoning], 1);
}

#[tokio::test]
async fn tools_of_the_providers_own_are_left_out_and_the_others_stay() {
    let mut mixed = with_tools();
    let tools = mixed[0]["metadata"]["tools"].as_array_mut().unwrap();
    tools.push(json!({"type": "web_search_preview"}));
    let store = store(mixed).await;
    let (lines, report) = lines(&store, Format::OpenAi).await;
    assert_eq!(lines[0]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(lines[0]["tools"][0]["function"]["name"], "weather");
    assert_eq!(report.left_out[&Reason::ToolDefinitions], 1);
}

#[tokio::test]
async fn trl_has_arguments_as_objects_and_reasoning() {
    let store = store(with_tools()).await;
    let (lines, report) = lines(&store, Format::Trl).await;
    let call = &lines[0]["messages"][2];
    assert_eq!(call["tool_calls"][0]["function"]["arguments"], json!({"city": "Paris"}));
    assert_eq!((&call["content"], &call["thinking"]), (&json!(""), &json!("A tool knows.")));
    let answer = json!({"role": "tool", "content": "{\"sky\":\"clear\"}", "name": "weather", "tool_call_id": "c1"});
    assert_eq!(lines[0]["messages"][3], answer);
    assert!(lines[0]["messages"][4].get("weight").is_none() && report.is_complete());
}

#[tokio::test]
async fn sharegpt_has_whoever_asks_and_whoever_answers_in_turn() {
    let store = store(with_tools()).await;
    let (lines, _) = lines(&store, Format::ShareGpt).await;
    assert_eq!(
        lines,
        [json!({
            "conversations": [
                {"from": "human", "value": "Paris?"},
                {"from": "function_call", "value": "{\"name\":\"weather\",\"arguments\":{\"city\":\"Paris\"}}"},
                {"from": "observation", "value": "{\"sky\":\"clear\"}"},
                {"from": "gpt", "value": "Clear."},
            ],
            "system": "Be brief.",
            "tools": "[{\"function\":{\"name\":\"weather\",\"parameters\":{}},\"type\":\"function\"}]",
        })]
    );
}

#[tokio::test]
async fn alpaca_and_claude_have_no_tools() {
    let tools = store(with_tools()).await;
    for format in [Format::Alpaca, Format::Claude] {
        let (none, report) = lines(&tools, format).await;
        assert!(none.is_empty());
        assert_eq!(report.dropped_conversations[&Reason::ToolCalls], 1);
        assert_eq!(report.dropped_messages[&Reason::ToolCalls], 5);
    }
    let system = json!({"role": "system", "content": "Be brief."});
    let talk = json!([system, user("A?"), assistant("a"), system, user("B?"), assistant("b")]);
    let store = one(talk).await;
    let (alpaca, report) = lines(&store, Format::Alpaca).await;
    let line = json!({"instruction": "B?", "input": "", "output": "b", "system": "Be brief.", "history": [["A?", "a"]]});
    assert_eq!(alpaca, [line]);
    assert_eq!(report.dropped_messages[&Reason::SystemInside], 1);
    let (claude, _) = lines(&store, Format::Claude).await;
    let messages = json!([user("A?"), assistant("a"), user("B?"), assistant("b")]);
    assert_eq!(claude, [json!({"system": "Be brief.", "messages": messages})]);
    let without = Export::new(store, Format::Claude).with_system(SystemMessages::Drop);
    let (text, report) = written(&without).await;
    assert!(!text.contains("system"));
    assert_eq!(report.dropped_messages[&Reason::System], 2);
}

#[tokio::test]
async fn interrupted_answers_go_with_their_questions_or_get_no_weight() {
    let cut = json!({"role": "assistant", "content": "We", "status": "interrupted"});
    let store = one(json!([user("A?"), cut, user("B?"), assistant("b"), user("C?")])).await;
    let (dropped, report) = lines(&store, Format::OpenAi).await;
    assert_eq!(dropped, [json!({"messages": [user("B?"), assistant("b")]})]);
    assert_eq!(report.dropped_messages[&Reason::Interrupted], 2);
    assert_eq!(report.dropped_messages[&Reason::Unanswered], 1);
    let included = Export::new(store, Format::OpenAi).with_interrupted();
    let (text, report) = written(&included).await;
    let weighted = json!({"role": "assistant", "content": "We", "weight": 0});
    let messages = json!([user("A?"), weighted, user("B?"), assistant("b")]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"messages": messages}));
    assert_eq!((report.messages, report.dropped_messages.len()), (4, 1));
}

#[tokio::test]
async fn answers_that_are_marked_are_context_or_nothing() {
    let marked = json!({"role": "assistant", "content": "a", "metadata": {"weight": 0}});
    let store = one(json!([user("A?"), marked, user("B?"), assistant("b")])).await;
    let (openai, _) = lines(&store, Format::OpenAi).await;
    assert_eq!(openai[0]["messages"][1]["weight"], 0);
    let (trl, report) = lines(&store, Format::Trl).await;
    assert_eq!(trl[0]["messages"].as_array().unwrap().len(), 2);
    assert_eq!(report.dropped_messages[&Reason::Marked], 2);
    let nothing = one(json!([user("A?"), marked])).await;
    let (none, report) = lines(&nothing, Format::OpenAi).await;
    assert!(none.is_empty());
    assert_eq!(report.dropped_conversations[&Reason::NothingToTrainOn], 1);
}

#[tokio::test]
async fn roles_that_repeat_are_merged_or_the_conversation_is_dropped() {
    let store = one(json!([user("A"), user("B"), assistant("a"), assistant("b")])).await;
    for format in [Format::Claude, Format::Alpaca, Format::ShareGpt] {
        let (none, report) = lines(&store, format).await;
        assert!(none.is_empty());
        assert_eq!(report.dropped_conversations[&Reason::RolesRepeat], 1);
    }
    let merged = Export::new(Arc::clone(&store), Format::Claude).with_merged_roles();
    let (text, report) = written(&merged).await;
    let messages = json!([user("A\n\nB"), assistant("a\n\nb")]);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"messages": messages}));
    assert_eq!(report.messages, 4);
    let (openai, _) = lines(&store, Format::OpenAi).await;
    assert_eq!(openai[0]["messages"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn calls_and_results_belong_together() {
    let weather = |id: &str| call(id, "weather", json!({}));
    let round = |question: &str| [user(question), assistant("fine")];
    let [first, answer] = round("A?");
    // A result whose call is not there, a call without a result, and one at the very end.
    let talk = json!([
        first,
        answer,
        user("B?"),
        result("lost", json!(1)),
        assistant("b"),
        user("C?"),
        weather("c"),
        user("D?"),
        weather("d"),
        result("d", json!([{"type": "text", "text": "dry"}])),
        assistant("d"),
        user("E?"),
        weather("e"),
    ]);
    let store = one(talk).await;
    let (openai, report) = lines(&store, Format::OpenAi).await;
    let said: Vec<_> = openai[0]["messages"].as_array().unwrap().iter().collect();
    assert_eq!(said.len(), 8);
    assert_eq!((&said[2]["content"], &said[4]["content"]), (&json!("D?"), &json!("dry")));
    assert_eq!(said[7]["tool_calls"][0]["id"], "e");
    assert_eq!(report.dropped_messages[&Reason::UnmatchedTool], 5);

    // Calls as the old API has them have no ids; their results have the tool's name.
    let part = json!({"type": "tool_call", "name": "f", "arguments": "no json"});
    let old = json!({"role": "assistant", "content": "", "parts": [part, part]});
    let store = one(json!([user("A?"), old, result("f", json!("1")), {"role": "tool", "content": "2"}, assistant("a")])).await;
    let (openai, _) = lines(&store, Format::OpenAi).await;
    let messages = &openai[0]["messages"];
    assert_eq!(
        (&messages[1]["tool_calls"][0]["id"], &messages[2]["tool_call_id"]),
        (&json!("call_1"), &json!("call_1"))
    );
    assert_eq!(messages[3]["tool_call_id"], "call_2");
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], "no json");
    let (_, report) = lines(&store, Format::Trl).await;
    assert_eq!(report.dropped_conversations[&Reason::ArgumentsNoObject], 1);
    let (sharegpt, _) = lines(&store, Format::ShareGpt).await;
    assert_eq!(sharegpt[0]["conversations"][2]["value"], "[\"1\",\"2\"]");
}

#[tokio::test]
async fn images_go_to_openai() {
    let parts = json!([
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
        {"type": "blob", "modality": "image", "content": "AAAA", "mime_type": "image/png"},
        {"type": "file", "modality": "image", "file_id": "f"},
    ]);
    let question = json!({"role": "user", "content": "What is it?", "parts": parts});
    let store = one(json!([question, assistant("A cat.")])).await;
    let (openai, report) = lines(&store, Format::OpenAi).await;
    let content = &openai[0]["messages"][0]["content"];
    assert_eq!(content[0], json!({"type": "text", "text": "What is it?"}));
    assert_eq!(content[2]["image_url"]["url"], "data:image/png;base64,AAAA");
    assert_eq!(report.left_out[&Reason::Attachment], 1);
    let (_, report) = lines(&store, Format::Trl).await;
    assert_eq!(report.left_out[&Reason::Attachment], 3);
}

#[tokio::test]
async fn short_conversations_and_repeated_ones_are_dropped() {
    let talk = [user("A?"), assistant("a")];
    let longer = [user("A?"), assistant("a"), user("B?"), assistant("b")];
    let session = |id: &str, messages: &[Value]| json!({"session_id": id, "messages": messages});
    let store =
        store(json!([session("1", &talk), session("2", &longer), session("3", &talk)])).await;
    let export = Export::new(Arc::clone(&store), Format::OpenAi).without_duplicates();
    let (text, report) = written(&export).await;
    assert_eq!(text.lines().count(), 2);
    assert_eq!(report.dropped_conversations[&Reason::Duplicate], 1);
    for format in [Format::OpenAi, Format::JsonLines, Format::Html] {
        let export = Export::new(Arc::clone(&store), format).with_min_turns(2);
        let (text, report) = written(&export).await;
        assert_eq!(report.dropped_conversations[&Reason::TooFewTurns], 2, "{format}");
        assert_eq!((report.conversations, report.dropped_messages[&Reason::TooFewTurns]), (1, 4));
        assert!(text.contains("B?"));
    }
}

#[cfg(feature = "tokens")]
#[tokio::test]
async fn long_conversations_are_dropped() {
    use std::num::NonZero;

    // 2 tokens each, 4 for the frame of each message, and 3 for the answer's beginning.
    let store = one(json!([user("Hello there"), assistant("Hello there")])).await;
    for (limit, lines) in [(15, 1), (14, 0)] {
        let limit = NonZero::new(limit).unwrap();
        let export = Export::new(Arc::clone(&store), Format::OpenAi).with_max_tokens(limit);
        let (text, report) = written(&export).await;
        assert_eq!(text.lines().count(), lines, "{report}");
        let dropped = report.dropped_conversations.get(&Reason::TooManyTokens).copied();
        assert_eq!(dropped.unwrap_or_default() as usize, 1 - lines);
    }
    let endless = [" ", "a", "日", "\n "].map(|text| user(&text.repeat(150_000)));
    let mut messages = endless.to_vec();
    messages.push(assistant("Well."));
    let limit = NonZero::new(10_000_000).unwrap();
    let store = one(json!(messages)).await;
    let export = Export::new(store, Format::OpenAi).with_max_tokens(limit);
    assert_eq!(written(&export).await.1.conversations, 1);
}

#[tokio::test]
async fn what_matches_is_redacted_everywhere() {
    let secret = "sk-123";
    let talk = json!([{
        "session_id": "s", "title": secret, "metadata": {"note": [secret]},
        "messages": [
            {"role": "user", "content": format!("My key is {secret}."), "metadata": {"k": secret}},
            call("c", "f", json!({"key": {"deep": secret}})),
            result("c", json!(secret)),
            {"role": "assistant", "content": "", "parts": [{"type": "text", "content": secret}, {"type": "reasoning", "content": secret}]},
        ],
    }]);
    let store = store(talk).await;
    let formats = Format::ALL.iter().filter(|format| **format != Format::Parquet);
    for format in formats {
        let export = Export::new(Arc::clone(&store), *format).with_redaction(r"sk-\d+").unwrap();
        let (text, report) = written(&export).await;
        assert!(!text.contains(secret), "{format}: {text}");
        assert_eq!(report.conversations > 0, text.contains("[REDACTED]"), "{format}");
    }
    let error = Export::new(store, Format::Json).with_redaction("(").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let store = one(json!([])).await;
    let export = || Export::new(Arc::clone(&store), Format::Csv);
    let exports = [
        export().with_interrupted(),
        export().with_merged_roles(),
        export().without_duplicates(),
        export().with_system(SystemMessages::Drop),
    ];
    for export in exports {
        let error = export.to_string().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("csv has all that is stored"), "{error}");
    }
    #[cfg(not(feature = "parquet"))]
    {
        let error =
            Export::new(store, Format::Parquet).to_writer(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("export-parquet"), "{error}");
    }
}
