//! What a session of our own form may lack, and what it gets then.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Map, Value};
use shs_store::{MessageId, Timestamp};

use crate::conversation::{self, no_time};

/// Gives what is missing, from the beginning of a session to its end.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    /// The time of the message before.
    at: String,
    number: usize,
    ids: Ids,
    /// What did not fit.
    pub(super) bent: Option<&'static str>,
}

impl Missing {
    pub(super) fn in_session(
        session: &mut Map<String, Value>,
        first_time: Option<Timestamp>,
    ) -> Self {
        ["created_at", "updated_at", "ended_at"].iter().for_each(|key| written_out(session, key));
        let created = time(session.get("created_at"))
            .or(first_time)
            .or_else(|| time(session.get("updated_at")));
        let created = created.unwrap_or_else(no_time).to_string();
        if is_missing(session, "created_at") {
            session.insert("created_at".to_owned(), created.clone().into());
        }
        Self { at: created, number: 0, ids: Ids::default(), bent: None }
    }

    pub(super) fn in_message(&mut self, message: &mut Value) {
        self.number += 1;
        let Value::Object(message) = message else { return };
        let id = message.get("message_id").and_then(Value::as_str);
        if !id.is_some_and(|id| MessageId::new(id).is_ok() && self.ids.insert(id)) {
            let id = self.ids.make(self.number);
            if replace(message, "message_id", id) {
                self.bent = Some("the id of a message");
            }
        }
        written_out(message, "timestamp");
        match message.get("timestamp").and_then(Value::as_str) {
            Some(given) => given.clone_into(&mut self.at),
            None if is_missing(message, "timestamp") => {
                message.insert("timestamp".to_owned(), self.at.clone().into());
            }
            None => {}
        }
    }

    /// Which ids came, which nothing asks for behind the last message.
    pub(super) fn forget_ids(&mut self) {
        self.ids = Ids::default();
    }

    pub(super) fn at_the_end(&self, session: &mut Map<String, Value>) {
        if is_missing(session, "updated_at") {
            session.insert("updated_at".to_owned(), self.at.clone().into());
        }
    }
}

/// Which ids came, in less memory than they take: two hashes of each, under keys that nobody can
/// know beforehand; and of those that are made of a message's place, a bit.
#[derive(Clone, Debug, Default)]
struct Ids {
    came: HashSet<(u64, u64)>,
    keys: [RandomState; 2],
    /// Whether the id of each place was made; 64 places a number.
    made: Vec<u64>,
}

impl Ids {
    /// Whether it comes for the first time.
    fn insert(&mut self, id: &str) -> bool {
        !self.is_made(id) && self.came.insert(self.hashes(id))
    }

    /// The id of a message that has none, by its place from 1.
    fn make(&mut self, place: usize) -> String {
        let mut id = format!("m{place}");
        if !self.came.contains(&self.hashes(&id)) {
            let at = place / 64;
            if self.made.len() <= at {
                self.made.resize(at + 1, 0);
            }
            self.made[at] |= 1 << (place % 64);
            return id;
        }
        while !self.insert(&id) {
            id.push('-');
        }
        id
    }

    fn is_made(&self, id: &str) -> bool {
        let place = id.strip_prefix('m').and_then(|place| place.parse::<usize>().ok());
        let is_made = |place: usize| {
            self.made.get(place / 64).is_some_and(|places| places & (1 << (place % 64)) != 0)
        };
        place.is_some_and(|place| is_made(place) && format!("m{place}") == id)
    }

    fn hashes(&self, id: &str) -> (u64, u64) {
        let [one, other] = &self.keys;
        (one.hash_one(id), other.hash_one(id))
    }
}

pub(super) fn time(value: Option<&Value>) -> Option<Timestamp> {
    conversation::time(value?)
}

/// Writes a time that is not as we write it as a time that is; what is none stays.
fn written_out(object: &mut Map<String, Value>, key: &str) {
    if let Some(value) = object.get_mut(key)
        && value.as_str().is_none_or(|text| text.parse::<Timestamp>().is_err())
        && let Some(time) = conversation::time(value)
    {
        *value = time.to_string().into();
    }
}

/// Puts a value under a key, and keeps what was there; whether there was something.
pub(super) fn replace(object: &mut Map<String, Value>, key: &str, value: String) -> bool {
    match object.insert(key.to_owned(), value.into()) {
        None | Some(Value::Null) => false,
        Some(original) => {
            object.insert(format!("python_{key}"), original);
            true
        }
    }
}

pub(super) fn is_missing(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_once_whether_they_are_given_or_made() {
        let mut ids = Ids::default();
        assert!(ids.insert("m2") && ids.insert("a") && !ids.insert("a"));
        assert_eq!([ids.make(1), ids.make(2), ids.make(3)], ["m1", "m2-", "m3"]);
        for taken in ["m1", "m2", "m2-", "m3"] {
            assert!(!ids.insert(taken), "{taken}");
        }
        for free in ["m01", "m+1", "m4", "m2--", "m"] {
            assert!(ids.insert(free), "{free}");
        }
        assert_eq!(ids.make(1_000), "m1000");
        assert!(!ids.insert("m1000") && ids.insert("m1001"));
    }
}
