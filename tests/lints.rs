//! Rules for the sources that the compiler does not know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shs_tests::lint::unsafe_fetches;

/// The sources below a folder, by the folder that they are in.
fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found
                .entry(folder.to_owned())
                .or_default()
                .push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn what_writes_is_fetched_inside_transactions_only() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut folders);
    }
    let fetching = folders.values().flatten().filter(|source| source.contains(".fetch")).count();
    assert!(fetching > 5, "the sources are there");
    for (folder, sources) in folders {
        let found = unsafe_fetches(&sources);
        assert!(found.is_empty(), "{}: {found:?}; see tests/support/lint.rs", folder.display());
    }
}

/// Each is caught.
const BAD: [&str; 14] = [
    r#"fn f(c: C) { query("INSERT INTO t VALUES (1) RETURNING id").fetch_one(c); }"#,
    r#"fn f(c: C) { query("select 1; update t set x = 1").bind(1).fetch_optional(&mut *c); }"#,
    r##"fn f(c: C) { query(r#"WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone"#).fetch_all(c); }"##,
    r#"fn f(c: C) { query_scalar("REPLACE INTO t VALUES (1) RETURNING id").fetch(c); }"#,
    r#"fn f(c: C) { c.fetch_many(raw_sql("DELETE FROM t")); }"#,
    r#"fn f(c: C) { const SQL: &str = "INSERT INTO t VALUES (1)"; query(SQL).fetch_one(c); }"#,
    r#"const SQL: &str = concat!("INSERT", " INTO t"); fn f(c: C) { query(SQL).fetch_one(c); }"#,
    r#"macro_rules! sql { () => { "UPDATE t SET x = 1" } } fn f(c: C) { query(sql!()).fetch_one(c); }"#,
    r#"fn sql() -> String { format!("INSERT INTO {T}") } fn f(c: C) { query(&sql()).fetch_one(c); }"#,
    r#"fn row(c: C, sql: &'static str) { query(sql).fetch_one(c); } fn f(c: C) { row(c, "DELETE FROM t") }"#,
    r#"impl Store { async fn f(&mut self) { query("DELETE FROM t").fetch_one(&mut self.c).await; } }"#,
    r#"fn f(p: Pool) { let mut t = p.begin(); query("DELETE FROM t").fetch_one(&mut *t); t.commit(); }"#,
    r#"fn f(t: &Transaction) { query("DELETE FROM t").fetch_one(t); }"#,
    r#"mod inner { impl A for B { fn f(c: C) { if x { query("DELETE FROM t").fetch_all(c); } } } }"#,
];

/// None is caught.
const GOOD: [&str; 6] = [
    r#"fn f(t: &mut Transaction<'_>) { query("INSERT INTO t VALUES (1) RETURNING id").fetch_one(t); }"#,
    r#"impl Transaction<'_> { fn f(&mut self) { query("DELETE FROM t").fetch_one(&mut self.c); } }"#,
    r#"fn f(c: C) { query("INSERT INTO t VALUES (1)").execute(c); }"#,
    r#"fn f(c: C) { query("SELECT replace(x, 'a', 'b'), updated_at FROM t").fetch_all(c); }"#,
    r#"const SQL: &str = "DELETE FROM t"; fn f(c: C) { query(SQL).execute(c); } fn g(c: C) { query("SELECT 1").fetch_one(c); }"#,
    r#"fn row(c: C, sql: &str) { query(sql).fetch_one(c); } fn f(c: C) { row(c, "SELECT 1") }"#,
];

#[test]
fn the_rule_catches_what_is_bad_and_nothing_else() {
    for bad in BAD {
        assert!(!unsafe_fetches(&[bad.to_owned()]).is_empty(), "{bad}");
    }
    for good in GOOD {
        let found = unsafe_fetches(&[good.to_owned()]);
        assert!(found.is_empty(), "{found:?}: {good}");
    }
    // What is bad stays bad among what is good, also in several files.
    let files = [&GOOD[..], &BAD[9..10]].concat().into_iter().map(str::to_owned);
    assert!(unsafe_fetches(&files.collect::<Vec<_>>()).contains("f"));
}
