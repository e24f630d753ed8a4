//! An import that is run again.

use serde_json::json;
use shs_import::{Import, ORIGIN_KEY};
use shs_memory::MemoryStore;
use shs_store::{ImportMode, NewMessage, Scope, SessionId, Store, StoreExt};

use crate::branches::{chatgpt, claude, open_webui};
use crate::{import, sessions, text, transcript};

#[tokio::test]
async fn a_second_import_changes_nothing() {
    for export in [
        json!([chatgpt()]),
        json!([claude()]),
        json!([open_webui()]),
        json!([{"messages": [{"role": "user", "content": "x"}]}]),
        json!([{"session_id": "s", "messages": [{"role": "user", "content": "x"}]}]),
    ] {
        let store = MemoryStore::new();
        let (first, _) = import(&store, text(export.to_string())).await;
        let before = sessions(&store).await;
        let (second, problems) = import(&store, text(export.to_string())).await;
        assert_eq!(
            (second.imported, second.updated, second.already_there),
            (0, 0, first.imported),
            "{problems:?}"
        );
        assert_eq!(sessions(&store).await, before);
    }
}

#[tokio::test]
async fn a_newer_export_updates_and_an_older_one_does_not() {
    let store = MemoryStore::new();
    import(&store, text(chatgpt().to_string())).await;
    let mut newer = chatgpt();
    newer["update_time"] = json!(1_800_000_000);
    newer["title"] = "Renamed".into();
    let (report, _) = import(&store, text(newer.to_string())).await;
    assert_eq!((report.updated, report.skipped), (2, 0), "the branch has the title too");
    assert_eq!(transcript(&store, "c1").await.session.title.as_deref(), Some("Renamed"));
    let (report, problems) = import(&store, text(chatgpt().to_string())).await;
    assert_eq!((report.updated, report.skipped), (0, 2));
    assert!(problems[0].what.contains("newer"), "{}", problems[0]);

    // What somebody said here since is not written over.
    let id = SessionId::new("c1").unwrap();
    store.append(&Scope::DEFAULT, &id, NewMessage::user("Something new.")).await.unwrap();
    newer["update_time"] = json!(1_900_000_000);
    let (report, problems) = import(&store, text(newer.to_string())).await;
    assert_eq!((report.updated, report.skipped), (1, 1), "{problems:?}");
    let there = transcript(&store, "c1").await;
    assert_eq!(there.messages.last().unwrap().content, "Something new.");
    let overwrite = Import::new().with_mode(ImportMode::Overwrite);
    let report = overwrite.run(&store, text(newer.to_string()), |_| {}).await.unwrap();
    assert_eq!((report.updated, report.already_there), (1, 1));
}

#[tokio::test]
async fn our_own_export_updates_what_is_its_beginning() {
    let message = |number: u32| json!({"message_id": format!("m{number}"), "seq": number, "role": "user", "content": "x", "timestamp": "2026-01-01T00:00:00Z"});
    let session = |messages: u32| {
        json!({"session_id": "s", "created_at": "2026-01-01T00:00:00Z", "updated_at": format!("2026-01-01T00:00:0{messages}Z"),
        "messages": (1..=messages).map(message).collect::<Vec<_>>()}).to_string()
    };
    let store = MemoryStore::new();
    for (messages, wanted) in [(2, (1, 0, 0)), (3, (0, 1, 0)), (2, (0, 0, 1))] {
        let (report, _) = import(&store, text(session(messages))).await;
        assert_eq!((report.imported, report.updated, report.skipped), wanted);
    }
    let read = transcript(&store, "s").await;
    assert_eq!(read.messages.len(), 3);
    assert!(!read.session.metadata.contains_key(ORIGIN_KEY), "our own form comes as it is");
}

