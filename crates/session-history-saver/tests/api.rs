//! What the types promise to whoever composes them, checked by the compiler.

use std::fmt::Debug;
use std::future::IntoFuture;
use std::sync::Arc;

use session_history_saver::export::{Export, Format};
use session_history_saver::import::Imported;
use session_history_saver::{
    Answer, Appended, Config, Cursor, Deleted, Documents, Error, FinishAnswer, Hit, ImportMode,
    Location, Message, MessageId, MessageQuery, NewMessage, Page, Part, Recording, Saving, Scope,
    SearchQuery, Seq, Session, SessionHandle, SessionId, SessionQuery, SessionStats,
    SessionTracker, StartAnswer, StartSession, Stats, Store, StoreExt, StreamOptions, Timestamp,
    TracedStore, Track, Transcript, Turn,
};

mod stores;

/// Can be kept anywhere, moved to any task and shown in a log.
fn is_a_good_citizen<T: Debug + Send + Sync + Unpin + 'static>() {}

fn is_clone<T: Clone>() {}

fn is_store<T: Store>() {}

fn is_send<T: Send>(_: T) {}

/// Can be given to `tokio::spawn` when awaited.
fn is_spawnable<T: IntoFuture<IntoFuture: Send + 'static, Output: Send + 'static>>(_: &T) {}

#[test]
fn types_are_good_citizens() {
    macro_rules! are {
        ($check:ident: $($type:ty),+ $(,)?) => { $($check::<$type>();)+ };
    }
    are!(is_a_good_citizen: SessionTracker, SessionHandle, StartSession, Turn, StartAnswer, Answer,
        FinishAnswer<'static>, Recording<futures::stream::Empty<String>>, Track, Export, Format, Config, Location,
        Saving, StreamOptions, Imported, Error, Session, Message, NewMessage, Part, Transcript, SessionId,
        MessageId, Seq, Timestamp, SessionQuery, MessageQuery, SearchQuery, Page<Hit>, Cursor, Stats,
        SessionStats, Appended, Deleted, Arc<dyn Store>, Box<dyn Store>);
    // What is kept and shared, and what can be tried again.
    are!(is_clone: SessionTracker, SessionHandle, StartSession, Turn, StartAnswer, Track, Export, Config,
        Location, StreamOptions, Error, Page<Hit>, Transcript);
    are!(is_store: Arc<dyn Store>, Box<dyn Store>, TracedStore<Arc<dyn Store>>, Arc<TracedStore<Box<dyn Store>>>,
        Documents<stores::Frail>);
}

/// Everything that can be awaited can be awaited in a task; nothing is run here.
#[test]
fn futures_can_be_spawned() {
    let (history, _) = stores::frail();
    let id = SessionId::generate();
    let session = history.handle(&id);
    is_spawnable(&history.session());
    is_spawnable(&session.user("Hello!"));
    is_spawnable(&session.stream());
    is_send(history.session().start());
    is_send(history.session().scope(|session| async move { session.info().await }));
    is_send(history.track("f").call("x", |_| async { Ok::<_, Error>(String::new()) }));
    is_send(session.stream().record(futures::stream::empty::<String>()));
    is_send(session.record_stream(futures::stream::empty::<Result<String, Error>>()));
    is_send(session.append(NewMessage::user("Hello!")));
    is_send(session.messages());
    is_send(session.message_stream(MessageQuery::new()));
    is_send(session.fork(Seq::FIRST));
    is_send(session.save());
    is_send(session.end());
    is_send(history.resume(&id));
    is_send(history.list(SessionQuery::new()));
    is_send(history.search("hello"));
    is_send(history.search(&String::from("hello")));
    is_send(history.search(SearchQuery::all()));
    is_send(history.stats());
    is_send(history.delete(&id));
    is_send(history.export(Format::Json).to_string());
    is_send(history.export(Format::Json).to_file("history.json"));
    is_send(history.export(Format::Json).to_writer(&mut tokio::io::sink()));
    is_send(history.import_json("{}", ImportMode::CreateOnly));
    is_send(history.import_lines(&b""[..], ImportMode::CreateOnly));
    is_send(history.store().transcript(&Scope::DEFAULT, &id));
    is_send(history.store().session_stream(&Scope::DEFAULT, SessionQuery::new()));
    is_send(history.close());
    is_send(SessionTracker::open(Config::new()));
    is_send(session_history_saver::open_store(&Location::Memory));
}

async fn finish(mut answer: Answer) -> session_history_saver::Result<Message> {
    answer.push("text").await?;
    answer.finish().tokens(1).await
}

#[tokio::test]
async fn an_answer_can_be_finished_in_another_task() {
    let (history, _) = stores::frail();
    let session = history.session().await.unwrap();
    let answer = session.stream().await.unwrap();
    assert_eq!(tokio::spawn(finish(answer)).await.unwrap().unwrap().content, "text");
}

/// What was found can be sent as JSON.
#[tokio::test]
async fn a_page_of_hits_is_json() {
    let (history, _) = stores::frail();
    history.session().id("s").await.unwrap().user("Hello, you!").await.unwrap();
    let page = history.search("hello").await.unwrap();
    let json = serde_json::to_value(&page).unwrap();
    let hit = &json["items"][0];
    assert_eq!(hit["session"]["session_id"], "s");
    assert_eq!(hit["message"]["content"], "Hello, you!");
    assert_eq!(hit["snippet"]["matches"][0], serde_json::json!({"start": 0, "end": 5}));
}
