//! SQLite files of other tools. They are opened to be read only, and stay as they are.

mod langchain;
mod llm;
mod llm_responses;
mod openai_agents;
mod python;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use shs_store::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use tokio::runtime::Handle;

use crate::found::{Gone, Sink};
use crate::{Format, Place};

/// Rows that are read at once.
const PAGE: i64 = 500;

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
        let rows = self.runtime.block_on(query.fetch_all(&mut self.connection))?;
        Ok(rows.into_iter().map(Cells).collect())
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
        Ok(self.sink.failed(self.place.at(path, None), what)?)
    }
}

/// A row whose cells have the types that the file gives them, whatever its schema says.
struct Cells(SqliteRow);

impl Cells {
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
        Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

fn in_words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}
