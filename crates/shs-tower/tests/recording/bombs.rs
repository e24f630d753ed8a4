//! Small bodies that become large.

use std::io::Write;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use http::{Method, Request, Uri, response};
use serde_json::{Value, json};
use shs_memory::MemoryStore;
use shs_store::{NewMessage, Status, Store};
use shs_tower::decode::{Decoder, OpenAiChat, Prompt, ReplyDecoder};
use shs_tower::{Limits, RecordLayer, Recorder, RecorderOptions};

use crate::bits::Bits;
use crate::support::{Answer, Body, Setup, body, chat, post, turns, until};

/// What the process may take of memory, in KiB.
const MEMORY_KIB: u32 = 256 * 1024;
const CHILD: &str = "SHS_TOWER_BOMB";
const MIB: usize = 1024 * 1024;

/// Bodies that would become 1 GiB, JSON of which the values would, and JSON that is just small
/// enough to be read.
const BOMBS: [&str; 14] = [
    "request gzip",
    "request deflate",
    "request br",
    "request gzip, br",
    "request messages",
    "request blocks",
    "request arguments",
    "request tools",
    "almost messages",
    "almost blocks",
    "response gzip",
    "response br",
    "response json",
    "response event",
];

fn gzip_bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&vec![b' '; 16 * MIB]).unwrap();
    gzip.finish().unwrap().repeat(64)
}

/// A zlib stream without an end, of blocks that are all the same.
fn deflate_bomb() -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), true);
    let spaces = vec![b' '; 4 * MIB];
    let mut block = || {
        let mut block = Vec::with_capacity(MIB);
        compress.compress_vec(&spaces, &mut block, FlushCompress::Sync).unwrap();
        block
    };
    let mut bomb = block();
    bomb.extend(block().repeat(255));
    bomb
}

/// Brotli (RFC 7932) whose blocks each say "16 MiB of this one literal", which takes no bits.
fn brotli_bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    // A window of 16 MiB.
    bits.push(0xf, 4);
    for _ in 0..64 {
        // Not the last block; six nibbles of length; 16 MiB; compressed.
        bits.push(0, 1);
        bits.push(2, 2);
        bits.push(0xff_ffff, 24);
        bits.push(0, 1);
        // One type of each kind of block, no direct distances, a context mode, one tree of each
        // kind.
        bits.push(0, 3);
        bits.push(0, 6);
        bits.push(0, 2);
        bits.push(0, 2);
        // Codes of one symbol: a space; insert 22,594 and 24 bits more, copy 2; the last distance.
        for (symbol, width) in [(u32::from(b' '), 8), (504, 10), (0, 6)] {
            bits.push(1, 2);
            bits.push(0, 2);
            bits.push(symbol, width);
        }
        bits.push((1 << 24) - 22_594, 24);
    }
    bits.push(3, 2);
    bits.align();
    bits.bytes
}

/// As many objects as fit.
fn wide(bytes: usize) -> String {
    format!("[{}{{}}]", "{},".repeat(bytes / 3))
}

fn request(encoding: Option<&str>, bytes: impl Into<Bytes>) -> Request<Body> {
    let request = Request::post("/v1/chat/completions").header("x-session-id", "bomb");
    let request = match encoding {
        Some(encoding) => request.header("content-encoding", encoding),
        None => request,
    };
    request.body(body(bytes)).unwrap()
}

