//! The formats, piece by piece.

use shs_store::{Message, Result, Session};

use super::csv::CsvRows;
use super::json::JsonPieces;
use super::markdown::MarkdownLines;
use super::{Format, Options};

/// Writes conversations in a format, into a buffer that is emptied meanwhile.
#[derive(Debug)]
pub(super) enum Encoder {
    Json(JsonPieces),
    Csv(CsvRows),
    Markdown(MarkdownLines),
    Text { sessions: u64 },
}

impl Encoder {
    pub(super) fn new(format: Format, options: Options, several: bool) -> Self {
        match format {
            Format::Json if several => Self::Json(JsonPieces::array(options.compact)),
            Format::Json => Self::Json(JsonPieces::object(options.compact)),
            Format::JsonLines => Self::Json(JsonPieces::lines()),
            Format::Csv => Self::Csv(CsvRows),
            Format::Markdown => Self::Markdown(MarkdownLines::new(options.metadata)),
            Format::Text => Self::Text { sessions: 0 },
        }
    }

    pub(super) fn needs_duration(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    pub(super) fn begin(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.begin(buffer),
            Self::Csv(csv) => csv.header(buffer),
            Self::Markdown(_) | Self::Text { .. } => {}
        }
    }

    pub(super) fn begin_session(
        &mut self,
        buffer: &mut Vec<u8>,
        session: &Session,
        duration_seconds: Option<f64>,
    ) -> Result<()> {
        match self {
            Self::Json(json) => json.begin_session(buffer, session, duration_seconds)?,
            Self::Csv(_) => {}
            Self::Markdown(markdown) => markdown.begin_session(buffer, session),
            Self::Text { sessions } => {
                if *sessions > 0 {
                    buffer.push(b'\n');
                }
                *sessions += 1;
            }
        }
        Ok(())
    }

    pub(super) fn message(
        &mut self,
        buffer: &mut Vec<u8>,
        session: &Session,
        message: &Message,
    ) -> Result<()> {
        match self {
            Self::Json(json) => json.message(buffer, message)?,
            Self::Csv(csv) => csv.row(buffer, session, message),
            Self::Markdown(markdown) => markdown.message(buffer, message),
            Self::Text { .. } => {
                let role = message.role.as_str().to_uppercase();
                buffer.extend_from_slice(format!("[{role}]: {}\n", message.content).as_bytes());
            }
        }
        Ok(())
    }

    pub(super) fn end_session(&mut self, buffer: &mut Vec<u8>) {
        if let Self::Json(json) = self {
            json.end_session(buffer);
        }
    }

    pub(super) fn end(&mut self, buffer: &mut Vec<u8>) {
        if let Self::Json(json) = self {
            json.end(buffer);
        }
    }
}
