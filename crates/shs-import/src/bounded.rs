//! JSON that is built up to a limit of memory.

use std::cell::Cell;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What an object takes at least: the first node of its tree, which has place for eleven keys.
const OBJECT: usize = 640;
/// What a further key of an object takes, its own allocation included.
const KEY: usize = 96;
/// What a value in an array takes, of which the array may have twice as many as it needs.
const ITEM: usize = 2 * size_of::<Value>();
/// What a text's allocation takes at least beside the text.
const TEXT: usize = 16;

/// Memory that may be taken yet.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<usize>,
    is_spent: Cell<bool>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: Cell::new(bytes), is_spent: Cell::new(false) }
    }

    /// Whether something needed more than there was.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    /// What may be taken yet.
    pub(crate) fn left(&self) -> usize {
        self.left.get()
    }

    /// Something needed more than was left.
    pub(crate) fn exhaust(&self) {
        self.is_spent.set(true);
    }

    /// Takes some; an error if it is more than is left.
    pub(crate) fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_spent.set(true);
                Err(E::custom("more memory than the limit"))
            }
        }
    }
}

/// Reads a JSON text of one value within a budget.
pub(crate) fn from_slice(text: &[u8], budget: &Budget) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Bounded(budget).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The part of a visitor that makes a [`Value`] which takes no memory beside itself.
macro_rules! scalars {
    () => {
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }

        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
            Ok(value.into())
        }
    };
}

pub(crate) use scalars;

/// Builds a [`Value`] within a budget.
#[derive(Clone, Copy)]
pub(crate) struct Bounded<'b>(pub(crate) &'b Budget);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    scalars!();

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        self.0.spend(TEXT)?;
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.0.spend(ITEM)?;
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        // Also where it is empty: readers add what is missing.
        self.0.spend(OBJECT)?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.spend(KEY)?;
            object.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

/// What a map takes in memory, roughly.
pub(crate) fn bytes_of_map(map: &Map<String, Value>) -> usize {
    if map.is_empty() {
        return 0;
    }
    map.iter().fold(OBJECT, |sum, (key, value)| sum + KEY + key.len() + bytes_of(value))
}

/// What a value takes in memory beside itself, roughly.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => TEXT + text.len(),
        Value::Array(items) => items.iter().fold(0, |sum, item| sum + ITEM + bytes_of(item)),
        Value::Object(map) => bytes_of_map(map),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_fits_is_the_same_value(value in any_json()) {
            let text = serde_json::to_vec(&value).unwrap();
            let read = from_slice(&text, &Budget::new(usize::MAX)).unwrap();
            prop_assert_eq!(read, serde_json::from_slice::<Value>(&text).unwrap());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_built() {
        let budget = Budget::new(10_000);
        assert!(from_slice(&b"[".repeat(100), &budget).is_err());
        assert!(!budget.is_spent(), "what is no JSON is told as that");
        for bomb in [format!("[{}0]", "0,".repeat(1_000)), format!("[{}0]", "{},".repeat(50))] {
            let budget = Budget::new(10_000);
            assert!(from_slice(bomb.as_bytes(), &budget).is_err());
            assert!(budget.is_spent());
        }
        assert!(from_slice(b"{} {}", &Budget::new(10_000)).is_err());
        assert!(bytes_of_map(json!({"a": [[], {"b": "c"}]}).as_object().unwrap()) > 2 * OBJECT);
    }
}
