//! Where answers come from.

use std::fmt;
use std::future::ready;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use session_history_saver::{Message, Role, Status};
use tokio::time::sleep;

use crate::eliza::Eliza;
use crate::openai::OpenAi;

/// Answers what was said.
pub(crate) enum Responder {
    /// The built-in partner, who pauses so long before each word.
    Eliza(Duration),
    /// A server that speaks OpenAI's API.
    OpenAi(Box<OpenAi>),
}

/// An answer as it comes; an error, to be shown to the user, is the last item.
pub(crate) type Pieces = BoxStream<'static, Result<Piece, String>>;

/// What comes of an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// More text.
    Text(String),
    /// How many tokens the answer has.
    Tokens(u32),
}

/// Something that was said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) role: Role,
    pub(crate) text: String,
}

impl Said {
    /// What of a stored message a responder is to know; nothing, if it failed before it said anything.
    pub(crate) fn of(message: Message) -> Option<Self> {
        let is_said = message.status == Status::Delivered || !message.content.is_empty();
        let is_text = matches!(message.role, Role::System | Role::User | Role::Assistant);
        (is_said && is_text).then_some(Self { role: message.role, text: message.content })
    }
}

impl Responder {
    /// The model that answers are said to come from.
    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Eliza(_) => "eliza",
            Self::OpenAi(server) => server.model(),
        }
    }

    /// Answers the last thing said.
    pub(crate) fn answer(&self, conversation: &[Said]) -> Pieces {
        match self {
            Self::Eliza(delay) => eliza(conversation, *delay),
            Self::OpenAi(server) => server.answer(conversation),
        }
    }
}

impl fmt::Display for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eliza(_) => f.write_str("the built-in Eliza"),
            Self::OpenAi(server) => write!(f, "{server}"),
        }
    }
}

/// Eliza remembers how often she was asked, and by that turns to other words; so she hears the whole conversation again.
fn eliza(conversation: &[Said], delay: Duration) -> Pieces {
    let mut eliza = Eliza::default();
    let questions = conversation.iter().filter(|said| said.role == Role::User);
    let answer = questions.map(|said| eliza.answer(&said.text)).last().unwrap_or_default();
    let words: Vec<String> = answer.split_inclusive(' ').map(str::to_owned).collect();
    let tokens = Piece::Tokens(u32::try_from(words.len()).unwrap_or(u32::MAX));
    stream::iter(words)
        .then(move |word| async move {
            sleep(delay).await;
            Ok(Piece::Text(word))
        })
        .chain(stream::once(ready(Ok(tokens))))
        .boxed()
}
