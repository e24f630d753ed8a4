//! Pages, indexes and the schema.

use std::collections::BTreeMap;

use shs_store::keeping::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::error::Failure;
use crate::open::MIGRATIONS;

/// What can be checked further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Whole,
    /// All but the text index.
    WithoutIndex,
    /// Nothing: tables are missing or are others.
    Unreadable,
}

/// Most lines of SQLite's own check.
const LINES: &str = "PRAGMA integrity_check(1000)";

pub(super) async fn check(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<Structure, Failure> {
    let structure = check_schema(connection, found).await?;
    for row in sqlx::query(LINES).fetch_all(connection).await? {
        let line: &str = row.try_get(0)?;
        if line != "ok" {
            found.push(of_line(line));
        }
    }
    Ok(structure)
}

/// A finding for a line of SQLite's own check. It names tables, indexes, pages and rows, and no content.
fn of_line(line: &str) -> Finding {
    const DERIVED: [&str; 7] = [
        OF_SEARCH,
        " missing from index ",
        "wrong # of entries in index ",
        "non-unique entry in index ",
        "inverted index for FTS5 table ",
        " value in ",
        "never used",
    ];
    let what = format!("SQLite says: {}", line.replace('\n', " "));
    if DERIVED.iter().any(|derived| line.contains(derived)) {
        Finding::repairable(what)
    } else {
        Finding::lasting(what)
    }
}

/// How FTS5 begins to say what is wrong with the text index.
const OF_SEARCH: &str = "fts5: ";

/// Whether a finding is about the text index.
pub(in crate::keep) fn is_of_search(finding: &Finding) -> bool {
    finding.table.as_ref().is_some_and(|table| is_of_index(table))
        || finding.what.contains("FTS5")
        || finding.what.contains(OF_SEARCH)
}

/// Tables and indexes by type and name, with what made them.
pub(in crate::keep) type Schema = BTreeMap<(String, String), String>;

async fn check_schema(
    connection: &mut SqliteConnection,
    found: &mut Vec<Finding>,
) -> Result<Structure, Failure> {
    let is = schema(connection).await?;
    let should = expected().await?;
    let mut structure = Structure::Whole;
    for ((kind, name), sql) in &should {
        if is.get(&(kind.clone(), name.clone())) == Some(sql) {
            continue;
        }
        if is_of_index(name) {
            found.push(
                Finding::repairable("the text index is not there as it should be")
                    .in_table(name.clone()),
            );
            structure = structure.min(Structure::WithoutIndex);
        } else if kind == "index" {
            found.push(Finding::repairable(format!(
                "the index {name} is not there as it should be"
            )));
        } else {
            found.push(
                Finding::lasting("the table is not there as it should be").in_table(name.clone()),
            );
            structure = Structure::Unreadable;
        }
    }
    for (kind, name) in is.keys().filter(|key| !should.contains_key(*key)) {
        found.push(Finding::lasting(format!("a {kind} {name} that is not this library's")));
    }
    Ok(structure)
}

impl Structure {
    fn min(self, other: Self) -> Self {
        if self == Self::Unreadable { self } else { other }
    }
}

/// Whether a table is the text index, or part of it.
fn is_of_index(table: &str) -> bool {
    table == "search" || table.starts_with("search_")
}

async fn schema(connection: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
    const SQL: &str = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
    let rows = sqlx::query(SQL).fetch_all(connection).await?;
    let entry = |row: &sqlx::sqlite::SqliteRow| {
        let key = (row.try_get(0)?, row.try_get(1)?);
        Ok((key, row.try_get(2)?))
    };
    rows.iter().map(entry).collect()
}

/// What the migrations make.
pub(in crate::keep) async fn expected() -> Result<Schema, sqlx::Error> {
    let memory = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
    let mut connection = memory.connect().await?;
    for migration in MIGRATIONS {
        sqlx::raw_sql(migration).execute(&mut connection).await?;
    }
    let schema = schema(&mut connection).await;
    connection.close().await?;
    schema
}
