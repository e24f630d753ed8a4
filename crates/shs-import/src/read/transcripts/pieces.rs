//! The keys and the messages of a session's text, one by one.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use shs_store::Timestamp;

use super::missing::time;
use crate::bounded::{Bounded, Budget};

/// The keys of a session but for its messages, and the first time that a message has.
pub(super) fn head(
    text: &[u8],
    budget: &Budget,
) -> serde_json::Result<(Map<String, Value>, Option<Timestamp>)> {
    Head(budget).deserialize(&mut from_slice(text))
}

/// Hands on each message; `take` returns what is kept of its JSON.
pub(super) fn messages(
    text: &[u8],
    budget: &Budget,
    take: &mut dyn FnMut(Value) -> serde_json::Result<usize>,
) -> serde_json::Result<()> {
    Messages { take, budget }.deserialize(&mut from_slice(text))
}

fn from_slice(text: &[u8]) -> serde_json::Deserializer<serde_json::de::SliceRead<'_>> {
    serde_json::Deserializer::from_slice(text)
}

struct Head<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for Head<'_> {
    type Value = (Map<String, Value>, Option<Timestamp>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Head<'_> {
    type Value = (Map<String, Value>, Option<Timestamp>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut session = Map::new();
        let mut first_time = None;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "messages" {
                first_time = entries.next_value_seed(FirstTime(self.0))?;
            } else {
                let value = entries.next_value_seed(Bounded(self.0))?;
                session.insert(key, value);
            }
        }
        Ok((session, first_time))
    }
}

/// The first time in an array of messages.
struct FirstTime<'b>(&'b Budget);

impl<'de> DeserializeSeed<'de> for FirstTime<'_> {
    type Value = Option<Timestamp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FirstTime<'_> {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Self::Value, A::Error> {
        while let Some(message) = next_message(&mut messages, self.0)? {
            if let Some(first) = time(message.get("timestamp")) {
                while messages.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Some(first));
            }
        }
        Ok(None)
    }
}

/// The next message, which takes no more than is left of a budget; nothing is taken from it.
fn next_message<'de, A: SeqAccess<'de>>(
    messages: &mut A,
    budget: &Budget,
) -> Result<Option<Value>, A::Error> {
    let of_one = Budget::new(budget.left());
    let message = messages.next_element_seed(Bounded(&of_one));
    if of_one.is_spent() {
        budget.exhaust();
    }
    message
}

/// Reads a session's messages, which are handed on one by one; each returns what is kept of its
/// JSON.
struct Messages<'t> {
    take: &'t mut dyn FnMut(Value) -> serde_json::Result<usize>,
    budget: &'t Budget,
}

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session with an array of messages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { take, budget } = self;
        while let Some(key) = entries.next_key::<String>()? {
            if key == "messages" {
                entries.next_value_seed(Messages { take: &mut *take, budget })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        while let Some(message) = next_message(&mut messages, self.budget)? {
            let kept = (self.take)(message).map_err(A::Error::custom)?;
            self.budget.spend(kept)?;
        }
        Ok(())
    }
}
