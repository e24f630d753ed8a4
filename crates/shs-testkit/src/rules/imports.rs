//! An import stores a conversation as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use shs_store::{
    Error, ErrorKind, ImportMode, Message, MessagePatch, MessageQuery, MessageSource, Result,
    Scope, SearchQuery, Seq, Session, SessionPatch, SessionQuery, Store, StoreExt,
    StreamedTranscript, Timestamp, Transcript,
};

use crate::audit::{refused, snapshot};
use crate::sample::{at, conversation, map, message_id, nested, said, seq, session, session_id};
use crate::{Fixture, Place};

/// An imported conversation comes back exactly: ids, numbers with their gaps, times, unknown keys, all.
pub async fn an_import_comes_back_exactly<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for (number, transcript) in [full(), bare("bare")].into_iter().enumerate() {
        for mode in [ImportMode::CreateOnly, ImportMode::Overwrite] {
            let mut transcript = transcript.clone();
            transcript.session.id = session_id(format!("{number}{mode:?}"));
            place.tick();
            let stored = store.import(&Scope::DEFAULT, transcript.clone(), mode).await.unwrap();
            assert_eq!(stored, transcript.session);
            assert_eq!(store.session(&Scope::DEFAULT, &stored.id).await.unwrap(), stored);
            assert_eq!(store.transcript(&Scope::DEFAULT, &stored.id).await.unwrap(), transcript);
        }
    }
}

/// Messages that are handed on, and where that fails.
struct Handed {
    messages: Vec<Message>,
    /// The pass, from 1, that fails after so many messages.
    fails: Option<(u32, usize)>,
    passes: AtomicU32,
}

impl Handed {
    fn new(messages: Vec<Message>, fails: Option<(u32, usize)>) -> Arc<Self> {
        Arc::new(Self { messages, fails, passes: AtomicU32::new(0) })
    }
}

impl MessageSource for Handed {
    fn for_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
        let pass = self.passes.fetch_add(1, Ordering::Relaxed) + 1;
        for (number, message) in self.messages.iter().enumerate() {
            if self.fails.is_some_and(|(from, at)| pass >= from && number == at) {
                return Err(Error::new(ErrorKind::InvalidInput, "the source fails"));
            }
            take(message.clone())?;
        }
        Ok(())
    }
}

/// A conversation that is handed on message by message is stored as any other, in every mode, and
/// with so many messages that a backend takes them in pieces.
pub async fn a_streamed_import_is_an_import<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let many = StreamedTranscript::new(
        session("many").into_session(at(0)).unwrap(),
        Handed::new(
            conversation(1_500).into_iter().map(|new| new.into_message(Seq::ZERO)).collect(),
            None,
        ),
    );
    let whole = many.unwrap().collect().unwrap();
    for (number, transcript) in [full(), bare("bare"), whole].into_iter().enumerate() {
        let mut transcript = transcript.clone();
        transcript.session.id = session_id(format!("s{number}"));
        let messages = Handed::new(transcript.messages.clone(), None);
        let streamed = StreamedTranscript::new(transcript.session.clone(), messages).unwrap();
        let go = async |mode| store.import_streamed(&Scope::DEFAULT, streamed.clone(), mode).await;

        refused(go(ImportMode::in_place_of(&transcript.session)).await, ErrorKind::NotFound);
        let stored = go(ImportMode::CreateOnly).await.unwrap();
        assert_eq!(stored, transcript.session);
        let id = &stored.id;
        assert_eq!(store.transcript(&Scope::DEFAULT, id).await.unwrap(), transcript);
        refused(go(ImportMode::CreateOnly).await, ErrorKind::AlreadyExists);

        place.tick();
        store.append(&Scope::DEFAULT, id, said("since", "said since")).await.unwrap();
        refused(go(ImportMode::in_place_of(&stored)).await, ErrorKind::Conflict);
        let state = ImportMode::in_place_of(&store.session(&Scope::DEFAULT, id).await.unwrap());
        go(state).await.unwrap();
        assert_eq!(store.transcript(&Scope::DEFAULT, id).await.unwrap(), transcript);
        let since = SearchQuery::new("since");
        assert!(store.search(&Scope::DEFAULT, &since).await.unwrap().items.is_empty());
        go(ImportMode::Overwrite).await.unwrap();
        assert_eq!(store.transcript(&Scope::DEFAULT, id).await.unwrap(), transcript);
        let next = store.append(&Scope::DEFAULT, id, said("next", "x")).await.unwrap();
        assert_eq!(next.seq, transcript.session.last_seq.next());
    }
}

