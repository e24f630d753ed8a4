//! A row for each message.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};
use shs_store::{Message, Session};

/// Writes rows of CSV, with no cell that a spreadsheet takes for a formula.
#[derive(Debug)]
pub(crate) struct CsvRows;

const COLUMNS: [&str; 13] = [
    "session_id",
    "user_id",
    "project_id",
    "title",
    "tags",
    "message_id",
    "role",
    "content",
    "timestamp",
    "tokens",
    "model",
    "latency_ms",
    "status",
];

impl CsvRows {
    pub(super) fn header(&self, buffer: &mut Vec<u8>) {
        write_row(buffer, &COLUMNS);
    }

    pub(super) fn row(&self, buffer: &mut Vec<u8>, session: &Session, message: &Message) {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let (user_id, project_id, title) =
            (optional(&session.user_id), optional(&session.project_id), optional(&session.title));
        let (tags, model) = (session.tags.join(","), optional(&message.model));
        write_row(
            buffer,
            &[
                &harmless(session.id.as_str()),
                &harmless(&user_id),
                &harmless(&project_id),
                &harmless(&title),
                &harmless(&tags),
                &harmless(message.id.as_str()),
                message.role.as_str(),
                &harmless(&message.content),
                &message.timestamp.to_string(),
                &message.tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
                &harmless(&model),
                // With a fraction always, as Python writes a float.
                &message.latency_ms.map(|latency| format!("{latency:?}")).unwrap_or_default(),
                message.status.as_str(),
            ],
        );
    }
}

fn write_row(buffer: &mut Vec<u8>, cells: &[&str; COLUMNS.len()]) {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .buffer_capacity(256) // made anew for each row
        .from_writer(buffer);
    writer.write_record(cells).expect("writing to memory does not fail, and the columns are fixed");
    writer.flush().expect("writing to memory does not fail");
}

/// A text that no spreadsheet runs: see the documentation of the [crate].
fn harmless(text: &str) -> Cow<'_, str> {
    let is_passed_over = |c: char| {
        matches!(c, '"' | '\'') || (c.is_whitespace() && !matches!(c, '\t' | '\r' | '\n'))
    };
    let first = text.chars().find(|c| !is_passed_over(*c));
    match first {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            Cow::Owned(format!("'{text}"))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_gets_an_apostrophe() {
        for formula in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\"=1", "' \"=1",
            "\u{a0}=1", "＝1",
        ] {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for text in ["", "a=1", "Hello", "'quoted'", "1-1", " x"] {
            assert_eq!(harmless(text), text);
        }
    }
}
