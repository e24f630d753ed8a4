//! `shs show`.

use futures::TryStreamExt;
use session_history_saver::export::Format;
use session_history_saver::limits::MAX_PAGE;
use session_history_saver::{Message, MessageQuery, Seq, Session, SessionTracker, StoreExt};

use crate::arguments::{Show, Shown};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::{find, when};

pub(super) async fn run(history: &SessionTracker, show: Show, output: &mut Output) -> Result<()> {
    let session = find::session(history, &show.id, output.named()).await?;
    if show.format == Shown::Md && !output.is_json() {
        if show.from.is_some() || show.last.is_some() {
            let what = "--format md shows the whole conversation; leave out --from and --last";
            return Err(Failure::Usage(what.to_owned()));
        }
        let text = history.export(Format::Markdown).session(&session.id).to_string().await?;
        let text = text.trim_end();
        return Ok(output.line(text)?);
    }
    let last = match show.last {
        Some(last) => {
            Some(history.store().last_messages(history.scope(), &session.id, last).await?)
        }
        None => None,
    };
    let is_json = output.is_json() || show.format == Shown::Json;
    if is_json {
        output.json(&session)?;
    } else {
        head(&session, output)?;
    }
    let mut print = |message: &Message| -> Result<()> {
        let printed = if is_json { output.json(message) } else { said(message, output) };
        Ok(printed?)
    };
    if let Some(last) = last {
        return last.iter().try_for_each(print);
    }
    let mut query = MessageQuery::new().with_limit(MAX_PAGE);
    if let Some(from) = show.from {
        query = query.with_after_seq(Seq::new(from.saturating_sub(1))?);
    }
    let mut messages = history.store().message_stream(history.scope(), &session.id, query);
    while let Some(message) = messages.try_next().await? {
        print(&message)?;
    }
    Ok(())
}

fn head(session: &Session, output: &mut Output) -> Result<()> {
    let title = session.title.as_deref().unwrap_or(session.id.as_str());
    let title = output.bold(&output.one_line(title));
    output.line(&title)?;
    let mut facts = vec![session.id.to_string()];
    facts.extend(session.user_id.as_ref().map(|user| format!("user {user}")));
    facts.extend(session.project_id.as_ref().map(|project| format!("project {project}")));
    facts.extend((!session.tags.is_empty()).then(|| format!("tags {}", session.tags.join(", "))));
    facts.push(format!("{} messages", session.message_count));
    facts.push(format!("{} tokens", session.total_tokens));
    facts.push(format!("updated {}", when::local(session.updated_at)));
    facts.extend(
        session
            .forked_from
            .as_ref()
            .map(|from| format!("fork of {} at {}", from.session_id, from.seq)),
    );
    let facts = output.dim(&output.one_line(&facts.join(" · ")));
    Ok(output.line(&facts)?)
}

/// A message for people.
pub(super) fn said(message: &Message, output: &mut Output) -> std::io::Result<()> {
    let mut facts = vec![format!("#{}", message.seq), when::local(message.timestamp)];
    facts.extend(message.model.clone());
    facts.extend(
        (message.status != session_history_saver::Status::Delivered)
            .then(|| message.status.to_string()),
    );
    let role = output.bold(message.role.as_str());
    let facts = output.dim(&output.one_line(&facts.join(" · ")));
    output.line(&format!("\n{role}  {facts}"))?;
    if !message.content.is_empty() {
        let content = output.lines(&message.content);
        output.line(&content)?;
    }
    // The texts among the parts are the content.
    let parts = message.parts.iter().filter(|part| part.kind() != "text");
    for part in parts {
        let part = output.dim(&output.one_line(&serde_json::to_string(part)?));
        output.line(&part)?;
    }
    Ok(())
}
