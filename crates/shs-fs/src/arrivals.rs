//! The file that keeps numbers of arrival from being given again when their messages are gone.
//!
//! Opening finds the last number in the conversations' files. Before a deletion takes it from there, `.arrivals` is published, one
//! object with a checksum as [lines](crate::line) have it:
//!
//! ```text
//! {"given":1003,"crc":"9f3a1b2c"}
//! ```
//!
//! No number up to `given` is given after another opening. That is more than have been given, so that few deletions need to
//! write it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use shs_store::{Error, Result};

use crate::folder::{Folder, unavailable};
use crate::line::{checked, write_checked};

/// The file's name.
pub(crate) const ARRIVALS: &str = ".arrivals";
/// How many numbers are noted as given before they are.
const AHEAD: i64 = 1_000;
/// The highest number that a file may have; no store comes so far.
pub(crate) const HIGHEST: i64 = i64::MAX / 2;

#[derive(Serialize, Deserialize)]
struct Note {
    given: i64,
}

/// Up to where no number is to be given again; 0 if nothing was noted.
///
/// # Errors
/// `Corrupt` if the file is damaged or not this library's.
pub(crate) fn read(folder: &Folder) -> Result<i64> {
    let path = folder.path_of(ARRIVALS);
    let error = |error| unavailable(&format!("{ARRIVALS} cannot be read"), error);
    match fs::symlink_metadata(&path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(failed) => return Err(error(failed)),
        Ok(about) if !about.is_file() => {
            let detail =
                format!("{} is not this library's; move it out of the folder", path.display());
            return Err(Error::corrupt(detail));
        }
        Ok(_) => {}
    }
    let content = fs::read(&path).map_err(error)?;
    let line = content.strip_suffix(b"\n").unwrap_or_default();
    let Note { given } = checked(line).map_err(|error| damaged(folder).with_source(error))?;
    if (0..=HIGHEST).contains(&given) { Ok(given) } else { Err(damaged(folder)) }
}

/// Notes, for good, that the numbers up to `last` were given, and some more; returns up to where.
pub(crate) fn write(folder: &Folder, last: i64) -> io::Result<i64> {
    let given = last.saturating_add(AHEAD).min(HIGHEST);
    let mut line = Vec::new();
    write_checked(&Note { given }, &mut line);
    folder.publish(ARRIVALS, &line)?;
    Ok(given)
}

fn damaged(folder: &Folder) -> Error {
    Error::corrupt(format!(
        "{} is damaged; restore it, or remove it, after which a cursor of a search from before may pass over new messages",
        folder.path_of(ARRIVALS).display()
    ))
}
