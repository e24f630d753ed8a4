//! Whether a page lacks a message that an index has lost.
//!
//! Checksums tell that what is read is what was written, and not that all of it is read: a bit that flips in an index hides a
//! row. The numbers of a session's messages rise by one, but for those that were deleted. So as long as a session has
//! as many messages as its last number says, a number that does not come is damage; and a session that is read in one page
//! has as many messages as it counts.

use shs_store::{MessageOrder, MessageQuery, Seq, Session};

use crate::error::corrupt;

/// Watches the numbers of a page.
pub(super) struct Gaps {
    order: MessageOrder,
    expected: Expected,
}

/// What has to come.
enum Expected {
    /// It is not known.
    Any,
    /// So many messages, in all.
    Count(u64),
    /// These numbers, first and last.
    All { first: u64, last: u64 },
}

impl Gaps {
    /// For a page of messages behind a number, up to another one.
    pub(super) fn new(session: &Session, query: &MessageQuery, (after, up_to): (u64, u64)) -> Self {
        let is_filtered = query.role.is_some()
            || query.status.is_some()
            || query.model.is_some()
            || query.since.is_some()
            || query.until.is_some()
            || query.page.offset > 0;
        let (count, last) = (session.message_count, session.last_seq.get());
        let expected = if is_filtered {
            Expected::Any
        } else if count == last {
            Expected::All { first: after + 1, last: up_to.min(last) }
        } else if after == 0 && up_to >= last {
            Expected::Count(count)
        } else {
            Expected::Any
        };
        Self { order: query.order, expected }
    }

    /// The next message has this number.
    pub(super) fn pass(&mut self, seq: Seq) -> Result<(), sqlx::Error> {
        match &mut self.expected {
            Expected::Any => Ok(()),
            Expected::Count(left) => {
                *left = left.checked_sub(1).ok_or_else(damaged)?;
                Ok(())
            }
            Expected::All { first, last } => {
                let newest = self.order == MessageOrder::Newest;
                if first > last || seq.get() != if newest { *last } else { *first } {
                    return Err(damaged());
                }
                if newest {
                    *last -= 1;
                } else {
                    *first += 1;
                }
                Ok(())
            }
        }
    }

    /// No more messages come.
    pub(super) fn end(self) -> Result<(), sqlx::Error> {
        match self.expected {
            Expected::Count(1..) => Err(damaged()),
            Expected::All { first, last } if first <= last => Err(damaged()),
            Expected::Any | Expected::Count(0) | Expected::All { .. } => Ok(()),
        }
    }
}

fn damaged() -> sqlx::Error {
    corrupt("messages_seq", "it has other messages than the session counts")
}
