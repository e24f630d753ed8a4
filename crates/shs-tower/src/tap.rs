//! What listens to one exchange.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, response};

use crate::decode::{Reply, ReplyDecoder};
use crate::encoding::Encoding;
use crate::recorder::{
    Captured, Charge, Encoded, Ending, Exchange, Question, Recorder, Request, Response, Room,
    guarded, locked,
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
    body: Heard,
    memory: Charge,
    /// Whether the recorder had no memory for it.
    is_lost: bool,
    has_content: bool,
    bytes: u64,
    first_byte: Option<Duration>,
    /// The first piece, until it is decoded.
    first: Option<Bytes>,
    first_token: Option<Duration>,
    error: Option<String>,
}

/// What becomes of the body.
enum Heard {
    /// Nothing is known of it: there is no head, or its decoder has panicked.
    Nothing,
    /// It is decoded as it comes.
    Plain(Box<dyn ReplyDecoder>),
    /// It is kept as it comes, and decoded later by a thread that nobody waits on.
    Encoded(Box<Encoded>),
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
        let memory = room.charge();
        let open = Open {
            room,
            settings,
            question,
            begun,
            status: None,
            body: Heard::Nothing,
            memory,
            is_lost: false,
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
        let encoding = Encoding::of(&head.headers);
        let decoder = match &open.question {
            Pending::Arriving(request, _) => &request.decoder,
            Pending::Stored(question) => question.decoder(),
        };
        let limits = &open.settings.limits;
        match guarded("a decoder", || decoder.response(head, limits)) {
            Ok(decoder) if encoding.is_identity() => open.body = Heard::Plain(decoder),
            Ok(decoder) => open.body = Heard::Encoded(Box::new(Encoded::new(encoding, decoder))),
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
        let mut response = Response {
            ending,
            status: open.status,
            reply: Reply::default(),
            is_complete: false,
            error: error.or(open.error),
            undecoded: None,
            bytes: open.bytes,
            latency: open.begun.elapsed(),
            first_byte: open.first_byte,
            first_token: open.first_token,
            encoded: None,
            memory: open.memory,
        };
        match open.body {
            Heard::Nothing => {}
            Heard::Plain(mut decoder) => response.finish(&mut *decoder),
            Heard::Encoded(encoded) => response.encoded = Some(encoded),
        }
        let mut is_lost = open.is_lost;
        let question = match open.question {
            Pending::Arriving(mut request, captured) => {
                request.body = locked(&captured).take();
                is_lost |= request.body.is_lost;
                Question::Raw(request)
            }
            Pending::Stored(question) => question,
        };
        let Open { room, settings, .. } = open;
        if is_lost {
            return self.recorder.count_dropped();
        }
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
        let held = match &mut self.body {
            Heard::Nothing => return,
            Heard::Encoded(encoded) => {
                let at = at.unwrap_or_else(|| self.begun.elapsed());
                encoded.push(data, at, self.settings.limits.response);
                encoded.bytes.len()
            }
            Heard::Plain(decoder) => {
                let pushed = guarded("a decoder", || {
                    decoder.push(data);
                    (decoder.has_content(), decoder.held())
                });
                match pushed {
                    Ok((has_content, held)) => {
                        if has_content && !self.has_content {
                            self.has_content = true;
                            self.first_token = at.or_else(|| Some(self.begun.elapsed()));
                        }
                        held
                    }
                    Err(error) => {
                        self.error = Some(error);
                        // What a decoder that panicked knows is not to be trusted.
                        self.body = Heard::Nothing;
                        return;
                    }
                }
            }
        };
        if !self.memory.grow_to(held as u64) {
            self.is_lost = true;
            self.body = Heard::Nothing;
            self.memory.release();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let answered = self.open.as_ref().is_some_and(|open| open.status.is_some());
        self.end(if answered { Ending::Aborted } else { Ending::NoResponse }, None);
    }
}
