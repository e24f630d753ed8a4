//! The text analyzer and the query language: what makes search mean the same on every backend.
//!
//! # The analyzer
//!
//! Text becomes *tokens*: words, that is runs of letters and digits, compared without regard to case,
//! width and diacritics. `Déjà`, `DEJA` and `ｄｅｊａ` are the same token; so are `Straße` and `STRASSE`. Scripts
//! that are written without spaces between words (Chinese, Japanese, Korean, Thai and their
//! neighbours) become overlapping pairs of characters, so that any piece of a sentence can be found.
//! Punctuation, symbols and emoji separate tokens and are not searched. What only steers how a word is shown,
//! such as a soft hyphen, a joiner or a variation selector, is passed over. Texts that are canonically
//! equivalent in Unicode have the same tokens.
//!
//! # The query language
//!
//! | written | finds messages with |
//! |---|---|
//! | `double charge` | both words, anywhere |
//! | `"double charge"` | the words next to each other, in this order |
//! | `charg*` | a word that begins so |
//! | `charge -refund` | the first word, without the second |
//!
//! Anything that a person can type is a valid query. A word with punctuation inside, such as `node.js`,
//! is looked for as a phrase.
//!
//! For backends: index [`tokens`] of each message's content with their positions, and answer a
//! [`Query`] from its [clauses](Query::clauses), or use the [`InvertedIndex`], or one that
//! [follows](FollowingIndex). What matches is ordered by rank with a [`Ranking`].

mod analyze;
mod fold;
mod following;
mod index;
mod occurrences;
#[cfg(test)]
mod properties;
mod query;
mod ranking;
mod snippet;

pub use analyze::{MAX_TOKEN_BYTES, Token, analyze, tokens};
pub use following::FollowingIndex;
pub use index::InvertedIndex;
pub use query::{Clause, Query};
pub use ranking::Ranking;
pub use snippet::Snippet;
