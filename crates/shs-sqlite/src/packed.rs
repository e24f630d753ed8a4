//! The ids of messages as they are stored: a UUID in its usual form as its 16 bytes, any other id as its text.

use shs_store::MessageId;
use uuid::Uuid;

use crate::error::corrupt;
use crate::row::Query;

/// An id as it is stored.
pub(crate) enum PackedId<'i> {
    Uuid(Uuid),
    Text(&'i str),
}

impl<'i> PackedId<'i> {
    pub(crate) fn new(id: &'i MessageId) -> Self {
        let text = id.as_str();
        match Uuid::try_parse(text) {
            // Other forms of a UUID are other ids.
            Ok(uuid) if uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text => {
                Self::Uuid(uuid)
            }
            _ => Self::Text(text),
        }
    }

    pub(crate) fn is_uuid(&self) -> bool {
        matches!(self, Self::Uuid(_))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Uuid(uuid) => uuid.as_bytes(),
            Self::Text(text) => text.as_bytes(),
        }
    }

    pub(crate) fn bind<'q>(&self, query: Query<'q>) -> Query<'q>
    where
        'i: 'q,
    {
        match self {
            Self::Uuid(uuid) => query.bind(uuid.as_bytes().to_vec()),
            Self::Text(text) => query.bind(*text),
        }
    }

    /// For JSON, which has no bytes: their hexadecimal digits, or the text. In SQL it is
    /// `coalesce(unhex(first), second)`.
    pub(crate) fn pair(&self) -> (Option<String>, Option<&'i str>) {
        match self {
            Self::Uuid(uuid) => (Some(uuid.simple().to_string()), None),
            Self::Text(text) => (None, Some(text)),
        }
    }
}

/// How many bytes an id has that is stored as a UUID.
pub(crate) const UUID_BYTES: usize = 16;

/// The id that is stored as bytes.
pub(crate) fn unpack_bytes(bytes: &[u8]) -> Result<MessageId, sqlx::Error> {
    let uuid = Uuid::from_slice(bytes).map_err(|error| corrupt("id", error))?;
    unpack_text(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// The id that is stored as text.
pub(crate) fn unpack_text(text: &str) -> Result<MessageId, sqlx::Error> {
    MessageId::new(text).map_err(|error| corrupt("id", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_usual_form_is_packed() {
        let is_packed =
            |id: &str| matches!(PackedId::new(&MessageId::new(id).unwrap()), PackedId::Uuid(_));
        assert!(is_packed("01a2046f-509f-71cf-9a63-a3e8af611657"));
        for id in [
            "01A2046F-509f-71cf-9a63-a3e8af611657",
            "01a2046f509f71cf9a63a3e8af611657",
            "{01a2046f-509f-71cf-9a63-a3e8af611657}",
            "urn:uuid:01a2046f-509f-71cf-9a63-a3e8af611657",
            "msg_1",
        ] {
            assert!(!is_packed(id), "{id}");
        }
        assert!(is_packed(MessageId::generate().as_str()));
    }
}
