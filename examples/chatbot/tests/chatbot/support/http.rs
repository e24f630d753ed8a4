//! A client that keeps the cookie it is given.

use std::sync::Mutex;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sse_parse::EventStream;

/// A visitor of one server.
pub(crate) struct Client {
    base: String,
    http: legacy::Client<HttpConnector, Body>,
    cookie: Mutex<Option<String>>,
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of a response that is a success.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { base: format!("http://{address}"), http, cookie: Mutex::default() }
    }

    /// The same visitor at another address.
    pub(crate) fn moved(&self, address: &str) -> Self {
        let client = Self::new(address);
        *client.cookie.lock().unwrap() = self.cookie.lock().unwrap().clone();
        client
    }

    /// The cookie that the visitor has, as `name=value`.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookie.lock().unwrap().clone()
    }

    pub(crate) fn set_cookie(&self, cookie: String) {
        *self.cookie.lock().unwrap() = Some(cookie);
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        let uri = format!("{}{}", self.base, request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(cookie) = &*self.cookie.lock().unwrap() {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = self.http.request(request).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            *self.cookie.lock().unwrap() = Some(pair.to_owned());
        }
        response.map(Body::new)
    }

    pub(crate) async fn read(&self, request: Request<Body>) -> Got {
        let (head, body) = self.send(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Got { status: head.status, headers: head.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.read(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Got {
        self.read(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        self.read(json("POST", path, body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Got {
        self.read(json("PATCH", path, body)).await
    }

    /// Posts, and returns the events that come: their types and data.
    pub(crate) async fn events(
        &self,
        path: &str,
        body: &Value,
    ) -> BoxStream<'static, (String, Value)> {
        let response = self.send(json("POST", path, body)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let events = EventStream::new(response.into_body().into_data_stream());
        let events = events.map_ok(|event| {
            (event.event, serde_json::from_str(&event.data).unwrap_or(Value::from(event.data)))
        });
        events.map(Result::unwrap).boxed()
    }
}

pub(crate) fn json(method: &str, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}
