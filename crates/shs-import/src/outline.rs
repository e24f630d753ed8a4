//! What a text of JSON is and how much is in it, without building it.

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::bounded::scalars;

/// Texts below this are read at once: what they become is small, whatever it is.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// The keys that say of which form a value is; what stands under others is not looked at.
const KEYS: [&str; 15] = [
    "chat",
    "chat_messages",
    "conversations",
    "history",
    "input",
    "instruction",
    "mapping",
    "messages",
    "output",
    "prompt",
    "session_id",
    "chosen",
    "rejected",
    "preferred_output",
    "non_preferred_output",
];

/// What a value is, as [`recognize`](crate::read::recognize) sees it.
#[derive(Debug)]
pub(crate) struct Outline {
    /// The value, with empty arrays and objects in place of those that hold something.
    pub(crate) value: Value,
    /// The most that an array or object has that holds messages.
    pub(crate) messages: usize,
    /// Whether it has one key `messages`, an array.
    pub(crate) has_messages: bool,
}

/// Looks through a text of JSON.
pub(crate) fn of(text: &[u8]) -> serde_json::Result<Outline> {
    let mut counts = Counts::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Look { counts: &mut counts, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    let has_messages = counts.arrays_of_messages == 1 && value["messages"].is_array();
    Ok(Outline { value, messages: counts.most, has_messages })
}

#[derive(Debug, Default)]
struct Counts {
    most: usize,
    arrays_of_messages: usize,
}

struct Look<'c> {
    counts: &'c mut Counts,
    /// How many keys lead to it.
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = Value;

    scalars!();

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        // Only ids are looked at, and those are short.
        Ok(Value::String(text.chars().take(256).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut count = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        self.counts.most = self.counts.most.max(count);
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut count = 0;
        // Of what holds the messages themselves, only how many there are.
        let is_inside = self.depth > 2;
        while let Some(key) = entries.next_key::<String>()? {
            count += 1;
            if is_inside || !KEYS.contains(&key.as_str()) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            self.counts.arrays_of_messages += usize::from(self.depth == 0 && key == "messages");
            let holds_messages =
                matches!(key.as_str(), "mapping") || (self.depth == 2 && key == "messages");
            let depth = if holds_messages { 3 } else { self.depth + 1 };
            let value = entries.next_value_seed(Look { counts: &mut *self.counts, depth })?;
            object.insert(key, value);
        }
        if is_inside {
            self.counts.most = self.counts.most.max(count);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Format;
    use crate::read::recognize;

    #[test]
    fn forms_are_recognized_and_messages_counted_without_the_text() {
        let nodes = json!({"a": {"b": 1}, "c": {}, "d": {}});
        for (value, format, messages) in [
            (json!({"mapping": nodes, "id": "x"}), Format::ChatGpt, 3),
            (json!({"chat_messages": [1, 2]}), Format::ClaudeAi, 2),
            (json!({"chat": {"history": {"messages": nodes}}}), Format::OpenWebUi, 3),
            (json!({"chat": {"messages": [1, 2, 3, 4]}}), Format::OpenWebUi, 4),
            (json!({"session_id": "s", "messages": [{}, {}]}), Format::Transcripts, 2),
            (json!({"conversations": [{}, {}]}), Format::ShareGpt, 2),
            (json!({"input": {"messages": [{}]}, "output": 1}), Format::OpenAi, 1),
            (json!({"prompt": [{}, {}], "chosen": []}), Format::OpenAi, 2),
            (json!({"instruction": "a", "output": "b"}), Format::Alpaca, 0),
        ] {
            let outline = of(value.to_string().as_bytes()).unwrap();
            assert_eq!(recognize(&outline.value), Some(format), "{value}");
            assert_eq!(recognize(&value), Some(format), "{value}");
            assert_eq!(outline.messages, messages, "{value}");
        }
        assert!(
            of(br#"{"messages": [], "messages": []}"#).is_ok_and(|outline| !outline.has_messages)
        );
        assert!(of(br#"{"messages": [1]}"#).is_ok_and(|outline| outline.has_messages));
    }
}
