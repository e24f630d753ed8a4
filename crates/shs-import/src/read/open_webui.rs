//! Open WebUI's export.

use serde_json::{Map, Value, json};
use shs_store::{Part, Role, Status};
use shs_wire::{Draft, role, str_at};

use super::{Emit, Stop, form};
use crate::conversation::{Conversation, Said, time_at};
use crate::origin::without;
use crate::tree::Tree;
use crate::{Format, Limits};

const FORMAT: Format = Format::OpenWebUi;

/// The id of a chat, if it has one.
pub(super) fn id(value: &Value) -> Option<&str> {
    let ids = ["/id", "/chat/id"].into_iter().filter_map(|key| str_at(value, key));
    ids.into_iter().find(|id| !id.is_empty())
}

/// Reads a chat under this id: the thread that is shown, and the others as branches of it. Some
/// exports have what is under `chat` alone.
pub(super) fn read(
    value: &Value,
    id: &str,
    limits: &Limits,
    emit: &mut Emit<'_>,
) -> Result<(), Stop> {
    let bare;
    let value = match value.get("chat") {
        Some(_) => value,
        None => {
            bare = json!({ "chat": value });
            &bare
        }
    };
    let object = value.as_object().ok_or("this is not an object with a chat")?;
    let chat = value.get("chat").and_then(Value::as_object).ok_or("\"chat\" is no object")?;
    let mut trunk = Conversation::new(FORMAT, id);
    trunk.set_title(str_at(value, "/title").or_else(|| str_at(value, "/chat/title")));
    let begun = time_at(value, "created_at").or_else(|| time_at(&value["chat"], "timestamp"));
    trunk.set_times(begun, time_at(value, "updated_at"));
    let tags = value.pointer("/meta/tags").or_else(|| value.pointer("/chat/tags"));
    let tags = tags.and_then(Value::as_array).into_iter().flatten();
    let tags = tags.filter_map(|tag| tag.as_str().or_else(|| str_at(tag, "/name")));
    trunk.set_tags(tags.map(str::to_owned).collect());
    trunk.keep_unread_times(value, &["created_at", "updated_at"]);
    trunk.keep(without(object, &["id", "title", "chat", "created_at", "updated_at"]));
    let kept = without(chat, &["id", "title", "history", "messages"]);
    if !kept.is_empty() {
        trunk.keep(Map::from_iter([("chat".to_owned(), Value::Object(kept))]));
    }

    let Some(messages) = value.pointer("/chat/history/messages").and_then(Value::as_object) else {
        // Exports from before there were branches have a list.
        let list = value.pointer("/chat/messages").and_then(Value::as_array);
        form::each(list.into_iter().flatten(), check)?;
        for message in list.into_iter().flatten() {
            trunk.say(said(str_at(message, "/id"), message));
        }
        return emit(trunk);
    };
    form::each(messages.values(), check)?;
    let parent = |message| str_at(message, "/parentId");
    let tree = Tree::new(messages.iter().map(|(id, message)| (id.as_str(), parent(message))));
    let said = messages.iter().map(|(id, message)| (id.as_str(), said(Some(id), message)));
    let current = str_at(value, "/chat/history/currentId");
    tree.tell(trunk, current, said.collect(), limits, emit)
}

/// Whether a message is one of this form.
fn check(message: &Value) -> Result<(), String> {
    form::speaker(message, "/role")?;
    form::one_of(message, &["content", "output", "error", "files"])?;
    form::text_or_blocks(message, "content")
}

fn said(id: Option<&str>, message: &Value) -> Said {
    let name = str_at(message, "/role").unwrap_or_default();
    let by = role(name);
    let mut draft = Draft::default();
    match message.get("content") {
        Some(Value::String(text)) => draft.text(text),
        Some(Value::Array(blocks)) => {
            for block in blocks {
                match (
                    str_at(block, "/type"),
                    str_at(block, "/text"),
                    str_at(block, "/image_url/url"),
                ) {
                    (Some("text"), Some(text), _) => draft.text(text),
                    (Some("image_url"), _, Some(url)) => draft.uri("image", url),
                    _ => draft.other(block),
                }
            }
        }
        _ => {}
    }
    for file in message.get("files").and_then(Value::as_array).into_iter().flatten() {
        let kind = match str_at(file, "/type") {
            Some("image") => "image",
            _ => "document",
        };
        match (str_at(file, "/url"), str_at(file, "/id").or_else(|| str_at(file, "/name"))) {
            (Some(url), _) if kind == "image" => draft.uri(kind, url),
            (_, Some(id)) => {
                let text = str_at(file, "/file/data/content").map(str::to_owned);
                let mut part = Part::file(kind, id).as_object().clone();
                if let Some(object) = file.as_object() {
                    part.extend(without(object, &["type", "modality", "file_id", "id"]));
                }
                draft.part(Part::from_object(part).expect("a file has a type"), text);
            }
            _ => draft.other(file),
        }
    }
    let mut new = draft.message(by);
    if by == Role::Assistant {
        new.model = str_at(message, "/model").map(str::to_owned);
        let usage = message.get("usage").or_else(|| message.pointer("/info/usage"));
        let tokens = ["/output_tokens", "/completion_tokens", "/eval_count"];
        new.tokens = tokens
            .iter()
            .find_map(|key| usage?.pointer(key)?.as_u64())
            .and_then(|tokens| u32::try_from(tokens).ok());
        if message
            .get("error")
            .is_some_and(|error| !matches!(error, Value::Null | Value::Bool(false)))
        {
            new.status = Status::Error;
        } else if message.get("done") == Some(&Value::Bool(false)) {
            new.status = Status::Interrupted;
        }
    }
    let mut taken = vec!["id", "parentId", "childrenIds", "content", "timestamp", "files"];
    if name.parse::<Role>().is_ok() {
        taken.push("role");
    }
    if new.model.is_some() {
        taken.push("model");
    }
    let fields = message.as_object().map(|object| without(object, &taken)).unwrap_or_default();
    Said::new(new)
        .with_id(id)
        .with_time(time_at(message, "timestamp"))
        .with_fields(FORMAT, fields)
        .with_role_named(name)
        .with_unread_times(FORMAT, message, &["timestamp"])
}
