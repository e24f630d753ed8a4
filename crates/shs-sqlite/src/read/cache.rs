//! The newest messages of the sessions that were read last, so that a conversation in progress is not read from the
//! file again for every turn.
//!
//! Nothing is answered from memory alone: every read asks the database for the version of the session's messages, and
//! then for what came since. So it sees every acknowledged message, of other processes too.

use std::sync::{Arc, Mutex, PoisonError};

use hashlink::LruCache;
use shs_store::query::Position;
use shs_store::{
    Message, MessageOrder, MessageQuery, Page, Result, Scope, Seq, SessionId, SessionKey,
};

/// What a message takes beside its text, in bytes, roughly.
const OVERHEAD: usize = 256;
/// No session takes more than this part of the cache.
const SHARE: usize = 4;

/// Which messages a session has: they are the same for as long as this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The session's key, which is never given twice.
    pub(super) key: i64,
    /// How often messages were changed or deleted.
    pub(super) edits: i64,
}

/// All messages of a session after one.
#[derive(Clone)]
pub(super) struct Tail {
    pub(super) version: Version,
    pub(super) after: Seq,
    pub(super) last: Seq,
    messages: Vec<Arc<Message>>,
    bytes: usize,
}

impl Tail {
    pub(super) fn new(version: Version, after: Seq, last: Seq) -> Self {
        Self { version, after, last, messages: Vec::new(), bytes: 0 }
    }

    /// Adds the messages that follow, by rising number.
    pub(super) fn extend<'m>(&mut self, messages: impl Iterator<Item = &'m Message>, last: Seq) {
        for message in messages {
            self.bytes += OVERHEAD + message.weight();
            self.messages.push(Arc::new(message.clone()));
        }
        self.last = last;
    }

    /// The page, if these messages are enough to know it.
    pub(super) fn page(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Option<Page<Message>>> {
        if !self.may_have(scope, id, query)? {
            return Ok(None);
        }
        let page = query.page_of(scope, id, &self.messages, |m| &**m, |m| Ok(Message::clone(m)))?;
        let is_known = self.has_all(scope, id, query)? || page.next.is_some();
        Ok(is_known.then_some(page))
    }

    /// Whether the page may be among these messages: the newest of a list that goes back are.
    pub(super) fn may_have(
        &self,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<bool> {
        Ok(query.order == MessageOrder::Newest || self.has_all(scope, id, query)?)
    }

    /// Whether all messages that the query can find from its page on are among these.
    fn has_all(&self, scope: &Scope, id: &SessionId, query: &MessageQuery) -> Result<bool> {
        let mut after = query.after_seq.unwrap_or(Seq::ZERO);
        if query.order == MessageOrder::Oldest
            && let Some(Position::Seq(seq)) = query.page.position(query.fingerprint(scope, id))?
        {
            after = after.max(seq);
        }
        Ok(after >= self.after)
    }
}

/// The tails that were read last, up to a number of bytes.
pub(crate) struct Cache {
    capacity: usize,
    held: Mutex<Held>,
}

struct Held {
    tails: LruCache<SessionKey, Arc<Tail>>,
    bytes: usize,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache of so many bytes; with 0 it keeps nothing.
    pub(crate) fn new(capacity: usize) -> Self {
        let held = Held { tails: LruCache::new_unbounded(), bytes: 0 };
        Self { capacity, held: Mutex::new(held) }
    }

    pub(super) fn get(&self, key: &SessionKey) -> Option<Arc<Tail>> {
        self.held().tails.get(key).cloned()
    }

    /// Keeps a tail in place of the one there was, unless it is too large.
    pub(super) fn put(&self, key: &SessionKey, tail: Arc<Tail>) {
        let mut held = self.held();
        held.remove(key);
        if tail.bytes + OVERHEAD > self.capacity / SHARE {
            return;
        }
        held.bytes += tail.bytes + OVERHEAD;
        held.tails.insert(key.clone(), tail);
        while held.bytes > self.capacity {
            let Some((_, oldest)) = held.tails.remove_lru() else { break };
            held.bytes -= oldest.bytes + OVERHEAD;
        }
    }

    pub(super) fn remove(&self, key: &SessionKey) {
        self.held().remove(key);
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn remove(&mut self, key: &SessionKey) {
        if let Some(tail) = self.tails.remove(key) {
            self.bytes -= tail.bytes + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use shs_store::NewMessage;

    use super::*;

    fn tail(bytes: usize) -> Arc<Tail> {
        let mut tail = Tail::new(Version { key: 1, edits: 0 }, Seq::ZERO, Seq::ZERO);
        let message = NewMessage::user("x".repeat(bytes)).into_message(Seq::FIRST);
        tail.extend(std::iter::once(&message), Seq::FIRST);
        Arc::new(tail)
    }

    fn id(number: usize) -> SessionKey {
        Scope::DEFAULT.key(&SessionId::new(format!("s{number}")).unwrap())
    }

    #[test]
    fn what_was_used_last_stays_and_the_bytes_are_bounded() {
        let cache = Cache::new(20_000);
        for number in 0..100 {
            cache.put(&id(number), tail(2_000));
            cache.put(&id(number), tail(2_000));
            assert!(cache.get(&id(0)).is_some(), "it is used all the time");
            assert!(cache.held().bytes <= 20_000);
        }
        assert!(cache.get(&id(99)).is_some());
        assert!(cache.get(&id(50)).is_none());
        for number in 0..100 {
            cache.remove(&id(number));
        }
        assert_eq!(cache.held().bytes, 0);
    }

    #[test]
    fn a_session_that_is_too_large_is_not_kept_and_takes_its_older_state_away() {
        let cache = Cache::new(20_000);
        cache.put(&id(1), tail(100));
        cache.put(&id(1), tail(6_000));
        assert!(cache.get(&id(1)).is_none());
        assert_eq!(cache.held().bytes, 0);
    }
}
