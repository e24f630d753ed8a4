//! LangChain's `SQLChatMessageHistory`.

use serde_json::Value;
use shs_store::{Role, Status, Timestamp};
use shs_wire::{Draft, str_at};

use super::{Database, Done, PAGE};
use crate::Format;
use crate::conversation::{Conversation, Said, time};
use crate::origin::without;
use crate::read::hand_on;

const FORMAT: Format = Format::LangChain;

/// The table; its name can be chosen.
pub(super) fn table(database: &Database<'_>) -> Option<String> {
    let is_one = |name: &String| database.has(name, &["id", "session_id", "message"]);
    if is_one(&"message_store".to_owned()) {
        return Some("message_store".to_owned());
    }
    let mut tables: Vec<&String> = database.tables.keys().filter(|name| is_one(name)).collect();
    tables.sort();
    tables.first().map(|name| (*name).clone())
}

/// Reads session by session. The table has no times: what has none anywhere is of 1970, and that is told.
pub(super) fn read(database: &mut Database<'_>) -> Done {
    let Some(table) = table(database) else { return Ok(()) };
    let quoted = format!("\"{}\"", table.replace('"', "\"\""));
    let created = database.column(&table, "created_at");
    let mut after: Option<String> = None;
    let mut has_told = false;
    loop {
        let next = match &after {
            None => {
                format!("SELECT DISTINCT session_id FROM {quoted} ORDER BY session_id LIMIT ?1")
            }
            Some(_) => format!(
                "SELECT DISTINCT session_id FROM {quoted} WHERE session_id > ?1 ORDER BY session_id LIMIT ?2"
            ),
        };
        let texts: Vec<&str> = after.as_deref().into_iter().collect();
        let ids = database.rows(&next, &texts, &[PAGE])?;
        let ids: Vec<String> = ids.iter().filter_map(|row| row.text(0)).collect();
        let Some(last) = ids.last() else { return Ok(()) };
        let next = database.behind(&after, Some(Some(last.clone())), &table)?;
        let Some(next) = next else { return Ok(()) };
        after = next;
        for id in ids {
            let read = session(database, (&table, &quoted, &created), &id, &mut has_told);
            database.one(|| format!("{table}, session {}", short(&id)), read)?;
        }
    }
}

fn session(
    database: &mut Database<'_>,
    (table, quoted, created): (&str, &str, &str),
    id: &str,
    has_told: &mut bool,
) -> Done {
    let rows =
        format!("SELECT id, message, {created} FROM {quoted} WHERE session_id = ?1 ORDER BY id");
    let mut conversation = Conversation::new(FORMAT, id);
    let mut has_times = false;
    let told = database.told();
    database.each(&rows, id, |row| {
        let number = row.number(0).unwrap_or_default();
        match row.json(1) {
            Some(message @ Value::Object(_)) => {
                let said = said(number, row.time(2), &message);
                has_times |= said.at.is_some();
                conversation.say(said);
                told.check(conversation.bytes())
            }
            _ => told.failed(format!("{table}, row {number}"), "this message is not JSON"),
        }
    })?;
    if !has_times && !*has_told {
        *has_told = true;
        let what =
            "the messages have no times: 1970-01-01 stands for them, and the rows' order is kept";
        database.sink.note(database.place.at(table.to_owned(), None), what)?;
    }
    let place = database.place.at(format!("{table}, session {}", short(id)), None);
    Ok(hand_on(conversation.finish(), FORMAT, place, database.sink)?)
}

fn short(id: &str) -> String {
    id.chars().take(60).collect()
}

/// A message `{"type", "data": {…}}`.
fn said(number: i64, at: Option<Timestamp>, message: &Value) -> Said {
    let kind = str_at(message, "/type").unwrap_or_default();
    let data = message.get("data").unwrap_or(&Value::Null);
    let role = match kind {
        "human" | "HumanMessageChunk" => Role::User,
        "ai" | "AIMessageChunk" => Role::Assistant,
        "system" | "SystemMessageChunk" => Role::System,
        "tool" | "function" | "ToolMessageChunk" | "FunctionMessageChunk" => Role::Tool,
        _ => str_at(data, "/role").map_or(Role::User, shs_wire::role),
    };
    let mut draft = Draft::default();
    let content = data.get("content").unwrap_or(&Value::Null);
    if role == Role::Tool {
        let id = str_at(data, "/tool_call_id").or_else(|| str_at(data, "/name"));
        draft.tool_response(id, content);
    } else {
        match content {
            Value::String(text) if !text.is_empty() => draft.text(text),
            Value::Array(blocks) => blocks.iter().for_each(|block| self::block(&mut draft, block)),
            _ => {}
        }
    }
    let list = |key: &str| data.get(key).and_then(Value::as_array).into_iter().flatten();
    for call in list("tool_calls").chain(list("invalid_tool_calls")) {
        let arguments = match call.get("args") {
            Some(Value::String(text)) => shs_wire::arguments(text),
            other => other.cloned().unwrap_or_default(),
        };
        draft.tool_call(str_at(call, "/id"), str_at(call, "/name").unwrap_or_default(), arguments);
    }
    let mut new = draft.message(role);
    let models = ["/response_metadata/model_name", "/response_metadata/model"];
    new.model = models.iter().find_map(|key| str_at(data, key)).map(str::to_owned);
    let tokens = data.pointer("/usage_metadata/output_tokens").and_then(Value::as_u64);
    new.tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
    if str_at(data, "/status") == Some("error") {
        new.status = Status::Error;
    }
    let mut taken = vec!["content", "tool_calls", "invalid_tool_calls", "tool_call_id", "id"];
    taken.push("type");
    let mut fields = data.as_object().map(|data| without(data, &taken)).unwrap_or_default();
    fields.retain(|_, value| !is_nothing(value));
    fields.insert("type".to_owned(), kind.into());
    let id = str_at(data, "/id").map_or_else(|| format!("row-{number}"), str::to_owned);
    let created = data.pointer("/response_metadata/created_at").and_then(time);
    Said::new(new).with_id(Some(&id)).with_time(at.or(created)).with_fields(FORMAT, fields)
}

fn block(draft: &mut Draft, block: &Value) {
    let text = |pointer| str_at(block, pointer);
    match (block, text("/type")) {
        (Value::String(text), _) => draft.text(text),
        // They stand in `tool_calls` too.
        (_, Some("tool_use" | "tool_call" | "function_call")) => {}
        (_, Some("image_url")) => match text("/image_url/url").or_else(|| text("/image_url")) {
            Some(url) => draft.uri("image", url),
            None => draft.other(block),
        },
        (_, Some("reasoning")) if text("/reasoning").is_some() => {
            draft.reasoning(text("/reasoning").unwrap_or_default());
        }
        _ => shs_wire::anthropic::block(draft, block),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
