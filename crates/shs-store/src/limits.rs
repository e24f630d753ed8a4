//! The limits that every backend keeps, and the checks that enforce them where data enters.
//!
//! A value beyond a limit is refused with [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput)
//! and nothing is stored.

use serde_json::Value;

use crate::{Error, Map, Result};

/// Longest id of a session, message, user or project, and longest model name or tag, in bytes.
pub const MAX_ID_BYTES: usize = 255;
/// Longest title of a session, in bytes.
pub const MAX_TITLE_BYTES: usize = 64 * 1024;
/// Most tags on one session.
pub const MAX_TAGS: usize = 1_000;
/// Longest content of one message, in bytes: 64 MiB.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024 * 1024;
/// Deepest nesting of metadata, parts and other JSON.
pub const MAX_JSON_DEPTH: usize = 100;
/// Most messages in one append.
pub const MAX_BATCH: usize = 10_000;
/// Most items on one page.
pub const MAX_PAGE: u32 = 1_000;
/// A page of messages ends early when their text exceeds this many bytes: 8 MiB.
///
/// It always holds at least one message, so that walking the pages always ends.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Longest search query, in bytes.
pub const MAX_QUERY_BYTES: usize = 4_096;
/// Most candidates that a search ordered by rank weighs, newest first.
pub const MAX_RANKED: usize = 10_000;
/// Bytes of text at which a search ordered by rank weighs no more candidates: with the last one it
/// may have more.
pub const MAX_RANKED_BYTES: usize = 8 * 1024 * 1024;

/// Checks a short name such as an id, a tag or a model: 1 to [`MAX_ID_BYTES`] bytes, no control characters.
pub(crate) fn check_name(what: &str, value: &str) -> Result<()> {
    if value.is_empty() {
        return Err(Error::invalid(format!("{what} is empty; give 1 to {MAX_ID_BYTES} bytes")));
    }
    if value.len() > MAX_ID_BYTES {
        return Err(Error::invalid(format!(
            "{what} has {} bytes; the limit is {MAX_ID_BYTES}",
            value.len()
        )));
    }
    if let Some((at, c)) = value.char_indices().find(|(_, c)| c.is_control()) {
        return Err(Error::invalid(format!(
            "{what} has the control character U+{:04X} at byte {at}; remove it",
            c as u32
        )));
    }
    Ok(())
}

pub(crate) fn check_optional_name(what: &str, value: Option<&str>) -> Result<()> {
    value.map_or(Ok(()), |value| check_name(what, value))
}

pub(crate) fn check_bytes(what: &str, len: usize, limit: usize) -> Result<()> {
    if len > limit {
        return Err(Error::invalid(format!("{what} has {len} bytes; the limit is {limit}")));
    }
    Ok(())
}

pub(crate) fn check_tags(tags: &[String]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!(
            "a session with {} tags; the limit is {MAX_TAGS}",
            tags.len()
        )));
    }
    tags.iter().try_for_each(|tag| check_name("a tag", tag))
}

pub(crate) fn check_map(what: &str, map: &Map) -> Result<()> {
    map.values().try_for_each(|value| check_depth(what, value, 2))
}

/// Checks keys that are not known: none has the name of a known one, as it would be there twice in JSON.
pub(crate) fn check_extra(what: &str, extra: &Map, known: &[&str]) -> Result<()> {
    match extra.keys().find(|key| known.contains(&key.as_str())) {
        Some(key) => Err(Error::invalid(format!("{what} is named {key}, which is a known one"))),
        None => check_map(what, extra),
    }
}

fn check_depth(what: &str, value: &Value, depth: usize) -> Result<()> {
    let holds_more = value.is_array() || value.is_object();
    if holds_more && depth > MAX_JSON_DEPTH {
        return Err(Error::invalid(format!(
            "{what} is nested more than {MAX_JSON_DEPTH} levels deep"
        )));
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|v| check_depth(what, v, depth + 1)),
        Value::Object(map) => map.values().try_for_each(|v| check_depth(what, v, depth + 1)),
        _ => Ok(()),
    }
}
