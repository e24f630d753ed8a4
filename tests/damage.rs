//! Bits that flip anywhere in a SQLite database: a typed error, or what was stored, and never a panic.
//!
//! SQLite has no checksums of its pages. What it notices is what breaks its structure: the heads of pages and cells, the
//! schema. The store has a checksum for each row, and knows how many messages a session has. What is left is what a list
//! has lost: a bit that flips in the text index can hide a message from a search, or move it among those of equal rank, and
//! one in the table of totals a row of it; so which messages a search finds may be wrong, and never what it says of one, and
//! statistics may lack something. `verify` finds that too. In the files of `shs-fs` every flip is noticed
//! (`crates/shs-fs/tests/damage.rs`).
//!
//! `SHS_FLIPS=200`, for each page, for a long run; `SHS_SEED` for other places.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use futures::TryStreamExt;
use serde_json::json;
use session_history_saver::{
    Error, ErrorKind, MessagePatch, MessageQuery, NewMessage, NewSession, Part, Result, Scope,
    SearchOrder, SearchQuery, Session, SessionId, SessionQuery, StatsQuery, Store, StoreExt,
    Timestamp,
};
use shs_sqlite::SqliteStore;
use shs_tests::power::Dice;

const PAGE: usize = 4_096;

/// How many places of each page are flipped.
fn flips() -> usize {
    std::env::var("SHS_FLIPS").map_or(3, |flips| flips.parse().expect("SHS_FLIPS is a number"))
}

fn seed() -> u64 {
    std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("SHS_SEED is a number"))
}

/// A small database with everything in it: long texts, parts, tags, forks, changed and deleted messages.
async fn write(path: &Path) -> Result<()> {
    let store = SqliteStore::open(path).await?;
    for name in ["a", "b"] {
        let new =
            NewSession::with_id(name.parse()?).with_user("alice").with_tag("t").with_title(name);
        let id = store.create_session(&Scope::DEFAULT, new.with_project("p")).await?.id;
        let batch = (0..12).map(|number| {
            let long = "long ".repeat(if number == 5 { 2_000 } else { number });
            let new = NewMessage::user(format!("word {number} {long}")).with_tokens(number as u32);
            new.with_id(format!("m{number}").parse().expect("the id is valid"))
                .with_timestamp(Timestamp::MIN)
                .with_model(format!("model{}", number % 3))
                .with_parts(vec![Part::tool_call("c", "n", json!({"number": number}))])
        });
        store.append_all(&Scope::DEFAULT, &id, batch.collect()).await?;
        store
            .update_message(
                &Scope::DEFAULT,
                &id,
                &"m3".parse()?,
                MessagePatch::new().with_content("new"),
            )
            .await?;
        store.delete_message(&Scope::DEFAULT, &id, &"m7".parse()?).await?;
    }
    let source: SessionId = "a".parse()?;
    let last = store.session(&Scope::DEFAULT, &source).await?.last_seq;
    store.fork(&Scope::DEFAULT, &source, last, NewSession::with_id("f".parse()?)).await?;
    store.close().await
}

/// What is told of a store, by what was asked.
type Told = BTreeMap<String, Vec<String>>;

