//! One copy on its way to the candidate and back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Method;
use towpath_dialect::kserve::Body as V2Body;
use towpath_dialect::{End, Stamp};
use towpath_policy::{Endpoint, Load, pick};
use towpath_upstream::{Body, Call, Expect, Reply};
use towpath_wire::routing::{Spread, Timeouts};
use towpath_wire::usage::CallerDialect;

use super::{MAX_ANSWER, keep};
use crate::live::{ReadyReplica, ReadyTarget};
use crate::relay::{Asked, Encoded, Kind, Recipient, encode, translated};
use crate::shared::Worker;
use crate::{clock, grpc, kserve, relay};

/// A call that is copied.
pub struct Copied {
    pub worker: Rc<Worker>,
    pub ready: Arc<ReadyTarget>,
    pub endpoint: Arc<Endpoint>,
    pub asked: Asked,
    pub salt: Option<String>,
    /// Of the caller's request.
    pub id: String,
    pub stamp: Stamp,
    pub dialect: CallerDialect,
}

/// An answer to a copy, in the caller's dialect.
pub struct Answer {
    pub took_us: u64,
    /// Absent: too long to be compared, or in a form that is not.
    pub body: Option<Bytes>,
}

/// Why a copy has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// There was none, or none that can be read.
    Silent,
    /// The candidate answered, and with an error; or its model takes no such call.
    Refused,
}

impl Copied {
    /// Send it; `None`: no replica has room for it.
    pub async fn send(&self) -> Option<Result<Answer, Failed>> {
        let replica = self.replica()?;
        let _place = replica.state.occupied();
        let limits = self.endpoint.spec.timeouts;
        let most_ms = match limits.attempt_ms {
            0 => limits.total_ms,
            attempt_ms => attempt_ms.min(limits.total_ms),
        };
        let whole = self.exchange(replica, limits);
        let answered = tokio::time::timeout(Duration::from_millis(most_ms.into()), whole).await;
        Some(answered.unwrap_or(Err(Failed::Silent)))
    }

    fn replica(&self) -> Option<&ReadyReplica> {
        let now_ms = clock::steady_ms();
        let most = self.ready.target.spec.max_concurrency.unwrap_or(u32::MAX);
        let loads = self.ready.replicas.iter().map(|replica| {
            let takes = replica.state.available(now_ms) && replica.state.in_flight() < most;
            Load { weight: u32::from(takes), ..replica.state.load(false) }
        });
        let index = pick(Spread::LeastOutstanding, loads, self.worker.random())?;
        self.ready.replicas.get(index)
    }

    async fn exchange(&self, replica: &ReadyReplica, timeouts: Timeouts) -> Result<Answer, Failed> {
        let start = Instant::now();
        let encoded = encode(&self.asked, &self.ready, self.salt.as_deref(), false);
        let encoded = encoded.map_err(|_| Failed::Refused)?;
        let mut headers = replica.headers.clone();
        relay::describe(&mut headers, &encoded);
        if encoded.grpc {
            grpc::dress(&mut headers, timeouts.total_ms);
        }
        let expect = if encoded.stream { Expect::Events } else { Expect::Answer };
        let call = Call {
            method: Method::POST,
            path: &encoded.path,
            headers,
            body: encoded.payload(),
            expect,
            timeouts,
        };
        let reply = match encoded.grpc {
            true => self.worker.pool.send_multiplexed(&replica.address, call).await,
            false => self.worker.pool.send(&replica.address, call).await,
        };
        let reply = reply.map_err(|_| Failed::Silent)?;
        if reply.status.as_u16() >= 400 {
            return Err(Failed::Refused);
        }
        let body = match encoded.stream {
            true => self.stream(&encoded, reply).await,
            false => self.plain(&encoded, reply).await,
        }?;
        Ok(Answer { took_us: clock::us(start.elapsed()), body })
    }

    async fn plain(&self, encoded: &Encoded<'_>, reply: Reply) -> Result<Option<Bytes>, Failed> {
        if encoded.grpc && grpc::outcome(&reply.headers).is_some_and(|outcome| outcome.is_err()) {
            return Err(Failed::Refused);
        }
        let json_size = reply.headers.get(kserve::JSON_SIZE);
        let json_size = json_size.and_then(|size| size.to_str().ok()?.parse().ok());
        let mut body = reply.body;
        let bytes = kept(&mut body).await?;
        if encoded.grpc {
            let outcome = body.trailers().and_then(grpc::outcome);
            outcome.ok_or(Failed::Silent)?.map_err(|_| Failed::Refused)?;
        }
        let Some(bytes) = bytes else { return Ok(None) };
        let to = Recipient {
            dialect: self.dialect,
            id: &self.id,
            stamp: &|| self.stamp.clone(),
            endpoint: &self.endpoint.spec.name,
        };
        let came = V2Body { bytes, json_size };
        let answer = translated(&to, &self.asked, &self.ready, encoded, came);
        let answer = answer.map_err(|_| Failed::Silent)?;
        // Tensors in binary are not looked into.
        Ok(answer.json_size.is_none().then_some(answer.body))
    }

    async fn stream(&self, encoded: &Encoded<'_>, reply: Reply) -> Result<Option<Bytes>, Failed> {
        let Kind::Model(replying) = &encoded.kind else { return Err(Failed::Silent) };
        if !relay::is_event_stream(&reply) {
            return Err(Failed::Silent);
        }
        let mut follower = replying.follow(false, || self.stamp.clone());
        let mut body = reply.body;
        let mut said = BytesMut::new();
        loop {
            let Some(chunk) = body.chunk().await else { break };
            let fed = follower.feed(chunk.map_err(|_| Failed::Silent)?);
            keep(&mut said, &fed.out);
            if fed.fault.is_some() {
                return Err(Failed::Silent);
            }
            if follower.started() {
                body.first_event_seen();
            }
            if fed.done {
                break;
            }
        }
        let last = follower.finish(End::Clean);
        keep(&mut said, &last.map_err(|_| Failed::Silent)?);
        body.drain().await;
        Ok((said.len() <= MAX_ANSWER).then(|| said.freeze()))
    }
}

/// All of a body, and its bytes where they are few enough to be compared.
async fn kept(body: &mut Body) -> Result<Option<Bytes>, Failed> {
    let mut all = BytesMut::new();
    let mut whole = true;
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk.map_err(|_| Failed::Silent)?;
        whole &= all.len() + chunk.len() <= MAX_ANSWER;
        if whole {
            all.extend_from_slice(&chunk);
        } else {
            all.clear();
        }
    }
    Ok(whole.then(|| all.freeze()))
}
