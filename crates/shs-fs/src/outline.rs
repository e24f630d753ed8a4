//! What memory keeps of a line, read without the rest.

use std::borrow::Cow;

use serde::Deserialize;
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

/// What a line says, without the content of its message.
#[derive(Debug)]
pub(crate) enum Outlined {
    Session(Session),
    Message(MessageHead),
    Update(MessageHead),
}

impl Outlined {
    /// That it is what a store writes.
    fn check(&self) -> Result<()> {
        match self {
            Self::Message(MessageHead(head)) | Self::Update(MessageHead(head))
                if head.seq == Seq::ZERO =>
            {
                Err(Error::corrupt("a message without a number"))
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Outline<'a> {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// `Corrupt` if it is not a line as it was written.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        checked(bytes)
    }

    /// What it says; taken out of it.
    ///
    /// # Errors
    /// `Corrupt` if no store writes that.
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
