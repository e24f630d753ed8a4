//! What a check refuses, and where it says it is; and that it takes all that is written here.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};
use shs_export::{Check, Export, Format, Problem};
use support::{call, result, store, written};

fn problems(format: Format, file: &[u8]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let checked = Check::new(format).unwrap().read(file, |problem| problems.push(problem)).unwrap();
    assert_eq!(checked.problems, problems.len() as u64);
    assert_eq!(checked.wrong > 0, problems.iter().any(|problem| problem.line > 0));
    problems
}

/// The only problem of a line, as it is printed, without the line's number.
#[track_caller]
fn refused(format: Format, line: &Value, expected: &str) {
    let found = problems(format, line.to_string().as_bytes());
    let found: Vec<_> = found.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(found, [format!("line 1: {expected}")], "{line}");
}

/// A value with another one at a JSON pointer; null removes it.
fn with(value: &Value, pointer: &str, new: Value) -> Value {
    let mut changed = value.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(object) if new.is_null() => drop(object.remove(key)),
        Value::Object(object) => drop(object.insert(key.to_owned(), new)),
        Value::Array(list) if new.is_null() => drop(list.remove(key.parse().unwrap())),
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = new,
        _ => panic!("nothing at {pointer}"),
    }
    changed
}

#[test]
fn lines_that_are_no_objects_are_told_with_their_numbers() {
    let good = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let mut file = Vec::new();
    for line in [good, "", "[1]", "{\"a\": ", "{'a': 1}", good] {
        file.extend_from_slice(line.as_bytes());
        file.extend_from_slice(b"\r\n");
    }
    file.extend_from_slice(b"{\"a\": \"\xff\"}\n");
    file.extend_from_slice(good.as_bytes());
    let found: Vec<_> =
        problems(Format::OpenAi, &file).iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        found,
        [
            "line 2: the line is empty",
            "line 3: this is no JSON object",
            "line 4: the JSON is cut off, at column 6",
            "line 5: this is not JSON, at column 2",
            "line 7: byte 8 is not UTF-8",
        ]
    );
    let marked = format!("\u{feff}{good}");
    assert!(problems(Format::OpenAi, marked.as_bytes())[0].what.contains("byte order mark"));
    assert_eq!(problems(Format::OpenAi, b"")[0].to_string(), "the file is empty");
    let mut found = Vec::new();
    let file = format!("{good}\n{}\n{good}", "x".repeat(5_000));
    let check = Check::new(Format::OpenAi).unwrap().with_max_line(1_000);
    let checked = check.read(file.as_bytes(), |problem| found.push(problem)).unwrap();
    assert_eq!((checked.lines, checked.wrong), (3, 1));
    assert_eq!(found[0].to_string(), "line 2: the line has 5000 bytes; the limit is 1000");
    assert!(Check::new(Format::Markdown).is_err());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(problems(Format::Trl, deep.as_bytes()).len(), 1);
}

