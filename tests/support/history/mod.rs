//! Histories of concurrent operations: what each task called and what it was answered, and whether one order of the
//! messages explains all of it.
//!
//! The check is that of list-append histories, as [Elle](https://github.com/jepsen-io/elle) has it: the numbers of the
//! messages are the order, every read is a beginning of it, and it holds in real time too, also between processes.

mod check;
mod clock;
mod order;
#[cfg(test)]
mod rejected;
mod work;
mod written;

use serde::{Deserialize, Serialize};

pub use check::{Broken, Fault, Figures, check};
pub use clock::Clock;
pub use work::{Log, Task, audit, message};
pub use written::{Written, read};

/// One operation of a task on a session, from its call to its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Who called. A task calls one after the other.
    pub task: usize,
    /// The session.
    pub session: String,
    /// When it was called.
    pub began: u64,
    /// When it was answered; [`NEVER`] if it was not, so that nobody knows whether it happened.
    pub ended: u64,
    /// What it was, and its answer.
    pub what: What,
}

/// After everything.
pub const NEVER: u64 = u64::MAX;

/// An operation and its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A batch was appended, or repeated; the answer is the messages' numbers.
    Append {
        /// The messages.
        ids: Vec<String>,
        /// Their numbers.
        seqs: Vec<u64>,
    },
    /// All messages within a range of numbers were read.
    Read {
        /// Only numbers above this one.
        above: u64,
        /// Only numbers up to this one; [`NEVER`] for all that there were.
        up_to: u64,
        /// Numbers and ids, by rising number.
        messages: Vec<(u64, String)>,
    },
    /// The session was read, alone or in a list.
    Count {
        /// How many messages it has.
        messages: u64,
        /// The last number that was given.
        last_seq: u64,
    },
    /// A message was looked for by a word that only it has.
    Find {
        /// The message.
        id: String,
        /// Whether it was found.
        found: bool,
    },
    /// A message was deleted. Its id is not used again.
    Delete {
        /// The message.
        id: String,
    },
}
