//! Definitions of tools.

use serde_json::{Map, Value, json};

use crate::draft::str_at;

/// A tool as chat completions have it, of a definition whose keys lie side by side, with the parameters under this key.
/// Only what that form has is taken, and nothing that is null; `None` if the definition has no name.
pub(crate) fn nested(definition: &Value, parameters: &str) -> Option<Value> {
    str_at(definition, "/name").filter(|name| !name.trim().is_empty())?;
    let keys = [
        ("name", "name"),
        ("description", "description"),
        ("parameters", parameters),
        ("strict", "strict"),
    ];
    let given = keys.into_iter().filter_map(|(key, here)| {
        let value = definition.get(here).filter(|value| !value.is_null())?;
        Some((key.to_owned(), value.clone()))
    });
    Some(json!({"type": "function", "function": given.collect::<Map<_, _>>()}))
}

/// The definitions under a key of a request.
pub(crate) fn listed<'a>(body: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    body.get(key).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{anthropic, chat, responses};

    #[test]
    fn every_form_becomes_that_of_chat_completions() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tool = json!({"type": "function", "function": {
            "name": "weather", "description": "It tells.", "parameters": parameters,
        }});
        let flat = json!({"name": "weather", "description": "It tells.", "parameters": parameters});
        let of_chat = json!({"tools": [tool], "functions": [flat]});
        assert_eq!(chat::tools(&of_chat), [tool.clone(), tool.clone()]);
        let of_responses = json!({"tools": [{
            "type": "function", "name": "weather", "description": "It tells.", "parameters": parameters, "strict": null,
        }]});
        assert_eq!(responses::tools(&of_responses)[0], tool);
        let of_anthropic = json!({"tools": [
            {"name": "weather", "description": "It tells.", "input_schema": parameters, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "weather", "description": "It tells.", "input_schema": parameters},
        ]});
        assert_eq!(anthropic::tools(&of_anthropic), [tool.clone(), tool]);
    }

    #[test]
    fn whether_arguments_are_strict_stays() {
        let strict = json!({"type": "function", "function": {"name": "f", "strict": true}});
        let flat = json!({"type": "function", "name": "f", "strict": true});
        assert_eq!(responses::tools(&json!({"tools": [flat]}))[0], strict);
        assert_eq!(chat::tools(&json!({"tools": [strict]})), [strict]);
    }

    #[test]
    fn tools_without_such_a_form_stay_as_they_are() {
        let of_chat = json!([{"type": "custom", "custom": {"name": "sql"}}]);
        assert_eq!(chat::tools(&json!({"tools": of_chat})), *of_chat.as_array().unwrap());
        let of_responses = json!([
            {"type": "web_search"},
            {"type": "custom", "name": "sql", "format": {"type": "text"}},
            {"type": "function"},
        ]);
        let kept = responses::tools(&json!({"tools": of_responses}));
        assert_eq!(kept, *of_responses.as_array().unwrap());
        let of_anthropic = json!([
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"type": "custom"},
            "weather",
        ]);
        let kept = anthropic::tools(&json!({"tools": of_anthropic}));
        assert_eq!(kept, *of_anthropic.as_array().unwrap());
    }

    #[test]
    fn what_is_no_list_has_no_tools() {
        for body in [json!({}), json!({"tools": null}), json!({"tools": {"a": 1}}), json!(1)] {
            assert!(chat::tools(&body).is_empty());
            assert!(responses::tools(&body).is_empty());
            assert!(anthropic::tools(&body).is_empty());
        }
    }
}
