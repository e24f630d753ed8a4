//! Claude.ai's export.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;
use shs_store::Part;
use shs_wire::{Draft, anthropic, role, str_at};

use super::{Emit, Stop, form};
use crate::conversation::{Conversation, Said, time_at};
use crate::origin::without;
use crate::tree::Tree;
use crate::{Format, Limits};

const FORMAT: Format = Format::ClaudeAi;

/// Reads a conversation: the thread of its current or its newest leaf, and the others as branches of it.
pub(super) fn read(value: &Value, limits: &Limits, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with chat_messages")?;
    let id = str_at(value, "/uuid").ok_or("the conversation has no \"uuid\"")?;
    let messages = value.get("chat_messages").and_then(Value::as_array);
    let messages = messages.ok_or("\"chat_messages\" is missing or no array")?;
    form::each(messages, |message| {
        form::speaker(message, "/sender")?;
        form::one_of(message, &["text", "content"])?;
        form::text_or_blocks(message, "content")
    })?;
    let mut trunk = Conversation::new(FORMAT, id);
    trunk.set_title(str_at(value, "/name"));
    trunk.set_times(time_at(value, "created_at"), time_at(value, "updated_at"));
    trunk.keep_unread_times(value, &["created_at", "updated_at"]);
    trunk.keep(without(object, &["uuid", "name", "created_at", "updated_at", "chat_messages"]));

    // Exports from before there were branches name no parents: there, the order says who answers whom.
    let has_parents =
        messages.iter().any(|message| str_at(message, "/parent_message_uuid").is_some());
    let ids = ids(messages);
    let before = std::iter::once(None).chain(ids.iter().map(|id| Some(id.as_ref())));
    let nodes = ids.iter().zip(messages).zip(before).map(|((id, message), before)| {
        let parent = if has_parents { str_at(message, "/parent_message_uuid") } else { before };
        (id.as_ref(), parent)
    });
    let said: HashMap<&str, Said> =
        ids.iter().zip(messages).map(|(id, message)| (id.as_ref(), said(id, message))).collect();
    Tree::new(nodes).tell(trunk, str_at(value, "/current_leaf_message_uuid"), said, limits, emit)
}

/// An id for each message: its own, or its place where it has none, or one that another has.
fn ids(messages: &[Value]) -> Vec<Cow<'_, str>> {
    let own = |message| str_at(message, "/uuid");
    let mut taken = HashSet::new();
    let is_first: Vec<bool> =
        messages.iter().map(|message| own(message).is_some_and(|id| taken.insert(id))).collect();
    let id = |((message, is_first), number): ((_, _), usize)| {
        let id = own(message).filter(|_| is_first).map(Cow::Borrowed);
        id.unwrap_or_else(|| {
            let mut name = format!("m{number}");
            while taken.contains(name.as_str()) {
                name.push('-');
            }
            Cow::Owned(name)
        })
    };
    messages.iter().zip(is_first).zip(1..).map(id).collect()
}

fn said(id: &str, message: &Value) -> Said {
    let sender = str_at(message, "/sender").unwrap_or_default();
    let role = role(sender);
    let mut draft = Draft::default();
    let blocks = message.get("content").and_then(Value::as_array);
    let mut has_text = false;
    for block in blocks.into_iter().flatten() {
        has_text |= str_at(block, "/type") == Some("text");
        if str_at(block, "/type") == Some("tool_result") {
            draft.tool_response(str_at(block, "/tool_use_id"), &block["content"]);
        } else {
            anthropic::block(&mut draft, block);
        }
    }
    // The same text stands beside the blocks, and alone in older exports.
    if !has_text && let Some(text) = str_at(message, "/text").filter(|text| !text.is_empty()) {
        draft.text(text);
    }
    let list = |key: &str| message.get(key).and_then(Value::as_array).into_iter().flatten();
    for attachment in list("attachments") {
        // What was pasted is an attachment: it is what the person said.
        let text = str_at(attachment, "/extracted_content").unwrap_or_default();
        let mut part = Part::text(text).as_object().clone();
        if let Some(object) = attachment.as_object() {
            part.extend(without(object, &["extracted_content", "type", "content"]));
        }
        draft.part(Part::from_object(part).expect("a text has a type"), Some(text.to_owned()));
    }
    for file in list("files") {
        let name = str_at(file, "/file_uuid").or_else(|| str_at(file, "/file_name"));
        let mut part = Part::file("document", name.unwrap_or_default()).as_object().clone();
        if let Some(object) = file.as_object() {
            part.extend(without(object, &["type", "modality", "file_id"]));
        }
        draft.part(Part::from_object(part).expect("a file has a type"), None);
    }
    let mut taken =
        vec!["text", "content", "created_at", "attachments", "files", "parent_message_uuid"];
    if matches!(str_at(message, "/sender"), Some("human" | "assistant")) {
        taken.push("sender");
    }
    if str_at(message, "/uuid") == Some(id) {
        taken.push("uuid");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    Said::new(draft.message(role))
        .with_id(Some(id))
        .with_time(time_at(message, "created_at"))
        .with_fields(FORMAT, fields)
        .with_role_named(sender)
        .with_unread_times(FORMAT, message, &["created_at"])
}
