//! Damaged files: what is read is right, or an error says where it is not.

use std::path::{Path, PathBuf};

use shs_fs::{FsOptions, FsStore};
use shs_store::{
    Durability, ErrorKind, Message, MessagePatch, MessageQuery, NewMessage, NewSession, Result,
    Scope, SearchQuery, Session, SessionId, SessionPatch, Store, StoreExt,
};
use tempfile::TempDir;

/// What a power cut leaves out as a whole, in bytes.
const SECTOR: usize = 512;

/// A folder with one conversation in it, whose file a test damages.
struct Folder {
    folder: TempDir,
    id: SessionId,
    /// The file as it was written.
    whole: Vec<u8>,
    session: Session,
    messages: Vec<Message>,
}

impl Folder {
    /// A conversation with a batch, an update and what `write` does last.
    async fn new(write: impl AsyncFnOnce(&FsStore, &SessionId)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path()).await.unwrap();
        let id = SessionId::new("s").unwrap();
        store.create_session(&Scope::DEFAULT, NewSession::with_id(id.clone())).await.unwrap();
        let first =
            store.append(&Scope::DEFAULT, &id, NewMessage::user("Grüße, À bientôt")).await.unwrap();
        let batch = ["one", "two", "three"].map(|text| NewMessage::assistant(text).with_tokens(1));
        store.append_all(&Scope::DEFAULT, &id, batch.to_vec()).await.unwrap();
        let patch = MessagePatch::new().with_content("changed");
        store.update_message(&Scope::DEFAULT, &id, &first.id, patch).await.unwrap();
        write(&store, &id).await;
        store.close().await.unwrap();
        let mut made = Self {
            whole: std::fs::read(folder.path().join("s.jsonl")).unwrap(),
            session: NewSession::with_id(id.clone())
                .into_session(shs_store::Timestamp::MAX)
                .unwrap(),
            messages: Vec::new(),
            folder,
            id,
        };
        (made.session, made.messages) = made.read().await.unwrap();
        made
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("s.jsonl")
    }

    fn put(&self, bytes: &[u8]) {
        std::fs::write(self.file(), bytes).unwrap();
    }

    /// Where each line ends, its line break included.
    fn line_ends(&self) -> Vec<usize> {
        let ends = self.whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(at, _)| at + 1).collect()
    }

    /// Opens the folder, for tests that do so often.
    async fn open(&self) -> Result<FsStore> {
        FsOptions::new(self.path()).with_durability(Durability::Relaxed).open().await
    }

    /// Opens the folder and reads everything.
    async fn read(&self) -> Result<(Session, Vec<Message>)> {
        let store = self.open().await?;
        let read = async {
            let page = store.messages(&Scope::DEFAULT, &self.id, &MessageQuery::new()).await?;
            Ok((store.session(&Scope::DEFAULT, &self.id).await?, page.items))
        };
        let read = read.await;
        store.close().await?;
        read
    }

    /// Reads, appends, and finds after another opening what was there and what was appended.
    async fn read_and_go_on(&self) -> Result<(Session, Vec<Message>)> {
        let read = self.read().await?;
        let store = self.open().await?;
        let appended = store.append(&Scope::DEFAULT, &self.id, NewMessage::user("goes on")).await?;
        store.close().await?;
        let (_, after) = self.read().await?;
        let expected: Vec<Message> = read.1.iter().cloned().chain([appended]).collect();
        assert_eq!(after, expected);
        Ok(read)
    }

    /// The folder as its file is refused as damaged, with the place.
    async fn assert_damaged(&self, what: &str) {
        let error = self.read().await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        for word in ["s.jsonl", "line", "byte"] {
            assert!(error.to_string().contains(word), "{what}: {error}");
        }
    }
}

async fn one_message(store: &FsStore, id: &SessionId) {
    store.append(&Scope::DEFAULT, id, NewMessage::user("the last")).await.unwrap();
}

