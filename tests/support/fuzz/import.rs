//! What other tools export: any bytes end in a report, and the second time nothing is new.

use session_history_saver::SessionTracker;
use session_history_saver::export::Format;
use session_history_saver::import::{Import, Input, Report};
use session_history_saver::memory::MemoryStore;

/// Imports the bytes twice, exports what came, and imports that.
///
/// # Panics
/// If the second import finds something new, or what is exported is not what comes in.
pub fn import(bytes: &[u8]) {
    super::with_runtime(|runtime| runtime.block_on(round(bytes)));
}

async fn round(bytes: &[u8]) {
    let history = SessionTracker::new(MemoryStore::new());
    let first = take(&history, bytes).await;
    let second = take(&history, bytes).await;
    assert_eq!((second.imported, second.failed), (0, first.failed), "{first:?}, then {second:?}");
    let exported = history.export(Format::JsonLines).to_string().await.expect("memory is exported");
    if exported.is_empty() {
        return;
    }
    let again = SessionTracker::new(MemoryStore::new());
    let report = take(&again, exported.as_bytes()).await;
    assert_eq!((report.imported, report.failed), (first.imported, 0), "{exported}");
}

async fn take(history: &SessionTracker, bytes: &[u8]) -> Report {
    let input = Input::Reader("bytes".to_owned(), Box::new(std::io::Cursor::new(bytes.to_vec())));
    history.import(&Import::new(), input, |_| {}).await.expect("memory takes all that is valid")
}
