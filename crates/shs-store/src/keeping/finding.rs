//! Something in the files of a store that is not as it should be.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::{MessageId, SessionId};

/// Something that a check of a store found: what is wrong, where, and whether a repair puts it right.
///
/// It never holds content. As JSON it is one object, with only those of the places that are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What is wrong, in words.
    pub what: Cow<'static, str>,
    /// The file, by its name in the store's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The byte in that file, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// The table of a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Cow<'static, str>>,
    /// The row of that table, by its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<i64>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// Whether a repair puts it right.
    pub repairable: bool,
}

impl Finding {
    /// Something that a repair puts right.
    pub fn repairable(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            what: what.into(),
            file: None,
            line: None,
            byte: None,
            table: None,
            row: None,
            session_id: None,
            message_id: None,
            repairable: true,
        }
    }

    /// Something that only a backup, or a person, puts right.
    pub fn lasting(what: impl Into<Cow<'static, str>>) -> Self {
        Self { repairable: false, ..Self::repairable(what) }
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, name: impl Into<String>) -> Self {
        self.file = Some(name.into());
        self
    }

    /// Names the line, from 1, and its first byte, from 0.
    #[must_use]
    pub fn at_line(mut self, line: u64, byte: u64) -> Self {
        (self.line, self.byte) = (Some(line), Some(byte));
        self
    }

    /// Names the byte, from 0.
    #[must_use]
    pub fn at_byte(mut self, byte: u64) -> Self {
        self.byte = Some(byte);
        self
    }

    /// Names the table.
    #[must_use]
    pub fn in_table(mut self, table: impl Into<Cow<'static, str>>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Names the row.
    #[must_use]
    pub fn at_row(mut self, row: i64) -> Self {
        self.row = Some(row);
        self
    }

    /// Names the session.
    #[must_use]
    pub fn of_session(mut self, id: &SessionId) -> Self {
        self.session_id = Some(id.clone());
        self
    }

    /// Names the message.
    #[must_use]
    pub fn of_message(mut self, id: &MessageId) -> Self {
        self.message_id = Some(id.clone());
        self
    }
}

/// On one line: where, what, and whether a repair puts it right.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places = Vec::new();
        places.extend(self.file.clone());
        places.extend(self.line.map(|line| format!("line {line}")));
        places.extend(self.byte.map(|byte| format!("byte {byte}")));
        places.extend(self.table.as_ref().map(|table| format!("table {table}")));
        places.extend(self.row.map(|row| format!("row {row}")));
        places.extend(self.session_id.as_ref().map(|id| format!("session {id}")));
        places.extend(self.message_id.as_ref().map(|id| format!("message {id}")));
        if !places.is_empty() {
            write!(f, "{}: ", places.join(", "))?;
        }
        let outlook = if self.repairable { "repair puts it right" } else { "not repairable" };
        write!(f, "{} ({outlook})", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_and_whether_it_can_be_put_right() {
        let id = SessionId::new("s1").unwrap();
        let finding = Finding::repairable("the count is wrong").in_table("sessions").at_row(7);
        let finding = finding.of_session(&id);
        assert_eq!(
            finding.to_string(),
            "table sessions, row 7, session s1: the count is wrong (repair puts it right)"
        );
        assert_eq!(
            serde_json::to_value(&finding).unwrap(),
            serde_json::json!({
                "what": "the count is wrong", "table": "sessions", "row": 7, "session_id": "s1",
                "repairable": true,
            })
        );
        let finding = Finding::lasting("it is damaged").in_file("s.jsonl").at_line(3, 70);
        assert_eq!(finding.to_string(), "s.jsonl, line 3, byte 70: it is damaged (not repairable)");
    }
}
