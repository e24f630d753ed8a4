//! The journal: what was acknowledged is there also if the files lost what was not synced in them.

mod killed;

use std::path::{Path, PathBuf};

use shs_fs::{FsOptions, FsStore};
use shs_store::{
    Durability, ErrorKind, ImportMode, MessagePatch, NewMessage, NewSession, Result, Scope, Seq,
    SessionId, Store, StoreExt, Transcript,
};
use tempfile::TempDir;

use killed::killed;

fn id(name: &str) -> SessionId {
    SessionId::new(name).unwrap()
}

async fn create(store: &FsStore, name: &str) {
    store.create_session(&Scope::DEFAULT, NewSession::with_id(id(name))).await.unwrap();
}

async fn append(store: &FsStore, name: &str, text: &str) {
    store.append(&Scope::DEFAULT, &id(name), NewMessage::user(text)).await.unwrap();
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(format!("{name}.jsonl"))
}

fn journal(folder: &TempDir) -> PathBuf {
    folder.path().join(".journal")
}

/// Opens a folder and reads the contents of a conversation.
async fn texts(folder: &Path, name: &str) -> Result<Vec<String>> {
    let store = FsOptions::new(folder).with_durability(Durability::Relaxed).open().await?;
    let messages = store.last_messages(&Scope::DEFAULT, &id(name), 1_000).await;
    store.close().await?;
    Ok(messages?.into_iter().map(|message| message.content).collect())
}

#[tokio::test]
async fn what_a_file_loses_in_a_power_cut_is_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for name in ["a", "b"] {
        create(&store, name).await;
        append(&store, name, "flushed").await;
    }
    store.flush().await.unwrap();
    let flushed = killed(&folder);
    let mut expected = vec!["flushed".to_owned()];
    for number in 0..20 {
        expected.push(format!("message {number}"));
        append(&store, "a", expected.last().unwrap()).await;
        let image = killed(&folder);
        // The file as it was flushed; then longer, with nothing in it.
        let short = std::fs::read(file(&flushed, "a")).unwrap();
        let mut hollow = short.clone();
        hollow.resize(std::fs::read(file(&image, "a")).unwrap().len(), 0);
        for content in [short, hollow] {
            std::fs::copy(journal(&folder), journal(&image)).unwrap();
            std::fs::write(file(&image, "a"), content).unwrap();
            assert_eq!(texts(image.path(), "a").await.unwrap(), expected);
            assert!(!journal(&image).exists(), "it is in the files now");
        }
        assert_eq!(texts(image.path(), "b").await.unwrap(), ["flushed"]);
    }
}

#[tokio::test]
async fn what_was_written_by_a_killed_process_is_durable_with_the_next_append() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    create(&store, "a").await;
    store.flush().await.unwrap();
    let flushed = killed(&folder);
    append(&store, "a", "one").await;
    let image = killed(&folder);
    // As if the process had been killed before the journal was written.
    std::fs::remove_file(journal(&image)).unwrap();
    let store = FsStore::open(image.path()).await.unwrap();
    append(&store, "a", "two").await;
    let image = killed(&image);
    std::fs::copy(file(&flushed, "a"), file(&image, "a")).unwrap();
    assert_eq!(texts(image.path(), "a").await.unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn a_line_break_that_was_missing_is_durable_with_the_next_append() {
    for repeats in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path()).await.unwrap();
        create(&store, "a").await;
        let first = NewMessage::user("first");
        store.append(&Scope::DEFAULT, &id("a"), first.clone()).await.unwrap();
        store.close().await.unwrap();
        // As an editor leaves it, or a power cut between the last line and its end.
        let mut short = std::fs::read(file(&folder, "a")).unwrap();
        assert_eq!(short.pop(), Some(b'\n'));
        std::fs::write(file(&folder, "a"), &short).unwrap();

        let store = FsStore::open(folder.path()).await.unwrap();
        if repeats {
            store.append(&Scope::DEFAULT, &id("a"), first).await.unwrap();
        }
        append(&store, "a", "second").await;
        let image = killed(&folder);
        std::fs::copy(journal(&folder), journal(&image)).unwrap();
        std::fs::write(file(&image, "a"), &short).unwrap();
        assert_eq!(texts(image.path(), "a").await.unwrap(), ["first", "second"], "{repeats}");
    }
}

