//! The mark of a database that is open: what is committed may be in its log alone.
//!
//! It stands in the header of the database's own file, so that a copy of that file by itself can be
//! told from a whole database. The first who opens a database sets it, the last one takes it back; one
//! that nobody closed keeps it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sqlx::SqliteConnection;

use super::migrate::number;
use super::presence::behind_link;
use crate::keep::with;
use crate::write::execute;

/// Says that a database is this library's: "SHS1".
pub(super) const APPLICATION_ID: i64 = 0x5348_5331;
/// Says that it is, and that it is open: "SHSO".
pub(super) const OPEN: i64 = 0x5348_534F;
/// Where SQLite keeps the application id in a file (<https://www.sqlite.org/fileformat2.html#application_id>).
const AT: usize = 68;
/// Bytes of a file that tell whether it is marked.
pub(crate) const HEAD: usize = AT + 4;

/// Marks a database, in its own file.
pub(crate) async fn mark(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if number(connection, "PRAGMA application_id").await? == OPEN {
        return Ok(());
    }
    const MARK: &str = "PRAGMA application_id = 0x5348534F";
    execute(connection, MARK).await?;
    // Whoever reads just now can keep it in the log for a while.
    execute(connection, "PRAGMA wal_checkpoint(PASSIVE)").await
}

/// Takes the mark back, in the log, which the last connection brings into the file.
pub(crate) async fn unmark(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    execute(connection, "PRAGMA application_id = 0x53485331").await
}

/// Takes the mark out of a file that nobody has open.
pub(crate) fn unmark_file(file: &mut File) -> io::Result<()> {
    file.seek(SeekFrom::Start(AT as u64))?;
    file.write_all(&(APPLICATION_ID as u32).to_be_bytes())
}

/// Whether the first bytes of a file have the mark.
pub(crate) fn is_marked(head: &[u8]) -> bool {
    head.get(AT..HEAD).is_some_and(|id| id == (OPEN as u32).to_be_bytes())
}

/// Whether a file is marked and there is no log: a copy that was made while the database was open, or one whose log was
/// removed.
///
/// Where there is a log, nothing is read: whoever closes a file that SQLite has open in this process takes its locks from
/// it.
pub(crate) fn lacks_log(database: &Path) -> bool {
    let database = behind_link(database);
    if with(&database, "-wal").exists() {
        return false;
    }
    let mut head = Vec::new();
    let read = File::open(database).and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    read.is_ok() && is_marked(&head)
}

/// What is wrong with such a file.
pub(crate) const LACKS_LOG: &str = "it was copied while the database was open, without its log, or its log (-wal) was removed; the newest \
    messages may be missing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_have_the_ids() {
        let source = include_str!("in_use.rs");
        for (name, id) in [("MARK: &str = \"", OPEN), ("connection, \"", APPLICATION_ID)] {
            assert!(
                source.contains(
                    &format!("{name}PRAGMA application_id = {id:#X}").replace("0X", "0x")
                )
            );
        }
    }
}
