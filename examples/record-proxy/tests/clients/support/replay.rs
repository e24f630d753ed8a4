//! An upstream that says exactly what a test gives it, when the test gives it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, response};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use super::until;

/// A server on a port of its own; it ends when this value goes.
#[derive(Debug)]
pub(crate) struct Replay {
    shared: Arc<Mutex<Shared>>,
    serving: JoinHandle<()>,
    pub(crate) base: String,
}

#[derive(Debug, Default)]
struct Shared {
    answers: VecDeque<Response<Body>>,
    requests: Vec<Request<Bytes>>,
}

impl Replay {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::<Mutex<Shared>>::default();
        let service = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, service).await.expect("the server goes on");
        });
        Self { shared, serving, base }
    }

    /// The next request gets an answer with this head, and the body that is fed to it.
    pub(crate) fn answer(&self, head: response::Builder) -> Feed {
        let (sender, body) = unbounded();
        let answer = head.body(Body::from_stream(body)).expect("the test's head is one");
        self.shared.lock().expect("no test panicked").answers.push_back(answer);
        Feed(sender)
    }

    /// The next request gets a stream of events.
    pub(crate) fn stream(&self) -> Feed {
        self.answer(Response::builder().header("content-type", "text/event-stream"))
    }

    /// The requests that came since the last call of this.
    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.shared.lock().expect("no test panicked").requests)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The body of one answer; it ends when this value goes.
#[derive(Debug)]
pub(crate) struct Feed(UnboundedSender<io::Result<Bytes>>);

impl Feed {
    pub(crate) fn send(&self, pieces: &[Bytes]) {
        for piece in pieces {
            self.0.unbounded_send(Ok(piece.clone())).expect("somebody listens");
        }
    }

    /// Waits until nobody listens any more.
    pub(crate) async fn left(&self) {
        until("the stream is left", async || self.0.is_closed()).await;
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("the request comes whole").to_bytes();
    let mut shared = shared.lock().expect("no test panicked");
    shared.requests.push(Request::from_parts(head, body));
    shared.answers.pop_front().unwrap_or_else(|| {
        let mut unexpected = Response::new(Body::from("nothing is prepared"));
        *unexpected.status_mut() = StatusCode::NOT_IMPLEMENTED;
        unexpected
    })
}
