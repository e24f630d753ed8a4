//! What was written, and what was not and why.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $words:literal;)+) => {
        /// Why something was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(into = "&'static str")]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// One word for it, as in the JSON form of a report.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for Reason {
            /// A few words for people.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$variant => $words,)+
                })
            }
        }

        impl From<Reason> for &'static str {
            fn from(reason: Reason) -> Self {
                reason.as_str()
            }
        }
    };
}

reasons! {
    /// It is not complete: interrupted, failed or pending.
    Interrupted => "interrupted", "interrupted, failed or pending";
    /// It says nothing that the format can carry.
    Empty => "empty", "without any text";
    /// A question that nobody answered, and what follows the last answer.
    Unanswered => "unanswered", "without an answer";
    /// An answer before the first question, where the format begins with a question.
    BeforeQuestion => "before_question", "before the first question";
    /// One of several answers to one question, and not the one that was preferred.
    Alternative => "alternative", "beside the preferred answer";
    /// It is marked as not to be trained on, and the format cannot say so.
    Marked => "marked", "marked as not to be trained on";
    /// A tool's call without its result or without a name, or a result without its call.
    UnmatchedTool => "unmatched_tool", "with a tool's call or result alone";
    /// A message of the system that was not wanted.
    System => "system", "messages of the system";
    /// A message of the system within the conversation, where the format has one at its beginning only.
    SystemInside => "system_inside", "messages of the system within the conversation";
    /// Nothing remained to train on.
    NothingToTrainOn => "nothing_to_train_on", "with nothing to train on";
    /// It has fewer answered questions than were asked for.
    TooFewTurns => "too_few_turns", "with too few turns";
    /// It has more tokens than were allowed.
    TooManyTokens => "too_many_tokens", "with too many tokens";
    /// The same was written before.
    Duplicate => "duplicate", "written before";
    /// One role speaks twice in a row, where the format does not allow it; merging roles helps.
    RolesRepeat => "roles_repeat", "where one role speaks twice in a row (merging roles helps)";
    /// It calls tools, and the format cannot say so.
    ToolCalls => "tool_calls", "with tool calls, which the format does not have";
    /// A tool's arguments are no JSON object, where the format needs one.
    ArgumentsNoObject => "arguments_no_object", "with tool arguments that are no JSON object";
    /// It has no second answer to compare with.
    NoPair => "no_pair", "without a pair of answers";
    /// Nothing tells which of two answers is preferred.
    NoPreference => "no_preference", "with nothing that tells the better answer";
    /// Two answers that say the same.
    SameAnswer => "same_answer", "with two answers that are the same";
    /// What a model thought before it answered.
    Reasoning => "reasoning", "reasoning";
    /// An image, a sound or a file.
    Attachment => "attachment", "attachments";
    /// A part of a type that is not known.
    UnknownPart => "unknown_part", "parts of unknown types";
    /// Definitions of tools that are not in OpenAI's form.
    ToolDefinitions => "tool_definitions", "definitions of tools that are not in OpenAI's form";
    /// Text beside a tool call, where the format has room for one of them.
    TextBesideCall => "text_beside_call", "texts beside a tool call";
}

/// How many of what, by reason.
pub type Counts = BTreeMap<Reason, u64>;

/// What an export wrote, and what it did not and why.
///
/// Its JSON form has these keys; keys may be added.
///
/// Every message of the sessions that were chosen is counted once: written, or dropped. A message is written if
/// any of it is. In pairs of answers, messages are counted for each pair in which they are written,
/// and those dropped are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Conversations that were written; pairs, where the format has pairs.
    pub conversations: u64,
    /// Messages of these.
    pub messages: u64,
    /// Of the conversations, those in the part for validation.
    pub validation: u64,
    /// Conversations that were not written.
    pub dropped_conversations: Counts,
    /// Messages that were not written, those of dropped conversations among them.
    pub dropped_messages: Counts,
    /// Parts of messages that were written without them.
    pub left_out: Counts,
    /// The files.
    pub files: Vec<PathBuf>,
}

impl Report {
    /// Whether anything was dropped or left out.
    pub fn is_complete(&self) -> bool {
        [&self.dropped_conversations, &self.dropped_messages, &self.left_out]
            .iter()
            .all(|counts| counts.is_empty())
    }
}

pub(crate) fn count(counts: &mut Counts, reason: Reason, number: u64) {
    if number > 0 {
        *counts.entry(reason).or_default() += number;
    }
}

impl fmt::Display for Report {
    /// A line of what was written and where to, and one for each reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "written: conversations {}, messages {}", self.conversations, self.messages)?;
        if self.validation > 0 {
            write!(f, ", conversations for validation {}", self.validation)?;
        }
        for (at, file) in self.files.iter().enumerate() {
            write!(f, "{} {}", if at == 0 { ", to" } else { " and" }, file.display())?;
        }
        let lists = [
            ("dropped conversations", &self.dropped_conversations),
            ("dropped messages", &self.dropped_messages),
            ("left out", &self.left_out),
        ];
        for (what, counts) in lists {
            for (reason, number) in counts {
                write!(f, "\n{what}: {number} {reason}")?;
            }
        }
        Ok(())
    }
}

/// What becomes of the messages of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    fates: Vec<Fate>,
    left_out: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Open,
    Dropped(Reason),
    Written,
}

impl Tally {
    pub(crate) fn new(messages: usize) -> Self {
        Self { fates: vec![Fate::Open; messages], left_out: Counts::new() }
    }

    /// So many messages more.
    pub(crate) fn expect(&mut self, messages: usize) {
        self.fates.resize(self.fates.len() + messages, Fate::Open);
    }

    pub(crate) fn messages(&self) -> usize {
        self.fates.len()
    }

    /// Some of these messages is not written.
    pub(crate) fn drop(&mut self, messages: &[usize], reason: Reason) {
        for at in messages {
            if self.fates[*at] == Fate::Open {
                self.fates[*at] = Fate::Dropped(reason);
            }
        }
    }

    /// Something of these messages is written.
    pub(crate) fn keep(&mut self, messages: &[usize]) {
        messages.iter().for_each(|at| self.fates[*at] = Fate::Written);
    }

    pub(crate) fn leave_out(&mut self, reason: Reason) {
        count(&mut self.left_out, reason, 1);
    }

    /// Counts a conversation that was written.
    pub(crate) fn written(self, report: &mut Report) {
        report.conversations += 1;
        for fate in &self.fates {
            match fate {
                Fate::Written => report.messages += 1,
                Fate::Dropped(reason) => count(&mut report.dropped_messages, *reason, 1),
                Fate::Open => count(&mut report.dropped_messages, Reason::Empty, 1),
            }
        }
        self.left_out(report);
    }

    /// Counts what was left out of what was written.
    pub(crate) fn left_out(self, report: &mut Report) {
        for (reason, number) in self.left_out {
            count(&mut report.left_out, reason, number);
        }
    }

    /// Counts a conversation that was not written.
    pub(crate) fn dropped(self, report: &mut Report, why: Reason) {
        count(&mut report.dropped_conversations, why, 1);
        for fate in self.fates {
            let reason = match fate {
                Fate::Dropped(reason) => reason,
                Fate::Open | Fate::Written => why,
            };
            count(&mut report.dropped_messages, reason, 1);
        }
    }
}
