//! What TRL's lines have, in the columns of Parquet.
//!
//! The columns are written as Parquet stores them: the values that are there, and beside them for each place how deep
//! it is defined and at which depth it repeats
//! (<https://parquet.apache.org/docs/file-format/nestedencoding/>).

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use shs_store::{Error, ErrorKind, Result};

use crate::prepare::{Call, Conversation, Turn};

const SCHEMA: &str = "message conversations {
    required group messages (LIST) {
        repeated group list {
            required group element {
                required binary role (STRING);
                required binary content (STRING);
                optional binary thinking (STRING);
                optional binary name (STRING);
                optional binary tool_call_id (STRING);
                optional group tool_calls (LIST) {
                    repeated group list {
                        required group element {
                            required binary id (STRING);
                            required binary type (STRING);
                            required group function {
                                required binary name (STRING);
                                required binary arguments (STRING);
                            }
                        }
                    }
                }
            }
        }
    }
    optional binary tools (STRING);
}";

/// Text that is gathered before it is written as a group of rows.
const GROUP: usize = 16 * 1024 * 1024;

// The columns, in the order of the schema.
const ROLE: usize = 0;
const CONTENT: usize = 1;
const THINKING: usize = 2;
const NAME: usize = 3;
const TOOL_CALL_ID: usize = 4;
const CALL_ID: usize = 5;
const CALL_TYPE: usize = 6;
const CALL_NAME: usize = 7;
const CALL_ARGUMENTS: usize = 8;
const TOOLS: usize = 9;
const COLUMNS: usize = 10;

/// How deep a field of a message is defined, without itself; a repeated group counts.
const IN_MESSAGE: i16 = 1;
/// How deep a field of a call is defined: the message, the list, and its repeated group.
const IN_CALL: i16 = 3;

/// Rows, gathered into groups.
pub(crate) struct Rows {
    file: SerializedFileWriter<Vec<u8>>,
    columns: [Column; COLUMNS],
    bytes: usize,
}

#[derive(Default)]
struct Column {
    values: Vec<ByteArray>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Column {
    /// A value, or nothing, at a place that is defined so deep.
    fn push(&mut self, value: Option<&str>, definition: i16, repetition: i16) -> usize {
        self.definitions.push(definition);
        self.repetitions.push(repetition);
        let bytes = value.map_or(0, str::len);
        self.values.extend(value.map(|value| ByteArray::from(value.as_bytes().to_vec())));
        bytes + size_of::<ByteArray>()
    }
}

impl Rows {
    pub(crate) fn new() -> Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(cannot_write)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("session-history-saver ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties));
        Ok(Self { file: file.map_err(cannot_write)?, columns: Default::default(), bytes: 0 })
    }

    /// Adds a row. What is ready to be written goes to the buffer.
    pub(crate) fn add(&mut self, conversation: &Conversation, buffer: &mut Vec<u8>) -> Result<()> {
        for (at, turn) in conversation.turns.iter().enumerate() {
            self.message(turn, i16::from(at > 0));
        }
        let tools = (!conversation.tools.is_empty())
            .then(|| serde_json::Value::from(conversation.tools.clone()).to_string());
        self.bytes += self.columns[TOOLS].push(tools.as_deref(), i16::from(tools.is_some()), 0);
        if self.bytes >= GROUP {
            self.write_group().map_err(cannot_write)?;
            self.file.flush().map_err(|error| cannot_write(error.into()))?;
            buffer.append(self.file.inner_mut());
        }
        Ok(())
    }

    fn message(&mut self, turn: &Turn, repetition: i16) {
        let thinking = Some(turn.reasoning.as_str()).filter(|text| !text.is_empty());
        let fields = [
            (ROLE, Some(turn.speaker.role()), false),
            (CONTENT, Some(turn.text.as_str()), false),
            (THINKING, thinking, true),
            (NAME, turn.tool_name.as_deref(), true),
            (TOOL_CALL_ID, turn.call_id.as_deref(), true),
        ];
        for (column, value, is_optional) in fields {
            let definition = IN_MESSAGE + i16::from(is_optional && value.is_some());
            self.bytes += self.columns[column].push(value, definition, repetition);
        }
        if turn.calls.is_empty() {
            for column in CALL_ID..=CALL_ARGUMENTS {
                self.bytes += self.columns[column].push(None, IN_MESSAGE, repetition);
            }
        }
        for (at, call) in turn.calls.iter().enumerate() {
            // A further call repeats the list within the message.
            self.call(call, if at > 0 { 2 } else { repetition });
        }
    }

    fn call(&mut self, call: &Call, repetition: i16) {
        let arguments = call.arguments_text();
        let fields = [
            (CALL_ID, call.id.as_str()),
            (CALL_TYPE, "function"),
            (CALL_NAME, call.name.as_str()),
            (CALL_ARGUMENTS, arguments.as_str()),
        ];
        for (column, value) in fields {
            self.bytes += self.columns[column].push(Some(value), IN_CALL, repetition);
        }
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        self.bytes = 0;
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Column { values, definitions, repetitions } = std::mem::take(column);
            let Some(mut writer) = group.next_column()? else { break };
            let typed = writer.typed::<ByteArrayType>();
            typed.write_batch(&values, Some(&definitions), Some(&repetitions))?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes what is left, and the end of the file.
    pub(crate) fn end(mut self, buffer: &mut Vec<u8>) -> Result<()> {
        if self.bytes > 0 {
            self.write_group().map_err(cannot_write)?;
        }
        buffer.append(&mut self.file.into_inner().map_err(cannot_write)?);
        Ok(())
    }
}

fn cannot_write(error: ParquetError) -> Error {
    Error::new(ErrorKind::Internal, "the columns of Parquet cannot be written").with_source(error)
}
