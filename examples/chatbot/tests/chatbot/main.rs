//! The chatbot, tried as its users have it: over HTTP, and in a browser.
//!
//! The browser is one that is driven on Unix: there its processes are a group, which is ended as a whole.

mod api;
#[cfg(unix)]
mod browser;
#[path = "../../../../crates/shs-sqlite/tests/numbers/mod.rs"]
mod numbers;
mod provider;
mod strangers;
mod support;