#[tokio::test]
async fn a_file_cut_anywhere_loses_its_last_change_only() {
    let folder = Folder::new(one_message).await;
    let ends = folder.line_ends();
    for cut in 0..folder.whole.len() {
        folder.put(&folder.whole[..cut]);
        if cut + 1 < ends[0] {
            folder.assert_damaged(&format!("cut at {cut}")).await;
            continue;
        }
        // A line of which only the line break is missing is whole.
        let lines = ends.iter().filter(|end| **end <= cut + 1).count();
        let messages = [0, 0, 1, 1, 1, 4, 4, 5][lines];
        let (session, read) = folder.read_and_go_on().await.unwrap();
        assert_eq!(read.len(), messages, "cut at {cut}");
        assert_eq!(session.message_count, messages as u64);
        let changed = usize::from(lines < 6);
        assert!(read.iter().skip(changed).eq(folder.messages[..messages].iter().skip(changed)));
    }
}

#[tokio::test]
async fn a_flipped_byte_is_noticed_wherever_it_is() {
    let folder = Folder::new(one_message).await;
    for at in 0..folder.whole.len() {
        for flip in [1, 0x80, 0xff, folder.whole[at], folder.whole[at] ^ b'\n'] {
            let mut bytes = folder.whole.clone();
            bytes[at] ^= flip;
            if bytes != folder.whole {
                folder.put(&bytes);
                folder.assert_damaged(&format!("{flip:#x} at {at}")).await;
            }
        }
    }
}

/// Appends that one sync makes durable: a large one, which is still being written to when the others are queued.
async fn one_sync(store: &FsStore, id: &SessionId) {
    let wait = NewSession::new();
    let busy = store.create_session(&Scope::DEFAULT, wait.clone()).await.unwrap().id;
    let large = store.append(&Scope::DEFAULT, &busy, NewMessage::user("x".repeat(8 * 1024 * 1024)));
    let first = store.append(&Scope::DEFAULT, id, NewMessage::user("a".repeat(2_000)));
    let second = store.append(&Scope::DEFAULT, id, NewMessage::user("b".repeat(2_000)));
    let third = store.append(&Scope::DEFAULT, id, NewMessage::user("c".repeat(2_000)));
    let (large, first, second, third) = tokio::join!(large, first, second, third);
    large.and(first).and(second).and(third).unwrap();
    store.delete_session(&Scope::DEFAULT, &busy).await.unwrap();
}

/// A folder with [`one_sync`], and where its lines begin. Whether the three are queued together depends on how fast the
/// machine is, so it is tried until they are.
async fn with_one_sync() -> (Folder, usize) {
    for _ in 0..20 {
        let folder = Folder::new(one_sync).await;
        let ends = folder.line_ends();
        let (start, last) = (ends[ends.len() - 4], &folder.whole[ends[ends.len() - 2]..]);
        if String::from_utf8_lossy(last).contains(&format!("\"since\":{start},")) {
            return (folder, start);
        }
    }
    panic!("the three were never written with one sync");
}

#[tokio::test]
async fn sectors_that_a_power_cut_left_out_are_a_torn_write() {
    let (folder, start) = with_one_sync().await;
    let kept = folder.messages.len() - 3;
    // Every stretch of sectors of the last write, and what remains of the sector in which it began.
    let edges: Vec<usize> = std::iter::once(start)
        .chain((start.next_multiple_of(SECTOR)..folder.whole.len()).step_by(SECTOR))
        .chain([folder.whole.len()])
        .collect();
    for (number, from) in edges.iter().enumerate() {
        for to in &edges[number + 1..] {
            let mut bytes = folder.whole.clone();
            bytes[*from..*to].fill(0);
            folder.put(&bytes);
            let (_, read) = folder.read_and_go_on().await.unwrap();
            assert!(read.len() >= kept && read.len() < folder.messages.len());
            assert_eq!(read, folder.messages[..read.len()], "{from}..{to}");
        }
    }
}

#[tokio::test]
async fn sectors_that_vanish_from_what_was_acknowledged_are_damage() {
    let folder = Folder::new(async |store: &FsStore, id: &SessionId| {
        for letter in ["a", "b"] {
            store
                .append(&Scope::DEFAULT, id, NewMessage::user(letter.repeat(2_000)))
                .await
                .unwrap();
        }
    })
    .await;
    let last = folder.line_ends()[folder.line_ends().len() - 2];
    for from in (0..last - SECTOR).step_by(SECTOR) {
        let mut bytes = folder.whole.clone();
        bytes[from..from + SECTOR].fill(0);
        folder.put(&bytes);
        folder.assert_damaged(&format!("a hole at {from}")).await;
    }
}

