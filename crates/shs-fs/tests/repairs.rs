//! Each kind of damage is found, named and repaired, and nothing else is changed.

use std::path::{Path, PathBuf};

use shs_fs::{FsStore, repair, verify};
use shs_store::keeping::Finding;
use shs_store::{
    ErrorKind, MessagePatch, NewMessage, NewSession, Scope, SearchQuery, SessionId, SessionPatch,
    Store, StoreExt, Transcript,
};
use tempfile::TempDir;

const SESSIONS: usize = 4;

fn id(number: usize) -> SessionId {
    format!("s-{number}").parse().unwrap()
}

/// A folder with conversations, each with a batch, an update and a new title.
async fn healthy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for number in 0..SESSIONS {
        let new = NewSession::with_id(id(number)).with_user("alice").with_tag("t");
        store.create_session(&Scope::DEFAULT, new).await.unwrap();
        let batch = (0..3).map(|at| NewMessage::user(format!("batch {at}")).with_tokens(1));
        let batch = store
            .append_all(&Scope::DEFAULT, &id(number), batch.collect::<Vec<_>>())
            .await
            .unwrap();
        store
            .append(&Scope::DEFAULT, &id(number), NewMessage::assistant("日本語 alone"))
            .await
            .unwrap();
        let patch = MessagePatch::new().with_content("changed");
        store
            .update_message(&Scope::DEFAULT, &id(number), &batch.messages[1].id, patch)
            .await
            .unwrap();
        let patch = SessionPatch::new().with_title("title");
        store.update_session(&Scope::DEFAULT, &id(number), patch).await.unwrap();
        store.append(&Scope::DEFAULT, &id(number), NewMessage::user("last")).await.unwrap();
    }
    store.close().await.unwrap();
    folder
}

async fn transcripts(path: &Path) -> Vec<Transcript> {
    let store = FsStore::open(path).await.unwrap();
    let mut all = Vec::new();
    for number in 0..SESSIONS {
        if let Ok(transcript) = store.transcript(&Scope::DEFAULT, &id(number)).await {
            all.push(transcript);
        }
    }
    store.search(&Scope::DEFAULT, &SearchQuery::new("last")).await.unwrap();
    store.close().await.unwrap();
    all
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("s-1.jsonl")
}

fn says(findings: &[Finding], what: &str) -> bool {
    findings.iter().any(|finding| finding.to_string().contains(what))
}

/// The names and contents of a folder.
fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default()))
        .collect();
    all.sort();
    all
}

/// Finds what was damaged, without a change, and repairs it; conversations but the second are as they were.
async fn find_and_repair(folder: &TempDir, expected: &[Transcript], what: &str) -> Vec<Finding> {
    let before = all_files(folder.path());
    let findings = verify(folder.path()).await.unwrap();
    assert!(says(&findings, what), "{what}: {findings:#?}");
    assert!(all_files(folder.path()) == before, "{what}: verify changed something");
    let repaired = repair(folder.path()).await.unwrap();
    assert_eq!(repaired.remaining, [], "{what}");
    assert_eq!(repaired.fixed, findings, "{what}");
    assert_eq!(verify(folder.path()).await.unwrap(), [], "{what}");
    for (number, transcript) in transcripts(folder.path()).await.iter().enumerate() {
        if number != 1 {
            assert_eq!(transcript, &expected[number], "{what}");
        }
    }
    findings
}

