//! What listens to one exchange.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, response};

use crate::decode::{Reply, ReplyDecoder};
use crate::encoding::Encoding;
use crate::recorder::{
    Captured, Ending, Exchange, Question, Recorder, Request, Response, Room, guarded, locked,
};
use crate::settings::Settings;

/// Listens to the response of one request, and hands the exchange to the recorder when it ends, however it ends: a
/// tap that is dropped has seen its client go.
pub(crate) struct Tap {
    recorder: Recorder,
    open: Option<Open>,
}

struct Open {
    room: Room,
    settings: Arc<Settings>,
    question: Pending,
    begun: Instant,
    status: Option<StatusCode>,
    decoder: Option<Box<dyn ReplyDecoder>>,
    encoding: Encoding,
    has_content: bool,
    bytes: u64,
    first_byte: Option<Duration>,
    /// The first piece, until it is decoded.
    first: Option<Bytes>,
    first_token: Option<Duration>,
    error: Option<String>,
}

/// The side of the request, while it may still be arriving.
pub(crate) enum Pending {
    /// Its body is captured meanwhile.
    Arriving(Box<Request>, Arc<Mutex<Captured>>),
    /// It is stored.
    Stored(Question),
}

impl Tap {
    pub(crate) fn new(
        recorder: Recorder,
        room: Room,
        settings: Arc<Settings>,
        question: Pending,
        begun: Instant,
    ) -> Self {
        let open = Open {
            room,
            settings,
            question,
            begun,
            status: None,
            decoder: None,
            encoding: Encoding::Identity,
            has_content: false,
            bytes: 0,
            first_byte: None,
            first: None,
            first_token: None,
            error: None,
        };
        Self { recorder, open: Some(open) }
    }

    /// Sees the head of the response.
    pub(crate) fn head(&mut self, head: &response::Parts) {
        let Some(open) = &mut self.open else { return };
        open.status = Some(head.status);
        open.encoding = Encoding::of(&head.headers);
        let decoder = match &open.question {
            Pending::Arriving(request, _) => &request.decoder,
            Pending::Stored(question) => question.decoder(),
        };
        let limits = &open.settings.limits;
        match guarded("a decoder", || decoder.response(head, limits)) {
            Ok(decoder) => open.decoder = Some(decoder),
            Err(error) => open.error = Some(error),
        }
    }

    /// Sees a piece of the body.
    pub(crate) fn data(&mut self, data: &Bytes) {
        let Some(open) = &mut self.open else { return };
        open.bytes += data.len() as u64;
        if open.first_byte.is_none() {
            open.first_byte = Some(open.begun.elapsed());
            // It is what the client waits for, so it is decoded when it has passed.
            open.first = Some(data.clone());
            return;
        }
        open.decode_first();
        open.decode(data, None);
    }

    /// The exchange ends.
    pub(crate) fn end(&mut self, ending: Ending, error: Option<String>) {
        let Some(mut open) = self.open.take() else { return };
        open.decode_first();
        let at_end = ending == Ending::Completed;
        let finished = open.decoder.as_mut().map(|decoder| {
            guarded("a decoder", || {
                let is_complete = decoder.is_complete(at_end);
                (decoder.finish(), is_complete)
            })
        });
        let mut failure = error.or(open.error);
        let (reply, is_complete) = match finished {
            Some(Ok(finished)) => finished,
            Some(Err(panicked)) => {
                failure.get_or_insert(panicked);
                (Reply::default(), false)
            }
            None => (Reply::default(), false),
        };
        let response = Response {
            // Who leaves after the last byte that belongs to the answer has not gone early.
            ending: if ending == Ending::Aborted && is_complete {
                Ending::Completed
            } else {
                ending
            },
            status: open.status,
            reply,
            is_complete,
            error: failure,
            undecoded: open.encoding.failure().map(str::to_owned),
            bytes: open.bytes,
            latency: open.begun.elapsed(),
            first_byte: open.first_byte,
            first_token: open.first_token,
        };
        let question = match open.question {
            Pending::Arriving(mut request, captured) => {
                request.body = std::mem::take(&mut *locked(&captured));
                Question::Raw(request)
            }
            Pending::Stored(question) => question,
        };
        let Open { room, settings, .. } = open;
        self.recorder.submit(Exchange { question, response, settings, room });
    }
}

impl Open {
    fn decode_first(&mut self) {
        if let Some(data) = self.first.take() {
            self.decode(&data, self.first_byte);
        }
    }

    /// Decodes a piece that came at this time, or now.
    fn decode(&mut self, data: &Bytes, at: Option<Duration>) {
        let Some(decoder) = &mut self.decoder else { return };
        let encoding = &mut self.encoding;
        let pushed = guarded("a decoder", || {
            encoding.push(data, |bytes| decoder.push(bytes));
            decoder.has_content()
        });
        match pushed {
            Ok(true) if !self.has_content => {
                self.has_content = true;
                self.first_token = at.or_else(|| Some(self.begun.elapsed()));
            }
            Ok(_) => {}
            Err(error) => {
                self.error = Some(error);
                // What a decoder that panicked knows is not to be trusted.
                self.decoder = None;
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let answered = self.open.as_ref().is_some_and(|open| open.status.is_some());
        self.end(if answered { Ending::Aborted } else { Ending::NoResponse }, None);
    }
}
