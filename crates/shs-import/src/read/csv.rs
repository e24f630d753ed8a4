//! The rows of CSV that we write, and the Python package writes.

use std::collections::HashSet;
use std::io::{self, Read};

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value, json};
use shs_store::Timestamp;

use crate::found::{Gone, Sink};
use crate::limits::{MAX_COLUMNS, MAX_UNNAMED, MAX_VALUE_BYTES};
use crate::origin::number_of_text;
use crate::read::transcripts::SessionText;
use crate::{Format, Place};

/// Reads rows, those of a session one behind the other.
pub(crate) fn read(
    text: impl Read,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    let mut rows =
        ReaderBuilder::new().flexible(true).from_reader(Bounded { text, left: MAX_VALUE_BYTES });
    let header = match rows.headers() {
        Ok(header) => header.clone(),
        Err(error) if told == Some(Format::Csv) || error.is_io_error() => {
            return sink.failed(place.clone(), in_words(&error));
        }
        Err(_) => return sink.failed(place.clone(), super::unknown_text()),
    };
    let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    let has = |name: &str| names.contains(&name);
    if !(has("session_id") && has("role") && has("content")) {
        let what = match told {
            Some(Format::Csv) => {
                "the first row has to name session_id, role and content".to_owned()
            }
            _ => super::unknown_text(),
        };
        return sink.failed(place.clone(), what);
    }
    if names.len() > MAX_COLUMNS {
        let columns = names.len();
        let what = format!("{columns} columns; {MAX_COLUMNS} are the limit");
        return sink.failed(place.clone(), what);
    }
    if let Some(twice) = first_repeated(&names) {
        return sink.failed(
            place.clone(),
            format!("column {twice} has the name of another one before it"),
        );
    }
    let mut session: Option<Rows> = None;
    let mut ended: HashSet<u128> = HashSet::new();
    let mut row = StringRecord::new();
    loop {
        let at = rows.position().byte();
        let line = rows.position().line();
        let place = place.at(format!("line {line}"), Some(at));
        rows.get_mut().left = MAX_VALUE_BYTES;
        match rows.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                // The rows behind it are read all the same, unless nothing can be read any more.
                let is_over = error.is_io_error();
                sink.failed(place, in_words(&error))?;
                if is_over {
                    break;
                }
                continue;
            }
        }
        if row.len() != names.len() {
            let (has, wanted) = (row.len(), names.len());
            sink.failed(place, format!("a row of {has} cells, where the header has {wanted}"))?;
            continue;
        }
        let cells: Map<String, Value> =
            names.iter().zip(&row).map(|(name, cell)| ((*name).to_owned(), cell.into())).collect();
        let id = cells["session_id"].as_str().unwrap_or_default();
        if session.as_ref().is_none_or(|session| session.id != id) {
            let name = number_of_text(id);
            if ended.contains(&name) {
                // By themselves they would be another state of the session, and could replace what came before.
                sink.failed(place, "other rows of this session stand before; sort by session_id")?;
                continue;
            }
            if ended.len() == MAX_UNNAMED {
                let what =
                    format!("{MAX_UNNAMED} sessions stand before, which is the limit; split it");
                return sink.failed(place, what);
            }
            ended.insert(name);
            if let Some(done) = session.replace(Rows::new(id, &cells, place)) {
                done.finish(sink)?;
            }
        }
        if let Some(session) = &mut session {
            session.say(&message(cells));
        }
    }
    match session {
        Some(last) => last.finish(sink),
        None => Ok(()),
    }
}

/// The number, from 1, of the first column whose name stands before it already.
fn first_repeated(names: &[&str]) -> Option<usize> {
    let mut seen = HashSet::new();
    // Spreadsheets leave columns without a name behind the others.
    names.iter().position(|name| !name.is_empty() && !seen.insert(*name)).map(|at| at + 1)
}

/// A text that no row takes too much of, as one would whose quotes are not closed.
struct Bounded<R> {
    text: R,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let limit = MAX_VALUE_BYTES / (1024 * 1024);
            return Err(io::Error::other(format!("a row is longer than {limit} MiB")));
        }
        let most = buffer.len().min(self.left);
        let read = self.text.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// The rows of one session.
struct Rows {
    id: String,
    place: Place,
    session: Map<String, Value>,
    messages: SessionText,
    first_time: Option<Timestamp>,
    last_time: Option<Timestamp>,
}

impl Rows {
    fn new(id: &str, cells: &Map<String, Value>, place: Place) -> Self {
        let mut session = Map::new();
        session.insert("session_id".to_owned(), unharmed(id).into());
        for key in ["user_id", "project_id", "title"] {
            if let Some(text) =
                cells.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
            {
                session.insert(key.to_owned(), unharmed(text).into());
            }
        }
        let tags = cells.get("tags").and_then(Value::as_str).map(unharmed).unwrap_or_default();
        let tags: Vec<&str> =
            tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
        session.insert("tags".to_owned(), json!(tags));
        Self {
            id: id.to_owned(),
            place,
            session,
            messages: SessionText::default(),
            first_time: None,
            last_time: None,
        }
    }

    fn say(&mut self, message: &Value) {
        if let Some(time) = message["timestamp"].as_str().and_then(|time| time.parse().ok()) {
            self.first_time = Some(self.first_time.map_or(time, |first| first.min(time)));
            self.last_time = Some(self.last_time.map_or(time, |last| last.max(time)));
        }
        self.messages.say(message);
    }

    /// The conversation. Its times are those of its messages, as rows have no others.
    fn finish(mut self, sink: &Sink) -> Result<(), Gone> {
        for (key, time) in [("created_at", self.first_time), ("updated_at", self.last_time)] {
            self.session.extend(time.map(|time| (key.to_owned(), time.to_string().into())));
        }
        self.messages.read(&self.session, Format::Csv, self.place, sink)
    }
}

/// A message's JSON of its cells.
fn message(cells: Map<String, Value>) -> Value {
    let mut message = Map::new();
    for (name, cell) in cells {
        let text = cell.as_str().unwrap_or_default();
        match name.as_str() {
            "session_id" | "user_id" | "project_id" | "title" | "tags" => continue,
            "content" => message.insert(name, unharmed(text).into()),
            _ if text.is_empty() => continue,
            "tokens" | "latency_ms" => {
                // What is no number stays as the text that it is, beside the message.
                let number = serde_json::from_str::<serde_json::Number>(text).ok();
                message.insert(name, number.map_or_else(|| text.into(), Value::Number))
            }
            _ => message.insert(name, unharmed(text).into()),
        };
    }
    Value::Object(message)
}

/// A cell without the apostrophe that keeps spreadsheets from running it.
fn unharmed(cell: &str) -> String {
    let Some(rest) = cell.strip_prefix('\'') else { return cell.to_owned() };
    let is_passed_over = |c: char| {
        matches!(c, '"' | '\'') || (c.is_whitespace() && !matches!(c, '\t' | '\r' | '\n'))
    };
    match rest.chars().find(|c| !is_passed_over(*c)) {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            rest.to_owned()
        }
        _ => cell.to_owned(),
    }
}

fn in_words(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => {
            format!("cell {} is no text in UTF-8", err.field() + 1)
        }
        csv::ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => "this is not CSV".to_owned(),
    }
}
