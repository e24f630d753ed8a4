//! One page for a browser, which loads nothing and runs nothing.
//!
//! Whatever is stored stands in it as text: every character that HTML gives a meaning is escaped, nothing becomes a link
//! or an image, and a policy in the page's head forbids all but its own style.

use std::io::Write;

use serde_json::Value;
use shs_store::{Message, Part, PartView, Session, Status, Timestamp};

use super::words::{details, name, untitled};

const STYLE: &str = include_str!("page.css");

#[derive(Debug)]
pub(crate) struct HtmlPage {
    metadata: bool,
    is_of_one: bool,
    place: Place,
}

#[derive(Debug, PartialEq)]
enum Place {
    Start,
    List,
    Sessions,
}

impl HtmlPage {
    pub(super) fn new(metadata: bool, is_of_one: bool) -> Self {
        Self { metadata, is_of_one, place: Place::Start }
    }

    /// The page is named after its only session, which is to come.
    pub(super) fn begin(&mut self, buffer: &mut Vec<u8>) {
        if !self.is_of_one {
            head(buffer, "Conversations");
            put(buffer, "<nav>\n<h1>Conversations</h1>\n<ol>\n");
            self.place = Place::List;
        }
    }

    pub(super) fn list(&mut self, buffer: &mut Vec<u8>, session: &Session) {
        put(buffer, "<li><a href=\"#");
        put(buffer, &anchor(session));
        put(buffer, "\">");
        escape(buffer, &title(session));
        put(buffer, "</a> ");
        time(buffer, session.created_at);
        put(buffer, &format!(" · {} messages</li>\n", session.message_count));
    }

    pub(super) fn begin_session(&mut self, buffer: &mut Vec<u8>, session: &Session) {
        self.end_list(buffer);
        if self.place == Place::Start {
            head(buffer, &title(session));
        }
        self.place = Place::Sessions;
        put(buffer, "<section id=\"");
        put(buffer, &anchor(session));
        put(buffer, "\">\n<h2 dir=\"auto\">");
        escape(buffer, &title(session));
        put(buffer, "</h2>\n<dl>\n");
        entry(buffer, "Session", session.id.as_str());
        put(buffer, "<dt>Created</dt><dd>");
        time(buffer, session.created_at);
        put(buffer, "</dd>\n");
        let optional = [("User", &session.user_id), ("Project", &session.project_id)];
        for (name, value) in optional {
            if let Some(value) = value {
                entry(buffer, name, value);
            }
        }
        if !session.tags.is_empty() {
            entry(buffer, "Tags", &session.tags.join(", "));
        }
        entry(buffer, "Messages", &session.message_count.to_string());
        if session.total_tokens > 0 {
            entry(buffer, "Tokens", &session.total_tokens.to_string());
        }
        put(buffer, "</dl>\n");
    }

    pub(super) fn message(&self, buffer: &mut Vec<u8>, message: &Message) {
        let role = message.role.as_str();
        put(buffer, &format!("<article class=\"{role}\">\n<header><b>{}</b> ", name(message.role)));
        time(buffer, message.timestamp);
        if message.status != Status::Delivered {
            put(buffer, &format!(" <em>{}</em>", message.status));
        }
        put(buffer, "</header>\n");
        if !message.content.is_empty() {
            text(buffer, &message.content);
        }
        for part in &message.parts {
            self::part(buffer, part, message.content.is_empty());
        }
        let details = details(message);
        if self.metadata && !details.is_empty() {
            put(buffer, "<footer>");
            escape(buffer, &details.join(", "));
            put(buffer, "</footer>\n");
        }
        put(buffer, "</article>\n");
    }

    pub(super) fn end_session(&self, buffer: &mut Vec<u8>) {
        put(buffer, "</section>\n");
    }

    pub(super) fn end(&mut self, buffer: &mut Vec<u8>) {
        self.end_list(buffer);
        put(buffer, "</body>\n</html>\n");
    }

    fn end_list(&mut self, buffer: &mut Vec<u8>) {
        if self.place == Place::List {
            put(buffer, "</ol>\n</nav>\n");
            self.place = Place::Sessions;
        }
    }
}

