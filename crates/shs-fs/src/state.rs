//! All conversations in memory, and what is asked of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use shs_store::text::FollowingIndex;
use shs_store::{
    Error, ErrorKind, Hit, Message, MessageQuery, Page, Result, SearchQuery, Seq, Session,
    SessionId, Stats, StatsQuery, Status,
};

use crate::arrivals::HIGHEST;
use crate::conversation::Conversation;
use crate::folder::Folder;
use crate::name::file_name;

/// All conversations.
#[derive(Debug, Default)]
pub(crate) struct State {
    conversations: HashMap<SessionId, Conversation>,
    /// Conversations whose files could not be read again after a failed write.
    unreadable: HashMap<SessionId, Unreadable>,
    /// Whether the list of a deletion that failed is still in the folder.
    pub(crate) has_intent: bool,
    arrivals: BTreeMap<i64, (SessionId, Seq)>,
    /// Brought up to date by the next search.
    index: FollowingIndex,
    pub(crate) last_arrival: i64,
    /// Up to where no number is given after another opening, also if its message is gone.
    pub(crate) noted: i64,
}

/// A file that could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    /// What stands behind this place was taken back.
    pub(crate) end: u64,
}

impl Unreadable {
    fn error(&self, id: &SessionId) -> Error {
        let detail = format!("{} cannot be read since a write to it failed", self.name);
        Error::new(ErrorKind::Unavailable, detail).with_session(id)
    }
}

impl State {
    /// All conversations of a folder that was just opened, in which no number up to `noted` is to be given again.
    ///
    /// # Errors
    /// `Corrupt` if two messages have one number of arrival, as after a file was copied from another folder.
    pub(crate) fn new(conversations: Vec<Conversation>, noted: i64) -> Result<Self> {
        let mut arrivals = Vec::new();
        for Conversation { session, entries, .. } in &conversations {
            let places = entries.iter().map(|e| (e.arrival, (session.id.clone(), e.head.seq)));
            arrivals.extend(places);
        }
        // Each file has them in order, and a map is made at once of what is in order.
        arrivals.sort_by_key(|(arrival, _)| *arrival);
        let twice = arrivals.windows(2).find(|pair| pair[0].0 == pair[1].0);
        if let Some([(_, (one, _)), (_, (other, _))]) = twice {
            return Err(same_number(one, other));
        }
        let last_arrival = arrivals.last().map_or(noted, |(arrival, _)| noted.max(*arrival));
        let by_id = conversations.into_iter().map(|c| (c.session.id.clone(), c));
        Ok(Self {
            conversations: by_id.collect(),
            arrivals: arrivals.into_iter().collect(),
            last_arrival,
            noted,
            ..Self::default()
        })
    }

    /// Whether there is a message that is not complete.
    pub(crate) fn has_pending(&self) -> bool {
        let mut entries = self.conversations.values().flat_map(|c| &c.entries);
        entries.any(|entry| entry.head.status == Status::Pending)
    }

    pub(crate) fn conversation(&self, id: &SessionId) -> Result<&Conversation> {
        self.conversations.get(id).ok_or_else(|| missing(&self.unreadable, id))
    }

    pub(crate) fn conversation_mut(&mut self, id: &SessionId) -> Result<&mut Conversation> {
        self.conversations.get_mut(id).ok_or_else(|| missing(&self.unreadable, id))
    }

    /// That no conversation is missing in what is asked of all.
    ///
    /// # Errors
    /// `Unavailable` if one is.
    pub(crate) fn all_readable(&self) -> Result<()> {
        self.unreadable.iter().next().map_or(Ok(()), |(id, unreadable)| Err(unreadable.error(id)))
    }

    pub(crate) fn contains(&self, id: &SessionId) -> bool {
        self.conversations.contains_key(id) || self.unreadable.contains_key(id)
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.conversations.values().map(|conversation| &conversation.session)
    }

    pub(crate) fn conversations_mut(&mut self) -> impl Iterator<Item = &mut Conversation> {
        self.conversations.values_mut()
    }

    /// # Errors
    /// `InvalidInput` if all numbers are given.
    pub(crate) fn next_arrival(&mut self) -> Result<i64> {
        if self.last_arrival >= HIGHEST {
            let detail = "the folder has no number of arrival left; import its sessions elsewhere";
            return Err(Error::invalid(detail));
        }
        self.last_arrival += 1;
        Ok(self.last_arrival)
    }

    /// The highest number of a conversation's messages, or one that is not below it; 0 if it has none.
    pub(crate) fn highest_arrival(&self, id: &SessionId) -> i64 {
        match self.conversations.get(id) {
            Some(conversation) => conversation.last_arrival(),
            None if self.unreadable.contains_key(id) => self.last_arrival,
            None => 0,
        }
    }

    /// Whether the disk has a higher number than this one, or a note of it.
    pub(crate) fn is_exceeded(&self, number: i64) -> bool {
        let mut higher = self.arrivals.range(number.saturating_add(1)..);
        let is_on_disk = |(id, seq): &(SessionId, Seq)| {
            let conversation = self.conversations.get(id);
            conversation.is_some_and(|conversation| conversation.is_on_disk(*seq))
        };
        number <= self.noted || higher.any(|(_, place)| is_on_disk(place))
    }