#[test]
fn openai() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let good = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "assistant", "content": null, "tool_calls": [call], "weight": 0},
            {"role": "tool", "tool_call_id": "c", "content": ""},
            {"role": "assistant", "content": "b", "weight": 1},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": true,
    });
    assert_eq!(problems(Format::OpenAi, good.to_string().as_bytes()), []);
    let roles =
        "unknown role \"robot\"; known are system, developer, user, assistant, tool, function";
    for (pointer, value, expected) in [
        ("/messages/1/role", json!("robot"), format!("messages[1].role: {roles}")),
        ("/messages/1/role", Value::Null, "messages[1].role: it is missing, or no text".to_owned()),
        ("/messages/1/content", json!(""), "messages[1].content: it is empty".to_owned()),
        ("/messages/1/content", json!(" \n"), "messages[1].content: it is empty".to_owned()),
        ("/messages/1/content", json!(7), "messages[1].content: it is no text".to_owned()),
        ("/messages/1/content", Value::Null, "messages[1].content: it is missing".to_owned()),
        ("/messages/1/content", json!([]), "messages[1].content: the list is empty".to_owned()),
        ("/messages/1/content/1/type", json!("video"), "messages[1].content[1]: it is neither a text nor an image_url".to_owned()),
        ("/messages/1/content/1/image_url", json!("u"), "messages[1].content[1].image_url.url: it is missing".to_owned()),
        ("/messages/1/weight", json!(1), "messages[1].weight: only the assistant's messages have a weight".to_owned()),
        ("/messages/4/weight", json!(0.5), "messages[4].weight: it is neither 0 nor 1".to_owned()),
        ("/messages/4/weight", json!(0), "messages: every answer has the weight 0: there is nothing to train on".to_owned()),
        ("/messages/4/mood", json!("good"), "messages[4]: the key \"mood\" is not known on a message of assistant".to_owned()),
        ("/messages/4/content", json!(""), "messages[4].content: it is empty".to_owned()),
        ("/messages/0", json!("hello"), "messages[0]: it is no JSON object".to_owned()),
        ("/messages/2/tool_calls/0/function/arguments", json!({}), "messages[2].tool_calls[0].function.arguments: it is no text: write the JSON into a string".to_owned()),
        ("/messages/2/tool_calls/0/function/arguments", Value::Null, "messages[2].tool_calls[0].function.arguments: it is missing".to_owned()),
        ("/messages/2/tool_calls/0/function/name", json!(""), "messages[2].tool_calls[0].function.name: it is empty".to_owned()),
        ("/messages/2/tool_calls/0/type", json!("tool"), "messages[2].tool_calls[0].type: it is not \"function\"".to_owned()),
        ("/messages/3/tool_call_id", json!("d"), "messages[3].tool_call_id: no call before it has this id".to_owned()),
        ("/messages/3", Value::Null, "messages[3]: a tool call before it has no result".to_owned()),
        ("/messages/4", Value::Null, "messages[3]: the last message is not the assistant's".to_owned()),
        ("/messages", json!([]), "messages: the list is empty".to_owned()),
        ("/messages", json!("x"), "messages: it is no list".to_owned()),
        ("/messages", Value::Null, "messages: it is missing".to_owned()),
        ("/extra", json!(1), "the key \"extra\" is not known; known are messages, tools, parallel_tool_calls, functions".to_owned()),
        ("/tools/0/type", json!("x"), "tools[0]: it is no {\"type\": \"function\", \"function\": {\"name\": …}}".to_owned()),
        ("/tools", json!({}), "tools: it is no list".to_owned()),
        ("/parallel_tool_calls", json!("yes"), "parallel_tool_calls: it is neither true nor false".to_owned()),
    ] {
        let line = with(&good, pointer, value);
        // An answer that loses its only weight of 1 is alone with the 0 of the other.
        let found = problems(Format::OpenAi, line.to_string().as_bytes());
        assert!(found.iter().any(|problem| problem.to_string() == format!("line 1: {expected}")), "{expected}\n{found:?}");
    }
    // A call whose result comes too late.
    let late = with(&good, "/messages/3", json!({"role": "user", "content": "x"}));
    refused(Format::OpenAi, &late, "messages[3]: a tool call before it has no result");
}

#[test]
fn openai_dpo() {
    let answer = |text: &str| json!([{"role": "assistant", "content": text}]);
    let good = json!({
        "input": {"messages": [{"role": "user", "content": "a"}], "tools": [], "parallel_tool_calls": true},
        "preferred_output": answer("b"), "non_preferred_output": answer("c"),
    });
    assert_eq!(problems(Format::OpenAiDpo, good.to_string().as_bytes()), []);
    for (pointer, value, expected) in [
        ("/input", Value::Null, "input: it is missing"),
        ("/input/messages", json!([]), "input.messages: the list is empty"),
        (
            "/input/messages/0/role",
            json!("assistant"),
            "input.messages[0]: the last message is not the user's",
        ),
        ("/preferred_output", Value::Null, "preferred_output: it is missing"),
        (
            "/preferred_output/0/role",
            json!("user"),
            "preferred_output[0]: it is not the assistant's",
        ),
        ("/preferred_output/0/content", json!(""), "preferred_output[0].content: it is empty"),
        (
            "/preferred_output/0/weight",
            json!(1),
            "preferred_output[0]: the key \"weight\" is not known on a message of assistant",
        ),
        ("/preferred_output", answer("c"), "both outputs are the same"),
        (
            "/chosen",
            json!([]),
            "the key \"chosen\" is not known; known are input, preferred_output, non_preferred_output",
        ),
    ] {
        refused(Format::OpenAiDpo, &with(&good, pointer, value), expected);
    }
    let two = json!([answer("x")[0], answer("y")[0]]);
    refused(
        Format::OpenAiDpo,
        &with(&good, "/non_preferred_output", two),
        "non_preferred_output: it has more than one message",
    );
}

