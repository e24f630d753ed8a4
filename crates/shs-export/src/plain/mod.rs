//! The formats that people read, piece by piece.

mod csv;
mod json;
mod markdown;

use shs_store::{Message, Result, Session};

use self::csv::CsvRows;
use self::json::JsonPieces;
use self::markdown::MarkdownLines;
use crate::Format;
use crate::export::Options;

/// Writes conversations in a format, into a buffer that is emptied meanwhile.
#[derive(Debug)]
pub(crate) enum Encoder {
    Json(JsonPieces),
    Csv(CsvRows),
    Markdown(MarkdownLines),
    Text { sessions: u64 },
}

impl Encoder {
    pub(crate) fn new(format: Format, options: Options, is_of_one: bool) -> Self {
        match format {
            Format::Json if is_of_one => Self::Json(JsonPieces::object(options.compact)),
            Format::Json => Self::Json(JsonPieces::array(options.compact)),
            Format::JsonLines => Self::Json(JsonPieces::lines()),
            Format::Csv => Self::Csv(CsvRows),
            Format::Markdown => Self::Markdown(MarkdownLines::new(options.metadata)),
            Format::Text => Self::Text { sessions: 0 },
        }
    }

    pub(crate) fn needs_duration(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    pub(crate) fn begin(&mut self, buffer: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.begin(buffer),
            Self::Csv(csv) => csv.header(buffer),
            Self::Markdown(_) | Self::Text { .. } => {}
        }
    }

    pub(crate) fn begin_session(
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
            Self::Text { .. } => {
                let role = message.role.as_str().to_uppercase();
                buffer.extend_from_slice(format!("[{role}]: {}\n", message.content).as_bytes());
            }
        }
        Ok(())
    }

    pub(crate) fn end_session(&mut self, buffer: &mut Vec<u8>) {
        if let Self::Json(json) = self {
            json.end_session(buffer);
        }
    }

    pub(crate) fn end(&mut self, buffer: &mut Vec<u8>) {
        if let Self::Json(json) = self {
            json.end(buffer);
        }
    }
}
