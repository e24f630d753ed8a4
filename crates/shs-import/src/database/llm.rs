//! The `logs.db` of `llm` since 0.32: threads are chains of messages that share their beginnings.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use shs_store::{NewMessage, Part, Role, Timestamp};
use shs_wire::{Draft, modality, str_at};

use super::{Cells, Database, Done, PAGE};
use crate::Format;
use crate::conversation::{Conversation, Said};
use crate::read::hand_on;
use crate::tree::Branches;

const FORMAT: Format = Format::Llm;

pub(super) fn is_one(database: &Database<'_>) -> bool {
    database.has("threads", &["id", "name", "tip_message_hash", "forked_from"])
        && database.has("messages", &["hash", "parent_hash", "role"])
        && database.has("parts", &["message_hash", "position", "type", "text", "payload"])
        && database.has("turns", &["id", "thread_id", "tip_message_hash", "model"])
}

/// Reads thread by thread; turns that a thread went away from are branches of it. Returns the threads' ids.
pub(super) fn read(database: &mut Database<'_>) -> Done<HashSet<String>> {
    let mut known = HashSet::new();
    if !is_one(database) {
        return Ok(known);
    }
    let mut after = 0;
    loop {
        let page = "SELECT rowid, id, name, tip_message_hash, forked_from, datetime_utc FROM threads \
                    WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
        let rows = database.rows(page, &[], &[after, PAGE])?;
        let Some(last) = rows.last() else { return Ok(known) };
        let Some(next) = database.behind(&after, last.number(0), "threads")? else {
            return Ok(known);
        };
        after = next;
        for row in rows {
            let id = row.text(1).unwrap_or_default();
            let read = thread(database, &id, &row);
            database.one(|| format!("threads, id {id}"), read)?;
            known.insert(id);
        }
    }
}

fn thread(database: &mut Database<'_>, id: &str, row: &Cells) -> Done {
    let turns = turns(database, id)?;
    let chain = match row.text(3) {
        Some(tip) => chain(database, &tip)?,
        None => Vec::new(),
    };
    let mut trunk = Conversation::new(FORMAT, id);
    trunk.set_title(row.text(2).as_deref());
    let times = turns.iter().filter_map(|turn| turn.at);
    trunk.set_times(row.time(5).or_else(|| times.clone().min()), times.max());
    let messages = said(database, &chain, &turns)?;
    // A fork shares messages with the thread that it was forked from.
    let mut conversation = match row.text(4) {
        Some(source) => {
            let tip = database.rows(
                "SELECT tip_message_hash FROM threads WHERE id = ?1",
                &[&source],
                &[],
            )?;
            let of_source = match tip.first().and_then(|row| row.text(0)) {
                Some(tip) => self::chain(database, &tip)?,
                None => Vec::new(),
            };
            let shared =
                chain.iter().zip(&of_source).take_while(|(one, other)| one == other).count();
            trunk.forked(&source, shared);
            trunk
        }
        None => trunk,
    };
    messages.into_iter().for_each(|said| conversation.say(said));
    let place = database.place.at(format!("threads, id {id}"), None);
    hand_on(conversation.clone().finish(), FORMAT, place, database.sink)?;

    let mut branches = Branches::new(database.sink.limits());
    for (number, turn) in turns.iter().enumerate() {
        let Some(tip) = turn.tip.as_ref().filter(|tip| !chain.contains(tip)) else { continue };
        let is_passed = turns.iter().any(|other| other.parent.as_ref() == Some(tip));
        if is_passed {
            // A later turn goes on from here, and has all of it.
            continue;
        }
        let way = self::chain(database, tip)?;
        let shared = chain.iter().zip(&way).take_while(|(one, other)| one == other).count();
        let own = said(database, &way[shared..], &turns)?;
        let bytes = own.iter().fold(conversation.bytes(), |sum, said| sum + said.bytes());
        if !branches.take(way.len(), conversation.head_bytes() + bytes) {
            let what = branches.too_many(turns.len() - number);
            return database.failed(format!("threads, id {id}"), what);
        }
        let branch = conversation.branch(&turn.id, shared, own);
        let place = database.place.at(format!("turns, id {}", turn.id), None);
        hand_on(branch.finish(), FORMAT, place, database.sink)?;
    }
    Ok(())
}

