//! Files, folders, archives, and what is wrong with them.

use std::io::Write;

use serde_json::json;
use shs_import::{Format, Import, Input, Severity};
use shs_memory::MemoryStore;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::branches::{chatgpt, claude};
use crate::{import, sessions, text};

fn archive(entries: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut zip = ZipWriter::new(file.reopen().unwrap());
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    file
}

#[tokio::test]
async fn archives_with_one_file_and_with_numbered_ones() {
    let mut second = chatgpt();
    second["id"] = "c2".into();
    second["conversation_id"] = "c2".into();
    let (one, two) = (json!([chatgpt()]).to_string(), json!([second]).to_string());
    let shards = archive(&[
        ("conversations-000.json", &one),
        ("conversations-001.json", &two),
        ("user.json", "{}"),
        ("file-1.png", "\u{0}"),
    ]);
    let store = MemoryStore::new();
    let (report, problems) = import(&store, Input::from(shards.path())).await;
    assert_eq!((report.imported, report.failed), (4, 0));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].severity, Severity::Note);
    assert!(
        problems[0].to_string().ends_with(": 2 other files in it were not read"),
        "{}",
        problems[0]
    );

    let file = archive(&[("export/conversations.json", &json!([claude()]).to_string())]);
    let (report, problems) = import(&store, Input::from(file.path())).await;
    assert_eq!((report.imported, problems.len()), (2, 0));

    let bytes = std::fs::read(shards.path()).unwrap();
    std::fs::write(file.path(), &bytes[..bytes.len() - 30]).unwrap();
    let (report, problems) = import(&store, Input::from(file.path())).await;
    assert_eq!(report.failed, 1);
    assert!(problems[0].what.contains("cannot be opened"), "{}", problems[0]);
}

#[tokio::test]
async fn a_folder_is_read_file_by_file() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a", "b"] {
        let session = json!({"session_id": id, "messages": [{"message_id": "m", "role": "user", "content": "x", "timestamp": "2026-01-01T00:00:00"}]});
        std::fs::write(folder.path().join(format!("{id}.json")), format!("{session:#}")).unwrap();
    }
    std::fs::write(folder.path().join("c.json"), "{\"session_id\": \"c\", \"messages\": [")
        .unwrap();
    std::fs::write(folder.path().join("readme.txt"), "x").unwrap();
    let store = MemoryStore::new();
    let (report, problems) = import(&store, Input::from(folder.path())).await;
    assert_eq!((report.imported, report.failed), (2, 1));
    assert!(problems[0].to_string().contains("c.json (byte"), "{}", problems[0]);
    assert!(problems[1].what.contains("one other file"), "{}", problems[1]);

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(import(&store, Input::from(empty.path())).await.0.failed, 1);
    assert_eq!(import(&store, Input::from(empty.path().join("missing"))).await.0.failed, 1);
}

#[tokio::test]
async fn a_text_that_is_cut_off_anywhere_gives_what_is_whole_before() {
    let whole: Vec<_> = (0..5)
        .map(|number| json!({"session_id": format!("s{number}"), "messages": [{"role": "user", "content": "{[\"é"}]}))
        .collect();
    let array = json!(whole).to_string();
    let lines: String = whole.iter().map(|line| format!("{line}\n")).collect();
    // A bracket or a comma stands before each.
    let lengths = whole.iter().map(|one| one.to_string().len() + 1);
    let ends: Vec<usize> = lengths
        .scan(0, |at, length| {
            *at += length;
            Some(*at)
        })
        .collect();
    for cut in 0..array.len() {
        let store = MemoryStore::new();
        let (report, problems) = import(&store, text(&array.as_bytes()[..cut])).await;
        let before = ends.iter().filter(|end| **end <= cut).count() as u64;
        assert_eq!((report.imported, report.failed), (before, 1), "cut at {cut}: {problems:?}");
        if cut > 0 {
            assert_eq!(problems.last().unwrap().place.byte, Some(cut as u64), "{problems:?}");
        }
    }
    // A line that is damaged harms no other.
    for at in (0..lines.len()).step_by(7) {
        let mut damaged = lines.clone().into_bytes();
        if damaged[at] == b'\n' {
            continue;
        }
        damaged[at] = 0;
        let first_end = lines.find('\n').unwrap();
        if at < first_end {
            continue;
        }
        let store = MemoryStore::new();
        let (report, _) = import(&store, text(damaged)).await;
        assert_eq!((report.imported, report.failed), (4, 1), "damaged at {at}");
    }
}

