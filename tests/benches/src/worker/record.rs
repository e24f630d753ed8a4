//! Ours, recording what passes through a service.

use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use shs_store::{Message, Scope, SessionId, Status, Store, StoreExt};
use shs_tower::{RecordLayer, Recorder};
use tower::{Layer, Service, ServiceExt};

use crate::Result;
use crate::job::{CHUNK, EACH, FIRST_BYTE, Figures, GROWTH, Job, KEPT, Operation};
use crate::statistics::Summary;

type Stream = BoxStream<'static, std::result::Result<Frame<Bytes>, Infallible>>;
type Frames = StreamBody<Stream>;

pub(super) async fn run(store: Arc<dyn Store>, job: &Job) -> Result<Figures> {
    let recorder = Recorder::new(Arc::clone(&store));
    let layer = RecordLayer::new(recorder.clone());
    match job.operation {
        Operation::RecordChunks => chunks(&layer, &recorder, job.seconds).await,
        Operation::RecordFlood => flood(&layer, &recorder).await,
        Operation::RecordLeavers => leavers(&layer, &recorder, store).await,
        _ => crowd(&layer, &recorder).await,
    }
}

/// What a layer adds, in turns with the same service without it.
async fn chunks(layer: &RecordLayer, recorder: &Recorder, seconds: f64) -> Result<Figures> {
    const CHUNKS: usize = 200;
    let answer = answer(CHUNKS);
    let bare = Answering::new(move || frames(&answer));
    let heard = layer.layer(bare.clone());
    let (mut with, mut without) = (Times::default(), Times::default());
    let until = Instant::now() + Duration::from_secs_f64(seconds.max(0.2));
    let mut number = 0;
    while number < 50 || Instant::now() < until {
        without.take(listen(bare.clone(), request(number)).await?);
        with.take(listen(heard.clone(), request(number)).await?);
        // The writing goes on beside, as in a server, but does not pile up.
        recorder.flush().await;
        number += 1;
    }
    let added = |with: Vec<f64>, without: Vec<f64>| {
        let medians = (Summary::of(with), Summary::of(without));
        let (Some(with), Some(without)) = medians else { return Err("nothing was measured") };
        Ok((with.median - without.median).max(1e-9))
    };
    Ok(Figures::from([
        (FIRST_BYTE.to_owned(), added(with.first_bytes, without.first_bytes)?),
        (CHUNK.to_owned(), added(with.chunks, without.chunks)?),
    ]))
}

/// How much the process grows while 1 GB of answer passes.
async fn flood(layer: &RecordLayer, recorder: &Recorder) -> Result<Figures> {
    const PIECE: usize = 64 * 1024;
    let event = chunk(&"x".repeat(1_000));
    let piece = Bytes::from(event.repeat(PIECE / event.len() + 1));
    let pieces = 1_000_000_000 / piece.len() + 1;
    let frame = move |_| Ok(Frame::data(piece.clone()));
    let service =
        layer.layer(Answering::new(move || stream::iter(0..pieces).map(frame.clone()).boxed()));
    listen(layer.layer(Answering::new(|| frames(&answer(10)))), request(0)).await?;
    recorder.flush().await;
    let before = resident()?;
    let mut most = before;
    let mut body = service.oneshot(request(1)).await?.into_body();
    let mut passed = 0;
    while let Some(frame) = body.frame().await {
        passed += frame?.data_ref().map_or(0, Bytes::len);
        most = most.max(resident()?);
    }
    if passed < 1_000_000_000 {
        return Err("less than 1 GB has passed".into());
    }
    Ok(Figures::from([(GROWTH.to_owned(), (most - before).max(1e-3))]))
}

/// How long it takes until 1,000 answers whose clients went away are kept, with all text that they got.
async fn leavers(
    layer: &RecordLayer,
    recorder: &Recorder,
    store: Arc<dyn Store>,
) -> Result<Figures> {
    const CLIENTS: usize = 1_000;
    const CHUNKS: usize = 50;
    let answer = answer(CHUNKS);
    let service = layer.layer(Answering::new(move || frames(&answer)));
    let mut left = Vec::new();
    for client in 0..CLIENTS {
        let mut body = service.clone().oneshot(request(client)).await?.into_body();
        // Anywhere, and the same in every run.
        let heard = 1 + client * 7_919 % (CHUNKS - 1);
        for _ in 0..heard {
            body.frame().await.ok_or("the answer ended early")??;
        }
        left.push((client, heard, body));
    }
    let mut expected = Vec::new();
    let begin = Instant::now();
    for (client, heard, body) in left {
        drop(body);
        expected.push((client, (0..heard).map(word).collect::<String>()));
    }
    recorder.flush().await;
    let each = begin.elapsed().as_secs_f64();
    let mut kept = 0;
    for (client, text) in expected {
        let last =
            store.last_messages(&Scope::DEFAULT, &SessionId::new(name(client))?, 1).await?.pop();
        let is_kept = |m: &Message| m.content == text && m.status == Status::Interrupted;
        kept += usize::from(last.as_ref().is_some_and(is_kept));
    }
    let kept = kept as f64 / CLIENTS as f64;
    Ok(Figures::from([(EACH.to_owned(), each), (KEPT.to_owned(), kept)]))
}

