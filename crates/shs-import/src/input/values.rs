//! Parts a text into its JSON values, without having more of it than one value.

use std::io::{self, BufRead, ErrorKind};

use crate::limits::MAX_VALUE_BYTES;

/// A value as it stands in the text.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    /// The byte at which it begins.
    pub(crate) at: u64,
    /// Its text; empty if it is longer than [`MAX_VALUE_BYTES`].
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_too_long: bool,
}

/// Why no more values come.
#[derive(Debug)]
pub(crate) enum Damage {
    /// The text ends inside of something that began at this byte.
    CutOff {
        began: u64,
        at: u64,
    },
    /// Something that is no value, where one or a comma should be.
    Stray {
        at: u64,
    },
    Unreadable {
        at: u64,
        error: io::Error,
    },
}

/// A reader that counts.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    reader: R,
    at: u64,
    /// Lines of white space that were passed over.
    passed: u64,
}

impl<R: BufRead> Counted<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self::from(reader, 0)
    }

    /// A reader whose first byte is the one at this place.
    pub(crate) fn from(reader: R, at: u64) -> Self {
        Self { reader, at, passed: 0 }
    }

    /// The byte that comes next.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// How many lines of white space were passed over.
    pub(crate) fn lines_passed(&self) -> u64 {
        self.passed
    }

    /// The encoding of what comes, if it is known by its first two bytes not to be UTF-8.
    pub(crate) fn other_encoding(&mut self) -> Result<Option<&'static str>, Damage> {
        Ok(match self.fill()? {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16 or UTF-32"),
            [0, ..] | [b'{' | b'[', 0, ..] => Some("UTF-16 or UTF-32, or no text"),
            _ => None,
        })
    }

    /// What was not read yet.
    pub(crate) fn into_rest(self) -> R {
        self.reader
    }

    /// The next bytes, as many as there are at hand; none at the end.
    fn fill(&mut self) -> Result<&[u8], Damage> {
        let at = self.at;
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Damage::Unreadable { at, error }),
            }
        }
        self.reader.fill_buf().map_err(|error| Damage::Unreadable { at, error })
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.at += bytes as u64;
    }

    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Damage> {
        Ok(self.fill()?.first().copied())
    }

    /// Passes over white space and a byte order mark; returns what comes then.
    pub(crate) fn skip_space(&mut self) -> Result<Option<u8>, Damage> {
        loop {
            let is_start = self.at < 3;
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let is_space = |byte: &u8| {
                byte.is_ascii_whitespace() || (is_start && b"\xef\xbb\xbf".contains(byte))
            };
            let space = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
            if space == 0 {
                return self.peek();
            }
            let ends = bytes[..space].iter().filter(|byte| **byte == b'\n').count();
            self.passed += ends as u64;
            self.consume(space);
        }
    }

    /// The next line without its end; `None` at the end.
    pub(crate) fn line(&mut self) -> Result<Option<Raw>, Damage> {
        let mut line = Raw { at: self.at, bytes: Vec::new(), is_too_long: false };
        loop {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok((self.at > line.at).then_some(line));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(bytes.len());
            line.push(&bytes[..taken]);
            self.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }
}

impl Raw {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_VALUE_BYTES {
            self.is_too_long = true;
            self.bytes = Vec::new();
        }
        if !self.is_too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// The values of an array, or values one behind the other.
#[derive(Debug)]
pub(crate) struct Values<R> {
    reader: Counted<R>,
    in_array: bool,
    number: u64,
}

impl<R: BufRead> Values<R> {
    /// Begins at the next value; an array's values are taken one by one.
    pub(crate) fn new(mut reader: Counted<R>) -> Result<Self, Damage> {
        let in_array = reader.skip_space()? == Some(b'[');
        if in_array {
            reader.consume(1);
        }
        Ok(Self { reader, in_array, number: 0 })
    }

    /// Whether these are the values of an array.
    pub(crate) fn in_array(&self) -> bool {
        self.in_array
    }

    /// The next value; `None` behind the last one. After an error there is nothing more.
    pub(crate) fn next(&mut self) -> Result<Option<Raw>, Damage> {
        let began = self.reader.at;
        let Some(mut first) = self.reader.skip_space()? else {
            return if self.in_array {
                Err(Damage::CutOff { began, at: self.reader.at })
            } else {
                Ok(None)
            };
        };
        if self.in_array {
            if first == b']' {
                self.reader.consume(1);
                return match self.reader.skip_space()? {
                    None => Ok(None),
                    Some(_) => Err(Damage::Stray { at: self.reader.at }),
                };
            }
            if self.number > 0 {
                if first != b',' {
                    return Err(Damage::Stray { at: self.reader.at });
                }
                self.reader.consume(1);
                let cut_off = Damage::CutOff { began, at: self.reader.at };
                first = self.reader.skip_space()?.ok_or(cut_off)?;
            }
        }
        if matches!(first, b',' | b']' | b'}' | b':') {
            return Err(Damage::Stray { at: self.reader.at });
        }
        self.number += 1;
        self.value().map(Some)
    }

