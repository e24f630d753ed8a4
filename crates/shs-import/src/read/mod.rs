//! The forms of conversations in texts.

mod alpaca;
mod chatgpt;
mod claude_ai;
pub(crate) mod csv;
mod form;
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
    /// The first value, and how many came, while none was understood.
    unknown: Option<Unknown>,
    has_understood: bool,
    /// How often the same conversation came, where conversations have no ids.
    occurrences: HashMap<u128, u32>,
}

/// Values that are in no known form.
#[derive(Debug)]
struct Unknown {
    place: Place,
    why: String,
    count: u64,
    /// Whether none of them holds anything that could be messages.
    is_bare: bool,
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
    /// It is of another form, of which this is the sign.
    Other(String),
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
        Self { format: told, unknown: None, has_understood: false, occurrences: HashMap::new() }
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
        self.understood(Some(Format::Transcripts), sink)?;
        transcripts::read_text(text, outline.messages, Format::Transcripts, place, sink)
    }

    pub(crate) fn take(&mut self, value: Value, place: Place, sink: &Sink) -> Result<(), Gone> {
        let is_bare = is_bare(&value);
        let recognized = recognize(&value);
        // Entries without messages stand among conversations.
        let is_beside = self.has_understood && is_bare && recognized.is_none();
        let Some(format) = self.format.filter(|_| !is_beside).or(recognized) else {
            return self.unknown(place, "it has none of their keys".to_owned(), is_bare, sink);
        };
        let mut emit = |one: Conversation| {
            for note in one.notes() {
                sink.note(place.clone(), note)?;
            }
            Ok(hand_on(one.finish(), format, place.clone(), sink)?)
        };
        let read = match format {
            Format::Transcripts => match transcripts::check(&value) {
                Err(stop) => Err(stop),
                Ok(()) => {
                    self.understood(Some(format), sink)?;
                    return transcripts::read(value, format, place, sink);
                }
            },
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
            Format::OpenWebUi => {
                let own = open_webui::id(&value).map(str::to_owned);
                match own.or_else(|| self.name(format, &value)) {
                    None => Err(TOO_MANY_UNNAMED.into()),
                    Some(id) => open_webui::read(&value, &id, sink.limits(), &mut emit),
                }
            }
            Format::Csv
            | Format::PythonDatabase
            | Format::Llm
            | Format::LangChain
            | Format::OpenAiAgents => Err(format!("this is JSON, and {format} is not").into()),
        };
        match read {
            Ok(()) => self.understood(Some(format), sink),
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Failed(what)) => sink.failed(place, what),
            Err(Stop::Other(sign)) => {
                self.unknown(place, format!("{sign}, so it is not {format}"), is_bare, sink)
            }
        }
    }

    /// Notes a value that is in no known form: before one is understood, all of them are told as one.
    fn unknown(
        &mut self,
        place: Place,
        why: String,
        is_bare: bool,
        sink: &Sink,
    ) -> Result<(), Gone> {
        match &mut self.unknown {
            _ if self.has_understood => {
                Unknown { place, why, count: 1, is_bare }.tell(is_bare, sink)
            }
            Some(unknown) => {
                unknown.count += 1;
                unknown.is_bare &= is_bare;
                Ok(())
            }
            None => {
                self.unknown = Some(Unknown { place, why, count: 1, is_bare });
                Ok(())
            }
        }
    }

    /// Notes that a value was understood.
    fn understood(&mut self, format: Option<Format>, sink: &Sink) -> Result<(), Gone> {
        self.format = format;
        self.has_understood = true;
        match self.unknown.take() {
            Some(unknown) => {
                let is_bare = unknown.is_bare;
                unknown.tell(is_bare, sink)
            }
            None => Ok(()),
        }
    }

    /// Tells what is to be told once all values were taken.
    pub(crate) fn finish(&mut self, sink: &Sink) -> Result<(), Gone> {
        self.unknown.take().map_or(Ok(()), |unknown| unknown.tell(false, sink))
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

impl Unknown {
    /// Beside conversations, what holds none is only noted.
    fn tell(self, is_note: bool, sink: &Sink) -> Result<(), Gone> {
        let Self { place, why, count, .. } = self;
        let others = match count {
            1 => String::new(),
            2 => ", nor is another one".to_owned(),
            count => format!(", nor are {} others", count - 1),
        };
        if is_note {
            let what = format!("this holds no messages{others}, and is no conversation");
            return sink.note(place, what);
        }
        sink.failed(place, unknown(&others, &why))
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

/// The forms that are read of texts.
const KNOWN: &str = "read are transcripts (this library's and the Python package's), csv, openai, sharegpt, alpaca, chatgpt, claude and \
    open-webui; --from names one";

/// What is said of values that are in no known form, of one and perhaps of others.
fn unknown(others: &str, why: &str) -> String {
    format!("this is no conversation in a known form{others}: {why}; {KNOWN}")
}

/// What is said of a text that has none of the keys or columns that the forms have.
fn unknown_text() -> String {
    unknown("", "it has none of their keys or columns")
}

/// Whether a value has nothing in it that could be messages: no objects in lists or objects.
fn is_bare(value: &Value) -> bool {
    let Value::Object(object) = value else { return false };
    let holds = |value: &Value| match value {
        Value::Array(values) => values.iter().any(Value::is_object),
        Value::Object(values) => values.values().any(Value::is_object),
        _ => false,
    };
    !object.values().any(holds)
}

/// The form of a value, by its keys.
pub(crate) fn recognize(value: &Value) -> Option<Format> {
    let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    let is_array = |pointer: &str| value.pointer(pointer).is_some_and(Value::is_array);
    let is_object = |pointer: &str| value.pointer(pointer).is_some_and(Value::is_object);
    if is_object("/mapping") {
        Some(Format::ChatGpt)
    } else if is_array("/chat_messages") {
        Some(Format::ClaudeAi)
    } else if is_object("/chat/history/messages")
        || is_array("/chat/messages")
        || is_object("/history/messages")
    {
        Some(Format::OpenWebUi)
    } else if has("session_id") {
        Some(Format::Transcripts)
    } else if is_array("/conversations") {
        // Turns of the other form stand under this key, too.
        let first = value.pointer("/conversations/0");
        match first.is_some_and(|first| openai::check(first).is_ok()) {
            true => Some(Format::OpenAi),
            false => Some(Format::ShareGpt),
        }
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
