//! What memory keeps of a line, read without the rest.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use shs_store::model::{ContentDigest, MessageHead};
use shs_store::{Error, Result, Seq, Session};
use uuid::Uuid;

use crate::line::checked;

/// A [line](crate::line::Line) without the content of its message.
#[derive(Debug, Deserialize)]
pub(crate) struct Outline<'a> {
    session: Option<Session>,
    message: Option<MessageHead>,
    update: Option<MessageHead>,
    pub(crate) n: Option<i64>,
    pub(crate) digest: Option<ContentDigest>,
    #[serde(borrow)]
    pub(crate) at: Cow<'a, str>,
    #[serde(default)]
    pub(crate) more: bool,
    pub(crate) since: Option<u64>,
    pub(crate) incarnation: Option<Uuid>,
}

/// A line whose session has what it always has in a file. In input from elsewhere that may be missing, and is made anew
/// then, at each reading.
#[derive(Deserialize)]
struct WithSession {
    #[serde(rename = "session")]
    _session: Required,
}

#[derive(Deserialize)]
struct Required {
    #[serde(rename = "session_id")]
    _id: IgnoredAny,
    #[serde(rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(rename = "updated_at")]
    _updated_at: IgnoredAny,
}

/// What a line says, without the content of its message.
#[derive(Debug)]
pub(crate) enum Outlined {
    Session(Session),
    Message(MessageHead),
    Update(MessageHead),
}

impl Outlined {
    /// That it is what a store writes; the content of messages, which is not read here, may be beyond a limit.
    fn check(&self) -> Result<()> {
        match self {
            Self::Session(session) => session.validate(),
            Self::Message(MessageHead(head)) | Self::Update(MessageHead(head)) => {
                if head.seq == Seq::ZERO {
                    return Err(Error::corrupt("a message without a number"));
                }
                head.validate()
            }
        }
    }
}

impl<'a> Outline<'a> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// `Corrupt` if it is not a line as it was written.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        let outline: Self = checked(bytes)?;
        if outline.session.is_some() {
            serde_json::from_slice::<WithSession>(bytes).map_err(|error| {
                Error::corrupt("a session without its id or times").with_source(error)
            })?;
        }
        Ok(outline)
    }

    /// What it says; taken out of it.
    ///
    /// # Errors
    /// `Corrupt` or `InvalidInput` if no store writes that.
    pub(crate) fn take(&mut self) -> Result<Outlined> {
        let Self { session, message, update, .. } = self;
        let session = session.take().map(Outlined::Session);
        let said = session
            .or_else(|| message.take().map(Outlined::Message))
            .or_else(|| update.take().map(Outlined::Update));
        let said = said.ok_or_else(|| Error::corrupt("a line says nothing"))?;
        said.check().map(|()| said)
    }
}
