//! What the Python package stored opens as it is, and it reads what is exported here.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use session_history_saver::{
    ErrorKind, Scope, SessionQuery, Store, StoreExt, Timestamp, Transcript,
};
use shs_fs::FsStore;
use shs_sqlite::SqliteStore;
use shs_tests::{python, skip};

/// What the package's own reader made of a session.
type Expected = BTreeMap<String, Value>;

fn expected(path: &Path) -> Expected {
    let sessions: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(sessions.len(), 4, "the script writes four sessions");
    let id = |session: &Value| session["session_id"].as_str().unwrap().to_owned();
    sessions.into_iter().map(|session| (id(&session), session)).collect()
}

/// Every field of every session and message is what the package says, in its order, and the counts are right.
async fn compare(store: &dyn Store, expected: &Expected) {
    let page = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap();
    assert_eq!(page.items.len(), expected.len());
    for session in page.items {
        let theirs = &expected[session.id.as_str()];
        let transcript = store.transcript(&Scope::DEFAULT, &session.id).await.unwrap();
        assert_eq!(transcript.session, session, "the store's counts are those of the messages");
        let ours = serde_json::to_value(&transcript).unwrap();
        assert_same(ours.as_object().unwrap(), theirs.as_object().unwrap());
    }
}

/// Each of the package's keys has the same value here; times are compared as times.
fn assert_same(ours: &Map<String, Value>, theirs: &Map<String, Value>) {
    for (key, wanted) in theirs {
        let found = &ours[key];
        match key.as_str() {
            "created_at" | "updated_at" | "timestamp" => {
                let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
                assert_eq!(time(found), time(wanted), "{key}");
            }
            "messages" => {
                let (found, wanted) = (found.as_array().unwrap(), wanted.as_array().unwrap());
                assert_eq!(found.len(), wanted.len());
                for (found, wanted) in found.iter().zip(wanted) {
                    assert_same(found.as_object().unwrap(), wanted.as_object().unwrap());
                }
            }
            _ => assert_eq!(found, wanted, "{key}"),
        }
    }
}

#[tokio::test]
async fn its_database_opens_as_it_is() {
    let python = match python::interpreter(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(why) => return skip("its_database_opens_as_it_is", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    python::script(&python, "write.py", folder.path());
    let expected = expected(&folder.path().join("expected-sqlite.json"));
    assert_eq!(expected["long"]["messages"].as_array().unwrap().len(), 250);
    let path = folder.path().join("history.db");

    let store = SqliteStore::open(&path).await.unwrap();
    compare(&store, &expected).await;
    store.close().await.unwrap();
    // The second time it is an ordinary database.
    let store = SqliteStore::open(&path).await.unwrap();
    compare(&store, &expected).await;
    let stats = store.stats(&Scope::DEFAULT, &Default::default()).await.unwrap();
    assert_eq!((stats.sessions, stats.messages), (4, 257));
    let found = store
        .search(&Scope::DEFAULT, &session_history_saver::SearchQuery::new("部署 OR double"))
        .await;
    assert!(found.unwrap().items.is_empty(), "tags are not content");
    store.close().await.unwrap();

    // The original is beside it, and the package itself still reads it.
    let backup = folder.path().join("history.db.python-backup");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(
        names.iter().filter(|n| n.to_string_lossy().contains("backup")).count(),
        1,
        "{names:?}"
    );
    let again = tempfile::tempdir().unwrap();
    let copy = again.path().join("history.db");
    std::fs::copy(&backup, &copy).unwrap();
    let store = SqliteStore::open(&copy).await.unwrap();
    compare(&store, &expected).await;
}

#[tokio::test]
async fn its_json_folder_opens_as_it_is() {
    let python = match python::interpreter(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(why) => return skip("its_json_folder_opens_as_it_is", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    python::script(&python, "write.py", folder.path());
    let expected = expected(&folder.path().join("expected-json.json"));
    let path = folder.path().join("history");
    let original = std::fs::read(path.join("plain.json")).unwrap();

    let store = FsStore::open(&path).await.unwrap();
    compare(&store, &expected).await;
    store.close().await.unwrap();
    let store = FsStore::open(&path).await.unwrap();
    compare(&store, &expected).await;
    store.close().await.unwrap();
    assert_eq!(std::fs::read(path.join("plain.json.python-backup")).unwrap(), original);
    assert!(!path.join("plain.json").exists());
}

#[tokio::test]
async fn a_json_file_cut_in_half_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = r#"{"session_id": "a", "messages": [{"role": "user", "content": "x"}]}"#;
    let half = &whole[..whole.len() / 2];
    std::fs::write(folder.path().join("a.json"), whole).unwrap();
    std::fs::write(folder.path().join("b.json"), half).unwrap();
    let error = FsStore::open(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("b.json") && error.to_string().contains("line 1"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("a.json")).unwrap(), whole);
    assert_eq!(std::fs::read_to_string(folder.path().join("b.json")).unwrap(), half);

    std::fs::rename(folder.path().join("b.json"), folder.path().join("b.broken")).unwrap();
    let store = FsStore::open(folder.path()).await.unwrap();
    assert_eq!(
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items.len(),
        1
    );
}

#[tokio::test]
async fn the_package_imports_what_is_exported_here() {
    let python = match python::interpreter(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(python) => python,
        Err(why) => return skip("the_package_imports_what_is_exported_here", &why),
    };
    let folder = tempfile::tempdir().unwrap();
    python::script(&python, "write.py", folder.path());
    for file in ["expected-sqlite.json", "expected-json.json"] {
        for theirs in expected(&folder.path().join(file)).into_values() {
            let transcript: Transcript = serde_json::from_value(theirs).unwrap();
            let path = folder.path().join("export.json");
            std::fs::write(&path, serde_json::to_vec(&transcript).unwrap()).unwrap();
            let read: Value =
                serde_json::from_str(&python::script(&python, "import.py", &path)).unwrap();
            let ours = serde_json::to_value(&transcript).unwrap();
            assert_same(ours.as_object().unwrap(), read.as_object().unwrap());
        }
    }
}