fn exchange(bomb: &str) -> (Request<Body>, Answer) {
    let ask = || chat("bomb", turns(["Hello!"]));
    let many = wide(3_900_000);
    let answer = |kind: &'static str, body: Vec<u8>| {
        let mut answer = Answer::words([]);
        answer.headers = vec![("content-type", kind.to_owned())];
        answer.frames = vec![Ok(body.into())];
        answer
    };
    let nested_gzip = || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&brotli_bomb()).unwrap();
        gzip.finish().unwrap()
    };
    let question =
        |bytes: Vec<u8>, encoding: Option<&str>| (request(encoding, bytes), Answer::words(["Hi!"]));
    let stream = "text/event-stream";
    match bomb {
        "request gzip" => question(gzip_bomb(), Some("gzip")),
        "request deflate" => question(deflate_bomb(), Some("deflate")),
        "request br" => question(brotli_bomb(), Some("br")),
        "request gzip, br" => question(nested_gzip(), Some("br, gzip")),
        "almost messages" => question(format!("{{\"messages\":{}}}", wide(125_000)).into(), None),
        "almost blocks" => {
            let blocks = wide(125_000);
            let body = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{blocks}}}]}}");
            question(body.into(), None)
        }
        "request messages" => question(format!("{{\"messages\":{many}}}").into(), None),
        "request blocks" => {
            let body = format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{many}}}]}}");
            question(body.into(), None)
        }
        "request arguments" => {
            let call =
                format!("{{\"function\":{{\"name\":\"f\",\"arguments\":\"{}\"}}}},", wide(60_000));
            let calls = call.repeat(60);
            let calls = calls.trim_end_matches(',');
            let body =
                format!("{{\"messages\":[{{\"role\":\"assistant\",\"tool_calls\":[{calls}]}}]}}");
            question(body.into(), None)
        }
        "request tools" => {
            let body = format!("{{\"messages\":[],\"tools\":{many}}}");
            question(body.into(), None)
        }
        "response gzip" => (ask(), answer(stream, gzip_bomb()).header("content-encoding", "gzip")),
        "response br" => (ask(), answer(stream, brotli_bomb()).header("content-encoding", "br")),
        "response json" => {
            let body = format!("{{\"choices\":{}}}", wide(2_000_000));
            (ask(), answer("application/json", body.into()))
        }
        "response event" => {
            let body = format!("data: {{\"choices\":{}}}\n\n", wide(1_000_000));
            (ask(), answer(stream, body.repeat(8).into()))
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn small_bodies_that_become_large_take_little_memory() {
    if let Ok(bomb) = std::env::var(CHILD) {
        return set_off(&bomb).await;
    }
    for bomb in BOMBS {
        let name = "bombs::small_bodies_that_become_large_take_little_memory";
        let script = format!("ulimit -v {MEMORY_KIB} && exec \"$0\" --exact {name} --nocapture");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD, bomb)
            // Each arena would reserve 64 MiB of addresses, used or not.
            .env("MALLOC_ARENA_MAX", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        let cried = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("1 passed"), "{bomb}: {said}{cried}");
    }
}

async fn set_off(bomb: &str) {
    let setup = Setup::new();
    let (request, answer) = exchange(bomb);
    let bytes = answer.bytes();
    assert_eq!(setup.send(request, answer).await, bytes, "it passes as it is");
    setup.send(chat("honest", turns(["Hello!"])), Answer::words(["Hi!"])).await;
    assert_eq!(setup.said("honest").await, ["user: Hello!", "assistant: Hi!"]);
    let counts = setup.recorder.counts();
    assert_eq!((counts.recorded, counts.failed, counts.dropped), (2, 0, 0));
    let messages = setup.messages("bomb").await;
    let (question, answer) = (&messages[0].metadata, &messages[1].metadata);
    let told = if bomb.starts_with("response") { answer } else { question };
    assert_eq!(told.contains_key("shs.truncated"), !bomb.starts_with("almost"), "{told:?}");
}

