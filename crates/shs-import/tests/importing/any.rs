//! Whatever comes: no panic, and the same again.

use proptest::prelude::*;
use serde_json::{Value, json};
use shs_import::{Format, Import};
use shs_memory::MemoryStore;
use tokio::runtime::Builder;

use crate::branches::{chatgpt, claude, open_webui};
use crate::text;

/// Any JSON, with keys that readers look for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "user",
            "assistant",
            "tool",
            "",
            "2026-01-01T00:00:00Z",
            "text",
            "{\"a\":1}",
            "a",
            "q"
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "id",
        "role",
        "content",
        "parts",
        "parent",
        "message",
        "messages",
        "type",
        "text",
        "author",
        "timestamp",
        "value",
        "from",
        "uuid",
    ]);
    leaf.prop_recursive(3, 24, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

fn known() -> Vec<Value> {
    vec![
        chatgpt(),
        claude(),
        open_webui(),
        json!({"session_id": "s", "user_id": "u", "tags": ["a"], "metadata": {}, "created_at": "2026-01-01T00:00:00Z",
               "messages": [{"message_id": "m", "role": "user", "content": "x", "timestamp": "2026-01-01T00:00:00Z", "tokens": 1, "parts": [{"type": "text", "content": "x"}]}]}),
        json!({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "x"}], "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}], "tools": []}),
        json!({"input": {"messages": [{"role": "user", "content": "x"}]}, "preferred_output": [{"role": "assistant", "content": "x"}], "non_preferred_output": []}),
        json!({"conversations": [{"from": "function_call", "value": "{\"name\":\"f\"}"}, {"from": "observation", "value": "x"}], "chosen": {"from": "gpt", "value": "x"}, "rejected": {}}),
        json!({"instruction": "x", "input": "y", "output": "z", "history": [["a", "b"]]}),
    ]
}

/// Puts something else in the place of one value.
fn replaced(mut value: Value, path: &[prop::sample::Index], by: Value) -> Value {
    let mut at = &mut value;
    for step in path {
        let count = match &*at {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if count == 0 {
            break;
        }
        let step = step.index(count);
        at = match at {
            Value::Array(items) => &mut items[step],
            Value::Object(map) => map.values_mut().nth(step).unwrap(),
            _ => unreachable!(),
        };
    }
    *at = by;
    value
}

/// Imports twice; the second time nothing is new.
fn twice(bytes: &[u8], format: Option<Format>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = MemoryStore::new();
        let import = format.map_or_else(Import::new, |format| Import::new().with_format(format));
        let first = import.run(&store, text(bytes), |_| {}).await.unwrap();
        let second = import.run(&store, text(bytes), |_| {}).await.unwrap();
        assert_eq!((second.imported, second.failed), (0, first.failed));
    });
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), format in prop::option::of(prop::sample::select(Format::ALL))) {
        twice(&bytes, format);
    }

    #[test]
    fn any_json_as_any_form(value in any_json(), format in prop::option::of(prop::sample::select(Format::ALL))) {
        twice(json!([value]).to_string().as_bytes(), format);
    }

    #[test]
    fn known_forms_with_something_else_inside(
        which in any::<prop::sample::Index>(), path in prop::collection::vec(any::<prop::sample::Index>(), 1..8), by in any_json(),
    ) {
        let known = known();
        let value = replaced(known[which.index(known.len())].clone(), &path, by);
        twice(value.to_string().as_bytes(), None);
    }

    #[test]
    fn known_forms_with_other_bytes_inside(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let known = known();
        let mut text = known[which.index(known.len())].to_string().into_bytes();
        let at = at.index(text.len());
        text.splice(at..(at + bytes.len()).min(text.len()), bytes);
        twice(&text, None);
    }

    #[test]
    fn any_rows(rows in prop::collection::vec("[a-z,\"'=\r\n]{0,30}", 0..8)) {
        let text = format!("session_id,role,content,timestamp,tokens\r\n{}", rows.join("\r\n"));
        twice(text.as_bytes(), None);
    }
}
