//! Fifth step, `relay`: send the call, pass the answer on, fall back until the first byte has left.

mod cascade;
mod early;
mod encode;
mod failure;
mod images;
mod inference;
mod inferences;
mod kept;
mod overflow;
mod plain;
mod recovery;
mod stream;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use towpath_dialect::kserve::Inference;
use towpath_dialect::{Begun, Quirk, Request};
use towpath_policy::Endpoint;
use towpath_upstream::{Call, Expect, Reply};
use towpath_wire::routing::{Dialect, Operation, TargetKind, Timeouts};
use towpath_wire::usage::Cache;

use crate::account::Account;
use crate::admit::{Lease, Needs, queue};
use crate::errors::{Code, Refusal};
use crate::evidence::Part;
use crate::fleet::Visit;
use crate::live::{ReadyReplica, ReadyTarget};
use crate::log::{self, Level};
use crate::outgoing::Outgoing;
use crate::route::{self, Route, Step};
use crate::shadow::{self, Beside};
use crate::tier::Choice;
use crate::{clock, grpc, kserve, names};

pub use early::{Early, answer};
pub use encode::{Encoded, Kind, encode};
pub use failure::{Failure, Next};
pub use inference::as_json;
pub use kept::{Looked, look};
pub use overflow::foreseen;
pub use plain::{Recipient, translated};

use cascade::Judged;
use failure::Failures;
use images::Inlined;
use recovery::Recovery;

/// Attempts of one call, whatever its endpoint asks for: a bound on what one request may cost.
const MAX_ATTEMPTS: u32 = 16;
/// Pause before a replica that was not reached is asked once more, where there is no other: a server that
/// is being replaced listens again by then, or is really gone.
const REPEAT_AFTER: Duration = Duration::from_millis(50);

/// The version of Anthropic's API that is spoken for callers who speak another one.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// What is asked of the model.
#[derive(Clone)]
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
        answers: Answers,
    },
}

/// How many answers an inference may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    One,
    /// Any number, none included, where the target can say so: the call is a message of a stream.
    Any,
}

impl Asked {
    /// The version of the registry model, where the caller names one.
    pub fn version(&self) -> Option<u32> {
        match self {
            Self::Predict { version, .. } | Self::V2 { version, .. } => *version,
            Self::Model(_) => None,
        }
    }

    /// Size of what is sent for it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Model(request) => request.body().len(),
            Self::Predict { body, .. } => body.len(),
            Self::V2 { inference, .. } => {
                usize::try_from(inference.input_bytes()).unwrap_or(usize::MAX)
            }
        }
    }

    /// What it will use, as far as that shows before it is made.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Model(request) if request.operation() == Operation::CountTokens => {
                Needs::default()
            }
            Self::Model(request) => Needs::of(request),
            Self::Predict { .. } | Self::V2 { .. } => Needs::default(),
        }
    }

    /// The same with at most so many tokens of each answer: a budget leaves no room for more.
    ///
    /// # Errors
    /// The request cannot be written with that.
    pub fn with_max_output_tokens(self, most: u64) -> Result<Self, Refusal> {
        match self {
            Self::Model(request) => Ok(Self::Model(request.with_max_output_tokens(most)?)),
            asked @ (Self::Predict { .. } | Self::V2 { .. }) => Ok(asked),
        }
    }
}

/// One admitted call.
pub struct Job {
    pub endpoint: Arc<Endpoint>,
    pub asked: Asked,
    /// The same with what it names by URL, once that was fetched.
    inlined: OnceCell<Inlined>,
    /// For streams that may have to wait long.
    pub early: Rc<Early>,
    /// Memory of the caller's body, kept while it may be sent again.
    lease: Rc<Lease>,
    /// The answer that broke off, where only its rest is asked for.
    begun: Option<Begun>,
}

impl Job {
    pub fn new(endpoint: Arc<Endpoint>, asked: Asked, lease: Lease) -> Self {
        let lease = Rc::new(lease);
        Self { endpoint, asked, inlined: OnceCell::new(), early: Rc::default(), lease, begun: None }
    }

    /// The same call once more.
    fn again(&self) -> Self {
        Self {
            endpoint: Arc::clone(&self.endpoint),
            asked: self.asked.clone(),
            inlined: OnceCell::new(),
            early: Rc::clone(&self.early),
            lease: Rc::clone(&self.lease),
            begun: None,
        }
    }

    /// What was asked is all that was sent: nothing was fetched for it, and nothing goes on.
    pub fn is_whole(&self) -> bool {
        self.inlined.get().is_none() && self.begun.is_none()
    }

