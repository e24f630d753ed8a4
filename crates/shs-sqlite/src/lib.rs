//! Keeps session-history-saver's conversations in one SQLite file.
