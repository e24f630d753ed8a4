//! Files: pages for browsers, splits, columns.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use shs_export::{Export, Format, Split};
use shs_store::{ErrorKind, NewSession, Scope, SessionId, SessionQuery, Store};
use support::{assistant, call, result, store, user, written};
#[cfg(feature = "parquet")]
use support::{lines, one};

#[tokio::test]
async fn a_page_has_nothing_but_text_in_it() {
    let hostile = "</p><script>alert(1)</script><img src=x onerror=alert(1)> \" ' & \u{202e}\u{0}\u{1b}[2J javascript:alert(1)";
    let id = "x\" onclick=\"alert(1)";
    let part = |kind: &str| {
        json!({"type": kind, "content": hostile, "modality": hostile, "uri": hostile, "name": hostile,
        "arguments": {hostile: hostile}, "response": hostile, "mime_type": hostile, "file_id": hostile})
    };
    let kinds =
        ["text", "reasoning", "tool_call", "tool_call_response", "blob", "file", "uri", hostile];
    let message = json!({
        "role": "user", "content": hostile, "model": "</b>", "status": "interrupted",
        "parts": kinds.map(part),
    });
    let silent = json!({"role": "assistant", "content": "", "parts": [part("text")]});
    let talk = json!([{
        "session_id": id, "title": format!("{hostile}</title>"), "user_id": "<u>", "project_id": "<p>", "tags": ["<t>"],
        "messages": [message, silent],
    }]);
    let store = store(talk).await;
    for export in [
        Export::new(Arc::clone(&store), Format::Html).with_metadata(),
        Export::new(Arc::clone(&store), Format::Html).with_metadata().session(&id.parse().unwrap()),
    ] {
        let (page, _) = written(&export).await;
        let known: HashSet<&str> = [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "nav", "h1", "ol", "li",
            "a", "section", "h2", "dl", "dt", "dd", "article", "header", "b", "em", "time", "p",
            "details", "summary", "footer",
        ]
        .into();
        for tag in page.split('<').skip(1) {
            let name = tag.split([' ', '>', '\n']).next().unwrap().trim_start_matches('/');
            assert!(known.contains(name), "{name}");
            let attributes = tag.split('>').next().unwrap();
            assert!(
                !attributes.contains("onclick=") && !attributes.contains("onerror="),
                "{attributes}"
            );
            // Links lead to places of the page alone.
            assert!(
                !attributes.contains("href") || attributes.contains("href=\"#s-"),
                "{attributes}"
            );
            assert!(!attributes.contains("src="), "{attributes}");
        }
        assert!(!page.contains("<script") && !page.contains('\u{0}') && !page.contains('\u{1b}'));
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme: dark"));
        assert_eq!(page.matches("<article").count(), page.matches("</article>").count());
        assert_eq!(
            page.matches("<details>").count(),
            7,
            "every part but the text, which the content says"
        );
    }
}

#[tokio::test]
async fn a_page_of_several_sessions_begins_with_a_list_of_them() {
    let messages = json!([
        user("Line one\nLine two"),
        call("c", "weather", json!({"city": "Paris"})),
        result("c", json!("dry")),
        assistant("It is dry.")
    ]);
    let session =
        |id: &str, title: &str| json!({"session_id": id, "title": title, "messages": messages});
    let store = store(json!([session("1", "First"), session("2 ü", "Second")])).await;
    let (page, report) = written(&Export::new(Arc::clone(&store), Format::Html)).await;
    assert_eq!((report.conversations, report.messages), (2, 8));
    let list = &page[page.find("<nav>").unwrap()..page.find("</nav>").unwrap()];
    assert!(list.contains("<a href=\"#s-1\">First</a>"));
    assert!(list.contains("<a href=\"#s-2_20_c3_bc\">Second</a>"));
    assert!(page.contains("<section id=\"s-2_20_c3_bc\">"));
    assert!(page.contains("Line one\nLine two"));
    assert!(page.contains("<summary>Tool call: weather</summary>"));
    assert!(page.contains("<summary>Tool result</summary>"));
    for role in ["user", "assistant", "tool"] {
        assert!(page.contains(&format!("<article class=\"{role}\">")));
    }
    let (none, _) =
        written(&Export::new(store, Format::Html).sessions(SessionQuery::new().with_user("x")))
            .await;
    assert!(none.ends_with("<ol>\n</ol>\n</nav>\n</body>\n</html>\n"), "{none}");
}

/// Sessions with an answered question each.
async fn many(count: usize) -> Arc<dyn Store> {
    let session = |n: usize| {
        let id = format!("session {n}");
        json!({"session_id": id, "messages": [user(&format!("{n}?")), assistant("Yes.")]})
    };
    store((0..count).map(session).collect()).await
}

