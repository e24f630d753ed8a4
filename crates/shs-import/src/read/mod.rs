//! The forms of conversations in texts.

mod alpaca;
mod chatgpt;
mod claude_ai;
pub(crate) mod csv;
mod open_webui;
mod openai;
mod sharegpt;
pub(crate) mod transcripts;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;
use shs_store::{Error, Transcript};

use crate::conversation::Conversation;
use crate::found::{Gone, Sink};
use crate::limits::MAX_UNNAMED;
use crate::origin::digest_of;
use crate::outline::Outline;
use crate::{Format, Place};

/// Reads the values of one text, which are all of one form.
#[derive(Debug)]
pub(crate) struct Reader {
    format: Option<Format>,
    /// How often the same conversation came, where conversations have no ids.
    occurrences: HashMap<u128, u32>,
}

/// Takes the conversations of a value, those that others branch from first.
pub(crate) type Emit<'a> = dyn FnMut(Conversation) -> Result<(), Stop> + 'a;

/// Why reading a value ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody takes it.
    Gone,
    /// It is not what it should be.
    Failed(String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<&str> for Stop {
    fn from(what: &str) -> Self {
        Self::Failed(what.to_owned())
    }
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

impl Reader {
    /// A reader of this form, or of the one that the first known value has.
    pub(crate) fn new(told: Option<Format>) -> Self {
        Self { format: told, occurrences: HashMap::new() }
    }

    /// Whether a value whose text is known to be JSON can be read [piece by
    /// piece](Self::take_plain).
    pub(crate) fn is_plain(&self, outline: &Outline) -> bool {
        let format = self.format.or_else(|| recognize(&outline.value));
        format == Some(Format::Transcripts) && transcripts::is_plain(outline)
    }

    /// Takes the text of a value that is plain.
    pub(crate) fn take_plain(
        &mut self,
        text: Vec<u8>,
        outline: &Outline,
        place: Place,
        sink: &Sink,
    ) -> Result<(), Gone> {
        self.format = Some(Format::Transcripts);
        transcripts::read_text(text, outline.messages, Format::Transcripts, place, sink)
    }

    pub(crate) fn take(&mut self, value: Value, place: Place, sink: &Sink) -> Result<(), Gone> {
        let Some(format) = self.format.or_else(|| recognize(&value)) else {
            return sink.failed(place, UNKNOWN);
        };
        self.format = Some(format);
        let mut emit = |one: Conversation| Ok(hand_on(one.finish(), format, place.clone(), sink)?);
        let read = match format {
            Format::Transcripts => return transcripts::read(value, format, place, sink),
            Format::OpenAi | Format::ShareGpt | Format::Alpaca => match self.name(format, &value) {
                None => Err(TOO_MANY_UNNAMED.into()),
                Some(name) if format == Format::OpenAi => openai::read(&value, &name, &mut emit),
                Some(name) if format == Format::ShareGpt => {
                    sharegpt::read(&value, &name, &mut emit)
                }
                Some(name) => alpaca::read(&value, &name, &mut emit),
            },
            Format::ChatGpt => chatgpt::read(value, sink.limits(), &mut emit),
            Format::ClaudeAi => claude_ai::read(&value, sink.limits(), &mut emit),
            Format::OpenWebUi => open_webui::read(&value, sink.limits(), &mut emit),
            Format::Csv
            | Format::PythonDatabase
            | Format::Llm
            | Format::LangChain
            | Format::OpenAiAgents => Err(format!("this is JSON, and {format} is not").into()),
        };
        match read {
            Ok(()) => Ok(()),
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Failed(what)) => sink.failed(place, what),
        }
    }

    /// The id of a conversation that has none, by what it holds; another one each time that it
    /// comes again. `None` if there are too many to remember.
    fn name(&mut self, format: Format, value: &Value) -> Option<String> {
        let name = digest_of(value);
        let known = self.occurrences.len();
        let key = u128::from_str_radix(&name, 16).expect("a digest is a number of 128 bits");
        let occurrence = match self.occurrences.entry(key) {
            Entry::Vacant(_) if known == MAX_UNNAMED => return None,
            entry => entry.or_insert(0),
        };
        *occurrence = occurrence.saturating_add(1);
        Some(match occurrence {
            1 => format!("{format}-{name}"),
            again => format!("{format}-{name}-{again}"),
        })
    }
}

/// Hands a conversation on, or tells what is wrong with it.
pub(crate) fn hand_on(
    read: Result<Transcript, Error>,
    format: Format,
    place: Place,
    sink: &Sink,
) -> Result<(), Gone> {
    match read {
        Ok(transcript) => sink.conversation(place, format, transcript),
        Err(error) => sink.failed(place, error.to_string()),
    }
}

const TOO_MANY_UNNAMED: &str =
    "before it are 2,000,000 conversations without an id, which is the limit of one text; split it";

const UNKNOWN: &str = "this is no conversation in a known form; name the form with --from";

/// The form of a value, by its keys.
pub(crate) fn recognize(value: &Value) -> Option<Format> {
    let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    let is_array = |pointer: &str| value.pointer(pointer).is_some_and(Value::is_array);
    let is_object = |pointer: &str| value.pointer(pointer).is_some_and(Value::is_object);
    if is_object("/mapping") {
        Some(Format::ChatGpt)
    } else if is_array("/chat_messages") {
        Some(Format::ClaudeAi)
    } else if is_object("/chat/history/messages") || is_array("/chat/messages") {
        Some(Format::OpenWebUi)
    } else if has("session_id") {
        Some(Format::Transcripts)
    } else if is_array("/conversations") {
        Some(Format::ShareGpt)
    } else if is_array("/messages") || is_array("/input/messages") || is_array("/prompt") {
        Some(Format::OpenAi)
    } else if has("instruction") && has("output") {
        Some(Format::Alpaca)
    } else {
        None
    }
}

/// What is wrong with a text that is no JSON, without quoting it.
pub(crate) fn not_json(error: &serde_json::Error, is_cut_off: bool) -> String {
    let what = match is_cut_off {
        true => "this JSON is cut off",
        // It has no category of its own, and what stands there is JSON.
        false if error.to_string().starts_with("recursion limit") => "this JSON is nested too deep",
        false => "this is not JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}
