//! `GET /_sandbox/feed`: the traffic log as server-sent events.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::app::App;

/// How many chunks may wait for a reader. A slower reader misses no entry that is still kept.
const MAX_WAITING: usize = 8;
/// How often an empty comment is sent, so that both sides notice a broken connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/_sandbox/feed", get(feed))
}

#[derive(Debug, Deserialize)]
struct From {
    /// The number after which to begin; `now` means the end.
    since: Option<String>,
}

struct Chunks(mpsc::Receiver<Bytes>);

impl Stream for Chunks {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(Ok))
    }
}

async fn feed(State(app): State<App>, Query(from): Query<From>, headers: HeaderMap) -> Response {
    app.wire().turn_on();
    // A browser that reconnects sends the id of its last event.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let since = match last.or(from.since).as_deref() {
        None | Some("") => 0,
        Some("now") => app.wire().last(),
        Some(number) => number.parse().unwrap_or(0),
    };
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    tokio::spawn(write(app, since, sender));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(Chunks(receiver))).into_response()
}

async fn write(app: App, mut since: u64, sender: mpsc::Sender<Bytes>) {
    if sender.send(Bytes::from_static(b": the sandbox\n\n")).await.is_err() {
        return;
    }
    loop {
        let mut chunk = String::new();
        for (number, entry) in app.wire().since(since) {
            if chunk.is_empty() && number > since + 1 && since > 0 {
                let missed = number - since - 1;
                chunk.push_str(&format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n"));
            }
            since = number;
            // JSON text contains no line breaks.
            chunk.push_str(&format!("id: {number}\ndata: {entry}\n\n"));
        }
        if !chunk.is_empty() && sender.send(chunk.into()).await.is_err() {
            return;
        }
        if tokio::time::timeout(KEEP_ALIVE, app.wire().wait(since)).await.is_err()
            && sender.send(Bytes::from_static(b": alive\n\n")).await.is_err()
        {
            return;
        }
    }
}
