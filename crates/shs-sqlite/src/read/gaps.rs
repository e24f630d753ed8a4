//! Whether a page lacks a message that an index has lost.
//!
//! Checksums tell that what is read is what was written, and not that all of it is read: a bit that flips in an index hides a
//! row. The numbers of a session's messages rise by one, but for those that were deleted. So as long as a session has
//! as many messages as its last number says, a number that does not come is damage.

use shs_store::{MessageOrder, MessageQuery, Seq, Session};

use crate::error::corrupt;

/// Watches the numbers of a page.
pub(super) struct Gaps {
    order: MessageOrder,
    /// The numbers that have to come, first and last; `None` if any may be missing.
    rest: Option<(u64, u64)>,
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
        let last = session.last_seq.get();
        let is_whole = session.message_count == last;
        let rest = (is_whole && !is_filtered).then_some((after + 1, up_to.min(last)));
        Self { order: query.order, rest }
    }

    /// The next message has this number.
    pub(super) fn pass(&mut self, seq: Seq) -> Result<(), sqlx::Error> {
        let Some((first, last)) = &mut self.rest else { return Ok(()) };
        let expected = if self.order == MessageOrder::Newest { *last } else { *first };
        if *first > *last || seq.get() != expected {
            return Err(missing());
        }
        match self.order {
            MessageOrder::Newest => *last -= 1,
            _ => *first += 1,
        }
        Ok(())
    }

    /// No more messages come.
    pub(super) fn end(self) -> Result<(), sqlx::Error> {
        match self.rest {
            Some((first, last)) if first <= last => Err(missing()),
            _ => Ok(()),
        }
    }
}

fn missing() -> sqlx::Error {
    corrupt("messages_seq", "it lacks a message that the session counts")
}
