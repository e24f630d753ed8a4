//! What other tools write comes in, whole or with a word about it.

mod any;
mod branches;
mod forms;
mod inputs;
mod limits;
mod lines;
mod repeated;

use shs_import::{Import, Input, Problem, Report, Severity};
use shs_memory::MemoryStore;
use shs_store::{
    Message, Scope, Session, SessionId, SessionOrder, SessionQuery, Store, StoreExt, Transcript,
};

/// A text as an input.
fn text(text: impl Into<Vec<u8>>) -> Input {
    Input::Reader("text".to_owned(), Box::new(std::io::Cursor::new(text.into())))
}

/// Imports a text into a store; returns what was reported and told.
async fn import_all(store: &dyn Store, input: Input) -> (Report, Vec<Problem>) {
    let mut problems = Vec::new();
    let report =
        Import::new().run(store, input, |problem| problems.push(problem.clone())).await.unwrap();
    assert_eq!(
        report.notes,
        problems.iter().filter(|problem| problem.severity == Severity::Note).count() as u64
    );
    (report, problems)
}

/// As [`import_all`], without the word that there are no times, which most examples have none of.
async fn import(store: &dyn Store, input: Input) -> (Report, Vec<Problem>) {
    let (report, mut problems) = import_all(store, input).await;
    problems.retain(|problem| !problem.what.contains("1970-01-01 stands for"));
    (report, problems)
}

/// Imports a text without any problem.
async fn imported(input: impl Into<Vec<u8>>) -> MemoryStore {
    let store = MemoryStore::new();
    let (report, problems) = import(&store, text(input)).await;
    assert_eq!(problems, []);
    assert!(report.imported > 0);
    store
}

async fn transcript(store: &dyn Store, id: &str) -> Transcript {
    store.transcript(&Scope::DEFAULT, &SessionId::new(id).unwrap()).await.unwrap()
}

async fn sessions(store: &dyn Store) -> Vec<Session> {
    use futures::TryStreamExt;
    let query = SessionQuery::new().with_order(SessionOrder::Created);
    store.session_stream(&Scope::DEFAULT, query).try_collect().await.unwrap()
}

/// Roles and contents.
fn said(messages: &[Message]) -> Vec<(&str, &str)> {
    messages.iter().map(|message| (message.role.as_str(), message.content.as_str())).collect()
}
