//! Changing and deleting messages.

use shs_store::{Error, Message, MessageId, MessagePatch, Scope, SessionId};
use sqlx::Row;

use super::transaction::{
    StoredSession, Totals, content_tokens, count, kind_of, owned_by, scope_tokens,
};
use super::{Operation, Transaction};
use crate::checksum::{MessageColumns, recount};
use crate::error::Failure;
use crate::packed::PackedId;
use crate::row::{self, MessageRow, message_columns, message_joins, status_code};

/// A message as its row has it.
pub(super) struct StoredMessage {
    model: Option<i64>,
    is_indexed: bool,
    pub(super) row: MessageRow,
}

pub(super) async fn find(
    transaction: &mut Transaction<'_>,
    session: i64,
    id: &MessageId,
) -> Result<Option<StoredMessage>, sqlx::Error> {
    const SQL: &str = concat!(
        "SELECT m.model, m.key <= (SELECT indexed FROM counters), ",
        message_columns!(),
        " FROM messages m",
        message_joins!(),
        "WHERE m.session = ?1 AND m.id = ?2"
    );
    let query = PackedId::new(id).bind(sqlx::query(SQL).bind(session));
    let row = query.fetch_optional(&mut *transaction.connection).await?;
    let Some(row) = row else { return Ok(None) };
    let (model, is_indexed) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(StoredMessage { model, is_indexed, row: row::message(&row, 2)? }))
}

/// Moves the session's counts by so many messages and tokens, and its time and the version of its messages forward.
async fn touch(
    transaction: &mut Transaction<'_>,
    stored: &StoredSession,
    messages: i64,
    tokens: i64,
) -> Result<(), sqlx::Error> {
    const SQL: &str = concat!(
        "UPDATE sessions SET ",
        recount!(
            message_count = "(message_count + ?2)",
            total_tokens = "(total_tokens + ?3)",
            updated_at = "max(updated_at, ?4)",
            edits = "(edits + 1)",
        ),
        " WHERE key = ?1"
    );
    sqlx::query(SQL)
        .bind(stored.key)
        .bind(messages)
        .bind(tokens)
        .bind(transaction.now().as_micros())
        .execute(&mut *transaction.connection)
        .await?;
    Ok(())
}

/// Changes a message.
pub(crate) struct UpdateMessage {
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
    pub(crate) message: MessageId,
    pub(crate) patch: MessagePatch,
}

impl Operation for UpdateMessage {
    type Output = Message;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Message, Failure> {
        const SQL: &str = "UPDATE messages SET status = ?2, tokens = ?3, model = ?4, latency_ms = ?5, \
             parts = ?6, metadata = ?7, content = ?8, digest = ?9, checksum = ?10 WHERE key = ?1";
        let session = transaction.session(&self.scope, &self.id).await?;
        let before = find(transaction, session.key, &self.message)
            .await?
            .ok_or_else(|| Error::message_not_found(&self.id, &self.message))?;
        let StoredMessage { model: model_before, is_indexed, row: before } = before;
        let mut message = before.message.clone();
        self.patch.clone().apply(&mut message).map_err(|error| error.with_session(&self.id))?;
        let model = match &message.model {
            Some(name) if message.model != before.message.model => {
                Some(transaction.model_key(name).await?)
            }
            Some(_) => model_before,
            None => None,
        };
        let digest = before.digest();
        let changed_from = (message.digest() != digest).then_some(digest);
        let columns = MessageColumns::new(before.key, session.key, &message, changed_from);
        let checksum = columns.checksum();
        sqlx::query(SQL)
            .bind(before.key)
            .bind(status_code(message.status))
            .bind(message.tokens.map(i64::from))
            .bind(model)
            .bind(message.latency_ms)
            .bind(columns.parts)
            .bind(columns.metadata)
            .bind(message.content.as_str())
            .bind(changed_from.map(|digest| digest.as_bytes().to_vec()))
            .bind(checksum)
            .execute(&mut *transaction.connection)
            .await?;
        let kind = kind_of(&message, model);
        if is_indexed
            && (message.content != before.message.content
                || kind != kind_of(&before.message, model_before))
        {
            let scope = scope_tokens(session.key, session.owner, kind);
            let content = owned_by(session.owner.tenant, content_tokens(&message.content));
            transaction.index_again(before.key, &scope, &content).await?;
        }
        let mut totals = Totals::new();
        let tenant = session.owner.tenant;
        count(&mut totals, tenant, &before.message, model_before, -1);
        count(&mut totals, tenant, &message, model, 1);
        transaction.add_totals(&totals).await?;
        let tokens = |message: &Message| message.tokens.map_or(0, i64::from);
        touch(transaction, &session, 0, tokens(&message) - tokens(&before.message)).await?;
        Ok(message)
    }

    fn weight(&self) -> usize {
        self.patch.content.as_ref().map_or(0, String::len)
    }
}

/// Deletes a message.
pub(crate) struct DeleteMessage {
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
    pub(crate) message: MessageId,
}

impl Operation for DeleteMessage {
    type Output = bool;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM messages WHERE key = ?1";
        let session = transaction.session(&self.scope, &self.id).await?;
        let Some(stored) = find(transaction, session.key, &self.message).await? else {
            return Ok(false);
        };
        if stored.is_indexed {
            transaction.unindex(stored.row.key).await?;
        }
        sqlx::query(SQL).bind(stored.row.key).execute(&mut *transaction.connection).await?;
        let mut totals = Totals::new();
        let tenant = session.owner.tenant;
        count(&mut totals, tenant, &stored.row.message, stored.model, -1);
        transaction.add_totals(&totals).await?;
        touch(transaction, &session, -1, -stored.row.message.tokens.map_or(0, i64::from)).await?;
        Ok(true)
    }
}
