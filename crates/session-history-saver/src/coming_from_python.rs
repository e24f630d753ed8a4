//! Where everything of the Python package `session-history-saver` 1.0.0 is here.
//!
//! Its data come along: its JSON is read by [`import`], a folder of its JSON files is opened by the
//! backend `fs`, and its SQLite file by the backend `sqlite`. It reads our JSON in turn.
//!
//! ```python
//! tracker = SessionTracker(backend="memory")
//! session = tracker.start_session(user_id="alice", project_id="support-bot", tags=["billing"])
//! tracker.add_user_message(session.session_id, "I was double-charged.")
//! tracker.add_assistant_message(session.session_id, "Fixed.", tokens=18, latency_ms=410.0)
//! tracker.end_session(session.session_id)
//! print(to_markdown(tracker.get_session(session.session_id)))
//! ```
//! becomes
//! ```
//! use session_history_saver::export::Format;
//! use session_history_saver::{Config, Location, SessionTracker};
//!
//! # if cfg!(not(feature = "memory")) { return; }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let history = SessionTracker::open(Config::new().with_location(Location::Memory)).await?;
//! let session = history.session().user("alice").project("support-bot").tag("billing").start().await?;
//! session.user("I was double-charged.").await?;
//! session.assistant("Fixed.").tokens(18).latency_ms(410.0).await?;
//! session.end().await?;
//! println!("{}", history.export(Format::Markdown).session(session.id()).to_string().await?);
//! # Ok::<_, session_history_saver::Error>(())
//! # }).unwrap();
//! ```
//!
//! # The tracker
//! | Python | here |
//! |---|---|
//! | `SessionTracker(backend="memory")` | [`Config::with_location`]`(`[`Location::Memory`]`)`, [`SessionTracker::open`] |
//! | `SessionTracker(backend="json", storage_dir=d)` | [`Location::fs`]`(d)` |
//! | `SessionTracker(backend="sqlite", db_path=p)` | [`Location::sqlite`]`(p)` |
//! | `SessionTracker(backend="mongodb", mongo_uri, mongo_db, mongo_collection)` | none; implement [`Store`] |
//! | `SessionTracker(auto_save=False)` | [`Config::with_saving`]`(`[`Saving::AtEnd`]`)` |
//! | `SessionTracker(default_user_id=u)` | [`Config::with_default_user`] |
//! | `SessionTracker(default_project_id=p)` | [`Config::with_default_project`] |
//! | `SessionTracker(custom_storage=s)` | [`SessionTracker::new`] |
//! | `tracker.auto_save`, `.default_user_id`, `.default_project_id` | [`SessionTracker::saving`], [`SessionTracker::with_default_user`], [`SessionTracker::with_default_project`] |
//! | `tracker.start_session(session_id, user_id, project_id, title, tags, metadata)` | [`SessionTracker::session`], then [`id`](StartSession::id), [`user`](StartSession::user), [`project`](StartSession::project), [`title`](StartSession::title), [`tags`](StartSession::tags), [`metadata`](StartSession::metadata), [`start`](StartSession::start) |
//! | `tracker.resume_session(id)` | [`SessionTracker::resume`]; a session that does not exist is an error |
//! | `tracker.end_session(id)` | [`SessionTracker::end`], [`SessionHandle::end`]; it only adds to what is stored |
//! | `tracker.add_message(id, role, content, …)` | [`SessionHandle::message`]; a session that does not exist is an error |
//! | … `message_id`, `metadata`, `tokens`, `model`, `latency_ms`, `status`, `timestamp` | [`Turn::id`], [`metadata`](Turn::metadata), [`tokens`](Turn::tokens), [`model`](Turn::model), [`latency_ms`](Turn::latency_ms), [`status`](Turn::status), [`timestamp`](Turn::timestamp) |
//! | `tracker.add_user_message` | [`SessionHandle::user`] |
//! | `tracker.add_assistant_message` | [`SessionHandle::assistant`] |
//! | `tracker.add_system_message` | [`SessionHandle::system`] |
//! | `with tracker.track_session(user_id, project_id, title, tags, metadata) as s` | [`StartSession::scope`] |
//! | `@tracker.track(user_id, project_id)` | [`SessionTracker::track`], [`Track::user`], [`Track::project`], [`Track::call`] |
//! | `@tracker.track(extract_args=True)` | [`Track::metadata`] |
//! | `tracker.get_session(id)` | [`SessionTracker::get`]; with the messages [`StoreExt::transcript`] |
//! | `tracker.get_messages(id)` | [`SessionTracker::messages`], [`SessionHandle::messages`] |
//! | `tracker.list_sessions(user_id, project_id, tags, limit, offset)` | [`SessionTracker::list`] with [`SessionQuery::with_user`], [`with_project`](SessionQuery::with_project), [`with_any_tag`](SessionQuery::with_any_tag), [`with_limit`](SessionQuery::with_limit), [`with_offset`](SessionQuery::with_offset) |
//! | `tracker.search(query, limit)` | [`SessionTracker::search`]; it finds messages, by words rather than by part of a word |
//! | `tracker.delete_session(id)` | [`SessionTracker::delete`] |
//! | `tracker.export_session(id)` | [`SessionTracker::export`]`(`[`Format::Json`]`)`, [`StoreExt::transcript`] |
//! | `tracker.import_session(data, overwrite=False)` | [`SessionTracker::import_value`] with [`ImportMode::CreateOnly`] |
//! | `tracker.import_session(data, overwrite=True)` | [`SessionTracker::import_value`] with [`ImportMode::Overwrite`] |
//! | `tracker.stats()` | [`SessionTracker::stats`]: [`sessions`](Stats::sessions), [`messages`](Stats::messages), [`tokens`](Stats::tokens), and [`active_sessions`](Stats::active_sessions) as the sessions that were not ended |
//! | `tracker.stats(id)` | [`SessionTracker::session_stats`] |
//!
//! # The models
//! | Python | here |
//! |---|---|
//! | `Session` | [`Session`] without its messages, [`Transcript`] with them |
//! | `Session(session_id, user_id, project_id, tags, metadata, title, created_at, updated_at)` | [`NewSession`] |
//! | `session.session_id`, `.user_id`, `.project_id`, `.tags`, `.metadata`, `.title`, `.created_at`, `.updated_at` | [`Session::id`] and the fields of the same names |
//! | `session.messages` | [`Transcript::messages`], [`SessionHandle::messages`] |
//! | `session.message_count`, `session.total_tokens` | [`Session::message_count`], [`Session::total_tokens`] |
//! | `session.duration_seconds` | [`SessionStats::duration_seconds`], [`Transcript::duration_seconds`] |
//! | `session.add_message(message)` | [`SessionHandle::append`] |
//! | `session.to_dict()`, `Session.from_dict(data)` | [`Transcript`] through `serde_json` |
//! | `Message` | [`Message`] |
//! | `Message(role, content, message_id, timestamp, metadata, status, tokens, model, latency_ms)` | [`NewMessage`] |
//! | `message.message_id`, `.role`, `.content`, `.timestamp`, `.metadata`, `.status`, `.tokens`, `.model`, `.latency_ms` | [`Message::id`] and the fields of the same names |
//! | `message.to_dict()`, `Message.from_dict(data)` | [`Message`] through `serde_json` |
//! | `Role.USER`, `ASSISTANT`, `SYSTEM`, `TOOL` | [`Role`]; an unknown one is refused |
//! | `MessageStatus.PENDING`, `DELIVERED`, `ERROR` | [`Status`]; an unknown one is refused |
//!
//! # Storage
//! | Python | here |
//! |---|---|
//! | `InMemoryStorage()` | `memory::MemoryStore::new` |
//! | `InMemoryStorage.clear()` | a new store |
//! | `JSONStorage(storage_dir, indent)` | `fs::FsStore::open`; it writes lines and does not indent |
//! | `SQLiteStorage(db_path)` | `sqlite::SqliteStore::open` |
//! | `MongoDBStorage(uri, db_name, collection_name, server_selection_timeout_ms)` | none; implement [`Store`] |
//! | `BaseStorage` | [`Store`], or [`DocumentStore`] with its five methods and [`Documents`] |
//! | `BaseStorage.save_session(session)` | [`Store::create_session`], [`Store::update_session`], [`Store::import`]: no write replaces what others wrote |
//! | `BaseStorage.load_session(id)` | [`Store::session`], [`StoreExt::transcript`] |
//! | `BaseStorage.delete_session(id)` | [`Store::delete_session`] |
//! | `BaseStorage.list_sessions(user_id, project_id, tags, limit, offset)` | [`Store::list_sessions`] |
//! | `BaseStorage.session_exists(id)` | [`StoreExt::find_session`] |
//! | `BaseStorage.append_message(id, message)` | [`StoreExt::append`] |
//! | `BaseStorage.count_sessions(user_id, project_id)` | [`Store::stats`] with [`StatsQuery::with_user`], [`StatsQuery::with_project`] |
//! | `BaseStorage.search_sessions(query, limit)` | [`Store::search`] |
//! | `MongoDBStorage.close()`, `with storage` | [`SessionTracker::close`], [`Store::close`] |
//!
//! # Configuration
//! | Python | here |
//! |---|---|
//! | `SessionHistoryConfig()` | [`Config::from_env`]; here what the program sets wins over the environment |
//! | `SessionHistoryConfig(backend, db_path, storage_dir)` | [`Config::with_location`] |
//! | `SessionHistoryConfig(auto_save, default_user_id, default_project_id)` | [`Config::with_saving`], [`Config::with_default_user`], [`Config::with_default_project`] |
//! | `SessionHistoryConfig(mongo_uri, mongo_db, mongo_collection)` | none |
//! | `config.to_tracker_kwargs()` | [`SessionTracker::open`] takes the configuration |
//! | `SHS_BACKEND`, `SHS_DB_PATH`, `SHS_STORAGE_DIR`, `SHS_AUTO_SAVE`, `SHS_DEFAULT_USER`, `SHS_DEFAULT_PROJECT` | the same, see [`Config`]; an invalid value is an error |
//! | `SHS_MONGO_URI`, `SHS_MONGO_DB`, `SHS_MONGO_COLLECTION` | none |
//!
//! # Exporters
//! | Python | here |
//! |---|---|
//! | `to_json(session, indent=2)` | [`Format::Json`] with [`Export::session`]; on one line with [`Export::compact`] |
//! | `to_jsonl(sessions)` | [`Format::JsonLines`] with [`Export::sessions`] |
//! | `to_csv(sessions)` | [`Format::Csv`]; a 0 stays a 0, and no cell is a formula |
//! | `to_markdown(session, include_metadata=False)` | [`Format::Markdown`] |
//! | `to_markdown(session, include_metadata=True)` | [`Format::Markdown`] with [`Export::with_metadata`] |
//! | `to_plain_text(session)` | [`Format::Text`] |
//! | `save_to_file(content, path)` | [`Export::to_file`] |
//! | `__version__` | the version of the crate |

#[allow(unused_imports, reason = "the links above")]
use crate::export::{Export, Format};
#[allow(unused_imports, reason = "the links above")]
use crate::*;
