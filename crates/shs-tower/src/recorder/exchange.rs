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
use super::guard::guarded;
use super::memory::Charge;
use crate::credentials::Credentials;
use crate::decode::{Decoder, Reply, ReplyDecoder};
use crate::encoding::{Encoding, Undecoded};
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
    memory: Charge,
}

impl Room {
    pub(super) fn new(place: OwnedSemaphorePermit, memory: Charge) -> Self {
        Self { _place: place, memory }
    }

    /// A charge on the recorder's memory for the exchange.
    pub(crate) fn charge(&self) -> Charge {
        self.memory.sibling()
    }

    /// Holds the memory of the response, too.
    pub(super) fn hold(&mut self, memory: Charge) {
        self.memory = memory;
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
    pub(crate) tenant: OfHead,
    pub(crate) user: OfHead,
    pub(crate) project: OfHead,
    pub(crate) request_id: Option<String>,
    pub(crate) headers: Map,
    pub(crate) credentials: Credentials,
    pub(crate) span: Span,
}

/// Requests of up to this many bytes are read at once.
const LIGHT: usize = 64 * 1024;
/// The same for responses, whose events are much longer than their text.
const LIGHT_RESPONSE: u64 = 512 * 1024;

impl Request {
    /// Whether it does not say clearly whose it is.
    pub(crate) fn is_unclear(&self) -> bool {
        let found = [&self.session, &self.tenant, &self.user, &self.project];
        found.into_iter().any(|found| found.is_unclear)
    }

    /// Whether reading it takes processor time that is worth a thread of its own.
    pub(super) fn is_heavy(&self) -> bool {
        !self.encoding.is_identity() || self.body.bytes.len() > LIGHT
    }
}

/// As much of a request's body as the limit allows.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    /// How long the body was, so far.
    pub(crate) seen: u64,
    /// Whether all of it has come.
    pub(crate) is_whole: bool,
    /// Whether the recorder had no memory for it.
    pub(crate) is_lost: bool,
    /// What the service left unread, as one does that fails before it reads.
    pub(crate) rest: Option<Rest>,
    pub(crate) memory: Charge,
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
    pub(crate) fn new(memory: Charge) -> Self {
        Self { bytes: Vec::new(), seen: 0, is_whole: false, is_lost: false, rest: None, memory }
    }

    /// Takes what has come, and leaves nothing.
    pub(crate) fn take(&mut self) -> Self {
        let left = Self::new(self.memory.sibling());
        std::mem::replace(self, left)
    }

    pub(crate) fn push(&mut self, bytes: &[u8], limit: usize) {
        self.seen += bytes.len() as u64;
        let is_within = self.seen <= limit as u64 && !self.is_lost;
        if is_within && self.memory.grow(bytes.len() as u64) {
            self.bytes.extend_from_slice(bytes);
            return;
        }
        self.is_lost |= is_within;
        // A part of a document cannot be read.
        self.bytes = Vec::new();
        self.memory.release();
    }

    /// Takes the memory that it has.
    pub(super) fn take_memory(&mut self) -> Charge {
        let nothing = self.memory.sibling();
        std::mem::replace(&mut self.memory, nothing)
    }

    /// Drops what will not be read.
    pub(super) fn give_up(&mut self) {
        self.bytes = Vec::new();
        self.memory.release();
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
    /// A body with a content-encoding, which is still to be decoded.
    pub(crate) encoded: Option<Box<Encoded>>,
    pub(crate) memory: Charge,
}

impl Response {
    /// Takes what a decoder says of a body that has ended.
    pub(crate) fn finish(&mut self, decoder: &mut dyn ReplyDecoder) {
        let at_end = self.ending == Ending::Completed && self.undecoded.is_none();
        let finished = guarded("a decoder", || {
            let is_complete = decoder.is_complete(at_end);
            let reply = decoder.finish();
            // The end of the body may have ended the last event.
            (is_complete || decoder.is_complete(at_end), reply)
        });
        match finished {
            Ok((is_complete, reply)) => (self.is_complete, self.reply) = (is_complete, reply),
            Err(panicked) => drop(self.error.get_or_insert(panicked)),
        }
        // Who leaves after the last byte that belongs to the answer has not gone early.
        if self.ending == Ending::Aborted && self.is_complete {
            self.ending = Ending::Completed;
        }
    }

    /// Decodes the body; `false` if there is no memory for what it becomes. It takes processor
    /// time, and is for a thread that nobody waits on.
    pub(super) fn decode(&mut self, limit: usize) -> bool {
        let Some(encoded) = self.encoded.take() else { return true };
        let Encoded { encoding, bytes, pieces, mut is_cut, mut decoder } = *encoded;
        let mut begin = 0;
        let at = std::cell::Cell::new(self.first_byte.unwrap_or_default());
        let pieces = pieces.iter().map(|(end, time)| {
            at.set(*time);
            let piece = &bytes[begin..*end];
            begin = *end;
            piece
        });
        let mut first_token = None;
        let memory = &mut self.memory;
        let decoded = guarded("a decoder", || {
            encoding.decode(pieces, limit as u64, |text| {
                decoder.push(text);
                if first_token.is_none() && decoder.has_content() {
                    first_token = Some(at.get());
                }
                memory.grow_to((bytes.len() + decoder.held()) as u64)
            })
        });
        self.first_token = first_token;
        match decoded {
            // What a decoder that panicked knows is not to be trusted.
            Err(panicked) => {
                self.error.get_or_insert(panicked);
                return true;
            }
            Ok(Err(Undecoded::Unwanted)) => return false,
            Ok(Err(Undecoded::TooLong)) => is_cut = true,
            Ok(Err(Undecoded::Unreadable(reason))) => self.undecoded = Some(reason),
            // Whoever has not got all of it cannot decode all of it.
            Ok(Err(Undecoded::Early(reason))) if self.ending == Ending::Completed && !is_cut => {
                self.undecoded = Some(reason);
            }
            Ok(_) => {}
        }
        if is_cut {
            self.undecoded = Some("the content is longer than the limits".to_owned());
        }
        self.finish(&mut *decoder);
        self.reply.truncated |= is_cut;
        true
    }
}

/// A body with a content-encoding.
pub(crate) struct Encoded {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Vec<u8>,
    /// Where its pieces end, and when they came.
    pub(crate) pieces: Vec<(usize, Duration)>,
    /// Whether it was longer than the limit.
    pub(crate) is_cut: bool,
    pub(crate) decoder: Box<dyn ReplyDecoder>,
}

/// Most pieces whose times are kept apart: the first text comes early.
const MOST_PIECES: usize = 256;

impl Encoded {
    pub(crate) fn new(encoding: Encoding, decoder: Box<dyn ReplyDecoder>) -> Self {
        Self { encoding, bytes: Vec::new(), pieces: Vec::new(), is_cut: false, decoder }
    }

    pub(crate) fn push(&mut self, bytes: &[u8], at: Duration, limit: usize) {
        self.is_cut |= self.bytes.len() + bytes.len() > limit;
        if self.is_cut {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        let is_full = self.pieces.len() == MOST_PIECES;
        match self.pieces.last_mut() {
            Some(last) if is_full => last.0 = end,
            _ => self.pieces.push((end, at)),
        }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("encoding", &self.encoding)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
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

    /// Whether reading it takes processor time that is worth a thread of its own.
    pub(super) fn is_heavy(&self) -> bool {
        self.response.encoded.is_some()
            || self.response.bytes > LIGHT_RESPONSE
            || matches!(&self.question, Question::Raw(request) if request.is_heavy())
    }
}
