//! The formats that people read, and those that keep everything: message by message.

mod csv;
mod html;
mod json;
mod markdown;
mod text;
mod words;

use shs_store::{Message, Result, Session};

use self::csv::CsvRows;
use self::html::HtmlPage;
use self::json::JsonPieces;
use self::markdown::MarkdownLines;
use self::text::TextLines;
use crate::Format;
use crate::export::Options;

/// Writes conversations in a format, into a buffer that is emptied meanwhile.
#[derive(Debug)]
pub(crate) enum Encoder {
    Json(JsonPieces),
    Csv(CsvRows),
    Markdown(MarkdownLines),
    Text(TextLines),
    Html(HtmlPage),
}

/// What is known of a session before its messages.
#[derive(Debug)]
pub(crate) struct Heading<'a> {
    pub(crate) session: &'a Session,
    /// Only if it was [needed](Encoder::needs_duration).
    pub(crate) duration_seconds: Option<f64>,
}

impl Encoder {
    /// An encoder for a format that is not for training.
    pub(crate) fn new(format: Format, options: Options, is_of_one: bool) -> Self {
        match format {
            Format::JsonLines => Self::Json(JsonPieces::lines()),
            Format::Csv => Self::Csv(CsvRows),
            Format::Markdown => Self::Markdown(MarkdownLines::new(options.metadata)),
            Format::Text => Self::Text(TextLines::default()),
            Format::Html => Self::Html(HtmlPage::new(options.metadata, is_of_one)),
            _ if is_of_one => Self::Json(JsonPieces::object(options.compact)),
            _ => Self::Json(JsonPieces::array(options.compact)),
        }
    }

    pub(crate) fn needs_duration(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    pub(crate) fn begin(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.begin(buffer),
            Self::Csv(csv) => csv.header(buffer),
            Self::Html(html) => html.begin(buffer),
            Self::Markdown(_) | Self::Text(_) => {}
        }
    }

    /// Names a session that will come, where several stand in one page.
    pub(crate) fn list(&mut self, buffer: &mut Vec<u8>, session: &Session) {
        if let Self::Html(html) = self {
            html.list(buffer, session);
        }
    }

    pub(crate) fn begin_session(
        &mut self,
        buffer: &mut Vec<u8>,
        heading: &Heading<'_>,
    ) -> Result<()> {
        let session = heading.session;
        match self {
            Self::Json(json) => json.begin_session(buffer, session, heading.duration_seconds)?,
            Self::Csv(_) => {}
            Self::Markdown(markdown) => markdown.begin_session(buffer, session),
            Self::Text(text) => text.begin_session(buffer),
            Self::Html(html) => html.begin_session(buffer, session),
        }
        Ok(())
    }

    pub(crate) fn message(
        &mut self,
        buffer: &mut Vec<u8>,
        session: &Session,
        message: &Message,
    ) -> Result<()> {
        match self {
            Self::Json(json) => json.message(buffer, message)?,
            Self::Csv(csv) => csv.row(buffer, session, message),
            Self::Markdown(markdown) => markdown.message(buffer, message),
            Self::Text(text) => text.message(buffer, message),
            Self::Html(html) => html.message(buffer, message),
        }
        Ok(())
    }

    pub(crate) fn end_session(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.end_session(buffer),
            Self::Html(html) => html.end_session(buffer),
            Self::Csv(_) | Self::Markdown(_) | Self::Text(_) => {}
        }
    }

    pub(crate) fn end(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.end(buffer),
            Self::Html(html) => html.end(buffer),
            Self::Csv(_) | Self::Markdown(_) | Self::Text(_) => {}
        }
    }
}
