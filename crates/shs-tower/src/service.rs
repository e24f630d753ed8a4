//! The service that listens.

use std::fmt::{self, Display};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body::Body;
use pin_project_lite::pin_project;
use serde_json::json;
use shs_store::{Map, Timestamp};
use tower_service::Service;
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::body::{RequestBody, ResponseBody, Tee};
use crate::credentials::Credentials;
use crate::decode::Decoder;
use crate::encoding::Encoding;
use crate::identity::header;
use crate::recorder::{self, Captured, Ending, Recorder, Room, guarded, locked};
use crate::settings::Settings;
use crate::tap::{Pending, Tap};

/// A service whose conversations are recorded; what [`RecordLayer`](crate::RecordLayer) makes.
#[derive(Clone, Debug)]
pub struct Record<S> {
    pub(crate) inner: S,
    pub(crate) recorder: Recorder,
    pub(crate) settings: Arc<Settings>,
}

impl<S> Record<S> {
    /// The service inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Whether a request is to be recorded, and can be.
    fn admit(&self, parts: &request::Parts) -> Admission {
        let of_api = |decoder: &&Arc<dyn Decoder>| {
            guarded("a decoder", || decoder.matches(&parts.method, &parts.uri)).unwrap_or(false)
        };
        let Some(decoder) = self.settings.decoders.iter().find(of_api) else {
            return Admission::Pass;
        };
        if let Some(when) = &self.settings.when
            && !guarded("the condition of the layer", || when(parts)).unwrap_or(true)
        {
            return Admission::Pass;
        }
        match self.recorder.admit() {
            Some(room) => Admission::Record(Arc::clone(decoder), room),
            None if self.settings.write_ahead => Admission::Refuse,
            None => Admission::Pass,
        }
    }

    fn question(
        &self,
        parts: &request::Parts,
        decoder: Arc<dyn Decoder>,
        room: &Room,
    ) -> recorder::Request {
        let settings = &self.settings;
        let look = |ladder: &crate::Ladder| {
            guarded("an extension's closure", || ladder.of_head(parts)).unwrap_or_default()
        };
        let kept = settings.headers.iter().filter_map(|name| {
            Some((name.as_str().to_owned(), header(&parts.headers, name)?.into()))
        });
        let request_id = settings.request_id.iter().find_map(|name| header(&parts.headers, name));
        recorder::Request {
            at: Timestamp::now(),
            body: Captured::new(room.charge()),
            encoding: Encoding::of(&parts.headers),
            session: look(&settings.session),
            tenant: look(&settings.tenant),
            user: look(&settings.user),
            project: look(&settings.project),
            request_id: request_id.filter(|id| !id.is_empty()),
            headers: kept.collect::<Map>(),
            span: span(),
            credentials: Credentials::of(parts),
            settings: Arc::clone(settings),
            decoder,
        }
    }
}

/// The span of an exchange, with the attributes of the [GenAI conventions] of OpenTelemetry. What is known only at the
/// end is recorded when the exchange is stored.
///
/// [GenAI conventions]: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
fn span() -> Span {
    info_span!(
        "chat",
        "gen_ai.operation.name" = "chat",
        "gen_ai.conversation.id" = Empty,
        "gen_ai.request.model" = Empty,
        "gen_ai.response.model" = Empty,
        "gen_ai.response.id" = Empty,
        "gen_ai.response.finish_reasons" = Empty,
        "gen_ai.usage.input_tokens" = Empty,
        "gen_ai.usage.output_tokens" = Empty,
    )
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Record<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body<Data = Bytes> + Send + 'static,
    ReqBody::Error: Send + 'static,
    ResBody: Body<Data = Bytes> + Send + 'static,
    ResBody::Error: Display,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = RecordFuture<S::Future, ResBody, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let (decoder, room) = match self.admit(&parts) {
            Admission::Record(decoder, room) => (decoder, room),
            Admission::Pass => {
                let request = Request::from_parts(parts, RequestBody::untouched(body));
                return RecordFuture::calling(self.inner.call(request), None, Span::none());
            }
            Admission::Refuse => return RecordFuture::ahead(ready(Ok(refusal()))),
        };
        let question = self.question(&parts, decoder, &room);
        if question.is_unclear() {
            self.recorder.count_unclear();
            if self.settings.write_ahead {
                return RecordFuture::ahead(ready(Ok(unclear())));
            }
            let request = Request::from_parts(parts, RequestBody::untouched(body));
            return RecordFuture::calling(self.inner.call(request), None, Span::none());
        }
        let span = question.span.clone();
        let captured = Arc::new(Mutex::new(Captured::new(room.charge())));
        let tee = Tee::new(&captured, self.settings.limits.request);
        let (recorder, settings) = (self.recorder.clone(), Arc::clone(&self.settings));
        if !self.settings.write_ahead {
            let pending = Pending::Arriving(Box::new(question), captured);
            let tap = Tap::new(recorder, room, settings, pending, begun);
            let request = Request::from_parts(parts, RequestBody::heard(body, tee));
            let future = span.in_scope(|| self.inner.call(request));
            return RecordFuture::calling(future, Some(tap), span);
        }
        // The clone is not known to be ready; the service that was asked is.
        let clone = self.inner.clone();
        let mut service = std::mem::replace(&mut self.inner, clone);
        RecordFuture::ahead(async move {
            let mut question = question;
            let body = RequestBody::read_ahead(body, tee).await;
            question.body = locked(&captured).take();
            if question.body.is_lost {
                recorder.count_dropped();
                return Ok(refusal());
            }
            let Ok(stored) = recorder.ahead(question).await else { return Ok(refusal()) };
            let tap = stored.map(|question| {
                Tap::new(recorder, room, settings, Pending::Stored(question), begun)
            });
            let request = Request::from_parts(parts, body);
            let future = span.in_scope(|| service.call(request));
            RecordFuture::calling(future, tap, span).await
        })
    }
}