#[tokio::test]
async fn users_projects_and_dry_runs() {
    let store = MemoryStore::new();
    let import = Import::new().with_user("alice").with_project("archive");
    let dry = import
        .clone()
        .with_dry_run()
        .run(&store, text(claude().to_string()), |_| {})
        .await
        .unwrap();
    assert_eq!((dry.imported, sessions(&store).await.len()), (2, 0));
    import.run(&store, text(claude().to_string()), |_| {}).await.unwrap();
    for session in sessions(&store).await {
        assert_eq!(
            (session.user_id.as_deref(), session.project_id.as_deref()),
            (Some("alice"), Some("archive"))
        );
    }
    let bad = Import::new()
        .with_user("")
        .run(&store, text(open_webui_of_nobody()), |_| {})
        .await
        .unwrap();
    assert_eq!((bad.imported, bad.failed), (0, 2));
}

#[tokio::test]
async fn a_dry_run_counts_what_a_run_then_does() {
    let message = |text: &str| json!({"message_id": text, "role": "user", "content": text, "timestamp": "2026-01-01T00:00:00Z"});
    let session = |texts: &[&str]| {
        let messages: Vec<_> = texts.iter().map(|text| message(text)).collect();
        json!({"session_id": "a", "messages": messages})
    };
    let mut newer = chatgpt();
    newer["update_time"] = json!(1_800_000_000);
    let own = [
        session(&["1"]),
        session(&["2"]),
        session(&["1"]),
        session(&["1", "3"]),
        session(&["1"]),
        session(&["1", "3"]),
    ];
    let other = [chatgpt(), newer, chatgpt(), chatgpt()];
    for values in [&own[..], &other[..]] {
        let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
        for (there, user, mode) in [
            (0, None, ImportMode::CreateOnly),
            (1, None, ImportMode::CreateOnly),
            (0, None, ImportMode::Overwrite),
            (1, Some("bob"), ImportMode::CreateOnly),
            (0, Some(""), ImportMode::CreateOnly),
        ] {
            let store = MemoryStore::new();
            if there > 0 {
                import(&store, text(lines[..there].join("\n"))).await;
            }
            let mut wet = Import::new().with_mode(mode);
            if let Some(user) = user {
                wet = wet.with_user(user);
            }
            let dry = wet.clone().with_dry_run();
            let before = sessions(&store).await;
            // In two runs, as of two files.
            let (first, second) = lines.split_at(2);
            let mut reports = Vec::new();
            for import in [dry, wet] {
                let mut told = Vec::new();
                let mut counts = Vec::new();
                for lines in [first, second] {
                    let input = text(lines.join("\n"));
                    let report = import.run(&store, input, |problem| told.push(problem.clone()));
                    counts.push(report.await.unwrap());
                }
                if reports.is_empty() {
                    assert_eq!(sessions(&store).await, before);
                }
                reports.push((counts, told));
            }
            assert_eq!(reports[0], reports[1], "{there} {user:?} {mode:?}");
        }
    }
}

#[tokio::test]
async fn nobody_gets_what_belongs_to_another_user_unasked() {
    let store = MemoryStore::new();
    let run = async |import: Import, input: String| {
        let mut told = Vec::new();
        let report = import.run(&store, text(input), |problem| told.push(problem.what.clone()));
        (report.await.unwrap(), told)
    };
    let mut newer = chatgpt();
    newer["update_time"] = json!(1_800_000_000);
    run(Import::new().with_user("alice"), chatgpt().to_string()).await;
    let of_bob = Import::new().with_user("bob");
    for import in [of_bob.clone(), Import::new()] {
        let (report, told) = run(import, newer.to_string()).await;
        assert_eq!((report.updated, report.skipped), (0, 2));
        assert!(told[0].contains("another user"), "{told:?}");
    }
    let (report, _) = run(Import::new().with_user("alice"), newer.to_string()).await;
    assert_eq!(report.updated, 2);
    let (report, _) = run(of_bob.with_mode(ImportMode::Overwrite), newer.to_string()).await;
    assert_eq!(report.updated, 2);

    // What belongs to nobody can be given to somebody.
    run(Import::new(), open_webui().to_string()).await;
    let (report, _) = run(Import::new().with_user("bob"), open_webui().to_string()).await;
    assert!(report.updated > 0 && report.skipped == 0, "{report:?}");
}

