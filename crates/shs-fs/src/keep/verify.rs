//! Whether everything that the store promises holds for what is in the folder.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use shs_store::keeping::Finding;
use shs_store::{Error, ErrorKind, Result, SessionKey};

use super::salvage::salvage;
use crate::arrivals::{self, ARRIVALS};
use crate::conversation::Conversation;
use crate::entries::{Original, Place};
use crate::folder::{Folder, MARKER, unavailable};
use crate::journal::{self, JOURNAL, Waiting};
use crate::line::{Change, Line};
use crate::name::{file_name, is_conversation};
use crate::work::INTENT;
use crate::{blocking, context, python};

/// Checks a folder, and returns what is not as it should be; nothing for a healthy one.
///
/// Nothing is changed. A folder that a process has open can be checked, too: what is being written is passed over then. One
/// that nobody has open is kept from being opened meanwhile. What a process left in the journal when it ended, and a deletion
/// that it began, are no findings: the next opening finishes them. What is checked:
///
/// - each line of each conversation's file has its checksum, its place and its order, and all of its content can be read and is within
///   the limits; numbers rise, ids are there once
/// - torn ends, drafts that were left behind, files with the name of a conversation that are none,
///   and folders that are no tenant's
/// - no number of arrival is in two files, and no conversation
/// - the journal, the note of the numbers that were given, the list of a deletion and the format file
/// - files of the Python package that wait to be migrated
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no folder with a store in it; [`Unsupported`](ErrorKind::Unsupported) if a newer version
/// wrote it; [`Unavailable`](ErrorKind::Unavailable) if it cannot be read.
///
/// # Cancel safety
/// It only reads.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn verify(folder: impl AsRef<Path>) -> Result<Vec<Finding>> {
    let folder = folder.as_ref().to_owned();
    let look = move || check(&Folder::look_at(&folder)?).map(|checked| checked.findings);
    blocking(look).await.map_err(|error| context(error, "verify"))
}

/// What a check came to.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    pub(super) sessions: u64,
    pub(super) messages: u64,
}

pub(super) fn check(folder: &Folder) -> Result<Checked> {
    let mut checked = Checked::default();
    let found = &mut checked.findings;
    let what = "it is not this library's format file";
    note(folder.check_written_format(), Finding::repairable(what).in_file(MARKER), found)?;
    note(
        arrivals::read(folder).map(|_| ()),
        Finding::repairable("it is damaged").in_file(ARRIVALS),
        found,
    )?;
    for name in folder.odd_folders()? {
        let what = "it is no tenant's folder; what is in it is not read";
        found.push(Finding::lasting(what).in_file(name));
    }
    for name in folder.odd_names()? {
        let what = "it has the name of a conversation and is no file";
        found.push(Finding::lasting(what).in_file(name));
    }
    let mut waiting = HashMap::new();
    if !folder.is_in_use() {
        let damaged = Finding::repairable("it is damaged").in_file(JOURNAL);
        match journal::waiting(folder) {
            Ok(records) => waiting = records,
            Err(error) => note(Err(error), damaged, found)?,
        }
        check_intent(folder, found)?;
        for name in folder.staged()? {
            let what = "a draft that was left behind";
            found.push(Finding::repairable(what).in_file(name));
        }
    }
    for path in folder.with_extension("json")? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let what = "it is not a session of the Python package; move it out of the folder";
        note(python::read(&path).map(|_| ()), Finding::lasting(what).in_file(name), found)?;
    }
    let names = folder.names()?;
    // Of each message, its number and the place of its file among the names.
    let mut arrivals: Vec<(i64, usize)> = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let records = waiting.remove(name).unwrap_or_default();
        let Some(bytes) = read(folder, name, &records)? else { continue };
        let mut looked = look_at(folder, name, &bytes);
        if folder.is_in_use() && !looked.findings.is_empty() {
            // A write that was just taken back looks like damage.
            let Some(bytes) = read(folder, name, &records)? else { continue };
            looked = look_at(folder, name, &bytes);
        }
        checked.findings.append(&mut looked.findings);
        if let Some(conversation) = looked.conversation {
            checked.sessions += 1;
            checked.messages += conversation.entries.len() as u64;
            let numbers = conversation.entries.iter().map(|entry| entry.arrival);
            arrivals.extend(numbers.map(|number| (number, at)));
        }
    }
    arrivals.sort_unstable();
    let mut twice: Vec<&str> = arrivals
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .map(|pair| names[pair[1].1].as_str())
        .collect();
    twice.dedup();
    for name in twice {
        let what = "numbers of arrival that are in another file, too; it comes from another folder";
        checked.findings.push(Finding::repairable(what).in_file(name));
    }
    Ok(checked)
}