#[tokio::test]
async fn what_is_cut_off_before_an_append_is_cut_off_on_disk_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    create(&store, "a").await;
    append(&store, "a", "one").await;
    append(&store, "a", "torn").await;
    store.close().await.unwrap();
    let whole = std::fs::read(file(&folder, "a")).unwrap();
    std::fs::write(file(&folder, "a"), &whole[..whole.len() - 9]).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    append(&store, "a", "two").await;
    // The journal does not know of the cut: the file was synced in its place.
    assert!(!journal(&folder).exists());
    append(&store, "a", "three").await;
    assert!(journal(&folder).exists());
    assert_eq!(texts(killed(&folder).path(), "a").await.unwrap(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_file_made_anew_is_not_given_what_its_predecessor_had() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for name in ["again", "gone", "over", "less"] {
        create(&store, name).await;
        append(&store, name, "an earlier one, longer than all that is to follow").await;
        append(&store, name, "another").await;
    }
    store.delete_session(&Scope::DEFAULT, &id("again")).await.unwrap();
    create(&store, "again").await;
    store.delete_session(&Scope::DEFAULT, &id("gone")).await.unwrap();
    let session = store.session(&Scope::DEFAULT, &id("over")).await.unwrap();
    let transcript = Transcript::new(session, Vec::new()).unwrap();
    store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await.unwrap();
    let last = store.last_messages(&Scope::DEFAULT, &id("less"), 1).await.unwrap().remove(0);
    store.delete_message(&Scope::DEFAULT, &id("less"), &last.id).await.unwrap();
    // A new file is synced as a whole; what is added is not.
    let made = killed(&folder);
    for name in ["again", "over", "less"] {
        append(&store, name, "new").await;
    }
    let image = killed(&folder);
    for name in ["again", "over", "less"] {
        std::fs::copy(file(&made, name), file(&image, name)).unwrap();
    }
    assert_eq!(texts(image.path(), "again").await.unwrap(), ["new"]);
    assert_eq!(texts(image.path(), "over").await.unwrap(), ["new"]);
    let kept = "an earlier one, longer than all that is to follow";
    assert_eq!(texts(image.path(), "less").await.unwrap(), [kept, "new"]);
    let gone = texts(image.path(), "gone").await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_of_before_there_was_a_journal_is_kept_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    create(&store, "old").await;
    store.close().await.unwrap();
    let text = std::fs::read_to_string(file(&folder, "old")).unwrap();
    let (before, after) = text.split_once(",\"incarnation\":\"").unwrap();
    let body = format!("{before}{}", &after[37..after.find(",\"crc\"").unwrap()]);
    let old = format!("{body},\"crc\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes()));
    std::fs::write(file(&folder, "old"), &old).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    append(&store, "old", "new").await;
    let image = killed(&folder);
    std::fs::write(file(&image, "old"), &old).unwrap();
    assert_eq!(texts(image.path(), "old").await.unwrap(), ["new"]);
}

#[tokio::test]
async fn a_journal_that_is_full_starts_over() {
    const BYTES: u64 = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let options = FsOptions::new(folder.path()).with_journal_bytes(BYTES);
    let store = options.open().await.unwrap();
    create(&store, "a").await;
    let mut expected = Vec::new();
    for number in 0..60 {
        // Now and then one that has no place in it.
        let times = if number % 20 == 7 { 2_000 } else { 10 };
        expected.push(format!("{number} ").repeat(times));
        append(&store, "a", expected.last().unwrap()).await;
        assert_eq!(std::fs::metadata(journal(&folder)).unwrap().len(), 4_096 + BYTES);
        if number % 5 == 0 {
            assert_eq!(texts(killed(&folder).path(), "a").await.unwrap(), expected);
        }
    }
    let epoch = std::fs::read(journal(&folder)).unwrap()[17];
    assert!(epoch > 10, "it started over {epoch} times");
    store.close().await.unwrap();
    assert!(!journal(&folder).exists());
    assert_eq!(texts(folder.path(), "a").await.unwrap(), expected);
}

#[tokio::test]
async fn what_follows_in_a_batch_reads_what_was_appended_before_it() {
    const SESSIONS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for number in 0..SESSIONS {
        create(&store, &number.to_string()).await;
    }
    let first = NewMessage::user("first").with_id("first".parse().unwrap());
    let second = NewMessage::user("second").with_id("second".parse().unwrap());
    // On this runtime tasks begin one after the other, so that this is the order in which the store is called. While it waits
    // for the disk once, the rest becomes a batch.
    let mut calls = Vec::new();
    for step in 0..7 {
        for number in 0..SESSIONS {
            let store = store.clone();
            let (first, second) = (first.clone(), second.clone());
            calls.push(tokio::spawn(async move {
                let id = id(&number.to_string());
                match step {
                    0 => assert_eq!(
                        store.append_all(&Scope::DEFAULT, &id, vec![first]).await.unwrap().inserted,
                        1
                    ),
                    1 => assert_eq!(
                        store.append_all(&Scope::DEFAULT, &id, vec![first]).await.unwrap().inserted,
                        0
                    ),
                    2 => {
                        let patch = MessagePatch::new().with_content("changed");
                        store.update_message(&Scope::DEFAULT, &id, &first.id, patch).await.unwrap();
                    }
                    3 => assert_eq!(
                        store.append(&Scope::DEFAULT, &id, second).await.unwrap().seq.get(),
                        2
                    ),
                    4 => {
                        let fork = SessionId::new(format!("fork-{number}")).unwrap();
                        let fork = NewSession::with_id(fork);
                        store.fork(&Scope::DEFAULT, &id, Seq::from(2), fork).await.unwrap();
                    }
                    5 => assert!(
                        store.delete_message(&Scope::DEFAULT, &id, &second.id).await.unwrap()
                    ),
                    _ => assert_eq!(
                        store.append(&Scope::DEFAULT, &id, second).await.unwrap().seq.get(),
                        3
                    ),
                }
            }));
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    let image = killed(&folder);
    store.close().await.unwrap();
    for folder in [image.path(), folder.path()] {
        for number in 0..SESSIONS {
            for name in [number.to_string(), format!("fork-{number}")] {
                assert_eq!(texts(folder, &name).await.unwrap(), ["changed", "second"]);
            }
        }
    }
}

#[tokio::test]
async fn more_files_than_are_held_open_are_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    for number in 0..600 {
        create(&store, &number.to_string()).await;
    }
    for round in 0..2 {
        for number in 0..600 {
            append(&store, &number.to_string(), &format!("{round}")).await;
        }
    }
    let image = killed(&folder);
    for number in [0, 255, 256, 599] {
        assert_eq!(texts(image.path(), &number.to_string()).await.unwrap(), ["0", "1"]);
    }
}

#[tokio::test]
async fn a_damaged_journal_is_an_error_or_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsOptions::new(folder.path()).with_journal_bytes(4_096).open().await.unwrap();
    create(&store, "a").await;
    store.flush().await.unwrap();
    let flushed = std::fs::read(file(&folder, "a")).unwrap();
    for text in ["one", "two", "three"] {
        append(&store, "a", text).await;
    }
    let image = killed(&folder);
    let whole = std::fs::read(file(&image, "a")).unwrap();
    let written = std::fs::read(journal(&image)).unwrap();
    let end = written.iter().rposition(|byte| *byte != 0).unwrap() + 10;
    let last = written.windows(4).rposition(|mark| mark == [0xff, b'r', b'e', b'c']).unwrap();
    let mut refused = 0;
    for at in (0..40).chain(4_096..end) {
        for flip in [1 << (at % 8), written[at]] {
            let mut damaged = written.clone();
            damaged[at] ^= flip;
            if damaged == written {
                continue;
            }
            for content in [&whole, &flushed] {
                std::fs::write(journal(&image), &damaged).unwrap();
                std::fs::write(file(&image, "a"), content).unwrap();
                match texts(image.path(), "a").await {
                    // The last write was torn, as far as one can see.
                    Ok(found) if content == &flushed && at >= last => {
                        assert!(found[..2] == ["one", "two"], "{flip:#x} at {at}");
                    }
                    Ok(found) => assert_eq!(found, ["one", "two", "three"], "{flip:#x} at {at}"),
                    Err(error) => {
                        let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported];
                        assert!(kinds.contains(&error.kind()), "{flip:#x} at {at}: {error}");
                        assert!(error.to_string().contains(".journal"), "{error}");
                        assert_eq!(std::fs::read(journal(&image)).unwrap(), damaged);
                        assert_eq!(std::fs::read(file(&image, "a")).unwrap(), *content);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 500, "{refused} were refused");
    // As the error says.
    std::fs::write(journal(&image), "").unwrap();
    std::fs::write(file(&image, "a"), whole).unwrap();
    texts(image.path(), "a").await.unwrap_err();
    std::fs::remove_file(journal(&image)).unwrap();
    assert_eq!(texts(image.path(), "a").await.unwrap(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_journal_is_not_written_into_a_file_that_was_cut_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    create(&store, "a").await;
    append(&store, "a", "one").await;
    store.flush().await.unwrap();
    append(&store, "a", "two").await;
    let image = killed(&folder);
    let whole = std::fs::read(file(&image, "a")).unwrap();
    let line = whole.iter().position(|byte| *byte == b'\n').unwrap();
    let mut damaged = whole.clone();
    damaged[7] ^= 1;
    for content in [&whole[..=line], &damaged[..]] {
        std::fs::write(file(&image, "a"), content).unwrap();
        let error = texts(image.path(), "a").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("a.jsonl"), "{error}");
        assert!(journal(&image).exists());
    }
    std::fs::write(file(&image, "a"), whole).unwrap();
    assert_eq!(texts(image.path(), "a").await.unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn a_file_with_the_journals_name_that_is_none_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[u8], ErrorKind); 4] = [
        (b"", ErrorKind::Corrupt),
        (b"dear diary", ErrorKind::Corrupt),
        (b"shs-fs journal 1\n", ErrorKind::Corrupt),
        (b"shs-fs journal 2\n", ErrorKind::Unsupported),
    ];
    for (content, kind) in cases {
        std::fs::write(journal(&folder), content).unwrap();
        let error = FsStore::open(folder.path()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(".journal"), "{error}");
        assert_eq!(std::fs::read(journal(&folder)).unwrap(), content);
    }
    std::fs::remove_file(journal(&folder)).unwrap();
    std::fs::create_dir(journal(&folder)).unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn there_is_a_journal_only_while_a_durable_store_is_written_to() {
    let folder = tempfile::tempdir().unwrap();
    for (durability, expected) in [(Durability::Relaxed, false), (Durability::Full, true)] {
        let store = FsOptions::new(folder.path()).with_durability(durability).open().await.unwrap();
        create(&store, &format!("{durability:?}").to_lowercase()).await;
        assert!(!journal(&folder).exists());
        let name = format!("{durability:?}").to_lowercase();
        append(&store, &name, "one").await;
        let message = store.last_messages(&Scope::DEFAULT, &id(&name), 1).await.unwrap().remove(0);
        let patch = MessagePatch::new().with_content("changed");
        store.update_message(&Scope::DEFAULT, &id(&name), &message.id, patch).await.unwrap();
        assert_eq!(journal(&folder).exists(), expected);
        store.close().await.unwrap();
        assert!(!journal(&folder).exists());
        assert_eq!(texts(folder.path(), &name).await.unwrap(), ["changed"]);
    }
}