/// A call of a model.
struct Turn {
    id: String,
    parent: Option<String>,
    tip: Option<String>,
    model: Option<String>,
    tokens: Option<u32>,
    duration: Option<f64>,
    at: Option<Timestamp>,
    fields: Map<String, Value>,
}

fn turns(database: &mut Database<'_>, thread: &str) -> Done<Vec<Turn>> {
    let sql = "SELECT id, parent_message_hash, tip_message_hash, coalesce(resolved_model, model), output_tokens, \
               duration_ms, datetime_utc, model, options_json, input_tokens, token_details \
               FROM turns WHERE thread_id = ?1 ORDER BY id";
    let rows = database.rows(sql, &[thread], &[])?;
    let turn = |row: &Cells| {
        let fields = [
            ("turn", row.text(0).map(Value::from)),
            ("model", row.text(7).map(Value::from)),
            ("options", row.json(8)),
            ("input_tokens", row.number(9).map(Value::from)),
            ("token_details", row.json(10)),
        ];
        Turn {
            id: row.text(0).unwrap_or_default(),
            parent: row.text(1),
            tip: row.text(2),
            model: row.text(3),
            tokens: row.number(4).and_then(|tokens| u32::try_from(tokens).ok()),
            duration: row.real(5),
            at: row.time(6),
            fields: fields.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect(),
        }
    };
    Ok(rows.iter().map(turn).collect())
}

/// The hashes of the messages up to one, from the first.
fn chain(database: &mut Database<'_>, tip: &str) -> Done<Vec<String>> {
    let sql = "WITH RECURSIVE chain(hash, depth) AS (SELECT ?1, 0 UNION ALL \
               SELECT m.parent_hash, depth + 1 FROM chain JOIN messages m ON m.hash = chain.hash \
               WHERE m.parent_hash IS NOT NULL AND depth < 100000) \
               SELECT hash FROM chain ORDER BY depth DESC";
    let rows = database.rows(sql, &[tip], &[])?;
    Ok(rows.iter().filter_map(|row| row.text(0)).collect())
}

/// The text of a thread's answers, to see what it holds already.
pub(super) fn answers(database: &mut Database<'_>, thread: &str) -> Done<HashSet<String>> {
    let tip =
        database.rows("SELECT tip_message_hash FROM threads WHERE id = ?1", &[thread], &[])?;
    let Some(tip) = tip.first().and_then(|row| row.text(0)) else { return Ok(HashSet::new()) };
    let chain = chain(database, &tip)?;
    let said = said(database, &chain, &[])?;
    let answers = said.into_iter().map(|said| said.message).filter(|m| m.role == Role::Assistant);
    Ok(answers.map(|message| message.content).collect())
}

fn said(database: &mut Database<'_>, chain: &[String], turns: &[Turn]) -> Done<Vec<Said>> {
    // A turn's time is that of its answer and, as nobody knows better, of what it was asked.
    let mut times: HashMap<&str, Timestamp> = HashMap::new();
    for turn in turns {
        for hash in [&turn.parent, &turn.tip].into_iter().flatten() {
            if let Some(at) = turn.at {
                times.entry(hash).or_insert(at);
            }
        }
    }
    let mut read = Vec::with_capacity(chain.len());
    let mut bytes = 0;
    for hash in chain {
        let row = "SELECT role, provider_metadata FROM messages WHERE hash = ?1";
        let rows = database.rows(row, &[hash], &[])?;
        let Some(row) = rows.first() else {
            database.failed(format!("messages, hash {hash}"), "this message is missing")?;
            continue;
        };
        let mut new = message(database, hash, &row.text(0).unwrap_or_default())?;
        let mut fields = Map::new();
        if let Some(metadata) = row.json(1) {
            fields.insert("provider_metadata".to_owned(), metadata);
        }
        let turn = turns.iter().find(|turn| turn.tip.as_ref() == Some(hash));
        if let Some(turn) = turn {
            new.model.clone_from(&turn.model);
            new.tokens = turn.tokens;
            new.latency_ms = turn.duration.filter(|ms| *ms >= 0.0);
            fields.extend(turn.fields.clone());
        }
        let at = times.get(hash.as_str()).copied();
        let said = Said::new(new).with_id(Some(hash)).with_time(at).with_fields(FORMAT, fields);
        // A damaged file may lead to the same message again and again.
        bytes = said.bytes().saturating_add(bytes);
        database.told().check(bytes)?;
        read.push(said);
    }
    Ok(read)
}