#[tokio::test]
async fn what_is_none_of_it_is_told() {
    let store = MemoryStore::new();
    for (bytes, what) in [
        (&b""[..], "empty"),
        (b"   \n", "empty"),
        (b"\xff\xfe[\0", "UTF-16"),
        (b"\0[\0]", "UTF-16"),
        (b"hello, world\n", "known form"),
        (b"{\"a\": 1}", "known form"),
        (b"[1, {\"messages\": 5}]", "known form"),
        (b"{\"session_id\": 5, \"messages\": 5}", "not a conversation"),
        (b"{\"mapping\": {}}", "no id"),
        (b"SQLite format 3\0", "stream"),
        (b"PK\x03\x04", "stream"),
        (b"PAR1", "stream"),
    ] {
        let (report, problems) = import(&store, text(bytes)).await;
        assert!(report.failed >= 1 && report.imported == 0, "{bytes:?}");
        assert!(
            problems.iter().any(|problem| problem.what.contains(what)),
            "{bytes:?}: {problems:?}"
        );
    }
    let told = Import::new().with_format(Format::Llm);
    let report = told
        .run(&store, text("[{}]"), |problem| assert!(problem.what.contains("llm")))
        .await
        .unwrap();
    assert_eq!(report.failed, 1);
    assert!(sessions(&store).await.is_empty());
}

#[tokio::test]
async fn behind_damaged_first_lines_all_others_come_in() {
    let line = |text: &str| json!({"messages": [{"role": "user", "content": text}]}).to_string();
    let (one, two) = (line("one"), line("two"));
    for damaged in [
        &one[..one.len() - 2],
        &one[..20],
        &one[30..],
        "{\"messages\": []}}",
        "{",
        "garbage",
        "{\"a\n{\"b\n{\"c",
    ] {
        let store = MemoryStore::new();
        let input = format!("\n{damaged}\n{one}\n\n{two}\n{damaged}");
        let (report, problems) = import(&store, text(input)).await;
        let lines = damaged.lines().count() as u64;
        assert_eq!((report.imported, report.failed), (2, 2 * lines), "{damaged}: {problems:?}");
        assert_eq!(problems[0].place.path, "line 2", "{damaged}");
        assert_eq!(problems[0].severity, Severity::Failed);
        assert_eq!(problems.last().unwrap().place.path, format!("line {}", 4 + 2 * lines));
    }
}

#[tokio::test]
async fn values_on_several_lines_are_read_however_they_are_written() {
    let value = json!({"messages": [{"role": "user", "content": "one"}], "a": {"messages": []}});
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let flat: Vec<&str> = pretty.lines().map(str::trim).collect();
    let message = "{\"messages\": [\n{\"role\": \"user\",\n\"content\": \"one\"}\n]}";
    for one in [pretty.clone(), flat.join("\n"), message.to_owned()] {
        for input in [one.clone(), format!("{one}\n{one}\n"), format!("{one}{one}")] {
            let store = MemoryStore::new();
            let (report, problems) = import(&store, text(input)).await;
            assert!(report.imported >= 1 && problems.is_empty(), "{one}: {problems:?}");
        }
    }
}

#[tokio::test]
async fn what_systems_leave_in_archives_is_passed_over_and_folders_below_are_told() {
    let line = json!({"messages": [{"role": "user", "content": "one"}]}).to_string();
    let file = archive(&[("data/x.jsonl", &line), ("__MACOSX/data/._x.jsonl", "\u{0}\u{5}")]);
    let store = MemoryStore::new();
    let (report, problems) = import(&store, Input::from(file.path())).await;
    assert_eq!((report.imported, report.failed, problems.len()), (1, 0, 0), "{problems:?}");

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("more")).unwrap();
    std::fs::write(folder.path().join("x.jsonl"), &line).unwrap();
    let (report, problems) = import(&store, Input::from(folder.path())).await;
    assert_eq!((report.already_there, report.failed), (1, 0));
    assert_eq!(problems[0].what, "one folder in it was not read; name it too");
}
