//! Brings conversations from other tools into a store: exports, databases and data sets.
//!
//! | [`Format`] | what is read |
//! |---|---|
//! | [`Transcripts`](Format::Transcripts) | our own JSON and JSON Lines, which is the Python package's too; a folder of such files |
//! | [`Csv`](Format::Csv) | the rows that we write, and the Python package writes |
//! | [`PythonDatabase`](Format::PythonDatabase) | the Python package's SQLite file |
//! | [`OpenAi`](Format::OpenAi) | lines of `messages` (OpenAI's fine-tuning, TRL, Claude on Bedrock), and preference pairs |
//! | [`ShareGpt`](Format::ShareGpt), [`Alpaca`](Format::Alpaca) | lines of these data sets |
//! | [`ChatGpt`](Format::ChatGpt) | ChatGPT's export: the ZIP, `conversations.json`, or its numbered shards |
//! | [`ClaudeAi`](Format::ClaudeAi) | Claude.ai's export: the ZIP, or `conversations.json` |
//! | [`OpenWebUi`](Format::OpenWebUi) | Open WebUI's export |
//! | [`Llm`](Format::Llm) | `logs.db` of the command `llm`, with threads or with responses |
//! | [`LangChain`](Format::LangChain) | the SQLite file of `SQLChatMessageHistory` |
//! | [`OpenAiAgents`](Format::OpenAiAgents) | the SQLite file of openai-agents' `SQLiteSession` |
//!
//! With the cargo feature `parquet`, the rows of a Parquet file are read as lines of JSON are.
//!
//! What it is, is told by the content and not by the name. A text may be an array, a value on each line, or values one behind
//! the other; a ZIP or a folder is read file by file. Everything is read piece by piece, within
//! [limits].
//!
//! A text is taken for a form only if its messages are what the form says: a name of who speaks and a text or blocks
//! of it, under the form's keys. Anything else is refused with the sign by which it is another form.
//!
//! # What becomes of it
//!
//! - Ids and times are kept. A conversation without an id gets one that is made of its content, a message one of its place; so
//!   that a second import is the same. What has no time anywhere is of 1970-01-01.
//! - Answers that were made anew and questions that were changed are branches: the thread that is shown is the conversation, and each
//!   other one a session of the id `conversation/leaf` that is [`forked_from`](shs_store::Session::forked_from) it.
//! - A source's own fields are kept in the metadata of the session and of the message, under the [name](Format::as_str) of the source.
//!   What is hidden from readers there has `hidden` in its metadata.
//! - A conversation that is stored already, just so, stays. One that is stored in an older state is updated: if nothing but
//!   the import wrote to it, by the mark under [`ORIGIN_KEY`], or if all that is stored is the beginning of what comes. Any other that
//!   differs is left as it is, and so is what belongs to another user, unless [another mode](Import::with_mode) is chosen.
//! - Nothing is dropped in silence: each [`Problem`] has its [`Place`]. Behind a damaged line or value, reading goes on; where a
//!   text is cut off, what stands before it is imported. What is not understood of a conversation, such as a role or a time, is
//!   kept in the metadata and noted; a broken character becomes U+FFFD. [`Report::notes`] counts notes.
//!
//! # Limits
//! What an input becomes is limited, whatever its size. What is beyond a limit is not imported, and
//! that is told with the limit; the rest is.
//!
//! | of one conversation | at the most | another limit |
//! |---|---|---|
//! | text | [64 MiB](MAX_VALUE_BYTES) | |
//! | messages | [1,000,000](limits::MAX_MESSAGES) | [`Limits::with_messages`] |
//! | messages of its branches, which repeat their beginnings | [100,000](limits::MAX_BRANCH_MESSAGES) | [`Limits::with_branch_messages`] |
//! | text of its branches | [256 MiB](limits::MAX_BRANCH_BYTES) | |
//! | branches | [1,000](limits::MAX_BRANCHES) | |
//! | memory that its JSON takes beside the text | [128 MiB](limits::MAX_JSON_BYTES) | [`Limits::with_json_bytes`] |
//!
//! | of one input | at the most |
//! |---|---|
//! | conversations without an id in one text, sessions in one CSV | [2,000,000](limits::MAX_UNNAMED) |
//! | columns of CSV | [1,000](limits::MAX_COLUMNS) |
//! | files in an archive | [100,000](limits::MAX_ARCHIVE_FILES) |
//! | text that is unpacked of an archive | [64 GiB](limits::MAX_UNPACKED_BYTES) |
//!
//! Conversations that wait to be stored take 64 MiB of memory together; one that takes more is
//! stored alone. Of a Parquet file, a page of each column is in memory, as large as its writer made
//! it: read such files from those only whom you trust.
//!
//! # Examples
//! ```
//! use shs_import::{Import, Input};
//! use shs_store::{Scope, SessionId, StoreExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let store = shs_memory::MemoryStore::new();
//! let export = r#"[{"id": "c1", "title": "Bern", "create_time": 1700000000.5, "current_node": "b", "mapping": {
//!     "a": {"parent": null, "message": {"id": "a", "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Where is Bern?"]}}},
//!     "b": {"parent": "a", "message": {"id": "b", "author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["In Switzerland."]}}}}}]"#;
//! let input = Input::Reader("conversations.json".to_owned(), Box::new(export.as_bytes()));
//! let report = Import::new().run(&store, input, |problem| eprintln!("{problem}")).await?;
//! assert_eq!((report.imported, report.failed), (1, 0));
//! let id = SessionId::new("c1")?;
//! let messages = store.last_messages(&Scope::DEFAULT, &id, 10).await?;
//! assert_eq!(messages[1].content, "In Switzerland.");
//! # Ok::<_, shs_store::Error>(())
//! # }).unwrap();
//! ```

mod bounded;
mod compared;
mod conversation;
mod database;
mod format;
mod found;
mod import;
mod input;
pub mod limits;
mod origin;
mod outline;
mod read;
mod report;
mod tree;

pub use format::Format;
pub use import::Import;
pub use input::Input;
pub use limits::{Limits, MAX_VALUE_BYTES};
pub use origin::ORIGIN_KEY;
pub use report::{Place, Problem, Report, Severity};
