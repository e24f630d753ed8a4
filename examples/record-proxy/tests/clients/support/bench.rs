//! A client, a proxy, a mock behind it, and what has to be stored in the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};
use session_history_saver::tower::keys;
use session_history_saver::{
    ErrorKind, Location, Message, Role, Scope, SessionId, SessionQuery, Status, Store, StoreExt,
    Transcript, open_store,
};
use tempfile::TempDir;

use super::{Answer, Api, Call, Client, Llmock, Proxy, Replay, Tools, same_but_for_ids};

/// Everything that a test of a client needs: it talks with llmock through one proxy, and with what a test says through
/// another.
pub(crate) struct Bench {
    folder: TempDir,
    backend: &'static str,
    client: Client,
    pub(crate) llmock: Llmock,
    proxy: Proxy,
    replay: Replay,
    replaying: Proxy,
    expected: BTreeMap<String, Vec<Expected>>,
}

/// What stands in a session.
#[derive(Clone, Debug)]
enum Expected {
    Said(Role, String),
    Answered(Answer, Ended),
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All of it came.
    Whole,
    /// The client went away, perhaps after the last word of one choice or of all.
    Left,
    /// The provider ended the stream in the middle.
    Cut,
    /// It failed: with this HTTP status, or in the middle of a stream.
    Failed(Option<u16>),
}

/// The stores of a bench that has ended.
pub(crate) struct Stored {
    _folder: TempDir,
    stores: [Arc<dyn Store>; 2],
}

impl Bench {
    /// With stores of this backend.
    pub(crate) async fn start(tools: &Tools, backend: &'static str, client: Client) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let (llmock, replay) = (Llmock::start(tools).await, Replay::start().await);
        let proxy = Proxy::start(&store(backend, folder.path(), "mock"), &llmock.base).await;
        let replaying = Proxy::start(&store(backend, folder.path(), "replay"), &replay.base).await;
        let expected = BTreeMap::new();
        Self { folder, backend, client, llmock, proxy, replay, replaying, expected }
    }

    /// Makes a call to the mock, once directly and once through the proxy: the client sees the same. Returns what that
    /// is.
    pub(crate) async fn call(&mut self, behaviors: Value, call: &Call) -> Value {
        let [direct, proxied] = self.both(behaviors, call).await;
        assert_eq!(same_but_for_ids(proxied.clone()), same_but_for_ids(direct), "{call:?}");
        proxied
    }

    /// Makes a call whose stream breaks off, with an error. Returns what the client sees without the proxy.
    ///
    /// A server that passes on a broken body does not wait until all that came before is on its way. So the client
    /// sees the beginning of it through the proxy.
    pub(crate) async fn broken_call(&mut self, behaviors: Value, call: &Call) -> Value {
        let [direct, proxied] = self.both(behaviors, call).await.map(same_but_for_ids);
        assert!(direct["error"].is_object() && proxied["error"].is_object(), "{call:?}");
        let events = direct["events"].as_array().expect("it is a stream");
        let beginning = proxied["events"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(events.starts_with(beginning), "{beginning:?} is not the beginning of {events:?}");
        direct
    }

    /// What a client sees without the proxy, and with it.
    async fn both(&mut self, behaviors: Value, call: &Call) -> [Value; 2] {
        let base = |base: &str| match call.api {
            Api::Messages => format!("{base}/anthropic"),
            Api::Chat | Api::Responses => base.to_owned(),
        };
        self.llmock.script(&behaviors).await;
        let direct = self.client.call(&base(&self.llmock.base), call).await;
        self.llmock.script(&behaviors).await;
        [direct, self.client.call(&base(&self.proxy.base), call).await]
    }

    /// Makes a call that succeeds, and expects its turn at the end of its session. Returns the answer.
    pub(crate) async fn turn(
        &mut self,
        behaviors: Value,
        call: &Call,
        said: &[(Role, &str)],
    ) -> Answer {
        let seen = self.call(behaviors, call).await;
        assert_eq!(seen.get("error"), None, "{call:?}");
        let answer = Answer::seen(call.api, &seen);
        self.expect(call, said, answer.clone(), Ended::Whole);
        answer
    }

    /// Expects a turn at the end of a session.
    pub(crate) fn expect(
        &mut self,
        call: &Call,
        said: &[(Role, &str)],
        mut answer: Answer,
        ended: Ended,
    ) {
        // Of an answer that does not say it, it is the model that was asked for.
        let model = || call.body["model"].as_str().map(str::to_owned);
        answer.model = answer.model.or_else(model);
        let session = call.session.clone().expect("the call names its session");
        let expected = self.expected.entry(session).or_default();
        expected.extend(said.iter().map(|(role, text)| Expected::Said(*role, (*text).to_owned())));
        expected.push(Expected::Answered(answer, ended));
    }

    /// Lets the client leave a stream after each of its events, and once not at all.
    ///
    /// The client gets no more than what it is to see, so that is what has to be stored: not a word less, nor more.
    pub(crate) async fn leave_everywhere(
        &mut self,
        name: &str,
        events: &[Bytes],
        said: &[(Role, &str)],
        call: &Call,
    ) {
        // Clients keep pings and the end of a stream to themselves.
        let is_seen = |event: &&Bytes| {
            let text = std::str::from_utf8(event).expect("events are text");
            !text.starts_with("event: ping") && !text.starts_with("data: [DONE]")
        };
        for fed in 0..=events.len() {
            let mut call = call.clone();
            call.leave_after = Some(events[..fed].iter().filter(is_seen).count());
            call.session = Some(format!("{name} left after {fed}"));
            let (direct, proxied) = (self.replay.base.clone(), self.replaying.base.clone());
            let direct = self.left(&direct, &events[..fed], &call).await;
            let proxied = self.left(&proxied, &events[..fed], &call).await;
            assert_eq!(proxied, direct, "{call:?}");
            let answer = Answer::seen(call.api, &proxied);
            self.expect(&call, said, answer, Ended::Left);
        }
    }

    /// Lets the client leave a stream after what is fed to it; whoever feeds it learns of that.
    async fn left(&mut self, base: &str, events: &[Bytes], call: &Call) -> Value {
        let feed = self.replay.stream();
        feed.send(events);
        let seen = self.client.call(base, call).await;
        assert_eq!(seen.get("error"), None, "{call:?}");
        feed.left().await;
        seen
    }

    /// Ends the proxies, which has to go well, and compares what they stored.
    pub(crate) async fn end(self) -> Stored {
        let mut stores = Vec::new();
        for (name, proxy) in [("mock", self.proxy), ("replay", self.replaying)] {
            proxy.terminate().await;
            let said = proxy.ended().await;
            assert!(said.contains("dropped: 0, unreadable: 0, failed: 0"), "{said}");
            assert!(said.ends_with("not waited for: 0"), "{said}");
            let location: Location =
                store(self.backend, self.folder.path(), name).parse().expect("it is one");
            stores.push(open_store(&location).await.expect("the store opens"));
        }
        let stores = stores.try_into().unwrap_or_else(|_| unreachable!("there are two"));
        let stored = Stored { _folder: self.folder, stores };
        for (session, expected) in &self.expected {
            stored.compare(session, expected).await;
        }
        stored
    }
}

impl Stored {
    /// The messages of a session.
    pub(crate) async fn messages(&self, session: &str) -> Vec<Message> {
        self.transcript(session).await.messages
    }

