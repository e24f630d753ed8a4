//! Search finds the same in every store, whatever is said and whatever is asked.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use session_history_saver::text::Query;
use session_history_saver::{
    Location, NewMessage, NewSession, Scope, SearchOrder, SearchQuery, SessionId, Store, StoreExt,
    open_store,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// 200 cases, or as many as `PROPTEST_CASES` says; from a seed that is printed and that `PROPTEST_RNG_SEED` sets.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 200;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    println!("PROPTEST_RNG_SEED={seed} PROPTEST_CASES={}", config.cases);
    config
}

/// The stores that are compared.
struct Stores {
    runtime: Runtime,
    stores: Vec<Arc<dyn Store>>,
    _folder: TempDir,
}

impl Stores {
    fn open() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let locations = [
            Location::Memory,
            Location::fs(folder.path().join("history")),
            Location::sqlite(folder.path().join("history.db")),
        ];
        let open = futures::future::try_join_all(locations.iter().map(open_store));
        let stores = runtime.block_on(open).unwrap();
        Self { runtime, stores, _folder: folder }
    }

    /// Stores the texts in every store, each in a message, and checks what every query finds among them.
    fn check(&self, texts: &[String], queries: &[String]) -> Result<(), TestCaseError> {
        let session = SessionId::generate();
        let batch: Vec<NewMessage> = texts.iter().map(NewMessage::user).collect();
        for store in &self.stores {
            self.runtime.block_on(async {
                store
                    .create_session(&Scope::DEFAULT, NewSession::with_id(session.clone()))
                    .await
                    .unwrap();
                store.append_all(&Scope::DEFAULT, &session, batch.clone()).await.unwrap();
            });
        }
        // What is said is asked for as well.
        for text in queries.iter().chain(texts) {
            let Ok(parsed) = Query::parse(text) else { continue };
            let expected: Vec<_> = batch
                .iter()
                .filter(|message| parsed.matches(&message.content))
                .map(|message| &message.id)
                .collect();
            for (store, order) in self
                .stores
                .iter()
                .flat_map(|store| [(store, SearchOrder::Oldest), (store, SearchOrder::Rank)])
            {
                let query = SearchQuery::new(text.as_str())
                    .with_session(session.clone())
                    .with_order(order)
                    .with_limit(100);
                let page = self.runtime.block_on(store.search(&Scope::DEFAULT, &query));
                let mut items = page.map_err(|error| TestCaseError::fail(error.to_string()))?.items;
                items.sort_by_key(|hit| hit.message.seq);
                let found: Vec<_> = items.iter().map(|hit| &hit.message.id).collect();
                prop_assert_eq!(
                    &found,
                    &expected,
                    "{}: {:?} among {:?}",
                    store.name(),
                    text,
                    texts
                );
                for hit in &items {
                    prop_assert_eq!(&hit.snippet, &parsed.snippet(&hit.message.content));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        for store in &self.stores {
            self.runtime.block_on(store.close()).unwrap();
        }
    }
}

/// Pieces of many scripts, and all that means something in a query.
const PIECES: &[&str] = &[
    "a",
    "b",
    "A",
    "ab",
    "é",
    "e\u{301}",
    "ß",
    "ẞ",
    "ﬁ",
    "ｂ",
    "½",
    "1",
    "İ",
    "Σ",
    "ς",
    " ",
    " ",
    " ",
    " ",
    "\u{3000}",
    "-",
    "\"",
    "\"",
    "*",
    "'",
    ".",
    ":",
    "(",
    "\0",
    "AND ",
    "NOT ",
    "部",
    "署",
    "名",
    "葛\u{e0100}",
    "テ",
    "ﾃ",
    "ス",
    "カ\u{3099}",
    "ｶﾞ",
    "ﾞ",
    "한",
    "국",
    "ㅎ",
    "ㅏ",
    "\u{1112}",
    "\u{1161}",
    "\u{11ab}",
    "ก",
    "ที่",
    "ำ",
    "क",
    "ा",
    "्",
    "\u{5b0}",
    "שָׁ",
    "عَ",
    "ﷺ",
    "\u{200d}",
    "\u{ad}",
    "\u{fe0f}",
    "👍",
    "\u{301}",
];

fn text(most: usize) -> impl Strategy<Value = String> {
    let mixed = prop::collection::vec(prop::sample::select(PIECES), 0..most);
    prop_oneof![9 => mixed.prop_map(|pieces| pieces.concat()), 1 => any::<String>()]
}

#[test]
fn every_store_finds_the_same() {
    let stores = Stores::open();
    let texts = prop::collection::vec(text(16), 1..6);
    let queries = prop::collection::vec(text(6), 4..12);
    proptest!(config(), |(texts in texts, queries in queries)| {
        stores.check(&texts, &queries)?;
    });
}

#[test]
fn every_store_understands_anything_that_can_be_typed() {
    let stores = Stores::open();
    let many: String = (0..800).map(|number| format!("w{number} ")).collect();
    let mostly_excluded: String = (0..600).map(|number| format!("-x{number} ")).collect();
    let marks = format!("か{}", "\u{483}".repeat(30_000));
    let texts = [
        "AND OR NOT NEAR(",
        "and or not near",
        "100% \"quoted\" *",
        &many,
        &marks,
        "a\0b",
        "content : a",
        "\u{feff}bom",
        "",
    ]
    .map(str::to_owned);
    let queries = [
        "AND OR NOT NEAR(",
        "NEAR(a b, 2)",
        "\"",
        "\"\"",
        "*",
        "* *",
        "-",
        "--",
        "-*",
        "\"*",
        "%",
        "_",
        "'",
        "''; --",
        "^a",
        "{a b}: c",
        "content : a",
        "scope:s1",
        "a\0b",
        "()",
        "( AND )",
        "a NOT",
        ".,;!?",
        &format!("w0 {mostly_excluded}"),
        &"\"".repeat(4_096),
        &"a*".repeat(2_048),
        &"* ".repeat(2_048),
        &"-a ".repeat(1_365),
        &"部".repeat(1_365),
        &format!("\"{}\"", "a ".repeat(2_047)),
        "か*",
        "か",
        &"か\u{483}\u{483}\u{483}\u{483}".repeat(300),
    ]
    .map(str::to_owned);
    stores.check(&texts, &queries).unwrap();
}
