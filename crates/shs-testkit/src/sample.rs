//! Sessions and messages to test with, with fixed ids and times.

use serde_json::Value;
use shs_store::{Map, MessageId, NewMessage, NewSession, Seq, SessionId, Timestamp};

/// Texts in several scripts, for search.
pub(crate) const CORPUS: &[&str] = &[
    "The deployment failed twice.",
    "Deployment: DÉJÀ vu, déjà-vu!",
    "de\u{301}ja\u{300} decomposed",
    "新しい部署名をテストする",
    "部署手册",
    "内部 deploy",
    "ガス料金 ﾃｽﾄ",
    "한국어 검색 시험",
    "ภาษาไทยค้นหา",
    "Привет, мир! Ёлка",
    "ПРИВЕТ ещё раз",
    "مرحبا بالعالم",
    "مَرْحَبًا",
    "שָׁלוֹם עולם",
    "हिन्दी में खोज",
    "Straße und STRASSE",
    "ΟΔΟΣ οδός",
    "node.js and C++",
    "AND OR NOT NEAR(a b)",
    "col:x {a b} ^a",
    "a double charge",
    "charge double",
    "double double charge, charged twice",
    "refund -charge",
    "",
    "… — 👍 \0",
    "x_y can't 3.14",
    "GPT4模型v2",
    "deploying deployed deploy",
    "the end\0of it",
];

/// What people type, and what full-text engines take for syntax.
pub(crate) const QUERIES: &[&str] = &[
    "deployment",
    "DEPLOYMENT twice",
    "deploy*",
    "deploy* -deployed",
    "DÉJÀ",
    "deja",
    "\"deja vu\"",
    "\"vu deja\"",
    "部署",
    "部",
    "署名",
    "\"部 deploy\"",
    "テスト",
    "ﾃｽﾄ",
    "ガス",
    "한국어",
    "국어",
    "ไทย",
    "привет",
    "елка",
    "ёлка -мир",
    "مرحبا",
    "שלום",
    "हिन्दी",
    "strasse",
    "οδος",
    "node.js",
    "js node",
    "C++",
    "AND OR NOT NEAR(",
    "NEAR(a b)",
    "NOT",
    "col:x",
    "{a b}",
    "^a",
    "a b",
    "\"a b\"",
    "double charge",
    "\"double charge\"",
    "\"charge double\"",
    "charg*",
    "\"double char\"*",
    "charge -double",
    "charge -\"double charge\"",
    "double double",
    "\"double double\"",
    "-charge",
    "- charge",
    "--charge",
    "\"",
    "\"\"",
    "\"charge",
    "*",
    "-",
    "* *",
    "'",
    "can't",
    "3.14",
    "x_y",
    "模型",
    "gpt4模型",
    "of\0it",
    "\0",
    "%",
    "_",
    "…",
    "👍",
    "",
    " ",
    "; DROP TABLE messages; --",
    "absent",
    "charge absent",
];

pub(crate) fn session_id(id: impl AsRef<str>) -> SessionId {
    SessionId::new(id).expect("the id is valid")
}

pub(crate) fn message_id(id: impl AsRef<str>) -> MessageId {
    MessageId::new(id).expect("the id is valid")
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("the number is valid")
}

/// A time so many seconds after the start of the manual clock.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + seconds * 1_000_000)
        .expect("the time is within the range")
}

/// A session with this id and nothing else.
pub(crate) fn session(id: impl AsRef<str>) -> NewSession {
    NewSession::with_id(session_id(id))
}

/// A message of the user with this id, said at the start of the manual clock.
pub(crate) fn said(id: impl AsRef<str>, content: impl Into<String>) -> NewMessage {
    NewMessage::user(content).with_id(message_id(id)).with_timestamp(at(0))
}

/// Messages `m1`, `m2`, …, said a second apart.
pub(crate) fn conversation(count: usize) -> Vec<NewMessage> {
    let message = |number: usize| {
        let spoken = if number % 2 == 1 { NewMessage::user } else { NewMessage::assistant };
        spoken(format!("turn {number}"))
            .with_id(message_id(format!("m{number}")))
            .with_timestamp(at(number as i64))
    };
    (1..=count).map(message).collect()
}

/// The object of a `json!` literal.
pub(crate) fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}

/// An object that holds objects so many levels deep, itself included, and a number in the innermost.
pub(crate) fn nested(levels: usize) -> Map {
    let mut map = Map::from_iter([("leaf".to_owned(), Value::from(1))]);
    for _ in 1..levels {
        map = Map::from_iter([("inner".to_owned(), Value::Object(map))]);
    }
    map
}
