//! The side of the response, ready to be stored.

use serde_json::{Value, json};
use shs_store::{Map, NewMessage, Status, Timestamp};

use super::asked::Asked;
use super::exchange::{Ending, Response};
use super::memory::Charge;
use super::name::name;
use crate::decode::{Choice, Reply, ReplyError};
use crate::keys;
use crate::settings::Settings;

/// The answers of a response, free of secrets: one message for each choice, and one without content if there was
/// none. With them comes the memory that they take.
pub(super) fn answers(
    asked: &Asked,
    response: Response,
    settings: &Settings,
) -> (Vec<NewMessage>, Charge) {
    let Response {
        ending,
        status,
        reply,
        is_complete,
        error,
        undecoded,
        bytes,
        latency,
        memory,
        ..
    } = response;
    let clean = asked.clean(&settings.redact);
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let Reply { mut choices, model, id, usage, error: said_error, truncated } = reply;
    let failed = status.is_some_and(|status| !status.is_success());
    let error = said_error
        .or_else(|| error.map(ReplyError::new))
        .or_else(|| failed.then(|| ReplyError::new("the response says no reason")));
    let mut common = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            common.insert(key.to_owned(), value);
        }
    };
    put(keys::API, Some(asked.api().into()));
    put(keys::EXCHANGE, Some(asked.exchange.to_string().into()));
    put(keys::ENDING, Some(ending.as_str().into()));
    put(keys::REQUEST_MODEL, asked.model.as_deref().map(Value::from));
    put(keys::RESPONSE_ID, id.map(|id| clean.cleaned(id).into()));
    put(
        keys::ERROR,
        error.as_ref().map(|error| {
            let mut error = error.to_json();
            clean.value(&mut error);
            error
        }),
    );
    put(keys::HTTP_STATUS, status.filter(|_| failed).map(|status| status.as_u16().into()));
    put(keys::FIRST_BYTE, response.first_byte.map(|time| milliseconds(time).into()));
    put(keys::FIRST_TOKEN, response.first_token.map(|time| milliseconds(time).into()));
    put(keys::UNDECODED, undecoded.map(|reason| clean.cleaned(reason).into()));
    let limit = settings.limits.response;
    put(keys::TRUNCATED, truncated.then(|| json!({ "bytes": bytes, "limit": limit })));
    if choices.is_empty() {
        choices.push(Choice::default());
    }
    let several = choices.len() > 1;
    let model = model.map(|model| name(&clean.cleaned(model))).or_else(|| asked.model.clone());
    let model = model.filter(|model| !model.is_empty());
    let message = |(at, choice): (usize, Choice)| {
        let Choice { index, content, parts, finish_reason, refusal } = choice;
        let is_whole = is_complete || finish_reason.is_some();
        let mut message = NewMessage::assistant(content)
            .with_id(asked.answer_id(index))
            .with_parts(parts)
            .with_timestamp(Timestamp::now())
            .with_status(status_of(ending, error.is_some(), is_whole))
            .with_latency_ms(milliseconds(latency))
            .with_metadata(common.clone());
        clean.text(&mut message.content);
        clean.parts(&mut message.parts);
        message.model.clone_from(&model);
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                message.metadata.insert(key.to_owned(), value);
            }
        };
        put(keys::FINISH_REASON, finish_reason.map(|reason| clean.cleaned(reason).into()));
        put(keys::REFUSAL, refusal.then_some(Value::Bool(true)));
        // Of several choices, a stream that was cut may have begun the second only.
        put(keys::CHOICE, (several || index > 0).then(|| index.into()));
        // The provider reports the tokens of all choices together: they count once.
        if let Some(usage) = usage.filter(|_| at == 0) {
            put(keys::USAGE, Some(usage.to_json()));
            message.tokens = usage.total();
        }
        message
    };
    (choices.into_iter().enumerate().map(message).collect(), memory)
}

fn status_of(ending: Ending, has_error: bool, is_whole: bool) -> Status {
    match ending {
        _ if has_error => Status::Error,
        // Who leaves after the last word has heard all.
        _ if is_whole => Status::Delivered,
        // A stream that ends before the API has said so was cut somewhere, also if nobody noticed.
        Ending::Completed | Ending::Aborted | Ending::NoResponse => Status::Interrupted,
        Ending::BodyError => Status::Error,
    }
}
