//! The mark that an import leaves, by which a later one knows its own.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shs_store::{Map, Message, Transcript};

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
pub(crate) fn is_untouched(stored: &mut Transcript, format: Format) -> bool {
    // It is as it was imported while the mark is taken off.
    let Some(mark) = stored.session.metadata.remove(ORIGIN_KEY) else { return false };
    let is_of_source = mark.get("source").and_then(Value::as_str) == Some(format.as_str());
    let is_untouched = is_of_source
        && mark.get("digest").and_then(Value::as_str) == Some(digest_of(stored).as_str());
    stored.session.metadata.insert(ORIGIN_KEY.to_owned(), mark);
    is_untouched
}

/// The digest of what is JSON, such as a conversation: the same for the same.
pub(crate) fn digest_of(value: &impl Serialize) -> String {
    let mut digested = BufWriter::with_capacity(64 * 1024, Digested(Sha256::new()));
    serde_json::to_writer(&mut digested, value).expect("conversations and JSON values are JSON");
    let digested = digested.into_inner().expect("what is only counted can be written");
    in_digits(&digested.0.finalize())
}

/// The digest of messages that come one by one.
#[derive(Debug)]
pub(crate) struct MessagesDigest(BufWriter<Digested>);

impl MessagesDigest {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, Digested(Sha256::new())))
    }

    pub(crate) fn add(&mut self, message: &Message) {
        serde_json::to_writer(&mut self.0, message).expect("messages are JSON");
    }

    pub(crate) fn finish(self) -> String {
        let digested = self.0.into_inner().expect("what is only counted can be written");
        in_digits(&digested.0.finalize())
    }
}

/// A name for a text that is no id of ours.
pub(crate) fn name_of_text(text: &str) -> String {
    in_digits(&Sha256::digest(text.as_bytes()))
}

/// A number for a text, another one for each.
pub(crate) fn number_of_text(text: &str) -> u128 {
    let digest = Sha256::digest(text.as_bytes());
    digest[..16].iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// Half of a SHA-256, in hexadecimal digits.
fn in_digits(digest: &[u8]) -> String {
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes a text that is not kept.
#[derive(Debug)]
struct Digested(Sha256);

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An object without some of its keys, to be kept under a source's name.
pub(crate) fn without(object: &Map, keys: &[&str]) -> Map {
    let kept =
        object.iter().filter(|(key, value)| !keys.contains(&key.as_str()) && !value.is_null());
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