#[tokio::test]
async fn a_split_is_the_same_each_time_and_keeps_forks_with_their_source() {
    let store = many(200).await;
    let folder = tempfile::tempdir().unwrap();
    let export =
        |format| Export::new(Arc::clone(&store), format).with_split(Split::new(0.8).unwrap());
    let report = export(Format::OpenAi).to_file(folder.path().join("data.jsonl")).await.unwrap();
    let [train, validation] =
        ["data.train.jsonl", "data.validation.jsonl"].map(|name| folder.path().join(name));
    assert_eq!(report.files, [train.clone(), validation.clone()]);
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (first, second) = (read(&train), read(&validation));
    assert_eq!(first.lines().count() + second.lines().count(), 200);
    assert_eq!(second.lines().count() as u64, report.validation);
    assert!((20..60).contains(&report.validation), "about a fifth: {}", report.validation);

    // Forks of forks, of which one in the middle is gone, stay where their source is; and so does all else.
    let mut before: HashSet<String> = second.lines().map(str::to_owned).collect();
    for n in [3, 5, 7, 11, 13, 17, 19, 23] {
        let id = format!("session {n}").parse().unwrap();
        let fork = store.fork(&Scope::DEFAULT, &id, 2_u32.into(), NewSession::new()).await.unwrap();
        store.fork(&Scope::DEFAULT, &fork.id, 2_u32.into(), NewSession::new()).await.unwrap();
        let other =
            store.fork(&Scope::DEFAULT, &id, 2_u32.into(), NewSession::new()).await.unwrap();
        store.delete_session(&Scope::DEFAULT, &other.id).await.unwrap();
    }
    export(Format::OpenAi).to_file(folder.path().join("data.jsonl")).await.unwrap();
    let after: HashSet<String> = read(&validation).lines().map(str::to_owned).collect();
    assert_eq!(before, after);
    let trained: HashSet<String> = read(&train).lines().map(str::to_owned).collect();
    assert!(trained.is_disjoint(&before));
    before.clear();

    let report = export(Format::Json).to_file(folder.path().join("all")).await.unwrap();
    assert_eq!(report.files[0].file_name().unwrap(), "all.train");
    let sessions: Vec<Value> = serde_json::from_str(&read(&report.files[1])).unwrap();
    assert_eq!(sessions.len() as u64, report.validation);
    let error = export(Format::OpenAi).to_string().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(Split::new(0.0).is_err() && Split::new(f64::NAN).is_err());
}

#[tokio::test]
async fn sessions_that_name_each_other_as_their_source_stay_together() {
    let circle = |id: &str, source: &str| json!({"session_id": id, "forked_from": {"session_id": source, "seq": 1}, "messages": [user("?"), assistant(id)]});
    let tail = circle("tail", "b");
    let store = store(json!([circle("a", "b"), circle("b", "c"), circle("c", "a"), tail])).await;
    let folder = tempfile::tempdir().unwrap();
    for share in [0.1, 0.3, 0.5, 0.7, 0.9] {
        let export =
            Export::new(Arc::clone(&store), Format::OpenAi).with_split(Split::new(share).unwrap());
        let report = export.to_file(folder.path().join("x.jsonl")).await.unwrap();
        assert!([0, 4].contains(&report.validation), "{share}: {}", report.validation);
    }
}

#[tokio::test]
async fn of_two_files_both_appear_or_none() {
    let store = many(50).await;
    let folder = tempfile::tempdir().unwrap();
    let [train, validation] = Split::paths(&folder.path().join("data.jsonl"));
    let export = Export::new(store, Format::OpenAi).with_split(Split::new(0.5).unwrap());
    // A folder with something in it stands where the second file has to go.
    std::fs::create_dir(&validation).unwrap();
    std::fs::write(validation.join("x"), "x").unwrap();
    for before in [None, Some("old")] {
        if let Some(text) = before {
            std::fs::write(&train, text).unwrap();
        }
        let error = export.to_file(folder.path().join("data.jsonl")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("data.validation.jsonl"), "{error}");
        assert_eq!(std::fs::read_to_string(&train).ok().as_deref(), before);
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1 + usize::from(before.is_some()), "nothing else is left behind");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_is_written_to_and_no_file_takes_its_place() {
    use std::os::unix::fs::FileTypeExt;

    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read_to_string(pipe).unwrap()
    });
    let export = Export::new(many(2).await, Format::JsonLines);
    let report = export.to_file(&pipe).await.unwrap();
    assert_eq!(report.conversations, 2);
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(reader.join().unwrap(), written(&export).await.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_stays_and_a_folder_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    let export = Export::new(many(2).await, Format::JsonLines);
    export.to_file(&link).await.unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written(&export).await.0);
    let error = export.to_file(folder.path()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("cannot be written"), "{error}");
}

#[tokio::test]
async fn progress_is_told_after_each_session() {
    let store = many(5).await;
    let told = Arc::new(AtomicU64::new(0));
    let telling = Arc::clone(&told);
    let export = Export::new(store, Format::Text).with_progress(move |sessions| {
        telling.fetch_add(sessions, Ordering::Relaxed);
    });
    written(&export).await;
    assert_eq!(told.load(Ordering::Relaxed), 1 + 2 + 3 + 4 + 5);
}

