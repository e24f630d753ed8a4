//! The messages of one session.

use serde::{Deserialize, Serialize};

use super::cursor::fingerprint;
use super::filter::{page_methods, range_methods};
use super::{Page, PageBuilder, PageRequest, Position};
use crate::model::AsHead;
use crate::{Error, Message, Result, Role, Scope, Seq, SessionId, Status, Timestamp};

/// The order of messages within a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageOrder {
    /// From the first to the last, as said.
    #[default]
    Oldest,
    /// From the last to the first.
    Newest,
}

/// Asks for messages of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageQuery {
    /// Only after this number.
    pub after_seq: Option<Seq>,
    /// Only up to this number, itself included.
    pub up_to_seq: Option<Seq>,
    /// Only of this role.
    pub role: Option<Role>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only with this status.
    pub status: Option<Status>,
    /// Only said from this time on.
    pub since: Option<Timestamp>,
    /// Only said before this time.
    pub until: Option<Timestamp>,
    /// The order.
    pub order: MessageOrder,
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}

/// Gives a query with `role`, `model` and `status` fields the methods that set them.
macro_rules! message_filter_methods {
    () => {
        /// Only messages of this role.
        #[must_use]
        pub fn with_role(mut self, role: $crate::Role) -> Self {
            self.role = Some(role);
            self
        }

        /// Only messages of this model.
        #[must_use]
        pub fn with_model(mut self, model: impl Into<String>) -> Self {
            self.model = Some(model.into());
            self
        }

        /// Only messages with this status.
        #[must_use]
        pub fn with_status(mut self, status: $crate::Status) -> Self {
            self.status = Some(status);
            self
        }
    };
}

pub(super) use message_filter_methods;

impl MessageQuery {
    /// All messages, as said.
    pub fn new() -> Self {
        Self::default()
    }

    message_filter_methods!();
    range_methods!();
    page_methods!();

    /// Only messages after this number.
    #[must_use]
    pub fn with_after_seq(mut self, seq: Seq) -> Self {
        self.after_seq = Some(seq);
        self
    }

    /// Only messages up to this number, itself included.
    #[must_use]
    pub fn with_up_to_seq(mut self, seq: Seq) -> Self {
        self.up_to_seq = Some(seq);
        self
    }

    /// From the last to the first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.order = MessageOrder::Newest;
        self
    }

    /// What ties a cursor to this query about this session in a scope; for backends.
    pub fn fingerprint(&self, scope: &Scope, session: &SessionId) -> u64 {
        fingerprint("messages", scope, &(session, self))
    }

    /// Whether a message passes every filter; for backends.
    pub fn matches(&self, message: &impl AsHead) -> bool {
        self.after_seq.is_none_or(|seq| message.seq() > seq)
            && self.up_to_seq.is_none_or(|seq| message.seq() <= seq)
            && self.role.is_none_or(|role| message.role() == role)
            && self.status.is_none_or(|status| message.status() == status)
            && (self.model.is_none() || self.model.as_deref() == message.model())
            && self.in_range(message.timestamp())
    }

    /// The page, out of all messages of a session by rising number; for backends that have them, or their
    /// heads, in memory.
    ///
    /// `head` gives an item's message, or its head; `load` gives it whole.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the limit or the cursor is not valid, and whatever
    /// `load` fails with.
    pub fn page_of<T, H: AsHead>(
        &self,
        scope: &Scope,
        session: &SessionId,
        items: &[T],
        head: impl Fn(&T) -> &H,
        load: impl FnMut(&T) -> Result<Message>,
    ) -> Result<Page<Message>> {
        self.fill_page(scope, session, items, head, load)
            .map_err(|error| error.with_session(session))
    }

    fn fill_page<T, H: AsHead>(
        &self,
        scope: &Scope,
        session: &SessionId,
        items: &[T],
        head: impl Fn(&T) -> &H,
        mut load: impl FnMut(&T) -> Result<Message>,
    ) -> Result<Page<Message>> {
        let fingerprint = self.fingerprint(scope, session);
        let limit = self.page.checked_limit()?;
        let mut page = PageBuilder::new(limit);
        let after = match self.page.position(fingerprint)? {
            Some(Position::Seq(seq)) => Some(seq),
            Some(_) => return Err(Error::invalid("the cursor is not one of a list of messages")),
            None => None,
        };
        let from = items.partition_point(|item| {
            let seq = head(item).seq();
            match (self.order, after) {
                (MessageOrder::Oldest, Some(after)) => seq <= after,
                (MessageOrder::Newest, Some(after)) => seq < after,
                (MessageOrder::Oldest, None) => false,
                (MessageOrder::Newest, None) => true,
            }
        });
        let items: Box<dyn Iterator<Item = &T>> = match self.order {
            MessageOrder::Oldest => Box::new(items[from..].iter()),
            MessageOrder::Newest => Box::new(items[..from].iter().rev()),
        };
        let offset = usize::try_from(self.page.offset).unwrap_or(usize::MAX);
        let matching = items.filter(|item| self.matches(head(item))).skip(offset);
        let found: Vec<&T> = matching.take(limit + 1).collect();
        page.reserve(found.len());
        for item in found {
            if page.is_full() {
                page.mark_more();
                break;
            }
            let message = load(item)?;
            let (position, weight) = (Position::Seq(message.seq), message.weight());
            page.push(message, position, weight);
        }
        Ok(page.finish(fingerprint))
    }
}
