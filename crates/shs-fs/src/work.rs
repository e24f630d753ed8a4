//! What the writing thread does with the files and the memory: every change is written first, then taken
//! into memory, and acknowledged after the files are synced.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use shs_files::OPEN_FILES_STAY;
use shs_store::document::{fork_session, plan_append};
use shs_store::model::MessageHead;
use shs_store::{
    AppendOptions, Appended, Clock, Deleted, Error, ErrorKind, ImportMode, Message, MessageId,
    MessagePatch, NewMessage, NewSession, Result, Scope, Seq, Session, SessionId, SessionKey,
    SessionPatch, StreamedTranscript, TenantId, Transcript,
};

use crate::arrivals;
use crate::conversation::{Conversation, WholeFile};
use crate::disk::{Committed, Disk, MOST_BYTES, Written};
use crate::entries::{Entry, Original, Place};
use crate::folder::{Folder, OpenFile, Staged, unavailable};
use crate::journal::record::MOST_NAME;
use crate::line::{Draft, Line, Rest};
use crate::name::file_name;
use crate::open::read_own;
use crate::state::{State, Unreadable};

/// The file that lists what a deletion of several conversations takes away, while it does.
pub(crate) const INTENT: &str = ".deleting";

/// A batch of changes in progress.
pub(crate) struct Work<'a> {
    pub(crate) folder: &'a Folder,
    pub(crate) state: &'a mut State,
    pub(crate) clock: &'a dyn Clock,
    disk: &'a mut Disk,
    /// What was written behind files and is not on disk yet.
    written: HashMap<SessionKey, Written>,
    /// Whether the folder was found at its place; before a batch is acknowledged it is looked for again.
    is_at_place: bool,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        folder: &'a Folder,
        state: &'a mut State,
        clock: &'a dyn Clock,
        disk: &'a mut Disk,
    ) -> Self {
        Self { folder, state, clock, disk, written: HashMap::new(), is_at_place: false }
    }

    /// Brings to the disk what was written. Returns the sessions for which that failed; their changes are taken back.
    pub(crate) fn sync(&mut self) -> Vec<(SessionKey, Error)> {
        let written = std::mem::take(&mut self.written);
        let Committed { done, failed } = self.disk.commit(self.folder, written);
        for (key, _) in done {
            if let Ok(conversation) = self.state.conversation_mut(&key) {
                conversation.synced = conversation.length;
                conversation.is_cut = false;
            }
        }
        let mut errors = Vec::with_capacity(failed.len());
        for failed in failed {
            self.take_back(&failed.key, failed.before);
            let error = unavailable("writing a conversation to disk failed", failed.error);
            errors.push((failed.key, error));
        }
        errors
    }

    /// Makes file and memory what they were before.
    fn take_back(&mut self, key: &SessionKey, length: u64) {
        if let Ok(conversation) = self.state.conversation(key) {
            let name = conversation.name.clone();
            // If the file cannot be cut now, the next write to it does that.
            let _ = self.folder.cut(&name, length);
            self.state.drop_index(&key.tenant);
            self.state.remove(self.folder, key);
            self.read_in(key, name, length);
        }
    }

    /// Makes memory what the file is up to a place.
    fn read_in(&mut self, key: &SessionKey, name: String, end: u64) {
        self.state.drop_index(&key.tenant);
        if let Err(error) = self.read_again(&name, end) {
            let detail = format!("{name} cannot be read since a write to it failed");
            let error = Error::new(ErrorKind::Unavailable, detail).with_source(error);
            tracing::error!(%error, "a conversation cannot be read; the others can");
            self.state.set_unreadable(key.clone(), Unreadable { name, end, error });
        }
    }

    /// As [`read_in`](Self::read_in), if there is a file.
    fn read_in_what_is_there(&mut self, key: &SessionKey, name: String) {
        if self.folder.path_of(&name).try_exists().unwrap_or(true) {
            self.read_in(key, name, u64::MAX);
        }
    }

    /// Reads a conversation again that could not be read when a write to it had failed.
    fn recover(&mut self, key: &SessionKey) -> Result<()> {
        if let Some(Unreadable { name, end, .. }) = self.state.unreadable(key).cloned() {
            self.state.drop_index(&key.tenant);
            self.read_again(&name, end).map_err(|error| error.with_session(&key.id))?;
        }
        Ok(())
    }

    fn read_again(&mut self, name: &str, end: u64) -> Result<()> {
        let mut read = read_own(self.folder, name, end)?;
        read.is_cut = true;
        self.state.insert_read(read)
    }

    /// Brings to its end what failed before and would undo later writes: the list of a deletion, or a journal, by which
    /// the next opening would go on; names that are not on disk.
    fn settle(&mut self) -> Result<()> {
        let mut settle = || {
            if !self.is_at_place {
                self.folder.check_place()?;
                self.is_at_place = true;
            }
            if self.state.has_intent {
                self.folder.remove(INTENT)?;
            }
            self.folder.sync_names()?;
            self.disk.settle(self.folder)
        };
        settle().map_err(|error| unavailable("the folder cannot be written", error))?;
        self.state.has_intent = false;
        for key in std::mem::take(&mut self.state.failed) {
            // Who needs it says that it cannot be read.
            if self.recover(&key).is_err() {
                self.state.failed.insert(key);
            }
        }
        Ok(())
    }

    /// Writes lines behind a conversation's file; returns where they begin.
    fn write(&mut self, key: &SessionKey, bytes: Vec<u8>) -> Result<u64> {
        self.settle()?;
        let conversation = self.state.conversation_mut(key)?;
        let start = conversation.length;
        let Conversation { name, lacks_end, .. } = &*conversation;
        let open = match self.written.get(key) {
            Some(written) => Some(Arc::clone(&written.file)),
            None => self.disk.open_file(name),
        };
        let written = if *lacks_end {
            self.folder.write_at(name, open, start - 1, &[b"\n", &bytes[..]].concat())
        } else {
            self.folder.write_at(name, open, start, &bytes)
        };
        let (file, is_cut) = written.map_err(|error| {
            // Whatever came to be written is cut off; if that fails too, the next write does it.
            let _ = self.folder.cut(&conversation.name, start);
            conversation.is_cut = true;
            unavailable("a conversation cannot be written", error).with_session(&key.id)
        })?;
        conversation.is_cut |= is_cut;
        if std::mem::take(&mut conversation.lacks_end) {
            // The line break is new, though it counted as the file's.
            conversation.synced = conversation.synced.min(start - 1);
        }
        conversation.length += bytes.len() as u64;
        self.note_written(key, file, start, bytes);
        Ok(start)
    }

    /// Has this batch bring to the disk what was just written at a place behind a file.
    fn note_written(&mut self, key: &SessionKey, file: Arc<OpenFile>, start: u64, bytes: Vec<u8>) {
        let (Ok(conversation), false) = (self.state.conversation(key), self.folder.is_relaxed())
        else {
            return;
        };
        let Conversation { name, incarnation, synced, length, is_cut, .. } = conversation;
        let is_small = length - synced <= MOST_BYTES && !is_cut && name.len() <= MOST_NAME;
        if let Some(written) = self.written.get_mut(key) {
            written.file = file;
            match &mut written.bytes {
                Some(before) if is_small => before.extend_from_slice(&bytes),
                all => *all = None,
            }
            return;
        }
        let bytes = if !is_small {
            None
        } else if start == *synced {
            Some(bytes)
        } else {
            // A process wrote the rest and ended before it was on disk.
            self.folder.read_at(name, *synced, (length - synced) as usize).ok()
        };
        let (name, incarnation) = (name.clone(), *incarnation);
        let written = Written { file, name, incarnation, before: start, from: *synced, bytes };
        self.written.insert(key.clone(), written);
    }

    /// Has this batch bring a conversation to the disk, as what is in its file may have been written by a process that
    /// ended before it did so.
    fn ensure_synced(&mut self, key: &SessionKey) -> Result<()> {
        self.settle()?;
        let conversation = self.state.conversation(key)?;
        if conversation.synced < conversation.length && !self.written.contains_key(key) {
            let open = self.folder.open_to_write(&conversation.name).and_then(OpenFile::new);
            let file = open.map_err(|error| {
                unavailable("a conversation cannot be synced", error).with_session(&key.id)
            })?;
            self.note_written(key, Arc::new(file), conversation.length, Vec::new());
        }
        Ok(())
    }

    /// Puts a whole conversation on disk and in memory.
    fn publish(
        &mut self,
        tenant: &TenantId,
        session: Session,
        messages: usize,
        write: impl FnOnce(&mut WholeFile<Staged>) -> Result<()>,
    ) -> Result<Session> {
        self.settle()?;
        let key = SessionKey { tenant: tenant.clone(), id: session.id.clone() };
        let name = file_name(&key);
        let failed = |error: io::Error| {
            unavailable("a conversation cannot be written", error).with_session(&key.id)
        };
        let staged = self.folder.stage(&name).map_err(failed)?;
        let mut file = WholeFile::begin(staged, &session, messages)?;
        write(&mut file)?;
        self.note_arrivals(std::slice::from_ref(&key), file.last_arrival())?;
        self.let_go(&key, &name)?;
        self.state.remove(self.folder, &key);
        let (staged, conversation) = file.into_conversation(session, name.clone());
        if let Err(error) = self.folder.put(staged) {
            // It may have come as far as the new name.
            self.read_in_what_is_there(&key, name);
            return Err(failed(error));
        }
        // What was appended before in this batch is in the new file, which is synced.
        self.written.remove(&key);
        self.disk.forget(&name);
        let session = conversation.session.clone();
        self.state.insert(conversation);
        Ok(session)
    }

    /// Before a file goes or is replaced: closes it where it could not be otherwise. So that
    /// nothing depends on whether it goes, what was written to it is brought to the disk in its
    /// place.
    fn let_go(&mut self, key: &SessionKey, name: &str) -> Result<()> {
        if !OPEN_FILES_STAY {
            return Ok(());
        }
        let written = self.written.get(key).map(|written| Arc::clone(&written.file));
        if let Some(file) = written.or_else(|| self.disk.open_file(name)) {
            file.file.sync_data().map_err(|error| {
                unavailable("a conversation cannot be synced", error).with_session(&key.id)
            })?;
        }
        self.written.remove(key);
        self.disk.forget(name);
        Ok(())
    }

    /// Before conversations go or are replaced: has the last number of arrival on disk if none that is on disk, and none up to
    /// `stays` in what replaces them, is as high as theirs.
    fn note_arrivals(&mut self, keys: &[SessionKey], stays: i64) -> Result<()> {
        let highest = keys.iter().map(|key| self.state.highest_arrival(key)).max().unwrap_or(0);
        if highest > stays && !self.state.is_exceeded(highest) {
            let noted = arrivals::write(self.folder, self.state.last_arrival);
            self.state.noted = noted.map_err(|error| {
                unavailable("the last number of arrival cannot be noted", error)
            })?;
        }
        Ok(())
    }

    /// Has every file on disk in its own place.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.settle()?;
        let error = |error| unavailable("writing to disk failed", error);
        if !self.folder.is_relaxed() {
            return self.disk.start_over(self.folder).map_err(error);
        }
        for conversation in self.state.conversations_mut() {
            if conversation.synced < conversation.length {
                self.folder.sync_now(&conversation.name).map_err(error)?;
                conversation.synced = conversation.length;
            }
        }
        self.folder.sync_names_now().map_err(error)
    }

    pub(crate) fn create(&mut self, scope: &Scope, mut new: NewSession) -> Result<Session> {
        scope.claim(&mut new.user_id)?;
        let session = new.into_session(self.clock.now())?;
        if self.state.contains(&scope.key(&session.id)) {
            return Err(Error::session_exists(&session.id));
        }
        self.publish(scope.tenant_id(), session, 0, |_| Ok(()))
    }

    /// The key of a session that exists within a scope, after another try to read it if it could
    /// not be read.
    fn find(&mut self, scope: &Scope, id: &SessionId) -> Result<SessionKey> {
        let key = scope.key(id);
        self.recover(&key)?;
        self.state.of(scope).visible(scope, id)?;
        Ok(key)
    }

    pub(crate) fn update_session(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        let key = &self.find(scope, id)?;
        let mut session = self.state.conversation(key)?.session.clone();
        patch.apply(&mut session, self.clock.now())?;
        let mut bytes = Vec::new();
        let Conversation { length, synced, .. } = *self.state.conversation(key)?;
        Line::session(&session).standing(length, synced).write(&mut bytes);
        self.write(key, bytes)?;
        self.state.conversation_mut(key)?.session = session.clone();
        Ok(session)
    }

    pub(crate) fn delete_session(&mut self, scope: &Scope, id: &SessionId) -> Result<bool> {
        let key = scope.key(id);
        let name = match self.state.unreadable(&key) {
            // Whose it is cannot be read.
            Some(unreadable) if scope.user_id().is_some() => return Err(unreadable.error_of(id)),
            Some(unreadable) => unreadable.name.clone(),
            None => match self.state.of(scope).visible(scope, id) {
                Ok(conversation) => conversation.name.clone(),
                Err(_) => return self.settle().map(|()| false),
            },
        };
        self.remove_all(&[key], &[name])?;
        Ok(true)
    }

    pub(crate) fn delete_user(&mut self, scope: &Scope, user_id: &str) -> Result<Deleted> {
        if !scope.has_user(Some(user_id)) {
            return Ok(Deleted::default());
        }
        self.delete_some(scope, |session| {
            scope.has(session) && session.user_id.as_deref() == Some(user_id)
        })
    }

    pub(crate) fn delete_tenant(&mut self, tenant: &TenantId) -> Result<Deleted> {
        self.delete_some(&Scope::of(tenant.clone()), |_| true)
    }

    /// Deletes those sessions of a tenant that are wanted.
    fn delete_some(&mut self, scope: &Scope, wanted: impl Fn(&Session) -> bool) -> Result<Deleted> {
        self.settle()?;
        // One that cannot be read may be among them.
        if let Some(error) = self.state.of(scope).an_unreadable() {
            return Err(match scope.user_id() {
                None => error,
                // It may be another user's, who is nobody to this one.
                Some(_) => Error::corrupt(
                    "a conversation of the tenant cannot be read, and may be this user's; the log names it",
                ),
            });
        }
        let mut deleted = Deleted::default();
        let (mut keys, mut names) = (Vec::new(), Vec::new());
        for conversation in self.state.of(scope).conversations() {
            let session = &conversation.session;
            if wanted(session) {
                deleted.sessions += 1;
                deleted.messages += session.message_count;
                keys.push(scope.key(&session.id));
                names.push(conversation.name.clone());
            }
        }
        self.remove_all(&keys, &names)?;
        Ok(deleted)
    }

    /// Removes conversations, all or none: several are listed first in a file, by which the next opening goes on
    /// if this does not come to its end.
    fn remove_all(&mut self, keys: &[SessionKey], names: &[String]) -> Result<()> {
        self.settle()?;
        self.note_arrivals(keys, 0)?;
        let error = |error| unavailable("a conversation cannot be deleted", error);
        let is_listed = names.len() > 1;
        if is_listed {
            let list = serde_json::to_vec(names).expect("strings serialize");
            if let Err(failed) = self.folder.publish(INTENT, &list) {
                self.give_up_deletion();
                return Err(error(failed));
            }
        }
        for (key, name) in keys.iter().zip(names) {
            if let Err(failed) = self.let_go(key, name) {
                if is_listed {
                    self.give_up_deletion();
                }
                return Err(failed);
            }
        }
        for key in keys {
            // Before the file, whose content is to be taken out of the index.
            self.state.remove(self.folder, key);
        }
        if let Err(failed) = remove_files(self.folder, names) {
            if is_listed {
                self.give_up_deletion();
            }
            for (key, name) in keys.iter().zip(names) {
                self.read_in_what_is_there(key, name.clone());
            }
            return Err(error(failed));
        }
        for (key, name) in keys.iter().zip(names) {
            self.written.remove(key);
            self.disk.forget(name);
        }
        Ok(())
    }

    /// Takes the list of a failed deletion away, now or before the next write, which the next opening would undo.
    fn give_up_deletion(&mut self) {
        self.state.has_intent = true;
        let _ = self.settle();
    }

    pub(crate) fn append(
        &mut self,
        (scope, id): (&Scope, &SessionId),
        batch: Vec<NewMessage>,
        drafts: &[Draft],
        options: AppendOptions,
    ) -> Result<Appended> {
        let key = &self.find(scope, id)?;
        let conversation = self.state.conversation(key)?;
        let Conversation { length, synced, .. } = *conversation;
        let mut known = HashMap::new();
        for new in &batch {
            if let Some(entry) = conversation.entries.by_id(&new.id) {
                known.insert(&new.id, conversation.digest(self.folder, entry)?);
            }
        }
        let last_seq = conversation.session.last_seq;
        let plan = plan_append(id, last_seq, &batch, options, |id| known.get(id).copied())?;
        drop(known);
        let at = conversation.session.updated_at.max(self.clock.now());
        let mut remaining = plan.iter().flatten().count();
        let mut messages = Vec::with_capacity(batch.len());
        let mut added = Vec::with_capacity(remaining);
        let mut bytes = self.disk.buffer();
        bytes.reserve(drafts.iter().map(Draft::length).sum());
        for ((new, draft), seq) in batch.into_iter().zip(drafts).zip(plan) {
            let Some(seq) = seq else {
                let conversation = self.state.conversation(key)?;
                messages.push(conversation.message(self.folder, &new.id)?);
                continue;
            };
            remaining -= 1;
            let start = bytes.len();
            let (n, place) = (self.state.next_arrival()?, length + start as u64);
            let since = (synced != place).then_some(synced);
            draft.write(seq, Rest { n, at, more: remaining > 0, since }, &mut bytes);
            let place = Place::written(place, bytes.len() - start - 1);
            added.push((messages.len(), n, place));
            messages.push(new.into_message(seq));
        }
        if added.is_empty() {
            self.ensure_synced(key)?;
            return Ok(Appended::new(messages, 0));
        }
        self.write(key, bytes)?;
        let conversation = self.state.conversation_mut(key)?;
        conversation.session.touch(at);
        for (message, arrival, place) in &added {
            let head = messages[*message].head();
            let (arrival, place, original) = (*arrival, *place, Original::AsItIs);
            conversation.push(Entry { head, arrival, place, original });
        }
        for (message, arrival, _) in &added {
            self.state.note_arrival(key, messages[*message].seq, *arrival);
        }
        Ok(Appended::new(messages, added.len()))
    }

    pub(crate) fn update_message(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        let key = &self.find(scope, id)?;
        let conversation = self.state.conversation(key)?;
        let before = conversation.message(self.folder, message_id)?;
        let mut message = before.clone();
        patch.apply(&mut message).map_err(|error| error.with_session(id))?;
        let at = conversation.session.updated_at.max(self.clock.now());
        let arrival = conversation.entries.by_id(message_id).map_or(0, |entry| entry.arrival);
        let mut bytes = Vec::new();
        Line::update(&message, at)
            .standing(conversation.length, conversation.synced)
            .write(&mut bytes);
        let length = bytes.len() - 1;
        let place = Place::written(self.write(key, bytes)?, length);
        let conversation = self.state.conversation_mut(key)?;
        conversation.replace(message.head(), place);
        conversation.session.touch(at);
        if before.content != message.content {
            self.state.note_change(&key.tenant, arrival, &before.content);
        }
        Ok(message)
    }

    /// Writes the file anew, so that the deleted text is gone from it.
    pub(crate) fn delete_message(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        let key = &self.find(scope, id)?;
        let conversation = self.state.conversation(key)?;
        if conversation.entries.by_id(message_id).is_none() {
            return self.settle().map(|()| false);
        }
        let mut session = conversation.session.clone();
        session.touch(self.clock.now());
        self.rewrite(key, session, |message| message.id != *message_id)?;
        Ok(true)
    }

    /// Writes a conversation's file anew, with the messages that are to stay.
    fn rewrite(
        &mut self,
        key: &SessionKey,
        session: Session,
        stays: impl Fn(&MessageHead) -> bool,
    ) -> Result<()> {
        let conversation = self.state.conversation(key)?;
        let mut kept = Vec::new();
        for entry in conversation.entries.iter().filter(|entry| stays(&entry.head)) {
            let (message, digest) = conversation.load_with_digest(self.folder, entry)?;
            kept.push((message, entry.arrival, digest));
        }
        let write = |file: &mut WholeFile<Staged>| {
            let mut kept = kept.iter();
            kept.try_for_each(|(message, arrival, digest)| file.add(message, *arrival, *digest))
        };
        self.publish(&key.tenant, session, kept.len(), write).map(|_| ())
    }

    /// Writes those files anew of which most is not needed any more. That is no caller's wish, so an error is
    /// only noted; the file is as it was then.
    pub(crate) fn tidy<'k>(&mut self, keys: impl Iterator<Item = &'k SessionKey>) {
        for key in keys {
            let Ok(conversation) = self.state.conversation(key) else { continue };
            if conversation.is_mostly_waste() {
                let session = conversation.session.clone();
                if let Err(error) = self.rewrite(key, session, |_| true) {
                    tracing::warn!(%error, "a conversation's file could not be made shorter");
                }
            }
        }
    }

    /// Makes sure that the files hold nothing but what is stored.
    pub(crate) fn erase(&mut self) -> Result<Vec<PathBuf>> {
        let erase = |work: &mut Self| -> Result<Vec<PathBuf>> {
            work.flush()?;
            work.state.all_readable()?;
            let mut wasteful = Vec::new();
            for key in work.state.keys() {
                let conversation = work.state.conversation(&key)?;
                let length = work.folder.length_of(&conversation.name).map_err(|error| {
                    unavailable(&format!("{} cannot be looked at", conversation.name), error)
                })?;
                if conversation.has_waste() || length != conversation.length {
                    wasteful.push((key, conversation.session.clone()));
                }
            }
            for (key, session) in wasteful {
                work.rewrite(&key, session, |_| true)?;
            }
            let error = |error| unavailable("the folder cannot be written", error);
            work.disk.remove_journal(work.folder).map_err(error)?;
            work.folder.remove_staged()?;
            work.folder.sync_names_now().map_err(error)?;
            work.folder.copies()
        };
        erase(self).map_err(|error| {
            if error.kind() == ErrorKind::Corrupt {
                return error;
            }
            let detail = format!(
                "what was deleted is deleted, but its text may remain in the files: {}; erase again",
                error.detail()
            );
            Error::new(ErrorKind::Unavailable, detail).with_source(error)
        })
    }

    pub(crate) fn fork(
        &mut self,
        scope: &Scope,
        id: &SessionId,
        up_to: Seq,
        new: NewSession,
    ) -> Result<Session> {
        let key = &self.find(scope, id)?;
        let source = self.state.conversation(key)?;
        let session = fork_session(scope, &source.session, up_to, new, self.clock.now())?;
        if self.state.contains(&scope.key(&session.id)) {
            return Err(Error::session_exists(&session.id));
        }
        let mut copies = Vec::new();
        for entry in source.entries.iter().take_while(|entry| entry.head.seq <= up_to) {
            copies.push(source.load_with_digest(self.folder, entry)?);
        }
        let first = self.state.next_arrivals(copies.len())?;
        let write = |file: &mut WholeFile<Staged>| {
            let mut numbered = copies.iter().zip(first..);
            numbered.try_for_each(|((message, digest), n)| file.add(message, n, *digest))
        };
        self.publish(&key.tenant, session, copies.len(), write)
    }

    pub(crate) fn import(
        &mut self,
        scope: &Scope,
        transcript: Transcript,
        mode: ImportMode,
    ) -> Result<Session> {
        let Transcript { mut session, messages, .. } = transcript;
        self.may_import(scope, &mut session, mode)?;
        let (count, first) = (messages.len(), self.state.next_arrivals(messages.len())?);
        // Each message goes when its line is written.
        let mut numbered = messages.into_iter().zip(first..);
        self.publish(scope.tenant_id(), session, count, |file| {
            numbered.try_for_each(|(message, arrival)| file.add_new(&message, arrival))
        })
    }

    pub(crate) fn import_streamed(
        &mut self,
        scope: &Scope,
        conversation: &StreamedTranscript,
        mode: ImportMode,
    ) -> Result<Session> {
        let mut session = conversation.session().clone();
        self.may_import(scope, &mut session, mode)?;
        let count = usize::try_from(session.message_count).unwrap_or(usize::MAX);
        let mut arrivals = self.state.next_arrivals(count)?..;
        self.publish(scope.tenant_id(), session, count, |file| {
            conversation.for_each(&mut |message| {
                let arrival = arrivals.next().expect("the numbers do not end");
                file.add_new(&message, arrival)
            })
        })
    }

    /// Whether a session may be stored as it is, in a scope.
    fn may_import(&self, scope: &Scope, session: &mut Session, mode: ImportMode) -> Result<()> {
        scope.claim(&mut session.user_id)?;
        let key = &scope.key(&session.id);
        match self.state.conversation(key) {
            Ok(stored) => mode.check(scope, &session.id, Some(&stored.session)),
            // One that cannot be read is there; only what overwrites whatever it is takes its place.
            Err(error) if self.state.contains(key) => match mode {
                ImportMode::CreateOnly => Err(Error::session_exists(&session.id)),
                ImportMode::Overwrite if scope.user_id().is_none() => Ok(()),
                _ => Err(error),
            },
            Err(_) => mode.check(scope, &session.id, None),
        }
    }
}

/// Removes files for good, and the list of them if there is one.
pub(crate) fn remove_files(folder: &Folder, names: &[String]) -> io::Result<()> {
    names.iter().try_for_each(|name| folder.remove(name))?;
    folder.sync_names()?;
    folder.remove(INTENT)
}
