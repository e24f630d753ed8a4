//! ChatGPT's export: a conversation is a tree of messages.

mod message;

use std::collections::HashMap;

use serde_json::Value;
use shs_wire::str_at;

use self::message::said;
use super::{Emit, Stop};
use crate::Format;
use crate::conversation::{Conversation, time_at};
use crate::origin::without;
use crate::tree::Tree;

const FORMAT: Format = Format::ChatGpt;

/// Reads a conversation: the thread that is shown, and the others as branches of it.
pub(super) fn read(value: &Value, emit: &mut Emit<'_>) -> Result<(), Stop> {
    let object = value.as_object().ok_or("this is not an object with a mapping")?;
    let mapping = value.get("mapping").and_then(Value::as_object);
    let mapping = mapping.ok_or("\"mapping\" is missing or no object")?;
    let id = str_at(value, "/conversation_id").or_else(|| str_at(value, "/id"));
    let id = id.ok_or("the conversation has no id")?;
    let mut trunk = Conversation::new(FORMAT, id);
    trunk.set_title(str_at(value, "/title"));
    trunk.set_times(time_at(value, "create_time"), time_at(value, "update_time"));
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

    let parent = |node| str_at(node, "/parent");
    let tree = Tree::new(mapping.iter().map(|(id, node)| (id.as_str(), parent(node))));
    let messages = mapping
        .iter()
        .filter_map(|(id, node)| Some((id.as_str(), said(id, node.get("message")?)?)));
    tree.tell(trunk, str_at(value, "/current_node"), &messages.collect::<HashMap<_, _>>(), emit)
}
