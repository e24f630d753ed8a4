//! Putting right what follows from something else, and putting aside what cannot be read.

mod derive;
mod indexes;
mod quarantine;
mod sessions;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shs_store::keeping::{Finding, Repaired};
use shs_store::{Error, ErrorKind, Result, SystemClock};
use sqlx::{Connection, SqliteConnection};

use self::quarantine::Quarantine;
use super::backup::in_background;
use super::copies::{Copy, sync_folder_of, with};
use super::restore::copy_raw;
use super::verify::verify;
use crate::error::Failure;
use crate::open::{Presence, check_path, in_use, next_writer};
use crate::options::SqliteOptions;
use crate::write::{CatchUp, Memory, Operation, Transaction, execute, seal};

/// Puts right what [`verify`](super::verify()) finds and can be put right; a healthy database is left as it is.
///
/// Counts, totals, tags, indexes and the text index are made anew from sessions and messages. Messages without a session get one,
/// `recovered-N`. A message that cannot be read is moved, as it is, into `history.db.quarantine`, an object of JSON
/// for each, where what is no text stands as hexadecimal digits; of a session that cannot be read, the whole row is copied
/// there, and only the values that cannot be read are emptied. A row that can be read and is not as it was written, as its checksum
/// says, is copied there too, and stays: what of it is wrong cannot be told. A file that lacks its log is accepted as it is. It all happens in one transaction, after the files were copied to
/// `history.db.before-repair`. Pages that are damaged are beyond this: restore a backup.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the database is open anywhere else, or cannot be written. Else as
/// [`verify`](super::verify()). Nothing is changed then.
///
/// # Cancel safety
/// If the future is dropped, all is repaired or nothing; the copy stays.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn repair(database: impl AsRef<Path>) -> Result<Repaired> {
    let repaired = mend(database.as_ref()).await;
    repaired.map_err(|error| error.with_store(crate::SqliteStore::NAME).with_op("repair"))
}

async fn mend(database: &Path) -> Result<Repaired> {
    check_path(database)?;
    if !database.exists() {
        let detail = format!("there is no file {}", database.display());
        return Err(Error::new(ErrorKind::NotFound, detail));
    }
    let alone = Presence::alone(database)?;
    let findings = verify(database).await?;
    let mut repaired = Repaired::default();
    if findings.iter().all(|finding| !finding.repairable) {
        repaired.remaining = findings;
        return Ok(repaired);
    }
    let kept = in_background(database, {
        let database = database.to_owned();
        move || keep(&database)
    })
    .await?;
    let done = run(database, &findings).await;
    let (quarantine, quarantined) = match done {
        Ok(done) => done,
        Err(error) => {
            // It is of no use, as nothing was changed.
            for copy in &kept {
                let _ = std::fs::remove_file(copy);
            }
            return Err(error);
        }
    };
    repaired.kept = kept;
    (repaired.quarantine, repaired.quarantined) = (quarantine.into_iter().collect(), quarantined);
    repaired.remaining = verify(database).await?;
    let is_left = |finding: &Finding| repaired.remaining.contains(finding);
    repaired.fixed = findings.into_iter().filter(|finding| !is_left(finding)).collect();
    drop(alone);
    Ok(repaired)
}

/// Copies the database as it is, and names the copies.
fn keep(database: &Path) -> std::io::Result<Vec<PathBuf>> {
    let kept = Copy::BeforeRepair.reserve(database).map_err(std::io::Error::other)?;
    copy_raw(database, &kept)?;
    sync_folder_of(database)?;
    let log = with(&kept, "-wal");
    Ok([kept, log].into_iter().filter(|path| path.exists()).collect())
}

/// Repairs in one transaction; returns where the quarantine is, and how many rows came there.
async fn run(database: &Path, findings: &[Finding]) -> Result<(Option<PathBuf>, u64)> {
    let mut connection = next_writer(&SqliteOptions::new(database)).await?;
    let done = in_transaction(&mut connection, database, findings).await;
    if done.is_err() {
        // The connection is given up, so a failed rollback needs no answer.
        let _ = execute(&mut connection, "ROLLBACK").await;
    } else if findings.iter().any(|finding| finding.what.contains("never used")) {
        // The file is written anew, without the pages that nothing uses.
        execute(&mut connection, "VACUUM").await.map_err(Failure::from)?;
    }
    if done.is_ok() {
        // Nobody else is here, and what is there is accepted.
        in_use::unmark(&mut connection).await.map_err(Failure::from)?;
    }
    let closed = connection.close().await.map_err(|error| Error::from(Failure::from(error)));
    done.and_then(|done| closed.map(|()| done))
}

async fn in_transaction(
    connection: &mut SqliteConnection,
    database: &Path,
    findings: &[Finding],
) -> Result<(Option<PathBuf>, u64)> {
    execute(connection, "BEGIN IMMEDIATE").await.map_err(Failure::from)?;
    let mut memory = Memory::default();
    let mut transaction = Transaction::new(connection, Arc::new(SystemClock), &mut memory);
    let mut quarantine = Quarantine::default();
    work(&mut transaction, &mut quarantine, findings).await?;
    let count = quarantine.count();
    let path = quarantine.write(database).await?;
    execute(connection, "COMMIT").await.map_err(Failure::from)?;
    Ok((path, count))
}

async fn work(
    transaction: &mut Transaction<'_>,
    quarantine: &mut Quarantine,
    findings: &[Finding],
) -> Result<(), Failure> {
    indexes::make_anew(transaction, quarantine).await?;
    quarantine::copy_unsound(transaction, quarantine).await?;
    sessions::mend(transaction, quarantine).await?;
    quarantine::move_messages(transaction, quarantine).await?;
    sessions::recover(transaction).await?;
    derive::make_anew(transaction).await?;
    indexes::empty_search(transaction, findings).await?;
    seal(transaction).await?;
    loop {
        let mark = CatchUp.run(transaction).await?;
        if mark >= derive::arrival(transaction).await? {
            return Ok(());
        }
    }
}
