//! An index that is brought up to date when it is asked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::InvertedIndex;
use crate::Result;

/// An [`InvertedIndex`] that follows the messages of a store when somebody searches: until then, adding and changing them
/// costs it nothing. For backends.
///
/// Messages are known by their numbers of arrival.
///
/// # Examples
/// ```
/// use std::borrow::Cow;
/// use std::collections::BTreeMap;
/// use shs_store::text::{FollowingIndex, Query};
///
/// let mut arrivals = BTreeMap::from([(1, "a double charge"), (2, "charge it")]);
/// let mut index = FollowingIndex::new();
/// index.follow(&arrivals, |_, text| Ok(Cow::Borrowed(*text)))?;
/// arrivals.insert(3, "charge again");
/// assert!(!index.is_current(&arrivals));
/// index.follow(&arrivals, |_, text| Ok(Cow::Borrowed(*text)))?;
/// let query = Query::parse("charge")?;
/// assert_eq!(index.index().newest_first(&query, None).collect::<Vec<_>>(), [3, 2, 1]);
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Debug)]
pub struct FollowingIndex {
    index: InvertedIndex,
    /// Up to which number it has come.
    up_to: i64,
    /// Numbers up to there that it does not hold.
    left_out: BTreeSet<i64>,
}

impl Default for FollowingIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl FollowingIndex {
    /// An index that holds nothing yet, whatever there is.
    pub fn new() -> Self {
        Self { index: InvertedIndex::new(), up_to: i64::MIN, left_out: BTreeSet::new() }
    }

    /// Notes a message. One that has the highest number need not be noted.
    pub fn add(&mut self, number: i64) {
        if number <= self.up_to {
            self.left_out.insert(number);
        }
    }

    /// Notes that a message is going to be another text than `before`.
    pub fn change(&mut self, number: i64, before: &str) {
        if self.holds(number) {
            self.index.remove(number, before);
            self.left_out.insert(number);
        }
    }

    /// Notes that a message with this text is gone.
    pub fn remove(&mut self, number: i64, text: &str) {
        if !self.left_out.remove(&number) {
            self.index.remove(number, text);
        }
    }

    /// Whether a message's text is needed to [`change`](Self::change) or [`remove`](Self::remove) it.
    pub fn holds(&self, number: i64) -> bool {
        number <= self.up_to && !self.left_out.contains(&number)
    }

    /// Whether it holds all of these messages.
    pub fn is_current<T>(&self, arrivals: &BTreeMap<i64, T>) -> bool {
        let last = arrivals.last_key_value().map(|(number, _)| *number);
        self.left_out.is_empty() && last.is_none_or(|last| last <= self.up_to)
    }

    /// Takes in what it does not hold yet; `text` reads a message's.
    ///
    /// # Errors
    /// Whatever `text` fails with. The next call goes on there.
    pub fn follow<'t, T>(
        &mut self,
        arrivals: &'t BTreeMap<i64, T>,
        mut text: impl FnMut(i64, &'t T) -> Result<Cow<'t, str>>,
    ) -> Result<()> {
        while let Some(number) = self.left_out.first().copied() {
            if let Some(place) = arrivals.get(&number) {
                self.index.insert(number, &text(number, place)?);
            }
            self.left_out.remove(&number);
        }
        let Some((last, _)) = arrivals.last_key_value().filter(|(last, _)| **last > self.up_to)
        else {
            return Ok(());
        };
        for (number, place) in arrivals.range(self.up_to.saturating_add(1)..=*last) {
            self.index.insert(*number, &text(*number, place)?);
            self.up_to = *number;
        }
        Ok(())
    }

    /// What it holds: everything, if it [is current](Self::is_current).
    pub fn index(&self) -> &InvertedIndex {
        &self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::text::Query;

    fn found(index: &FollowingIndex, word: &str) -> Vec<i64> {
        index.index().oldest_first(&Query::parse(word).unwrap(), None).collect()
    }

    #[test]
    fn it_holds_what_is_there_when_it_is_asked() {
        let mut texts = BTreeMap::from([(1, "one"), (2, "two"), (3, "one two")]);
        let mut index = FollowingIndex::new();
        let follow = |index: &mut FollowingIndex, texts: &BTreeMap<i64, &'static str>| {
            assert!(!index.is_current(texts));
            index.follow(texts, |_, text| Ok(Cow::Owned((*text).to_owned()))).unwrap();
            assert!(index.is_current(texts));
        };
        // Before it holds them, texts are not needed.
        index.change(2, "never read");
        index.remove(3, "never read");
        texts.remove(&3);
        texts.insert(4, "two");
        follow(&mut index, &texts);
        assert_eq!((found(&index, "one"), found(&index, "two")), (vec![1], vec![2, 4]));

        index.change(2, "two");
        texts.insert(2, "for a moment");
        index.change(2, "never read");
        texts.insert(2, "one");
        index.remove(1, "one");
        texts.remove(&1);
        texts.insert(5, "two");
        follow(&mut index, &texts);
        assert_eq!((found(&index, "one"), found(&index, "two")), (vec![2], vec![4, 5]));

        index.remove(4, "two");
        index.add(4);
        index.add(6);
        texts.insert(6, "one");
        follow(&mut index, &texts);
        assert_eq!((found(&index, "one"), found(&index, "two")), (vec![2, 6], vec![4, 5]));

        index.change(5, "two");
        index.remove(5, "never read");
        texts.remove(&5);
        assert!(index.is_current(&texts));
        assert_eq!(found(&index, "two"), [4]);
    }

    #[test]
    fn it_goes_on_where_a_text_could_not_be_read() {
        let texts = BTreeMap::from([(1, "word"), (2, "word"), (3, "word")]);
        let mut index = FollowingIndex::new();
        for unreadable in [2, 3] {
            let text = |number, text: &&'static str| {
                let read = (number != unreadable).then_some(Cow::Borrowed(*text));
                read.ok_or_else(|| Error::corrupt("it cannot be read"))
            };
            index.follow(&texts, text).unwrap_err();
            assert_eq!(found(&index, "word").len() as i64, unreadable - 1);
        }
        index.follow(&texts, |_, text| Ok(Cow::Borrowed(*text))).unwrap();
        assert_eq!(found(&index, "word"), [1, 2, 3]);
    }
}
