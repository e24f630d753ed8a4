//! `shs tail`.

use std::collections::HashSet;
use std::time::Duration;

use session_history_saver::{Hit, MessageId, SearchQuery, SessionId, SessionTracker, Timestamp};

use super::show::said;
use crate::arguments::Tail;
use crate::failure::Result;
use crate::find;
use crate::output::Output;

/// How often the store is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Messages of a page.
const PAGE: u32 = 200;

pub(super) async fn run(history: &SessionTracker, tail: Tail, output: &mut Output) -> Result<()> {
    let mut query = SearchQuery::all().with_scope(find::query(&tail.filter).scope);
    query.since = tail.filter.since;
    query.until = tail.filter.until;
    if let Some(id) = &tail.id {
        query.session = Some(find::session(history, id, output.named()).await?.id);
    }
    let mut looked = Timestamp::now();
    let first = query.clone().with_limit(tail.lines.max(PAGE));
    let mut hits = history.search(first).await?.items;
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
        let began = Timestamp::now();
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
        looked = began;
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
