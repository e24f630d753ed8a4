//! Something is said, and answered: `POST /api/conversations/{id}/messages`.
//!
//! The body is `{"id", "text"}`, with an id that the page has made. The message is in the store before anything is answered. Then come
//! server-sent events:
//!
//! | event | data |
//! |---|---|
//! | `question` | the message, as it is stored |
//! | `answer` | `{"id"}`: the answer begins, and will have this id |
//! | `text` | `{"text"}`: more text of the answer |
//! | `end` | the answer, as it is stored; its `status` says whether it was `delivered` or is an `error` |
//! | `error` | `{"error"}`: the answer could not be stored |
//!
//! The answer is saved while it is sent. When the client goes away, the stream is dropped and with it the
//! [`Answer`], which stays as `interrupted` with all text that had come; when the server dies, the next one to open the store finds
//! what was saved a moment before.
//!
//! # Repetition
//! The same message can be posted again, by a page that does not know whether it arrived: it is stored once. If it is answered, the
//! same answer comes. If its answers were interrupted or failed, it is answered anew; so this is how to try again.

use std::convert::Infallible;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use session_history_saver::{Answer, Message, MessageQuery, Result, Role, SessionHandle, Status};

use super::input::Input;
use super::messages::view;
use crate::app::{Answering, App};
use crate::history::History;
use crate::refusal::Refusal;
use crate::responder::{Piece, Pieces, Said};

/// The longest message.
pub(crate) const MAX_TEXT_BYTES: usize = 32 * 1024;

/// How many characters of the first message make a title.
const TITLE_CHARS: usize = 60;

/// How many messages the responder is told, the last ones.
const CONTEXT: u32 = 200;

#[derive(Deserialize)]
pub(super) struct Saying {
    id: String,
    text: String,
}

pub(super) async fn say(
    State(app): State<App>,
    history: History,
    Path(id): Path<String>,
    Input(saying): Input<Saying>,
) -> Result<Response, Refusal> {
    let saying = saying.checked()?;
    let session = history.conversation(&id).await?;
    let answering = app.begin_answering(&session.id).ok_or_else(is_being_answered)?;
    let conversation = history.0.handle(&session.id);
    let question = conversation.user(&saying.text).id(saying.id).send().await?;
    if session.title.is_none() {
        conversation.set_title(short(&saying.text)).await?;
    }

    let asked = event("question", &view(&question));
    let events = match answer_to(&question, &conversation).await? {
        Some(answer) => stream::iter([asked, event("end", &view(&answer))]).boxed(),
        None => {
            let context = context(&conversation, &question).await?;
            let answer = conversation.stream().model(app.responder().model()).begin().await?;
            let begun = event("answer", &json!({ "id": answer.id() }));
            let pieces = app.responder().answer(&context);
            let telling = Telling { answer, pieces, tokens: None, _answering: answering };
            let told = stream::unfold(Some(telling), Telling::next);
            stream::iter([asked, begun]).chain(told).boxed()
        }
    };
    let events = events.map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

impl Saying {
    fn checked(self) -> Result<Self, Refusal> {
        if self.text.trim().is_empty() {
            return Err(Refusal::invalid("the message is empty"));
        }
        if self.text.len() > MAX_TEXT_BYTES {
            let kib = MAX_TEXT_BYTES / 1024;
            let message = format!("the message has more than {kib} KiB");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        Ok(self)
    }
}

/// The answer that a message has already, if it was posted before.
///
/// # Errors
/// If the answer is still being written, or if there is none and something else was said since.
async fn answer_to(
    question: &Message,
    conversation: &SessionHandle,
) -> Result<Option<Message>, Refusal> {
    let query = MessageQuery::new().with_after_seq(question.seq);
    for message in conversation.page(query).await?.items {
        match (message.role, message.status) {
            (Role::Assistant, Status::Delivered) => return Ok(Some(message)),
            (Role::Assistant, Status::Pending) => return Err(is_being_answered()),
            (Role::User, _) => {
                let message = "the conversation has gone on after this message";
                return Err(Refusal::new(StatusCode::CONFLICT, message));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// What the responder is told: the conversation up to the question.
async fn context(conversation: &SessionHandle, question: &Message) -> Result<Vec<Said>, Refusal> {
    let query = MessageQuery::new().with_up_to_seq(question.seq).newest_first();
    let page = conversation.page(query.with_limit(CONTEXT)).await?;
    Ok(page.items.into_iter().rev().filter_map(Said::of).collect())
}

fn is_being_answered() -> Refusal {
    Refusal::new(StatusCode::CONFLICT, "this conversation is being answered")
}

/// The beginning of the first line, for a title.
fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim();
    match line.char_indices().nth(TITLE_CHARS) {
        Some((at, _)) => format!("{}…", line[..at].trim_end()),
        None => line.to_owned(),
    }
}

/// An answer under way. Dropping it, as the server does when the client has gone, leaves the answer interrupted.
struct Telling {
    answer: Answer,
    pieces: Pieces,
    tokens: Option<u32>,
    /// Given back when the answer is over, however it ends.
    _answering: Answering,
}

impl Telling {
    /// The next event; the last one comes without what would go on.
    async fn next(telling: Option<Self>) -> Option<(Event, Option<Self>)> {
        let mut telling = telling?;
        loop {
            let ended = match telling.pieces.next().await {
                Some(Ok(Piece::Text(text))) => match telling.answer.push(&text).await {
                    // A store that is unavailable gets all text as soon as it is back.
                    Err(error) if !error.is_retryable() => Err(error),
                    _ => return Some((event("text", &json!({ "text": text })), Some(telling))),
                },
                Some(Ok(Piece::Tokens(tokens))) => {
                    telling.tokens = Some(tokens);
                    continue;
                }
                Some(Err(error)) => telling.answer.fail(error).await,
                None => telling.finish().await,
            };
            let last = match ended {
                Ok(answer) => event("end", &view(&answer)),
                Err(error) => event("error", &json!({ "error": error.detail() })),
            };
            return Some((last, None));
        }
    }

    async fn finish(&mut self) -> Result<Message> {
        let finish = self.answer.finish();
        match self.tokens {
            Some(tokens) => finish.tokens(tokens).await,
            None => finish.await,
        }
    }
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_beginning_of_the_first_line() {
        assert_eq!(short("  Hello there \nand more"), "Hello there");
        assert_eq!(short(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
