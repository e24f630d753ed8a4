//! The chatbot, tried as its users have it: over HTTP, and in a browser.

mod api;
mod browser;
mod provider;
mod support;
