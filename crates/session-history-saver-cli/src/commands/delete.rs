//! `shs delete`.

use futures::TryStreamExt;
use serde_json::json;
use session_history_saver::{Location, Session, SessionOrder, SessionTracker, StoreExt, keeping};

use crate::arguments::{Delete, Filter};
use crate::ask::confirm;
use crate::failure::{Failure, Result};
use crate::find::{self, Named};
use crate::output::Output;

pub(super) async fn run(
    history: &SessionTracker,
    location: &Location,
    arguments: Delete,
    output: &mut Output,
) -> Result<()> {
    if !arguments.erase {
        delete(history, &arguments, output).await?;
    }
    // Erasing opens the store by itself.
    history.close().await?;
    let erased = keeping::erase(location).await?;
    if output.is_json() {
        output.json(&json!({ "erased": location.to_string(), "copies": erased.copies }))?;
        return Ok(());
    }
    if arguments.erase {
        output.line(&format!("nothing of what was deleted remains in {location}"))?;
    }
    for copy in &erased.copies {
        output.line(&format!(
            "{} was left as it is, and may hold what was deleted; remove it if it should not",
            copy.display()
        ))?;
    }
    Ok(())
}

async fn delete(history: &SessionTracker, arguments: &Delete, output: &mut Output) -> Result<()> {
    let sessions = chosen(history, arguments).await?;
    if sessions.is_empty() {
        return Err(Failure::NotFound("no conversation is to be deleted".to_owned()));
    }
    let messages: u64 = sessions.iter().map(|session| session.message_count).sum();
    let what = format!("to be deleted: conversations {}, messages {messages}", sessions.len());
    confirm(&named(&sessions), &what, arguments.yes)?;
    let (mut deleted, mut gone) = (0_u64, 0_u64);
    for session in sessions {
        if !history.delete(&session.id).await? {
            // Somebody else was faster.
            continue;
        }
        deleted += 1;
        gone += session.message_count;
        if output.is_json() {
            output.json(&json!({ "deleted": session.id, "messages": session.message_count }))?;
        } else {
            output.line(&format!("deleted {} ({} messages)", session.id, session.message_count))?;
        }
    }
    if !output.is_json() {
        output.line(&format!("gone: conversations {deleted}, messages {gone}"))?;
    }
    Ok(())
}

/// Most conversations that a question names.
const MOST_NAMED: usize = 20;

/// What is to be deleted, a line for each.
fn named(sessions: &[Session]) -> Vec<String> {
    let line = |session: &Session| {
        let mut facts = vec![session.id.to_string()];
        facts.extend(session.title.as_ref().map(|title| format!("{title:?}")));
        facts.push(format!("{} messages", session.message_count));
        facts.extend(session.user_id.as_ref().map(|user| format!("user {user}")));
        facts.join(" · ")
    };
    let mut lines: Vec<String> = sessions.iter().take(MOST_NAMED).map(line).collect();
    if sessions.len() > MOST_NAMED {
        lines.push(format!("and {} more", sessions.len() - MOST_NAMED));
    }
    lines
}

async fn chosen(history: &SessionTracker, arguments: &Delete) -> Result<Vec<Session>> {
    if !arguments.ids.is_empty() {
        let mut sessions: Vec<Session> = Vec::new();
        for id in &arguments.ids {
            let session = find::session(history, id, Named::Whole).await?;
            if !sessions.iter().any(|there| there.id == session.id) {
                sessions.push(session);
            }
        }
        return Ok(sessions);
    }
    let filter =
        Filter { user: arguments.user.clone(), until: arguments.older_than, ..Filter::default() };
    // What is not written to meanwhile does not move.
    let query = find::query(&filter).with_order(SessionOrder::Updated);
    Ok(history.store().session_stream(history.scope(), query).try_collect().await?)
}
