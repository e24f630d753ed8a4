//! Definitions of tools.

use serde_json::{Map, Value};

use crate::draft::str_at;

/// Makes a tool as chat completions have it of a definition whose keys lie side by side, with the parameters under this key.
/// Only what that form has is taken, and nothing that is null. A definition without a name stays as it is.
pub(crate) fn nested(mut definition: Value, parameters: &str) -> Value {
    if str_at(&definition, "/name").is_none_or(|name| name.trim().is_empty()) {
        return definition;
    }
    let keys = [
        ("name", "name"),
        ("description", "description"),
        ("parameters", parameters),
        ("strict", "strict"),
    ];
    let given = keys.into_iter().filter_map(|(key, here)| {
        let value = definition.get_mut(here).filter(|value| !value.is_null())?;
        Some((key.to_owned(), value.take()))
    });
    let function = given.collect::<Map<_, _>>();
    // Moved, where `json!` would copy.
    let tool = [("type", Value::from("function")), ("function", Value::Object(function))];
    tool.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Takes the definitions under a key out of a request.
pub(crate) fn taken(request: &mut Value, key: &str) -> Vec<Value> {
    match request.get_mut(key).map(Value::take) {
        Some(Value::Array(definitions)) => definitions,
        _ => Vec::new(),
    }
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
        let mut of_chat = json!({"tools": [tool], "functions": [flat]});
        assert_eq!(chat::tools(&mut of_chat), [tool.clone(), tool.clone()]);
        let mut of_responses = json!({"tools": [{
            "type": "function", "name": "weather", "description": "It tells.", "parameters": parameters, "strict": null,
        }]});
        assert_eq!(responses::tools(&mut of_responses)[0], tool);
        let mut of_anthropic = json!({"tools": [
            {"name": "weather", "description": "It tells.", "input_schema": parameters, "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "weather", "description": "It tells.", "input_schema": parameters},
        ]});
        assert_eq!(anthropic::tools(&mut of_anthropic), [tool.clone(), tool]);
    }

    #[test]
    fn whether_arguments_are_strict_stays() {
        let strict = json!({"type": "function", "function": {"name": "f", "strict": true}});
        let flat = json!({"type": "function", "name": "f", "strict": true});
        assert_eq!(responses::tools(&mut json!({"tools": [flat]}))[0], strict);
        assert_eq!(chat::tools(&mut json!({"tools": [strict]})), [strict]);
    }

    #[test]
    fn tools_without_such_a_form_stay_as_they_are() {
        let of_chat = json!([{"type": "custom", "custom": {"name": "sql"}}]);
        assert_eq!(chat::tools(&mut json!({"tools": of_chat})), *of_chat.as_array().unwrap());
        let of_responses = json!([
            {"type": "web_search"},
            {"type": "custom", "name": "sql", "format": {"type": "text"}},
            {"type": "function"},
        ]);
        let kept = responses::tools(&mut json!({"tools": of_responses}));
        assert_eq!(kept, *of_responses.as_array().unwrap());
        let of_anthropic = json!([
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
            {"type": "custom"},
            "weather",
        ]);
        let kept = anthropic::tools(&mut json!({"tools": of_anthropic}));
        assert_eq!(kept, *of_anthropic.as_array().unwrap());
    }

    #[test]
    fn what_is_no_list_has_no_tools() {
        for mut body in [json!({}), json!({"tools": null}), json!({"tools": {"a": 1}}), json!(1)] {
            assert!(chat::tools(&mut body).is_empty());
            assert!(responses::tools(&mut body).is_empty());
            assert!(anthropic::tools(&mut body).is_empty());
        }
    }
}