/// What becomes of a request.
enum Admission {
    Record(Arc<dyn Decoder>, Room),
    /// It is none of ours, or there is no room for it.
    Pass,
    /// It must not go on unrecorded, and there is no room for it.
    Refuse,
}

pin_project! {
    /// The response of a [`Record`], while it is waited for.
    pub struct RecordFuture<F, B, E> {
        #[pin]
        state: State<F, B, E>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F, B, E> {
        Calling { #[pin] future: F, tap: Option<Tap>, span: Span },
        Ahead { future: Responding<B, E> },
    }
}

type Responding<B, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<B>>, E>> + Send>>;

impl<F, B, E> fmt::Debug for RecordFuture<F, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFuture").finish_non_exhaustive()
    }
}

impl<F, B, E> RecordFuture<F, B, E> {
    fn calling(future: F, tap: Option<Tap>, span: Span) -> Self {
        Self { state: State::Calling { future, tap, span } }
    }

    fn ahead(
        future: impl Future<Output = Result<Response<ResponseBody<B>>, E>> + Send + 'static,
    ) -> Self {
        Self { state: State::Ahead { future: Box::pin(future) } }
    }
}

impl<F, B, E> Future for RecordFuture<F, B, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (future, tap, span) = match self.project().state.project() {
            Projected::Calling { future, tap, span } => (future, tap, span),
            Projected::Ahead { future } => return future.as_mut().poll(cx),
        };
        let entered = span.enter();
        let answered = task::ready!(future.poll(cx));
        drop(entered);
        let mut tap = tap.take();
        Poll::Ready(match answered {
            Ok(response) => {
                let (head, body) = response.into_parts();
                if let Some(tap) = &mut tap {
                    tap.head(&head);
                }
                Ok(Response::from_parts(head, ResponseBody::new(body, tap)))
            }
            Err(error) => {
                if let Some(tap) = &mut tap {
                    tap.end(Ending::NoResponse, Some("the service gave no response".to_owned()));
                }
                Err(error)
            }
        })
    }
}

/// What a client gets whose message could not be stored ahead.
fn refusal<B: Body<Data = Bytes>>() -> Response<ResponseBody<B>> {
    let message = "the conversation cannot be recorded now; try again";
    let mut response = error(StatusCode::SERVICE_UNAVAILABLE, "recording_unavailable", message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// What a client gets that does not say clearly who it is, where a conversation must be on record.
fn unclear<B: Body<Data = Bytes>>() -> Response<ResponseBody<B>> {
    let message =
        "a header that names the session, tenant, user or project is not UTF-8, or comes twice";
    error(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

fn error<B: Body<Data = Bytes>>(
    status: StatusCode,
    kind: &str,
    message: &str,
) -> Response<ResponseBody<B>> {
    let body = json!({ "error": { "message": message, "type": kind } });
    let mut response = Response::new(ResponseBody::refusal(body.to_string().into()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
