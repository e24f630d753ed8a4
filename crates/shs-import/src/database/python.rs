//! The Python package's database.

use serde_json::{Map, Value, json};

use super::{Cells, Database, Done, PAGE};
use crate::Format;
use crate::read::transcripts::SessionText;

pub(super) fn is_one(database: &Database<'_>) -> bool {
    database.has("sessions", &["session_id", "tags", "metadata", "created_at"])
        && database.has("messages", &["message_id", "session_id", "sort_order"])
}

/// Reads session by session. Counts that are wrong are counted anew; numbers that repeat are told apart by their rows.
pub(super) fn read(database: &mut Database<'_>) -> Done {
    let mut after = 0;
    loop {
        let page = "SELECT rowid, session_id, user_id, project_id, title, tags, metadata, created_at, updated_at \
                    FROM sessions WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        let rows = database.rows(page, &[], &[after, PAGE])?;
        let Some(last) = rows.last() else { return Ok(()) };
        let Some(next) = database.behind(&after, last.number(0), "sessions")? else {
            return Ok(());
        };
        after = next;
        for row in rows {
            let id = row.text(1).unwrap_or_default();
            let path = format!("sessions, row {}", row.number(0).unwrap_or_default());
            let mut session = Map::new();
            for (column, key) in (1..).zip(["session_id", "user_id", "project_id", "title"]) {
                session.insert(key.to_owned(), row.text(column).into());
            }
            session.insert("tags".to_owned(), row.json(5).unwrap_or_else(|| json!([])));
            session.insert("metadata".to_owned(), row.json(6).unwrap_or_else(|| json!({})));
            session.insert("created_at".to_owned(), row.text(7).into());
            session.insert("updated_at".to_owned(), row.text(8).into());
            let messages = "SELECT message_id, role, content, timestamp, metadata, status, tokens, model, latency_ms \
                            FROM messages WHERE session_id = ?1 ORDER BY sort_order, rowid";
            let mut told = SessionText::default();
            let read = database.each(messages, &id, |row| {
                told.say(&message(&row));
                Ok(())
            });
            let is_whole = read.is_ok();
            database.one(|| path.clone(), read)?;
            if is_whole {
                let (format, place) = (Format::PythonDatabase, database.place.at(path, None));
                told.read(&session, format, place, database.sink)?;
            }
        }
    }
}

fn message(row: &Cells) -> Value {
    json!({
        "message_id": row.text(0), "role": row.text(1), "content": row.text(2), "timestamp": row.text(3),
        "metadata": row.json(4).unwrap_or_else(|| json!({})), "status": row.text(5), "tokens": row.number(6), "model": row.text(7),
        "latency_ms": row.real(8),
    })
}
