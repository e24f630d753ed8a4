//! APIs of one's own.

use std::fmt;
use std::sync::Arc;

use http::{Method, Uri, response};
use serde_json::Value;

use super::json::{Json, failure, parse};
use super::{Decoder, Events, Prompt, Reply, ReplyDecoder, Sse, is_event_stream};
use crate::Limits;

type ReadRequest = Arc<dyn Fn(&Value) -> Option<Prompt> + Send + Sync>;
type ReadReply = Arc<dyn Fn(&Value) -> Reply + Send + Sync>;
type ReadEvent = Arc<dyn Fn(&str, &str, &mut String) + Send + Sync>;

/// The decoder of an API of one's own, made of closures.
///
/// A response that is not a success is read as `{"error": …}`. A body of server-sent events goes to
/// [`events`](Self::events), one of JSON to [`reply`](Self::reply), and any other is the text of the answer as it is, also
/// while it is streamed. Tools that a request offers are kept if its [`Prompt`] has them: see [`Prompt::with_tools`].
///
/// ```
/// use shs_store::NewMessage;
/// use shs_tower::decode::{Custom, Prompt, Reply};
///
/// // POST /api/chat  {"message": "Hello!"}  gives  {"answer": "Hi!"} or a stream of `data: word`
/// let api = Custom::post("/api/chat", |body| {
///     let message = body["message"].as_str()?;
///     Some(Prompt::continues(vec![NewMessage::user(message)]))
/// })
/// .reply(|body| Reply::text(body["answer"].as_str().unwrap_or_default()))
/// .events(|_kind, data, answer| answer.push_str(data));
/// # let _ = api;
/// ```
#[derive(Clone)]
pub struct Custom {
    path: String,
    request: ReadRequest,
    reply: ReadReply,
    event: ReadEvent,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Custom {
    /// An API at this path, whose requests are read by this closure; `None` if a request has no turn to record.
    pub fn post(
        path: impl Into<String>,
        request: impl Fn(&Value) -> Option<Prompt> + Send + Sync + 'static,
    ) -> Self {
        Self {
            path: path.into(),
            request: Arc::new(request),
            reply: Arc::new(|body| Reply::text(shs_wire::text_of(body))),
            event: Arc::new(|_, data, answer| answer.push_str(data)),
        }
    }

    /// Reads a response of JSON.
    #[must_use]
    pub fn reply(mut self, reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        self.reply = Arc::new(reply);
        self
    }

    /// Reads a server-sent event, given its type and data, and adds its text to the answer so far.
    #[must_use]
    pub fn events(
        mut self,
        event: impl Fn(&str, &str, &mut String) + Send + Sync + 'static,
    ) -> Self {
        self.event = Arc::new(event);
        self
    }
}

impl Decoder for Custom {
    fn name(&self) -> &str {
        &self.path
    }

    fn matches(&self, method: &Method, uri: &Uri) -> bool {
        method == Method::POST && uri.path() == self.path
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        (self.request)(&parse(body)?).ok_or_else(|| "the request has no turn to record".to_owned())
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        let content_type = head.headers.get(http::header::CONTENT_TYPE);
        let is_json = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(';').next().unwrap_or_default().ends_with("json"));
        if !head.status.is_success() {
            Box::new(Json::new(limits, failure))
        } else if is_event_stream(head) {
            let event = Arc::clone(&self.event);
            let events = TextEvents { event, text: String::new(), limit: limits.response };
            Box::new(Sse::new(events, limits))
        } else if is_json {
            let reply = Arc::clone(&self.reply);
            Box::new(Json::new(limits, move |body: &Value| reply(body)))
        } else {
            Box::new(PlainText { text: Vec::new(), limit: limits.response, truncated: false })
        }
    }
}

struct TextEvents {
    event: ReadEvent,
    text: String,
    limit: usize,
}

impl Events for TextEvents {
    fn event(&mut self, kind: &str, data: &str) {
        if self.text.len() <= self.limit {
            (self.event)(kind, data, &mut self.text);
        }
    }

    fn has_content(&self) -> bool {
        !self.text.is_empty()
    }

    fn held(&self) -> usize {
        self.text.len()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        at_end
    }

    fn reply(&mut self) -> Reply {
        let truncated = self.text.len() > self.limit;
        let mut text = std::mem::take(&mut self.text);
        cut(&mut text, self.limit);
        Reply { truncated, ..Reply::text(text) }
    }
}

/// A body that is the text of the answer.
struct PlainText {
    text: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl ReplyDecoder for PlainText {
    fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(self.limit - self.text.len());
        self.truncated |= kept < bytes.len();
        self.text.extend_from_slice(&bytes[..kept]);
    }

    fn has_content(&self) -> bool {
        !self.text.is_empty()
    }

    fn held(&self) -> usize {
        self.text.len()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        at_end
    }

    fn finish(&mut self) -> Reply {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        Reply { truncated: self.truncated, ..Reply::text(text) }
    }
}

fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        let at = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
    }
}
