//! The mark that an import leaves, by which a later one knows its own.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shs_store::{Map, Transcript};

use crate::Format;

/// The key in a session's metadata that tells where it came from: `{"source": …, "digest": …}`. The digest is that of the
/// conversation as it was imported.
pub const ORIGIN_KEY: &str = "imported_from";

/// Marks a conversation as one of this source. Our own forms come as they are.
pub(crate) fn mark(transcript: &mut Transcript, format: Format) {
    if !is_marked(format) {
        return;
    }
    let digest = digest_of(transcript);
    let mark = json!({ "source": format.as_str(), "digest": digest });
    transcript.session.metadata.insert(ORIGIN_KEY.to_owned(), mark);
}

/// Whether what comes of this source is marked.
pub(crate) fn is_marked(format: Format) -> bool {
    !matches!(format, Format::Transcripts | Format::Csv | Format::PythonDatabase)
}

/// Whether a stored conversation came from this source and was not changed since.
pub(crate) fn is_untouched(stored: &Transcript, format: Format) -> bool {
    let Some(mark) = stored.session.metadata.get(ORIGIN_KEY) else { return false };
    let mut as_imported = stored.clone();
    as_imported.session.metadata.remove(ORIGIN_KEY);
    mark.get("source").and_then(Value::as_str) == Some(format.as_str())
        && mark.get("digest").and_then(Value::as_str) == Some(&digest_of(&as_imported))
}

/// The digest of a conversation, or of a part of it.
pub(crate) fn digest_of(conversation: &impl Serialize) -> String {
    let json = serde_json::to_vec(conversation).expect("a conversation is JSON");
    hexadecimal(&Sha256::digest(json)[..16])
}

/// A name for something that has none, made of what it is: the same for the same.
pub(crate) fn name_of(value: &Value) -> String {
    let json = serde_json::to_vec(value).expect("a JSON value is JSON");
    hexadecimal(&Sha256::digest(json)[..16])
}

/// A name for a text that is no id of ours.
pub(crate) fn name_of_text(text: &str) -> String {
    hexadecimal(&Sha256::digest(text)[..16])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object without some of its keys, to be kept under a source's name.
pub(crate) fn without(object: &Map, keys: &[&str]) -> Map {
    let kept =
        object.iter().filter(|(key, value)| !keys.contains(&key.as_str()) && !value.is_null());
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
