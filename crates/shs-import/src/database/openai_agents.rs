//! The `SQLiteSession` of openai-agents.

use serde_json::Value;
use shs_store::{NewMessage, Role, Timestamp};
use shs_wire::{responses, str_at};

use super::{Cells, Database, Done, PAGE, Told};
use crate::Format;
use crate::bounded::bytes_of_map;
use crate::conversation::{Conversation, Said};
use crate::read::hand_on;

const FORMAT: Format = Format::OpenAiAgents;

const SESSIONS: [&str; 3] = ["session_id", "created_at", "updated_at"];
const MESSAGES: [&str; 3] = ["session_id", "message_data", "created_at"];

pub(super) fn is_one(database: &Database<'_>) -> bool {
    tables(database).is_some()
}

/// The tables of sessions and of messages; their names can be chosen.
fn tables(database: &Database<'_>) -> Option<(String, String)> {
    if database.has("agent_sessions", &SESSIONS) && database.has("agent_messages", &MESSAGES) {
        return Some(("agent_sessions".to_owned(), "agent_messages".to_owned()));
    }
    let named = |columns: &[&str], without: &str| {
        let mut names: Vec<&String> = database
            .tables
            .keys()
            .filter(|name| database.has(name, columns) && !database.has(name, &[without]))
            .collect();
        names.sort();
        names.first().map(|name| (*name).clone())
    };
    Some((named(&SESSIONS, "message_data")?, named(&MESSAGES, "updated_at")?))
}

/// Reads session by session; what one response gave, as reasoning, a text and calls, is one message again.
pub(super) fn read(database: &mut Database<'_>) -> Done {
    let Some((sessions, messages)) = tables(database) else { return Ok(()) };
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (quoted, of_session) = (quote(&sessions), quote(&messages));
    let mut after = 0;
    loop {
        let page = format!(
            "SELECT rowid, session_id, created_at, updated_at FROM {quoted} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"
        );
        let rows = database.rows(&page, &[], &[after, PAGE])?;
        let Some(last) = rows.last() else { return Ok(()) };
        let Some(next) = database.behind(&after, last.number(0), &sessions)? else { return Ok(()) };
        after = next;
        for row in rows {
            let place = format!("{sessions}, row {}", row.number(0).unwrap_or_default());
            let read = session(database, &row, (&messages, &of_session), &place);
            database.one(|| place, read)?;
        }
    }
}

fn session(
    database: &mut Database<'_>,
    row: &Cells,
    (messages, of_session): (&str, &str),
    place: &str,
) -> Done {
    let id = row.text(1).unwrap_or_default();
    let mut conversation = Conversation::new(FORMAT, &id);
    conversation.set_times(row.time(2), row.time(3));
    let all = format!(
        "SELECT id, message_data, created_at FROM {of_session} WHERE session_id = ?1 ORDER BY id"
    );
    let mut answer = Answer::default();
    let told = database.told();
    database.each(&all, &id, |row| {
        item(&row, &mut answer, &mut conversation, told, messages)?;
        told.check(conversation.bytes().saturating_add(answer.bytes))
    })?;
    answer.tell(&mut conversation);
    let place = database.place.at(place.to_owned(), None);
    Ok(hand_on(conversation.finish(), FORMAT, place, database.sink)?)
}

fn item(
    row: &Cells,
    answer: &mut Answer,
    conversation: &mut Conversation,
    told: Told<'_>,
    table: &str,
) -> Done {
    let number = row.number(0).unwrap_or_default();
    let item = match row.json(1) {
        Some(item @ Value::Object(_)) => item,
        _ => return told.failed(format!("{table}, row {number}"), "this item is not JSON"),
    };
    if str_at(&item, "/type") == Some("compaction") || item.get("__enc__").is_some() {
        let what = "this item is encrypted; it is kept as it is";
        told.sink.note(told.place.at(format!("{table}, row {number}"), None), what)?;
    }
    let is_answer = match (str_at(&item, "/type").unwrap_or("message"), str_at(&item, "/role")) {
        ("message", role) => role == Some("assistant"),
        (kind, _) => !kind.ends_with("_output"),
    };
    if !is_answer {
        answer.tell(conversation);
        let mut read = Vec::new();
        responses::messages(std::slice::from_ref(&item), &mut read);
        for message in read {
            let id = str_at(&item, "/id").map_or_else(|| format!("row-{number}"), str::to_owned);
            conversation.say(Said::new(message).with_id(Some(&id)).with_time(row.time(2)));
        }
        return Ok(());
    }
    if answer.items.is_empty() {
        let id = str_at(&item, "/id").filter(|id| !id.starts_with("__fake"));
        answer.id = Some(id.map_or_else(|| format!("row-{number}"), str::to_owned));
        answer.at = row.time(2);
    }
    answer.bytes += item.as_object().map_or(0, bytes_of_map);
    answer.items.push(item);
    Ok(())
}

/// The items of one answer.
#[derive(Default)]
struct Answer {
    items: Vec<Value>,
    /// What the items take in memory, roughly.
    bytes: usize,
    id: Option<String>,
    at: Option<Timestamp>,
}

impl Answer {
    fn tell(&mut self, conversation: &mut Conversation) {
        let Self { items, bytes: _, id, at } = std::mem::take(self);
        if items.is_empty() {
            return;
        }
        let mut read = Vec::new();
        responses::messages(&items, &mut read);
        // Reasoning that is encrypted alone has nothing to read, and is an answer all the same.
        if read.is_empty() {
            read.push(NewMessage::new(Role::Assistant, ""));
        }
        let encrypted: Vec<Value> = items
            .into_iter()
            .filter(|item| item.get("encrypted_content").is_some_and(|text| !text.is_null()))
            .collect();
        for message in read {
            let mut said = Said::new(message).with_id(id.as_deref()).with_time(at);
            if !encrypted.is_empty() {
                let kept = [("encrypted".to_owned(), encrypted.clone().into())];
                said = said.with_fields(FORMAT, kept.into_iter().collect());
            }
            conversation.say(said);
        }
    }
}
