//! A transaction of the writer, and the statements that several operations share.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use shs_store::model::ContentDigest;
use shs_store::text::tokens;
use shs_store::{
    Clock, Error, Message, Scope, Session, SessionId, SessionKey, TenantId, Timestamp,
};
use sqlx::{AssertSqlSafe, Either, Executor, Row, SqliteConnection};

use super::Memory;
use crate::checksum::{self, MessageColumns, add_to_totals, recount};
use crate::error::Failure;
use crate::row::{
    self, SessionRow, json_of, json_of_list, role_code, session_columns, session_joins,
    status_code, tenant, to_json,
};

/// A transaction that has begun, and that somebody else commits.
pub(crate) struct Transaction<'a> {
    pub(crate) connection: &'a mut SqliteConnection,
    clock: Arc<dyn Clock>,
    pub(super) memory: &'a mut Memory,
}

/// A session as its row has it.
pub(crate) struct StoredSession {
    pub(crate) key: i64,
    /// How often its messages were changed or deleted.
    pub(super) edits: i64,
    pub(crate) session: Session,
    pub(crate) owner: Owner,
}

/// Whose a session is, by keys, as the text index knows it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Owner {
    /// 0 is the default tenant.
    pub(crate) tenant: i64,
    pub(crate) user: Option<i64>,
    pub(crate) project: Option<i64>,
}

/// A message to be inserted.
pub(crate) struct Record<'m> {
    pub(crate) message: &'m Message,
    /// Of what was appended, if the message was changed since.
    pub(crate) changed_from: Option<ContentDigest>,
    pub(crate) session: i64,
    /// The key of its tenant.
    pub(crate) tenant: i64,
}

