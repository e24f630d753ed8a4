//! Where a request's messages stand in what is stored.

use sha2::{Digest, Sha256};
use shs_store::{Message, MessageId, NewMessage, Part, PartView, Role, Seq, Status};

/// What a message says, by which it is recognized when a client sends it again: the role, the text, the tool calls and
/// their answers, the attachments. Not the ids of calls, the reasoning, or space around a text, which clients change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Saying([u8; 16]);

impl Saying {
    pub(super) fn of(role: Role, content: &str, parts: &[Part]) -> Self {
        let mut hash = Sha256::new();
        let mut add = |field: &[u8]| {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        };
        add(role.as_str().as_bytes());
        add(content.trim().as_bytes());
        for part in parts {
            match part.view() {
                PartView::Text { .. } | PartView::Reasoning { .. } => continue,
                PartView::ToolCall { name, arguments, .. } => {
                    add(b"call");
                    add(name.as_bytes());
                    // An empty object and no arguments are the same call to some clients.
                    let arguments = arguments.filter(|arguments| !is_empty(arguments));
                    add(arguments.map(ToString::to_string).unwrap_or_default().as_bytes());
                }
                // The content has what it says.
                PartView::ToolCallResponse { .. } => add(b"response"),
                _ => {
                    add(serde_json::Value::Object(part.as_object().clone()).to_string().as_bytes())
                }
            }
        }
        let hash = hash.finalize();
        Self(hash[..16].try_into().expect("a SHA-256 has 32 bytes"))
    }

    pub(super) fn of_new(message: &NewMessage) -> Self {
        Self::of(message.role, &message.content, &message.parts)
    }

    /// One name for a sequence of sayings.
    pub(super) fn chain(sayings: impl IntoIterator<Item = Self>) -> [u8; 16] {
        let mut hash = Sha256::new();
        sayings.into_iter().for_each(|saying| hash.update(saying.0));
        hash.finalize()[..16].try_into().expect("a SHA-256 has 32 bytes")
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// Whether a message frames the conversation and is no turn of it.
pub(super) fn frames(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// What is remembered of a stored message.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: MessageId,
    pub(super) seq: Seq,
    pub(super) role: Role,
    pub(super) saying: Saying,
    /// A client need not send it again: an answer that failed, or one of several.
    pub(super) is_optional: bool,
}

impl Known {
    pub(super) fn of(message: &Message) -> Self {
        let failed = matches!(message.status, Status::Error | Status::Interrupted);
        let one_of_several = message.metadata.contains_key(crate::keys::CHOICE);
        Self {
            id: message.id.clone(),
            seq: message.seq,
            role: message.role,
            saying: Saying::of(message.role, &message.content, &message.parts),
            is_optional: message.role == Role::Assistant && (failed || one_of_several),
        }
    }
}

/// What a request says, as far as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) role: Role,
    pub(super) saying: Saying,
}

impl Said {
    pub(super) fn of(message: &NewMessage) -> Self {
        Self { role: message.role, saying: Saying::of_new(message) }
    }
}

/// The sayings that are turns of a conversation.
pub(super) fn turns(said: &[Said]) -> impl Iterator<Item = Saying> {
    said.iter().filter(|said| !frames(said.role)).map(|said| said.saying)
}

/// Where a conversation that is sent as a whole goes on from what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All that is stored is in it: what follows from this index on is new.
    After(usize),
    /// It differs from what is stored, from this index on: what is stored up to `keep` is in it.
    Differs { keep: Seq, from: usize },
    /// It is the beginning of what is stored; the next stored message is this one, by its index.
    Within { keep: Seq, next: usize },
}

/// Compares a conversation that is sent as a whole with what is stored.
///
/// Messages that frame the conversation are passed over: a system prompt that changes with every request is no
/// other conversation.
pub(super) fn place(known: &[Known], said: &[Said]) -> Place {
    match walk(known, said, 0).0 {
        differs @ Place::Differs { .. } => after_window(known, said).unwrap_or(differs),
        place => place,
    }
}

/// Compares from this stored message on, and counts the messages that were looked at.
fn walk(known: &[Known], said: &[Said], from: usize) -> (Place, usize) {
    let mut keep = from.checked_sub(1).map_or(Seq::ZERO, |before| known[before].seq);
    let mut stored = known.iter().enumerate().skip(from).peekable();
    let mut new = said.iter().enumerate().filter(|(_, said)| !frames(said.role)).peekable();
    let mut looked_at = 0;
    let place = loop {
        looked_at += 1;
        while let Some((_, known)) = stored.next_if(|(_, known)| frames(known.role)) {
            looked_at += 1;
            keep = known.seq;
        }
        match (stored.peek(), new.peek()) {
            (None, None) => break Place::After(said.len()),
            (None, Some((at, _))) => break Place::After(*at),
            (Some((_, known)), Some((_, said))) if known.saying == said.saying => {
                keep = known.seq;
                new.next();
            }
            (Some((_, known)), _) if known.is_optional => keep = known.seq,
            (Some((at, _)), None) => break Place::Within { keep, next: *at },
            (Some(_), Some((at, _))) => break Place::Differs { keep, from: *at },
        }
        stored.next();
    };
    (place, looked_at)
}