fn head(buffer: &mut Vec<u8>, title: &str) {
    put(
        buffer,
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
    );
    escape(buffer, title);
    put(buffer, "</title>\n<style>\n");
    put(buffer, STYLE);
    put(buffer, "</style>\n</head>\n<body>\n");
}

/// A part of a message, folded; text only where the message has no content that says it.
fn part(buffer: &mut Vec<u8>, part: &Part, shows_text: bool) {
    match part.view() {
        PartView::Text { content } if shows_text => text(buffer, content),
        PartView::Text { .. } => {}
        PartView::Reasoning { content } => folded(buffer, "Reasoning", content),
        PartView::ToolCall { name, arguments, .. } => {
            let arguments = arguments.map(in_lines).unwrap_or_default();
            folded(buffer, &format!("Tool call: {name}"), &arguments);
        }
        PartView::ToolCallResponse { response, .. } => {
            folded(buffer, "Tool result", &in_lines(response));
        }
        PartView::Blob { modality, content, mime_type } => {
            let what = format!("Attachment: {modality}");
            let kind = mime_type.unwrap_or("of unknown type");
            folded(buffer, &what, &format!("{kind}, {} characters of Base64", content.len()));
        }
        PartView::File { modality, file_id } => {
            folded(buffer, &format!("Attachment: {modality}"), file_id);
        }
        PartView::Uri { modality, uri } => {
            folded(buffer, &format!("Attachment: {modality}"), uri);
        }
        _ => folded(buffer, part.kind(), &in_lines(&Value::Object(part.as_object().clone()))),
    }
}

/// A text as it is; anything else as JSON.
fn in_lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

fn folded(buffer: &mut Vec<u8>, summary: &str, content: &str) {
    put(buffer, "<details><summary>");
    escape(buffer, summary);
    put(buffer, "</summary>");
    text(buffer, content);
    put(buffer, "</details>\n");
}

fn text(buffer: &mut Vec<u8>, text: &str) {
    put(buffer, "<p dir=\"auto\">");
    escape(buffer, text);
    put(buffer, "</p>\n");
}

fn entry(buffer: &mut Vec<u8>, name: &str, value: &str) {
    put(buffer, &format!("<dt>{name}</dt><dd>"));
    escape(buffer, value);
    put(buffer, "</dd>\n");
}

fn time(buffer: &mut Vec<u8>, at: Timestamp) {
    let at = at.to_string();
    let (day, hour) = (&at[..10], &at[11..19]);
    put(buffer, &format!("<time datetime=\"{at}\">{day} {hour} UTC</time>"));
}

fn title(session: &Session) -> String {
    let title = session.title.clone().filter(|title| !title.trim().is_empty());
    title.unwrap_or_else(|| untitled(session))
}

/// The place of a session in the page: letters and digits of its id, anything else by its bytes.
fn anchor(session: &Session) -> String {
    let mut anchor = "s-".to_owned();
    for byte in session.id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            anchor.push(char::from(byte));
        } else {
            anchor.push_str(&format!("_{byte:02x}"));
        }
    }
    anchor
}

fn put(buffer: &mut Vec<u8>, html: &str) {
    buffer.extend_from_slice(html.as_bytes());
}

/// Writes text so that it is nothing but text, in elements and in attributes with quotes.
fn escape(buffer: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '&' => put(buffer, "&amp;"),
            '<' => put(buffer, "&lt;"),
            '>' => put(buffer, "&gt;"),
            '"' => put(buffer, "&quot;"),
            '\'' => put(buffer, "&#39;"),
            '\n' | '\t' => buffer.push(c as u8),
            // A page has no other control characters.
            c if c.is_control() => put(buffer, "\u{fffd}"),
            c => write!(buffer, "{c}").expect("writing to memory does not fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_nothing_but_text() {
        let mut buffer = Vec::new();
        escape(&mut buffer, "<script>'\"&\u{1b}\0</script>\n日本");
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            "&lt;script&gt;&#39;&quot;&amp;\u{fffd}\u{fffd}&lt;/script&gt;\n日本"
        );
    }
}
