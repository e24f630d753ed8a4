//! What passes between the connections of the proxy, and what does not.

use axum::http::Response;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Proxy, Replay};

/// Sends these bytes on a connection of their own, and reads what comes until it is closed.
async fn raw(proxy: &Proxy, request: &[u8]) -> String {
    let address = proxy.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(head: &str) -> Vec<u8> {
    let body = json!({ "messages": [{ "role": "user", "content": "a" }] }).to_string();
    let line = format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    format!("{line}{head}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn headers_of_one_connection_do_not_reach_the_other() {
    let replay = Replay::start().await;
    let proxy = Proxy::start("memory:", &replay.base).await;
    let head = Response::builder()
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("x-stays", "1")
        .header("content-type", "application/json");
    replay.answer(head).send(&["{}".into()]);
    let sent = request(
        "host: a\r\nconnection: close, x-hop, authorization-of-hop\r\nx-hop: 1\r\nte: trailers\r\n\
         proxy-authorization: Basic eDp5\r\nproxy-connection: close\r\nx-session-id: s\r\n\
         x-conversation-id: s\r\nx-user-id: u\r\nx-stays: 1\r\nauthorization: Bearer x\r\n",
    );
    let answer = raw(&proxy, &sent).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("x-stays: 1"), "{answer}");
    assert!(!answer.contains("x-hop") && !answer.contains("keep-alive"), "{answer}");

    let request = replay.requests().pop().unwrap();
    let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "content-length", "host", "x-stays"]);
    assert_eq!(request.headers()["host"], replay.base.trim_start_matches("http://"));
}

#[tokio::test]
async fn what_cannot_be_sent_on_is_refused() {
    let replay = Replay::start().await;
    let proxy = Proxy::start("memory:", &replay.base).await;
    let refused = [
        ("400", request("connection: close\r\n")),
        ("400", request("host: a\r\nhost: b\r\nconnection: close\r\n")),
        ("400", request("host: a\r\nx-user-id: \u{fffd}\r\nx-user-id: b\r\nconnection: close\r\n")),
        ("405", b"TRACE / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
        ("405", b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
        ("400", b"OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_vec()),
    ];
    for (status, request) in refused {
        let answer = raw(&proxy, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let mut latin = request("host: a\r\nconnection: close\r\nx-user-id: @\r\n");
    *latin.iter_mut().find(|byte| **byte == b'@').unwrap() = 0xe9;
    assert!(raw(&proxy, &latin).await.starts_with("HTTP/1.1 400"));
    assert!(replay.requests().is_empty());
}
