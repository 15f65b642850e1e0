//! Fifth step, `relay`: send the call, pass the answer on, fall back until the first byte has left.

mod encode;
mod failure;
mod plain;
mod stream;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use towpath_dialect::kserve::Inference;
use towpath_dialect::{Quirk, Request};
use towpath_policy::Endpoint;
use towpath_upstream::{Call, Expect, Payload, Reply};
use towpath_wire::routing::Timeouts;

use crate::account::Account;
use crate::admit::{Lease, Needs};
use crate::live::{ReadyReplica, ReadyTarget};
use crate::log::{self, Level};
use crate::outgoing::Outgoing;
use crate::route::{self, Route};
use crate::{clock, kserve};

pub use failure::Failure;

use encode::Encoded;
use failure::{Next, unavailable};

/// Attempts of one call, over all targets and replicas: a bound on what one request may cost.
const MAX_ATTEMPTS: u32 = 8;

/// What is asked of the model.
pub enum Asked {
    /// In one of the dialects that callers speak.
    Model(Request),
    Predict {
        body: Bytes,
        version: Option<u32>,
    },
    /// An inference of the KServe protocol.
    V2 {
        inference: Inference,
        version: Option<u32>,
    },
}

impl Asked {
    /// The version of the registry model, where the caller names one.
    pub fn version(&self) -> Option<u32> {
        match self {
            Self::Predict { version, .. } | Self::V2 { version, .. } => *version,
            Self::Model(_) => None,
        }
    }

    /// What it will use, as far as that shows before it is made.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Model(request) => Needs {
                input_bytes: request.input_bytes(),
                max_output_tokens: request.max_output_tokens(),
                choices: request.choices(),
            },
            Self::Predict { .. } | Self::V2 { .. } => Needs::default(),
        }
    }
}

/// One admitted call.
pub struct Job {
    pub endpoint: Arc<Endpoint>,
    pub asked: Asked,
    /// Memory of the caller's body, kept while it may be sent again.
    pub _lease: Lease,
}

/// Get an answer from one target after the other.
///
/// # Errors
/// None of them gave one, or the first one's refusal is final.
pub async fn relay(account: Account, job: &Job) -> Result<Response<Outgoing>, (Account, Failure)> {
    let live = Arc::clone(&account.exchange.live);
    let worker = Rc::clone(&account.exchange.worker);
    let version = job.asked.version();
    let mut route = Route::new(&live, &job.endpoint, &account.exchange, version);
    let mut account = account;
    let mut failure = None;
    while let Some(ready) = route.next(worker.random()) {
        let salt = salt(&account, ready);
        let encoded = match encode::encode(&job.asked, ready, salt.as_deref()) {
            Ok(encoded) => encoded,
            Err(error) => return Err((account, Failure::refused(error.into()))),
        };
        for replica in route::replicas(ready, worker.random()) {
            if account.progress.attempts >= MAX_ATTEMPTS {
                break;
            }
            match attempt(&mut account, job, ready, replica, &encoded).await {
                Ok(Answered::Plain(plain)) => {
                    return Ok(plain::respond(account, job, ready, plain).await);
                }
                Ok(Answered::Stream(stream)) => {
                    return Ok(stream::respond(account, job, ready, *stream));
                }
                Err(failed) => {
                    note(&account, ready, replica, &failed);
                    let next = failed.next;
                    failure = Some(failed);
                    match next {
                        Next::Replica => {}
                        Next::Target => break,
                        Next::Stop => {
                            return Err((account, failure.unwrap_or_else(|| unavailable(job))));
                        }
                    }
                }
            }
        }
    }
    Err((account, failure.unwrap_or_else(|| unavailable(job))))
}

/// What keeps the project's prompts apart from others' in the target's cache, where it can do so.
fn salt(account: &Account, ready: &ReadyTarget) -> Option<String> {
    let key = account.exchange.key.as_ref().filter(|_| ready.quirks.has(Quirk::CacheSalt))?;
    Some(account.exchange.worker.shared.secrets.pseudonym(&key.project))
}

