//! All conversations in memory, and what is asked of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use shs_store::text::FollowingIndex;
use shs_store::{
    Error, ErrorKind, Hit, Message, MessageQuery, Page, PageRequest, PendingStream, Result, Scope,
    SearchQuery, Seq, Session, SessionId, SessionKey, SessionQuery, Stats, StatsQuery, Status,
    Tenant, TenantId, TenantQuery,
};

use crate::arrivals::HIGHEST;
use crate::conversation::Conversation;
use crate::folder::Folder;
use crate::name::{file_name, key_of};

/// The conversations of all tenants.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Those that have conversations, or had some since the folder was opened.
    tenants: HashMap<TenantId, Conversations>,
    /// What a tenant has that is not among them.
    nothing: Conversations,
    /// Whether the list of a deletion that failed is still in the folder.
    pub(crate) has_intent: bool,
    /// Conversations whose files could not be read for now, which the next write tries again.
    pub(crate) failed: BTreeSet<SessionKey>,
    /// One order for all tenants.
    pub(crate) last_arrival: i64,
    /// Up to where no number is given after another opening, also if its message is gone.
    pub(crate) noted: i64,
}

/// The conversations of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    conversations: HashMap<SessionId, Conversation>,
    /// Conversations whose files cannot be read. The others go on without them.
    unreadable: HashMap<SessionId, Unreadable>,
    arrivals: BTreeMap<i64, (SessionId, Seq)>,
    /// Brought up to date by the next search.
    index: FollowingIndex,
}

/// A file that could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    /// What stands behind this place was taken back.
    pub(crate) end: u64,
    /// Why it cannot be read.
    pub(crate) error: Error,
}

/// A number, and the message that has it.
type Arrival = (i64, (SessionId, Seq));

