//! Data sets: any bytes are checked to their end, and any conversation goes out as what a check takes.

use std::sync::Arc;

use session_history_saver::export::{Check, Export, Format};
use session_history_saver::memory::MemoryStore;
use session_history_saver::{ImportMode, Scope, Store, Transcript};

/// Takes the bytes as a file of each format, and as a conversation.
///
/// # Panics
/// If what is written of the conversation would be refused, or its messages are not all counted.
pub fn dataset(bytes: &[u8]) {
    let formats =
        Format::ALL.iter().filter_map(|format| Some((*format, Check::new(*format).ok()?)));
    let formats: Vec<(Format, Check)> = formats.collect();
    for (_, check) in &formats {
        let mut told = 0;
        let checked = check.read(bytes, |_| told += 1).expect("bytes in memory can be read");
        assert_eq!(checked.problems, told);
    }
    let Ok(transcript) = serde_json::from_slice::<Transcript>(bytes) else { return };
    let total = transcript.session.message_count;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    super::with_runtime(|runtime| {
        runtime.block_on(async {
            let imported = store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await;
            imported.expect("a transcript can be stored");
            for (format, check) in &formats {
                for is_strict in [true, false] {
                    let mut export = Export::new(Arc::clone(&store), *format);
                    if !is_strict && format.is_for_training() {
                        export = export.with_interrupted().with_merged_roles();
                    }
                    let mut file = Vec::new();
                    let written = export.to_writer(&mut file).await;
                    let report = written.expect("a conversation can be exported");
                    if report.conversations > 0 {
                        let refused =
                            check.read(&file[..], |problem| panic!("{format}: {problem}"));
                        assert_eq!(refused.expect("it can be read").lines, report.conversations);
                    }
                    let dropped: u64 = report.dropped_messages.values().sum();
                    if *format != Format::OpenAiDpo {
                        assert_eq!(report.messages + dropped, total, "{format}");
                    }
                }
            }
            for format in [Format::Html, Format::Markdown, Format::Text, Format::Csv] {
                let text = Export::new(Arc::clone(&store), format).to_string().await;
                text.expect("a conversation can be exported");
            }
        });
    });
}
