//! The query language: any text is a query, and whoever answers it finds the same.

use session_history_saver::limits::MAX_QUERY_BYTES;
use session_history_saver::text::{InvertedIndex, Query, Ranking};

/// Takes the first line as a query and the rest as the content of a message.
///
/// # Panics
/// If a promise of the query language is broken.
pub fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (typed, content) = text.split_once('\n').unwrap_or((&text, ""));
    match Query::parse(typed) {
        Ok(query) => find(&query, content),
        Err(error) => assert!(typed.len() > MAX_QUERY_BYTES, "{error}"),
    }
    find_itself(typed);
}

/// The query, the index and the snippet agree.
fn find(query: &Query, content: &str) {
    assert!(query.clauses().iter().all(|clause| !clause.tokens.is_empty()));
    let matches = query.matches(content);
    let mut index = InvertedIndex::new();
    index.insert(1, content);
    assert_eq!(index.newest_first(query, None).next().is_some(), matches, "newest first");
    assert_eq!(index.oldest_first(query, None).next().is_some(), matches, "oldest first");
    let mut ranking = Ranking::new(query);
    assert_eq!(ranking.weigh(1, content), matches, "ranked");
    assert!(ranking.best_first().all(|(_, rank)| rank.is_finite()));
    let snippet = query.snippet(content);
    assert!(content.contains(&snippet.text), "a snippet is a piece of the content");
    assert!(!matches || !snippet.matches.is_empty(), "a match is marked");
    let mut end = 0;
    for range in &snippet.matches {
        assert!(range.start >= end && range.start < range.end, "marks rise");
        assert!(snippet.text.get(range.clone()).is_some(), "marks stand between characters");
        end = range.end;
    }
    index.remove(1, content);
    assert_eq!(index.newest_first(query, None).next(), None);
}

/// A text in quotes finds the message that it is, unless there is nothing in it to look for.
fn find_itself(text: &str) {
    let text = text.replace('"', " ");
    if let Ok(query) = Query::parse(&format!("\"{text}\"")) {
        assert!(query.clauses().len() <= 1, "one phrase is one condition");
        assert!(query.is_empty() || query.matches(&text), "a text is found by itself");
    }
}