    /// Adds a conversation that was read again from its file.
    ///
    /// # Errors
    /// `Corrupt` if another one has a message with the same number of arrival; then it is not added.
    pub(crate) fn insert_read(&mut self, conversation: Conversation) -> Result<()> {
        let taken = conversation.entries.iter().find_map(|entry| self.arrivals.get(&entry.arrival));
        if let Some((other, _)) = taken {
            return Err(same_number(&conversation.session.id, other));
        }
        self.insert(conversation);
        Ok(())
    }

    /// Adds a conversation.
    pub(crate) fn insert(&mut self, conversation: Conversation) {
        let id = conversation.session.id.clone();
        for entry in &conversation.entries {
            self.last_arrival = self.last_arrival.max(entry.arrival);
            self.arrivals.insert(entry.arrival, (id.clone(), entry.head.seq));
            self.index.add(entry.arrival);
        }
        self.unreadable.remove(&id);
        self.conversations.insert(id, conversation);
    }

    /// Takes a conversation out, while its file is still as it was. The index is dropped, to be made anew, if a
    /// content cannot be read any more.
    pub(crate) fn remove(&mut self, folder: &Folder, id: &SessionId) -> Option<Conversation> {
        self.unreadable.remove(id);
        let conversation = self.conversations.remove(id)?;
        for entry in &conversation.entries {
            self.arrivals.remove(&entry.arrival);
            if !self.index.holds(entry.arrival) {
                self.index.remove(entry.arrival, "");
                continue;
            }
            match conversation.load(folder, entry) {
                Ok(message) => self.index.remove(entry.arrival, &message.content),
                Err(_) => self.drop_index(),
            }
        }
        Some(conversation)
    }

    /// Notes a conversation whose file cannot be read for now.
    pub(crate) fn set_unreadable(&mut self, id: SessionId, unreadable: Unreadable) {
        self.unreadable.insert(id, unreadable);
    }

    pub(crate) fn unreadable(&self, id: &SessionId) -> Option<&Unreadable> {
        self.unreadable.get(id)
    }

    /// The conversations whose files could not be read.
    pub(crate) fn all_unreadable(&self) -> Vec<SessionId> {
        self.unreadable.keys().cloned().collect()
    }

    /// Drops the index, to be made anew by the next search.
    pub(crate) fn drop_index(&mut self) {
        self.index = FollowingIndex::new();
    }

    /// Notes a message that was added.
    pub(crate) fn note_arrival(&mut self, id: &SessionId, seq: Seq, arrival: i64) {
        self.arrivals.insert(arrival, (id.clone(), seq));
    }

    /// Notes that a message's content was this, and is another one.
    pub(crate) fn note_change(&mut self, arrival: i64, before: &str) {
        self.index.change(arrival, before);
    }

    /// Whether a search for this has to be preceded by [`update_index`](Self::update_index).
    pub(crate) fn is_behind(&self, query: &SearchQuery) -> bool {
        query.text.is_some() && !self.index.is_current(&self.arrivals)
    }

    /// Reads what was written since the last search, or everything at the first.
    pub(crate) fn update_index(&mut self, folder: &Folder) -> Result<()> {
        let conversations = &self.conversations;
        self.index.follow(&self.arrivals, |_, (id, seq)| {
            let found =
                conversations.get(id).and_then(|c| c.entry_at(*seq).map(|entry| (c, entry)));
            let content = match found {
                Some((conversation, entry)) => conversation.load(folder, entry)?.content,
                None => String::new(),
            };
            Ok(Cow::Owned(content))
        })
    }

    pub(crate) fn messages(
        &self,
        folder: &Folder,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        let conversation = self.conversation(id)?;
        query.page_of(
            id,
            &conversation.entries,
            |entry| &entry.head,
            |entry| conversation.load(folder, entry),
        )
    }

    /// A page of hits; the index may not be [behind](Self::is_behind).
    pub(crate) fn search(&self, folder: &Folder, query: &SearchQuery) -> Result<Page<Hit>> {
        self.all_readable()?;
        let text = query.parsed_text()?;
        let index = self.index.index();
        let numbers = query.candidates(text.as_ref(), index, &self.arrivals)?;
        let load = |number: i64| {
            let Some((id, seq)) = self.arrivals.get(&number) else { return Ok(None) };
            let conversation = self.conversation(id)?;
            let entry = conversation.entry_at(*seq);
            let Some(entry) = entry.filter(|e| query.matches(&conversation.session, &e.head))
            else {
                return Ok(None);
            };
            Ok(Some((conversation.session.clone(), conversation.load(folder, entry)?)))
        };
        let rank = |number| text.as_ref().map_or(0.0, |text| index.rank(text, number));
        query.page_of(text.as_ref(), numbers, load, rank)
    }

    pub(crate) fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        self.all_readable()?;
        let mut stats = Stats::default();
        for conversation in self.conversations.values() {
            let heads = conversation.entries.iter().map(|entry| &entry.head);
            stats.count_conversation(query, &conversation.session, heads);
        }
        Ok(stats)
    }
}

/// Why there is no conversation in memory.
fn missing(unreadable: &HashMap<SessionId, Unreadable>, id: &SessionId) -> Error {
    match unreadable.get(id) {
        Some(unreadable) => unreadable.error(id),
        None => Error::session_not_found(id),
    }
}

/// Two messages with one number of arrival, of which no search could find both.
fn same_number(one: &SessionId, other: &SessionId) -> Error {
    Error::corrupt(format!(
        "{} and {} each have a message with the same number in the order of arrival, as after one was copied from \
         another folder; move one to a folder of its own, and import its conversation from there",
        file_name(one),
        file_name(other)
    ))
}