#[tokio::test]
async fn a_damaged_line_goes_into_quarantine_and_the_others_stay() {
    let lines = std::fs::read(file(&healthy().await)).unwrap();
    let lines = lines.split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(lines, 8);
    for damaged in 0..lines {
        let folder = healthy().await;
        let expected = transcripts(folder.path()).await;
        let whole = std::fs::read(file(&folder)).unwrap();
        let starts: Vec<usize> = std::iter::once(0)
            .chain(whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1))
            .collect();
        let mut bytes = whole.clone();
        bytes[starts[damaged] + 20] = 0xff;
        std::fs::write(file(&folder), &bytes).unwrap();
        let what = format!("s-1.jsonl, line {}, byte {}", damaged + 1, starts[damaged]);
        find_and_repair(&folder, &expected, &what).await;
        let kept = std::fs::read(folder.path().join("s-1.jsonl.before-repair")).unwrap();
        assert!(kept == bytes);
        let aside = std::fs::read_to_string(folder.path().join("s-1.jsonl.quarantine")).unwrap();
        let aside: serde_json::Value = serde_json::from_str(&aside).unwrap();
        let hex = aside["hex"].as_str().unwrap();
        assert_eq!(hex.len(), 2 * (starts[damaged + 1] - starts[damaged] - 1));
        assert_eq!((&aside["line"], &hex[40..42]), (&(damaged + 1).into(), "ff"));

        let after = transcripts(folder.path()).await.remove(1);
        let before = &expected[1];
        // The lines are: session, three of a batch, a message, an update, the session anew, a message.
        let lost = [None, Some(0), None, Some(2), Some(3), None, None, Some(4)][damaged];
        let mut messages = before.messages.clone();
        if let Some(lost) = lost {
            messages.remove(lost);
        }
        if damaged == 5 {
            messages[1].content = "batch 1".to_owned();
        }
        assert_eq!(after.messages, messages, "line {}", damaged + 1);
        assert_eq!(after.session.title.is_some(), damaged != 6);
        assert_eq!(after.session.user_id, before.session.user_id);
        assert_eq!(after.session.message_count, messages.len() as u64);
        let store = FsStore::open(folder.path()).await.unwrap();
        let appended =
            store.append(&Scope::DEFAULT, &id(1), NewMessage::user("goes on")).await.unwrap();
        assert!(appended.seq.get() >= 5);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_session_whose_lines_are_all_lost_keeps_its_id_and_messages() {
    let folder = healthy().await;
    let expected = transcripts(folder.path()).await;
    let text = std::fs::read_to_string(file(&folder)).unwrap();
    let text = text.replace("{\"session\":", "{\"sessiom\":");
    std::fs::write(file(&folder), text).unwrap();
    find_and_repair(&folder, &expected, "s-1.jsonl, line 1, byte 0").await;
    let after = transcripts(folder.path()).await.remove(1);
    assert_eq!(after.messages, expected[1].messages);
    assert_eq!((after.session.user_id, after.session.title), (None, None));
}

#[tokio::test]
async fn torn_ends_drafts_and_foreign_files_are_put_right() {
    let folder = healthy().await;
    let expected = transcripts(folder.path()).await;
    let whole = std::fs::read(file(&folder)).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();

    put("s-1.jsonl", &[&whole[..], b"{\"message\":{\"mess"].concat());
    let what = format!("s-1.jsonl, byte {}: a torn end", whole.len());
    find_and_repair(&folder, &expected, &what).await;
    assert_eq!(transcripts(folder.path()).await, expected);

    let whole = std::fs::read(file(&folder)).unwrap();
    put("s-1.jsonl", &whole[..whole.len() - 1]);
    find_and_repair(&folder, &expected, "the last line break is missing").await;
    assert_eq!(transcripts(folder.path()).await, expected);

    put(".staged-0123", b"text");
    find_and_repair(&folder, &expected, ".staged-0123: a draft").await;
    assert!(!folder.path().join(".staged-0123").exists());

    put("other.jsonl", b"{\"a\":1}\n");
    find_and_repair(&folder, &expected, "other.jsonl, line 1, byte 0").await;
    let aside = std::fs::read(folder.path().join("other.jsonl.before-repair")).unwrap();
    assert_eq!(aside, b"{\"a\":1}\n");

    // A copy of a conversation, under another name and then in the place of the lost one.
    let whole = std::fs::read(file(&folder)).unwrap();
    put("copy.jsonl", &whole);
    find_and_repair(&folder, &expected, "copy.jsonl, session s-1: it holds the session").await;
    assert_eq!(transcripts(folder.path()).await, expected);
    std::fs::rename(file(&folder), folder.path().join("copy.jsonl")).unwrap();
    find_and_repair(&folder, &expected, "copy.jsonl, session s-1: it holds the session").await;
    assert_eq!(transcripts(folder.path()).await, expected);

    for name in [".journal", ".arrivals", ".deleting", "shs-fs.format"] {
        put(name, b"this is something else");
        find_and_repair(&folder, &expected, name).await;
        assert_eq!(transcripts(folder.path()).await, expected, "{name}");
        assert!(folder.path().join(format!("{name}.before-repair")).exists(), "{name}");
    }
    // What nobody of us wrote and has no name of ours does not matter.
    put("README.md", b"text");
    assert_eq!(verify(folder.path()).await.unwrap(), []);
    std::fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
    put("foreign.json", b"{}");
    let findings = verify(folder.path()).await.unwrap();
    assert!(says(&findings, "folder.jsonl: it has the name") && says(&findings, "foreign.json"));
    assert!(findings.iter().all(|finding| !finding.repairable));
    assert_eq!(repair(folder.path()).await.unwrap().remaining, findings);
}

#[tokio::test]
async fn numbers_of_arrival_that_are_taken_are_given_anew() {
    let folder = healthy().await;
    let expected = transcripts(folder.path()).await;
    // The first numbers of another folder are the first numbers here.
    let other = tempfile::tempdir().unwrap();
    let store = FsStore::open(other.path()).await.unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::with_id(id(3))).await.unwrap();
    store.append(&Scope::DEFAULT, &id(3), NewMessage::user("from elsewhere")).await.unwrap();
    store.close().await.unwrap();
    std::fs::copy(other.path().join("s-3.jsonl"), folder.path().join("s-3.jsonl")).unwrap();
    let findings = verify(folder.path()).await.unwrap();
    assert!(says(&findings, "s-3.jsonl: numbers of arrival"), "{findings:?}");
    let repaired = repair(folder.path()).await.unwrap();
    assert_eq!(repaired.remaining, []);
    let after = transcripts(folder.path()).await;
    assert_eq!(after[..3], expected[..3]);
    assert_eq!(after[3].messages[0].content, "from elsewhere");
}

