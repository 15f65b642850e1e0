//! Reading bodies: bounded in size, in memory over all calls together, and in time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use towpath_dialect::kserve::Frame;
use towpath_upstream::{Body, UpstreamError};

use crate::admit::{BodyMemory, Lease};
use crate::config::Limits;
use crate::errors::{Code, Refusal};

/// What a refused body may still bring in before the connection is given up: enough for a client to
/// finish sending and read the answer.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Read a caller's body. Bytes are accounted as they arrive, so that a slow upload holds no more
/// memory than it has filled.
///
/// # Errors
/// It is too large, too slow, cut, encoded, or there is no memory for it.
pub async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limits: &Limits,
    memory: &Arc<BodyMemory>,
) -> Result<(Bytes, Lease), Refusal> {
    if let Err(refusal) = acceptable(headers, &body, limits) {
        discard(body);
        return Err(refusal);
    }
    match fill(&mut body, limits, memory).await {
        Ok(filled) => Ok(filled),
        Err(refusal) => {
            discard(body);
            Err(refusal)
        }
    }
}

/// Let the rest of a body in and drop it, so that the caller reads our answer instead of a reset.
pub fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(async move {
        let mut left = DISCARD_BYTES;
        let all = async {
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    break;
                }
            }
        };
        // Either way the body is dropped now, and with it the connection if it is not at its end.
        let _ = tokio::time::timeout(DISCARD_TIME, all).await;
    });
}

fn acceptable(headers: &HeaderMap, body: &Incoming, limits: &Limits) -> Result<(), Refusal> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Refusal::new(Code::UnsupportedEncoding, "The body is compressed."));
    }
    match body.size_hint().exact() {
        Some(size) if size > limits.body_max_bytes => Err(too_large(limits, Some(size))),
        _ => Ok(()),
    }
}

fn too_large(limits: &Limits, size: Option<u64>) -> Refusal {
    let most = limits.body_max_bytes;
    let detail = match size {
        Some(size) => format!("The body has {size} bytes; at most {most} are taken."),
        None => format!("The body has more than {most} bytes."),
    };
    Refusal::new(Code::BodyTooLarge, detail)
}

async fn fill(
    body: &mut Incoming,
    limits: &Limits,
    memory: &Arc<BodyMemory>,
) -> Result<(Bytes, Lease), Refusal> {
    let idle = Duration::from_millis(limits.body_idle_ms);
    let deadline = Instant::now() + Duration::from_millis(limits.body_timeout_ms);
    let announced = body.size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let mut vessel = Vessel::new(memory, limits, announced);
    loop {
        let until = deadline.min(Instant::now() + idle);
        let frame = timeout_at(until, body.frame()).await.map_err(|_| stopped())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| cut())?;
        let Ok(chunk) = frame.into_data() else { continue };
        if (vessel.len() + chunk.len()) as u64 > limits.body_max_bytes {
            return Err(too_large(limits, None));
        }
        vessel.pour(chunk).await?;
    }
    Ok(vessel.full())
}

/// The messages of a gRPC stream, one by one, each bounded and accounted as a body is.
pub struct Messages {
    body: Incoming,
    /// What has come of the next message.
    rest: Bytes,
}

impl Messages {
    pub fn of(body: Incoming) -> Self {
        Self { body, rest: Bytes::new() }
    }