#[test]
fn trl() {
    let call = json!({"type": "function", "function": {"name": "f", "arguments": {"a": 1}}});
    let good = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "name": "f", "content": "1"},
        {"role": "assistant", "content": "b", "thinking": "c"},
    ]});
    assert_eq!(problems(Format::Trl, good.to_string().as_bytes()), []);
    for (pointer, value, expected) in [
        (
            "/messages/1/tool_calls/0/function/arguments",
            json!("{}"),
            "messages[1].tool_calls[0].function.arguments: it is no JSON object",
        ),
        ("/messages/1/tool_calls", Value::Null, "messages[1].content: it is missing"),
        ("/messages/3", Value::Null, "messages[2]: the last message is not the assistant's"),
        ("/tools", json!("[]"), "tools: it is no list"),
    ] {
        let found = problems(Format::Trl, with(&good, pointer, value).to_string().as_bytes());
        assert!(
            found.iter().any(|problem| problem.to_string() == format!("line 1: {expected}")),
            "{found:?}"
        );
    }
    let message = |role: &str| json!([{"role": role, "content": "x"}]);
    let pair = json!({"prompt": message("user"), "chosen": message("assistant"), "rejected": message("assistant")});
    assert_eq!(problems(Format::Trl, pair.to_string().as_bytes()), []);
    refused(Format::Trl, &with(&pair, "/rejected", Value::Null), "rejected: it is missing");
}

#[test]
fn sharegpt() {
    let good = json!({
        "conversations": [
            {"from": "human", "value": "a"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"},
            {"from": "observation", "value": ""}, {"from": "gpt", "value": "b"},
        ],
        "system": "s", "tools": "[]",
    });
    assert_eq!(problems(Format::ShareGpt, good.to_string().as_bytes()), []);
    for (pointer, value, expected) in [
        (
            "/conversations/0/from",
            json!("gpt"),
            "conversations[0].from: \"gpt\" stands where human or observation has to",
        ),
        (
            "/conversations/3/from",
            json!("human"),
            "conversations[3].from: \"human\" stands where gpt or function_call has to",
        ),
        (
            "/conversations/3/from",
            json!("bing"),
            "conversations[3].from: unknown speaker \"bing\"; known are human, gpt, function_call, observation",
        ),
        ("/conversations/3", Value::Null, "conversations: the last message is not an answer"),
        (
            "/conversations/1/value",
            json!("f()"),
            "conversations[1].value: a function_call is JSON in a string, and this is not",
        ),
        (
            "/conversations/1/value",
            json!("{}"),
            "conversations[1].value: a function_call has a \"name\" and \"arguments\"",
        ),
        ("/conversations/0/value", json!(" "), "conversations[0].value: it is empty"),
        ("/tools", json!([]), "tools: it is no text"),
        ("/tools", json!("f"), "tools: the text is no JSON list"),
        ("/system", json!(["s"]), "system: it is no text"),
        ("/conversations", json!([]), "conversations: the list is empty"),
    ] {
        refused(Format::ShareGpt, &with(&good, pointer, value), expected);
    }
}

#[test]
fn alpaca() {
    let good = json!({"instruction": "a", "input": "", "output": "b", "system": "s", "history": [["c", "d"]]});
    assert_eq!(problems(Format::Alpaca, good.to_string().as_bytes()), []);
    for (pointer, value, expected) in [
        ("/instruction", Value::Null, "instruction: it is missing"),
        ("/instruction", json!(""), "instruction: it is empty"),
        ("/output", json!(1), "output: it is no text"),
        ("/input", json!(1), "input: it is no text"),
        ("/history", json!("x"), "history: it is no list"),
        ("/history/0", json!(["x"]), "history[0]: it is no list of a question and its answer"),
        ("/history/0/1", json!(""), "history[0][1]: it is empty"),
    ] {
        refused(Format::Alpaca, &with(&good, pointer, value), expected);
    }
}

#[test]
fn claude() {
    let good = json!({"system": "s", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(problems(Format::Claude, good.to_string().as_bytes()), []);
    for (pointer, value, expected) in [
        ("/id", json!(1), "the key \"id\" is not known; known are system, messages"),
        (
            "/messages/0/name",
            json!("x"),
            "messages[0]: the key \"name\" is not known; known are role, content",
        ),
        (
            "/messages/0/role",
            json!("assistant"),
            "messages[0].role: assistant speaks where user has to: they speak in turn, the user first",
        ),
        (
            "/messages/0/role",
            json!("system"),
            "messages[0].role: unknown role \"system\"; known are user and assistant",
        ),
        ("/messages/1", Value::Null, "messages: there is one message; it takes two at least"),
        ("/messages/1/content", json!(""), "messages[1].content: it is empty"),
        ("/messages/1/content", json!([]), "messages[1].content: it is no text"),
        ("/system", json!(""), "system: it is empty"),
    ] {
        let found = problems(Format::Claude, with(&good, pointer, value).to_string().as_bytes());
        assert!(
            found.iter().any(|problem| problem.to_string() == format!("line 1: {expected}")),
            "{expected}\n{found:?}"
        );
    }
}

#[test]
fn sessions() {
    let good = json!({"session_id": "s", "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(problems(Format::JsonLines, good.to_string().as_bytes()), []);
    let robot = with(&good, "/messages/0/role", json!("robot"));
    refused(
        Format::JsonLines,
        &robot,
        "messages[0]: this is not a message: see its role, content, status and times",
    );
    let odd = with(&good, "/created_at", json!("yesterday"));
    refused(
        Format::JsonLines,
        &odd,
        "this is not a session: a field of it has a value that it cannot have",
    );
}

#[tokio::test]
async fn sessions_in_an_array() {
    let session =
        |role: &str| json!({"session_id": role, "messages": [{"role": role, "content": "a"}]});
    let store = store(json!([session("user"), session("assistant"), session("tool")])).await;
    for export in [
        Export::new(Arc::clone(&store), Format::Json),
        Export::new(Arc::clone(&store), Format::Json).compact(),
        Export::new(Arc::clone(&store), Format::Json).session(&"tool".parse().unwrap()),
    ] {
        let (text, report) = written(&export).await;
        let checked =
            Check::new(Format::Json).unwrap().read(text.as_bytes(), |p| panic!("{p}")).unwrap();
        assert_eq!(checked.lines, report.conversations);
        // Cut off, the last session or the array is not whole.
        let half = &text.as_bytes()[..text.len() - 3];
        let found = problems(Format::Json, half);
        assert_eq!((found.len(), found[0].what.as_str()), (1, "the JSON is cut off"));
    }
    let file = format!("[\n{},\n7,\n{}\n]", session("robot"), session("user"));
    let found: Vec<_> =
        problems(Format::Json, file.as_bytes()).iter().map(Problem::to_string).collect();
    assert_eq!(
        found,
        [
            "line 2: [0].messages[0]: this is not a message: see its role, content, status and times",
            "line 3: [1]: this is no JSON object",
        ]
    );
    let found = problems(Format::Json, b"[{\"session_id\": \"\xff\", \"messages\": []}]");
    assert!(found[0].what.starts_with("this is not JSON"), "{found:?}");
    assert_eq!(problems(Format::Json, b" \n")[0].what, "the JSON is cut off");
    let long =
        json!([{"session_id": "s", "messages": [{"role": "user", "content": "x".repeat(5_000)}]}]);
    let mut found = Vec::new();
    let check = Check::new(Format::Json).unwrap().with_max_line(1_000);
    check.read(long.to_string().as_bytes(), |problem| found.push(problem)).unwrap();
    assert!(found[0].what.contains("more than 1000 bytes"), "{found:?}");
}

/// Texts that are hard: empty, blank, with what JSON and HTML escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c?\"\\\\\n<&日 ]{0,6}",
        1 => Just(String::new()),
        1 => any::<String>(),
    ]
}

fn id() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some("c1".to_owned())),
        Just(Some("c2".to_owned())),
        Just(Some(String::new()))
    ]
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({"a": [1, {"b": null}]})),
        Just(json!("{\"a\": 1}")),
        Just(json!("no json")),
        Just(json!([1])),
    ]
}

