//! A record of the journal: what was written into one file at one place.
//!
//! | bytes | |
//! |--:|---|
//! | 4 | [`MARK`] |
//! | 4 | a checksum of everything that follows |
//! | 4 | the length of the record |
//! | 8 | the epoch, by which a record is told from what an earlier epoch left behind the end |
//! | 8 | up to where the journal was on disk when this was written |
//! | 8 | the place in the file |
//! | 16 | the file's incarnation |
//! | 1 | the length of the file's name |
//! | | the name, then the bytes |
//!
//! Numbers are little-endian.

use uuid::Uuid;

/// The longest name that a record can have, in bytes; a file with a longer one is synced in its
/// place.
pub(crate) const MOST_NAME: usize = u8::MAX as usize;

/// How a record begins. The lines of conversations are UTF-8, which never has the first byte.
const MARK: [u8; 4] = [0xff, b'r', b'e', b'c'];
/// Up to the name.
const HEAD: usize = 53;

/// What was written into a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Record<'a> {
    pub(crate) name: &'a str,
    pub(crate) incarnation: Uuid,
    pub(crate) at: u64,
    pub(crate) bytes: &'a [u8],
}

/// A record as it was found in a journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found<'a> {
    pub(crate) record: Record<'a>,
    /// Up to where the journal was on disk when it was written.
    pub(crate) durable: u64,
    /// How long it is in the journal.
    pub(crate) length: usize,
}

impl<'a> Record<'a> {
    /// How long it is in the journal.
    pub(crate) fn length(&self) -> usize {
        HEAD + self.name.len() + self.bytes.len()
    }

    /// Adds it to some bytes.
    pub(crate) fn write(&self, epoch: u64, durable: u64, into: &mut Vec<u8>) {
        let start = into.len();
        let length = u32::try_from(self.length()).expect("a large change is no record");
        into.extend_from_slice(&MARK);
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(&epoch.to_le_bytes());
        into.extend_from_slice(&durable.to_le_bytes());
        into.extend_from_slice(&self.at.to_le_bytes());
        into.extend_from_slice(self.incarnation.as_bytes());
        let length = u8::try_from(self.name.len()).expect("a file with a long name has no record");
        into.push(length);
        into.extend_from_slice(self.name.as_bytes());
        into.extend_from_slice(self.bytes);
        let sum = crc32fast::hash(&into[start + 8..]);
        into[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// The record of this epoch at the beginning of some bytes, if there is a whole one.
    pub(crate) fn read(bytes: &'a [u8], epoch: u64) -> Option<Found<'a>> {
        let rest = bytes.strip_prefix(&MARK)?;
        let (sum, rest) = rest.split_first_chunk().map(|(sum, r)| (u32::from_le_bytes(*sum), r))?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (of_epoch, rest) = number(rest)?;
        if of_epoch != epoch || crc32fast::hash(bytes.get(8..length)?) != sum {
            return None;
        }
        let (durable, rest) = number(rest)?;
        let (at, rest) = number(rest)?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let incarnation = Uuid::from_bytes(*incarnation);
        let (name_length, _) = rest.split_first()?;
        let (name, bytes) = bytes[..length].get(HEAD..)?.split_at_checked((*name_length).into())?;
        let name = str::from_utf8(name).ok()?;
        Some(Found { record: Record { name, incarnation, at, bytes }, durable, length })
    }
}

/// Whether, in some bytes, a whole record of this epoch was written when the journal was on disk beyond a place.
pub(crate) fn has_later(bytes: &[u8], epoch: u64, place: u64) -> bool {
    let marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.filter_map(|(at, _)| Record::read(&bytes[at..], epoch)).any(|found| found.durable > place)
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(number, rest)| (u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_any_flipped_bit_is_noticed() {
        let bytes = "{\"message\":\"Grüße\"}\n".as_bytes();
        let incarnation = shs_store::clock::new_uuid();
        let record = Record { name: "s.jsonl", incarnation, at: 70_000, bytes };
        let mut written = Vec::new();
        record.write(3, 4_096, &mut written);
        let length = written.len();
        assert_eq!(length, record.length());
        written.extend_from_slice(&[0; 20]);
        let found = Record::read(&written, 3).unwrap();
        assert_eq!(found, Found { record, durable: 4_096, length });
        assert_eq!(Record::read(&written, 2), None, "another epoch");
        for at in 0..length {
            let mut damaged = written.clone();
            damaged[at] ^= 1;
            assert_eq!(Record::read(&damaged, 3), None, "a flip at {at}");
            assert_eq!(Record::read(&written[..at], 3), None, "cut at {at}");
        }
    }

    #[test]
    fn a_later_record_says_that_a_place_was_on_disk() {
        let record = Record { name: "s.jsonl", incarnation: Uuid::nil(), at: 0, bytes: b"line\n" };
        let mut bytes = vec![0; 100];
        record.write(1, 50, &mut bytes);
        assert!(has_later(&bytes, 1, 49));
        assert!(!has_later(&bytes, 1, 50), "it was written together with what was there");
        assert!(!has_later(&bytes, 2, 49), "another epoch");
    }
}
