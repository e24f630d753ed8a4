//! Backups of a database at work, and what is restored of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use shs_sqlite::{SqliteOptions, SqliteStore, backup, restore, verify};
use shs_store::keeping::Existing;
use shs_store::{
    ErrorKind, NewMessage, NewSession, Scope, SessionId, SessionOrder, SessionQuery, Store,
    StoreExt, Transcript,
};

const WRITERS: usize = 4;

fn id(number: usize) -> SessionId {
    format!("s-{number}").parse().unwrap()
}

async fn sessions(store: &SqliteStore, count: usize) {
    for number in 0..count {
        store
            .create_session(&Scope::DEFAULT, NewSession::with_id(id(number)).with_tag("t"))
            .await
            .unwrap();
    }
}

async fn everything(path: &Path) -> Vec<Transcript> {
    let store = SqliteStore::open(path).await.unwrap();
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

/// Appends to a session, and says how many messages were acknowledged, until it is told to stop.
async fn write(
    store: SqliteStore,
    number: usize,
    acknowledged: Arc<[AtomicUsize; WRITERS]>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::SeqCst) {
        let at = acknowledged[number].load(Ordering::SeqCst);
        let text = format!("message {at} {}", "word ".repeat(at % 50));
        store.append(&Scope::DEFAULT, &id(number), NewMessage::user(text)).await.unwrap();
        acknowledged[number].store(at + 1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_all_that_was_acknowledged_before_it_and_is_a_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sessions(&store, WRITERS).await;
    let acknowledged: Arc<[AtomicUsize; WRITERS]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(write(store.clone(), number, acknowledged, stop))
        })
        .collect();
    let mut backups = Vec::new();
    for number in 0..12 {
        let before: Vec<usize> = acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).collect();
        let target = folder.path().join(format!("backup-{number}.db"));
        let made = store.backup(&target, Existing::Refuse).await.unwrap();
        assert_eq!(made.sessions, WRITERS as u64);
        assert!(made.messages >= before.iter().sum::<usize>() as u64);
        assert_eq!(made.bytes, std::fs::metadata(&target).unwrap().len());
        // A healthy store has no findings, however busy it is.
        assert_eq!(verify(&path).await.unwrap(), []);
        backups.push((target, before));
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    store.close().await.unwrap();
    let last = everything(&path).await;
    for (target, before) in &backups {
        assert_eq!(verify(target).await.unwrap(), []);
        let restored = folder.path().join("restored.db");
        restore(target, &restored, Existing::Replace).await.unwrap();
        for ((transcript, last), before) in
            everything(&restored).await.iter().zip(&last).zip(before)
        {
            assert!(transcript.messages.len() >= *before, "{}", target.display());
            assert_eq!(transcript.messages, last.messages[..transcript.messages.len()]);
        }
    }
    assert!(last[0].messages.len() > 12, "the writers were at work");
    assert!(!leaves_drafts(folder.path()));
}

/// Whether a draft was left in a folder.
fn leaves_drafts(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().contains(".draft"))
}

