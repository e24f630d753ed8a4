//! The query language.

#[cfg(test)]
use super::analyze::Token;
use super::analyze::{Kind, analyze};
use super::occurrences::Occurrences;
use super::snippet::{self, Snippet};
use crate::limits::MAX_QUERY_BYTES;
use crate::{Error, Result};

/// A search query, parsed. [The module](crate::text) tells the language.
///
/// # Examples
/// ```
/// use shs_store::text::Query;
///
/// let query = Query::parse(r#"deploy* "to production" -staging"#)?;
/// assert!(query.matches("Deployed TO Production."));
/// assert!(!query.matches("Deployed to production, then to staging."));
/// assert!(!query.matches("Production: deploy to it."));
/// # Ok::<_, shs_store::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    clauses: Vec<Clause>,
}

/// One condition of a [`Query`]: tokens that stand next to each other in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Clause {
    /// The tokens; at least one.
    pub tokens: Vec<String>,
    /// Whether the last token is the beginning of one.
    pub prefix: bool,
    /// Whether the message must not match.
    pub negated: bool,
    /// Whether a match of the last token covers its first character only.
    pub(super) head_only: bool,
}

impl Query {
    /// Parses what a person typed.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is longer than 4,096 bytes. Nothing else is
    /// an error.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(Error::invalid(format!(
                "a search query of {} bytes; the limit is {MAX_QUERY_BYTES}",
                text.len()
            )));
        }
        let mut clauses = Vec::new();
        for piece in split(text) {
            if let Some(clause) = piece.into_clause()
                && !clauses.contains(&clause)
            {
                clauses.push(clause);
            }
        }
        Ok(Self { clauses })
    }

    /// The conditions, all of which must hold, each once.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// The conditions that look for something.
    pub fn positive(&self) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(|clause| !clause.negated)
    }

    /// The conditions that exclude something.
    pub fn negative(&self) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(|clause| clause.negated)
    }

    /// Whether there is nothing to look for, so that no message matches.
    pub fn is_empty(&self) -> bool {
        self.positive().next().is_none()
    }

    /// Whether a text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.is_met_by(&Occurrences::of(self, text).counts)
    }

    /// Whether a text matches that has each clause so often.
    pub(super) fn is_met_by(&self, counts: &[u32]) -> bool {
        let mut clauses = self.clauses.iter().zip(counts);
        !self.is_empty() && clauses.all(|(clause, count)| (*count > 0) != clause.negated)
    }

    /// The place of the match in a text, shortened, with the matches marked.
    pub fn snippet(&self, text: &str) -> Snippet {
        snippet::cut(self, text)
    }
}

impl Clause {
    /// The token at this place of the clause matches a token of a text.
    pub(super) fn token_matches(&self, at: usize, token: &str) -> bool {
        if self.prefix && at + 1 == self.tokens.len() {
            token.starts_with(&self.tokens[at])
        } else {
            token == self.tokens[at]
        }
    }

    /// The places in a text's tokens where the clause matches, as the number of the first token; to
    /// compare with.
    #[cfg(test)]
    pub(super) fn find<'a>(&'a self, tokens: &'a [Token]) -> impl Iterator<Item = usize> + 'a {
        tokens.windows(self.tokens.len()).enumerate().filter_map(move |(first, window)| {
            let hit = window.iter().enumerate().all(|(at, t)| self.token_matches(at, &t.text));
            hit.then_some(first)
        })
    }
}

struct Piece<'a> {
    text: &'a str,
    prefix: bool,
    negated: bool,
}

impl Piece<'_> {
    fn into_clause(self) -> Option<Clause> {
        let found = analyze(self.text);
        let last = found.last()?;
        // What follows the piece in a message is not known: a run of an unspaced script may go on. So
        // its last character alone is left out, or, if it is all there is or has marks, looked for as a
        // beginning.
        let open = match last.kind {
            Kind::Tail { alone } => Some(alone || last.text.chars().nth(1).is_some()),
            Kind::Word | Kind::Pair => None,
        };
        let mut tokens: Vec<String> = found.into_iter().map(|token| token.text).collect();
        if open == Some(false) {
            tokens.pop();
        }
        Some(Clause {
            tokens,
            prefix: open == Some(true) || (self.prefix && open.is_none()),
            negated: self.negated,
            head_only: open == Some(true),
        })
    }
}

/// Splits a query at white space and quotes.
fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let after_minus = rest.strip_prefix('-');
        let negated =
            after_minus.is_some_and(|r| r.chars().next().is_some_and(|c| !c.is_whitespace()));
        if negated {
            rest = after_minus.unwrap_or(rest);
        } else if c == '-' {
            rest = &rest[1..];
            rest = rest.trim_start();
            continue;
        }
        let (piece, remainder) = match rest.strip_prefix('"') {
            // A quote that is not closed reaches to the end.
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        let (prefix, remainder) = match remainder.strip_prefix('*') {
            Some(remainder) => (true, remainder),
            None => (piece.ends_with('*') && !rest.starts_with('"'), remainder),
        };
        pieces.push(Piece { text: piece, prefix, negated });
        rest = remainder.trim_start();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(query: &str, text: &str) -> bool {
        Query::parse(query).unwrap().matches(text)
    }

    #[test]
    fn words_phrases_prefixes_and_exclusions() {
        assert!(finds("charge double", "a DOUBLE charge"));
        assert!(!finds("\"charge double\"", "a double charge"));
        assert!(finds("\"double charge\"", "a double charge"));
        assert!(finds("char*", "charge"));
        assert!(!finds("char", "charge"));
        assert!(finds("\"double char\"*", "double charge"));
        assert!(!finds("charge -double", "a double charge"));
        assert!(finds("charge -\"charge double\"", "a double charge"));
        assert!(finds("node.js", "I like node.js"));
        assert!(!finds("node.js", "js node"));
        assert!(finds("multi-agent", "a multi agent"));
        assert!(finds("C++", "in c"));
    }

    #[test]
    fn any_piece_of_an_unspaced_sentence_is_found() {
        let text = "新しい部署名をテストする";
        for query in ["部", "部署", "署名", "部署名", "テスト", "する", "る", "新", "い部"]
        {
            assert!(finds(query, text), "{query}");
        }
        assert!(!finds("名部", text));
        assert!(finds("\"内部 deploy\"", "内部 deploy"));
        assert!(finds("\"部 deploy\"", "内部 deploy"));
        assert!(!finds("\"内 deploy\"", "内部 deploy"));
        assert!(finds("ｔｅｓﾃｽﾄ", "tesテスト"));
        // Marks belong to what is looked for: the vowels of Thai are not passed over.
        for query in ["ที่", "กที", "กที่", "ที่น"] {
            assert!(finds(query, "กที่นา"), "{query}");
        }
        assert!(!finds("กที่", "กทนา"));
    }

    #[test]
    fn anything_typed_is_a_query() {
        for text in
            ["", "\"", "\"\"", "*", "-", "--", "- -", "-\"", "()", "…", "-only", "\"*", "* *"]
        {
            let query = Query::parse(text).unwrap();
            assert!(query.is_empty(), "{text}");
            assert!(!query.matches("only text"), "{text}");
        }
        assert!(finds("AND OR NOT NEAR(", "and or not near"));
        assert!(Query::parse(&"x".repeat(MAX_QUERY_BYTES + 1)).is_err());
    }
}
