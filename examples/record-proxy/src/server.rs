//! Serves a router in such a way that no client can hold it up, and ends when it is told to.
//!
//! `axum::serve` waits for ever: for the rest of a head, for the next request, for a client that
//! does not read. A few hundred connections that send half a request then keep everybody else out.
//! This module is made to be copied; it needs `axum`, `hyper`, `hyper-util`, `tokio` and
//! `tokio-io-timeout`.
//!
//! | bound | ends |
//! |---|---|
//! | [`Bounds::connections`] | further clients wait in the queue of the operating system |
//! | [`Bounds::head`] | a connection whose next request has no whole head by then; it may be idle as long |
//! | [`Bounds::body`] | a request whose body has not come to its end by then |
//! | [`Bounds::pause`] | a request whose body, or a connection whose client's reading, stands still as long |
//! | [`Bounds::patience`] | what is under way when the server is told to end |
//!
//! A head has 16 KiB and 100 headers at most. How long an answer takes is not bounded, because
//! answers of models take long. How long a body may be is for the router to say: see
//! `DefaultBodyLimit` of axum.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_io_timeout::TimeoutStream;

/// What clients may take of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub(crate) connections: usize,
    /// How long a head may take, and a connection be idle.
    pub(crate) head: Duration,
    /// How long the body of a request may take.
    pub(crate) body: Duration,
    /// How long a client may send nothing of a body, or read nothing of an answer.
    pub(crate) pause: Duration,
    /// How long what is under way may take when the server is told to end.
    pub(crate) patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Each takes an open file, of which most systems give a process 1,024.
            connections: 400,
            head: Duration::from_secs(30),
            body: Duration::from_secs(300),
            pause: Duration::from_secs(30),
            patience: Duration::from_secs(30),
        }
    }
}

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Serves until `stop` is over, and then until what is under way has ended, `patience` is over, or
/// `hurry` is.
///
/// Returns how many connections were still open then; they are cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) -> usize {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            (accept(&listener).await, place)
        };
        let (stream, place) = tokio::select! {
            accepted = accepted => accepted,
            // What is over takes no memory any more.
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        let serving = graceful.watch(connection(stream, router.clone(), bounds));
        connections.spawn(async move {
            // A client that breaks off, or is cut off, has nobody else to tell.
            let _ = serving.await;
            drop(place);
        });
    }
    drop(listener);
    let ended = timeout(bounds.patience, graceful.shutdown());
    tokio::select! {
        _ = ended => {}
        () = hurry => {}
    }
    while connections.try_join_next().is_some() {}
    let open = connections.len();
    connections.shutdown().await;
    open
}

/// Waits for a connection. When there are no files left for one, others have to end first.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_client(&error) => {}
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether it was the client that has gone before it was accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

type Io = TokioIo<Pin<Box<TimeoutStream<TcpStream>>>>;

fn connection(
    stream: TcpStream,
    router: Router,
    bounds: Bounds,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    // Pieces of an answer go out as they come. A socket that cannot do so works all the same.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(bounds.pause));
    let io: Io = TokioIo::new(Box::pin(stream));
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let request = request.map(|body| Body::new(Timed::new(body, bounds)));
        hyper::service::Service::call(&router, request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MAX_HEAD_BYTES)
        // The date of a clock that stands before 1970 cannot be written, and hyper panics when it
        // tries.
        .auto_date_header(SystemTime::now() >= SystemTime::UNIX_EPOCH)
        .serve_connection(io, service)
}

