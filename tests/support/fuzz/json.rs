//! The JSON forms: any bytes are refused, or read as something that comes back from its own form.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use session_history_saver::memory::MemoryStore;
use session_history_saver::{
    Document, ImportMode, Message, Scope, Seq, Session, Store, StoreExt, Timestamp, Transcript,
};

/// Takes the bytes as each of the JSON forms.
///
/// # Panics
/// If what was read does not come back, or cannot be worked with.
pub fn json(bytes: &[u8]) {
    if let Some(message) = read::<Message>(bytes) {
        // It may break a limit: then it is refused, and no more.
        let _ = (message.validate(), message.digest(), message.weight());
        for part in &message.parts {
            let _ = part.view();
        }
    }
    if let Some(session) = read::<Session>(bytes) {
        let _ = session.validate();
    }
    if let Some(transcript) = read::<Transcript>(bytes) {
        store(&transcript);
    }
    if let Ok(document) = serde_json::from_slice::<Document>(bytes) {
        work_with(document);
    }
}

/// Reads a value, and reads it again from its form.
fn read<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let form = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&form).expect("what was written can be read");
    assert_eq!(again, value);
    Some(value)
}

/// A transcript is stored as it is.
fn store(transcript: &Transcript) {
    let back = super::with_runtime(|runtime| {
        runtime.block_on(async {
            let store = MemoryStore::new();
            store.import(&Scope::DEFAULT, transcript.clone(), ImportMode::CreateOnly).await?;
            store.transcript(&Scope::DEFAULT, &transcript.session.id).await
        })
    });
    assert_eq!(&back.expect("a transcript can be stored"), transcript);
}

/// A document that was read keeps the rules of one that was made.
fn work_with(mut document: Document) {
    let form = serde_json::to_value(&document).expect("what was read can be written");
    let again: Document = serde_json::from_value(form.clone()).expect("it can be read again");
    assert_eq!(serde_json::to_value(again).expect("it can be written again"), form);
    let transcript = document.clone().into_transcript();
    assert_eq!(&transcript.session, document.session(), "its counts are those of its messages");
    let last = document.session().last_seq;
    let fork = document.fork(&Scope::DEFAULT, last, Default::default(), Timestamp::MAX, || 0);
    if let Ok(fork) = fork {
        assert_eq!(fork.records().len(), document.records().len());
    }
    let ids: Vec<_> = document.messages().map(|message| message.id.clone()).collect();
    for id in ids {
        assert!(document.delete_message(&id, Timestamp::MAX).is_some(), "each is found by its id");
    }
    assert_eq!((document.session().message_count, document.session().total_tokens), (0, 0));
    assert!(document.record_at(Seq::FIRST).is_none());
}