impl State {
    /// All conversations of a folder that was just opened, in which no number up to `noted` is to
    /// be given again. Each file was read, or there is an error.
    ///
    /// Of two that have messages with one number of arrival, as after a file was copied from
    /// another folder, the second by name counts as one that cannot be read.
    pub(crate) fn new(files: Vec<(String, Result<Conversation>)>, noted: i64) -> Self {
        let mut state = Self { last_arrival: noted, noted, ..Self::default() };
        let mut places: Vec<(i64, usize)> = Vec::new();
        for (at, (_, read)) in files.iter().enumerate() {
            let entries = read.iter().flat_map(|conversation| conversation.entries.iter());
            places.extend(entries.map(|entry| (entry.arrival, at)));
        }
        // Each file has them in order, and a map is made at once of what is in order.
        places.sort_unstable();
        let mut twice: HashMap<usize, usize> = HashMap::new();
        for pair in places.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            twice.insert(pair[1].1, pair[0].1);
        }
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        let mut arrivals: HashMap<TenantId, Vec<Arrival>> = HashMap::new();
        for (at, (name, read)) in files.into_iter().enumerate() {
            let read = read.and_then(|conversation| match twice.get(&at) {
                Some(other) => Err(same_number(&name, &names[*other])),
                None => Ok(conversation),
            });
            match read {
                Ok(conversation) => {
                    let id = conversation.session.id.clone();
                    let tenant = conversation.tenant.clone();
                    let places = conversation.entries.iter();
                    let places = places.map(|e| (e.arrival, (id.clone(), e.head.seq)));
                    arrivals.entry(tenant.clone()).or_default().extend(places);
                    let own = state.tenants.entry(tenant).or_default();
                    own.conversations.insert(id, conversation);
                }
                Err(error) => state.set_damaged(name, error),
            }
        }
        for (tenant, mut places) in arrivals {
            places.sort_unstable_by_key(|(arrival, _)| *arrival);
            let last = places.last().map_or(0, |(arrival, _)| *arrival);
            state.last_arrival = state.last_arrival.max(last);
            state.tenants.entry(tenant).or_default().arrivals = places.into_iter().collect();
        }
        state
    }

    /// Notes a file that cannot be read, under the id that its name says. Of which conversation a
    /// file is whose name does not say it, nobody can ask; it stays as it is.
    fn set_damaged(&mut self, name: String, error: Error) {
        tracing::error!(file = name, %error, "a conversation cannot be read; the others can");
        if let Some(key) = key_of(&name) {
            self.set_unreadable(key, Unreadable { name, end: u64::MAX, error });
        }
    }

    /// What the tenant of a scope has.
    pub(crate) fn of(&self, scope: &Scope) -> &Conversations {
        self.of_tenant(scope.tenant_id())
    }

    fn of_tenant(&self, tenant: &TenantId) -> &Conversations {
        self.tenants.get(tenant).unwrap_or(&self.nothing)
    }

    fn of_mut(&mut self, tenant: &TenantId) -> &mut Conversations {
        self.tenants.entry(tenant.clone()).or_default()
    }

    /// The conversation under a key, whoever's it is.
    pub(crate) fn conversation(&self, key: &SessionKey) -> Result<&Conversation> {
        self.of_tenant(&key.tenant).conversation(&key.id)
    }

    pub(crate) fn conversation_mut(&mut self, key: &SessionKey) -> Result<&mut Conversation> {
        let Some(own) = self.tenants.get_mut(&key.tenant) else {
            return Err(Error::session_not_found(&key.id));
        };
        own.conversations.get_mut(&key.id).ok_or_else(|| missing(&own.unreadable, &key.id))
    }

    pub(crate) fn contains(&self, key: &SessionKey) -> bool {
        let own = self.of_tenant(&key.tenant);
        own.conversations.contains_key(&key.id) || own.unreadable.contains_key(&key.id)
    }

    /// The keys of all conversations that can be read.
    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.tenants
            .iter()
            .flat_map(|(tenant, own)| {
                let key = |id: &SessionId| SessionKey { tenant: tenant.clone(), id: id.clone() };
                own.conversations.keys().map(key)
            })
            .collect()
    }

    /// How many conversations can be read.
    pub(crate) fn count(&self) -> usize {
        self.tenants.values().map(|own| own.conversations.len()).sum()
    }

    pub(crate) fn conversations_mut(&mut self) -> impl Iterator<Item = &mut Conversation> {
        self.tenants.values_mut().flat_map(|own| own.conversations.values_mut())
    }

    /// # Errors
    /// `InvalidInput` if all numbers are given.
    pub(crate) fn next_arrival(&mut self) -> Result<i64> {
        self.next_arrivals(1)
    }

    /// The first of so many numbers in a row.
    ///
    /// # Errors
    /// `InvalidInput` if there are not so many any more.
    pub(crate) fn next_arrivals(&mut self, count: usize) -> Result<i64> {
        let last = i64::try_from(count).ok().and_then(|count| self.last_arrival.checked_add(count));
        let Some(last) = last.filter(|last| *last <= HIGHEST) else {
            let detail = "the folder has no number of arrival left; import its sessions elsewhere";
            return Err(Error::invalid(detail));
        };
        let first = self.last_arrival + 1;
        self.last_arrival = last;
        Ok(first)
    }

    /// The highest number of a conversation's messages, or one that is not below it; 0 if it has none.
    pub(crate) fn highest_arrival(&self, key: &SessionKey) -> i64 {
        let own = self.of_tenant(&key.tenant);
        match own.conversations.get(&key.id) {
            Some(conversation) => conversation.last_arrival(),
            None if own.unreadable.contains_key(&key.id) => self.last_arrival,
            None => 0,
        }
    }

    /// Whether the disk has a higher number than this one, or a note of it.
    pub(crate) fn is_exceeded(&self, number: i64) -> bool {
        number <= self.noted || self.tenants.values().any(|own| own.is_exceeded(number))
    }

    /// Adds a conversation that was read again from its file.
    ///
    /// # Errors
    /// `Corrupt` if another one has a message with the same number of arrival; then it is not added.
    pub(crate) fn insert_read(&mut self, conversation: Conversation) -> Result<()> {
        for (tenant, own) in &self.tenants {
            let taken = |number: &i64| own.arrivals.get(number);
            if let Some((other, _)) = conversation.entries.iter().find_map(|e| taken(&e.arrival)) {
                let other = SessionKey { tenant: tenant.clone(), id: other.clone() };
                return Err(same_number(&conversation.name, &file_name(&other)));
            }
        }
        self.insert(conversation);
        Ok(())
    }

    /// Adds a conversation.
    pub(crate) fn insert(&mut self, conversation: Conversation) {
        let last = conversation.entries.last().map_or(0, |entry| entry.arrival);
        self.last_arrival = self.last_arrival.max(last);
        let tenant = conversation.tenant.clone();
        self.of_mut(&tenant).insert(conversation);
    }

    /// Takes a conversation out, while its file is still as it was. The index is dropped, to be
    /// made anew, if a content cannot be read any more.
    pub(crate) fn remove(&mut self, folder: &Folder, key: &SessionKey) -> Option<Conversation> {
        self.tenants.get_mut(&key.tenant)?.remove(folder, &key.id)
    }

    /// Notes a conversation whose file cannot be read for now.
    pub(crate) fn set_unreadable(&mut self, key: SessionKey, unreadable: Unreadable) {
        // One that is damaged is read again when somebody writes to it.
        if unreadable.error.kind() == ErrorKind::Unavailable {
            self.failed.insert(key.clone());
        }
        self.of_mut(&key.tenant).unreadable.insert(key.id, unreadable);
    }

    pub(crate) fn unreadable(&self, key: &SessionKey) -> Option<&Unreadable> {
        self.of_tenant(&key.tenant).unreadable.get(&key.id)
    }

    /// That no conversation is missing in what is asked of all.
    ///
    /// # Errors
    /// Why one cannot be read.
    pub(crate) fn all_readable(&self) -> Result<()> {
        self.tenants.values().try_for_each(|own| match own.an_unreadable() {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }

    /// Drops a tenant's index, to be made anew by the next search.
    pub(crate) fn drop_index(&mut self, tenant: &TenantId) {
        if let Some(own) = self.tenants.get_mut(tenant) {
            own.index = FollowingIndex::new();
        }
    }

    /// Notes a message that was added.
    pub(crate) fn note_arrival(&mut self, key: &SessionKey, seq: Seq, arrival: i64) {
        self.of_mut(&key.tenant).arrivals.insert(arrival, (key.id.clone(), seq));
    }

    /// Notes that the content of a message of a tenant was this, and is another one.
    pub(crate) fn note_change(&mut self, tenant: &TenantId, arrival: i64, before: &str) {
        self.of_mut(tenant).index.change(arrival, before);
    }

    /// Reads what was written since the last search of a tenant, or everything at the first.
    pub(crate) fn update_index(&mut self, scope: &Scope, folder: &Folder) -> Result<()> {
        match self.tenants.get_mut(scope.tenant_id()) {
            Some(own) => own.update_index(folder),
            None => Ok(()),
        }
    }

    pub(crate) fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
        let has_any = |own: &Conversations| !own.conversations.is_empty();
        let tenants = self.tenants.iter().filter(|(_, own)| has_any(own));
        let tenant = |(tenant, own): (&TenantId, &Conversations)| {
            let sessions = own.conversations.len() as u64;
            Tenant::new(tenant.clone(), sessions, own.arrivals.len() as u64)
        };
        query.page_of(tenants.map(tenant).collect())
    }

    pub(crate) fn pending_streams(
        &self,
        folder: &Folder,
        request: &PageRequest,
    ) -> Result<Page<PendingStream>> {
        let after = PendingStream::begins_after(request)?.unwrap_or(i64::MIN);
        let mut found = BTreeMap::new();
        for conversation in self.tenants.values().flat_map(|own| own.conversations.values()) {
            for entry in conversation.entries.iter() {
                if entry.head.status == Status::Pending && entry.arrival > after {
                    found.insert(entry.arrival, (conversation, entry));
                }
            }
        }
        PendingStream::page_of(request, found.into_iter(), |(conversation, entry)| {
            let (tenant, id) = (conversation.tenant.clone(), conversation.session.id.clone());
            Ok(Some(PendingStream::new(tenant, id, conversation.load(folder, entry)?)))
        })
    }
}

