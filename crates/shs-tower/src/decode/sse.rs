//! Server-sent events.

use shs_wire::is_heavy;
use sse_parse::SseParser;

use super::{Reply, ReplyDecoder};
use crate::Limits;

/// Makes answers of events; what [`Sse`] drives.
pub trait Events: Send {
    /// Takes one event: its type, `"message"` if it has none, and its data.
    fn event(&mut self, kind: &str, data: &str);

    /// Whether a first piece of the answer's content has come.
    fn has_content(&self) -> bool;

    /// Whether the answer is whole. `at_end` tells that the body has come to its end: that is enough for an API
    /// that says nothing at the end of an answer, and not for one that does.
    fn is_complete(&self, at_end: bool) -> bool;

    /// About how many bytes it holds: see [`ReplyDecoder::held`].
    fn held(&self) -> usize;

    /// What has come.
    fn reply(&mut self) -> Reply;
}

/// Decodes a body of server-sent events, as the [HTML standard] has them: any split into pieces, any line ending,
/// comments, data of several lines, bytes that are not UTF-8.
///
/// In one point it is more generous than the standard: an event at the end of the body counts without the empty line
/// that should follow it, as some servers leave that out.
///
/// [HTML standard]: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
#[derive(Debug)]
pub struct Sse<E> {
    parser: SseParser,
    events: E,
    /// Bytes since the last event.
    pending: usize,
    max_event: usize,
    max_weight: u64,
    passed_over: bool,
}

impl<E: Events> Sse<E> {
    /// Decodes with these events; one that is beyond the limits for events or for JSON is passed
    /// over.
    pub fn new(events: E, limits: &Limits) -> Self {
        Self {
            parser: SseParser::new().max_buffer(limits.event),
            events,
            pending: 0,
            max_event: limits.event,
            max_weight: limits.parsed as u64,
            passed_over: false,
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.parser.next_event() {
            self.pending = 0;
            if is_heavy(event.data.as_bytes(), self.max_weight) {
                self.passed_over = true;
            } else {
                self.events.event(&event.event, &event.data);
            }
        }
    }
}

impl<E: Events> ReplyDecoder for Sse<E> {
    fn push(&mut self, bytes: &[u8]) {
        self.pending = self.max_event.min(self.pending + bytes.len());
        self.parser.feed(bytes);
        self.drain();
    }

    fn held(&self) -> usize {
        self.pending + self.events.held()
    }

    fn has_content(&self) -> bool {
        self.events.has_content()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        self.events.is_complete(at_end)
    }

    fn finish(&mut self) -> Reply {
        self.parser.feed(b"\n\n");
        self.drain();
        let mut reply = self.events.reply();
        reply.truncated |= self.passed_over || self.parser.overflows() > 0;
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(String, String)>);

    impl Events for Seen {
        fn event(&mut self, kind: &str, data: &str) {
            self.0.push((kind.to_owned(), data.to_owned()));
        }

        fn has_content(&self) -> bool {
            false
        }

        fn is_complete(&self, _at_end: bool) -> bool {
            false
        }

        fn held(&self) -> usize {
            0
        }

        fn reply(&mut self) -> Reply {
            Reply::default()
        }
    }

    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut sse = Sse::new(Seen::default(), &Limits::default());
        pieces.iter().for_each(|piece| sse.push(piece));
        sse.finish();
        sse.events.0
    }

    #[test]
    fn pieces_may_begin_and_end_anywhere() {
        let stream = "\u{feff}: hello\r\nevent: a\r\ndata: é\r\ndata: 部\r\n\r\ndata:x\n\n: ping\n\rdata: y\r\revent: z\n\ndata: last";
        let whole = events(&[stream.as_bytes()]);
        let text = |kind: &str, data: &str| (kind.to_owned(), data.to_owned());
        let last = text("message", "last");
        assert_eq!(whole, [text("a", "é\n部"), text("message", "x"), text("message", "y"), last]);
        let single: Vec<_> = stream.as_bytes().chunks(1).collect();
        assert_eq!(events(&single), whole);
        for cut in 0..stream.len() {
            let (before, after) = stream.as_bytes().split_at(cut);
            assert_eq!(events(&[before, after]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_replacement_characters() {
        assert_eq!(events(&[b"data: a\xffb\n\n"])[0].1, "a\u{fffd}b");
    }

    #[test]
    fn an_event_beyond_the_limit_is_passed_over_and_said() {
        let limits = Limits { event: 100, ..Limits::default() };
        let mut sse = Sse::new(Seen::default(), &limits);
        sse.push(format!("data: {}\n\n", "x".repeat(1_000)).as_bytes());
        sse.push(b"data: y\n\n");
        assert!(sse.finish().truncated);
        assert_eq!(sse.events.0, [("message".to_owned(), "y".to_owned())]);
    }

    #[test]
    fn an_event_whose_json_would_take_much_memory_is_passed_over_and_said() {
        let limits = Limits { parsed: 100_000, ..Limits::default() };
        let mut sse = Sse::new(Seen::default(), &limits);
        sse.push(format!("data: [{}0]\n\ndata: y\n\n", "{},".repeat(1_000)).as_bytes());
        assert!(sse.finish().truncated);
        assert_eq!(sse.events.0, [("message".to_owned(), "y".to_owned())]);
    }
}
