//! Answers of a server that speaks OpenAI's chat completions API.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Uri, header};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sse_parse::EventStream;
use tokio::time::timeout;

use crate::responder::{Piece, Pieces, Said};
use crate::{Outcome, with_causes};

/// How long the server may be silent before its answer is given up.
const SILENCE: Duration = Duration::from_secs(120);

/// The most that is read of an error response.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// A server, and the model to ask it for.
pub(crate) struct OpenAi {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    uri: Uri,
    authorization: Option<HeaderValue>,
    model: String,
}

impl OpenAi {
    /// The server with this base URL, as OpenAI's own libraries take it: with `/v1`, without `/chat/completions`.
    ///
    /// # Errors
    /// Names the variable that is not valid; never says the key.
    pub(crate) fn new(base: &str, key: Option<&str>, model: String) -> Outcome<Self> {
        let uri = format!("{}/chat/completions", base.trim_end_matches('/'));
        let uri: Option<Uri> = uri.parse().ok();
        let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        let uri = uri.ok_or_else(|| {
            format!("OPENAI_BASE_URL is {base:?}; give a URL such as http://127.0.0.1:11434/v1")
        })?;
        let authorization = key.map(|key| HeaderValue::try_from(format!("Bearer {key}")));
        let mut authorization = authorization
            .transpose()
            .map_err(|_| "OPENAI_API_KEY has characters that no HTTP header may have")?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let https = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
        let client = Client::builder(TokioExecutor::new()).build(https.enable_http1().build());
        Ok(Self { client, uri, authorization, model })
    }

    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Asks when it is polled first.
    pub(crate) fn answer(&self, conversation: &[Said]) -> Pieces {
        let client = self.client.clone();
        let request = self.request(conversation);
        let is_secure = self.uri.scheme_str() == Some("https");
        stream::once(async move {
            if is_secure && SystemTime::now() < SystemTime::UNIX_EPOCH {
                // Certificates cannot be checked, and rustls panics when it tries.
                return Err("the clock of the chatbot stands before 1970".to_owned());
            }
            let asked = timeout(SILENCE, client.request(request)).await.map_err(|_| silent())?;
            let response = asked.map_err(|error| {
                format!("the answering server cannot be reached: {}", with_causes(&error))
            })?;
            let (head, body) = response.into_parts();
            let body = Body::new(body);
            if head.status.is_success() {
                return Ok(pieces(body));
            }
            let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
            let said = serde_json::from_slice(&body).ok().and_then(|body| said_error(&body));
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            Err(format!("the answering server refused ({}){said}", head.status))
        })
        .try_flatten()
        .boxed()
    }

    fn request(&self, conversation: &[Said]) -> Request<Body> {
        let message = |said: &Said| json!({ "role": said.role.as_str(), "content": said.text });
        let body = json!({
            "model": self.model,
            "messages": conversation.iter().map(message).collect::<Vec<_>>(),
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let mut request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .expect("the URL and the header are valid");
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }
}

impl fmt::Display for OpenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.model, self.uri)
    }
}

/// Reads the events of a streamed answer.
fn pieces(body: Body) -> BoxStream<'static, Result<Piece, String>> {
    let events = EventStream::new(body.into_data_stream());
    let reading = Reading { events: events.boxed(), has_finished: false };
    stream::try_unfold(reading, |mut reading| async move {
        let pieces = reading.next().await?;
        Ok::<_, String>(pieces.map(|pieces| (stream::iter(pieces.into_iter().map(Ok)), reading)))
    })
    .try_flatten()
    .boxed()
}

type Event = Result<sse_parse::Event, sse_parse::Error<axum::Error>>;

struct Reading {
    events: BoxStream<'static, Event>,
    has_finished: bool,
}

impl Reading {
    /// What the next event brings; `None` at the end of the answer.
    async fn next(&mut self) -> Result<Option<Vec<Piece>>, String> {
        let event = match timeout(SILENCE, self.events.next()).await.map_err(|_| silent())? {
            Some(Ok(event)) if event.data != "[DONE]" => event,
            Some(Ok(_)) => return Ok(None),
            None if self.has_finished => return Ok(None),
            None => return Err("the answering server broke off in the middle".to_owned()),
            Some(Err(sse_parse::Error::Transport(error))) => return Err(broken(&error)),
        };
        let chunk: Value = serde_json::from_str(&event.data)
            .map_err(|_| "the answering server sent what is not JSON".to_owned())?;
        if let Some(error) = said_error(&chunk) {
            return Err(format!("the answering server failed: {error}"));
        }
        let choice = &chunk["choices"][0];
        self.has_finished |= choice["finish_reason"].is_string();
        let text = choice["delta"]["content"].as_str().filter(|text| !text.is_empty());
        let tokens = chunk["usage"]["completion_tokens"].as_u64();
        let tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
        let text = text.map(|text| Piece::Text(text.to_owned()));
        Ok(Some(text.into_iter().chain(tokens.map(Piece::Tokens)).collect()))
    }
}

fn said_error(body: &Value) -> Option<String> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let message = error.get("message").unwrap_or(error);
    Some(message.as_str().map_or_else(|| message.to_string(), str::to_owned))
}

fn silent() -> String {
    format!("the answering server was silent for {} seconds", SILENCE.as_secs())
}

fn broken(error: &(dyn Error + 'static)) -> String {
    format!("the connection to the answering server broke: {}", with_causes(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: &'static str) -> Vec<Result<Piece, String>> {
        pieces(Body::from(body)).collect().await
    }

    #[tokio::test]
    async fn text_and_tokens_are_read() {
        let read = read(concat!(
            "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"\"}}]}\n\n",
            "data: {\"choices\": [{\"delta\": {\"content\": \"Hi\"}}]}\n\n",
            "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n",
            "data: {\"choices\": [], \"usage\": {\"completion_tokens\": 7}}\n\n",
            "data: [DONE]\n\ndata: not read\n\n",
        ));
        assert_eq!(read.await, [Ok(Piece::Text("Hi".to_owned())), Ok(Piece::Tokens(7))]);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let read = read("data: {\"choices\": [{\"delta\": {\"content\": \"Hi\"}}]}\n\n").await;
        assert_eq!(read[0], Ok(Piece::Text("Hi".to_owned())));
        assert!(read[1].as_ref().unwrap_err().contains("broke off"));
    }

    #[tokio::test]
    async fn an_error_in_the_stream_is_told() {
        let read = read("data: {\"error\": {\"message\": \"overloaded\"}}\n\n").await;
        assert_eq!(read, [Err("the answering server failed: overloaded".to_owned())]);
    }

    #[test]
    fn bad_settings_are_told_with_their_variable() {
        let error = |base, key| OpenAi::new(base, key, "m".to_owned()).err().unwrap().to_string();
        assert!(error("localhost:8080", None).contains("OPENAI_BASE_URL"));
        let told = error("http://localhost", Some("a\nsecret"));
        assert!(told.contains("OPENAI_API_KEY") && !told.contains("secret"), "{told}");
    }
}
