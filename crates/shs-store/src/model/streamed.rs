//! A session whose messages are made as they are asked for.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::{Error, Message, MessageId, Result, Seq, Session, Transcript};

/// Where the messages of a [`StreamedTranscript`] come from, such as a text that is read again each
/// time.
pub trait MessageSource: Send + Sync {
    /// Hands on each message, in order: the same ones each time.
    ///
    /// It may take long, and blocks meanwhile; stores that do not hold the whole conversation in
    /// memory call it on threads of their own.
    ///
    /// # Errors
    /// Whatever a message cannot be made for, and whatever `take` fails with; nothing is handed on
    /// after an error.
    fn for_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()>;
}

/// A whole conversation that need not be in memory: the session, and where its messages come from.
///
/// [`Store::import_streamed`](crate::Store::import_streamed) stores it. Cloning it is cheap.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use shs_store::{
///     Message, MessageSource, NewMessage, NewSession, Result, Seq, StreamedTranscript, Timestamp,
/// };
///
/// struct Numbers(u64);
///
/// impl MessageSource for Numbers {
///     fn for_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
///         (1..=self.0).try_for_each(|number| {
///             let new = NewMessage::user(format!("number {number}"));
///             let new = new.with_id(format!("m{number}").parse()?).with_timestamp(Timestamp::MIN);
///             take(new.into_message(Seq::ZERO))
///         })
///     }
/// }
///
/// let session = NewSession::with_id("s1".parse()?).into_session(Timestamp::now())?;
/// let streamed = StreamedTranscript::new(session, Arc::new(Numbers(1_000)))?;
/// assert_eq!(streamed.session().message_count, 1_000);
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Clone)]
pub struct StreamedTranscript {
    session: Session,
    messages: Arc<dyn MessageSource>,
}

impl StreamedTranscript {
    /// Puts a session and its messages together as [`Transcript::new`] does, by going through the messages:
    /// numbers those whose `seq` is zero, and puts the session's counts and last number right.
    ///
    /// # Errors
    /// Those of [`Transcript::new`], and those of the source.
    pub fn new(mut session: Session, messages: Arc<dyn MessageSource>) -> Result<Self> {
        session.tags = super::session::distinct(session.tags);
        (session.message_count, session.total_tokens) = (0, 0);
        let mut streamed = Self { session, messages };
        let mut counted = streamed.session.clone();
        let mut ids = Ids::default();
        streamed.number_each(&mut |message| {
            ids.add(&message.id);
            counted.count_in(&message);
            Ok(())
        })?;
        streamed.session = counted;
        if let Some(twice) = ids.repeated(&streamed)? {
            return Err(Error::invalid("two messages of the session have the same id")
                .with_session(&streamed.session.id)
                .with_message(&twice));
        }
        streamed.change(|_| ())
    }

    /// The session, with its counts.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Changes the session; its counts and last number stay.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if a limit is broken then.
    pub fn change(mut self, change: impl FnOnce(&mut Session)) -> Result<Self> {
        let Session { message_count, total_tokens, last_seq, .. } = self.session;
        let session = &mut self.session;
        change(session);
        session.tags = super::session::distinct(std::mem::take(&mut session.tags));
        session.message_count = message_count;
        session.total_tokens = total_tokens;
        session.last_seq = last_seq;
        session.validate().map_err(|error| error.with_session(&session.id))?;
        Ok(self)
    }

    /// Hands on each message, in order and with its number. It may take long, and blocks meanwhile.
    ///
    /// # Errors
    /// Those of the source, whatever `take` fails with, and [`InvalidInput`](crate::ErrorKind::InvalidInput) if
    /// the source hands on other messages than before.
    pub fn for_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
        let (mut count, mut tokens) = (0, 0);
        self.number_each(&mut |message| {
            count += 1;
            tokens += message.tokens.map_or(0, u64::from);
            take(message)
        })?;
        if (count, tokens) == (self.session.message_count, self.session.total_tokens) {
            return Ok(());
        }
        let detail = "the source of the messages handed on others than before";
        Err(Error::invalid(detail).with_session(&self.session.id))
    }

    fn number_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
        let mut last = Seq::ZERO;
        self.messages.for_each(&mut |mut message| {
            message
                .follow(&mut last)
                .map_err(|error| error.with_session(&self.session.id).with_message(&message.id))?;
            take(message)
        })
    }

    /// The conversation with all of its messages in memory.
    ///
    /// # Errors
    /// Those of the source, and those of [`Transcript::new`].
    pub fn collect(self) -> Result<Transcript> {
        let mut messages = Vec::new();
        self.for_each(&mut |message| {
            messages.push(message);
            Ok(())
        })?;
        Transcript::new(self.session, messages)
    }
}

