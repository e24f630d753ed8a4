//! The side of the request, read and ready to be stored.

use std::sync::Arc;

use serde_json::{Value, json};
use shs_store::{Map, MessageId, NewMessage, Scope, Timestamp};
use shs_wire::json_weight;
use tracing::Span;
use uuid::Uuid;

use super::attachments::shorten;
use super::exchange::{Captured, Request};
use super::guard::guarded;
use super::memory::Charge;
use super::name::{name, secret_name, user_name};
use super::offer::Offer;
use super::place::{Said, Saying, turns};
use crate::credentials::Own;
use crate::decode::{Decoder, History, Prompt, parse};
use crate::encoding::Undecoded;
use crate::identity::Found;
use crate::keys;
use crate::redact::{Clean, Redact};

/// Why a request is not recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It has no turn to record.
    NoTurn(String),
    /// There is no memory for what it would become.
    NoMemory,
}

impl From<String> for Unread {
    fn from(reason: String) -> Self {
        Self::NoTurn(reason)
    }
}

/// What a request says, free of secrets.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) exchange: Uuid,
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(super) at: Timestamp,
    pub(super) messages: Vec<NewMessage>,
    pub(super) said: Vec<Said>,
    pub(super) history: History,
    pub(super) model: Option<String>,
    pub(super) previous_response: Option<String>,
    pub(super) offer: Offer,
    pub(super) session: Option<Found>,
    /// The tenant and, unless the application named the session, the user.
    pub(super) scope: Scope,
    pub(super) user: Option<Found>,
    pub(super) project: Option<Found>,
    /// What the ids of messages are made of, if the client may send the request again.
    pub(super) repeats: Option<Uuid>,
    pub(super) span: Span,
    /// Finds the request's own secrets in the response.
    own: Arc<Own>,
    /// The memory that it takes, until it is stored.
    _memory: Charge,
}

const NAMESPACE: Uuid = Uuid::from_u128(0x5e55_1095_4157_4f72_8d16_e57c_0de0_0002);

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// Why it is not recorded.
    pub(super) fn read(mut request: Request) -> Result<Self, Unread> {
        let limits = &request.settings.limits;
        let (max_bytes, max_weight) = (limits.request, limits.parsed as u64);
        let mut prompt = match decode(&mut request)? {
            Body::TooLong => too_long(&request.body, json!({ "limit": max_bytes })),
            Body::Whole => match weight(&mut request.body, max_weight)? {
                Some(weight) => {
                    too_long(&request.body, json!({ "parsed": weight, "limit": max_weight }))
                }
                None => prompt(&request)?,
            },
        };
        let memory = request.body.take_memory();
        let own = Arc::new(request.credentials.own());
        let clean = Clean { redact: &request.settings.redact, own: &own };
        let Request { settings, body, .. } = &request;
        // Those that need no more than the head are spared the parsing.
        let ladders = [&request.session, &request.tenant, &request.user, &request.project];
        let is_needed = ladders.iter().any(|ladder| ladder.needs_body());
        // What is no JSON is for its decoder to refuse.
        let document = is_needed.then(|| parse(&body.bytes).ok()).flatten().unwrap_or_default();
        for message in &mut prompt.messages {
            clean.message(message);
            shorten(&mut message.parts, settings.limits.attachment);
            message.timestamp = request.at;
        }
        let mut asked = Self {
            exchange: exchange(request.at),
            decoder: Arc::clone(&request.decoder),
            at: request.at,
            said: prompt.messages.iter().map(Said::of).collect(),
            messages: prompt.messages,
            history: prompt.history,
            model: prompt.model.map(|model| name(&clean.cleaned(model))),
            previous_response: prompt.previous_response.map(|id| clean.cleaned(id)),
            offer: Offer::new(prompt.tools, prompt.parallel_tool_calls, settings, clean),
            session: settings.session.of_body(request.session.clone(), &document),
            scope: Scope::DEFAULT,
            user: settings.user.of_body(request.user.clone(), &document),
            project: settings.project.of_body(request.project.clone(), &document),
            repeats: None,
            span: request.span.clone(),
            own: Arc::clone(&own),
            _memory: memory,
        };
        for found in [&mut asked.session, &mut asked.user, &mut asked.project] {
            if let Some(found) = found
                && clean.is_secret(&found.id, found.is_trusted)
            {
                found.id = secret_name(&found.id);
            }
        }
        if let Some(user) = &mut asked.user {
            user.id = user_name(&user.id);
        }
        if let Some(project) = &mut asked.project {
            project.id = user_name(&project.id);
        }
        let mut tenant = settings.tenant.of_body(request.tenant.clone(), &document);
        if let Some(tenant) = &mut tenant
            && clean.is_secret(&tenant.id, tenant.is_trusted)
        {
            tenant.id = secret_name(&tenant.id);
        }
        asked.scope = scope(tenant.as_ref(), asked.user.as_ref(), asked.session.as_ref());
        asked.mark(&request, clean);
        Ok(asked)
    }

    /// Frees what belongs to the exchange of secrets.
    pub(super) fn clean<'a>(&'a self, redact: &'a Redact) -> Clean<'a> {
        Clean { redact, own: &self.own }
    }

    /// The name of the API.
    pub(super) fn api(&self) -> &str {
        self.decoder.name()
    }

    /// Whoever sends the conversation; sessions are kept apart by it.
    pub(super) fn principal(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.id.as_str())
    }

    /// The id of an answer; the same for a request that is sent again.
    pub(super) fn answer_id(&self, choice: u32) -> MessageId {
        self.repeats.map_or_else(MessageId::generate, |repeats| {
            derived(repeats, format!("answer {choice}").as_bytes())
        })
    }

    /// The sayings that are turns of the conversation.
    pub(super) fn turns(&self) -> impl Iterator<Item = Saying> {
        turns(&self.said)
    }

    /// Sets the ids of a request that may come again, and writes down what was sent beside the conversation.
    fn mark(&mut self, request: &Request, clean: Clean<'_>) {
        if let Some(request_id) = &request.request_id {
            // The same id with another conversation is another request: some send the id of a trace.
            let mut seed = Saying::chain(self.said.iter().map(|said| said.saying)).to_vec();
            seed.extend_from_slice(self.scope.tenant_id().as_str().as_bytes());
            seed.push(0);
            seed.extend_from_slice(self.principal().unwrap_or_default().as_bytes());
            seed.push(0);
            seed.extend_from_slice(request_id.as_bytes());
            let repeats = Uuid::new_v5(&NAMESPACE, &seed);
            for (at, message) in self.messages.iter_mut().enumerate() {
                message.id = derived(repeats, &(at as u64).to_le_bytes());
            }
            self.repeats = Some(repeats);
        }
        let mut metadata = Map::from_iter([
            (keys::API.to_owned(), self.api().into()),
            (keys::EXCHANGE.to_owned(), self.exchange.to_string().into()),
        ]);
        if let Some(request_id) = &request.request_id {
            metadata.insert(
                keys::REQUEST_ID.to_owned(),
                name(&clean.cleaned(request_id.clone())).into(),
            );
        }
        if !request.headers.is_empty() {
            let mut headers = request.headers.clone();
            clean.map(&mut headers);
            metadata.insert(keys::HEADERS.to_owned(), headers.into());
        }
        if let Some(last) = self.messages.last_mut() {
            last.metadata.extend(metadata);
        }
    }
}

