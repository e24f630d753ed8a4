//! Whether everything that the store promises holds for what is in the file.

mod counts;
mod index;
mod links;
mod rows;
mod structure;

use std::path::Path;

use shs_store::keeping::Finding;
use shs_store::{Error, ErrorKind, Result};
use sqlx::{Connection, SqliteConnection};

pub(super) use self::rows::{unreadable, unsound};
use self::structure::Structure;
pub(super) use self::structure::{expected, is_of_search};
use super::reader;
use crate::error::Failure;
use crate::open::{in_use, is_open};
use crate::write::execute;

/// Checks a database, and returns what is not as it should be; nothing for a healthy one.
///
/// All is looked at as it is at one moment, while others may read and write. Nothing is changed,
/// and nothing is written next to the file: it is opened to read only. What is checked:
///
/// - the file is not a copy, without the log, of a database that was open
/// - the file's pages and indexes (`PRAGMA integrity_check`), and that the tables and indexes are those of this version; no
///   foreign keys are declared, so `PRAGMA foreign_key_check` has nothing to say, and references are looked up here
/// - every value of every session and message can be read, is within the limits, and has the checksum it was written with
/// - counts, tokens and last numbers of sessions, the totals and the counters are what the messages come to
/// - no message, tag or name is without what it belongs to
/// - the text index has each message, up to the mark that says how far it is, with its words and no others: the words of all
///   messages together are compared, each message's number of words, and several thousand messages are searched
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no file; [`Corrupt`](ErrorKind::Corrupt) if it is not a database of this library;
/// [`Unsupported`](ErrorKind::Unsupported) if a newer or an older version wrote it: this version brings an older one up to date
/// when it opens it. [`Unavailable`](ErrorKind::Unavailable) if it cannot be read.
///
/// # Cancel safety
/// It only reads.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn verify(database: impl AsRef<Path>) -> Result<Vec<Finding>> {
    let context = |error: Error| error.with_store(crate::SqliteStore::NAME).with_op("verify");
    let database = database.as_ref();
    let lacks_log = in_use::lacks_log(database);
    loop {
        let was_open = is_open(database);
        let mut connection = reader::look_at(database).await.map_err(context)?;
        let found = check(&mut connection).await;
        // It only read.
        let _ = connection.close().await;
        // Nobody is seen who began to write meanwhile: what looks like damage then may be what they
        // wrote.
        let is_clean = found.as_ref().is_ok_and(Vec::is_empty);
        if is_clean || was_open || !is_open(database) {
            let mut found = found.map_err(context)?;
            if lacks_log {
                found.push(Finding::repairable(in_use::LACKS_LOG));
            }
            return Ok(found);
        }
    }
}

/// All that is wrong in a database at this moment.
async fn check(connection: &mut SqliteConnection) -> Result<Vec<Finding>> {
    execute(connection, "BEGIN").await.map_err(Failure::from)?;
    let found = look(connection).await;
    // Nothing was written; after some errors SQLite has ended the transaction by itself.
    let _ = execute(connection, "ROLLBACK").await;
    found
}

async fn look(connection: &mut SqliteConnection) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let structure = match structure::check(connection, &mut found).await {
        Err(failure) => {
            note(Err(failure), &mut found)?;
            Structure::Unreadable
        }
        Ok(structure) => structure,
    };
    if structure == Structure::Unreadable {
        return Ok(found);
    }
    let rows = rows::check(connection, &mut found).await;
    note(rows, &mut found)?;
    let counts = counts::check(connection, &mut found).await;
    note(counts, &mut found)?;
    let links = links::check(connection, &mut found).await;
    note(links, &mut found)?;
    if structure == Structure::Whole {
        let index = index::check(connection, &mut found).await;
        note_as(Finding::repairable("it cannot be read").in_table("search"), index, &mut found)?;
    }
    Ok(found)
}

/// Makes a finding of damage that kept a check from being done.
fn note(checked: Result<(), Failure>, found: &mut Vec<Finding>) -> Result<()> {
    let damage = Finding::lasting("a table cannot be read to its end; restore a backup");
    note_as(damage, checked, found)
}

/// As [`note`], of this kind of damage, unless it was found before.
fn note_as(damage: Finding, checked: Result<(), Failure>, found: &mut Vec<Finding>) -> Result<()> {
    let Err(failure) = checked else { return Ok(()) };
    let error = Error::from(failure);
    if error.kind() != ErrorKind::Corrupt {
        return Err(error);
    }
    let is_known = |finding: &Finding| match damage.repairable {
        true => is_of_search(finding),
        false => !finding.repairable,
    };
    if !found.iter().any(is_known) {
        found.push(damage);
    }
    Ok(())
}