#[tokio::test]
async fn a_session_that_is_deleted_meanwhile_is_passed_over_unless_it_was_named() {
    use futures::FutureExt;

    let gone: SessionId = "session 1".parse().unwrap();
    for format in [Format::JsonLines, Format::Csv, Format::Html, Format::OpenAi, Format::OpenAiDpo]
    {
        for is_named in [false, true] {
            let store = many(3).await;
            let (deleting, id) = (Arc::clone(&store), gone.clone());
            // Behind the first session; the memory has nothing to wait for.
            let mut export = Export::new(Arc::clone(&store), format).with_progress(move |_| {
                drop(deleting.delete_session(&Scope::DEFAULT, &id).now_or_never().unwrap());
            });
            if is_named {
                export = export.session(&"session 0".parse().unwrap()).session(&gone);
            }
            let written = export.to_writer(&mut Vec::new()).await;
            match written {
                Err(error) => {
                    assert!(is_named && error.kind() == ErrorKind::NotFound, "{format}: {error}")
                }
                Ok(report) => {
                    assert!(!is_named);
                    let pairs = format == Format::OpenAiDpo;
                    assert_eq!(report.conversations, if pairs { 0 } else { 2 }, "{format}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_range_is_about_the_time_that_the_query_is_ordered_by() {
    let session =
        |id: &str, updated: &str| json!({"session_id": id, "updated_at": updated, "messages": []});
    let store = store(json!([
        session("old", "2026-01-02T00:00:00Z"),
        session("new", "2026-02-02T00:00:00Z")
    ]))
    .await;
    let since = "2026-02-01T00:00:00Z".parse().unwrap();
    let export =
        Export::new(store, Format::JsonLines).sessions(SessionQuery::new().with_since(since));
    let (text, report) = written(&export).await;
    assert_eq!(report.conversations, 1);
    assert!(text.contains("\"new\""));
}

#[cfg(feature = "parquet")]
fn row_as_json(row: &parquet::record::Row) -> Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), field_as_json(field))).collect()
}

#[cfg(feature = "parquet")]
fn field_as_json(field: &parquet::record::Field) -> Value {
    use parquet::record::Field;

    match field {
        Field::Null => Value::Null,
        Field::Str(text) => text.as_str().into(),
        Field::Group(row) => row_as_json(row),
        Field::ListInternal(list) => list.elements().iter().map(field_as_json).collect(),
        other => panic!("no such column: {other}"),
    }
}

#[cfg(feature = "parquet")]
#[tokio::test]
async fn columns_hold_what_the_lines_hold() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let tool = json!({"type": "function", "function": {"name": "weather"}});
    let called = json!({"role": "assistant", "content": "Let me see.", "parts": [
        {"type": "reasoning", "content": "Hm."},
        {"type": "tool_call", "id": "a", "name": "weather", "arguments": {"city": "Paris"}},
        {"type": "tool_call", "id": "b", "name": "weather", "arguments": {"city": 7}}]});
    let store = store(json!([
        {"session_id": "1", "messages": [user("Hello!"), assistant("Hi.")]},
        {"session_id": "2", "metadata": {"tools": [tool]}, "messages": [
            user("Rain?"), called, result("a", json!("no")), result("b", json!("yes")), assistant("It is.")]},
    ]))
    .await;
    let mut file = Vec::new();
    let export = Export::new(Arc::clone(&store), Format::Parquet);
    assert_eq!(export.to_string().await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let report = export.to_writer(&mut file).await.unwrap();
    assert_eq!((report.conversations, report.messages), (2, 7));
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
    let rows: Vec<Value> =
        reader.get_row_iter(None).unwrap().map(|row| row_as_json(&row.unwrap())).collect();
    let (lines, _) = lines(&store, Format::Trl).await;
    assert_eq!(rows.len(), 2);
    for (row, line) in rows.iter().zip(&lines) {
        let messages = row["messages"].as_array().unwrap();
        assert_eq!(messages.len(), line["messages"].as_array().unwrap().len());
        for (in_row, in_line) in messages.iter().zip(line["messages"].as_array().unwrap()) {
            for key in ["role", "content", "thinking", "name", "tool_call_id"] {
                assert_eq!(in_row[key], in_line[key], "{key}");
            }
            let calls = in_line["tool_calls"].as_array().cloned().unwrap_or_default();
            assert_eq!(in_row["tool_calls"].as_array().map_or(0, Vec::len), calls.len());
            for (at, call) in calls.iter().enumerate() {
                let found = &in_row["tool_calls"][at];
                assert_eq!(
                    (&found["id"], &found["function"]["name"]),
                    (&call["id"], &call["function"]["name"])
                );
                let arguments = found["function"]["arguments"].as_str().unwrap();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                assert_eq!(arguments, call["function"]["arguments"]);
            }
        }
    }
    assert_eq!(rows[0]["tools"], Value::Null);
    assert_eq!(
        serde_json::from_str::<Value>(rows[1]["tools"].as_str().unwrap()).unwrap(),
        json!([tool])
    );

    let store = one(json!([user(&"x".repeat(9_000_000)), assistant(&"y".repeat(9_000_000))])).await;
    let mut file = Vec::new();
    Export::new(store, Format::Parquet).to_writer(&mut file).await.unwrap();
    assert!(SerializedFileReader::new(bytes::Bytes::from(file)).is_ok(), "a group that is full");
}