/// How many messages are looked at to find a window, for each one that is stored or sent. One that
/// says the same over and over is looked for in vain rather than for minutes.
const LOOKS: usize = 64;

/// Clients with a small window leave out the beginning: then what they send begins in the middle of what is stored,
/// goes on to its end with an answer among it, and is new from there.
fn after_window(known: &[Known], said: &[Said]) -> Option<Place> {
    let first = said.iter().find(|said| !frames(said.role))?;
    let last_answer = known.iter().rposition(|known| known.role == Role::Assistant)?;
    let mut left = LOOKS * (known.len() + said.len());
    let begins = (1..=last_answer).filter(|at| known[*at].saying == first.saying);
    for at in begins {
        let (place, looked_at) = walk(known, said, at);
        if matches!(place, Place::After(_)) {
            return Some(place);
        }
        left = left.checked_sub(looked_at)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(text: &str) -> Vec<NewMessage> {
        let message = |word: &str| {
            let role = match &word[..1] {
                "s" => Role::System,
                "u" => Role::User,
                _ => Role::Assistant,
            };
            NewMessage::new(role, word)
        };
        text.split_whitespace().map(message).collect()
    }

    /// `?` marks a stored answer that failed.
    fn known(text: &str) -> Vec<Known> {
        let stored = conversation(&text.replace('?', "")).into_iter().zip(text.split_whitespace());
        let known = stored.enumerate().map(|(at, (message, word))| {
            let failed = word.ends_with('?');
            let message =
                message.with_status(if failed { Status::Error } else { Status::Delivered });
            Known::of(&message.into_message(Seq::from(at as u32 + 1)))
        });
        known.collect()
    }

    fn placed(stored: &str, sent: &str) -> Place {
        let said: Vec<_> = conversation(sent).iter().map(Said::of).collect();
        place(&known(stored), &said)
    }

    #[test]
    fn what_follows_on_what_is_stored_is_new() {
        assert_eq!(placed("", "s u1"), Place::After(1));
        assert_eq!(placed("s u1 a1", "s u1 a1 u2"), Place::After(3));
        assert_eq!(placed("s u1 a1", "s2 u1 a1 u2"), Place::After(3));
        assert_eq!(placed("u1 a1", "u1 a1"), Place::After(2));
    }

    #[test]
    fn answers_that_failed_need_not_come_again() {
        assert_eq!(placed("u1 a1?", "u1"), Place::After(1));
        assert_eq!(placed("u1 a1? a2", "u1 a2 u2"), Place::After(2));
        assert_eq!(placed("u1 a1?", "u1 a1 u2"), Place::After(2));
    }

    #[test]
    fn an_edited_turn_differs() {
        let seq = |seq: u32| Seq::from(seq);
        assert_eq!(placed("u1 a1 u2 a2", "u1 a1 u3"), Place::Differs { keep: seq(2), from: 2 });
        assert_eq!(placed("u1 a1", "u2"), Place::Differs { keep: seq(0), from: 0 });
        assert_eq!(placed("s u1 a1", "s u2"), Place::Differs { keep: seq(1), from: 1 });
        assert_eq!(placed("u1 a1 u2 a2", "u1 a1 u2"), Place::Within { keep: seq(3), next: 3 });
    }

    #[test]
    fn a_client_with_a_small_window_goes_on() {
        assert_eq!(placed("s u1 a1 u2 a2", "s u2 a2 u3"), Place::After(3));
        assert_eq!(placed("s u1 a1 u2 a2", "a1 u2 a2 u3"), Place::After(3));
        assert_eq!(placed("u1 a1 u1 a1 u1 a1", "u1 a1 u2"), Place::After(2));
        let seq = |seq: u32| Seq::from(seq);
        let nothing = Place::Differs { keep: seq(0), from: 0 };
        assert_eq!(placed("u1 a1 u2", "u2 u3"), nothing, "there is no answer among it");
    }

    #[test]
    fn a_window_is_not_looked_for_without_end() {
        // Each of the stored messages may begin the window, and it differs far behind.
        let stored = "a ".repeat(20_000) + "end";
        let sent = "u ".to_owned() + &"a ".repeat(20_000);
        assert!(matches!(placed(&stored, &sent), Place::Differs { .. }));
        let sent = "a ".repeat(10_000) + "u";
        let (known, said) = (known(&stored), conversation(&sent));
        let said: Vec<_> = said.iter().map(Said::of).collect();
        assert_eq!(after_window(&known, &said), None);
        // A conversation that says the same often is none of those.
        let often = "u1 a1 ".repeat(20);
        assert_eq!(placed(&format!("u0 a0 {often}"), &format!("{often} u2")), Place::After(40));
    }
}
