//! An inverted index in memory, for backends that have none of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::analyze::tokens;
use super::query::{Clause, Query};

/// An inverted index over numbered texts: finds the numbers whose texts match a [`Query`].
///
/// It keeps tokens and positions, not the texts.
///
/// # Examples
/// ```
/// use shs_store::text::{InvertedIndex, Query};
///
/// let mut index = InvertedIndex::new();
/// index.insert(1, "a double charge");
/// index.insert(2, "charge it");
/// let found: Vec<i64> = index.newest_first(&Query::parse("charge")?, None).collect();
/// assert_eq!(found, [2, 1]);
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct InvertedIndex {
    postings: BTreeMap<Box<str>, Postings>,
}

/// Text numbers, and where in each text the token stands.
type Postings = BTreeMap<i64, Box<[u32]>>;

impl InvertedIndex {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text under a number that is not in use.
    pub fn insert(&mut self, number: i64, text: &str) {
        let mut places: HashMap<String, Vec<u32>> = HashMap::new();
        let mut length = 0;
        tokens(text, |token| {
            match places.get_mut(token) {
                Some(at) => at.push(length),
                None => {
                    places.insert(token.to_owned(), vec![length]);
                }
            }
            length += 1;
        });
        for (token, at) in places {
            self.postings.entry(token.into()).or_default().insert(number, at.into());
        }
    }

    /// Removes a text; `text` is what was added under this number.
    pub fn remove(&mut self, number: i64, text: &str) {
        tokens(text, |token| {
            if let Some(postings) = self.postings.get_mut(token) {
                postings.remove(&number);
                if postings.is_empty() {
                    self.postings.remove(token);
                }
            }
        });
    }

    /// The numbers whose texts match, highest first, those below `before` only.
    pub fn newest_first<'a>(
        &'a self,
        query: &'a Query,
        before: Option<i64>,
    ) -> Box<dyn Iterator<Item = i64> + Send + 'a> {
        let upper = before.map_or(Bound::Unbounded, Bound::Excluded);
        self.candidates(query, Bound::Unbounded, upper, true)
    }

    /// The numbers whose texts match, lowest first, those above `after` only.
    pub fn oldest_first<'a>(
        &'a self,
        query: &'a Query,
        after: Option<i64>,
    ) -> Box<dyn Iterator<Item = i64> + Send + 'a> {
        let lower = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.candidates(query, lower, Bound::Unbounded, false)
    }

    fn candidates<'a>(
        &'a self,
        query: &'a Query,
        lower: Bound<i64>,
        upper: Bound<i64>,
        newest: bool,
    ) -> Box<dyn Iterator<Item = i64> + Send + 'a> {
        let Some(driver) = query.positive().min_by_key(|clause| self.cost(clause)) else {
            return Box::new(std::iter::empty());
        };
        let first = &driver.tokens[0];
        let matching = move |number: &i64| self.matches(query, *number);
        if driver.prefix && driver.tokens.len() == 1 {
            let all: BTreeSet<i64> = self
                .with_prefix(first)
                .flat_map(|(_, postings)| postings.range((lower, upper)).map(|(number, _)| *number))
                .collect();
            return if newest {
                Box::new(all.into_iter().rev().filter(matching))
            } else {
                Box::new(all.into_iter().filter(matching))
            };
        }
        let Some(postings) = self.postings.get(first.as_str()) else {
            return Box::new(std::iter::empty());
        };
        let numbers = postings.range((lower, upper)).map(|(number, _)| *number);
        if newest {
            Box::new(numbers.rev().filter(matching))
        } else {
            Box::new(numbers.filter(matching))
        }
    }

    /// How many numbers a clause makes one look at.
    fn cost(&self, clause: &Clause) -> usize {
        if clause.prefix && clause.tokens.len() == 1 {
            return self.with_prefix(&clause.tokens[0]).map(|(_, postings)| postings.len()).sum();
        }
        self.postings.get(clause.tokens[0].as_str()).map_or(0, BTreeMap::len)
    }

    fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Postings)> + 'a {
        self.postings
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(token, postings)| (&**token, postings))
            .take_while(move |(token, _)| token.starts_with(prefix))
    }

    fn matches(&self, query: &Query, number: i64) -> bool {
        query.clauses().iter().all(|clause| (self.count(clause, number) > 0) != clause.negated)
    }

    /// How often a clause matches in a text.
    fn count(&self, clause: &Clause, number: i64) -> usize {
        let places = |token: &str| {
            self.postings.get(token).and_then(|postings| postings.get(&number)).map(|at| &**at)
        };
        let (last, before) = clause.tokens.split_last().expect("a clause has a token");
        let ends: Vec<u32> = if clause.prefix {
            self.with_prefix(last).filter_map(|(_, p)| p.get(&number)).flatten().copied().collect()
        } else {
            places(last).unwrap_or_default().to_vec()
        };
        ends.into_iter()
            .filter(|end| {
                before.iter().rev().zip(1..).all(|(token, back)| {
                    end.checked_sub(back).is_some_and(|at| {
                        places(token).is_some_and(|places| places.binary_search(&at).is_ok())
                    })
                })
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_finds_what_the_query_matches() {
        let texts =
            ["a double charge", "charge it", "部署名", "double, double charge", "", "DÉJÀ vu"];
        let mut index = InvertedIndex::new();
        for (number, text) in texts.iter().enumerate() {
            index.insert(number as i64, text);
        }
        for query in [
            "charge",
            "\"double charge\"",
            "d*",
            "charge -double",
            "部",
            "署名",
            "deja",
            "-x",
            "a* b*",
        ] {
            let query = Query::parse(query).unwrap();
            let expected: Vec<i64> = (0..texts.len() as i64)
                .filter(|number| query.matches(texts[*number as usize]))
                .collect();
            assert_eq!(index.oldest_first(&query, None).collect::<Vec<_>>(), expected, "{query:?}");
            let mut newest: Vec<i64> = index.newest_first(&query, None).collect();
            newest.reverse();
            assert_eq!(newest, expected, "{query:?}");
        }
        for (number, text) in texts.iter().enumerate() {
            index.remove(number as i64, text);
        }
        assert!(index.postings.is_empty());
    }
}
