//! Keeps the conversations of chatbots and agents: who said what, when, with which model.
mod config;
mod location;
mod retry;
mod scope;
mod session;
mod start;
mod streamed;
mod tasks;
mod tracker;
mod turn;
mod unsaved;

pub use config::{Config, Saving};
pub use location::{Location, open_store};
pub use scope::Track;
pub use session::SessionHandle;
pub use start::StartSession;
pub use streamed::{
    Answer, Delta, ERROR_KEY, FIRST_TOKEN_KEY, FinishAnswer, Recording, StartAnswer, StreamOptions,
};
pub use tracker::SessionTracker;
pub use turn::Turn;
#[doc(inline)]
pub use shs_store::*;