    /// What the model will read, from its beginning.
    fn prompt(&self) -> &[u8] {
        match &self.asked {
            Asked::Model(request) => request.prompt(),
            Asked::Predict { .. } | Asked::V2 { .. } => &[],
        }
    }
}

/// Get an answer from one target after the other.
///
/// # Errors
/// None of them gave one, or the first one's refusal is final.
pub async fn relay(account: Account, job: &Job) -> Result<Response<Outgoing>, (Account, Failure)> {
    let mut account = account;
    let mut route = Route::new(&job.endpoint, &account.exchange, job.asked.version(), job.prompt());
    let mut choice = Choice::of(&account, job);
    if let Some(choice) = &choice {
        route.in_order(&choice.order);
        account.decision = Some(format!("tier {}", choice.said));
        account.strongest.clone_from(&choice.strongest);
    }
    let step = route.next(None);
    match answered(&mut account, job, &mut route, &mut choice, step).await {
        Ok((ready, Answered::Plain(plain))) => {
            keeps(&mut account, &ready);
            let copy = shadow::copy(&account, job, &ready);
            let copy = copy.map(|shadow| (shadow, plain.json().unwrap_or_default()));
            let response = plain::respond(account, job, &ready, plain).await;
            if let Some((shadow, answer)) = copy {
                shadow.beside(answer);
            }
            Ok(response)
        }
        Ok((ready, Answered::Stream(stream))) => {
            keeps(&mut account, &ready);
            let order = choice.map(|choice| choice.order).unwrap_or_default();
            let recovery = Recovery::of(job, &route, order);
            let beside = shadow::copy(&account, job, &ready).map(Beside::new);
            Ok(stream::respond(account, job, &ready, *stream, stream::Along { recovery, beside }))
        }
        Ok((_, Answered::Inferences(started))) => Ok(inferences::respond(account, *started)),
        Ok((_, Answered::Estimated(response))) => Ok(*response),
        Err(failure) => Err((account, failure)),
    }
}

/// What a candidate answers is for this call alone.
fn keeps(account: &mut Account, ready: &ReadyTarget) {
    if ready.part == Part::Candidate {
        account.place = None;
    }
}

/// Attempts that a call may have.
fn most_attempts(job: &Job) -> u32 {
    job.endpoint.spec.retries.attempts.min(MAX_ATTEMPTS)
}

/// Ask one target after the other until one answers, beginning with this step.
///
/// # Errors
/// None of them did, or the first one's refusal is final.
async fn answered(
    account: &mut Account,
    job: &Job,
    route: &mut Route<'_>,
    choice: &mut Option<Choice>,
    mut step: Step,
) -> Result<(Arc<ReadyTarget>, Answered), Failure> {
    let most = most_attempts(job);
    let mut failures = Failures::default();
    loop {
        let (ready, index) = match step {
            Step::Call { ready, index } => (ready, index),
            Step::Repeat { ready, index } => {
                let start = Instant::now();
                tokio::time::sleep(REPEAT_AFTER).await;
                account.waited_since(start);
                (ready, index)
            }
            Step::Wake(ready) => {
                account.permit = None;
                step = match route::wait(account, job, &ready).await {
                    Ok(()) => route.awake(&account.exchange.live, &ready.target.id),
                    Err(failure) => {
                        failures.add(failure);
                        route.next(None)
                    }
                };
                continue;
            }
            Step::Over => break,
        };
        if let Asked::Model(request) = &job.asked
            && encode::is_uncountable(request, &ready)
        {
            let estimated = plain::estimated(account, job, &ready, request);
            let response = estimated.map_err(Failure::unrecorded)?;
            return Ok((ready, Answered::Estimated(Box::new(response))));
        }
        match queue::enter(account, job, &ready).await {
            Ok(false) => {}
            Ok(true) => {
                step = route.anew(&account.exchange.live);
                continue;
            }
            Err(failure) => {
                failures.add(failure);
                step = route.next(None);
                continue;
            }
        }
        let judged = match (send(account, job, &ready, index).await, choice.as_mut()) {
            (Ok(answered), Some(choice)) => {
                cascade::judge(account, job, &ready, &route.level(), choice, answered).await
            }
            (Ok(answered), None) => Ok(Judged::Good(answered)),
            (Err(failure), _) => Err(failure),
        };
        let failure = match judged {
            Ok(Judged::Good(answered)) => return Ok((ready, answered)),
            Ok(Judged::Escalate) => {
                step = route.stronger();
                continue;
            }
            Err(failure) => failure,
        };
        account.exchange.trace.attempt_ended(Some(failure.refusal.code.code()));
        let next = failure.next;
        if next == Next::Stop && !route.has_stable() {
            return Err(failure);
        }
        if next == Next::Longer {
            route.overflowed(ready.target.spec.context_length);
        }
        failures.add(failure);
        if account.progress.attempts >= most {
            break;
        }
        step = route.next(Some(next));
    }
    Err(failures.tell(job))
}

