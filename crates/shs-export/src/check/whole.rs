//! JSON files: a session, or an array of them that are read one after the other.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::{Checked, Problem, Problems, transcript};

/// Reads to the end, or to where it is no JSON any more.
pub(super) fn read(
    reader: impl BufRead,
    limit: usize,
    mut found: impl FnMut(Problem),
) -> io::Result<Checked> {
    let place = Place { line: Cell::new(1), bytes: Cell::new(0), limit: limit as u64 };
    let mut reader = Counted { reader, place: &place };
    let mut checked = Checked::default();
    let mut each = Each { place: &place, checked: &mut checked, found: &mut found };
    let is_array = reader.begins_with_bracket()?;
    let mut json = serde_json::Deserializer::from_reader(reader);
    let done = if is_array {
        json.deserialize_seq(&mut each)
    } else {
        let line = place.line.get();
        serde::Deserialize::deserialize(&mut json).map(|value| each.take("", line, &value))
    };
    match done.and_then(|()| json.end()) {
        Ok(()) => {}
        Err(error) if error.is_io() && !place.is_over() => return Err(error.into()),
        Err(error) => {
            let what = if place.is_over() {
                format!("the session has more than {limit} bytes, which is the limit")
            } else if error.is_eof() {
                "the JSON is cut off".to_owned()
            } else {
                format!("this is not JSON, at column {}", error.column())
            };
            // Whatever could not be read is one session more.
            checked.lines += 1;
            checked.wrong += 1;
            checked.problems += 1;
            let line = if error.line() > 0 { error.line() as u64 } else { place.line.get() };
            found(Problem { line, place: String::new(), what });
        }
    }
    Ok(checked)
}

/// Where the reader is.
#[derive(Debug)]
struct Place {
    line: Cell<u64>,
    /// Bytes since the last session.
    bytes: Cell<u64>,
    limit: u64,
}

impl Place {
    fn is_over(&self) -> bool {
        self.bytes.get() > self.limit
    }
}

struct Counted<'a, R> {
    reader: R,
    place: &'a Place,
}

impl<R: BufRead> Counted<'_, R> {
    /// What stands before it is left where it is.
    fn begins_with_bracket(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.reader.fill_buf()?;
            match bytes.first() {
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.place.line.set(self.place.line.get() + u64::from(*byte == b'\n'));
                    self.reader.consume(1);
                }
                first => return Ok(first == Some(&b'[')),
            }
        }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place.is_over() {
            return Err(io::Error::other("too long"));
        }
        let read = self.reader.read(buffer)?;
        let lines = buffer[..read].iter().filter(|byte| **byte == b'\n').count();
        self.place.line.set(self.place.line.get() + lines as u64);
        self.place.bytes.set(self.place.bytes.get() + read as u64);
        Ok(read)
    }
}

struct Each<'a, F> {
    place: &'a Place,
    checked: &'a mut Checked,
    found: &'a mut F,
}

impl<F: FnMut(Problem)> Each<'_, F> {
    fn take(&mut self, prefix: &str, line: u64, value: &Value) {
        let mut problems = Problems::default();
        if value.is_object() {
            transcript::rules(value, &mut problems);
        } else {
            problems.say("", "this is no JSON object");
        }
        self.checked.lines += 1;
        self.checked.wrong += u64::from(!problems.0.is_empty());
        for (place, what) in problems.0 {
            self.checked.problems += 1;
            let dot = if prefix.is_empty() || place.is_empty() { "" } else { "." };
            (self.found)(Problem { line, place: format!("{prefix}{dot}{place}"), what });
        }
        self.place.bytes.set(0);
    }
}

impl<'de, F: FnMut(Problem)> Visitor<'de> for &mut Each<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of sessions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut at = 0_u64;
        while let Some(value) = items.next_element::<Value>()? {
            // It has been read up to its last byte.
            self.take(&format!("[{at}]"), self.place.line.get(), &value);
            at += 1;
        }
        Ok(())
    }
}
