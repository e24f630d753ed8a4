//! Bodies that are listened to on their way.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::recorder::{Captured, Ending, Rest, locked};
use crate::tap::Tap;

pin_project! {
    /// The body of a request, passed on frame by frame as it is.
    pub struct RequestBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: Source<B>,
        // What was read before the service was called, to be read again.
        ahead: VecDeque<Result<Frame<Bytes>, B::Error>>,
    }
}

pin_project! {
    #[project = SourceProjected]
    enum Source<B> {
        Direct { #[pin] body: B },
        // One that was read before it came here, and may not be moved any more.
        Boxed { body: Pin<Box<B>> },
        Heard { heard: Heard<B> },
    }
}

/// A body of which a copy is kept.
struct Heard<B> {
    /// There until it is dropped.
    body: Option<Pin<Box<B>>>,
    tee: Tee,
    /// Whether it has come to its end, or failed.
    is_over: bool,
    rest: fn(Pin<Box<B>>) -> Rest,
}

impl<B> Heard<B> {
    const THERE: &str = "the body is there until it is dropped";

    fn body(&self) -> &B {
        self.body.as_deref().expect(Self::THERE)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        let body = self.body.as_mut().expect(Self::THERE);
        let frame = ready!(body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.tee.see(frame);
                if body.is_end_stream() {
                    self.is_over = true;
                    self.tee.end();
                }
            }
            Some(Err(_)) => self.is_over = true,
            None => {
                self.is_over = true;
                self.tee.end();
            }
        }
        Poll::Ready(frame)
    }
}

impl<B> Drop for Heard<B> {
    fn drop(&mut self) {
        // A service that fails before it has read all, as a proxy without its server does, was asked all the same.
        if let Some(body) = self.body.take().filter(|_| !self.is_over) {
            self.tee.leave((self.rest)(body));
        }
    }
}

impl<B> Source<B> {
    fn body(&self) -> &B {
        match self {
            Self::Direct { body } => body,
            Self::Boxed { body } => body,
            Self::Heard { heard } => heard.body(),
        }
    }

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
    where
        B: Body<Data = Bytes>,
    {
        match self.project() {
            SourceProjected::Direct { body } => body.poll_frame(cx),
            SourceProjected::Boxed { body } => body.as_mut().poll_frame(cx),
            SourceProjected::Heard { heard } => heard.poll_frame(cx),
        }
    }
}

/// Keeps a copy of what passes.
pub(crate) struct Tee {
    captured: Arc<Mutex<Captured>>,
    limit: usize,
}

impl Tee {
    /// Keeps up to so many bytes.
    pub(crate) fn new(captured: &Arc<Mutex<Captured>>, limit: usize) -> Self {
        Self { captured: Arc::clone(captured), limit }
    }

    fn see(&self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            locked(&self.captured).push(data, self.limit);
        }
    }

    fn end(&self) {
        locked(&self.captured).is_whole = true;
    }

    fn leave(&self, rest: Rest) {
        locked(&self.captured).rest = Some(rest);
    }

    fn has_enough(&self) -> bool {
        let captured = locked(&self.captured);
        captured.seen > self.limit as u64 || captured.is_lost
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("is_recorded", &matches!(self.inner, Source::Heard { .. }))
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> RequestBody<B> {
    pub(crate) fn untouched(body: B) -> Self {
        Self { inner: Source::Direct { body }, ahead: VecDeque::new() }
    }

    pub(crate) fn heard(body: B, tee: Tee) -> Self
    where
        B: Send + 'static,
    {
        let is_over = body.is_end_stream();
        if is_over {
            tee.end();
        }
        let heard = Heard { body: Some(Box::pin(body)), tee, is_over, rest: Rest::new };
        Self { inner: Source::Heard { heard }, ahead: VecDeque::new() }
    }

    /// Reads a body to its end, or beyond the limit of what is kept of it. The service reads all of it again.
    pub(crate) async fn read_ahead(body: B, tee: Tee) -> Self {
        let mut body = Box::pin(body);
        let mut ahead = VecDeque::new();
        while !tee.has_enough() {
            let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await;
            match frame {
                Some(Ok(frame)) => {
                    tee.see(&frame);
                    ahead.push_back(Ok(frame));
                }
                Some(Err(error)) => {
                    ahead.push_back(Err(error));
                    break;
                }
                None => {
                    tee.end();
                    break;
                }
            }
        }
        Self { inner: Source::Boxed { body }, ahead }
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = this.ahead.pop_front() {
            return Poll::Ready(Some(frame));
        }
        this.inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.inner.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        let ahead = ahead.map(|data| data.len() as u64).sum::<u64>();
        let inner = self.inner.body().size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(inner.lower() + ahead);
        hint
    }
}

pin_project! {
    /// The body of a response, passed on frame by frame as it is.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
        tap: Option<Tap>,
    }
}

pin_project! {
    #[project = InnerProjected]
    enum Inner<B> {
        Service { #[pin] body: B },
        // What the layer itself answers, when it must refuse a request.
        Refusal { text: Option<Bytes> },
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("is_recorded", &self.tap.is_some())
            .finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> ResponseBody<B> {
    pub(crate) fn new(body: B, mut tap: Option<Tap>) -> Self {
        // Such a body may never be asked for a frame.
        if body.is_end_stream()
            && let Some(mut tap) = tap.take()
        {
            tap.end(Ending::Completed, None);
        }
        Self { inner: Inner::Service { body }, tap }
    }

    pub(crate) fn refusal(text: Bytes) -> Self {
        Self { inner: Inner::Refusal { text: Some(text) }, tap: None }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut body = match this.inner.project() {
            InnerProjected::Service { body } => body,
            InnerProjected::Refusal { text } => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        let Some(tap) = this.tap else { return Poll::Ready(frame) };
        let end = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    tap.data(data);
                }
                // Servers that know the length do not ask for the end.
                body.is_end_stream().then_some((Ending::Completed, None))
            }
            Some(Err(error)) => Some((Ending::BodyError, Some(error.to_string()))),
            None => Some((Ending::Completed, None)),
        };
        if let Some((ending, error)) = end {
            tap.end(ending, error);
            *this.tap = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Service { body } => body.is_end_stream(),
            Inner::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Service { body } => body.size_hint(),
            Inner::Refusal { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
