//! A document for people, as the Python package writes it.

use shs_store::{Message, Role, Session};

use super::words::{details, name, untitled};

#[derive(Debug)]
pub(crate) struct MarkdownLines {
    metadata: bool,
    sessions: u64,
}

impl MarkdownLines {
    pub(super) fn new(metadata: bool) -> Self {
        Self { metadata, sessions: 0 }
    }

    pub(super) fn begin_session(&mut self, buffer: &mut Vec<u8>, session: &Session) {
        if self.sessions > 0 {
            line(buffer, "");
        }
        self.sessions += 1;
        let title = session.title.clone().filter(|title| !title.is_empty());
        line(buffer, &format!("# {}", title.unwrap_or_else(|| untitled(session))));
        line(buffer, "");
        line(buffer, &format!("- **Session ID:** `{}`", session.id));
        let created = session.created_at.to_string();
        line(buffer, &format!("- **Created:** {} {} UTC", &created[..10], &created[11..16]));
        if let Some(user_id) = &session.user_id {
            line(buffer, &format!("- **User:** {user_id}"));
        }
        if let Some(project_id) = &session.project_id {
            line(buffer, &format!("- **Project:** {project_id}"));
        }
        if !session.tags.is_empty() {
            line(buffer, &format!("- **Tags:** {}", session.tags.join(", ")));
        }
        line(buffer, &format!("- **Messages:** {}", session.message_count));
        if session.total_tokens > 0 {
            line(buffer, &format!("- **Total tokens:** {}", in_thousands(session.total_tokens)));
        }
        line(buffer, "");
        line(buffer, "---");
        line(buffer, "");
        line(buffer, "## Conversation");
    }

    pub(super) fn message(&self, buffer: &mut Vec<u8>, message: &Message) {
        let emoji = match message.role {
            Role::User => "👤",
            Role::Assistant => "🤖",
            Role::System => "⚙️",
            Role::Tool => "🔧",
            Role::Developer => "💬",
        };
        let role = name(message.role);
        let timestamp = message.timestamp.to_string();
        line(buffer, "");
        line(buffer, &format!("### {emoji} {role} `[{}]`", &timestamp[11..19]));
        line(buffer, "");
        line(buffer, &message.content);
        let details = details(message);
        if self.metadata && !details.is_empty() {
            line(buffer, "");
            line(buffer, &format!("> _{}_", details.join(", ")));
        }
    }
}

fn line(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
    buffer.push(b'\n');
}

/// The number with a comma between thousands.
fn in_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted_by_commas() {
        for (number, text) in [(7, "7"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(in_thousands(number), text);
        }
    }
}