    /// Wait for the next message to begin; false at the stream's end. Nothing is lost by giving up.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn begun(&mut self) -> Result<bool, Refusal> {
        while self.rest.is_empty() {
            match self.chunk().await? {
                Some(chunk) => self.rest = chunk,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The message that has begun, with its prefix.
    ///
    /// # Errors
    /// It is too large, too slow, cut, or there is no memory for it: the stream cannot go on.
    pub async fn next(
        &mut self,
        limits: &Limits,
        memory: &Arc<BodyMemory>,
    ) -> Result<(Bytes, Lease), Refusal> {
        let idle = Duration::from_millis(limits.body_idle_ms);
        let deadline = Instant::now() + Duration::from_millis(limits.body_timeout_ms);
        let length = loop {
            if let Some(length) = Frame::length(&self.rest) {
                break length;
            }
            let more = self.more(deadline.min(Instant::now() + idle)).await?;
            self.rest = [&*self.rest, &*more].concat().into();
        };
        if length as u64 > limits.body_max_bytes {
            return Err(too_large(limits, Some(length as u64)));
        }
        let mut vessel = Vessel::new(memory, limits, Some(length));
        loop {
            let wanted = (length - vessel.len()).min(self.rest.len());
            vessel.pour(self.rest.split_to(wanted)).await?;
            if vessel.len() == length {
                return Ok(vessel.full());
            }
            self.rest = self.more(deadline.min(Instant::now() + idle)).await?;
        }
    }

    async fn more(&mut self, until: Instant) -> Result<Bytes, Refusal> {
        let chunk = timeout_at(until, self.chunk()).await.map_err(|_| stopped())?;
        chunk?.ok_or_else(cut)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(chunk) = frame.map_err(|_| cut())?.into_data()
                && !chunk.is_empty()
            {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

fn stopped() -> Refusal {
    Refusal::new(Code::BodyTimeout, "The body stopped arriving, or took too long in all.")
}

fn cut() -> Refusal {
    Refusal::new(Code::BodyCut, "The body ended early.")
}

/// Why an upstream's answer could not be taken in whole.
#[derive(Debug)]
pub enum AnswerError {
    Upstream(UpstreamError),
    NoMemory(Refusal),
}

/// Read an upstream's plain answer, accounted like a caller's body.
///
/// # Errors
/// It is cut, too large, too slow, or there is no memory for it.
pub async fn answer(
    body: &mut Body,
    limits: &Limits,
    memory: &Arc<BodyMemory>,
) -> Result<(Bytes, Lease), AnswerError> {
    let limit_bytes = usize::try_from(limits.answer_max_bytes).unwrap_or(usize::MAX);
    let mut vessel = Vessel::new(memory, limits, None);
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk.map_err(AnswerError::Upstream)?;
        if vessel.len() + chunk.len() > limit_bytes {
            return Err(AnswerError::Upstream(UpstreamError::TooLarge { limit_bytes }));
        }
        vessel.pour(chunk).await.map_err(AnswerError::NoMemory)?;
    }
    Ok(vessel.full())
}

/// A body as far as it has come. One that comes in a single piece is never copied.
struct Vessel {
    lease: Lease,
    wait: Duration,
    announced: Option<usize>,
    first: Bytes,
    rest: BytesMut,
}

impl Vessel {
    fn new(memory: &Arc<BodyMemory>, limits: &Limits, announced: Option<usize>) -> Self {
        let wait = Duration::from_millis(limits.body_wait_ms);
        Self { lease: memory.lease(), wait, announced, first: Bytes::new(), rest: BytesMut::new() }
    }

    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    async fn pour(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        let length = self.len() + chunk.len();
        if self.len() == 0 {
            self.lease.grow_to(length, self.wait).await?;
            self.first = chunk;
            return Ok(());
        }
        if self.rest.capacity() < length {
            // Doubling, but never beyond what was announced.
            let doubled = length.max(self.rest.capacity() * 2).max(16 << 10);
            let capacity = self.announced.map_or(doubled, |size| doubled.min(size)).max(length);
            self.lease.grow_to(capacity, self.wait).await?;
            let mut larger = BytesMut::with_capacity(capacity);
            larger.extend_from_slice(&self.first);
            larger.extend_from_slice(&self.rest);
            self.first = Bytes::new();
            self.rest = larger;
        }
        self.rest.extend_from_slice(&chunk);
        Ok(())
    }

    fn full(self) -> (Bytes, Lease) {
        let bytes = if self.rest.is_empty() { self.first } else { self.rest.freeze() };
        (bytes, self.lease)
    }
}
