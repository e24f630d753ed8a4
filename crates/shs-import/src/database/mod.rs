//! SQLite files of other tools. They are opened to be read only, and stay as they are.

mod langchain;
mod llm;
mod llm_responses;
mod openai_agents;
mod python;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures::{TryStream, TryStreamExt};
use serde_json::Value;
use shs_store::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, TypeInfo, ValueRef};
use tokio::runtime::Handle;

use crate::bounded::{self, Budget};
use crate::found::{Gone, Sink};
use crate::limits::MAX_VALUE_BYTES;
use crate::{Format, Place};

/// Rows that are read at once.
const PAGE: i64 = 500;

/// Rows that are in memory at the most, where those of a conversation are read at once.
const MAX_ROWS: usize = 110_000;
/// What the JSON of one cell may take beside its text; what takes more stays a text.
const MAX_JSON_BYTES_OF_CELL: usize = 16 * 1024 * 1024;

/// A database that is being read, in one transaction: what its owner writes meanwhile is not seen.
struct Database<'a> {
    runtime: &'a Handle,
    connection: SqliteConnection,
    tables: HashMap<String, Vec<String>>,
    place: &'a Place,
    sink: &'a Sink,
}

/// Why reading a database ends before its end.
#[derive(Debug)]
enum Stop {
    Gone,
    Sqlite(sqlx::Error),
    /// One conversation, or one page of them, is more than may be read at once.
    TooMuch(String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlite(error)
    }
}

type Done<T = ()> = Result<T, Stop>;

/// Reads all conversations of a database.
pub(crate) fn read(
    path: &Path,
    place: &Place,
    told: Option<Format>,
    runtime: &Handle,
    sink: &Sink,
) -> Result<(), Gone> {
    let read = Database::open(path, place, runtime, sink).and_then(|mut database| {
        let done = database.read(told);
        // It was read only: there is nothing that closing could fail to do.
        let _ = runtime.block_on(database.connection.close());
        done
    });
    match read {
        Ok(()) => Ok(()),
        Err(Stop::Gone) => Err(Gone),
        Err(Stop::Sqlite(error)) => {
            sink.failed(place.clone(), format!("the database cannot be read: {}", in_words(&error)))
        }
        Err(Stop::TooMuch(what)) => sink.failed(place.clone(), what),
    }
}

impl<'a> Database<'a> {
    fn open(path: &Path, place: &'a Place, runtime: &'a Handle, sink: &'a Sink) -> Done<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5));
        let mut tables: HashMap<String, Vec<String>> = HashMap::new();
        let connection = runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            sqlx::query("BEGIN").execute(&mut connection).await?;
            // sqlx takes it for granted that types are declared in UTF-8.
            let schema = "SELECT CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL";
            for row in sqlx::query(schema).fetch_all(&mut connection).await? {
                let sql: Vec<u8> = row.try_get(0)?;
                std::str::from_utf8(&sql).map_err(|error| sqlx::Error::Decode(error.into()))?;
            }
            let columns = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'";
            for row in sqlx::query(columns).fetch_all(&mut connection).await? {
                tables.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
            }
            Ok::<_, sqlx::Error>(connection)
        })?;
        Ok(Self { runtime, connection, tables, place, sink })
    }

    /// Whether there is a table with these columns.
    fn has(&self, table: &str, columns: &[&str]) -> bool {
        let there = self.tables.get(table);
        there.is_some_and(|there| columns.iter().all(|column| there.iter().any(|c| c == column)))
    }

    /// A column, or NULL where older files have none of it.
    fn column(&self, table: &str, column: &str) -> String {
        if self.has(table, &[column]) { format!("\"{column}\"") } else { "NULL".to_owned() }
    }

    fn read(&mut self, told: Option<Format>) -> Done {
        let all = [
            (Format::PythonDatabase, python::is_one(self)),
            (Format::Llm, llm::is_one(self) || llm_responses::is_one(self)),
            (Format::LangChain, langchain::table(self).is_some()),
            (Format::OpenAiAgents, openai_agents::is_one(self)),
        ];
        let found: Vec<Format> = all
            .into_iter()
            .filter(|(format, is_one)| *is_one && told.is_none_or(|told| told == *format))
            .map(|(format, _)| format)
            .collect();
        if found.is_empty() {
            let what = if self.has("sessions", &["key"]) && self.has("counters", &[]) {
                "this database is a store; name it with --store sqlite:PATH and copy it"
            } else {
                "no table of this database holds conversations in a known form"
            };
            return Ok(self.sink.failed(self.place.clone(), what)?);
        }
        for format in found {
            match format {
                Format::PythonDatabase => python::read(self)?,
                Format::Llm => {
                    let known = llm::read(self)?;
                    llm_responses::read(self, &known)?;
                }
                Format::LangChain => langchain::read(self)?,
                _ => openai_agents::read(self)?,
            }
        }
        Ok(())
    }

    /// The rows of a query whose text is made of names that this crate or the file's own schema gives.
    fn rows(&mut self, sql: &str, texts: &[&str], numbers: &[i64]) -> Done<Vec<Cells>> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for text in texts {
            query = query.bind((*text).to_owned());
        }
        for number in numbers {
            query = query.bind(*number);
        }
        let mut read = Vec::new();
        each(self.runtime, query.fetch(&mut self.connection), MAX_ROWS, |row| {
            read.push(row);
            Ok(())
        })?;
        Ok(read)
    }

    /// The rows of one conversation, one after the other, as [`rows`](Self::rows) has them all.
    fn each(&mut self, sql: &str, text: &str, take: impl FnMut(Cells) -> Done) -> Done {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(text.to_owned());
        let most = self.sink.limits().messages;
        each(self.runtime, query.fetch(&mut self.connection), most, take)
    }

    /// A conversation that is too much is told; those behind it are read.
    fn one(&self, path: impl FnOnce() -> String, read: Done) -> Done {
        match read {
            Err(Stop::TooMuch(what)) => self.failed(path(), what),
            other => other,
        }
    }

    /// The place behind a page, from which the next one begins. In a damaged file it may be before it, without end.
    fn behind<K: PartialOrd>(&self, before: &K, last: Option<K>, table: &str) -> Done<Option<K>> {
        match last {
            Some(last) if last > *before => Ok(Some(last)),
            _ => {
                self.failed(table.to_owned(), "the rows are in disorder: the file is damaged")?;
                Ok(None)
            }
        }
    }

    fn failed(&self, path: String, what: impl Into<String>) -> Done {
        self.told().failed(path, what)
    }

    /// Where problems are told.
    fn told(&self) -> Told<'a> {
        Told { place: self.place, sink: self.sink }
    }
}

