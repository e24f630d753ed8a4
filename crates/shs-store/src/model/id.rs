//! Ids and positions.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits::check_name;
use crate::{Error, Result};

/// A new UUID version 7. Of a clock that stands before 1970, with which `Uuid::now_v7` panics, it
/// has the time 0.
pub(crate) fn unique(now: SystemTime) -> Uuid {
    if now >= SystemTime::UNIX_EPOCH {
        return Uuid::now_v7();
    }
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// It is 1 to 255 bytes of text without control characters, checked when it is made. Cloning it
        /// is cheap. Ids are compared byte by byte: case matters, and nothing is normalized.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the caller's id.
            ///
            /// # Errors
            /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is empty, longer than 255 bytes or
            /// has a control character.
            pub fn new(id: impl AsRef<str>) -> Result<Self> {
                check_name($what, id.as_ref())?;
                Ok(Self(id.as_ref().into()))
            }

            /// Makes a new unique id: a UUID version 7 (RFC 9562), so later ids sort after earlier ones.
            pub fn generate() -> Self {
                let mut buffer = Uuid::encode_buffer();
                let id: &str = unique(SystemTime::now()).hyphenated().encode_lower(&mut buffer);
                Self(id.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(id: &str) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;
            fn try_from(id: &str) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(id: String) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<&String> for $name {
            type Error = Error;
            fn try_from(id: &String) -> Result<Self> {
                Self::new(id)
            }
        }

        impl TryFrom<&$name> for $name {
            type Error = Error;
            fn try_from(id: &$name) -> Result<Self> {
                Ok(id.clone())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }
    };
}

text_id! {
    /// The id of a session, unique within its store.
    SessionId, "a session id"
}

text_id! {
    /// The id of a message, unique within its session.
    MessageId, "a message id"
}

/// The number of a message within its session: 1 for the first, and one more for each that follows.
///
/// The store assigns it, and never assigns the same number twice within a session: a deleted message
/// leaves its number empty. It is the order of the conversation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64", into = "u64")]
pub struct Seq(u64);

impl Seq {
    /// The place before the first message: the last number of a session that never had one.
    pub const ZERO: Self = Self(0);
    /// The number of the first message.
    pub const FIRST: Self = Self(1);
    /// The highest number: 2^63 - 1, what a signed 64-bit integer holds.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Takes a number.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) above [`Seq::MAX`].
    pub fn new(seq: u64) -> Result<Self> {
        if seq > Self::MAX.0 {
            return Err(Error::invalid(format!("seq {seq} is above 2^63 - 1")));
        }
        Ok(Self(seq))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number that follows; [`Seq::MAX`] stays.
    #[must_use]
    pub fn next(self) -> Self {
        Self((self.0 + 1).min(Self::MAX.0))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<Seq> for u64 {
    fn from(seq: Seq) -> Self {
        seq.0
    }
}

impl From<u32> for Seq {
    fn from(seq: u32) -> Self {
        Self(u64::from(seq))
    }
}

impl TryFrom<u64> for Seq {
    type Error = Error;
    fn try_from(seq: u64) -> Result<Self> {
        Self::new(seq)
    }
}

impl FromStr for Seq {
    type Err = Error;
    fn from_str(seq: &str) -> Result<Self> {
        let number = seq
            .parse()
            .map_err(|_| Error::invalid("a seq is a whole number from 0 to 2^63 - 1"))?;
        Self::new(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_with_a_clock_before_1970_too() {
        let before = SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1);
        let (one, other) = (unique(before), unique(before));
        assert_ne!(one, other);
        assert!(one < unique(SystemTime::now()));
    }

    #[test]
    fn ids_are_checked_where_they_enter() {
        for bad in ["", "a\nb", "a\0b", "\u{7f}", &"x".repeat(256)] {
            assert!(SessionId::new(bad).is_err(), "{bad:?}");
            assert!(serde_json::from_value::<MessageId>(bad.into()).is_err(), "{bad:?}");
        }
        for good in ["a", "../x", "CON", "a/b", "日本語", &"x".repeat(255)] {
            assert_eq!(SessionId::new(good).unwrap(), good);
        }
    }

    #[test]
    fn generated_ids_sort_by_time() {
        let ids: Vec<_> = (0..1_000).map(|_| SessionId::generate()).collect();
        assert!(ids.is_sorted());
    }
}
