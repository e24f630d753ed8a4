//! A service that answers what it is told, with a layer around it and a store behind.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use shs_memory::MemoryStore;
use shs_store::{Message, Scope, Session, SessionId, SessionQuery, Store, StoreExt};
use shs_tower::{RecordLayer, Recorder, RequestBody, ResponseBody};
use tower::{Layer, ServiceExt};

pub(crate) type Body = http_body_util::combinators::BoxBody<Bytes, String>;

/// What the service answers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) frames: Vec<Result<Bytes, String>>,
}

impl Answer {
    pub(crate) fn json(body: Value) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            frames: vec![Ok(body.to_string().into())],
        }
    }

    /// A stream of events, each a frame of its own.
    pub(crate) fn events(events: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "text/event-stream; charset=utf-8".to_owned())],
            frames: events.into_iter().map(|event| Ok(event.as_ref().to_owned().into())).collect(),
        }
    }

    /// A streamed chat completion that says these words.
    pub(crate) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let chunk = |delta: Value, reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
            let chunk =
                json!({"id": "chatcmpl-1", "model": "model-2", "choices": [choice], "usage": null});
            format!("data: {chunk}\n\n")
        };
        let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
        events.extend(words.into_iter().map(|word| chunk(json!({"content": word}), Value::Null)));
        events.push(chunk(json!({}), "stop".into()));
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 3});
        events.push(format!("data: {}\n\n", json!({"choices": [], "usage": usage})));
        events.push("data: [DONE]\n\n".to_owned());
        Self::events(events)
    }

    /// A plain chat completion.
    pub(crate) fn text(text: &str) -> Self {
        Self::json(json!({
            "id": "chatcmpl-1",
            "model": "model-2",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        }))
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The body in pieces of this many bytes.
    pub(crate) fn in_pieces(mut self, bytes: usize) -> Self {
        let whole: Vec<u8> = self.frames.iter().flatten().flatten().copied().collect();
        self.frames = whole.chunks(bytes).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        self
    }

    pub(crate) fn failing_after(mut self, frames: usize) -> Self {
        self.frames.truncate(frames);
        self.frames.push(Err("connection reset".to_owned()));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flatten().flatten().copied().collect()
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let frames = self.frames.into_iter().map(|frame| frame.map(Frame::data));
        response.body(BodyExt::boxed(StreamBody::new(stream::iter(frames)))).unwrap()
    }
}

/// A layer, a recorder and a store.
pub(crate) struct Setup<S = MemoryStore> {
    pub(crate) store: Arc<S>,
    pub(crate) recorder: Recorder,
    pub(crate) layer: RecordLayer,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::with(|layer| layer)
    }

    pub(crate) fn with(change: impl FnOnce(RecordLayer) -> RecordLayer) -> Self {
        Self::over(MemoryStore::new(), change)
    }
}

impl<S: Store> Setup<S> {
    pub(crate) fn over(store: S, change: impl FnOnce(RecordLayer) -> RecordLayer) -> Self {
        let store = Arc::new(store);
        let recorder = Recorder::new(Arc::clone(&store) as Arc<dyn Store>);
        let layer = change(RecordLayer::new(recorder.clone()));
        Self { store, recorder, layer }
    }

    /// The response to a request, its body still to be read.
    pub(crate) async fn call(
        &self,
        request: Request<Body>,
        answer: Answer,
    ) -> Response<ResponseBody<Body>> {
        let service = tower::service_fn(move |request: Request<RequestBody<Body>>| {
            let answer = answer.clone();
            async move {
                request.into_body().collect().await.map_err(|_| "the request's body failed").ok();
                Ok::<_, Infallible>(answer.into_response())
            }
        });
        self.layer.layer(service).oneshot(request).await.unwrap()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Body>, answer: Answer) -> Vec<u8> {
        let mut body = self.call(request, answer).await.into_body();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            bytes.extend_from_slice(frame.data_ref().unwrap());
        }
        drop(body);
        self.recorder.flush().await;
        bytes
    }

    /// Sends a request and goes away after this many frames.
    pub(crate) async fn leave_after(&self, request: Request<Body>, answer: Answer, frames: usize) {
        let mut body = self.call(request, answer).await.into_body();
        for _ in 0..frames {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        self.recorder.flush().await;
    }

    /// All sessions, those that were created first first.
    pub(crate) async fn sessions(&self) -> Vec<Session> {
        let mut sessions =
            self.store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap().items;
        sessions.sort_by_key(|session| session.created_at);
        sessions
    }

    /// The ids of a user's sessions, those that were created first first.
    pub(crate) async fn of_user(&self, user: &str) -> Vec<String> {
        let theirs = |session: &Session| session.user_id.as_deref() == Some(user);
        let sessions = self.sessions().await;
        sessions.iter().filter(|session| theirs(session)).map(|s| s.id.to_string()).collect()
    }

    pub(crate) async fn messages(&self, session: &str) -> Vec<Message> {
        let id = SessionId::new(session).unwrap();
        self.store.transcript(&Scope::DEFAULT, &id).await.unwrap().messages
    }

    /// The messages of a session, as `role: content`.
    pub(crate) async fn said(&self, session: &str) -> Vec<String> {
        let messages = self.messages(session).await;
        messages.iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
    }

    /// The last message of a session.
    pub(crate) async fn last(&self, session: &str) -> Message {
        self.messages(session).await.pop().unwrap()
    }
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// A request to the chat completions, of a session.
pub(crate) fn chat(session: &str, messages: Value) -> Request<Body> {
    let body = json!({"model": "model-1", "stream": true, "messages": messages});
    post("/v1/chat/completions", session, &body)
}

pub(crate) fn post(path: &str, session: &str, json: &Value) -> Request<Body> {
    Request::post(path).header("x-session-id", session).body(body(json.to_string())).unwrap()
}

/// Messages of a user and an assistant in turn.
pub(crate) fn turns<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let roles = ["user", "assistant"].into_iter().cycle();
    let turns = texts.into_iter().zip(roles);
    turns.map(|(text, role)| json!({"role": role, "content": text})).collect()
}

/// Waits until something holds, for a generous time.
#[expect(clippy::future_not_send, reason = "tests wait on their own thread")]
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}
