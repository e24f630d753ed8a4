//! Exports and imports.

mod stores;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use serde_json::{Value, json};
use session_history_saver::export::Format;
use session_history_saver::{
    ErrorKind, ImportMode, NewMessage, Role, Scope, SessionQuery, SessionTracker, StoreExt,
    Timestamp, Transcript,
};
use stores::on_every_store;
use tokio::io::AsyncWrite;

/// A session with everything that is hard to write.
async fn talk(history: &SessionTracker, id: &str) {
    let at: Timestamp = "2026-11-22T11:30:00Z".parse().unwrap();
    let session = history
        .session()
        .id(id)
        .user("alice")
        .project("bot")
        .title("Billing, \"urgent\"")
        .tags(["a", "b"])
        .metadata("plan", json!({"name": "pro"}))
        .created_at(at)
        .await
        .unwrap();
    session.user("Hello, \"you\"\n=1+1 日本語").timestamp(at).await.unwrap();
    session
        .assistant("=HYPERLINK(\"x\")")
        .tokens(0)
        .model("m")
        .latency_ms(0.0)
        .timestamp("2026-11-22T11:30:01.5Z".parse().unwrap())
        .await
        .unwrap();
}

on_every_store! {
    async fn feature_export_json_is_what_serde_makes_of_the_transcript(history) {
        talk(&history, "s1").await;
        let empty = history.session().id("empty").await.unwrap();
        for id in ["s1", "empty"] {
            let id = id.parse().unwrap();
            let transcript = history.store().transcript(&Scope::DEFAULT, &id).await.unwrap();
            let pretty = history.export(Format::Json).session(&id).to_string().await.unwrap();
            let compact = history.export(Format::Json).session(&id).compact().to_string().await.unwrap();
            assert_eq!(pretty, serde_json::to_string_pretty(&transcript).unwrap());
            assert_eq!(compact, serde_json::to_string(&transcript).unwrap());
        }
        let array = history.export(Format::Json).to_string().await.unwrap();
        let read: Vec<Transcript> = serde_json::from_str(&array).unwrap();
        assert_eq!(array, serde_json::to_string_pretty(&read).unwrap());
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].session.id, *empty.id(), "the latest started first");
        let none = history.export(Format::Json).sessions(SessionQuery::new().with_user("nobody"));
        assert_eq!(none.to_string().await.unwrap(), "[]");
    }

    async fn feature_export_jsonl_has_a_session_on_each_line(history) {
        talk(&history, "s1").await;
        talk(&history, "s2").await;
        let lines = history.export(Format::JsonLines).to_string().await.unwrap();
        let sessions: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(sessions[0]["session_id"], "s2");
        assert_eq!(sessions[1]["session_id"], "s1");
        assert_eq!(sessions[1]["duration_seconds"], 1.5);
        assert_eq!(sessions.len(), 2);
    }

    async fn feature_export_csv_has_the_columns_of_the_python_package(history) {
        talk(&history, "s1").await;
        let csv = history.export(Format::Csv).to_string().await.unwrap();
        let lines: Vec<_> = csv.split("\r\n").collect();
        assert_eq!(
            lines[0],
            "session_id,user_id,project_id,title,tags,message_id,role,content,timestamp,tokens,model,latency_ms,status"
        );
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(&rows[0][3], "Billing, \"urgent\"");
        assert_eq!(&rows[0][4], "a,b");
        assert_eq!(&rows[0][7], "Hello, \"you\"\n=1+1 日本語");
        assert_eq!(&rows[0][8], "2026-11-22T11:30:00.000000+00:00");
        assert_eq!((&rows[0][9], &rows[0][10], &rows[0][11]), ("", "", ""));
        assert_eq!(&rows[0][12], "delivered");
    }

    async fn fault_csv_a_zero_stays_a_zero_and_no_cell_is_a_formula(history) {
        talk(&history, "s1").await;
        let csv = history.export(Format::Csv).to_string().await.unwrap();
        let mut rows = csv::Reader::from_reader(csv.as_bytes());
        let row = rows.records().nth(1).unwrap().unwrap();
        assert_eq!((&row[9], &row[11]), ("0", "0.0"));
        assert_eq!(&row[7], "'=HYPERLINK(\"x\")");
    }

    async fn feature_export_markdown_is_what_the_python_package_writes(history) {
        talk(&history, "s1").await;
        let id = "s1".parse().unwrap();
        let markdown = history.export(Format::Markdown).session(&id).to_string().await.unwrap();
        let expected = "# Billing, \"urgent\"\n\n- **Session ID:** `s1`\n- **Created:** 2026-11-22 11:30 UTC\n\
            - **User:** alice\n- **Project:** bot\n- **Tags:** a, b\n- **Messages:** 2\n\n---\n\n\
            ## Conversation\n\n### 👤 User `[11:30:00]`\n\nHello, \"you\"\n=1+1 日本語\n\n\
            ### 🤖 Assistant `[11:30:01]`\n\n=HYPERLINK(\"x\")\n";
        assert_eq!(markdown, expected);
        let export = history.export(Format::Markdown).session(&id).with_metadata();
        assert!(export.to_string().await.unwrap().contains("> _model=m, tokens=0, latency=0ms_\n"));
    }

    async fn feature_export_plain_text_has_roles_and_contents(history) {
        talk(&history, "s1").await;
        let text = history.export(Format::Text).to_string().await.unwrap();
        assert_eq!(text, "[USER]: Hello, \"you\"\n=1+1 日本語\n[ASSISTANT]: =HYPERLINK(\"x\")\n");
    }

    async fn feature_save_to_file_creates_parent_folders_and_replaces_at_once(history) {
        talk(&history, "s1").await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/history.jsonl");
        for _ in 0..2 {
            let export = history.export(Format::JsonLines);
            assert_eq!(export.to_file(&path).await.unwrap().files, std::slice::from_ref(&path));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), export.to_string().await.unwrap());
        }
        let missing = "nobody".parse().unwrap();
        let error = history.export(Format::Json).session(&missing).to_file(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let before = history.export(Format::JsonLines).to_string().await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "as it was");
        // Dropped after one poll, wherever that led to: the old file or the new one, whole.
        drop(history.export(Format::Csv).to_file(&path).now_or_never());
        let after = history.export(Format::Csv).to_string().await.unwrap();
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(found == before || found == after, "{found}");
    }

    async fn a_long_session_is_exported_over_many_pages(history) {
        let session = history.session().await.unwrap();
        let batch = (0..1_234).map(|n| NewMessage::new(Role::Tool, format!("message {n}")));
        history.store().append_all(&Scope::DEFAULT, session.id(), batch.collect()).await.unwrap();
        let transcript = history.store().transcript(&Scope::DEFAULT, session.id()).await.unwrap();
        let mut bytes = Vec::new();
        let export = history.export(Format::Json).session(session.id());
        export.to_writer(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), serde_json::to_string_pretty(&transcript).unwrap());
    }

    async fn feature_import_reads_what_the_python_package_exports(history) {
        let exported = json!({
            "session_id": "py", "user_id": "alice", "project_id": null, "tags": ["a"],
            "metadata": {"k": null}, "title": null, "created_at": "2026-11-22T11:30:00+00:00",
            "updated_at": "2026-11-22T11:30:05.250000+00:00", "message_count": 9, "total_tokens": 0,
            "duration_seconds": 5.25,
            "messages": [
                {"message_id": "m1", "role": "user", "content": "Hello", "timestamp":
                 "2026-11-22T11:30:00+00:00", "metadata": {}, "status": "delivered", "tokens": 2,
                 "model": null, "latency_ms": null},
                {"message_id": "m2", "role": "assistant", "content": "Hi", "timestamp":
                 "2026-11-22T11:30:05.250000+00:00", "metadata": {}, "status": "delivered", "tokens": 3,
                 "model": "m", "latency_ms": 410.0}
            ]
        });
        let session = history.import_value(exported, ImportMode::CreateOnly).await.unwrap();
        assert_eq!((session.message_count, session.total_tokens), (2, 5), "counted anew");
        assert_eq!(history.session_stats(&session.id).await.unwrap().duration_seconds, Some(5.25));
        assert_eq!(history.messages(&session.id).await.unwrap()[1].latency_ms, Some(410.0));
    }

    async fn json_lines_come_back(history) {
        talk(&history, "s1").await;
        talk(&history, "s2").await;
        let lines = history.export(Format::JsonLines).to_string().await.unwrap();
        let one = history.store().transcript(&Scope::DEFAULT, &"s1".parse().unwrap()).await.unwrap();
        history.delete_user("alice").await.unwrap();
        let text = format!("\u{feff}\n{lines}\n\n");
        let imported = history.import_lines(text.as_bytes(), ImportMode::CreateOnly).await.unwrap();
        assert_eq!((imported.sessions, imported.messages), (2, 4));
        assert_eq!(history.store().transcript(&Scope::DEFAULT, &one.session.id).await.unwrap(), one);
        let error = history.import_lines(text.as_bytes(), ImportMode::CreateOnly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    async fn json_that_is_cut_in_half_says_where_and_imports_nothing(history) {
        talk(&history, "s1").await;
        let json = history.export(Format::Json).to_string().await.unwrap();
        let json = &json[2..json.len() - 2];
        history.delete_user("alice").await.unwrap();
        let half = &json[..json.len() / 2];
        let error = history.import_json(half, ImportMode::CreateOnly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains("cut off, at line ") && text.contains(" column "), "{text}");

        let compact = serde_json::from_str::<Value>(json).unwrap().to_string();
        let lines = format!("\n{}", &compact[..compact.len() / 2]);
        let error = history.import_lines(lines.as_bytes(), ImportMode::CreateOnly).await.unwrap_err();
        assert!(error.to_string().contains("cut off, at line 2 column "), "{error}");
        assert_eq!(history.stats().await.unwrap().sessions, 0);
    }

    async fn what_is_no_session_is_told_without_its_content(history) {
        for (json, what) in [
            ("hello", "this is not JSON"),
            (r#"{"messages": [{"role": "robot", "content": "c"}]}"#, "this JSON is not a session"),
            (r#"{"messages": "my secret"}"#, "this JSON is not a session"),
        ] {
            let error = history.import_json(json, ImportMode::CreateOnly).await.unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_names_its_path_and_leaves_nothing() {
    let (history, frail) = stores::frail();
    talk(&history, "s1").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let path = folder.path().join("file/history.csv");
    let error = history.export(Format::Csv).to_file(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("history.csv"), "{error}");

    let path = folder.path().join("history.csv");
    std::fs::write(&path, "old").unwrap();
    frail.set_broken(true);
    assert!(history.export(Format::Csv).to_file(&path).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no draft remains");
}

/// Takes everything, and remembers how much came at once.
#[derive(Default)]
struct Measure {
    total: usize,
    largest: usize,
}

impl AsyncWrite for Measure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.total += bytes.len();
        self.largest = self.largest.max(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_export_is_written_piece_by_piece() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let batch = (0..5_000).map(|n| NewMessage::user(format!("{n} {}", "x".repeat(1_000))));
    history.store().append_all(&Scope::DEFAULT, session.id(), batch.collect()).await.unwrap();
    for format in Format::ALL.iter().filter(|format| !format.is_for_training()) {
        let mut measure = Measure::default();
        history.export(*format).session(session.id()).to_writer(&mut measure).await.unwrap();
        assert!(measure.total > 5_000_000, "{format}");
        assert!(measure.largest < 100_000, "{format}: {} bytes at once", measure.largest);
    }
}

#[tokio::test]
async fn an_export_that_is_dropped_at_any_await_leaves_the_old_file_or_the_new_one() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let batch = (0..500).map(|n| NewMessage::user(format!("{n} {}", "x".repeat(1_000))));
    history.store().append_all(&Scope::DEFAULT, session.id(), batch.collect()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let export = history.export(Format::JsonLines);
    let new = export.to_string().await.unwrap();
    for polls in 0..40 {
        std::fs::write(&path, "old").unwrap();
        let mut writing = Box::pin(export.to_file(&path));
        for _ in 0..polls {
            if futures::poll!(&mut writing).is_ready() {
                break;
            }
            // Gives the threads that write a turn.
            tokio::task::spawn_blocking(|| {}).await.unwrap();
        }
        drop(writing);
        // A thread that was begun may still finish; it does so whole.
        while std::fs::read_dir(folder.path()).unwrap().count() > 1 {
            tokio::task::yield_now().await;
        }
        let left = std::fs::read_to_string(&path).unwrap();
        assert!(left == "old" || left == new, "after {polls} polls");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_replaced_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;

    let (history, _) = stores::frail();
    talk(&history, "s1").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.csv");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    history.export(Format::Csv).to_file(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn formats_are_read_by_name_and_extension() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse::<Format>().unwrap(), *format);
        let expected = if format.extension() == "jsonl" { Format::JsonLines } else { *format };
        assert_eq!(format.extension().parse::<Format>().unwrap(), expected);
    }
    let error = "pdf".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("json, jsonl, csv, markdown, text"), "{error}");
}
