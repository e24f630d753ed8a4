//! Data sets: a conversation on each line.

use serde_json::json;
use shs_import::Import;
use shs_memory::MemoryStore;
use shs_store::{ImportMode, Part};

use crate::{import, imported, said, sessions, text, transcript};

#[tokio::test]
async fn openai_lines_with_tools_weights_and_pairs() {
    let lines = [
        json!({"messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}], "name": "alice"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
            {"role": "assistant", "content": "Sunny.", "weight": 0},
        ], "tools": [{"type": "function", "function": {"name": "weather"}}], "parallel_tool_calls": false}),
        json!({"input": {"messages": [{"role": "user", "content": "2+2"}]}, "preferred_output": [{"role": "assistant", "content": "4"}],
               "non_preferred_output": [{"role": "assistant", "content": "5"}]}),
        // TRL has objects as arguments.
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "thinking": "z",
               "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]}]}),
        json!({"system": "Be brief.", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
    ];
    let text = lines.map(|line| format!("{line}\n")).concat();
    let store = imported(text).await;
    let all = sessions(&store).await;
    assert_eq!(all.len(), 5);
    let mut found = [false; 4];
    for session in &all {
        let read = transcript(&store, session.id.as_str()).await;
        match &said(&read.messages)[..] {
            [
                _,
                ("user", "Weather?"),
                ("assistant", ""),
                ("tool", "sunny"),
                ("assistant", "Sunny."),
            ] => {
                assert_eq!(read.messages[1].metadata["name"], "alice");
                assert_eq!(
                    read.messages[2].parts,
                    [Part::tool_call("c", "weather", json!({"city": "Bern"}))]
                );
                assert_eq!(read.messages[4].metadata["weight"], 0);
                assert_eq!(session.metadata["tools"][0]["function"]["name"], "weather");
                assert_eq!(session.metadata["parallel_tool_calls"], false);
                found[0] = true;
            }
            [("user", "2+2"), ("assistant", "4")] => {
                let other = transcript(&store, &format!("{}/rejected", session.id)).await;
                assert_eq!(said(&other.messages), [("user", "2+2"), ("assistant", "5")]);
                assert_eq!(other.session.forked_from.unwrap().seq.get(), 1);
                assert_eq!(
                    (
                        &read.messages[1].metadata["feedback"],
                        &other.messages[1].metadata["feedback"]
                    ),
                    (&json!(1), &json!(-1))
                );
                found[1] = true;
            }
            [("user", "x"), ("assistant", "y")] => {
                let kinds: Vec<_> = read.messages[1].parts.iter().map(Part::kind).collect();
                assert_eq!(kinds, ["reasoning", "text", "tool_call"]);
                assert_eq!(read.messages[1].parts[2].as_object()["arguments"], json!({"a": 1}));
                found[2] = true;
            }
            [("system", "Be brief."), ("user", "x"), ("assistant", "y")] => found[3] = true,
            [("user", "2+2"), ("assistant", "5")] => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, [true; 4]);
}

#[tokio::test]
async fn sharegpt_with_tools_and_alpaca_with_a_history() {
    let store = imported(json!([{
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": "{\"name\": \"weather\", \"arguments\": {\"city\": \"Bern\"}}"},
            {"from": "observation", "value": "sunny"},
            {"from": "gpt", "value": "Sunny."}],
        "system": "Be kind.", "tools": "[]", "id": 7,
    }]).to_string()).await;
    let session = sessions(&store).await.remove(0);
    let read = transcript(&store, session.id.as_str()).await;
    assert_eq!(
        said(&read.messages),
        [
            ("system", "Be kind."),
            ("user", "Weather?"),
            ("assistant", ""),
            ("tool", "sunny"),
            ("assistant", "Sunny.")
        ]
    );
    assert_eq!(
        read.messages[2].parts[0].as_object()["id"],
        read.messages[3].parts[0].as_object()["id"]
    );
    assert_eq!(session.metadata["sharegpt"]["id"], 7);

    let store = imported(json!([{"instruction": "Add.", "input": "2 and 2", "output": "4", "system": "", "history": [["Hi", "Hello"]]}]).to_string()).await;
    let session = sessions(&store).await.remove(0);
    let read = transcript(&store, session.id.as_str()).await;
    assert_eq!(
        said(&read.messages),
        [("user", "Hi"), ("assistant", "Hello"), ("user", "Add.\n2 and 2"), ("assistant", "4")]
    );
}

#[tokio::test]
async fn the_same_line_twice_is_two_conversations() {
    let line = json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]});
    let store = imported(format!("{line}\n{line}\n")).await;
    assert_eq!(sessions(&store).await.len(), 2);
}

#[tokio::test]
async fn csv_rows_are_conversations_and_nothing_that_a_spreadsheet_runs() {
    let rows = "session_id,user_id,title,tags,message_id,role,content,timestamp,tokens,model,latency_ms,status\r\n\
        s,alice,T,\"a,b\",m1,user,'=1+1,2026-01-01T00:00:00Z,0,,,delivered\r\n\
        s,alice,T,\"a,b\",m2,assistant,\"'tis, \"\"two\"\"\",2026-01-01T00:00:01Z,3,gpt,1.5,error\r\n\
        t,,,,m1,user,Hello,,,,,\r\n";
    let store = imported(rows).await;
    let read = transcript(&store, "s").await;
    assert_eq!(said(&read.messages), [("user", "=1+1"), ("assistant", "'tis, \"two\"")]);
    assert_eq!((read.messages[0].tokens, read.messages[1].latency_ms), (Some(0), Some(1.5)));
    assert_eq!(read.session.tags, ["a", "b"]);
    assert_eq!(read.session.updated_at.to_string(), "2026-01-01T00:00:01.000000+00:00");
    assert_eq!(transcript(&store, "t").await.messages[0].timestamp.as_micros(), 0);
}

#[tokio::test]
async fn csv_rows_that_do_not_stand_together_replace_nothing() {
    let store = MemoryStore::new();
    let rows =
        "session_id,role,content,,\ns,user,1,,\nt,user,2,,\ns,user,3,,\ns,user,4,,\nu,user,5,,\n";
    let overwrite = Import::new().with_mode(ImportMode::Overwrite);
    let mut told = Vec::new();
    let report = overwrite.run(&store, text(rows), |problem| told.push(problem.to_string()));
    let report = report.await.unwrap();
    assert_eq!((report.imported, report.failed, told.len()), (3, 2, 3), "{told:?}");
    assert!(told[0].contains("line 4") && told[0].contains("sort by session_id"), "{told:?}");
    assert!(told[2].contains("3 conversations have no times"), "{told:?}");
    assert_eq!(said(&transcript(&store, "s").await.messages), [("user", "1")]);

    let (report, problems) =
        import(&store, text("session_id,role,content,role\nv,user,1,assistant\n")).await;
    assert_eq!((report.imported, report.failed), (0, 1));
    assert!(problems[0].what.starts_with("column 4 "), "{problems:?}");
}