impl Conversations {
    /// Why one of them cannot be read, if there is such a one.
    pub(crate) fn an_unreadable(&self) -> Option<Error> {
        self.unreadable.iter().next().map(|(id, unreadable)| unreadable.error_of(id))
    }

    /// The conversation with this id, if it exists within the scope.
    pub(crate) fn visible(&self, scope: &Scope, id: &SessionId) -> Result<&Conversation> {
        let conversation = self.conversation(id)?;
        if scope.has(&conversation.session) {
            return Ok(conversation);
        }
        Err(Error::session_not_found(id))
    }

    /// The conversation with this id, whoever's it is.
    fn conversation(&self, id: &SessionId) -> Result<&Conversation> {
        self.conversations.get(id).ok_or_else(|| missing(&self.unreadable, id))
    }

    /// The conversations of all users.
    pub(crate) fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.conversations.values()
    }

    fn is_exceeded(&self, number: i64) -> bool {
        let mut higher = self.arrivals.range(number.saturating_add(1)..);
        higher.any(|(_, (id, seq))| {
            let conversation = self.conversations.get(id);
            conversation.is_some_and(|conversation| conversation.is_on_disk(*seq))
        })
    }

    fn insert(&mut self, conversation: Conversation) {
        let id = conversation.session.id.clone();
        for entry in conversation.entries.iter() {
            self.arrivals.insert(entry.arrival, (id.clone(), entry.head.seq));
            self.index.add(entry.arrival);
        }
        self.unreadable.remove(&id);
        self.conversations.insert(id, conversation);
    }

    fn remove(&mut self, folder: &Folder, id: &SessionId) -> Option<Conversation> {
        self.unreadable.remove(id);
        let conversation = self.conversations.remove(id)?;
        for entry in conversation.entries.iter() {
            self.arrivals.remove(&entry.arrival);
            if !self.index.holds(entry.arrival) {
                self.index.remove(entry.arrival, "");
                continue;
            }
            match conversation.load(folder, entry) {
                Ok(message) => self.index.remove(entry.arrival, &message.content),
                Err(_) => self.index = FollowingIndex::new(),
            }
        }
        Some(conversation)
    }

    /// Whether a search for this has to be preceded by [`State::update_index`].
    pub(crate) fn is_behind(&self, query: &SearchQuery) -> bool {
        query.text.is_some() && !self.index.is_current(&self.arrivals)
    }

    fn update_index(&mut self, folder: &Folder) -> Result<()> {
        let conversations = &self.conversations;
        self.index.follow(&self.arrivals, |_, (id, seq)| {
            let found =
                conversations.get(id).and_then(|c| c.entries.by_seq(*seq).map(|entry| (c, entry)));
            let content = match found.map(|(conversation, entry)| conversation.load(folder, entry))
            {
                Some(Ok(message)) => message.content,
                // Whoever reads the message is told so; a search finds the others.
                Some(Err(error)) => {
                    tracing::error!(%error, "a message cannot be read, and is found by no search");
                    String::new()
                }
                None => String::new(),
            };
            Ok(Cow::Owned(content))
        })
    }

    pub(crate) fn messages(
        &self,
        folder: &Folder,
        scope: &Scope,
        id: &SessionId,
        query: &MessageQuery,
    ) -> Result<Page<Message>> {
        let conversation = self.visible(scope, id)?;
        query.page_of(
            scope,
            id,
            &conversation.entries,
            |entry| &entry.head,
            |entry| conversation.load(folder, entry),
        )
    }

    pub(crate) fn list(&self, scope: &Scope, query: &SessionQuery) -> Result<Page<Session>> {
        query.page_of(scope, self.conversations().map(|conversation| &conversation.session))
    }

    /// A page of hits; the index may not be [behind](Self::is_behind).
    pub(crate) fn search(
        &self,
        folder: &Folder,
        scope: &Scope,
        query: &SearchQuery,
    ) -> Result<Page<Hit>> {
        let text = query.parsed_text()?;
        let index = self.index.index();
        let numbers = query.candidates(scope, text.as_ref(), index, &self.arrivals)?;
        let load = |number: i64| {
            let Some((id, seq)) = self.arrivals.get(&number) else { return Ok(None) };
            let conversation = self.conversation(id)?;
            let entry = conversation.entries.by_seq(*seq);
            let Some(entry) =
                entry.filter(|e| query.matches(scope, &conversation.session, &e.head))
            else {
                return Ok(None);
            };
            match conversation.load(folder, entry) {
                Ok(message) => Ok(Some((conversation.session.clone(), message))),
                Err(error) => {
                    tracing::error!(%error, "a message cannot be read, and is found by no search");
                    Ok(None)
                }
            }
        };
        query.page_of(scope, text.as_ref(), numbers, load)
    }

    pub(crate) fn stats(&self, scope: &Scope, query: &StatsQuery) -> Stats {
        let mut stats = Stats::default();
        for conversation in self.conversations() {
            let heads = conversation.entries.iter().map(|entry| &entry.head);
            stats.count_conversation(scope, query, &conversation.session, heads);
        }
        stats
    }
}

impl Unreadable {
    /// The error of an operation on the conversation.
    pub(crate) fn error_of(&self, id: &SessionId) -> Error {
        self.error.clone().with_session(id)
    }
}

/// Why there is no conversation in memory.
fn missing(unreadable: &HashMap<SessionId, Unreadable>, id: &SessionId) -> Error {
    match unreadable.get(id) {
        Some(unreadable) => unreadable.error_of(id),
        None => Error::session_not_found(id),
    }
}

/// Two messages with one number of arrival, of which no search could find both.
///
/// The other file may be another tenant's or user's, and is named in the log alone.
fn same_number(one: &str, other: &str) -> Error {
    tracing::error!(file = one, other, "two files have a message with the same number of arrival");
    Error::corrupt(format!(
        "{one} has a message with the number of one in another file in the order of arrival, as after one was copied \
         from another folder; the log names the other, and repair gives one of them other numbers"
    ))
}
