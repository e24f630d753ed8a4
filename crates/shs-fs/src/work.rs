//! What the writing thread does with the files and the memory: every change is written first, then taken
//! into memory, and acknowledged after the files are synced.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shs_store::document::{fork_session, plan_append};
use shs_store::model::ContentDigest;
use shs_store::{
    AppendOptions, Appended, Clock, Deleted, Error, ErrorKind, ImportMode, Message, MessageId,
    MessagePatch, NewMessage, NewSession, Result, Seq, Session, SessionId, SessionPatch,
    Transcript,
};

use crate::arrivals;
use crate::conversation::{Conversation, Original, Place, WholeFile};
use crate::disk::{Committed, Disk, MOST_BYTES, Written};
use crate::folder::{Folder, unavailable};
use crate::line::{Draft, Line, Rest};
use crate::name::file_name;
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
    written: HashMap<SessionId, Written>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(
        folder: &'a Folder,
        state: &'a mut State,
        clock: &'a dyn Clock,
        disk: &'a mut Disk,
    ) -> Self {
        Self { folder, state, clock, disk, written: HashMap::new() }
    }

    /// Brings to the disk what was written. Returns the sessions for which that failed; their changes are taken back.
    pub(crate) fn sync(&mut self) -> Vec<(SessionId, Error)> {
        let written = std::mem::take(&mut self.written);
        let Committed { done, failed } = self.disk.commit(self.folder, written);
        for id in done {
            if let Ok(conversation) = self.state.conversation_mut(&id) {
                conversation.synced = conversation.length;
                conversation.is_cut = false;
            }
        }
        let mut errors = Vec::with_capacity(failed.len());
        for failed in failed {
            self.take_back(&failed.id, failed.before);
            let error = unavailable("writing a conversation to disk failed", failed.error);
            errors.push((failed.id, error));
        }
        errors
    }

    /// Makes file and memory what they were before.
    fn take_back(&mut self, id: &SessionId, length: u64) {
        if let Ok(conversation) = self.state.conversation(id) {
            let name = conversation.name.clone();
            // If the file cannot be cut now, the next write to it does that.
            let _ = self.folder.cut(&name, length);
            self.state.drop_index();
            self.state.remove(self.folder, id);
            self.read_in(id, name, length);
        }
    }

    /// Makes memory what the file is up to a place.
    fn read_in(&mut self, id: &SessionId, name: String, end: u64) {
        self.state.drop_index();
        if self.read_again(&name, end).is_err() {
            self.state.set_unreadable(id.clone(), Unreadable { name, end });
        }
    }

    /// As [`read_in`](Self::read_in), if there is a file.
    fn read_in_what_is_there(&mut self, id: &SessionId, name: String) {
        if self.folder.path_of(&name).try_exists().unwrap_or(true) {
            self.read_in(id, name, u64::MAX);
        }
    }

    /// Reads a conversation again that could not be read when a write to it had failed.
    fn recover(&mut self, id: &SessionId) -> Result<()> {
        if let Some(Unreadable { name, end }) = self.state.unreadable(id).cloned() {
            self.state.drop_index();
            self.read_again(&name, end)?;
        }
        Ok(())
    }

    fn read_again(&mut self, name: &str, end: u64) -> Result<()> {
        let mut read = Conversation::read_up_to(self.folder, name, end)?;
        read.is_cut = true;
        self.state.insert_read(read)
    }

    /// Brings to its end what failed before and would undo later writes: the list of a deletion, or a journal, by which
    /// the next opening would go on; names that are not on disk.
    fn settle(&mut self) -> Result<()> {
        let mut settle = || {
            if self.state.has_intent {
                self.folder.remove(INTENT)?;
            }
            self.folder.sync_names()?;
            self.disk.settle(self.folder)
        };
        settle().map_err(|error| unavailable("the folder cannot be written", error))?;
        self.state.has_intent = false;
        for id in self.state.all_unreadable() {
            // Who needs it says that it cannot be read.
            let _ = self.recover(&id);
        }
        Ok(())
    }

    /// Writes lines behind a conversation's file; returns where they begin.
    fn write(&mut self, id: &SessionId, bytes: Vec<u8>) -> Result<u64> {
        self.settle()?;
        let conversation = self.state.conversation_mut(id)?;
        let start = conversation.length;
        let Conversation { name, lacks_end, .. } = &*conversation;
        let open = match self.written.get(id) {
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
            unavailable("a conversation cannot be written", error).with_session(id)
        })?;
        conversation.is_cut |= is_cut;
        if std::mem::take(&mut conversation.lacks_end) {
            // The line break is new, though it counted as the file's.
            conversation.synced = conversation.synced.min(start - 1);
        }
        conversation.length += bytes.len() as u64;
        self.note_written(id, file, start, bytes);
        Ok(start)
    }

    /// Has this batch bring to the disk what was just written at a place behind a file.
    fn note_written(&mut self, id: &SessionId, file: Arc<File>, start: u64, bytes: Vec<u8>) {
        let (Ok(conversation), false) = (self.state.conversation(id), self.folder.is_relaxed())
        else {
            return;
        };
        let Conversation { name, incarnation, synced, length, is_cut, .. } = conversation;
        let is_small = length - synced <= MOST_BYTES && !is_cut;
        if let Some(written) = self.written.get_mut(id) {
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
        self.written.insert(id.clone(), written);
    }

    /// Has this batch bring a conversation to the disk, as what is in its file may have been written by a process that
    /// ended before it did so.
    fn ensure_synced(&mut self, id: &SessionId) -> Result<()> {
        self.settle()?;
        let conversation = self.state.conversation(id)?;
        if conversation.synced < conversation.length && !self.written.contains_key(id) {
            let file = self.folder.open_to_write(&conversation.name).map_err(|error| {
                unavailable("a conversation cannot be synced", error).with_session(id)
            })?;
            self.note_written(id, Arc::new(file), conversation.length, Vec::new());
        }
        Ok(())
    }

    /// Puts a whole conversation on disk and in memory.
    fn publish<'m>(
        &mut self,
        session: Session,
        messages: impl Iterator<Item = Result<(Cow<'m, Message>, i64, ContentDigest)>>,
    ) -> Result<Session> {
        self.settle()?;
        let name = file_name(&session.id);
        let file = WholeFile::new(&session, messages, session.updated_at)?;
        let id = session.id.clone();
        self.note_arrivals(std::slice::from_ref(&id), file.last_arrival())?;
        self.state.remove(self.folder, &id);
        if let Err(error) = self.folder.publish(&name, &file.bytes) {
            // It may have come as far as the new name.
            self.read_in_what_is_there(&id, name);
            return Err(unavailable("a conversation cannot be written", error).with_session(&id));
        }
        // What was appended before in this batch is in the new file, which is synced.
        self.written.remove(&id);
        self.disk.forget(&name);
        let conversation = file.into_conversation(session, name);
        let session = conversation.session.clone();
        self.state.insert(conversation);
        Ok(session)
    }

    /// Before conversations go or are replaced: has the last number of arrival on disk if none that is on disk, and none up to
    /// `stays` in what replaces them, is as high as theirs.
    fn note_arrivals(&mut self, ids: &[SessionId], stays: i64) -> Result<()> {
        let highest = ids.iter().map(|id| self.state.highest_arrival(id)).max().unwrap_or(0);
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

    pub(crate) fn create(&mut self, new: NewSession) -> Result<Session> {
        let session = new.into_session(self.clock.now())?;
        if self.state.contains(&session.id) {
            return Err(Error::session_exists(&session.id));
        }
        self.publish(session, std::iter::empty())
    }

    pub(crate) fn update_session(
        &mut self,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<Session> {
        self.recover(id)?;
        let mut session = self.state.conversation(id)?.session.clone();
        patch.apply(&mut session, self.clock.now())?;
        let mut bytes = Vec::new();
        let Conversation { length, synced, .. } = *self.state.conversation(id)?;
        Line::session(&session).standing(length, synced).write(&mut bytes);
        self.write(id, bytes)?;
        self.state.conversation_mut(id)?.session = session.clone();
        Ok(session)
    }

    pub(crate) fn delete_session(&mut self, id: &SessionId) -> Result<bool> {
        let name = match self.state.unreadable(id) {
            Some(unreadable) => unreadable.name.clone(),
            None if !self.state.contains(id) => return self.settle().map(|()| false),
            None => self.state.conversation(id)?.name.clone(),
        };
        self.remove_all(std::slice::from_ref(id), &[name])?;
        Ok(true)
    }

    pub(crate) fn delete_user(&mut self, user_id: &str) -> Result<Deleted> {
        self.settle()?;
        self.state.all_readable()?;
        let mut deleted = Deleted::default();
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for session in self.state.sessions() {
            if session.user_id.as_deref() == Some(user_id) {
                deleted.sessions += 1;
                deleted.messages += session.message_count;
                ids.push(session.id.clone());
                names.push(self.state.conversation(&session.id)?.name.clone());
            }
        }
        self.remove_all(&ids, &names)?;
        Ok(deleted)
    }

    /// Removes conversations, all or none: several are listed first in a file, by which the next opening goes on
    /// if this does not come to its end.
    fn remove_all(&mut self, ids: &[SessionId], names: &[String]) -> Result<()> {
        self.settle()?;
        self.note_arrivals(ids, 0)?;
        let error = |error| unavailable("a conversation cannot be deleted", error);
        let is_listed = names.len() > 1;
        if is_listed {
            let list = serde_json::to_vec(names).expect("strings serialize");
            if let Err(failed) = self.folder.publish(INTENT, &list) {
                self.give_up_deletion();
                return Err(error(failed));
            }
        }
        for id in ids {
            // Before the file, whose content is to be taken out of the index.
            self.state.remove(self.folder, id);
        }
        if let Err(failed) = remove_files(self.folder, names) {
            if is_listed {
                self.give_up_deletion();
            }
            for (id, name) in ids.iter().zip(names) {
                self.read_in_what_is_there(id, name.clone());
            }
            return Err(error(failed));
        }
        for (id, name) in ids.iter().zip(names) {
            self.written.remove(id);
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
        id: &SessionId,
        batch: Vec<NewMessage>,
        drafts: &[Draft],
        options: AppendOptions,
    ) -> Result<Appended> {
        self.recover(id)?;
        let conversation = self.state.conversation(id)?;
        let Conversation { length, synced, .. } = *conversation;
        let mut known = HashMap::new();
        for new in &batch {
            if let Some(entry) = conversation.entry(&new.id) {
                known.insert(&new.id, conversation.digest(self.folder, entry)?);
            }
        }
        let last_seq = conversation.session.last_seq;
        let plan = plan_append(id, last_seq, &batch, options, |id| known.get(id).copied())?;
        let at = conversation.session.updated_at.max(self.clock.now());
        let mut remaining = plan.iter().flatten().count();
        let mut messages = Vec::with_capacity(batch.len());
        let mut added = Vec::with_capacity(remaining);
        let mut bytes = self.disk.buffer();
        bytes.reserve(drafts.iter().map(Draft::length).sum());
        for ((new, draft), seq) in batch.into_iter().zip(drafts).zip(plan) {
            let Some(seq) = seq else {
                let conversation = self.state.conversation(id)?;
                messages.push(conversation.message(self.folder, &new.id)?);
                continue;
            };
            remaining -= 1;
            let start = bytes.len();
            let (n, place) = (self.state.next_arrival()?, length + start as u64);
            let since = (synced != place).then_some(synced);
            draft.write(seq, Rest { n, at, more: remaining > 0, since }, &mut bytes);
            let place = Place { at: place, length: bytes.len() - start - 1 };
            added.push((messages.len(), n, place));
            messages.push(new.into_message(seq));
        }
        if added.is_empty() {
            self.ensure_synced(id)?;
            return Ok(Appended::new(messages, 0));
        }
        self.write(id, bytes)?;
        let conversation = self.state.conversation_mut(id)?;
        conversation.session.touch(at);
        for (message, arrival, place) in &added {
            let head = messages[*message].head();
            conversation.push(head, *arrival, Original::AsAdded(*place), *place);
        }
        for (message, arrival, _) in &added {
            self.state.note_arrival(id, messages[*message].seq, *arrival);
        }
        Ok(Appended::new(messages, added.len()))
    }

    pub(crate) fn update_message(
        &mut self,
        id: &SessionId,
        message_id: &MessageId,
        patch: MessagePatch,
    ) -> Result<Message> {
        self.recover(id)?;
        let conversation = self.state.conversation(id)?;
        let before = conversation.message(self.folder, message_id)?;
        let mut message = before.clone();
        patch.apply(&mut message).map_err(|error| error.with_session(id))?;
        let at = conversation.session.updated_at.max(self.clock.now());
        let arrival = conversation.entry(message_id).map_or(0, |entry| entry.arrival);
        let mut bytes = Vec::new();
        Line::update(&message, at)
            .standing(conversation.length, conversation.synced)
            .write(&mut bytes);
        let length = bytes.len() - 1;
        let place = Place { at: self.write(id, bytes)?, length };
        let conversation = self.state.conversation_mut(id)?;
        conversation.replace(message.head(), place);
        conversation.session.touch(at);
        if before.content != message.content {
            self.state.note_change(arrival, &before.content);
        }
        Ok(message)
    }

    /// Writes the file anew, so that the deleted text is gone from it.
    pub(crate) fn delete_message(
        &mut self,
        id: &SessionId,
        message_id: &MessageId,
    ) -> Result<bool> {
        self.recover(id)?;
        let conversation = self.state.conversation(id)?;
        if conversation.entry(message_id).is_none() {
            return self.settle().map(|()| false);
        }
        let mut session = conversation.session.clone();
        session.touch(self.clock.now());
        self.rewrite(id, session, |message| message.id != *message_id)?;
        Ok(true)
    }

    /// Writes a conversation's file anew, with the messages that are to stay.
    fn rewrite(
        &mut self,
        id: &SessionId,
        session: Session,
        stays: impl Fn(&Message) -> bool,
    ) -> Result<()> {
        let conversation = self.state.conversation(id)?;
        let mut kept = Vec::new();
        for entry in conversation.entries.iter().filter(|entry| stays(&entry.head)) {
            let (message, digest) = conversation.load_with_digest(self.folder, entry)?;
            kept.push((message, entry.arrival, digest));
        }
        let kept =
            kept.into_iter().map(|(m, arrival, digest)| Ok((Cow::Owned(m), arrival, digest)));
        self.publish(session, kept).map(|_| ())
    }

    /// Writes those files anew of which most is not needed any more. That is no caller's wish, so an error is
    /// only noted; the file is as it was then.
    pub(crate) fn tidy<'i>(&mut self, ids: impl Iterator<Item = &'i SessionId>) {
        for id in ids {
            let Ok(conversation) = self.state.conversation(id) else { continue };
            if conversation.is_mostly_waste() {
                let session = conversation.session.clone();
                if let Err(error) = self.rewrite(id, session, |_| true) {
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
            for session in work.state.sessions() {
                let conversation = work.state.conversation(&session.id)?;
                let length = work.folder.length_of(&conversation.name).map_err(|error| {
                    unavailable(&format!("{} cannot be looked at", conversation.name), error)
                })?;
                if conversation.has_waste() || length != conversation.length {
                    wasteful.push(session.clone());
                }
            }
            for session in wasteful {
                work.rewrite(&session.id.clone(), session, |_| true)?;
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

    pub(crate) fn fork(&mut self, id: &SessionId, up_to: Seq, new: NewSession) -> Result<Session> {
        self.recover(id)?;
        let source = self.state.conversation(id)?;
        let session = fork_session(&source.session, up_to, new, self.clock.now())?;
        if self.state.contains(&session.id) {
            return Err(Error::session_exists(&session.id));
        }
        let mut copies = Vec::new();
        for entry in source.entries.iter().take_while(|entry| entry.head.seq <= up_to) {
            copies.push(source.load_with_digest(self.folder, entry)?);
        }
        let mut numbered = Vec::with_capacity(copies.len());
        for (message, digest) in copies {
            numbered.push(Ok((Cow::Owned(message), self.state.next_arrival()?, digest)));
        }
        self.publish(session, numbered.into_iter())
    }

    pub(crate) fn import(&mut self, transcript: Transcript, mode: ImportMode) -> Result<Session> {
        let Transcript { session, messages, .. } = transcript;
        match self.state.conversation(&session.id) {
            Ok(stored) => mode.check(&session.id, Some(&stored.session))?,
            // One that cannot be read is there; only what overwrites whatever it is takes its place.
            Err(error) if self.state.contains(&session.id) => match mode {
                ImportMode::CreateOnly => return Err(Error::session_exists(&session.id)),
                ImportMode::Overwrite => {}
                _ => return Err(error),
            },
            Err(_) => mode.check(&session.id, None)?,
        }
        let arrivals: Vec<i64> =
            messages.iter().map(|_| self.state.next_arrival()).collect::<Result<_>>()?;
        // Each message goes when its line is written: there are as many as a conversation has.
        let numbered = messages.into_iter().zip(arrivals).map(|(message, arrival)| {
            let digest = message.digest();
            Ok((Cow::Owned(message), arrival, digest))
        });
        self.publish(session, numbered)
    }
}

/// Removes files for good, and the list of them if there is one.
pub(crate) fn remove_files(folder: &Folder, names: &[String]) -> io::Result<()> {
    names.iter().try_for_each(|name| folder.remove(name))?;
    folder.sync_names()?;
    folder.remove(INTENT)
}
