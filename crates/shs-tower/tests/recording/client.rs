//! The layer around the client of a provider, over a real socket.

use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use shs_store::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use crate::support::{Answer, Setup, chat, turns};

/// Answers one request, and closes the connection in the middle of the answer if it is told to.
async fn answer(listener: &TcpListener, body: &[u8], is_cut: bool) {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 1024];
        let read = connection.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
    }
    let length = body.len() + usize::from(is_cut);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
}

#[tokio::test]
async fn what_a_client_asks_and_gets_is_recorded() {
    let setup = Setup::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = setup.layer.layer(Client::builder(TokioExecutor::new()).build_http());
    let whole = Answer::words(["Hi", "!"]).bytes();
    for (session, is_cut) in [("whole", false), ("cut", true)] {
        let body = if is_cut { &whole[..whole.len() - 60] } else { &whole };
        let mut request = chat(session, turns(["Hello!"]));
        *request.uri_mut() = format!("http://{address}/v1/chat/completions").parse().unwrap();
        let asking = async {
            let response = client.clone().oneshot(request).await.unwrap();
            response.into_body().collect().await.map(|body| body.to_bytes())
        };
        let (heard, ()) = tokio::join!(asking, answer(&listener, body, is_cut));
        match heard {
            Ok(heard) => assert_eq!(heard, whole),
            Err(_) => assert!(is_cut),
        }
    }
    setup.recorder.flush().await;
    let last = setup.last("whole").await;
    assert_eq!((last.content.as_str(), last.status), ("Hi!", Status::Delivered));
    let last = setup.last("cut").await;
    assert_eq!((last.content.as_str(), last.status), ("Hi!", Status::Error));
    assert_eq!(last.metadata["shs.ending"], "body_error");
}
