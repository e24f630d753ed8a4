//! One conversation in memory: everything but the content of its messages, which stays in its file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use shs_store::clock::new_uuid;
use shs_store::model::{ContentDigest, MessageHead};
use shs_store::{Error, Message, MessageId, Result, Seq, Session, TenantId, Timestamp};
use uuid::Uuid;

use crate::arrivals::HIGHEST;
use crate::entries::{Entries, Entry, Original, Place};
use crate::folder::{Folder, unavailable};
use crate::line::{Change, Line};
use crate::name::{split, tenant_of};
use crate::outline::{Outline, Outlined};

/// A conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Whose folder its file is in.
    pub(crate) tenant: TenantId,
    pub(crate) session: Session,
    pub(crate) entries: Entries,
    /// The name of its file.
    pub(crate) name: String,
    /// Which file that is, among those that have or had the name.
    pub(crate) incarnation: Uuid,
    /// How much of its file counts; what is behind it was never acknowledged.
    pub(crate) length: u64,
    /// How much of its file is on disk for certain, there or in the journal.
    pub(crate) synced: u64,
    /// Whether the disk may still have something behind `length`, which was cut off. A journal could not tell that from
    /// what stands behind its records by right, so the file itself has to be synced.
    pub(crate) is_cut: bool,
    /// Whether the last line break, which is counted in `length`, is missing in the file.
    pub(crate) lacks_end: bool,
    /// How much of its file is still needed.
    live: u64,
}

/// How much of a file is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// Below this length, in bytes, a file is not written anew to make it shorter.
const REWRITE_FROM: u64 = 64 * 1024;

impl Conversation {
    /// One without messages, of whose file nothing has been read yet.
    fn new(session: Session, name: String, incarnation: Uuid) -> Self {
        let tenant = tenant_of(split(&name).0).unwrap_or_default();
        Self {
            tenant,
            session,
            entries: Entries::default(),
            name,
            incarnation,
            length: 0,
            synced: 0,
            is_cut: false,
            lacks_end: false,
            live: 0,
        }
    }

    /// Reads a file. A torn last change, which was never acknowledged, does not count; anything else that is
    /// not as it was written is an error.
    pub(crate) fn read(folder: &Folder, name: &str) -> Result<Self> {
        Self::read_up_to(folder, name, u64::MAX)
    }

    /// As [`read`](Self::read), but for what stands behind a place.
    pub(crate) fn read_up_to(folder: &Folder, name: &str, end: u64) -> Result<Self> {
        let file = File::open(folder.path_of(name))
            .map_err(|error| unavailable(&format!("{name} cannot be opened"), error))?;
        Self::read_from(name, BufReader::with_capacity(BUFFER, file.take(end)))
    }

    /// As [`read`](Self::read), from the content of a file.
    pub(crate) fn read_from(name: &str, content: impl BufRead) -> Result<Self> {
        let reading = Reading { name, found: None, waiting: Vec::new(), at: 0, line: 0, since: 0 };
        reading.run(content)
    }

    /// The number of arrival of its last message, which is the highest; 0 if it has none.
    pub(crate) fn last_arrival(&self) -> i64 {
        last_arrival(&self.entries)
    }

    /// Whether the message with this number is on disk for certain, as it is now.
    pub(crate) fn is_on_disk(&self, seq: Seq) -> bool {
        self.entries.by_seq(seq).is_some_and(|entry| entry.place.end() < self.synced)
    }