#[tokio::test]
async fn without_times_what_has_fewer_messages_takes_none_away() {
    let chat = |messages: usize| {
        let messages: Vec<_> = (1..=messages)
            .map(|number| json!({"uuid": format!("u{number}"), "sender": "human", "text": "x"}))
            .collect();
        json!({"uuid": "timeless", "chat_messages": messages}).to_string()
    };
    let store = MemoryStore::new();
    for (messages, wanted) in [(2, (1, 0, 0)), (3, (0, 1, 0)), (2, (0, 0, 1))] {
        let (report, _) = import(&store, text(chat(messages))).await;
        assert_eq!((report.imported, report.updated, report.skipped), wanted, "{messages}");
    }
    assert_eq!(transcript(&store, "timeless").await.messages.len(), 3);
}

#[tokio::test]
async fn imports_of_the_same_at_once_end_as_one() {
    let store = MemoryStore::new();
    let lines: Vec<String> = (0..200)
        .map(|n| json!({"session_id": format!("s{n}"), "messages": []}).to_string())
        .collect();
    let lines = lines.join("\n");
    let import = Import::new();
    let run = || import.run(&store, text(lines.clone()), |_| {});
    let reports = futures::future::try_join_all((0..8).map(|_| run())).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.imported).sum::<u64>(), 200);
    assert_eq!(reports.iter().map(|report| report.already_there).sum::<u64>(), 7 * 200);
}

fn open_webui_of_nobody() -> String {
    let mut chat = open_webui();
    chat["id"] = "w2".into();
    chat.to_string()
}

#[tokio::test]
async fn an_import_that_is_dropped_anywhere_and_run_again_ends_as_one_in_one_go() {
    let lines: String = (0..40)
        .map(|number| format!("{}\n", json!({"session_id": format!("s{number}"), "messages": [{"role": "user", "content": "x"}]})))
        .collect();
    let whole = MemoryStore::new();
    import(&whole, text(lines.clone())).await;
    for polls in 0..60 {
        let store = MemoryStore::new();
        {
            let import = Import::new();
            let mut run = Box::pin(import.run(&store, text(lines.clone()), |_| {}));
            for _ in 0..polls {
                if futures::poll!(&mut run).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let (report, _) = import(&store, text(lines.clone())).await;
        assert_eq!(report.imported + report.already_there, 40);
        let (one, other) = (sessions(&store).await, sessions(&whole).await);
        assert_eq!(one.len(), other.len());
        for session in one {
            assert_eq!(
                transcript(&store, session.id.as_str()).await,
                transcript(&whole, session.id.as_str()).await
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_an_import_updates_is_not_lost() {
    let store = MemoryStore::new();
    let mut skipped = 0;
    for round in 0..300 {
        let mut export = chatgpt();
        export["id"] = format!("c{round}").into();
        export["conversation_id"] = export["id"].clone();
        import(&store, text(export.to_string())).await;
        export["update_time"] = json!(1_800_000_000);
        let id = SessionId::new(format!("c{round}")).unwrap();
        let other = store.clone();
        let appended = id.clone();
        let saying = tokio::spawn(async move {
            for _ in 0..round % 30 {
                tokio::task::yield_now().await;
            }
            other
                .append(&Scope::DEFAULT, &appended, NewMessage::user("said meanwhile"))
                .await
                .unwrap()
        });
        let (report, _) = import(&store, text(export.to_string())).await;
        skipped += report.skipped;
        let said = saying.await.unwrap();
        assert_eq!(
            store.message(&Scope::DEFAULT, &id, &said.id).await.unwrap().content,
            "said meanwhile"
        );
    }
    println!("{skipped} updates came after what was said");
}