#[tokio::test]
async fn a_file_that_was_cut_while_it_is_open_is_damaged() {
    let folder = Folder::new(one_message).await;
    let store = FsStore::open(folder.path()).await.unwrap();
    folder.put(&folder.whole[..folder.whole.len() - 10]);
    let error =
        store.append(&Scope::DEFAULT, &folder.id, NewMessage::user("more")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let last = &folder.messages.last().unwrap().id;
    let error = store.message(&Scope::DEFAULT, &folder.id, last).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let patch = SessionPatch::new().with_title("t");
    let error = store.update_session(&Scope::DEFAULT, &folder.id, patch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    folder.put(&folder.whole);
    let appended =
        store.append(&Scope::DEFAULT, &folder.id, NewMessage::user("more")).await.unwrap();
    store.close().await.unwrap();
    let (_, read) = folder.read().await.unwrap();
    assert_eq!(read.last(), Some(&appended));
    assert_eq!(read[..read.len() - 1], folder.messages);
}

#[tokio::test]
async fn a_name_that_is_no_file_is_refused() {
    let folder = Folder::new(one_message).await;
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::create_dir(folder.file()).unwrap();
    let error = folder.read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("s.jsonl"), "{error}");
    std::fs::remove_dir(folder.file()).unwrap();
    // What is somebody else's and looks like nothing of ours does not matter.
    for name in ["README.md", ".hidden.jsonl", "s.jsonl.bak"] {
        std::fs::write(folder.path().join(name), "text").unwrap();
    }
    std::fs::create_dir(folder.path().join(".git")).unwrap();
    folder.put(&folder.whole);
    folder.read().await.unwrap();
}

/// One file that was touched leaves the other conversations as they are, in every operation.
#[tokio::test]
async fn a_damaged_file_is_an_error_of_its_conversation_alone() {
    let folder = Folder::new(one_message).await;
    let other = SessionId::new("other").unwrap();
    let name = |id: &str| folder.path().join(format!("{id}.jsonl"));
    for content in ["{\"a\":1}\n", "", "no JSON", "\0\0\0\0"] {
        folder.put(&folder.whole);
        std::fs::write(name("other"), content).unwrap();
        let (_, messages) = folder.read().await.unwrap();
        assert_eq!(messages, folder.messages, "{content:?}");
        let store = FsStore::open(folder.path()).await.unwrap();
        let scope = &Scope::DEFAULT;
        let error = store.session(scope, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("other.jsonl"), "{error}");
        assert!(!error.to_string().contains("remove"), "it is the only copy: {error}");
        let new = NewSession::with_id(other.clone());
        let error = store.create_session(scope, new).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        let error = store.append(scope, &other, NewMessage::user("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        store.append(scope, &folder.id, NewMessage::user("goes on")).await.unwrap();
        let listed = store.list_sessions(scope, &Default::default()).await.unwrap().items;
        assert_eq!(listed.len(), 1);
        let hits = store.search(scope, &SearchQuery::new("goes")).await.unwrap().items;
        assert_eq!(hits.len(), 1);
        assert_eq!(store.stats(scope, &Default::default()).await.unwrap().sessions, 1);
        store.close().await.unwrap();
        assert_eq!(std::fs::read(name("other")).unwrap(), content.as_bytes(), "as it was");
    }
}

/// A file with another name than its session has is not called a copy while it is the only one.
#[tokio::test]
async fn a_renamed_file_is_an_error_that_says_how_it_was_called() {
    let folder = Folder::new(one_message).await;
    let renamed = folder.path().join("renamed.jsonl");
    std::fs::rename(folder.file(), &renamed).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    let id = SessionId::new("renamed").unwrap();
    let error = store.session(&Scope::DEFAULT, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("rename it"), "{error}");
    assert!(error.to_string().contains("s.jsonl"), "{error}");
    store.close().await.unwrap();
    std::fs::rename(&renamed, folder.file()).unwrap();
    assert_eq!(folder.read().await.unwrap().1, folder.messages);
    // Beside the right one it is a copy, and no reason to refuse that.
    std::fs::copy(folder.file(), &renamed).unwrap();
    assert_eq!(folder.read().await.unwrap().1, folder.messages);
}
