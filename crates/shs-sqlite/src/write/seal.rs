//! Checksums of all rows anew: for a database that had none, and after a repair.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Transaction, execute};
use crate::checksum::{self, checksum_of_counters, checksum_of_totals, counts_of_tenant};
use crate::row::{self, message_columns, message_joins, session_columns, session_joins, to_json};

/// Rows that are read at a time.
const CHUNK: i64 = 256;

const SESSIONS: &str = concat!(
    "SELECT s.key, ",
    session_columns!(),
    " FROM sessions s",
    session_joins!(),
    "WHERE s.key > ?1 ORDER BY s.key LIMIT +?2"
);
const MESSAGES: &str = concat!(
    "SELECT m.key, ",
    message_columns!(),
    " FROM messages m",
    message_joins!(),
    "WHERE m.key > ?1 ORDER BY m.key LIMIT +?2"
);

/// Sets checksums, which come as pairs of a key and a checksum.
macro_rules! seal {
    ($table:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET checksum = j.checksum FROM \
             (SELECT value ->> 0 AS row, value ->> 1 AS checksum FROM json_each(?1)) j WHERE key = j.row"
        )
    };
}

/// How the names of a table are read, and how their checksums are set.
macro_rules! names {
    ($table:literal, $tenant:literal) => {
        (
            concat!(
                "SELECT key, name, checksum, ",
                $tenant,
                " FROM ",
                $table,
                " WHERE key > ?1 ORDER BY key LIMIT +?2"
            ),
            seal!($table),
        )
    };
}

const NAMES: [(&str, &str); 3] =
    [names!("users", "tenant"), names!("projects", "tenant"), names!("models", "0")];

/// The tenants, each with what its checksum is beside that of its name.
const TENANTS: &str = concat!(
    "SELECT key, name, checksum, ",
    counts_of_tenant!(""),
    " FROM tenants WHERE key > ?1 ORDER BY key LIMIT +?2"
);

/// Gives every row the checksum of its values. What cannot be read is left as it is.
pub(crate) async fn seal(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    for (read, write) in NAMES {
        change(transaction, read, write, |row| {
            let checksum = checksum::of_name_in(row.try_get(3).ok()?, row.try_get(1).ok()?);
            (row.try_get::<i64, _>(2).ok()? != checksum).then_some((row.try_get(0).ok()?, checksum))
        })
        .await?;
    }
    change(transaction, SESSIONS, seal!("sessions"), |row| {
        let read = row::any_session(row, 1).ok()?;
        (!read.is_sound).then_some((read.key, read.checksum))
    })
    .await?;
    change(transaction, MESSAGES, seal!("messages"), |row| {
        let read = row::any_message(row, 1).ok()?;
        (!read.is_sound).then_some((read.key, read.checksum))
    })
    .await?;
    change(transaction, TENANTS, seal!("tenants"), |row| {
        let checksum = checksum::of_name(row.try_get(1).ok()?) + row.try_get::<i64, _>(3).ok()?;
        (row.try_get::<i64, _>(2).ok()? != checksum).then_some((row.try_get(0).ok()?, checksum))
    })
    .await?;
    execute(
        transaction.connection,
        concat!("UPDATE totals SET checksum = ", checksum_of_totals!("")),
    )
    .await?;
    execute(
        transaction.connection,
        concat!("UPDATE counters SET checksum = ", checksum_of_counters!()),
    )
    .await
}

/// Takes the digests out that follow from the messages, because these were never changed.
pub(crate) async fn drop_digests(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    const DROP: &str = "UPDATE messages SET digest = NULL FROM \
         (SELECT value ->> 0 AS row FROM json_each(?1)) j WHERE key = j.row";
    change(transaction, MESSAGES, DROP, |row| {
        let read = row::any_message(row, 1).ok()?;
        (read.changed_from == Some(read.message.digest())).then_some((read.key, 0))
    })
    .await
}

/// Reads all rows with one statement, and changes some with another, which takes them as pairs of key and value.
async fn change(
    transaction: &mut Transaction<'_>,
    read: &'static str,
    write: &'static str,
    mut choose: impl FnMut(&SqliteRow) -> Option<(i64, i64)> + Send,
) -> Result<(), sqlx::Error> {
    let mut after = i64::MIN;
    loop {
        let rows = sqlx::query(read)
            .bind(after)
            .bind(CHUNK)
            .fetch_all(&mut *transaction.connection)
            .await?;
        let chosen: Vec<(i64, i64)> = rows.iter().filter_map(&mut choose).collect();
        if !chosen.is_empty() {
            sqlx::query(write).bind(to_json(&chosen)).execute(&mut *transaction.connection).await?;
        }
        match rows.last() {
            Some(last) if rows.len() as i64 == CHUNK => after = last.try_get(0)?,
            _ => return Ok(()),
        }
    }
}
