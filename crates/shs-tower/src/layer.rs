//! The layer.

use std::sync::Arc;

use http::HeaderName;
use http::header::USER_AGENT;
use http::request;
use tower_layer::Layer;

use crate::credentials::is_secret;
use crate::decode::{AnthropicMessages, Decoder, OpenAiChat, OpenAiResponses};
use crate::settings::Settings;
use crate::{Ladder, Limits, Record, Recorder, Redact};

/// Records the LLM conversations that pass through a service.
///
/// It goes around any tower HTTP service whose bodies have [`Bytes`](bytes::Bytes): a chatbot server, or the client to a provider. Requests that no
/// [decoder](crate::decode) knows pass untouched. Of the others, request and response pass frame by frame as they are, while
/// a copy is read; when the response ends, however it ends, the exchange is handed to the [`Recorder`].
///
/// # Who is trusted
/// A client can send any header and any body. So everything that is done for a request stays in the
/// [scope](shs_store::Scope) of the tenant and the user that the application has authenticated
/// ([`TenantKey`](crate::TenantKey), [`UserKey`](crate::UserKey)): a conversation of anybody else
/// is neither found, nor continued, nor forked, whatever ids or histories the client sends.
/// Projects are kept apart too.
///
/// Two users who send the same session id get two sessions. Whoever comes first gets the id as it
/// is, the others `id~hash`, with a hash of user, project and id; what they sent stands in the
/// session's metadata. No client can choose such an id: one with a `~` in it is always replaced by
/// one with a hash.
///
/// A session that the application itself names ([`SessionKey`](crate::SessionKey)) is taken as it
/// is within the tenant, whoever its users are, unless a client made it. Without any
/// authentication, all clients are one nobody, and share the ids they send. Read tenants and users
/// from a header only where something in front of the service sets it.
///
/// # Where it belongs
/// Inside of layers that compress, so that it sees plain bodies; outside of those that time out or limit, so that it sees what
/// clients get. Bodies with the content-encodings gzip, deflate and br are understood all the same.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use shs_memory::MemoryStore;
/// use shs_store::{Scope, SessionId, Store};
/// use shs_tower::{RecordLayer, Recorder, RequestBody};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let recorder = Recorder::new(store.clone());
/// let service = ServiceBuilder::new().layer(RecordLayer::new(recorder.clone())).service_fn(
///     async |request: Request<RequestBody<Full<Bytes>>>| {
///         request.into_body().collect().await?;
///         let answer = r#"{"model": "m", "choices": [{"message": {"content": "Hi!"}, "finish_reason": "stop"}]}"#;
///         Ok::<_, std::convert::Infallible>(Response::new(Full::from(answer)))
///     },
/// );
///
/// let question = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}"#;
/// let request = Request::post("/v1/chat/completions").header("x-session-id", "s1").body(Full::from(question))?;
/// service.oneshot(request).await?.into_body().collect().await?;
///
/// recorder.shutdown(Duration::from_secs(5)).await;
/// let session = store.session(&Scope::DEFAULT, &SessionId::new("s1")?).await?;
/// assert_eq!(session.message_count, 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RecordLayer {
    recorder: Recorder,
    settings: Arc<Settings>,
}

impl RecordLayer {
    /// Records what the built-in decoders know: OpenAI's chat completions and Responses, and Anthropic's messages.
    pub fn new(recorder: Recorder) -> Self {
        let settings = Settings {
            decoders: vec![
                Arc::new(OpenAiChat),
                Arc::new(OpenAiResponses),
                Arc::new(AnthropicMessages),
            ],
            session: Ladder::sessions(),
            tenant: Ladder::tenants(),
            user: Ladder::users(),
            project: Ladder::projects(),
            limits: Limits::default(),
            redact: Redact::default(),
            headers: vec![USER_AGENT],
            request_id: ["idempotency-key", "x-request-id", "x-client-request-id"]
                .map(HeaderName::from_static)
                .into(),
            when: None,
            write_ahead: false,
        };
        Self { recorder, settings: Arc::new(settings) }
    }

    /// Records this API too. It is asked before those that were added earlier, and before the built-in ones.
    #[must_use]
    pub fn decoder(self, decoder: impl Decoder) -> Self {
        self.with(|settings| settings.decoders.insert(0, Arc::new(decoder)))
    }

    /// Where the session is named; [`Ladder::sessions`] unless said otherwise. A request that names none is recognized by
    /// the conversation that it continues, and begins a new session if there is none.
    #[must_use]
    pub fn session(self, ladder: Ladder) -> Self {
        self.with(|settings| settings.session = ladder)
    }

    /// Sets where the tenant is named (default: [`Ladder::tenants`]). A request that names none is
    /// the default tenant's.
    #[must_use]
    pub fn tenant(self, ladder: Ladder) -> Self {
        self.with(|settings| settings.tenant = ladder)
    }

    /// Where the user is named; [`Ladder::users`] unless said otherwise.
    #[must_use]
    pub fn user(self, ladder: Ladder) -> Self {
        self.with(|settings| settings.user = ladder)
    }

    /// Where the project is named; [`Ladder::projects`] unless said otherwise.
    #[must_use]
    pub fn project(self, ladder: Ladder) -> Self {
        self.with(|settings| settings.project = ladder)
    }

    /// How much of an exchange is kept.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|settings| settings.limits = limits)
    }

    /// What is not kept; [`Redact::default`] unless said otherwise.
    #[must_use]
    pub fn redact(self, redact: Redact) -> Self {
        self.with(|settings| settings.redact = redact)
    }

    /// The headers of a request that are kept with its last message; `user-agent` unless said
    /// otherwise. Those that carry secrets are never kept: authorization, cookies, API keys, and
    /// whatever is a secret by its name.
    ///
    /// # Panics
    /// If a name is not that of a header, in lower case.
    #[must_use]
    pub fn headers_allow(self, names: impl IntoIterator<Item = &'static str>) -> Self {
        let names = names.into_iter().map(HeaderName::from_static);
        let names = names.filter(|name| !is_secret(name)).collect();
        self.with(|settings| settings.headers = names)
    }

    /// The headers by which a request that is sent again is known: `idempotency-key`, `x-request-id` and `x-client-request-id` unless said
    /// otherwise. Such a request is stored once, with the answer that was whole.
    ///
    /// # Panics
    /// If a name is not that of a header, in lower case.
    #[must_use]
    pub fn request_id_headers(self, names: impl IntoIterator<Item = &'static str>) -> Self {
        let names = names.into_iter().map(HeaderName::from_static).collect();
        self.with(|settings| settings.request_id = names)
    }

    /// Records only requests for which this holds.
    #[must_use]
    pub fn when(self, condition: impl Fn(&request::Parts) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.when = Some(Arc::new(condition)))
    }

    /// Stores the messages of a request before the service gets it: for audits, where a question must be on record whatever
    /// becomes of it.
    ///
    /// Then recording does delay requests, by the reading of their body and one write; and it fails them: as long as the store
    /// or the queue takes nothing, the client gets the status 503.
    #[must_use]
    pub fn write_ahead(self) -> Self {
        self.with(|settings| settings.write_ahead = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = Record<S>;

    fn layer(&self, inner: S) -> Record<S> {
        Record { inner, recorder: self.recorder.clone(), settings: Arc::clone(&self.settings) }
    }
}