/// Adds a finding where a check says that something is damaged.
fn note(checked: Result<()>, finding: Finding, found: &mut Vec<Finding>) -> Result<()> {
    match checked {
        Err(error) if error.kind() == ErrorKind::Corrupt => found.push(finding),
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    Ok(())
}

fn check_intent(folder: &Folder, found: &mut Vec<Finding>) -> Result<()> {
    let list = match std::fs::read(folder.path_of(INTENT)) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(&format!("{INTENT} cannot be read"), error)),
    };
    let names: Option<Vec<String>> = serde_json::from_slice(&list).ok();
    if names.is_none_or(|names| !names.iter().all(|name| is_conversation(name))) {
        found.push(Finding::repairable("it is damaged").in_file(INTENT));
    }
    Ok(())
}

/// A file's bytes, with what waits for it in the journal; `None` if it is gone.
pub(super) fn read(folder: &Folder, name: &str, waiting: &[Waiting]) -> Result<Option<Vec<u8>>> {
    match std::fs::read(folder.path_of(name)) {
        Ok(mut bytes) => {
            journal::apply(waiting, &mut bytes);
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unavailable(&format!("{name} cannot be read"), error)),
    }
}

/// What was found in a file.
struct Looked {
    conversation: Option<Conversation>,
    findings: Vec<Finding>,
}

fn look_at(folder: &Folder, name: &str, bytes: &[u8]) -> Looked {
    let conversation = match Conversation::read_from(name, bytes) {
        Ok(conversation) => conversation,
        Err(error) => {
            let findings = damages(name, bytes, &error);
            return Looked { conversation: None, findings };
        }
    };
    let mut findings = Vec::new();
    let id = &conversation.session.id;
    let own = file_name(&SessionKey { tenant: conversation.tenant.clone(), id: id.clone() });
    if own != name && !folder.is_one_file(&own, name) {
        let what = format!("it holds the session that belongs into {own}");
        findings.push(Finding::repairable(what).in_file(name).of_session(id));
    }
    let length = usize::try_from(conversation.length).unwrap_or(usize::MAX);
    if !folder.is_in_use() && conversation.lacks_end {
        let finding = Finding::repairable("the last line break is missing");
        findings.push(finding.in_file(name).at_byte(bytes.len() as u64));
    } else if !folder.is_in_use() && length < bytes.len() {
        let finding = Finding::repairable("a torn end, which was never acknowledged");
        findings.push(finding.in_file(name).at_byte(conversation.length));
    }
    for entry in conversation.entries.iter() {
        let added = match &entry.original {
            Original::AsAdded(place) => Some(**place),
            Original::AsItIs | Original::Known(_) => None,
        };
        for place in added.into_iter().chain([entry.place]) {
            if let Err(why) = check_message(bytes, place, entry.head.id.as_str()) {
                let line = bytes[..place.at as usize].iter().filter(|b| **b == b'\n').count();
                let finding = Finding::repairable(why).in_file(name);
                let finding = finding.at_line(line as u64 + 1, place.at);
                findings.push(finding.of_session(id).of_message(&entry.head.id));
            }
        }
    }
    Looked { conversation: Some(conversation), findings }
}

/// What is wrong with the content of a message, which opening does not look at.
fn check_message(bytes: &[u8], place: Place, id: &str) -> Result<(), String> {
    let why = |error: Error| error.detail().to_owned();
    let start = usize::try_from(place.at).unwrap_or(usize::MAX);
    let line = bytes.get(start..start + place.length()).ok_or("the line is not there")?;
    let line: Line<'_> = Line::read(line).map_err(why)?;
    match line.change {
        Change::Message(message) | Change::Update(message) if message.id.as_str() == id => {
            message.validate().map_err(why)
        }
        _ => Err("the line is of another message".to_owned()),
    }
}

/// The lines for which a file cannot be read.
fn damages(name: &str, bytes: &[u8], error: &Error) -> Vec<Finding> {
    let salvaged = salvage(bytes);
    let finding = |what: String| {
        let finding = Finding::repairable(what).in_file(name);
        match &salvaged.session {
            Some(session) => finding.of_session(&session.id),
            None => finding,
        }
    };
    let mut findings: Vec<Finding> =
        salvaged.bad.iter().map(|bad| finding(bad.why.clone()).at_line(bad.line, bad.at)).collect();
    if findings.is_empty() {
        // Each line can be read, but not in this order.
        findings.push(finding(error.detail().to_owned()));
    }
    findings
}
