//! The page: a few files that are part of the program.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Where each file is, what it is, and what is in it.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../page/index.html")),
    // The address of a conversation shows the same page, which opens it.
    ("/c/{id}", HTML, include_str!("../page/index.html")),
    ("/page/style.css", CSS, include_str!("../page/style.css")),
    ("/page/chat.js", JS, include_str!("../page/chat.js")),
    ("/page/api.js", JS, include_str!("../page/api.js")),
    ("/page/dom.js", JS, include_str!("../page/dom.js")),
    ("/page/list.js", JS, include_str!("../page/list.js")),
    ("/page/log.js", JS, include_str!("../page/log.js")),
    ("/page/markdown.js", JS, include_str!("../page/markdown.js")),
    ("/page/icon.svg", SVG, include_str!("../page/icon.svg")),
];

pub(crate) fn routes() -> Router<App> {
    FILES.iter().fold(Router::new(), |router, (path, kind, content)| {
        router
            .route(path, get(async || ([(header::CONTENT_TYPE, *kind)], *content).into_response()))
    })
}
