//! Where a page ended.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Scope, Seq, SessionId, TenantId, Timestamp};

/// An opaque mark of where a page ended, to ask for the page that follows.
///
/// It is short URL-safe text. It holds a position, not a result: it stays valid while data is
/// written, after a restart and in another process. It belongs to the query that made it; with
/// another filter, order or scope, or altered, it is refused. It is not a secret and not a
/// permission.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// The position inside a [`Cursor`]; for backends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// After the message with this number.
    Seq(Seq),
    /// After the message that arrived in the store as this one.
    Arrival(i64),
    /// After the session with this time (of the query's order) and id.
    Session(Timestamp, SessionId),
    /// After the tenant with this name.
    Tenant(TenantId),
}

const VERSION: u8 = 1;

impl Cursor {
    /// Takes the text of a cursor, as it came from [`as_str`](Self::as_str).
    ///
    /// It is checked when it is used.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The cursor as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes the cursor for a position in the query with this fingerprint; for backends.
    pub fn encode(fingerprint: u64, position: &Position) -> Self {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&fingerprint.to_be_bytes());
        match position {
            Position::Seq(seq) => {
                bytes.push(b'q');
                bytes.extend_from_slice(&seq.get().to_be_bytes());
            }
            Position::Arrival(number) => {
                bytes.push(b'a');
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Position::Session(at, id) => {
                bytes.push(b's');
                bytes.extend_from_slice(&at.as_micros().to_be_bytes());
                bytes.extend_from_slice(id.as_str().as_bytes());
            }
            Position::Tenant(tenant) => {
                bytes.push(b't');
                bytes.extend_from_slice(&[0; 8]);
                bytes.extend_from_slice(tenant.as_str().as_bytes());
            }
        }
        bytes.extend_from_slice(&checksum(&bytes).to_be_bytes());
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The position, if this cursor belongs to the query with this fingerprint; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it was altered or belongs to another query.
    pub fn decode(&self, fingerprint: u64) -> Result<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).map_err(|_| altered())?;
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or_else(altered)?;
        if checksum(body) != u64::from_be_bytes(*sum) || body.first() != Some(&VERSION) {
            return Err(altered());
        }
        let (made_for, body) = body[1..].split_first_chunk::<8>().ok_or_else(altered)?;
        if u64::from_be_bytes(*made_for) != fingerprint {
            return Err(Error::invalid(
                "the cursor belongs to another query; use it with the same filters and order, \
                 or start without one",
            ));
        }
        let (kind, body) = body.split_first().ok_or_else(altered)?;
        let (number, rest) = body.split_first_chunk::<8>().ok_or_else(altered)?;
        let number = i64::from_be_bytes(*number);
        match (kind, rest.is_empty()) {
            (b'q', true) => Ok(Position::Seq(Seq::new(number as u64)?)),
            (b'a', true) => Ok(Position::Arrival(number)),
            (b's', false) => {
                let id = std::str::from_utf8(rest).map_err(|_| altered())?;
                Ok(Position::Session(Timestamp::from_micros(number)?, SessionId::new(id)?))
            }
            (b't', _) => {
                let tenant = std::str::from_utf8(rest).map_err(|_| altered())?;
                Ok(Position::Tenant(TenantId::new(tenant)?))
            }
            _ => Err(altered()),
        }
    }
}

fn altered() -> Error {
    Error::invalid("the cursor is not one that this store made; start without one")
}

/// FNV-1a with 64 bits: stable across versions and machines, and enough to notice an accident.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The fingerprint of a query in a scope: a checksum over everything in them but the page.
pub(super) fn fingerprint(kind: &str, scope: &Scope, query: &impl Serialize) -> u64 {
    let mut bytes = kind.as_bytes().to_vec();
    // No name has a zero byte, so that two scopes never look the same.
    bytes.push(0);
    bytes.extend_from_slice(scope.tenant_id().as_str().as_bytes());
    if let Some(user) = scope.user_id() {
        bytes.push(0);
        bytes.extend_from_slice(user.as_bytes());
    }
    bytes.push(0);
    serde_json::to_writer(&mut bytes, query).expect("a query of plain fields serializes");
    checksum(&bytes)
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.0)
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_an_altered_one_is_refused() {
        let id = SessionId::new("日本").unwrap();
        let position = Position::Session(Timestamp::MIN, id);
        let cursor = Cursor::encode(7, &position);
        assert_eq!(cursor.decode(7).unwrap(), position);
        assert!(cursor.decode(8).is_err(), "another query");
        for at in 0..cursor.0.len() {
            let mut text = cursor.0.clone();
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            text.replace_range(at..=at, other);
            assert!(Cursor::new(text).decode(7).is_err(), "altered at {at}");
            assert!(Cursor::new(&cursor.0[..at]).decode(7).is_err(), "cut at {at}");
        }
        assert!(Cursor::new("ü").decode(7).is_err());
    }
}
