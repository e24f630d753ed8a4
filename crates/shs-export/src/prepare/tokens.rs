//! Tokens, as the models of OpenAI count them since GPT-4o.

use std::fmt;

use tiktoken_rs::{CoreBPE, o200k_base_singleton};

use super::{Conversation, Pair, Turn};

/// Tokens that frame each message: its role, its beginning and its end.
const FOR_A_MESSAGE: u64 = 4;
/// Tokens with which an answer begins.
const FOR_AN_ANSWER: u64 = 3;
/// Texts are counted in pieces of so many bytes at the most: in a long run of spaces the expression that
/// finds words would give up.
const PIECE: usize = 64 * 1024;

/// Counts tokens in the encoding `o200k_base`. Other models count differently; it is an estimate for them.
#[derive(Clone, Copy)]
pub(crate) struct Tokens(&'static CoreBPE);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(o200k_base)")
    }
}

impl Tokens {
    /// Takes some hundred milliseconds the first time.
    pub(crate) fn new() -> Self {
        Self(o200k_base_singleton())
    }

    /// Whether a conversation has more tokens than that.
    pub(crate) fn exceed(self, conversation: &Conversation, limit: u64) -> bool {
        let mut counter = Counter { tokens: self, count: FOR_AN_ANSWER, limit };
        counter.conversation(conversation);
        counter.is_over()
    }

    /// Whether a pair has more, with either answer.
    pub(crate) fn exceed_in(self, pair: &Pair, limit: u64) -> bool {
        let mut question = Counter { tokens: self, count: FOR_AN_ANSWER, limit };
        question.conversation(&pair.question);
        [&pair.preferred, &pair.rejected].iter().any(|answer| {
            let mut counter = question;
            counter.turn(answer);
            counter.is_over()
        })
    }
}

/// Counts no further than the limit.
#[derive(Clone, Copy)]
struct Counter {
    tokens: Tokens,
    count: u64,
    limit: u64,
}

impl Counter {
    fn is_over(&self) -> bool {
        self.count > self.limit
    }

    fn conversation(&mut self, conversation: &Conversation) {
        if !conversation.system.is_empty() {
            self.count += FOR_A_MESSAGE;
            self.text(&conversation.system);
        }
        conversation.turns.iter().for_each(|turn| self.turn(turn));
        conversation.tools.iter().for_each(|tool| self.text(&tool.to_string()));
    }

    fn turn(&mut self, turn: &Turn) {
        self.count += FOR_A_MESSAGE;
        self.text(&turn.text);
        self.text(&turn.reasoning);
        for call in &turn.calls {
            self.text(&call.name);
            self.text(&call.arguments_text());
        }
    }

    fn text(&mut self, mut text: &str) {
        while !text.is_empty() && !self.is_over() {
            let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
            self.count += self.tokens.0.encode_ordinary(piece).len() as u64;
            text = rest;
        }
    }
}
