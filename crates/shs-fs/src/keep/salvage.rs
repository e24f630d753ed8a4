//! What can be read of a conversation's file that is damaged.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use shs_store::model::ContentDigest;
use shs_store::{Message, MessageId, Seq, Session, Timestamp};

use crate::line::{Change, Line};

/// What was read of a file.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) session: Option<Session>,
    /// By rising number.
    pub(super) messages: Vec<Kept>,
    /// What could not be read, or has no place.
    pub(super) bad: Vec<BadLine>,
    at: Option<Timestamp>,
}

/// A message that could be read.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) message: Message,
    /// What was appended under its id.
    pub(super) digest: ContentDigest,
    /// Its number of arrival, unless the line that had it is lost.
    pub(super) arrival: Option<i64>,
}

/// A line that could not be used.
#[derive(Debug)]
pub(super) struct BadLine {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Where it begins.
    pub(super) at: u64,
    pub(super) why: String,
    bytes: Vec<u8>,
}

impl BadLine {
    /// The line as it is put aside: its text, or its bytes as hexadecimal digits.
    pub(super) fn to_json(&self, file: &str) -> Value {
        let mut object = json!({ "file": file, "line": self.line, "byte": self.at });
        match str::from_utf8(&self.bytes) {
            Ok(text) => object["text"] = text.into(),
            Err(_) => {
                let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                object["hex"] = hex.into();
            }
        }
        object
    }
}

/// The messages that were read so far.
#[derive(Default)]
struct Places {
    /// Where each is, by its id.
    ids: HashMap<MessageId, usize>,
    seqs: HashSet<Seq>,
}

/// A line that could be read.
struct Good {
    line: Line<'static>,
    number: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Good {
    fn into_bad(self, why: impl Into<String>) -> BadLine {
        BadLine { line: self.number, at: self.at, why: why.into(), bytes: self.bytes }
    }
}

/// Reads the lines that can be read, each by itself. A change that has no end at the end of the file was never acknowledged.
pub(super) fn salvage(bytes: &[u8]) -> Salvaged {
    let mut salvaged = Salvaged::default();
    let mut good = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        match Line::read(text) {
            Ok(line) => good.push(Good { line, number, at, bytes: text.to_vec() }),
            Err(error) => salvaged.bad.push(BadLine {
                line: number,
                at,
                why: error.detail().to_owned(),
                bytes: text.to_vec(),
            }),
        }
        at += line.len() as u64;
    }
    while good.pop_if(|last| last.line.more).is_some_and(|last| {
        salvaged.bad.push(last.into_bad("a change without an end"));
        true
    }) {}
    let mut places = Places::default();
    for line in good {
        salvaged.take(line, &mut places);
    }
    salvaged.bad.sort_by_key(|bad| bad.at);
    salvaged.messages.sort_by_key(|kept| kept.message.seq);
    if let Some(session) = &mut salvaged.session {
        session.updated_at = salvaged.at.unwrap_or(session.updated_at);
        let last = salvaged.messages.last().map_or(Seq::ZERO, |kept| kept.message.seq);
        session.last_seq = session.last_seq.max(last);
    }
    salvaged
}

impl Salvaged {
    fn take(&mut self, good: Good, places: &mut Places) {
        let at = good.line.at;
        let (arrival, digest) = (good.line.n, good.line.digest);
        let refused = match good.line.change.clone() {
            Change::Session(session) => self.take_session(session.into_owned()),
            Change::Message(message) => {
                self.add(message.into_owned(), arrival, digest, places).err()
            }
            Change::Update(message) => self.change(message.into_owned(), places).err(),
        };
        match refused {
            None => self.at = Some(at),
            Some(why) => self.bad.push(good.into_bad(why)),
        }
    }

    /// Returns why not.
    fn take_session(&mut self, mut session: Session) -> Option<String> {
        if let Err(error) = session.validate() {
            return Some(error.detail().to_owned());
        }
        if let Some(before) = &self.session {
            if before.id != session.id {
                return Some("another session".to_owned());
            }
            session.last_seq = session.last_seq.max(before.last_seq);
        }
        self.session = Some(session);
        None
    }

    fn add(
        &mut self,
        message: Message,
        arrival: Option<i64>,
        digest: Option<ContentDigest>,
        places: &mut Places,
    ) -> Result<(), String> {
        message.validate().map_err(|error| error.detail().to_owned())?;
        let is_taken = places.seqs.contains(&message.seq) || places.ids.contains_key(&message.id);
        if message.seq == Seq::ZERO || is_taken {
            return Err("a message without a number or an id of its own".to_owned());
        }
        places.seqs.insert(message.seq);
        places.ids.insert(message.id.clone(), self.messages.len());
        let digest = digest.unwrap_or_else(|| message.digest());
        self.messages.push(Kept { message, digest, arrival });
        Ok(())
    }

    /// What was added is lost where an update has no message, but the update has all of it.
    fn change(&mut self, message: Message, places: &mut Places) -> Result<(), String> {
        let Some(place) = places.ids.get(&message.id) else {
            return self.add(message, None, None, places);
        };
        message.validate().map_err(|error| error.detail().to_owned())?;
        let kept = &mut self.messages[*place];
        if kept.message.seq != message.seq {
            return Err("a change to a message under another number".to_owned());
        }
        kept.message = message;
        Ok(())
    }
}
