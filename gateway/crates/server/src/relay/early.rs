//! Heads that go out before there is an answer: of streams whose model is being woken.
//!
//! From then on the caller sees comments, then the stream, or an error event. Fallback stays possible until
//! the first data event, since comments promise nothing.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use towpath_wire::routing::ColdStart;

use crate::account::Account;
use crate::errors::Shape;
use crate::exchange::Exchange;
use crate::names;
use crate::outgoing::{Cut, Outgoing};
use crate::relay::{Failure, Job, relay};

/// Time between two comments: below the idle limits of usual proxies, 30 s and more.
const EVERY: Duration = Duration::from_secs(5);

/// Whether a head may go out early, and whether it did.
#[derive(Debug, Default)]
pub struct Early {
    due: Notify,
    sent: Cell<bool>,
}

impl Early {
    /// The head went out, with 200.
    pub fn sent(&self) -> bool {
        self.sent.get()
    }

    /// Wait for `future`; when that takes longer than the model's callers are kept in silence, a head is due.
    pub async fn during<T>(&self, future: impl Future<Output = T>, rules: &ColdStart) -> T {
        let mut future = std::pin::pin!(future);
        if rules.progress_after_ms == 0 || self.sent() {
            return future.await;
        }
        let silence = Duration::from_millis(rules.progress_after_ms.into());
        match tokio::time::timeout(silence, future.as_mut()).await {
            Ok(done) => done,
            Err(_) => {
                self.due.notify_one();
                future.await
            }
        }
    }
}

type Relaying = Pin<Box<dyn Future<Output = Result<Response<Outgoing>, (Account, Failure)>>>>;

/// Serve a stream that may have to wait for its model: its answer, or an early head with all that follows.
///
/// # Errors
/// There is no answer, and no head has gone out.
pub async fn answer(account: Account, job: Job) -> Result<Response<Outgoing>, (Account, Failure)> {
    let mut account = account;
    let early = Rc::clone(&job.early);
    account.early = Some(Rc::clone(&early));
    let (shape, id) = (account.exchange.shape(), account.exchange.id.clone());
    let head = head(&account.exchange, &job);
    let mut relaying: Relaying = Box::pin(async move { relay(account, &job).await });
    tokio::select! {
        biased;
        answered = &mut relaying => return answered,
        () = early.due.notified() => {}
    }
    early.sent.set(true);
    let phase = Phase::Waiting { relaying, shape, id, told: false };
    let mut response = head;
    *response.body_mut() = Outgoing::stream(unfold(phase, step));
    Ok(response)
}

fn head(exchange: &Exchange, job: &Job) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(Bytes::new()));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    exchange.shape().identify(headers, &exchange.id);
    if let Some(endpoint) = exchange.live.endpoint(&job.endpoint.id) {
        headers.insert(names::ENDPOINT, endpoint.name.clone());
    }
    response
}

enum Phase {
    Waiting { relaying: Relaying, shape: Shape, id: String, told: bool },
    Answering(Outgoing),
    Over,
}

async fn step(phase: Phase) -> Option<(Result<Bytes, Cut>, Phase)> {
    match phase {
        Phase::Waiting { relaying, shape, id, told: false } => {
            let told = Phase::Waiting { relaying, shape, id, told: true };
            Some((Ok(waiting(shape)), told))
        }
        Phase::Waiting { mut relaying, shape, id, told } => {
            match tokio::time::timeout(EVERY, &mut relaying).await {
                Err(_) => Some((Ok(waiting(shape)), Phase::Waiting { relaying, shape, id, told })),
                Ok(Ok(response)) => {
                    let comment = untold(&response);
                    Some((Ok(comment), Phase::Answering(response.into_body())))
                }
                Ok(Err((account, failure))) => {
                    Some((Ok(failed(account, &failure, shape, &id)), Phase::Over))
                }
            }
        }
        Phase::Answering(mut body) => {
            let data = body.frame().await?.map(|frame| frame.into_data().unwrap_or_default());
            Some((data, Phase::Answering(body)))
        }
        Phase::Over => None,
    }
}

/// A sign of life that every client skips.
fn waiting(shape: Shape) -> Bytes {
    match shape {
        Shape::Anthropic => Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        _ => Bytes::from_static(b": waiting for the model to be woken\n\n"),
    }
}

/// What would have stood in the headers, as a comment.
fn untold(response: &Response<Outgoing>) -> Bytes {
    let mut comment = BytesMut::new();
    for (name, value) in response.headers() {
        if name.as_str().starts_with("x-towpath-") && name != "x-towpath-endpoint" {
            comment.extend_from_slice(b": ");
            comment.extend_from_slice(name.as_str().as_bytes());
            comment.extend_from_slice(b": ");
            comment.extend_from_slice(value.as_bytes());
            comment.extend_from_slice(b"\n");
        }
    }
    comment.extend_from_slice(b"\n");
    comment.freeze()
}

fn failed(mut account: Account, failure: &Failure, shape: Shape, id: &str) -> Bytes {
    let mut refusal = failure.refusal.clone().in_shape(shape);
    let error = refusal.body(id);
    let event = match shape {
        Shape::Anthropic => error.anthropic_event(),
        _ => error.sse_event(),
    };
    // What the caller saw is the 200 of the head.
    refusal.status = 200;
    account.refuse(&refusal, failure.ended);
    event
}
