//! Texts of sessions that are read message by message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value};
use shs_store::python::TranscriptReader;
use shs_store::{Error, Message, MessageSource, Session, StreamedTranscript, Transcript};

use super::missing::{Missing, is_missing};
use super::pieces;
use crate::bounded::{Budget, bytes_of_map};
use crate::found::Coming;

/// A text longer than this, or with more messages, is read again by the store, rather than held as
/// messages: they take several times as much.
const STREAMED_BYTES: usize = 4 * 1024 * 1024;
const STREAMED_MESSAGES: usize = 20_000;
/// What a message of such a text takes while it is read: its id, to see whether it comes twice.
const BYTES_OF_ID: usize = 64;

/// Why a text is not a conversation.
#[derive(Debug)]
pub(super) enum Unread {
    /// Its objects and arrays take more memory than they may.
    TooHeavy,
    NotOne(serde_json::Error),
}

impl Unread {
    fn within(budget: &Budget, why: serde_json::Error) -> Self {
        if budget.is_spent() { Self::TooHeavy } else { Self::NotOne(why) }
    }
}

impl From<Error> for Unread {
    fn from(why: Error) -> Self {
        Self::NotOne(serde_json::Error::custom(why))
    }
}

/// Reads a text that is plain and has so many messages: strictly, or as the Python package would, with
/// the reason.
pub(super) fn read(
    text: Vec<u8>,
    messages: usize,
    json_bytes: usize,
) -> Result<(Coming, Option<String>), Unread> {
    let budget = Budget::new(json_bytes);
    let head = pieces::head(&text, &budget);
    let (mut session, first_time) = head.map_err(|why| Unread::within(&budget, why))?;
    session.remove("duration_seconds");
    let missing = Missing::in_session(&mut session, first_time);
    let strictly = Arc::new(PlainText::new(Arc::new(text), missing, budget.left()));
    let why = match read_strictly(&strictly, &session, messages) {
        Ok(coming) => return Ok((coming, strictly.end().bent.map(str::to_owned))),
        Err(Unread::NotOne(why)) => why,
        Err(heavy @ Unread::TooHeavy) => return Err(heavy),
    };
    match read_leniently(&strictly, session, messages) {
        Ok(coming) => Ok((coming, Some(why.to_string()))),
        Err(heavy @ Unread::TooHeavy) => Err(heavy),
        // The first reason is the one that a person can do something about.
        Err(Unread::NotOne(_)) => Err(Unread::NotOne(why)),
    }
}

fn read_strictly(
    text: &Arc<PlainText>,
    session: &Map<String, Value>,
    messages: usize,
) -> Result<Coming, Unread> {
    // The end of the session is known behind its last message only.
    take_messages(text, messages, |missing| {
        let mut session = session.clone();
        missing.at_the_end(&mut session);
        Session::deserialize(Value::Object(session)).map_err(Unread::NotOne)
    })
}

fn read_leniently(
    text: &PlainText,
    mut session: Map<String, Value>,
    messages: usize,
) -> Result<Coming, Unread> {
    let left = text.json_bytes.saturating_sub(bytes_of_map(&session));
    let mut text = PlainText::new(Arc::clone(&text.text), text.missing.clone(), left);
    if is_missing(&session, "updated_at") {
        text.pass(&mut |_| Ok(0))?;
        text.end().at_the_end(&mut session);
    }
    let reader = TranscriptReader::new(session)?;
    let session = reader.clone().into_session();
    text.lenient = Some(reader);
    take_messages(&Arc::new(text), messages, |_| Ok(session.clone()))
}