#[tokio::test]
async fn a_request_that_decodes_to_more_than_the_limit_says_so() {
    let setup = Setup::with(|layer| layer.limits(Limits::default().with_request(5_000)));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let question = json!({"messages": turns([&*"x".repeat(10_000)])}).to_string();
    gzip.write_all(question.as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    let bytes = packed.len();
    setup.send(request(Some("gzip"), packed), Answer::words(["Hi!"])).await;
    let messages = setup.messages("bomb").await;
    assert_eq!(messages[0].metadata["shs.truncated"], json!({"bytes": bytes, "limit": 5_000}));
    assert_eq!((messages[0].content.as_str(), messages[1].content.as_str()), ("", "Hi!"));
}

#[tokio::test]
async fn json_that_would_take_too_much_memory_says_so() {
    let setup = Setup::with(|layer| layer.limits(Limits::default().with_parsed(100_000)));
    let tools: Vec<_> = (0..500).map(|_| json!({"a": 1})).collect();
    let question = json!({"messages": turns(["a"]), "tools": tools});
    setup.send(post("/v1/chat/completions", "s", &question), Answer::words(["Hi!"])).await;
    let messages = setup.messages("s").await;
    let told = &messages[0].metadata["shs.truncated"];
    assert_eq!(
        (&told["limit"], &told["bytes"]),
        (&json!(100_000), &question.to_string().len().into())
    );
    assert!(told["parsed"].as_u64().unwrap() > 300_000);
    assert_eq!(messages[1].content, "Hi!");
}

/// Decodes only when it is told to.
#[derive(Debug)]
struct Held {
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Decoder for Held {
    fn name(&self) -> &str {
        "held"
    }

    fn matches(&self, _: &Method, uri: &Uri) -> bool {
        uri.path() == "/held"
    }

    fn request(&self, body: &[u8]) -> Result<Prompt, String> {
        self.begun.send(()).unwrap();
        let go_on = self.go_on.lock().unwrap().recv_timeout(Duration::from_secs(30));
        go_on.map_err(|_| "nobody else had a turn".to_owned())?;
        Ok(Prompt::continues(vec![NewMessage::user(body.len().to_string())]))
    }

    fn response(&self, head: &response::Parts, limits: &Limits) -> Box<dyn ReplyDecoder> {
        OpenAiChat.response(head, limits)
    }
}

#[tokio::test]
async fn what_takes_long_to_read_does_not_hold_up_the_runtime() {
    let (begun, has_begun) = channel();
    let (go_on, waits) = channel();
    let decoder = Held { begun, go_on: Mutex::new(waits) };
    let setup = Setup::with(|layer| layer.decoder(decoder));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&vec![b' '; MIB]).unwrap();
    let packed = gzip.finish().unwrap();
    let held = Request::post("/held").header("content-encoding", "gzip");
    let held = held.header("x-session-id", "held").body(body(packed)).unwrap();
    let sending = setup.send(held, Answer::words(["Hi!"]));
    let others = async {
        // The runtime has one thread: this runs only if reading does not take it.
        until("the body is being read", async || has_begun.try_recv().is_ok()).await;
        go_on.send(()).unwrap();
    };
    tokio::join!(sending, others);
    assert_eq!(setup.said("held").await, [format!("user: {MIB}"), "assistant: Hi!".to_owned()]);
}

fn with_memory(bytes: usize) -> Setup {
    let store = Arc::new(MemoryStore::new());
    let options = RecorderOptions::default().with_memory(bytes);
    let recorder = Recorder::with_options(Arc::clone(&store) as Arc<dyn Store>, options);
    Setup { layer: RecordLayer::new(recorder.clone()), recorder, store }
}

#[tokio::test]
async fn bodies_under_way_count_in_the_recorders_memory() {
    let setup = with_memory(200 * 1024);
    let long = "x".repeat(150 * 1024);
    let words = Answer::words(["Hi", "!"]);
    // One whose answer does not end yet holds its question.
    let open = setup.call(chat("open", turns([&*long])), words.clone()).await;
    assert_eq!(setup.send(chat("no", turns([&*long])), words.clone()).await, words.bytes());
    assert_eq!(setup.recorder.counts().dropped, 1);
    assert!(setup.sessions().await.is_empty());
    drop(open);
    setup.recorder.flush().await;
    assert_eq!(setup.last("open").await.status, Status::Interrupted);
    // Then there is room again.
    setup.send(chat("yes", turns([&*long])), words).await;
    assert_eq!(setup.last("yes").await.content, "Hi!");
    assert_eq!(setup.recorder.counts().dropped, 1);
}

#[tokio::test]
async fn what_bodies_are_decoded_to_counts_in_the_recorders_memory() {
    let setup = with_memory(200 * 1024);
    // One that takes nearly all alone is let in, and beside it one that is small until it is
    // decoded is not.
    let open = setup.call(chat("open", turns([&*"x".repeat(150_000)])), Answer::words(["a"])).await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let question: Value = json!({"messages": turns([&*"x".repeat(150_000)])});
    gzip.write_all(question.to_string().as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    setup.send(request(Some("gzip"), packed), Answer::words(["Hi!"])).await;
    assert_eq!(setup.recorder.counts().dropped, 1);
    drop(open);
    setup.recorder.flush().await;
    assert_eq!(setup.sessions().await.len(), 1);
}
