//! ChatGPT's export: a conversation is a tree of messages.

mod message;

use std::collections::HashMap;

use serde_json::Value;
use shs_store::Role;
use shs_wire::str_at;

use self::message::said;
use super::{Emit, Stop};
use crate::conversation::{Conversation, Said, time_at};
use crate::origin::without;
use crate::tree::Tree;
use crate::{Format, Limits};

const FORMAT: Format = Format::ChatGpt;

/// Reads a conversation: the thread that is shown, and the others as branches of it.
pub(super) fn read(mut value: Value, limits: &Limits, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let mapping = value.get_mut("mapping").map(Value::take);
    let value = &value;
    let object = value.as_object().ok_or("this is not an object with a mapping")?;
    let Some(Value::Object(mapping)) = mapping else {
        return Err("\"mapping\" is missing or no object".into());
    };
    for (id, node) in &mapping {
        if let Some(message) = node.get("message").filter(|message| !message.is_null()) {
            message::check(message).map_err(|sign| {
                let id: String = id.chars().take(60).collect();
                Stop::Other(format!("the message of {id:?} {sign}"))
            })?;
        }
    }
    let id = str_at(value, "/conversation_id").or_else(|| str_at(value, "/id"));
    let id = id.ok_or("the conversation has no id")?;
    let mut trunk = Conversation::new(FORMAT, id);
    trunk.set_title(str_at(value, "/title"));
    trunk.set_times(time_at(value, "create_time"), time_at(value, "update_time"));
    trunk.keep_unread_times(value, &["create_time", "update_time"]);
    trunk.keep(without(
        object,
        &[
            "mapping",
            "id",
            "conversation_id",
            "title",
            "create_time",
            "update_time",
            "current_node",
        ],
    ));

    let model = str_at(value, "/default_model_slug").filter(|model| *model != "auto");

    // A node's JSON is gone when its message is there: in memory is one of the two.
    let mut messages: HashMap<String, Said> = HashMap::with_capacity(mapping.len());
    let mut parents: Vec<(String, Option<String>)> = Vec::with_capacity(mapping.len());
    for (id, node) in mapping {
        let parent = str_at(&node, "/parent").map(str::to_owned);
        if let Some(mut said) = node.get("message").and_then(|message| said(&id, message)) {
            // What names no model of its own comes from the conversation's.
            if said.message.role == Role::Assistant && said.message.model.is_none() {
                said.message.model = model.map(str::to_owned);
            }
            messages.insert(id.clone(), said);
        }
        parents.push((id, parent));
    }
    let tree = Tree::new(parents.iter().map(|(id, parent)| (id.as_str(), parent.as_deref())));
    let messages =
        parents.iter().filter_map(|(id, _)| Some((id.as_str(), messages.remove(id)?))).collect();
    tree.tell(trunk, str_at(value, "/current_node"), messages, limits, emit)
}
