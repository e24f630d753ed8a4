//! Forks and imports: many messages at once.

use shs_store::document::fork_session;
use shs_store::{Error, ImportMode, NewSession, Scope, Seq, Session, SessionId, Transcript};
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
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
    pub(crate) up_to: Seq,
    pub(crate) new: NewSession,
}

impl Operation for Fork {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        const COUNTS: &str = "SELECT count(*), coalesce(sum(tokens), 0) FROM messages \
             WHERE session = ?1 AND seq <= ?2";
        let source = transaction.session(&self.scope, &self.id).await?;
        let now = transaction.now();
        let (new, up_to) = (self.new.clone(), self.up_to);
        let mut fork = fork_session(&self.scope, &source.session, up_to, new, now)?;
        if transaction.session_exists(&self.scope.key(&fork.id)).await? {
            return Err(Error::session_exists(&fork.id).into());
        }
        let row = sqlx::query(COUNTS)
            .bind(source.key)
            .bind(self.up_to.get() as i64)
            .fetch_one(&mut *transaction.connection)
            .await?;
        fork.message_count = row::unsigned(row.try_get(0)?)?;
        fork.total_tokens = row::unsigned(row.try_get(1)?)?;
        let owner = transaction.insert_session(self.scope.tenant_id(), &fork).await?;
        let mut after = Seq::ZERO;
        loop {
            let chunk = chunk(transaction, source.key, after, self.up_to).await?;
            let Some(last) = chunk.last() else { return Ok(fork) };
            after = last.message.seq;
            insert(transaction, owner, &chunk).await?;
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
    (session, tenant): (i64, i64),
    messages: &[MessageRow],
) -> Result<(), sqlx::Error> {
    let records: Vec<Record<'_>> = messages
        .iter()
        .map(|row| {
            let MessageRow { message, changed_from, .. } = row;
            Record { message, changed_from: *changed_from, session, tenant }
        })
        .collect();
    transaction.insert_messages(&records).await
}

/// Stores a whole conversation as it is.
pub(crate) struct Import {
    pub(crate) scope: Scope,
    pub(crate) transcript: Transcript,
    pub(crate) mode: ImportMode,
}

impl Operation for Import {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        let Transcript { session, messages, .. } = &self.transcript;
        let mut session = session.clone();
        self.scope.claim(&mut session.user_id)?;
        let tenant = self.scope.tenant_id();
        let stored = transaction.session_of_tenant(tenant, &session.id).await?;
        let found = stored.as_ref().map(|stored| &stored.session);
        self.mode.check(&self.scope, &session.id, found)?;
        if let Some(stored) = &stored {
            delete(transaction, stored).await?;
        }
        let (key, tenant) = transaction.insert_session(tenant, &session).await?;
        for chunk in messages.chunks(CHUNK as usize) {
            let records: Vec<Record<'_>> = chunk
                .iter()
                .map(|message| Record { message, changed_from: None, session: key, tenant })
                .collect();
            transaction.insert_messages(&records).await?;
        }
        Ok(session)
    }

    fn weight(&self) -> usize {
        self.transcript.messages.iter().map(|message| message.content.len()).sum()
    }
}