/// How many rows one statement inserts; each size is a statement that stays prepared.
const ROWS: [usize; 5] = [256, 64, 16, 4, 1];

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        connection: &'a mut SqliteConnection,
        clock: Arc<dyn Clock>,
        memory: &'a mut Memory,
    ) -> Self {
        Self { connection, clock, memory }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a command of so many statements, none of which gives rows.
    ///
    /// It has succeeded when the result of the last one is there, which comes after a commit. sqlx then tells that nothing
    /// follows, for which nobody has to be woken.
    pub(super) async fn command(
        &mut self,
        query: row::Query<'_>,
        statements: usize,
    ) -> Result<(), sqlx::Error> {
        let mut results = self.connection.fetch_many(query);
        for _ in 0..statements {
            match results.try_next().await? {
                Some(Either::Left(_)) => {}
                Some(Either::Right(_)) | None => return Err(sqlx::Error::WorkerCrashed),
            }
        }
        Ok(())
    }

    /// Passes a number of arrival over, by which everybody who remembers the last one sees that something was written.
    ///
    /// It is also what a commit has to sync if there is nothing else: what a repetition finds may have been written
    /// by a process that ended before its commit was on disk.
    pub(crate) async fn pass_over_arrival(&mut self) -> Result<(), sqlx::Error> {
        const SQL: &str = concat!(
            "UPDATE counters SET ",
            recount!(arrival = "(arrival + 1)"),
            " WHERE only_row = 1"
        );
        sqlx::query(SQL).execute(&mut *self.connection).await?;
        Ok(())
    }

    /// The session with this id, or that it is not found within the scope.
    pub(crate) async fn session(
        &mut self,
        scope: &Scope,
        id: &SessionId,
    ) -> Result<StoredSession, Failure> {
        let found = self.session_of_tenant(scope.tenant_id(), id).await?;
        let found = found.filter(|stored| scope.has(&stored.session));
        Ok(found.ok_or_else(|| Error::session_not_found(id))?)
    }

    /// The session with this key, whoever's it is.
    pub(crate) async fn session_of_tenant(
        &mut self,
        tenant: &TenantId,
        id: &SessionId,
    ) -> Result<Option<StoredSession>, sqlx::Error> {
        const SQL: &str = concat!(
            "SELECT s.user, s.project, ",
            session_columns!(),
            " FROM sessions s",
            session_joins!(),
            "WHERE s.tenant = ",
            tenant!("?2"),
            " AND s.id = ?1"
        );
        let query = sqlx::query(SQL).bind(id.as_str()).bind(tenant.as_str());
        let Some(row) = query.fetch_optional(&mut *self.connection).await? else {
            return Ok(None);
        };
        let SessionRow { key, tenant, edits, session, .. } = row::session(&row, 2)?;
        let owner = Owner { tenant, user: row.try_get(0)?, project: row.try_get(1)? };
        Ok(Some(StoredSession { key, edits, session, owner }))
    }

    /// Whether there is a session with this key, whoever's it is.
    pub(crate) async fn session_exists(&mut self, key: &SessionKey) -> Result<bool, sqlx::Error> {
        const SQL: &str =
            concat!("SELECT 1 FROM sessions WHERE tenant = ", tenant!("?2"), " AND id = ?1");
        let query = sqlx::query(SQL).bind(key.id.as_str()).bind(key.tenant.as_str());
        Ok(query.fetch_optional(&mut *self.connection).await?.is_some())
    }

    /// Inserts a session's row and tags, and counts it. Its counts are taken as they are. Returns
    /// its key and that of its tenant.
    pub(crate) async fn insert_session(
        &mut self,
        tenant: &TenantId,
        session: &Session,
    ) -> Result<(i64, i64), sqlx::Error> {
        const SQL: &str = "INSERT INTO sessions (id, user, project, title, tags, metadata, extra, created_at, \
             updated_at, ended_at, forked_session, forked_seq, message_count, total_tokens, last_seq, checksum, tenant) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
        let tenant = self.tenant_key(tenant).await?;
        let user = match &session.user_id {
            Some(name) => Some(self.name_key(USERS, tenant, name).await?),
            None => None,
        };
        let project = match &session.project_id {
            Some(name) => Some(self.name_key(PROJECTS, tenant, name).await?),
            None => None,
        };
        let fork = session.forked_from.as_ref();
        let done = sqlx::query(SQL)
            .bind(session.id.as_str())
            .bind(user)
            .bind(project)
            .bind(session.title.as_deref())
            .bind(json_of_list(&session.tags))
            .bind(json_of(&session.metadata))
            .bind(json_of(&session.extra))
            .bind(session.created_at.as_micros())
            .bind(session.updated_at.as_micros())
            .bind(session.ended_at.map(Timestamp::as_micros))
            .bind(fork.map(|fork| fork.session_id.as_str()))
            .bind(fork.map(|fork| fork.seq.get() as i64))
            .bind(session.message_count as i64)
            .bind(session.total_tokens as i64)
            .bind(session.last_seq.get() as i64)
            .bind(checksum::of_written_session(tenant, session, 0))
            .bind(tenant)
            .execute(&mut *self.connection)
            .await?;
        let key = done.last_insert_rowid();
        self.insert_tags(tenant, key, &session.tags).await?;
        self.count_sessions(tenant, 1, i64::from(!session.is_ended())).await?;
        Ok((key, tenant))
    }

    pub(crate) async fn insert_tags(
        &mut self,
        tenant: i64,
        session: i64,
        tags: &[String],
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO session_tags (tenant, tag, session) \
             SELECT ?3, value, ?2 FROM json_each(?1)";
        if tags.is_empty() {
            return Ok(());
        }
        let tags = to_json(tags);
        let insert = sqlx::query(SQL).bind(tags).bind(session).bind(tenant);
        insert.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Counts sessions of a tenant, and how many of them were not ended.
    pub(crate) async fn count_sessions(
        &mut self,
        tenant: i64,
        sessions: i64,
        active: i64,
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = concat!(
            "UPDATE tenants SET ",
            recount!(sessions = "(sessions + ?1)", active = "(active + ?2)"),
            " WHERE key = ?3"
        );
        let count = sqlx::query(SQL).bind(sessions).bind(active).bind(tenant);
        count.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// The key of a tenant, which is made if it is missing.
    async fn tenant_key(&mut self, tenant: &TenantId) -> Result<i64, sqlx::Error> {
        const FIND: &str = "SELECT key FROM tenants WHERE name = ?1";
        const INSERT: &str =
            "INSERT INTO tenants (name, sessions, active, checksum) VALUES (?1, 0, 0, ?2)";
        if tenant.is_default() {
            return Ok(0);
        }
        let name = tenant.as_str();
        let insert = sqlx::query(INSERT).bind(name).bind(checksum::of_name(name));
        self.find_or_insert(sqlx::query(FIND).bind(name), insert).await
    }

    /// The key of a tenant's user or project, which is made if it is missing.
    async fn name_key(
        &mut self,
        (find, insert): (&'static str, &'static str),
        tenant: i64,
        name: &str,
    ) -> Result<i64, sqlx::Error> {
        let find = sqlx::query(find).bind(tenant).bind(name);
        let checksum = checksum::of_name_in(tenant, name);
        let insert = sqlx::query(insert).bind(tenant).bind(name).bind(checksum);
        self.find_or_insert(find, insert).await
    }

    async fn find_or_insert(
        &mut self,
        find: row::Query<'_>,
        insert: row::Query<'_>,
    ) -> Result<i64, sqlx::Error> {
        if let Some(row) = find.fetch_optional(&mut *self.connection).await? {
            return row.try_get(0);
        }
        Ok(insert.execute(&mut *self.connection).await?.last_insert_rowid())
    }

    /// Inserts messages, in this order of arrival, and adds them to the totals. The sessions' own counts are the
    /// caller's, and the index follows.
    pub(crate) async fn insert_messages(
        &mut self,
        records: &[Record<'_>],
    ) -> Result<(), sqlx::Error> {
        if records.is_empty() {
            return Ok(());
        }
        let first = self.take_arrivals(records.len()).await?;
        let mut models = Vec::with_capacity(records.len());
        for record in records {
            models.push(match &record.message.model {
                Some(name) => Some(self.model_key(name).await?),
                None => None,
            });
        }
        let mut totals = HashMap::new();
        let mut at = 0;
        while at < records.len() {
            let rows = chunk_of(records.len() - at);
            let mut insert = sqlx::query(AssertSqlSafe(insert_sql(MESSAGE_INSERT, rows)));
            for number in at..at + rows {
                let (record, model) = (&records[number], models[number]);
                insert = bind_message(insert, first + number as i64, record, model);
                count(&mut totals, record.tenant, record.message, model, 1);
            }
            insert.execute(&mut *self.connection).await?;
            at += rows;
        }
        self.memory.add_to_backlog(records.len());
        self.add_totals(&totals).await
    }

    /// Numbers of arrival, never given before; returns the first.
    async fn take_arrivals(&mut self, count: usize) -> Result<i64, sqlx::Error> {
        const SQL: &str = concat!(
            "UPDATE counters SET ",
            recount!(arrival = "(arrival + ?1)"),
            " WHERE only_row = 1 RETURNING arrival"
        );
        let count = count as i64;
        let last: i64 =
            sqlx::query(SQL).bind(count).fetch_one(&mut *self.connection).await?.try_get(0)?;
        Ok(last - count + 1)
    }

    /// Adds to the totals by role and model.
    pub(crate) async fn add_totals(&mut self, totals: &Totals) -> Result<(), sqlx::Error> {
        const SQL: &str = add_to_totals!(
            "SELECT ?1 AS role, ?2 AS model, ?3 AS messages, ?4 AS tokens, ?5 AS tenant"
        );
        for ((tenant, role, model), (messages, tokens)) in totals {
            if (*messages, *tokens) != (0, 0) {
                sqlx::query(SQL)
                    .bind(role)
                    .bind(model)
                    .bind(messages)
                    .bind(tokens)
                    .bind(tenant)
                    .execute(&mut *self.connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// The key of a model's name.
    pub(crate) async fn model_key(&mut self, name: &str) -> Result<i64, sqlx::Error> {
        const FIND: &str = "SELECT key FROM models WHERE name = ?1";
        const INSERT: &str = "INSERT INTO models (name, checksum) VALUES (?1, ?2)";
        if let Some(key) = self.memory.model(name) {
            return Ok(key);
        }
        let insert = sqlx::query(INSERT).bind(name).bind(checksum::of_name(name));
        let key = self.find_or_insert(sqlx::query(FIND).bind(name), insert).await?;
        self.memory.learn_model(name, key);
        Ok(key)
    }

    /// Puts a message that is in the index into it anew, by its tokens.
    pub(crate) async fn index_again(
        &mut self,
        key: i64,
        scope: &str,
        content: &str,
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO search (rowid, scope, content) VALUES (?1, ?2, ?3)";
        self.unindex(key).await?;
        let index = sqlx::query(SQL).bind(key).bind(scope).bind(content);
        index.execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Takes a message out of the index.
    pub(crate) async fn unindex(&mut self, key: i64) -> Result<(), sqlx::Error> {
        const SQL: &str = "DELETE FROM search WHERE rowid = ?1";
        sqlx::query(SQL).bind(key).execute(&mut *self.connection).await?;
        Ok(())
    }
}

/// How a user's key is found, and made.
const USERS: (&str, &str) = (
    "SELECT key FROM users WHERE tenant = ?1 AND name = ?2",
    "INSERT INTO users (tenant, name, checksum) VALUES (?1, ?2, ?3)",
);
/// How a project's key is found, and made.
const PROJECTS: (&str, &str) = (
    "SELECT key FROM projects WHERE tenant = ?1 AND name = ?2",
    "INSERT INTO projects (tenant, name, checksum) VALUES (?1, ?2, ?3)",
);

/// Changes to messages and tokens, by the key of the tenant and the codes of role and model.
pub(crate) type Totals = HashMap<(i64, i64, i64), (i64, i64)>;

/// Counts a message in (`1`) or out (`-1`).
pub(crate) fn count(
    totals: &mut Totals,
    tenant: i64,
    message: &Message,
    model: Option<i64>,
    sign: i64,
) {
    let entry = totals.entry((tenant, role_code(message.role), model.unwrap_or(0))).or_default();
    entry.0 += sign;
    entry.1 += sign * message.tokens.map_or(0, i64::from);
}

pub(super) fn bind_message<'q>(
    insert: row::Query<'q>,
    key: i64,
    record: &Record<'q>,
    model: Option<i64>,
) -> row::Query<'q> {
    let Record { message, changed_from, session, .. } = *record;
    let columns = MessageColumns::new(key, session, message, changed_from);
    let checksum = columns.checksum();
    let insert = insert.bind(key).bind(session).bind(message.seq.get() as i64);
    columns
        .id
        .bind(insert)
        .bind(role_code(message.role))
        .bind(status_code(message.status))
        .bind(message.timestamp.as_micros())
        .bind(checksum)
        .bind(message.tokens.map(i64::from))
        .bind(model)
        .bind(message.latency_ms)
        .bind(columns.digest.map(|digest| digest.as_bytes().to_vec()))
        .bind(columns.parts)
        .bind(columns.metadata)
        .bind(columns.extra)
        .bind(message.content.as_str())
}

/// An insert without its rows, and how many columns it has.
pub(super) type Insert = (&'static str, usize);

/// `OR FAIL`, because a statement that is to undo its own work if it fails copies each page before it changes it; here the
/// whole transaction is undone.
pub(super) const MESSAGE_INSERT: Insert = (
    "INSERT OR FAIL INTO messages (key, session, seq, id, role, status, timestamp, checksum, tokens, \
     model, latency_ms, digest, parts, metadata, extra, content) VALUES ",
    16,
);

/// How many of so many rows the next statement inserts.
pub(super) fn chunk_of(left: usize) -> usize {
    ROWS.into_iter().find(|rows| *rows <= left).unwrap_or(1)
}

/// An insert with so many rows of placeholders.
pub(super) fn insert_sql((insert, columns): Insert, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{insert}{}", vec![row.as_str(); rows].join(","))
}

/// The tokens by which the index filters, for a message of this session, and its role, status and model: see
/// `schema/1.sql`.
pub(crate) fn scope_tokens(
    session: i64,
    owner: Owner,
    (role, status, model): (i64, i64, Option<i64>),
) -> String {
    let mut tokens = format!("s{session} r{role} t{status}");
    for (letter, key) in [('u', owner.user), ('p', owner.project), ('m', model)] {
        if let Some(key) = key {
            tokens.push(' ');
            tokens.push(letter);
            tokens.push_str(&key.to_string());
        }
    }
    owned_by(owner.tenant, tokens)
}

/// Stands between a tenant's key and a token in the index: it is in no token.
pub(crate) const MARK: char = '\u{e000}';

/// Tokens as the index holds those of a tenant, so that no other one finds them: see
/// `schema/4.sql`.
pub(crate) fn owned_by(tenant: i64, tokens: String) -> String {
    if tenant == 0 || tokens.is_empty() {
        return tokens;
    }
    let mark = format!("{tenant}{MARK}");
    let mut owned = String::with_capacity(tokens.len() * 2);
    for token in tokens.split(' ') {
        if !owned.is_empty() {
            owned.push(' ');
        }
        owned.push_str(&mark);
        owned.push_str(token);
    }
    owned
}

/// What of a message is in [`scope_tokens`].
pub(super) fn kind_of(message: &Message, model: Option<i64>) -> (i64, i64, Option<i64>) {
    (role_code(message.role), status_code(message.status), model)
}

/// The tokens of a text, for the default tenant: see [`owned_by`] for others.
pub(crate) fn content_tokens(content: &str) -> String {
    let mut indexed = String::with_capacity(content.len() + 8);
    tokens(content, |token| {
        if !indexed.is_empty() {
            indexed.push(' ');
        }
        indexed.push_str(token);
    });
    indexed
}