/// The body of a request, which fails when it takes too long.
struct Timed {
    body: Incoming,
    bounds: Bounds,
    end: Instant,
    wait: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Incoming, bounds: Bounds) -> Self {
        let now = Instant::now();
        let end = now + bounds.body;
        Self { body, bounds, end, wait: Box::pin(sleep_until(end.min(now + bounds.pause))) }
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let now = Instant::now();
        let is_late = match &frame {
            Poll::Ready(_) => now >= self.end,
            Poll::Pending => self.wait.as_mut().poll(cx).is_ready(),
        };
        if is_late {
            let late = io::Error::new(io::ErrorKind::TimedOut, "the request's body takes too long");
            return Poll::Ready(Some(Err(late.into())));
        }
        if frame.is_ready() {
            let next = self.end.min(now + self.bounds.pause);
            self.wait.as_mut().reset(next);
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The ways in which an operating system tells a program to end.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    all: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
    #[cfg(windows)]
    close: tokio::signal::windows::CtrlClose,
    #[cfg(windows)]
    shutdown: tokio::signal::windows::CtrlShutdown,
}

impl Signals {
    /// Listens from now on: SIGTERM and SIGINT, or what Windows has in their place.
    ///
    /// # Errors
    /// If the operating system refuses.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { all: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?] })
    }

    /// Listens from now on: SIGTERM and SIGINT, or what Windows has in their place.
    ///
    /// # Errors
    /// If the operating system refuses.
    #[cfg(windows)]
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        let [one, other] = &mut self.all;
        #[cfg(unix)]
        tokio::select! {
            _ = one.recv() => {}
            _ = other.recv() => {}
        }
        #[cfg(windows)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(100);

    fn generous() -> Bounds {
        Bounds { connections: 4, head: LONG, body: LONG, pause: LONG, patience: LONG }
    }

    struct Served {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        serving: JoinHandle<usize>,
    }

    async fn served(bounds: Bounds) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/large", get(async || vec![b'x'; 64 * 1024 * 1024]))
            .route("/", post(async |body: Bytes| body.len().to_string()));
        let stop_asked = async move { drop(stopped.await) };
        let serving =
            tokio::spawn(serve(listener, router, bounds, stop_asked, std::future::pending()));
        Served { address, stop, serving }
    }

    async fn connect(served: &Served, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    }

    /// Everything that comes until the server closes the connection.
    async fn rest(mut stream: TcpStream) -> String {
        let mut all = Vec::new();
        // A connection may also be reset when something was left unread.
        let _ = stream.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    const ASK: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn half_requests_are_ended_and_others_get_their_turn() {
        let served = served(Bounds { head: SHORT, ..generous() }).await;
        let mut halves = Vec::new();
        for _ in 0..20 {
            halves.push(connect(&served, "GET / HTTP/1.1\r\nx: ").await);
        }
        assert!(rest(connect(&served, ASK).await).await.ends_with("hello"));
        for half in halves {
            rest(half).await;
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_ended() {
        let served = served(Bounds { head: SHORT, ..generous() }).await;
        let keep = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        assert!(rest(connect(&served, keep).await).await.ends_with("hello"));
        assert_eq!(rest(connect(&served, "").await).await, "");
    }

    #[tokio::test]
    async fn a_body_that_stands_still_is_ended() {
        let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc";
        for bounds in [Bounds { pause: SHORT, ..generous() }, Bounds { body: SHORT, ..generous() }]
        {
            let served = served(bounds).await;
            let answer = rest(connect(&served, post).await).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_body_that_drips_is_ended() {
        let served = served(Bounds { body: SHORT, ..generous() }).await;
        let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2000000\r\n\r\n";
        let mut stream = connect(&served, post).await;
        let mut sent = 0;
        while stream.write_all(b"x").await.is_ok() {
            sent += 1;
        }
        assert!((1..2_000_000).contains(&sent), "{sent} bytes were taken");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_ended() {
        let served = served(Bounds { connections: 1, pause: SHORT, ..generous() }).await;
        let deaf = connect(&served, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        // There is one place.
        assert!(rest(connect(&served, ASK).await).await.ends_with("hello"));
        assert!(rest(deaf).await.len() < 64 * 1024 * 1024);
    }

    #[tokio::test]
    async fn it_ends_in_time_with_half_requests_open() {
        let served = served(Bounds { patience: SHORT, ..generous() }).await;
        let half = connect(&served, "GET / HTTP/1.1\r\nx: ").await;
        let body = connect(&served, "POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n").await;
        // Both were accepted when a third is answered.
        assert!(rest(connect(&served, ASK).await).await.ends_with("hello"));
        served.stop.send(()).unwrap();
        assert_eq!(served.serving.await.unwrap(), 2);
        rest(half).await;
        rest(body).await;
        assert!(TcpStream::connect(served.address).await.is_err());
    }

    #[tokio::test]
    async fn it_ends_at_once_without_connections_or_in_a_hurry() {
        let idle = served(generous()).await;
        idle.stop.send(()).unwrap();
        assert_eq!(idle.serving.await.unwrap(), 0);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || std::future::pending::<()>().await));
        let (stop, stopped) = oneshot::channel::<()>();
        let stop_asked = async move { drop(stopped.await) };
        let (hurry, hurried) = oneshot::channel::<()>();
        let hurry_asked = async move { drop(hurried.await) };
        let serving = tokio::spawn(serve(listener, router, generous(), stop_asked, hurry_asked));
        let mut open = TcpStream::connect(address).await.unwrap();
        open.write_all(ASK.as_bytes()).await.unwrap();
        stop.send(()).unwrap();
        hurry.send(()).unwrap();
        assert!(serving.await.unwrap() <= 1);
    }
}
