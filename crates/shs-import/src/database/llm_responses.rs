//! The `logs.db` of `llm` before 0.32: a row for each response.

use std::collections::HashSet;

use serde_json::{Map, Value};
use shs_store::{NewMessage, Role, Timestamp};
use shs_wire::{Draft, arguments};

use super::{Cells, Database, Done, PAGE, llm};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::read::hand_on;

const FORMAT: Format = Format::Llm;

pub(super) fn is_one(database: &Database<'_>) -> bool {
    database.has("conversations", &["id", "name"])
        && database
            .has("responses", &["id", "model", "prompt", "system", "response", "conversation_id"])
}

/// Reads conversation by conversation, and responses without one as conversations of their own. What is in a thread of the
/// same id is there already; `threads` are their ids.
pub(super) fn read(database: &mut Database<'_>, threads: &HashSet<String>) -> Done {
    if !is_one(database) {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let page = "SELECT DISTINCT coalesce(conversation_id, id) AS whole FROM responses \
                    WHERE coalesce(conversation_id, id) > ?1 ORDER BY whole LIMIT ?2";
        let ids = database.rows(page, &[&after], &[PAGE])?;
        let ids: Vec<String> = ids.iter().filter_map(|row| row.text(0)).collect();
        let Some(last) = ids.last() else { return Ok(()) };
        let next = database.behind(&after, Some(last.clone()), "responses")?;
        let Some(next) = next else { return Ok(()) };
        after = next;
        for id in &ids {
            let read = conversation(database, id, threads);
            database.one(|| format!("responses of the conversation {id}"), read)?;
        }
    }
}

fn conversation(database: &mut Database<'_>, id: &str, threads: &HashSet<String>) -> Done {
    let column = |name| database.column("responses", name);
    let not_in_turns = match database.has("turns", &["id"]) {
        true => "AND id NOT IN (SELECT id FROM turns)",
        false => "",
    };
    let sql = format!(
        "SELECT id, prompt, system, response, model, duration_ms, datetime_utc, options_json, {}, {}, {}, {} \
         FROM responses WHERE coalesce(conversation_id, id) = ?1 {not_in_turns} ORDER BY id",
        column("input_tokens"),
        column("output_tokens"),
        column("reasoning"),
        column("resolved_model"),
    );
    let rows = database.rows(&sql, &[id], &[])?;
    let mut name = id.to_owned();
    if threads.contains(id) {
        let there = llm::answers(database, id)?;
        let is_there = |row: &Cells| there.contains(&row.text(3).unwrap_or_default());
        if rows.iter().all(is_there) {
            return Ok(());
        }
        // A thread of the same id holds other messages: this is another conversation.
        name = format!("{id}/responses");
    }
    if rows.is_empty() {
        return Ok(());
    }
    let mut conversation = Conversation::new(FORMAT, &name);
    let titles = database.rows("SELECT name FROM conversations WHERE id = ?1", &[id], &[])?;
    conversation.set_title(titles.first().and_then(|row| row.text(0)).as_deref());
    let mut system: Option<String> = None;
    for row in &rows {
        response(database, row, &mut system, &mut conversation)?;
        database.told().check(conversation.bytes())?;
    }
    let place = database.place.at(format!("responses of the conversation {id}"), None);
    Ok(hand_on(conversation.finish(), FORMAT, place, database.sink)?)
}