/// If the source fails, wherever that is, nothing is stored, what was there stays, and the store goes
/// on working.
pub async fn a_streamed_import_that_fails_stores_nothing<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    store.import(&Scope::DEFAULT, full(), ImportMode::CreateOnly).await.unwrap();
    let messages: Vec<Message> =
        conversation(700).into_iter().map(|new| new.into_message(Seq::ZERO)).collect();
    let mut head = full().session;
    for (new_id, at) in [(false, 0), (false, 1), (true, 300), (false, 699)] {
        if new_id {
            head.id = session_id("another");
        }
        // The first pass is the check.
        let handed = Handed::new(messages.clone(), Some((2, at)));
        let streamed = StreamedTranscript::new(head.clone(), handed).unwrap();
        let before = snapshot(store).await;
        let result = store.import_streamed(&Scope::DEFAULT, streamed, ImportMode::Overwrite).await;
        let error = refused(result, ErrorKind::InvalidInput);
        assert!(error.to_string().contains("the source fails"), "{error}");
        assert_eq!(snapshot(store).await, before);
    }
    let twice = [messages[0].clone(), messages[1].clone(), messages[0].clone()].to_vec();
    let twice = StreamedTranscript::new(head, Handed::new(twice, None)).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidInput);
    let id = &full().session.id;
    store.append(&Scope::DEFAULT, id, said("next", "x")).await.unwrap();
}

/// Numbering goes on after the last number of an import, also where messages before it are missing.
pub async fn numbering_goes_on_after_an_import<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let transcript = full();
    let last = transcript.session.last_seq;
    assert!(transcript.messages.iter().all(|message| message.seq < last));
    let id = store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap().id;
    assert_eq!(
        store.append(&Scope::DEFAULT, &id, said("next", "x")).await.unwrap().seq,
        last.next()
    );
}

/// Counts, tokens and the last number are computed anew, whatever the import says.
pub async fn an_import_is_counted_anew<F: Fixture>(place: &Place<F>) {
    let mut transcript = full();
    let right = transcript.session.clone();
    transcript.session.message_count = 77;
    transcript.session.total_tokens = 0;
    transcript.session.last_seq = Seq::ZERO;
    let stored =
        place.store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    assert_eq!(stored.message_count, right.message_count);
    assert_eq!(stored.total_tokens, right.total_tokens);
    assert_eq!(stored.last_seq, seq(12), "the highest number of a message");
    assert_eq!(place.store.session(&Scope::DEFAULT, &stored.id).await.unwrap(), stored);
}

/// An import whose numbers do not rise, whose ids repeat, or that breaks a limit is refused whole.
pub async fn an_import_that_breaks_a_rule_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    store.import(&Scope::DEFAULT, bare("s"), ImportMode::CreateOnly).await.unwrap();
    let before = snapshot(store).await;
    let breaks: [fn(&mut Transcript); 7] = [
        |transcript| transcript.messages.swap(0, 1),
        |transcript| transcript.messages[1].seq = transcript.messages[0].seq,
        |transcript| transcript.messages[1].id = transcript.messages[0].id.clone(),
        |transcript| transcript.messages[1].metadata = nested(200),
        |transcript| transcript.session.metadata = nested(200),
        |transcript| transcript.session.user_id = Some(String::new()),
        |transcript| transcript.session.tags = (0..1_001).map(|n| n.to_string()).collect(),
    ];
    for (number, change) in breaks.into_iter().enumerate() {
        for id in ["s", "new"] {
            let mut transcript = full();
            transcript.session.id = session_id(id);
            change(&mut transcript);
            let result = store.import(&Scope::DEFAULT, transcript, ImportMode::Overwrite).await;
            let error = refused(result, ErrorKind::InvalidInput);
            assert_eq!(error.session_id(), Some(&session_id(id)), "break {number}");
        }
    }
    assert_eq!(snapshot(store).await, before);
}

