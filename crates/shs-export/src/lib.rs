//! Conversations as JSON, JSON Lines, CSV, Markdown and plain text.
//!
//! [`Export::new`] begins an export from any store: say which sessions, then where to. Conversations are read page by page and written as they are read, so that a million
//! messages need no more memory than a page of them.
//!
//! | [`Format`] | what is written |
//! |---|---|
//! | [`Json`](Format::Json) | one session as an object, as Python's `Session.to_dict` and [`Transcript`](shs_store::Transcript) have it; several as an array |
//! | [`JsonLines`](Format::JsonLines) | such an object on each line |
//! | [`Csv`](Format::Csv) | a header, and a row for each message (RFC 4180, UTF-8, lines end in CR LF) |
//! | [`Markdown`](Format::Markdown) | a document for people |
//! | [`Text`](Format::Text) | a line `[ROLE]: content` for each message, sessions parted by an empty line |
//!
//! # Columns of CSV
//! `session_id`, `user_id`, `project_id`, `title`, `tags`, `message_id`, `role`, `content`, `timestamp`, `tokens`,
//! `model`, `latency_ms`, `status`. Tags are joined by commas. What is not set is empty; a number 0 is `0`.
//!
//! A spreadsheet runs a cell that looks like a formula. As [OWASP](https://owasp.org/www-community/attacks/CSV_Injection)
//! recommends, a text that begins with `=`, `+`, `-`, `@`, their full-width forms, a tab or a line break, also
//! behind spaces and quotes, gets an apostrophe in front. So a list in Markdown, `- item`, becomes
//! `'- item`: to get text back exactly, export JSON. Numbers are never changed.
//!
//! # Markdown and text
//! The content of messages is written as it is, like the Python package does: Markdown in it takes effect, and a
//! content with line breaks takes several lines.
//!
//! # What is in an export
//! What is in the store. Messages that are
//! added to a session after its export began are not in it. Several sessions come in the order of their
//! start, the latest first, each once.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//!
//! use shs_export::{Export, Format};
//! use shs_store::{NewMessage, NewSession, Store, StoreExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store: Arc<dyn Store> = Arc::new(shs_memory::MemoryStore::new());
//! let session = store.create_session(NewSession::new()).await?;
//! store.append(&session.id, NewMessage::user("Hello!")).await?;
//! let text = Export::new(store, Format::Text).session(&session.id).to_string().await?;
//! assert_eq!(text, "[USER]: Hello!\n");
//! # Ok::<_, shs_store::Error>(())
//! # }).unwrap();
//! ```

mod export;
mod format;
mod output;
mod plain;
mod publish;

pub use export::Export;
pub use format::Format;