fn part() -> impl Strategy<Value = Value> {
    let named = |kind: &'static str, id: Option<String>, mut part: Value| {
        part["type"] = kind.into();
        if let Some(id) = id {
            part["id"] = id.into();
        }
        part
    };
    prop_oneof![
        text().prop_map(|text| json!({"type": "text", "content": text})),
        text().prop_map(|text| json!({"type": "reasoning", "content": text})),
        (id(), prop_oneof![Just("f"), Just("g"), Just("")], arguments()).prop_map(
            move |(id, name, arguments)| {
                named("tool_call", id, json!({"name": name, "arguments": arguments}))
            }
        ),
        (id(), arguments()).prop_map(move |(id, response)| {
            named("tool_call_response", id, json!({"response": response}))
        }),
        Just(json!({"type": "uri", "modality": "image", "uri": "https://example.com/a.png"})),
        Just(json!({"type": "file", "modality": "image", "file_id": "f"})),
        Just(json!({"type": "hologram", "frames": 3})),
        Just(json!({"type": "tool_call"})),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let role = prop_oneof![
        4 => Just("user"), 5 => Just("assistant"), 2 => Just("tool"), 1 => Just("system"), 1 => Just("developer")
    ];
    let status = prop_oneof![6 => Just("delivered"), 1 => Just("interrupted"), 1 => Just("error"), 1 => Just("pending")];
    let metadata = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"choice": 0, "name": "alice"})),
        1 => Just(json!({"choice": 1, "feedback": "up"})),
        1 => Just(json!({"weight": 0, "feedback": []})),
        1 => Just(json!({"weight": 1, "name": "not a name"})),
    ];
    (role, status, metadata, text(), proptest::collection::vec(part(), 0..3)).prop_map(
        |(role, status, metadata, content, parts)| {
            json!({"role": role, "status": status, "metadata": metadata, "content": content, "parts": parts})
        },
    )
}

