//! Backups of a folder at work, and what is restored of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shs_fs::{FsOptions, FsStore, backup, restore, verify};
use shs_store::keeping::Existing;
use shs_store::{
    ErrorKind, MessagePatch, NewMessage, NewSession, Scope, SessionId, SessionOrder, SessionQuery,
    Store, StoreExt, Transcript,
};

const WRITERS: usize = 4;

fn id(number: usize) -> SessionId {
    format!("s-{number}").parse().unwrap()
}

async fn everything(path: &Path) -> Vec<Transcript> {
    let store = FsStore::open(path).await.unwrap();
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    let mut all = Vec::new();
    for session in
        store.list_sessions(&Scope::DEFAULT, &query.with_limit(1_000)).await.unwrap().items
    {
        all.push(store.transcript(&Scope::DEFAULT, &session.id).await.unwrap());
    }
    store.close().await.unwrap();
    all.sort_by(|a, b| a.session.id.cmp(&b.session.id));
    all
}

/// Appends to a session, and says how many messages were acknowledged, until it is told to stop. Other sessions come and go, and
/// a message is updated again and again, so that files are written anew.
async fn write(
    store: FsStore,
    number: usize,
    acknowledged: Arc<[AtomicUsize; WRITERS]>,
    stop: Arc<AtomicBool>,
) {
    let other = format!("other-{number}");
    let note = NewMessage::user("a note");
    let new = NewSession::with_id(format!("notes-{number}").parse().unwrap());
    let notes = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
    let note = store.append(&Scope::DEFAULT, &notes, note).await.unwrap().id;
    while !stop.load(Ordering::SeqCst) {
        let at = acknowledged[number].load(Ordering::SeqCst);
        let text = format!("message {at} {}", "word ".repeat(at % 50));
        store.append(&Scope::DEFAULT, &id(number), NewMessage::user(text.clone())).await.unwrap();
        acknowledged[number].store(at + 1, Ordering::SeqCst);
        let patch = MessagePatch::new().with_content(text.repeat(10));
        store.update_message(&Scope::DEFAULT, &notes, &note, patch).await.unwrap();
        if at.is_multiple_of(5) {
            let other: SessionId = other.parse().unwrap();
            store
                .create_session(&Scope::DEFAULT, NewSession::with_id(other.clone()))
                .await
                .unwrap();
            store.append(&Scope::DEFAULT, &other, NewMessage::user("soon gone")).await.unwrap();
            store.delete_session(&Scope::DEFAULT, &other).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_all_that_was_acknowledged_before_it_and_is_a_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let store = FsOptions::new(&path).open().await.unwrap();
    for number in 0..WRITERS {
        store.create_session(&Scope::DEFAULT, NewSession::with_id(id(number))).await.unwrap();
    }
    let acknowledged: Arc<[AtomicUsize; WRITERS]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(write(store.clone(), number, acknowledged, stop))
        })
        .collect();
    let mut backups = Vec::new();
    for number in 0..16 {
        let before: Vec<usize> = acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).collect();
        let target = folder.path().join(format!("backup-{number}.tar"));
        let made = if number % 2 == 0 {
            store.backup(&target, Existing::Refuse).await.unwrap()
        } else {
            // As another process does, which finds the folder open.
            backup(&path, &target, Existing::Refuse).await.unwrap()
        };
        assert!(made.messages >= before.iter().sum::<usize>() as u64);
        assert_eq!(made.bytes, std::fs::metadata(&target).unwrap().len());
        // A healthy store has no findings, however busy it is.
        assert_eq!(verify(&path).await.unwrap(), []);
        backups.push((target, before));
        let sum = || acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).sum::<usize>();
        let now = sum();
        while sum() < now + WRITERS {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    store.close().await.unwrap();
    let last = everything(&path).await;
    let of_writers = |all: Vec<Transcript>| {
        let wanted = |one: &Transcript| one.session.id.as_str().starts_with("s-");
        all.into_iter().filter(wanted).collect::<Vec<_>>()
    };
    let last = of_writers(last);
    for (target, before) in &backups {
        let restored = folder.path().join("restored");
        restore(target, &restored, Existing::Replace).await.unwrap();
        assert_eq!(verify(&restored).await.unwrap(), []);
        let all = of_writers(everything(&restored).await);
        assert_eq!(all.len(), WRITERS);
        for ((transcript, last), before) in all.iter().zip(&last).zip(before) {
            assert!(transcript.messages.len() >= *before, "{}", target.display());
            assert_eq!(transcript.messages, last.messages[..transcript.messages.len()]);
        }
    }
    assert!(!leaves_drafts(folder.path()));
}

/// Whether a draft was left in a folder.
fn leaves_drafts(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().contains(".draft"))
}

