//! Keeps session-history-saver's conversations in human-readable files.
