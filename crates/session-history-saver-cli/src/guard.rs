//! Outputs never go over a store: not over its database and what belongs to it, and not into its
//! folder, by whichever way.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use session_history_saver::Location;
use session_history_saver::keeping::Existing;
use shs_files::Identity;

use crate::failure::{Failure, Result};
use crate::place::{DATABASE, MARKER, files_in};

/// What the names of files have behind that of the database that they belong to.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", "-lock"];

/// What may be at the place of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that is no database.
    Export,
    /// A backup, which is a database that nothing has open.
    Backup,
}

/// Refuses to write to a place that is a store's, whichever store it is; and to a file that is
/// there, unless it may be replaced.
///
/// Call it before the store is opened: it reads from the file that is there.
pub(crate) fn check(
    target: &Path,
    store: Option<&Location>,
    kind: Kind,
    existing: Existing,
) -> Result<()> {
    let real = real(target).map_err(|error| unreadable(target, &error))?;
    let refused = |what: &str| {
        let target = target.display();
        Err(Failure::Usage(format!("{target} {what}; name another file, outside of the store")))
    };
    if let Some(Location::Sqlite(database)) = store
        && belongs_to(&real, &self::real(database).map_err(|error| unreadable(database, &error))?)
    {
        return refused("is the store's own database, or belongs to it");
    }
    if let Some(folder) = store_around(&real, store) {
        return refused(&format!("is in the folder {} of a store", folder.display()));
    }
    if is_companion(&real) {
        return refused("belongs to a database");
    }
    let about = match fs::metadata(&real) {
        Ok(about) => about,
        // A link is there also if it leads to nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::symlink_metadata(target) {
                Ok(_) => check_existing(target, existing),
                Err(_) => Ok(()),
            };
        }
        Err(error) => return Err(unreadable(target, &error)),
    };
    if !about.is_file() {
        // A pipe or a device is written to; of a folder, writing says what is wrong.
        return Ok(());
    }
    if is_database(&real).map_err(|error| unreadable(target, &error))? {
        match kind {
            Kind::Export => return refused("is a database"),
            Kind::Backup if has_companion(&real) => return refused("is a database that is in use"),
            Kind::Backup => {}
        }
    }
    if let Some(Location::Fs(folder)) = store
        && is_linked_into(&real, &about, folder)
    {
        return refused("is a file of the store by another name");
    }
    check_existing(target, existing)
}

fn check_existing(target: &Path, existing: Existing) -> Result<()> {
    match existing {
        Existing::Refuse => {
            let what = format!("{} is there already; --force replaces it", target.display());
            Err(Failure::Failed(what))
        }
        _ => Ok(()),
    }
}

/// Refuses to write into a folder that is a store's.
pub(crate) fn check_folder(target: &Path) -> Result<()> {
    let real = real(target).map_err(|error| unreadable(target, &error))?;
    match store_around(&real.join("file"), None) {
        None => Ok(()),
        Some(folder) => Err(Failure::Usage(format!(
            "{} is in the folder {} of a store; name another one",
            target.display(),
            folder.display()
        ))),
    }
}

/// Refuses to make a store of what belongs to another one, or is inside of it.
pub(crate) fn check_inside(target: &Path, store: &Location) -> Result<()> {
    let real = real(target).map_err(|error| unreadable(target, &error))?;
    if let Some(folder) = store_around(&real, Some(store)) {
        return Err(Failure::Usage(format!(
            "{} is in the folder {} of a store; name another place",
            target.display(),
            folder.display()
        )));
    }
    let source = match store.path() {
        Some(path) => self::real(path).map_err(|error| unreadable(path, &error))?,
        None => return Ok(()),
    };
    if source == real || belongs_to(&real, &source) || is_companion(&real) {
        let what = format!("{} is the store itself, or belongs to one", target.display());
        return Err(Failure::Usage(what));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("{} cannot be looked at: {error}", path.display()))
}

/// Where a path leads to, through links and `..`; what is not there yet is behind that which is.
fn real(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    if let Ok(leads_to) = fs::read_link(path) {
        // A link to what is not there: writing would make it there.
        let folder = path.parent().unwrap_or(Path::new(""));
        return real(&folder.join(leads_to));
    }
    let absolute = std::path::absolute(path)?;
    match (absolute.parent(), absolute.file_name()) {
        (Some(folder), Some(name)) => Ok(real(folder)?.join(name)),
        // It ends with `..` in a folder that is not there.
        _ => Ok(absolute),
    }
}

/// Whether a file is a database, or one that SQLite or a store keeps next to it; by its name, or by
/// a hard link.
fn belongs_to(file: &Path, database: &Path) -> bool {
    let names = std::iter::once(database.to_owned())
        .chain(COMPANIONS.iter().map(|end| with_end(database, end)));
    names.into_iter().any(|name| name == file || is_same_file(&name, file))
}

/// Whether the name is that of something next to a database.
fn is_companion(file: &Path) -> bool {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return false };
    COMPANIONS.iter().any(|end| {
        let database = name.strip_suffix(end).map(|name| file.with_file_name(name));
        database.is_some_and(|database| is_database(&database).unwrap_or(false))
    })
}

fn has_companion(database: &Path) -> bool {
    COMPANIONS.iter().any(|end| with_end(database, end).exists())
}

fn with_end(database: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(end);
    name.into()
}

/// The folder of a store that a file is in, or would be; the one that was named, or any other.
fn store_around<'f>(file: &'f Path, store: Option<&Location>) -> Option<&'f Path> {
    let named = match store {
        Some(Location::Fs(folder)) => real(folder).ok(),
        _ => None,
    };
    let is_store = |folder: &&Path| {
        named.as_deref().is_some_and(|named| named == *folder) || folder.join(MARKER).exists()
    };
    file.ancestors().skip(1).find(is_store)
}

fn is_database(file: &Path) -> io::Result<bool> {
    if !file.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    File::open(file)?.take(DATABASE.len() as u64).read_to_end(&mut head)?;
    Ok(head == DATABASE)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((Identity::at(one), Identity::at(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file has another name in a folder, or in one of those in it.
fn is_linked_into(file: &Path, about: &Metadata, folder: &Path) -> bool {
    has_other_names(about) && files_in(folder).iter().any(|entry| is_same_file(entry, file))
}

#[cfg(unix)]
fn has_other_names(about: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(about) > 1
}

/// How many it has is not told here.
#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    true
}
