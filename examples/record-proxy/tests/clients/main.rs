//! Clients that people use talk with a model's server through the proxy. They see what they see without it, and that is
//! what is stored.

mod bytes;
mod chat;
mod connections;
mod messages;
#[path = "../../../../crates/shs-sqlite/tests/numbers/mod.rs"]
mod numbers;
mod operation;
mod principals;
mod responses;
mod support;