/// What keeps the project's prompts apart from others' in the target's cache, where it can do so.
pub fn salt(account: &Account, ready: &ReadyTarget) -> Option<String> {
    let key = account.exchange.key.as_ref().filter(|_| ready.quirks.has(Quirk::CacheSalt))?;
    Some(account.exchange.worker.shared.secrets.pseudonym(&key.project))
}

/// The tokens that a call keeps one of our own servers busy with, as far as that is known before.
fn tokens(account: &Account, job: &Job, ready: &ReadyTarget) -> u64 {
    let Asked::Model(request) = &job.asked else { return 0 };
    if ready.target.spec.kind != TargetKind::Deployment {
        return 0;
    }
    let prompt = ready.bytes_per_token.estimate(request.input_bytes());
    let key = account.exchange.key.as_ref().map(|key| &*key.id);
    let shared = &account.exchange.worker.shared;
    let answer = shared.admission.answer(key, &job.endpoint.id, request.operation());
    prompt.saturating_add(answer)
}

enum Answered {
    Plain(plain::Plain),
    Stream(Box<stream::Started>),
    Inferences(Box<inferences::Started>),
    /// Made here: only tokens were to be counted.
    Estimated(Box<Response<Outgoing>>),
}

/// Send the call to one replica, and tell its health how that went.
async fn send(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
    index: usize,
) -> Result<Answered, Failure> {
    if let Some(refusal) = foreseen(job, ready) {
        return Err(Failure::too_long(refusal));
    }
    let remote = images::remote(job, ready);
    let remote = remote.map_err(|error| Failure::unfit(error.into()))?;
    let asked = match remote.is_empty() {
        true => &job.asked,
        // Boxed: it is rare, and its size would be every call's.
        false => Box::pin(images::inline(account, job, remote)).await?,
    };
    let salt = salt(account, ready);
    let encoded = encode(asked, ready, salt.as_deref(), job.begun.is_some());
    let encoded = encoded.map_err(|error| {
        if ready.part != Part::None {
            ready.state.unfit(ready.part);
        }
        Failure::unfit(error.into())
    })?;
    let Some(replica) = ready.replicas.get(index) else {
        return Err(Failure::unfit(Refusal::new(Code::NotReady, "The model has just moved.")));
    };
    let mut visit =
        Visit::begin(ready, replica, tokens(account, job, ready), &account.exchange.worker.shared);
    let start = Instant::now();
    let waited = account.waited();
    let limit_ms = job.endpoint.spec.timeouts.attempt_ms;
    let attempt = attempt(account, job, ready, replica, &encoded);
    let answered = if limit_ms == 0 {
        attempt.await
    } else {
        let limit = Duration::from_millis(limit_ms.into());
        match tokio::time::timeout(limit, attempt).await {
            Ok(answered) => answered,
            Err(_) => {
                account.waited_in_all(waited + start.elapsed());
                Err(Failure::slow_attempt(limit_ms))
            }
        }
    };
    match answered {
        Ok(Answered::Plain(plain)) => {
            visit.answered();
            visit.settled(None);
            Ok(Answered::Plain(plain))
        }
        Ok(Answered::Stream(mut stream)) => {
            visit.answered();
            stream.visited(visit);
            Ok(Answered::Stream(stream))
        }
        Ok(Answered::Estimated(response)) => Ok(Answered::Estimated(response)),
        Ok(Answered::Inferences(mut started)) => {
            visit.answered();
            started.visited(visit);
            Ok(Answered::Inferences(started))
        }
        Err(failure) => {
            visit.settled(Some(&failure));
            note(account, ready, replica, &failure);
            Err(failure)
        }
    }
}

