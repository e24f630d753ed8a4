//! Erasing: nothing of what was deleted remains in the files.
//!
//! Deleted text stands on in freed pages, in gaps of pages that are used, in segments of the text index that have only
//! a note that a message is gone, in the log, and as names that no session uses. So the index is merged into one segment and the names
//! are deleted, in a transaction like any other; behind it the database is written anew as a whole (`VACUUM`), and the log is moved
//! into it and cut to nothing.

use std::sync::Arc;

use shs_store::{Error, ErrorKind, Result};
use sqlx::{Row, SqliteConnection};

use super::{Operation, Transaction, execute};
use crate::error::{Failure, spoils_connection, translate};

/// Takes out the users that no session has.
pub(crate) const UNUSED_USERS: &str =
    "DELETE FROM users WHERE key NOT IN (SELECT user FROM sessions WHERE user IS NOT NULL)";
/// Takes out the projects that no session has.
pub(crate) const UNUSED_PROJECTS: &str = "DELETE FROM projects \
     WHERE key NOT IN (SELECT project FROM sessions WHERE project IS NOT NULL)";

/// Takes out the tenants that have no session, but for the default one.
pub(crate) const UNUSED_TENANTS: &str =
    "DELETE FROM tenants WHERE key <> 0 AND key NOT IN (SELECT tenant FROM sessions)";

/// Takes out of the tables what nothing refers to. The rest is done when that is committed.
pub(crate) struct Erase;

impl Operation for Erase {
    type Output = ();
    const ERASES: bool = true;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        for sql in [
            UNUSED_USERS,
            UNUSED_PROJECTS,
            UNUSED_TENANTS,
            "DELETE FROM models WHERE key NOT IN (SELECT model FROM messages WHERE model IS NOT NULL)",
            "DELETE FROM totals WHERE messages = 0 AND tokens = 0",
            "INSERT INTO search (search) VALUES ('optimize')",
        ] {
            execute(transaction.connection, sql).await?;
        }
        Ok(())
    }
}

/// Writes the database anew, without what is behind the rows, and empties the log. Returns whether the connection can be used
/// on, too.
pub(super) async fn compact(connection: &mut SqliteConnection) -> (Result<()>, bool) {
    match try_compact(connection).await {
        Ok(true) => (Ok(()), true),
        Ok(false) => (Err(remains("somebody reads in a transaction that does not end")), true),
        Err(error) => {
            let is_usable = !spoils_connection(&error);
            let cause = translate(&Arc::new(error));
            let error = match cause.kind() {
                ErrorKind::Corrupt => cause,
                _ => remains(cause.detail()).with_source(cause.clone()),
            };
            (Err(error), is_usable)
        }
    }
}

/// Returns whether the log was emptied, which readers can hinder.
async fn try_compact(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    execute(connection, "VACUUM").await?;
    empty_log(connection).await
}

async fn empty_log(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
}

fn remains(why: &str) -> Error {
    let detail = format!(
        "what was deleted is deleted, but its text may remain in the files: {why}; erase again"
    );
    Error::new(ErrorKind::Unavailable, detail)
}
