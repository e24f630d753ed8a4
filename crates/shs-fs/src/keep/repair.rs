//! Putting right what can be read, and putting aside what cannot.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use shs_files::{create_new, take_after};
use shs_store::clock::new_uuid;
use shs_store::keeping::{Finding, Repaired};
use shs_store::{
    ErrorKind, NewSession, Result, Session, SessionId, SessionKey, TenantId, Timestamp,
};

use super::publish::{copy_beside, free_name};
use super::salvage::{BadLine, Kept, Salvaged, salvage};
use super::verify::check;
use crate::arrivals::{self, ARRIVALS, HIGHEST};
use crate::conversation::{Conversation, WholeFile};
use crate::folder::{BEFORE_REPAIR, Folder, MARKER, QUARANTINE, unavailable};
use crate::journal::{self, JOURNAL};
use crate::name::{file_name, key_of, split, tenant_of};
use crate::open::finish_deletion;
use crate::work::INTENT;
use crate::{blocking, context};

/// Puts right what [`verify`](super::verify()) finds and can be put right; a healthy folder is left as it is.
///
/// A conversation's file that is damaged is written anew with all that can be read of it; torn ends are cut off. It is copied to
/// `NAME.before-repair` first, and the lines that cannot be read are moved, as they are, into `NAME.quarantine`, an object of JSON
/// for each, where what is no text stands as hexadecimal digits. A session whose own line is lost is made anew under its id, and one whose id is lost,
/// too, as `recovered-…`. A journal, a list or a note that is damaged gets another name; so does a file with the name of a
/// conversation of which nothing can be read. Numbers of arrival that are in two files are given anew in one.
///
/// # Errors
/// [`Unavailable`](ErrorKind::Unavailable) if the folder is open anywhere else, or cannot be written; it can be repeated then. Else as
/// [`verify`](super::verify()).
///
/// # Cancel safety
/// Once begun it is done whether the future is dropped or not.
///
/// # Panics
/// Outside a tokio runtime.
pub async fn repair(folder: impl AsRef<Path>) -> Result<Repaired> {
    let folder = folder.as_ref().to_owned();
    blocking(move || mend(&folder)).await.map_err(|error| context(error, "repair"))
}

fn mend(path: &Path) -> Result<Repaired> {
    let folder = Folder::locked(path)?;
    let findings = check(&folder)?.findings;
    let mut repaired = Repaired::default();
    if findings.iter().all(|finding| !finding.repairable) {
        repaired.remaining = findings;
        return Ok(repaired);
    }
    let names: HashSet<&str> =
        findings.iter().filter(|f| f.repairable).filter_map(|f| f.file.as_deref()).collect();
    for name in [INTENT, ARRIVALS] {
        if names.contains(name) {
            set_aside(&folder, name, &mut repaired)?;
        }
    }
    if names.contains(MARKER) {
        let kept = copy_beside(&folder.path_of(MARKER), BEFORE_REPAIR)
            .map_err(|error| unavailable("the format file cannot be copied", error))?;
        repaired.kept.push(kept);
        folder.write_format()?;
    }
    match journal::recover(&folder) {
        // Itself, or a file that it has something for.
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            set_aside(&folder, JOURNAL, &mut repaired)?;
        }
        recovered => recovered?,
    }
    finish_deletion(&folder)?;
    folder.remove_staged()?;
    let mut last = last_arrival(&folder)?;
    for name in folder.names()? {
        if names.contains(name.as_str()) {
            mend_file(&folder, &name, &mut last, &mut repaired)?;
        }
    }
    give_anew(&folder, &mut last, &mut repaired)?;
    if names.contains(ARRIVALS) {
        arrivals::write(&folder, last)
            .map_err(|error| unavailable(&format!("{ARRIVALS} cannot be written"), error))?;
    }
    folder.sync_names_now().map_err(|error| unavailable("the folder cannot be synced", error))?;
    repaired.remaining = check(&folder)?.findings;
    let is_left = |finding: &Finding| repaired.remaining.contains(finding);
    repaired.fixed = findings.into_iter().filter(|finding| !is_left(finding)).collect();
    Ok(repaired)
}

/// Gives a file another name.
fn set_aside(folder: &Folder, name: &str, repaired: &mut Repaired) -> Result<()> {
    let path = folder.path_of(name);
    let aside = free_name(&path, BEFORE_REPAIR);
    folder
        .rename(&path, &aside)
        .map_err(|error| unavailable(&format!("{name} cannot be renamed"), error))?;
    repaired.kept.push(aside);
    Ok(())
}

/// The highest number of arrival in the folder, as far as it can be read.
fn last_arrival(folder: &Folder) -> Result<i64> {
    let mut last = arrivals::read(folder).unwrap_or(0);
    for name in folder.names()? {
        let salvaged = salvage(&read(folder, &name)?);
        let numbers = salvaged.messages.iter().filter_map(|kept| kept.arrival);
        last = numbers.filter(|number| *number <= HIGHEST).fold(last, i64::max);
    }
    Ok(last)
}

fn read(folder: &Folder, name: &str) -> Result<Vec<u8>> {
    fs::read(folder.path_of(name))
        .map_err(|error| unavailable(&format!("{name} cannot be read"), error))
}