enum Answered {
    Plain(plain::Plain),
    Stream(Box<stream::Started>),
}

async fn attempt(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
    replica: &ReadyReplica,
    encoded: &Encoded<'_>,
) -> Result<Answered, Failure> {
    let timeouts = remaining(account, &job.endpoint.spec.timeouts)?;
    account.dispatch(ready, &replica.id).map_err(Failure::unrecorded)?;
    let call = Call {
        method: Method::POST,
        path: encoded.path,
        headers: headers(account, replica, encoded),
        body: Payload::Whole(encoded.body.clone()),
        expect: if encoded.stream { Expect::Events } else { Expect::Answer },
        timeouts,
    };
    let sent = Instant::now();
    let worker = Rc::clone(&account.exchange.worker);
    let reply = worker.pool.send(&replica.address, call).await;
    account.waited_since(sent);
    let reply = reply.map_err(|error| Failure::upstream(&error))?;
    if reply.status.as_u16() >= 400 {
        return Err(failure::of_status(reply).await);
    }
    if !encoded.stream {
        return plain::read(account, job, ready, encoded, reply).await.map(Answered::Plain);
    }
    if is_event_stream(&reply) {
        return stream::start(account, job, ready, encoded, reply)
            .await
            .map(|started| Answered::Stream(Box::new(started)));
    }
    Err(failure::not_a_stream(reply).await)
}

/// The endpoint's timeouts, the total being what is left of it.
fn remaining(account: &Account, timeouts: &Timeouts) -> Result<Timeouts, Failure> {
    let spent = u32::try_from(clock::ms(account.exchange.started.elapsed())).unwrap_or(u32::MAX);
    match timeouts.total_ms.checked_sub(spent).filter(|left| *left > 0) {
        Some(total_ms) => Ok(Timeouts { total_ms, ..*timeouts }),
        None => Err(Failure::out_of_time(timeouts.total_ms)),
    }
}

fn headers(account: &Account, replica: &ReadyReplica, encoded: &Encoded<'_>) -> HeaderMap {
    let mut headers = replica.headers.clone();
    let accept = if encoded.stream { "text/event-stream" } else { "application/json" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(size) = encoded.json_size {
        // Tensors follow the JSON.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(kserve::JSON_SIZE, HeaderValue::from(size));
    }
    let trace = &account.exchange.trace;
    headers.insert("traceparent", trace.parent.clone());
    if let Some(state) = &trace.state {
        headers.insert("tracestate", state.clone());
    }
    headers
}

fn is_event_stream(reply: &Reply) -> bool {
    let kind = reply.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/event-stream"))
}

/// The head of an answer that came from a target.
fn head(
    account: &Account,
    job: &Job,
    ready: &ReadyTarget,
    kind: &'static str,
    body: Outgoing,
) -> Response<Outgoing> {
    let exchange = &account.exchange;
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.reserve(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    exchange.shape().identify(headers, &exchange.id);
    if let Some(endpoint) = exchange.live.endpoint(&job.endpoint.id) {
        headers.insert("x-towpath-endpoint", endpoint.name.clone());
    }
    for (name, value) in &ready.shown {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert("x-towpath-attempts", HeaderValue::from(account.progress.attempts));
    account.show_limits(headers);
    headers.insert("x-towpath-overhead-us", HeaderValue::from(account.overhead_us()));
    response
}

fn note(account: &Account, ready: &ReadyTarget, replica: &ReadyReplica, failure: &Failure) {
    let shared = &account.exchange.worker.shared;
    if shared.throttle.lets_through(clock::now_ms()) {
        log::event(
            Level::Warning,
            "attempt.failed",
            &[
                ("request_id", &account.exchange.id),
                ("target", &ready.target.spec.name),
                ("replica", &replica.id),
                ("attempt", &account.progress.attempts),
                ("code", &failure.refusal.code.code()),
                ("cause", &failure.refusal.log.as_deref().unwrap_or("")),
            ],
        );
    }
}
