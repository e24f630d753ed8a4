//! Forks and imports: many messages at once.

use shs_store::document::fork_session;
use shs_store::{Error, ImportMode, NewSession, Seq, Session, SessionId, Transcript};
use sqlx::Row;

use super::session::delete;
use super::transaction::Record;
use super::{Operation, Transaction};
use crate::error::Failure;
use crate::row::{self, MessageRow, message_columns, message_joins};

/// Messages that are copied at a time.
const CHUNK: i64 = 256;

/// Copies a session up to a number.
pub(crate) struct Fork {
    pub(crate) id: SessionId,
    pub(crate) up_to: Seq,
    pub(crate) new: NewSession,
}

impl Operation for Fork {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        const COUNTS: &str = "SELECT count(*), coalesce(sum(tokens), 0) FROM messages \
             WHERE session = ?1 AND seq <= ?2";
        let source = transaction.session(&self.id).await?;
        let now = transaction.now();
        let mut fork = fork_session(&source.session, self.up_to, self.new.clone(), now)?;
        if transaction.session_exists(&fork.id).await? {
            return Err(Error::session_exists(&fork.id).into());
        }
        let row = sqlx::query(COUNTS)
            .bind(source.key)
            .bind(self.up_to.get() as i64)
            .fetch_one(&mut *transaction.connection)
            .await?;
        fork.message_count = row::unsigned(row.try_get(0)?)?;
        fork.total_tokens = row::unsigned(row.try_get(1)?)?;
        let key = transaction.insert_session(&fork).await?;
        let mut after = Seq::ZERO;
        loop {
            let chunk = chunk(transaction, source.key, after, self.up_to).await?;
            let Some(last) = chunk.last() else { return Ok(fork) };
            after = last.message.seq;
            insert(transaction, key, &chunk).await?;
        }
    }
}

/// Some messages of a session after a number, by rising number.
async fn chunk(
    transaction: &mut Transaction<'_>,
    session: i64,
    after: Seq,
    up_to: Seq,
) -> Result<Vec<MessageRow>, sqlx::Error> {
    const SQL: &str = concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages m",
        message_joins!(),
        "WHERE m.session = ?1 AND m.seq > ?2 AND m.seq <= ?3 ORDER BY m.seq LIMIT +?4"
    );
    let rows = sqlx::query(SQL)
        .bind(session)
        .bind(after.get() as i64)
        .bind(up_to.get() as i64)
        .bind(CHUNK)
        .fetch_all(&mut *transaction.connection)
        .await?;
    rows.iter().map(|row| row::message(row, 0)).collect()
}

async fn insert(
    transaction: &mut Transaction<'_>,
    session: i64,
    messages: &[MessageRow],
) -> Result<(), sqlx::Error> {
    let records: Vec<Record<'_>> = messages
        .iter()
        .map(|row| Record { message: &row.message, changed_from: row.changed_from, session })
        .collect();
    transaction.insert_messages(&records).await
}

/// Stores a whole conversation as it is.
pub(crate) struct Import {
    pub(crate) transcript: Transcript,
    pub(crate) mode: ImportMode,
}

impl Operation for Import {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        let Transcript { session, messages, .. } = &self.transcript;
        match transaction.session(&session.id).await {
            Ok(stored) => {
                self.mode.check(&session.id, Some(&stored.session))?;
                delete(transaction, &stored).await?;
            }
            Err(Failure::Refused(_)) => self.mode.check(&session.id, None)?,
            Err(failure) => return Err(failure),
        }
        let key = transaction.insert_session(session).await?;
        for chunk in messages.chunks(CHUNK as usize) {
            let records: Vec<Record<'_>> = chunk
                .iter()
                .map(|message| Record { message, changed_from: None, session: key })
                .collect();
            transaction.insert_messages(&records).await?;
        }
        Ok(session.clone())
    }

    fn weight(&self) -> usize {
        self.transcript.messages.iter().map(|message| message.content.len()).sum()
    }
}
