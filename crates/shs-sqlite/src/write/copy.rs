//! Forks and imports: many messages at once.

use shs_store::document::fork_session;
use shs_store::{
    Error, ErrorKind, ImportMode, Message, NewSession, Scope, Seq, Session, SessionId,
    StreamedTranscript, Transcript,
};
use sqlx::Row;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::session::delete;
use super::transaction::Record;
use super::{Operation, Transaction};
use crate::error::{Failure, undone};
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
    pub(crate) conversation: Imported,
    pub(crate) mode: ImportMode,
}

/// What is imported.
pub(crate) enum Imported {
    Whole(Transcript),
    Streamed(StreamedTranscript),
}

impl Imported {
    pub(crate) fn session(&self) -> &Session {
        match self {
            Self::Whole(transcript) => &transcript.session,
            Self::Streamed(streamed) => streamed.session(),
        }
    }
}

impl Operation for Import {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        let mut session = self.conversation.session().clone();
        self.scope.claim(&mut session.user_id)?;
        let tenant = self.scope.tenant_id();
        let stored = transaction.session_of_tenant(tenant, &session.id).await?;
        let found = stored.as_ref().map(|stored| &stored.session);
        self.mode.check(&self.scope, &session.id, found)?;
        if let Some(stored) = &stored {
            delete(transaction, stored).await?;
        }
        let owner = transaction.insert_session(tenant, &session).await?;
        match &self.conversation {
            Imported::Whole(transcript) => {
                for chunk in transcript.messages.chunks(CHUNK as usize) {
                    import(transaction, owner, chunk).await?;
                }
            }
            Imported::Streamed(streamed) => import_all(transaction, owner, streamed).await?,
        }
        Ok(session)
    }

    fn weight(&self) -> usize {
        match &self.conversation {
            Imported::Whole(transcript) => {
                transcript.messages.iter().map(|message| message.content.len()).sum()
            }
            // Nothing is done behind it in its transaction.
            Imported::Streamed(_) => usize::MAX / 2,
        }
    }
}

/// Inserts what a source hands on, while it goes on reading.
async fn import_all(
    transaction: &mut Transaction<'_>,
    owner: (i64, i64),
    streamed: &StreamedTranscript,
) -> Result<(), sqlx::Error> {
    let (tx, mut chunks) = mpsc::channel(1);
    let streamed = streamed.clone();
    let reading = spawn_blocking(move || {
        let gone = |_| Error::new(ErrorKind::Unavailable, "the messages could not be stored");
        let mut chunk = Vec::with_capacity(CHUNK as usize);
        streamed.for_each(&mut |message| {
            chunk.push(message);
            if chunk.len() < CHUNK as usize {
                return Ok(());
            }
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK as usize));
            tx.blocking_send(full).map_err(gone)
        })?;
        tx.blocking_send(chunk).map_err(gone)
    });
    while let Some(chunk) = chunks.recv().await {
        import(transaction, owner, &chunk).await?;
    }
    // It has ended, as there is nobody else who sends.
    let read = reading.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "the source of the messages failed").with_source(error))
    });
    read.map_err(undone)
}

async fn import(
    transaction: &mut Transaction<'_>,
    (session, tenant): (i64, i64),
    messages: &[Message],
) -> Result<(), sqlx::Error> {
    let records: Vec<Record<'_>> = messages
        .iter()
        .map(|message| Record { message, changed_from: None, session, tenant })
        .collect();
    transaction.insert_messages(&records).await
}