fn message(database: &mut Database<'_>, hash: &str, role: &str) -> Done<NewMessage> {
    let parts = "SELECT type, text, payload FROM parts WHERE message_hash = ?1 ORDER BY position";
    let mut draft = Draft::default();
    for row in database.rows(parts, &[hash], &[])? {
        let payload = row.json(2).unwrap_or_default();
        let text = match row.text(1) {
            Some(text) => text,
            None => borrowed(database, &payload)?,
        };
        let kind = row.text(0).unwrap_or_default();
        match kind.as_str() {
            "text" => draft.text(&text),
            "reasoning" => draft.reasoning(&text),
            "tool_call" => {
                let arguments = payload.get("arguments").cloned().unwrap_or_default();
                let name = str_at(&payload, "/name").unwrap_or_default();
                draft.tool_call(str_at(&payload, "/tool_call_id"), name, arguments);
            }
            "tool_result" => {
                let output = payload.get("output").cloned().unwrap_or_default();
                draft.tool_response(str_at(&payload, "/tool_call_id"), &output);
            }
            "attachment" => {
                let id = str_at(&payload, "/attachment/id").unwrap_or_default().to_owned();
                attachment(database, &mut draft, &id)?;
            }
            _ => {
                let mut other = payload.as_object().cloned().unwrap_or_default();
                other.insert("type".to_owned(), kind.into());
                draft.other(&Value::Object(other));
            }
        }
    }
    Ok(draft.message(role.parse().unwrap_or(Role::User)))
}

/// A text that borrows from fragments.
fn borrowed(database: &mut Database<'_>, payload: &Value) -> Done<String> {
    if let Some(text) = str_at(payload, "/text") {
        return Ok(text.to_owned());
    }
    let mut text = String::new();
    let pieces = payload.get("text_ref").and_then(Value::as_array);
    for piece in pieces.into_iter().flatten() {
        if let Some(literal) = str_at(piece, "/literal") {
            text.push_str(literal);
        } else if let Some(fragment) = piece.get("fragment").and_then(Value::as_i64) {
            let rows =
                database.rows("SELECT content FROM fragments WHERE id = ?1", &[], &[fragment])?;
            text.push_str(&rows.first().and_then(|row| row.text(0)).unwrap_or_default());
        }
    }
    Ok(text)
}

/// An attachment: its bytes, its address, or the name of a file that stayed where it was.
pub(super) fn attachment(database: &mut Database<'_>, draft: &mut Draft, id: &str) -> Done {
    let sql = "SELECT type, path, url, content FROM attachments WHERE id = ?1";
    let rows = database.rows(sql, &[id], &[])?;
    let Some(row) = rows.first() else {
        return database.failed(format!("attachments, id {id}"), "this attachment is missing");
    };
    let mime_type = row.text(0);
    let modality = modality(mime_type.as_deref());
    let part = match (row.bytes(3), row.text(2), row.text(1)) {
        (Some(bytes), ..) if !bytes.is_empty() => Part::blob(modality, base64(&bytes), mime_type),
        (_, Some(url), _) => Part::uri(modality, url),
        (_, _, path) => Part::file(modality, path.unwrap_or_else(|| id.to_owned())),
    };
    draft.part(part, None);
    Ok(())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
