//! A transaction of the writer, and the statements that several operations share.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use shs_store::model::ContentDigest;
use shs_store::text::tokens;
use shs_store::{Clock, Error, Message, Session, SessionId, Timestamp};
use sqlx::{AssertSqlSafe, Either, Executor, Row, SqliteConnection};

use super::Memory;
use crate::checksum::{self, MessageColumns, add_to_totals, recount};
use crate::error::Failure;
use crate::row::{
    self, SessionRow, json_of, json_of_list, role_code, session_columns, session_joins,
    status_code, to_json,
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
    pub(crate) scope: SessionScope,
}

/// What the text index knows of a session.
#[derive(Clone, Copy, Default)]
pub(crate) struct SessionScope {
    pub(crate) user: Option<i64>,
    pub(crate) project: Option<i64>,
}

/// A message to be inserted.
pub(crate) struct Record<'m> {
    pub(crate) message: &'m Message,
    /// Of what was appended, if the message was changed since.
    pub(crate) changed_from: Option<ContentDigest>,
    pub(crate) session: i64,
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

    /// The session with this id, or that it is not found.
    pub(crate) async fn session(&mut self, id: &SessionId) -> Result<StoredSession, Failure> {
        const SQL: &str = concat!(
            "SELECT s.user, s.project, ",
            session_columns!(),
            " FROM sessions s",
            session_joins!(),
            "WHERE s.id = ?1"
        );
        let row = sqlx::query(SQL).bind(id.as_str()).fetch_optional(&mut *self.connection).await?;
        let row = row.ok_or_else(|| Error::session_not_found(id))?;
        let SessionRow { key, edits, session, .. } = row::session(&row, 2)?;
        let scope = SessionScope { user: row.try_get(0)?, project: row.try_get(1)? };
        Ok(StoredSession { key, edits, session, scope })
    }

    /// Whether there is a session with this id.
    pub(crate) async fn session_exists(&mut self, id: &SessionId) -> Result<bool, sqlx::Error> {
        const SQL: &str = "SELECT 1 FROM sessions WHERE id = ?1";
        let row = sqlx::query(SQL).bind(id.as_str()).fetch_optional(&mut *self.connection).await?;
        Ok(row.is_some())
    }

    /// Inserts a session's row and tags, and counts it. Its counts are taken as they are.
    pub(crate) async fn insert_session(&mut self, session: &Session) -> Result<i64, sqlx::Error> {
        const SQL: &str = "INSERT INTO sessions (id, user, project, title, tags, metadata, extra, created_at, \
             updated_at, ended_at, forked_session, forked_seq, message_count, total_tokens, last_seq, checksum) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
        let user = match &session.user_id {
            Some(name) => Some(self.key_of(Names::Users, name).await?),
            None => None,
        };
        let project = match &session.project_id {
            Some(name) => Some(self.key_of(Names::Projects, name).await?),
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
            .bind(checksum::of_written_session(session, 0))
            .execute(&mut *self.connection)
            .await?;
        let key = done.last_insert_rowid();
        self.insert_tags(key, &session.tags).await?;
        self.count_sessions(1, i64::from(!session.is_ended())).await?;
        Ok(key)
    }

    pub(crate) async fn insert_tags(
        &mut self,
        session: i64,
        tags: &[String],
    ) -> Result<(), sqlx::Error> {
        const SQL: &str =
            "INSERT INTO session_tags (tag, session) SELECT value, ?2 FROM json_each(?1)";
        if tags.is_empty() {
            return Ok(());
        }
        let tags = to_json(tags);
        sqlx::query(SQL).bind(tags).bind(session).execute(&mut *self.connection).await?;
        Ok(())
    }

    pub(crate) async fn count_sessions(
        &mut self,
        sessions: i64,
        active: i64,
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = concat!(
            "UPDATE counters SET ",
            recount!(sessions = "(sessions + ?1)", active = "(active + ?2)"),
            " WHERE only_row = 1"
        );
        sqlx::query(SQL).bind(sessions).bind(active).execute(&mut *self.connection).await?;
        Ok(())
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
                count(&mut totals, record.message, model, 1);
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
        const SQL: &str =
            add_to_totals!("SELECT ?1 AS role, ?2 AS model, ?3 AS messages, ?4 AS tokens");
        for ((role, model), (messages, tokens)) in totals {
            if (*messages, *tokens) != (0, 0) {
                sqlx::query(SQL)
                    .bind(role)
                    .bind(model)
                    .bind(messages)
                    .bind(tokens)
                    .execute(&mut *self.connection)
                    .await?;
            }
        }
        Ok(())
    }

    /// The key of a model's name.
    pub(crate) async fn model_key(&mut self, name: &str) -> Result<i64, sqlx::Error> {
        if let Some(key) = self.memory.model(name) {
            return Ok(key);
        }
        let key = self.key_of(Names::Models, name).await?;
        self.memory.learn_model(name, key);
        Ok(key)
    }

    async fn key_of(&mut self, names: Names, name: &str) -> Result<i64, sqlx::Error> {
        let (find, insert) = names.sql();
        if let Some(row) =
            sqlx::query(find).bind(name).fetch_optional(&mut *self.connection).await?
        {
            return row.try_get(0);
        }
        let insert = sqlx::query(insert).bind(name).bind(checksum::of_name(name));
        let done = insert.execute(&mut *self.connection).await?;
        Ok(done.last_insert_rowid())
    }

    /// Puts a message that is in the index into it anew.
    pub(crate) async fn index_again(
        &mut self,
        key: i64,
        scope: &str,
        content: &str,
    ) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO search (rowid, scope, content) VALUES (?1, ?2, ?3)";
        self.unindex(key).await?;
        let index = sqlx::query(SQL).bind(key).bind(scope).bind(content_tokens(content));
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

/// The tables that give names keys.
#[derive(Clone, Copy)]
enum Names {
    Users,
    Projects,
    Models,
}

impl Names {
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Users => (
                "SELECT key FROM users WHERE name = ?1",
                "INSERT INTO users (name, checksum) VALUES (?1, ?2)",
            ),
            Self::Projects => (
                "SELECT key FROM projects WHERE name = ?1",
                "INSERT INTO projects (name, checksum) VALUES (?1, ?2)",
            ),
            Self::Models => (
                "SELECT key FROM models WHERE name = ?1",
                "INSERT INTO models (name, checksum) VALUES (?1, ?2)",
            ),
        }
    }
}

