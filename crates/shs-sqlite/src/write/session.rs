//! Creating, changing and deleting sessions.

use shs_store::{Deleted, Error, NewSession, Scope, Session, SessionId, SessionPatch, TenantId};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::transaction::{Owner, StoredSession};
use super::{Operation, Transaction};
use crate::checksum;
use crate::error::Failure;
use crate::row::{self, json_of, json_of_list, tenant};

/// Creates a session.
pub(crate) struct Create {
    pub(crate) scope: Scope,
    pub(crate) new: NewSession,
}

impl Operation for Create {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        let mut new = self.new.clone();
        self.scope.claim(&mut new.user_id)?;
        let session = new.into_session(transaction.now())?;
        if transaction.session_exists(&self.scope.key(&session.id)).await? {
            return Err(Error::session_exists(&session.id).into());
        }
        transaction.insert_session(self.scope.tenant_id(), &session).await?;
        Ok(session)
    }
}

/// Changes a session.
pub(crate) struct UpdateSession {
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
    pub(crate) patch: SessionPatch,
}

impl Operation for UpdateSession {
    type Output = Session;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Session, Failure> {
        const SQL: &str = "UPDATE sessions SET title = ?2, tags = ?3, metadata = ?4, ended_at = ?5, \
             updated_at = ?6, checksum = ?7 WHERE key = ?1";
        let stored = transaction.session(&self.scope, &self.id).await?;
        let mut session = stored.session.clone();
        self.patch.clone().apply(&mut session, transaction.now())?;
        sqlx::query(SQL)
            .bind(stored.key)
            .bind(session.title.as_deref())
            .bind(json_of_list(&session.tags))
            .bind(json_of(&session.metadata))
            .bind(session.ended_at.map(|at| at.as_micros()))
            .bind(session.updated_at.as_micros())
            .bind(checksum::of_written_session(stored.owner.tenant, &session, stored.edits))
            .execute(&mut *transaction.connection)
            .await?;
        if session.tags != stored.session.tags {
            delete_tags(transaction, stored.key).await?;
            transaction.insert_tags(stored.owner.tenant, stored.key, &session.tags).await?;
        }
        let active = i64::from(!session.is_ended()) - i64::from(!stored.session.is_ended());
        if active != 0 {
            transaction.count_sessions(stored.owner.tenant, 0, active).await?;
        }
        Ok(session)
    }
}

/// Deletes a session with its messages.
pub(crate) struct DeleteSession {
    pub(crate) scope: Scope,
    pub(crate) id: SessionId,
}

impl Operation for DeleteSession {
    type Output = bool;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<bool, Failure> {
        match transaction.session(&self.scope, &self.id).await {
            Ok(stored) => {
                delete(transaction, &stored).await?;
                Ok(true)
            }
            Err(Failure::Refused(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// Deletes all sessions of a user.
pub(crate) struct DeleteUser {
    pub(crate) scope: Scope,
    pub(crate) user_id: String,
}

impl Operation for DeleteUser {
    type Output = Deleted;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Deleted, Failure> {
        const SQL: &str = concat!(
            "SELECT id FROM sessions WHERE user = (SELECT key FROM users WHERE name = ?1 AND tenant = ",
            tenant!("?2"),
            ")"
        );
        let tenant = self.scope.tenant_id();
        if !self.scope.has_user(Some(&self.user_id)) {
            return Ok(Deleted::default());
        }
        let found = sqlx::query(SQL).bind(&*self.user_id).bind(tenant.as_str());
        let rows = found.fetch_all(&mut *transaction.connection).await?;
        delete_all(transaction, tenant, &rows).await
    }
}

/// Deletes all sessions of a tenant.
pub(crate) struct DeleteTenant(pub(crate) TenantId);

impl Operation for DeleteTenant {
    type Output = Deleted;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Deleted, Failure> {
        const SQL: &str = concat!("SELECT id FROM sessions WHERE tenant = ", tenant!("?1"));
        let found = sqlx::query(SQL).bind(self.0.as_str());
        let rows = found.fetch_all(&mut *transaction.connection).await?;
        delete_all(transaction, &self.0, &rows).await
    }
}

/// Deletes the sessions of a tenant whose ids are in these rows.
async fn delete_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    rows: &[SqliteRow],
) -> Result<Deleted, Failure> {
    let mut deleted = Deleted::default();
    for row in rows {
        let id = row::id(row, 0)?;
        let stored = transaction.session_of_tenant(tenant, &id).await?;
        let stored = stored.ok_or_else(|| Error::session_not_found(&id))?;
        delete(transaction, &stored).await?;
        deleted.sessions += 1;
        deleted.messages += stored.session.message_count;
    }
    Ok(deleted)
}

/// Nothing but a commit that waits for the disk, also where the others do not.
pub(crate) struct Flush;

impl Operation for Flush {
    type Output = ();
    const SYNC: bool = true;

    async fn run(&self, _: &mut Transaction<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Deletes a session with everything that hangs on it, and its tenant and the names of its user and
/// project if no other session has them.
pub(super) async fn delete(
    transaction: &mut Transaction<'_>,
    stored: &StoredSession,
) -> Result<(), sqlx::Error> {
    const TOTALS: &str = "SELECT role, coalesce(model, 0), count(*), coalesce(sum(tokens), 0) \
         FROM messages WHERE session = ?1 GROUP BY 1, 2";
    let Owner { tenant, user, project } = stored.owner;
    let key = stored.key;
    let rows = sqlx::query(TOTALS).bind(key).fetch_all(&mut *transaction.connection).await?;
    let mut totals = super::transaction::Totals::new();
    for row in rows {
        let (messages, tokens): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        totals.insert((tenant, row.try_get(0)?, row.try_get(1)?), (-messages, -tokens));
    }
    transaction.add_totals(&totals).await?;
    for sql in [
        "DELETE FROM search WHERE rowid IN (SELECT key FROM messages WHERE session = ?1 \
         AND key <= (SELECT indexed FROM counters))",
        "DELETE FROM messages WHERE session = ?1",
        "DELETE FROM sessions WHERE key = ?1",
    ] {
        sqlx::query(sql).bind(key).execute(&mut *transaction.connection).await?;
    }
    delete_tags(transaction, key).await?;
    for (name, sql) in [
        (
            user,
            "DELETE FROM users WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)",
        ),
        (
            project,
            "DELETE FROM projects WHERE key = ?1 \
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE project = ?1)",
        ),
    ] {
        if let Some(name) = name {
            sqlx::query(sql).bind(name).execute(&mut *transaction.connection).await?;
        }
    }
    transaction.count_sessions(tenant, -1, -i64::from(!stored.session.is_ended())).await?;
    if tenant != 0 {
        for sql in [
            "DELETE FROM tenants WHERE key = ?1 AND sessions = 0",
            "DELETE FROM totals WHERE tenant = ?1 AND NOT EXISTS (SELECT 1 FROM tenants WHERE key = ?1)",
        ] {
            sqlx::query(sql).bind(tenant).execute(&mut *transaction.connection).await?;
        }
    }
    Ok(())
}

async fn delete_tags(transaction: &mut Transaction<'_>, key: i64) -> Result<(), sqlx::Error> {
    const SQL: &str = "DELETE FROM session_tags WHERE session = ?1";
    sqlx::query(SQL).bind(key).execute(&mut *transaction.connection).await?;
    Ok(())
}
