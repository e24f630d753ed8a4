//! Bringing what a journal holds into the conversations' files.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, BufRead, BufReader};

use shs_files::write_all_at;
use shs_store::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::record::{Record, has_later};
use super::{FORMAT, HEAD, HEADING, JOURNAL, head};
use crate::folder::{Folder, unavailable};
use crate::line::Line;
use crate::name::is_conversation;

/// Brings what the last process left in a journal into the files, and removes it.
///
/// # Errors
/// `Corrupt` if the journal, or a file that it has something for, is damaged; nothing is removed then.
pub(crate) fn recover(folder: &Folder) -> Result<()> {
    let path = folder.path_of(JOURNAL);
    let error = |error| unavailable("the journal cannot be brought into the files", error);
    match fs::symlink_metadata(&path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(failed) => return Err(error(failed)),
        Ok(about) if !about.is_file() => return Err(not_ours(folder)),
        Ok(_) => {}
    }
    let files = replay(folder, u64::MAX)?;
    folder.remove(JOURNAL).and_then(|()| folder.sync_names_now()).map_err(error)?;
    if files > 0 {
        tracing::info!(files, "brought the journal of the last process into the files");
    }
    Ok(())
}

/// What the journal has for a file, for who only reads.
#[derive(Debug)]
pub(crate) struct Waiting {
    incarnation: Uuid,
    at: u64,
    bytes: Vec<u8>,
}

/// What a journal that the last process left has for each file, by name; nothing if there is none.
///
/// # Errors
/// `Corrupt` if it is damaged.
pub(crate) fn waiting(folder: &Folder) -> Result<HashMap<String, Vec<Waiting>>> {
    let content = match fs::read(folder.path_of(JOURNAL)) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(unavailable("the journal cannot be read", error)),
    };
    let mut files: HashMap<String, Vec<Waiting>> = HashMap::new();
    for Record { name, incarnation, at, bytes } in records(folder, &content)? {
        let waiting = Waiting { incarnation, at, bytes: bytes.to_vec() };
        files.entry(name.to_owned()).or_default().push(waiting);
    }
    Ok(files)
}

/// Brings what waits for a file into its content, as [`recover`] would.
pub(crate) fn apply(waiting: &[Waiting], content: &mut Vec<u8>) {
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(line) = Line::read(first) else { return };
    let incarnation = line.incarnation.unwrap_or_default();
    for Waiting { at, bytes, .. } in waiting.iter().filter(|w| w.incarnation == incarnation) {
        let at = usize::try_from(*at).unwrap_or(usize::MAX);
        if at > content.len() {
            return;
        }
        let end = (at + bytes.len()).max(content.len());
        content.resize(end, 0);
        content[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// Writes what the journal holds up to a place into the files, and syncs them; returns how many.
///
/// All of it is written: what a file seems to hold already may be in memory only, where a sync failed.
pub(crate) fn replay(folder: &Folder, end: u64) -> Result<usize> {
    let content = fs::read(folder.path_of(JOURNAL))
        .map_err(|error| unavailable("the journal cannot be read", error))?;
    let content = &content[..content.len().min(usize::try_from(end).unwrap_or(usize::MAX))];
    let mut files: BTreeMap<&str, Vec<Record<'_>>> = BTreeMap::new();
    for record in records(folder, content)? {
        files.entry(record.name).or_default().push(record);
    }
    let mut count = 0;
    for (name, records) in &files {
        count += usize::from(write(folder, name, records)?);
    }
    Ok(count)
}

/// The records of the journal's epoch, in their order.
fn records<'c>(folder: &Folder, content: &'c [u8]) -> Result<Vec<Record<'c>>> {
    let epoch = epoch(folder, content)?;
    let mut at = HEAD as usize;
    let mut records = Vec::new();
    while let Some(found) = Record::read(content.get(at..).unwrap_or_default(), epoch) {
        if !is_conversation(found.record.name) {
            return Err(not_ours(folder));
        }
        records.push(found.record);
        at += found.length;
    }
    if has_later(content.get(at..).unwrap_or_default(), epoch, at as u64) {
        return Err(damaged(folder, at));
    }
    Ok(records)
}

fn epoch(folder: &Folder, content: &[u8]) -> Result<u64> {
    let Some(rest) = content.strip_prefix(HEADING) else {
        return Err(if content.starts_with(FORMAT) { newer(folder) } else { not_ours(folder) });
    };
    let epoch = rest.first_chunk().map(|number| u64::from_le_bytes(*number));
    epoch.filter(|epoch| content.starts_with(&head(*epoch))).ok_or_else(|| damaged(folder, 0))
}

/// Writes records into their file; `false` if it is not there any more, or another one under its name.
fn write(folder: &Folder, name: &str, records: &[Record<'_>]) -> Result<bool> {
    let Some(incarnation) = incarnation(folder, name)? else { return Ok(false) };
    let mut records = records.iter().filter(|record| record.incarnation == incarnation).peekable();
    if records.peek().is_none() {
        return Ok(false);
    }
    let error = |error| {
        let what = format!("what the journal has for {name} cannot be written");
        unavailable(&what, error)
    };
    let file = folder.open_to_write(name).map_err(error)?;
    for record in records {
        if file.metadata().map_err(error)?.len() < record.at {
            return Err(error(io::ErrorKind::UnexpectedEof.into()));
        }
        write_all_at(&file, record.at, record.bytes).map_err(error)?;
    }
    file.sync_data().map_err(error)?;
    Ok(true)
}

/// Which file stands under a name, by its first line.
fn incarnation(folder: &Folder, name: &str) -> Result<Option<Uuid>> {
    let file = match fs::File::open(folder.path_of(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(&format!("{name} cannot be opened"), error)),
    };
    let mut first = Vec::new();
    BufReader::new(file)
        .read_until(b'\n', &mut first)
        .map_err(|error| unavailable(&format!("{name} cannot be read"), error))?;
    first.pop_if(|last| *last == b'\n');
    let line = Line::read(&first).map_err(|error| {
        let detail = format!("{name} is damaged in line 1, at byte 0; restore it, or remove it");
        Error::corrupt(detail).with_source(error)
    })?;
    Ok(Some(line.incarnation.unwrap_or_default()))
}

fn damaged(folder: &Folder, at: usize) -> Error {
    let path = folder.path_of(JOURNAL);
    Error::corrupt(format!(
        "{} is damaged at byte {at}; restore it, or remove it to go on with what the other files hold",
        path.display()
    ))
}

fn not_ours(folder: &Folder) -> Error {
    let path = folder.path_of(JOURNAL);
    Error::corrupt(format!("{} is not this library's; move it out of the folder", path.display()))
}

fn newer(folder: &Folder) -> Error {
    let path = folder.path_of(JOURNAL);
    let detail =
        format!("{} is of a newer version; use a newer version of the library", path.display());
    Error::new(ErrorKind::Unsupported, detail)
}
