//! Whether what a value holds is what its form says: a key that many forms have says nothing by itself.

use serde_json::Value;

use super::Stop;

/// Checks each message of a list.
///
/// # Errors
/// The first sign that it is another form.
pub(super) fn each<'m>(
    messages: impl IntoIterator<Item = &'m Value>,
    check: impl Fn(&Value) -> Result<(), String>,
) -> Result<(), Stop> {
    for (message, number) in messages.into_iter().zip(1..) {
        check(message).map_err(|sign| Stop::Other(format!("message {number} {sign}")))?;
    }
    Ok(())
}

/// A name of who speaks, under a key.
///
/// # Errors
/// The sign that it is another form.
pub(super) fn speaker<'m>(message: &'m Value, pointer: &str) -> Result<&'m str, String> {
    let name = message.pointer(pointer).and_then(Value::as_str);
    name.ok_or_else(|| format!("has no {:?} that is a text", pointer.trim_start_matches('/')))
}

/// That something under a key, if it is there, is a text or a list of blocks.
///
/// # Errors
/// The sign that it is another form.
pub(super) fn text_or_blocks(message: &Value, key: &str) -> Result<(), String> {
    match message.get(key) {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) if blocks.iter().all(|b| b.is_object() || b.is_string()) => {
            Ok(())
        }
        Some(_) => Err(format!("has a {key:?} that is neither a text nor a list of blocks")),
    }
}

/// That one of some keys is there.
///
/// # Errors
/// The sign that it is another form.
pub(super) fn one_of(message: &Value, keys: &[&str]) -> Result<(), String> {
    if keys.iter().any(|key| message.get(key).is_some()) {
        return Ok(());
    }
    Err(format!("has no {:?}", keys.first().copied().unwrap_or_default()))
}