async fn attempt(
    account: &mut Account,
    job: &Job,
    ready: &Arc<ReadyTarget>,
    replica: &ReadyReplica,
    encoded: &Encoded<'_>,
) -> Result<Answered, Failure> {
    let limits = &job.endpoint.spec.timeouts;
    let Some(timeouts) = remaining(account, limits) else {
        let limit_ms = limits.total_ms.min(patience_ms(account));
        return Err(Failure::out_of_time(limit_ms));
    };
    account.dispatch(ready, &replica.id).map_err(Failure::unrecorded)?;
    let mut headers = headers(account, ready, replica, encoded);
    match (encoded.grpc, encoded.stream) {
        (true, true) => grpc::dress_stream(&mut headers, timeouts.total_ms),
        (true, false) => grpc::dress(&mut headers, timeouts.total_ms),
        _ => {}
    }
    let call = Call {
        method: Method::POST,
        path: &encoded.path,
        headers,
        body: encoded.payload(),
        expect: if encoded.stream { Expect::Events } else { Expect::Answer },
        timeouts,
    };
    let sent = Instant::now();
    let worker = Rc::clone(&account.exchange.worker);
    let reply = match encoded.grpc {
        // Boxed: it is rare, and its size would be every call's.
        true => Box::pin(worker.pool.send_multiplexed(&replica.address, call)).await,
        false => worker.pool.send(&replica.address, call).await,
    };
    account.waited_since(sent);
    let reply = reply.map_err(|error| Failure::upstream(&error))?;
    account.exchange.trace.answered(reply.status.as_u16());
    if reply.status.as_u16() >= 400 {
        return Err(failure::of_status(reply).await);
    }
    if let Some(Err(fault)) = grpc::outcome(&reply.headers).filter(|_| encoded.grpc) {
        return Err(Failure::fault(fault));
    }
    if !encoded.stream {
        return plain::read(account, job, ready, encoded, reply).await.map(Answered::Plain);
    }
    if encoded.grpc {
        // Boxed: it is rare, and its size would be every call's.
        let started = Box::pin(inferences::start(account, reply)).await;
        return started.map(|started| Answered::Inferences(Box::new(started)));
    }
    if is_event_stream(&reply) {
        return stream::start(account, job, ready, encoded, reply)
            .await
            .map(|started| Answered::Stream(Box::new(started)));
    }
    Err(failure::not_a_stream(reply).await)
}

/// The endpoint's timeouts, the total being what is left of it, or of the caller's own patience; `None`
/// when nothing is.
fn remaining(account: &Account, timeouts: &Timeouts) -> Option<Timeouts> {
    let spent = u32::try_from(clock::ms(account.exchange.started.elapsed())).unwrap_or(u32::MAX);
    let total_ms = timeouts.total_ms.min(patience_ms(account));
    let total_ms = total_ms.checked_sub(spent).filter(|left| *left > 0)?;
    Some(Timeouts { total_ms, ..*timeouts })
}

/// How long the caller waits.
fn patience_ms(account: &Account) -> u32 {
    let patience = account.exchange.patience.map(clock::ms);
    patience.map_or(u32::MAX, |patience| u32::try_from(patience).unwrap_or(u32::MAX))
}

fn headers(
    account: &Account,
    ready: &ReadyTarget,
    replica: &ReadyReplica,
    encoded: &Encoded<'_>,
) -> HeaderMap {
    let mut headers = replica.headers.clone();
    if ready.target.spec.dialect == Dialect::Anthropic {
        for (name, value) in &account.exchange.forwarded {
            headers.append(name, value.clone());
        }
        let version = headers.entry("anthropic-version");
        version.or_insert(HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    describe(&mut headers, encoded);
    let trace = &account.exchange.trace;
    headers.insert(names::TRACEPARENT, trace.parent.clone());
    if let Some(state) = &trace.state {
        headers.insert(names::TRACESTATE, state.clone());
    }
    headers
}

/// Say what is sent, and what may come back.
pub fn describe(headers: &mut HeaderMap, encoded: &Encoded<'_>) {
    let accept = match &encoded.content_type {
        _ if encoded.stream => "text/event-stream",
        // What is asked for by a form may be answered with plain text.
        Some(_) => "*/*",
        None => "application/json",
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(kind) = &encoded.content_type {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    if let Some(size) = encoded.json_size {
        // Tensors follow the JSON.
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(kserve::JSON_SIZE, HeaderValue::from(size));
    }
}

pub fn is_event_stream(reply: &Reply) -> bool {
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
        headers.insert(names::ENDPOINT, endpoint.name.clone());
    }
    for (name, value) in &ready.shown {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(names::ATTEMPTS, HeaderValue::from(account.progress.attempts));
    if let Some(ms) = account.progress.cold_start_ms {
        headers.insert(names::COLD_START_MS, HeaderValue::from(ms));
    }
    if let Some(decision) = &account.decision
        && let Ok(value) = HeaderValue::from_str(decision.trim_start_matches("tier "))
    {
        headers.insert(names::TIER, value);
    }
    match account.cache {
        Cache::None => {}
        Cache::Hit => {
            headers.insert(names::CACHE, HeaderValue::from_static("hit"));
        }
        Cache::Miss => {
            headers.insert(names::CACHE, HeaderValue::from_static("miss"));
        }
    }
    account.show_limits(headers);
    headers.insert(names::OVERHEAD_US, HeaderValue::from(account.overhead_us()));
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
