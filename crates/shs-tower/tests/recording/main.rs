//! What is recorded of conversations that pass through a service.

mod ahead;
mod anthropic;
mod any_bytes;
mod bits;
mod bodies;
mod bombs;
mod chat;
mod client;
mod custom;
mod endings;
mod history;
mod identity;
#[path = "../../../shs-sqlite/tests/numbers/mod.rs"]
mod numbers;
mod operation;
mod principals;
mod responses;
mod secrets;
mod support;
mod telemetry;
mod tools;