impl fmt::Debug for StreamedTranscript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedTranscript").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Which ids came, in less memory than they take: a number of each, under a key that nobody can
/// know beforehand. Of those whose numbers come twice it is looked whether they are the same.
#[derive(Default)]
struct Ids {
    key: RandomState,
    last: Option<MessageId>,
    /// Whether each came after the one before it in the order of ids; then none came twice.
    rise: Rise,
    came: HashSet<u64>,
    suspects: HashSet<u64>,
}

#[derive(Default, PartialEq)]
enum Rise {
    #[default]
    Rising,
    Broken,
}

impl Ids {
    fn add(&mut self, id: &MessageId) {
        if self.last.as_ref().is_some_and(|last| last >= id) {
            self.rise = Rise::Broken;
        }
        self.last = Some(id.clone());
        let number = self.key.hash_one(id);
        if !self.came.insert(number) {
            self.suspects.insert(number);
        }
    }

    /// The first id that came twice.
    fn repeated(mut self, streamed: &StreamedTranscript) -> Result<Option<MessageId>> {
        self.came = HashSet::new();
        if self.rise == Rise::Rising || self.suspects.is_empty() {
            return Ok(None);
        }
        let (mut seen, mut twice) = (HashSet::new(), None);
        streamed.number_each(&mut |message| {
            let is_suspect = self.suspects.contains(&self.key.hash_one(&message.id));
            if is_suspect && twice.is_none() && !seen.insert(message.id.clone()) {
                twice = Some(message.id);
            }
            Ok(())
        })?;
        Ok(twice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewMessage, NewSession, Timestamp};

    struct Listed(Vec<Message>);

    impl MessageSource for Listed {
        fn for_each(&self, take: &mut dyn FnMut(Message) -> Result<()>) -> Result<()> {
            self.0.iter().cloned().try_for_each(take)
        }
    }

    #[test]
    fn it_is_checked_and_counted_as_a_transcript_is() {
        let mut session =
            NewSession::with_id("s".parse().unwrap()).into_session(Timestamp::MIN).unwrap();
        session.tags = ["a", "b", "a"].map(str::to_owned).to_vec();
        let said = |id: &str, seq: u64| {
            let new = NewMessage::user("text").with_id(id.parse().unwrap()).with_tokens(7);
            new.into_message(Seq::new(seq).unwrap())
        };
        let mut endless = said("x", 0);
        endless.latency_ms = Some(f64::INFINITY);
        for messages in [
            vec![],
            vec![said("a", 0), said("b", 0), said("c", 0)],
            vec![said("c", 3), said("b", 0), said("a", 9)],
            vec![said("a", 2), said("b", 2)],
            vec![said("a", 0), said("b", 1)],
            vec![said("b", 0), said("a", 0), said("b", 0)],
            vec![said("a", 0), said("a", 0)],
            vec![said("a", 0), endless],
        ] {
            let whole = Transcript::new(session.clone(), messages.clone());
            let streamed = StreamedTranscript::new(session.clone(), Arc::new(Listed(messages)));
            match (whole, streamed) {
                (Ok(whole), Ok(streamed)) => {
                    assert_eq!(streamed.session, whole.session);
                    assert_eq!(streamed.collect().unwrap(), whole);
                }
                (Err(whole), Err(streamed)) => {
                    assert_eq!(streamed.to_string(), whole.to_string());
                }
                (whole, streamed) => panic!("{whole:?} and {streamed:?}"),
            }
        }
    }
}