    /// Adds a message whose number is the highest.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.session.count_in(&entry.head);
        self.live += entry.place.length() as u64 + 1;
        self.entries.push(entry);
    }

    /// Puts a message, by its head, in the place of the one with its id and number; `false` if there is none.
    pub(crate) fn replace(&mut self, head: MessageHead, place: Place) -> bool {
        let Some(entry) = self.entries.get_mut(&head.id, head.seq) else { return false };
        self.session.count_out(&entry.head);
        self.session.count_in(&head);
        self.live = self.live + place.length() as u64 - entry.place.length() as u64;
        if matches!(entry.original, Original::AsItIs) {
            entry.original = Original::AsAdded(Box::new(entry.place));
        }
        entry.place = place;
        entry.head = head;
        true
    }

    /// Whether anything in the file is not needed any more.
    pub(crate) fn has_waste(&self) -> bool {
        self.length != self.live || self.lacks_end
    }

    /// Whether most of the file is not needed any more.
    pub(crate) fn is_mostly_waste(&self) -> bool {
        self.length > REWRITE_FROM && self.length / 4 > self.live
    }

    /// Reads a message from the file.
    pub(crate) fn load(&self, folder: &Folder, entry: &Entry) -> Result<Message> {
        self.load_from(folder, entry, entry.place)
    }

    /// What was appended under a message's id.
    pub(crate) fn digest(&self, folder: &Folder, entry: &Entry) -> Result<ContentDigest> {
        match &entry.original {
            Original::Known(digest) => Ok(**digest),
            Original::AsItIs => Ok(self.load(folder, entry)?.digest()),
            Original::AsAdded(place) => Ok(self.load_from(folder, entry, **place)?.digest()),
        }
    }

    /// Reads a message from the file, and what was appended under its id.
    pub(crate) fn load_with_digest(
        &self,
        folder: &Folder,
        entry: &Entry,
    ) -> Result<(Message, ContentDigest)> {
        let message = self.load(folder, entry)?;
        let digest = match entry.original {
            Original::AsItIs => message.digest(),
            _ => self.digest(folder, entry)?,
        };
        Ok((message, digest))
    }

    /// Reads a message, or an earlier state of it, from a place in the file.
    fn load_from(&self, folder: &Folder, entry: &Entry, place: Place) -> Result<Message> {
        let (at, length) = (place.at, place.length());
        let error =
            |error: Error| error.with_session(&self.session.id).with_message(&entry.head.id);
        let bytes = folder
            .read_at(&self.name, at, length)
            .map_err(|e| error(unavailable(&format!("{} cannot be read", self.name), e)))?;
        let line = Line::read(&bytes).map_err(|e| {
            error(Error::corrupt(format!("{} is damaged at byte {at}", self.name)).with_source(e))
        })?;
        match line.change {
            Change::Message(message) | Change::Update(message) if message.id == entry.head.id => {
                Ok(message.into_owned())
            }
            _ => {
                Err(error(Error::corrupt(format!("{} was changed by another program", self.name))))
            }
        }
    }

    /// The message with this id, from the file.
    pub(crate) fn message(&self, folder: &Folder, id: &MessageId) -> Result<Message> {
        let entry =
            self.entries.by_id(id).ok_or_else(|| Error::message_not_found(&self.session.id, id))?;
        self.load(folder, entry)
    }
}

fn last_arrival(entries: &[Entry]) -> i64 {
    entries.last().map_or(0, |entry| entry.arrival)
}

/// A file that is being read.
struct Reading<'a> {
    name: &'a str,
    found: Option<Conversation>,
    /// The lines of a change that has not ended.
    waiting: Vec<Waiting>,
    /// Where the next line begins.
    at: u64,
    line: usize,
    /// Up to where the file was on disk when the last line was written.
    since: u64,
}

/// A line of a change that has not ended.
struct Waiting {
    said: Outlined,
    n: Option<i64>,
    digest: Option<ContentDigest>,
    incarnation: Option<Uuid>,
    place: Place,
    /// Which line of the file it is.
    line: usize,
}

/// What disks write at once, in bytes; some write more, but a multiple of it.
const SECTOR: u64 = 512;