async fn filled(path: &Path, text: &str) {
    let store = SqliteStore::open(path).await.unwrap();
    sessions(&store, 20).await;
    for number in 0..20 {
        let batch = (0..30).map(|at| NewMessage::user(format!("{text} {number} {at}")));
        store.append_all(&Scope::DEFAULT, &id(number), batch.collect::<Vec<_>>()).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up_and_what_was_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let [path, file] = ["history.db", "backup"].map(|name| folder.path().join(name));
    filled(&path, "first").await;
    let first = everything(&path).await;
    backup(&path, &file, Existing::Refuse).await.unwrap();
    let error = backup(&path, &file, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    backup(&path, &file, Existing::Replace).await.unwrap();

    let new = folder.path().join("new.db");
    let restored = restore(&file, &new, Existing::Refuse).await.unwrap();
    assert_eq!((restored.sessions, restored.messages, restored.kept), (20, 600, None));
    assert_eq!(everything(&new).await, first);
    assert_eq!(verify(&new).await.unwrap(), []);

    let store = SqliteStore::open(&path).await.unwrap();
    store.append(&Scope::DEFAULT, &id(0), NewMessage::user("second")).await.unwrap();
    let error = restore(&file, &path, Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "it is in use: {error}");
    store.close().await.unwrap();
    let second = everything(&path).await;
    let error = restore(&file, &path, Existing::Refuse).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(everything(&path).await, second);
    let restored = restore(&file, &path, Existing::Replace).await.unwrap();
    let kept = folder.path().join("history.db.before-restore");
    assert_eq!(restored.kept.as_ref(), Some(&kept));
    assert_eq!(everything(&path).await, first);
    assert_eq!(everything(&kept).await, second);
    // An empty store gives way.
    let empty = folder.path().join("empty.db");
    SqliteStore::open(&empty).await.unwrap().close().await.unwrap();
    restore(&file, &empty, Existing::Refuse).await.unwrap();
    assert_eq!(everything(&empty).await, first);
    assert!(!leaves_drafts(folder.path()));
    let error = backup(folder.path().join("none.db"), folder.path().join("b"), Existing::Refuse);
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let [path, file] = ["history.db", "backup"].map(|name| folder.path().join(name));
    filled(&path, "first").await;
    backup(&path, &file, Existing::Refuse).await.unwrap();
    let (whole, there) = (std::fs::read(&file).unwrap(), std::fs::read(&path).unwrap());
    let mut damaged: Vec<Vec<u8>> =
        [0, 15, 16, 100, 5_000, whole.len() / 2, whole.len() - 8_192, whole.len() - 1]
            .map(|length| whole[..length].to_vec())
            .to_vec();
    for page in 1..whole.len() / 8_192 {
        let mut bytes = whole.clone();
        bytes[page * 8_192] ^= 0xff;
        damaged.push(bytes);
    }
    damaged.push(b"this is no database, but it is long enough to be one".to_vec());
    for bytes in damaged {
        std::fs::write(&file, &bytes).unwrap();
        let error = restore(&file, &path, Existing::Replace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{} bytes: {error}", bytes.len());
        assert_eq!(error.op(), Some("restore"), "{} bytes: {error}", bytes.len());
        assert!(error.detail().contains("backup"), "{} bytes: {error}", bytes.len());
    }
    assert!(std::fs::read(&path).unwrap() == there, "nothing was touched");
    assert!(!folder.path().join("history.db.before-restore").exists());
    assert!(!leaves_drafts(folder.path()));
    // A damaged store is kept too, when a backup takes its place.
    std::fs::write(&file, &whole).unwrap();
    std::fs::write(&path, &there[..there.len() / 2]).unwrap();
    restore(&file, &path, Existing::Replace).await.unwrap();
    assert_eq!(everything(&path).await.len(), 20);
    let kept = std::fs::read(folder.path().join("history.db.before-restore")).unwrap();
    assert!(kept == there[..there.len() / 2]);
}

#[tokio::test]
async fn a_closed_store_makes_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteOptions::new(folder.path().join("history.db")).open().await.unwrap();
    store.close().await.unwrap();
    let made = store.backup(folder.path().join("b"), Existing::Refuse).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let store = SqliteStore::open(&path).await.unwrap();
    sessions(&store, 1).await;
    for own in ["history.db", "history.db-wal", "history.db-shm", "history.db-lock"] {
        let target = folder.path().join(".").join(own);
        let error = backup(&path, &target, Existing::Replace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{own}: {error}");
    }
    let error = backup(&path, folder.path(), Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    // What is written behind it is in the file that others open.
    store.append(&Scope::DEFAULT, &id(0), NewMessage::user("kept")).await.unwrap();
    assert_eq!(everything(&path).await[0].messages.len(), 1);
    store.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_database_is_that_database() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("history.db"), folder.path().join("link.db"));
    let store = SqliteStore::open(&path).await.unwrap();
    sessions(&store, 1).await;
    std::os::unix::fs::symlink("history.db", &link).unwrap();
    let target = folder.path().join("backup.db");
    backup(&link, &target, Existing::Refuse).await.unwrap();
    let error = restore(&target, &link, Existing::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    store.delete_session(&Scope::DEFAULT, &id(0)).await.unwrap();
    store.close().await.unwrap();
    let restored = restore(&target, &link, Existing::Replace).await.unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let kept = restored.kept.unwrap();
    assert!(kept.ends_with("history.db.before-restore"));
    assert_eq!(everything(&path).await.len(), 1);
    // Who erases by the link hears of the copy beside the database.
    let store = SqliteStore::open(&link).await.unwrap();
    assert_eq!(store.erase().await.unwrap().copies, [kept]);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_copy_of_an_open_database_without_its_log_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let copied = |name: &str| {
        let copy = folder.path().join(name);
        std::fs::copy(&path, &copy).unwrap();
        copy
    };
    let restored = async |copy: &Path| {
        let target = folder.path().join("restored.db");
        restore(copy, target, Existing::Replace).await.map(|restored| restored.messages)
    };
    let first = SqliteStore::open(&path).await.unwrap();
    sessions(&first, 1).await;
    first.append(&Scope::DEFAULT, &id(0), NewMessage::user("in the log")).await.unwrap();
    let second = SqliteStore::open(&path).await.unwrap();
    let mut copies = vec![copied("of-two")];
    first.close().await.unwrap();
    copies.push(copied("of-one"));
    for copy in &copies {
        let error = restored(copy).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("without its log"), "{error}");
        // Nor does it become one by a backup of itself.
        let error =
            backup(copy, folder.path().join("laundered"), Existing::Refuse).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("without its log"), "{error}");
        let findings = verify(copy).await.unwrap();
        assert!(findings.iter().any(|found| found.to_string().contains("without its log")));
    }
    assert!(verify(&path).await.unwrap().is_empty(), "the database itself has its log");
    second.close().await.unwrap();
    assert_eq!(restored(&copied("of-none")).await.unwrap(), 1);

    // One that is dropped is closed when its writer has ended.
    let dropped = SqliteStore::open(&path).await.unwrap();
    let backup_of_open = folder.path().join("backup");
    dropped.backup(&backup_of_open, Existing::Refuse).await.unwrap();
    assert_eq!(restored(&backup_of_open).await.unwrap(), 1);
    drop(dropped);
    while Path::new(&folder.path().join("history.db-wal")).exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(restored(&copied("of-dropped")).await.unwrap(), 1);
    // The copy by itself can be opened, as it is all that there is.
    let opened = SqliteStore::open(&copies[0]).await.unwrap();
    opened.close().await.unwrap();
    assert!(restored(&copies[0]).await.is_ok());
}