/// How many of 2,000 answers that are under way at once are kept.
async fn crowd(layer: &RecordLayer, recorder: &Recorder) -> Result<Figures> {
    const CLIENTS: usize = 2_000;
    let answer = answer(50);
    let slow = move || {
        // All of them begin before one of them ends.
        let pause = |frame| tokio::time::sleep(Duration::from_millis(10)).map(|()| frame);
        frames(&answer).then(pause).boxed()
    };
    let service = layer.layer(Answering::new(slow));
    let begin = Instant::now();
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| tokio::spawn(listen(service.clone(), request(client)))).collect();
    for client in clients {
        client.await??;
    }
    recorder.flush().await;
    let counts = recorder.counts();
    if counts.recorded + counts.dropped != CLIENTS as u64 {
        return Err(format!("some of {CLIENTS} are not counted: {counts:?}").into());
    }
    let kept = counts.recorded as f64 / CLIENTS as f64;
    let each = begin.elapsed().as_secs_f64() / CLIENTS as f64;
    Ok(Figures::from([(EACH.to_owned(), each), (KEPT.to_owned(), kept)]))
}

/// The times of answers.
#[derive(Default)]
struct Times {
    first_bytes: Vec<f64>,
    chunks: Vec<f64>,
}

impl Times {
    fn take(&mut self, (first_byte, chunks): (f64, Vec<f64>)) {
        self.first_bytes.push(first_byte);
        self.chunks.extend(chunks);
    }
}

/// Sends a request and reads the answer; returns the time to its first byte, and that of each further piece.
async fn listen<S, B>(service: S, request: Request<Full<Bytes>>) -> Result<(f64, Vec<f64>)>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Send,
    S::Future: Send,
    S::Error: std::error::Error + Send + Sync + 'static,
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let begin = Instant::now();
    let mut body = service.oneshot(request).await?.into_body();
    body.frame().await.ok_or("the answer is empty")??;
    let first_byte = begin.elapsed().as_secs_f64();
    let mut chunks = Vec::new();
    loop {
        let begin = Instant::now();
        let Some(frame) = body.frame().await else { return Ok((first_byte, chunks)) };
        frame?;
        chunks.push(begin.elapsed().as_secs_f64());
    }
}

/// A service that reads requests and answers with these frames.
#[derive(Clone)]
struct Answering(Arc<dyn Fn() -> Stream + Send + Sync>);

impl Answering {
    fn new(frames: impl Fn() -> Stream + Send + Sync + 'static) -> Self {
        Self(Arc::new(frames))
    }
}

impl<B> Service<Request<B>> for Answering
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Frames>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Response<Frames>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let frames = Arc::clone(&self.0);
        Box::pin(async move {
            // What fails to arrive is not answered less.
            let _ = request.into_body().collect().await;
            let mut response = Response::new(StreamBody::new(frames()));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            Ok(response)
        })
    }
}

/// An answer of so many words, each in a frame of its own.
fn answer(words: usize) -> Vec<Bytes> {
    let chunks = (0..words).map(|number| chunk(&word(number)));
    let chunks = chunks.chain(["data: [DONE]\n\n".to_owned()]);
    chunks.map(Bytes::from).collect()
}

fn frames(pieces: &[Bytes]) -> Stream {
    stream::iter(pieces.to_vec()).map(|piece| Ok(Frame::data(piece))).boxed()
}

fn word(number: usize) -> String {
    format!("word-{number} ")
}

fn chunk(text: &str) -> String {
    let choice =
        json!({"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": null});
    let chunk = json!({
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1_741_570_283,
        "model": "gpt-4o-2024-08-06",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": [choice],
        "usage": null,
    });
    format!("data: {chunk}\n\n")
}

fn name(number: usize) -> String {
    format!("session-{number}")
}

/// A request of a conversation of its own.
fn request(number: usize) -> Request<Full<Bytes>> {
    let body = json!({
        "model": "gpt-4o",
        "stream": true,
        "messages": [{"role": "user", "content": "Tell me something long."}],
    });
    let body = Full::from(body.to_string());
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/v1/chat/completions");
    let name = HeaderValue::from_str(&name(number)).expect("a name is plain");
    request.headers_mut().insert("x-session-id", name);
    request
}

/// The memory of this process, in MB.
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kilobytes.parse::<f64>()? / 1024.0)
}