/// Reads everything in every way, and goes on after an error.
async fn read(store: &SqliteStore) -> (Told, Vec<Error>) {
    let (mut told, mut errors) = (Told::new(), Vec::new());
    let mut note = |question: String, answer: Result<Vec<String>>| match answer {
        Ok(answer) => drop(told.insert(question, answer)),
        Err(error) => errors.push(error),
    };
    fn texts<T: fmt::Debug>(answer: impl IntoIterator<Item = T>) -> Vec<String> {
        answer.into_iter().map(|item| format!("{item:?}")).collect()
    }
    let listed: Result<Vec<Session>> =
        store.session_stream(&Scope::DEFAULT, SessionQuery::new()).try_collect().await;
    note("list".to_owned(), listed.map(texts));
    for name in ["a", "b", "f"] {
        let id: SessionId = name.parse().expect("the id is valid");
        note(
            format!("session {name}"),
            store.session(&Scope::DEFAULT, &id).await.map(|session| texts([session])),
        );
        let messages =
            store.messages(&Scope::DEFAULT, &id, &MessageQuery::new().with_limit(1_000)).await;
        note(format!("messages {name}"), messages.map(|page| texts(page.items)));
    }
    note(
        STATS.to_owned(),
        store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.map(|stats| texts([stats])),
    );
    for order in [SearchOrder::Newest, SearchOrder::Rank] {
        for query in ["word", "w* -7"] {
            let search = SearchQuery::new(query).with_order(order).with_limit(200);
            let page = store.search(&Scope::DEFAULT, &search).await;
            let hits = page.map(|page| texts(page.items.into_iter().map(|hit| hit.message)));
            note(format!("{SEARCH} {query} {order:?}"), hits);
        }
    }
    (told, errors)
}

/// What came of flips.
#[derive(Debug, Default)]
struct Outcomes {
    flips: usize,
    /// An error said so.
    noticed: usize,
    /// All was read as it was stored.
    harmless: usize,
    /// A search lacked a message, or gave them in another order, or statistics lacked something.
    incomplete: usize,
}

/// How questions to the text index begin.
const SEARCH: &str = "search";
/// The question for totals.
const STATS: &str = "stats";

/// Fails if something was told that was not stored.
fn assert_true(told: &Told, expected: &Told, what: &str) {
    let stored: BTreeSet<&String> = expected.values().flatten().collect();
    for (question, answer) in told {
        if question.starts_with(SEARCH) {
            assert!(answer.iter().all(|message| stored.contains(message)), "{what}: {question}");
        } else if question != STATS {
            assert_eq!(answer, &expected[question], "{what}: {question}");
        }
    }
}

#[tokio::test]
async fn whatever_bit_flips_what_is_read_is_an_error_or_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    write(&path).await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let (expected, errors) = read(&store).await;
    assert!(errors.is_empty(), "{errors:?}");
    store.close().await.unwrap();

    let mut dice = Dice::new(seed());
    let mut outcomes = Outcomes::default();
    for place in (0..whole.len()).step_by(PAGE).flat_map(|page| std::iter::repeat_n(page, flips()))
    {
        let at = place + dice.below(PAGE);
        let bits = 1 + dice.below(255) as u8;
        let what = format!("SHS_SEED={}: bits {bits:#010b} of byte {at}", seed());
        let damaged = tempfile::tempdir().unwrap();
        let path = damaged.path().join("history");
        let mut bytes = whole.clone();
        bytes[at] ^= bits;
        std::fs::write(&path, &bytes).unwrap();
        let (told, errors) = match SqliteStore::open(&path).await {
            Ok(store) => {
                let (told, mut errors) = read(&store).await;
                let appended = store
                    .append(&Scope::DEFAULT, &"a".parse().unwrap(), NewMessage::user("more"))
                    .await;
                errors.extend(appended.err());
                errors.extend(store.close().await.err());
                (told, errors)
            }
            Err(error) => (Told::new(), vec![error]),
        };
        outcomes.flips += 1;
        for error in &errors {
            let kinds = [
                ErrorKind::Corrupt,
                ErrorKind::Unavailable,
                ErrorKind::Unsupported,
                // The id itself may be another.
                ErrorKind::NotFound,
            ];
            assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
        }
        assert_true(&told, &expected, &what);
        if !errors.is_empty() {
            outcomes.noticed += 1;
        } else if told == expected {
            outcomes.harmless += 1;
        } else {
            outcomes.incomplete += 1;
        }
    }
    println!("{outcomes:?} in {} pages", whole.len() / PAGE);
    assert!(outcomes.noticed > outcomes.flips / 20, "the test sees nothing");
    assert!(outcomes.harmless > outcomes.flips / 20, "all is refused");
    assert!(outcomes.incomplete < outcomes.flips / 20, "searches are not to be relied on");
}
