//! Conversations as files for people, and as data sets to train models on.
//!
//! [`Export::new`] begins an export from any store: say which sessions, then where to. Conversations are
//! read page by page and written as they are read. What people read is written message by message, so that a
//! million messages need no more memory than a page of them; of what models are trained on, one
//! conversation is in memory at a time.
//!
//! | [`Format`] | what is written |
//! |---|---|
//! | [`Json`](Format::Json) | one session as an object, as Python's `Session.to_dict` and [`Transcript`](shs_store::Transcript) have it; several as an array |
//! | [`JsonLines`](Format::JsonLines) | such an object on each line |
//! | [`Csv`](Format::Csv) | a header, and a row for each message (RFC 4180, UTF-8, lines end in CR LF) |
//! | [`Markdown`](Format::Markdown) | a document for people |
//! | [`Text`](Format::Text) | a line `[ROLE]: content` for each message, sessions parted by an empty line |
//! | [`Html`](Format::Html) | one page that loads nothing and runs nothing; several sessions below a list of them |
//! | [`OpenAi`](Format::OpenAi) | `{"messages": […], "tools"?, "parallel_tool_calls"?}`, with tool calls, images and `weight` |
//! | [`OpenAiDpo`](Format::OpenAiDpo) | `{"input": {"messages", "tools", "parallel_tool_calls"}, "preferred_output", "non_preferred_output"}` |
//! | [`Trl`](Format::Trl) | `{"messages": […], "tools"?}`, with arguments as objects, and reasoning as `thinking` |
//! | [`ShareGpt`](Format::ShareGpt) | `{"conversations": [{"from", "value"}], "system"?, "tools"?}` |
//! | [`Alpaca`](Format::Alpaca) | `{"instruction", "input", "output", "system"?, "history"?}` |
//! | [`Claude`](Format::Claude) | `{"system"?, "messages": [{"role", "content"}]}`, user and assistant in turn |
//! | [`Parquet`](Format::Parquet) | the columns `messages` (a list of structs) and `tools`; needs the cargo feature `parquet` |
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
//! # Markdown, text and HTML
//! The content of messages is written as it is. In Markdown it takes effect, like the Python package does it; in HTML
//! it is text and nothing else, with its line breaks. A content with line breaks takes several lines of text.
//!
//! # What is in an export
//! What is in the store. Messages that are added to a session after its export began are not in it, nor are sessions that are
//! deleted before it is their turn. Several sessions come in the order of their
//! start, the latest first, each once; those that are chosen by their ids, in the order of the ids.
//!
//! # What is in a data set
//! A line is one conversation that a trainer takes. What a format cannot carry is not written, and the
//! [`Report`] counts it by its [`Reason`]:
//!
//! - Questions and what answers them go together, as a round. Answers that are interrupted, failed or pending are dropped, unless
//!   [asked for](Export::with_interrupted); a round without an answer goes whole, and so does one where a tool's call
//!   lacks its result or a result its call. At the very end of a conversation, a call may stand
//!   without its result: that is an answer, too.
//! - Of several answers to one request (`choice` in the metadata, as `shs-tower` stores it) the one that people
//!   rated best ([`FEEDBACK_KEY`]) is written, else the first.
//! - Messages of developers are written as the system's. ShareGPT, Alpaca and Claude take what the system says at the beginning;
//!   what it says later is dropped.
//! - ShareGPT, Alpaca and Claude want questions and answers in turn. Where one role speaks twice in a row, the conversation is
//!   dropped, unless [roles are merged](Export::with_merged_roles).
//! - Alpaca and Claude have no tools: conversations that call them are dropped.
//! - [`WEIGHT_KEY`] in an answer's metadata becomes OpenAI's `weight`; other formats drop rounds whose answer has the weight 0.
//! - [`TOOLS_KEY`] and [`PARALLEL_TOOL_CALLS_KEY`] in the session's metadata become `tools` and `parallel_tool_calls`.
//! - Reasoning is written by TRL and Parquet only, images by OpenAI only; the text beside a tool call is left out by ShareGPT.
//!
//! # Pairs
//! [`OpenAiDpo`](Format::OpenAiDpo) makes pairs of several answers to one request, and of forks whose first message is
//! another answer to the question at which they left their source. The better one is
//! 1. the one that people rated better ([`FEEDBACK_KEY`]);
//! 2. of a fork and its source, the one with which the conversation went on, if only one did;
//! 3. of a fork and its source, the fork's, for somebody asked for it;
//! 4. of several answers to one request, the first, if the conversation went on behind them: that is the one which
//!    clients show and send back.
//!
//! Else there is no pair. Both answers are texts.
//!
//! # Parquet
//! `messages` is a list of structs with `role`, `content`, `thinking`, `name`, `tool_call_id` and `tool_calls`, a list of structs `id`,
//! `type` and `function` with `name` and `arguments`; what is not set is null. `arguments`, and the column `tools`, are JSON in a string:
//! so lines with different tools have one schema.
//!
//! # Checking a data set
//! [`Check`] reads a file of any of these formats that has lines, and says what a trainer would refuse, and where.
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//!
//! use shs_export::{Export, Format};
//! use shs_store::{NewMessage, NewSession, Scope, Store, StoreExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store: Arc<dyn Store> = Arc::new(shs_memory::MemoryStore::new());
//! let session = store.create_session(&Scope::DEFAULT, NewSession::new()).await?;
//! store.append(&Scope::DEFAULT, &session.id, NewMessage::user("Hello!")).await?;
//! let text = Export::new(store, Format::Text).session(&session.id).to_string().await?;
//! assert_eq!(text, "[USER]: Hello!\n");
//! # Ok::<_, shs_store::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Cargo features
//! `parquet` writes [`Format::Parquet`], `tokens` counts for [`Export::with_max_tokens`]. Without them, those fail with
//! [`Unsupported`](shs_store::ErrorKind::Unsupported). Every format and option is there in every build.

mod check;
mod export;
mod format;
mod output;
mod plain;
mod prepare;
mod publish;
mod report;
mod run;
mod source;
mod training;

pub use check::{Check, Checked, Problem};
pub use export::Export;
pub use format::Format;
pub use prepare::{
    FEEDBACK_KEY, PARALLEL_TOOL_CALLS_KEY, Split, SystemMessages, TOOLS_KEY, WEIGHT_KEY,
};
pub use report::{Counts, Reason, Report};
