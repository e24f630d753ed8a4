//! Texts: JSON, JSON Lines and CSV.

use std::io::{BufRead, Cursor, Read};

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;

use super::broken;
use super::values::{Counted, Damage, Raw, Values};
use crate::bounded::{self, Budget};
use crate::found::{Gone, Sink};
use crate::limits::MAX_VALUE_BYTES;
use crate::outline::{self, SMALL_BYTES};
use crate::read::{self, Reader, csv};
use crate::{Format, Place};

/// Reads a text to its end, or to where it is damaged.
pub(crate) fn read(
    text: impl BufRead,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<(), Gone> {
    match read_text(text, place, told, sink) {
        Ok(done) => done?,
        Err(damage) => tell(damage, place, sink)?,
    }
    sink.tell_timeless(place)
}

fn tell(damage: Damage, place: &Place, sink: &Sink) -> Result<(), Gone> {
    let (at, what) = match damage {
        Damage::CutOff { began, at } if began == at => {
            (at, "the text is cut off: its array does not end".to_owned())
        }
        Damage::CutOff { began, at } => {
            (at, format!("the text is cut off inside of what begins at byte {began}"))
        }
        Damage::Stray { at } => {
            (at, "this is not JSON: a comma, the next value or the end should be here".to_owned())
        }
        Damage::Unreadable { at, error } => (at, format!("cannot be read: {error}")),
    };
    sink.failed(place.at("", Some(at)), what)
}

fn read_text(
    text: impl BufRead,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<Result<(), Gone>, Damage> {
    let mut text = Counted::new(text);
    let before = text.skip_space()?;
    if let Some(encoding) = text.other_encoding()? {
        let what = format!("this is {encoding}; convert it to UTF-8");
        return Ok(sink.failed(place.clone(), what));
    }
    match before {
        None => Ok(sink.failed(place.clone(), "the file is empty")),
        Some(_) if told == Some(Format::Csv) => Ok(csv::read(text.into_rest(), place, told, sink)),
        Some(b'[') => values(text, place, told, sink),
        Some(first) => {
            let is_object = first == b'{';
            let (taken, is_lines) = first_lines(&mut text)?;
            if is_lines {
                return lines(taken, text, place, told, sink);
            }
            let start = taken.first().map_or(0, |line| line.at);
            let taken: Vec<Vec<u8>> = taken.into_iter().map(|line| line.bytes).collect();
            let taken = taken.join(&b'\n');
            if is_object {
                let text = Cursor::new(taken).chain(text.into_rest());
                return values(Counted::from(text, start), place, told, sink);
            }
            let text = Cursor::new(taken).chain(text.into_rest());
            Ok(csv::read(text, place, told, sink))
        }
    }
}

/// Takes lines from the beginning until it is known whether these are JSON Lines: they are, if the first is a value, or if
/// behind lines that are damaged there is one that is a conversation. Nothing else has such a line of its own: where a value stands
/// on several lines, the second one is no whole conversation, and rows begin with their header.
fn first_lines(text: &mut Counted<impl BufRead>) -> Result<(Vec<Raw>, bool), Damage> {
    let first = text.line()?.expect("there is a line, as there is something in it");
    let is_value = first.bytes.starts_with(b"{") && is_json(&first);
    if is_value || first.is_too_long {
        return Ok((vec![first], true));
    }
    let mut length = first.bytes.len();
    let mut taken = vec![first];
    while length < MAX_VALUE_BYTES
        && let Some(line) = text.line()?
    {
        length += line.bytes.len();
        let begins = line.bytes.first().copied();
        let is_conversation = begins == Some(b'{')
            && outline::of(&line.bytes).is_ok_and(|line| read::recognize(&line.value).is_some());
        let is_too_long = line.is_too_long;
        taken.push(line);
        if is_conversation || is_too_long {
            return Ok((taken, true));
        }
        if begins != Some(b'{') {
            break;
        }
    }
    // The next line begins where the last one ended, with the end that was taken off.
    if text.peek()?.is_some() {
        let at = text.at();
        taken.push(Raw { at, bytes: Vec::new(), is_too_long: false });
    }
    Ok((taken, false))
}

/// Lines that are values: a damaged one does not harm those behind it.
fn lines(
    first: Vec<Raw>,
    mut text: Counted<impl BufRead>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<Result<(), Gone>, Damage> {
    let mut number = text.lines_passed();
    let mut first = first.into_iter();
    take_all(told, sink, || {
        loop {
            let line = first.next().map_or_else(|| text.line(), |line| Ok(Some(line)))?;
            let Some(line) = line else { return Ok(None) };
            number += 1;
            if line.is_too_long || !line.bytes.trim_ascii().is_empty() {
                let place = place.at(format!("line {number}"), Some(line.at));
                return Ok(Some((line, place)));
            }
        }
    })
}

fn values(
    text: Counted<impl BufRead>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<Result<(), Gone>, Damage> {
    let mut values = Values::new(text)?;
    let mut number = 0_u64;
    take_all(told, sink, || {
        let Some(raw) = values.next()? else { return Ok(None) };
        let path = match values.in_array() {
            true => format!("$[{number}]"),
            false if number == 0 => "$".to_owned(),
            false => format!("value {}", number + 1),
        };
        number += 1;
        let place = place.at(path, Some(raw.at));
        Ok(Some((raw, place)))
    })
}

/// Takes values to the last one, or to the damage, which is no reason not to tell what they are.
fn take_all(
    told: Option<Format>,
    sink: &Sink,
    mut next: impl FnMut() -> Result<Option<(Raw, Place)>, Damage>,
) -> Result<Result<(), Gone>, Damage> {
    let mut reader = Reader::new(told);
    let ended = loop {
        match next() {
            Ok(Some((raw, place))) => {
                if let Err(gone) = take(&mut reader, raw, place, sink) {
                    return Ok(Err(gone));
                }
            }
            Ok(None) => break Ok(()),
            Err(damage) => break Err(damage),
        }
    };
    match reader.finish(sink) {
        Ok(()) => ended.map(Ok),
        Err(gone) => Ok(Err(gone)),
    }
}

fn take(reader: &mut Reader, mut raw: Raw, place: Place, sink: &Sink) -> Result<(), Gone> {
    if raw.is_too_long {
        let limit = MAX_VALUE_BYTES / (1024 * 1024);
        let what = format!(
            "longer than {limit} MiB, which is the limit of one conversation; shs copy and shs backup move longer ones \
             between stores"
        );
        return sink.failed(place, what);
    }
    // What is small is read at once; of what is not, it is found out first what it would become.
    let is_large = without_mark(&raw.bytes).len() > SMALL_BYTES;
    if is_large {
        // While it is read, nothing else takes as much.
        sink.wait_for(raw.bytes.len().saturating_mul(4))?;
    }
    if let Some((mended, broken)) = broken::mended(&raw.bytes) {
        raw.bytes = mended;
        let what = match broken {
            1 => "a broken character is replaced by U+FFFD".to_owned(),
            broken => format!("{broken} broken characters are replaced by U+FFFD"),
        };
        sink.note(place.clone(), what)?;
    }
    if is_large {
        return take_large(reader, raw, place, sink);
    }
    match parse(&raw, sink) {
        Ok(value) => reader.take(value, place, sink),
        Err((at, what)) => sink.failed(place.at(place.path.clone(), Some(raw.at + at)), what),
    }
}

fn take_large(reader: &mut Reader, raw: Raw, place: Place, sink: &Sink) -> Result<(), Gone> {
    let outline = match outline::of(without_mark(&raw.bytes)) {
        Ok(outline) => outline,
        Err(error) => {
            let (at, what) = not_json(without_mark(&raw.bytes), &error);
            return sink.failed(place.at(place.path.clone(), Some(raw.at + at)), what);
        }
    };
    if let Some(why) = sink.limits().too_many(outline.messages) {
        return sink.failed(place, why);
    }
    if reader.is_plain(&outline) {
        return reader.take_plain(raw.bytes, &outline, place, sink);
    }
    let parsed = parse(&raw, sink);
    let at = raw.at;
    drop(raw);
    match parsed {
        Ok(value) => reader.take(value, place, sink),
        Err((error_at, what)) => {
            sink.failed(place.at(place.path.clone(), Some(at + error_at)), what)
        }
    }
}

/// Whether this is a value of JSON, whatever it would take to read it.
fn is_json(raw: &Raw) -> bool {
    serde_json::from_slice::<IgnoredAny>(without_mark(&raw.bytes)).is_ok()
}

/// The value, or what is wrong with it and at which byte of it.
fn parse(raw: &Raw, sink: &Sink) -> Result<Value, (u64, String)> {
    let bytes = without_mark(&raw.bytes);
    let budget = Budget::new(sink.limits().json_bytes);
    bounded::from_slice(bytes, &budget).map_err(|error| match budget.is_spent() {
        true => (0, sink.limits().too_heavy()),
        false => not_json(bytes, &error),
    })
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// What is wrong with a text, and at which byte of it.
fn not_json(bytes: &[u8], error: &serde_json::Error) -> (u64, String) {
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
    let at = (before + error.column().saturating_sub(1)).min(bytes.len());
    (at as u64, read::not_json(error, error.classify() == Category::Eof))
}