async fn filled(path: &Path, text: &str) {
    let store = FsStore::open(path).await.unwrap();
    for number in 0..20 {
        // A name that is longer than a tar archive's own.
        let long = format!("s-{number}-{}", "x".repeat(if number == 7 { 200 } else { 0 }));
        let id = store
            .create_session(&Scope::DEFAULT, NewSession::with_id(long.parse().unwrap()))
            .await
            .unwrap()
            .id;
        let batch = (0..30).map(|at| NewMessage::user(format!("{text} {number} {at}")));
        let appended = store
            .append_all(&Scope::DEFAULT, &id, batch.collect::<Vec<_>>())
            .await
            .unwrap()
            .messages;
        let patch = MessagePatch::new().with_content("changed");
        store.update_message(&Scope::DEFAULT, &id, &appended[3].id, patch).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up_and_what_was_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [path, file] = ["history", "backup.tar"].map(|name| folder.path().join(name));
    filled(&path, "first").await;
    let first = everything(&path).await;
    backup(&path, &file, Existing::Refuse).await.unwrap();
    let error = backup(&path, &file, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    backup(&path, &file, Existing::Replace).await.unwrap();

    let new = folder.path().join("a/new");
    let restored = restore(&file, &new, Existing::Refuse).await.unwrap();
    assert_eq!((restored.sessions, restored.messages, restored.kept), (20, 600, None));
    assert_eq!(everything(&new).await, first);
    assert_eq!(verify(&new).await.unwrap(), []);

    let store = FsStore::open(&path).await.unwrap();
    let one = first[0].session.id.clone();
    store.append(&Scope::DEFAULT, &one, NewMessage::user("second")).await.unwrap();
    let error = restore(&file, &path, Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "it is in use: {error}");
    store.close().await.unwrap();
    let second = everything(&path).await;
    let error = restore(&file, &path, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(everything(&path).await, second);
    let restored = restore(&file, &path, Existing::Replace).await.unwrap();
    let kept = folder.path().join("history.before-restore");
    assert_eq!(restored.kept.as_ref(), Some(&kept));
    assert_eq!(everything(&path).await, first);
    assert_eq!(everything(&kept).await, second);
    // A repeated append is still known, also under a message that was changed since.
    let store = FsStore::open(&path).await.unwrap();
    let id = first[2].session.id.clone();
    let again = NewMessage::user("first 10 3").with_id(first[2].messages[3].id.clone());
    let number = id.as_str().split('-').nth(1).unwrap().to_owned();
    let mut again = again;
    again.content = format!("first {number} 3");
    assert_eq!(store.append(&Scope::DEFAULT, &id, again).await.unwrap().content, "changed");
    store.close().await.unwrap();
    // An empty folder gives way.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    restore(&file, &empty, Existing::Refuse).await.unwrap();
    assert_eq!(everything(&empty).await, first);
    assert!(!leaves_drafts(folder.path()));
    let none = backup(folder.path().join("none"), folder.path().join("b"), Existing::Refuse).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!folder.path().join("none").exists());
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [path, file] = ["history", "backup.tar"].map(|name| folder.path().join(name));
    filled(&path, "first").await;
    let first = everything(&path).await;
    backup(&path, &file, Existing::Refuse).await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    let content = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut damaged: Vec<Vec<u8>> =
        (0..content).step_by(512 * 13).map(|length| whole[..length].to_vec()).collect();
    for at in (0..content).step_by(9_973).filter(|at| whole[*at] != 0) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        damaged.push(bytes);
    }
    damaged.push(b"this is no archive, but it is long enough to be one".to_vec());
    for bytes in damaged {
        std::fs::write(&file, &bytes).unwrap();
        let restored = restore(&file, &path, Existing::Replace).await;
        let error = restored.expect_err(&format!("{} bytes", bytes.len()));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{} bytes: {error}", bytes.len());
    }
    assert_eq!(everything(&path).await, first);
    assert!(!folder.path().join("history.before-restore").exists());
    assert!(!leaves_drafts(folder.path()));
    let missing = restore(folder.path().join("none"), &path, Existing::Replace).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_archive_with_other_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    for name in ["../escape.jsonl", "/tmp/escape.jsonl", ".journal", "a/b.jsonl", "x.txt"] {
        let format = "{\"format\":\"shs-fs\",\"version\":1}\n";
        let mut bytes = Vec::new();
        for (name, text) in [("shs-fs.format", format), (name, "x")] {
            bytes.extend_from_slice(&tar_entry(name, text));
        }
        bytes.extend_from_slice(&[0; 1_024]);
        std::fs::write(&file, bytes).unwrap();
        let new = folder.path().join("new");
        let error = restore(&file, &new, Existing::Refuse).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
        assert!(!new.exists() && !folder.path().join("escape.jsonl").exists());
    }
}

/// An entry of a tar archive, as <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html> has it.
fn tar_entry(name: &str, text: &str) -> Vec<u8> {
    let mut head = vec![0; 512];
    head[..name.len()].copy_from_slice(name.as_bytes());
    head[100..107].copy_from_slice(b"0000600");
    head[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
    head[136..147].copy_from_slice(b"00000000000");
    head[156] = b'0';
    head[257..265].copy_from_slice(b"ustar\x0000");
    head[148..156].fill(b' ');
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    head[154] = 0;
    head.extend_from_slice(text.as_bytes());
    head.resize(head.len().next_multiple_of(512), 0);
    head
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_what_is_in_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("store");
    let store = FsStore::open(&folder).await.unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::with_id(id(0))).await.unwrap();
    for own in ["s-0.jsonl", "new.jsonl", "shs-fs.format", ".arrivals"] {
        let target = folder.join("..").join("store").join(own);
        for error in [
            backup(&folder, &target, Existing::Replace).await.unwrap_err(),
            store.backup(&target, Existing::Replace).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{own}: {error}");
        }
    }
    let error = backup(&folder, &folder, Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    store.close().await.unwrap();
    assert_eq!(verify(&folder).await.unwrap(), []);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_restored_is_as_private_as_what_it_replaces_and_a_link_to_it_stays() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let parent = tempfile::tempdir().unwrap();
    let (folder, link) = (parent.path().join("store"), parent.path().join("link"));
    let store = FsStore::open(&folder).await.unwrap();
    store.create_session(&Scope::DEFAULT, NewSession::with_id(id(0))).await.unwrap();
    let target = parent.path().join("backup.tar");
    store.backup(&target, Existing::Refuse).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id(0)).await.unwrap();
    store.close().await.unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    symlink("store", &link).unwrap();
    let restored = restore(&target, &link, Existing::Replace).await.unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(restored.kept.unwrap().ends_with("store.before-restore"));
    assert_eq!(everything(&folder).await.len(), 1);
}
