//! Streamed answers: looked at until the first event, then passed on chunk by chunk.
//!
//! The whole stream is one value that is pulled by the caller's connection. Dropping it closes the
//! upstream's connection and books the request as `client_gone`: nothing else is needed to cancel.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use http::{HeaderValue, Response, header};
use towpath_dialect::{BytesPerToken, End, Follower, RequestCode, UpstreamFault, Usage};
use towpath_policy::Target;
use towpath_upstream::{Body, Reply, UpstreamError};
use towpath_wire::usage::{CountedBy, Ended};

use crate::account::Account;
use crate::cache;
use crate::errors::{Code, Refusal};
use crate::fleet::Visit;
use crate::live::ReadyTarget;
use crate::outgoing::{Cut, Outgoing};
use crate::relay::encode::{Encoded, Kind};
use crate::relay::failure::Failure;
use crate::relay::recovery::{self, Recovery};
use crate::relay::{Asked, Job, head};
use crate::shadow::Beside;

/// Most bytes that may come before the first event: comments and the head of one large event.
const MAX_BEFORE_EVENT: usize = 4 << 20;

/// A stream whose first event has come.
pub struct Started {
    body: Body,
    follower: Follower,
    queued: Bytes,
    ending: Option<Ending>,
    input: Input,
    visit: Option<Visit>,
}

impl Started {
    /// Hold the stream back until its end, so that it can be judged; returns whether it has ended within
    /// `most` bytes. Nothing has left yet, so a stream that breaks meanwhile is a failed attempt.
    ///
    /// # Errors
    /// It breaks or reports an error.
    pub async fn hold(&mut self, account: &mut Account, most: usize) -> Result<bool, Failure> {
        let mut held = BytesMut::from(&*self.queued);
        while self.ending.is_none() && held.len() <= most {
            let start = Instant::now();
            let chunk = self.body.chunk().await;
            account.waited_since(start);
            match chunk {
                Some(Ok(chunk)) => {
                    let fed = self.follower.feed(chunk);
                    held.extend_from_slice(&fed.out);
                    self.ending = match fed.fault {
                        Some(fault) => return Err(self.broken(Failure::fault(fault))),
                        None => fed.done.then_some(Ending::Whole),
                    };
                }
                Some(Err(error)) => return Err(self.broken(Failure::upstream(&error))),
                None => self.ending = Some(Ending::Whole),
            }
        }
        self.queued = held.freeze();
        Ok(self.ending.is_some())
    }

    /// What has come and not left.
    pub fn held(&self) -> &[u8] {
        &self.queued
    }

    /// What it used so far.
    pub fn used(&self) -> (Usage, CountedBy) {
        used(&self.follower, &self.input)
    }

    /// It is not passed on: the replica has done its part.
    pub fn thrown_away(mut self) {
        if let Some(visit) = self.visit.take() {
            visit.settled(None);
        }
    }

    fn broken(&mut self, failure: Failure) -> Failure {
        if let Some(visit) = self.visit.take() {
            visit.settled(Some(&failure));
        }
        failure
    }

    /// The stream keeps its place at the replica until its end.
    pub fn visited(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }
}

/// Size of the input, to count its tokens where the upstream does not.
struct Input {
    bytes: u64,
    /// Absent where the bytes of the input say nothing of its tokens.
    estimate: Option<u64>,
    learned: Arc<BytesPerToken>,
}

enum Ending {
    /// `[DONE]`, or the clean end of the body.
    Whole,
    Fault(UpstreamFault),
    Broken(UpstreamError),
    /// It broke, and what had come has left.
    Failed(Box<Failure>),
}

/// Follow a reply until its first event.
///
/// # Errors
/// It ends, breaks or reports an error before.
pub async fn start(
    account: &mut Account,
    job: &Job,
    ready: &ReadyTarget,
    encoded: &Encoded<'_>,
    reply: Reply,
) -> Result<Started, Failure> {
    let (Asked::Model(request), Kind::Model(replying)) = (&job.asked, &encoded.kind) else {
        return Err(Failure::refused(Refusal::new(
            Code::Request(RequestCode::UnsupportedOperation),
            "Predictions are not streamed.",
        )));
    };
    let mut follower = match &job.begun {
        None => replying.follow(recovery::allowed(job), || account.exchange.stamp()),
        Some(begun) => begun.follow(replying).ok_or_else(unread)?,
    };
    let learned = Arc::clone(&ready.bytes_per_token);
    let bytes = request.input_bytes();
    let estimate = (request.sound_bytes() == 0).then(|| learned.estimate(bytes));
    let input = Input { bytes, estimate, learned };
    let mut body = reply.body;
    let mut queued = Bytes::new();
    loop {
        let start = Instant::now();
        let chunk = body.chunk().await;
        account.waited_since(start);
        let chunk = match chunk {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Err(Failure::upstream(&error)),
            None => return Err(without_event(&mut follower)),
        };
        let fed = follower.feed(chunk);
        queued = joined(&queued, &fed.out);
        if !follower.started() {
            if let Some(fault) = fed.fault {
                return Err(Failure::fault(fault));
            }
            if queued.len() > MAX_BEFORE_EVENT {
                let limit_bytes = MAX_BEFORE_EVENT;
                return Err(Failure::upstream(&UpstreamError::TooLarge { limit_bytes }));
            }
            if fed.done {
                return Err(without_event(&mut follower));
            }
            continue;
        }
        body.first_event_seen();
        let ending = match fed.fault {
            Some(fault) => Some(Ending::Fault(fault)),
            None if fed.done => Some(Ending::Whole),
            None => None,
        };
        return Ok(Started { body, follower, queued, ending, input, visit: None });
    }
}

