//! The messages of one conversation in memory: everything but what makes them long.

use std::hash::BuildHasher;
use std::ops::Deref;

use hashbrown::{DefaultHashBuilder, HashTable};
use shs_store::model::{ContentDigest, MessageHead};
use shs_store::{MessageId, Seq};

/// Where a message's line stands in its file, without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    length: u32,
}

impl Place {
    /// `None` if the line is 4 GiB or longer, as none is that a store writes.
    pub(crate) fn new(at: u64, length: usize) -> Option<Self> {
        Some(Self { at, length: length.try_into().ok()? })
    }

    /// A line that a store wrote.
    pub(crate) fn written(at: u64, length: usize) -> Self {
        Self::new(at, length).expect("the limits of a message keep its line short")
    }

    pub(crate) fn length(self) -> usize {
        self.length as usize
    }

    /// Where the line break behind it stands.
    pub(crate) fn end(self) -> u64 {
        self.at + u64::from(self.length)
    }
}

/// A message in memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) head: MessageHead,
    pub(crate) arrival: i64,
    pub(crate) place: Place,
    pub(crate) original: Original,
}

/// What was appended under a message's id. It is small, as almost all messages are what was appended.
#[derive(Debug)]
pub(crate) enum Original {
    /// The message as it is.
    AsItIs,
    /// The message that this line added.
    AsAdded(Box<Place>),
    Known(Box<ContentDigest>),
}

impl Original {
    /// Of a message beside which this digest stands, or none.
    pub(crate) fn of(digest: Option<ContentDigest>) -> Self {
        digest.map_or(Self::AsItIs, |digest| Self::Known(Box::new(digest)))
    }
}

/// Messages by rising number, which are found by their numbers and ids.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    list: Vec<Entry>,
    /// The places in the list, by the hashes of the ids.
    places: HashTable<u32>,
    key: DefaultHashBuilder,
}

impl Deref for Entries {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.list
    }
}

impl Entries {
    /// Room for so many.
    pub(crate) fn with_capacity(count: usize) -> Self {
        let (list, places) = (Vec::with_capacity(count), HashTable::with_capacity(count));
        Self { list, places, key: DefaultHashBuilder::default() }
    }

    pub(crate) fn by_id(&self, id: &MessageId) -> Option<&Entry> {
        self.place_of(id).map(|place| &self.list[place])
    }

    pub(crate) fn by_seq(&self, seq: Seq) -> Option<&Entry> {
        let found = self.list.binary_search_by_key(&seq, |entry| entry.head.seq);
        found.ok().map(|place| &self.list[place])
    }

    fn place_of(&self, id: &MessageId) -> Option<usize> {
        let is_it = |place: &u32| self.list[*place as usize].head.id == *id;
        self.places.find(self.key.hash_one(id), is_it).map(|place| *place as usize)
    }

    /// Whether a message has the highest number, and an id of its own.
    pub(crate) fn is_next(&self, head: &MessageHead) -> bool {
        self.list.last().is_none_or(|last| last.head.seq < head.seq)
            && self.place_of(&head.id).is_none()
    }

    /// Adds a message that [is the next](Self::is_next).
    pub(crate) fn push(&mut self, entry: Entry) {
        let place = u32::try_from(self.list.len()).expect("memory holds less than 2^32 messages");
        let (list, key) = (&mut self.list, &self.key);
        list.push(entry);
        let hash = |place: &u32| key.hash_one(&list[*place as usize].head.id);
        self.places.insert_unique(hash(&place), place, hash);
    }

    /// The message with this id, if it has this number.
    pub(crate) fn get_mut(&mut self, id: &MessageId, seq: Seq) -> Option<&mut Entry> {
        let place = self.place_of(id)?;
        Some(&mut self.list[place]).filter(|entry| entry.head.seq == seq)
    }
}

#[cfg(test)]
mod tests {
    use shs_store::{Role, Timestamp};

    use super::*;

    #[test]
    fn messages_are_found_by_ids_and_numbers() {
        let head = |id: &str, seq: u64| {
            let (id, seq) = (id.parse().unwrap(), Seq::new(seq).unwrap());
            MessageHead::new(id, seq, Role::User, Timestamp::MIN)
        };
        let mut entries = Entries::default();
        for number in 1..=1_000 {
            let head = head(&format!("m{number}"), 2 * number);
            assert!(entries.is_next(&head));
            let place = Place::written(number, 1);
            entries.push(Entry { head, arrival: 0, place, original: Original::AsItIs });
        }
        for number in 1..=1_000 {
            let (id, seq) = (format!("m{number}").parse().unwrap(), Seq::new(2 * number).unwrap());
            assert_eq!(entries.by_id(&id).unwrap().place.at, number);
            assert_eq!(entries.by_seq(seq).unwrap().place.at, number);
            assert!(entries.get_mut(&id, seq).is_some());
            assert!(entries.get_mut(&id, seq.next()).is_none());
            assert!(entries.by_seq(seq.next()).is_none());
        }
        assert!(!entries.is_next(&head("m7", 2_001)) && !entries.is_next(&head("new", 2_000)));
        assert!(entries.is_next(&head("new", 2_001)));
        assert!(entries.by_id(&"new".parse().unwrap()).is_none());
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 104, "{}", size_of::<Entry>());
    }
}