    async fn transcript(&self, session: &str) -> Transcript {
        let id = SessionId::new(session).expect("it is an id");
        for store in &self.stores {
            match store.transcript(&Scope::DEFAULT, &id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                transcript => return transcript.expect("the session can be read"),
            }
        }
        panic!("there is no session {session:?}");
    }

    /// The ids of all sessions of a user in the store of the mock, in their order.
    pub(crate) async fn sessions_of(&self, user: &str) -> Vec<String> {
        let query = SessionQuery::new().with_user(user);
        let sessions = self.stores[0]
            .list_sessions(&Scope::DEFAULT, &query)
            .await
            .expect("they can be listed");
        let mut ids: Vec<_> = sessions.items.iter().map(|session| session.id.to_string()).collect();
        ids.sort();
        ids
    }

    async fn compare(&self, session: &str, expected: &[Expected]) {
        let Transcript { session: head, messages, .. } = self.transcript(session).await;
        assert_eq!(head.user_id.as_deref(), Some("ada"), "{session}");
        assert_eq!(head.metadata[keys::SESSION_FROM], "header x-session-id", "{session}");
        assert_eq!(head.metadata[keys::USER_FROM], "header x-user-id", "{session}");
        let mut rest = messages.as_slice();
        for expected in expected {
            match expected {
                Expected::Said(role, text) => {
                    let (message, after) =
                        rest.split_first().unwrap_or_else(|| panic!("{session}: no {expected:?}"));
                    assert_eq!((message.role, &message.content), (*role, text), "{session}");
                    rest = after;
                }
                Expected::Answered(answer, ended) => {
                    assert!(rest.len() >= answer.choices.len(), "{session}: no {answer:?}");
                    let (answers, after) = rest.split_at(answer.choices.len());
                    let mut stored = Answer::stored(answers);
                    if *ended == Ended::Failed(None) {
                        // Nobody knows which one it was: the client may not have seen it.
                        stored.id = None;
                    }
                    assert_eq!(&stored, answer, "{session}");
                    answers.iter().for_each(|message| ended.check(message, session));
                    rest = after;
                }
            }
        }
        assert!(rest.is_empty(), "{session} has more: {rest:?}");
    }
}

impl Ended {
    fn check(self, message: &Message, session: &str) {
        let ending = message.metadata[keys::ENDING].as_str();
        let wanted = match self {
            Self::Whole => (Status::Delivered, Some("completed")),
            Self::Left if message.metadata.contains_key(keys::FINISH_REASON) => {
                (Status::Delivered, ending)
            }
            Self::Left => (Status::Interrupted, Some("aborted")),
            Self::Cut => (Status::Interrupted, Some("completed")),
            Self::Failed(_) => (Status::Error, ending),
        };
        assert_eq!((message.status, ending), wanted, "{session}");
        if let Self::Failed(status) = self {
            assert!(message.metadata[keys::ERROR]["message"].is_string(), "{session}");
            let http_status = message.metadata.get(keys::HTTP_STATUS).and_then(Value::as_u64);
            assert_eq!(http_status, status.map(u64::from), "{session}");
        }
    }
}

fn store(backend: &str, folder: &Path, name: &str) -> String {
    format!("{backend}:{}", folder.join(name).display())
}

/// What the mock does with the next request.
pub(crate) fn reply(text: &str) -> Value {
    json!([{ "type": "reply", "text": text }])
}