/// Importing to a taken id is refused, unless it is to overwrite.
pub async fn an_import_to_a_taken_id_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let before = snapshot(store).await;
    let mut transcript = full();
    transcript.session.id = id.clone();
    let result = store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await;
    assert_eq!(refused(result, ErrorKind::AlreadyExists).session_id(), Some(&id));
    assert_eq!(snapshot(store).await, before);
}

/// An overwriting import takes the place of the session whole: nothing of it is left or found.
pub async fn an_overwriting_import_leaves_nothing_of_the_old<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let old = session("s").with_user("old").with_title("old").with_tag("old");
    let id = store.create_session(&Scope::DEFAULT, old).await.unwrap().id;
    store
        .append_all(&Scope::DEFAULT, &id, vec![said("old1", "oldest words"), said("a", "old a")])
        .await
        .unwrap();
    let mut transcript = full();
    transcript.session.id = id.clone();
    for _ in 0..2 {
        store.import(&Scope::DEFAULT, transcript.clone(), ImportMode::Overwrite).await.unwrap();
        assert_eq!(store.transcript(&Scope::DEFAULT, &id).await.unwrap(), transcript);
        for text in ["oldest", "words", "old"] {
            assert!(
                store
                    .search(&Scope::DEFAULT, &SearchQuery::new(text))
                    .await
                    .unwrap()
                    .items
                    .is_empty()
            );
        }
        assert_eq!(
            store.search(&Scope::DEFAULT, &SearchQuery::new("déjà")).await.unwrap().items.len(),
            1
        );
        let listed = store
            .list_sessions(&Scope::DEFAULT, &SessionQuery::new().with_user("old"))
            .await
            .unwrap();
        assert!(listed.items.is_empty());
        let tagged = SessionQuery::new().with_any_tag(["old"]);
        assert!(store.list_sessions(&Scope::DEFAULT, &tagged).await.unwrap().items.is_empty());
        refused(
            store.message(&Scope::DEFAULT, &id, &message_id("old1")).await,
            ErrorKind::NotFound,
        );
    }
}

/// An import without messages empties the session that it overwrites.
pub async fn an_empty_import_overwrites_too<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    let empty = Transcript::new(bare("s").session, Vec::new()).unwrap();
    let stored = store.import(&Scope::DEFAULT, empty, ImportMode::Overwrite).await.unwrap();
    assert_eq!((stored.message_count, stored.last_seq), (0, seq(2)), "as the import says");
    assert!(
        store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap().items.is_empty()
    );
    assert!(store.search(&Scope::DEFAULT, &SearchQuery::all()).await.unwrap().items.is_empty());
}

