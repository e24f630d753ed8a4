//! The side of the request, read and ready to be stored.

use std::sync::Arc;

use serde_json::json;
use shs_store::{Map, MessageId, NewMessage, Timestamp};
use tracing::Span;
use uuid::Uuid;

use super::attachments::shorten;
use super::exchange::{Captured, Request};
use super::guard::guarded;
use super::name::{name, user_name};
use super::offer::Offer;
use super::place::{Said, Saying, turns};
use crate::decode::{Decoder, History, Prompt, parse};
use crate::encoding::Encoding;
use crate::identity::Found;
use crate::keys;

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
    pub(super) user: Option<Found>,
    pub(super) project: Option<Found>,
    /// What the ids of messages are made of, if the client may send the request again.
    pub(super) repeats: Option<Uuid>,
    pub(super) span: Span,
}

const NAMESPACE: Uuid = Uuid::from_u128(0x5e55_1095_4157_4f72_8d16_e57c_0de0_0002);

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// Why it has no turn to record.
    pub(super) fn read(mut request: Request) -> Result<Self, String> {
        decode(&mut request)?;
        let Request { settings, body, .. } = &request;
        // Those that need no more than the head are spared the parsing.
        let ladders = [&request.session, &request.user, &request.project];
        let is_needed = settings.redact.has_pointers() || ladders.iter().any(|l| l.needs_body());
        // What is no JSON is for its decoder to refuse.
        let document = is_needed.then(|| parse(&body.bytes).ok()).flatten().unwrap_or_default();
        let mut prompt = if body.seen > settings.limits.request as u64 {
            too_long(body.seen, settings.limits.request)
        } else if !body.is_whole {
            return Err("the request's body was not read to its end".to_owned());
        } else if settings.redact.has_pointers() && !document.is_null() {
            let mut clean = document.clone();
            settings.redact.document(&mut clean);
            guarded("a decoder", || request.decoder.request(clean.to_string().as_bytes()))??
        } else {
            guarded("a decoder", || request.decoder.request(&body.bytes))??
        };
        for message in &mut prompt.messages {
            settings.redact.text(&mut message.content);
            settings.redact.parts(&mut message.parts);
            settings.redact.map(&mut message.metadata);
            shorten(&mut message.parts, settings.limits.attachment);
            message.timestamp = request.at;
        }
        let mut asked = Self {
            exchange: shs_store::clock::new_uuid(),
            decoder: Arc::clone(&request.decoder),
            at: request.at,
            said: prompt.messages.iter().map(Said::of).collect(),
            messages: prompt.messages,
            history: prompt.history,
            model: prompt.model.map(|model| name(&model)),
            previous_response: prompt.previous_response,
            offer: Offer::new(prompt.tools, prompt.parallel_tool_calls, settings),
            session: settings.session.of_body(request.session.clone(), &document),
            user: settings.user.of_body(request.user.clone(), &document),
            project: settings.project.of_body(request.project.clone(), &document),
            repeats: None,
            span: request.span.clone(),
        };
        if let Some(user) = &mut asked.user {
            user.id = user_name(&user.id);
        }
        if let Some(project) = &mut asked.project {
            project.id = user_name(&project.id);
        }
        asked.mark(&request);
        Ok(asked)
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> u64 {
        let messages = self.messages.iter().map(|message| message.content.len() as u64);
        messages.sum::<u64>() + self.offer.weight()
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
    fn mark(&mut self, request: &Request) {
        if let Some(request_id) = &request.request_id {
            // The same id with another conversation is another request: some send the id of a trace.
            let mut seed = Saying::chain(self.said.iter().map(|said| said.saying)).to_vec();
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
            metadata.insert(keys::REQUEST_ID.to_owned(), name(request_id).into());
        }
        if !request.headers.is_empty() {
            let mut headers = request.headers.clone();
            request.settings.redact.map(&mut headers);
            metadata.insert(keys::HEADERS.to_owned(), headers.into());
        }
        if let Some(last) = self.messages.last_mut() {
            last.metadata.extend(metadata);
        }
    }
}

/// Decodes a body that came with a content-encoding.
fn decode(request: &mut Request) -> Result<(), String> {
    if matches!(request.encoding, Encoding::Identity) {
        return Ok(());
    }
    let limit = request.settings.limits.request;
    let mut decoded = Captured { is_whole: request.body.is_whole, ..Captured::default() };
    request.encoding.push(&request.body.bytes, |bytes| decoded.push(bytes, limit));
    if request.body.seen <= limit as u64 {
        request.body = decoded;
    }
    request.encoding.failure().map_or(Ok(()), |failure| Err(failure.to_owned()))
}

fn derived(repeats: Uuid, part: &[u8]) -> MessageId {
    MessageId::new(Uuid::new_v5(&repeats, part).to_string()).expect("a UUID is an id")
}

fn too_long(bytes: u64, limit: usize) -> Prompt {
    let truncated = json!({ "bytes": bytes, "limit": limit });
    let metadata = Map::from_iter([(keys::TRUNCATED.to_owned(), truncated)]);
    Prompt::continues(vec![NewMessage::user("").with_metadata(metadata)])
}
