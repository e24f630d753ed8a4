//! Lists in pages.

use serde::{Deserialize, Serialize};

use super::{Cursor, Position};
use crate::limits::{MAX_PAGE, PAGE_BYTES};
use crate::{Error, Result};

/// Which page of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageRequest {
    /// Most items on the page: 1 to 1,000; 100 unless said otherwise.
    pub limit: u32,
    /// Where the page before it ended; the first page if there is none.
    pub after: Option<Cursor>,
    /// Items to pass over before the page begins, counted from `after`.
    pub offset: u64,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: 100, after: None, offset: 0 }
    }
}

impl PageRequest {
    /// Asks for the page after the one that ended so; `false` if that was the last.
    pub(crate) fn move_on(&mut self, next: Option<Cursor>) -> bool {
        self.offset = 0;
        self.after = next;
        self.after.is_some()
    }

    /// The limit, checked; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) unless it is 1 to 1,000.
    pub fn checked_limit(&self) -> Result<usize> {
        if (1..=MAX_PAGE).contains(&self.limit) {
            return Ok(self.limit as usize);
        }
        Err(Error::invalid(format!(
            "a limit of {} is outside 1 to {MAX_PAGE}; walk the pages with the cursor",
            self.limit
        )))
    }

    /// The position after which the page begins; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of the query with this
    /// fingerprint.
    pub fn position(&self, fingerprint: u64) -> Result<Option<Position>> {
        self.after.as_ref().map(|cursor| cursor.decode(fingerprint)).transpose()
    }
}

/// Some items of a list, and the way to those that follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Asks for the page that follows; `None` if there was nothing more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page with these items.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next }
    }

    /// The page with each item changed.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// Fills a page until the limit or the [byte budget](PAGE_BYTES) is reached; for backends.
///
/// Push items until [`push`](Self::push) returns `false`: that one was not taken, and tells that there
/// is more.
#[derive(Debug)]
pub struct PageBuilder<T> {
    items: Vec<T>,
    last: Option<Position>,
    limit: usize,
    bytes: usize,
    more: bool,
}

impl<T> PageBuilder<T> {
    /// An empty page of so many items at most.
    pub fn new(limit: usize) -> Self {
        Self { items: Vec::new(), last: None, limit, bytes: 0, more: false }
    }

    /// Makes room at once for so many items, or for the limit if that is less.
    pub fn reserve(&mut self, items: usize) {
        self.items.reserve(items.min(self.limit));
    }

    /// Whether the page has no room, so that one more item only tells that there is more.
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes > PAGE_BYTES
    }

    /// Takes an item that has this position and weighs so many bytes; `false` if the page was full.
    pub fn push(&mut self, item: T, position: Position, bytes: usize) -> bool {
        if self.is_full() {
            self.more = true;
            return false;
        }
        self.items.push(item);
        self.last = Some(position);
        self.bytes += bytes;
        true
    }

    /// Notes that there is more than was pushed.
    pub fn mark_more(&mut self) {
        self.more = true;
    }

    /// The page, with a cursor if there is more.
    pub fn finish(self, fingerprint: u64) -> Page<T> {
        let next = match self.last {
            Some(position) if self.more => Some(Cursor::encode(fingerprint, &position)),
            _ => None,
        };
        Page { items: self.items, next }
    }
}