    /// Takes bytes to the end of the value that begins here. Whether it is one, only its brackets and strings say.
    fn value(&mut self) -> Result<Raw, Damage> {
        let mut raw = Raw { at: self.reader.at, bytes: Vec::new(), is_too_long: false };
        let mut depth = 0_u64;
        let (mut in_string, mut is_escaped) = (false, false);
        loop {
            let bytes = self.reader.fill()?;
            if bytes.is_empty() {
                // A number ends with the text.
                let is_over = depth == 0 && !in_string && !self.in_array;
                let cut_off = Damage::CutOff { began: raw.at, at: self.reader.at };
                return if is_over { Ok(raw) } else { Err(cut_off) };
            }
            let mut taken = 0;
            let mut is_over = false;
            for byte in bytes {
                if in_string {
                    taken += 1;
                    match byte {
                        _ if is_escaped => is_escaped = false,
                        b'\\' => is_escaped = true,
                        b'"' => {
                            in_string = false;
                            is_over = depth == 0;
                        }
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' if depth > 0 => {
                            depth -= 1;
                            is_over = depth == 0;
                        }
                        // What is no string and has no brackets ends before these.
                        b',' | b']' | b'}' if depth == 0 => {
                            is_over = true;
                            break;
                        }
                        space if depth == 0 && space.is_ascii_whitespace() => {
                            is_over = true;
                            break;
                        }
                        _ => {}
                    }
                    taken += 1;
                }
                if is_over {
                    break;
                }
            }
            raw.push(&bytes[..taken]);
            self.reader.consume(taken);
            if is_over {
                return Ok(raw);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn all(text: &[u8], capacity: usize) -> (Vec<(u64, Vec<u8>)>, Option<Damage>) {
        let reader = io::BufReader::with_capacity(capacity, text);
        let mut found = Vec::new();
        let mut values = match Values::new(Counted::new(reader)) {
            Ok(values) => values,
            Err(damage) => return (found, Some(damage)),
        };
        loop {
            match values.next() {
                Ok(Some(raw)) => found.push((raw.at, raw.bytes)),
                Ok(None) => return (found, None),
                Err(damage) => return (found, Some(damage)),
            }
        }
    }

    #[test]
    fn values_of_arrays_and_behind_each_other() {
        for capacity in [1, 2, 3, 100] {
            let (found, damage) =
                all(b"\xef\xbb\xbf [ {\"a\": \"]},[\\\"\"} , 5,[1,2]\n] ", capacity);
            assert!(damage.is_none(), "{damage:?}");
            let texts: Vec<_> = found.iter().map(|(_, text)| text.as_slice()).collect();
            assert_eq!(texts, [&b"{\"a\": \"]},[\\\"\"}"[..], b"5", b"[1,2]"]);
            assert_eq!(found[0].0, 6);
            let (found, damage) = all(b"{}\n{\"b\":\n 1}{} 7", capacity);
            assert!(damage.is_none());
            assert_eq!(found.len(), 4);
            assert_eq!(found[3], (15, b"7".to_vec()));
        }
    }

    #[test]
    fn damage_is_placed() {
        let (found, damage) = all(b"[{\"a\":1},{\"b\":[", 4);
        assert_eq!(found.len(), 1);
        assert!(matches!(damage, Some(Damage::CutOff { began: 9, at: 15 })), "{damage:?}");
        let (found, damage) = all(b"[{} {}]", 4);
        assert_eq!(found.len(), 1);
        assert!(matches!(damage, Some(Damage::Stray { at: 4 })), "{damage:?}");
        assert!(matches!(all(b"[{}]]", 4).1, Some(Damage::Stray { at: 4 })));
        assert!(matches!(all(b"[1,", 4).1, Some(Damage::CutOff { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_parted(values in prop::collection::vec(any::<(String, i32)>(), 0..8), capacity in 1_usize..40) {
            let values: Vec<Value> = values.into_iter()
                .map(|(text, number)| serde_json::json!({"text": text, "deep": [[number, text]]}))
                .collect();
            let (found, damage) = all(&serde_json::to_vec_pretty(&values).unwrap(), capacity);
            prop_assert!(damage.is_none());
            let read: Vec<Value> = found.iter().map(|(_, text)| serde_json::from_slice(text).unwrap()).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200), capacity in 1_usize..40) {
            let (found, _) = all(&bytes, capacity);
            prop_assert!(found.iter().map(|(_, text)| text.len()).sum::<usize>() <= bytes.len());
        }
    }
}
