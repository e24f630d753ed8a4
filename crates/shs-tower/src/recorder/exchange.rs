//! One request and its response, as they were seen.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use shs_store::{Map, SessionId, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::Span;

use super::asked::Asked;
use crate::decode::{Decoder, Reply};
use crate::encoding::Encoding;
use crate::identity::OfHead;
use crate::settings::Settings;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The whole response was passed on.
    Completed,
    /// The response's body failed on the way.
    BodyError,
    /// The client went away before the response was whole.
    Aborted,
    /// There was no response: the service failed, or the client went away before.
    NoResponse,
}

impl Ending {
    /// The word of it, as it is kept under [`keys::ENDING`](crate::keys::ENDING).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::BodyError => "body_error",
            Self::Aborted => "aborted",
            Self::NoResponse => "no_response",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A place in the queue. As long as it is held, there is room to record the exchange.
#[derive(Debug)]
pub(crate) struct Room {
    _place: OwnedSemaphorePermit,
    _memory: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new(place: OwnedSemaphorePermit) -> Self {
        Self { _place: place, _memory: None }
    }

    /// Holds the memory of what waits, too.
    pub(super) fn hold(&mut self, memory: OwnedSemaphorePermit) {
        self._memory = Some(memory);
    }
}

/// The side of the request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) settings: Arc<Settings>,
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(crate) at: Timestamp,
    pub(crate) body: Captured,
    pub(crate) encoding: Encoding,
    pub(crate) session: OfHead,
    pub(crate) user: OfHead,
    pub(crate) project: OfHead,
    pub(crate) request_id: Option<String>,
    pub(crate) headers: Map,
    pub(crate) span: Span,
}

/// As much of a request's body as the limit allows.
#[derive(Debug, Default)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    /// How long the body was, so far.
    pub(crate) seen: u64,
    /// Whether all of it has come.
    pub(crate) is_whole: bool,
    /// What the service left unread, as one does that fails before it reads.
    pub(crate) rest: Option<Rest>,
}

/// The rest of a body.
pub(crate) struct Rest(Pin<Box<dyn Remaining>>);

/// A body, for those who do not know its type.
trait Remaining: Send {
    fn poll_data(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ()>>>;
}

impl<B: Body<Data = Bytes> + Send> Remaining for B {
    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ()>>> {
        loop {
            return Poll::Ready(match ready!(self.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    // Trailers say nothing that is kept.
                    Err(_) => continue,
                },
                Some(Err(_)) => Some(Err(())),
                None => None,
            });
        }
    }
}

impl Rest {
    pub(crate) fn new<B: Body<Data = Bytes> + Send + 'static>(body: Pin<Box<B>>) -> Self {
        Self(body)
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

/// How long the rest of a body is waited for.
const REST_PATIENCE: Duration = Duration::from_secs(1);

impl Captured {
    pub(crate) fn push(&mut self, bytes: &[u8], limit: usize) {
        self.seen += bytes.len() as u64;
        if self.seen <= limit as u64 {
            self.bytes.extend_from_slice(bytes);
        } else {
            // A part of a document cannot be read.
            self.bytes = Vec::new();
        }
    }

    /// Reads what the service left unread, if it comes soon: clients have sent it by then, or never will.
    async fn read_rest(&mut self, limit: usize) {
        let Some(Rest(mut rest)) = self.rest.take() else { return };
        let reading = async {
            while self.seen <= limit as u64 {
                match poll_fn(|cx| rest.as_mut().poll_data(cx)).await {
                    Some(Ok(data)) => self.push(&data, limit),
                    Some(Err(())) => return,
                    None => return self.is_whole = true,
                }
            }
        };
        // What has not come by then is missing, as it is when the client is gone.
        let _ = timeout(REST_PATIENCE, reading).await;
    }
}

/// The side of the response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) ending: Ending,
    pub(crate) status: Option<StatusCode>,
    pub(crate) reply: Reply,
    /// Whether the API has said that the answer is whole.
    pub(crate) is_complete: bool,
    /// What the body or the service failed with, or a decoder panicked with.
    pub(crate) error: Option<String>,
    /// Why the body could not be decoded, or not all of it.
    pub(crate) undecoded: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) latency: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) first_token: Option<Duration>,
}

/// A request that was read, and maybe stored already.
#[derive(Debug)]
pub(crate) enum Question {
    Raw(Box<Request>),
    /// Its messages are stored in this session.
    Stored(Box<Asked>, SessionId),
}

impl Question {
    pub(crate) fn decoder(&self) -> &Arc<dyn Decoder> {
        match self {
            Self::Raw(request) => &request.decoder,
            Self::Stored(asked, _) => &asked.decoder,
        }
    }
}

/// What a recorder keeps.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) question: Question,
    pub(crate) response: Response,
    pub(crate) settings: Arc<Settings>,
    pub(crate) room: Room,
}

impl Exchange {
    /// Whether the service left some of the request unread.
    pub(super) fn is_unread(&self) -> bool {
        matches!(&self.question, Question::Raw(request) if request.body.rest.is_some())
    }

    /// Reads that.
    pub(super) async fn read_rest(&mut self) {
        if let Question::Raw(request) = &mut self.question {
            request.body.read_rest(self.settings.limits.request).await;
        }
    }

    /// About how many bytes it takes while it waits.
    pub(super) fn weight(&self) -> u64 {
        let question = match &self.question {
            Question::Raw(request) => request.body.bytes.len() as u64,
            Question::Stored(asked, _) => asked.weight(),
        };
        question + self.response.bytes.min(self.settings.limits.response as u64)
    }
}
