//! Turns out of stored messages.

use serde_json::Value;
use shs_store::{Message, Part, PartView, Role, Seq, Session, Status};

use super::turn::{Call, Speaker, Turn};
use super::{CHOICE_KEY, FEEDBACK_KEY, Preparation, WEIGHT_KEY};
use crate::report::{Reason, Tally};
use crate::training::Abilities;

/// The turns of a conversation, read message by message: a tool's result is a turn of its own, wherever it is stored.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    can: Abilities,
    preparation: &'a Preparation,
    /// The number up to which its messages are another session's, of which this one is a fork.
    copied_to: Option<Seq>,
    /// How many messages are the other session's.
    pub(super) copied: usize,
    messages: usize,
    pub(super) turns: Vec<Turn>,
    pub(super) tally: Tally,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(session: &Session, can: Abilities, preparation: &'a Preparation) -> Self {
        let copied_to = session.forked_from.as_ref().map(|point| point.seq);
        let tally = Tally::default();
        Self { can, preparation, copied_to, copied: 0, messages: 0, turns: Vec::new(), tally }
    }

    /// Reads one message more.
    pub(crate) fn push(&mut self, mut message: Message) {
        self.tally.expect(1);
        if self.copied_to.is_some_and(|seq| message.seq <= seq) {
            self.copied += 1;
        }
        let parts = std::mem::take(&mut message.parts);
        let Self { can, tally, .. } = self;
        let turns = Vec::new();
        let mut reader = Reader {
            message: &mut message,
            parts: &parts,
            at: self.messages,
            can: *can,
            tally,
            turns,
        };
        reader.read();
        for mut turn in reader.turns {
            mark(&mut turn, &message, self.can, self.preparation);
            self.turns.push(turn);
        }
        self.messages += 1;
    }

    /// The turns of one message alone.
    pub(super) fn alone(&self, message: Message) -> Vec<Turn> {
        let mut other = Self {
            turns: Vec::new(),
            tally: Tally::default(),
            copied_to: None,
            copied: 0,
            messages: 0,
            ..*self
        };
        other.push(message);
        other.turns
    }
}

/// What the message says about itself.
fn mark(turn: &mut Turn, message: &Message, can: Abilities, preparation: &Preparation) {
    let metadata = &message.metadata;
    // A tool that failed has answered, too.
    turn.is_whole = message.status == Status::Delivered
        || (turn.speaker == Speaker::Tool && message.status == Status::Error);
    turn.name = metadata.get("name").and_then(Value::as_str).map(str::to_owned);
    turn.is_choice = metadata.contains_key(CHOICE_KEY);
    turn.feedback = metadata.get(FEEDBACK_KEY).map_or(0.0, feedback);
    let given = metadata.get(WEIGHT_KEY).and_then(Value::as_f64);
    turn.weight = match given {
        Some(0.0) => Some(0),
        Some(1.0) => Some(1),
        _ => None,
    };
    if !turn.is_whole && preparation.include_interrupted && can.weights {
        turn.weight = Some(0);
    }
}

fn feedback(value: &Value) -> f64 {
    match value {
        Value::Bool(true) => 1.0,
        Value::Bool(false) => -1.0,
        Value::String(word) => match word.as_str() {
            "up" | "good" | "thumbs_up" => 1.0,
            "down" | "bad" | "thumbs_down" => -1.0,
            _ => 0.0,
        },
        other => other.as_f64().unwrap_or(0.0),
    }
}

