//! The conformance suite that every backend of session-history-saver passes.