fn response(
    database: &mut Database<'_>,
    row: &Cells,
    system: &mut Option<String>,
    conversation: &mut Conversation,
) -> Done {
    let id = row.text(0).unwrap_or_default();
    let at = row.time(6);
    let mut say = |part: &str, message: NewMessage, fields: Map<String, Value>| {
        let name = format!("{id}-{part}");
        let said = Said::new(message).with_id(Some(&name)).with_time(at);
        conversation.say(said.with_fields(FORMAT, fields));
    };
    let own = fragments(database, "system_fragments", &id)?;
    let told: Vec<String> =
        own.into_iter().chain(row.text(2).filter(|text| !text.is_empty())).collect();
    let told = told.join("\n\n");
    // The same instructions come with each response.
    if !told.is_empty() && system.as_ref() != Some(&told) {
        say("system", NewMessage::system(&told), Map::new());
        *system = Some(told);
    }
    for result in results(database, &id)? {
        say(&format!("result-{}", result.0), result.1, Map::new());
    }
    let mut prompt = Draft::default();
    for fragment in fragments(database, "prompt_fragments", &id)? {
        prompt.text(&fragment);
    }
    if let Some(text) = row.text(1).filter(|text| !text.is_empty()) {
        prompt.text(&text);
    }
    if database.has("prompt_attachments", &["response_id", "attachment_id"]) {
        let sql = "SELECT attachment_id FROM prompt_attachments WHERE response_id = ?1 ORDER BY \"order\"";
        for row in database.rows(sql, &[&id], &[])? {
            llm::attachment(database, &mut prompt, &row.text(0).unwrap_or_default())?;
        }
    }
    if !prompt.is_empty() {
        say("prompt", prompt.message(Role::User), Map::new());
    }
    let (answer, fields) = answer(database, row, &id, at)?;
    say("response", answer, fields);
    Ok(())
}

fn answer(
    database: &mut Database<'_>,
    row: &Cells,
    id: &str,
    at: Option<Timestamp>,
) -> Done<(NewMessage, Map<String, Value>)> {
    let mut draft = Draft::default();
    if let Some(reasoning) = row.text(10).filter(|text| !text.is_empty()) {
        draft.reasoning(&reasoning);
    }
    if let Some(text) = row.text(3).filter(|text| !text.is_empty()) {
        draft.text(&text);
    }
    if database.has("tool_calls", &["response_id", "name", "arguments", "tool_call_id"]) {
        let sql = "SELECT tool_call_id, name, arguments FROM tool_calls WHERE response_id = ?1 ORDER BY id";
        for row in database.rows(sql, &[id], &[])? {
            let given = arguments(&row.text(2).unwrap_or_default());
            draft.tool_call(row.text(0).as_deref(), &row.text(1).unwrap_or_default(), given);
        }
    }
    let mut new = draft.message(Role::Assistant);
    new.model = row.text(11).or_else(|| row.text(4));
    new.tokens = row.number(9).and_then(|tokens| u32::try_from(tokens).ok());
    new.latency_ms = row.real(5).filter(|ms| *ms >= 0.0);
    if let Some(at) = at {
        new.timestamp = at;
    }
    let fields = [
        ("response", Some(Value::from(id))),
        ("model", row.text(4).map(Value::from)),
        ("options", row.json(7)),
        ("input_tokens", row.number(8).map(Value::from)),
    ];
    Ok((new, fields.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect()))
}

/// The texts that were given beside the prompt or the system prompt.
fn fragments(database: &mut Database<'_>, table: &str, id: &str) -> Done<Vec<String>> {
    if !database.has(table, &["response_id", "fragment_id", "order"]) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT f.content FROM {table} p JOIN fragments f ON f.id = p.fragment_id \
         WHERE p.response_id = ?1 ORDER BY p.\"order\""
    );
    Ok(database.rows(&sql, &[id], &[])?.iter().filter_map(|row| row.text(0)).collect())
}

/// What tools answered, which was given with the prompt.
fn results(database: &mut Database<'_>, id: &str) -> Done<Vec<(i64, NewMessage)>> {
    if !database.has("tool_results", &["response_id", "output", "tool_call_id"]) {
        return Ok(Vec::new());
    }
    let sql =
        "SELECT id, tool_call_id, output FROM tool_results WHERE response_id = ?1 ORDER BY id";
    let rows = database.rows(sql, &[id], &[])?;
    let message = |row: &Cells| {
        let mut draft = Draft::default();
        let output = row.text(2).map_or(Value::Null, Value::from);
        draft.tool_response(row.text(1).as_deref(), &output);
        (row.number(0).unwrap_or_default(), draft.message(Role::Tool))
    };
    Ok(rows.iter().map(message).collect())
}