impl Reading<'_> {
    fn run(mut self, mut file: impl BufRead) -> Result<Conversation> {
        let mut bytes = Vec::new();
        let mut ended = true;
        while ended {
            bytes.clear();
            file.read_until(b'\n', &mut bytes).map_err(|error| self.unreadable(error))?;
            ended = bytes.pop_if(|last| *last == b'\n').is_some();
            if bytes.is_empty() && !ended {
                break;
            }
            self.line += 1;
            let mut line = match Outline::read(&bytes) {
                Ok(line) => line,
                Err(_) if self.is_torn(&bytes, ended, &mut file)? => break,
                Err(error) => return Err(self.damaged(error)),
            };
            let said = line.take().map_err(|error| self.damaged(error))?;
            let place = Place::new(self.at, bytes.len())
                .ok_or_else(|| self.damaged(Error::corrupt("a line of 4 GiB or more")))?;
            let Outline { n, digest, at, more, since, incarnation, .. } = line;
            let since = since.unwrap_or(self.at);
            if !(self.since..=self.at).contains(&since) {
                return Err(self.damaged(Error::corrupt("the line is not at its place")));
            }
            self.since = since;
            self.at += bytes.len() as u64 + 1;
            self.waiting.push(Waiting { said, n, digest, incarnation, place, line: self.line });
            if !more {
                self.take_change(&at, !ended)?;
            }
        }
        match self.found.take() {
            Some(found) => Ok(found),
            None => {
                (self.at, self.line) = (0, 1);
                Err(self.damaged(Error::corrupt("it does not begin with a whole session")))
            }
        }
    }

    /// Whether a line that is not whole is what remains of a write that was not acknowledged.
    ///
    /// A process that ends leaves the beginning of it. A power cut may leave out sectors, which are zeros then, and
    /// keep what was to stand behind them; but nothing is behind them that was written after they had
    /// come to the disk.
    fn is_torn(&self, bytes: &[u8], ended: bool, file: &mut impl BufRead) -> Result<bool> {
        if has_holes(self.at, bytes, ended) {
            return if ended { self.rest_is_torn(file) } else { Ok(true) };
        }
        // With more behind a whole line than its line break it was not cut, but changed.
        Ok(!ended && !begins_with_line(bytes))
    }

    /// Whether no line follows that was written when the hole was on disk.
    fn rest_is_torn(&self, file: &mut impl BufRead) -> Result<bool> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            file.read_until(b'\n', &mut bytes).map_err(|error| self.unreadable(error))?;
            if bytes.pop_if(|last| *last == b'\n').is_none() {
                return Ok(true);
            }
            if let Ok(line) = Line::read(&bytes)
                && line.since.is_none_or(|since| since > self.at)
            {
                return Ok(false);
            }
        }
    }

    fn take_change(&mut self, at: &str, lacks_end: bool) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let name = self.name;
        for Waiting { said, n, digest, incarnation, place, line } in waiting.drain(..) {
            let odd = |what: &'static str| damaged(name, line, place.at, Error::corrupt(what));
            match (said, &mut self.found) {
                (Outlined::Session(mut session), None) => {
                    (session.message_count, session.total_tokens) = (0, 0);
                    let incarnation = incarnation.unwrap_or_default();
                    self.found = Some(Conversation::new(*session, name.to_owned(), incarnation));
                }
                (Outlined::Session(session), Some(found)) if session.id == found.session.id => {
                    let before = std::mem::replace(&mut found.session, *session);
                    found.session.message_count = before.message_count;
                    found.session.total_tokens = before.total_tokens;
                    found.session.last_seq = before.last_seq.max(found.session.last_seq);
                }
                (Outlined::Message(head), Some(found)) if found.entries.is_next(&head) => {
                    let original = Original::of(digest);
                    // In one file the numbers rise.
                    let n = n.filter(|n| (found.last_arrival() + 1..=HIGHEST).contains(n));
                    let what = "a message without a place of its own in the order of arrival";
                    let arrival = n.ok_or_else(|| odd(what))?;
                    found.push(Entry { head: *head, arrival, place, original });
                }
                (Outlined::Update(head), Some(found)) => {
                    if !found.replace(*head, place) {
                        return Err(odd(
                            "a change to a message that is not there under this number",
                        ));
                    }
                }
                _ => return Err(odd("a line out of order")),
            }
        }
        self.waiting = waiting;
        let at = at.parse().map_err(|error| self.damaged(error))?;
        if let Some(found) = &mut self.found {
            found.session.updated_at = at;
            found.length = self.at;
            found.synced = self.since;
            found.lacks_end = lacks_end;
            if found.live == 0 {
                found.live = self.at;
            }
        }
        Ok(())
    }

    fn damaged(&self, error: Error) -> Error {
        damaged(self.name, self.line, self.at, error)
    }

    fn unreadable(&self, error: io::Error) -> Error {
        unavailable(&format!("{} cannot be read", self.name), error)
    }
}

fn damaged(name: &str, line: usize, at: u64, error: Error) -> Error {
    let detail = format!(
        "{name} is damaged in line {line}, at byte {at}; restore it, or repair the folder, which keeps what can be read"
    );
    Error::corrupt(detail).with_source(error)
}

