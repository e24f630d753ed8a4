//! What is large is read piece by piece, and is what it would be in one.

use serde_json::{Value, json};
use shs_import::{Import, Limits};
use shs_memory::MemoryStore;

use crate::{import, sessions, text, transcript};

/// A text that is so long that it is read piece by piece.
fn long(value: &Value) -> String {
    value.to_string().replacen('{', &format!("{{{}", " ".repeat(100_000)), 1)
}

/// Sessions of ours, of the Python package, and some that are neither.
fn odd_sessions() -> Vec<Value> {
    let time = "2026-01-01T00:00:00.000000+00:00";
    let later = "2026-01-02T00:00:00.000000+00:00";
    vec![
        json!({"session_id": "s", "created_at": time, "messages": [
            {"role": "user", "content": "a"}, {"role": "user", "content": "b", "message_id": "m1"},
            {"role": "assistant", "content": "c", "message_id": "m1", "timestamp": later},
            {"role": "user", "content": "d", "metadata": {"a": [1, {"b": null}]}, "color": "blue"}]}),
        json!({"session_id": "s", "duration_seconds": 5, "message_count": 9, "extra": [1.5], "messages": [
            {"role": "user", "content": "a", "timestamp": later}]}),
        json!({"session_id": "s", "updated_at": later, "messages": []}),
        // The Python package takes these.
        json!({"session_id": "s", "created_at": "?", "messages": [
            {"message_id": "a", "role": "human", "content": "a", "timestamp": later, "tokens": -1},
            {"message_id": "b", "role": "user", "content": 5}]}),
        json!({"session_id": "s", "tags": [1], "messages": [{"message_id": "a", "role": "ai", "content": "a"}]}),
        json!({"session_id": "s", "messages": [
            {"role": "user", "content": "", "seq": 2}, {"role": "user", "content": "", "seq": 1}]}),
        // These have to be read as a whole.
        json!({"session_id": "", "messages": [{"role": "user", "content": "a"}]}),
        json!({"session_id": "s", "messages": null}),
        json!({"session_id": "s", "messages": [5]}),
        json!({"session_id": "s", "messages": {"a": 5}}),
    ]
}

#[tokio::test]
async fn a_long_text_is_the_same_conversation_as_a_short_one() {
    for session in odd_sessions() {
        let (short, in_pieces) = (MemoryStore::new(), MemoryStore::new());
        let (wanted, told) = import(&short, text(session.to_string())).await;
        let (report, told_of_long) = import(&in_pieces, text(long(&session))).await;
        assert_eq!(report, wanted, "{session}");
        assert_eq!(told_of_long.len(), told.len(), "{session}: {told_of_long:?}");
        let (short_ones, long_ones) = (sessions(&short).await, sessions(&in_pieces).await);
        assert_eq!(short_ones, long_ones, "{session}");
        for one in &short_ones {
            let id = one.id.as_str();
            assert_eq!(transcript(&short, id).await, transcript(&in_pieces, id).await, "{session}");
        }
    }
}

#[tokio::test]
async fn a_limit_is_kept_to_the_message_and_can_be_raised() {
    let message = json!({"role": "user", "content": "a"});
    let openai = json!({"messages": [message, message, message]});
    let ours = json!({"session_id": "s", "messages": [message, message, message]});
    let rows = "session_id,role,content\ns,user,a\ns,user,b\ns,user,c\n".to_owned();
    for input in [openai.to_string(), ours.to_string(), long(&openai), long(&ours), rows] {
        for (limit, imported) in [(2, 0), (3, 1)] {
            let store = MemoryStore::new();
            let import = Import::new().with_limits(Limits::new().with_messages(limit));
            let mut said = Vec::new();
            let report = import
                .run(&store, text(input.clone()), |p| said.push(p.to_string()))
                .await
                .unwrap();
            assert_eq!((report.imported, report.failed), (imported, 1 - imported), "{said:?}");
            let told = said.iter().any(|said| said.contains("3 messages, and 2 are the limit"));
            assert_eq!(told, imported == 0, "{said:?}");
        }
    }
}

#[tokio::test]
async fn an_archive_whose_files_lie_on_each_other_is_refused() {
    use std::io::{Read, Seek, SeekFrom, Write};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    let mut file = tempfile::NamedTempFile::new().unwrap();
    let session = |id: &str| json!({"session_id": id, "messages": [], "x": "y".repeat(1_000)});
    let mut zip = ZipWriter::new(file.reopen().unwrap());
    for name in ["a.json", "b.json"] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(session(name).to_string().as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    // The directory says that both are as long as the archive.
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let entries: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"PK\x01\x02")).collect();
    for entry in &entries {
        let length = (bytes.len() as u32).to_le_bytes();
        bytes[entry + 20..entry + 24].copy_from_slice(&length);
    }
    assert_eq!(entries.len(), 2);
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&bytes).unwrap();
    let (report, told) = import(&MemoryStore::new(), file.path().to_owned().into()).await;
    assert!(report.failed > 0, "{told:?}");
    let said: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("lie on top of each other")), "{said:?}");
}
