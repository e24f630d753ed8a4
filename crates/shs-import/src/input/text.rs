//! Texts: JSON, JSON Lines and CSV.

use std::io::{BufRead, Cursor, Read};

use serde_json::Value;
use serde_json::error::Category;

use super::values::{Counted, Damage, MAX_VALUE_BYTES, Raw, Values};
use crate::found::{Gone, Sink};
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
        Ok(done) => done,
        Err(damage) => tell(damage, place, sink),
    }
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
    match text.skip_space()? {
        None => Ok(sink.failed(place.clone(), "the file is empty")),
        Some(b'[') if told != Some(Format::Csv) => values(text, place, told, sink),
        Some(b'{') if told != Some(Format::Csv) => {
            // JSON Lines, if the first line is a value.
            let first = text.line()?.expect("there is a line, as there is something in it");
            let is_value = first.is_too_long || parse(&first).is_ok();
            if is_value {
                return lines(first, text, place, told, sink);
            }
            let start = first.at;
            let mut line = first.bytes;
            line.push(b'\n');
            let text = Cursor::new(line).chain(text.into_rest());
            values(Counted::from(text, start), place, told, sink)
        }
        Some(_) => Ok(csv::read(text.into_rest(), place, told, sink)),
    }
}

/// Lines that are values: a damaged one does not harm those behind it.
fn lines(
    first: Raw,
    mut text: Counted<impl BufRead>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<Result<(), Gone>, Damage> {
    let mut reader = Reader::new(told);
    let mut next = Some(first);
    let mut number = 0;
    while let Some(line) = next {
        number += 1;
        if line.is_too_long || !line.bytes.trim_ascii().is_empty() {
            let place = place.at(format!("line {number}"), Some(line.at));
            if let Err(gone) = take(&mut reader, line, place, sink) {
                return Ok(Err(gone));
            }
        }
        next = text.line()?;
    }
    Ok(Ok(()))
}

fn values(
    text: Counted<impl BufRead>,
    place: &Place,
    told: Option<Format>,
    sink: &Sink,
) -> Result<Result<(), Gone>, Damage> {
    let mut reader = Reader::new(told);
    let mut values = Values::new(text)?;
    let mut number = 0_u64;
    while let Some(raw) = values.next()? {
        let path = match values.in_array() {
            true => format!("$[{number}]"),
            false if number == 0 => "$".to_owned(),
            false => format!("value {}", number + 1),
        };
        number += 1;
        let place = place.at(path, Some(raw.at));
        if let Err(gone) = take(&mut reader, raw, place, sink) {
            return Ok(Err(gone));
        }
    }
    Ok(Ok(()))
}

fn take(reader: &mut Reader, raw: Raw, place: Place, sink: &Sink) -> Result<(), Gone> {
    if raw.is_too_long {
        let limit = MAX_VALUE_BYTES / (1024 * 1024);
        return sink.failed(place, format!("longer than {limit} MiB, which is the limit"));
    }
    match parse(&raw) {
        Ok(value) => reader.take(value, place, sink),
        Err((at, what)) => sink.failed(place.at(place.path.clone(), Some(raw.at + at)), what),
    }
}

/// The value, or what is wrong with it and at which byte of it.
fn parse(raw: &Raw) -> Result<Value, (u64, String)> {
    let bytes = raw.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&raw.bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let before: usize = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line() - 1)
            .map(<[u8]>::len)
            .sum();
        let at = (before + error.column().saturating_sub(1)).min(bytes.len());
        (at as u64, read::not_json(&error, error.classify() == Category::Eof))
    })
}
