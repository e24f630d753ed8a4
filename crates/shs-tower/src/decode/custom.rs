//! APIs of one's own.

use std::fmt;
use std::sync::Arc;

use http::{Method, Uri, response};
use serde_json::Value;

use super::json::{Json, failure, parse};
use super::{Decoder, Events, Lines, Prompt, Reply, ReplyDecoder, Sse, is_event_stream};
use crate::Limits;

type ReadRequest = Arc<dyn Fn(&Value) -> Option<Prompt> + Send + Sync>;
type ReadReply = Arc<dyn Fn(&Value) -> Reply + Send + Sync>;
type ReadEvent = Arc<dyn Fn(&str, &str, &mut String) + Send + Sync>;
type IsEnd = Arc<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The decoder of an API of one's own, made of closures.
///
/// A response that is not a success is read as `{"error": …}`. Server-sent events, and the lines of
/// NDJSON (`application/x-ndjson`, `application/jsonl` and the like), go to
/// [`events`](Self::events), a body of JSON to
/// [`reply`](Self::reply), and any other is the text of the answer as it is, also while it is
/// streamed. Tools that a request offers are kept if its [`Prompt`] has them: see
/// [`Prompt::with_tools`].
///
/// # Paths
/// A path is written as axum writes it: `/api/chats/{id}/ask`, where `{id}` is any one segment, and
/// `/api/{*rest}`, where it is one or more. It is compared with the path of the URL as it came,
/// percent-encoded, and inside of a nested router with what is left of it there. Braces that are
/// meant as such are doubled.
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
    name: String,
    method: Method,
    path: matchit::Router<()>,
    request: ReadRequest,
    reply: ReadReply,
    event: ReadEvent,
    end: Option<IsEnd>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Custom {
    /// An API at this path, whose requests are read by this closure; `None` if a request has no turn to record.
    ///
    /// # Panics
    /// If no path can match, as one without a slash at its beginning; [`on`](Self::on) tells
    /// instead.
    pub fn post(
        path: impl AsRef<str>,
        request: impl Fn(&Value) -> Option<Prompt> + Send + Sync + 'static,
    ) -> Self {
        Self::on(Method::POST, path, request).unwrap_or_else(|error| panic!("{}", error.detail()))
    }

    /// An API with another method than POST: see [`post`](Self::post). A request without a body is
    /// read as `null`.
    ///
    /// # Errors
    /// [`InvalidInput`](shs_store::ErrorKind::InvalidInput) if no path can match.
    pub fn on(
        method: Method,
        path: impl AsRef<str>,
        request: impl Fn(&Value) -> Option<Prompt> + Send + Sync + 'static,
    ) -> shs_store::Result<Self> {
        let path = path.as_ref();
        let name =
            if method == Method::POST { path.to_owned() } else { format!("{method} {path}") };
        Ok(Self {
            name,
            method,
            path: pattern(path)?,
            request: Arc::new(request),
            reply: Arc::new(|body| Reply::text(shs_wire::text_of(body))),
            event: Arc::new(|_, data, answer| answer.push_str(data)),
            end: None,
        })
    }

    /// Reads a response of JSON.
    #[must_use]
    pub fn reply(mut self, reply: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        self.reply = Arc::new(reply);
        self
    }

    /// Reads a server-sent event, given its type and data, and adds its text to the answer so far.
    /// A line of NDJSON has the type `"line"`.
    #[must_use]
    pub fn events(
        mut self,
        event: impl Fn(&str, &str, &mut String) + Send + Sync + 'static,
    ) -> Self {
        self.event = Arc::new(event);
        self
    }

    /// Says by which event or line an answer ends. A stream that stops without it was cut
    /// somewhere, also if nobody noticed, and its answer is interrupted. Unless this is said, the
    /// end of the body is the end of the answer.
    #[must_use]
    pub fn ends(mut self, end: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        self.end = Some(Arc::new(end));
        self
    }
}

/// The pattern of a path, if any path can match it.
fn pattern(path: &str) -> shs_store::Result<matchit::Router<()>> {
    let refuse = |why: &str| {
        shs_store::Error::invalid(format!("the path {path:?} matches no request: {why}"))
    };
    let never = |c: char| !c.is_ascii_graphic() || matches!(c, '?' | '#');
    if !path.starts_with('/') {
        return Err(refuse("begin it with a slash"));
    }
    if let Some(c) = path.chars().find(|c| never(*c)) {
        return Err(refuse(&format!("{c:?} is in no path of a URL; percent-encode it")));
    }
    if path.split('/').any(|segment| segment.starts_with([':', '*'])) {
        return Err(refuse("write {name} for one segment, and {*rest} for all that follow"));
    }
    let mut router = matchit::Router::new();
    router.insert(path, ()).map_err(|error| refuse(&error.to_string()))?;
    Ok(router)
}

impl Decoder for Custom {
    fn name(&self) -> &str {
        &self.name
    }

    fn matches(&self, method: &Method, uri: &Uri) -> bool {
        method == self.method && self.path.at(uri.path()).is_ok()
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        let body = if body.is_empty() { Value::Null } else { parse(body)? };
        (self.request)(&body).ok_or_else(|| "the request has no turn to record".to_owned())
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        let events = || TextEvents {
            event: Arc::clone(&self.event),
            end: self.end.clone(),
            text: String::new(),
            limit: limits.response,
            has_ended: false,
        };
        let content_type = content_type(head);
        if !head.status.is_success() {
            Box::new(Json::new(limits, failure))
        } else if is_event_stream(head) {
            Box::new(Sse::new(events(), limits))
        } else if is_lines(&content_type) {
            Box::new(Lines::new(events(), limits))
        } else if content_type.ends_with("json") {
            let reply = Arc::clone(&self.reply);
            Box::new(Json::new(limits, move |body: &Value| reply(body)))
        } else {
            Box::new(PlainText { text: Vec::new(), limit: limits.response, truncated: false })
        }
    }
}

/// The content type, without parameters and in lower case.
fn content_type(head: &response::Parts) -> String {
    let value = head.headers.get(http::header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a body of this type is one JSON value a line.
fn is_lines(content_type: &str) -> bool {
    let kind = content_type.strip_prefix("application/").unwrap_or_default();
    matches!(
        kind.strip_prefix("x-").unwrap_or(kind),
        "ndjson" | "jsonl" | "jsonlines" | "json-lines" | "json-stream" | "stream+json"
    )
}

struct TextEvents {
    event: ReadEvent,
    end: Option<IsEnd>,
    text: String,
    limit: usize,
    has_ended: bool,
}

impl Events for TextEvents {
    fn event(&mut self, kind: &str, data: &str) {
        if self.text.len() <= self.limit {
            (self.event)(kind, data, &mut self.text);
        }
        self.has_ended |= self.end.as_ref().is_some_and(|end| end(kind, data));
    }

    fn has_content(&self) -> bool {
        !self.text.is_empty()
    }

    fn held(&self) -> usize {
        self.text.len()
    }

    fn is_complete(&self, at_end: bool) -> bool {
        if self.end.is_some() { self.has_ended } else { at_end }
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
