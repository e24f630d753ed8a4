//! `shs tail`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use session_history_saver::{
    Error, ErrorKind, Hit, Location, MessageId, SearchQuery, SessionId, TenantId, Timestamp,
};

use super::show::said;
use crate::arguments::Tail;
use crate::failure::{Failure, Result};
use crate::find;
use crate::output::Output;
use crate::place::{Access, Missing, files_in, open};

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Messages of a page.
const PAGE: u32 = 200;

pub(super) async fn run(
    location: &Location,
    tenant: Option<&TenantId>,
    tail: Tail,
    output: &mut Output,
) -> Result<()> {
    let mut query = SearchQuery::all().with_filter(find::query(&tail.filter).filter);
    query.since = tail.filter.since;
    query.until = tail.filter.until;
    let mut looked = Timestamp::now();
    let mut known = State::of(location);
    let history = open(location, Missing::Refused, Access::Read, tenant).await?.history;
    if let Some(id) = &tail.id {
        query.session = Some(find::session(&history, id, output.named()).await?.id);
    }
    let first = query.clone().with_limit(tail.lines.max(PAGE));
    let mut hits = history.search(first).await?.items;
    history.close().await?;
    let mut seen: HashSet<_> = hits.iter().map(key).collect();
    hits.truncate(tail.lines as usize);
    print(&hits, output)?;
    // One for all rounds, so that it is heard in the middle of one, too.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        if output.is_abandoned() {
            return Ok(());
        }
        // What changes after this is seen in the next round.
        let state = State::of(location);
        if state == known {
            continue;
        }
        let began = Timestamp::now();
        let new = match look(location, tenant, &query, &seen, looked).await {
            Ok(new) => new,
            // Who writes may have been in the middle of it.
            Err(Failure::Store(error)) if is_passing(&error) && State::of(location) != state => {
                continue;
            }
            Err(failure) => return Err(failure),
        };
        (looked, known) = (began, state);
        if !new.is_empty() {
            // Those shown before the last ones need not be known any more.
            if seen.len() > 10_000 {
                seen.clear();
            }
            seen.extend(new.iter().map(key));
        }
        print(&new, output)?;
    }
}

/// Whether an error may be of what was just being written.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unavailable | ErrorKind::NotFound)
}

/// What came since the last look, newest first.
async fn look(
    location: &Location,
    tenant: Option<&TenantId>,
    query: &SearchQuery,
    seen: &HashSet<(SessionId, MessageId)>,
    looked: Timestamp,
) -> Result<Vec<Hit>> {
    let history = open(location, Missing::Refused, Access::Read, tenant).await?.history;
    let mut new = Vec::new();
    let mut next = query.clone().with_limit(PAGE);
    // Newest first, until one that was shown; before the first one, everything is new.
    loop {
        let page = history.search(next.clone()).await?;
        let known = page.items.iter().position(|hit| seen.contains(&key(hit)));
        let has_reached = known.is_some();
        let until = known.unwrap_or(page.items.len());
        new.extend(page.items.into_iter().take(until));
        match page.next {
            Some(cursor) if !has_reached => next = next.with_after(cursor),
            _ if !has_reached && !seen.is_empty() => {
                // All that was known is deleted: what was said before the last look is not new.
                new.retain(|hit| hit.message.timestamp >= looked);
                break;
            }
            _ => break,
        }
    }
    history.close().await?;
    Ok(new)
}

/// The files of a store as they are seen from outside: something was written if they differ.
#[derive(Debug, PartialEq)]
struct State(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl State {
    fn of(location: &Location) -> Self {
        let paths: Vec<PathBuf> = match location {
            Location::Fs(folder) => files_in(folder),
            // Beside the database itself, also if a link leads to it.
            Location::Sqlite(database) => {
                let database = database.canonicalize().unwrap_or_else(|_| database.clone());
                let mut log = database.clone().into_os_string();
                log.push("-wal");
                vec![database, log.into()]
            }
            _ => Vec::new(),
        };
        let about = |path: PathBuf| {
            let about = path.metadata().ok()?;
            Some((path, about.len(), about.modified().ok()))
        };
        let mut files: Vec<_> = paths.into_iter().filter_map(about).collect();
        files.sort();
        Self(files)
    }
}

fn key(hit: &Hit) -> (SessionId, MessageId) {
    (hit.session.id.clone(), hit.message.id.clone())
}

/// Prints hits, which come newest first.
fn print(hits: &[Hit], output: &mut Output) -> Result<()> {
    for hit in hits.iter().rev() {
        if output.is_json() {
            output.json(&serde_json::json!({ "session": hit.session, "message": hit.message }))?;
        } else {
            let id = output.dim(&output.one_line(hit.session.id.as_str()));
            output.line(&format!("\n{id}"))?;
            said(&hit.message, output)?;
        }
    }
    Ok(output.flush()?)
}