/// What is there to be read.
enum Body {
    Whole,
    TooLong,
}

/// Decodes a body that came with a content-encoding, and checks that all of it is there.
fn decode(request: &mut Request) -> Result<Body, Unread> {
    let limit = request.settings.limits.request;
    if request.body.is_lost {
        return Err(Unread::NoMemory);
    }
    if request.body.seen > limit as u64 {
        request.body.give_up();
        return Ok(Body::TooLong);
    }
    if !request.body.is_whole {
        return Err(Unread::NoTurn("the request's body was not read to its end".to_owned()));
    }
    if request.encoding.is_identity() {
        return Ok(Body::Whole);
    }
    let mut decoded = Vec::new();
    let memory = &mut request.body.memory;
    let result = request.encoding.decode([&*request.body.bytes], limit as u64, |bytes| {
        let has_room = memory.grow(bytes.len() as u64);
        if has_room {
            decoded.extend_from_slice(bytes);
        }
        has_room
    });
    match result {
        Ok(()) => {
            request.body.bytes = decoded;
            Ok(Body::Whole)
        }
        Err(Undecoded::TooLong) => {
            request.body.give_up();
            Ok(Body::TooLong)
        }
        Err(Undecoded::Unwanted) => Err(Unread::NoMemory),
        Err(Undecoded::Early(reason) | Undecoded::Unreadable(reason)) => {
            Err(Unread::NoTurn(reason))
        }
    }
}

/// Takes the memory that a body's JSON needs once it is read; returns how much that would be if it
/// is too much.
fn weight(body: &mut Captured, limit: u64) -> Result<Option<u64>, Unread> {
    let first = body.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return Ok(None);
    }
    let weight = json_weight(&body.bytes);
    if weight > limit {
        body.give_up();
        return Ok(Some(weight));
    }
    if !body.memory.grow_to(weight) {
        return Err(Unread::NoMemory);
    }
    Ok(None)
}

fn prompt(request: &Request) -> Result<Prompt, String> {
    let redact = &request.settings.redact;
    let bytes = &request.body.bytes;
    let clean = redact.has_pointers().then(|| parse(bytes).ok()).flatten().map(|mut document| {
        redact.document(&mut document);
        document.to_string()
    });
    let bytes = clean.as_ref().map_or(&**bytes, |clean| clean.as_bytes());
    guarded("a decoder", || request.decoder.request(bytes))?
}

fn derived(repeats: Uuid, part: &[u8]) -> MessageId {
    MessageId::new(Uuid::new_v5(&repeats, part).to_string()).expect("a UUID is an id")
}

/// In which scope everything for a request is done. A session that the application named is the
/// tenant's, whoever its user is.
fn scope(tenant: Option<&Found>, user: Option<&Found>, session: Option<&Found>) -> Scope {
    let tenant = tenant.map_or(Ok(Scope::DEFAULT), |found| Scope::tenant(user_name(&found.id)));
    let tenant = tenant.expect("a name that does not fit was replaced");
    match user {
        Some(user) if !session.is_some_and(|session| session.is_trusted) => {
            tenant.as_user(&user.id).expect("a name that does not fit was replaced")
        }
        _ => tenant,
    }
}

/// A new id for an exchange that began at this time, or in 1970 if the clock stands before that.
fn exchange(at: Timestamp) -> Uuid {
    let micros = u64::try_from(at.as_micros()).unwrap_or(0);
    let nanos = (micros % 1_000_000) as u32 * 1_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos))
}

/// Stands for a request that is beyond a limit.
fn too_long(body: &Captured, why: Value) -> Prompt {
    let mut truncated = why;
    truncated["bytes"] = body.seen.into();
    let metadata = Map::from_iter([(keys::TRUNCATED.to_owned(), truncated)]);
    Prompt::continues(vec![NewMessage::user("").with_metadata(metadata)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanges_have_ids_whatever_the_clock_says() {
        let (before, after) = (exchange(Timestamp::MIN), exchange(Timestamp::now()));
        assert!(before < after && after < exchange(Timestamp::MAX));
        assert_ne!(exchange(Timestamp::MIN), before);
    }
}