/// Where problems of a database are told.
#[derive(Clone, Copy)]
struct Told<'a> {
    place: &'a Place,
    sink: &'a Sink,
}

impl Told<'_> {
    fn failed(self, path: String, what: impl Into<String>) -> Done {
        Ok(self.sink.failed(self.place.at(path, None), what)?)
    }

    /// Ends a conversation whose messages, with so many bytes by now, are too much.
    fn check(self, bytes: usize) -> Done {
        let most = MAX_VALUE_BYTES.saturating_add(self.sink.limits().json_bytes);
        if bytes <= most {
            return Ok(());
        }
        let most = most / (1024 * 1024);
        Err(Stop::TooMuch(format!(
            "its messages take more than {most} MiB of memory, which is the limit; raise it with --max-json \
             (Limits::with_json_bytes)"
        )))
    }
}

/// Takes rows, so many and so long at the most.
fn each(
    runtime: &Handle,
    mut rows: impl TryStream<Ok = SqliteRow, Error = sqlx::Error> + Unpin,
    most: usize,
    mut take: impl FnMut(Cells) -> Done,
) -> Done {
    let (mut count, mut bytes) = (0_usize, 0_usize);
    while let Some(row) = runtime.block_on(rows.try_next())? {
        let row = Cells(row);
        count += 1;
        bytes = bytes.saturating_add(row.length());
        if count > most {
            return Err(Stop::TooMuch(format!(
                "more than {most} rows, which is the limit; raise it with --max-messages (Limits::with_messages)"
            )));
        }
        if bytes > MAX_VALUE_BYTES {
            let limit = MAX_VALUE_BYTES / (1024 * 1024);
            let what = format!("its rows are longer than {limit} MiB, which is the limit");
            return Err(Stop::TooMuch(what));
        }
        take(row)?;
    }
    Ok(())
}

/// A row whose cells have the types that the file gives them, whatever its schema says.
struct Cells(SqliteRow);

impl Cells {
    /// How many bytes its texts have.
    fn length(&self) -> usize {
        let length = |column| {
            let raw = self.0.try_get_raw(column).ok()?;
            // Asking a number for its bytes would make a text of it.
            let has_bytes = matches!(raw.type_info().name(), "TEXT" | "BLOB");
            let bytes = has_bytes.then(|| self.0.try_get_unchecked::<Option<&[u8]>, _>(column));
            bytes?.ok()?.map(<[u8]>::len)
        };
        (0..self.0.len()).filter_map(length).sum()
    }

    /// A text, or a number as text. Bytes that are no text come with replacement characters.
    fn text(&self, column: usize) -> Option<String> {
        let bytes: Option<Vec<u8>> = self.0.try_get_unchecked(column).ok()?;
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&self, column: usize) -> Option<Vec<u8>> {
        self.0.try_get_unchecked(column).ok()?
    }

    fn number(&self, column: usize) -> Option<i64> {
        self.0.try_get_unchecked(column).ok()?
    }

    fn real(&self, column: usize) -> Option<f64> {
        self.0.try_get_unchecked(column).ok()?
    }

    fn time(&self, column: usize) -> Option<Timestamp> {
        self.text(column)?.parse().ok()
    }

    /// JSON in a text; what is no JSON is that text.
    fn json(&self, column: usize) -> Option<Value> {
        let text = self.text(column)?;
        // What would take too much memory as JSON stays the text that it is, too.
        let budget = Budget::new(MAX_JSON_BYTES_OF_CELL);
        let read = bounded::from_slice(text.as_bytes(), &budget);
        Some(read.unwrap_or(Value::String(text)))
    }
}

fn in_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}