/// Changes to messages and tokens, by the codes of role and model.
pub(crate) type Totals = HashMap<(i64, i64), (i64, i64)>;

/// Counts a message in (`1`) or out (`-1`).
pub(crate) fn count(totals: &mut Totals, message: &Message, model: Option<i64>, sign: i64) {
    let entry = totals.entry((role_code(message.role), model.unwrap_or(0))).or_default();
    entry.0 += sign;
    entry.1 += sign * message.tokens.map_or(0, i64::from);
}

pub(super) fn bind_message<'q>(
    insert: row::Query<'q>,
    key: i64,
    record: &Record<'q>,
    model: Option<i64>,
) -> row::Query<'q> {
    let Record { message, changed_from, session } = *record;
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
    scope: SessionScope,
    (role, status, model): (i64, i64, Option<i64>),
) -> String {
    let mut tokens = format!("s{session} r{role} t{status}");
    for (letter, key) in [('u', scope.user), ('p', scope.project), ('m', model)] {
        if let Some(key) = key {
            tokens.push(' ');
            tokens.push(letter);
            tokens.push_str(&key.to_string());
        }
    }
    tokens
}

/// What of a message is in [`scope_tokens`].
pub(super) fn kind_of(message: &Message, model: Option<i64>) -> (i64, i64, Option<i64>) {
    (role_code(message.role), status_code(message.status), model)
}

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
