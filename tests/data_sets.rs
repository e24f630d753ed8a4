//! Real conversations go in, out in every format that can be read, and in again, equal.
//!
//! In CI some hundred of each data set; `SHS_CONVERSATIONS=100000` for all.

use std::path::Path;

use session_history_saver::SessionTracker;
use session_history_saver::export::Format;
use session_history_saver::import::{Import, Input, Problem, Report};
use session_history_saver::memory::MemoryStore;
use shs_tests::{python, skip};

const PACKAGES: [&str; 3] =
    ["chitchat-dataset==0.9.0", "chatterbot-corpus==1.3.3", "PyYAML==6.0.3"];

async fn import(history: &SessionTracker, text: &str) -> Report {
    let input = Input::Reader("text".to_owned(), Box::new(std::io::Cursor::new(text.to_owned())));
    history.import(&Import::new(), input, whole).await.unwrap()
}

/// Nothing is wrong but that data sets have no times.
fn whole(problem: &Problem) {
    assert!(problem.what.contains("1970-01-01 stands for"), "{problem}");
}

fn empty() -> SessionTracker {
    SessionTracker::new(MemoryStore::new())
}

async fn export(history: &SessionTracker, format: Format) -> String {
    // What a format wants otherwise is made so, and not dropped.
    let export = history.export(format).with_merged_roles();
    match format {
        Format::Json | Format::JsonLines | Format::Csv => {
            history.export(format).to_string().await.unwrap()
        }
        _ => export.to_string().await.unwrap(),
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

async fn goes_round(transcripts: &str) {
    let history = empty();
    let conversations = transcripts.lines().count() as u64;
    let report = import(&history, transcripts).await;
    assert_eq!((report.imported, report.failed), (conversations, 0));
    for format in [Format::Json, Format::JsonLines, Format::Csv] {
        let out = export(&history, format).await;
        let again = empty();
        let report = import(&again, &out).await;
        assert_eq!(report.imported, conversations, "{format}");
        assert_eq!(export(&again, format).await, out, "{format}");
        // Over what is there, nothing is new; but CSV has not all of it.
        if format != Format::Csv {
            assert_eq!(import(&history, &out).await.already_there, conversations, "{format}");
        }
    }
    for format in [Format::OpenAi, Format::Trl, Format::ShareGpt, Format::Alpaca, Format::Claude] {
        let out = export(&history, format).await;
        let lines = out.lines().count() as u64;
        assert!(lines > conversations / 2, "{format}: {lines} lines of {conversations}");
        let again = empty();
        let report = import(&again, &out).await;
        assert_eq!(report.imported, lines, "{format}");
        assert_eq!(sorted(&export(&again, format).await), sorted(&out), "{format}");
        // From one format to another it is the same conversation, too.
        if format == Format::OpenAi {
            assert_eq!(
                sorted(&export(&again, Format::ShareGpt).await),
                sorted(&export(&history, Format::ShareGpt).await)
            );
        }
    }
}

/// Columns are written to a file, and read from one.
async fn goes_round_in_columns(transcripts: &str) {
    let history = empty();
    import(&history, transcripts).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.parquet");
    let report = history.export(Format::Parquet).to_file(&path).await.unwrap();
    let again = empty();
    let imported = again.import(&Import::new(), path.as_path(), whole).await.unwrap();
    assert_eq!((imported.imported, imported.messages), (report.conversations, report.messages));
    assert_eq!(
        sorted(&again.export(Format::Trl).to_string().await.unwrap()),
        sorted(&history.export(Format::Trl).to_string().await.unwrap())
    );
    let bytes = std::fs::read(&path).unwrap();
    for at in (4..bytes.len()).step_by(bytes.len() / 40) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        // Whatever comes of it, it comes to an end.
        empty().import(&Import::new(), path.as_path(), |_| {}).await.unwrap();
        std::fs::write(&path, &bytes[..at]).unwrap();
        let cut = empty().import(&Import::new(), path.as_path(), |_| {}).await.unwrap();
        assert_eq!(cut.failed, 1);
    }
}

#[tokio::test]
async fn real_conversations_go_in_out_and_in_again() {
    let python =
        match python::with_packages(Path::new(env!("CARGO_TARGET_TMPDIR")), "data-sets", &PACKAGES)
        {
            Ok(python) => python,
            Err(why) => return skip("real_conversations_go_in_out_and_in_again", &why),
        };
    let folder = tempfile::tempdir().unwrap();
    python::script(&python, "data_sets.py", folder.path());
    let most = std::env::var("SHS_CONVERSATIONS").map_or(300, |most| most.parse().unwrap());
    for name in ["chitchat.jsonl", "corpus.jsonl"] {
        let all = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let lines: Vec<&str> = all.lines().collect();
        // Spread over the whole set: the corpus has its languages one behind the other.
        let step = (lines.len() / most).max(1);
        let some: String = lines.iter().step_by(step).map(|line| format!("{line}\n")).collect();
        goes_round(&some).await;
        goes_round_in_columns(&some).await;
        println!("{name}: {} of {} conversations", some.lines().count(), lines.len());
    }
}