/// Puts the conversation together, whose session is made of what was missing by the beginning and by
/// the end.
fn take_messages(
    text: &Arc<PlainText>,
    messages: usize,
    session: impl Fn(&Missing) -> Result<Session, Unread>,
) -> Result<Coming, Unread> {
    if text.text.len() <= STREAMED_BYTES && messages <= STREAMED_MESSAGES {
        let mut read = Vec::with_capacity(messages);
        let all = text.for_each(&mut |message| {
            read.push(message);
            Ok(())
        });
        all.map_err(|error| text.why(error))?;
        return Ok(Transcript::new(session(&text.end())?, read)?.into());
    }
    let source: Arc<dyn MessageSource> = Arc::clone(text) as _;
    let began = StreamedTranscript::new(session(&text.missing)?, source);
    let began = began.map_err(|error| text.why(error))?;
    let ended = session(&text.end())?;
    let conversation = Box::new(began.change(|session| *session = ended)?);
    let bytes = text.text.len().saturating_add(messages.saturating_mul(BYTES_OF_ID));
    Ok(Coming::Streamed { conversation, bytes })
}

/// The messages of a session's text.
struct PlainText {
    text: Arc<Vec<u8>>,
    /// What was missing before the first message.
    missing: Missing,
    /// Reads them as the Python package would.
    lenient: Option<TranscriptReader>,
    json_bytes: usize,
    pass: Mutex<Pass>,
}

/// How the last pass ended.
#[derive(Default)]
struct Pass {
    missing: Option<Missing>,
    unread: Option<Unread>,
}

impl PlainText {
    fn new(text: Arc<Vec<u8>>, missing: Missing, json_bytes: usize) -> Self {
        Self { text, missing, lenient: None, json_bytes, pass: Mutex::default() }
    }

    /// Goes through the messages, to which is given what they lack; each returns what is kept of its
    /// JSON.
    fn pass(&self, take: &mut dyn FnMut(Value) -> serde_json::Result<usize>) -> Result<(), Unread> {
        let budget = Budget::new(self.json_bytes);
        let mut missing = self.missing.clone();
        let mut complete = |mut message: Value| {
            missing.in_message(&mut message);
            take(message)
        };
        let read = pieces::messages(&self.text, &budget, &mut complete);
        missing.forget_ids();
        self.ended().missing = Some(missing);
        read.map_err(|why| Unread::within(&budget, why))
    }

    /// What was missing by the end of the last pass.
    fn end(&self) -> Missing {
        self.ended().missing.as_ref().unwrap_or(&self.missing).clone()
    }

    /// Why the last pass failed, which gave this error.
    fn why(&self, error: Error) -> Unread {
        self.ended().unread.take().unwrap_or_else(|| error.into())
    }

    /// Nothing panics while it is held.
    fn ended(&self) -> MutexGuard<'_, Pass> {
        self.pass.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MessageSource for PlainText {
    fn for_each(
        &self,
        take: &mut dyn FnMut(Message) -> shs_store::Result<()>,
    ) -> shs_store::Result<()> {
        let mut lenient = self.lenient.clone();
        let mut refused = None;
        let read = self.pass(&mut |value| {
            let message = match &mut lenient {
                None => Message::deserialize(value)?,
                Some(reader) => reader.message(value).map_err(serde_json::Error::custom)?,
            };
            let kept = kept(&message);
            take(message).map_err(|error| {
                let why = serde_json::Error::custom(&error);
                refused = Some(error);
                why
            })?;
            Ok(kept)
        });
        match (refused, read) {
            (Some(refused), _) => Err(refused),
            (None, Ok(())) => Ok(()),
            (None, Err(unread)) => {
                let what = match &unread {
                    Unread::TooHeavy => "it takes more memory than before".to_owned(),
                    Unread::NotOne(why) => why.to_string(),
                };
                self.ended().unread = Some(unread);
                Err(Error::invalid(what))
            }
        }
    }
}

/// What is kept of a message's JSON, in bytes.
fn kept(message: &Message) -> usize {
    let parts: usize = message.parts.iter().map(|part| bytes_of_map(part.as_object())).sum();
    parts + bytes_of_map(&message.metadata) + bytes_of_map(&message.extra)
}