#[tokio::test]
async fn content_that_opening_does_not_look_at_is_looked_at() {
    let folder = healthy().await;
    let expected = transcripts(folder.path()).await;
    // A line with a right checksum whose content is no text: as a faulty program would write it.
    let text = std::fs::read_to_string(file(&folder)).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("\"content\":\"last\"") {
            Some((before, after)) => {
                let body = format!("{before}\"content\":17{after}");
                let body = &body[..body.len() - ",\"crc\":\"00000000\"}".len()];
                format!("{body},\"crc\":\"{:08x}\"}}", crc32fast::hash(body.as_bytes()))
            }
            None => line.to_owned(),
        })
        .collect();
    std::fs::write(file(&folder), format!("{}\n", lines.join("\n"))).unwrap();
    find_and_repair(&folder, &expected, "s-1.jsonl, line 8").await;
    let after = transcripts(folder.path()).await.remove(1);
    assert_eq!(after.messages, expected[1].messages[..4]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_no_finding_and_a_store_in_use_is_not_repaired() {
    let folder = healthy().await;
    let store = FsStore::open(folder.path()).await.unwrap();
    store.append(&Scope::DEFAULT, &id(0), NewMessage::user("in the journal")).await.unwrap();
    // As after a power cut: the journal has what its file does not.
    let cut = tempfile::tempdir().unwrap();
    for (path, bytes) in all_files(folder.path()) {
        std::fs::write(cut.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    let file = cut.path().join("s-0.jsonl");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 40]).unwrap();
    assert_eq!(verify(cut.path()).await.unwrap(), []);
    assert_eq!(verify(folder.path()).await.unwrap(), []);
    let error = repair(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    store.close().await.unwrap();
    assert_eq!(transcripts(cut.path()).await, transcripts(folder.path()).await);
    let missing = folder.path().join("missing");
    assert_eq!(verify(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(repair(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!missing.exists());
}
