//! How well texts match.

use super::occurrences::Occurrences;
use super::query::Query;
use crate::limits::{MAX_RANKED, MAX_RANKED_BYTES};

/// How much a word that stands there once more counts, and how much the length of a text does.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Weighs the newest texts that match a query, for searches ordered by rank; for backends.
///
/// The rank is that of [BM25](https://en.wikipedia.org/wiki/Okapi_BM25), with k1 = 1.2 and b = 0.75,
/// but for two things. All words weigh the same: each text has all of them, and how rare a word is
/// elsewhere would tell of messages that the one who searches may not see. And the mean length of a
/// text is that of the texts that are weighed. So a rank depends on them alone, and is the same on
/// every backend.
///
/// # Examples
/// ```
/// use shs_store::text::{Query, Ranking};
///
/// let query = Query::parse("charge")?;
/// let mut ranking = Ranking::new(&query);
/// ranking.weigh(2, "one charge among other words");
/// ranking.weigh(1, "charge, charge");
/// let best: Vec<i64> = ranking.best_first().map(|(number, _)| number).collect();
/// assert_eq!(best, [1, 2]);
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Debug)]
pub struct Ranking<'q> {
    query: &'q Query,
    weighed: Vec<Weighed>,
    bytes: usize,
    tokens: u64,
}

#[derive(Debug)]
struct Weighed {
    number: i64,
    /// Of each positive clause.
    counts: Box<[u32]>,
    length: u32,
}

impl<'q> Ranking<'q> {
    /// Weighs by how often texts have what a query looks for.
    pub fn new(query: &'q Query) -> Self {
        Self { query, weighed: Vec::new(), bytes: 0, tokens: 0 }
    }

    /// Whether no more texts are weighed: there are [`MAX_RANKED`], or they have
    /// [`MAX_RANKED_BYTES`].
    pub fn is_full(&self) -> bool {
        self.weighed.len() >= MAX_RANKED || self.bytes >= MAX_RANKED_BYTES
    }

    /// Adds the text with a number, the newest first. Returns whether it matches; one that does not
    /// is not added.
    pub fn weigh(&mut self, number: i64, text: &str) -> bool {
        let Occurrences { counts, length } = Occurrences::of(self.query, text);
        if !self.query.is_met_by(&counts) {
            return false;
        }
        let clauses = self.query.clauses().iter().zip(counts);
        let counts =
            clauses.filter(|(clause, _)| !clause.negated).map(|(_, count)| count).collect();
        self.weighed.push(Weighed { number, counts, length });
        self.bytes += text.len();
        self.tokens += u64::from(length);
        true
    }

    /// The numbers with their ranks, the best match first, and the newest first among equals.
    pub fn best_first(self) -> impl Iterator<Item = (i64, f64)> {
        let mean = self.tokens as f64 / self.weighed.len().max(1) as f64;
        let rank = |weighed: &Weighed| {
            let length = K1 * (1.0 - B + B * f64::from(weighed.length) / mean);
            let counts = weighed.counts.iter().map(|count| f64::from(*count));
            counts.map(|count| count * (K1 + 1.0) / (count + length)).sum::<f64>()
        };
        let mut ranked: Vec<(i64, f64)> =
            self.weighed.iter().map(|weighed| (weighed.number, rank(weighed))).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        ranked.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(query: &str, texts: &[&str]) -> Vec<(i64, f64)> {
        let query = Query::parse(query).unwrap();
        let mut ranking = Ranking::new(&query);
        for (number, text) in (0..).zip(texts) {
            ranking.weigh(number, text);
        }
        ranking.best_first().collect()
    }

    #[test]
    fn more_matches_in_a_shorter_text_rank_higher() {
        let texts = ["one charge among many other words that say nothing of it", "charge charge"];
        let order: Vec<i64> =
            ranks("charge", &texts).into_iter().map(|(number, _)| number).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn the_ranks_are_those_of_the_formula() {
        let found = ranks("a -x", &["a a b", "a", "a x", "b"]);
        // Of lengths 3 and 1 the mean is 2.
        let expected = [
            (0, 2.0 * 2.2 / (2.0 + 1.2 * (0.25 + 0.75 * 3.0 / 2.0))),
            (1, 2.2 / (1.0 + 1.2 * (0.25 + 0.75 / 2.0))),
        ];
        assert_eq!(found.len(), 2);
        for (number, rank) in expected {
            let (_, found) = found.iter().find(|(other, _)| *other == number).unwrap();
            assert!((found - rank).abs() < 1e-12, "{number}: {found} and {rank}");
        }
    }

    #[test]
    fn the_newest_is_first_among_equals() {
        let found = ranks("a", &["a", "a", "a"]);
        assert_eq!(found.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn no_more_is_weighed_than_the_limits_say() {
        let query = Query::parse("a").unwrap();
        let mut ranking = Ranking::new(&query);
        ranking.weigh(1, &"a ".repeat(MAX_RANKED_BYTES / 2));
        assert!(ranking.is_full());
        let mut ranking = Ranking::new(&query);
        for number in 0..MAX_RANKED as i64 {
            assert!(!ranking.is_full());
            ranking.weigh(number, "a");
        }
        assert!(ranking.is_full());
    }

    #[test]
    fn a_phrase_of_one_word_again_and_again_costs_no_more_than_a_short_one() {
        let query = Query::parse(&format!("\"{}\"", "a ".repeat(2_000))).unwrap();
        let mut ranking = Ranking::new(&query);
        assert!(ranking.weigh(1, &"a ".repeat(1_000_000)));
        let query = Query::parse(&format!("\"{}b\"", "a ".repeat(2_000))).unwrap();
        assert!(!Ranking::new(&query).weigh(1, &"a ".repeat(1_000_000)));
    }
}