struct Reader<'a> {
    message: &'a mut Message,
    parts: &'a [Part],
    at: usize,
    can: Abilities,
    tally: &'a mut Tally,
    turns: Vec<Turn>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let parts = self.parts;
        let has_results =
            parts.iter().any(|part| matches!(part.view(), PartView::ToolCallResponse { .. }));
        match self.message.role {
            // The calls of the assistant and what came back, in their order.
            Role::Assistant if has_results => self.in_order(),
            Role::User | Role::Tool if has_results => self.results_first(),
            role => {
                let mut turn = Turn::new(Speaker::of(role), self.at);
                turn.text = if self.message.content.trim().is_empty() {
                    text_of(parts)
                } else {
                    std::mem::take(&mut self.message.content)
                };
                parts.iter().for_each(|part| self.take(&mut turn, part));
                self.turns.push(turn);
            }
        }
    }

    fn in_order(&mut self) {
        let mut turn = Turn::new(Speaker::Assistant, self.at);
        for part in self.parts {
            match part.view() {
                PartView::Text { content } => join(&mut turn.text, content),
                PartView::ToolCallResponse { id, response } => {
                    if !turn.is_empty() {
                        self.turns.push(turn);
                        turn = Turn::new(Speaker::Assistant, self.at);
                    }
                    self.turns.push(result(self.at, id, response));
                }
                _ => self.take(&mut turn, part),
            }
        }
        if !turn.is_empty() {
            self.turns.push(turn);
        }
    }

    fn results_first(&mut self) {
        let speaker = Speaker::of(self.message.role);
        let mut turn = Turn::new(speaker, self.at);
        turn.text = text_of(self.parts);
        for part in self.parts {
            match part.view() {
                PartView::ToolCallResponse { id, response } => {
                    self.turns.push(result(self.at, id, response));
                }
                _ => self.take(&mut turn, part),
            }
        }
        if speaker == Speaker::User && !turn.is_empty() {
            self.turns.push(turn);
        } else if let Some(last) = self.turns.last_mut().filter(|_| !turn.is_silent()) {
            join(&mut last.text, &turn.text);
        }
    }

    /// Takes a part that is no text and no result.
    fn take(&mut self, turn: &mut Turn, part: &Part) {
        match part.view() {
            PartView::Text { .. } => {}
            PartView::Reasoning { content } if self.can.reasoning => {
                join(&mut turn.reasoning, content);
            }
            PartView::Reasoning { .. } => self.tally.leave_out(Reason::Reasoning),
            PartView::ToolCall { id, name, arguments } if turn.speaker == Speaker::Assistant => {
                let stored_id = id.filter(|id| !id.is_empty()).map(str::to_owned);
                turn.calls.push(Call {
                    id: String::new(),
                    stored_id,
                    name: name.to_owned(),
                    arguments: arguments.cloned(),
                });
            }
            PartView::Blob { .. } | PartView::File { .. } | PartView::Uri { .. } => {
                match image(part).filter(|_| self.can.images && turn.speaker == Speaker::User) {
                    Some(url) => turn.images.push(url),
                    None => self.tally.leave_out(Reason::Attachment),
                }
            }
            _ => self.tally.leave_out(Reason::UnknownPart),
        }
    }
}

/// A tool's result.
fn result(at: usize, id: Option<&str>, response: &Value) -> Turn {
    let mut turn = Turn::new(Speaker::Tool, at);
    turn.call_id = id.filter(|id| !id.is_empty()).map(str::to_owned);
    turn.text = match response {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(blocks) => texts_of(blocks).unwrap_or_else(|| response.to_string()),
        other => other.to_string(),
    };
    turn
}

/// The text of content blocks, if they are nothing but texts.
fn texts_of(blocks: &[Value]) -> Option<String> {
    let text = |block: &Value| {
        (block["type"] == "text").then(|| block["text"].as_str().map(str::to_owned)).flatten()
    };
    let texts: Option<Vec<String>> = blocks.iter().map(text).collect();
    texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join("\n"))
}

fn text_of(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        if let PartView::Text { content } = part.view() {
            join(&mut text, content);
        }
    }
    text
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

/// The URL of a part that is an image.
fn image(part: &Part) -> Option<String> {
    match part.view() {
        PartView::Uri { modality: "image", uri } => ["http://", "https://", "data:image/"]
            .iter()
            .any(|scheme| uri.starts_with(scheme))
            .then(|| uri.to_owned()),
        PartView::Blob { modality: "image", content, mime_type: Some(mime_type) }
            if mime_type.starts_with("image/") =>
        {
            Some(format!("data:{mime_type};base64,{content}"))
        }
        _ => None,
    }
}
