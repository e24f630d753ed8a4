//! How often a text has what a query looks for.

use super::query::{Clause, Query};
use super::tokens;

/// What a text has of a query.
pub(super) struct Occurrences {
    /// Of each clause, in the query's order.
    pub(super) counts: Vec<u32>,
    /// Of all tokens of the text.
    pub(super) length: u32,
}

impl Occurrences {
    /// Counts in one walk along the text, whose cost does not grow with the length of a phrase.
    pub(super) fn of(query: &Query, text: &str) -> Self {
        let mut readers: Vec<Reader<'_>> = query.clauses().iter().map(Reader::new).collect();
        let mut length = 0;
        tokens(text, |token| {
            length += 1;
            readers.iter_mut().for_each(|reader| reader.read(token));
        });
        Self { counts: readers.into_iter().map(|reader| reader.count).collect(), length }
    }
}

/// Looks for one clause as the tokens come by, by the method of Knuth, Morris and Pratt.
struct Reader<'q> {
    clause: &'q Clause,
    /// For each number of tokens that match, how many of the clause's first ones match too, one
    /// token later at the earliest.
    shorter: Vec<usize>,
    /// How many of the clause's tokens, without the last one, match up to here.
    matched: usize,
    count: u32,
}

impl<'q> Reader<'q> {
    fn new(clause: &'q Clause) -> Self {
        let before = &clause.tokens[..clause.tokens.len() - 1];
        let mut shorter = vec![0; before.len() + 1];
        for end in 1..before.len() {
            let mut matched = shorter[end];
            while matched > 0 && before[matched] != before[end] {
                matched = shorter[matched];
            }
            shorter[end + 1] = if before[matched] == before[end] { matched + 1 } else { 0 };
        }
        Self { clause, shorter, matched: 0, count: 0 }
    }

    fn read(&mut self, token: &str) {
        let before = self.clause.tokens.len() - 1;
        if self.matched == before {
            if self.clause.token_matches(before, token) {
                self.count += 1;
            }
            if before == 0 {
                return;
            }
            self.matched = self.shorter[before];
        }
        while self.matched > 0 && self.clause.tokens[self.matched] != token {
            self.matched = self.shorter[self.matched];
        }
        if self.clause.tokens[self.matched] == token {
            self.matched += 1;
        }
    }
}
