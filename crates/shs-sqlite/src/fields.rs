//! A row whose columns come out of SQLite as one value.
//!
//! sqlx copies every value of a row by itself, with allocations for each; for rows of many small columns that costs more
//! than reading them. So SQLite puts the columns together, between bytes that no UTF-8 has. What is put together is also
//! what a row's checksum is of; [`Joined`] makes the same bytes of values that are to be written.

use std::io::Write;

use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::corrupt;

/// Puts the columns together that [`Fields`] takes apart.
macro_rules! fields {
    ($first:expr $(, $field:expr)* $(,)?) => {
        concat!("concat_ws(x'ff', ", $first $(, ", ", $field)*, ")")
    };
}

/// A column of [`fields`] that may be NULL. Where any text is allowed, a mark has to stand before it, so that none is
/// what stands for NULL.
macro_rules! maybe {
    ($column:literal) => {
        concat!("ifnull(", $column, ", '\u{1}')")
    };
}

pub(crate) use {fields, maybe};

/// What parts the columns.
const BREAK: u8 = 0xff;
/// From so many digits on a number may be too large for an integer.
const DIGITS: usize = 19;
/// What stands for NULL: it is no number and no JSON, and no name has it.
const NULL: &[u8] = &[1];

/// The columns of a row, one after the other.
pub(crate) struct Fields<'r>(&'r [u8]);

impl<'r> Fields<'r> {
    pub(crate) fn new(row: &'r SqliteRow, at: usize) -> Result<Self, sqlx::Error> {
        Ok(Self(row.try_get(at)?))
    }

    /// All that is left.
    pub(crate) fn rest(&self) -> &'r [u8] {
        self.0
    }

    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], sqlx::Error> {
        let end = self.0.iter().position(|byte| *byte == BREAK);
        self.take(end.ok_or_else(missing)?)
    }

    /// So many bytes, whatever they are.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'r [u8], sqlx::Error> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(missing)?;
        self.0 = rest.strip_prefix(&[BREAK]).ok_or_else(missing)?;
        Ok(bytes)
    }

    pub(crate) fn integer(&mut self) -> Result<i64, sqlx::Error> {
        integer(self.bytes()?)
    }

    pub(crate) fn maybe_integer(&mut self) -> Result<Option<i64>, sqlx::Error> {
        unless_null(self.bytes()?).map(integer).transpose()
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, sqlx::Error> {
        text(self.bytes()?)
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<&'r str>, sqlx::Error> {
        unless_null(self.bytes()?).map(text).transpose()
    }

    /// JSON, or the default for NULL.
    pub(crate) fn json<T: DeserializeOwned + Default>(&mut self) -> Result<T, sqlx::Error> {
        let json = unless_null(self.bytes()?).map(serde_json::from_slice).transpose();
        Ok(json.map_err(|error| corrupt("a JSON column", error))?.unwrap_or_default())
    }

    /// All that is left. A break too many, from a text that is none, is in it and makes it an error.
    pub(crate) fn last_text(self) -> Result<&'r str, sqlx::Error> {
        text(self.0)
    }

    /// As [`last_text`](Self::last_text).
    pub(crate) fn last_integer(self) -> Result<i64, sqlx::Error> {
        integer(self.0)
    }
}

/// Values put together as [`fields`] puts columns together.
#[derive(Default)]
pub(crate) struct Joined(Vec<u8>);

impl Joined {
    /// With room for a text of so many bytes.
    pub(crate) fn for_text(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes + 128))
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let Self(mut joined) = self;
        joined.extend_from_slice(bytes);
        joined.push(BREAK);
        Self(joined)
    }

    pub(crate) fn integer(self, integer: i64) -> Self {
        let Self(mut joined) = self;
        write!(joined, "{integer}").expect("a vector takes everything");
        joined.push(BREAK);
        Self(joined)
    }

    pub(crate) fn maybe_integer(self, integer: Option<i64>) -> Self {
        match integer {
            Some(integer) => self.integer(integer),
            None => self.bytes(NULL),
        }
    }

    pub(crate) fn maybe_bytes(self, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            Some(bytes) => self.bytes(bytes.as_ref()),
            None => self.bytes(NULL),
        }
    }

    /// All that was put together, with a break at its end.
    pub(crate) fn broken(self) -> Vec<u8> {
        self.0
    }

    /// All that was put together, and a text at its end.
    pub(crate) fn ended(self, text: &str) -> Vec<u8> {
        let Self(mut joined) = self;
        joined.extend_from_slice(text.as_bytes());
        joined
    }
}

fn unless_null(bytes: &[u8]) -> Option<&[u8]> {
    (bytes != NULL).then_some(bytes)
}

fn text(bytes: &[u8]) -> Result<&str, sqlx::Error> {
    str::from_utf8(bytes).map_err(|error| corrupt("a text", error))
}

fn integer(bytes: &[u8]) -> Result<i64, sqlx::Error> {
    let (is_negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let not_one = || corrupt("a number", "it is not an integer");
    if digits.len() < DIGITS && !digits.is_empty() {
        let sum = digits.iter().try_fold(0_i64, |sum, digit| {
            digit.is_ascii_digit().then_some(sum * 10 + i64::from(digit & 0x0f))
        });
        return sum.map(|sum| if is_negative { -sum } else { sum }).ok_or_else(not_one);
    }
    // A negative number reaches further, so it is summed up below zero.
    let sum = digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then_some(i64::from(digit & 0x0f))?;
        let sum = sum.checked_mul(10)?;
        if is_negative { sum.checked_sub(digit) } else { sum.checked_add(digit) }
    });
    sum.filter(|_| !digits.is_empty()).ok_or_else(not_one)
}

fn missing() -> sqlx::Error {
    corrupt("a row", "it has fewer columns than were asked for")
}
