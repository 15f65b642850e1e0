//! Streams of inferences: the answers of a gRPC server to one message, passed on whole and untouched.
//!
//! As with event streams the whole is one value that the caller's connection pulls, and dropping it cancels
//! the server and books the request as `client_gone`. What differs: answers may be large, so what is put
//! together of one is accounted to the memory for bodies; there may be none; and only the status in the
//! trailers tells that the stream is whole.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::unfold;
use http::Response;
use towpath_dialect::kserve::{Passed, StreamFollower};
use towpath_dialect::{UpstreamFault, Usage};
use towpath_upstream::{Body, Reply, UpstreamError};
use towpath_wire::usage::{CountedBy, Ended};

use crate::account::Account;
use crate::admit::Lease;
use crate::fleet::Visit;
use crate::grpc;
use crate::intake::AnswerError;
use crate::outgoing::{Cut, Outgoing};
use crate::relay::failure::Failure;
use crate::relay::inference;

/// A stream whose first answer has come, or that ended well without one.
pub struct Started {
    body: Body,
    follower: StreamFollower,
    /// Ready to leave.
    queued: Bytes,
    /// A status in the head, as servers give it that have no answer.
    said: Option<Result<(), UpstreamFault>>,
    /// How it ended, once it has.
    ending: Option<Result<(), Failure>>,
    lease: Lease,
    visit: Option<Visit>,
}

impl Started {
    /// The stream keeps its place at the replica until its end.
    pub fn visited(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }

    /// Pull once: what may leave is queued, and the end is noted.
    async fn pull(&mut self, account: &mut Account) {
        let start = Instant::now();
        let chunk = self.body.chunk().await;
        account.waited_since(start);
        self.ending = match chunk {
            Some(Ok(chunk)) => {
                let Passed { out, fault } = self.follower.feed(chunk);
                self.queued = out;
                let wait =
                    Duration::from_millis(account.exchange.worker.shared.limits.body_wait_ms);
                let room = self.lease.grow_to(self.follower.pending(), wait).await;
                match (fault, room) {
                    (Some(fault), _) => Some(Err(Failure::fault(fault))),
                    (None, Err(refusal)) => {
                        Some(Err(Failure::answer(AnswerError::NoMemory(refusal))))
                    }
                    (None, Ok(())) => None,
                }
            }
            // Cut in the middle: the same to the caller as an end without a status.
            Some(Err(UpstreamError::Cut { .. })) if self.follower.started() => {
                Some(Err(Failure::fault(inference::without_status())))
            }
            Some(Err(error)) => Some(Err(Failure::upstream(&error))),
            None if self.follower.pending() > 0 => {
                Some(Err(Failure::fault(inference::without_status())))
            }
            None => Some(self.status().map_err(Failure::fault)),
        };
    }

    /// What the trailers say.
    fn status(&self) -> Result<(), UpstreamFault> {
        let outcome = self.body.trailers().and_then(grpc::outcome).or_else(|| self.said.clone());
        outcome.unwrap_or_else(|| Err(inference::without_status()))
    }

    fn used(&self) -> (Usage, CountedBy) {
        match self.follower.usage() {
            Some(usage) => (usage, CountedBy::Upstream),
            None => (Usage::default(), CountedBy::None),
        }
    }
}

/// Follow a reply until its first answer.
///
/// # Errors
/// It breaks or reports an error before.
pub async fn start(account: &mut Account, reply: Reply) -> Result<Started, Failure> {
    let shared = &account.exchange.worker.shared;
    let most = usize::try_from(shared.limits.answer_max_bytes).unwrap_or(usize::MAX);
    let lease = shared.memory.lease();
    let mut started = Started {
        said: grpc::outcome(&reply.headers),
        body: reply.body,
        follower: StreamFollower::new(most),
        queued: Bytes::new(),
        ending: None,
        lease,
        visit: None,
    };
    loop {
        started.pull(account).await;
        if started.follower.started() {
            started.body.first_event_seen();
            return Ok(started);
        }
        match started.ending.take() {
            None => {}
            Some(Ok(())) => {
                started.ending = Some(Ok(()));
                return Ok(started);
            }
            Some(Err(failure)) => return Err(failure),
        }
    }
}

/// Go on with the stream.
pub fn respond(mut account: Account, started: Started) -> Response<Outgoing> {
    account.first_byte();
    let mut relayed = Box::new(Relayed { account, started });
    relayed.count();
    // The head went out when the stream of messages began.
    Response::new(Outgoing::stream(unfold(Some(relayed), step)))
}

/// A stream on its way to the caller.
struct Relayed {
    account: Account,
    started: Started,
}

async fn step(relayed: Option<Box<Relayed>>) -> Option<(Result<Bytes, Cut>, Option<Box<Relayed>>)> {
    let mut relayed = relayed?;
    loop {
        if !relayed.started.queued.is_empty() {
            let chunk = std::mem::take(&mut relayed.started.queued);
            return Some((Ok(chunk), Some(relayed)));
        }
        if let Some(ending) = relayed.started.ending.take() {
            let last = relayed.end(ending).await;
            return last.map(|last| (Ok(last), None));
        }
        let Relayed { account, started } = &mut *relayed;
        started.pull(account).await;
        relayed.count();
    }
}

impl Relayed {
    /// Bring the record up to date.
    fn count(&mut self) {
        let (usage, counted_by) = self.started.used();
        self.account.count(&usage, counted_by);
    }

    /// Book the end, and return what is said of a bad one.
    async fn end(mut self: Box<Self>, ending: Result<(), Failure>) -> Option<Bytes> {
        if let Some(visit) = self.started.visit.take() {
            visit.settled(ending.as_ref().err());
        }
        let account = &mut self.account;
        let (last, sequence) = match ending {
            Ok(()) => (None, account.close(Ended::Complete, Some(200), None)),
            Err(failure) => {
                let exchange = &account.exchange;
                let id = exchange.message_id.as_deref().unwrap_or_default();
                let told = grpc::told(&failure.refusal, id, &exchange.id);
                let code = failure.refusal.code.code();
                (Some(told), account.close(failure.ended, Some(200), Some(code)))
            }
        };
        account.durable(sequence).await;
        last
    }
}
