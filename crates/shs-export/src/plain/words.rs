//! What people are told of sessions and messages, in every document for them.

use shs_store::{Message, Role, Session};

/// What a session without a title is called.
pub(super) fn untitled(session: &Session) -> String {
    format!("Session {}", session.id.as_str().chars().take(8).collect::<String>())
}

pub(super) fn name(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::System => "System",
        Role::Tool => "Tool",
        Role::Developer => "Developer",
    }
}

/// What a message was made with, as far as it is known.
pub(super) fn details(message: &Message) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(model) = &message.model {
        details.push(format!("model={model}"));
    }
    if let Some(tokens) = message.tokens {
        details.push(format!("tokens={tokens}"));
    }
    if let Some(latency_ms) = message.latency_ms {
        details.push(format!("latency={latency_ms:.0}ms"));
    }
    details
}
