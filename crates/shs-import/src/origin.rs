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
    if mark.get("source").and_then(Value::as_str) != Some(format.as_str()) {
        return false;
    }
    let mut as_imported = stored.clone();
    as_imported.session.metadata.remove(ORIGIN_KEY);
    mark.get("digest").and_then(Value::as_str) == Some(&digest_of(&as_imported))
}

/// The digest of what is JSON, such as a conversation: the same for the same.
pub(crate) fn digest_of(value: &impl Serialize) -> String {
    digest_of_bytes(&serde_json::to_vec(value).expect("conversations and JSON values are JSON"))
}

/// A name for a text that is no id of ours.
pub(crate) fn name_of_text(text: &str) -> String {
    digest_of_bytes(text.as_bytes())
}

/// Half of the SHA-256, in hexadecimal digits.
fn digest_of_bytes(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object without some of its keys, to be kept under a source's name.
pub(crate) fn without(object: &Map, keys: &[&str]) -> Map {
    let kept =
        object.iter().filter(|(key, value)| !keys.contains(&key.as_str()) && !value.is_null());
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
