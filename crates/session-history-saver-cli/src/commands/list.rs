//! `shs list`.

use session_history_saver::{Cursor, SessionTracker};

use crate::arguments::List;
use crate::failure::Result;
use crate::find;
use crate::output::Output;
use crate::when;

pub(super) async fn run(history: &SessionTracker, list: List, output: &mut Output) -> Result<()> {
    let mut query = find::query(&list.filter).with_limit(list.limit);
    if let Some(after) = list.after {
        query = query.with_after(Cursor::new(after));
    }
    let page = history.list(query).await?;
    if output.is_json() {
        page.items.iter().try_for_each(|session| output.json(session))?;
    } else {
        let rows = page.items.iter().map(|session| {
            vec![
                session.id.to_string(),
                session.title.clone().unwrap_or_default(),
                session.user_id.clone().unwrap_or_default(),
                session.project_id.clone().unwrap_or_default(),
                session.message_count.to_string(),
                session.total_tokens.to_string(),
                when::local(session.updated_at),
            ]
        });
        let header = ["id", "title", "user", "project", "messages", "tokens", "updated"];
        output.table(&header, rows.collect())?;
    }
    if let Some(next) = page.next {
        output.hint(format!("there are more: --after {}", next.as_str()));
    }
    Ok(())
}