/// A conversation with something in every field, gaps in its numbers, and unknown keys.
fn full() -> Transcript {
    let session: Session = serde_json::from_value(json!({
        "session_id": "full", "user_id": "alice", "project_id": "p", "tags": ["b", "a"],
        "metadata": {"k": [1, {"x": null}], "f": 0.1}, "title": "Title\u{0}",
        "created_at": "0001-01-01T00:00:00Z", "updated_at": "2020-02-02T02:02:02.000001Z",
        "ended_at": "9999-12-31T23:59:59.999999Z",
        "forked_from": {"session_id": "elsewhere", "seq": 40}, "last_seq": 99,
        "color": "blue", "nested": {"unknown": [1, 2.5]}
    }))
    .expect("the session is valid");
    let messages = serde_json::from_value::<Vec<shs_store::Message>>(json!([
        {
            "message_id": "a", "seq": 3, "role": "tool", "content": "déjà\u{0}", "status": "error",
            "parts": [{"type": "tool_call_response", "id": "c", "response": [1], "more": true}],
            "timestamp": "1969-12-31T23:59:59.999999Z", "metadata": {"m": {}}, "tokens": 4,
            "model": "x", "latency_ms": 0.1, "vote": 1
        },
        {
            "message_id": "b", "seq": 4, "role": "developer", "content": "",
            "timestamp": "0001-01-01T00:00:00Z", "tokens": 0, "status": "pending"
        },
        {
            "message_id": "c", "seq": 12, "role": "user", "content": "last",
            "timestamp": "9999-12-31T23:59:59.999999Z", "status": "interrupted"
        }
    ]))
    .expect("the messages are valid");
    Transcript::new(session, messages).expect("the conversation is valid")
}

/// A conversation with nothing but what it must have.
fn bare(id: &str) -> Transcript {
    let mut session = session(id).into_session(at(-50)).expect("the session is valid");
    session.last_seq = seq(2);
    session.extra = map(json!({}));
    let messages = vec![
        said("a", "one").with_timestamp(Timestamp::MIN).into_message(seq(1)),
        said("b", "two").into_message(seq(2)),
    ];
    Transcript::new(session, messages).expect("the conversation is valid")
}

/// An import in the place of a state of a session is stored if the session is in that state, and refused whole if anything was
/// written to it since, or if it is gone.
pub async fn an_import_in_the_place_of_a_state_loses_nothing_said_since<F: Fixture>(
    place: &Place<F>,
) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    let mut transcript = full();
    transcript.session.id = id.clone();
    let read = store.session(&Scope::DEFAULT, &id).await.unwrap();
    let last = store.last_messages(&Scope::DEFAULT, &id, 1).await.unwrap().remove(0).id;

    // Without any time between, too.
    let appended = store.append(&Scope::DEFAULT, &id, said("since", "said since")).await.unwrap();
    let mode = ImportMode::in_place_of(&read);
    let result = store.import(&Scope::DEFAULT, transcript.clone(), mode).await;
    assert_eq!(refused(result, ErrorKind::Conflict).session_id(), Some(&id));
    assert_eq!(store.last_messages(&Scope::DEFAULT, &id, 1).await.unwrap(), [appended]);

    let patch = MessagePatch::new().with_content("changed since");
    for write in 0..3 {
        let mode = ImportMode::in_place_of(&store.session(&Scope::DEFAULT, &id).await.unwrap());
        place.tick();
        match write {
            0 => drop(
                store.update_message(&Scope::DEFAULT, &id, &last, patch.clone()).await.unwrap(),
            ),
            1 => assert!(store.delete_message(&Scope::DEFAULT, &id, &last).await.unwrap()),
            _ => {
                let patch = SessionPatch::new().with_title("changed since");
                store.update_session(&Scope::DEFAULT, &id, patch).await.unwrap();
            }
        }
        let before = snapshot(store).await;
        refused(store.import(&Scope::DEFAULT, transcript.clone(), mode).await, ErrorKind::Conflict);
        assert_eq!(snapshot(store).await, before);
    }

    let mode = ImportMode::in_place_of(&store.session(&Scope::DEFAULT, &id).await.unwrap());
    store.import(&Scope::DEFAULT, transcript.clone(), mode).await.unwrap();
    assert_eq!(store.transcript(&Scope::DEFAULT, &id).await.unwrap(), transcript);
    assert!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
    let mode = ImportMode::in_place_of(&transcript.session);
    refused(store.import(&Scope::DEFAULT, transcript, mode).await, ErrorKind::NotFound);
}