/// Whether zeros stand in the bytes of a line, which JSON never has, and only where a power cut leaves them: from the
/// line's beginning or a sector's, up to a sector's end, the file's, or the beginning of a line that was written later, but
/// before these bytes were on disk.
fn has_holes(line: u64, bytes: &[u8], ended: bool) -> bool {
    let is_edge = |at: usize| (line + at as u64).is_multiple_of(SECTOR);
    let mut holes = 0;
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|byte| *byte == 0).map(|zero| at + zero) {
        let end = bytes[start..].iter().position(|byte| *byte != 0).map(|other| start + other);
        at = end.unwrap_or(bytes.len());
        let ends_well =
            is_edge(at) || (end.is_none() && !ended) || is_later_line(line, &bytes[at..]);
        if !(start == 0 || is_edge(start)) || !ends_well {
            return false;
        }
        holes += 1;
    }
    holes > 0
}

/// Whether some bytes begin as a line does, and, if they are a whole one, it was written before the file was on disk up
/// to here.
fn is_later_line(here: u64, bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 3] = [b"{\"message\":{", b"{\"update\":{", b"{\"session\":{"];
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let begins = BEGINNINGS.iter().any(|beginning| {
        let length = text.len().min(beginning.len());
        length > 0 && text[..length] == beginning[..length]
    });
    begins && Line::read(bytes).map_or(true, |line| line.since.is_some_and(|since| since <= here))
}

/// Whether some bytes begin with a whole line.
fn begins_with_line(bytes: &[u8]) -> bool {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'}').map(|(at, _)| at + 1);
    ends.into_iter().any(|end| Line::read(&bytes[..end]).is_ok())
}

/// A whole conversation's file while it is written, a new incarnation.
#[derive(Debug)]
pub(crate) struct WholeFile<W> {
    to: W,
    /// The line that is written.
    line: Vec<u8>,
    entries: Entries,
    incarnation: Uuid,
    length: u64,
    at: Timestamp,
}

impl<W: Write> WholeFile<W> {
    /// Begins the file of a session that is about to get so many messages.
    pub(crate) fn begin(to: W, session: &Session, messages: usize) -> Result<Self> {
        let entries = Entries::with_capacity(messages);
        let (incarnation, at) = (new_uuid(), session.updated_at);
        let mut file = Self { to, line: Vec::new(), entries, incarnation, length: 0, at };
        file.write(&Line::session(session).beginning(incarnation))?;
        Ok(file)
    }

    /// Adds a message, with the digest of what was appended under its id.
    pub(crate) fn add(
        &mut self,
        message: &Message,
        arrival: i64,
        digest: ContentDigest,
    ) -> Result<()> {
        self.say(&Line::changed_message(message, arrival, digest, self.at), message, arrival)
    }

    /// Adds a message that is what was appended.
    pub(crate) fn add_new(&mut self, message: &Message, arrival: i64) -> Result<()> {
        self.say(&Line::message(message, arrival, self.at), message, arrival)
    }

    fn say(&mut self, line: &Line<'_>, message: &Message, arrival: i64) -> Result<()> {
        let place = self.write(line)?;
        let original = Original::of(line.digest);
        self.entries.push(Entry { head: message.head(), arrival, place, original });
        Ok(())
    }

    fn write(&mut self, line: &Line<'_>) -> Result<Place> {
        self.line.clear();
        line.write(&mut self.line);
        self.to
            .write_all(&self.line)
            .map_err(|error| unavailable("a conversation cannot be written", error))?;
        let place = Place::written(self.length, self.line.len() - 1);
        self.length += self.line.len() as u64;
        Ok(place)
    }

    /// The number of arrival of its last message; 0 if it has none.
    pub(crate) fn last_arrival(&self) -> i64 {
        last_arrival(&self.entries)
    }

    /// What it was written to.
    pub(crate) fn into_staged(self) -> W {
        self.to
    }

    /// The same, and what is in memory of it once it is on disk.
    pub(crate) fn into_conversation(self, mut session: Session, name: String) -> (W, Conversation) {
        (session.message_count, session.total_tokens) = (0, 0);
        for entry in self.entries.iter() {
            session.count_in(&entry.head);
        }
        let length = self.length;
        let conversation = Conversation {
            entries: self.entries,
            length,
            synced: length,
            live: length,
            ..Conversation::new(session, name, self.incarnation)
        };
        (self.to, conversation)
    }
}