/// A stream that can only be passed on as it is.
fn unread() -> Failure {
    Failure::unfit(Refusal::new(
        Code::Request(RequestCode::UnsupportedOperation),
        "The model's server cannot go on with an answer that another one began.",
    ))
}

/// A stream that is over before its first event is no answer; the follower says what it is instead.
fn without_event(follower: &mut Follower) -> Failure {
    match follower.finish(End::Clean) {
        Err(fault) => Failure::fault(fault),
        Ok(_) => Failure::upstream(&UpstreamError::Cut { received_bytes: 0 }),
    }
}

/// What goes along with a stream.
pub struct Along {
    /// Where it may be gone on with when it breaks.
    pub recovery: Option<Box<Recovery>>,
    /// Where the call is copied.
    pub beside: Option<Box<Beside>>,
}

/// Send the head and go on with the stream.
pub fn respond(
    mut account: Account,
    job: &Job,
    ready: &ReadyTarget,
    started: Started,
    along: Along,
) -> Response<Outgoing> {
    account.first_byte();
    let empty = Outgoing::whole(Bytes::new());
    let mut response = head(&account, job, ready, "text/event-stream; charset=utf-8", empty);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let Started { body, follower, queued, ending, input, visit } = started;
    let keeps = account.place.is_some();
    let copy = keeps.then(|| Copied { target: Arc::clone(&ready.target), bytes: Vec::new() });
    let mut relayed =
        Box::new(Relayed { account, body, follower, queued, ending, input, visit, copy, along });
    relayed.count();
    *response.body_mut() = Outgoing::stream(unfold(Some(relayed), step));
    response
}

/// A stream on its way to the caller.
struct Relayed {
    account: Account,
    body: Body,
    follower: Follower,
    /// Ready to leave.
    queued: Bytes,
    ending: Option<Ending>,
    input: Input,
    visit: Option<Visit>,
    copy: Option<Copied>,
    along: Along,
}

/// What becomes of a stream that has ended or broken.
enum After {
    Over(Bytes),
    /// These bytes leave before more is done.
    First(Bytes, Box<Relayed>),
    GoesOn(Box<Relayed>),
}

/// What has left so far, of a stream that is to be kept.
struct Copied {
    target: Arc<Target>,
    bytes: Vec<u8>,
}

/// Boxed, so that a step moves a pointer and not the stream.
async fn step(relayed: Option<Box<Relayed>>) -> Option<(Result<Bytes, Cut>, Option<Box<Relayed>>)> {
    let mut relayed = relayed?;
    loop {
        if let Some(ending) = relayed.ending.take() {
            // Once per stream; kept out of the size of every step.
            match Box::pin(relayed.end(ending)).await {
                After::Over(last) => return (!last.is_empty()).then_some((Ok(last), None)),
                After::First(bytes, relayed) => return Some((Ok(bytes), Some(relayed))),
                After::GoesOn(further) => relayed = further,
            }
        }
        if !relayed.queued.is_empty() {
            let chunk = std::mem::take(&mut relayed.queued);
            relayed.leaves(&chunk);
            return Some((Ok(chunk), Some(relayed)));
        }
        if let Some(beside) = &mut relayed.along.beside {
            beside.begin();
        }
        let start = Instant::now();
        let chunk = relayed.body.chunk().await;
        relayed.account.waited_since(start);
        match chunk {
            Some(Ok(chunk)) => {
                let fed = relayed.follower.feed(chunk);
                relayed.queued = fed.out;
                relayed.ending = match fed.fault {
                    Some(fault) => Some(Ending::Fault(fault)),
                    None if fed.done => Some(Ending::Whole),
                    None => None,
                };
                relayed.count();
            }
            Some(Err(error)) => relayed.ending = Some(Ending::Broken(error)),
            None => relayed.ending = Some(Ending::Whole),
        }
    }
}

impl Relayed {
    /// A piece is about to leave.
    fn leaves(&mut self, chunk: &[u8]) {
        self.account.exchange.trace.streams(chunk);
        self.copy(chunk);
        if let Some(beside) = &mut self.along.beside {
            beside.add(chunk);
        }
    }