/// Writes a file anew with what can be read of it.
fn mend_file(folder: &Folder, name: &str, last: &mut i64, repaired: &mut Repaired) -> Result<()> {
    let bytes = read(folder, name)?;
    let Salvaged { session, messages, bad, .. } = torn_or_damaged(name, &bytes);
    if session.is_none() && messages.is_empty() {
        return set_aside(folder, name, repaired);
    }
    let session = session.unwrap_or_else(|| made_anew(name, &messages));
    let target = name_beside(name, &session);
    let name = if folder.is_one_file(&target, name) { target.as_str() } else { name };
    if target != name && folder.path_of(&target).exists() {
        // The conversation is there under its own name.
        return set_aside(folder, name, repaired);
    }
    let kept = copy_beside(&folder.path_of(name), BEFORE_REPAIR)
        .map_err(|error| unavailable(&format!("{name} cannot be copied"), error))?;
    repaired.kept.push(kept);
    put_aside(folder, name, &bad, repaired)?;
    let numbers: Vec<Option<i64>> = messages.iter().map(|kept| kept.arrival).collect();
    let is_rising = numbers.iter().all(|n| n.is_some_and(|n| (1..=HIGHEST).contains(&n)))
        && numbers.windows(2).all(|pair| pair[0] < pair[1]);
    publish(folder, &target, &session, messages, if is_rising { None } else { Some(last) })?;
    if target != name {
        folder
            .remove(name)
            .map_err(|error| unavailable(&format!("{name} cannot be removed"), error))?;
    }
    Ok(())
}

/// The name of the file of a session, of the tenant in whose folder another file is.
fn name_beside(name: &str, session: &Session) -> String {
    let tenant: TenantId = tenant_of(split(name).0).unwrap_or_default();
    file_name(&SessionKey { tenant, id: session.id.clone() })
}

/// What is read of a file, in the way that opening does where that can read it: it knows which end was never acknowledged.
fn torn_or_damaged(name: &str, bytes: &[u8]) -> Salvaged {
    match Conversation::read_from(name, bytes) {
        Ok(conversation) => {
            let length = usize::try_from(conversation.length).unwrap_or(usize::MAX);
            salvage(&bytes[..bytes.len().min(length)])
        }
        Err(_) => salvage(bytes),
    }
}

/// Writes a conversation's file, with its numbers of arrival or with new ones.
fn publish(
    folder: &Folder,
    name: &str,
    session: &Session,
    messages: Vec<Kept>,
    anew: Option<&mut i64>,
) -> Result<()> {
    let failed = |error| unavailable("a conversation cannot be written", error);
    let mut next = anew;
    let mut file = WholeFile::begin(folder.stage(name).map_err(failed)?, session, messages.len())?;
    for Kept { message, digest, arrival } in messages {
        let arrival = match &mut next {
            Some(last) => {
                **last += 1;
                **last
            }
            None => arrival.unwrap_or_default(),
        };
        file.add(&message, arrival, digest)?;
    }
    folder.put(file.into_staged()).map_err(failed)
}

/// A session in the place of one whose own line is lost: under the id that the file's name is of, if that says it all.
fn made_anew(name: &str, messages: &[Kept]) -> Session {
    let recovered = || {
        let id = format!("recovered-{}", new_uuid());
        SessionId::new(id).expect("it is short and plain")
    };
    let first = messages.iter().map(|kept| kept.message.timestamp).min();
    let id = key_of(name).map(|key| key.id);
    let new = NewSession::with_id(id.unwrap_or_else(recovered));
    let mut session = new
        .into_session(first.unwrap_or_else(Timestamp::now))
        .expect("a session with nothing but an id is within the limits");
    if let Some(last) = messages.last() {
        session.last_seq = last.message.seq;
    }
    let latest = messages.iter().map(|kept| kept.message.timestamp).max();
    session.updated_at = latest.unwrap_or(session.updated_at);
    session
}

/// Writes the lines that cannot be used into a file of their own, for good.
fn put_aside(folder: &Folder, name: &str, bad: &[BadLine], repaired: &mut Repaired) -> Result<()> {
    if bad.is_empty() {
        return Ok(());
    }
    let path = free_name(&folder.path_of(name), QUARANTINE);
    let write = || -> io::Result<()> {
        let mut file = create_new(&path)?;
        take_after(&path, &fs::metadata(folder.path_of(name))?)?;
        for line in bad {
            writeln!(file, "{}", line.to_json(name))?;
        }
        file.sync_all()
    };
    write().map_err(|error| unavailable("the quarantine cannot be written", error))?;
    repaired.quarantined += bad.len() as u64;
    repaired.quarantine.push(path);
    Ok(())
}

/// Gives the messages of a file new numbers of arrival where another file has theirs.
fn give_anew(folder: &Folder, last: &mut i64, repaired: &mut Repaired) -> Result<()> {
    let mut taken = HashSet::new();
    for name in folder.names()? {
        let salvaged = salvage(&read(folder, &name)?);
        let numbers: Vec<i64> = salvaged.messages.iter().filter_map(|kept| kept.arrival).collect();
        if numbers.iter().any(|number| taken.contains(number))
            && let Some(session) = salvaged.session
        {
            let kept = copy_beside(&folder.path_of(&name), BEFORE_REPAIR)
                .map_err(|error| unavailable(&format!("{name} cannot be copied"), error))?;
            repaired.kept.push(kept);
            let target = name_beside(&name, &session);
            publish(folder, &target, &session, salvaged.messages, Some(last))?;
        } else {
            taken.extend(numbers);
        }
    }
    Ok(())
}