/// Messages that belong together more often than chance would have it.
fn round() -> impl Strategy<Value = Vec<Value>> {
    let said = |role: &str, content: &str, metadata: Value| json!({"role": role, "content": content, "metadata": metadata});
    let words = || "[a-c]{1,3}";
    prop_oneof![
        2 => message().prop_map(|message| vec![message]),
        2 => (words(), words()).prop_map(move |(question, answer)| {
            vec![said("user", &question, json!({})), said("assistant", &answer, json!({}))]
        }),
        1 => (words(), words(), words(), any::<bool>()).prop_map(move |(question, first, second, is_rated)| {
            let rated = if is_rated { json!({"choice": 1, "feedback": "up"}) } else { json!({"choice": 1}) };
            vec![said("user", &question, json!({})), said("assistant", &first, json!({"choice": 0})), said("assistant", &second, rated)]
        }),
        1 => (words(), arguments(), arguments(), words()).prop_map(move |(question, arguments, response, answer)| {
            vec![
                said("user", &question, json!({})),
                call("c1", "f", arguments),
                result("c1", response),
                said("assistant", &answer, json!({})),
            ]
        }),
    ]
}

/// Sessions, of which each may be a fork of the one before.
fn sessions_of() -> impl Strategy<Value = Value> {
    let tools = prop_oneof![
        Just(json!({})),
        Just(
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": true})
        ),
        Just(json!({"tools": [{"name": "f"}], "parallel_tool_calls": "no"})),
    ];
    let session = (proptest::collection::vec(round(), 0..6), tools, proptest::option::of(0..4_u32));
    proptest::collection::vec(session, 1..4).prop_map(|sessions| {
        let sessions = sessions.into_iter().enumerate().map(|(at, (rounds, metadata, fork))| {
            let messages: Vec<Value> = rounds.into_iter().flatten().collect();
            let mut session =
                json!({"session_id": format!("s{at}"), "metadata": metadata, "messages": messages});
            if let Some(seq) = fork {
                session["forked_from"] =
                    json!({"session_id": format!("s{}", at.max(1) - 1), "seq": seq});
            }
            session
        });
        sessions.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))), ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_taken(sessions in sessions_of(), options in 0..32_u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let total: usize = sessions.as_array().unwrap().iter().map(|s| s["messages"].as_array().unwrap().len()).sum();
            let count = sessions.as_array().unwrap().len() as u64;
            let store = store(sessions).await;
            for format in Format::ALL.iter().filter(|format| format.is_for_training()) {
                let mut export = Export::new(Arc::clone(&store), *format);
                if options & 1 > 0 { export = export.with_interrupted(); }
                if options & 2 > 0 { export = export.with_merged_roles(); }
                if options & 4 > 0 { export = export.with_system(shs_export::SystemMessages::Drop); }
                if options & 8 > 0 { export = export.without_duplicates(); }
                if options & 16 > 0 { export = export.with_min_turns(2); }
                if *format == Format::Parquet {
                    let report = export.to_writer(&mut Vec::new()).await;
                    assert_eq!(report.is_ok(), cfg!(feature = "parquet"));
                    continue;
                }
                let (text, report) = written(&export).await;
                assert_eq!(text.lines().count() as u64, report.conversations);
                if *format != Format::OpenAiDpo {
                    let dropped: u64 = report.dropped_messages.values().sum();
                    assert_eq!(report.messages + dropped, total as u64, "each message is counted once: {report:?}");
                    let dropped: u64 = report.dropped_conversations.values().sum();
                    assert_eq!(report.conversations + dropped, count);
                }
                if report.conversations > 0 {
                    assert_eq!(problems(*format, text.as_bytes()), [], "{format}: {text}");
                }
            }
        });
    }

    #[test]
    fn whatever_is_read_a_check_ends_well(file in proptest::collection::vec(any::<u8>(), 0..400), lines in sessions_of()) {
        for format in Format::ALL {
            let Ok(check) = Check::new(*format) else { continue };
            for file in [&file[..], lines.to_string().as_bytes(), lines[0].to_string().as_bytes()] {
                check.read(file, |_| {}).unwrap();
            }
        }
    }
}