    /// Remember what leaves, as long as it may be kept.
    fn copy(&mut self, chunk: &[u8]) {
        let Some(copied) = &mut self.copy else { return };
        if cache::fits(copied.bytes.len() + chunk.len()) {
            copied.bytes.extend_from_slice(chunk);
        } else {
            self.copy = None;
        }
    }

    /// The stream is whole: keep it.
    fn keep(&mut self) {
        if let (Some(copied), Some(place)) = (self.copy.take(), &self.account.place) {
            let cache = &self.account.exchange.worker.shared.cache;
            cache.keep(place, &copied.target, copied.bytes.into());
        }
    }

    /// Bring the record up to date.
    fn count(&mut self) {
        let (usage, counted_by) = used(&self.follower, &self.input);
        self.account.count(&usage, counted_by);
    }

    /// Have it gone on with, or book the end and return the last bytes.
    async fn end(mut self: Box<Self>, ending: Ending) -> After {
        let queued = std::mem::take(&mut self.queued);
        self.account.exchange.trace.streams(&queued);
        let finished = match ending {
            Ending::Whole => self.follower.finish(End::Clean).map_err(Failure::fault),
            Ending::Fault(fault) => Err(Failure::fault(fault)),
            Ending::Broken(UpstreamError::Cut { .. }) => {
                self.follower.finish(End::Cut).map_err(Failure::fault)
            }
            Ending::Broken(error) => Err(Failure::upstream(&error)),
            Ending::Failed(failure) => Err(*failure),
        };
        self.count();
        if let Some(visit) = self.visit.take() {
            visit.settled(finished.as_ref().err());
        }
        let finished = match (finished, self.along.recovery.take()) {
            (Err(failure), Some(recovery)) if !queued.is_empty() => {
                // The wait for who goes on holds nothing back.
                self.along.recovery = Some(recovery);
                self.ending = Some(Ending::Failed(Box::new(failure)));
                return After::First(queued, self);
            }
            (Err(failure), Some(recovery)) => match self.recover(recovery, &failure).await {
                true => return After::GoesOn(self),
                false => Err(failure),
            },
            (finished, _) => finished,
        };
        let whole = finished.is_ok();
        let (last, sequence) = match finished {
            Ok(last) => {
                self.account.exchange.trace.streams(&last);
                if let Some(tokens) = self.follower.usage().and_then(|usage| usage.input_tokens) {
                    self.input.learned.observe(self.input.bytes, tokens);
                }
                (last, self.account.close(Ended::Complete, Some(200), None))
            }
            Err(failure) => {
                let code = failure.refusal.code.code();
                let error = failure.refusal.body(&self.account.exchange.id);
                let event = self.follower.fail(&error);
                (event, self.account.close(failure.ended, Some(200), Some(code)))
            }
        };
        self.account.durable(sequence).await;
        if whole {
            self.copy(&queued);
            self.copy(&last);
            self.keep();
            if let Some(mut beside) = self.along.beside.take() {
                beside.add(&queued);
                beside.add(&last);
                beside.ended();
            }
            let Relayed { body, .. } = *self;
            tokio::task::spawn_local(body.drain());
        }
        After::Over(joined(&queued, &last))
    }

    /// Ask for the rest of a stream that broke; whether somebody goes on.
    async fn recover(&mut self, mut recovery: Box<Recovery>, failure: &Failure) -> bool {
        let used = used(&self.follower, &self.input);
        let found = recovery.go_on(&mut self.account, &self.follower, used, failure).await;
        let Some((started, told)) = found else { return false };
        let Started { body, follower, queued, ending, input, visit } = started;
        // What two models said is not what the same request is to get later.
        self.copy = None;
        self.along.beside = None;
        self.queued = joined(&told, &queued);
        self.along.recovery = Some(recovery);
        (self.body, self.follower, self.ending) = (body, follower, ending);
        (self.input, self.visit) = (input, visit);
        self.count();
        true
    }
}

/// What a stream used so far: as the upstream reports it, else as we count.
fn used(follower: &Follower, input: &Input) -> (Usage, CountedBy) {
    match follower.usage().filter(|usage| usage.output_tokens.is_some()) {
        Some(usage) => (usage, CountedBy::Upstream),
        None => {
            // Some say at the beginning what they have read.
            let begun = follower.usage().unwrap_or_default();
            let usage = Usage {
                input_tokens: begun.input_tokens.or(input.estimate),
                output_tokens: Some(follower.content_events()),
                ..begun
            };
            (usage, CountedBy::Gateway)
        }
    }
}

/// Two pieces as one; neither is copied when the other is empty.
fn joined(first: &Bytes, second: &Bytes) -> Bytes {
    if first.is_empty() {
        return second.clone();
    }
    if second.is_empty() {
        return first.clone();
    }
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    both.freeze()
}
